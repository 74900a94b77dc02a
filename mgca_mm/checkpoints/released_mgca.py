"""Names of the released MGCA checkpoints → names of ``configs/mgca/released_*.py``."""

import re
from typing import NamedTuple

import torch
from torch import Tensor

from mgca_mm.errors import UserError

from . import timm_vit

# Ordered: the first pattern that matches a whole name gives its replacement.
_RENAMES = [
    *((rf"img_encoder_q\.model\.{theirs}", f"image_encoder.backbone.{ours}") for theirs, ours in timm_vit.RENAMES),
    (r"img_encoder_q\.model\.((?:conv1|bn1|layer[1-4])\..+)", r"image_encoder.backbone.\1"),
    (r"text_encoder_q\.model\.((?:embeddings|encoder)\..+)", r"text_encoder.model.\1"),
    (r"prototype_layer\.weight", r"alignments.cpa.prototypes"),
]
_HEADS = {
    ("img", "global"): "image_projector",
    ("img", "local"): "image_token_projector",
    ("text", "global"): "text_projector",
    ("text", "local"): "text_token_projector",
}
_HEAD_LAYERS = {"0": "fc1", "1": "norm1", "3": "fc2", "4": "norm2"}
# Held by the released module but without influence on its output.
_UNUSED = re.compile(r".*\.crossattention\..*|.*\.position_ids|(patch|word)_local_atten_layer\..*|.*\.pooler\..*")


class ConvertedCheckpoint(NamedTuple):
    """Result of a conversion.

    Attributes:
        state_dict: Our names → tensors.
        mapped: (their name, our name) pairs.
        unused: Their names that have no influence on the released model's output.
    """

    state_dict: dict[str, Tensor]
    mapped: list[tuple[str, str]]
    unused: list[str]


def convert_released_mgca(state_dict: dict[str, Tensor]) -> ConvertedCheckpoint:
    """Rename a released state dict; both encoders, projectors and prototypes.

    Args:
        state_dict: What stands under ``state_dict`` in a released checkpoint.

    Returns:
        The converted state dict with a report.

    Raises:
        UserError: If a name is unknown, or an encoder, a projector or the prototypes are absent.
    """
    converted, mapped, unused, unknown = {}, [], [], []
    for name, tensor in state_dict.items():
        if _UNUSED.fullmatch(name):
            unused.append(name)
            continue
        new_name = _rename(name)
        if new_name is None:
            unknown.append(name)
            continue
        # Token projectors were 1x1 convolutions over the sequence.
        converted[new_name] = tensor.squeeze(-1) if tensor.dim() == 3 and ".fc" in new_name else tensor
        mapped.append((name, new_name))
    if unknown:
        raise UserError(
            f"Not a released MGCA checkpoint: {len(unknown)} unknown names, the first is '{unknown[0]}'.\n"
            "Expected names such as 'img_encoder_q.model.…', 'text_encoder_q.model.…', 'prototype_layer.weight'."
        )
    parts = ["image_encoder", "text_encoder", *_HEADS.values(), "alignments.cpa"]
    absent = [part for part in parts if not any(name.startswith(part + ".") for name in converted)]
    if absent:
        raise UserError(f"The released MGCA checkpoint is incomplete: it holds nothing for {', '.join(absent)}.")
    # The released text model has no token types, which is the same as types whose embedding is zero.
    embeddings = "text_encoder.model.embeddings."
    hidden_size = converted[embeddings + "word_embeddings.weight"].shape[1]
    # It looks positions up through a stored buffer; folding the look-up into the table is exact for any buffer.
    position_ids = state_dict.get("text_encoder_q.model.embeddings.position_ids")
    if position_ids is not None:
        table = embeddings + "position_embeddings.weight"
        converted[table] = converted[table][position_ids.flatten().long()]
    converted[embeddings + "token_type_embeddings.weight"] = torch.zeros(2, hidden_size)
    return ConvertedCheckpoint(converted, mapped, unused)


def _rename(name: str) -> str | None:
    head = re.fullmatch(r"(img|text)_encoder_q\.(global|local)_embed\.head\.([0134])\.(.+)", name)
    if head:
        modality, granularity, layer, parameter = head.groups()
        return f"{_HEADS[modality, granularity]}.{_HEAD_LAYERS[layer]}.{parameter}"
    for pattern, replacement in _RENAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return None
