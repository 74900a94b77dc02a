"""Evaluate a checkpoint on the test split of a config."""

import argparse
import json
from pathlib import Path

from mmengine.dist import is_main_process

from mgca_mm.cli.arguments import add_cfg_options, add_trust_checkpoint, parse_launched
from mgca_mm.engine.launch import close_ranks, configure_run
from mgca_mm.engine.pretrained import load_complete_model
from mgca_mm.engine.privacy import keep_files_private
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.files import write_output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file the checkpoint was trained with")
    parser.add_argument("checkpoint", help="checkpoint file, or the folder of a run: its best")
    parser.add_argument("--work-dir", help="folder of logs (default: work_dirs/<config's name>)")
    parser.add_argument("--out", help="write the metrics to this json file")
    add_trust_checkpoint(parser)
    add_cfg_options(parser)
    args = parse_launched(parser)
    keep_files_private()
    with exit_on_user_error():
        cfg = configure_run(args.config, args.cfg_options, args.work_dir, args.launcher, splits=("test",))
        if args.out and not Path(args.out).absolute().parent.is_dir():
            raise UserError(f"The folder of --out '{args.out}' does not exist.")
        runner = PrivateRunner.from_cfg(cfg)
        load_complete_model(runner.model, args.checkpoint)
        metrics = runner.test()
        if args.out and is_main_process():
            write_output(args.out, json.dumps(metrics, indent=2) + "\n")
        close_ranks()
