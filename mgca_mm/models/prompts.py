"""Sentences that say that a finding is there, or that it is not."""

from collections.abc import Mapping, Sequence

from mgca_mm.datasets.preparation.reports import clean_phrase
from mgca_mm.errors import UserError

TEMPLATES = {
    "present": ("{}", "there is {}", "{} is present", "findings consistent with {}"),
    "absent": ("no {}", "there is no {}", "no evidence of {}", "negative for {}"),
}
# What a report says where there is nothing to see.
NORMAL = (
    "no acute cardiopulmonary process",
    "the lungs are clear",
    "no focal consolidation pleural effusion or pneumothorax",
    "the heart is normal in size",
)
# CheXpert's names that no radiologist writes so. name → what is said if it is there, and if it is not.
_PHRASES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "No Finding": (
        ("no acute cardiopulmonary process", "the lungs are clear", "normal chest radiograph"),
        ("abnormal chest radiograph", "there is an opacity", "there is disease"),
    ),
    "Cardiomegaly": (
        ("cardiomegaly", "the heart is enlarged", "enlarged cardiac silhouette"),
        ("no cardiomegaly", "heart size is normal", "the cardiac silhouette is not enlarged"),
    ),
}
_NAMES = {"Edema": "pulmonary edema", "Lung Lesion": "pulmonary nodule", "Support Devices": "support device"}

Prompts = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


def make_prompts(
    findings: Sequence[str] | Mapping[str, Sequence[Sequence[str]]],
    templates: Mapping[str, Sequence[str]] = TEMPLATES,
) -> Prompts:
    """Sentences for and against each finding, cleaned as reports are.

    Args:
        findings: Names, of which some of CheXpert's have sentences of their own; or name → (sentences for, sentences
            against).
        templates: ``present`` and ``absent``: sentences with ``{}`` where the name goes in lower case.

    Returns:
        Name → sentences for, sentences against.

    Raises:
        UserError: There is no finding, or none of a finding's sentences has words.
    """
    if not isinstance(findings, Mapping):
        findings = {name: _PHRASES.get(name) or _fill(name, templates) for name in findings}
    if not findings:
        raise UserError("There is no finding to score: give names, such as 'Pleural Effusion'.")
    prompts = {}
    for name, sides in findings.items():
        cleaned = tuple(tuple(phrase for phrase in map(clean_phrase, side) if phrase) for side in sides)
        if len(cleaned) != 2 or not all(cleaned):
            raise UserError(f"Finding '{name}' needs sentences that say it is there, and others that say it is not.")
        prompts[name] = cleaned
    return prompts


def _fill(name: str, templates: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    words = _NAMES.get(name, name)
    return tuple(tuple(template.format(words) for template in templates[side]) for side in ("present", "absent"))
