"""Text models as transformers saves them, of which nothing is read but config.json and weights, and by us."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_buffer_registration_hook as watch_buffers
from torch.nn.modules.module import register_module_parameter_registration_hook as watch_parameters
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForTextEncoding, PretrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES,
)

from mgca_mm.bounds import read_json
from mgca_mm.checkpoints.reading import read_checkpoint
from mgca_mm.errors import UserError, first_line
from mgca_mm.model_folders import OWN_CODE, find_file, model_type

# The first that is there is taken, in transformers' order.
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# Kinds of models that read text. Others, of images and sounds, load further models that config.json names.
_KINDS = {
    *MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    *MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES,
    *MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    *MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
}
# Keys of config.json that name files, code and kernels to be loaded, or are of a head, which is not loaded.
_LEFT_OUT = frozenset(
    {"auto_map", "transformers_weights", "configuration_files", "attn_implementation", "_attn_implementation"}
) | {"num_labels", "id2label", "label2id", "dtype", "torch_dtype", "return_dict", "torchscript"}
_MOST_TENSORS = 10_000  # of a model; BERT-large has 400
# Numbers that a model may have besides those in the file: the indices of its positions, the masks of GPT-2's layers.
_SMALL = 2**24


def make_text_model(config: PretrainedConfig, **kwargs: Any) -> nn.Module:
    """A randomly initialized model of transformers, whole; arguments as of ``from_config``."""
    # Of T5 and its kind this is the encoder alone.
    auto = AutoModelForTextEncoding if config.model_type in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES else AutoModel
    return auto.from_config(config, **kwargs)


def encoder_of(model: nn.Module) -> nn.Module:
    """The part that reads: the encoder of an encoder–decoder (T5, BART), the whole of any other model."""
    return model.get_encoder() if model.config.is_encoder_decoder else model


def layers_kept(kind: str, count: int | None) -> dict[str, int]:
    """What to write into a config of a kind of model so that only its first layers are built; None: all."""
    if count is None:
        return {}
    key = "encoder_layers" if hasattr(CONFIG_MAPPING[kind](), "encoder_layers") else "num_hidden_layers"
    return {key: count}


def load_text_model(name: str, num_layers: int | None, **kwargs: Any) -> nn.Module:
    """Load an encoder of transformers from a folder, or from the hub where no such folder exists.

    Args:
        name: Folder or hub name.
        num_layers: Keep the first layers only. None: all.
        kwargs: Arguments of ``from_config`` and ``from_pretrained`` of transformers.

    Raises:
        UserError: It cannot be had, is no encoder of text, or config.json and weights are not of one model.
    """
    content, kind = _read_config(name)
    weights = _read_weights(name)
    try:
        config = CONFIG_MAPPING[kind].from_dict({**content, **layers_kept(kind, num_layers)})
        # Without memory first, to see that the model is as large as the weights.
        with torch.device("meta"), _no_larger_than(name, weights):
            model_class = type(make_text_model(config, **kwargs))
        model, info = model_class.from_pretrained(
            None, config=config, state_dict=weights, output_loading_info=True, **kwargs
        )
        encoder = encoder_of(model)
    except UserError:
        raise
    except Exception as error:  # whichever of a hundred values of config.json leads to in a constructor of transformers
        raise UserError(
            f"Text encoder '{name}' could not be loaded: {first_line(error)}\n"
            "config.json must be the one that was saved with its weights."
        ) from error
    unread = ["pooler"] if encoder is model else ["pooler", "decoder."]
    unread += [name for name, module in model.named_modules() if _makes_its_weight(module)]
    missing = [name for name in info["missing_keys"] if not any(part in name for part in unread)]
    if missing:
        raise UserError(
            f"Text encoder '{name}' holds only a part of its model; {len(missing)} missing: "
            f"{', '.join(sorted(missing)[:3])}…\nDownload it again, or lower model.text_encoder.num_hidden_layers."
        )
    if encoder.config.num_hidden_layers < 1:
        raise UserError(f"Text encoder '{name}': config.json asks for a model without layers.")
    return encoder


def _read_config(name: str) -> tuple[dict[str, Any], str]:
    """config.json and the kind of model."""
    try:
        path = find_file(name, "config.json", required=True)
    except Exception as error:  # the hub's client raises a dozen kinds
        raise UserError(
            f"Text encoder '{name}' could not be loaded: {first_line(error)}\n"
            "Download it on a machine with access and point to the folder: --cfg-options text_model=DIR (in a config "
            "without text_model: model.text_encoder.pretrained=DIR)"
        ) from error
    if path is None:
        raise UserError(
            f"Text encoder '{name}' could not be loaded: there is no config.json\n"
            "it needs config.json and the weights as transformers saves them"
        )
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"'{path}' is no config of transformers: a dict is expected.")
    kind = model_type(content, name)
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise UserError(f"Text encoder '{name}' {OWN_CODE}")
    parts = CONFIG_MAPPING[kind].sub_configs
    if kind == "clip" and isinstance(content.get("text_config"), dict):  # its text model has the names of its weights
        content, kind = content["text_config"], parts["text_config"].model_type
    elif kind not in _KINDS or parts:
        raise UserError(
            f"Text encoder '{name}' is a model of the kind '{kind}'.\n"
            "Take an encoder of text, such as a BERT, RoBERTa, T5 or GPT-2."
        )
    if content.get("quantization_config"):
        raise UserError(f"Text encoder '{name}' is quantized.\nTake the model that it was made of.")
    return {key: value for key, value in content.items() if key not in _LEFT_OUT}, kind


def _read_weights(name: str) -> dict[str, Tensor]:
    file = next((path for file in _WEIGHTS if (path := _optional(name, file)) is not None), None)
    if file is None:
        raise UserError(
            f"Text encoder '{name}' could not be loaded: it has no weights ({', '.join(_WEIGHTS[::2])})\n"
            "it needs config.json and the weights as transformers saves them"
        )
    files = [file] if file.suffix != ".json" else [_shard(name, file, shard) for shard in _shards(file)]
    weights: dict[str, Tensor] = {}
    for path in files:
        content = read_checkpoint(path)
        content = content["state_dict"] if path.suffix == ".safetensors" else content
        if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
            raise UserError(f"'{path}' holds more than weights, or none.\nIt must be as transformers saves it.")
        weights |= content
    return weights


def _optional(name: str, file: str) -> Path | None:
    try:
        return find_file(name, file)
    except Exception as error:  # the hub's client raises a dozen kinds
        raise UserError(f"Text encoder '{name}': {file} cannot be downloaded: {first_line(error)}") from error


def _shards(index: Path) -> list[str]:
    """Plain names of the files in which the weights are: an index may name no other folder."""
    content = read_json(index)
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    names = weight_map.values() if isinstance(weight_map, dict) else ()
    suffix = Path(index.name.removesuffix(".index.json")).suffix
    if not names or not all(
        isinstance(name, str) and name == os.path.basename(name) and "\0" not in name and name.endswith(suffix)
        for name in names
    ):
        raise UserError(f"'{index}' is refused: its weight_map must name {suffix} files that stand beside it.")
    return sorted(set(names))


def _shard(name: str, index: Path, shard: str) -> Path:
    path = _optional(name, shard)
    if path is None:
        raise UserError(f"'{index}' names '{shard[:80]}', which is not there.\nDownload the model again.")
    return path


def _makes_its_weight(module: nn.Module) -> bool:
    """Whether a module computes its positions, which Marian therefore does not save."""
    return type(module).__name__.endswith("SinusoidalPositionalEmbedding")


@contextmanager
def _no_larger_than(name: str, weights: dict[str, Tensor]) -> Iterator[None]:
    """Stop the construction of a model at its first parameter that no weight can fill, or at too many of them.

    Positions that a model makes may be as many numbers as all its weights: it takes a microsecond for each.

    config.json may ask for sizes, and numbers of layers, of which the mere construction takes hours.
    """
    shapes = {tuple(tensor.shape) for tensor in weights.values()}
    weighed = sum(tensor.numel() for tensor in weights.values())
    most = 2 * weighed + _SMALL
    tensors = numbers = 0

    def check(tensor: Tensor | None) -> None:
        nonlocal tensors, numbers
        if tensor is not None:
            tensors, numbers = tensors + 1, numbers + tensor.numel()
        if tensors > _MOST_TENSORS or numbers > most:
            raise UserError(f"Text encoder '{name}': config.json asks for a far larger model than the weights are.")

    def check_parameter(module: nn.Module, key: str, tensor: Tensor | None) -> None:
        check(tensor)
        if tensor is None or tuple(tensor.shape) in shapes:
            return
        if not _makes_its_weight(module) or tensor.numel() > weighed:
            raise UserError(
                f"Text encoder '{name}': config.json asks for a {key} of {tuple(tensor.shape)} in a "
                f"{type(module).__name__}, and no weight has that shape.\n"
                "config.json must be the one that was saved with its weights."
            )

    handles = [watch_parameters(check_parameter), watch_buffers(lambda module, key, tensor: check(tensor))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
