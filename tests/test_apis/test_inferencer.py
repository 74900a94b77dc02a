"""The inferencer against the model run by hand, on every kind of input."""

import io
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.dataset import default_collate
from PIL import Image
from safetensors.torch import save

from mgca_mm.apis import EmbeddingIndex, RadiographInferencer, config_beside
from mgca_mm.apis.inferencer import clean_report
from mgca_mm.apis.inputs import list_images
from mgca_mm.apis.prepared import load_pairs
from mgca_mm.engine.config import load_config
from mgca_mm.errors import UserError
from mgca_mm.phantom.dicom import write_dicom
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions
from mgca_mm.radiographs.reading import read_radiograph
from mgca_mm.registry import DATASETS
from tests.conftest import ROOT, SHARED, needs_shared

from .conftest import CONFIG, save_weights

PNG = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8))[1].tobytes()
REPORT = "FINDINGS: There is a small left pleural effusion. No pneumothorax.\nIMPRESSION: Left effusion."


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (150, 90), dtype=np.uint8)


def test_embeddings_are_those_of_the_test_loop(inferencer, options):
    """Images and reports of a prepared folder, through the config's own data set and collation."""
    cfg = load_config(str(CONFIG), options)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    batch = default_collate([dataset[number] for number in range(3)])
    with torch.no_grad():
        image, text = inferencer.model(inferencer.model.data_preprocessor(batch)["inputs"], mode="tensor")
    pairs = load_pairs(options["data_root"])[:3]
    torch.testing.assert_close(inferencer.embed_images([pair.image for pair in pairs]), image.global_feature)
    # The prepared report is clean already: cleaning it again changes nothing.
    reports = [".\n".join(dataset.get_data_info(number)["report"]) for number in range(3)]
    torch.testing.assert_close(inferencer.embed_reports(reports), text.global_feature)


def test_every_kind_of_image_gives_the_same(inferencer, picture, tmp_path):
    folder = tmp_path / "folder" / "below"
    folder.mkdir(parents=True)
    file = folder / "a.png"
    cv2.imwrite(str(file), picture)
    (folder / "notes.txt").write_text("not an image")
    expected = inferencer.embed_images(picture)
    color = np.repeat(picture[..., None], 3, axis=2)
    for given in (str(file), file, [picture], folder.parent, [file], color, picture[..., None]):
        torch.testing.assert_close(inferencer.embed_images(given), expected)
    assert expected.shape == (1, 128)
    torch.testing.assert_close(expected.norm(dim=1), torch.ones(1))


def _pictures(picture):
    """The same eight bits as other libraries have them."""
    image, color = Image.fromarray(picture), np.repeat(picture[..., None], 3, axis=2)
    yield from (image, image.convert("LA"), image.convert("P"), image.convert("RGB"), image.convert("RGBA"))
    yield from (image.convert("I"), image.convert("F"), [image])
    yield from (picture[None], picture[..., None], color.transpose(2, 0, 1), np.dstack([color, picture]))
    yield from (color[None], color.transpose(2, 0, 1)[None], picture[None, None])
    for kind in (np.uint16, np.int16, np.int64, np.float32, ">f8"):
        yield picture.astype(kind)
    yield from (picture / 255, (color / 255).astype(np.float32), (picture / 255).astype(np.float16))
    tensor = torch.from_numpy(picture)
    yield from (tensor, tensor.float(), tensor[None, None], tensor.to(torch.bfloat16))
    yield from ((tensor / 255).requires_grad_(), tensor.expand(3, -1, -1), [tensor])


def test_every_kind_of_picture_is_read_alike(picture):
    for number, given in enumerate(_pictures(picture)):
        (found,) = list_images(given)
        assert found.name == "image 0"
        np.testing.assert_array_equal(found.read(), picture, err_msg=str(number))


def test_files_that_are_open_or_read(inferencer, picture, tmp_path):
    write_dicom(tmp_path / "a.dcm", picture, "monochrome1", SOPInstanceUID="1.2")
    for suffix in ("png", "jpg"):
        cv2.imwrite(str(tmp_path / f"a.{suffix}"), picture)
    for file in sorted(tmp_path.iterdir()):
        content, expected = file.read_bytes(), read_radiograph(file)
        left_at_the_end = io.BytesIO(content)
        left_at_the_end.read()
        with file.open("rb") as opened:
            for given in (content, bytearray(content), memoryview(content), left_at_the_end, opened):
                (found,) = list_images(given)
                np.testing.assert_array_equal(found.read(), expected)
        torch.testing.assert_close(inferencer.embed_images(content), inferencer.embed_images(file))
    files = [str(file) for file in sorted(tmp_path.iterdir())]
    for several in (pd.Series(files), np.array(files), iter(files)):
        assert [image.name for image in list_images(several)] == files


def test_pictures_of_pillow_are_those_of_the_file(picture, tmp_path):
    """Sixteen bits are stretched in the same way, and what a file says of its orientation is heard."""
    cv2.imwrite(str(tmp_path / "deep.png"), picture.astype(np.uint16) * 200 + 3000)
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("turned.jpg", "turned.png"):
        Image.fromarray(picture).save(tmp_path / name, exif=turned)
    for name in ("deep.png", "turned.jpg", "turned.png"):
        np.testing.assert_array_equal(
            list_images(Image.open(tmp_path / name))[0].read(), read_radiograph(tmp_path / name)
        )
    copy = Image.open(tmp_path / "turned.png").convert("L")  # has no format any more
    np.testing.assert_array_equal(list_images(copy)[0].read(), read_radiograph(tmp_path / "turned.png"))


def test_several_pictures_in_an_array(picture):
    batch = np.stack([picture, 255 - picture])
    color = np.repeat(batch[..., None], 3, axis=3)
    for given in (batch, color, color.transpose(0, 3, 1, 2), torch.from_numpy(batch)[:, None], batch / 255):
        found = list_images(given)
        assert [image.name for image in found] == ["image 0", "image 1"]
        np.testing.assert_array_equal([image.read() for image in found], batch)
    assert [image.name for image in list_images([picture, batch, picture])] == [f"image {n}" for n in range(4)]


def test_other_numbers_are_stretched(picture):
    """Signed, wide and negative ones, as those from -1024 to 1024 of other projects; and two grays."""
    wide = picture.astype(float) / 255 * 2048 - 1024
    ranked = np.sort(picture.ravel()).astype(float)
    low, high = ranked[[-(-picture.size // 500), -1 - -(-picture.size // 500)]]
    expected = 255 * np.clip((picture - low) / (high - low), 0, 1)
    for given in (wide, wide[None], wide.astype(np.float32), np.rint(picture * 200.0).astype(np.uint16)):
        assert np.abs(list_images(given)[0].read() - expected).max() <= 1
    np.testing.assert_array_equal(list_images(picture > 99)[0].read(), 255 * (picture > 99))
    np.testing.assert_array_equal(list_images(Image.fromarray(picture > 99))[0].read(), 255 * (picture > 99))


@pytest.mark.parametrize("top", [1, 255])
def test_what_is_a_little_outside_the_grays_is_clipped(picture, top):
    """As interpolation and augmentation leave it: by rounding, at one pixel, or by their overshoot."""
    values = picture.astype(np.float64) * (top / 255)
    values.flat[:2] = 0, top
    expected = np.rint(values * (255 / top))
    for low, high in ((0, 1.0001), (-1e-7, 1), (-0.05, 1.08)):
        given = values.copy()
        given.flat[:2] = low * top, high * top
        for kind in (np.float32, np.float64):
            (found,) = list_images(given.astype(kind))
            assert np.abs(found.read() - expected).max() <= 1
            (found,) = list_images(torch.from_numpy(given.astype(kind)).expand(1, 3, -1, -1))
            assert np.abs(found.read() - expected).max() <= 1


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.5), (0.45, 0.22), (0.2, 1)])
def test_normalized_numbers_are_stretched(picture, mean, std):
    """The darkest black and the brightest white, as in a 16-bit file: nothing says what they were."""
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    ranked = np.sort(picture.ravel()).astype(float)
    low, high = ranked[[-(-picture.size // 500), -1 - -(-picture.size // 500)]]
    expected = 255 * np.clip((picture - low) / (high - low), 0, 1)
    tensor = (torch.from_numpy(picture) / 255 - mean) / std
    for given in (tensor, tensor.expand(3, -1, -1), tensor[None, None]):
        assert np.abs(list_images(given)[0].read() - expected).max() <= 1


def test_a_batch_gives_what_its_images_give_alone(picture):
    """A dark one and a bright one, of each kind of numbers; the color, too, of which blue has little luma."""
    blue = np.zeros((40, 40, 3), np.float32)
    blue[..., 2] = np.linspace(0, 9, 40)
    dark, bright = picture.astype(int) // 200, np.maximum(picture, 1).astype(int)
    batches = [np.stack([dark * scale, bright * scale]) for scale in (1, 1 / 255, 1.0, 20, 200, -3)]
    batches += [np.stack([dark, bright * 16]).astype(np.uint16), np.stack([blue, 28 * blue])]
    for batch in batches:
        alone = [list_images(image)[0].read() for image in batch]
        np.testing.assert_array_equal([image.read() for image in list_images(batch)], alone)
    assert list_images(blue)[0].read().max() == round(0.114 * 9)


def test_an_array_that_cannot_be_made_is_refused():
    class Lazy:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("secret")

    for given in (Lazy(), [Lazy()]):
        with pytest.raises(UserError, match=r"image 0: the Lazy cannot be read.*\n.*NumPy") as caught:
            list_images(given)
        assert "secret" not in str(caught.value)


def test_arrays_of_other_libraries(picture):
    """They can be gone through row by row, which would make images of nothing."""

    class Array(list):
        ndim = 2

        def __array__(self, dtype=None, copy=None):
            return np.array(list(self), np.uint8)

    (found,) = list_images(Array(picture.tolist()))
    np.testing.assert_array_equal(found.read(), picture)
    with pytest.raises(UserError, match=r"image 0: an array of object .* has no gray levels"):
        list_images(pd.DataFrame({"path": ["a.png"]}))


def test_batches_do_not_matter(weights, options, inferencer):
    small = RadiographInferencer(CONFIG, weights, cfg_options=options, batch_size=2, show_progress=False, device="cpu")
    images = [pair.image for pair in load_pairs(options["data_root"])[:5]]
    torch.testing.assert_close(small.embed_images(images), inferencer.embed_images(images), atol=1e-5, rtol=1e-5)
    reports = ["one effusion", "two effusions and a very much longer text about it", "no", "heart", "lung fields"]
    torch.testing.assert_close(small.embed_reports(reports), inferencer.embed_reports(reports), atol=1e-5, rtol=1e-5)


def test_similarity(inferencer, picture):
    reports = [REPORT, "the heart is enlarged"]
    found = inferencer.similarity([picture, picture.T], reports)
    expected = inferencer.embed_images([picture, picture.T]) @ inferencer.embed_reports(reports).T
    torch.testing.assert_close(found, expected)


def test_cleaning():
    assert clean_report(REPORT) == "left effusion there is a small left pleural effusion no pneumothorax"
    assert clean_report("Pneumonia") == "pneumonia"
    assert clean_report("FINDINGS: Pneumonia.\nIMPRESSION:\nEffusion.") == "pneumonia effusion"
    for names_only in ("FINDINGS:", "IMPRESSION"):
        with pytest.raises(UserError, match="no words"):
            clean_report(names_only)
    with pytest.raises(UserError, match="report 3") as error:
        clean_report("?!  …", 3)
    assert "?!" not in str(error.value)


def test_words_are_those_the_model_has_learned(weights, options, tmp_path):
    """Named, or of the checkpoint, or of the prepared folder; findings, templates and phrases as well."""
    (tmp_path / "tokenizer").symlink_to(Path(options["data_root"], "tokenizer"))
    content = torch.load(weights)
    torch.save({**content, "meta": {"dataset_meta": {"words": "unicode"}}}, tmp_path / "unicode.pth")
    torch.save({**content, "meta": {"dataset_meta": {"words": ["x"]}}}, tmp_path / "strange.pth")

    def make(file, **kwargs):
        options = {"data_root": str(tmp_path)}
        return RadiographInferencer(CONFIG, file, device="cpu", cfg_options=options, show_progress=False, **kwargs)

    def seen(model):
        texts, batch = [], model._tokenize.batch
        model._tokenize.batch = lambda given, root: texts.extend(given) or batch(given, root)
        model.embed_reports("FINDINGS: Índice cardiotorácico normal.")
        model.zero_shot(np.zeros((9, 9), np.uint8), ["Edema pulmón"], {"present": ["hay {}"], "absent": ["sin {}"]})
        return texts

    folded = ["indice cardiotoracico normal", "hay edema pulmon", "sin edema pulmon"]
    kept = ["índice cardiotorácico normal", "hay edema pulmón", "sin edema pulmón"]
    plain = make(weights)
    assert plain.words == make(tmp_path / "strange.pth").words == "ascii" and seen(plain) == folded
    assert seen(make(tmp_path / "unicode.pth")) == kept
    assert seen(make(tmp_path / "unicode.pth", words="ascii")) == folded
    assert seen(make(weights, words="unicode")) == kept
    with pytest.raises(UserError, match="words must be one of ascii, unicode, got 'latin'"):
        make(weights, words="latin")
    with pytest.raises(UserError, match=r"report 0: there are no words in it\n.*words='unicode'"):
        plain.embed_reports("双肺清晰")
    (tmp_path / "manifest.json").write_text(json.dumps({"parameters": {"words": "unicode"}}))
    assert seen(make(weights)) == kept


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("/nowhere/x.png", "no such image"),
        ([], "no image"),
        (None, "NoneType is no image"),
        ({"a": 1}, "dict is no image"),
        ([np.zeros((4, 4)), None], "image 1: NoneType is no image"),
        ([[1, 2], [3, 4]], "image 0: list is no image"),
        (np.zeros(4), r"float64 \(4,\) is no image"),
        (np.zeros((0, 4), np.uint8), "is no image"),
        (np.zeros((2, 9, 9, 9), np.uint8), "is no image"),
        (np.zeros((4, 4), complex), "has no gray levels"),
        (np.array(["a.png"])[None], "has no gray levels"),
        (np.full((4, 4), np.nan), "has NaN or infinite"),
        (torch.full((4, 4), torch.inf), "has NaN or infinite"),
        (torch.zeros(4, 4, device="meta"), "Tensor cannot be read"),
        (np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8), "may be one image in color or several"),
        (b"", "image 0: the image file is empty"),
        (b"nothing", "image 0: neither a JPEG"),
        (io.StringIO("text"), "open for text"),
        ("", "image 0: an empty text is no image"),
        ("x" * 5000, "no such image"),
        ("a\0b", "no such image"),
        (Image.open(io.BytesIO(PNG[: len(PNG) // 2])), "PngImageFile cannot be read"),
    ],
)
def test_what_is_no_image(inferencer, given, words):
    with pytest.raises(UserError, match=words):
        inferencer.embed_images(given)


@pytest.mark.parametrize("given", [None, float("nan"), b"an effusion", 7, ["a"], np.array(["edema"])])
def test_what_is_no_report(inferencer, given):
    for call in (
        lambda: inferencer.embed_reports(["no effusion", given]),
        lambda: inferencer.build_index(reports=["no effusion", given]),
        lambda: inferencer.attend(np.zeros((9, 9), np.uint8), given),
        lambda: inferencer.ground(np.zeros((9, 9), np.uint8), ["an effusion", given]),
    ):
        with pytest.raises(UserError, match=r"report \d is no text, but \w+.\nGive str"):
            call()


@pytest.mark.parametrize(
    "given", [None, 7, {"a": "edema"}, np.array("edema"), pd.DataFrame({"report": ["edema"]})], ids=type
)
def test_what_are_no_reports(inferencer, given):
    with pytest.raises(UserError, match=r"reports are \w+.\nGive one text"):
        inferencer.embed_reports(given)


@pytest.mark.parametrize("given", [None, 7, b"edema", [None], [float("nan")], {"a": ([None], ["b"])}], ids=str)
def test_what_are_no_findings(inferencer, picture, given):
    with pytest.raises(UserError, match=r"Findings and their sentences are texts \(str\), not \w+\.$"):
        inferencer.zero_shot(picture, given)


@pytest.mark.parametrize("given", ["", ["Edema", "?"], {"a": None}, []], ids=str)
def test_findings_without_words(inferencer, picture, given):
    with pytest.raises(UserError, match=r"no words|needs sentences|no finding"):
        inferencer.zero_shot(picture, given)


def test_every_kind_of_report(inferencer):
    texts = ["left effusion", "the heart is enlarged"]
    expected = inferencer.embed_reports(texts)
    for given in (tuple(texts), iter(texts), np.array(texts), np.array(texts, object), pd.Series(texts, index=[4, 2])):
        torch.testing.assert_close(inferencer.embed_reports(given), expected)
    torch.testing.assert_close(inferencer.embed_reports(np.str_(texts[0])), expected[:1])


def test_one_report_and_none(inferencer):
    assert inferencer.build_index(reports="left effusion").names("reports") == ["left effusion"]
    for call in (inferencer.embed_reports, lambda reports: inferencer.build_index(reports=reports)):
        with pytest.raises(UserError, match="no report"):
            call([])


def test_folders_of_archives(tmp_path):
    """DICOM files have names without an ending, or ids with dots; an index and hidden files lie beside them."""
    LAYOUTS["rsna_pneumonia"](tmp_path / "raw", PhantomOptions(patients=1, seed=0), progress=False)
    dicom = next((tmp_path / "raw").rglob("*.dcm")).read_bytes()
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("IM000001", "1.2.840.10008.5", "DICOMDIR", "._IM000001", "._x.png"):
        (folder / name).write_bytes(dicom)
    (folder / "notes.txt").write_text("nothing")
    assert [Path(image.name).name for image in list_images(folder)] == ["1.2.840.10008.5", "IM000001"]


@pytest.mark.parametrize("wrong", [dict(batch_size=0), dict(topk=0), dict(temperature=0.0)], ids=str)
def test_numbers_that_are_none(wrong, inferencer, weights, options, picture):
    with pytest.raises(UserError, match=next(iter(wrong))):
        if "batch_size" in wrong:
            RadiographInferencer("quickstart/pretrain_resnet18", weights, cfg_options=options, **wrong)
        elif "topk" in wrong:
            inferencer.retrieve(inferencer.build_index(picture), "images", images=picture, **wrong)
        else:
            inferencer.zero_shot(picture, "Edema", **wrong)


def test_empty_folder_and_broken_file(inferencer, tmp_path):
    with pytest.raises(UserError, match=r"holds no \.jpg"):
        inferencer.embed_images(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UserError, match=r"broken\.png"):
        inferencer.embed_images(tmp_path)


def test_index_finds_itself(inferencer, options, tmp_path):
    pairs = load_pairs(options["data_root"])[:6]
    index = inferencer.build_index([pair.image for pair in pairs], [pair.report for pair in pairs])
    loaded = EmbeddingIndex.load(index.save(tmp_path / "index"))
    images = [pair.image for pair in pairs]
    for found, pair in zip(inferencer.retrieve(loaded, "images", images=images, topk=2), pairs, strict=True):
        assert found[0].name == pair.image.name
        assert found[0].score == pytest.approx(1, abs=1e-5)
        assert found[0].score >= found[1].score
    for found, pair in zip(
        inferencer.retrieve(loaded, "reports", reports=[pair.report for pair in pairs]), pairs, strict=True
    ):
        assert found[0].name == pair.report
    expected = inferencer.similarity(images, loaded.names("reports"))
    for row, found in zip(expected, inferencer.retrieve(loaded, "reports", images=images, topk=3), strict=True):
        assert [match.position for match in found] == row.topk(3).indices.tolist()


def test_index_is_private_and_checked(inferencer, picture, tmp_path):
    folder = inferencer.build_index(reports=["left effusion", "left effusion", "no effusion"]).save(tmp_path / "index")
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {"0o600"}
    index = EmbeddingIndex.load(folder)
    assert index.names("reports") == ["left effusion", "no effusion"]
    with pytest.raises(UserError, match="holds no images"):
        inferencer.retrieve(index, "images", images=picture)
    with pytest.raises(UserError, match="either images or reports"):
        inferencer.retrieve(index, "reports")
    with pytest.raises(UserError, match="3 numbers"):
        index.search(torch.ones(1, 3), "reports")
    (folder / "names.json").write_text(json.dumps({"reports": ["one"]}))
    with pytest.raises(UserError, match="is broken"):
        EmbeddingIndex.load(folder)
    with pytest.raises(UserError, match="holds no index"):
        EmbeddingIndex.load(tmp_path)


UNIT = torch.nn.functional.normalize(torch.arange(6.0).view(2, 3) + 1, dim=1)


@pytest.mark.parametrize(
    "names",
    [
        *(5, None, [], {}, [["a"]], {"reports": 2}, {"reports": "ab"}, {"reports": ["a"]}, {"reports": ["a", 5]}),
        *({"reports": ["a", None]}, {"images": ["a", "b"]}, {"reports": ["a", "b"], "model": []}, {"reports": []}),
        {"reports": ["a", "b"], "images": ["a", "b"]},
    ],
    ids=str,
)
def test_names_of_an_index_that_are_none(names, tmp_path):
    EmbeddingIndex("m", reports=(["a", "b"], UNIT)).save(tmp_path)
    assert EmbeddingIndex.load(tmp_path).search(UNIT[:1], "reports")[0][0].name == "a"
    (tmp_path / "names.json").write_text(json.dumps(names))
    with pytest.raises(UserError, match="is broken"):
        EmbeddingIndex.load(tmp_path)


@pytest.mark.parametrize(
    "tensors",
    [
        *({"reports": odd} for odd in (UNIT[0].clone(), UNIT[None].clone(), UNIT[:1].clone(), 2 * UNIT, 0 * UNIT)),
        *({"reports": odd} for odd in (UNIT / 0, UNIT * float("nan"), UNIT.half(), UNIT.double(), UNIT.int())),
        *({"reports": torch.ones(2, 0)}, {"images": UNIT}, {"reports": UNIT, "images": UNIT.clone()}, {}),
    ],
    ids=lambda tensors: "-".join(f"{name}{tuple(tensor.shape)}" for name, tensor in tensors.items()),
)
def test_embeddings_of_an_index_that_are_none(tensors, tmp_path):
    EmbeddingIndex("m", reports=(["a", "b"], UNIT)).save(tmp_path)
    (tmp_path / "embeddings.safetensors").write_bytes(save(tensors, {"model": "m"}))
    with pytest.raises(UserError, match="is broken"):
        EmbeddingIndex.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x" * 100, (2**62).to_bytes(8, "little"), save({"reports": UNIT}), None])
def test_an_index_whose_embeddings_cannot_be_read(content, tmp_path):
    """Damaged, claiming more than there is, without the model's name, or missing."""
    EmbeddingIndex("m", reports=(["a", "b"], UNIT)).save(tmp_path)
    (tmp_path / "embeddings.safetensors").unlink()
    if content is not None:
        (tmp_path / "embeddings.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"is broken|cannot be read"):
        EmbeddingIndex.load(tmp_path)


def test_an_index_of_another_checkpoint(inferencer, options, tmp_path):
    index = inferencer.build_index(reports=["left effusion", "no effusion"])
    weights = save_weights(CONFIG, tmp_path / "other.pth", options, seed=1)
    other = RadiographInferencer(CONFIG, weights, "cpu", options)
    with pytest.raises(UserError, match="another checkpoint"):
        other.retrieve(index, "reports", reports="effusion")


def test_zero_shot_scores(inferencer, picture):
    findings = {"effusion": (("effusion", "there is fluid"), ("no effusion",)), "mass": (("a mass",), ("no mass",))}
    scores = inferencer.zero_shot([picture, picture.T], findings, temperature=0.2)
    images = inferencer.embed_images([picture, picture.T])
    for column, (present, absent) in enumerate(findings.values()):
        means = [inferencer.embed_reports(side).mean(dim=0) for side in (present, absent)]
        cosines = torch.stack([images @ (mean / mean.norm()) for mean in means], dim=1)
        torch.testing.assert_close(scores[:, column], (cosines / 0.2).softmax(dim=1)[:, 0])
    assert inferencer.zero_shot(picture, ["Edema", "No Finding", "Something Rare"]).shape == (1, 3)
    with pytest.raises(UserError, match="no finding"):
        inferencer.zero_shot(picture, [])
    with pytest.raises(UserError, match="'x' needs sentences"):
        inferencer.zero_shot(picture, {"x": (("?",), ("no",))})


def test_ground_lies_on_the_image(inferencer, picture):
    heat_map = inferencer.ground(picture, "left pleural effusion")
    assert heat_map.shape == picture.shape
    assert heat_map.dtype == np.float32
    # 112 of 128 rows of the square are seen; the columns are padded, hence whole.
    unseen = np.isnan(heat_map)
    assert unseen[:8].all() and unseen[-8:].all()
    assert not unseen[10:-10].any()
    assert 0 <= np.nanmin(heat_map) < np.nanmax(heat_map) < 0.1  # on the scale of the contrast: nothing was learned


def test_ground_takes_several_phrases(inferencer, picture):
    phrases = ["left pleural effusion", "cardiomegaly", "a nodule"]
    maps = inferencer.ground(picture, phrases)
    assert maps.shape == (3, *picture.shape)
    for heat_map, phrase in zip(maps, phrases, strict=True):
        np.testing.assert_allclose(heat_map, inferencer.ground(picture, phrase), atol=1e-4)
    assert not np.allclose(maps[0], maps[1], equal_nan=True)


def test_attention_of_words_and_regions(inferencer, picture):
    found = inferencer.attend(picture, REPORT)
    assert " ".join(found.words) == clean_report(REPORT) + " [SEP]"
    assert found.words_to_regions.shape == (len(found.words), 49)
    np.testing.assert_allclose(found.words_to_regions.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.regions_to_words.sum(axis=1), 1, rtol=1e-5)
    assert found.grid(0).shape == (7, 7)


@pytest.mark.parametrize("method", ["gloria", "clip", "convirt"])
def test_other_methods(method, options, tmp_path, picture):
    config = ROOT / f"configs/quickstart/pretrain_{method}_resnet18.py"
    weights = save_weights(config, tmp_path / "x.pth", options)
    inferencer = RadiographInferencer(config, weights, cfg_options=options, device="cpu")
    assert np.nanmax(inferencer.ground(picture, "effusion")) > 0
    if method == "gloria":
        np.testing.assert_allclose(inferencer.attend(picture, REPORT).words_to_regions.sum(axis=1), 1, rtol=1e-5)
    else:
        with pytest.raises(UserError, match="no regions"):
            inferencer.attend(picture, REPORT)


def test_a_writer_of_reports_embeds_none(options, tmp_path, picture):
    config = ROOT / "configs/quickstart/pretrain_caption_lstm_resnet18.py"
    weights = save_weights(config, tmp_path / "x.pth", options)
    inferencer = RadiographInferencer(config, weights, cfg_options=options, device="cpu")
    for call in (
        inferencer.embed_images,
        lambda p: inferencer.ground(p, "effusion"),
        lambda p: inferencer.attend(p, "x"),
    ):
        with pytest.raises(UserError, match="embed none"):
            call(picture)


def test_config_by_name_and_beside(weights, options, tmp_path):
    by_name = RadiographInferencer("quickstart/pretrain_resnet18", weights, cfg_options=options, device="cpu")
    assert by_name.frame.square == 128 and by_name.frame.crop == 112
    with pytest.raises(UserError, match="Config 'mgca/none' does not exist"):
        RadiographInferencer("mgca/none", weights)
    (tmp_path / "run.py").write_text("a = 1")
    assert config_beside(tmp_path / "epoch_1.pth") == tmp_path / "run.py"
    (tmp_path / "other.py").write_text("a = 1")
    with pytest.raises(UserError, match="2 configs"):
        config_beside(tmp_path / "epoch_1.pth")


@needs_shared("real_cxr")
def test_real_radiographs_of_all_formats(inferencer):
    files = {file.suffix.lower(): file for file in sorted((SHARED / "real_cxr").rglob("*")) if file.is_file()}
    files = [file for suffix, file in files.items() if suffix in (".jpg", ".jpeg", ".png", ".dcm")]
    assert files
    assert inferencer.embed_images(files).shape == (len(files), 128)
    for file in files:
        assert inferencer.ground(file, "opacity").shape == inferencer.read(file).shape


def test_dicom(inferencer, tmp_path):
    LAYOUTS["rsna_pneumonia"](tmp_path / "raw", PhantomOptions(patients=2, seed=0), progress=False)
    files = sorted((tmp_path / "raw").rglob("*.dcm"))
    assert inferencer.embed_images(tmp_path / "raw").shape == (len(files), 128)
    assert inferencer.ground(files[0], "consolidation").shape == (1024, 1024)
