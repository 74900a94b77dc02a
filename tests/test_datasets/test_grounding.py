"""MS-CXR's table over a prepared folder, on the phantom's and on broken ones."""

import csv
import gzip
import json

import pytest

from mgca_mm.datasets.grounding import PhraseGroundingDataset
from mgca_mm.errors import UserError

HEADER = "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height,split\n"


@pytest.fixture
def image_id(prepared):
    return json.loads((prepared / "data/test.json").read_text())["data_list"][0]["image_id"]


def load(prepared, phrases):
    return PhraseGroundingDataset(data_root=str(prepared / "data"), ann_file="test.json", phrases=str(phrases))


def test_phantom_phrases_are_true(prepared):
    """Each box of the table is one of the truth's, and each finding of a frontal image that was drawn has a phrase."""
    with gzip.open(prepared / "raw/phantom-truth.jsonl.gz", "rt") as file:
        truth = {row["dicom_id"]: row for row in map(json.loads, file)}
    with open(prepared / "raw/phantom-phrases.csv") as file:
        rows = list(csv.DictReader(file))
    boxes = {}
    for row in rows:
        box = tuple(int(row[key]) for key in "xywh")
        boxes.setdefault(row["dicom_id"], set()).add((row["category_name"].replace(" ", "_"), box))
        assert (int(row["image_height"]), int(row["image_width"])) == tuple(
            truth[row["dicom_id"]][key] for key in ("height", "width")
        )
        side = {"left", "right"} & set(row["label_text"].split())
        sides = {f["side"] for f in truth[row["dicom_id"]]["findings"] if f["box"] and tuple(f["box"]) == box}
        assert not side or side <= sides | {None}, row["label_text"]
    for dicom_id, image in truth.items():
        drawn = {(f["kind"], tuple(f["box"])) for f in image["findings"] if f["box"]}
        assert boxes.get(dicom_id, set()) == (set() if image["view"] == "LATERAL" else drawn)


def test_phrases_of_a_split(prepared):
    dataset = load(prepared, prepared / "raw/phantom-phrases.csv")
    test_images = {row["image_id"] for row in json.loads((prepared / "data/test.json").read_text())["data_list"]}
    assert len(dataset)
    for number in range(len(dataset)):
        sample = dataset.get_data_info(number)
        assert sample["image_id"] in test_images
        assert sample["boxes"] and sample["report"] == sample["report"].lower()


@pytest.mark.parametrize("words", ["ascii", "unicode"])
def test_phrases_have_the_words_of_the_folder(prepared, image_id, tmp_path, words):
    for file in (prepared / "data").iterdir():
        (tmp_path / file.name).symlink_to(file)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["parameters"] |= {"words": words}
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    table = tmp_path / "phrases.csv"
    table.write_text(f"{HEADER}{image_id},x,Derrame pleural en el pulmón,-,1,1,9,9,200,300,test", encoding="utf-8")
    dataset = PhraseGroundingDataset(data_root=str(tmp_path), ann_file="test.json", phrases=str(table))
    assert dataset.get_data_info(0)["report"] == f"derrame pleural en el {'pulmón' if words == 'unicode' else 'pulmon'}"
    # So it comes into checkpoints, whose dataset_meta it is.
    assert dataset.metainfo["words"] == words


def test_boxes_of_one_phrase_are_joined(prepared, image_id, tmp_path):
    table = tmp_path / "phrases.csv"
    rows = [f"{image_id},effusion,Bilateral effusions.,-,{x},20,30,40,200,300,test" for x in (0, 100)]
    rows += [f"{image_id},effusion,a mass,-,5,5,196,5,200,300,test", "elsewhere,x,a mass,-,0,0,1,1,9,9,test"]
    table.write_text(HEADER + "\n".join(rows))
    dataset = load(prepared, table)
    found = {dataset.get_data_info(n)["report"]: dataset.get_data_info(n) for n in range(len(dataset))}
    assert set(found) == {"bilateral effusions", "a mass"}
    assert found["bilateral effusions"]["boxes"] == [(0, 20, 30, 40), (100, 20, 30, 40)]
    assert found["a mass"]["raw_shape"] == (300, 200)
    assert found["a mass"]["boxes"] == [(5, 5, 196, 5)]  # a pixel beyond the image: rounded


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("ID,x,a mass,-,0,0,202,10,200,300,test", "line 2: the box"),
        ("ID,x,a mass,-,0,-2,20,10,200,300,test", "line 2: the box"),
        ("ID,x,a mass,-,0,0,0,10,200,300,test", "line 2: the box"),
        ("ID,x,a mass,-,a,0,1,10,200,300,test", "line 2: column 'x' is not a number"),
        ("ID,x,...,-,0,0,1,10,200,300,test", "line 2: column 'label_text' has no words"),
        ("other,x,a mass,-,0,0,1,10,200,300,test", "none of 1 phrases"),
    ],
)
def test_broken_tables(prepared, image_id, tmp_path, row, words):
    table = tmp_path / "phrases.csv"
    table.write_text(HEADER + row.replace("ID", image_id))
    with pytest.raises(UserError, match=words) as error:
        load(prepared, table)
    assert "mass" not in str(error.value).replace(str(table), "")


def test_missing_table(prepared, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load(prepared, tmp_path / "none.csv")
