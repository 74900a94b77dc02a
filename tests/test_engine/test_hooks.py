from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from mgca_mm.engine import BFloat16OptimWrapper, FreezePrototypesHook, ThroughputHook
from mgca_mm.engine.amp import has_bfloat16
from mgca_mm.models import PrototypeAlignment


@pytest.mark.parametrize(
    ("num_epochs", "expected"), [(0, [False] * 3), (1, [True, False, False]), (2, [True, True, False])]
)
def test_prototypes_are_frozen_in_the_first_epochs(num_epochs, expected):
    model = torch.nn.Sequential(PrototypeAlignment(4, 4))
    hook = FreezePrototypesHook(num_epochs)
    frozen = []
    for epoch in range(3):
        for batch in range(2):
            hook.before_train_iter(SimpleNamespace(model=model, iter=2 * epoch + batch, train_dataloader=[0, 0]), batch)
        frozen.append(model[0].frozen)
    assert frozen == expected


def test_frozen_prototypes_keep_their_direction_whatever_the_decay(pair_of_embeddings):
    alignment = PrototypeAlignment(5, 6)
    alignment(*pair_of_embeddings)  # on the sphere
    alignment.frozen = True
    before = alignment.prototypes.detach().clone()
    optimizer = torch.optim.AdamW(alignment.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(5):
        optimizer.zero_grad()
        alignment(*pair_of_embeddings)["loss_cpa"].backward()
        optimizer.step()
    alignment(*pair_of_embeddings)
    torch.testing.assert_close(alignment.prototypes, before)


@pytest.fixture
def pair_of_embeddings():
    from mgca_mm.structures import ImageFeatures, TextFeatures

    unit = torch.nn.functional.normalize
    return ImageFeatures(unit(torch.randn(4, 6))), TextFeatures(unit(torch.randn(4, 6)))


def test_throughput(monkeypatch):
    times = iter([10.0, 12.0, 100.0])
    monkeypatch.setattr("mgca_mm.engine.hooks.throughput.time.perf_counter", lambda: next(times))
    hub = MessageHub.get_instance("test_throughput")
    runner = SimpleNamespace(message_hub=hub)
    hook = ThroughputHook()
    batch = dict(data_samples=[None] * 8)
    hook.before_train_epoch(runner)
    hook.after_train_iter(runner, 0, batch)
    hook.after_train_iter(runner, 1, batch)
    assert hub.get_scalar("train/images_per_s").current() == 4  # 8 images in 2 s
    hook.before_train_epoch(runner)  # the 88 s of a validation do not count
    hook.after_train_iter(runner, 0, batch)
    assert hub.get_scalar("train/images_per_s").current() == 4


def test_bfloat16_wrapper_works_on_a_cpu():
    model = torch.nn.Linear(8, 8)
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        out = model(torch.randn(2, 8))
    assert out.dtype == (torch.bfloat16 if has_bfloat16("cpu") else torch.float32)
    before = model.weight.detach().clone()
    wrapper.update_params(out.float().sum())
    assert not torch.equal(model.weight, before)


def test_a_device_without_bfloat16_stays_in_fp32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    model = torch.nn.Linear(8, 8)
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        assert model(torch.randn(2, 8)).dtype == torch.float32
