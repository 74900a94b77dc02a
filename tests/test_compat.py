import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config, ConfigDict

import mgca_mm
from tests.conftest import ROOT


def test_installing_twice_changes_nothing():
    before = list(sys.meta_path)
    mgca_mm.compat.install()
    assert sys.meta_path == before


@pytest.mark.parametrize(
    "base", ["mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py", "mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py"]
)
def test_configs_of_the_ecosystem_resolve(tmp_path, base):
    (tmp_path / "c.py").write_text(f"_base_ = ['{base}']\n")
    assert Config.fromfile(tmp_path / "c.py").model.type in ("YOLOV3", "EncoderDecoder")


@pytest.mark.parametrize("first", ["", "import mmengine.config; "])
def test_the_shims_wait_for_their_modules(first):
    """They load nothing, and come in time before and after MMEngine."""
    code = (
        f"import sys; {first}import mgca_mm; print('mmengine' in sys.modules, 'torch' in sys.modules); "
        "from mmengine.hub import get_config; print(get_config('mgca_mm::mgca/pretrain_vit.py').model.type)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, found = done.stdout.splitlines()
    assert found == "ImageReportPretrainer" and (first or loaded == "False False")


def test_own_configs_resolve_from_anywhere(tmp_path):
    (tmp_path / "c.py").write_text("_base_ = ['mgca_mm::mgca/pretrain_vit.py']\n")
    cfg = Config.fromfile(tmp_path / "c.py")
    assert cfg.model.type == "ImageReportPretrainer" and cfg.model._scope_ == "mgca_mm"
    assert cfg.train_dataloader.collate_fn == dict(type="default_collate"), "a mark would be an argument of it"


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


def test_the_environment_has_the_shims_before_any_program(tmp_path):
    """By the line that ``tools/setup_env.sh`` writes into a .pth file, as Python reads such files."""
    script = (ROOT / "tools" / "setup_env.sh").read_text()
    line = next(line for line in script.splitlines() if "mgca_mm_shims.pth" in line)
    subprocess.run(["bash", "-c", f"site='{tmp_path}'; {line}"], check=True)
    code = f"import site, sys; site.addsitedir('{tmp_path}'); print('mgca_mm' in sys.modules); import mmcv.ops"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
