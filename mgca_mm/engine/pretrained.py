"""``init_cfg=dict(type='Pretrained', …)`` that never fills a backbone by half."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.model import PretrainedInit
from mmengine.model.weight_init import update_init_info
from torch import Tensor, nn

from mgca_mm.checkpoints.weights import backbone_of, prefix_of_backbone, read_state_dict, read_weights
from mgca_mm.distributed import unwrapped
from mgca_mm.errors import UserError


class CompletePretrainedInit(PretrainedInit):
    """Loads a checkpoint into a module and fails unless it fills the whole module.

    :func:`mgca_mm.engine.install` puts it in the place of MMEngine's ``Pretrained``, which only warns of missing or
    misshapen parameters, so that a wrong prefix trains from random weights without a word. Names that the module does
    not have (a classification head) are ignored, as there. A vision transformer of timm or DeiT is renamed for
    mmpretrain's.

    Args:
        checkpoint: File, folder of a run (its best checkpoint), URL or ``torchvision://`` name.
        prefix: Load the names that begin with it, without it. None takes the first of the usual ones that occurs: that
            of our pretraining, that of mmpretrain, mmdet and mmseg, or none.
        map_location: Where the tensors are read to.
        allow_missing: Names, or parts of them between dots (``'ln2'``), that the checkpoint need not have.

    Raises:
        UserError: If the checkpoint cannot be read, a parameter is missing or has another shape.
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: str = "cpu",
        allow_missing: tuple[str, ...] = (),
    ):
        super().__init__(checkpoint, prefix, map_location)
        self.allow_missing = allow_missing

    def __call__(self, module: nn.Module) -> None:
        """Load the checkpoint into a module, which it must fill."""
        if not self.checkpoint:
            raise UserError(
                "init_cfg.checkpoint is empty.\nGive a file, --cfg-options image_init=FILE, or train from random "
                "weights: --cfg-options model.image_encoder.backbone.init_cfg=None"
            )
        content = read_state_dict(
            self.checkpoint,
            self.map_location,
            "Download it on a machine with access and point to the file: --cfg-options image_init=FILE\n"
            "or train from random weights: --cfg-options model.image_encoder.backbone.init_cfg=None",
        )
        prefix = prefix_of_backbone(content, module.state_dict()) if self.prefix is None else self.prefix
        print_log(f"load {prefix or 'model'} from {self.checkpoint}", logger="current")
        state_dict = backbone_of(content, prefix)
        if not state_dict:
            raise UserError(
                f"Checkpoint '{self.checkpoint}' holds no name that begins with '{prefix}'.\n"
                "Set init_cfg.prefix to the part of the names before those of the backbone."
            )
        try:
            missing = module.load_state_dict(state_dict, strict=False).missing_keys
        except Exception as error:  # modules of other libraries fit weights in ways of their own
            raise UserError(
                f"Checkpoint '{self.checkpoint}' is of another architecture than {type(module).__name__}: "
                f"{_reason(error)}"
            ) from error
        missing = required(module, missing, self.allow_missing)
        if missing:
            raise UserError(
                f"Checkpoint '{self.checkpoint}' fills {type(module).__name__} only in part; {len(missing)} missing: "
                f"{', '.join(missing[:3])}…\nCheck init_cfg.prefix (here '{prefix}'), the architecture, or allow it by "
                f"allow_missing=('{missing[0].split('.')[0]}',)"
            )
        if hasattr(module, "_params_init_info"):
            update_init_info(module, init_info=self._get_init_info())

    def _get_init_info(self) -> str:
        """Line of the log about each parameter; of the path, the file's name."""
        return f"{type(self).__name__}: load from {os.path.basename(self.checkpoint)}"


def required(module: nn.Module, missing: list[str], allowed: tuple[str, ...]) -> list[str]:
    """Of names that a checkpoint lacks, those that were learned, which it must have.

    Of buffers, these are the statistics of batch norms. Others are counters, and tables that are the same in each
    model, which some classes leave out.
    """
    learned = {name for name, _ in module.named_parameters()}
    learned |= {name for name, _ in module.named_buffers() if name.endswith(("running_mean", "running_var"))}
    return [name for name in missing if name in learned and not set(allowed) & {name, *name.split(".")}]


def different_tensors(found: Any, wanted: Mapping[str, Any]) -> list[str]:
    """Names that one of two state dicts lacks, or whose tensors are of other shapes or kinds, in order.

    What was found in a checkpoint may be anything.
    """
    found = {str(name): _shape(value) for name, value in found.items()} if isinstance(found, dict) else {}
    wanted = {name: _shape(value) for name, value in wanted.items()}
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name, 0) != wanted.get(name, 0))


def _shape(value: Any) -> tuple | None:
    """Shape of a tensor, and whether its numbers are whole, real or complex; None for anything else."""
    if not isinstance(value, Tensor):
        return None
    return tuple(value.shape), value.is_floating_point(), value.is_complex()


def require_complete_parts(model: nn.Module, checkpoint: str) -> None:
    """Check that a checkpoint fills each part of a model (an encoder, a head) exactly or not at all.

    MMEngine loads what fits by name and shape and leaves the rest random, so that a checkpoint of another architecture
    would be trained on from little of it. Parts are the children of the model, and the members of a ``ModuleDict``; the
    log names those that the checkpoint (file, URL or name) does not have.

    Raises:
        UserError: If it cannot be read, fits in no part, or in one of them by half.
    """
    found = read_state_dict(checkpoint)
    absent, filled = [], []
    parts: dict[str, nn.Module] = {}
    for name, module in model.named_children():
        is_dict = isinstance(module, nn.ModuleDict)
        parts |= {f"{name}.{key}": member for key, member in module.items()} if is_dict else {name: module}
    for part, module in parts.items():
        wanted = {f"{part}.{name}": value for name, value in module.state_dict().items()}
        present = {name: value for name, value in found.items() if name.startswith(f"{part}.")}
        if not wanted:
            continue
        different = different_tensors(present, wanted)
        different = [name for name in different if not name.endswith("num_batches_tracked")]
        if present and different:
            raise UserError(
                f"Checkpoint '{checkpoint}' is of another architecture than the {part} of this config: "
                f"{len(different)} tensors differ, such as {different[0]}.\nGive the config that it was trained "
                "with, or start an encoder alone from it: init_cfg=dict(type='Pretrained', checkpoint=FILE)"
            )
        (filled if present else absent).append(part)
    if not filled:
        raise UserError(
            f"Checkpoint '{checkpoint}' has no part of this config's model ({', '.join(absent)}).\nStart an encoder "
            "from it: init_cfg=dict(type='Pretrained', checkpoint=FILE)"
        )
    if absent:
        text = f"load_from fills {', '.join(filled)}; what it does not have starts as it is: {', '.join(absent)}"
        print_log(text, logger="current", level=logging.WARNING)


def load_complete_model(model: nn.Module, checkpoint: str) -> dict[str, Any]:
    """Load a checkpoint (file, URL or name) that fits a model exactly, which may be wrapped for several ranks.

    Returns:
        The checkpoint's ``meta``, empty if there is none.

    Raises:
        UserError: If it cannot be read, or a name is missing, unexpected or of another shape.
    """
    state_dict, meta = read_weights(checkpoint)
    try:
        unwrapped(model).load_state_dict(state_dict, strict=True)
    except Exception as error:  # modules of other libraries fit weights in ways of their own
        raise UserError(
            f"Checkpoint '{checkpoint}' does not fit the model of this config: {_reason(error)}\n"
            "Give the config that it was trained with, and data of the same tokenizer; convert released checkpoints by "
            "mgca-mm convert."
        ) from error
    return meta


def _reason(error: Exception) -> str:
    """Of what torch says of weights that do not fit, the first that is about a weight."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[min(1, len(lines) - 1)].strip()[:200]
