"""A broken file in training: an error, or a counted and reported stand-in, never a silent one."""

import json

import cv2
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from mgca_mm.datasets.identity import pseudonym
from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.errors import UserError
from tests.test_distributed.test_equivalence import launch

PIPELINE = [dict(type="LoadRadiograph"), dict(type="ResizeAndPad", size=8), dict(type="PackImageReportInputs")]


@pytest.fixture
def folder(tmp_path):
    """2,500 entries that share three files, two of them broken and each named once."""
    cv2.imwrite(str(tmp_path / "whole.png"), np.arange(64, dtype=np.uint8).reshape(8, 8))
    for number in (1, 2, 3):
        (tmp_path / f"broken{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    rows = [dict(image_id=f"i{n}", report=["no effusion"], img_path="whole.png") for n in range(2500)]
    (tmp_path / "train.json").write_text(json.dumps(dict(metainfo={}, data_list=rows)))
    return tmp_path


def build(folder, broken, **options):
    annotations = json.loads((folder / "train.json").read_text())
    for number, index in enumerate(broken, start=1):
        annotations["data_list"][index]["img_path"] = f"broken{number}.png"
    (folder / "train.json").write_text(json.dumps(annotations))
    return ImageReportDataset(data_root=str(folder), ann_file="train.json", pipeline=PIPELINE, **options)


def test_an_error_names_it(folder):
    dataset = build(folder, [3])
    with pytest.raises(UserError, match=pseudonym("i3", folder)):
        dataset[3]
    assert dataset[4]["data_samples"].image_id == "i4"


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_ones_are_told_and_replaced_by_the_next(folder, workers, capfd):
    MMLogger.get_instance("broken_samples", logger_name="broken_samples")
    dataset = build(folder, [3, 4], on_error="skip")
    for _ in range(2):  # each epoch
        loader = DataLoader(dataset, 4, sampler=range(8), num_workers=workers, collate_fn=pseudo_collate)
        ids = [sample.image_id for batch in loader for sample in batch["data_samples"]]
        assert ids == ["i0", "i1", "i2", "i5", "i5", "i5", "i6", "i7"]
    assert int(dataset._broken.sum()) == 2
    output = "".join(capfd.readouterr())
    for name in ("i3", "i4"):
        assert output.count(f"{pseudonym(name, folder)} is skipped") == 1, output
    assert "broken1.png" not in output


def test_more_than_one_in_a_thousand_is_an_error(folder):
    dataset = build(folder, [3, 4, 9], on_error="skip")
    dataset[3]
    with pytest.raises(UserError, match=r"3 of 2500 samples are broken, and on_error='skip' takes 2"):
        dataset[9]


@pytest.mark.parametrize("broken", [(3, 10), pytest.param((3, 10, 20), marks=pytest.mark.slow)])
def test_the_share_is_that_of_all_ranks(broken, folder):
    """Two ranks that each meet some of them: the limit holds for both together, and the log names all."""
    build(folder, broken)
    launch(2, "tests/test_datasets/ranks.py", str(folder), ",".join(map(str, broken)))
    results = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(2)]
    log = (folder / "log.txt").read_text()
    if len(broken) == 2:
        assert results == [dict(count=2, error=None)] * 2
        assert log.count("is skipped (") == 2
        for index in broken:
            assert log.count(f"{pseudonym(f'i{index}', folder)} is skipped") == 1
        assert log.count("by another rank") == 1
    else:
        assert all("3 of 2500 samples are broken, and on_error='skip' takes 2" in row["error"] for row in results)


def test_evaluation_never_skips(folder):
    dataset = build(folder, [3], on_error="skip", test_mode=True)
    with pytest.raises(UserError, match=pseudonym("i3", folder)):
        dataset[3]


def test_other_ways_are_refused(folder):
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        build(folder, [], on_error="ignore")


def test_an_entry_beyond_the_image_store_is_an_error(tmp_path):
    """The store was replaced by a shorter one."""
    np.save(tmp_path / "images.npy", np.zeros((2, 8, 8), np.uint8))
    rows = [dict(image_id=f"i{n}", report=["no effusion"], image_index=n) for n in (0, 2, 10**30)]
    (tmp_path / "train.json").write_text(json.dumps(dict(metainfo={}, data_list=rows)))
    dataset = ImageReportDataset(data_root=str(tmp_path), ann_file="train.json", pipeline=PIPELINE)
    dataset[0]
    for index in (1, 2):
        with pytest.raises(UserError, match="has 2 images, and its annotation file asks for number"):
            dataset[index]
