"""Who the patients are: sampling of patients, of their studies and of how findings evolve between studies."""

import datetime
from dataclasses import dataclass, replace

import numpy as np

from .anatomy import SIDES, Anatomy, sample_posture
from .devices import DEVICES
from .findings import KINDS, ZONES, Finding
from .reports import Report, word_plainly, write_report
from .varied_reports import word_variedly

CHEXPERT_LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Enlarged Cardiomediastinum",
    "Fracture",
    "Lung Lesion",
    "Lung Opacity",
    "No Finding",
    "Pleural Effusion",
    "Pleural Other",
    "Pneumonia",
    "Pneumothorax",
    "Support Devices",
)
LABELS_OF = {
    "cardiomegaly": ("Cardiomegaly",),
    "pleural_effusion": ("Pleural Effusion",),
    "consolidation": ("Consolidation", "Lung Opacity"),
    "atelectasis": ("Atelectasis", "Lung Opacity"),
    "edema": ("Edema", "Lung Opacity"),
    "pneumothorax": ("Pneumothorax",),
    "nodule": ("Lung Lesion",),
    "pneumonia": ("Pneumonia", "Lung Opacity"),
    "foreign_object": ("Support Devices",),
}

# Clinical pictures: probability, and the probability of each kind within them. Findings co-occur through these.
_PICTURES: tuple[tuple[float, dict[str, float]], ...] = (
    (0.35, {}),
    (0.21, {"cardiomegaly": 0.80, "edema": 0.72, "pleural_effusion": 0.55, "foreign_object": 0.24}),
    (0.20, {"pneumonia": 0.82, "consolidation": 0.60, "pleural_effusion": 0.22, "atelectasis": 0.12}),
    (0.13, {"foreign_object": 0.85, "atelectasis": 0.65, "pneumothorax": 0.42, "pleural_effusion": 0.30}),
    (0.11, {"nodule": 0.85, "atelectasis": 0.20, "foreign_object": 0.15, "pneumothorax": 0.10}),
)
_BACKGROUND = {
    "cardiomegaly": 0.06,
    "pleural_effusion": 0.03,
    "consolidation": 0.06,
    "atelectasis": 0.08,
    "edema": 0.02,
    "pneumothorax": 0.10,
    "nodule": 0.07,
    "pneumonia": 0.03,
    "foreign_object": 0.05,
}
_ZONE_WEIGHTS = {"atelectasis": (0.05, 0.25, 0.70)}
_ZONE_DOWN = {"upper": (0.16, 0.34), "mid": (0.44, 0.60), "lower": (0.70, 0.88)}
_DEVICE_WEIGHTS = {
    "pacemaker": 0.18,
    "sternal_wires": 0.14,
    "central_line": 0.15,
    "port": 0.10,
    "endotracheal_tube": 0.09,
    "enteric_tube": 0.09,
    "chest_tube": 0.07,
    "ecg_leads": 0.08,
    "coin": 0.03,
    "button": 0.04,
    "necklace": 0.03,
}
_BEDSIDE_DEVICES = ("endotracheal_tube", "enteric_tube", "chest_tube", "ecg_leads")

# Streams of random numbers, so that one purpose never disturbs another.
_PATIENT, _STUDY, _HABITUS = 0, 1, 7  # render.py has 2 and 8, layouts/layout.py 3, 4, 5 and 9


@dataclass(frozen=True)
class PhantomStudy:
    """One imaging study: everything a report could say and everything a rendering needs."""

    seed: int  # of the whole phantom
    patient_index: int  # the patient's number, from 0
    study_index: int  # the study's number within the patient, from 0
    subject_id: int  # eight digits, unique within a seed
    study_id: int  # eight digits, unique within a seed
    date: int  # YYYYMMDD
    time: str  # HHMMSS.mmm
    views: tuple[str, ...]  # of each image, for instance ('PA', 'LATERAL')
    anatomy: Anatomy
    findings: tuple[Finding, ...]  # the truth, whatever the report says
    resolved: tuple[Finding, ...]  # findings of the previous study that are gone
    report: Report

    @property
    def labels(self) -> dict[str, int]:
        """The 14 CheXpert labels, 1 or 0, exact. Fractures, pleural thickening and the like are never there."""
        present = {label for finding in self.findings for label in LABELS_OF[finding.kind]} or {"No Finding"}
        return {label: int(label in present) for label in CHEXPERT_LABELS}


def sample_patient(seed: int, index: int, varied: bool = False) -> list[PhantomStudy]:
    """Draw one patient's studies, one to four in order of time.

    The result depends on the arguments only. A ``varied`` patient has another body and another age, which decide how
    the images look, and a report in other words; the findings are those of the plain one.

    Args:
        seed: Of the phantom.
        index: The patient's number, from 0.
        varied: Whether images and reports are as varied as real ones.
    """
    wording = word_variedly if varied else word_plainly
    rng = np.random.default_rng([seed, index, _PATIENT])
    patient = Anatomy.sample(rng)
    if varied:
        patient = patient.varied(np.random.default_rng([seed, index, _HABITUS]))
    count = int(rng.choice(4, p=(0.42, 0.30, 0.17, 0.11))) + 1
    day = datetime.date(2110, 1, 1) + datetime.timedelta(days=int(rng.integers(0, 29_000)))
    studies: list[PhantomStudy] = []
    for number in range(count):
        rng = np.random.default_rng([seed, index, _STUDY, number])
        if number == 0:
            findings, resolved = _fresh_findings(rng), ()
        else:
            findings, resolved = _evolve(rng, studies[-1].findings)
            day += datetime.timedelta(days=int(rng.integers(1, 400)))
        views = _views(rng, findings)
        anatomy = replace(patient, **sample_posture(rng))
        clock = rng.integers((0, 0, 0, 0), (24, 60, 60, 1000))
        studies.append(
            PhantomStudy(
                seed=seed,
                patient_index=index,
                study_index=number,
                subject_id=_spread(index, 10_000_000, 7_368_787),
                study_id=_spread(4 * index + number, 50_000_000, 6_180_339),
                date=int(day.strftime("%Y%m%d")),
                time="{:02d}{:02d}{:02d}.{:03d}".format(*clock),
                views=views,
                anatomy=anatomy,
                findings=findings,
                resolved=resolved,
                report=write_report(findings, resolved, anatomy, views, number > 0, rng, wording),
            )
        )
    return studies


def _spread(number: int, base: int, stride: int) -> int:
    """A bijection of 0 … 9 999 999 that scatters consecutive numbers, as identifiers in the wild are."""
    return base + (number * stride) % 10_000_000


def _fresh_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    picture = _PICTURES[int(rng.choice(len(_PICTURES), p=[p for p, _ in _PICTURES]))][1]
    if not picture:
        return ()
    kinds = [kind for kind in KINDS if rng.random() < max(picture.get(kind, 0.0), _BACKGROUND[kind])]
    findings: list[Finding] = []
    for kind in kinds:
        findings.extend(_sample_finding(rng, kind, findings))
    return tuple(findings)


def _sample_finding(rng: np.random.Generator, kind: str, others: list[Finding]) -> list[Finding]:
    """One kind's findings: usually one, two for effusions on both sides and for several devices."""
    severity = int(rng.choice((1, 2, 3), p=(0.36, 0.36, 0.28)))
    if kind == "foreign_object":
        return _sample_devices(rng)
    if kind == "cardiomegaly":
        return [Finding(kind, severity=severity, texture=_texture(rng))]
    if kind == "edema":
        return [Finding(kind, "bilateral", severity=severity, texture=_texture(rng))]
    side = SIDES[int(rng.integers(2))]
    if kind == "pneumothorax":
        return [Finding(kind, side, severity=severity, texture=_texture(rng))]
    if kind == "pleural_effusion":
        sides = SIDES if rng.random() < 0.35 else (side,)
        second = severity if rng.random() < 0.6 else int(rng.integers(1, 4))
        return [
            Finding(kind, s, severity=grade, texture=_texture(rng))
            for s, grade in zip(sides, (severity, second), strict=False)
        ]
    zone = str(rng.choice(ZONES, p=_ZONE_WEIGHTS.get(kind, (0.32, 0.30, 0.38))))
    core = next((other for other in others if other.kind == "consolidation"), None)
    if kind == "pneumonia" and core is not None and rng.random() < 0.6:
        side, zone = core.side, core.zone  # the patches surround a consolidated core
    down = float(rng.uniform(*_ZONE_DOWN[zone]))
    # On the left, the lower lung's medial half hides behind the heart.
    medial = 0.55 if side == "left" and zone != "upper" else 0.30 if kind != "nodule" else 0.15
    across = float(rng.uniform(medial, 0.75 if kind != "nodule" else 0.9))
    position = (across, down, float(rng.uniform(0.25, 0.75)))
    return [Finding(kind, side, zone, severity, position, _texture(rng))]


def _sample_devices(rng: np.random.Generator) -> list[Finding]:
    count = int(rng.choice((1, 2, 3), p=(0.62, 0.28, 0.10)))
    names = list(_DEVICE_WEIGHTS)
    chosen = rng.choice(len(names), size=count, replace=False, p=list(_DEVICE_WEIGHTS.values()))
    devices = []
    for number in sorted(int(n) for n in chosen):
        device = names[number]
        _, sided = DEVICES[device]
        # Pacemakers are implanted on the left, ports and lines inserted on the right more often than not.
        left = rng.random() < (0.75 if device == "pacemaker" else 0.4)
        side = (SIDES[1] if left else SIDES[0]) if sided else None
        zone = str(rng.choice(ZONES)) if device in ("coin", "button") else None
        down = float(rng.uniform(*_ZONE_DOWN[zone])) if zone else 0.5
        position = (float(rng.uniform(0.2, 0.8)), down, float(rng.uniform(0.2, 0.5)))
        devices.append(Finding("foreign_object", side, zone, 0, position, _texture(rng), device))
    return devices


def _texture(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))


def _evolve(rng: np.random.Generator, before: tuple[Finding, ...]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """The next study's findings and the ones that resolved. Hearts do not shrink and nodules do not go away."""
    findings, resolved = [], []
    for finding in before:
        chronic = finding.kind in ("cardiomegaly", "nodule") or finding.device in ("pacemaker", "sternal_wires", "port")
        draw = rng.random()
        if not chronic and draw < 0.34:
            resolved.append(finding)
        elif finding.kind != "foreign_object" and draw > 0.80 and finding.severity < 3:
            findings.append(replace(finding, severity=finding.severity + 1, trend="worse"))
        elif not chronic and finding.severity > 1 and draw < 0.55:
            findings.append(replace(finding, severity=finding.severity - 1, trend="better"))
        else:
            findings.append(replace(finding, trend="same"))
    if rng.random() < 0.55:
        kinds = {finding.kind for finding in (*findings, *resolved)}
        new = [finding for finding in _fresh_findings(rng) if finding.kind not in kinds]
        findings.extend(replace(finding, trend="new") for finding in new)
    findings.sort(key=lambda finding: KINDS.index(finding.kind))
    return tuple(findings), tuple(resolved)


def _views(rng: np.random.Generator, findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """The study's views. Patients who need tubes are examined in bed."""
    bedside = any(finding.device in _BEDSIDE_DEVICES for finding in findings)
    draw = rng.random()
    if draw < (0.85 if bedside else 0.28):
        return ("AP", "AP") if rng.random() < 0.10 else ("AP",)
    return ("PA", "LATERAL") if rng.random() < 0.66 else ("PA",)
