"""A few attention maps among what a run writes down, if it is asked for them."""

import cv2
import pytest

from mgca_mm.errors import UserError
from tests.test_faults import runs


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return runs.make_data(tmp_path_factory.mktemp("data"))


def test_maps_of_each_validation(data, tmp_path):
    hook = dict(type="mgca_mm.AttentionMapHook", num_samples=2)
    runs.train(runs.make_config(data, tmp_path, epochs=2, faults=[hook]))
    pictures = sorted(path.name for path in tmp_path.rglob("attention_*.png"))
    assert pictures == [f"attention_{sample}_{epoch}.png" for sample in (0, 1) for epoch in (1, 2)]
    picture = cv2.imread(str(next(tmp_path.rglob("attention_0_1.png"))))
    assert min(picture.shape[:2]) > 200 and picture.std() > 10


def test_nothing_is_drawn_by_itself(data, tmp_path):
    runs.train(runs.make_config(data, tmp_path, epochs=1))
    assert not list(tmp_path.rglob("*.png"))


def test_several_validation_sets(data, tmp_path):
    cfg = runs.make_config(data, tmp_path, epochs=1, faults=[dict(type="mgca_mm.AttentionMapHook", num_samples=1)])
    one = cfg.val_dataloader.dataset
    cfg.val_dataloader.dataset = dict(
        type="ConcatDataset", ignore_keys=["split"], datasets=[one, {**one, "ann_file": "test.json"}]
    )
    runs.train(cfg)
    assert [path.name for path in tmp_path.rglob("attention_*.png")] == ["attention_0_1.png"]


def test_nothing_to_draw_is_told_before_the_training(data, tmp_path):
    def fail(words, **changes):
        cfg = runs.make_config(data, tmp_path, epochs=1, faults=[dict(type="mgca_mm.AttentionMapHook")])
        cfg.merge_from_dict(changes)
        with pytest.raises(UserError, match=words):
            runs.train(cfg)
        assert not list(tmp_path.rglob("*.pth"))

    alignments = dict(_delete_=True, ita=dict(type="mgca_mm.InstanceAlignment"))
    fail("learns no attention", model=dict(alignments=alignments))
    fail("val_dataloader with TokenizeReport", val_dataloader=None, val_cfg=None, val_evaluator=None)
