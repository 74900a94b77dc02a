"""The table of the CheXpert Plus layout."""

from mgca_mm.phantom import sample_patient
from tests.test_phantom.conftest import PATIENTS, SEED, read_table, read_truth


def test_sections_are_those_of_the_report(written):
    folder = written("chexpert_plus")
    studies = [study for index in range(PATIENTS) for study in sample_patient(SEED, index)]
    truth = {row["path_to_image"]: row for row in read_truth(folder)}
    rows = read_table(folder / "df_chexpert_plus_240401.csv")
    assert [row["path_to_image"] for row in rows] == list(truth) and len(rows[0]) == 27
    study_of = {study.study_id: study for study in studies}
    for row in rows:
        assert row["split"] == row["path_to_image"].partition("/")[0]
        assert row["deid_patient_id"] == row["path_to_image"].split("/")[1]
        drawn = truth[row["path_to_image"]]
        assert (row["frontal_lateral"] == "Lateral") == (drawn["view"] == "LATERAL")
        for name in ("findings", "impression"):
            said = [s.text.upper() for s in study_of[drawn["study_id"]].report.statements if s.section == name]
            assert row[f"section_{name}"] == "\n\n".join(f"{n}.{text}" for n, text in enumerate(said, 1))
            assert (f"{name.upper()}:\n" in row["report"]) == bool(said)
    assert {row["split"] for row in rows} == {"train", "valid"}
