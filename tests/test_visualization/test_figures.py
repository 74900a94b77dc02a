"""Each figure by its command, from an untrained model: whole pictures in the formats that are asked for."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mgca_mm.apis.prepared import _only_finding
from mgca_mm.errors import UserError
from mgca_mm.prepared import SPLITS
from mgca_mm.radiographs.frame import Frame
from mgca_mm.structures import CrossAttention, TextFeatures
from mgca_mm.visualization import curves
from mgca_mm.visualization.attention import (
    Grounding,
    Phrase,
    blend,
    boxes_of,
    choose_phrases,
    finding_phrases,
    weightiest,
)
from mgca_mm.visualization.attention_figure import attention_figure
from mgca_mm.visualization.curves import plot_label_fractions
from mgca_mm.visualization.embeddings import balanced, draw_embeddings, purity, to_plane
from mgca_mm.visualization.prototypes import characteristic_words
from mgca_mm.visualization.style import save
from tests.command_line import call
from tests.conftest import ROOT
from tests.test_apis.conftest import CONFIG, options, weights  # noqa: F401  fixtures


def draw(figure, *words):
    """Exit code of the command and what it wrote to stderr."""
    done = call("visualize", figure, *words)
    return done.returncode, done.stderr


def require_picture(path):
    """A PNG or SVG with more than a blank page on it."""
    if path.suffix == ".svg":
        assert path.read_text().count("<path") > 5
        return
    picture = cv2.imread(str(path))
    assert min(picture.shape[:2]) > 200
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize(
    ("figure", "more"),
    [
        ("attention", []),
        ("attention", ["--report", "There is a left pleural effusion.", "--words", "effusion", "left"]),
        ("grounding", ["--sample", "1"]),
        ("grounding", ["--sample", "1", "--report", "There is a left pleural effusion."]),
        ("embeddings", []),
        ("prototypes", ["--count", "2"]),
    ],
)
def test_of_a_checkpoint(figure, more, weights, options, tmp_path, prepared):  # noqa: F811
    if "--report" in more:
        more = [*more, "--image", next((prepared / "raw").rglob("*.jpg"))]
    out = tmp_path / "below" / "figure.png"
    data = ["--cfg-options", f"data_root={options['data_root']}"]
    status, errors = draw(figure, CONFIG, weights, "--out", out, *more, *data)
    assert status == 0, errors
    require_picture(out)
    assert out.stat().st_mode & 0o077 == 0  # a radiograph and words of its report


@pytest.mark.parametrize("checkpoint", ["trained", "random"])
def test_neighbors_and_samples(checkpoint, weights, options, tmp_path):  # noqa: F811
    """Of prepared folders without reports, too."""
    real = tmp_path / "a clinic"
    shutil.copytree(options["data_root"], real)
    for split in SPLITS:
        content = json.loads((real / f"{split}.json").read_text())
        for row in content["data_list"]:
            del row["report"]
        (real / f"{split}.json").write_text(json.dumps(content))
    sets = ["--made", options["data_root"], "--real", real, "--max-images", 6]
    out = tmp_path / "neighbors.png"
    status, errors = draw("neighbors", CONFIG, weights if checkpoint == "trained" else "random", "--out", out, *sets)
    assert status == 0, errors
    require_picture(out)
    status, errors = draw("samples", "--out", tmp_path / "samples.png", *sets)
    assert status == 0, errors
    require_picture(tmp_path / "samples.png")
    status, errors = draw("samples", "--out", out, *sets[:3], real, real)
    assert status == 2 and "different names" in errors
    status, errors = draw("samples", "--out", out, *sets[:3], tmp_path)
    assert status == 2 and "does not exist" in errors


def test_gap(options, tmp_path):  # noqa: F811
    real = tmp_path / "clinic"
    shutil.copytree(options["data_root"], real)
    store = np.load(real / "images.npy")
    np.save(real / "images.npy", np.where(store > 12, store // 2 + 60, store))  # less contrast, the same borders
    out = tmp_path / "gap.png"
    status, errors = draw("gap", "--out", out, "--made", options["data_root"], "--real", real, "--max-images", 40)
    assert status == 0, errors
    require_picture(out)
    gap = json.loads(out.with_suffix(".json").read_text())
    made, clinic = gap["quantities"]["grays/SD"].values()
    assert clinic[1] < 0.8 * made[1]
    told = gap["separability"]["made / clinic"]
    assert told["grays"] > 90 and told["border"] < 75
    assert "| grays/SD |" in out.with_suffix(".md").read_text()
    status, errors = draw(
        "gap", "--out", out, "--made", options["data_root"], "--real", real, "--max-images", 40, "--config", CONFIG
    )
    assert status == 0, errors
    seen = json.loads(out.with_suffix(".json").read_text())
    assert seen["size"] == 112 and seen["quantities"] != gap["quantities"]


def test_batch_phantom_methods_and_reproduce(options, tmp_path):  # noqa: F811
    out = tmp_path / "batch.png"
    status, errors = draw(
        "batch", CONFIG, "--out", out, "--count", 5, "--cfg-options", f"data_root={options['data_root']}"
    )
    assert status == 0, errors
    require_picture(out)
    no_pairs = ROOT / "configs/quickstart/classification_chexpert.py"
    status, errors = draw("batch", no_pairs, "--out", out, "--cfg-options", f"data_root={options['data_root']}")
    assert status == 2 and "draws pairs" in errors
    assert draw("phantom", "--out", tmp_path / "phantom.png")[0] == 0
    require_picture(tmp_path / "phantom.png")
    assert draw("methods", CONFIG, "mrm/pretrain_vit", "--out", tmp_path / "methods.png")[0] == 0
    require_picture(tmp_path / "methods.png")
    for config, message in (("nothing/here", "'nothing/here' does not exist"), (no_pairs, "is no pretraining config")):
        status, errors = draw("methods", CONFIG, config, "--out", tmp_path / "methods.png")
        assert status == 2 and message in errors
    cells = [
        dict(setting=setting, title=setting, encoder="resnet18", init=init, percent=percent, mean=50.0 + percent, sd=sd)
        for setting in ("a", "b")
        for init, sd in (("random", None), ("mgca", 2.0))
        for percent in (1, 10)
    ]
    (tmp_path / "report.json").write_text(json.dumps({"cells": cells}))  # of the first version
    status, errors = draw("reproduce", tmp_path / "report.json", "--out", tmp_path / "curves.svg")
    assert status == 2 and "of another version" in errors and "--resume" in errors
    (tmp_path / "report.json").write_text(json.dumps({"schema": 2, "cells": cells}))
    out = tmp_path / "curves.svg"
    assert draw("reproduce", tmp_path / "report.json", "--out", out)[0] == 0
    require_picture(out)
    (tmp_path / "report.json").write_text("{}")
    status, errors = draw("reproduce", tmp_path / "report.json", "--out", out)
    assert status == 2 and "is not a report.json" in errors
    status, errors = draw("reproduce", tmp_path / "none.json", "--out", out)
    assert status == 2 and "mgca-mm reproduce" in errors and "does not exist" in errors
    with pytest.raises(UserError, match="no cell has a score"):
        plot_label_fractions([], tmp_path / "x.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sample", "1000"], "--sample 1000"),
        (["--image", "x.png"], "needs --report"),
        (["--words", "zebra"], "zebra"),
        (["--phrases", "none.csv"], "does not exist"),
        (["--image", "x.png", "--report", "edema", "--phrases", "none.csv"], "take --sample N"),
    ],
)
def test_mistakes(words, message, weights, options, tmp_path):  # noqa: F811
    data = ["--cfg-options", f"data_root={options['data_root']}"]
    status, errors = draw("attention", CONFIG, weights, "--out", tmp_path / "x.png", *words, *data)
    assert status == 2
    assert message in errors


def test_every_line_is_in_the_legend(tmp_path, monkeypatch):
    """Also one that the first panel does not have."""
    cells = [
        dict(setting=setting, title=setting, encoder=encoder, init="mgca", percent=1, mean=50.0, sd=None)
        for setting, encoder in (("a", "vit"), ("b", "vit"), ("b", "resnet50"))
    ]
    found = {}
    monkeypatch.setattr(curves, "save", lambda figure, path: found.update(legend=figure.legends[0].get_texts()))
    plot_label_fractions(cells, tmp_path / "x.png")
    assert [text.get_text() for text in found["legend"]] == ["mgca, vit", "mgca, resnet50"]


def test_an_unfinished_grid(tmp_path, monkeypatch):
    """A line is broken where its score is missing, and the figure says how many are."""
    cells = [
        dict(setting="a", title="a", encoder="vit", init=init, percent=percent, mean=mean, sd=None)
        for init, percent, mean in (
            *(("mgca", 1, 50.0), ("mgca", 10, None), ("mgca", 100, 70.0)),
            *(("random", 1, 40.0), ("random", 10, 45.0)),
        )
    ]
    found = {}
    monkeypatch.setattr(curves, "save", lambda figure, path: found.update(figure=figure))
    plot_label_fractions(cells, tmp_path / "x.png")
    scores = [bars.lines[0].get_ydata().astype(float) for bars in found["figure"].axes[0].containers]
    np.testing.assert_array_equal(scores, [[50, np.nan, 70], [40, 45, np.nan]])
    assert found["figure"].get_suptitle() == "1 of 5 cells have no score"


@pytest.mark.parametrize("words", [["--count", "0"], ["--count", "-1"], ["--count", "x"]], ids=str)
def test_counts(words, tmp_path):
    status, errors = draw("batch", CONFIG, "--out", tmp_path / "x.png", *words)
    assert status == 2 and "must be a whole number of at least 1" in errors


def test_a_place_that_cannot_be_is_told_first(tmp_path):
    (tmp_path / "file").write_text("")
    status, errors = draw("phantom", "--out", tmp_path / "file" / "x.png")
    assert status == 2 and "its folder cannot be made" in errors


@pytest.mark.parametrize(
    ("labels", "finding"),
    [
        ({"Edema": 1}, "Edema"),
        ({"Edema": 1, "Lung Opacity": 1}, "Edema"),
        ({"Lung Opacity": 1}, "Lung Opacity"),
        ({"Edema": 1, "Pneumonia": -1}, None),
        ({"Edema": -1}, None),
        ({"Edema": 1, "Pneumonia": 1}, None),
        ({}, None),
    ],
)
def test_the_only_finding_of_an_image(labels, finding):
    assert _only_finding(labels) == finding


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"\.png, \.svg or \.pdf"):
        save(Figure(), tmp_path / "figure.txt")
    with pytest.raises(UserError, match="too few"):
        to_plane(np.ones((3, 4)))


def test_blend_covers_what_is_high():
    image = np.full((4, 6), 100, np.uint8)
    heat_map = np.zeros((4, 6), np.float32)
    heat_map[:, 3:] = 1
    heat_map[0] = np.nan
    blended = blend(image, heat_map)
    assert (blended[1:, :3] == 100).all() and (blended[0] == 100).all()
    assert (np.ptp(blended[1:, 3:].astype(int), axis=2) > 20).all()
    assert (blend(image, np.ones((4, 6), np.float32)) == 100).all()  # a flat map says nothing
    assert (blend(image, heat_map / 100, limits=(0, 1)) - image[..., None].astype(int)).max() < 3
    assert (blend(image, heat_map * 9, limits=(0, 1)) == blended).all()  # beyond the scale is its end


def test_bars_are_of_the_circled_region():
    """On a tall radiograph, whose padding has the largest weight of all and is not shown."""
    side, words = 4, ["mass", "left", "[SEP]"]
    to_regions = np.full((3, side, side), 0.01)
    to_regions[0, 0, 0] = 1.0  # in the padding
    to_regions[0, 3, 1] = 0.5  # in the lower half
    to_words = np.zeros((side, side, 3))
    to_words[3, 1] = [0.1, 0.7, 0.2]
    to_words[0, 0] = [0.7, 0.1, 0.2]
    grounding = Grounding(words, to_regions.reshape(3, -1), to_words.reshape(-1, 3), np.ones(3), side)
    figure = attention_figure(np.zeros((120, 60), np.uint8), grounding, Frame(64, 64), [Phrase(slice(1), "mass")])
    picture = next(axes for axes in figure.axes if axes.lines)
    bars = next(axes for axes in figure.axes if axes.texts)
    x, y = picture.lines[0].get_xydata()[0]
    assert x < 30 and y > 90
    assert [text.get_text() for text in bars.texts] == ["left", "[SEP]", "mass"]
    assert bars.patches[0].get_width() == pytest.approx(3 * 0.7)  # in multiples of uniform
    # As wide as the image above it, and at the same place.
    assert np.allclose(bars.get_position().intervalx, picture.get_position().intervalx)


def test_panels_of_a_row_have_one_scale():
    """And attention of an untrained model, which is uniform, leaves the radiograph as it is."""
    image = np.full((64, 64), 100, np.uint8)
    words = ["edema", "effusion", "[SEP]"]
    phrases = [Phrase(slice(0, 1), "edema", "Edema"), Phrase(slice(1, 2), "effusion", "Pleural Effusion")]

    def panels(to_regions, maps):
        grounding = Grounding(words, to_regions, np.full((16, 3), 1 / 3), np.ones(3), 4)
        figure = attention_figure(image, grounding, Frame(64, 64), phrases, maps)
        return [axes.images[0].get_array() for axes in figure.axes if axes.images][:4], figure

    strong = np.full((3, 16), 1 / 16)
    strong[0] = 0.02
    strong[0, 5] = 0.7
    (*_, first, second), figure = panels(strong, np.stack([np.full((64, 64), 1.9), np.full((64, 64), 0.02)]))
    assert np.ptp(first.astype(int)) > 100 and (second == 100).all()
    found = [axes.images[0].get_array().astype(int) for axes in figure.axes if axes.images][:2]
    assert np.abs(found[0] - 100).max() > 50 and np.abs(found[1] - 100).max() < 3
    (*_, first, second), _ = panels(np.full((3, 16), 1 / 16), np.zeros((2, 64, 64)))
    assert (first == 100).all() and (second == 100).all()


def test_phrases_that_are_drawn():
    sentences = ["no pneumothorax or edema", "large right effusion", "the right effusion is large", "mild edema"]
    found = finding_phrases(sentences)
    assert [(p.text, p.is_negated) for p in found] == [
        ("large right effusion", False),
        ("mild edema", False),
        ("pneumothorax", True),
    ]
    words = " ".join(sentences).split()
    assert all(" ".join(words[p.words]) == p.text for p in found)
    cut = Grounding([*words[:6], "[SEP]"], None, None, np.ones(7), 2)  # within the second sentence
    assert [(p.text, p.is_negated) for p in choose_phrases(cut, sentences)] == [("pneumothorax", True), ("edema", True)]
    other = Grounding(["lungs", "are", "clear", "[SEP]"], None, None, np.array([3, 1, 2, 0]), 2)
    assert [p.text for p in choose_phrases(other, ["the lungs"], count=2)] == ["lungs", "clear"]


def test_boxes_of_a_phrase():
    boxes = [
        (0, 0, 1, 1, name) for name in ("small left pleural effusion", "Pleural_Effusion", "right effusion", "rib")
    ]
    phrase = Phrase(slice(0), "large left effusion", "Pleural Effusion")
    assert boxes_of(phrase, boxes) == boxes[:2]
    assert boxes_of(Phrase(slice(0), "bilateral effusions", "Pleural Effusion"), boxes) == boxes[:3]
    assert boxes_of(Phrase(slice(0), "effusion"), boxes) == boxes[:3]  # a word that was asked for
    assert boxes_of(Phrase(slice(0), "rib"), boxes) == boxes[3:]
    lungs = [(0, 0, 1, 1, name) for name in ("Left Lung", "Right Lung")]
    assert boxes_of(phrase, lungs) == lungs[:1]
    assert boxes_of(Phrase(slice(0), "bilateral effusions", "Pleural Effusion"), lungs) == []


def test_embeddings_of_balanced_images(tmp_path, monkeypatch):
    """As many of each as the rarest of at least 20, and agreement of findings and clusters by hand."""
    findings = ["a"] * 50 + ["b"] * 30 + ["c"] * 19 + [None] * 40 + ["No Finding"] * 60
    chosen = balanced(findings, most=2000)
    assert [findings[position] for position in chosen] == ["a"] * 30 + ["b"] * 30
    assert len(set(chosen)) == 60 and max(chosen[:30]) > 30
    assert len(balanced(findings, most=50)) == 50
    assert balanced(findings[:50], most=2000) == []
    assert purity(["a", "a", "b", "b", "b"], [0, 0, 0, 1, 1]) == 0.8
    shown = {}
    monkeypatch.setattr("mgca_mm.visualization.embeddings.save", lambda figure, path: shown.update(figure=figure))
    rng = np.random.default_rng(0)
    centers = np.repeat(np.eye(8)[:2], 20, axis=0)
    draw_embeddings(centers + 0.01 * rng.normal(size=(40, 8)), ["a"] * 20 + ["b"] * 20, np.repeat([4, 7], 20), "x.png")
    for axes in shown["figure"].axes:
        assert "purity 1.00, NMI 1.00" in axes.get_title()
        # The same color is the same finding in both panels.
        assert [points.get_label() for points in axes.collections] == ["a", "b"]
    draw_embeddings(centers, [None] * 40, np.repeat([4, 7], 20), "x.png")  # data without labels
    (axes,) = shown["figure"].axes
    assert [points.get_label() for points in axes.collections] == ["prototype 4", "prototype 7"]


def test_an_untrained_model_is_drawn_by_its_name(options, tmp_path):  # noqa: F811
    out = tmp_path / "x.png"
    data = ["--cfg-options", f"data_root={options['data_root']}"]
    status, errors = draw("grounding", CONFIG, "random", "--out", out, *data)
    assert status == 0, errors
    first = out.read_bytes()
    draw("grounding", CONFIG, "random", "--out", out, *data)
    assert out.read_bytes() == first


def test_weightiest_words():
    weight = np.array([0.1, 0.3, 0.2, 0.05, 0.9])
    grounding = Grounding(["the", "mass", "the", "here", "[SEP]"], None, None, weight, 2)
    assert weightiest(grounding, 2) == [1, 2]  # each word once, [SEP] never
    assert weightiest(grounding, 9) == [1, 2, 3]


def test_characteristic_words():
    reports = [["large effusion"], ["effusion left", "the"], ["no mass"], ["clear lungs", "no"]]
    assert characteristic_words(reports, [0, 1], 1) == [("effusion", 1.0, 0.5)]
    assert characteristic_words([["there is edema seen", "no effusion"], ["clear"]], [0]) == [("edema", 1.0, 0.5)]


@pytest.mark.parametrize("method", ["", "_convirt"])
def test_batch_shows_what_is_fed(method, options, tmp_path, monkeypatch):  # noqa: F811
    """The crop, also one that is made on the device, and the sentence that was drawn."""
    shown = {}
    monkeypatch.setattr(
        "mgca_mm.visualization.batch.draw_batch",
        lambda images, captions, path: shown.update(images=images, captions=captions),
    )
    cfg = [f"data_root={options['data_root']}"]
    config = f"quickstart/pretrain{method}_resnet18"  # by its name
    if not method:  # the crop of the fast recipe
        cfg += ["model.data_preprocessor.crop_size=96"]
    status, errors = draw("batch", config, "--out", tmp_path / "x.png", "--count", 6, "--cfg-options", *cfg)
    assert status == 0, errors
    side = 112 if method else 96
    assert shown["images"].shape == (6, side, side)
    assert shown["images"].min() >= 0 and shown["images"].max() <= 255 and shown["images"].std() > 10
    rows = json.loads(Path(options["data_root"], "train.json").read_text())["data_list"]
    rows = [rows[number] for number in np.random.default_rng(0).permutation(len(rows))[:6]]
    for caption, row in zip(shown["captions"], rows, strict=True):
        assert caption in row["report"] if method else caption == " ".join(row["report"])


def test_regions_that_make_no_square():
    attention = CrossAttention(torch.ones(1, 2, 17), torch.ones(1, 17, 2))
    with pytest.raises(UserError, match="17 regions, which make no square"):
        Grounding.of(attention, TextFeatures(None, token_weight=torch.ones(1, 2)), ["a", "b"])
