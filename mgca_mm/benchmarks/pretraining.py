"""Speed and memory of a pretraining step: images a second, arithmetic, waits, and the same step in the naive way."""

import copy
import ctypes
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mgca_mm.engine.amp import BFloat16OptimWrapper
from mgca_mm.errors import UserError
from mgca_mm.models import CaptioningAlignment, ImageReportPretrainer
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample

from .naive import make_naive
from .operators import OperatorCount

_STORE_SIZE = 256  # of prepared images
_BERT_BASE = dict(model_type="bert", vocab_size=28996)
_WRAPPERS = {"fp32": OptimWrapper, "bf16": BFloat16OptimWrapper}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Step:
    """One way to take a training step, with what was measured of it."""

    model: ImageReportPretrainer
    wrapper: OptimWrapper
    naive: bool = False
    times: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    def run(self, batch: dict) -> dict[str, Tensor]:
        """Take a step; the naive one looks for anomalies and reads every number."""
        if not self.naive:
            return self.model.train_step(batch, self.wrapper)
        with torch.autograd.set_detect_anomaly(True, check_nan=True):
            losses = self.model.train_step(batch, self.wrapper)
        return {name: torch.tensor(value.item()) for name, value in losses.items()}


def build_model(cfg: Config, compile: bool) -> ImageReportPretrainer:
    """The config's model with random weights and no dropout, so that two ways of a step give the same numbers.

    Raises:
        UserError: The config is not one of pretraining.
    """
    init_default_scope("mgca_mm")
    model = copy.deepcopy(cfg.model)
    if model.type.removeprefix("mgca_mm.") != "ImageReportPretrainer":
        raise UserError(f"{cfg.filename} is no pretraining config: its model is a {model.type}")
    model.image_encoder.backbone.pop("init_cfg", None)
    model.compile = dict(dynamic=False) if compile else None
    if model.text_encoder is not None:
        text = model.text_encoder.pop("config", None) or dict(_BERT_BASE)
        model.text_encoder.pop("pretrained", None)
        model.text_encoder.config = {**text, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(0)
    return MODELS.build(model)


def make_batch(model: ImageReportPretrainer, image_size: int, batch_size: int, device: str) -> dict:
    """A batch as the loader gives it: grey uint8 images, and reports of uneven length.

    Lengths are normal around 75 pieces with a deviation of 25, cut to what the model takes; a third of the pieces
    continue a word.
    """
    generator = torch.Generator().manual_seed(0)
    length, vocabulary = _longest_and_vocabulary(model)
    pieces = (75 + 25 * torch.randn(batch_size, generator=generator)).long().clamp(8, length)
    mask = torch.arange(length) < pieces[:, None]
    continuation = (torch.rand(mask.shape, generator=generator) < 1 / 3) & mask
    continuation[:, :2] = False
    inputs = dict(
        image=torch.randint(0, 256, (batch_size, 1, image_size, image_size), generator=generator, dtype=torch.uint8),
        input_ids=torch.randint(1, vocabulary, mask.shape, generator=generator).masked_fill(~mask, 0),
        attention_mask=mask.long(),
        is_continuation=continuation,
    )
    if device == "cuda":
        inputs = {name: value.pin_memory() for name, value in inputs.items()}
    return dict(inputs=inputs, data_samples=[ImageReportSample() for _ in range(batch_size)])


def _longest_and_vocabulary(model: ImageReportPretrainer) -> tuple[int, int]:
    """Pieces of the longest report and number of different ones, of the text encoder or of what writes reports."""
    if model.text_encoder is not None:
        return model.text_encoder.max_length, model.text_encoder.model.config.vocab_size
    writer = next(module for module in model.alignments.values() if isinstance(module, CaptioningAlignment))
    return writer.max_length, writer.next_piece.out_features


def measure(
    config: str | Path,
    batch_size: int,
    precision: str = "bf16",
    compile: bool = False,
    against_naive: bool = False,
    repeats: int = 5,
    device: str = "cpu",
) -> dict:
    """Measure a training step of a config on generated data.

    Args:
        config: Pretraining config; its weights, workers and schedule do not matter.
        batch_size: B.
        precision: ``'fp32'`` or ``'bf16'`` autocast.
        compile: By :func:`torch.compile`.
        against_naive: Take the same steps in the naive way (always fp32, as it is written first), in turns with ours.
        repeats: Timed steps of each; the median counts.
        device: ``'cpu'`` or ``'cuda'``.

    Returns:
        ``ours`` (and ``naive``) with ``ms``, ``images_per_s``, ``tflops``, ``peak_mb``; ``gflop_per_image``,
        ``ceiling_tflops`` of a large matrix product in this precision, ``share_of_ceiling``, ``operators`` and
        ``waits`` of a step; with the naive one ``agreement`` of losses and gradients (both in fp32), and ``ratio``.
    """
    cfg = Config.fromfile(config)
    model = build_model(cfg, compile=False).to(device)
    crop_size = model.data_preprocessor.crop_size
    image_size = _STORE_SIZE if crop_size else _input_size(cfg)
    batch = make_batch(model, image_size, batch_size, device)
    result: dict = dict(config=Path(config).name, batch_size=batch_size, precision=precision, compile=compile)

    if against_naive and model.text_encoder is None:
        raise UserError(f"{config} encodes no reports: there is no naive way of it. Leave --against out.")
    if against_naive:
        result["agreement"] = compare(model, make_naive(model), batch)
    flops = count_flops(model, batch)
    ours = _make_step(build_model(cfg, compile).to(device), cfg, precision, naive=False)
    steps = {"ours": ours}
    if against_naive:
        steps["naive"] = _make_step(make_naive(model), cfg, "fp32", naive=True)
    del model
    for step in steps.values():  # compilation, the optimiser's state, the library's choice of kernels
        step.run(batch)
        step.peak_bytes = _peak_memory(lambda step=step: step.run(batch), device)
    for _ in range(repeats):
        for step in steps.values():
            step.times.append(_time(lambda step=step: step.run(batch), device))
    if not compile:
        with OperatorCount() as count:
            ours.run(batch)
        result |= dict(operators=count.operators, waits=len(count.waits))
    ceiling = matrix_product_ceiling(_DTYPES[precision], device)
    for name, step in steps.items():
        seconds = statistics.median(step.times)
        result[name] = dict(
            ms=seconds * 1e3,
            images_per_s=batch_size / seconds,
            tflops=flops / seconds / 1e12,
            peak_mb=step.peak_bytes / 1e6,
        )
    result |= dict(
        gflop_per_image=flops / batch_size / 1e9,
        ceiling_tflops=ceiling / 1e12,
        share_of_ceiling=result["ours"]["tflops"] / (ceiling / 1e12),
    )
    if against_naive:
        result["ratio"] = {
            "time": result["ours"]["ms"] / result["naive"]["ms"],
            "memory": result["ours"]["peak_mb"] / result["naive"]["peak_mb"],
        }
    return result


def compare(model: ImageReportPretrainer, other: ImageReportPretrainer, batch: dict) -> dict[str, float]:
    """Losses and gradients of two models with the same weights, in fp32 on the same input.

    Returns:
        ``loss``: largest relative difference of a loss; ``gradient_cosine``: cosine of the gradients of all parameters.
    """
    inputs = model.data_preprocessor(batch, training=False)["inputs"]
    losses, gradients = [], []
    for each in (model, other):
        found = {name: value for name, value in each(inputs, mode="loss").items() if "loss" in name}
        sum(found.values()).backward()
        losses.append({name: value.item() for name, value in found.items()})
        named = dict(each.named_parameters())
        gradients.append(torch.cat([named[name].grad.flatten().double() for name in sorted(named)]))
        each.zero_grad(set_to_none=True)
    difference = max(abs(losses[0][name] - losses[1][name]) / abs(losses[0][name]) for name in losses[0])
    return dict(loss=difference, gradient_cosine=torch.cosine_similarity(*gradients, dim=0).item())


def count_flops(model: ImageReportPretrainer, batch: dict) -> int:
    """Floating-point operations of matrix products and convolutions of a batch: three times those of the forward pass.

    The backward pass has two products for each one of the forward pass. It is not counted by itself, for the counter
    does not get along with parameters that are given to a module's forward.
    """
    inputs = model.data_preprocessor(batch, training=True)["inputs"]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(inputs, mode="loss")
    return 3 * counter.get_total_flops()


def matrix_product_ceiling(dtype: torch.dtype, device: str, size: int | None = None) -> float:
    """Operations a second of the fastest of some large matrix products."""
    size = size or (8192 if device == "cuda" else 2048)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    a @ b
    return 2 * size**3 / min(_time(lambda: a @ b, device) for _ in range(8))


def _make_step(model: ImageReportPretrainer, cfg: Config, precision: str, naive: bool) -> Step:
    wrapper = {**cfg.optim_wrapper, "type": _WRAPPERS[precision].__name__}
    wrapper["optimizer"] = {**wrapper["optimizer"], "fused": not naive, "foreach": False}
    return Step(model.train(), build_optim_wrapper(model, ConfigDict(wrapper)), naive)


def _input_size(cfg: Config) -> int:
    """Side length of the images of a pipeline that crops."""
    return next(step["crop_size"] for step in cfg.train_dataloader.dataset.pipeline if "crop_size" in step)


def _time(run: Callable[[], object], device: str) -> float:
    _synchronise(device)
    start = time.perf_counter()
    run()
    _synchronise(device)
    return time.perf_counter() - start


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _peak_memory(run: Callable[[], object], device: str) -> int:
    """Peak bytes of a call: all that is allocated on a GPU; on a CPU what the process grows by."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    """A line of ``/proc/self/status``, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) * 1024
