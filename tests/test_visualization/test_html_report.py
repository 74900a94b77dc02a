"""The file of a run: whole without the net, safe with any text, and for every model that compares."""

import json
import shutil

import pytest

from mgca_mm.apis.inputs import NamedImage
from mgca_mm.apis.prepared import NamedBox, Pair, load_pairs
from mgca_mm.apis.run_report import choose_examples, describe_nearest, score_findings
from tests.command_line import call
from tests.conftest import ROOT
from tests.test_apis.conftest import CONFIG, checkpoint, inferencer, options, save_weights, weights  # noqa: F401

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<script>alert(1)</script><img src=http://example.org/x>"


def report(out, weights, data, *words, config=CONFIG):  # noqa: F811
    return call("visualize", "report", config, weights, "--out", out, *words, "--cfg-options", f"data_root={data}")


def probe_in(folder, classes=("Edema",)):
    """A ``probe.json`` as ``mgca-mm probe`` writes it."""
    folder.mkdir()
    one = {str(p): {"macro": 50.0 + p / 4, "per_class": dict.fromkeys(classes, 60.0)} for p in (1, 10, 100)}
    content = {"probe": {"random": one, "pretrained": one}, "retrieval": {"i2t_R@5": 30.0, "num_reports": 100}}
    (folder / "probe.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def hostile(prepared, tmp_path):
    """Prepared data, copied, whose reports and names of classes are those of an attacker."""
    data = shutil.copytree(prepared / "data", tmp_path / "the data")
    for path in (data / "test.json", data / "train.json"):
        content = json.loads(path.read_text())
        content["metainfo"]["dataset"] = HOSTILE
        content["metainfo"]["classes"][0] = f"edema {HOSTILE}"
        for row in content["data_list"]:
            row["report"] = ["there is a large pleural effusion", HOSTILE, *row["report"]]
            row["labels"][0] = int(row["image_index"]) % 2
        path.write_text(json.dumps(content))
    return data


def test_of_own_data(weights, hostile, tmp_path):  # noqa: F811
    """Without boxes: phrases of the reports; without numbers of a probe; and what stands in the data is text."""
    out = tmp_path / "below" / "report.html"
    done = report(out, weights, hostile)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o077 == 0
    page = out.read_text()
    assert "“large pleural effusion”" in page and "Not measured" in page and "Nearest images" in page
    assert page.count("&lt;script&gt;") > 3 and HOSTILE not in page and str(tmp_path) not in page
    assert "This file shows radiographs and words of reports" in page and "Made data" not in page


def test_of_a_phantom_in_a_browser(weights, prepared, tmp_path):  # noqa: F811
    """Opened from the disk: no error, no request, nothing wider than a phone."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    out, phrases = tmp_path / "report.html", prepared / "raw/phantom-phrases.csv"
    steps = tmp_path / "steps.json"
    timed = [{"title": name, "command": f"mgca-mm {name}", "seconds": 12.0} for name in ("train", "probe")]
    steps.write_text(json.dumps(timed))
    given = ("--phantom", "--phrases", phrases, "--probe", probe_in(tmp_path / "probe"), "--steps", steps)
    done = report(out, weights, prepared / "data", *given)
    assert done.returncode == 0, done.stderr
    problems = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=dict(width=390, height=844))
        page.on("console", lambda line: problems.append(line.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if request.url[:5] != "data:" else None)
        page.goto(out.as_uri())
        assert "Made data" in page.locator("#banner").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
        assert page.locator(".example .box").count() >= 2 and page.locator("#nearest img").count() > 4
        assert "65.0" not in page.locator("#numbers table").inner_text()
        assert "50.2" in page.locator("#numbers table").inner_text() and "24 s" in page.locator("#made").inner_text()
        browser.close()
    assert problems == [out.as_uri()]


def test_of_an_untrained_model(prepared, tmp_path, monkeypatch):
    """Without labels, too: what is near is named by its report."""
    data = shutil.copytree(prepared / "data", tmp_path / "data")
    content = json.loads((data / "test.json").read_text())
    del content["metainfo"]["classes"]
    for row in content["data_list"]:
        del row["labels"]
        row["report"] = ["there is a large pleural effusion", "no pneumothorax"]
    (data / "test.json").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    done = report("report.html", "random", data)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "untrained, for comparison" in page and "query · Pleural Effusion</figcaption>" in page
    assert "Finding by finding" not in page and "Losses and retrieval" not in page


def test_of_a_model_without_regions(prepared, tmp_path):
    config = ROOT / "configs/quickstart/pretrain_clip_resnet18.py"
    data = {"data_root": str(prepared / "data")}
    weights = save_weights(config, tmp_path / "epoch_1.pth", data)  # noqa: F811
    done = report(tmp_path / "report.html", weights, prepared / "data", "--max-images", 3, config=config)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "map of the phrase" in page and "What its words look at" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--probe", "absent"], "absent/probe.json"),
        (["--probe", "broken"], "is not a probe.json"),
        (["--steps", "broken/probe.json"], "is no list of steps"),
        (["--out", "report.pdf"], "report.pdf: it is written as .html"),
    ],
)
def test_mistakes(words, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/probe.json").write_text('{"probe": {"random": {"1": {}}}}')
    done = call("visualize", "report", CONFIG, "weights.pth", "--out", "report.html", *words)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_nobody_is_near_to_himself(inferencer, prepared):  # noqa: F811
    pairs = load_pairs(prepared / "data")
    assert len({pair.patient for pair in pairs}) < len(pairs), "the phantom has several images of a patient"
    embeddings, pictures = inferencer.embed_images([pair.image for pair in pairs]), {}
    for strip, query in zip(describe_nearest(embeddings, pairs, range(len(pairs))), pairs, strict=True):
        pictures[strip[0]["image"]] = query.patient
        assert all(strip[0]["image"] != match["image"] for match in strip[1:])
        scores = [match["score"] for match in strip[1:]]
        assert scores == sorted(scores, reverse=True) and scores
    for strip, query in zip(describe_nearest(embeddings, pairs, range(len(pairs))), pairs, strict=True):
        assert query.patient not in {pictures[match["image"]] for match in strip[1:]}


def test_examples_are_the_first_of_each_finding():
    def pair(sentence, *boxes):
        return Pair(
            NamedImage("x", None), sentence, None, (sentence,), boxes=tuple(NamedBox(0, 0, 1, 1, b) for b in boxes)
        )

    said = [pair("no edema and no pneumothorax"), pair("mild edema is seen"), pair("a left pleural effusion and edema")]
    assert choose_examples(said, 6) == [(1, "mild edema"), (2, "left pleural effusion")]
    assert choose_examples(said, 1) == [(1, "mild edema")]
    marked = [*said, pair("x", "edema", "left nodule"), pair("x", "mild edema", "mass"), pair("x", "Unheard")]
    assert choose_examples(marked, 6) == [(3, "edema"), (4, "mass"), (5, "Unheard")]


def test_zero_shot_leaves_out_what_is_uncertain(inferencer, prepared):  # noqa: F811
    pairs = load_pairs(prepared / "data")[:4]
    for number, label in enumerate((1, -1, None, None)):
        labels = {"Edema": label, "No Finding": 1} if label else {"No Finding": 1}
        pairs[number] = pairs[number]._replace(labels=labels)
    images = [pair.image for pair in pairs]
    embeddings, scores = inferencer.embed_images(images), inferencer.zero_shot(images, ["Edema"])[:, 0].tolist()
    right = sum(scores[0] > other for other in scores[2:]) / 2
    assert score_findings(inferencer, embeddings, pairs) == {"Edema": (1, pytest.approx(100 * right))}
    assert score_findings(inferencer, embeddings, [pair._replace(labels={}) for pair in pairs]) == {}
