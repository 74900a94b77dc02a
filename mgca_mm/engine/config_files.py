"""What stands in the files that a config is made of, and the default hooks of every run, which stand in one of ours."""

import ast
import functools
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

import mgca_mm

_PACKAGE = Path(mgca_mm.__file__).parent
CONFIGS = _PACKAGE / ".mim" / "configs"  # where MMEngine looks for "mgca_mm::…", too
if not CONFIGS.is_dir():  # a clone that is not installed
    CONFIGS = _PACKAGE.parent / "configs"
_OF_MMENGINE = {"runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"}


def base_files(path: Path) -> list[Path]:
    """Files that a config names as its ``_base_``, those of installed packages (``mgca_mm::…``) among them."""
    return [Path(Config._get_cfg_path(base, str(path))[0]) for base in Config._get_base_files(str(path))]


def assignments(path: Path) -> dict[str, str]:
    """Top-level names of a Python config → the code that they are set to, not that of its ``_base_``."""
    if path.suffix != ".py":
        return {}
    nodes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    return {target.id: ast.unparse(node.value) for node in nodes for target in node.targets if hasattr(target, "id")}


def own_values(path: Path) -> dict[str, Any]:
    """What a Python config sets itself, without its ``_base_``; nothing where it uses values of that one."""
    try:
        return runpy.run_path(str(path)) if path.suffix == ".py" else {}
    except Exception:  # which MMEngine's ``{{_base_.x}}`` raises as Python
        return {}


@functools.cache
def our_hooks() -> dict[str, dict]:
    """Default hooks of our configs that MMEngine's runner does not have."""
    hooks = Config.fromfile(CONFIGS / "_base_" / "default_runtime.py").default_hooks.to_dict()
    return {name: hook for name, hook in hooks.items() if name not in _OF_MMENGINE}


def with_our_hooks(hooks: Mapping[str, Any] | None) -> dict[str, Any]:
    """``default_hooks`` of a config, and ours: what it says of one of them is added to that one, None takes it away."""
    hooks = dict(hooks or {})
    ours = {}
    for name, default in our_hooks().items():
        hook = hooks.pop(name, default)
        ours[name] = {**default, **hook} if isinstance(hook, Mapping) else hook
    return hooks | ours
