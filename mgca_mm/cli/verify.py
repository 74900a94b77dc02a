"""Say whether checkpoints are intact and can be read without trust."""

import argparse
from pathlib import Path


def main() -> int:
    """Run the command line; 1 if a checkpoint is damaged or cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, help="checkpoint files, or folders of them")
    args = parser.parse_args()

    from torch import Tensor

    from mgca_mm.checkpoints.reading import read_checkpoint
    from mgca_mm.checkpoints.writing import digests
    from mgca_mm.errors import UserError, first_line

    files = []
    for path in args.paths:
        found = sorted([*path.glob("*.pth"), *path.glob("*.safetensors")]) if path.is_dir() else [path]
        if not found:
            print(f"{path}: no checkpoint in this folder")
        files += found
    faults = 0
    for path in files:
        try:
            if not path.is_file():
                raise UserError("does not exist")
            content = read_checkpoint(path)
            weights = content.get("state_dict", content)
            tensors = sum(isinstance(value, Tensor) for value in weights.values()) if isinstance(weights, dict) else 0
            if tensors == 0:
                raise UserError("holds no weights")
            kind = "the digest beside it" if digests(path) else "its own checksums; no digest stands beside it"
            print(f"{path}: intact by {kind}; {tensors} tensors")
        except UserError as error:
            if path.parent in args.paths and not path.exists():
                print(f"{path}: removed meanwhile")  # by the training whose folder it is
                continue
            faults += 1
            print(f"{path}: {first_line(error)}")
    return int(faults > 0 or not files)
