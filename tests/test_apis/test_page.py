"""What happens on a click, without a browser."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mgca_mm.apis import EmbeddingIndex
from mgca_mm.apis.inputs import NamedImage
from mgca_mm.apis.prepared import Pair, load_pairs
from mgca_mm.errors import UserError
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions

gr = pytest.importorskip("gradio")
from mgca_mm.apis.page import FINDINGS, Explorer, build_page  # noqa: E402


@pytest.fixture(scope="module")
def explorer(inferencer, options):
    return Explorer(inferencer, load_pairs(options["data_root"])[:5])


@pytest.fixture
def radiograph(prepared):
    return str(next((prepared / "raw").rglob("*.jpg")))


def test_show_and_look(explorer, radiograph):
    image, words, findings, reports, images, message, shown = explorer.show(radiograph, "Large left effusion. No mass.")
    assert max(image.shape) == 640 and image.dtype == np.uint8
    assert [word for word, _ in words] == ["large", "left", "effusion", "no", "mass"]
    assert set(findings) == set(FINDINGS) and all(0 <= score <= 1 for score in findings.values())
    assert 1 <= len(reports) <= 4 and len(images) == 4
    assert "Click a word" in message
    first, second = (explorer.look_at_word(shown, SimpleNamespace(index=number)) for number in (1, 2))
    assert first.shape == (*image.shape, 3)
    assert not np.array_equal(first, second)
    height, width = image.shape
    marked = explorer.look_at_region(shown, SimpleNamespace(index=(width // 2, height // 2)))
    assert [word for word, _ in marked] == [word for word, _ in words]
    assert max(weight for _, weight in marked) == 1
    with pytest.raises(gr.Error, match="outside its crop"):
        explorer.look_at_region(shown, SimpleNamespace(index=(width // 2, 0) if height >= width else (0, height // 2)))


def test_dicom(explorer, tmp_path):
    LAYOUTS["rsna_pneumonia"](tmp_path / "raw", PhantomOptions(patients=1, seed=0), progress=False)
    image = explorer.show(str(next((tmp_path / "raw").rglob("*.dcm"))), "consolidation")[0]
    assert image.shape == (640, 640)


def test_without_data_there_is_no_index(inferencer, radiograph):
    *_, reports, images, message, _ = Explorer(inferencer, []).show(radiograph, "effusion")
    assert reports == images == []
    assert "no index" in message and "--data" in message


def test_index_is_kept(inferencer, options, tmp_path, monkeypatch):
    pairs = load_pairs(options["data_root"])
    first = Explorer(inferencer, pairs[:4], tmp_path / "index")
    monkeypatch.setattr(inferencer, "build_index", None)  # not asked again
    second = Explorer(inferencer, pairs[:4], tmp_path / "index")
    assert second.index.names("images") == first.index.names("images")
    with pytest.raises(UserError, match="other images"):
        Explorer(inferencer, pairs[:3], tmp_path / "index")
    changed = [*pairs[:3], pairs[3]._replace(report="prepared again, by other rules")]
    with pytest.raises(UserError, match="other reports"):
        Explorer(inferencer, changed, tmp_path / "index")


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2000)])
def test_small_and_thin_pictures(explorer, shape, tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.full(shape, 90, np.uint8))
    image = explorer.show(str(tmp_path / "x.png"), "effusion")[0]
    assert max(image.shape) == 640 and min(image.shape) >= 1


def test_an_index_folder_that_is_empty(inferencer, options, tmp_path):
    assert Explorer(inferencer, load_pairs(options["data_root"])[:3], tmp_path).index.names("images")
    assert (tmp_path / "names.json").is_file()


def test_mistakes_are_told(explorer, radiograph, tmp_path):
    (tmp_path / "notes.png").write_text("this is no picture")
    colors = np.zeros((64, 64, 3), np.uint8)
    colors[..., 2] = 200
    cv2.imwrite(str(tmp_path / "holiday.jpg"), colors)
    for file, report, words in (
        (None, "effusion", "Drop a radiograph"),
        (radiograph, "  ", "report is empty"),
        (radiograph, "?!", "no words"),
        (tmp_path / "notes.png", "effusion", "neither a JPEG"),
        (tmp_path / "holiday.jpg", "effusion", "in color"),
    ):
        with pytest.raises(gr.Error, match=words) as error:
            explorer.show(file and str(file), report)
        assert str(tmp_path) not in error.value.message
    with pytest.raises(gr.Error, match="Show a radiograph"):
        explorer.look_at_word(None, SimpleNamespace(index=0))


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
            explorer.look_at_word(shown, SimpleNamespace(index=index))
    for index in (None, 1, [], [1], [1, 2, 3], [-1, 0], [0, -1], [width, 0], [0, height], [1.5, 2], ["1", "2"], {}):
        with pytest.raises(gr.Error, match="place in the image"):
            explorer.look_at_region(shown, SimpleNamespace(index=index))
    for data in (None, {}, [], 5):
        with pytest.raises(gr.Error, match="one of the words"):
            explorer.look_at_word(shown, gr.EventData(None, data))
    for number in (None, -1, 5, 10**9, 1.0, True, "x", []):
        with pytest.raises(gr.Error, match="Choose one"):
            explorer.choose(number)


def test_a_long_report(explorer, radiograph):
    with pytest.raises(gr.Error, match="longer than 100,000"):
        explorer.show(radiograph, "lungs are clear. " * 600_000)


def test_a_pair_whose_file_is_elsewhere_or_broken(inferencer, radiograph, monkeypatch, tmp_path):
    """Gradio serves no file of the data's folder; the page does not say where it is."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "patient7.png").write_text("nothing")
    images = [NamedImage(name, Path(file)) for name, file in (("a", radiograph), ("b", tmp_path / "patient7.png"))]
    explorer = Explorer(inferencer, [])
    explorer.pairs = [Pair(image, "effusion", None) for image in images]
    file, _ = explorer.choose(0)
    assert Path(file).parent == tmp_path and file.endswith("pair_0.png")
    assert np.array_equal(cv2.imread(file, cv2.IMREAD_GRAYSCALE), images[0].read())
    with pytest.raises(gr.Error) as error:
        explorer.choose(1)
    assert "patient7" not in error.value.message


def test_an_index_of_another_dimension(inferencer, options, tmp_path, radiograph):
    """With the right fingerprint, which anybody can write."""
    pairs = load_pairs(options["data_root"])[:2]
    of = torch.nn.functional.normalize(torch.ones(2, 3), dim=1)
    names = [pair.image.name for pair in pairs], [pair.report for pair in pairs]
    EmbeddingIndex(inferencer.fingerprint, images=(names[0], of), reports=(names[1], of.clone())).save(tmp_path)
    with pytest.raises(gr.Error, match="of another model"):
        Explorer(inferencer, pairs, tmp_path).show(radiograph, "effusion")


def test_pairs_to_choose_from(explorer, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    file, report = explorer.choose(2)
    assert report == explorer.pairs[2].report
    assert np.array_equal(cv2.imread(file, cv2.IMREAD_GRAYSCALE), explorer.pairs[2].image.read())


def test_page_is_built(explorer):
    page = build_page(explorer)
    assert {component.elem_id for component in page.blocks.values()} >= {"banner", "file", "report", "words", "image"}
