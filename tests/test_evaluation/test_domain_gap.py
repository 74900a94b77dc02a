"""Quantities of radiographs against pictures of which they are known, and what is told of two sets."""

import numpy as np
import pytest

from mgca_mm.errors import UserError
from mgca_mm.evaluation.domain_gap import content, measure, power_spectrum
from mgca_mm.evaluation.gap_report import Measured, compare, markdown, separability


def picture(seed=0, size=128, mean=120.0, noise=6.0):
    """A symmetric bump with noise."""
    x = np.linspace(-1, 1, size)
    smooth = 40 * np.exp(-(x[None] ** 2 + x[:, None] ** 2))
    noisy = mean + smooth + np.random.default_rng(seed).normal(0, noise, (size, size))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def test_spectrum_of_noise_and_of_a_wave():
    noise = np.random.default_rng(0).normal(100, 5, (128, 128))
    frequencies, power = power_spectrum(noise)
    known = np.isfinite(power) & (frequencies > 1 / 16)
    np.testing.assert_allclose(power[known], np.log10(25), atol=0.15)  # flat, at the variance
    wave = 100 + 20 * np.sin(2 * np.pi * np.arange(128) / 6)[None].repeat(128, axis=0)
    frequencies, power = power_spectrum(wave)
    assert abs(np.log2(frequencies[np.nanargmax(power)] * 6)) < 1 / 8


def test_noise_contrast_symmetry_and_border():
    found = measure(picture(noise=6))
    assert found["noise/50 %, whole"] == pytest.approx(6, rel=0.1)
    assert found["layout/symmetry"] > 0.98
    assert (found["border/height"], found["border/width"]) == (1, 1)
    flat, steep = measure(picture(noise=1)), found
    for name in ("contrast/8 px, 50 %, whole", "edges/mean, middle", "spectrum/4-2 px, whole", "grays/SD"):
        assert flat[name] < steep[name]
    padded = np.zeros((128, 128), np.uint8)
    padded[16:112, 4:124] = picture()[16:112, 4:124]
    found = measure(padded)
    assert (found["border/height"], found["border/width"]) == (96 / 128, 120 / 128)
    assert found["border/aspect"] == 120 / 96 and found["grays/1 %"] > 60  # the border is not measured
    lit = picture()
    lit[96:] = 220
    assert measure(lit)["layout/abdomen less lungs"] > 50
    assert measure(lit[::-1])["layout/abdomen less lungs"] < 10


@pytest.mark.parametrize(
    "image",
    [np.zeros((128, 128)), np.full((128, 128), 255), np.eye(128) * 255],
    ids=["black", "white", "diagonal"],
)
def test_any_image_has_finite_quantities(image):
    assert np.isfinite(list(measure(image.astype(np.uint8)).values())).all()
    nearly_black = np.zeros((128, 128), np.uint8)
    nearly_black[3:20, 3:20] = 200
    assert content(nearly_black).shape == (128, 128)
    assert np.isfinite(list(measure(nearly_black).values())).all()


def test_too_small():
    assert np.isfinite(list(measure(picture(size=96)).values())).all()
    small = np.zeros((96, 96), np.uint8)
    small[:48, :48] = picture()[:48, :48]
    assert content(small).shape == (48, 48) and np.isfinite(list(measure(small).values())).all()
    with pytest.raises(UserError, match="--image-size 96"):
        measure(np.zeros((64, 64), np.uint8))


def sets(shift, count=60):
    """Two quantities, of which the second one alone differs."""
    rng = np.random.default_rng(0)
    patients = [str(number // 2) for number in range(count)]
    made = Measured(rng.normal(0, 1, (count, 2)), patients)
    return made, Measured(rng.normal((0, shift), 1, (count, 2)), patients)


def test_what_differs_is_told():
    made, real = sets(shift=8)
    gap = compare(["a/one", "b/two"], made, {"clinic": real, "other": sets(shift=0)[1]})
    told = gap["separability"]["made / clinic"]
    assert told["a"] < 75 and told["b"] > 99 and told["together"] > 99
    assert gap["coverage"]["clinic"]["a"] > 85 and gap["coverage"]["clinic"]["b"] < 5
    assert gap["quantities"]["b/two"]["clinic"][1] == pytest.approx(8, abs=0.5)
    assert gap["quantities"]["b/two"]["clinic"][3] > 99 > 80 > gap["quantities"]["a/one"]["clinic"][3]
    assert gap["separability"]["clinic / other real"]["b"] > 99
    text = markdown(gap)
    assert "| made / clinic | made / other | clinic / other real | other / other real |" in text
    assert "| b/two | -" in text or "| b/two | 0" in text


def test_a_patient_is_not_in_training_and_test():
    """Quantities that name the patient and nothing else tell nothing of others."""
    rng = np.random.default_rng(0)
    patients = [str(number // 10) for number in range(200)]
    own = rng.normal(0, 1, (2, 20, 50)).repeat(10, axis=1)  # the same for all images of a patient
    made, real = (Measured(values + rng.normal(0, 0.01, values.shape), patients) for values in own)
    assert separability(made, real) < 75


def test_too_few_patients():
    made, real = sets(shift=0)
    few = Measured(real.values, ["a"] * len(real.values))
    with pytest.raises(UserError, match="clinic: fewer than 5 patients"):
        compare(["a/one", "b/two"], made, {"clinic": few})
