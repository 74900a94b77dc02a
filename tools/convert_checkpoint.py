#!/usr/bin/env python
"""Convert checkpoints of other projects."""

import argparse
from pathlib import Path

import torch

from mgca_mm.checkpoints import convert_released_mgca
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    released = commands.add_parser("from-released-mgca", help="both encoders, projectors and prototypes")
    released.add_argument("source", help="released checkpoint (.ckpt)")
    released.add_argument("target", help="file to write (.pth)")
    for command in (released,):
        command.add_argument("--trust-checkpoint", action="store_true", help=TRUST_HELP)
    args = parser.parse_args()
    if args.trust_checkpoint:
        trust_checkpoints()
    with exit_on_user_error():
        if Path(args.target).resolve() == Path(args.source).resolve():
            raise UserError("The target is the source; give another file.")
        if not Path(args.target).absolute().parent.is_dir():
            raise UserError(f"The folder of '{args.target}' does not exist; make it first.")
        from_released_mgca(args.source, args.target)


if __name__ == "__main__":
    main()
