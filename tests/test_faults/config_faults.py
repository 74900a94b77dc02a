"""Faults that people put into configs, one at a time."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader

from mgca_mm.engine.signatures import hints_of, parameters_of
from mgca_mm.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS

# Argument → numbers that it must not be, and the constructor or section it belongs to, which refuses them.
OUT_OF_RANGE = [
    ("temperature", (0, -1, -0.07, float("nan"), float("inf")), ("InfoNCELoss", "SwappedPredictionLoss")),
    ("loss_weight", (-0.5, -1, float("nan")), ("InstanceAlignment", "TokenAlignment", "PrototypeAlignment")),
    ("num_prototypes", (1, 0, -5), ("PrototypeAlignment",)),
    ("num_iterations", (0, -1), ("PrototypeAlignment",)),
    ("epsilon", (0, -0.05), ("PrototypeAlignment",)),
    ("embed_dims", (0, -128), ("PrototypeAlignment", "CrossModalAttention")),
    ("hidden_channels", (0, -1), ("Projector",)),
    ("max_length", (0, 2, -1), ("TextEncoder", "TokenizeReport")),
    ("input_size", (0, -224), ("ImageEncoder",)),
    ("num_epochs", (-1,), ("FreezePrototypesHook",)),
    ("size", (0, -256), ("ResizeAndPad",)),
    ("batch_size", (0, -8), ("train_dataloader", "val_dataloader", "test_dataloader")),
    ("num_workers", (-1, -4), ("train_dataloader", "val_dataloader", "test_dataloader")),
    ("lr", (0, -1e-3, float("nan")), ("AdamW",)),
    ("weight_decay", (-0.05,), ("AdamW",)),
    ("max_epochs", (0, -1), ("EpochBasedTrainLoop",)),
    ("val_interval", (0, -2), ("EpochBasedTrainLoop",)),
]
_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
# A top-level variable such as test_pipeline counts only where it is used.
SECTIONS = (*_LOADERS, "model", "train_cfg", "val_cfg", "optim_wrapper", "default_hooks", "val_evaluator")


def spoil(cfg: dict, rng: random.Random) -> str:
    """Put a fault into a config, in place; returns which."""
    while True:
        fault = rng.choice(FAULTS)(cfg, rng)
        if fault:
            return fault


def misspelled_argument(cfg: dict, rng: random.Random) -> str | None:
    path, node, constructor = rng.choice(list(_checked(cfg)))
    known = [name for name in parameters_of(constructor)[0] if len(name) > 3 and name != "self"]
    key = rng.choice(known) if known else "argument"
    new = _misspell(key, rng)
    if new in known:
        return None
    node[new] = node.pop(key, 1)
    return f"{path}.{new}"


def misspelled_section(cfg: dict, rng: random.Random) -> str | None:
    key = rng.choice(SECTIONS)
    if key not in cfg:
        return None
    new = _misspell(key, rng)
    cfg[new] = cfg.pop(key)
    return new


def section_of_another_kind(cfg: dict, rng: random.Random) -> str:
    key = rng.choice(SECTIONS)
    cfg[key] = rng.choice((3, "abc", True))
    return f"{key} = {cfg[key]}"


def argument_of_another_kind(cfg: dict, rng: random.Random) -> str | None:
    path, node, constructor = rng.choice(list(_checked(cfg)))
    hints = hints_of(constructor)
    keys = [key for key, value in node.items() if key in hints and isinstance(value, bool | int | float | str)]
    if not keys:
        return None
    key = rng.choice(keys)
    node[key] = ["x"] if isinstance(node[key], str) else rng.choice(("abc", ["x"], {"a": 1}))
    return f"{path}.{key} = {node[key]}"


def misspelled_type(cfg: dict, rng: random.Random) -> str:
    named = [(path, node) for path, node in _dicts(cfg) if len(str(node.get("type", ""))) > 6]
    path, node = rng.choice([(p, n) for p, n in named if p.split(".")[0] in SECTIONS and "norm_cfg" not in p])
    node["type"] = _misspell(node["type"], rng)
    return f"{path}.type = {node['type']}"


def unknown_type(cfg: dict, rng: random.Random) -> str:
    path, node, _ = rng.choice([item for item in _checked(cfg) if "type" in item[1]])
    node["type"] = rng.choice(("Qwxyz", "mmdet.Qwxyz", "nowhere.Qwxyz", ""))
    return f"{path}.type = {node['type']}"


FAULTS: tuple[Callable[[dict, random.Random], str | None], ...] = (
    misspelled_argument,
    misspelled_section,
    section_of_another_kind,
    argument_of_another_kind,
    misspelled_type,
    unknown_type,
)


def put(cfg: dict, owner: str, key: str, number: float) -> None:
    """Set an argument wherever a constructor, or a section, is given any."""
    for path, node in _dicts(cfg):
        if path.split(".")[0] in SECTIONS and owner in (path, str(node.get("type")).removeprefix("mgca_mm.")):
            node[key] = number


def _dicts(node: Any, path: str = "") -> Iterator[tuple[str, dict]]:
    """Every dict below a config, with its dotted name."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        below = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict):
            yield below, value
        if isinstance(value, dict | list | tuple):
            yield from _dicts(value, below)


def _checked(cfg: dict) -> Iterator[tuple[str, dict, Callable]]:
    """What is built from the config by constructors of ours, and the loaders."""
    for path, node in _dicts(cfg):
        name = str(node.get("type")).removeprefix("mgca_mm.")
        for registry in (MODELS, DATASETS, TRANSFORMS, METRICS, HOOKS):
            if name in registry.module_dict and path.split(".")[0] in SECTIONS:
                yield path, node, registry.module_dict[name]
        if path in _LOADERS:
            yield path, node, DataLoader


def _misspell(word: str, rng: random.Random) -> str:
    position = rng.randrange(1, len(word))
    kind = rng.choice(("drop", "double", "letter"))
    if kind == "drop":
        return word[:position] + word[position + 1 :]
    return word[:position] + (word[position - 1] if kind == "double" else "x") + word[position:]
