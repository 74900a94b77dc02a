"""What tells made radiographs from real ones, and how far the made ones cover the real ones."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mgca_mm.errors import UserError

_ALL = "together"
_RANGE = (5, 50, 95)  # percent
_COVERED = (2.5, 97.5)
_FOLDS = 5
_HOW = """AUROC in percent of a logistic regression on a group of quantities that tells made images from real ones,
cross-validated by patient (50: it cannot); in the last columns real ones from the other real sets, which is what
different hospitals, devices and ages amount to. In brackets the percent of the real images within the range that holds
the middle 95 % of the made ones, on average over the group's quantities: 95 where both are spread alike. To train on,
made images should cover real ones, so that this matters more than the AUROC.
"""


class Measured(NamedTuple):
    """A set of images: quantities (N, Q), and whose images they are."""

    values: np.ndarray
    patients: Sequence[str]


def separability(made: Measured, real: Measured) -> float:
    """AUROC in percent of a logistic regression on standardized quantities, of held-out patients; 50 is chance."""
    features = np.concatenate([made.values, real.values])
    is_real = np.repeat((0, 1), (len(made.values), len(real.values)))
    patients = [f"made {each}" for each in made.patients] + [f"real {each}" for each in real.patients]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced"))
    cut = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(classifier, features, is_real, groups=patients, cv=cut, method="decision_function")
    return float(roc_auc_score(is_real, scores) * 100)


def compare(names: Sequence[str], made: Measured, real: Mapping[str, Measured]) -> dict:
    """All that is told of a gap, as it is written to json.

    Args:
        names: Of the Q quantities, ``group/quantity``.
        made: Made images.
        real: Name → a set of real images.

    Returns:
        ``separability``: "A / B" → group → percent AUROC; ``coverage``: set → group → percent; ``quantities``: name →
        ``made`` and each set → 5, 50 and 95 % quantile, for a real one also the AUROC of the quantity alone, in
        percent, above 50 where it is larger in real images.

    Raises:
        UserError: A set has fewer than five patients, by whom the folds of the cross-validation are cut.
    """
    for name, (_, patients) in {"made": made, **real}.items():
        if len(set(patients)) < _FOLDS:
            raise UserError(f"{name}: fewer than {_FOLDS} patients have frontal images, too few to compare.")
    groups = {name.partition("/")[0]: [] for name in names} | {_ALL: list(range(len(names)))}
    for column, name in enumerate(names):
        groups[name.partition("/")[0]].append(column)
    pairs = {f"made / {name}": (made, each) for name, each in real.items()}
    if len(real) > 1:
        pairs |= {f"{name} / other real": (_join(real, name), each) for name, each in real.items()}
    low, high = np.percentile(made.values, _COVERED, axis=0)
    inside = {name: ((low <= values) & (values <= high)).mean(axis=0) * 100 for name, (values, _) in real.items()}
    return {
        "separability": {
            pair: {
                group: separability(*(Measured(each.values[:, columns], each.patients) for each in both))
                for group, columns in groups.items()
            }
            for pair, both in pairs.items()
        },
        "coverage": {
            name: {group: float(covered[columns].mean()) for group, columns in groups.items()}
            for name, covered in inside.items()
        },
        "quantities": {
            name: {"made": np.percentile(made.values[:, column], _RANGE).tolist()}
            | {each: _alone(made.values[:, column], values[:, column]) for each, (values, _) in real.items()}
            for column, name in enumerate(names)
        },
    }


def _join(real: Mapping[str, Measured], without: str) -> Measured:
    """All sets but one."""
    others = [each for name, each in real.items() if name != without]
    patients = [f"{number} {patient}" for number, each in enumerate(others) for patient in each.patients]
    return Measured(np.concatenate([each.values for each in others]), patients)


def _alone(made: np.ndarray, real: np.ndarray) -> list[float]:
    """Quantiles of a quantity in real images, and its AUROC alone."""
    is_real = np.repeat((0, 1), (len(made), len(real)))
    return [*np.percentile(real, _RANGE).tolist(), float(roc_auc_score(is_real, np.r_[made, real]) * 100)]


def markdown(gap: Mapping) -> str:
    """Tables of what :func:`compare` returns; of the quantities all but the profiles."""
    separability, coverage = gap["separability"], gap["coverage"]
    lines = ["# Made and real radiographs", "", _HOW, "| group | " + " | ".join(separability) + " |"]
    lines += ["|---|" + "---:|" * len(separability)]
    for group in next(iter(separability.values())):
        cells = []
        for pair, scores in separability.items():
            covered = coverage.get(pair.removeprefix("made / "))
            cells.append(f"{scores[group]:.1f}" + (f" ({covered[group]:.0f})" if covered else ""))
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "5 %, median and 95 % of each quantity, and in brackets its AUROC alone, above 50 where real ones have more.",
        "",
    ]
    lines += ["| quantity | made | " + " | ".join(coverage) + " |", "|---|" + "---|" * (len(coverage) + 1)]
    for name, found in gap["quantities"].items():
        if not name.startswith("profile/"):
            cells = [" / ".join(f"{value:.3g}" for value in values[:3]) for values in found.values()]
            alone = ["", *(f" ({found[each][3]:.0f})" for each in coverage)]
            lines.append(f"| {name} | " + " | ".join(map("".join, zip(cells, alone, strict=True))) + " |")
    return "\n".join(lines) + "\n"
