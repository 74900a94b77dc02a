"""Whether each checkpoint that a config names has filled the part of the model that it is named for."""

import os

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mgca_mm.distributed import unwrapped
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
        lacking: dict[nn.Module, list[str]] = {}  # all names, until it has loaded

        def look(module: nn.Module, state_dict: dict, prefix: str, *_) -> None:
            if not prefix and module in lacking:  # no checkpoint of the whole model, and no copy of the module
                shapes = {name: tensor.shape for name, tensor in state_dict.items()}
                weights = module.state_dict().items()
                lacking[module] = [name for name, tensor in weights if shapes.get(name) != tensor.shape]

        for module in unwrapped(runner.model).modules():
            if _settings(module) is not None and not getattr(module, "is_init", True):
                lacking[module] = list(module.state_dict())
                module.register_load_state_dict_pre_hook(look)
        self._lacking = lacking

    def before_train(self, runner: Runner) -> None:
        """Compare it with what they have.

        Raises:
            UserError: A module has not been given all of its tensors.
        """
        for name, module in unwrapped(runner.model).named_modules():
            if module not in self._lacking:
                continue
            settings, count = _settings(module), len(module.state_dict())
            missing = required(self._lacking.pop(module), settings.get("allow_missing", ()))
            kind, file = type(module).__name__, os.path.basename(settings["checkpoint"])
            if missing:
                raise UserError(
                    f"Checkpoint '{file}' fills {name} ({kind}) only in part: {len(missing)} of {count} tensors are "
                    f"missing: {', '.join(missing[:3])}…\nCheck {name}.init_cfg: its prefix, the architecture, and "
                    "whether this class reads the names of that file; or take the backbone of the checkpoint itself: "
                    "type='mgca_mm.PretrainedBackbone', checkpoint=FILE"
                )
            runner.logger.info(f"{name} ({kind}): {count} of {count} tensors are those of {file}")


def _settings(module: nn.Module) -> dict | None:
    """``init_cfg`` of a module, if it is a checkpoint's."""
    found = getattr(module, "init_cfg", None)
    entries = [found] if isinstance(found, dict) else found or ()
    return next((entry for entry in entries if isinstance(entry, dict) and entry.get("checkpoint")), None)
