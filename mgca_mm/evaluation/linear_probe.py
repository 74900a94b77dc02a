"""Linear probe: how much a frozen image encoder knows of the labels."""

from typing import NamedTuple

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, Dataset

from mgca_mm.errors import UserError
from mgca_mm.progress import tracked


class LabeledFeatures(NamedTuple):
    """Features of a data split.

    Attributes:
        image_ids: N ids.
        features: (N, C) global features of the frozen encoder, before projection.
        labels: (N, classes) 1 present, 0 absent or not mentioned, NaN uncertain.
    """

    image_ids: list[str]
    features: np.ndarray
    labels: np.ndarray


class ProbeResult(NamedTuple):
    """Outcome of a linear probe.

    Attributes:
        per_class: Class → AUROC in percent.
        left_out: Classes of which the training or the test labels hold one value only.
    """

    per_class: dict[str, float]
    left_out: list[str]

    @property
    def macro(self) -> float:
        """Mean AUROC of the classes, in percent; NaN where all are left out."""
        return float(np.mean(list(self.per_class.values()))) if self.per_class else float("nan")


@torch.no_grad()
def extract_features(
    model: nn.Module, dataset: Dataset, batch_size: int = 64, num_workers: int = 1, title: str = "features"
) -> LabeledFeatures:
    """Encode every image of a prepared split once, in evaluation mode.

    Args:
        model: Has an ``image_encoder`` and a ``data_preprocessor``, as :class:`mgca_mm.models.ImageReportPretrainer`.
        dataset: Split whose samples carry ``labels``, with a pipeline without randomness.
        batch_size: Images a batch.
        num_workers: Loader processes.
        title: Of the progress bar.

    Raises:
        UserError: If the split carries no labels.
    """
    model.eval()
    loader = DataLoader(dataset, batch_size, num_workers=num_workers, collate_fn=pseudo_collate)
    image_ids: list[str] = []
    features: list[Tensor] = []
    labels: list[list] = []
    for batch in tracked(loader, title, len(loader)):
        features.append(model.image_encoder(_images(model, batch)).global_feature.float().cpu())
        for sample in batch["data_samples"]:
            if "labels" not in sample:
                raise UserError("The data set carries no labels, and the linear probe needs them: give a labeled one.")
            image_ids.append(sample.image_id)
            labels.append(sample.labels)
    return LabeledFeatures(image_ids, torch.cat(features).numpy(), _label_matrix(labels))


def adapt_batch_norm(
    model: nn.Module, dataset: Dataset, batch_size: int = 64, num_workers: int = 1, title: str = "batch norm"
) -> None:
    """Replace the batch-norm statistics of the image encoder by those of a data set, without its labels.

    The average over batches in random order (AdaBN, Li et al. 2016, arXiv 1603.04779); no weight changes.

    Args:
        model: As in :func:`extract_features`; it is in evaluation mode afterwards.
        dataset: Its images.
        batch_size: Images a batch.
        num_workers: Loader processes.
        title: Of the progress bar.

    Raises:
        UserError: The encoder has no batch norm, or one whose statistics are frozen.
    """
    norms = [m for m in model.image_encoder.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        raise UserError(f"{title}: the encoder has none whose statistics could be adapted.")
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(
        dataset, batch_size, shuffle=True, generator=order, num_workers=num_workers, collate_fn=pseudo_collate
    )
    update_bn((_images(model, batch) for batch in tracked(loader, title, len(loader))), model.image_encoder)
    if not all(norm.num_batches_tracked for norm in norms):
        raise UserError(
            f"{title}: the config freezes its statistics (norm_eval, frozen_stages)\nSet these to False and -1."
        )
    model.eval()


def _images(model: nn.Module, batch: dict) -> Tensor:
    """(B, 3, H, W) normalized, of a batch of the loader."""
    inputs = {"inputs": {"image": torch.stack(batch["inputs"]["image"])}}
    return model.data_preprocessor(inputs)["inputs"]["image"]


def _label_matrix(labels: list[list]) -> np.ndarray:
    matrix = np.array([[0 if value is None else value for value in row] for row in labels], dtype=float)
    matrix[matrix == -1] = np.nan
    return matrix


def linear_probe(
    train: LabeledFeatures, test: LabeledFeatures, classes: list[str], inverse_regularization: float = 0.01
) -> ProbeResult:
    """Fit one logistic regression a class on standardized features and score it by AUROC.

    Args:
        train: Features to fit on.
        test: Features to score.
        classes: Names of the label columns.
        inverse_regularization: C of :class:`sklearn.linear_model.LogisticRegression`.
    """
    per_class, left_out = {}, []
    for column, name in enumerate(classes):
        fit, score = ~np.isnan(train.labels[:, column]), ~np.isnan(test.labels[:, column])
        fit_labels, score_labels = train.labels[fit, column], test.labels[score, column]
        if len(np.unique(fit_labels)) < 2 or len(np.unique(score_labels)) < 2:
            left_out.append(name)
            continue
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_regularization, max_iter=1000))
        probe.fit(train.features[fit], fit_labels)
        per_class[name] = roc_auc_score(score_labels, probe.decision_function(test.features[score])) * 100
    return ProbeResult(per_class, left_out)


def select(features: LabeledFeatures, image_ids: set[str]) -> LabeledFeatures:
    """Rows of the given images, such as those of a subset list."""
    rows = [row for row, image_id in enumerate(features.image_ids) if image_id in image_ids]
    return LabeledFeatures([features.image_ids[row] for row in rows], features.features[rows], features.labels[rows])
