"""Text models and writers of reports have a row for each piece of the folder's tokenizer."""

import pytest

from mgca_mm.engine.config import load_config, require_data
from mgca_mm.errors import UserError
from mgca_mm.reports.tokenizer import load_tokenizer

SIZES = {
    "pretrain_resnet18": "model.text_encoder.config.vocab_size",
    "pretrain_caption_lstm_resnet18": "model.alignments.caption.vocab_size",
    "zero_shot": "model.text_encoder.config.vocab_size",
}


@pytest.fixture
def small_vocabulary(tmp_path):
    """Writes a config on one of the quickstart whose vocabulary is 50."""

    def write(name):
        path = tmp_path / "small.py"
        part = "50"
        for key in reversed(SIZES[name].split(".")[1:]):
            part = f"dict({key}={part})"
        path.write_text(f"_base_ = 'mgca_mm::quickstart/{name}.py'\nmodel = {part}\n")
        return str(path)

    return write


def size_of(cfg, name):
    for key in SIZES[name].split("."):
        cfg = cfg[key]
    return cfg


@pytest.mark.parametrize("name", SIZES)
def test_a_vocabulary_grows_to_the_tokenizer(small_vocabulary, prepared, name, tmp_path):
    pieces = len(load_tokenizer(str(prepared / "data/tokenizer")))
    path, options = small_vocabulary(name), {"data_root": str(prepared / "data")}
    cfg = load_config(path, options)
    assert size_of(cfg, name) == pieces > 50
    require_data(cfg)
    assert size_of(load_config(f"quickstart/{name}", options), name) == 2000 > pieces, "it does not shrink"
    assert size_of(load_config(path, {"data_root": str(tmp_path / "none")}), name) == 50
    cfg = load_config(path, options | {SIZES[name]: 60})
    assert size_of(cfg, name) == 60, "an option has the last word"
    with pytest.raises(UserError, match=f"has {pieces} pieces, but {SIZES[name]} is 60.\nSet {SIZES[name]}={pieces}"):
        require_data(cfg)
