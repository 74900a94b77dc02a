"""Whether each checkpoint that a config names has filled the part of the model that it is named for."""

import os
from collections.abc import Mapping
from logging import Logger
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mgca_mm.distributed import unwrapped
from mgca_mm.engine.config_errors import dicts_below
from mgca_mm.engine.pretrained import required
from mgca_mm.errors import UserError
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class VerifyPretrainedHook(Hook):
    """Ends a run where ``init_cfg=dict(type='Pretrained', …)`` has filled a module only in part, or not at all.

    Some backbones of mmseg and mmdet read ``init_cfg`` themselves and only warn of names that are missing: with a wrong
    prefix they would train from random weights. What counts is what a module is given to load, after its class has
    renamed and resized it. Our runner has this hook; for another one:
    ``custom_hooks=[dict(type='mgca_mm.VerifyPretrainedHook')]``.
    """

    def before_run(self, runner: Runner) -> None:
        """Look at what modules load while their weights are initialized."""
        model = unwrapped(runner.model)
        self._settings = _settings(model, (runner.cfg.get("model") if runner.cfg else None) or {})
        lacking: dict[nn.Module, list[str]] = {}  # all names, until it has loaded

        def look(module: nn.Module, state_dict: dict, prefix: str, *_) -> None:
            if not prefix and module in lacking:  # no checkpoint of the whole model, and no copy of the module
                shapes = {name: tensor.shape for name, tensor in state_dict.items()}
                weights = module.state_dict().items()
                lacking[module] = [name for name, tensor in weights if shapes.get(name) != tensor.shape]

        for module, settings in list(self._settings.items()):
            for part in module.modules():
                # Some classes hand on what they are given to their parts, which a checkpoint of the whole does not fit.
                if part is not module and getattr(part, "init_cfg", None) == settings:
                    part.init_cfg = None
                    self._settings.pop(part, None)
        for module in self._settings:
            if not getattr(module, "is_init", True):
                lacking[module] = list(module.state_dict())
                module.register_load_state_dict_pre_hook(look)
        self._lacking = lacking

    def before_train(self, runner: Runner) -> None:
        """Compare it with what they have, and what a backbone of ours says with what the model does.

        Raises:
            UserError: A module has not been given all of its tensors, or ``in_channels`` are others.
        """
        model = unwrapped(runner.model)
        for name, module in model.named_modules():
            if module not in self._lacking:
                continue
            name = name or "model"
            settings, count, lacking = self._settings[module], len(module.state_dict()), self._lacking.pop(module)
            missing = required(module, lacking, settings.get("allow_missing", ()))
            kind, file = type(module).__name__, os.path.basename(settings["checkpoint"])
            if missing:
                raise UserError(
                    f"Checkpoint '{file}' fills {name} ({kind}) only in part: {len(missing)} of {count} tensors are "
                    f"missing: {', '.join(missing[:3])}…\nCheck {name}.init_cfg: its prefix, the architecture, and "
                    "whether this class reads the names of that file; or take the backbone of the checkpoint itself: "
                    "type='mgca_mm.PretrainedBackbone', checkpoint=FILE"
                )
            runner.logger.info(f"{name} ({kind}): {count - len(lacking)} of {count} tensors are those of {file}")
        _require_channels(model)
        _compare_normalization(model, runner.logger)


def _settings(model: nn.Module, cfg: Mapping[str, Any]) -> dict[nn.Module, Mapping[str, Any]]:
    """Modules for which a checkpoint is named → ``init_cfg``.

    Some classes keep to themselves, or even forget, what they were given; the config says it, too.
    """
    modules = dict(model.named_modules())
    named = {module: getattr(module, "init_cfg", None) for module in modules.values()}
    for name, part in [("", cfg), *dicts_below(cfg)]:
        if part.get("init_cfg") and name in modules:
            named[modules[name]] = part["init_cfg"]
        # In mmseg, that of the whole model is meant for its backbone; elsewhere the word has other meanings.
        if isinstance(part.get("pretrained"), str) and name.rpartition(".")[2] in ("", "backbone"):
            module = modules.get(name or "backbone")
            named[module] = dict(checkpoint=part["pretrained"])
    found = {}
    for module, settings in named.items():
        entries = [settings] if isinstance(settings, Mapping) else settings or ()
        found[module] = next(
            (entry for entry in entries if isinstance(entry, Mapping) and entry.get("checkpoint")), None
        )
    return {module: settings for module, settings in found.items() if module is not None and settings}


def _require_channels(model: nn.Module) -> None:
    """Check the channels of a neck, or else of heads, against a backbone that says those of its outputs."""
    channels = getattr(getattr(model, "backbone", None), "out_channels", None)
    if not isinstance(channels, tuple):  # some classes mean something else by the name
        return
    has_neck = getattr(model, "neck", None) is not None
    for name, part in model.named_children():
        expected, index = getattr(part, "in_channels", None), getattr(part, "in_index", None)
        if name == "backbone" or (has_neck and name != "neck") or not isinstance(expected, int | list | tuple):
            continue
        if index is not None:  # of mmseg's heads, which may have summed what they were given
            indices = [index] if isinstance(index, int) else list(index)
            if max(indices) >= len(channels):
                raise UserError(
                    f"model.{name}.in_index is {index}, but the backbone gives {len(channels)} maps.\n"
                    f"Ask for more (model.backbone.strides), or count the maps from 0 to {len(channels) - 1}."
                )
            given = [channels[one] for one in indices]
            fits = expected == sum(given) if isinstance(expected, int) else list(expected) == given
            given = given[0] if isinstance(index, int) else given
        elif isinstance(expected, int):
            given, fits = channels[-1], expected in channels
        else:  # some necks begin at the coarsest
            given, fits = list(channels), list(expected) in (list(channels), list(channels[::-1]))
        if not fits:
            raise UserError(
                f"model.{name}.in_channels is {expected}, but the backbone gives {given}.\n"
                f"Set model.{name}.in_channels={given}; tools/swap_backbone.py writes such configs."
            )


def _compare_normalization(model: nn.Module, logger: Logger) -> None:
    """Warn where images are normalized otherwise than in the pretraining of a backbone that says it."""
    wanted = getattr(getattr(model, "backbone", None), "data_preprocessor", None)
    preprocessor = getattr(model, "data_preprocessor", None)
    if wanted is None or preprocessor is None:
        return
    levels = {name: getattr(preprocessor, name, None) for name in ("mean", "std")}
    given = {name: None if level is None else level.flatten().tolist() for name, level in levels.items()}
    if any(given[name] is None or not np.allclose(given[name], wanted[name]) for name in given):
        logger.warning(
            f"Images are normalized by {given}, those of the encoder's pretraining by {wanted}. Set "
            f"data_preprocessor=dict(mean={wanted['mean']}, std={wanted['std']})."
        )
