"""Folders of tokenizers and text models with any fault in their structure: they work, or a ``UserError`` tells."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from mgca_mm.errors import UserError
from mgca_mm.models import TextEncoder
from mgca_mm.reports.tokenizer import load_tokenizer, train_tokenizer
from tests.test_fuzz.cases import at, bounded, cases, few, in_time, places, spoil_bytes, spoil_json, words

TEXTS = ["no pleural effusion", "", "x" * 3000, "café [CLS] 2.5 cm \U0001fa7b " * 40]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def unigram():
    """With every kind of step that sentencepiece's tokenizers have."""
    pieces = [*SPECIAL, "▁no", "▁", *"effusionpleural"]
    tokenizer = Tokenizer(
        models.Unigram([(piece, -1.0 - n) for n, piece in enumerate(dict.fromkeys(pieces))], unk_id=1)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    around = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    names = dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole")
    train_tokenizer(["no pleural effusion", "lungs are clear"], 200).save_pretrained(root / "wordpiece")
    unigram().save_pretrained(root / "unigram")
    shutil.copytree(root / "wordpiece", root / "vocabulary")
    (root / "vocabulary" / "tokenizer.json").unlink()
    sizes = dict(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    model = AutoModel.from_config(AutoConfig.for_model("bert", **sizes, max_position_embeddings=32))
    model.save_pretrained(root / "safetensors")
    model.save_pretrained(root / "shards", max_shard_size="50KB")
    model.save_pretrained(root / "torch", max_shard_size="50KB", safe_serialization=False)
    return root


numbers = st.sampled_from((-(10**9), -1, 0, 1, 3, 10**5, 10**6, 10**9, 2**31, 2**63, 10**40, 0.5, 1e308))
_REGEXES = ["(a+)+$", "a+b", "(x+x+)+y", " {2,}", "[", "(?=x*)", "x*"]


def spoil_numbers(data, content) -> None:
    """Set numbers, of which the sizes of what is built are made, to others; and the steps of a tokenizer."""
    nodes, todo = [], [content]
    while todo:
        node = todo.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        nodes += [(node, key) for key in keys if isinstance(node[key], int | float | str)]
        todo += [node[key] for key in keys if isinstance(node[key], dict | list)]
    for _ in range(data.draw(few)):
        if nodes:
            node, key = nodes[at(nodes, data.draw(places))]
            node[key] = data.draw(numbers if isinstance(node[key], int | float) else words)
    if "normalizer" in content and data.draw(st.booleans()):
        pattern = data.draw(st.sampled_from(_REGEXES))
        kind = data.draw(st.sampled_from(("Regex", "String")))
        long = data.draw(st.sampled_from(("", "y", "y" * 1000, "y" * 10**6)))
        content["normalizer"] = {"type": "Replace", "pattern": {kind: pattern}, "content": long}


def spoil_folder(data, folder: Path) -> None:
    for _ in range(data.draw(few)):
        # A file that was dropped before is a file no more.
        files = sorted(path for path in folder.iterdir() if path.is_file())
        if not files:
            return
        file = files[at(files, data.draw(places))]
        kind = data.draw(st.sampled_from(("json", "json", "numbers", "numbers", "lines", "bytes", "names", "file")))
        if kind in ("json", "numbers", "names") and file.suffix == ".json":
            try:
                content = json.loads(file.read_text())
            except (ValueError, RecursionError):
                continue  # spoilt before
            if not isinstance(content, dict):
                continue
            if kind == "names" and "weight_map" in content:
                name = data.draw(words | st.sampled_from(("../torch/config.json", "/etc/passwd", "config.json")))
                for key in list(content["weight_map"])[:: data.draw(st.sampled_from((1, 7)))]:
                    content["weight_map"][key] = name
            else:
                (spoil_numbers if kind == "numbers" else spoil_json)(data, content)
            file.write_text(json.dumps(content))
        elif kind == "lines" and file.suffix == ".txt":
            lines = file.read_text(errors="replace").split("\n")
            lines[at(lines, data.draw(places))] = data.draw(words)
            file.write_text("\n".join(lines[data.draw(st.sampled_from((0, 0, 1, 4))) :]), errors="replace")
        elif kind == "bytes":
            file.write_bytes(spoil_bytes(data, file.read_bytes()))
        elif kind == "file":
            other = files[at(files, data.draw(places))]
            how = data.draw(st.sampled_from(("absent", "empty", "folder", "other", "deep")))
            content = other.read_bytes() if how == "other" else b"[" * 10**5 if how == "deep" else b""
            file.unlink()
            if how == "folder":
                file.mkdir()
            elif how != "absent":
                file.write_bytes(content)


def spoilt(data, whole: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "case"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    spoil_folder(data, folder)
    return folder


def limit(folder: Path) -> int:
    return 10 * sum(path.stat().st_size for path in folder.iterdir()) + 200 * 2**20


def assert_told(error: UserError) -> None:
    """In few lines, and not because memory ran out: it must not have been asked for."""
    message = str(error)
    assert len(message.splitlines()) <= 3 and "allocate" not in message and "MemoryError" not in message, message


@pytest.fixture(scope="module", autouse=True)
def warm(folders):
    """What is imported at the first use is no part of a case."""
    load_tokenizer(str(folders / "wordpiece"))
    TextEncoder(pretrained=str(folders / "shards"), max_length=8)


@given(st.data(), st.sampled_from(("wordpiece", "unigram", "vocabulary")))
@cases(12, 1000)
def test_tokenizers(folders, tmp_path_factory, data, kind):
    folder = spoilt(data, folders / kind, tmp_path_factory.getbasetemp())
    with in_time(), bounded(limit(folder)):
        try:
            tokenizer = load_tokenizer(str(folder))
        except UserError as error:
            assert_told(error)
            return
        for text in TEXTS:
            ids = tokenizer(text, max_length=16, truncation=True, padding="max_length")["input_ids"]
            assert len(ids) == 16 and ids[0] == tokenizer.cls_token_id
            tokenizer.decode(ids)


@given(st.data(), st.sampled_from(("safetensors", "shards", "torch")))
@cases(12, 1000)
def test_text_models(folders, tmp_path_factory, data, kind):
    folder = spoilt(data, folders / kind, tmp_path_factory.getbasetemp())
    with in_time(), bounded(limit(folder)):
        try:
            encoder = TextEncoder(pretrained=str(folder), max_length=8).eval()
        except UserError as error:
            assert_told(error)
            return
        ids, mask = torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long)
        features = encoder(ids, mask, torch.zeros(2, 8, dtype=torch.bool))
        assert features.global_feature.shape[0] == 2 and features.global_feature.isfinite().all()
