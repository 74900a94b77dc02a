import json
import math
import os
import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, default_collate
from mmengine.registry import DATASETS as ROOT_DATASETS
from torch.utils.data import DataLoader

from mgca_mm.apis.prepared import load_pairs
from mgca_mm.datasets.identity import pseudonym
from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.transforms import SampleSentence, TokenizeLocation, TokenizeReport
from mgca_mm.errors import UserError
from mgca_mm.evaluation import ImageReportRetrieval
from mgca_mm.prepared import load_prepared
from mgca_mm.radiographs.reading import resize_and_pad
from mgca_mm.reports.tokenizer import train_tokenizer

REPORTS = [["heart size is normal", "lungs are clear"], ["large left pleural effusion"], ["pneumonia"], ["no change"]]
PIPELINE = [
    dict(type="mgca_mm.LoadRadiograph"),
    dict(type="mgca_mm.ResizeAndPad", size=40),
    dict(type="mmpretrain.RandomCrop", crop_size=32),
    dict(type="mgca_mm.TokenizeReport", max_length=12),
    dict(type="mgca_mm.PackImageReportInputs"),
]


def write(root, rows, **metainfo):
    root.mkdir(exist_ok=True)
    (root / "train.json").write_text(json.dumps({"metainfo": metainfo, "data_list": rows}))
    return root


@pytest.fixture
def prepared(tmp_path):
    store = np.random.default_rng(0).integers(0, 256, (4, 40, 40), dtype=np.uint8)
    rows = [
        dict(image_index=i, image_id=f"i{i}", patient_id=f"p{i}", study_id=f"s{i}", report=r)
        for i, r in enumerate(REPORTS)
    ]
    root = write(tmp_path / "data", rows, classes=["a"])
    np.save(root / "images.npy", store)
    train_tokenizer([s for r in REPORTS for s in r], 60).save_pretrained(root / "tokenizer")
    return root


def test_sample(prepared):
    dataset = ImageReportDataset(prepared, "train.json", pipeline=PIPELINE)
    assert len(dataset) == 4 and dataset.metainfo["classes"] == ["a"]
    sample = dataset[1]
    inputs = sample["inputs"]
    assert inputs["image"].shape == (1, 32, 32) and inputs["image"].dtype == torch.uint8
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == inputs["is_continuation"].shape == (12,)
    assert sample["data_samples"].image_id == "i1" and sample["data_samples"].study_id == "s1"


def test_reports_of_one_text_have_one_digest(prepared, tmp_path):
    reports = [
        ["lungs are clear", "no effusion"],
        ["no effusion", "lungs are clear"],
        ["lungs are clear", "no effusion"],
    ]
    rows = [dict(image_index=i, image_id=f"i{i}", report=report) for i, report in enumerate(reports)]
    root = write(tmp_path / "same", rows)
    shutil.copy(prepared / "images.npy", root)
    pipeline = [*PIPELINE[:2], dict(PIPELINE[3], tokenizer=str(prepared / "tokenizer")), PIPELINE[4]]
    digests = [sample["data_samples"].report_id for sample in ImageReportDataset(root, "train.json", pipeline=pipeline)]
    assert digests[0] == digests[2] != digests[1] and "clear" not in digests[0]


def test_a_perfect_encoder_finds_every_report(prepared, tmp_path):
    """Reports of the same pieces, all of them or the first ones, are one: nothing could tell them apart."""
    long = ["lungs are clear"] * 20
    reports = [["lungs are clear", "no change"], ["lungs are clear no change"], ["no change"]]
    reports += [[*long, "pneumonia"], [*long, "large left pleural effusion"], "lungs are clear. no change"]
    rows = [dict(image_index=i % 4, image_id=f"i{i}", study_id=f"s{i}", report=r) for i, r in enumerate(reports)]
    root = write(tmp_path / "same", rows)
    shutil.copy(prepared / "images.npy", root)
    pipeline = [*PIPELINE[:2], dict(PIPELINE[3], tokenizer=str(prepared / "tokenizer")), PIPELINE[4]]
    dataset = ImageReportDataset(root, "train.json", pipeline=pipeline)
    found = [(sample["inputs"]["input_ids"].numpy().tobytes(), sample["data_samples"]) for sample in dataset]
    pieces = sorted({ids for ids, _ in found})
    assert 2 < len(pieces) < 6
    metric = ImageReportRetrieval(topk=(1,))
    for ids, sample in found:
        embedding = torch.eye(len(pieces))[pieces.index(ids)]
        metric.process({}, [dict(sample.metainfo_items(), image_embedding=embedding, report_embedding=embedding)])
    assert metric.compute_metrics(metric.results) == {"i2t_R@1": 100, "t2i_R@1": 100}


def test_workers_deliver_batches(prepared):
    dataset = ROOT_DATASETS.build(
        dict(type="mgca_mm.ImageReportDataset", data_root=str(prepared), ann_file="train.json", pipeline=PIPELINE)
    )
    loader = DataLoader(dataset, 2, sampler=DefaultSampler(dataset), num_workers=2, collate_fn=default_collate)
    batches = list(loader)
    assert [b["inputs"]["image"].shape for b in batches] == [(2, 1, 32, 32)] * 2
    assert {s.image_id for b in batches for s in b["data_samples"]} == {"i0", "i1", "i2", "i3"}


def test_the_crop_is_a_window_of_the_stored_image(prepared):
    store = np.load(prepared / "images.npy")
    dataset = ImageReportDataset(prepared, "train.json", pipeline=PIPELINE)
    image = dataset[2]["inputs"]["image"][0].numpy()
    windows = np.lib.stride_tricks.sliding_window_view(store[2], (32, 32))
    assert (windows == image).all(axis=(2, 3)).any()


def test_image_files(tmp_path, prepared):
    image = np.random.default_rng(0).integers(0, 256, (50, 30), dtype=np.uint8)
    rows = [dict(img_path="images/x.png", image_id="x", report=["lungs are clear"])]
    root = write(tmp_path / "files", rows)
    (root / "images").mkdir()
    cv2.imwrite(str(root / "images" / "x.png"), image)
    pipeline = [*PIPELINE[:2], dict(PIPELINE[3], tokenizer=str(prepared / "tokenizer")), PIPELINE[4]]
    sample = ImageReportDataset(root, "train.json", pipeline=pipeline)[0]
    assert np.array_equal(sample["inputs"]["image"][0].numpy(), resize_and_pad(image, 40))
    assert sample["data_samples"].study_id == "x"


def test_pieces_and_words(prepared):
    transform = TokenizeReport(str(prepared / "tokenizer"), max_length=12)
    out = transform({"report": ["lungs are clear", "zebra"]})
    tokenizer = transform._loaded
    pieces = tokenizer.convert_ids_to_tokens(out["input_ids"])
    real = int(out["attention_mask"].sum())
    assert pieces[0] == "[CLS]" and pieces[real - 1] == "[SEP]" and set(pieces[real:]) <= {"[PAD]"}
    assert [piece.startswith("##") for piece in pieces] == out["is_continuation"].tolist()
    assert out["input_ids"].dtype == np.int64 and out["is_continuation"].dtype == bool


def test_long_reports_are_cut_and_empty_ones_survive(prepared):
    transform = TokenizeReport(str(prepared / "tokenizer"), max_length=12)
    out = transform({"report": ["lungs are clear"] * 50})
    assert out["attention_mask"].sum() == 12
    assert transform._loaded.convert_ids_to_tokens(out["input_ids"])[-1] == "[SEP]"
    assert transform({"report": []})["attention_mask"].sum() == 2


def test_pipeline_can_be_sent_to_a_worker(prepared):
    dataset = ImageReportDataset(prepared, "train.json", pipeline=PIPELINE)
    dataset[0]
    size = len(pickle.dumps(dataset.pipeline.transforms[0]))
    assert size < 1000, "the memory map must not travel"


def test_missing_annotations_name_the_command(tmp_path):
    with pytest.raises(UserError, match=r"mgca-mm prepare mimic_cxr --raw DIR --out") as error:
        ImageReportDataset(tmp_path / "mimic_cxr", "train.json")
    assert len(str(error.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data_list": []}, "metainfo"),
        ([], "metainfo"),
        ({"metainfo": {}, "data_list": [{"image_id": "a", "report": []}]}, "entry 0"),
        ({"metainfo": {}, "data_list": [{"image_id": "a", "image_index": 0}]}, "report"),
        ({"metainfo": {}}, "'data_list'"),
        ({"metainfo": {}, "data_list": {"0": {}}}, "list 'data_list'"),
        ({"metainfo": {}, "data_list": 0}, "list 'data_list'"),
        ({"metainfo": {"x": [[]]}, "data_list": []}, "'x' of its metainfo"),
        *(({"metainfo": metainfo, "data_list": []}, "metainfo") for metainfo in (None, 5, [], "x")),
        *(({"metainfo": {"classes": found}, "data_list": []}, "classes") for found in (5, "ab", ["a", "a"], [1], {})),
    ],
)
def test_bad_annotations_name_the_file(tmp_path, content, message):
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        ImageReportDataset(tmp_path, "train.json")
    assert "train.json" in str(error.value)


GOOD = dict(image_index=0, image_id="i0", patient_id="p0", report=["secretword"], labels=[1])
NO_TEXTS = (None, 5, ["x"], {}, "", True)


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("report", (None, 5, [], [5], [["x"]], [None], [""], {}, "")),
        ("labels", (None, 1, [], [1, 0], ["1"], [2], [True], [1.0], [math.nan], [[1]], {"a": 1})),
        ("image_index", (None, -1, 1.0, math.nan, True, "0", [0], -(10**30))),
        *((key, NO_TEXTS) for key in ("image_id", "patient_id", "study_id", "view")),
        ("image_store", ("/etc/passwd", "images.npy")),
        ("img_path", ("x.png",)),  # beside an image_index
        ("extra", ([[[[[[1]]]]]],)),
    ],
)
def test_each_value_is_checked(tmp_path, key, values):
    """In one place for all who read annotations; the message says which entry, and nothing of what it holds."""
    for value in values:
        rows = [GOOD, {**GOOD, "image_id": "i1", key: value}]
        write(tmp_path, rows, classes=["a"])
        with pytest.raises(UserError, match=r"entry 1 (has|lacks) ") as error:
            load_prepared(str(tmp_path / "train.json"))
        assert "secretword" not in str(error.value) and len(str(error.value).splitlines()) <= 3
    assert len(load_prepared(str(write(tmp_path, [GOOD], classes=["a"]) / "train.json"))[1]) == 1


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png", "images/../../x.png", "..", "", "a\0b", 5, None, ["x"]])
def test_files_outside_the_folder_are_not_read(tmp_path, path):
    write(tmp_path, [dict(img_path=path, image_id="x", report=["clear"])])
    with pytest.raises(UserError, match="entry 0 has an img_path that is no file within the folder"):
        load_prepared(str(tmp_path / "train.json"))


@pytest.mark.parametrize("row", [None, 5, "x", [], [1]])
def test_entries_are_dictionaries(tmp_path, row):
    write(tmp_path, [GOOD, row], classes=["a"])
    with pytest.raises(UserError, match="entry 1 is no dictionary"):
        load_prepared(str(tmp_path / "train.json"))


def test_an_image_twice_and_nested_values(tmp_path):
    write(tmp_path, [GOOD, GOOD], classes=["a"])
    with pytest.raises(UserError, match="names an image twice"):
        load_prepared(str(tmp_path / "train.json"))
    for text in ("[" * 100_000, '{"metainfo": {}, "data_list": ' + "[" * 5000 + "]" * 5000 + "}"):
        (tmp_path / "train.json").write_text(text)
        with pytest.raises(UserError, match=r"train\.json"):
            load_prepared(str(tmp_path / "train.json"))


@pytest.mark.parametrize("spoil", ["pickle", "type", "shape", "cut", "claim", "header", "missing", "pipe"])
def test_stores_that_are_none(prepared, spoil):
    """For the loader and for the page."""
    path, store = prepared / "images.npy", np.load(prepared / "images.npy")
    whole = path.read_bytes()
    path.unlink()
    if spoil == "pickle":
        np.save(path, store.astype(object), allow_pickle=True)
    elif spoil == "type":
        np.save(path, store.astype(np.float32))
    elif spoil == "shape":
        np.save(path, store[:, :8])
    elif spoil == "cut":
        path.write_bytes(whole[:-1])
    elif spoil == "claim":
        path.write_bytes(whole.replace(b"(4, 40, 40), }           ", b"(4000000000, 40, 40), }  "))
    elif spoil == "header":
        path.write_bytes(whole.replace(b"{'descr': '|u1'", b"((((((((((((\\(("))
    elif spoil == "pipe":
        os.mkfifo(path)
    for read in (
        lambda: ImageReportDataset(prepared, "train.json", pipeline=PIPELINE)[0],
        lambda: load_pairs(prepared),
    ):
        (prepared / "test.json").write_bytes((prepared / "train.json").read_bytes())
        with pytest.raises(UserError, match=r"images\.npy"):
            read()


def test_a_row_that_the_store_lacks(prepared):
    """The page must not show another image for it."""
    annotations = json.loads((prepared / "train.json").read_text())
    annotations["data_list"][0]["image_index"] = 4
    (prepared / "test.json").write_text(json.dumps(annotations))
    with pytest.raises(UserError, match="has 4 images, and its annotation file asks for number 4"):
        load_pairs(prepared)


def test_an_id_with_a_surrogate_has_a_pseudonym():
    """Names of files need not be UTF-8."""
    assert pseudonym("\udcff") != pseudonym("\udcfe")


def test_broken_store_and_missing_tokenizer(prepared):
    dataset = ImageReportDataset(prepared, "train.json", pipeline=PIPELINE)
    (prepared / "images.npy").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"images\.npy"):
        dataset[0]
    with pytest.raises(UserError, match="cannot be loaded"):
        TokenizeReport(str(prepared / "absent"))({"report": ["x"]})


def test_max_length_leaves_room_for_a_word():
    with pytest.raises(ValueError, match="max_length"):
        TokenizeReport(max_length=2)


def test_a_sentence_that_names_a_location(prepared):
    report = ["no leftover at rightly", "large left pleural effusion", "lungs are clear", "right base is clear"]
    transform, whole = (kind(str(prepared / "tokenizer"), max_length=12) for kind in (TokenizeLocation, TokenizeReport))
    whole({"report": report})
    seen = set()
    for _ in range(100):
        sample = transform({"report": report, "input_ids": "those of the report"})
        assert sample.keys() == {"report", "input_ids", "location_ids", "location_mask"}
        assert sample["input_ids"] == "those of the report"
        seen.add((tuple(sample["location_ids"]), tuple(sample["location_mask"])))
    located = (whole({"report": report[row]}) for row in (1, 3))
    assert seen == {(tuple(one["input_ids"]), tuple(one["attention_mask"])) for one in located}
    for nowhere in (["lungs are clear"], [], "no change"):
        assert not transform({"report": nowhere})["location_mask"].any()
    for text in ("large left pleural effusion", "Effusion, Left."):
        assert transform({"report": text})["location_mask"].sum() > 3


def test_one_sentence_of_a_report():
    sentences = ["the heart is large", "no effusion", "clear lungs"]
    transform = SampleSentence()
    seen = {tuple(transform({"report": list(sentences)})["report"]) for _ in range(200)}
    assert seen == {(sentence,) for sentence in sentences}
    assert transform({"report": []})["report"] == []
    assert transform({"report": "a whole text. of two"})["report"] == "a whole text. of two"
