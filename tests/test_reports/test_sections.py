"""The table of header names of MIMIC-CXR, one made report a name; and reports that are not written as MIMIC's are."""

import unicodedata

import pytest

from mgca_mm.reports.cleaning import clean_text, report_sentences
from mgca_mm.reports.section_names import kind_of_capitals, kind_of_known
from mgca_mm.reports.sections import drop_section_names, find_sections, split_report

IMPRESSION = (
    *("IMPRESSION", "CONCLUSION", "FINDINGS AND IMPRESSION", "FINDINGS/IMPRESSION", "IMPRESSON", "IMPRRESSION"),
    *("IMOIRESSION", "IMOPRESSION", "IMORESSION", "IMOPRESSON", "IMPRESSIONS", "MPRESSION", "FINAL IMPRESSION"),
    *("CHEST IMPRESSION",),
)
FINDINGS = (
    *("FINDINGS", "FINDING", "FINDINS", "FINDINDGS", "FINDNINGS", "FINIDNGS", "CHEST, TWO VIEWS", "CHEST"),
    *("PORTABLE UPRIGHT CHEST RADIOGRAPH, ONE VIEW", "PORTABLE AP", "PA AND LATERAL CHEST", "LATERAL AND PA FILMS"),
    *("AP AND LATERAL", "LATERAL AND AP", "PA AND LAT", "PA/LAT", "FRONTAL AND LATERAL", "THORAX, TWO VIEWS"),
    *("STERNUM, ONE VIEW", "FRONTAL VIEW", "PA VIEW", "AP VIEW", "LATERAL VIEW", "BONE WINDOWS", "FRONTAL UPRIGHT"),
    *("FRONTAL SEMI-UPRIGHT", "LEFT RIBS", "RIB FINDINGS", "CHEST, 2 VIEWS", "AP CHEST AT 5:30 A.M."),
)
OTHER = (
    *("COMPARISON", "COMPARISONS", "INDICATION", "EXAMINATION", "TECHNIQUE", "HISTORY", "CLINICAL HISTORY"),
    *("REASON FOR EXAMINATION", "NOTIFICATION", "REASON FOR EXAM", "CLINICAL INFORMATION", "EXAM"),
    *("CLINICAL INDICATION", "RECOMMENDATION(S)", "RECOMMENDATION", "TYPE OF EXAMINATION", "REFERENCE EXAM"),
    *("PATIENT HISTORY", "ADDENDUM", "COMPARISON EXAM", "DATE", "COMMENT", "WET READ", "COMPARISON FILM"),
    *("HISTORY OF CHEST PAIN", "COMPARISON CHEST FILM", "ADDENDUM TO CHEST", "INDICATION FOR CHEST FILM", "CONTRAST"),
)
TABLE = [(name, kind) for kind in ("impression", "findings", "other") for name in globals()[kind.upper()]]


def test_the_table_is_whole():
    assert len(TABLE) >= 60 and len({name for name, _ in TABLE}) == len(TABLE)


@pytest.mark.parametrize(("name", "kind"), TABLE)
def test_names(name, kind):
    head = " FINAL REPORT\n EXAMINATION:  CHEST RADIOGRAPH\n\n"
    text = f"{head} {name}:  Opacity is\n seen.\n\n It is new.\n\n TECHNIQUE: AP\n"
    expected = {} if kind == "other" else {kind: ["opacity is seen", "it is new"]}
    assert {found: clean_text(section) for found, section in find_sections(text).items()} == expected


@pytest.mark.parametrize(
    "word",
    [
        *(
            "COMPRESSION",
            "DEPRESSION",
            "EXPRESSION",
            "OPPRESSION",
            "REPRESSION",
            "PROGRESSION",
            "IMMERSION",
            "FEEDINGS",
        ),
        *("FUNDING", "BINDING", "FILLINGS", "FITTINGS", "LANDINGS", "READING", "OCCLUSION", "CONTUSION", "CONFUSION"),
        *("EXCLUSION", "INCLUSION", "FUNDUS", "FINDER", "KINDLY", "LINES"),
    ],
)
def test_other_words_are_no_misspellings(word):
    assert kind_of_known(word) is None and kind_of_capitals(word) not in ("impression", "findings")


def test_titles():
    title = "CHEST, TWO VIEWS:"
    assert find_sections(f"{title}\nINDICATION: Cough for days.\n") == {}  # without text, no section
    assert report_sentences(f"{title}\nINDICATION: Cough.\nFINDINGS: Clear lungs.\n") == ["clear lungs"]
    assert report_sentences(f"{title} Views obtained.\n\nFINDINGS: Clear lungs.\n") == ["clear lungs"]
    # Behind findings, a title starts none: their text would be lost.
    assert report_sentences(f"FINDINGS: Clear lungs.\n{title} Wide heart.\n") == ["clear lungs", "wide heart"]
    assert report_sentences(f"{title} Clear lungs.\n\nLEFT RIBS: No fracture.\n") == [
        *("clear lungs", "left ribs no fracture")
    ]
    assert report_sentences(f"{title} Early reading.\nFINAL REPORT\n{title} Late reading.\n") == ["late reading"]
    text = (
        f" FINAL REPORT\n HISTORY: Cough.\n\n {title} Patchy opacity. No effusion.\n\n IMPRESSION: Right pneumonia.\n"
    )
    assert report_sentences(text) == ["right pneumonia", "patchy opacity", "no effusion"]
    assert report_sentences(f" HISTORY: Fever.\n\n {title} Heart is large.\n\n A shadow is noted.\n") == [
        *("heart is large", "a shadow is noted")
    ]


@pytest.mark.parametrize(
    "last",
    [
        "RECOMMENDATION(S):  Repeat radiograph in 4 weeks.",
        "RECOMMENDATION(S):\n\n Repeat radiograph.\n\n In 4 weeks.",
        "NOTIFICATION:  Discussed by telephone at 9 AM.\n\n With the nurse.",
        "ADDENDUM: A late note.\n\n Another one.",
        "INDICATION: Cough for days.",
        "COMPARISON:\n\n None is there.\n",
        "WET READ: Read by someone.\n\n At night.",
    ],
)
@pytest.mark.parametrize(
    "head", [" FINAL REPORT\n PORTABLE CHEST\n\n", " FINAL REPORT\n HISTORY: Fever.\n\n COMPARISON: None.\n\n", ""]
)
def test_a_fallback_is_no_other_section(head, last):
    text = f"{head} The lungs are clear without effusion.\n\n {last}\n"
    assert report_sentences(text) == ["the lungs are clear without effusion"]


def test_fallback_texts():
    assert report_sentences("REPORT: The lungs are clear.\nHISTORY: Of two days.") == ["report the lungs are clear"]
    assert split_report(" HISTORY: Cough.\n\n NOTIFICATION: By telephone at nine.\n")[0] == []
    text = " EXAM: Film.\n\n LUNGS: Both clear.\n HEART: Not large.\n\n RECOMMENDATION: None at all.\n"
    assert report_sentences(text) == ["lungs both clear", "heart not large"]
    text = "WET READ: An early reading.\n\n FINAL REPORT\n\n PORTABLE FILM\n\n Clear lungs. \n"
    assert report_sentences(text) == ["portable film clear lungs"]
    kept, outside = split_report("HISTORY: Cough.\n\nFirst text.\n\nPLAN: To see.\n\nLast text.\n", all_of_it=True)
    assert [clean_text(part.text) for part in kept] == [["first text"], ["plan to see", "last text"]]
    assert [part.name for part in outside if clean_text(part.text + " is here")][-1] == "PLAN"


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\x0b", "\x85", "\u2028", "\\n", "\\r\\n", "<br>", "<BR />", "</p><p>"]
)
def test_line_ends(end):
    text = end.join(["HISTORY: Cough.", "FINDINGS:", "The lungs are clear", "and wide.", "IMPRESSION:", "No disease."])
    assert report_sentences(text) == ["no disease", "the lungs are clear and wide"]


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS:&nbsp;The lungs are clear.&lt;br/&gt;IMPRESSION:&#10;No disease.",
        "FINDINGS:&amp;nbsp;The lungs are clear.&amp;lt;br&amp;gt;IMPRESSION: No disease.",
        "<div><b>FINDINGS:</b> The lungs are clear.</div><div><b>IMPRESSION</b></div>No disease.",
        "FINDINGS: The lungs are clear._x000D_\nIMPRESSION: No disease.",
        r"FINDINGS: The lungs are clear.\.br\IMPRESSION: No disease.",
        r"findings:\n\tthe lungs are clear.\nimpression:\nno disease",
        "**FINDINGS:** The lungs are clear.\n\n**IMPRESSION:** No disease.",
        "[Findings]\nThe lungs are clear.\n[IMPRESSION]: No disease.",
        "## Findings\nThe lungs are clear.\n## Impression\nNo disease.",
        "Findings\nThe lungs are clear.\n\nImpression\nNo disease.",
        "Findings - The lungs are clear.\nIMPRESSION- No disease.",
        "1. FINDINGS: The lungs are clear.\n2. IMPRESSION: No disease.",
        "FINDINGS：The lungs are clear.\nＩＭＰＲＥＳＳＩＯＮ： No disease.",
        "FINDINGS\t:\tThe lungs are clear.\n\tIMPRESSION:\tNo disease.",
        "HISTORY: Cough. FINDINGS: The lungs are clear. IMPRESSION: No disease. RECOMMENDATION: See again.",
        "History: Cough. Findings: The lungs are clear. Impression: No disease. Comparison: None at all.",
        "HISTORY: COUGH. FINDINGS: THE LUNGS ARE CLEAR. IMPRESSION: NO DISEASE. COMPARISON: NONE AT ALL.",
        "history: cough; findings: the lungs are clear. impression: no disease. technique: one view",
        "HISTORY: cough FINDINGS: The lungs are clear IMPRESSION: No disease TECHNIQUE: One view",
        "HISTORY: Cough. CHEST, TWO VIEWS: The lungs are clear. IMPRESION: No disease.",
        "TECHNIQUE: PA.FINDINGS: The lungs are clear.IMPRESSION: No disease.",
    ],
)
def test_other_ways_to_write_sections(text):
    assert report_sentences(text) == ["no disease", "the lungs are clear"]
    assert split_report(text)[0] == split_report(text, all_of_it=True)[0]


def test_organs_in_capitals_stay_in_the_findings():
    names = ("LUNGS", "HEART", "MEDIASTINUM", "BONES AND SOFT TISSUES", "PLEURA", "LINES/TUBES", "CHEST WALL", "RIBS")
    lines = [f"{name}: Nothing new here." for name in names]
    text = "\n".join(
        ["FINDINGS:", *lines, "COMPARISON: None is there.", "HEART: Of before.", "IMPRESSION: No disease."]
    )
    expected = [f"{name.lower().replace('/', ' ')} nothing new here" for name in names]
    assert report_sentences(text) == ["no disease", *expected]
    # As in small letters.
    assert report_sentences(text.replace("LUNGS", "Lungs").replace("RIBS", "Ribs")) == ["no disease", *expected]
    assert report_sentences("FINDINGS: Clear lungs.\nDOSE: Two of them.\n") == ["clear lungs"]


@pytest.mark.parametrize(
    "text",
    [
        "No change in comparison: the heart is wide",
        "With the following findings: opacity at 4:30 and effusion",
        "Seen at 12:30 by the nurse with <2 cm and p<0.05",
        "In AT&T words & signs <p 1 or lines\\tubes",
        "The clinical impression: not certain",
        "NO CHANGE IN THE FINDINGS: ALL STABLE",
    ],
)
def test_sentences_are_not_cut(text):
    assert report_sentences(f"FINDINGS: {text}\n") == clean_text(text)
    assert drop_section_names(text) == text


def test_accents_are_folded():
    text = "Costofrénico, Índice, aórtica, ﬁbrose, Größe, smørbrød, œdème, Łódź, naı\u0308ve, ＣＴ “no”—yes"
    assert clean_text(text) == ["costofrenico indice aortica fibrose grosse smorbrod oedeme lodz naive ct no yes"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("双肺纹理增多，左侧胸腔少量积液。心影增大。好。", ["双肺纹理增多 左侧胸腔少量积液", "心影增大"]),
        ("القلب طبيعي. لا يوجد انصباب۔ نعم.", ["القلب طبيعي", "لا يوجد انصباب"]),
        ("हृदय सामान्य है। फेफड़े साफ हैं।", ["हृदय सामान्य है", "फेफड़े साफ हैं"]),
        ("ปอดปกติ", ["ปอดปกติ"]),
        ("I\u0301ndice Cardiotorácico. ÉL.", ["índice cardiotorácico"]),
        ("No effusion 2. Normal heart", ["no effusion", "normal heart"]),
    ],
)
def test_words_of_other_scripts(text, sentences):
    assert clean_text(text, "unicode") == [unicodedata.normalize("NFKC", sentence) for sentence in sentences]
