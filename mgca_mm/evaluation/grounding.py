"""Phrase grounding: whether a heat map is high where radiologists have drawn the box."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from mgca_mm.registry import METRICS
from mgca_mm.visualization.frame import Frame

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

    Pixels that the model does not see, cut off by the centre crop, count for nobody.

    Each sample needs ``heat_map`` (S,), the regions of the crop row by row, S a square; ``boxes`` (x, y, width,
    height) and ``raw_shape`` (height, width).

    Args:
        square: Side of the padded square, in pixels.
        crop: Side of the centre crop of it.
        num_bootstrap: Resamples of the 95 % intervals over phrases, ``…_low`` and ``…_high``; 0 for none.
        seed: Of the resamples.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "ground"

    def __init__(self, square: int = 256, crop: int = 224, num_bootstrap: int = 0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.frame = Frame(square, crop)
        self.num_bootstrap = num_bootstrap
        self.seed = seed

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score the maps of a batch."""
        for sample in data_samples:
            regions = sample["heat_map"].float().cpu().numpy()
            side = round(len(regions) ** 0.5)
            height, width = sample["raw_shape"]
            inside = box_mask(sample["boxes"], height, width)
            seen = self.frame.to_image(regions.reshape(side, side), height, width)
            centre = self.frame.to_image(_centre_prior(side), height, width)
            scores = {name: score_map(heat_map, inside) for name, heat_map in (("", seen), ("centre_", centre))}
            row = {f"{name}{key}": value for name, found in scores.items() for key, value in found.items()}
            row["chance_pointing"] = 100 * float(inside[~np.isnan(seen)].mean())
            self.results.append(row)

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Average over the phrases."""
        metrics = {key: float(np.nanmean([row[key] for row in results])) for key in results[0]}
        if self.num_bootstrap:
            for key in _SCORES:
                values = np.array([row[key] for row in results])
                values = values[~np.isnan(values)]
                mean = lambda counts, values=values: counts @ values / len(values)  # noqa: E731
                metrics[f"{key}_low"], metrics[f"{key}_high"] = bootstrap_interval(
                    mean, len(values), self.num_bootstrap, self.seed
                )
        return metrics


def box_mask(boxes: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """(H, W) True where the centre of a pixel lies in one of the boxes (x, y, width, height)."""
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    mask = np.zeros((height, width), bool)
    for x, y, box_width, box_height in boxes:
        mask |= ((rows >= y) & (rows <= y + box_height))[:, None] & (columns >= x) & (columns <= x + box_width)
    return mask


def score_map(heat_map: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """``cnr``, ``pointing`` (100 or 0) and ``miou`` of one map, see :class:`PhraseGrounding`.

    Args:
        heat_map: (H, W); NaN where nothing was seen.
        inside: (H, W) True in the boxes.

    Returns:
        NaN for all where the seen part of the image has no pixel inside, or none outside.
    """
    seen = ~np.isnan(heat_map)
    values, inside = heat_map[seen].astype(np.float64), inside[seen]
    if inside.all() or not inside.any():
        return dict.fromkeys(_SCORES, float("nan"))
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


def _centre_prior(side: int) -> np.ndarray:
    """(side, side) bell over the crop, a quarter of its side wide."""
    distance = (np.arange(side) + 0.5) / side - 0.5
    bell = np.exp(-0.5 * (distance / 0.25) ** 2)
    return bell[:, None] * bell
