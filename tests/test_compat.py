import importlib

import pytest
import torch
from mmengine.config import Config, ConfigDict

import mgca_mm


def loop_nms(boxes, scores, threshold, offset):
    order = scores.argsort(descending=True).tolist()
    keep = []
    for i in order:
        for j in keep:
            width = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0]) + offset
            height = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1]) + offset
            inter = max(width, 0) * max(height, 0)
            area = [(b[2] - b[0] + offset) * (b[3] - b[1] + offset) for b in (boxes[i], boxes[j])]
            if inter / (sum(area) - inter) > threshold:
                break
        else:
            keep.append(i)
    return keep


@pytest.mark.parametrize("offset", [0, 1])
def test_nms_without_compiled_operators(offset):
    from mmcv.ops import nms

    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(200, 2, generator=generator) * 50
    boxes = torch.cat([corner, corner + 1 + torch.rand(200, 2, generator=generator) * 20], dim=1)
    scores = torch.rand(200, generator=generator)
    kept = nms(boxes, scores, 0.4, offset=offset)[1]
    assert kept.tolist() == loop_nms(boxes.tolist(), scores, 0.4, offset)


def test_other_operators_name_the_full_build():
    ext = importlib.import_module("mmcv._ext")
    if hasattr(ext, "__file__"):
        pytest.skip("mmcv was built with its operators")
    with pytest.raises(NotImplementedError, match=r"roi_align_forward.*MMCV_WITH_OPS=1"):
        ext.roi_align_forward()


def test_installing_twice_changes_nothing():
    import sys

    before = list(sys.meta_path)
    mgca_mm.compat.install()
    assert sys.meta_path == before


@pytest.mark.parametrize(
    "base", ["mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py", "mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py"]
)
def test_configs_of_the_ecosystem_resolve(tmp_path, base):
    (tmp_path / "c.py").write_text(f"_base_ = ['{base}']\n")
    assert Config.fromfile(tmp_path / "c.py").model.type in ("YOLOV3", "EncoderDecoder")


def test_own_configs_resolve_from_anywhere(tmp_path):
    (tmp_path / "c.py").write_text("_base_ = ['mgca_mm::mgca/pretrain_vit.py']\n")
    assert Config.fromfile(tmp_path / "c.py").model.type == "ImageReportPretrainer"


def test_yolov3_predicts_without_compiled_operators():
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmdet.utils import register_all_modules
    from mmengine.registry import init_default_scope

    register_all_modules(init_default_scope=False)
    init_default_scope("mmdet")
    model = MODELS.build(
        dict(
            type="YOLOV3",
            data_preprocessor=dict(type="DetDataPreprocessor"),
            backbone=dict(type="mmpretrain.ResNet", depth=18, out_indices=(1, 2, 3)),
            neck=dict(type="YOLOV3Neck", num_scales=3, in_channels=[512, 256, 128], out_channels=[64, 32, 16]),
            bbox_head=dict(
                type="YOLOV3Head",
                num_classes=1,
                in_channels=[64, 32, 16],
                out_channels=[64, 32, 16],
                anchor_generator=dict(
                    type="YOLOAnchorGenerator",
                    base_sizes=[[(62, 48)], [(16, 32)], [(5, 7)]],
                    strides=[32, 16, 8],
                ),
                featmap_strides=[32, 16, 8],
            ),
            test_cfg=ConfigDict(
                nms_pre=100, score_thr=0.0, conf_thr=0.0, nms=ConfigDict(type="nms", iou_threshold=0.45), max_per_img=10
            ),
        )
    ).eval()
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), scale_factor=(1.0, 1.0), ori_shape=(64, 64)))
    predictions = model.predict(torch.randn(1, 3, 64, 64), [sample])[0].pred_instances
    assert 0 < len(predictions) <= 10
