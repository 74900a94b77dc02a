"""Sentences that say that a finding is there, or that it is not."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from mgca_mm.errors import UserError
from mgca_mm.reports.cleaning import clean_phrase

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
_NAMES = {"edema": "pulmonary edema", "lung lesion": "pulmonary nodule", "support devices": "support device"}

Prompts = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


def make_prompts(
    findings: str | Sequence[str] | Mapping[str, Sequence[str | Sequence[str]]],
    templates: Mapping[str, str | Sequence[str]] | None = None,
    words: str = "ascii",
) -> Prompts:
    """Sentences for and against each finding, cleaned as reports are.

    Args:
        findings: Names, in any case; or name → (sentences for, sentences against).
        templates: ``present`` and ``absent``: sentences with ``{}`` where the name goes. None: :data:`TEMPLATES`, but
            for names of CheXpert that no report has so, which have sentences of their own ("No Finding" always has).
        words: Which words are kept, see :func:`mgca_mm.reports.cleaning.clean_text`.

    Returns:
        Name → sentences for, sentences against.

    Raises:
        UserError: There is no finding, a template is none, or one of a finding's sides has no words.
    """
    clean = partial(clean_phrase, words=words)
    if not isinstance(findings, Mapping):
        own = {name.lower(): sides for name, sides in _PHRASES.items() if templates is None or name == "No Finding"}
        filled = TEMPLATES if templates is None else templates
        names = _listed(findings)
        if not all(map(clean, names)):
            raise UserError("A finding has no words: give names, such as 'Pleural Effusion'.")
        findings = {name: own.get(name.lower()) or _fill(name, filled) for name in names}
    if not findings:
        raise UserError("There is no finding to score: give names, such as 'Pleural Effusion'.")
    prompts = {}
    for name, sides in findings.items():
        sides = () if isinstance(sides, str) or not isinstance(sides, Iterable) else sides
        cleaned = tuple(tuple(phrase for phrase in map(clean, _listed(side)) if phrase) for side in sides)
        if len(cleaned) != 2 or not all(cleaned):
            raise UserError(f"Finding '{name}' needs sentences that say it is there, and others that say it is not.")
        prompts[name] = cleaned
    return prompts


def _fill(name: str, templates: Mapping[str, str | Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    words = _NAMES.get(name.lower(), name)
    if set(templates) != {"present", "absent"}:
        raise UserError("templates need two entries, 'present' and 'absent', each with sentences.")
    sides = tuple(_listed(templates[side]) for side in ("present", "absent"))
    for template in (template for side in sides for template in side):
        if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
            raise UserError(f"Template '{template}' needs one {{}}, where the name of the finding goes.")
    return tuple(tuple(template.format(words) for template in side) for side in sides)


def _listed(texts: str | Sequence[str]) -> tuple[str, ...]:
    listed = tuple(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else (texts,)
    for text in listed:
        if not isinstance(text, str):
            raise UserError(f"Findings and their sentences are texts (str), not {type(text).__name__}.")
    return listed
