"""The weights in a checkpoint, and those of its image encoder."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

from torch import Tensor

from mgca_mm.errors import UserError

from .conversion.timm_vit import is_timm_vit, rename_timm_vit
from .reading import UntrustedCheckpointError
from .schemes import load_checkpoint

_PREFIXES = ("image_encoder.backbone.", "backbone.vit.", "backbone.", "")


def read_state_dict(checkpoint: str, map_location: str = "cpu", remedy: str = "Give another file.") -> dict:
    """Read the weights of a checkpoint: name → tensor; otherwise as :func:`read_weights`."""
    return read_weights(checkpoint, map_location, remedy)[0]


def read_weights(
    checkpoint: str, map_location: str = "cpu", remedy: str = "Give another file."
) -> tuple[dict[str, Tensor], dict]:
    """Read the weights of a checkpoint, whatever else stands among them, and its ``meta``, empty if there is none.

    Raises:
        UserError: If it cannot be read or holds no weights; the message ends with ``remedy``.
    """
    try:
        content = load_checkpoint(checkpoint, map_location)
    except UntrustedCheckpointError:
        raise
    except UserError as error:
        raise UserError(f"{error}\n{remedy}") from error
    # DeiT's files, and those of projects after it, have "model".
    state_dict = content.get("state_dict", content.get("model", content))
    if not isinstance(state_dict, dict) or not any(isinstance(value, Tensor) for value in state_dict.values()):
        raise UserError(f"Checkpoint '{checkpoint}' holds no weights.\n{remedy}")
    if not all(isinstance(name, str) for name in state_dict):
        raise UserError(f"Checkpoint '{checkpoint}' holds weights whose names are no text.\n{remedy}")
    # Saved within DistributedDataParallel, names begin with "module.".
    named = ((name.removeprefix("module."), value) for name, value in state_dict.items())
    weights = OrderedDict((name, value) for name, value in named if isinstance(value, Tensor))
    weights._metadata = getattr(state_dict, "_metadata", {})  # versions of the modules, where torch looks for them
    meta = content.get("meta")
    return weights, meta if isinstance(meta, dict) else {}


def prefix_of_backbone(names: Collection[str], wanted: Iterable[str] = ()) -> str:
    """What the names of an image encoder begin with: in a pretraining, a detector or classifier of ours, or nothing.

    Args:
        names: Of a checkpoint.
        wanted: Names that the encoder has, where they are known: the prefix with which most of them are there.
    """
    found = [prefix for prefix in _PREFIXES if any(name.startswith(prefix) for name in names)]
    return max(found, key=lambda prefix: sum(prefix + name in names for name in wanted))


def backbone_of(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Weights whose names begin with a prefix, without it; a vision transformer of timm by mmpretrain's names."""
    found = {name[len(prefix) :]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
    return rename_timm_vit(found) if is_timm_vit(found) else found
