"""The files of the Open-i layout."""

import re
from xml.etree import ElementTree

import pytest

from mgca_mm.phantom import sample_patient
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions
from tests.test_phantom.conftest import PATIENTS, SEED, read_table, read_truth

LABELS = ["COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION"]


@pytest.fixture(scope="module")
def folder(written):
    return written("iu_xray")


def reports(folder):
    return {int(path.stem): ElementTree.parse(path).getroot() for path in folder.glob("ecgen-radiology/*.xml")}


def image_ids(report):
    return [image.get("id") for image in report.findall("parentImage")]


def test_a_report_a_study(folder):
    studies = {4 * i + s.study_index + 1: s for i in range(PATIENTS) for s in sample_patient(SEED, i)}
    found = reports(folder)
    assert found.keys() == studies.keys()
    texts = []
    for uid, report in found.items():
        assert report.find("uId").get("id") == f"CXR{uid}"
        sections = {section.get("Label"): section.text or "" for section in report.iter("AbstractText")}
        assert list(sections) == LABELS
        for label in ("FINDINGS", "IMPRESSION"):
            said = [s.text for s in studies[uid].report.statements if s.section == label.lower()]
            words = re.sub(r"(^| )\d\. ", " ", sections[label]).split()
            expected = " ".join(said).replace("___", "XXXX").split()
            assert len(words) == len(expected)
            assert all("XXXX" in word or word == other for word, other in zip(words, expected, strict=True))
        texts += sections.values()
    assert "" in texts and "___" not in "".join(texts)
    assert 0.001 < sum("XXXX" in word for text in texts for word in text.split()) / len(" ".join(texts).split()) < 0.15


def test_images_projections_and_truth_agree(folder):
    view_of = {row["image_id"]: row["view"] for row in read_truth(folder)}
    found = reports(folder)
    assert sorted(image for report in found.values() for image in image_ids(report)) == sorted(view_of)
    assert {path.stem for path in folder.glob("NLMCXR_png/*")} == view_of.keys()
    rows = read_table(folder / "indiana_projections.csv")
    assert list(rows[0]) == ["uid", "filename", "projection"] and len(rows) == len(view_of)
    for row in rows:
        name = row["filename"].removesuffix(".dcm.png")
        assert re.fullmatch(rf"{row['uid']}_IM-\d{{4}}(-\d{{4}}){{1,2}}", name)
        image_id = f"CXR1_{name}" if row["uid"] == "1" else f"CXR{name}"
        assert image_id in image_ids(found[int(row["uid"])])
        assert row["projection"] == ("Lateral" if view_of[image_id] == "LATERAL" else "Frontal")


def test_neither_order_nor_caption_tells_the_view_and_some_have_no_images(tmp_path):
    LAYOUTS["iu_xray"](tmp_path / "raw", PhantomOptions(60, seed=SEED, size=64), progress=False)
    view_of = {row["image_id"]: row["view"] for row in read_truth(tmp_path / "raw")}
    found = reports(tmp_path / "raw").values()
    orders = [tuple(view_of[image] for image in image_ids(report)) for report in found]
    assert {("PA", "LATERAL"), ("LATERAL", "PA"), ()} <= set(orders)
    assert orders.count(()) < 0.1 * len(orders)
    for report in found:
        assert len({image.findtext("caption") for image in report.findall("parentImage")}) <= 1
