"""Reports tokenized in advance give the samples that reports tokenized at each visit give."""

import itertools
import json
import pickle

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from mmengine.runner import Runner

from mgca_mm.benchmarks.data import PIPELINE
from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.seeding import seed_samples
from mgca_mm.datasets.tokenization import tokenize_once
from mgca_mm.datasets.transforms import SampleSentence, TokenizeReport
from mgca_mm.datasets.transforms.piece_table import PieceTable
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError
from mgca_mm.reports.tokenizer import load_tokenizer, train_tokenizer
from tests.conftest import ROOT
from tests.test_faults import runs
from tests.test_fuzz.test_model_folders import unigram

REPORTS = [
    ["heart size is normal", "lungs are clear"],
    ["pneumonia"],
    ["no effusion"] * 20,
    "one text. of two sentences",
    [],
    "",
    "[PAD] [CLS] pneumonia [SEP] [UNK]",
    "\ud800\udcff lungs",
    "lungs\0are\nclear\u200b",
    "ÿ🙂中" * 9,
    "pneumonia" * 20_000,
]
KEYS = ("input_ids", "attention_mask", "is_continuation")


@pytest.fixture(scope="module", params=["wordpiece", "unigram"])
def tokenizer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "tokenizer"
    trained = train_tokenizer(["heart size is normal", "no pneumonia"], 40)
    (trained if request.param == "wordpiece" else unigram()).save_pretrained(folder)
    return folder


def tokenized(tokenizer, report, length):
    """By transformers' own padding."""
    text = report if isinstance(report, str) else " ".join(report)
    text = text[: 1000 * length].encode("utf-8", "replace").decode()
    encoding = tokenizer(text, max_length=length, truncation=True, padding="max_length")
    words = encoding.word_ids()
    inner = [False] + [word is not None and word == previous for previous, word in itertools.pairwise(words)]
    return np.int64(encoding["input_ids"]), np.int64(encoding["attention_mask"]), np.array(inner)


@pytest.mark.parametrize("length", [3, 12])
def test_pieces_are_those_of_transformers(tokenizer, length):
    live, remembering = (TokenizeReport(str(tokenizer), length) for _ in range(2))
    assert remembering.remember(dict(report=report) for report in REPORTS) == len(REPORTS) - 1  # [] and "" are one
    remembering = pickle.loads(pickle.dumps(remembering))  # as to a worker that is not forked
    remembering._encode = None  # it must not be needed
    loaded = load_tokenizer(str(tokenizer))
    for report in REPORTS:
        expected = tokenized(loaded, report, length)
        for transform in (live, remembering):
            found = transform.transform(dict(report=report))
            for key, value in zip(KEYS, expected, strict=True):
                assert found[key].dtype == value.dtype and np.array_equal(found[key], value), (key, report)
    assert len({tuple(live.transform(dict(report=report))["input_ids"]) for report in REPORTS}) > 3


def test_other_reports_are_tokenized_at_the_visit(tokenizer):
    live, remembering = (TokenizeReport(str(tokenizer), 12) for _ in range(2))
    remembering.remember([dict(report=REPORTS[0])])
    for report in ("heart", REPORTS[0]):
        first, second = live.transform(dict(report=report)), remembering.transform(dict(report=report))
        assert all(np.array_equal(first[key], second[key]) for key in KEYS)


def test_samples_do_not_share_memory(tokenizer):
    """A transform behind may write into them."""
    transform = TokenizeReport(str(tokenizer), 12)
    transform.remember([dict(report="heart")])
    first = transform.transform(dict(report="heart"))
    expected = {key: first[key].copy() for key in KEYS}
    for key in KEYS:
        first[key][:] = 1
    assert all(np.array_equal(transform.transform(dict(report="heart"))[key], expected[key]) for key in KEYS)


def test_table():
    items = {f"text {number}": [number, -number][: number % 3] for number in range(1000)}
    table = PieceTable(items.items())
    assert len(table) == 1000 and all(table.get(text).tolist() == numbers for text, numbers in items.items())
    assert table.get("text") is None and table.get("") is None
    assert PieceTable([]).get("text") is None


def batches(folder, transforms, once, workers=0):
    pipeline = [dict(type="mgca_mm.LoadRadiograph"), *transforms, dict(type="mgca_mm.PackImageReportInputs")]
    parts = [ImageReportDataset(folder, f"{name}.json", pipeline=pipeline, allow_empty=True) for name in "abc"]
    loader = Runner.build_dataloader(
        dict(
            batch_size=2,
            num_workers=workers,
            sampler=dict(type="mgca_mm.ReproducibleSampler"),
            collate_fn=dict(type="default_collate"),
            dataset=ConcatDataset(parts),
        ),
        seed=0,
    )
    seed_samples(loader.dataset)
    if once:
        tokenize_once(loader.dataset)
        for part in parts[:2]:
            part.pipeline.transforms[-2]._encode = None  # it must not be needed
    return [batch["inputs"] for _ in range(3) for batch in loader]


@pytest.mark.parametrize("sentences", [False, True])
def test_loaders(tmp_path, sentences):
    """Of several data sets, one of them empty; whole reports and one sentence drawn at each visit."""
    train_tokenizer(["heart size is normal", "no pneumonia"], 40).save_pretrained(tmp_path / "tokenizer")
    np.save(tmp_path / "images.npy", np.zeros((4, 8, 8), np.uint8))
    reports = [["heart is normal", "no pneumonia", "clear"], ["size", "lungs"], ["no heart"], "normal size. no lungs"]
    rows = [dict(image_index=number, image_id=f"i{number}", report=report) for number, report in enumerate(reports)]
    for name, part in zip("abc", (rows[:3], rows[3:], []), strict=True):
        (tmp_path / f"{name}.json").write_text(json.dumps(dict(metainfo={}, data_list=part)))
    transforms = [SampleSentence()] if sentences else []

    def load(**options):
        return batches(tmp_path, [*transforms, TokenizeReport(max_length=12)], **options)

    expected = load(once=False)
    assert len({tuple(row.tolist()) for batch in expected for row in batch["input_ids"]}) >= 4
    for workers in (0, 2):
        found = load(once=True, workers=workers)
        for first, second in zip(expected, found, strict=True):
            assert first.keys() == second.keys()
            assert all(torch.equal(first[key], second[key]) for key in first)


class Shout(BaseTransform):
    """A transform of a user's that makes or changes the report."""

    def transform(self, results):
        return {**results, "report": f"{results['image_id']} clear"}


def test_reports_that_a_transform_may_change_are_tokenized_at_each_visit(tmp_path):
    train_tokenizer(["heart size is normal", "no pneumonia"], 40).save_pretrained(tmp_path / "tokenizer")
    rows = [dict(image_index=0, image_id="a", report=["normal"])]
    (tmp_path / "a.json").write_text(json.dumps(dict(metainfo={}, data_list=rows)))
    tokenize = TokenizeReport(max_length=12)
    dataset = ImageReportDataset(data_root=tmp_path, ann_file="a.json", pipeline=[Shout(), tokenize])
    tokenize_once(dataset)
    assert tokenize._remembered is None
    dataset.pipeline.transforms.pop(0)
    tokenize_once(dataset)
    assert tokenize._remembered is not None


def test_a_tokenizer_that_is_missing(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded"):
        TokenizeReport(str(tmp_path / "absent")).remember([dict(report="x")])


def test_the_benchmark_has_the_pipeline_of_the_fast_config():
    cfg = Config.fromfile(ROOT / "configs/mgca/pretrain_vit_fast.py")
    pipeline = [{**step, "type": f"mgca_mm.{step['type']}"} for step in cfg.train_dataloader.dataset.pipeline]
    assert [{key: value for key, value in step.items() if key != "tokenizer"} for step in pipeline] == list(PIPELINE)
    assert cfg.train_dataloader.batch_size == 144


def test_a_training_does_it_once(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr("mgca_mm.engine.runner.tokenize_once", done.append)
    cfg = runs.make_config(runs.make_data(tmp_path / "data"), tmp_path / "run", epochs=1, batch_size=8)
    runner = PrivateRunner.from_cfg(cfg)
    runner.train()
    assert done == [runner.train_dataloader.dataset]
