#!/usr/bin/env python
"""Convert checkpoints of other projects, and ours for other libraries."""

import argparse
from pathlib import Path

import torch

from mgca_mm.checkpoints import read_plain_weights
from mgca_mm.checkpoints.blip import convert_blip
from mgca_mm.checkpoints.extract import FORMATS, extract_backbone
from mgca_mm.checkpoints.gloria import convert_gloria
from mgca_mm.checkpoints.released_mgca import convert_released_mgca
from mgca_mm.engine.pretrained import read_state_dict
from mgca_mm.errors import UserError, exit_on_user_error

# Command → converter, and what it makes.
CONVERTERS = {
    "from-released-mgca": (convert_released_mgca, "released MGCA → configs/mgca/released_*.py, all parts"),
    "from-gloria": (convert_gloria, "GLoRIA's published format → configs/gloria/pretrain_resnet50.py, all parts"),
    "from-blip": (convert_blip, "vision tower of BLIP → mmpretrain.VisionTransformer"),
}


def convert(command: str, source: str, target: str) -> None:
    """Write a converted checkpoint, and print what became of every name."""
    converted = CONVERTERS[command][0](read_plain_weights(source))
    torch.save({"meta": {"converted_by": command}, "state_dict": converted.state_dict}, target)
    for theirs, ours in converted.mapped:
        print(f"  {theirs} → {ours}")
    for name in converted.unused:
        print(f"  left out: {name}")
    for name in converted.missing:
        print(f"  missing: {name} ({'made up, without influence' if name in converted.state_dict else 'absent'})")
    print(
        f"{len(converted.mapped)} tensors mapped, {len(converted.unused)} left out, {len(converted.missing)} missing "
        f"→ {target}"
    )


def extract(source: str, target: str, format: str) -> None:
    """Write the image encoder of one of our checkpoints for another library."""
    difference = extract_backbone(read_state_dict(source), target, format)
    if difference is None:
        print(f"Image encoder, with its own names → {target} (not compared: neither a ResNet nor a ViT of mmpretrain)")
    else:
        print(f"Image encoder for {format} → {target}; loaded there, its features differ by {difference:.1e} at most")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, purpose) in CONVERTERS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.add_argument("source", help="checkpoint to convert")
        command.add_argument("target", help="file to write (.pth)")
    purpose = "the image encoder of our checkpoint as a plain file, loaded there and compared"
    command = commands.add_parser("extract-backbone", help=purpose, description=purpose)
    command.add_argument("source", help="checkpoint of tools/train.py, or a converted one")
    command.add_argument("target", help="file to write, or folder (huggingface)")
    command.add_argument("--format", choices=FORMATS, default="mmengine", help="default: mmengine")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with exit_on_user_error():
        if Path(args.target).resolve() == Path(args.source).resolve():
            raise UserError("The target is the source; give another file.")
        if not Path(args.target).absolute().parent.is_dir():
            raise UserError(f"The folder of '{args.target}' does not exist; make it first.")
        if args.command in CONVERTERS:
            convert(args.command, args.source, args.target)
        else:
            extract(args.source, args.target, args.format)


if __name__ == "__main__":
    main()
