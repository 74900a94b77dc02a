"""Tokenizers in folders of others: what they name, and what would take without end, is not followed."""

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import RobertaTokenizerFast

from mgca_mm.engine.vocabulary import require_embeddings
from mgca_mm.errors import UserError
from mgca_mm.reports.tokenizer import load_tokenizer, train_tokenizer
from tests.test_fuzz.cases import bounded, in_time
from tests.test_fuzz.test_model_folders import unigram

SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}
TEXT = "No pleural effusion, 2.5 cm.  x"


@pytest.fixture
def folder(tmp_path):
    train_tokenizer(["no pleural effusion", "lungs are clear"], 200).save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def change(file, *keys, value):
    content = json.loads(file.read_text())
    node = content
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    file.write_text(json.dumps(content))


def replacing(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("normalizer", replacing({"Regex": "(a+)+$"}, "")),
        ("normalizer", replacing({"Regex": "a+b"}, "")),  # 44 s for a report of 112,000 letters a
        (
            "pre_tokenizer",
            {"type": "Split", "pattern": {"Regex": r"(\\w+\\s?)*$"}, "behavior": "Isolated", "invert": False},
        ),
        ("normalizer", replacing({"String": "e"}, "e" * 10**7)),
        ("normalizer", {"type": "Sequence", "normalizers": [replacing({"String": "e"}, "ee")] * 30}),
        ("normalizer", {"type": "Prepend", "prepend": "e" * 10**6}),
        ("normalizer", {"type": "Sequence", "normalizers": [{"type": "Lowercase"}] * 1000}),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "BAAAAAAAAAA" + "YWFh" * 100}),
    ],
)
def test_steps_that_take_without_end_or_lengthen_a_text(folder, key, value):
    change(folder / "tokenizer.json", key, value=value)
    with in_time(), bounded(400 * 2**20), pytest.raises(UserError, match=r"refused|damaged"):
        load_tokenizer(str(folder))


def test_a_word_of_any_length_is_not_looked_up_piece_by_piece(folder):
    change(folder / "tokenizer.json", "model", "max_input_chars_per_word", value=10**9)
    with pytest.raises(UserError, match="max_input_chars_per_word"):
        load_tokenizer(str(folder))


def test_no_other_file_is_read(folder, tmp_path):
    """Which tokenizer_config.json and its like may name."""
    other = train_tokenizer(["something else"], 200)
    other.save_pretrained(tmp_path / "other")
    expected = load_tokenizer(str(folder)).get_vocab()
    named = str(tmp_path / "other" / "tokenizer.json")
    for key, value in (("tokenizer_file", named), ("vocab_file", named), ("fast_tokenizer_files", ["../other/x"])):
        change(folder / "tokenizer_config.json", key, value=value)
    assert load_tokenizer(str(folder)).get_vocab() == expected != other.get_vocab()


def test_a_text_is_cut_and_padded_on_the_right(folder):
    tokenizer = load_tokenizer(str(folder))
    for key in ("padding_side", "truncation_side"):
        change(folder / "tokenizer_config.json", key, value="left")
    cut = {"direction": "Left", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    change(folder / "tokenizer.json", "truncation", value=cut)
    options = dict(max_length=6, truncation=True, padding="max_length")
    for text in ("no", "no pleural effusion lungs are clear"):
        assert load_tokenizer(str(folder))(text, **options).input_ids == tokenizer(text, **options).input_ids


@pytest.mark.parametrize(
    "value", [None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]
)
def test_nothing_around_a_text(folder, value):
    """Then [CLS] and [SEP] are put there."""
    expected = load_tokenizer(str(folder))(TEXT).input_ids
    change(folder / "tokenizer.json", "post_processor", value=value)
    assert load_tokenizer(str(folder))(TEXT).input_ids == expected


def test_other_families_are_read_as_before(tmp_path):
    """A tokenizer of RoBERTa from all its files, and from vocabulary and merges alone; one of sentencepiece."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    learner.train_from_iterator(["no pleural effusion seen"] * 5, trainer)
    learner.model.save(str(tmp_path))
    roberta = RobertaTokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    roberta.save_pretrained(tmp_path / "roberta")
    assert load_tokenizer(str(tmp_path / "roberta"))(TEXT).input_ids == roberta(TEXT).input_ids
    (tmp_path / "roberta" / "tokenizer.json").unlink()
    assert load_tokenizer(str(tmp_path / "roberta"))(TEXT).input_ids == roberta(TEXT).input_ids
    unigram().save_pretrained(tmp_path / "unigram")
    assert load_tokenizer(str(tmp_path / "unigram"))(TEXT).input_ids == unigram()(TEXT).input_ids


def test_more_pieces_than_the_text_model_has(folder, tmp_path):
    (tmp_path / "config.json").write_text('{"vocab_size": 20}')
    pipeline = [dict(type="TokenizeReport", tokenizer=str(folder))]
    cfg = dict(model=dict(text_encoder=dict(pretrained=str(tmp_path))))
    with pytest.raises(UserError, match=r"pieces, but the text model .* 20"):
        require_embeddings(cfg, dict(pipeline=pipeline))
