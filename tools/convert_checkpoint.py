#!/usr/bin/env python
"""Convert checkpoints of other projects, or publish weights of one's own."""

import argparse
from pathlib import Path

import torch

from mgca_mm.checkpoints import convert_released_mgca
from mgca_mm.checkpoints.publish import publish
from mgca_mm.checkpoints.schemes import TRUST_HELP, trust_checkpoints
from mgca_mm.engine.pretrained import read_state_dict
from mgca_mm.errors import UserError, exit_on_user_error


def from_released_mgca(source: str, target: str) -> None:
    """Released MGCA checkpoint (PyTorch Lightning) → a checkpoint for ``configs/mgca/released_*.py``."""
    converted = convert_released_mgca(read_state_dict(source))
    torch.save({"meta": {"converted_from": "released MGCA"}, "state_dict": converted.state_dict}, target)
    print(f"{len(converted.mapped)} tensors mapped, {len(converted.unused)} without influence left out → {target}")
    for name in converted.unused:
        print(f"  left out: {name}")


def publish_weights(source: str, target: str) -> None:
    """Weights of a training checkpoint, without optimiser, config text and paths → safetensors and a model card."""
    card = publish(read_state_dict(source), target)
    print(f"{target}\n{card}: fill in what the weights were trained on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    released = commands.add_parser("from-released-mgca", help="both encoders, projectors and prototypes")
    released.add_argument("source", help="released checkpoint (.ckpt)")
    released.add_argument("target", help="file to write (.pth)")
    released.set_defaults(convert=from_released_mgca)
    published = commands.add_parser("publish", help="weights only, as safetensors with a model card")
    published.add_argument("source", help="checkpoint of a training (.pth)")
    published.add_argument("target", help="file to write (.safetensors)")
    published.set_defaults(convert=publish_weights)
    for command in (released, published):
        command.add_argument("--trust-checkpoint", action="store_true", help=TRUST_HELP)
    args = parser.parse_args()
    if args.trust_checkpoint:
        trust_checkpoints()
    with exit_on_user_error():
        if Path(args.target).resolve() == Path(args.source).resolve():
            raise UserError("The target is the source; give another file.")
        if not Path(args.target).absolute().parent.is_dir():
            raise UserError(f"The folder of '{args.target}' does not exist; make it first.")
        args.convert(args.source, args.target)


if __name__ == "__main__":
    main()
