"""Stock configs with our encoders: which ones, the made data, and what became of them.

usage: python -m tests.test_stock_configs.grid [--work-dir DIR]    writes docs/compatibility.md; goes on where it ended
"""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.utils import get_installed_path
from PIL import Image

from mgca_mm.apis import swap_backbone
from mgca_mm.engine.config_errors import dicts_below
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS

ROOT = Path(__file__).parents[2]
PREFIX = "image_encoder.backbone."
ENCODERS = {
    "ResNet-50": dict(type="mmpretrain.ResNet", depth=50),
    "ViT-B/16": dict(type="mmpretrain.VisionTransformer", arch="base", img_size=224, patch_size=16),
}
CONFIGS = {
    "mmdet": {
        "YOLOv3": "yolo/yolov3_d53_8xb8-ms-416-273e_coco",
        "RetinaNet": "retinanet/retinanet_r50_fpn_1x_coco",
        "FCOS": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco",
        "ATSS": "atss/atss_r50_fpn_1x_coco",
        "GFL": "gfl/gfl_r50_fpn_1x_coco",
        "TOOD": "tood/tood_r50_fpn_1x_coco",
        "Faster R-CNN": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
        "Faster R-CNN, C4": "faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco",
        "Cascade R-CNN": "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco",
        "Mask R-CNN": "mask_rcnn/mask-rcnn_r50_fpn_1x_coco",
        "DETR": "detr/detr_r50_8xb2-150e_coco",
        "Conditional DETR": "conditional_detr/conditional-detr_r50_8xb2-50e_coco",
        "Deformable DETR": "deformable_detr/deformable-detr_r50_16xb2-50e_coco",
        "DINO": "dino/dino-4scale_r50_8xb2-12e_coco",
        "Mask2Former": "mask2former/mask2former_r50_8xb2-lsj-50e_coco",
        "YOLOF": "yolof/yolof_r50-c5_8xb8-1x_coco",
        "YOLOX": "yolox/yolox_s_8xb8-300e_coco",
        "RTMDet": "rtmdet/rtmdet_s_8xb32-300e_coco",
    },
    "mmseg": {
        "FCN": "fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512",
        "PSPNet": "pspnet/pspnet_r50-d8_4xb4-20k_voc12aug-512x512",
        "DeepLabV3": "deeplabv3/deeplabv3_r50-d8_4xb4-20k_voc12aug-512x512",
        "DeepLabV3+": "deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512",
        "DANet": "danet/danet_r50-d8_4xb4-20k_voc12aug-512x512",
        "UPerNet, ResNet": "upernet/upernet_r50_4xb4-20k_voc12aug-512x512",
        "UPerNet, ViT": "vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512",
        "UPerNet, ConvNeXt": "convnext/convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512",
        "SegFormer": "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512",
        "SETR, naive": "setr/setr_vit-l_naive_8xb2-160k_ade20k-512x512",
        "SETR, PUP": "setr/setr_vit-l_pup_8xb2-160k_ade20k-512x512",
        "SETR, MLA": "setr/setr_vit-l_mla_8xb2-160k_ade20k-512x512",
        "Semantic FPN": "sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024",
        "Segmenter": "segmenter/segmenter_vit-b_mask_8xb1-160k_ade20k-512x512",
        "OCRNet": "ocrnet/ocrnet_hr18_4xb4-20k_voc12aug-512x512",
        "U-Net": "unet/unet-s5-d16_fcn_4xb4-40k_drive-64x64",
    },
    "mmpretrain": {
        "ResNet-50": "resnet/resnet50_8xb32_in1k",
        "ResNet-18, CIFAR": "resnet/resnet18_8xb16_cifar10",
        "ViT": "vision_transformer/vit-base-p16_64xb64_in1k",
        "CSRA, multi-label": "csra/resnet101-csra_1xb16_voc07-448px",
        "MAE, fine-tuning": "mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k",
        "MoCo v3, linear": "mocov3/benchmarks/vit-base-p16_8xb128-linear-coslr-90e_in1k",
        "BEiT, fine-tuning": "beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k",
        "DeiT": "deit/deit-base_16xb64_in1k",
        "Swin": "swin_transformer/swin-tiny_16xb64_in1k",
        "ConvNeXt": "convnext/convnext-tiny_32xb128_in1k",
        "DenseNet": "densenet/densenet121_4xb256_in1k",
        "EfficientNet": "efficientnet/efficientnet-b0_8xb32_in1k",
        "VGG": "vgg/vgg16bn_8xb32_in1k",
    },
}
PROGRAMS = {"our train.py": "ours", "its train.py": "its", "Runner": "runner"}  # name → work dir
_SIDE = 128
_BOX = (32, 40, 48, 56)  # x, y, width, height


def make_data(folder: Path) -> None:
    """Ten images with boxes, outlines, masks and labels, in the layouts that the libraries read; nothing if there."""
    if (folder / "coco.json").exists():
        return
    x, y, width, height = _BOX
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    mask[y : y + height, x : x + width] = 1
    images, boxes, labels = [], [], []
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 200, (_SIDE, _SIDE), np.uint8) + mask * 50
        name = f"{'ab'[number % 2]}/{number}.png"  # the folders are classes to mmpretrain
        for kind, content in (("images", pixels), ("masks", mask)):
            (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(folder / kind / name)
        outline = [x, y, x + width, y, x + width, y + height, x, y + height]
        images.append(dict(id=number, file_name=name, width=_SIDE, height=_SIDE))
        box = dict(bbox=_BOX, area=width * height, iscrowd=0, segmentation=[outline])
        boxes.append(dict(box, id=number + 1, image_id=number, category_id=1))
        labels.append(dict(img_path=name, gt_label=[number % 2]))
    from mmdet.datasets import CocoDataset

    categories = [dict(id=number, name=name) for number, name in enumerate(CocoDataset.METAINFO["classes"], 1)]
    coco = dict(images=images, annotations=boxes, categories=categories)
    multi_label = dict(metainfo=dict(classes=["a", "b"]), data_list=labels)
    (folder / "multi_label.json").write_text(json.dumps(multi_label))
    (folder / "coco.json").write_text(json.dumps(coco))


def make_checkpoint(encoder: str, folder: Path) -> Path:
    """A checkpoint as the pretraining writes it, of random weights."""
    file = folder / f"{encoder.partition('-')[0].lower()}.pth"
    if not file.exists():
        torch.manual_seed(0)
        weights = MODELS.build(ENCODERS[encoder]).state_dict()
        torch.save({"state_dict": {PREFIX + name: tensor for name, tensor in weights.items()}}, file)
    return file


def shorten(cfg: Config, data: Path) -> None:
    """One iteration and one evaluation on the made data, in place of what a stock config reads; the model stays."""
    library = cfg.default_scope
    load = [dict(type="LoadImageFromFile")]
    if library == "mmdet":
        has_masks = any(step.get("with_mask") for step in cfg.train_pipeline)
        load += [
            dict(type="LoadAnnotations", with_bbox=True, with_mask=has_masks),
            dict(type="Resize", scale=(_SIDE,) * 2),
        ]
        annotations, pack = dict(ann_file="coco.json", data_prefix=dict(img="images/")), "PackDetInputs"
        dataset = dict(type="CocoDataset", **annotations)
        metric = ["bbox", "segm"] if has_masks else "bbox"
        cfg.model.data_preprocessor.pop("batch_augments", None)  # which pads to 1024 × 1024
        evaluator = dict(type="CocoMetric", ann_file=str(data / "coco.json"), metric=metric)
    elif library == "mmseg":
        load += [dict(type="LoadAnnotations")]
        pack, prefix = "PackSegInputs", dict(img_path="images", seg_map_path="masks")
        names = dict(classes=("background", "finding"), palette=[[0] * 3, [255] * 3])
        dataset = dict(type="BaseSegDataset", data_prefix=prefix, img_suffix=".png", metainfo=names)
        evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
        for part in (cfg, cfg.model):
            part.data_preprocessor.update(size=(_SIDE, _SIDE))
    else:
        pack, dataset = "PackInputs", dict(type="CustomDataset", data_prefix="images")
        evaluator = dict(type="Accuracy", topk=1)
        if "csra" in cfg.model.head.type.lower():
            dataset = dict(type="MultiLabelDataset", ann_file="multi_label.json", data_prefix="images")
            evaluator = dict(type="MultiLabelMetric")
    dataset |= dict(data_root=str(data), pipeline=[*load, dict(type=pack)])
    loader = dict(
        batch_size=2,
        num_workers=0,
        persistent_workers=False,
        dataset=dataset,
        sampler=dict(type="DefaultSampler", shuffle=False),
    )
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"] = loader
    cfg.val_evaluator = cfg.test_evaluator = evaluator
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1, val_interval=1)
    cfg.val_cfg, cfg.test_cfg, cfg.param_scheduler = dict(type="ValLoop"), dict(type="TestLoop"), []
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", by_epoch=False, interval=1, save_optimizer=False)
    cfg.log_processor = dict(by_epoch=False)
    if "num_queries" in cfg.model:  # so small images have fewer places than DINO has queries
        cfg.model.num_queries = min(cfg.model.num_queries, 100)
    if cfg.optim_wrapper.get("type") == "AmpOptimWrapper":  # of GPUs
        cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=cfg.optim_wrapper.optimizer)
    # Hooks that change the pipeline in the course of a training have one of the stock config in mind.
    cfg.custom_hooks = [hook for hook in cfg.get("custom_hooks", []) if "Switch" not in hook.type]
    for _, part in dicts_below(cfg.model):  # nothing is downloaded
        part.pop("init_cfg", None)
        part.pop("pretrained", None)


def make_cell(folder: Path, library: str, row: str, encoder: str) -> None:
    """Swap the backbone of a stock config and write it to a folder, or else the reason why that cannot be."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder.parent / "data"
    make_data(data)
    try:
        cfg = swap_backbone(f"{library}::{CONFIGS[library][row]}", make_checkpoint(encoder, data), frozen=True)
    except UserError as error:
        (folder / "refused").write_text(str(error))
        return
    shorten(cfg, data)
    cfg.dump(folder / "config.py")


def outcome(folder: Path, program: str) -> str:
    """How many tensors of the encoder are in what a run has saved, or why it did not come to its end."""
    if (folder / "refused").exists():
        return (folder / "refused").read_text().splitlines()[0].rpartition("encoder: ")[2]
    equal, log = ((folder / PROGRAMS[program]).with_suffix(suffix) for suffix in (".equal", ".log"))
    if equal.exists():
        return equal.read_text()
    lines = [line for line in log.read_text().splitlines() if line.strip()] if log.exists() else []
    return lines[-1] if lines else "not run"


def train(library: str, program: str, folders: list[Path]) -> None:
    """Train by the config of each folder that has one and has not been trained by yet."""
    paths = {
        "our train.py": ROOT / "tools" / "train.py",
        "its train.py": Path(get_installed_path(library), ".mim", "tools", "train.py"),
    }
    todo = [folder for folder in folders if (folder / "config.py").exists()]
    todo = [folder for folder in todo if not (folder / PROGRAMS[program]).with_suffix(".equal").exists()]
    worker = [sys.executable, Path(__file__).with_name("worker.py"), library, paths.get(program, program)]
    subprocess.run([*worker, PROGRAMS[program], *todo], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)


def table(library: str, results: dict[tuple[str, str, str], str]) -> str:
    """One row a config, one column an encoder; what could not be is explained below."""
    lines = [f"| | config | {' | '.join(ENCODERS)} |", "|---|---|" + "---|" * len(ENCODERS)]
    reasons: list[str] = []
    for row, config in CONFIGS[library].items():
        cells = []
        for encoder in ENCODERS:
            found = {}
            for program in PROGRAMS:
                found[program] = results[row, encoder, program]
                if not re.fullmatch(r"\d+/\d+", found[program]):
                    reasons += [found[program]] if found[program] not in reasons else []
                    found[program] = f"no ({reasons.index(found[program]) + 1})"
            alike = len({*found.values()}) == 1
            cells.append(found[program] if alike else ", ".join(" ".join(item) for item in found.items()))
        lines.append(f"| {row} | `{config}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))]).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/compatibility"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "compatibility.md")
    args = parser.parse_args()
    work_dir = args.work_dir.absolute()
    page = [_INTRODUCTION.strip()]
    for library, configs in CONFIGS.items():
        folders = {}
        for row, config in configs.items():
            for encoder in ENCODERS:
                folder = folders[row, encoder] = work_dir / f"{Path(config).name}_{encoder.partition('-')[0]}"
                if not any((folder / name).exists() for name in ("config.py", "refused")):
                    make_cell(folder, library, row, encoder)
        results = {}
        for program in PROGRAMS:
            train(library, program, list(folders.values()))
            for (row, encoder), folder in folders.items():
                results[row, encoder, program] = outcome(folder, program)
                print(library, row, encoder, program, results[row, encoder, program], flush=True)
        version = importlib.import_module(library).__version__
        page.append(f"## {library} {version}\n\n{table(library, results)}")
    args.out.write_text("\n\n".join(page) + "\n")


_INTRODUCTION = """
# Compatibility

Stock configs of the installed libraries with our encoders, as `tools/swap_backbone.py` writes them: our
`tools/train.py`, the library's own, and MMEngine's `Runner` in a script, each in another folder, train one iteration
and evaluate once, on ten made images of 128 × 128. A cell counts the encoder's tensors that the saved checkpoint then
has, frozen, bit for bit, one number where it is that of all three programs; or the number of the reason below.
Nothing was downloaded: all other weights are random, so that this says what runs, not how well.

Written by `python -m tests.test_stock_configs.grid`, which goes on where it was stopped; the tests try each row with
one of the encoders by one of the three.
"""

if __name__ == "__main__":
    main()
