import contextlib
import io

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mgca_mm.errors import UserError
from mgca_mm.evaluation import DetectionMAP

THRESHOLDS = (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75)


def sample(boxes=(), scores=(), true_boxes=(), labels=None, true_labels=None):
    return dict(
        pred_instances=dict(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.tensor(scores, dtype=torch.float32),
            labels=torch.zeros(len(boxes), dtype=torch.long) if labels is None else torch.tensor(labels),
        ),
        gt_instances=dict(
            bboxes=torch.tensor(true_boxes, dtype=torch.float32).reshape(-1, 4),
            labels=torch.zeros(len(true_boxes), dtype=torch.long) if true_labels is None else torch.tensor(true_labels),
        ),
    )


def evaluate(samples, **kwargs):
    metric = DetectionMAP(**kwargs)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def random_images(rng, classes=1, images=None):
    """Few images of few boxes, some found roughly, some not, with false alarms, ties and empty images."""
    samples = []
    for _ in range(images or rng.integers(1, 5)):
        true = random_boxes(rng, rng.integers(0, 4))
        found = true[rng.random(len(true)) < 0.8] + rng.integers(-12, 13, size=(1, 4)) / 4
        found = np.concatenate([found, random_boxes(rng, rng.integers(0, 3))])
        labels, true_labels = (rng.integers(classes, size=len(boxes)) for boxes in (found, true))
        samples.append(sample(found, rng.random(len(found)).round(1), true, labels, true_labels))
    return samples


def random_boxes(rng, count):
    corners = rng.integers(0, 100, size=(count, 2)) / 2
    return np.concatenate([corners, corners + rng.integers(12, 60, size=(count, 2)) / 2], axis=1)


def reference(samples, thresholds=THRESHOLDS):
    """Mean average precision by pycocotools; None where no image has a box."""
    truth, found = [], []
    for image, one in enumerate(samples):
        for rows, instances in ((truth, one["gt_instances"]), (found, one["pred_instances"])):
            scores = instances.get("scores", torch.ones(len(instances["labels"])))
            for box, label, score in zip(instances["bboxes"], instances["labels"], scores, strict=True):
                x1, y1, x2, y2 = box.tolist()
                area = (x2 - x1) * (y2 - y1)
                rows.append(
                    dict(id=len(rows) + 1, image_id=image, category_id=int(label), bbox=[x1, y1, x2 - x1, y2 - y1])
                    | dict(area=area, iscrowd=0, score=float(score))
                )
    if not truth:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        sets = []
        for rows in (truth, found):
            sets.append(COCO())
            sets[-1].dataset = dict(
                images=[dict(id=image) for image in range(len(samples))],
                annotations=rows,
                categories=[dict(id=label) for label in range(3)],
            )
            sets[-1].createIndex()
        evaluation = COCOeval(*sets, iouType="bbox")
        evaluation.params.iouThrs = np.array(thresholds)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return precision[precision > -1].mean() * 100


def confident(samples):
    """What the released evaluation sees."""
    kept = []
    for one in samples:
        sure = one["pred_instances"]["scores"] >= 0.5
        if sure.any() and len(one["gt_instances"]["labels"]):
            found = {name: values[sure] for name, values in one["pred_instances"].items()}
            kept.append(dict(pred_instances=found, gt_instances=one["gt_instances"]))
    return kept


def test_map_equals_pycocotools():
    rng = np.random.default_rng(0)
    values = []
    for case in range(1000):
        samples = random_images(rng, classes=1 + case % 3)
        metrics, expected, released = evaluate(samples), reference(samples), reference(confident(samples))
        np.testing.assert_allclose(metrics["det/mAP"], np.nan if expected is None else expected, atol=1e-4)
        np.testing.assert_allclose(metrics["det/mAP_released"], released or 0.0, atol=1e-4)
        values.append(metrics["det/mAP"])
    assert 20 < np.nanmean(values) < 80 and np.isnan(values).any()


def test_thresholds():
    samples = random_images(np.random.default_rng(0), images=20)
    for thresholds in ([0.5], [0.3, 0.9]):
        expected = reference(samples, thresholds)
        assert evaluate(samples, iou_thresholds=thresholds)["det/mAP"] == pytest.approx(expected, abs=1e-4)
    for wrong in ([], [0.5, 1.5], [0]):
        with pytest.raises(ValueError, match="iou_thresholds"):
            DetectionMAP(iou_thresholds=wrong)


def test_equals_the_coco_metric_of_mmdet():
    from mmdet.evaluation import CocoMetric

    rng = np.random.default_rng(0)
    for _ in range(5):
        samples = random_images(rng, images=10)
        for number, one in enumerate(samples):
            boxes = one["gt_instances"]["bboxes"].tolist()
            one["instances"] = [dict(bbox=box, bbox_label=0, ignore_flag=0) for box in boxes]
            one.update(img_id=number, ori_shape=(200, 200))
        metric = CocoMetric(metric="bbox", iou_thrs=np.array(THRESHOLDS))  # it dies of a list
        metric.dataset_meta = dict(classes=("opacity",))
        metric.process({}, samples)
        expected = metric.evaluate(len(samples))["coco/bbox_mAP"] * 100  # rounded by mmdet to a tenth
        assert evaluate(samples)["det/mAP"] == pytest.approx(expected, abs=0.051)


BOX, OTHER = [10, 10, 30, 40], [60, 60, 90, 80]


@pytest.mark.parametrize(
    ("samples", "expected", "released"),
    [
        ([sample([BOX], [0.9], [BOX])], 100, 100),
        ([sample([BOX], [0.4], [BOX])], 100, 0),  # not confident
        ([sample([BOX], [0.5], [BOX])], 100, 100),  # just confident
        ([sample([], [], [BOX])], 0, 0),  # nothing found at all
        ([sample([OTHER], [0.9], [BOX])], 0, 0),
        ([sample([], [], [])], np.nan, 0),
        ([sample([BOX], [0.9], [])], np.nan, 0),
        # A false alarm on a healthy image, surer than the finding: precision 1/2, unseen by the released evaluation.
        ([sample([BOX], [0.9], [BOX]), sample([BOX], [0.95], [])], 50, 100),
        # An image in which nothing is found: of 101 recall levels, those up to 0.5 have precision 1.
        ([sample([BOX], [0.9], [BOX]), sample([], [], [BOX])], 51 / 101 * 100, 100),
    ],
)
def test_edges(samples, expected, released, log):
    metrics = evaluate(samples)
    assert metrics == pytest.approx({"det/mAP": expected, "det/mAP_released": released}, abs=1e-4, nan_ok=True)
    assert [message for message in log if "no image has a box" in message] == log[: int(np.isnan(expected))]


@pytest.mark.parametrize("box_type", ["hbox", None])
def test_on_the_test_pipeline_of_mmdet(box_type, tmp_path):
    """Predictions in pixels of the original image fit the true boxes that a pipeline of mmdet's order delivers."""
    from mmcv.transforms import Compose
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((100, 200, 3), np.uint8))
    pipeline = Compose(
        [
            dict(type="mmdet.LoadImageFromFile"),
            dict(type="mmdet.Resize", scale=(32, 32), keep_ratio=False),
            dict(type="mmdet.LoadAnnotations", with_bbox=True, box_type=box_type),
            dict(type="mmdet.PackDetInputs"),
        ]
    )
    evaluator = Evaluator(dict(type="mgca_mm.DetectionMAP"))
    for boxes in ([BOX, OTHER], []):
        instances = [dict(bbox=box, bbox_label=0, ignore_flag=0) for box in boxes]
        packed = pipeline(dict(img_path=str(tmp_path / "image.png"), img_id=0, instances=instances))["data_samples"]
        assert isinstance(packed.gt_instances.bboxes, HorizontalBoxes) == (box_type == "hbox")
        packed.pred_instances = InstanceData(
            bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            scores=torch.ones(len(boxes)),
            labels=torch.zeros(len(boxes), dtype=torch.long),
        )
        evaluator.process([packed])
    assert evaluator.evaluate(2) == pytest.approx({"det/mAP": 100, "det/mAP_released": 100})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(gt_instances={}), "LoadAnnotations"),
        (dict(ignored_instances=dict(labels=torch.zeros(1), bboxes=torch.zeros(1, 4))), "iscrowd"),
        (dict(gt_instances=dict(bboxes=torch.rand(2, 4), labels=torch.zeros(1))), "gt_instances must have"),
        (
            dict(pred_instances=dict(bboxes=torch.rand(2, 5), scores=torch.rand(2), labels=torch.zeros(2))),
            r"pred_instances must have boxes \(n, 4\)",
        ),
    ],
)
def test_errors(change, message):
    with pytest.raises(UserError, match=message):
        DetectionMAP().process({}, [sample([BOX], [0.9], [BOX]) | change])
