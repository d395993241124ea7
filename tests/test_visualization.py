"""Heatmaps and overlays: hot is warm, cold is cool, nothing is nothing, and width is not height."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from leuk_hf.visualization import colour_bar, colourise, overlay, to_heatmap

RAMP = np.linspace(0, 1, 8, dtype=np.float32).reshape(1, 8).repeat(3, axis=0)


def smear(width: int = 60, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


# Full-saturation dichromacies of linear RGB (Machado et al. 2009, doi 10.1109/TVCG.2009.113), and grey.
VISIONS = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
    "grey": ((0.2126, 0.7152, 0.0722),) * 3,
}


@pytest.mark.parametrize("vision", VISIONS)
def test_lightness_tells_more_from_less_with_any_colour_vision(vision):
    colours = colourise(np.linspace(0, 1, 16, dtype=np.float32)[None])[0] / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = np.clip(linear @ np.transpose(VISIONS[vision]), 0, 1) @ (0.2126, 0.7152, 0.0722)
    lightness = 116 * np.cbrt(luminance) - 16  # CIE 1976, to be told apart by some 2
    assert np.diff(lightness[1:]).min() > 2
    assert lightness[-1] - lightness[1] > 80


def test_hottest_is_warm_and_coldest_is_dark():
    coloured = colourise(to_heatmap(RAMP, (64, 24))).astype(int)
    red, _, blue = np.moveaxis(coloured, -1, 0)
    assert (red[:, -1] > blue[:, -1] + 50).all()
    assert coloured[:, 0].max() < 10


def test_colour_bar_runs_from_dark_to_light():
    bar = colour_bar(100, 5)
    assert bar.size == (100, 5)
    luminance = np.asarray(bar).astype(int).sum(axis=2)
    assert (np.diff(luminance[2]) >= 0).mean() > 0.95
    assert luminance[2, 90] > luminance[2, 10] + 300


def test_heatmap_has_the_size_of_the_image():
    heatmap = to_heatmap(RAMP, (60, 40))
    assert heatmap.shape == (40, 60)
    assert heatmap.dtype == np.float32
    assert heatmap.min() == 0
    assert heatmap.max() == 1


def test_heatmap_keeps_its_place_on_a_wide_image():
    attribution = np.zeros((4, 4))
    attribution[0, 3] = 2.0  # top right
    heatmap = to_heatmap(attribution, (80, 24))
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    assert (row, column) == (0, 79) or (row < 6 and column > 60)
    assert heatmap[12:, :40].max() == 0


def test_heatmap_of_a_ramp_rises_along_it():
    heatmap = to_heatmap(RAMP, (64, 24))
    assert (np.diff(heatmap, axis=1) >= 0).all()
    np.testing.assert_allclose(heatmap[0], heatmap[-1], atol=1e-6)


def test_values_against_the_target_are_ignored():
    attribution = np.array([[-5.0, 0.0], [1.0, 3.0]])
    np.testing.assert_array_equal(
        to_heatmap(attribution, (20, 20)), to_heatmap(np.array([[0.0, 0.0], [1.0, 3.0]]), (20, 20))
    )


@pytest.mark.parametrize("attribution", [np.zeros((3, 3)), np.full((3, 3), -1.0)])
def test_nothing_for_the_target_gives_an_empty_map_and_the_image_alone(attribution):
    heatmap = to_heatmap(attribution, (60, 40))
    assert heatmap.shape == (40, 60)
    assert not heatmap.any()
    image = smear()
    shown = overlay(image, heatmap, opacity=0.8)
    assert shown is not image
    assert shown.tobytes() == image.tobytes()


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e30])
def test_heatmap_does_not_depend_on_the_scale(scale):
    np.testing.assert_allclose(to_heatmap(RAMP * scale, (64, 24)), to_heatmap(RAMP, (64, 24)), atol=0.01)


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (200, 16), (56, 56)])
def test_an_image_smaller_than_the_map_still_shows_the_hottest_place(size):
    attribution = np.zeros((56, 56))
    attribution[0, 55] = 1.0  # between the sampled points when only one in 3.5 is looked at
    heatmap = to_heatmap(attribution, size)
    assert np.isfinite(heatmap).all()
    assert heatmap.max() == 1
    assert heatmap[0, -1] == 1


@pytest.mark.parametrize("bad", [np.zeros((1, 3, 3)), np.zeros(4), np.array([[np.nan, 1.0]]), np.array([[np.inf]])])
def test_bad_maps_are_refused(bad):
    with pytest.raises(ValueError, match="attribution"):
        to_heatmap(bad, (20, 20))


def test_opacity_from_image_to_heatmap():
    image, heatmap = smear(), to_heatmap(RAMP, (60, 40))
    coloured = colourise(heatmap)
    assert overlay(image, heatmap, opacity=0).tobytes() == image.tobytes()
    assert np.array_equal(np.asarray(overlay(image, heatmap, opacity=1)), coloured)
    middle = (np.asarray(image).astype(float) + coloured) / 2
    assert np.abs(np.asarray(overlay(image, heatmap, opacity=0.5)) - middle).max() <= 1


def test_overlay_leaves_the_image_alone():
    image = smear()
    shown = overlay(image, to_heatmap(RAMP, image.size))
    assert (shown.mode, shown.size) == ("RGB", (60, 40))
    assert image.tobytes() == smear().tobytes()


@pytest.mark.parametrize("size", [(40, 60), (60, 41), (1, 1)])
def test_heatmaps_of_another_size_are_refused(size):
    with pytest.raises(ValueError, match="40 high, 60 wide"):
        overlay(smear(), to_heatmap(RAMP, size))


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacity_outside_its_range_is_refused(opacity):
    with pytest.raises(ValueError, match="opacity"):
        overlay(smear(), to_heatmap(RAMP, (60, 40)), opacity=opacity)


def test_colours_are_those_of_inferno():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    inferno = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    assert np.array_equal(colourise(levels.astype(np.float32) / 255), inferno)
    assert np.array_equal(colourise(levels / 255), inferno)
    beyond = colourise(np.array([[-1e9, -0.1, 1.1, 1e9]], dtype=np.float32))
    assert np.array_equal(beyond[0], inferno.reshape(256, 3)[[0, 0, 255, 255]])
