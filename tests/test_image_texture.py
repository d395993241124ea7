"""Texture measures by value: worked out by hand, and on patterns whose scale is known."""

import cv2
import numpy as np
import pytest

from leuk_hf.image_texture import correlation_length, correlation_length_beside, fine_texture, sharpness
from leuk_hf.perturbations import noise


def speckles(edge, sigma, seed=0):
    """White noise blurred by a Gaussian: its correlation falls as exp(-distance^2 / (4 sigma^2))."""
    white = np.random.default_rng(seed).standard_normal((edge, edge)).astype(np.float32)
    return 128 + 200 * cv2.GaussianBlur(white, (0, 0), sigma)


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_correlation_length_of_blurred_noise_is_that_of_theory(sigma):
    expected = 2 * sigma * np.sqrt(np.log(1 / 0.2)) / 128
    found = np.mean([correlation_length(speckles(128, sigma, seed)) for seed in range(8)])
    assert found == pytest.approx(expected, rel=0.08)


def test_correlation_length_is_a_share_of_the_edge_and_knows_no_contrast_nor_light():
    field = speckles(256, 6.0)
    length = correlation_length(field)
    assert correlation_length(cv2.resize(field, (512, 512))) == pytest.approx(length, rel=0.03)
    assert correlation_length(30 + 0.2 * field) == pytest.approx(length, rel=1e-3)
    slope = np.linspace(-60, 60, 256, dtype=np.float32)
    assert correlation_length(field + slope) == pytest.approx(length, rel=0.05)


def test_four_fields_in_one_image_have_half_the_length():
    fields = [speckles(256, 6.0, seed) for seed in range(4)]
    mosaic = np.vstack([np.hstack(fields[:2]), np.hstack(fields[2:])])
    alone = np.mean([correlation_length(field) for field in fields])
    assert correlation_length(mosaic) == pytest.approx(alone / 2, rel=0.1)


def test_what_is_left_out_does_not_count():
    field = speckles(256, 4.0, 1)
    marked = np.zeros((256, 256), dtype=bool)
    for place in ((60, 60), (180, 90), (100, 190)):
        cv2.circle(marked_image := marked.astype(np.uint8), place, 30, 1, -1)
        marked |= marked_image > 0
    spoilt = np.where(marked, 20, field).astype(np.float32)  # large and dark: whole, the field has another length
    alone = correlation_length(field)
    assert correlation_length(spoilt) > 1.3 * alone
    assert correlation_length_beside(spoilt, marked) == pytest.approx(alone, rel=0.15)
    assert correlation_length_beside(field, np.zeros_like(marked)) == pytest.approx(alone)


@pytest.mark.parametrize("radius", [100, 115, 128])
def test_beside_crowds_there_is_too_little_to_measure(radius):
    field, crowd = speckles(256, 4.0), np.zeros((256, 256), dtype=np.uint8)
    cv2.circle(crowd, (128, 128), radius, 1, -1)
    assert correlation_length_beside(field, crowd > 0) is None
    assert correlation_length_beside(field, crowd == 0) is not None


def test_images_without_texture_have_the_greatest_length():
    assert correlation_length(np.full((90, 90), 200, dtype=np.float32)) == 40 / 128
    assert correlation_length(np.zeros((224, 300), dtype=np.float32)) == 40 / 128


def test_white_noise_has_the_shortest_length():
    white = noise(np.full((128, 128, 3), 128, dtype=np.uint8), 10, np.random.default_rng(0))[..., 0]
    assert correlation_length(white.astype(np.float32)) < 1.5 / 128


def test_sharpness_by_hand():
    # One step of height 1 between columns: a blur over five leaves a fifth of each neighbouring difference.
    step = np.zeros((20, 20), dtype=np.float32)
    step[:, 10:] = 1
    assert sharpness(step, None) == pytest.approx(0.8, abs=1e-6)
    assert sharpness(np.full((20, 20), 7, dtype=np.float32), None) == 0
    # A slope is as steep after a blur as before, but for the borders, which are mirrored.
    slope = np.tile(np.arange(200, dtype=np.float32), (20, 1))
    assert sharpness(slope, None) < 0.03


def test_sharpness_is_of_the_leukocytes_surroundings_where_there_are_any():
    field = np.tile(np.arange(224, dtype=np.float32), (224, 1))
    field[100:120, 100:120] += 100
    place = np.zeros((224, 224), dtype=bool)
    place[100:120, 100:120] = True
    assert sharpness(field, place) > 3 * sharpness(field, np.roll(place, 60, axis=0)) + 0.1
    assert sharpness(field, np.zeros_like(place)) == sharpness(field, None)


def cells(edge, diameter, places=((0.3, 0.3), (0.75, 0.65))):
    """Discs, their diameter and places as shares of the edge."""
    rows, columns = (np.indices((edge, edge)) + 0.5) / edge
    return np.any([np.hypot(rows - row, columns - column) <= diameter / 2 for row, column in places], axis=0)


def test_fine_texture_by_hand():
    # Of a checkerboard of 90 and 110 a blur by 0.7 px leaves, along each axis, the alternating sum of its weights.
    weights = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 0.7**2))
    left = (weights * (-1.0) ** np.arange(-3, 4)).sum() / weights.sum()
    mask = cells(160, 0.15)
    board = np.where(np.indices((160, 160)).sum(axis=0) % 2, 110, 90)
    expected = 10 * (1 - left**2)
    assert fine_texture(np.where(mask, board, 230).astype(np.float32), mask) == pytest.approx(expected, abs=0.05)
    # It is the lower quarter: of what is inside, 0.35 and then 0.18 lie above these rows.
    for row, texture in ((51, 0), (46, expected)):
        flat_above = np.where(np.arange(160)[:, None] < row, 100, board)
        field = np.where(mask, flat_above, 230).astype(np.float32)
        assert fine_texture(field, cells(160, 0.15)) == pytest.approx(texture, abs=0.05), row


def test_patches_in_two_tones_have_little_fine_texture():
    mask, nuclei = cells(160, 0.15), cells(160, 0.09)
    field = np.where(nuclei, 80, np.where(mask, 150, 230)).astype(np.float32)
    assert fine_texture(field, mask) < 0.1


@pytest.mark.parametrize("edge", [112, 160, 224, 320, 640])
@pytest.mark.parametrize("diameter", [0.07, 0.09, 0.15])
def test_a_flat_patch_has_no_fine_texture_at_any_size(edge, diameter):
    mask = cells(edge, diameter)
    assert fine_texture(np.where(mask, 90, 230).astype(np.float32), mask) < 0.5


def test_fine_texture_is_the_same_at_every_size_and_in_levels():
    mask, field = cells(320, 0.15), speckles(320, 4.0)
    texture = fine_texture(field, mask)
    twice = cv2.resize(field, (640, 640), interpolation=cv2.INTER_CUBIC)
    assert fine_texture(twice, cells(640, 0.15)) == pytest.approx(texture, rel=0.08)
    assert fine_texture(100 + 0.5 * field, mask) == pytest.approx(texture / 2, rel=1e-3)


def test_fine_texture_of_what_has_no_inside_is_not_known():
    line = np.zeros((160, 160), dtype=bool)
    line[80, 20:140] = True
    field = np.where(line, 90, 230).astype(np.float32)
    assert fine_texture(field, line) is None
    assert fine_texture(field, np.zeros_like(line)) is None
