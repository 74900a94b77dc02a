"""Put a pretrained image encoder in the place of the backbone of any config of mmdet, mmseg or mmpretrain."""

import argparse
import difflib
import os
from pathlib import Path

from mgca_mm.cli.arguments import add_trust_checkpoint
from mgca_mm.errors import UserError, exit_on_user_error


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="file, or name: mmdet::retinanet/retinanet_r50_fpn_1x_coco")
    parser.add_argument("checkpoint", help="of pretraining, converted or published; or the folder of a run: its best")
    parser.add_argument("--out", type=Path, required=True, help="config to write, for the library's own programs")
    parser.add_argument("--frozen", action="store_true", help="keep the encoder's weights")
    add_trust_checkpoint(parser)
    args = parser.parse_args()

    with exit_on_user_error():
        if not args.out.absolute().parent.is_dir() or args.out.suffix != ".py":
            raise UserError(f"'{args.out}' must be a .py file in a folder that exists.")

        from mgca_mm.apis.stock_configs import read_config, swap_backbone
        from mgca_mm.files import write_output

        former = read_config(args.config)
        # The written config may be used from another folder.
        checkpoint = os.path.abspath(args.checkpoint) if os.path.exists(args.checkpoint) else args.checkpoint
        cfg = swap_backbone(args.config, checkpoint, args.frozen)
        write_output(args.out, cfg.pretty_text)
    changes = difflib.unified_diff(former.pretty_text.splitlines(), cfg.pretty_text.splitlines(), n=0, lineterm="")
    print("\n".join(line for line in changes if not line.startswith(("---", "+++", "@@"))))
    print(f"→ {args.out}; set the data and num_classes there, or in a config with _base_ = '{args.out.name}'")
