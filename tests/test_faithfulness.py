"""The scores of an explanation are what their formulas say, on maps whose scores are known beforehand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr

from leuk_hf.faithfulness import (
    centre_map,
    deletion_and_insertion,
    neutral_field,
    perfect_map,
    pixel_order,
    pointing_score,
    random_map,
    rank_correlation,
    share_on_leukocytes,
)
from leuk_hf.visualization import to_heatmap


@pytest.fixture
def mask() -> np.ndarray:
    """One leukocyte: rows 8 to 15 and columns 16 to 23 of 32 by 32."""
    mask = np.zeros((32, 32), dtype=bool)
    mask[8:16, 16:24] = True
    return mask


def test_a_map_without_differences_scores_the_area(mask):
    assert share_on_leukocytes(np.ones((4, 4)), mask) == pytest.approx(64 / 1024)
    assert share_on_leukocytes(np.ones((32, 32)), mask) == pytest.approx(64 / 1024)


def test_the_perfect_map_at_full_size_scores_one(mask):
    perfect = perfect_map(mask, (32, 32))
    assert np.array_equal(perfect, mask)
    assert share_on_leukocytes(perfect, mask) == 1
    assert pointing_score(perfect, mask) == 1


def test_the_perfect_map_is_the_mean_of_the_mask_over_each_place(mask):
    expected = mask.reshape(4, 8, 2, 16).mean(axis=(1, 3))
    np.testing.assert_allclose(perfect_map(mask, (4, 2)), expected)
    # Grids that do not divide the field share pixels between places; nothing is lost.
    assert perfect_map(mask, (7, 5)).mean() == pytest.approx(64 / 1024, rel=1e-5)


def test_a_coarse_perfect_map_spills_over_by_its_interpolation(mask):
    """By hand: one hot place of 8 pixels, tents of bilinear interpolation on both axes."""
    tent = np.interp(np.arange(32) + 0.5, np.arange(4) * 8 + 4, [0, 1, 0, 0])
    across = np.interp(np.arange(32) + 0.5, np.arange(4) * 8 + 4, [0, 0, 1, 0])
    expected = (tent[8:16].sum() / tent.sum()) * (across[16:24].sum() / across.sum())
    score = share_on_leukocytes(perfect_map(mask, (4, 4)), mask)
    assert score == pytest.approx(expected, rel=1e-5)
    assert score == pytest.approx(0.75**2, rel=1e-5)
    assert score < share_on_leukocytes(perfect_map(mask, (8, 8)), mask) < 1


def test_what_is_scored_is_the_heatmap_that_is_shown(mask):
    attribution = np.random.default_rng(3).normal(size=(5, 5))
    heatmap = to_heatmap(attribution, (32, 32))
    expected = heatmap[mask].sum() / heatmap.sum()
    assert share_on_leukocytes(attribution, mask) == pytest.approx(expected, rel=1e-5)
    # Clipping after enlarging would be another score.
    enlarged = np.maximum(cv2.resize(attribution, (32, 32)), 0)
    assert abs(share_on_leukocytes(attribution, mask) - enlarged[mask].sum() / enlarged.sum()) > 1e-3


def test_negative_attribution_counts_for_nothing(mask):
    attribution = np.where(mask, 1.0, -5.0)
    assert share_on_leukocytes(attribution, mask) == 1
    assert share_on_leukocytes(-attribution, mask) == 0
    assert pointing_score(-attribution, mask) == 0


def test_masks_need_not_be_square():
    mask = np.zeros((10, 40), dtype=bool)
    mask[:, 30:] = True
    attribution = np.zeros((1, 4))
    attribution[0, 3] = 2
    assert share_on_leukocytes(attribution, mask) == pytest.approx(0.875 * 10 / (0.875 * 10 + 0.125 * 10), rel=0.02)
    assert pointing_score(attribution, mask) == 1
    assert perfect_map(mask, (1, 4)).tolist() == [[0, 0, 0, 1]]


@pytest.mark.parametrize("score", [share_on_leukocytes, pointing_score])
def test_undefined_scores_are_nan(mask, score):
    assert math.isnan(score(-np.ones((4, 4)), mask))
    assert math.isnan(score(np.zeros((4, 4)), mask))
    assert math.isnan(score(np.ones((4, 4)), np.zeros_like(mask)))


def test_equally_hot_pixels_share_the_hit(mask):
    attribution = np.zeros((32, 32))
    attribution[10, 20] = attribution[0, 0] = attribution[31, 31] = attribution[0, 31] = 7
    assert pointing_score(attribution, mask) == 0.25
    assert pointing_score(np.ones((8, 8)), mask) == pytest.approx(64 / 1024)


def test_a_grid_too_coarse_for_small_cells_points_beside_them():
    """Two small cells in one place make it hottest, and its middle is between them: the oracle is below 1."""
    mask = np.zeros((32, 32), dtype=bool)
    mask[8:16, 8:10] = mask[8:16, 14:16] = True
    assert pointing_score(perfect_map(mask, (4, 4)), mask) == 0
    assert pointing_score(perfect_map(mask, (16, 16)), mask) == 1


def test_reference_maps():
    centre = centre_map((5, 9))
    assert centre.shape == (5, 9) and centre.dtype == np.float32
    assert np.unravel_index(centre.argmax(), centre.shape) == (2, 4)
    assert centre.min() == centre[0, 0] > 0
    np.testing.assert_allclose(centre, centre[::-1, ::-1])
    first, same, other = (random_map((6, 4), np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (6, 4) and np.array_equal(first, same) and not np.array_equal(first, other)
    assert first.min() >= 0 and first.max() < 1


def test_pixels_are_ordered_from_hot_to_cold_then_from_indifferent_to_contrary():
    attribution = np.array([[0.0, -3.0], [5.0, 1.0]])
    assert pixel_order(attribution, (2, 2)).tolist() == [2, 3, 0, 1]
    order = pixel_order(np.random.default_rng(0).normal(size=(4, 4)), (16, 12))
    assert sorted(order.tolist()) == list(range(16 * 12))


def test_the_neutral_field_has_colour_and_no_edges():
    field = np.full((3, 64, 64), 0.5, dtype=np.float32)
    field[:, 24:40, 24:40] = -2  # as large as the largest leukocytes
    field[1] += 1
    neutral = neutral_field(field)
    assert neutral.dtype == np.float32 and neutral.shape == field.shape
    assert np.ptp(neutral[0]) < 0.5 * np.ptp(field[0])
    assert np.abs(np.diff(neutral, axis=1)).max() < 0.1  # of 2.5 at the cell's edge
    assert neutral[1].mean() - neutral[0].mean() == pytest.approx(1, abs=1e-3)  # its colour stays
    np.testing.assert_allclose(neutral_field(np.full((3, 32, 32), 0.25, np.float32)), 0.25, rtol=1e-5)


def brightness_under(mask):
    """A classifier whose probability is the share of the mask that is still as in the field of ones."""
    return lambda fields: fields[:, 0, mask].mean(axis=1)


def curves_of(attribution, mask, num_steps):
    field, neutral = np.ones((3, 32, 32), np.float32), np.zeros((3, 32, 32), np.float32)
    order = pixel_order(attribution, (32, 32))
    return deletion_and_insertion(brightness_under(mask), field, neutral, order, num_steps=num_steps)


def test_deletion_and_insertion_of_a_perfect_a_contrary_and_a_blind_map(mask):
    """The mask is one sixteenth of the field: with 16 steps the perfect map deletes it whole in the first step."""
    perfect = curves_of(mask.astype(float), mask, 16)
    assert perfect.probability == 1 and perfect.neutral_probability == 0
    assert perfect.deletion == pytest.approx(0.5 / 16)
    assert perfect.insertion == pytest.approx(1 - 0.5 / 16)
    contrary = curves_of(-mask.astype(float), mask, 16)
    assert contrary.deletion == pytest.approx(1 - 0.5 / 16)
    assert contrary.insertion == pytest.approx(0.5 / 16)
    blind = [curves_of(random_map((32, 32), np.random.default_rng(seed)), mask, 16) for seed in range(20)]
    assert np.mean([curves.deletion for curves in blind]) == pytest.approx(0.5, abs=0.02)
    assert np.mean([curves.insertion for curves in blind]) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_deletion_and_insertion_against_the_loop_of_the_paper(num_steps):
    generator = np.random.default_rng(5)
    field, neutral = generator.normal(size=(2, 3, 12, 10)).astype(np.float32)
    weights, order = generator.normal(size=(3, 12, 10)), generator.permutation(120)

    def probability_of(fields):
        return 1 / (1 + np.exp(-(fields * weights).sum(axis=(1, 2, 3)) / 10))

    expected = {}
    for name, start, end in (("deletion", field, neutral), ("insertion", neutral, field)):
        curve = []
        for step in range(num_steps + 1):
            changed, places = start.copy().reshape(3, -1), order[: round(step * 120 / num_steps)]
            changed[:, places] = end.reshape(3, -1)[:, places]
            curve.append(probability_of(changed.reshape(1, 3, 12, 10))[0])
        expected[name] = (
            np.trapezoid(curve, dx=1 / num_steps) if hasattr(np, "trapezoid") else np.trapz(curve, dx=1 / num_steps)
        )
    curves = deletion_and_insertion(probability_of, field, neutral, order, num_steps=num_steps)
    assert curves.deletion == pytest.approx(expected["deletion"], rel=1e-6)
    assert curves.insertion == pytest.approx(expected["insertion"], rel=1e-6)
    assert curves.probability == pytest.approx(probability_of(field[None])[0])
    assert curves.neutral_probability == pytest.approx(probability_of(neutral[None])[0])


def test_rank_correlation_is_spearmans():
    generator = np.random.default_rng(0)
    for _ in range(5):
        first = generator.integers(-3, 4, size=(5, 5)).astype(float)  # many ties
        second = first + generator.integers(-2, 3, size=(5, 5))
        expected = spearmanr(first.ravel(), second.ravel()).statistic
        assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)


def test_rank_correlation_sees_order_alone():
    values = np.random.default_rng(1).normal(size=(4, 6))
    assert rank_correlation(values, np.exp(values) + 3) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert math.isnan(rank_correlation(values, np.zeros((4, 6))))
