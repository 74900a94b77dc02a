"""Names of checkpoints in GLoRIA's published format → names of ``configs/gloria/pretrain_resnet50.py``."""

import torch
from torch import Tensor

from .architecture import bert_shapes, require_backbone
from .preprocessing import HALF, of_unit
from .renaming import ConvertedCheckpoint, part_of, rename, rename_all, require_shapes

_RENAMES = [
    (r"(?:gloria\.)?img_encoder\.model\.((?:conv1|bn1|layer[1-4])\..+)", r"image_encoder.backbone.\1"),
    (r"(?:gloria\.)?img_encoder\.global_embedder\.(weight|bias)", r"image_projector.fc.\1"),
    (r"(?:gloria\.)?img_encoder\.local_embedder\.(weight)", r"image_token_projector.fc.\1"),
    (r"(?:gloria\.)?text_encoder\.model\.((?:embeddings|encoder)\..+)", r"text_encoder.model.\1"),
]
# A classification head, and what BERT has for tasks of its own.
_UNUSED = r".*\.position_ids|.*\.pooler\..*|.*img_encoder\.model\.fc\..*"


def convert_gloria(state_dict: dict[str, Tensor]) -> ConvertedCheckpoint:
    """Rename a state dict in GLoRIA's format: ``gloria.img_encoder.…``, ``gloria.text_encoder.…``.

    GLoRIA does not project words and reports, which is the same as projecting them by the identity, and its projection
    of regions has no bias, which is the same as one of zero. A checkpoint in this format without a projection of
    regions, as of ConVIRT, is taken; the names that it lacks are reported.

    Args:
        state_dict: What stands under ``state_dict`` in a published checkpoint.

    Returns:
        The converted state dict with a report.

    Raises:
        UserError: If a name is unknown, or a part of an encoder is missing or misshapen.
    """
    converted, mapped, unused = rename_all(
        state_dict,
        lambda name: rename(name, _RENAMES),
        _UNUSED,
        "GLoRIA's format",
        "gloria.img_encoder.model.conv1.weight",
    )
    backbone, text = (part_of(converted, prefix) for prefix in ("image_encoder.backbone.", "text_encoder.model."))
    require_backbone(backbone, "GLoRIA's format")
    require_shapes(text, bert_shapes(text), "GLoRIA's format")
    # Words and reports are not projected, so that images are projected to as many channels.
    dims = text["embeddings.word_embeddings.weight"].shape[1]
    stages = [backbone[f"layer{stage}.0.downsample.0.weight"].shape[0] for stage in (3, 4)]
    heads = {"image_projector.fc.weight": (dims, stages[1]), "image_projector.fc.bias": (dims,)}
    require_shapes(converted, heads, "GLoRIA's format")
    identity = {"weight": torch.eye(dims), "bias": torch.zeros(dims)}
    made = {f"text_projector.fc.{name}": value for name, value in identity.items()}
    absent = []
    regions = "image_token_projector.fc"
    if f"{regions}.weight" in converted:
        require_shapes(converted, {f"{regions}.weight": (dims, stages[0], 1, 1)}, "GLoRIA's format")
        converted[f"{regions}.weight"] = converted[f"{regions}.weight"].flatten(1)  # a 1x1 convolution
        made |= {f"{regions}.bias": identity["bias"]}
        made |= {f"text_token_projector.fc.{name}": value.clone() for name, value in identity.items()}
    else:
        absent = [f"{part}.{name}" for part in (regions, "text_token_projector.fc") for name in identity]
    return ConvertedCheckpoint(converted | made, mapped, unused, (*made, *absent), of_unit(*HALF, 224))
