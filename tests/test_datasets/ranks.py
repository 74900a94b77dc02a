"""One of two ranks of test_broken_samples.py: it meets its share of the broken samples, then hears of the other's."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch.distributed as dist
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.engine.hooks import BrokenSamplesHook
from mgca_mm.engine.launch import close_ranks
from mgca_mm.errors import UserError


def main():
    folder, broken = Path(sys.argv[1]), [int(index) for index in sys.argv[2].split(",")]
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    init_default_scope("mgca_mm")
    MMLogger.get_instance("ranks", logger_name="ranks", log_file=str(folder / "log.txt"))
    pipeline = [dict(type="LoadRadiograph"), dict(type="ResizeAndPad", size=8), dict(type="PackImageReportInputs")]
    dataset = ImageReportDataset(str(folder), "train.json", pipeline=pipeline, on_error="skip")
    hook = BrokenSamplesHook()
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=SimpleNamespace(datasets=[dataset])))
    hook.before_train(runner)
    for index in broken[rank::2]:
        dataset[index]
    error = None
    try:
        for _ in range(2):  # the second time there is nothing new
            hook.after_train_epoch(runner)
    except UserError as caught:
        error = str(caught)
    result = dict(count=int(dataset._broken.sum()), error=error)
    (folder / f"rank{rank}.json").write_text(json.dumps(result))
    close_ranks()


if __name__ == "__main__":
    main()
