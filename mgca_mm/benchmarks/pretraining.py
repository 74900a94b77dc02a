"""Speed and memory of a pretraining step: images a second, arithmetic, waits, and other steps beside it."""

import copy
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mgca_mm.engine.amp import BFloat16OptimWrapper, has_bfloat16
from mgca_mm.engine.config import load_config
from mgca_mm.errors import UserError
from mgca_mm.files import write_output
from mgca_mm.models import CaptioningAlignment, ImageReportPretrainer, MaskedRecordModel
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample

from .machine import elapsed, host_time, matrix_product_ceiling, peak_memory, release_memory, top_kernels
from .naive import make_naive
from .open_clip import OpenClipStep
from .operators import OperatorCount, count_waits

_STORE_SIZE = 256  # of prepared images
_BERT_BASE = dict(model_type="bert", vocab_size=28996)
_NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
_WRAPPERS = {"fp32": OptimWrapper, "bf16": BFloat16OptimWrapper}


@dataclass
class TrainStep:
    """A training step of a model on one batch, over and over."""

    model: ImageReportPretrainer
    wrapper: OptimWrapper
    batch: dict

    def __call__(self) -> dict[str, Tensor]:
        """Take one training step."""
        return self.model.train_step(self.batch, self.wrapper)


class NaiveTrainStep(TrainStep):
    """One that looks for anomalies and reads every number."""

    def __call__(self) -> dict[str, float]:
        """Take one training step and read every loss from the device."""
        with torch.autograd.set_detect_anomaly(True, check_nan=True):
            losses = super().__call__()
        return {name: value.item() for name, value in losses.items()}


def build_model(cfg: Config, compile: bool = False, naive: bool = False, dropout: bool = True) -> ImageReportPretrainer:
    """The config's model with random weights.

    Args:
        cfg: Pretraining config.
        compile: By :func:`torch.compile`, in the way of the config if it has one.
        naive: As a plain step would have it: nothing that only saves memory, see :func:`make_naive`.
        dropout: As configured, which costs time and memory. False: none in the text encoder, so that two ways of a step
            give the same numbers.

    Raises:
        UserError: The config is not one of pretraining.
    """
    init_default_scope("mgca_mm")
    model = copy.deepcopy(cfg.model)
    if model.type.removeprefix("mgca_mm.") not in ("ImageReportPretrainer", "MaskedRecordModel"):
        raise UserError(f"{cfg.filename} is no pretraining config: its model is a {model.type}")
    model.image_encoder.backbone.pop("init_cfg", None)
    how = model.pop("compile", None) or dict(dynamic=False)
    if compile and not issubclass(MODELS.get(model.type), ImageReportPretrainer):
        raise UserError(f"{model.type} is not compiled: leave --compile out.")
    if compile:
        model.compile = how
    if model.get("text_encoder") is not None:
        text = model.text_encoder.pop("config", None) or dict(_BERT_BASE)
        model.text_encoder.pop("pretrained", None)
        model.text_encoder.config = text if dropout else {**text, **_NO_DROPOUT}
    if naive:
        for encoder in filter(None, (model.image_encoder, model.get("text_encoder"))):
            encoder.pop("activation_checkpointing", None)
    torch.manual_seed(0)
    built = MODELS.build(model)
    return make_naive(built) if naive else built


def make_batch(model: ImageReportPretrainer, image_size: int, batch_size: int, device: str) -> dict:
    """A batch as the loader gives it: gray uint8 images, and reports of uneven length.

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
    inputs |= dict(location_ids=inputs["input_ids"][:, :16], location_mask=mask[:, :16].long())  # of those that ask
    labels = torch.randint(-1, 2, (batch_size, 14), generator=generator).float()
    inputs |= dict(image_labels=labels, report_labels=labels)
    if device == "cuda":
        inputs = {name: value.pin_memory() for name, value in inputs.items()}
    return dict(inputs=inputs, data_samples=[ImageReportSample() for _ in range(batch_size)])


def make_step_batch(cfg: Config, model: ImageReportPretrainer, batch_size: int, device: str) -> dict:
    """:func:`make_batch` of the size that the config's loader gives: whole images if the device crops."""
    if model.data_preprocessor.crop_size:
        return make_batch(model, _STORE_SIZE, batch_size, device)
    steps = cfg.train_dataloader.dataset.pipeline
    sides = [step[key] for step in steps for key in ("size", "scale", "crop_size") if key in step]
    return make_batch(model, sides[-1], batch_size, device)


def _longest_and_vocabulary(model: ImageReportPretrainer) -> tuple[int, int]:
    """Pieces of the longest report and number of different ones, of the text encoder or of what writes reports."""
    if model.text_encoder is not None:
        return model.text_encoder.max_length, model.text_encoder.model.config.vocab_size
    if isinstance(model, MaskedRecordModel):
        return model.report_decoder.config.max_position_embeddings, model.report_decoder.config.vocab_size
    writer = next(module for module in model.alignments.values() if isinstance(module, CaptioningAlignment))
    return writer.max_length, writer.next_piece.out_features


def measure(
    config: str | Path,
    batch_size: int,
    precision: str = "bf16",
    compile: bool = False,
    against: str | None = None,
    repeats: int = 5,
    device: str = "cpu",
    cfg_options: dict | None = None,
    profile: Path | None = None,
) -> dict:
    """Measure a training step of a config on generated data, with dropout as configured.

    Args:
        config: Pretraining config; its weights, workers and schedule do not matter.
        batch_size: B.
        precision: ``'fp32'`` or ``'bf16'`` autocast.
        compile: By :func:`torch.compile`.
        against: Measure other steps after ours, one model at a time on the device: ``'naive'``, the same in the plain
            way (always fp32, as it is written first), or ``'open_clip'``, those of OpenCLIP's ViT-B-16 in the same
            precision.
        repeats: Timed steps of each; the median counts.
        device: ``'cpu'`` or ``'cuda'``.
        cfg_options: Changes of the config, dotted key → value.
        profile: File for a table of the kernels that take most time of our step.

    Returns:
        ``ours`` (and the name of the other) with ``ms``, ``images_per_s``, ``tflops``, ``peak_mb``, on a GPU with
        ``reserved_mb`` and ``host_ms``, too; ``gflop_per_image``, ``ceiling_tflops`` of a large matrix product in this
        precision, ``share_of_ceiling``; of our step ``groups`` of parameters that its optimizer has, ``operators``
        (eager) and ``waits`` (eager, or on a GPU); ``ratio`` of ours to the other; with the naive one ``agreement`` of
        losses and gradients (both in fp32 without dropout).
    """
    cfg = load_config(config, cfg_options)
    model = build_model(cfg, dropout=False).to(device)
    if against == "naive" and model.text_encoder is None:
        raise UserError(f"{config} encodes no reports: there is no naive way of it. Leave --against out.")
    batch = make_step_batch(cfg, model, batch_size, device)
    flops = count_flops(model, batch)
    result: dict = dict(config=Path(config).name, batch_size=batch_size, precision=precision, compile=compile)
    if against == "naive":
        result["agreement"] = compare(model, build_model(cfg, naive=True, dropout=False).to(device), batch)
    del model

    # Where there are no instructions for bfloat16 the step is taken in fp32.
    dtype = torch.bfloat16 if precision == "bf16" and has_bfloat16(device) else torch.float32
    ceiling = matrix_product_ceiling(dtype, device) / 1e12
    shares = {}
    for way in filter(None, ("ours", against)):
        release_memory(device)
        if device == "cuda":  # as the runner sets them up
            torch.backends.cudnn.benchmark = cfg.env_cfg.get("cudnn_benchmark", False)
            product = cfg.env_cfg.get("float32_matmul_precision", "highest")
            torch.set_float32_matmul_precision("highest" if way == "naive" else product)
        if way == "open_clip":
            step = OpenClipStep(batch_size, dtype, device, compile)
            flops = step.count_flops()
        else:
            step = step_of(cfg, batch_size, precision, device, compile, naive=way == "naive")
        result[way] = _figures(step, flops, batch_size, repeats, device)
        shares[way] = result[way]["tflops"] / ceiling
        if way == "ours":
            result |= dict(gflop_per_image=flops / batch_size / 1e9, groups=len(step.wrapper.optimizer.param_groups))
            result |= _operators_and_waits(step, compile, device)
            if profile:
                write_output(profile, top_kernels(step, device))
        del step
    result |= dict(ceiling_tflops=ceiling, share_of_ceiling=shares)
    if against:
        result["ratio"] = dict(
            time=result["ours"]["ms"] / result[against]["ms"],
            memory=result["ours"]["peak_mb"] / result[against]["peak_mb"],
        )
    return result


def _figures(step: Callable[[], object], flops: int, batch_size: int, repeats: int, device: str) -> dict[str, float]:
    """Peak memory and median speed of a step."""
    step()  # compilation, the optimizer's state, the library's choice of kernels
    peak = peak_memory(step, device)
    seconds = statistics.median(elapsed(step, device) for _ in range(repeats))
    figures = dict(
        ms=seconds * 1e3, images_per_s=batch_size / seconds, tflops=flops / seconds / 1e12, peak_mb=peak / 1e6
    )
    if device == "cuda":
        figures["reserved_mb"] = torch.cuda.max_memory_reserved() / 1e6
        figures["host_ms"] = statistics.median(host_time(step) for _ in range(repeats)) * 1e3
    return figures


def _operators_and_waits(step: Callable[[], object], compile: bool, device: str) -> dict[str, int]:
    found = {}
    if not compile:  # operators of compiled code are not seen
        with OperatorCount(device) as count:
            step()
        found = dict(operators=count.operators, waits=len(count.waits))
    return found | (dict(waits=count_waits(step)) if device == "cuda" else {})


def measure_memory(
    config: str | Path,
    batch_sizes: Sequence[int],
    precision: str = "bf16",
    device: str = "cpu",
    cfg_options: dict | None = None,
) -> dict:
    """Peak memory of a training step against the batch size.

    Args:
        config: Pretraining config.
        batch_sizes: At least two.
        precision: ``'fp32'`` or ``'bf16'`` autocast.
        device: ``'cpu'`` or ``'cuda'``.
        cfg_options: Changes of the config, dotted key → value.

    Returns:
        ``peak_mb``, batch size → MB, as :func:`peak_memory` counts; and the straight line through them:
        ``mb_per_image``, ``mb_fixed``.
    """
    cfg = load_config(config, cfg_options)
    peaks = {}
    for batch_size in sorted(batch_sizes):
        step = step_of(cfg, batch_size, precision, device)
        step()  # the optimizer makes its state
        peaks[batch_size] = peak_memory(step, device) / 1e6
        del step
        release_memory(device)
    per_image, fixed = np.polyfit(list(peaks), list(peaks.values()), 1)
    return dict(config=Path(config).name, precision=precision, peak_mb=peaks, mb_per_image=per_image, mb_fixed=fixed)


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


def step_of(
    cfg: Config, batch_size: int, precision: str, device: str, compile: bool = False, naive: bool = False
) -> TrainStep:
    """A training step of a config on generated data, ready to be called; see :func:`measure`."""
    model = build_model(cfg, compile and not naive, naive).to(device).train()
    wrapper = {**cfg.optim_wrapper, "type": _WRAPPERS["fp32" if naive else precision].__name__}
    wrapper["optimizer"] = {**wrapper["optimizer"], "fused": not naive, "foreach": False}
    batch = make_step_batch(cfg, model, batch_size, device)
    return (NaiveTrainStep if naive else TrainStep)(model, build_optim_wrapper(model, ConfigDict(wrapper)), batch)
