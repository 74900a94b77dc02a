"""What to change in an image encoder's config so that its backbone gives regions, found by trying."""

from collections.abc import Callable
from itertools import chain, product
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
        The first changes that help, as the user writes them; None where none is known.
    """
    # Nothing is read for a trial, least of all downloaded.
    backbone = {key: value for key, value in config["backbone"].items() if key not in _WEIGHTS or not value}
    had_weights = backbone != config["backbone"]
    config = {**config, "backbone": backbone}
    if had_weights and _helps(config, build, {}):
        return None
    fed = (
        {"backbone.in_channels": 3},  # radiographs come as three equal ones
        {"backbone.pad_small_map": True},
        {"backbone.img_size": size},
        {"backbone.img_size": (size, size)},
    )
    both = ({**of_input, **of_output} for of_input, of_output in product((*fed, *_RESIZED), _OUTPUTS))
    candidates = chain(_OUTPUTS, fed, _RESIZED, both)
    return next((_written(changes) for changes in candidates if _helps(config, build, changes)), None)


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


def _written(changes: dict[str, Any]) -> str:
    return " and ".join(f"image_encoder.{key}={value!r}" for key, value in changes.items())
