"""The phantom as the Shenzhen chest X-ray set: one image a patient, PNG with a palette, masks of six in seven."""

from pathlib import Path

import numpy as np
from PIL import Image

from .layout import Entry, Layout, PhantomOptions, Rows, write_image, write_text
from .nlm_tuberculosis import draw_frontal

_SEX = {"F": "female", "M": "male"}


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    study = options.sample(entry.index)[0]
    name, positive, image, row = draw_frontal(study, options, "CHNCXR", entry.number)
    path = out / "CXR_png" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.pixels).convert("P").save(path)
    reading = f"{_SEX[study.anatomy.sex]} {study.anatomy.age}yrs\n{'PTB' if positive else 'normal'}\n"
    write_text(out / "ClinicalReadings" / f"{name}.txt", reading)
    if entry.index % 7 != 3:
        lungs = image.lungs["left"] | image.lungs["right"]
        write_image(out / "mask" / f"{name}_mask.png", 255 * lungs.astype(np.uint8))
    return {"truth": [row]}


LAYOUT = Layout("shenzhen", _write_patient, {})
