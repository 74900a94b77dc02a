"""Importing any module changes nothing outside it, and rooms import only what they may."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

RUNTIME = ("datasets", "models", "engine", "evaluation", "apis", "visualization", "checkpoints")
WITHOUT_TORCH = ("radiographs", "reports", "preparation", "phantom", "prepared")
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "mgca_mm").rglob("*.py"))
    if ".mim" not in path.parts
}
_BASIC = {"errors", "bounds", "files", "tables", "model_folders", "version"}
_CORE = _BASIC | {"compat", "mmcv_operators", "registry", "structures", "distributed"}
_ONE_FILE = _BASIC | {"radiographs", "reports", "prepared"}
# What is imported by docs/architecture.md, room by room.
MAY_IMPORT = {
    **dict.fromkeys(_CORE | {"radiographs", "reports", "prepared", "phantom"}, _BASIC),
    "utils": _CORE,
    "preparation": _ONE_FILE,
    "datasets": _CORE | _ONE_FILE,
    "models": _CORE | _ONE_FILE | {"checkpoints"},
    "checkpoints": _CORE,
    "evaluation": _CORE | {"radiographs", "reports"},
    "visualization": _CORE | {"radiographs", "reports"},
    "engine": _CORE | _ONE_FILE | {"datasets", "models", "checkpoints", "visualization"},
    "apis": _CORE | _ONE_FILE | {"datasets", "models", "checkpoints", "engine", "evaluation", "visualization"},
}
# A change of everything that is looked at → the name of what it changes.
CHANGES = {
    "os.environ['SOME_NAME'] = '1'": "os.environ SOME_NAME",
    "warnings.simplefilter('ignore')": "warnings",
    "logging.getLogger('transformers').setLevel(1)": "logger transformers",
    "matplotlib.use('Agg')": "matplotlib backend",
    "torch.manual_seed(5)": "torch random",
    "np.random.seed(5)": "numpy.random",
    "signal.signal(signal.SIGTERM, print)": "signals",
    "torch.nn.modules.module.register_module_forward_hook(print)": "torch module hooks",
    "mmengine.fileio.register_handler('yaml')(mmengine.fileio.YamlHandler)": "file handlers",
    "mmengine.registry.HOOKS.register_module(name='CheckpointHook', module=print, force=True)": "mmengine.HOOKS",
}
# What others change when they are imported is theirs, so that they are imported first.
ONE_BY_ONE = """
import importlib, json, pkgutil, sys
from tests.process_state import differences, process_state
others, changes = json.load(sys.stdin)
before = process_state()
import mgca_mm
found = {"mgca_mm": differences(before, process_state())}
for module, names in others:
    __import__(module, fromlist=names)
before = process_state()
for module in pkgutil.walk_packages(mgca_mm.__path__, "mgca_mm."):
    importlib.import_module(module.name)
    found[module.name], before = differences(before, now := process_state()), now
import logging, os, signal, warnings, matplotlib, mmengine, numpy as np, torch
for change in changes:
    exec(change)
    found[change], before = differences(before, now := process_state()), now
print(json.dumps(found))
"""


def run(code: str, content: object = None) -> object:
    """What a fresh interpreter prints, as json; one that does not import this package by itself (``*.pth``)."""
    command = [sys.executable, "-S", "-c", code]
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        command, input=json.dumps(content), capture_output=True, text=True, cwd=ROOT, env=os.environ | path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def imports(name: str, within_functions: bool = True) -> Iterator[tuple[str, list[str]]]:
    """Absolute names of the modules that a module of ours imports, and what it takes of each."""

    def nodes(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if within_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield child
                yield from nodes(child)

    path = FILES[name]
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".")[: -node.level + (path.stem == "__init__") or None] if node.level else []
            yield ".".join([*parts, *filter(None, [node.module])]), [alias.name for alias in node.names]


def modules(*rooms: str) -> list[str]:
    """Names of the modules of some rooms."""
    return [name for name in FILES if name.split(".")[1:2] and name.split(".")[1] in rooms]


def forbidden_imports(names: list[str], *forbidden: str) -> list[tuple[str, str]]:
    """Module and what it imports of what it may not."""
    found = []
    for name in names:
        for module, taken in imports(name):
            targets = [module, *(f"{module}.{each}" for each in taken)]
            found += [(name, each) for each in targets if f"{each}.".startswith(tuple(f"{f}." for f in forbidden))]
    return found


def test_imports_are_read_as_python_does():
    assert ("mgca_mm.engine.hooks", ["SafeCheckpointHook"]) in [
        (module, [each for each in names if each.startswith("Safe")])
        for module, names in imports("mgca_mm.engine.installation")
    ]
    assert "mgca_mm.engine.hooks.checkpoint" in dict(imports("mgca_mm.engine.hooks"))
    assert "mgca_mm" in [module for module, names in imports("mgca_mm") if "compat" in names]
    assert forbidden_imports(["mgca_mm.benchmarks.data"], "mgca_mm.phantom")
    assert not forbidden_imports(["mgca_mm.benchmarks.data"], "mgca_mm.phan")


def test_importing_a_module_changes_nothing_outside():
    others = dict.fromkeys(
        (module, tuple(taken))
        for name in FILES
        for module, taken in imports(name, within_functions=False)
        if not f"{module}.".startswith(("mgca_mm.", "__future__."))
    )
    found = run(ONE_BY_ONE, [list(others), list(CHANGES)])
    for change, name in CHANGES.items():
        assert name in found.pop(change)
    assert found.keys() == FILES.keys()
    assert found.pop("mgca_mm") == ["config packages", "sys.meta_path"]  # compat.py
    assert {name: changed for name, changed in found.items() if changed} == {}


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        (modules("datasets"), ["sklearn", "mgca_mm.preparation", "mgca_mm.phantom"]),
        (modules(*WITHOUT_TORCH), ["torch", "mgca_mm.engine", "mgca_mm.datasets"]),
    ],
    ids=["datasets", "without torch"],
)
def test_what_is_loaded_along(names, absent):
    loaded = run(f"import json, sys, {', '.join(names)}\nprint(json.dumps(sorted(sys.modules)))")
    assert set(names) <= set(loaded)
    assert set(absent).isdisjoint(loaded)


def test_rooms_import_what_the_architecture_says():
    """The table of docs/architecture.md; rooms that it does not limit are those of commands."""
    rooms = {name.split(".")[1] for name in FILES if "." in name}
    assert rooms - MAY_IMPORT.keys() == {"cli", "reproduction", "benchmarks"}
    for room, allowed in MAY_IMPORT.items():
        for name in modules(room):
            for module, taken in imports(name):
                targets = [f"{module}.{each}" for each in taken] if module == "mgca_mm" else [module]
                found = {target.split(".")[1] for target in targets if target.startswith("mgca_mm.")} & rooms
                assert found <= {room, *allowed}, name


def test_rooms_import_what_they_may():
    assert len(modules(*RUNTIME)) > 100 and len(modules(*WITHOUT_TORCH)) > 40
    assert forbidden_imports(modules(*RUNTIME), "mgca_mm.preparation", "mgca_mm.phantom") == []
    # MMEngine is loaded by compat.py alone: its table of config packages, without torch.
    assert forbidden_imports(modules(*WITHOUT_TORCH), "torch", "mmengine") == []
