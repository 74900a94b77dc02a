"""What stands in the files that a config is made of."""

import ast
import runpy
from pathlib import Path
from typing import Any

from mmengine.config import Config

import mgca_mm

_PACKAGE = Path(mgca_mm.__file__).parent
CONFIGS = _PACKAGE / ".mim" / "configs"  # where MMEngine looks for "mgca_mm::…", too
if not CONFIGS.is_dir():  # a clone that is not installed
    CONFIGS = _PACKAGE.parent / "configs"


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
