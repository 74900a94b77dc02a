"""Names of the released MGCA checkpoints → names of ``configs/mgca/released_*.py``."""

import re

import torch
from torch import Tensor

from mgca_mm.errors import UserError

from . import timm_vit
from .architecture import bert_shapes, require_backbone
from .preprocessing import HALF, of_unit
from .renaming import ConvertedCheckpoint, part_of, rename, rename_all, require_shapes

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
_UNUSED = r".*\.crossattention\..*|.*\.position_ids|(patch|word)_local_atten_layer\..*|.*\.pooler\..*"
_KIND = "the released MGCA code"


def convert_released_mgca(state_dict: dict[str, Tensor]) -> ConvertedCheckpoint:
    """Rename a released state dict; both encoders, projectors and prototypes.

    Args:
        state_dict: What stands under ``state_dict`` in a released checkpoint.

    Returns:
        The converted state dict with a report.

    Raises:
        UserError: If a name is unknown, or a part of an encoder, a projector or the prototypes are absent.
    """
    converted, mapped, unused = rename_all(state_dict, _rename, _UNUSED, _KIND, "img_encoder_q.model.…")
    parts = ["image_encoder", "text_encoder", *_HEADS.values(), "alignments.cpa"]
    absent = [part for part in parts if not any(name.startswith(part + ".") for name in converted)]
    if absent:
        raise UserError(f"The released MGCA checkpoint is incomplete: it holds nothing for {', '.join(absent)}.")
    embeddings = "text_encoder.model.embeddings."
    text = part_of(converted, "text_encoder.model.")
    # The released text model has no token types, which is the same as types whose embedding is zero.
    types = "token_type_embeddings.weight"
    expected = bert_shapes(text)
    del expected[f"embeddings.{types}"]
    require_shapes(text, expected, _KIND)
    require_backbone(part_of(converted, "image_encoder.backbone."), _KIND)
    for head in _HEADS.values():
        for layer in ("fc1", "fc2"):
            name = f"{head}.{layer}.weight"
            if name in converted and converted[name].dim() == 3:
                # Token projectors were 1x1 convolutions over the sequence.
                converted[name] = converted[name].flatten(1)
        _require_head(part_of(converted, f"{head}."), head)
    if converted.get("alignments.cpa.prototypes", torch.empty(0)).dim() != 2:
        raise UserError("The released MGCA checkpoint is damaged: its prototypes are no table.")
    hidden_size = converted[embeddings + "word_embeddings.weight"].shape[1]
    # The released code calls its BERT with token types, all zero, where that expects position_ids: every piece takes
    # row 0, and the buffer position_ids of the checkpoint is never read. Row 0 in every row is the same to any caller.
    table = embeddings + "position_embeddings.weight"
    converted[table] = converted[table][:1].repeat(len(converted[table]), 1)
    converted[embeddings + types] = torch.zeros(2, hidden_size)
    return ConvertedCheckpoint(converted, mapped, unused, (embeddings + types,), of_unit(*HALF, 224))


def _require_head(weights: dict[str, Tensor], head: str) -> None:
    """Check that the layers of a projector follow each other."""
    widths = {}
    for layer, norm in (("fc1", "norm1"), ("fc2", "norm2")):
        weight = weights.get(f"{layer}.weight")
        if weight is None or weight.dim() != 2 or not weight.numel():
            raise UserError(f"The released MGCA checkpoint is damaged: {head}.{layer}.weight is missing or no matrix.")
        widths[layer] = widths[norm] = weight.shape[0]
    if weights["fc2.weight"].shape[1] != widths["fc1"]:
        raise UserError(f"The released MGCA checkpoint is damaged: the layers of {head} do not follow each other.")
    for name, tensor in weights.items():
        layer, _, parameter = name.partition(".")
        if parameter != "num_batches_tracked" and tensor.shape[:1] != (widths[layer],):
            raise UserError(f"The released MGCA checkpoint is damaged: {head}.{name} is of another size.")


def _rename(name: str) -> str | None:
    head = re.fullmatch(r"(img|text)_encoder_q\.(global|local)_embed\.head\.([0134])\.(.+)", name)
    if head:
        modality, granularity, layer, parameter = head.groups()
        return f"{_HEADS[modality, granularity]}.{_HEAD_LAYERS[layer]}.{parameter}"
    return rename(name, _RENAMES)
