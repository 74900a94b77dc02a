"""The MIMIC-CXR preparation end to end on a tree of eight patients."""

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, annotations, check, prepare
from mgca_mm.radiographs.reading import read_radiograph, resize_and_pad
from mgca_mm.reports.tokenizer import train_tokenizer
from tests.conftest import ROOT

OPTIONS = Options(image_size=32)
COUNTS = [  # stage, kept, dropped
    ("rows in the metadata", 10, 0),
    ("in the split file", 9, 1),
    ("view PA or AP", 8, 1),
    ("report exists", 7, 1),
    ("report readable", 7, 0),
    ("report has text", 6, 1),
    ("report of 3 tokens or more", 5, 1),
    ("image readable", 5, 0),
]


def load(out, split):
    return json.loads((out / f"{split}.json").read_text())


def manifest(out):
    return json.loads((out / "manifest.json").read_text())


def entries(out):
    return [entry for split in ("train", "val", "test") for entry in load(out, split)["data_list"]]


@pytest.mark.parametrize(("gzipped", "reports"), [(True, "loose"), (False, "zip"), (True, "unzipped")])
def test_end_to_end(mimic, tmp_path, capsys, gzipped, reports):
    out = tmp_path / "out"
    assert prepare("mimic_cxr", mimic.write(gzipped, reports), out, OPTIONS)
    assert [(row["stage"], row["kept"], row["dropped"]) for row in manifest(out)["filters"]] == COUNTS
    printed = capsys.readouterr().out.splitlines()
    for (stage, kept, dropped), line in zip(COUNTS, printed, strict=False):
        assert line.split() == [*stage.split(), "kept", str(kept), "dropped", str(dropped)]
    assert {split: [e["image_id"] for e in load(out, split)["data_list"]] for split in ("train", "val", "test")} == {
        "train": ["a1", "b1"],
        "val": ["e1"],
        "test": ["f1", "f2"],
    }
    assert {entry["image_id"]: entry["report"] for entry in entries(out)} == {
        "a1": [
            *("no acute process", "normal heart"),
            *("the lungs are clear", "there is no pleural effusion", "heart size is normal"),
        ],
        "b1": ["pneumonia is likely", "left lower lobe opacity"],
        "e1": ["single portable view of the chest", "no rib fracture is seen"],
        "f1": ["no change", "stable cafe au lait opacity"],
        "f2": ["no change", "stable cafe au lait opacity"],
    }
    assert load(out, "train")["metainfo"] == {"dataset": "mimic_cxr", "split": "train"}
    assert load(out, "val")["data_list"][0] == {
        "image_index": 2,
        "image_id": "e1",
        "patient_id": "10000005",
        "study_id": "50000005",
        "view": "PA",
        "report": ["single portable view of the chest", "no rib fracture is seen"],
    }
    assert manifest(out)["splits"]["test"] == {"images": 2, "studies": 1, "patients": 1}
    assert check("mimic_cxr", out) == []


def test_store_holds_the_resized_images(mimic, tmp_path):
    out = tmp_path / "out"
    prepare("mimic_cxr", mimic.write(), out, OPTIONS)
    store = np.load(out / "images.npy", mmap_mode="r")
    assert store.shape == (5, 32, 32) and store.dtype == np.uint8
    for entry in entries(out):
        expected = resize_and_pad(read_radiograph(mimic.image(entry["image_id"])), 32)
        np.testing.assert_array_equal(store[entry["image_index"]], expected)
        assert expected.std() > 0


def test_every_number_of_workers_gives_the_same_bytes(mimic, tmp_path, monkeypatch):
    monkeypatch.setattr("mgca_mm.preparation.image_store._CHUNK", 2)
    raw = mimic.write()
    for workers in (1, 2):
        prepare("mimic_cxr", raw, tmp_path / str(workers), Options(image_size=32, workers=workers))
    assert manifest(tmp_path / "1") == manifest(tmp_path / "2")  # checksums of all files included


def test_labels(mimic, tmp_path):
    mimic.labels = [["subject_id", "study_id", "Atelectasis", "Edema", "Fracture"]]
    mimic.labels += [["10000001", "50000001", "1.0", "", "-1.0"], ["10000006", "50000006", "0.0", "1.0", ""]]
    out = tmp_path / "out"
    prepare("mimic_cxr", mimic.write(), out, OPTIONS)
    assert load(out, "test")["metainfo"]["classes"] == ["Atelectasis", "Edema", "Fracture"]
    assert {entry["image_id"]: entry["labels"] for entry in entries(out)} == {
        "a1": [1, None, -1],
        "b1": [None] * 3,
        "e1": [None] * 3,
        "f1": [0, 1, None],
        "f2": [0, 1, None],
    }
    assert check("mimic_cxr", out) == []


def test_only_the_owner_can_read(mimic, tmp_path):
    out = tmp_path / "out"
    out.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        prepare("mimic_cxr", mimic.write(), out, OPTIONS)
    finally:
        os.umask(before)
    for path in [out, *out.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_manifest_tells_no_paths(mimic, tmp_path):
    out = tmp_path / "out"
    prepare("mimic_cxr", mimic.write(), out, OPTIONS)
    folder = tmp_path / "a_tokenizer"
    shutil.copytree(out / "tokenizer", folder)
    prepare("mimic_cxr", mimic.folder, out, Options(image_size=32, tokenizer=str(folder)))
    for path in out.rglob("*.json"):
        assert str(tmp_path) not in path.read_text(), path
    assert manifest(out)["parameters"]["tokenizer"].startswith("a_tokenizer (")
    assert set(manifest(out)["files"]) == {
        *("images.npy", "train.json", "val.json", "test.json", "rejected.csv", "suspicious.csv"),
        *(f"subsets/train_{percent}pct_seed{seed}.txt" for percent in (1, 10) for seed in (42, 43, 44)),
        *(f"tokenizer/{path.name}" for path in (out / "tokenizer").iterdir()),
    }


def test_a_finished_preparation_is_not_repeated(mimic, tmp_path, capsys):
    out = tmp_path / "out"
    raw = mimic.write()
    prepare("mimic_cxr", raw, out, OPTIONS)
    inode = (out / "images.npy").stat().st_ino
    capsys.readouterr()
    assert not prepare("mimic_cxr", raw, out, OPTIONS)
    assert "nothing to do" in capsys.readouterr().out
    assert (out / "images.npy").stat().st_ino == inode
    # A lost file, other parameters, or another table make it anew.
    (out / "val.json").unlink()
    assert prepare("mimic_cxr", raw, out, OPTIONS)
    assert (out / "val.json").exists()
    assert prepare("mimic_cxr", raw, out, Options(image_size=16))
    assert np.load(out / "images.npy").shape[1:] == (16, 16)
    mimic.metadata[1][4] = "LATERAL"
    assert prepare("mimic_cxr", mimic.write(), out, Options(image_size=16))
    assert len(np.load(out / "images.npy")) == 4
    assert check("mimic_cxr", out) == []


def test_an_interrupted_preparation_leaves_no_manifest_and_can_be_repeated(mimic, tmp_path, monkeypatch):
    out = tmp_path / "out"
    raw = mimic.write()
    with monkeypatch.context() as patch:
        patch.setattr(annotations, "_write_subsets", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare("mimic_cxr", raw, out, OPTIONS)
    assert [path.name for path in out.iterdir()] == [".partial"]
    assert {path.name for path in (out / ".partial").iterdir()} == {"images.npy", "progress.jsonl"}
    (out / ".partial" / "stale.json").write_text("{}")  # What a killed run leaves.
    prepare("mimic_cxr", raw, out, OPTIONS)
    assert check("mimic_cxr", out) == []
    assert not (out / ".partial").exists() and "stale.json" not in manifest(out)["files"]


def _interrupt(*_):
    raise KeyboardInterrupt


def test_two_preparations_do_not_share_a_folder(mimic, tmp_path, monkeypatch):
    out = tmp_path / "out"
    raw = mimic.write()

    def collide(*_):
        prepare("mimic_cxr", raw, out, OPTIONS)

    monkeypatch.setattr(annotations, "_write_subsets", collide)
    with pytest.raises(UserError, match="another preparation is writing"):
        prepare("mimic_cxr", raw, out, OPTIONS)


def test_a_folder_with_other_things_keeps_its_permissions(mimic, tmp_path):
    out = tmp_path / "shared"
    out.mkdir()
    out.chmod(0o755)
    (out / "notes.txt").write_text("mine")
    prepare("mimic_cxr", mimic.write(), out, OPTIONS)
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert (out / "notes.txt").read_text() == "mine"
    assert check("mimic_cxr", out) == []


def test_patient_in_two_splits(mimic, tmp_path):
    mimic.split[-2][3] = "train"  # f2 of the test patient
    with pytest.raises(UserError, match="patient 10000006 is in the splits train and test"):
        prepare("mimic_cxr", mimic.write(), tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_broken_images_stop_the_preparation_or_are_left_out(mimic, tmp_path):
    raw = mimic.write()
    out = tmp_path / "out"
    mimic.image("b1").write_bytes(b"")
    mimic.image("f2").unlink()
    with pytest.raises(UserError, match=r"2 of 5 images(.|\n)*b1\.jpg: the image file is empty\n.*--max-rejected 1"):
        prepare("mimic_cxr", raw, out, OPTIONS)
    assert {path.name for path in out.iterdir()} == {"failed.csv", ".partial"}
    assert len(rejected(out / "failed.csv")) == 4
    prepare("mimic_cxr", raw, out, Options(image_size=32, max_rejected=0.4))
    assert manifest(out)["filters"][-1] == {"stage": "image readable", "kept": 3, "dropped": 2}
    assert manifest(out)["rejected"] == {"broken": 2, "without_text": 2}
    assert [entry["image_id"] for entry in entries(out)] == ["a1", "e1", "f1"]
    store = np.load(out / "images.npy")
    assert len(store) == 3
    for entry in entries(out):
        expected = resize_and_pad(read_radiograph(mimic.image(entry["image_id"])), 32)
        np.testing.assert_array_equal(store[entry["image_index"]], expected)
    assert not (out / "failed.csv").exists()
    assert [(row["image_id"], row["kind"]) for row in rejected(out / "rejected.csv")] == [
        ("d1", "without text"),
        ("h1", "without text"),
        ("b1", "broken"),
        ("f2", "broken"),
    ]
    assert (
        rejected(out / "rejected.csv")[2]["reason"] == f"{mimic.image('b1').relative_to(raw)}: the image file is empty"
    )
    assert check("mimic_cxr", out) == []


def rejected(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_preparation_goes_on(mimic, tmp_path, monkeypatch):
    """What was decoded before the kill is not decoded again, unless its file has changed; the result is the same."""
    monkeypatch.setattr("mgca_mm.preparation.image_store._CHUNK", 1)
    raw = mimic.write()
    decoded = []

    def decode(path, kill_at=None):
        if path == kill_at:
            raise KeyboardInterrupt
        decoded.append(path)
        return read_radiograph(path)

    module = "mgca_mm.preparation.image_store.read_radiograph"
    monkeypatch.setattr(module, lambda path: decode(path, kill_at=mimic.image("e1")))
    with pytest.raises(KeyboardInterrupt):
        prepare("mimic_cxr", raw, tmp_path / "out", OPTIONS)
    assert decoded == [mimic.image("a1"), mimic.image("b1")]
    decoded.clear()
    cv2.imwrite(str(mimic.image("b1")), np.full((40, 20), 200, np.uint8))
    # A kill in the middle of a line.
    with open(tmp_path / "out" / ".partial" / "progress.jsonl", "a") as progress:
        progress.write('[2, "ab')
    monkeypatch.setattr(module, decode)
    prepare("mimic_cxr", raw, tmp_path / "out", OPTIONS)
    assert decoded == [mimic.image(name) for name in ("b1", "e1", "f1", "f2")]
    prepare("mimic_cxr", raw, tmp_path / "fresh", OPTIONS)
    assert manifest(tmp_path / "out") == manifest(tmp_path / "fresh")
    assert check("mimic_cxr", tmp_path / "out") == []


def _is_alive(group):
    """Whether a group of processes has a living member."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_of = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # It has just ended.
            continue
        if member_of == str(group) and state != "Z":
            return True
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_a_preparation_survives_sigkill(mimic, tmp_path, workers):
    mimic.metadata, mimic.split = mimic.metadata[:1], mimic.split[:1]
    for index in range(150):
        mimic.metadata.append([f"x{index:03d}", "10000001", "50000001", "1", "PA"])
        mimic.split.append([f"x{index:03d}", "50000001", "10000001", "train"])
    raw = mimic.write()
    command = [sys.executable, ROOT / "tools" / "prepare_data.py", "mimic_cxr", "--raw", raw, "--workers", str(workers)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, "--out", tmp_path / "out"], env=environment, start_new_session=True)
    progress = tmp_path / "out" / ".partial" / "progress.jsonl"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if progress.is_file() and progress.read_bytes().count(b"\n") > 1:
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while _is_alive(process.pid) and time.monotonic() < deadline:  # its workers
        time.sleep(0.1)
    assert not _is_alive(process.pid)
    prepare("mimic_cxr", raw, tmp_path / "out", Options())
    prepare("mimic_cxr", raw, tmp_path / "fresh", Options())
    assert manifest(tmp_path / "out")["files"] == manifest(tmp_path / "fresh")["files"]


def test_subsets_are_seeded_draws_of_the_training_images(tmp_path, mimic):
    mimic.metadata, mimic.split = mimic.metadata[:1], mimic.split[:1]
    for index in range(200):
        mimic.metadata.append([f"x{index:03d}", "10000001", "50000001", "1", "PA"])
        mimic.split.append([f"x{index:03d}", "50000001", "10000001", "train"])
    raw = mimic.write()
    prepare("mimic_cxr", raw, tmp_path / "a", Options(image_size=8))
    prepare("mimic_cxr", raw, tmp_path / "b", Options(image_size=8))
    lists = {path.name: path.read_text().splitlines() for path in (tmp_path / "a" / "subsets").iterdir()}
    assert {name: len(ids) for name, ids in lists.items()} == {
        f"train_{percent}pct_seed{seed}.txt": 2 * percent for percent in (1, 10) for seed in (42, 43, 44)
    }
    assert all(ids == sorted(set(ids)) for ids in lists.values())
    assert len({tuple(ids) for ids in lists.values()}) == 6  # another seed, another draw
    assert set(lists["train_1pct_seed42.txt"]) <= set(lists["train_10pct_seed42.txt"])
    assert manifest(tmp_path / "a")["files"] == manifest(tmp_path / "b")["files"]


def test_tokenizer(mimic, tmp_path):
    out = tmp_path / "out"
    prepare("mimic_cxr", mimic.write(), out, OPTIONS)
    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer", local_files_only=True)
    assert tokenizer.is_fast
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]) == [0, 1, 2, 3, 4]
    encoding = tokenizer("lungs clears")
    assert tokenizer.convert_ids_to_tokens(encoding["input_ids"]) == ["[CLS]", "lungs", "clear", "##s", "[SEP]"]
    assert encoding.word_ids() == [None, 0, 1, 1, None]
    assert tokenizer.convert_tokens_to_ids("fracture") == tokenizer.unk_token_id  # a word of the validation reports
    assert tokenizer.tokenize("LUNGS") == ["[UNK]"]  # cased
    assert set(tokenizer.all_special_tokens) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert len(tokenizer.get_added_vocab()) == 5


def test_training_a_tokenizer_is_deterministic():
    """Many equal counts: left alone, the trainer would break the ties by the order of its hash maps."""
    rng = np.random.default_rng(0)
    sentences = [" ".join("".join(rng.choice(list("abcdefghij"), 6)) for _ in range(5)) for _ in range(200)]
    vocabularies = [train_tokenizer(sentences, 400).get_vocab() for _ in range(4)]
    assert len(vocabularies[0]) == 400
    assert all(vocabulary == vocabularies[0] for vocabulary in vocabularies)


def test_given_tokenizer_is_copied(mimic, tmp_path):
    raw = mimic.write()
    prepare("mimic_cxr", raw, tmp_path / "a", OPTIONS)
    given = str(tmp_path / "a" / "tokenizer")
    mimic.metadata[1][4] = "LATERAL"  # other training reports
    prepare("mimic_cxr", mimic.write(), tmp_path / "b", Options(image_size=32, tokenizer=given))
    copied = AutoTokenizer.from_pretrained(tmp_path / "b" / "tokenizer", local_files_only=True)
    assert copied.get_vocab() == AutoTokenizer.from_pretrained(given, local_files_only=True).get_vocab()


@pytest.mark.parametrize("name", ["empty", "broken"])
def test_unusable_tokenizer(mimic, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"(Tokenizer .* cannot be loaded(.|\n)*local folder|json' cannot be read)"):
        prepare("mimic_cxr", mimic.write(), tmp_path / "out", Options(image_size=32, tokenizer=str(tmp_path / name)))


def test_hub_out_of_reach(mimic, tmp_path, monkeypatch):
    def fail(name, *_, **__):
        raise OSError(f"cannot reach {name}")

    monkeypatch.setattr("transformers.utils.cached_file", fail)
    with pytest.raises(UserError, match=r"Tokenizer 'some/name' cannot be loaded \(OSError\)\nGive a local folder"):
        prepare("mimic_cxr", mimic.write(), tmp_path / "out", Options(image_size=32, tokenizer="some/name"))


def test_tokenizer_without_special_tokens(mimic, tmp_path):
    backend = train_tokenizer(["lungs are clear"], 100).backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path / "bare")
    with pytest.raises(UserError, match="has no token for the beginning or the end"):
        prepare("mimic_cxr", mimic.write(), tmp_path / "out", Options(image_size=32, tokenizer=str(tmp_path / "bare")))


def _flip_byte(out):
    data = bytearray((out / "images.npy").read_bytes())
    data[-1] ^= 1
    (out / "images.npy").write_bytes(data)


def _move_patient(out):
    content = load(out, "test")
    content["data_list"][0]["patient_id"] = "10000001"
    (out / "test.json").write_text(json.dumps(content))


def _drop_report(out):
    content = load(out, "val")
    content["data_list"][0]["report"] = []
    (out / "val.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (_flip_byte, "images.npy: changed since the preparation"),
        (_move_patient, "patient 10000001 is in the splits train and test"),
        (_drop_report, "val.json: entry 0 is malformed"),
        (lambda out: (out / "images.npy").unlink(), "images.npy: missing"),
        (lambda out: (out / "train.json").write_text("{"), "train.json: missing or not in MMEngine's"),
        (lambda out: (out / "subsets" / "train_1pct_seed42.txt").write_text("f1\n"), "the first f1"),
        (lambda out: (out / "tokenizer" / "tokenizer.json").unlink(), "tokenizer/tokenizer.json: missing"),
        (lambda out: (out / "manifest.json").unlink(), "manifest.json: missing"),
        (lambda out: (out / "manifest.json").write_text("[]"), "manifest.json: unreadable"),
        (lambda out: np.save(out / "images.npy", np.zeros((4, 32, 32), np.uint8)), "f2 points to row 4 of 4"),
    ],
)
def test_check_names_each_fault(mimic, tmp_path, spoil, fault):
    out = tmp_path / "out"
    prepare("mimic_cxr", mimic.write(), out, OPTIONS)
    assert check("mimic_cxr", out) == []
    spoil(out)
    assert any(fault in line for line in check("mimic_cxr", out)), check("mimic_cxr", out)


def test_check_of_another_data_set(mimic, tmp_path):
    prepare("mimic_cxr", mimic.write(), tmp_path / "out", OPTIONS)
    assert check("covid_chestxray", tmp_path / "out") == ["manifest.json: holds another data set than covid_chestxray"]


def test_a_full_disk_is_told_before_decoding(mimic, tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.raises(UserError, match=r"cannot reserve .*No space left on device"):
        prepare("mimic_cxr", mimic.write(), tmp_path / "out", OPTIONS)


def test_images_keep_their_aspect(mimic, tmp_path):
    raw = mimic.write()
    cv2.imwrite(str(mimic.image("a1")), np.full((10, 20), 255, np.uint8))
    prepare("mimic_cxr", raw, tmp_path / "out", OPTIONS)
    first = np.load(tmp_path / "out" / "images.npy")[0]
    assert first[8:24].min() > 250 and not first[:8].any() and not first[24:].any()
