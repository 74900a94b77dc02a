"""Words of reports: the counts of what is not kept, and reports in other scripts."""

import csv
import json
from pathlib import Path

import pytest

from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, prepare
from mgca_mm.preparation.report_words import ReportWords, describe_words, read_report
from mgca_mm.tables import Row

CHINESE = "双肺纹理增多，左侧胸腔少量积液。心影增大。"


def prepare_texts(folder, texts, columns=3, **options):
    (folder / "raw").mkdir()
    with open(folder / "raw" / "pairs.csv", "w", newline="", encoding="utf-8") as file:
        rows = [(f"{n}.png", text, f"p{n}") for n, text in enumerate(texts)]
        csv.writer(file).writerows([("image", "report", "patient")[:columns], *(row[:columns] for row in rows)])
    prepare("image_report_csv", folder / "raw", folder / "out", Options(annotations_only=True, **options))
    return json.loads((folder / "out" / "manifest.json").read_text())


def read_reports(folder):
    entries = [
        json.loads((folder / "out" / f"{name}.json").read_text())["data_list"] for name in ("train", "val", "test")
    ]
    return {entry["image_id"]: entry["report"] for split in entries for entry in split}


def test_counts_by_name(tmp_path, capsys):
    text = "Before it. HISTORY: Three days. FINDINGS: The lungs are clear.\nSCORE: 1 of 2.\nIMPRESSION: All good."
    manifest = prepare_texts(tmp_path, [text] * 12)
    assert manifest["words"] == {
        "kept": 12 * 6,
        "outside": 12 * 8,
        "outside_by_name": {"SCORE": 12 * 4, "HISTORY": 12 * 2, "(no header)": 12 * 2},
    }
    printed = capsys.readouterr().out
    assert "words of the reports: 72 kept, 96 (57%) outside: SCORE 48, (no header) 24, HISTORY 24\n" in printed
    assert "warning: 57% of the words stand outside of findings and impression" in printed


def test_names_are_not_said_without_patients(tmp_path, capsys):
    """Ten images of one person may have the person's name as a header."""
    texts = [f"JANE DOE: Here.\nHISTORY: Cough.\nFINDINGS: Clear lungs seen {'abcdefghijkl'[n]}." for n in range(12)]
    manifest = prepare_texts(tmp_path, texts, columns=2)
    assert manifest["words"]["outside_by_name"] == {"HISTORY": 12, "other names": 36}
    assert "DOE" not in capsys.readouterr().out and "DOE" not in json.dumps(manifest)


def test_the_report_of_a_study_counts_once(tmp_path):
    """Of a study that is given, of a patient, of up to four images; more of one text are as many studies."""
    report = "HISTORY: Cough.\nFINDINGS: Clear lungs seen."
    texts = ["Large effusion seen.", "Small effusion seen.", "No effusion seen."]
    for columns, rows, kept in (
        ("image,report,patient,study", [["p", "s"]] * 6, 3 + 9),
        ("image,report,patient,study", [["p", f"s{n}"] for n in range(6)], 18 + 9),
        ("image,report,patient", [["p"]] * 6, 3 + 9),
        ("image,report,study", [["s"]] * 6, 3 + 9),
        ("image,report", [[]] * 4, 3 + 9),
        ("image,report", [[]] * 6, 18 + 9),
    ):
        folder = tmp_path / f"{columns} {len(rows)} {rows[-1]}"
        (folder / "raw").mkdir(parents=True)
        table = [columns.split(","), *([f"{n}.png", report, *row] for n, row in enumerate(rows))]
        table += [[f"x{n}.png", text, *([f"y{n}"] * len(rows[0]))] for n, text in enumerate(texts)]
        with open(folder / "raw" / "pairs.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(table)
        prepare("image_report_csv", folder / "raw", folder / "out", Options(annotations_only=True))
        words = json.loads((folder / "out" / "manifest.json").read_text())["words"]
        assert (words["kept"], words["outside"]) == (kept, (kept - 9) // 3), columns


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xe9 \x93quoted\x94 \x96 5\xa0cm", "café “quoted” – 5\xa0cm"),
        (b"caf\xe9 \x81", "café \x81"),  # which Windows-1252 does not have
        ("café “quoted”".encode(), "café “quoted”"),
    ],
)
def test_encodings_of_a_report(data, text):
    row = Row({"report": data.decode("utf-8", "surrogateescape")}, Path("pairs.csv"), 2)
    assert read_report(row, "report") == text


def test_no_warning_where_most_is_kept(tmp_path, capsys):
    prepare_texts(tmp_path, ["HISTORY: Cough.\nFINDINGS: Clear lungs seen."] * 10)
    assert "30 kept, 10 (25%) outside: HISTORY 10" in (printed := capsys.readouterr().out)
    assert "warning" not in printed


def test_names_of_few_patients_are_not_said():
    words = ReportWords("ascii")
    for patient in range(40):
        name = "DOE, JANE" if patient < 9 else "TEMPLATE"
        for _ in range(3):
            words.clean(f"FINDINGS: Clear lungs.\n{name}: Is here.\nADDENDUM: Late.", str(patient))
    summary = words.summary()
    assert summary["outside_by_name"] == {"ADDENDUM": 120, "TEMPLATE": 31 * 9, "other names": 27 * 4}
    assert "DOE" not in "".join(describe_words(summary))


def test_twenty_names_are_said():
    words = ReportWords("ascii")
    for patient in range(10):
        lines = [f"{'A' * n}X: {'word ' * n}" for n in range(1, 26)]
        words.clean("\n".join(["FINDINGS: Clear lungs.", *lines]), str(patient))
    by_name = words.summary()["outside_by_name"]
    assert len(by_name) == 21 and by_name["other names"] == sum(10 * (n + 1) for n in range(1, 6))
    assert list(by_name.values())[:-1] == sorted(list(by_name.values())[:-1], reverse=True)


def test_other_scripts(tmp_path):
    texts = [CHINESE, "The lungs are clear.", CHINESE + " PICC", "___", *["No effusion is seen."] * 9]
    manifest = prepare_texts(tmp_path, texts)
    rows = list(csv.DictReader((tmp_path / "out" / "rejected.csv").open(encoding="utf-8")))
    assert [(row["image_id"], "--words ascii" in row["reason"]) for row in rows] == [
        *(("0.png", True), ("2.png", True), ("3.png", False))
    ]
    assert "words" not in manifest["parameters"]


def test_unicode_words(tmp_path):
    manifest = prepare_texts(tmp_path, [CHINESE, "Índice cardiotorácico normal.", "ok"] * 5, words="unicode")
    reports = read_reports(tmp_path)
    assert reports["0.png"] == ["双肺纹理增多 左侧胸腔少量积液", "心影增大"]
    assert reports["1.png"] == ["índice cardiotorácico normal"] and "2.png" not in reports
    assert manifest["parameters"]["words"] == "unicode"


def test_all_in_other_scripts(tmp_path):
    with pytest.raises(UserError, match=r"12 reports are not in Latin letters[^\n]*\n[^\n]*--words unicode"):
        prepare_texts(tmp_path, [CHINESE, "القلب طبيعي. لا يوجد انصباب."] * 6)


def test_words_are_named():
    with pytest.raises(UserError, match="--words: one of ascii, unicode"):
        Options(words="utf-8")
