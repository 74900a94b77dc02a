"""What to change in an image encoder's config so that its backbone gives regions, found by trying."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

# Arguments by which the libraries say what a backbone returns and what it is fed; one that does not know them fails.
_OUTPUTS = (
    {"token_weight": "uniform"},
    {"backbone.out_type": "raw"},
    {"backbone.out_type": "featmap"},
    {"backbone.gap_before_final_norm": False},
    {"backbone.features_only": True},
    {"backbone.out_indices": (2, 3)},
)
_RESIZED = tuple({"resize_to": size} for size in (224, 256, 384))
_WEIGHTS = ("init_cfg", "pretrained", "checkpoint_path", "pretrained_cfg_overlay")


def find_remedy(config: dict[str, Any], size: int, build: Callable[[dict[str, Any]], Any]) -> str | None:
    """Find changes of an image encoder's config with which it can be built.

    Args:
        config: With which it cannot.
        size: Side length of the images that its backbone is fed.
        build: Builds an image encoder from a config, or raises anything.

    Returns:
        The changes as the user writes them, alternatives joined by "or"; None where none is known.
    """
    # Nothing is read for a trial, least of all downloaded.
    backbone = {key: value for key, value in config["backbone"].items() if key not in _WEIGHTS or not value}
    config = {**config, "backbone": backbone}
    if _helps(config, build, {}):
        return None
    fed = (
        {"backbone.in_channels": 3},  # radiographs come as three equal ones
        {"backbone.pad_small_map": True},
        {"backbone.img_size": size},
        {"backbone.img_size": (size, size)},
    )
    found = [_first(config, build, changes) for changes in (_OUTPUTS, fed, _RESIZED)]
    found = [changes for changes in found if changes]
    if not found:
        both = ({**of_input, **of_output} for of_input, of_output in product((*fed, *_RESIZED), _OUTPUTS))
        found = [changes for changes in [_first(config, build, both)] if changes]
    return ", or ".join(" and ".join(_written(changes)) for changes in found) or None


def _first(config: dict, build: Callable[[dict], Any], candidates: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    return next((changes for changes in candidates if _helps(config, build, changes)), None)


def _helps(config: dict, build: Callable[[dict], Any], changes: dict[str, Any]) -> bool:
    changed = {**config, "backbone": dict(config["backbone"])}
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        (changed[section] if section else changed)[name] = value
    try:
        build(changed)
    except Exception:  # of any library: it is a trial
        return False
    return True


def _written(changes: dict[str, Any]) -> Iterator[str]:
    return (f"image_encoder.{key}={value!r}" for key, value in changes.items())
