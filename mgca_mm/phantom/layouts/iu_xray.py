"""The phantom as Open-i's Indiana University chest X-rays: one XML a study, and the projections of the Kaggle mirror.

Nothing in the XML or in an image's name tells a frontal from a lateral image, and their order does not either. What the
original's de-identification does to words, it does here: some become ``XXXX``. A few studies have no images.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from ..study import PhantomStudy
from .layout import Entry, Layout, PhantomOptions, Rows, draw, layout_rng, truth_row, write_image, write_text

_PROJECTIONS = "indiana_projections.csv"
_HIDDEN_WORDS, _WITHOUT_IMAGES = 0.015, 0.025
_CAPTIONS = ("Xray Chest PA and Lateral", "CHEST 2V FRONTAL/LATERAL ", "PA and lateral chest x-XXXX dated XXXX, XXXX. ")
# Series and image numbers of a study's first and second image; in the original, too, they follow no rule.
_SUFFIXES = (("1001", "2001"), ("1001", "1002"), ("3001", "4001"), ("2002", "3003"), ("0001-0001", "0001-0002"))
_TERMS = {
    "cardiomegaly": "Cardiomegaly",
    "pleural_effusion": "Pleural Effusion",
    "consolidation": "Consolidation",
    "atelectasis": "Pulmonary Atelectasis",
    "edema": "Pulmonary Edema",
    "pneumothorax": "Pneumothorax",
    "nodule": "Nodule/lung",
    "pneumonia": "Pneumonia",
    "foreign_object": "Medical Device",
}
_GRADE = ("", "/mild", "/moderate", "/severe")

_XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
   <meta type="rr"/>
   <uId id="CXR{uid}"/>
   <pmcId id="{uid}"/>
   <docSource>CXR</docSource>
   <IUXRId id="{uid}"/>
   <licenseType>open-access</licenseType>
   <articleURL/>
   <articleType>XR</articleType>
   <title>Phantom Chest X-ray Collection</title>
   <specialty>pulmonary diseases</specialty>
   <subset>CXR</subset>
   <MedlineCitation Owner="Phantom" Status="supplied by publisher">
      <Article PubModel="Electronic">
         <ArticleTitle>Phantom Chest X-ray Collection</ArticleTitle>
         <Abstract>
{sections}
         </Abstract>
         <Language>eng</Language>
         <PublicationTypeList>
            <PublicationType>Radiology Report</PublicationType>
         </PublicationTypeList>
      </Article>
   </MedlineCitation>
   <MeSH>
{terms}
   </MeSH>{images}
</eCitation>
"""
_SECTION = '            <AbstractText Label="{label}">{text}</AbstractText>'
_EMPTY_SECTION = '            <AbstractText Label="{label}"/>'
_IMAGE = """
   <parentImage id="{image_id}">
      <figureId>F{number}</figureId>
      <caption>{caption}</caption>
      <panel type="single">
         <url>/hadoop/storage/radiology/extract/{image_id}.jpg</url>
         <imgModality>7</imgModality>
         <region type="panel">
            <globalImageFeatures/>
         </region>
      </panel>
   </parentImage>"""


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {_PROJECTIONS: [], "truth": []}
    for study in options.sample(entry.index):
        rng = layout_rng(study)
        uid = 4 * study.patient_index + study.study_index + 1  # with gaps, as the original's
        sections = _sections(study, rng)
        names = _image_names(uid, len(study.views), rng)
        if rng.random() < _WITHOUT_IMAGES:
            names = []
        # The Kaggle mirror's names without CXR; the first study's has the number twice.
        ids = [f"CXR1_{name}" if uid == 1 else f"CXR{name}" for name in names]
        write_text(out / "ecgen-radiology" / f"{uid}.xml", _xml(study, uid, sections, sorted(ids), rng))
        if names:
            for number, view, image in draw(study, options):
                write_image(out / "NLMCXR_png" / f"{ids[number]}.png", image.pixels)
                projection = "Lateral" if view == "LATERAL" else "Frontal"
                rows[_PROJECTIONS].append((uid, f"{names[number]}.dcm.png", projection))
                rows["truth"].append(truth_row(study, view, image, image_id=ids[number]))
    return rows


def _image_names(uid: int, count: int, rng: np.random.Generator) -> list[str]:
    """Names of a study's images, ``1_IM-0001-3001``, in an order that does not tell the views."""
    number = 1 if uid == 1 else int(rng.integers(2, 3000))
    suffixes = _SUFFIXES[int(rng.integers(len(_SUFFIXES)))][:count]
    return [f"{uid}_IM-{number:04d}-{suffixes[i]}" for i in rng.permutation(count)]


def _sections(study: PhantomStudy, rng: np.random.Generator) -> dict[str, str]:
    """The text of each section, empty where the report lacks it."""
    sections = {}
    for label in ("COMPARISON", "INDICATION"):
        header = re.search(rf"^ {label}:  (.*)$", study.report.text, re.MULTILINE)
        sections[label] = _hide(header[1] if header else "", rng)
    for label in ("FINDINGS", "IMPRESSION"):
        texts = study.report.sentences(label.lower())
        if label == "IMPRESSION" and len(texts) > 1:
            texts = [f"{number}. {text}" for number, text in enumerate(texts, 1)]
        sections[label] = _hide(" ".join(texts), rng)
    return sections


def _hide(text: str, rng: np.random.Generator) -> str:
    """De-identify as the original: with too much zeal, and with ``XXXX`` for what is hidden."""
    words = text.replace("___", "XXXX").split(" ")
    return " ".join(re.sub("[A-Za-z]+", "XXXX", word) if rng.random() < _HIDDEN_WORDS else word for word in words)


def _xml(study: PhantomStudy, uid: int, sections: dict[str, str], ids: Sequence[str], rng: np.random.Generator) -> str:
    caption = _CAPTIONS[int(rng.integers(len(_CAPTIONS)))]
    terms = [
        _TERMS[finding.kind] + (f"/{finding.side}" if finding.side else "") + _GRADE[finding.severity]
        for finding in study.findings
    ]
    return _XML.format(
        uid=uid,
        sections="\n".join(
            (_SECTION if text else _EMPTY_SECTION).format(label=label, text=escape(text))
            for label, text in sections.items()
        ),
        terms="\n".join(f"      <major>{term}</major>" for term in terms or ["normal"]),
        images="".join(
            _IMAGE.format(image_id=image_id, number=number, caption=caption) for number, image_id in enumerate(ids, 1)
        ),
    )


LAYOUT = Layout("iu_xray", _write_patient, {_PROJECTIONS: "uid,filename,projection"})
