"""Labels of images and reports on their way to the model, and images that get the reports of others."""

import json
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset
from mmengine.runner import Runner

from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.seeding import seed_samples
from mgca_mm.datasets.tokenization import tokenize_once
from mgca_mm.engine.resume import digest_of
from mgca_mm.engine.vocabulary import _tokenizer
from mgca_mm.errors import UserError
from mgca_mm.reports.tokenizer import train_tokenizer

SIGNS = {1: 1, 0: -1, -1: 0, None: 0}
REPORTS = {
    "no effusion": [0, None, 1],
    "large heart": [None, 1, 0],
    "effusion": [1, -1, 0],
    "unclear": [None, -1, None],
}
IMAGES = [[1, None, 0, 1], [0, 1, 1, -1]]  # of other classes besides, and in another order
PIPELINE = [
    dict(type="mgca_mm.EncodeLabels"),
    dict(type="mgca_mm.LoadRadiograph"),
    dict(type="mgca_mm.TokenizeReport", max_length=8),
    dict(type="mgca_mm.PackImageReportInputs"),
]


def write(root, rows, classes):
    root.mkdir()
    rows = [dict(row, image_index=number, image_id=f"{root.name}{number}") for number, row in enumerate(rows)]
    (root / "train.json").write_text(json.dumps(dict(metainfo=dict(classes=classes), data_list=rows)))
    np.save(root / "images.npy", np.full((len(rows), 8, 8), len(rows), np.uint8))
    return root


@pytest.fixture
def pairs(tmp_path):
    rows = [dict(report=[report], labels=labels) for report, labels in REPORTS.items()]
    root = write(tmp_path / "pairs", rows, ["effusion", "heart", "nothing"])
    train_tokenizer(list(REPORTS), 40).save_pretrained(root / "tokenizer")
    return root


@pytest.fixture
def images(tmp_path):
    return write(
        tmp_path / "images", [dict(labels=labels) for labels in IMAGES], ["nothing", "other", "effusion", "heart"]
    )


def signs(labels):
    return [SIGNS[label] for label in labels]


def test_labels_of_pairs(pairs):
    dataset = ImageReportDataset(pairs, "train.json", pipeline=PIPELINE)
    for sample, labels in zip(dataset, REPORTS.values(), strict=True):
        for name in ("image_labels", "report_labels"):
            assert sample["inputs"][name].dtype == torch.float32 and sample["inputs"][name].tolist() == signs(labels)
    plain = ImageReportDataset(pairs, "train.json", pipeline=PIPELINE[1:])[0]["inputs"]
    assert not any("labels" in name for name in plain)


def test_images_get_the_reports_of_others(pairs, images):
    """With the labels of those, and their own in the order of these."""
    dataset = ImageReportDataset(images, "train.json", reports=str(pairs), pipeline=PIPELINE)
    own = ImageReportDataset(pairs, "train.json", pipeline=PIPELINE)
    labels_of = {tuple(sample["inputs"]["input_ids"].tolist()): sample["inputs"]["report_labels"] for sample in own}
    assert dataset.metainfo["classes"] == own.metainfo["classes"] and len(dataset) == 2 and len(labels_of) == 4
    drawn = [set(), set()]
    for _ in range(60):
        for number, (nothing, _, effusion, heart) in enumerate(IMAGES):
            sample = dataset[number]
            inputs, report = sample["inputs"], tuple(sample["inputs"]["input_ids"].tolist())
            assert sample["data_samples"].image_id == f"images{number}" and inputs["image"].unique() == 2
            assert inputs["image_labels"].tolist() == signs([effusion, heart, nothing])
            assert inputs["report_labels"].equal(labels_of[report])
            drawn[number].add(report)
    assert drawn == [set(labels_of)] * 2


@pytest.mark.parametrize("workers", [0, 2])
def test_each_visit_has_a_draw_of_its_own(pairs, images, workers):
    """By seed, epoch and sample, in any worker, beside pairs that keep their reports; tokenized in advance."""

    def load(workers, once):
        parts = [
            dict(type="ImageReportDataset", data_root=str(images), reports=str(pairs)),
            dict(type="ImageReportDataset", data_root=str(pairs)),
        ]
        parts = [dict(part, ann_file="train.json", pipeline=PIPELINE) for part in parts]
        sampler, collate = dict(type="mgca_mm.ReproducibleSampler"), dict(type="default_collate")
        loader = dict(batch_size=3, num_workers=workers, sampler=sampler, collate_fn=collate)
        loader = Runner.build_dataloader(dict(loader, dataset=ConcatDataset(parts)), seed=0)
        seed_samples(loader.dataset)
        if once:
            tokenize_once(loader.dataset)
            for part in loader.dataset.datasets:
                part.pipeline.transforms[2]._encode = None  # it must not be needed
        epochs = [{} for _ in range(6)]
        for number, epoch in enumerate(epochs):
            loader.sampler.set_epoch(number)
            for batch in loader:
                for row, sample in enumerate(batch["data_samples"]):
                    epoch[sample.image_id] = {name: value[row].tolist() for name, value in batch["inputs"].items()}
        return epochs

    epochs = load(0, once=False)
    assert load(workers, once=True) == epochs
    reports = {image: {tuple(epoch[image]["input_ids"]) for epoch in epochs} for image in epochs[0]}
    assert all((len(found) > 1) == image.startswith("images") for image, found in reports.items())


def test_a_message_draws_nothing(pairs, images):
    dataset = ImageReportDataset(images, "train.json", reports=str(pairs))
    before = random.getstate()
    assert dataset._name(0) == dataset._name(0) and random.getstate() == before


def test_a_run_depends_on_the_reports(pairs, images):
    """On their tokenizer, too, for the images may have none."""
    config = dict(data_root=str(images), ann_file="train.json", reports=str(pairs))
    assert _tokenizer(dict(config, pipeline=PIPELINE)) == str(pairs / "tokenizer")
    before = digest_of(ImageReportDataset(**config))
    assert digest_of(ImageReportDataset(**config)) == before
    (pairs / "train.json").write_text((pairs / "train.json").read_text().replace("large", "small"))
    assert digest_of(ImageReportDataset(**config)) != before


def test_labels_that_are_missing(pairs, images, tmp_path):
    bare = write(tmp_path / "bare", [dict(report=["clear"])], None)
    with pytest.raises(UserError, match=r"(?s)bare' has no labels.*Prepare it with them"):
        ImageReportDataset(bare, "train.json", pipeline=PIPELINE)[0]
    with pytest.raises(UserError, match=r"(?s)bare.*have no labels.*Prepare them with labels"):
        ImageReportDataset(images, "train.json", reports=str(bare))
    with pytest.raises(UserError, match=r"bare.*lacks labels"):
        ImageReportDataset(bare, "train.json", reports=str(pairs))
    other = write(tmp_path / "other", [dict(labels=[1, 0])], ["effusion", "fracture"])
    with pytest.raises(UserError, match=r"other.* has no label heart, nothing"):
        ImageReportDataset(other, "train.json", reports=str(pairs))
    with pytest.raises(UserError, match=r"lacks report"):
        ImageReportDataset(images, "train.json")
