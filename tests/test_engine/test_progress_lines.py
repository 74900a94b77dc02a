"""The lines of a training and its evaluations on the screen, of our models and of others'."""

import pytest

from mgca_mm.engine.logs import _RESULT, _accuracies, _losses, _numbers

MGCA = {"lr": 1e-3, "time": 1.0, "loss": 12.8903, "loss_ita": 4.57, "acc_i2t": 2.1875, "acc_t2i": 3.59, "lia": 4.1}


@pytest.mark.parametrize(
    "tag, losses, accuracies",
    [
        (MGCA, ["loss 12.89", "ita 4.57"], ["acc 2.19/3.59"]),
        ({"loss_rpn_cls": 0.5, "loss_cls": 0.25, "acc": 93.1, "loss": 0.75}, ["loss 0.75", "rpn_cls 0.5", "cls 0.25"],
         ["acc 93.1"]),
        ({"decode.loss_ce": 1.5, "decode.acc_seg": 51.23, "aux.loss_ce": 0.5, "aux.acc_seg": 40.0, "loss": 2.0},
         ["loss 2", "decode.ce 1.5", "aux.ce 0.5"], ["acc 51.2/40"]),
        ({"loss": float("nan")}, ["loss nan"], []),
    ],
)  # fmt: skip
def test_losses_and_accuracies_of_any_model(tag, losses, accuracies):
    assert (_losses(tag), _accuracies(tag)) == (losses, accuracies)


def test_results_are_all_that_an_evaluation_has_found():
    tag = {"loss": 1.0, "loss_ita": 0.5, "i2t_R@1": 12.0, "coco/bbox_mAP": 0.25, "time": 0.1, "data_time": 0.1}
    assert _losses(tag) + _numbers(tag, _RESULT) == ["loss 1", "ita 0.5", "i2t_R@1 12", "coco/bbox_mAP 0.25"]
