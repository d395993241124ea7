"""Whole-field changes, by values worked by hand."""

from __future__ import annotations

import inspect

import cv2
import numpy as np
import pytest

from leuk_hf import perturbations
from leuk_hf.synthetic import render_smear

TWO_PIXELS = np.array([[[10, 20, 30], [200, 0, 255]]], dtype=np.uint8)
EVERY_CHANGE = {
    "brightness": lambda field: perturbations.brightness(field, 1.4),
    "gamma": lambda field: perturbations.gamma(field, 0.7),
    "white_balance": lambda field: perturbations.white_balance(field, 1.1, 0.9),
    "hue": lambda field: perturbations.hue(field, 20),
    "stain": lambda field: perturbations.stain(field, 1.25, 0.8),
    "grey": perturbations.grey,
    "match_colours": lambda field: perturbations.match_colours(
        field, np.array([[[9, 90, 200], [250, 0, 3]]], np.uint8)
    ),
    "set_colours": lambda field: perturbations.set_colours(
        field, perturbations.ColourStatistics((90, 130, 180), (40, 10, 2))
    ),
    "blur": lambda field: perturbations.blur(field, 2),
    "noise": lambda field: perturbations.noise(field, 10, np.random.default_rng(0)),
    "jpeg": lambda field: perturbations.jpeg(field, 30),
    "resolution": lambda field: perturbations.resolution(field, 0.5),
    "magnify": lambda field: perturbations.magnify(field, 1.5),
    "quarter_turn": perturbations.quarter_turn,
    "half_turn": perturbations.half_turn,
    "mirror": perturbations.mirror,
}
ODD_FIELDS = {
    "one pixel": np.full((1, 1, 3), 77, np.uint8),
    "black": np.zeros((32, 32, 3), np.uint8),
    "white": np.full((33, 48, 3), 255, np.uint8),
    "a row": np.random.default_rng(0).integers(0, 256, (1, 40, 3), dtype=np.uint8),
    "wide": np.random.default_rng(1).integers(0, 256, (36, 91, 3), dtype=np.uint8),
}


@pytest.fixture(scope="module")
def smear():
    return np.array(render_smear("Pre-B", seed=3, image_size=96))


def smooth(low, high, edge=48):
    """A field of gentle ramps, each channel in another direction, between two colours."""
    steps = np.linspace(0, 1, edge)
    across, down = np.meshgrid(steps, steps)
    ramps = np.stack([across, down, (across + down) / 2], axis=-1)
    return np.rint(np.array(low) + ramps * np.subtract(high, low)).astype(np.uint8)


def lab_moments(field):
    lab = cv2.cvtColor(field, cv2.COLOR_RGB2LAB).astype(float)
    return np.concatenate([lab.mean(axis=(0, 1)), lab.std(axis=(0, 1))])


def test_every_function_is_tested_here():
    public = {
        name
        for name, function in inspect.getmembers(perturbations, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == perturbations.__name__
    }
    assert public == set(EVERY_CHANGE) | {"scale_of", "colour_statistics"}


@pytest.mark.parametrize("change", EVERY_CHANGE)
@pytest.mark.parametrize("kind", ODD_FIELDS)
def test_odd_fields_keep_their_shape_and_are_not_written_into(change, kind):
    field = ODD_FIELDS[kind].copy()
    changed = EVERY_CHANGE[change](field)
    assert changed.shape == field.shape and changed.dtype == np.uint8 and changed.flags.c_contiguous
    assert np.array_equal(field, ODD_FIELDS[kind])
    assert not np.shares_memory(changed, field) or changed.size == 3


def test_scale_goes_by_the_shorter_edge():
    assert perturbations.scale_of(np.zeros((224, 300, 3))) == 1
    assert perturbations.scale_of(np.zeros((600, 448, 3))) == 2


def test_brightness_multiplies_and_clips():
    assert perturbations.brightness(TWO_PIXELS, 1.4).tolist() == [[[14, 28, 42], [255, 0, 255]]]
    assert perturbations.brightness(TWO_PIXELS, 0.5).tolist() == [[[5, 10, 15], [100, 0, 128]]]  # 127.5 to even
    assert np.array_equal(perturbations.brightness(TWO_PIXELS, 1), TWO_PIXELS)


def test_gamma_keeps_the_ends_and_bends_the_middle():
    field = np.array([[[0, 255, 64], [128, 51, 1]]], dtype=np.uint8)
    # 255 (64/255)^2 = 16.06, 255 (128/255)^2 = 64.25, 255 (51/255)^2 = 10.2, 255 (1/255)^2 = 0.004
    assert perturbations.gamma(field, 2).tolist() == [[[0, 255, 16], [64, 10, 0]]]
    # 255 sqrt(64/255) = 127.7, sqrt: 180.7, 114.04, 15.97
    assert perturbations.gamma(field, 0.5).tolist() == [[[0, 255, 128], [181, 114, 16]]]


def test_white_balance_leaves_green():
    assert perturbations.white_balance(TWO_PIXELS, 1.1, 0.9).tolist() == [[[11, 20, 27], [220, 0, 230]]]
    assert perturbations.white_balance(TWO_PIXELS, 1.5, 2).tolist() == [[[15, 20, 60], [255, 0, 255]]]


def test_stain_changes_the_amounts_of_two_dyes():
    blue, eosin = np.array((0.834750233, 0.513556283, 0.196330403)), np.array((0.092789, 0.954111, 0.283111))
    amounts = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.4]])
    density = amounts[:, :1] * blue + amounts[:, 1:] * eosin
    field = np.rint(256 * np.exp(-density) - 1).astype(np.uint8)[None]
    expected = 256 * np.exp(-(1.5 * amounts[:, :1] * blue + 0.5 * amounts[:, 1:] * eosin)) - 1
    changed = perturbations.stain(field, 1.5, 0.5)
    assert changed[0, 0].tolist() == [255, 255, 255] and np.abs(changed[0] - expected).max() <= 1.5
    assert np.array_equal(perturbations.stain(field, 1, 1), field)


def test_hue_turns_the_circle_both_ways_and_spares_greys():
    field = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], dtype=np.uint8)
    assert perturbations.hue(field, 120).tolist() == [[[0, 255, 0], [0, 0, 255], [255, 0, 0], [90, 90, 90]]]
    assert perturbations.hue(field, -120).tolist() == [[[0, 0, 255], [255, 0, 0], [0, 255, 0], [90, 90, 90]]]
    assert perturbations.hue(field, 60).tolist()[0][0] == [255, 255, 0]
    assert np.array_equal(perturbations.hue(field, 360), field)


def test_grey_is_the_luma_in_all_channels():
    field = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [100, 150, 200]]], dtype=np.uint8)
    # 0.299 R + 0.587 G + 0.114 B
    assert perturbations.grey(field)[0, :, 0].tolist() == [76, 150, 29, 141]
    assert np.ptp(perturbations.grey(field), axis=-1).max() == 0


def test_match_colours_reaches_the_donors_mean_and_spread():
    field, donor = smooth((150, 120, 140), (200, 170, 190)), smooth((120, 110, 150), (160, 130, 180))
    before, wanted = lab_moments(field), lab_moments(donor)
    assert np.abs(before - wanted).max() > 8  # there is something to reach
    np.testing.assert_allclose(lab_moments(perturbations.match_colours(field, donor)), wanted, atol=0.6)


def test_match_colours_keeps_the_picture():
    field, donor = smooth((150, 120, 140), (200, 170, 190)), smooth((60, 50, 70), (110, 90, 130), edge=32)
    luma = [perturbations.grey(image)[..., 0].ravel() for image in (field, perturbations.match_colours(field, donor))]
    assert np.corrcoef(*luma)[0, 1] > 0.98
    np.testing.assert_allclose(perturbations.match_colours(field, field).astype(int), field, atol=3)  # LAB's rounding


def test_match_colours_of_a_flat_field_is_the_donors_mean():
    flat, donor = np.full((8, 8, 3), 90, np.uint8), smooth((180, 150, 170), (220, 190, 210))
    answer = perturbations.match_colours(flat, donor)
    assert np.ptp(answer, axis=(0, 1)).max() == 0
    np.testing.assert_allclose(lab_moments(answer)[:3], lab_moments(donor)[:3], atol=1)


def test_magnify_shows_cells_larger_and_smaller():
    field = cv2.circle(np.full((200, 200, 3), 240, np.uint8), (100, 100), 20, (90, 40, 120), -1)
    area = (field[..., 0] < 165).sum()
    for factor in (1.5, 2):
        larger = perturbations.magnify(field, factor)
        assert (larger[..., 0] < 165).sum() == pytest.approx(factor**2 * area, rel=0.03)
        assert abs(np.argwhere(larger[..., 0] < 165).mean(axis=0) - 99.5).max() <= factor  # still in the middle
    smaller = perturbations.magnify(field, 0.5)
    assert (smaller[75:125, 75:125, 0] < 165).sum() == pytest.approx(area / 4, rel=0.06)
    assert (smaller[..., 0] < 165).sum() == pytest.approx(area, rel=0.06)  # four halves of it all around, mirrored
    assert smaller.shape == field.shape
    stripes = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None], 40, axis=1).repeat(3, axis=2) * 6
    reduced = perturbations.magnify(stripes, 0.5)[:, 20, 0].astype(int)
    assert np.array_equal(reduced[10:30], stripes.reshape(20, 2, 40, 3).mean(axis=1)[:, 20, 0])  # rows averaged by two
    assert np.array_equal(reduced[:10], reduced[10:20][::-1]) and np.array_equal(reduced[30:], reduced[20:30][::-1])
    assert np.array_equal(perturbations.magnify(field, 1), field)


@pytest.mark.parametrize("kind", ODD_FIELDS)
def test_odd_fields_can_be_reduced(kind):
    reduced = perturbations.magnify(ODD_FIELDS[kind], 0.67)
    assert reduced.shape == ODD_FIELDS[kind].shape and reduced.dtype == np.uint8 and reduced.flags.c_contiguous


@pytest.mark.parametrize("edge", [112, 224, 448])
def test_blur_grows_with_the_field(edge):
    field = np.zeros((edge, edge, 3), np.uint8)
    field[:, edge // 2 :] = 200
    profile = perturbations.blur(field, 2)[edge // 2, :, 0].astype(float)
    # The slope of a blurred step is a Gaussian; its standard deviation is that of the blur.
    slope, places = np.diff(profile) / 200, np.arange(edge - 1)
    middle = (slope * places).sum()
    spread = np.sqrt((slope * (places - middle) ** 2).sum())
    assert spread == pytest.approx(2 * edge / 224, rel=0.08)
    assert profile[0] == 0 and profile[-1] == 200


def test_noise_has_the_spread_asked_for_and_the_generators_values():
    field = np.full((64, 64, 3), 128, np.uint8)
    first = perturbations.noise(field, 10, np.random.default_rng(5))
    assert np.array_equal(first, perturbations.noise(field, 10, np.random.default_rng(5)))
    assert not np.array_equal(first, perturbations.noise(field, 10, np.random.default_rng(6)))
    difference = first.astype(float) - 128
    # 12,288 values: the standard errors are 0.09 of the mean and 0.06 of the spread.
    assert abs(difference.mean()) < 0.4 and difference.std() == pytest.approx(10, abs=0.3)
    assert abs(np.corrcoef(difference[..., 0].ravel(), difference[..., 1].ravel())[0, 1]) < 0.08
    assert np.array_equal(perturbations.noise(field, 0, np.random.default_rng(5)), field)


def test_jpeg_loses_more_at_lower_quality_and_keeps_flat_colours(smear):
    def error(quality):
        return np.abs(perturbations.jpeg(smear, quality).astype(int) - smear).mean()

    assert 0 < error(95) < error(60) < error(10)
    flat = np.full((32, 32, 3), (180, 120, 200), np.uint8)
    np.testing.assert_allclose(perturbations.jpeg(flat, 95).astype(int), flat, atol=3)  # red is not taken for blue


def test_resolution_averages():
    field = np.zeros((4, 4, 3), np.uint8)
    field[0::2, 0::2] = 200  # one of every four pixels: each block of two by two has the mean 50
    assert (perturbations.resolution(field, 0.5) == 50).all()
    assert np.array_equal(perturbations.resolution(field, 1), field)
    assert (perturbations.resolution(field, 0.01) == 50).all()  # never below one pixel


def test_turns_and_mirror_move_pixels_exactly(smear):
    numbered = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    (a, b), (c, d) = numbered.tolist()
    assert perturbations.quarter_turn(numbered).tolist() == [[b, d], [a, c]]
    assert perturbations.half_turn(numbered).tolist() == [[d, c], [b, a]]
    assert perturbations.mirror(numbered).tolist() == [[b, a], [d, c]]
    turned = smear
    for _ in range(4):
        turned = perturbations.quarter_turn(turned)
    assert np.array_equal(turned, smear)
    twice = perturbations.quarter_turn(perturbations.quarter_turn(smear))
    assert np.array_equal(twice, perturbations.half_turn(smear))
    wide = smear[:40]
    assert np.array_equal(perturbations.half_turn(perturbations.half_turn(wide)), wide)
    assert np.array_equal(perturbations.mirror(perturbations.mirror(wide)), wide)


def test_quarter_turn_of_an_oblong_field_keeps_its_shape():
    field = np.zeros((20, 40, 3), np.uint8)
    field[:, 20:] = 200  # the right half becomes the upper one
    turned = perturbations.quarter_turn(field)
    assert turned.shape == field.shape
    assert (turned[:8] == 200).all() and (turned[12:] == 0).all()
