"""Spoilt tables, lists, reports and archives of every data set: a sound preparation, or an error for the user."""

import functools
import io
import json
import shutil
import tarfile
import zipfile

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, check, prepare
from mgca_mm.prepared import DATA_SETS
from tests.test_fuzz.cases import cases, in_time, spoil_bytes, spoil_json, spoil_rows
from tests.test_preparation.raw_trees import LUNG_BOXES, SECRET, RawTree, raw_tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def prepare_or_refuse(name: str, folder, options: dict) -> None:
    """Prepare the tables of ``folder/raw``: the result is sound, or nothing is left and the message is fit to print."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    try:
        with in_time():
            prepare(name, folder / "raw", out, Options(annotations_only=True, vocab_size=100, **options))
    except UserError as error:
        event("refused")
        message = str(error)
        assert message and len(message.splitlines()) <= 4 and SECRET not in message, message
        message.encode()
        assert not (out / "manifest.json").exists() and not (out / ".partial").exists()
    else:
        event("prepared")
        assert check(name, out) == []


def write_tree(tree: RawTree, folder):
    shutil.rmtree(folder / "raw", ignore_errors=True)
    return tree.write(folder / "raw", images=False)


preparation_options = st.fixed_dictionaries(
    {"max_rejected": st.sampled_from((0.01, 1)), "protocol": st.sampled_from(("paper", "released"))}
)


@pytest.mark.parametrize("name", [name for name in DATA_SETS if raw_tree(name).tables])
@given(data=st.data(), options=preparation_options)
@cases(20, 3000)
def test_tables(name, data, options, folder):
    tree = raw_tree(name)
    table = data.draw(st.sampled_from(sorted(tree.tables)))
    spoil_rows(data, tree.tables[table])
    path = write_tree(tree, folder) / table
    if data.draw(st.booleans()):
        content = path.read_bytes()
        old, new = data.draw(st.sampled_from(((b"\n", b"\r\n"), (b"\n", b"\r"), (b",", b";"), (b"", b""))))
        content = content.replace(old, new) if old else spoil_bytes(data, content)
        path.write_bytes(data.draw(st.sampled_from((b"", b"\xef\xbb\xbf", b"\xff\xfe"))) + content)
    prepare_or_refuse(name, folder, options)


@given(data=st.data())
@cases(10, 400)
def test_split_lists(data, folder):
    write_tree(raw_tree("covidx"), folder)
    splits = ["train"] * 5 + ["val", "test"]
    rows = [["id", "split"], *([f"train/image {n}.png", splits[n]] for n in range(6)), ["cohen/7", "test"]]
    spoil_rows(data, rows)
    RawTree.write_table(folder / "list.csv", rows)
    prepare_or_refuse("covidx", folder, {"split_list": folder / "list.csv"})


@given(data=st.data())
@cases(20, 4000)
def test_open_i_reports(data, folder):
    tree = raw_tree("iu_xray")
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(tree.files)))
        tree.files[name] = spoil_bytes(data, tree.files[name])
    write_tree(tree, folder)
    prepare_or_refuse("iu_xray", folder, {"max_rejected": 1})


@given(data=st.data())
@cases(10, 400)
def test_readings(data, folder):
    tree = raw_tree("montgomery")
    name = data.draw(st.sampled_from(sorted(name for name in tree.files if name.endswith(".txt"))))
    tree.files[name] = spoil_bytes(data, tree.files[name])
    write_tree(tree, folder)
    prepare_or_refuse("montgomery", folder, {})


@pytest.mark.parametrize(("name", "file"), [("covid_chestxray", LUNG_BOXES), ("coco", "boxes.json")])
@given(data=st.data())
@cases(20, 4000)
def test_coco_file(name, file, data, folder):
    tree = raw_tree(name)
    content = json.loads(tree.files[file])
    spoil_json(data, content)
    written = json.dumps(content).encode()
    tree.files[file] = written if data.draw(st.integers(0, 5)) else spoil_bytes(data, written)
    write_tree(tree, folder)
    prepare_or_refuse(name, folder, {"max_rejected": 1})


@pytest.mark.parametrize("name", ["iu_xray", "mimic_cxr"])
@given(data=st.data())
@cases(10, 400)
def test_archives_of_reports(name, data, folder):
    tree = raw_tree(name)
    buffer = io.BytesIO()
    if name == "iu_xray":
        # Uncompressed at times, for the headers inside to be reached.
        level = data.draw(st.sampled_from((0, 9)))
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=level) as archive:
            for path, content in tree.files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    else:
        with zipfile.ZipFile(
            buffer, "w", data.draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
        ) as archive:
            for path, content in tree.files.items():
                archive.writestr(zipfile.ZipInfo(path), content)
    archive_name = "NLMCXR_reports.tgz" if name == "iu_xray" else "mimic-cxr-reports.zip"
    tree.files = {archive_name: spoil_bytes(data, buffer.getvalue())}
    write_tree(tree, folder)
    prepare_or_refuse(name, folder, {"max_rejected": 1})


@functools.cache
def prepared_folder(folder):
    raw = raw_tree("covid_chestxray").write(folder / "checked raw")
    prepare("covid_chestxray", raw, folder / "checked", Options(image_size=8, vocab_size=100))
    return folder / "checked"


@given(data=st.data())
@cases(15, 700)
def test_check(data, folder):
    """A prepared folder with one file changed: faults that can be printed."""
    out = prepared_folder(folder)
    name = data.draw(
        st.sampled_from(sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()))
    )
    before = (out / name).read_bytes()
    if name.endswith(".json") and data.draw(st.booleans()):
        content = json.loads(before)
        spoil_json(data, content)
        after = json.dumps(content).encode()
    else:
        after = spoil_bytes(data, before)
    try:
        (out / name).write_bytes(after)
        with in_time():
            faults = check("covid_chestxray", out)
        "\n".join(faults).encode()
        # The manifest is the one file whose checksum is in no other.
        assert faults or after == before or name == "manifest.json"
    finally:
        (out / name).write_bytes(before)
