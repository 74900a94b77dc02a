#!/usr/bin/env python
"""Convert checkpoints of other projects."""

import argparse
from pathlib import Path

import torch

from mgca_mm.checkpoints import convert_released_mgca
from mgca_mm.errors import UserError, exit_on_user_error


def from_released_mgca(source: str, target: str) -> None:
    """Released MGCA checkpoint (PyTorch Lightning) → a checkpoint for ``configs/mgca/released_*.py``."""
    try:
        checkpoint = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"Checkpoint '{source}' does not exist.") from error
    except Exception as error:
        raise UserError(
            f"Checkpoint '{source}' cannot be read as plain weights: {str(error).splitlines()[0]}\n"
            "It is damaged, or holds pickled code, which is never executed here."
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict", checkpoint), dict):
        raise UserError(f"Checkpoint '{source}' holds no state dict.")
    converted = convert_released_mgca(checkpoint.get("state_dict", checkpoint))
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
    args = parser.parse_args()
    with exit_on_user_error():
        if Path(args.target).resolve() == Path(args.source).resolve():
            raise UserError("The target is the source; give another file.")
        if not Path(args.target).absolute().parent.is_dir():
            raise UserError(f"The folder of '{args.target}' does not exist; make it first.")
        from_released_mgca(args.source, args.target)


if __name__ == "__main__":
    main()
