"""What a training run reads, made up in seconds: random pixels, reports of the phantom and an untrained text model."""

import shutil
from pathlib import Path

from transformers import AutoConfig, AutoModel, AutoTokenizer

from .data import write_prepared


def write_training_data(folder: Path, num_rows: int, num_hidden_layers: int = 12) -> None:
    """Write a prepared folder, and beside its splits the text model that the pretraining configs ask for.

    Args:
        folder: Becomes ``data_root``; ``text_model`` in it becomes that of the config.
        num_rows: Image-report pairs of each split, in a store of (N, 256, 256) uint8.
        num_hidden_layers: Of the text model, a BERT-Base otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_prepared(folder, num_rows)
    for split in ("val", "test"):
        shutil.copy(folder / "train.json", folder / f"{split}.json")
    config = AutoConfig.for_model("bert", vocab_size=28996, num_hidden_layers=num_hidden_layers)
    AutoModel.from_config(config).save_pretrained(folder / "text_model")
    AutoTokenizer.from_pretrained(folder / "tokenizer").save_pretrained(folder / "text_model")
