"""The phantom as the Montgomery County chest X-ray set: a mask of each lung, some patients with two images.

As published, only the reading of the second says that it is the same patient.
"""

from pathlib import Path

import numpy as np

from ..anatomy import SIDES
from .layout import Entry, Layout, PhantomOptions, Rows, write_image, write_text
from .nlm_tuberculosis import draw_frontal


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {"truth": []}
    same = ""
    for study in options.sample(entry.index)[: 2 if entry.index % 3 == 0 else 1]:
        number = entry.number + study.study_index * options.patients
        name, positive, image, row = draw_frontal(study, options, "MCUCXR", number)
        write_image(out / "CXR_png" / f"{name}.png", image.pixels)
        for side in SIDES:
            write_image(out / "ManualMask" / f"{side}Mask" / f"{name}.png", 255 * image.lungs[side].astype(np.uint8))
        who = f"Patient's Sex: {study.anatomy.sex} \nPatient's Age: {study.anatomy.age:03d}Y\n"
        reading = f"{who}{'abnormal' if positive else 'normal'}{same}\n"
        write_text(out / "ClinicalReadings" / f"{name}.txt", reading)
        rows["truth"].append(row)
        same = f" (same pt as {name})"
    return rows


LAYOUT = Layout("montgomery", _write_patient, {})
