"""A user's own masks: folders and tables, one and many classes, every way that a mask is stored; odd and bad ones."""

import json
import unicodedata

import cv2
import numpy as np
import pytest
from PIL import Image

from mgca_mm.preparation import Options, check, prepare
from mgca_mm.preparation.collection import MaskFile
from mgca_mm.preparation.dense import draw_mask, place_mask
from mgca_mm.preparation.raw_folder import RawFolder
from mgca_mm.radiographs.reading import resize_and_pad
from tests.test_preparation.raw_trees import RawTree, raw_tree, refuse, write_image
from tests.test_preparation.test_bad_input_images import prepare_without

SIDE = 64
PARTS = np.zeros((SIDE, SIDE), np.uint8)  # three classes beside the background
PARTS[:20, :30], PARTS[30:50, 10:60], PARTS[50:, 40:] = 1, 2, 3


def png(path, pixels, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **kwargs)


def folders(raw, count=6):
    for number in range(count):
        write_image(raw / f"images/{number}.png", SIDE, number)
    return raw


def prepared(raw, **options):
    """Manifest, names by split and masks by name."""
    out = raw.with_name("out")
    prepare("masks", raw, out, Options(image_size=SIDE, **options))
    assert check("masks", out) == []
    names = {
        split: (out / f"segmentation/{split}.txt").read_text().split("\n")[:-1] for split in ("train", "val", "test")
    }
    masks = {
        name: cv2.imread(str(out / f"masks/{name}.png"), cv2.IMREAD_UNCHANGED) for own in names.values() for name in own
    }
    classes = (out / "segmentation/classes.txt").read_text().split("\n")[:-1]
    return json.loads((out / "manifest.json").read_text()), names, masks, classes


def test_folders_of_one_class(tmp_path):
    raw = folders(tmp_path / "raw")
    for number in range(6):
        png(raw / f"masks/{number}.png", (number % 4 == PARTS) * np.uint8(255))
    (raw / "masks/.DS_Store").touch()
    manifest, names, masks, classes = prepared(raw)
    assert classes == ["background", "foreground"] and [len(own) for own in names.values()] == [4, 1, 1]
    assert all((masks[f"images/{n}.png"] == (n % 4 == PARTS)).all() for n in range(6))
    assert manifest["dense_splits"]["train"]["images with a mask"] == 4


def both(raw, table):
    """The same masks of three classes, as a label map and as a file a class."""
    for number in range(6):
        png(raw / f"masks/{number}.png", np.roll(PARTS, number))
        for label, name in enumerate(("lung", "Herz, groß", "rib"), start=1):
            png(raw / f"parts/{name}/{number}.png", (np.roll(PARTS, number) == label) * np.uint8(255))
    rows = [["image", "patient", "split", *table]]
    splits = ["train"] * 4 + ["val", "test"]
    for number in range(6):
        paths = ["masks" if column == "mask" else f"parts/{column.removeprefix('mask_')}" for column in table]
        rows.append([f"images/{number}.png", f"p{number}", splits[number], *(f"{p}/{number}.png" for p in paths)])
    RawTree.write_table(raw / "masks.csv", rows)


def test_label_maps_and_a_file_a_class_are_the_same(tmp_path):
    for folder, table in (("map", ["mask"]), ("files", ["mask_lung", "mask_Herz, groß", "mask_rib"])):
        raw = folders(tmp_path / folder / "raw")
        both(raw, table)
        if folder == "map":
            (raw / "classes.txt").write_text("background\nlung\nHerz, groß\nrib\n")
        manifest, names, masks, classes = prepared(raw)
        assert classes == ["background", "lung", "Herz, groß", "rib"]
        assert [len(own) for own in names.values()] == [4, 1, 1] and manifest["notes"] == []
        assert all((masks[f"images/{n}.png"] == np.roll(PARTS, n)).all() for n in range(6))


def test_folders_of_classes_with_a_table_of_patients(tmp_path):
    """A class that an image lacks has no file; the table names images with and without their ending."""
    raw = folders(tmp_path / "raw")
    for number in range(6):
        png(raw / f"masks/heart/{number}.png", (PARTS == 2) * np.uint8(255))
        if number:
            png(raw / f"masks/lung/{number}.png", (PARTS == 1) * np.uint8(255))
    rows = [[("{}", "{}.png", "images/{}.png")[n % 3].format(n), f"p{n // 2}"] for n in range(6)]
    RawTree.write_table(raw / "patients.csv", [["image", "patient"], *rows])
    _, names, masks, classes = prepared(raw)
    assert classes == ["background", "heart", "lung"] and [len(own) for own in names.values()] == [2, 2, 2]
    assert (masks["images/0.png"] == (PARTS == 2)).all()
    assert (masks["images/3.png"] == np.select([PARTS == 2, PARTS == 1], [1, 2])).all()


def test_a_blank_cell_is_a_mask_that_is_not_known(tmp_path):
    tree = raw_tree("masks")
    tree.tables["masks.csv"].append(["images/9.png", "", "p9"])
    tree.images.append("images/9.png")
    manifest, names, _, _ = prepared(tree.write(tmp_path / "raw"))
    assert manifest["filters"][1] == {"stage": "mask given", "kept": 6, "dropped": 1}
    assert "images/9.png" not in (name for own in names.values() for name in own)


@pytest.mark.parametrize("column", ["masks", "Mask", "label", "Radiologist", "mask lung"])
def test_columns_that_are_not_known(tmp_path, column):
    tree = raw_tree("masks")
    for number, cells in enumerate(tree.tables["masks.csv"]):
        cells.append(f"p{number}" if number else column)
    tree.tables["masks.csv"][0].append("The heart of Jane Doe is large")
    message = f"line 1: columns that are not known: {column}, 1 more\nExpected a table with the columns image, mask"
    refuse("masks", tree.write(tmp_path / "raw", images=False), message)


@pytest.mark.parametrize("name", ["positive", "background"])
def test_classes_called_as_others_are(tmp_path, name):
    raw = folders(tmp_path / "raw")
    for number in range(6):
        for folder in (name, "lung"):
            png(raw / f"masks/{folder}/{number}.png", (PARTS == 1) * np.uint8(255))
    refuse("masks", raw, f"raw: a class is called '{name}', as the background or a score of all classes is\nGive it")


def test_patients_by_another_name(tmp_path):
    raw = folders(tmp_path / "raw")
    for number in range(6):
        png(raw / f"masks/{number}.png", (PARTS == 1) * np.uint8(255))
    rows = [[f"images/{n}.png", f"masks/{n}.png", str(n // 2)] for n in range(6)]
    RawTree.write_table(raw / "pairs.tsv", [["image\tmask\tpatient_id"], *(["\t".join(cells)] for cells in rows)])
    manifest, names, _, _ = prepared(raw)
    assert [len(own) for own in names.values()] == [2, 2, 2] and next(iter(manifest["sources"])) == "pairs.tsv"


def test_accents_in_one_character_and_in_two(tmp_path):
    """As macOS writes names: of the masks, of the images in one half, and of the table."""
    raw = tmp_path / "raw"
    rows = [["image", "patient"]]
    for number in range(6):
        write_image(raw / "images" / unicodedata.normalize(("NFC", "NFD")[number % 2], f"é{number}.png"), SIDE, number)
        png(raw / "masks" / unicodedata.normalize("NFD", f"é{number}.png"), (PARTS == 1) * np.uint8(255))
        rows.append([unicodedata.normalize("NFC", f"é{number}.png"), f"p{number}"])
    RawTree.write_table(raw / "patients.csv", rows)
    assert sum(map(len, prepared(raw)[1].values())) == 6


def test_a_file_name_that_is_no_utf_8(tmp_path):
    raw = folders(tmp_path / "raw", 1)
    (raw / "masks").mkdir()
    (raw / "images/0.png").rename(raw / "images/\udce9.png")
    refuse("masks", raw, "raw/images: a file name with control characters, or no UTF-8; rename it")


def stored(pixels):
    """A mask of one class in every way it is stored; pixels is boolean."""
    gray = pixels.astype(np.uint8) * 255
    red = np.dstack([gray, 0 * gray, 0 * gray])
    palette = Image.fromarray(pixels.astype(np.uint8), mode="P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    return {
        "255": gray,
        "1": pixels.astype(np.uint8),
        "bilevel": Image.fromarray(gray).convert("1"),
        "rgb": np.dstack([gray] * 3),
        "red": red,
        "rgba": np.dstack([gray] * 3 + [np.full_like(gray, 255)]),
        "gray and alpha": np.dstack([gray, np.full_like(gray, 255)]),
        "palette": palette,
        "16 bits": (pixels * 65535).astype(np.uint16),
        "16 bits, 0 and 1": pixels.astype(np.uint16),
        "16 bits, 0 and 4095": (pixels * 4095).astype(np.uint16),
    }


@pytest.mark.parametrize("name", list(stored(PARTS > 0)))
def test_every_way_to_store_one_class(tmp_path, name):
    for number, pixels in enumerate((PARTS > 0, PARTS > 9, PARTS == 1)):
        png(tmp_path / f"{number}.png", stored(pixels)[name])
        drawn = draw_mask([MaskFile(f"{number}.png", 1)], PARTS.shape, RawFolder(tmp_path))
        assert drawn.dtype == np.uint8 and (drawn == pixels).all()


def test_a_jpeg_of_one_class(tmp_path):
    png(tmp_path / "a.jpg", (PARTS > 0) * np.uint8(255), quality=50)
    png(tmp_path / "empty.jpg", 0 * PARTS, quality=50)
    drawn = [draw_mask([MaskFile(f"{name}.jpg", 1)], PARTS.shape, RawFolder(tmp_path)) for name in ("a", "empty")]
    assert (drawn[0] != (PARTS > 0)).mean() < 0.01 and not drawn[1].any()


@pytest.mark.parametrize("kind", ["gray", "palette", "rgb", "16 bits"])
def test_every_way_to_store_numbers(tmp_path, kind):
    palette = Image.fromarray(PARTS, mode="P")
    palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    png(
        tmp_path / "a.png",
        {"gray": PARTS, "palette": palette, "rgb": np.dstack([PARTS] * 3), "16 bits": PARTS.astype(np.uint16)}[kind],
    )
    assert (draw_mask([MaskFile("a.png", None)], PARTS.shape, RawFolder(tmp_path), 4) == PARTS).all()


def test_two_classes_shrink_as_ever_and_several_are_never_averaged():
    rng = np.random.default_rng(0)
    for shape in ((90, 70), (64, 64), (33, 100), (20, 20)):
        mask = cv2.blur(rng.random(shape).astype(np.float32), (5, 5))
        several = np.digitize(mask, (0.45, 0.5, 0.55)).astype(np.uint8)
        for label in range(1, 4):
            one = (several == label).astype(np.uint8)
            covered = resize_and_pad(one.astype(np.float32), 32)
            assert (place_mask(one, 32) == (covered >= 0.5)).all()
            # What covers more than half of a pixel wins among several, too.
            assert (place_mask(several, 32, 4)[covered > 0.5] == label).all()
    edge = np.zeros((8, 8), np.uint8)
    edge[:, 3:] = 3  # an average would be of class 1 or 2
    assert set(np.unique(place_mask(edge, 4, 4))) == {0, 3}


@pytest.mark.parametrize(
    ("pixels", "suffix", "label", "reason"),
    [
        (PARTS, "png", 1, "the brightest pixel is 3, neither 1 nor bright"),
        (PARTS, "png", None, "a pixel is 3, but the 3 classes are 0 to 2"),
        (PARTS * 85, "png", None, "a pixel is 255, but the 3 classes are 0 to 2"),
        (np.dstack([PARTS, PARTS, 0 * PARTS]), "png", None, "a mask in colors, which name no classes"),
        (PARTS // 2, "jpg", None, "a JPEG mixes the numbers of classes"),
        (PARTS[:10], "png", 1, "a mask of 64 x 10 pixels for an image of 64 x 64"),
        (b"no image", "png", 1, "neither a JPEG nor a PNG nor a DICOM image"),
        (None, "png", 1, "no such image file"),
    ],
)
def test_bad_masks_are_listed(tmp_path, pixels, suffix, label, reason):
    raw = folders(tmp_path / "raw")
    rows = [[f"images/{n}.png", f"masks/{n}.png"] for n in range(6)]
    rows[2][1] = f"masks/2.{suffix}"
    RawTree.write_table(raw / "masks.csv", [["image", "mask"], *rows])
    for number in range(6):
        png(raw / f"masks/{number}.png", (PARTS == 1).astype(np.uint8))
    (raw / "masks/2.png").unlink()
    if isinstance(pixels, bytes):
        (raw / rows[2][1]).write_bytes(pixels)
    elif pixels is not None:
        png(raw / rows[2][1], pixels)
    if label is None:
        (raw / "classes.txt").write_text("background\nlung\nheart\n")
    refuse("masks", raw, f"1 of 6 images are missing or broken, or their annotations are.*{reason}")
    prepare_without("masks", raw, {"images/2.png": reason})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda raw: (raw / "masks/0.png").unlink(), r"images/0\.png: no mask of this name in masks/\nPair them in"),
        (lambda raw: (raw / "images/0.png").unlink(), r"masks/0\.png: no image of this name in images/\nPair them"),
        (
            lambda raw: write_image(raw / "images/0.jpg"),
            r"images/0\.png: two files of this name in images/; remove one",
        ),
        (lambda raw: (raw / "masks").rename(raw / "mask"), "raw: no folder masks/\nExpected the folders images/ and"),
        (
            lambda raw: (raw / "classes.txt").write_text("background\n"),
            "classes.txt: expected 2 to 255 different names",
        ),
        (lambda raw: (raw / "classes.txt").write_text("a\n\nb\n"), "classes.txt: expected 2 to 255 different names"),
        (lambda raw: (raw / "classes.txt").write_text("a\nb\nb\n"), "classes.txt: expected 2 to 255 different names"),
        (lambda raw: (raw / "a.csv").write_text("image,split\n0,train\n"), r"images/1\.png: not in a\.csv; add a row"),
        (
            lambda raw: (raw / "a.csv").write_text("image\n" + "".join(f"{n}\n" for n in range(7))),
            r"a\.csv, line 8: no file of this image in images/",
        ),
        (lambda raw: (raw / "a.csv").write_text("image,mask\n"), r"a\.csv: no row below the header"),
        (
            lambda raw: (raw / "a.csv").write_text("image,mask,mask_b\nimages/0.png,masks/0.png,masks/1.png\n"),
            r"a\.csv, line 1: both 'mask' and 'mask_b'",
        ),
        (
            lambda raw: (raw / "a.csv").write_text("image,mask_\nimages/0.png,masks/0.png\n"),
            r"a\.csv, line 1: a column of masks without the name of a class",
        ),
        (
            lambda raw: (raw / "a.csv").write_text("image,mask\nimages/0.png,masks/0.png\nimages/0.png,masks/1.png\n"),
            r"a\.csv, line 3: this image stands twice",
        ),
        (
            lambda raw: (raw / "a.csv").write_text("image,mask\nimages/0.png,../0.png\n"),
            r"a\.csv, line 2: column 'mask' is not a path inside",
        ),
    ],
)
def test_bad_folders_and_tables(tmp_path, spoil, message):
    raw = folders(tmp_path / "raw")
    for number in range(6):
        png(raw / f"masks/{number}.png", (PARTS == 1) * np.uint8(255))
    spoil(raw)
    refuse("masks", raw, message)


def test_a_class_that_the_list_does_not_name(tmp_path):
    raw = folders(tmp_path / "raw")
    both(raw, ["mask_lung", "mask_rib"])
    (raw / "classes.txt").write_text("background\nlung\n")
    refuse("masks", raw, r"classes\.txt: it does not name the class rib, of which there are masks; add it")
