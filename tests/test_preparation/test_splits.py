"""Division into splits."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from mgca_mm.errors import UserError
from mgca_mm.preparation.splits import divide, hold_out, hold_out_images

TABLE = Path("table.csv")


def sizes(split_of):
    return [list(split_of.values()).count(split) for split in ("train", "val", "test")]


@pytest.mark.parametrize(
    ("number", "rest", "expected"),
    [
        (26_684, 0.3, [18_678, 4_003, 4_003]),  # RSNA, classification
        (26_684, 0.4, [16_010, 5_337, 5_337]),  # RSNA, detection and segmentation
        (12_047, 0.3, [8_432, 1_807, 1_808]),  # SIIM
        (3, 0.3, [1, 1, 1]),
    ],
)
def test_sizes_of_the_protocol(number, rest, expected):
    ids = [f"p{index}" for index in range(number)]
    split_of = divide(ids, rest, 0.5, TABLE)
    assert sizes(split_of) == expected
    assert list(split_of) != ids and set(split_of) == set(ids)


def test_divide_is_two_calls_of_scikit_learn():
    ids = [f"p{index}" for index in range(1001)]
    split_of = divide(ids, 0.4, 0.5, TABLE)
    train, rest = train_test_split(ids, test_size=0.4, random_state=0)
    val, test = train_test_split(rest, test_size=0.5, random_state=0)
    for split, members in (("train", train), ("val", val), ("test", test)):
        assert {name for name, value in split_of.items() if value == split} == set(members)


def test_hold_out_is_one_call_of_scikit_learn():
    ids = [f"p{index}" for index in range(8000)]
    _, val = train_test_split(ids, test_size=0.2, random_state=0)
    split_of = hold_out(ids, 0.2, TABLE)
    assert {name for name, split in split_of.items() if split == "val"} == set(val)
    assert sizes(split_of) == [6400, 1600, 0]


@pytest.mark.parametrize("call", [lambda: divide(["a", "b"], 0.3, 0.5, TABLE), lambda: hold_out(["a"], 0.1, TABLE)])
def test_too_few(call):
    with pytest.raises(UserError, match=r"table\.csv: \d patients are left"):
        call()


def test_whole_patients_meet_the_number_of_images():
    rng = np.random.default_rng(0)
    num_images = {f"p{index}": int(count) for index, count in enumerate(rng.geometric(0.35, 3000))}
    split_of = hold_out_images(num_images, 500)
    assert sum(num_images[name] for name, split in split_of.items() if split == "val") == 500
    assert set(split_of.values()) == {"train", "val"}
    assert split_of == hold_out_images(dict(num_images), 500)
    # Without small patients: the nearest below.
    split_of = hold_out_images(dict.fromkeys("abcdef", 4), 10)
    assert sum(4 for split in split_of.values() if split == "val") == 8
