"""Phrase grounding: whether a heat map is high where radiologists have drawn the box."""

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mgca_mm.errors import require_not_negative
from mgca_mm.radiographs.frame import Frame
from mgca_mm.registry import METRICS

from .bootstrap import bootstrap_interval

_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
_SCORES = ("cnr", "pointing", "miou")


@METRICS.register_module()
class PhraseGrounding(BaseMetric):
    """Contrast, pointing game and overlap of heat maps with boxes, in the pixels of the radiograph.

    ``cnr``: contrast-to-noise ratio (m_in - m_out) / √(v_in + v_out) of the means and variances inside and outside of
    the boxes (Boecking et al., ECCV 2022; with its sign, so that a map that is low inside counts against the model).
    ``pointing``: share of the phrases whose highest pixel lies in a box, in percent. ``miou``: intersection over union
    of the boxes and the pixels above a threshold, in percent, the mean over the thresholds 0.1, 0.2, …, 0.5 of the map
    scaled to 0…1 (attention has no scale of its own).

    The same of two maps that know nothing: ``centre_…`` is highest in the middle of the image and falls off; with
    ``chance_pointing`` a pixel is drawn blindly, which hits as often as the boxes are large. A flat map has cnr 0.

    Pixels that the model does not see, cut off by the center crop, count for nobody. A phrase whose boxes then hold no
    pixel, or all of them, cannot be scored: it is left out of every key, and their number is logged. A map
    that is not finite counts as a miss: cnr 0, pointing 0, miou 0.

    Each sample needs ``heat_map`` (S,), the regions of the crop row by row, S a square; ``boxes`` (x, y, width,
    height) and ``raw_shape`` (height, width).

    Args:
        square: Side of the padded square, in pixels.
        crop: Side of the center crop of it.
        num_bootstrap: Resamples of the 95 % intervals over phrases, ``…_low`` and ``…_high``; 0 for none.
        seed: Of the resamples.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "ground"

    def __init__(self, square: int = 256, crop: int = 224, num_bootstrap: int = 0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.frame = Frame(square, crop)
        require_not_negative(num_bootstrap=num_bootstrap)
        self.num_bootstrap = num_bootstrap
        self.seed = seed

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the maps of a batch."""
        for sample in data_samples:
            regions = sample["heat_map"].float().cpu().numpy()
            side = round(len(regions) ** 0.5)
            height, width = sample["raw_shape"]
            seen = self.frame.seen(height, width)
            inside = box_mask(sample["boxes"], height, width)[seen]
            if inside.all() or not inside.any():
                self.results.append({})  # not None: MMEngine loses that where it collects from several ranks
                continue
            row = {"chance_pointing": 100 * float(inside.mean())}
            for name, grid in (("", regions.reshape(side, side)), ("centre_", _center_prior(side))):
                found = score_map(self.frame.to_image(grid, height, width)[seen], inside)
                row |= {f"{name}{key}": value for key, value in found.items()}
            self.results.append(row)

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Average over the phrases; NaN where none can be scored."""
        scored = [row for row in results if row]
        if len(scored) < len(results):
            print_log(
                f"{len(results) - len(scored)} of {len(results)} phrases cannot be scored: the model sees nothing of "
                "their boxes, or nothing else",
                "current",
                logging.WARNING,
            )
        keys = ("chance_pointing", *_SCORES, *(f"centre_{key}" for key in _SCORES))
        columns = {key: np.array([row[key] for row in scored]) for key in keys}
        metrics = {key: float(values.mean()) if scored else float("nan") for key, values in columns.items()}
        if self.num_bootstrap:
            for key in _SCORES:
                if not scored:
                    metrics[f"{key}_low"] = metrics[f"{key}_high"] = float("nan")
                    continue
                mean = lambda counts, values=columns[key]: counts @ values / len(values)  # noqa: E731
                metrics[f"{key}_low"], metrics[f"{key}_high"] = bootstrap_interval(
                    mean, len(scored), self.num_bootstrap, self.seed
                )
        return metrics


def box_mask(boxes: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """(H, W) True where the center of a pixel lies in one of the boxes (x, y, width, height)."""
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    mask = np.zeros((height, width), bool)
    for x, y, box_width, box_height in boxes:
        mask |= ((rows >= y) & (rows <= y + box_height))[:, None] & (columns >= x) & (columns <= x + box_width)
    return mask


def score_map(heat_map: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """``cnr``, ``pointing`` (100 or 0) and ``miou`` of one map, see :class:`PhraseGrounding`.

    Args:
        heat_map: (P,) values of the pixels that the model sees.
        inside: (P,) True in the boxes; some pixels are and some are not.

    Returns:
        All 0 for a map that is not finite.
    """
    if not np.isfinite(heat_map).all():
        return dict.fromkeys(_SCORES, 0.0)
    values = heat_map.astype(np.float64)
    within, without = values[inside], values[~inside]
    noise = np.sqrt(within.var() + without.var())
    spread = np.ptp(values)
    # Several pixels may be highest, as in a flat map: the share of them that hits.
    pointing = 100 * float(inside[values == values.max()].mean())
    scaled = (values - values.min()) / spread if spread else np.zeros_like(values)
    overlaps = [(inside & (scaled > t)).sum() / (inside | (scaled > t)).sum() for t in _THRESHOLDS]
    return dict(
        cnr=float((within.mean() - without.mean()) / noise) if noise else 0.0,
        pointing=pointing,
        miou=100 * float(np.mean(overlaps)),
    )


def _center_prior(side: int) -> np.ndarray:
    """(side, side) bell over the crop, a quarter of its side wide."""
    distance = (np.arange(side) + 0.5) / side - 0.5
    bell = np.exp(-0.5 * (distance / 0.25) ** 2)
    return bell[:, None] * bell
