"""The log of DeferredRuntimeInfoHook is that of MMEngine's own hook, with fewer looks at the device."""

import json

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mgca_mm.engine import DeferredRuntimeInfoHook

ITERATIONS = 7


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode="loss"):
        return dict(loss=self.layer(inputs).square().mean(), part=inputs.sum())


def train(work_dir, hook, by_epoch):
    torch.manual_seed(0)
    loop = dict(by_epoch=True, max_epochs=2) if by_epoch else dict(by_epoch=False, max_iters=2 * ITERATIONS)
    runner = Runner(
        Toy(),
        str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            sampler=dict(type="mmengine.DefaultSampler" if by_epoch else "mmengine.InfiniteSampler", shuffle=False),
            collate_fn=dict(type="default_collate"),
            dataset=[dict(inputs=torch.tensor([float(i), 1.0])) for i in range(2 * ITERATIONS)],
        ),
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-3)),
        default_scope="mgca_mm",
        default_hooks=dict(
            runtime_info=dict(type=hook),
            logger=dict(type="LoggerHook", interval=3, ignore_last=False),
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=5),
        ),
        log_processor=dict(window_size=3, by_epoch=by_epoch),
        experiment_name=str(work_dir).replace("/", "_"),
    )
    runner.train()
    return runner


def scalars(message_hub):
    return {name: list(buffer.data[0]) for name, buffer in message_hub.items() if "time" not in name}


@pytest.mark.parametrize("by_epoch", [True, False])
def test_the_same_log_and_the_same_history_in_checkpoints(tmp_path, by_epoch):
    lines, history, saved = [], [], []
    for hook in ("RuntimeInfoHook", "DeferredRuntimeInfoHook"):
        runner = train(tmp_path / hook, hook, by_epoch)
        (file,) = (tmp_path / hook).rglob("scalars.json")
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        lines.append([{key: value for key, value in row.items() if "time" not in key} for row in rows])
        history.append(scalars(runner.message_hub.log_scalars))
        # Written between two lines of the log.
        checkpoint = torch.load(tmp_path / hook / "iter_5.pth", weights_only=False)
        saved.append(scalars(checkpoint["message_hub"]["log_scalars"]))
    assert lines[0] == lines[1] and len(lines[0]) >= 4
    assert history[0] == history[1] and len(history[0]["train/loss"]) == 2 * ITERATIONS
    assert saved[0] == saved[1] and len(saved[0]["train/loss"]) == 5


def test_the_device_is_read_once_a_line(tmp_path, monkeypatch):
    flushes = []
    flush = DeferredRuntimeInfoHook._flush
    monkeypatch.setattr(
        DeferredRuntimeInfoHook, "_flush", lambda self, runner: flushes.append(1) or flush(self, runner)
    )
    train(tmp_path, "DeferredRuntimeInfoHook", by_epoch=True)
    assert len(flushes) == 2 * 3 + 1  # iterations 3, 6 and 7 of both epochs, and the checkpoint at 5
