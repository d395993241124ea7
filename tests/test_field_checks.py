"""Input checks: every measure and limit by value, and what real fields and their counterfactuals give."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from usual_field import USUAL, changed

from leuk_hf.cells import segment_leukocytes
from leuk_hf.counterfactuals import inpaint, widen
from leuk_hf.field_checks import RefusalLimits, limits_from, near_limit, passed_limits, refusal_reasons
from leuk_hf.image_io import load_image
from leuk_hf.input_measures import measure_input
from leuk_hf.perturbations import blur, brightness

REAL = Path(__file__).parent.parent.parent / "shared" / "data"
# As fitted to 600 training and 290 calibration fields of fold 0 of the grouped split.
REAL_LIMITS = RefusalLimits(
    largest_elongation=1.6,
    highest_frame_share=0.1,
    lowest_light=103.1,
    highest_burnt_out=0.405,
    lowest_contrast=5.46,
    lowest_sharpness=0.159,
    lowest_correlation_length=0.0332,
    lowest_leukocyte_share=0.00576,
    lowest_leukocyte_diameter=0.0407,
    lowest_leukocyte_texture=0.143,  # fitted to all of its training, validation and calibration fields
    highest_leukocyte_diameter=0.2017,
)


def discs(edge, places, radius):
    mask = np.zeros((edge, edge), dtype=np.uint8)
    for place in places:
        cv2.circle(mask, place, radius, 1, -1)
    return mask > 0


def field_with(mask, inside=90, outside=230):
    return np.where(mask[..., None], np.uint8(inside), np.uint8(outside)).repeat(3, axis=2)


def test_measures_by_hand():
    mask = discs(200, [(50, 50), (150, 150)], 10)
    measures = measure_input(field_with(mask), mask, (400, 300), -1.5)
    assert measures.elongation == pytest.approx(4 / 3) and measures.side == 300
    assert measures.light == pytest.approx(230)
    share = mask.mean()
    assert measures.contrast == pytest.approx(140 * np.sqrt(share * (1 - share)), rel=1e-4)
    assert measures.leukocyte_share == pytest.approx(share)
    assert measures.num_leukocytes == 2
    assert measures.leukocyte_diameter == pytest.approx(21 / 200, abs=0.01)
    assert measures.burnt_out == measures.washed_out == measures.frame_share == 0
    assert measures.in_distribution_score == -1.5


def test_size_does_not_matter():
    small = discs(112, [(30, 30), (80, 70)], 6)
    large = cv2.resize(small.astype(np.uint8), (448, 448), interpolation=cv2.INTER_NEAREST) > 0
    one, other = (measure_input(field_with(mask), mask, mask.shape, 0.0) for mask in (small, large))
    assert one.leukocyte_share == pytest.approx(other.leukocyte_share)
    assert one.leukocyte_diameter == pytest.approx(other.leukocyte_diameter, abs=0.012)


def test_cut_cells_count_only_without_whole_ones_and_specks_never():
    whole_and_cut = discs(200, [(100, 100)], 10) | discs(200, [(5, 30)], 20)
    measures = measure_input(field_with(whole_and_cut), whole_and_cut, (200, 200), 0.0)
    assert measures.num_leukocytes == 2
    assert measures.leukocyte_diameter == pytest.approx(21 / 200, abs=0.01)
    cut = discs(200, [(0, 100)], 10)
    assert measure_input(field_with(cut), cut, (200, 200), 0.0).leukocyte_diameter is not None
    specks = np.zeros((200, 200), dtype=bool)
    specks[::20, ::20] = True
    found = measure_input(field_with(specks), specks, (200, 200), 0.0)
    assert (found.leukocyte_share, found.num_leukocytes, found.leukocyte_diameter) == (0, 0, None)


def test_touching_cells_have_the_width_of_one():
    mask = discs(200, [(90, 100), (110, 100)], 12)
    measures = measure_input(field_with(mask), mask, (200, 200), 0.0)
    assert measures.num_leukocytes == 1
    assert measures.leukocyte_diameter == pytest.approx(24 / 200, abs=0.01)


def test_masks_that_are_empty_or_full_or_unknown():
    field = field_with(discs(100, [(50, 50)], 9))
    empty = measure_input(field, np.zeros((100, 100), bool), (100, 100), 0.0)
    assert (empty.leukocyte_share, empty.num_leukocytes) == (0, 0)
    assert empty.leukocyte_diameter is None and empty.burnt_out is None
    full = measure_input(field, np.ones((100, 100), bool), (100, 100), 0.0)
    assert full.leukocyte_share == 1 and full.leukocyte_diameter == pytest.approx(1, abs=0.02)
    unknown = measure_input(field, None, (100, 100), 0.0)
    assert unknown.leukocyte_share is None and unknown.num_leukocytes is None and unknown.leukocyte_diameter is None
    assert unknown.leukocyte_texture is None and empty.leukocyte_texture is None and full.leukocyte_texture == 0
    assert unknown.burnt_out == 0


def test_sharpness_falls_with_blur_and_not_with_contrast():
    generator = np.random.default_rng(0)
    mask = discs(224, generator.integers(20, 200, (12, 2)).tolist(), 11)
    sharp = field_with(mask, 80, 220)
    values = [
        measure_input(cv2.GaussianBlur(sharp, (0, 0), sigma), mask, (224, 224), 0.0).sharpness
        for sigma in (0.5, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True) and values[0] > 2 * values[-1]
    faint = field_with(mask, 180, 220)
    assert measure_input(faint, mask, (224, 224), 0.0).sharpness == pytest.approx(
        measure_input(sharp, mask, (224, 224), 0.0).sharpness, abs=0.01
    )
    assert measure_input(np.full((64, 64, 3), 9, np.uint8), None, (64, 64), 0.0).sharpness == 0


def test_burnt_out_cells():
    mask = discs(200, [(60, 60), (140, 140)], 10)
    field = field_with(mask)
    field[discs(200, [(60, 60)], 10)] = 255
    measures = measure_input(field, mask, (200, 200), 0.0)
    assert measures.burnt_out == pytest.approx(0.5)
    assert measures.washed_out == pytest.approx(0.5 * mask.mean())


def test_a_frame_is_measured():
    mask = discs(200, [(60, 60), (140, 140)], 10)
    field = field_with(mask)
    field += np.random.default_rng(0).integers(0, 20, field.shape, dtype=np.uint8)
    framed = np.pad(field, ((25, 25), (25, 25), (0, 0)), constant_values=255)
    measures = measure_input(framed, np.pad(mask, 25), (250, 250), 0.0)
    assert measures.frame_share == pytest.approx(1 - 0.8**2)
    assert measure_input(field, mask, (200, 200), 0.0).frame_share == 0


@pytest.mark.parametrize(
    ("limit", "value", "usual", "measure", "passed", "words"),
    [
        ("smallest_side", 64, 64, "side", 63, "too small (63 pixels at its shorter side)"),
        ("largest_elongation", 1.6, 1.6, "elongation", 2.4, "2.4 times as long as wide"),
        ("highest_frame_share", 0.1, 0.1, "frame_share", 0.36, "a blank frame (at least 36 % of its area)"),
        ("lowest_contrast", 6, 6, "contrast", 5.9, "nearly uniform"),
        ("lowest_light", 100, 100, "light", 99, "too dark"),
        ("highest_burnt_out", 0.4, 0.4, "burnt_out", 0.41, "too bright"),
        ("lowest_leukocyte_share", 0.006, 0.006, "leukocyte_share", 0.0, "No leukocytes"),
        ("lowest_sharpness", 0.2, 0.2, "sharpness", 0.19, "blurred"),
        ("lowest_correlation_length", 0.03, 0.03, "correlation_length", 0.02, "cells are too small"),
        ("lowest_leukocyte_diameter", 0.05, 0.05, "leukocyte_diameter", 0.03, "too small (3 % of the image's edge)"),
        ("highest_leukocyte_diameter", 0.2, 0.2, "leukocyte_diameter", 0.31, "too large (31 % of the image's edge)"),
        ("lowest_cell_size", 0.04, 0.04, "cell_size", 0.039, "cells are too small"),
        ("highest_cell_size", 0.08, 0.08, "cell_size", 0.081, "cells are too large"),
        ("lowest_leukocyte_texture", 0.8, 0.8, "leukocyte_texture", 0.7, "flat, without the grain of a cell"),
        ("lowest_in_distribution_score", -3, -3, "in_distribution_score", -3.1, "unlike the blood-smear fields"),
    ],
)
def test_every_limit_has_its_reason(limit, value, usual, measure, passed, words):
    limits = RefusalLimits(**{limit: value})
    assert refusal_reasons(changed(**{measure: usual}), limits) == ()  # on the limit is not beyond it
    refused = changed(**{measure: passed})
    (reason,) = refusal_reasons(refused, limits)
    assert words in reason and reason.endswith(".") and reason[0].isupper()
    assert passed_limits(refused, limits) == (limit,)
    assert refusal_reasons(refused, RefusalLimits()) == ()
    assert near_limit(changed(**{measure: usual}), limits, 0.01) and not near_limit(USUAL, RefusalLimits(), 1)


def test_two_limits_of_one_reason_give_it_once():
    limits = RefusalLimits(lowest_correlation_length=0.03, lowest_cell_size=0.04)
    small = changed(correlation_length=0.02, cell_size=0.03)
    assert len(refusal_reasons(small, limits)) == 1 and len(passed_limits(small, limits)) == 2


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"contrast": 0, "sharpness": 0, "leukocyte_share": 0, "in_distribution_score": -9}, ["nearly uniform"]),
        ({"contrast": 0, "light": 9, "leukocyte_share": 0}, ["nearly uniform", "too dark"]),
        ({"contrast": 0, "burnt_out": 1, "sharpness": 0}, ["too bright"]),
        ({"contrast": 0, "burnt_out": 1, "leukocyte_share": 0}, ["nearly uniform", "too bright"]),
        ({"light": 9, "sharpness": 0, "leukocyte_texture": 0}, ["too dark"]),
        ({"burnt_out": 1, "cell_size": 0.01, "leukocyte_texture": 0}, ["too bright"]),
        ({"frame_share": 0.4, "cell_size": 0.01, "leukocyte_diameter": 0.01, "elongation": 2}, ["frame"]),
        ({"frame_share": 0.4, "contrast": 0, "sharpness": 0, "leukocyte_share": 0, "burnt_out": 1}, ["frame"]),
        ({"frame_share": 0.4, "side": 20}, ["too small (20", "frame"]),
        ({"sharpness": 0, "leukocyte_texture": 0}, ["blurred"]),
        ({"leukocyte_share": 0, "leukocyte_diameter": 0.01, "leukocyte_texture": 0}, ["No leukocytes"]),
        ({"leukocyte_share": 0, "correlation_length": 0.01}, ["No leukocytes", "cells are too small"]),
        ({"leukocyte_diameter": 0.01, "cell_size": 0.01, "correlation_length": 0.01}, ["leukocytes are too small"]),
        ({"leukocyte_diameter": 0.5, "cell_size": 0.5}, ["leukocytes are too large"]),
        ({"leukocyte_texture": 0, "in_distribution_score": -9}, ["unlike"]),
        ({"leukocyte_texture": 0, "leukocyte_diameter": 0.5}, ["flat", "leukocytes are too large"]),
    ],
)
def test_one_cause_is_told_once(spoilt, words):
    limits = dataclasses.replace(
        REAL_LIMITS,
        smallest_side=64,
        lowest_cell_size=0.04,
        highest_cell_size=0.09,
        lowest_in_distribution_score=-4,
    )
    reasons = refusal_reasons(changed(**spoilt), limits)
    assert len(reasons) == len(words), reasons
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    assert len(passed_limits(changed(**spoilt), limits)) == len(spoilt)  # which count, said or not


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"cell_size": 0.01}, ["too bright"]),
        ({"contrast": 0}, ["too bright"]),
        ({"contrast": 0, "leukocyte_share": 0}, ["nearly uniform", "too bright"]),
        ({"leukocyte_share": 0, "correlation_length": 0.01}, ["too bright", "No leukocytes"]),
        ({"in_distribution_score": -9}, ["too bright", "unlike"]),
        ({"elongation": 3}, ["as long as wide"]),
        ({"cell_size": 0.5}, ["too bright"]),
        ({"leukocyte_diameter": 0.5}, ["too bright", "leukocytes are too large"]),
        ({"frame_share": 0.6, "cell_size": 0.01}, ["frame"]),
        ({}, []),
    ],
)
def test_what_is_white_all_over_is_refused_as_too_bright_if_at_all(spoilt, words):
    limits = dataclasses.replace(
        REAL_LIMITS, lowest_cell_size=0.04, highest_cell_size=0.09, lowest_in_distribution_score=-4
    )
    white = changed(washed_out=0.86, burnt_out=0.01, **spoilt)
    reasons = refusal_reasons(white, limits)
    assert len(reasons) == len(words), reasons
    assert all(word in reason for word, reason in zip(words, reasons, strict=True))
    assert "highest_burnt_out" not in passed_limits(white, limits)

    def is_told(measures, by):
        return any("too bright" in reason for reason in refusal_reasons(measures, by))

    for other in ({"washed_out": 0.84}, {"burnt_out": 0.005}):  # a drawing on white is not burnt out where it is drawn
        assert not is_told(dataclasses.replace(white, **other), limits)
    assert not is_told(white, dataclasses.replace(limits, highest_burnt_out=None))
    assert is_told(dataclasses.replace(white, burnt_out=None), limits) == is_told(white, limits)  # nothing found


def test_cell_size_grows_with_the_magnification():
    # Small discs on a plain ground, five of them darker: twice as large, twice the size; both lengths count alike.
    generator = np.random.default_rng(0)
    places = generator.integers(12, 212, (60, 2)).tolist()
    sizes = []
    for radius, large in ((5, 8), (10, 16), (10, 8)):
        ground = discs(224, places, radius)
        cells = discs(224, [(40, 40), (180, 60), (110, 120), (50, 180), (170, 170)], large)
        field = np.where(cells, 60, np.where(ground, 150, 230)).astype(np.uint8)[..., None].repeat(3, axis=2)
        sizes.append(measure_input(field, cells, (224, 224), 0.0).cell_size)
    small, twice, red_cells_alone = sizes
    assert twice == pytest.approx(2 * small, rel=0.2)
    assert red_cells_alone == pytest.approx(small * np.sqrt(2), rel=0.2)
    full = np.ones((224, 224), bool)
    assert measure_input(field, full, (224, 224), 0.0).cell_size is None  # nothing beside them
    assert measure_input(field, None, (224, 224), 0.0).cell_size is None
    assert measure_input(field, ~full, (224, 224), 0.0).cell_size is None


def test_what_cannot_be_told_is_not_refused():
    limits = RefusalLimits(
        lowest_leukocyte_share=0.01, lowest_leukocyte_diameter=0.05, lowest_leukocyte_texture=1, highest_burnt_out=0.1
    )
    unknown = changed(leukocyte_share=None, leukocyte_diameter=None, leukocyte_texture=None, burnt_out=None)
    assert refusal_reasons(unknown, limits) == ()


def test_limits_go_through_a_config():
    limits = RefusalLimits(lowest_light=100.0, lowest_sharpness=0.2)
    assert limits_from(dataclasses.asdict(limits)) == limits
    with pytest.raises(ValueError, match="missing or unknown refusal limits: lowest_light; calibrate the checkpoint"):
        limits_from({name: value for name, value in dataclasses.asdict(limits).items() if name != "lowest_light"})
    with pytest.raises(ValueError, match="missing or unknown refusal limits"):
        limits_from(None)
    equal = RefusalLimits(lowest_cell_size=0.1, highest_cell_size=0.1, smallest_side=0)
    assert limits_from(dataclasses.asdict(equal)) == equal
    for measure in ("cell_size", "leukocyte_diameter"):
        contrary = RefusalLimits(**{f"lowest_{measure}": 0.2, f"highest_{measure}": 0.1})
        with pytest.raises(ValueError, match=f"^lowest_{measure} 0.2 is above highest_{measure} 0.1; no image"):
            limits_from(dataclasses.asdict(contrary))
    with pytest.raises(ValueError, match=r"^smallest_side is -1; give a number of pixels of at least 0"):
        limits_from(dataclasses.asdict(RefusalLimits(smallest_side=-1)))
    for bad in (float("nan"), float("inf"), "1", True):
        with pytest.raises(ValueError, match="lowest_light is"):
            RefusalLimits(lowest_light=bad)


def test_other_inputs_are_refused():
    with pytest.raises(ValueError, match="pixels are float64"):
        measure_input(np.zeros((8, 8, 3)), None, (8, 8), 0.0)
    with pytest.raises(ValueError, match="give them one size"):
        measure_input(np.zeros((8, 8, 3), np.uint8), np.zeros((4, 4), bool), (8, 8), 0.0)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real fields are not here")
def test_real_fields_are_answered_and_spoilt_ones_are_not():
    files = [
        file
        for name in ("Benign", "Early", "Pre", "Pro")
        for file in sorted((REAL / "leukemia/Original" / name).glob("*.jpg"))[::150]
    ]
    refused = {name: 0 for name in ("as it is", "darker", "emptied", "painted", "blurred", "dark")}
    for file in files:
        field = np.asarray(load_image(file))
        mask = segment_leukocytes(field)
        empty = inpaint(field, widen(mask, field, 3))
        shown = {
            "as it is": (field, mask),
            "darker": (brightness(field, 0.6), mask),
            "emptied": (empty, segment_leukocytes(empty)),
            "painted": (np.where(mask[..., None], np.uint8((110, 70, 140)), field), mask),
            "blurred": (blur(field, 3), mask),
            "dark": (brightness(field, 0.3), mask),
        }
        for name, (pixels, cells) in shown.items():
            measures = measure_input(pixels, cells, (pixels.shape[1], pixels.shape[0]), 0.0)
            refused[name] += bool(refusal_reasons(measures, REAL_LIMITS))
    assert len(files) >= 16
    spoilt = ("emptied", "painted", "blurred", "dark")
    assert refused == {"as it is": 0, "darker": 0} | dict.fromkeys(spoilt, len(files))
