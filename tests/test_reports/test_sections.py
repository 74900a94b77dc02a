"""The table of header names of MIMIC-CXR, one made report a name; and reports that are not written as MIMIC's are."""

import unicodedata

import pytest

from mgca_mm.reports.cleaning import clean_text, report_sentences
from mgca_mm.reports.markup import plain_text
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
        r"Findings: the lungs are clear\nimpression: no disease",
        r"FINDINGS: The lungs\nare clear.\nIMPRESSION: No\ndisease.",
        r"FINDINGS:\fThe lungs are clear.\vIMPRESSION:\fNo disease.",
        r"FINDINGS:\u000aThe lungs are clear.\u000d\u000aIMPRESSION:\x0aNo disease.",
        "FINDINGS:_x000A_The lungs are clear._x000a_IMPRESSION: No disease.",
        r"FINDINGS:\.sp3\The lungs are clear.\X0D\IMPRESSION: No disease.",
        r"{\rtf1{\fonttbl{\f0 Times;}}\b FINDINGS:\b0\par The lungs are clear.\par IMPRESSION:\line No disease.\par}",
        "<html><head><title>FINDINGS</title></head><body><pre>The lungs are clear.</pre><hr/>IMPRESSION: No disease.",
        "<!-- x --><style>p {color: red}</style><dl><dt>FINDINGS</dt><dd>The <mark>lungs</mark> are clear.</dd></dl>"
        "<section><h2>Impression</h2><small>No</small> <a href='x'>disease</a></section>",
        "<![CDATA[FINDINGS: The lungs are clear.[br]IMPRESSION: No disease.]]>",
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
        "History: Cough | Findings: The lungs are clear | Impression: No disease",
        "History: Cough / Findings: The lungs are clear / Impression: No disease",
        "History: Cough, Findings: The lungs are clear, Impression: No disease",
        "History: Cough -- Findings: The lungs are clear -- Impression: No disease",
        "History: Cough (Findings: The lungs are clear (Impression: No disease (Technique: One view",
        "History: Cough • Findings: The lungs are clear • Impression: No disease",
        "History: Cough; Findings: The lungs are clear; Impression: No disease",
        "Indication: (Cough) Findings: The lungs are clear. (Impression: No disease.)",
        "Indication: Pain for Findings: The lungs are clear Impression: No disease Comparison: None",
        "Clinical history: Cough   Findings: The lungs are clear   Impression: No disease",
        "HISTORY: COUGH FINDINGS: THE LUNGS ARE CLEAR IMPRESSION: NO DISEASE RECOMMENDATION: SEE AGAIN",
        "HISTORY - Cough. FINDINGS - The lungs are clear. IMPRESSION - No disease.",
        "Findings - The lungs are clear. Impression \u2013 No disease. Technique - One view",
        "FINDINGS = The lungs are clear. IMPRESSION= No disease.",
        "FINDINGS\tThe lungs are clear\tIMPRESSION\tNo disease",
        "[HISTORY] Cough [FINDINGS] The lungs are clear [IMPRESSION] No disease",
        "<FINDINGS>The lungs are clear</FINDINGS><IMPRESSION>No disease</IMPRESSION>",
        '"FINDINGS: The lungs are clear.\nIMPRESSION: No disease."',
        "'FINDINGS': The lungs are clear.\n'IMPRESSION': No disease.",
        "(FINDINGS): The lungs are clear.\n(Impression): No disease.",
        "“Findings”: The lungs are clear. “Impression”: No disease.",
        "«Findings»: The lungs are clear «Impression»: No disease.",
        "_Findings:_ The lungs are clear _Impression:_ No disease.",
        "=== FINDINGS ===\nThe lungs are clear.\n=== IMPRESSION ===\nNo disease.",
        '{"findings": "The lungs are clear.", "impression": "No disease."}',
        "FINDINGS: The lungs are clear.\nIMPRESSION: No disease.\nNOTIFICATION OF CRITICAL FINDINGS: By telephone.",
        "FINDINGS: The lungs are clear.\nIMPRESSION: No disease.\nPRIOR CHEST RADIOGRAPHS: Opacity was seen.",
        "FINDINGS: The lungs are clear.\nIMPRESSION: No disease.\nCHEST RADIOGRAPH DATED ___: Opacity was seen.",
        "FINDINGS: The lungs are clear.\nIMPRESSION: No disease.\nINCIDENTAL FINDINGS: Discussed by telephone.",
        "FINDINGS: An early one.\n FINAL REPORT\nCHEST, TWO VIEWS: The lungs are clear.\nIMPRESSION: No disease.",
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


@pytest.mark.parametrize("name", ["CARINA", "NODULES", "FOREIGN BODY", "RUL", "CORAZON", "OTHER FINDINGS", "GAS", "LT"])
def test_unknown_names_between_organs_stay_in_the_findings(name):
    sentence = f"{name.lower()} as it was"
    for organ in ("HEART", "TRACHEA"):
        text = (
            f"FINDINGS: Two views.\n{name}: As it was.\n{organ}: Normal size.\nATTENDING: I.\nIMPRESSION: No disease."
        )
        assert report_sentences(text) == ["no disease", "two views", sentence, f"{organ.lower()} normal size"]


def test_unknown_names_below_a_header_without_text_are_its_text():
    assert report_sentences("FINDINGS:\nGAS: None seen.\nDEFECT: Not seen.\n") == ["gas none seen", "defect not seen"]


def test_what_is_said_of_something_else_inside_a_line():
    text = "FINDINGS: The lungs are clear. Comparison: none. Heart is normal.\nNo effusion.\nIMPRESSION: No disease."
    assert report_sentences(text) == ["no disease", "the lungs are clear", "heart is normal", "no effusion"]
    text = "Findings: The lungs are clear. Impression: No disease. Comparison: None. Of that day."
    assert report_sentences(text) == ["no disease", "the lungs are clear"]


def test_all_of_a_report_with_one_section():
    texts = ["Clear lungs.", "HISTORY: Cough for days.", "BEAM: Of two.", "IMPRESSION: No disease."]
    kept, outside = split_report("\n".join(texts), all_of_it=True)
    assert [clean_text(part.text) for part in kept] == [["no disease"], ["clear lungs"], ["beam of two"]]
    assert [part.name for part in outside] == ["HISTORY"]
    assert report_sentences("\n".join(texts)) == ["no disease"]
    both, _ = split_report("\n".join([*texts, "FINDINGS: Wide heart."]), all_of_it=True)
    assert [part.kind for part in both] == ["impression", "findings"]


@pytest.mark.parametrize(
    ("other", "findings", "impression"),
    [
        ("Renseignements cliniques", "Résultats", "Conclusion"),
        ("Indicación", "Hallazgos", "Impresión diagnóstica"),
        ("Indicação", "Achados", "Impressão"),
        ("Quesito clinico", "Reperto", "Conclusioni"),
        ("Klinische Angaben", "Befund", "Beurteilung"),
    ],
)
def test_names_in_other_languages(other, findings, impression):
    for names in ((other, findings, impression), (other.upper(), findings.upper(), impression.upper())):
        for form in (
            "{}: a b.\n{}: c d é.\n{} : e f.",
            "{}: a b. {}: c d é. {}: e f.",
            "{}: a b | {}: c d é | {}: e f",
        ):
            text = unicodedata.normalize("NFD", form.format(*names))
            assert report_sentences(text) == ["e f", "c d e"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("NOTIFICATION OF FINDINGS", "closing"), ("RECOMMENDATION FOR INCIDENTAL FINDINGS", "closing")),
        *(
            ("PRIOR IMPRESSION", "other"),
            ("PREVIOUS CHEST FILM", "other"),
            ("IMPRESSIONS AND RECOMMENDATIONS", "impression"),
        ),
        *(("PATIENT NAME", "other"), ("TIME OF PORTABLE CHEST", "title"), ("LYMPH NODES", "anatomy")),
    ],
)
def test_kinds_of_names_by_their_parts(name, kind):
    assert kind_of_capitals(name) == kind


@pytest.mark.parametrize(
    "text",
    [
        "No change in comparison: the heart is wide",
        "With the following findings: opacity at 4:30 and effusion",
        "Seen at 12:30 by the nurse with <2 cm and p<0.05",
        "In AT&T words & signs <p 1 or lines\\tubes",
        "The clinical impression: not certain",
        "NO CHANGE IN THE FINDINGS: ALL STABLE",
        "Clear. Stable History: of a nodule",
        "There is the Impression: of a nodule",
        "Seen with the prior Impression: no nodule",
        "Chest Comparison: there is one",
        "A ratio = 3 and CT - small",
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
        ("KALP İRİ, I\u0307Rİ.", ["kalp iri iri"]),
        ("No effusion 2. Normal heart", ["no effusion", "normal heart"]),
    ],
)
def test_words_of_other_scripts(text, sentences):
    assert clean_text(text, "unicode") == [unicodedata.normalize("NFKC", sentence) for sentence in sentences]


def test_findings_keep_what_belongs_to_them():
    organs = "\n".join(f"{name}: As before." for name in ("LUNGS", "CARINA", "NODULES", "RUL", "INCIDENTAL FINDINGS"))
    text = f"FINDINGS:\n{organs}\nIMPRESSION: No disease."
    lines = [
        "lungs as before",
        "carina as before",
        "nodules as before",
        "rul as before",
        "incidental findings as before",
    ]
    assert report_sentences(text) == ["no disease", *lines]
    assert report_sentences(text.replace("FINDINGS:\nLUNGS", "LUNGS")) == ["no disease", *lines]  # without a header
    later = (
        "NOTIFICATION OF CRITICAL FINDINGS: By phone.\nPRIOR CHEST RADIOGRAPHS: Of last year.\nPORTABLE CHEST: Late."
    )
    assert report_sentences(f"FINDINGS: Clear lungs.\nIMPRESSION: No disease.\n{later}") == [
        "no disease",
        "clear lungs",
    ]
    assert report_sentences(f"IMPRESSION: No disease.\n{later}") == ["no disease"]
    wet = "WET READ: Early.\nFINDINGS: Hazy lungs.\n FINAL REPORT\n PORTABLE CHEST: Clear lungs.\n"
    assert report_sentences(wet) == ["clear lungs"]
    assert report_sentences("FINDINGS: Clear lungs. Comparison: none. Wide heart.\n") == ["clear lungs", "wide heart"]


def test_descriptions_without_a_name_beside_a_named_section():
    text = "The lungs are clear.\nIMPRESSION: No disease.\nSIGNED: By someone.\n"
    assert report_sentences(text) == ["no disease"]  # MIMIC's impressions may stand alone
    assert [clean_text(part.text) for part in split_report(text, True)[0]] == [["no disease"], ["the lungs are clear"]]
    text = "Patient 5 of all.\nFINDINGS: Clear lungs.\nVERDICT: No disease.\nATTENDING: Someone else.\n"
    assert [clean_text(part.text) for part in split_report(text, True)[0]] == [["clear lungs"], ["verdict no disease"]]


def test_marks_of_deidentification_are_text_of_a_header():
    head = "FINAL REPORT\n REASON FOR EXAM: Cough.\n\n COMPARISON:  ___.\n\n"
    text = f"{head} The lungs are clear and fine. Heart is normal.\n"
    assert report_sentences(text) == ["the lungs are clear and fine", "heart is normal"]


def test_names_of_persons_among_organs_are_no_findings():
    people = "JANE SMITH, MD: paged\nPATIENT NAME: JOHN DOE\nMRN: 12\nATTENDING PHYSICIAN: JANE ROE\n"
    assert report_sentences(f"FINDINGS:\nLUNGS: all clear.\n{people}") == ["lungs all clear"]


def test_names_of_the_table_win():
    text = "FINDINGS: Clear lungs.\nIMPRESSION: No disease.\nOPINION: Said elsewhere.\n"
    assert report_sentences(text) == ["no disease", "clear lungs"]
    text = "CHEST PAIN: for three days.\nOTHER FINDINGS: Lungs clear.\nIMPRESSION: No disease.\n"
    assert report_sentences(text) == ["no disease", "lungs clear"]
    text = "EXAM (CHEST): One view.\nFINDINGS (CHEST): Lungs clear.\nIMPRESSION: No disease.\n"
    assert report_sentences(text) == ["no disease", "lungs clear"]
    assert kind_of_known("CONCUSSION") is None


def test_names_that_a_sentence_goes_on_to_do_not_cut_it():
    for line in (
        "UNCHANGED SINCE PRIOR EXAMINATION: SMALL EFFUSION. NO OTHER.",
        "COMPARED TO THE LAST STUDY: LARGER NODULE. NO OTHER.",
        "NO ACUTE FINDINGS: NORMAL CHEST.",
        "Compared to the Prior Study: the nodule is larger. No effusion.",
        "Unchanged since [Date]: no change, for [history]: nothing.",
    ):
        assert report_sentences(f"FINDINGS: {line}\n") == clean_text(line)


def test_a_word_of_rtf_is_one_in_its_files_alone():
    assert plain_text(r"PICC\line tip") == r"PICC\line tip"
