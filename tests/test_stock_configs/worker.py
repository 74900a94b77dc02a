"""Train by a library's own program or by a plain ``Runner``: one config after another, each in a process of its own.

The processes are forks of one that has imported the library, which takes as long as the training. Nothing of ours is
imported here; what a config needs of us, it names.

usage: python worker.py LIBRARY PROGRAM FOLDER…    PROGRAM is a train.py, or Runner; FOLDER has config.py
"""

import importlib
import os
import runpy
import signal
import sys
from pathlib import Path

_LIMIT = 600  # seconds for one config


def train(program: str, folder: Path, work_dir: Path) -> None:
    """Train by one config; what is printed goes to a file beside the work dir."""
    work_dir.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(work_dir.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(work_dir.parent)
    signal.alarm(_LIMIT)
    if program == "Runner":
        from mmengine.config import Config
        from mmengine.runner import Runner

        cfg = Config.fromfile(folder / "config.py")
        cfg.work_dir = str(work_dir)
        Runner.from_cfg(cfg).train()
    else:
        sys.argv = [program, str(folder / "config.py"), "--work-dir", str(work_dir)]
        runpy.run_path(program, run_name="__main__")


def count_equal(folder: Path, work_dir: Path) -> str:
    """Of the encoder's tensors, those that a run has saved bit for bit; what it has saved, which is large, goes."""
    import torch
    from mmengine.config import Config

    prefix = "image_encoder.backbone."
    checkpoint = Config.fromfile(folder / "config.py", import_custom_modules=False).model.backbone.checkpoint
    wanted = torch.load(checkpoint, weights_only=True)["state_dict"]
    saved = torch.load(work_dir / "iter_1.pth", weights_only=False)["state_dict"]
    (work_dir / "iter_1.pth").unlink()
    ours = "backbone.vit." if any(name.startswith("backbone.vit.") for name in saved) else "backbone."
    found = {name: saved.get(ours + name.removeprefix(prefix), torch.empty(0)) for name in wanted}
    return f"{sum(torch.equal(found[name], wanted[name]) for name in wanted)}/{len(wanted)}"


def main() -> None:
    library, program, name, *folders = sys.argv[1:]
    importlib.import_module(f"{library}.models")
    importlib.import_module(f"{library}.datasets")
    for folder in map(Path, folders):
        process = os.fork()
        if process:
            os.waitpid(process, 0)
            continue
        try:
            try:
                train(program, folder, folder / name)
            except SystemExit as error:
                if error.code:
                    raise
            (folder / name).with_suffix(".equal").write_text(count_equal(folder, folder / name))
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


if __name__ == "__main__":
    main()
