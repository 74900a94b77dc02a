"""The varied appearance: as exact as the plain one, which it leaves as it is."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mgca_mm.cli.phantom import main
from mgca_mm.errors import UserError
from mgca_mm.phantom import KINDS, VIEWS, render, sample_patient
from mgca_mm.phantom.anatomy import diaphragm
from mgca_mm.phantom.findings import Finding
from mgca_mm.phantom.habitus import PLAIN
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions
from mgca_mm.phantom.render import heart_ratio

from .conftest import read_truth, tree_hash
from .test_render import example

PATIENTS = 60
GRAYS = {  # mean grays of the ninths of one plain study's images, from before there was a varied appearance
    "PA": [[127.6, 146.2, 110.3], [143.3, 181.0, 69.4], [143.5, 199.7, 160.7]],
    "AP": [[68.4, 108.8, 76.9], [117.6, 180.9, 83.5], [148.2, 219.0, 150.2]],
    "LATERAL": [[28.9, 108.7, 38.0], [47.7, 143.3, 57.5], [69.2, 180.6, 88.6]],
}


@pytest.fixture(scope="module")
def studies():
    return [study for index in range(PATIENTS) for study in sample_patient(4, index, varied=True)]


def test_a_varied_patient_has_the_findings_of_the_plain_one(studies):
    plain = [study for index in range(PATIENTS) for study in sample_patient(4, index)]
    for varied, other in zip(studies, plain, strict=True):
        assert replace(varied, anatomy=other.anatomy, report=other.report) == other
        described = ("sex", "scoliosis", "tortuous_aorta", "calcified_aorta", "prominent_hila", "elevated_diaphragm")
        described += ("lung_volume", "rotated", "gastric_gas")
        assert all(getattr(varied.anatomy, name) == getattr(other.anatomy, name) for name in described)
        assert other.anatomy.habitus == PLAIN


def test_bodies_are_children_and_adults_and_no_two_alike(studies):
    bodies = {study.subject_id: study.anatomy for study in studies}.values()
    children = [body for body in bodies if body.habitus.child]
    assert 0.3 < len(children) / len(bodies) < 0.7
    assert all((body.age < 18) == body.habitus.child for body in bodies)
    assert not any(body.tortuous_aorta or body.calcified_aorta for body in children)
    assert len({body.habitus for body in bodies}) == len(bodies) == PATIENTS


def test_same_arguments_same_bytes_and_other_than_plain():
    (first, *_), (again, *_) = sample_patient(4, 2, varied=True), sample_patient(4, 2, varied=True)
    assert np.array_equal(render(first).pixels, render(again).pixels)
    assert not np.array_equal(render(first).pixels, render(sample_patient(4, 2)[0]).pixels)
    assert not np.array_equal(render(first).pixels, render(first, take=1).pixels)


@pytest.mark.parametrize("view", GRAYS)
def test_the_plain_appearance_stays_as_it_was(view):
    pixels = render(sample_patient(11, 3)[0], view, 96).pixels.astype(np.float32)
    assert np.abs(cv2.resize(pixels, (3, 3), interpolation=cv2.INTER_AREA) - GRAYS[view]).max() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_a_finding_changes_the_image_inside_its_mask_and_nothing_elsewhere(studies, kind):
    """Everything else is drawn alike: only scatter and the automatic exposure reach further, smoothly."""
    for number, study in enumerate([s for s in studies if s.study_index == 0][:5]):
        view = VIEWS[number % 3]
        finding = replace(example(kind, severity=1 + number % 3), texture=number)
        image = render(replace(study, findings=(finding,)), view, 128)
        without = render(replace(study, findings=()), view, 128)
        (mask,) = image.masks
        assert mask.any()
        change = image.pixels.astype(float) - without.pixels
        change = np.abs(change - np.median(change))  # the automatic exposure shifts the whole image
        assert change[mask].mean() > change[~mask].mean()
        assert all(np.array_equal(image.lungs[side], without.lungs[side]) for side in image.lungs)


def test_boxes_are_tight_and_opacities_lie_in_the_lung(studies):
    for study in studies[:40]:
        image = render(study, study.views[0], (140, 160))
        for finding, mask, box in zip(study.findings, image.masks, image.boxes, strict=True):
            if box is None:
                assert not mask.any()
                continue
            x, y, width, height = box
            inside = mask[y : y + height, x : x + width]
            assert inside.sum() == mask.sum()
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            if finding.kind in ("consolidation", "pneumonia", "pleural_effusion", "atelectasis", "pneumothorax"):
                lung = cv2.dilate(image.lungs[finding.side].astype(np.uint8), np.ones((3, 3)))  # with its soft edge
                assert lung[mask].all()


def test_sides_stay_sides(studies):
    """The patient's right lung is on the image's left, whatever the warp."""
    for study in studies[:20]:
        lungs = render(study, "PA", 96).lungs
        centers = [np.flatnonzero(lungs[side].any(axis=0)).mean() for side in ("right", "left")]
        assert centers[0] + 20 < centers[1]
        assert (lungs["right"] & lungs["left"]).sum() < 10


def test_written_for_any_number_of_workers_and_recorded(tmp_path):
    options = PhantomOptions(4, seed=2, size=80, appearance="varied")
    write = LAYOUTS["mimic_cxr"]
    write(tmp_path / "one", options, progress=False)
    write(tmp_path / "two", options, workers=2, progress=False)
    assert tree_hash(tmp_path / "one") == tree_hash(tmp_path / "two")
    assert json.loads((tmp_path / "one" / "phantom.json").read_text())["appearance"] == "varied"
    assert all("habitus" not in row["attributes"] for row in read_truth(tmp_path / "one"))
    assert write(tmp_path / "one", options, progress=False)["written"] is False
    with pytest.raises(UserError, match="made with other options"):
        write(tmp_path / "one", replace(options, appearance="plain"), progress=False)


def test_a_plain_phantom_says_what_it_said_before(tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "raw"), "--patients", "2", "--size", "64"]
    assert main(arguments) == 0
    assert "appearance" not in json.loads((tmp_path / "raw" / "phantom.json").read_text())
    assert main([*arguments, "--appearance", "plain"]) == 0 and main([*arguments, "--appearance", "varied"]) == 2
    assert "made with other options" in capsys.readouterr().err
    with pytest.raises(UserError, match="--appearance odd: give one of plain, varied"):
        PhantomOptions(2, appearance="odd").check()


def test_half_of_a_mixed_phantom_is_varied_and_not_by_parity():
    mixed = PhantomOptions(patients=60, seed=4, appearance="mixed")
    varied = [mixed.sample(index) == sample_patient(4, index, varied=True) for index in range(60)]
    assert all(is_varied or mixed.sample(i) == sample_patient(4, i) for i, is_varied in enumerate(varied))
    assert all(0.25 < sum(varied[parity::2]) / 30 < 0.75 for parity in (0, 1))


def test_described_classes_separate(studies):
    """Grades of cardiomegaly and lung volumes, as plain, whatever the body."""
    anatomies = [study.anatomy for study in studies]
    assert max(a.heart_ratio for a in anatomies if not a.habitus.child) < 0.5
    levels = [
        [diaphragm(a, "right")[0] for a in anatomies if a.lung_volume == v and a.elevated_diaphragm != -1]
        for v in (-1, 0, 1)
    ]
    assert np.percentile(levels[0], 95) < np.percentile(levels[1], 5)
    assert np.percentile(levels[1], 95) < np.percentile(levels[2], 5)
    large = [
        replace(study, findings=(Finding("cardiomegaly", severity=grade),)) for study in studies for grade in (1, 3)
    ]
    assert all(heart_ratio(study) > study.anatomy.heart_ratio + 0.02 for study in large)
    child = next(study for study in studies if study.anatomy.heart_ratio > 0.53)
    grades = [heart_ratio(replace(child, findings=(Finding("cardiomegaly", severity=g),))) for g in (1, 2, 3)]
    assert grades[0] + 0.05 < grades[1] and grades[1] + 0.05 < grades[2]
