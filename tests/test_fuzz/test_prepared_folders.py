"""Annotation files, image stores and indices that others have made: samples and finds, or a line that says why not."""

import contextlib
import copy
import gc
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import default_collate
from safetensors.torch import save

from mgca_mm.apis import EmbeddingIndex
from mgca_mm.apis.prepared import load_pairs
from mgca_mm.datasets.classification import ChestXrayDataset
from mgca_mm.datasets.grounding import PhraseGroundingDataset
from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.transforms import TokenizeReport
from mgca_mm.errors import UserError
from mgca_mm.prepared import open_store
from mgca_mm.reports.tokenizer import train_tokenizer
from tests.test_fuzz.cases import bounded, cases, in_time, spoil_bytes, spoil_json

SECRET = "secretword"
CLASSES = ["Edema", "No Finding"]
STORE = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
ENTRIES = [
    dict(image_index=0, image_id="i0", patient_id="p0", study_id="s0", view="PA", report=[SECRET], labels=[1, 0]),
    dict(image_index=1, image_id="i1", patient_id="p1", study_id="s1", report=["no edema", SECRET], labels=[0, None]),
    dict(img_path="images/x.png", image_id="i2", patient_id="p1", report=["normal heart"], labels=[0, 1]),
]
ANNOTATIONS = dict(metainfo=dict(dataset="mimic_cxr", split="test", classes=CLASSES), data_list=ENTRIES)
PHRASES = "dicom_id,label_text,x,y,w,h,image_width,image_height\ni0,edema,1,2,3,4,64,64\ni2,a heart,0,0,64,64,64,64\n"


@contextlib.contextmanager
def refused_in_short():
    """A result, or a message for the user without anything that a patient's record may hold."""
    try:
        with in_time():
            yield
    except UserError as error:
        assert len(str(error).splitlines()) <= 3 and len(str(error)) < 600, str(error)
        assert SECRET not in str(error)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([SECRET, "no edema normal heart"], 60).save_pretrained(folder)
    gc.freeze()  # each data set collects garbage among all that is imported: a second and more for each case
    yield TokenizeReport(str(folder), max_length=8)
    gc.unfreeze()


@contextlib.contextmanager
def prepared_folder():
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "data")
        (root / "images").mkdir(parents=True)
        np.save(root / "images.npy", STORE)
        cv2.imwrite(str(root / "images/x.png"), STORE[2])
        cv2.imwrite(str(root.parent / "outside.png"), STORE[2])
        (root / "list.txt").write_text("i0\ni2\n")
        (root / "phrases.csv").write_text(PHRASES)
        yield root


def read_everything(root, tokenizer):
    """By all data sets with the loaders' pipeline and collation, and by the page."""
    load = [dict(type="mgca_mm.LoadRadiograph"), dict(type="mgca_mm.ResizeAndPad", size=16)]
    pipeline = [*load, tokenizer, dict(type="mgca_mm.PackImageReportInputs")]
    images = [dict(load[0], channels=3), dict(type="mmpretrain.PackInputs")]
    common = dict(data_root=root, ann_file="test.json")
    builds = (
        lambda: ImageReportDataset(**common, pipeline=pipeline),
        lambda: ImageReportDataset(**common, pipeline=pipeline, classes=["Edema"], per_class=2),
        lambda: ChestXrayDataset(**common, pipeline=images, uncertain={"Edema": 1}),
        lambda: ChestXrayDataset(**common, pipeline=images, exclusive=True, subset="list.txt"),
        lambda: PhraseGroundingDataset(**common, pipeline=pipeline, phrases=str(root / "phrases.csv")),
    )
    for build in builds:
        with refused_in_short():
            dataset = build()
            default_collate([dataset[number] for number in range(len(dataset))])
    with refused_in_short():
        for pair in load_pairs(root):
            assert isinstance(pair.report, str) and pair.report
            assert pair.image.read().dtype == np.uint8


@given(st.data())
@cases(60, 2000)
def test_annotation_files(tokenizer, data):
    content = copy.deepcopy(ANNOTATIONS)
    spoil_json(data, content)
    text = json.dumps(content).encode()
    if not data.draw(st.integers(0, 9)):
        text = spoil_bytes(data, text)
    with prepared_folder() as root, bounded(10 * len(text) + 200 * 2**20):
        (root / "test.json").write_bytes(text)
        read_everything(root, tokenizer)


@given(st.data())
@cases(30, 500)
def test_lists_and_tables(tokenizer, data):
    with prepared_folder() as root, bounded(201 * 2**20):
        (root / "test.json").write_text(json.dumps(ANNOTATIONS))
        name = data.draw(st.sampled_from(("list.txt", "phrases.csv")))
        (root / name).write_bytes(spoil_bytes(data, (root / name).read_bytes()))
        read_everything(root, tokenizer)


HEADERS = [
    *(
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 16, 16), }",
        "{'descr': '|u1', ",
        "",
        "((",
        "'",
    ),
    *(
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 16, 16), }",
        "{[]: 1}",
        "(" * 5000,
        "1" * 9000,
        "\\",
        "\t 1\n 2",
    ),
    *("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 16, 16), }", "{'descr': ('|u1', -1), 'shape': 1}", "\0"),
    *("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 16, 16), }", "{'descr': '|u1', 'shape': (-3, 16, 16), }"),
]


@given(st.data())
@cases(20, 1000)
def test_image_stores(data):
    with prepared_folder() as root:
        path = root / "images.npy"
        kind = data.draw(st.sampled_from(("bytes", "header", "array")))
        if kind == "bytes":
            path.write_bytes(spoil_bytes(data, path.read_bytes()))
        elif kind == "header":
            header = data.draw(st.sampled_from(HEADERS) | st.text(max_size=60)).encode("utf-8", "replace") + b"\n"
            version, digits = data.draw(st.sampled_from(((1, 2), (2, 4), (3, 4), (0, 2), (9, 2))))
            length = len(header).to_bytes(digits, "little")
            path.write_bytes(b"\x93NUMPY" + bytes((version, 0)) + length + header + STORE.tobytes())
        else:
            odd = [
                STORE.astype(object),
                STORE.astype(float),
                STORE[0],
                STORE[:, :8],
                STORE[:0],
                np.asfortranarray(STORE),
            ]
            np.save(path, data.draw(st.sampled_from(odd)), allow_pickle=True)
        with refused_in_short(), bounded(10 * path.stat().st_size + 200 * 2**20):
            store = open_store(path)
            assert store.dtype == np.uint8 and store.ndim == 3 and store.shape[1] == store.shape[2]
            assert store.nbytes < path.stat().st_size and store.sum() >= 0


UNIT = torch.nn.functional.normalize(torch.arange(12.0).view(3, 4) + 1, dim=1)
NAMES = dict(images=["i0", "i1", "i2"], reports=[SECRET, "edema", "no edema"])


def odd_embeddings():
    """What stands for one kind of embeddings."""
    spoilt = UNIT.clone()
    spoilt[1, 2] = float("nan")
    shapes = (UNIT, UNIT[0].clone(), UNIT[:2].clone(), UNIT[:, :3].clone(), UNIT[None].clone(), torch.ones(3, 0))
    return st.sampled_from(
        [
            *shapes,
            spoilt,
            2 * UNIT,
            0 * UNIT,
            UNIT / 0,
            UNIT.half(),
            UNIT.double(),
            UNIT.int(),
            UNIT > 0,
            torch.tensor(1.0),
        ]
    )


@given(st.data())
@cases(20, 2000)
def test_index_folders(data):
    names, embeddings, metadata = copy.deepcopy(NAMES), dict(images=UNIT, reports=UNIT.flip(0).clone()), {"model": "m"}
    kind = data.draw(st.sampled_from(("names", "embeddings", "metadata", "bytes")))
    if kind == "names":
        spoil_json(data, names)
    elif kind == "embeddings":
        embeddings[data.draw(st.sampled_from(("images", "reports", "other", "model")))] = data.draw(odd_embeddings())
        if data.draw(st.booleans()):
            del embeddings[data.draw(st.sampled_from(sorted(embeddings)))]
    elif kind == "metadata":
        metadata = data.draw(st.sampled_from((None, {}, {"model": ""}, {"x": "m"})))
    tensors = save({name: tensor.contiguous().clone() for name, tensor in embeddings.items()}, metadata)
    files = {"names.json": json.dumps(names).encode(), "embeddings.safetensors": tensors}
    if kind == "bytes":
        spoilt = data.draw(st.sampled_from(sorted(files)))
        files[spoilt] = spoil_bytes(data, files[spoilt])
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        with refused_in_short(), bounded(10 * sum(map(len, files.values())) + 200 * 2**20):
            index = EmbeddingIndex.load(folder)
            for side in ("images", "reports"):
                for match in index.search(UNIT[:2], side, topk=2)[0]:
                    assert isinstance(match.name, str) and -1.01 < match.score < 1.01
