"""Train a model from a config: pretraining or a downstream task."""

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
    parser.add_argument("config", help="config file, such as configs/mgca/pretrain_vit.py")
    parser.add_argument("--work-dir", help="folder of logs and checkpoints (default: work_dirs/<config's name>)")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        help="resume from the latest checkpoint of the work dir, or from the given one",
    )
    parser.add_argument("--amp", action="store_true", help="bfloat16 autocast where the device has it")
    parser.add_argument(
        "--total-batch",
        type=int,
        metavar="N",
        help="samples a step of all ranks together, divided among them (default: the config's batch on each rank)",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate by the samples a step to those of the recipe",
    )
    parser.add_argument(
        "--test", action="store_true", help="test the best checkpoint in the end; metrics go to WORK_DIR/test.json"
    )
    add_trust_checkpoint(parser)
    add_cfg_options(parser, "change the config, such as data_root=DIR max_epochs=10")
    args = parse_launched(parser)
    keep_files_private()
    with exit_on_user_error():
        cfg = configure_run(
            args.config,
            args.cfg_options,
            args.work_dir,
            args.launcher,
            amp=args.amp,
            total_batch=args.total_batch,
            auto_scale_lr=args.auto_scale_lr,
            splits=("train", "val", "test") if args.test else ("train", "val"),
        )
        if cfg.get("train_dataloader") is None:
            raise UserError("Nothing to train: the config has no train_dataloader, train_cfg and optim_wrapper.")
        if args.resume is not None:
            cfg.resume = True
            cfg.load_from = None if args.resume == "auto" else args.resume
            if cfg.load_from is not None and not Path(cfg.load_from).is_file():
                raise UserError(f"Checkpoint '{cfg.load_from}' of --resume does not exist.")
        runner = PrivateRunner.from_cfg(cfg)
        loader, batch = runner.train_loop.dataloader, cfg.train_dataloader.get("batch_size")
        is_asked_for = args.total_batch is not None or "train_dataloader.batch_size" in (args.cfg_options or {})
        if is_asked_for and loader.batch_sampler.batch_size < batch:
            raise UserError(
                f"The {len(loader.dataset)} training samples do not fill the batch of {batch} on each rank that is "
                "asked for.\nLower it, or leave it out, and all of them make a step."
            )
        runner.train()
        if args.test:
            test_best_checkpoint(runner)
        close_ranks()


def test_best_checkpoint(runner: PrivateRunner) -> None:
    """Test the checkpoint that was best in validation, by the first metric of ``save_best``, or else the last one.

    Raises:
        UserError: The run has saved none.
    """
    info = runner.message_hub.runtime_info
    checkpoint = next((path for name, path in info.items() if name.startswith("best_ckpt")), info.get("last_ckpt"))
    if checkpoint is None:
        raise UserError(
            f"--test: the run has saved no checkpoint in '{runner.work_dir}'; no metric of save_best was a number.\n"
            "Save every N iterations: --cfg-options default_hooks.checkpoint.by_epoch=False "
            "default_hooks.checkpoint.interval=N"
        )
    runner.logger.info(f"{Path(checkpoint).name} is tested")
    load_complete_model(runner.model, checkpoint)
    metrics = {name: float(value) for name, value in runner.test().items()}
    if is_main_process():
        write_output(Path(runner.work_dir, "test.json"), json.dumps(metrics, indent=2) + "\n")
