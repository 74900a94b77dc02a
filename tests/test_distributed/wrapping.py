"""One rank of test_wrapping.py: the same training under MMEngine's default wrapper and under ours."""

import copy
import sys

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS, init_default_scope

from mgca_mm.engine.launch import close_ranks, prepare_ranks
from mgca_mm.registry import MODELS
from tests.conftest import SMALL_MODEL, small_batch

STEPS = 4
CASES = [(1, False), (2, True)]  # iterations that make a step, activation checkpointing


def default():
    """What MMEngine makes of no ``model_wrapper_cfg``."""
    return dict(type="MMDistributedDataParallel", broadcast_buffers=False, find_unused_parameters=False)


def ours():
    cfg = Config(dict(launcher="pytorch"))
    prepare_ranks(cfg)
    return cfg.model_wrapper_cfg


def train(wrapper, counts, checkpointing):
    """Losses, gradients of each step and weights of a training whose prototypes are frozen for its first half.

    And how many pieces of memory the gradients of an iteration take.

    Args:
        wrapper: Config of the model's wrapper.
        counts: Iterations that make a step.
        checkpointing: Compute activations a second time.
    """
    torch.manual_seed(0)
    config = copy.deepcopy(SMALL_MODEL)
    for encoder in ("image_encoder", "text_encoder"):
        config[encoder]["activation_checkpointing"] = checkpointing
    model = MODEL_WRAPPERS.build({**wrapper, "device_ids": None, "module": MODELS.build(config)})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    optim_wrapper = OptimWrapper(optimizer, accumulative_counts=counts)
    losses, gradients = [], []
    optimizer.register_step_pre_hook(
        lambda *_: gradients.append({name: p.grad.clone() for name, p in model.module.named_parameters()})
    )
    for step in range(STEPS):
        model.module.alignments["cpa"].frozen = step < STEPS // 2
        inputs = small_batch(4, 2 * step + dist.get_rank())
        with optim_wrapper.optim_context(model):
            loss, _ = model.module.parse_losses(model(inputs, mode="loss"))
        optim_wrapper.update_params(loss)
        losses.append(loss.detach())
    model.module.parse_losses(model(inputs, mode="loss"))[0].backward()
    storages = {parameter.grad.untyped_storage().data_ptr() for parameter in model.parameters()}
    return dict(losses=losses, gradients=gradients, weights=model.module.state_dict()), len(storages)


def main():
    dist.init_process_group("gloo")
    init_default_scope("mgca_mm")
    found = {case: [train(make(), *case) for make in (default, ours)] for case in CASES}
    torch.save(found, f"{sys.argv[1]}.{dist.get_rank()}")
    close_ranks()


if __name__ == "__main__":
    main()
