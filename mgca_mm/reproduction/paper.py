"""The paper's numbers (docs/protocol.md#tables), in percent, at 1, 10 and 100 % of the labels."""

_LINEAR = {
    "random": ((56.1, 62.6, 65.7), (58.9, 69.4, 74.1), (50.5, 60.3, 70.0)),
    "imagenet": ((74.4, 79.7, 81.4), (74.9, 74.5, 76.3), (64.8, 78.8, 86.3)),
    "dsve": ((50.1, 51.0, 51.5), (49.7, 52.1, 57.8), None),
    "vsepp": ((50.3, 51.2, 52.4), (49.4, 57.2, 67.9), None),
    "caption_transformer": ((77.2, 82.6, 83.9), None, None),
    "caption_lstm": ((85.2, 85.3, 86.2), None, None),
    "contrastive_binary": ((84.5, 85.6, 85.8), None, None),
    "convirt": ((85.9, 86.8, 87.3), (77.4, 80.1, 81.3), (72.5, 82.5, 92.0)),
    "gloria_chexpert": ((86.6, 87.8, 88.1), (86.1, 88.0, 88.6), (67.3, 77.8, 89.0)),  # pretrained on CheXpert
    "gloria": ((87.1, 88.7, 88.0), (87.0, 89.4, 90.2), (66.5, 80.5, 88.8)),
    "mgca": ((87.6, 88.0, 88.2), (88.6, 89.1, 89.9), (72.0, 83.5, 90.5)),
}
_LINEAR_SETTINGS = ("classification_chexpert", "classification_rsna", "classification_covidx")
_LINEAR_VIT = {
    "mgca": ((88.8, 89.1, 89.7), (89.1, 89.9, 90.8), (74.8, 84.8, 92.3)),
    "blip": ((69.1, 74.9, 77.7), (53.7, 82.0, 84.1), None),
    "ita": ((87.6, 88.2, 88.5), (88.4, 89.5, 90.5), None),
    "ita_cta": ((88.3, 88.9, 89.1), (88.9, 89.8, 90.7), None),
    "ita_cpa": ((88.5, 88.9, 89.0), (88.6, 89.2, 90.4), None),
}
_DENSE = {
    "random": ((1.0, 4.0, 8.9), (None, 0.49, 4.4), (9.0, 28.6, 54.3), (6.9, 10.6, 18.5)),
    "imagenet": ((3.6, 8.0, 15.7), (None, 2.9, 8.3), (10.2, 35.5, 63.5), (34.8, 39.9, 64.0)),
    "convirt": ((8.2, 15.6, 17.9), (None, 8.6, 15.9), (25.0, 43.2, 59.9), (55.0, 67.4, 67.5)),
    "gloria": ((11.6, 16.1, 24.8), (None, 8.9, 16.6), (37.4, 57.1, 64.0), (60.3, 68.7, 68.3)),
    "mgca": ((12.9, 16.8, 24.9), (None, 12.1, 19.2), (49.7, 59.3, 64.2), (63.0, 68.3, 69.8)),
    "ita": (None, None, (25.0, 43.2, 59.9), None),
    "ita_cta": (None, None, (47.6, 54.4, 61.3), None),
    "ita_cpa": (None, None, (37.4, 46.7, 55.0), None),
}
# Table 6: mean and standard deviation of three runs of MGCA's ViT.
_ERROR_BARS = {
    "classification_chexpert": ((88.7, 0.18), (89.13, 0.16), (89.5, 0.21)),
    "classification_rsna": ((89.03, 0.11), (89.92, 0.14), (90.77, 0.04)),
    "classification_covidx": ((73.9, 0.64), (84.75, 0.22), (92.85, 0.50)),
}
_PERCENTS = (1, 10, 100)
_DENSE_SETTINGS = ("detection_rsna", "detection_object_cxr", "segmentation_siim", "segmentation_rsna")

_NUMBERS: dict[tuple[str, str, str], tuple[float | None, ...]] = {}
for _encoder, _settings, _rows in (
    ("resnet50", _LINEAR_SETTINGS, _LINEAR),
    ("vit", _LINEAR_SETTINGS, _LINEAR_VIT),
    ("resnet50", _DENSE_SETTINGS, _DENSE),
):
    for _init, _columns in _rows.items():
        for _setting, _numbers in zip(_settings, _columns, strict=True):
            if _numbers is not None:
                _NUMBERS[_setting, _encoder, _init] = _numbers


def paper_number(setting: str, encoder: str, init: str, percent: int) -> float | None:
    """The number of a cell in Tables 1 to 5, or None where they have none."""
    numbers = _NUMBERS.get((setting, encoder, init))
    return None if numbers is None or percent not in _PERCENTS else numbers[_PERCENTS.index(percent)]


def paper_text(table: str, setting: str, encoder: str, init: str, percent: int) -> str | None:
    """What a table has in a cell, as text; of Table 6 the mean and the standard deviation."""
    if table == "table6" and (encoder, init) == ("vit", "mgca") and percent in _PERCENTS:
        mean, sd = _ERROR_BARS[setting][_PERCENTS.index(percent)]
        return f"{mean} ± {sd:.2f}"
    number = paper_number(setting, encoder, init, percent)
    return None if number is None else str(number)
