"""What the name of a report's section stands for: the table of MIMIC's own parser, and rules for all other names.

Names are compared in capitals, without accents, with single spaces and AND for ``&`` and ``/``
(:func:`normalize_name`).
"""

import re
from functools import lru_cache

from .letters import fold

IMPRESSION = "impression"
FINDINGS = "findings"
TITLE = "title"
ANATOMY = "anatomy"
OTHER = "other"
CLOSING = "closing"
UNKNOWN = "unknown"
# Frequent names in MIMIC-CXR's 227,835 reports (MIT-LCP/mimic-cxr, txt/), and what radiologists elsewhere write.
_NAMES = {
    IMPRESSION: (
        *("IMPRESSION", "IMPRESSIONS", "CONCLUSION", "CONCLUSIONS", "CONCLUSION(S)", "FINAL IMPRESSION"),
        *("FINDINGS AND IMPRESSION", "FINDINGS AND IMPRESSIONS", "FINDING AND IMPRESSION", "FINDINGS IMPRESSION"),
        *("IMPRESSION AND FINDINGS", "IMPRESSION FINDINGS", "IMPRESSION AND PLAN", "IMPRESSION AND RECOMMENDATION"),
        "IMPRESSION AND RECOMMENDATIONS",
    ),
    FINDINGS: ("FINDINGS", "FINDING", "FINDING(S)", "CHEST FINDINGS"),
    # What is said before the description of the image: its text may follow theirs after a blank line.
    OTHER: (
        *("CLINICAL DATA", "CLINICAL HISTORY", "CLINICAL INDICATION", "CLINICAL INFORMATION", "COMPARISON"),
        *("COMPARISONS", "COMPARISON EXAM", "COMPARISON FILM", "COMPARISON STUDY", "DATE", "EXAM", "EXAMINATION"),
        *("FINAL REPORT", "HISTORY", "INDICATION", "INDICATIONS", "PATIENT HISTORY", "PROCEDURE", "REASON FOR EXAM"),
        *("REASON FOR EXAMINATION", "REASON FOR STUDY", "REFERENCE EXAM", "STUDY", "TECHNIQUE", "TYPE OF EXAMINATION"),
        "VIEWS",
    ),
    # What is said after it, or by someone else.
    CLOSING: (
        *("ADDENDUM", "COMMENT", "COMMENTS", "NOTIFICATION", "NOTIFICATIONS", "RECOMMENDATION", "RECOMMENDATIONS"),
        *("RECOMMENDATION(S)", "WET READ", "DICTATED BY", "ELECTRONICALLY SIGNED BY", "READ BY", "SIGNED BY"),
    ),
}
# What is written in other languages (French, Italian, Spanish, Portuguese, German) and other countries. SUMMARY is not
# there: below it, CheXpert's hospital writes a code. Nor is REPORT, which names all of it.
_NAMES_ELSEWHERE = {
    IMPRESSION: (
        *("OPINION", "INTERPRETATION", "SYNTHESE", "CONCLUSIONE", "CONCLUSIONI", "CONCLUSIONES", "CONCLUSAO"),
        *("CONCLUSOES", "IMPRESION", "IMPRESION DIAGNOSTICA", "IMPRESSAO", "IMPRESSAO DIAGNOSTICA", "BEURTEILUNG"),
        *("ZUSAMMENFASSUNG", "BEFUND UND BEURTEILUNG"),
    ),
    FINDINGS: (
        *("RESULTAT", "RESULTATS", "REPERTO", "REPERTI", "HALLAZGO", "HALLAZGOS", "ACHADO", "ACHADOS", "BEFUND"),
        "BEFUNDE",
    ),
    OTHER: (
        *("RENSEIGNEMENTS CLINIQUES", "ANTECEDENTS", "MOTIF", "COMPARAISON", "EXAMEN", "INDICAZIONE", "INDICAZIONI"),
        *("QUESITO CLINICO", "NOTIZIE CLINICHE", "CONFRONTO", "ESAME", "TECNICA", "INDICACION", "INDICACIONES"),
        *("DATOS CLINICOS", "HISTORIA CLINICA", "ANTECEDENTES", "COMPARACION", "ESTUDIO", "INDICACAO", "INDICACOES"),
        *("DADOS CLINICOS", "COMPARACAO", "EXAME", "INDIKATION", "KLINISCHE ANGABEN", "FRAGESTELLUNG", "ANAMNESE"),
        *("TECHNIK", "VERGLEICH", "UNTERSUCHUNG"),
    ),
    CLOSING: (
        *("RECOMMANDATION", "RECOMMANDATIONS", "RACCOMANDAZIONI", "RECOMENDACION", "RECOMENDACIONES", "RECOMENDACAO"),
        *("RECOMENDACOES", "EMPFEHLUNG", "EMPFEHLUNGEN"),
    ),
}
_KIND_OF_NAME = {name: kind for table in (_NAMES, _NAMES_ELSEWHERE) for kind in table for name in table[kind]}
_ELSEWHERE = frozenset(name for names in _NAMES_ELSEWHERE.values() for name in names)
_MISSPELT = (("IMPRESSION", IMPRESSION), ("FINDINGS", FINDINGS), ("FINDING", FINDINGS), ("CONCLUSION", IMPRESSION))
# English words one letter away from "finding".
_NOT_MISSPELT = {word + end for word in ("BINDING", "FENDING", "FUNDING", "MINDING", "WINDING") for end in ("", "S")}
_NOT_MISSPELT |= {"CONCUSSION", "CONCUSSIONS"}
# Before all parts of a name: what is said to someone, of other examinations, or of this one.
_CLOSING_NAME = re.compile(r"NOTIFICATION|COMMUNICATION|^(?:DISCUSSION|RECOMMENDATIONS?|RECOMMENDATION\(S\)) (?!AND )")
_OTHER_STARTS = ("PRIOR ", "PREVIOUS ", "EXAM")
# By a part of the name, the first that is found, as MIMIC's parser has it.
_PARTS = (
    *(("IMPRESSION", IMPRESSION), ("FINDINGS", FINDINGS), ("HISTORY", OTHER), ("COMPARISON", OTHER)),
    ("ADDENDUM", CLOSING),
    # Not there: a name with these and a title ("INDICATION FOR CHEST RADIOGRAPH") would make a history a description.
    *((part, OTHER) for part in ("INDICATION", "REASON FOR", "TECHNIQUE", "PAIN")),
    *((part, CLOSING) for part in ("RECOMMENDATION", "DICTATED", "SIGNED", "TRANSCRIBED")),
)
_TITLE_PARTS = (
    *("CHEST", "PORTABLE", "PA AND LATERAL", "LATERAL AND PA", "AP AND LATERAL", "LATERAL AND AP", "PA AND LAT"),
    *("FRONTAL AND", "TWO VIEWS", "ONE VIEW", "FRONTAL VIEW", "PA VIEW", "AP VIEW", "LATERAL VIEW", "BONE WINDOW"),
    *("FRONTAL UPRIGHT", "FRONTAL SEMI-UPRIGHT", "RIBS"),
)
# Of a record: who, when, by whom.
_RECORD_NAMES = """
ACCESSION AGE ATTENDING CC DATE DOB DOCTOR DOSE DR GENDER ID MD MRN NAME NUMBER PATIENT PHYSICIAN RADIOLOGIST RESIDENT
SEX TIME
"""
_RECORD_WORDS = frozenset(_RECORD_NAMES.split())
# A name with one of these words, in capitals inside the findings, starts a line of them and no section.
_ANATOMY_WORDS = """
ABDOMEN ABDOMINAL AIRSPACE AIRSPACES AIRWAY AIRWAYS ANGLES AORTA AORTIC APEX APICES APPARATUS ARTERIES ARTERY ATRIUM
AXILLA AXILLAE BASES BONE BONES BONY BOWEL BREAST BREASTS BRONCHI BRONCHUS CARDIAC CARDIOMEDIASTINAL CARDIOMEDIASTINUM
CARDIOVASCULAR CARINA CATHETER CATHETERS CAVITY CLAVICLE CLAVICLES COSTOPHRENIC DEVICE DEVICES DIAPHRAGM DIAPHRAGMS
DRAIN DRAINS EFFUSION EFFUSIONS ESOPHAGUS ETT EXTRATHORACIC FISSURE FISSURES GREAT HARDWARE HEART HEMIDIAPHRAGM
HEMIDIAPHRAGMS HEMITHORACES HEMITHORAX HILA HILAR HILUM HUMERI HUMERUS IMPLANTS INTERSTITIUM JOINTS KIDNEYS LEFT LINE
LINES LINGULA LIVER LLL LOBE LOBES LUL LUNG LUNGS LYMPH MEDIASTINAL MEDIASTINUM MUSCULOSKELETAL NECK NGT NODE NODES
OSSEOUS OTHER PACEMAKER PARENCHYMA PERICARDIUM PICC PLEURA PLEURAE PLEURAL PNEUMOTHORAX PORT PULMONARY RIB RIBS RIGHT
RLL RML RUL SCAPULA SCAPULAE SHOULDER SHOULDERS SILHOUETTE SKELETAL SKELETON SKIN SPINE SPLEEN STERNUM STOMACH
SUBDIAPHRAGMATIC SULCI SULCUS SVC THORACIC THORAX THYROID TISSUE TISSUES TRACHEA TRACHEOBRONCHIAL TUBE TUBES VASCULAR
VASCULARITY VASCULATURE VEIN VEINS VERTEBRA VERTEBRAE VERTEBRAL VESSEL VESSELS WALL ZONE ZONES
"""
_ANATOMY = frozenset(_ANATOMY_WORDS.split())
_WORD = re.compile("[A-Z]+")


def normalize_name(name: str) -> str:
    """A name in capitals, without accents, with single spaces, and the word AND for its signs."""
    return " ".join(fold(name).upper().replace("&", " AND ").replace("/", " AND ").split())


@lru_cache(4096)
def kind_of_known(name: str) -> str | None:
    """Kind of a normalized name that is in the table or a misspelling of the findings or the impression, else None."""
    return _KIND_OF_NAME.get(name) or next((kind for right, kind in _MISSPELT if _is_misspelling(name, right)), None)


def is_standard(name: str) -> bool:
    """Whether a normalized name is one of MIMIC's table, or a misspelling: it wins over other names of its kind."""
    return kind_of_known(name) is not None and name not in _ELSEWHERE


@lru_cache(4096)
def kind_of_capitals(name: str) -> str:
    """Kind of a normalized name that is written in capitals: in the table, else by its parts, else ``unknown``."""
    if known := kind_of_known(name):
        return known
    if _CLOSING_NAME.search(name):
        return CLOSING
    if name.startswith(_OTHER_STARTS):
        return OTHER
    words = _WORD.findall(name)
    by_part = next((kind for part, kind in _PARTS if part in name), None)
    by_word = next((kind for word in words for right, kind in _MISSPELT if _is_misspelling(word, right)), None)
    if by_part or by_word:
        return by_part or by_word
    if any(part in name for part in _TITLE_PARTS):
        return TITLE
    if not _ANATOMY.isdisjoint(words):
        return ANATOMY
    return UNKNOWN if _RECORD_WORDS.isdisjoint(words) else OTHER


def names_anatomy(name: str) -> bool:
    """Whether a part of the body, or what lies in it, is named; a title may do so, too (``RIBS``, ``CHEST WALL``)."""
    return not _ANATOMY.isdisjoint(_WORD.findall(name))


def _is_misspelling(name: str, right: str) -> bool:
    """Whether a word is another one with a slip or two, and no other English word.

    One slip is a letter left out, added, replaced or swapped with its neighbor. A second one is forgiven only between
    the right first letter and of the word's own letters: so COMPRESSION, DEPRESSION, FILLINGS, OCCLUSION and CONTUSION
    stay what they are.
    """
    if name == right:
        return True
    if abs(len(name) - len(right)) > 2 or name in _NOT_MISSPELT or not name.isalpha():
        return False
    slips = _count_slips(name, right)
    return slips == 1 or (slips == 2 and name[0] == right[0] and set(name) <= set(right))


def _count_slips(first: str, second: str) -> int:
    """Edit distance with swapped neighbors as one (optimal string alignment)."""
    rows = [list(range(len(second) + 1))]
    for i, a in enumerate(first, 1):
        row = [i]
        for j, b in enumerate(second, 1):
            row.append(min(rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (a != b)))
            if i > 1 and j > 1 and (a, first[i - 2]) == (second[j - 2], b):
                row[j] = min(row[j], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]
