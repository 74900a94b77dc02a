"""What happens on a click, without a browser."""

import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mgca_mm.apis.inputs import NamedImage
from mgca_mm.apis.prepared import NamedBox, Pair, load_pairs
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions

gr = pytest.importorskip("gradio")
from mgca_mm.apis.explorer import ATTENTION, FINDINGS, OR_A_PLACE, PHRASE, PLAIN, Explorer  # noqa: E402
from mgca_mm.apis.page import build_page  # noqa: E402

REPORT = "FINDINGS: Large left effusion, 2 cm.\nNo mass & no <b>fracture</b>. RECOMMENDATION: follow-up."


@pytest.fixture(scope="module")
def pairs(prepared, options):
    return load_pairs(options["data_root"], phrases=prepared / "raw/phantom-phrases.csv")


@pytest.fixture(scope="module")
def explorer(inferencer, pairs):
    explorer = Explorer(inferencer, pairs[:5])
    explorer.known.prepare()
    return explorer


@pytest.fixture
def radiograph(prepared):
    return str(next((prepared / "raw").rglob("*.jpg")))


def click(index):
    return SimpleNamespace(index=index)


def source(figure):
    return re.search(r'src="data:image/jpeg;base64,([^"]+)"', figure).group(1)


def words(report, name):
    """What the words of a class say."""
    return re.findall(rf'<span class="word[^"]*\b{name}\b[^"]*"[^>]*>([^<]+)<', report)


def test_show_and_look(explorer, radiograph):
    figure, report, shown = explorer.show(radiograph, REPORT)
    assert max(shown.image.shape) == 640 and shown.image.dtype == np.uint8
    assert shown.words == ["large", "left", "effusion", "2", "cm", "no", "mass", "no", "fracture"]
    assert "“large left effusion”" in figure and "difference of cosine" in figure
    assert words(report, "chosen") == ["Large", "left", "effusion"]
    assert words(report, "mention") == ["Large", "left", "effusion", "mass", "fracture"]
    assert words(report, "denied") == ["mass", "fracture"]
    assert '<span class="unread">FINDINGS: </span>' in report and "RECOMMENDATION: follow-up.</span>" in report
    assert "&lt;b&gt;" in report and "<b>" not in report
    third, of_mass, _ = explorer.look_at_word(shown, PHRASE, click(6))
    assert words(of_mass, "chosen") == ["mass"] and "The report says that it is not there" in third
    attention, _, looked = explorer.look_at_word(shown, ATTENTION, click(6))
    assert "times uniform" in attention
    plain, _, _ = explorer.look_again(looked, PLAIN)
    assert source(plain) not in (source(attention), source(figure))
    height, width = shown.image.shape
    region, weighted, clicked = explorer.look_at_region(shown, click([width // 2, height // 2]))
    # The map is gone, and each word has its weight; the strongest is 1.
    assert source(region) == source(plain) and f'cx="{width // 2}"' in region
    assert "--weight: 1.00" in weighted and not words(weighted, "chosen")
    assert "--weight" not in explorer.look_at_word(shown, PHRASE, click(0))[1]
    assert source(explorer.look_again(clicked, PHRASE)[0]) == source(figure)  # the map is back
    with pytest.raises(gr.Error, match="outside its crop"):
        explorer.look_at_region(shown, click([width // 2, 0] if height >= width else [0, height // 2]))


def test_words_beyond_the_input_are_dim(explorer, radiograph):
    _, report, shown = explorer.show(radiograph, "lungs are clear. " * 60 + "There is edema.")
    assert words(report, "unread")[-1] == "edema"
    assert "does not read so far" in explorer.look_at_word(shown, ATTENTION, click(len(shown.words) - 1))[0]


def test_a_model_without_tokens(inferencer, radiograph, monkeypatch):
    """Phrases are found all the same."""
    monkeypatch.setattr(inferencer.model, "uses_tokens", False)
    explorer = Explorer(inferencer, [])
    figure, report, shown = explorer.show(radiograph, REPORT)
    assert "“large left effusion”" in figure and not words(report, "unread")
    assert "no attention" in explorer.look_again(shown, ATTENTION)[0]
    with pytest.raises(gr.Error, match="no attention between regions"):
        explorer.look_at_region(shown, click([1, 1]))
    labels = [block.choices for block in build_page(explorer).blocks.values() if isinstance(block, gr.Radio)]
    assert [name for name, _ in labels[0]] == [PHRASE, PLAIN]
    assert OR_A_PLACE not in explorer.look_again(shown, PLAIN)[0]


def test_comparison(explorer, radiograph):
    _warning, findings, nearest, timer = explorer.compare(explorer.show(radiograph, REPORT)[-1])
    assert all(f"<th>{name} " in findings for name in FINDINGS) and findings.count("<svg") == len(FINDINGS)
    assert re.findall(r"<b>[+−]\d\.\d\d</b>", findings) and "99 %" not in findings
    assert nearest.count('class="card"') == 4 and nearest.count("<li>") >= 1 and not timer.active


def test_an_example_is_not_its_own_neighbour(explorer):
    file, report, number, _figure, _, shown = explorer.choose(PHRASE, click(2))
    assert number == shown.number == 2 and report.endswith(".") and report[0].isupper()
    assert np.array_equal(cv2.imread(file, cv2.IMREAD_GRAYSCALE), explorer.pairs[2].image.read())
    nearest = explorer.compare(shown)[2]
    assert 'data-index="2"' not in nearest and nearest.count('class="card"') == 4
    # Nor is it if somebody uploads it.
    uploaded = explorer.show(file, report)[-1]
    assert uploaded.number is None and 'data-index="2"' not in explorer.compare(uploaded)[2]


def test_examples_are_named_by_findings(explorer, inferencer, pairs):
    titles = re.findall(r'title="([^"]+)"', _examples(explorer))
    assert len(set(titles)) == len(titles) >= 2 and "pair" not in " ".join(titles)
    without = [pair._replace(labels={}) for pair in pairs[:5]]
    assert "No finding" not in re.findall(r'title="([^"]+)"', _examples(Explorer(inferencer, without)))[0]


def _examples(explorer):
    return next(block.value for block in build_page(explorer).blocks.values() if block.elem_id == "examples")


def test_boxes_are_where_the_data_have_them(inferencer, pairs):
    explorer = Explorer(inferencer, [pair for pair in pairs if pair.boxes][:1])
    (pair,) = explorer.pairs
    *_, figure, _, shown = explorer.choose(PHRASE, click(0))
    factor = 640 / max(shown.pixels.shape)
    assert figure.count('<rect class="under"') == len(pair.boxes)
    for box in pair.boxes:
        assert f'x="{factor * box.x:.1f}" y="{factor * box.y:.1f}"' in figure
    assert 'class="box meant"' in figure


def test_hostile_texts_are_shown_as_text(inferencer, pairs):
    bad = "<img src=x onerror=alert(1)>\ud800"
    box = NamedBox(1, 1, 9, 9, bad)
    pair = pairs[0]._replace(sentences=(bad, "effusion"), report=f"{bad} effusion", labels={bad: 1}, boxes=(box,))
    explorer = Explorer(inferencer, [pair, pairs[1]])
    explorer.known.prepare()
    *_, figure, report, shown = explorer.choose(PHRASE, click(0))
    for html in (figure, report, *explorer.compare(shown)[:3], _examples(explorer)):
        assert b"<img src=x" not in html.encode()  # which a lone surrogate would make fail
    assert "&lt;img" in figure and "img</span>" in report


def test_an_image_unlike_the_data(inferencer, pairs, tmp_path):
    explorer = Explorer(inferencer, pairs)
    explorer.known.prepare()
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    assert "unlike the data" in explorer.compare(explorer.show(str(tmp_path / "noise.png"), "effusion")[-1])[0]
    own = [explorer.compare(explorer.choose(PHRASE, click(number))[-1])[0] for number in range(len(pairs))]
    assert sum(map(bool, own)) <= max(1, 0.02 * len(pairs))


def test_while_the_data_are_embedded(inferencer, pairs, radiograph):
    explorer = Explorer(inferencer, pairs[:5])
    shown = explorer.show(radiograph, "effusion")[-1]
    warning, findings, nearest, timer = explorer.compare(shown)
    assert warning == "" and "Edema" in findings and "0 of 5 images" in nearest and timer.active
    assert explorer.compare(None)[:3] == ("", "", "")
    broken = pairs[1]._replace(image=NamedImage("patient7", Path("patient7.png")))
    explorer = Explorer(inferencer, [pairs[0], broken])
    explorer.known.prepare()
    assert "patient7" in explorer.known.outcome
    _, findings, nearest, timer = explorer.compare(shown)
    assert "Edema" in findings and "cannot be read" in nearest and "patient7" not in nearest and not timer.active


def test_dicom(explorer, tmp_path):
    LAYOUTS["rsna_pneumonia"](tmp_path / "raw", PhantomOptions(patients=1, seed=0), progress=False)
    shown = explorer.show(str(next((tmp_path / "raw").rglob("*.dcm"))), "consolidation")[-1]
    assert shown.image.shape == (640, 640)


def test_without_data_there_is_nothing_to_compare_with(inferencer, radiograph):
    explorer = Explorer(inferencer, [])
    warning, findings, nearest, timer = explorer.compare(explorer.show(radiograph, "effusion")[-1])
    assert warning == "" and "Edema" in findings and "<svg" not in findings and not timer.active
    assert "--data" in nearest


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2000)])
def test_small_and_thin_pictures(explorer, shape, tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.full(shape, 90, np.uint8))
    shown = explorer.show(str(tmp_path / "x.png"), "effusion")[-1]
    assert max(shown.image.shape) == 640 and min(shown.image.shape) >= 1


def test_mistakes_are_told(explorer, radiograph, tmp_path):
    (tmp_path / "notes.png").write_text("this is no picture")
    colors = np.zeros((64, 64, 3), np.uint8)
    colors[..., 2] = 200
    cv2.imwrite(str(tmp_path / "holiday.jpg"), colors)
    for file, report, message in (
        (None, "effusion", "Drop a radiograph"),
        (radiograph, "  ", "report is empty"),
        (radiograph, "?!", "no words"),
        (tmp_path / "notes.png", "effusion", "neither a JPEG"),
        (tmp_path / "holiday.jpg", "effusion", "in color"),
    ):
        with pytest.raises(gr.Error, match=message) as error:
            explorer.show(file and str(file), report)
        assert str(tmp_path) not in error.value.message
    for ask in (explorer.look_again, lambda shown, view: explorer.look_at_word(shown, view, click(0))):
        with pytest.raises(gr.Error, match="Show a radiograph"):
            ask(None, PHRASE)


def test_huge_file(explorer, tmp_path):
    header = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    (tmp_path / "huge.png").write_bytes(header[:16] + (60000).to_bytes(4, "big") * 2 + header[24:])
    with pytest.raises(gr.Error, match="pixels"):
        explorer.show(str(tmp_path / "huge.png"), "effusion")


def test_odd_clicks(explorer, radiograph):
    """Anybody may call the page's functions with any values."""
    shown = explorer.show(radiograph, "large left effusion")[-1]
    height, width = shown.image.shape
    for index in (None, -1, 3, 10**9, 1.0, True, "1", [0], {}):
        with pytest.raises(gr.Error, match="one of the words"):
            explorer.look_at_word(shown, PHRASE, click(index))
    for index in (None, 1, [], [1], [1, 2, 3], [-1, 0], [0, -1], [width, 0], [0, height], [1.5, 2], ["1", "2"], {}):
        with pytest.raises(gr.Error, match="place in the image"):
            explorer.look_at_region(shown, click(index))
    for data in (None, {}, [], 5):
        with pytest.raises(gr.Error, match="one of the words"):
            explorer.look_at_word(shown, PHRASE, gr.EventData(None, data))
    for number in (None, -1, 5, 10**9, 1.0, True, "x", []):
        with pytest.raises(gr.Error, match="Choose one"):
            explorer.choose(PHRASE, click(number))


def test_a_long_report(explorer, radiograph):
    with pytest.raises(gr.Error, match="longer than 100,000"):
        explorer.show(radiograph, "lungs are clear. " * 600_000)


def test_a_pair_whose_file_is_elsewhere_or_broken(inferencer, radiograph, monkeypatch, tmp_path):
    """Gradio serves no file of the data's folder; the page does not say where it is."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "patient7.png").write_text("nothing")
    images = [NamedImage(name, Path(file)) for name, file in (("a", radiograph), ("b", tmp_path / "patient7.png"))]
    explorer = Explorer(inferencer, [Pair(image, "effusion", None, ("effusion",)) for image in images])
    file = explorer.choose(PHRASE, click(0))[0]
    assert Path(file).parent == tmp_path and file.endswith("pair_0.png")
    assert np.array_equal(cv2.imread(file, cv2.IMREAD_GRAYSCALE), images[0].read())
    with pytest.raises(gr.Error) as error:
        explorer.choose(PHRASE, click(1))
    assert "patient7" not in error.value.message


def test_page_is_built(explorer):
    page = build_page(explorer)
    assert {component.elem_id for component in page.blocks.values()} >= {"banner", "file", "report", "words", "image"}
