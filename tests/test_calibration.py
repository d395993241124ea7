"""Temperature, reliability and conformal sets, by value."""

import numpy as np
import pytest

from leuk_hf import metrics
from leuk_hf.calibration import fit_bias, fit_temperature, reliability_bins, smoothed_targets
from leuk_hf.conformal import fit_quantiles, near_quantile, prediction_set
from leuk_hf.errors import DataError
from leuk_hf.plots import plot_reliability_diagram
from leuk_hf.prediction import softmax


def drawn(seed, count, sharpness):
    """Logits whose softmax at temperature `sharpness` is the truth that the labels are drawn from."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (count, 4))
    labels = (softmax(logits).cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return logits * sharpness, labels


def smoothed_loss(logits, labels, temperature):
    return -(smoothed_targets(labels, logits.shape[1]) * np.log(softmax(logits / temperature))).sum(axis=1).mean()


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_temperature_agrees_with_another_optimiser(sharpness):
    optimize = pytest.importorskip("scipy.optimize")
    logits, labels = drawn(0, 400, sharpness)
    found = optimize.minimize_scalar(
        lambda log: smoothed_loss(logits, labels, np.exp(log)), bounds=(-4.6, 4.6), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    assert fit_temperature(logits, labels) == pytest.approx(np.exp(found.x), rel=1e-5)


def test_temperature_undoes_overconfidence():
    logits, labels = drawn(1, 20000, 3.0)
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(3.0, rel=0.05)
    before, after = softmax(logits), softmax(logits / temperature)
    assert metrics.expected_calibration_error(before, labels) > 0.1
    assert metrics.expected_calibration_error(after, labels) < 0.015


def test_temperature_stays_sane_where_nothing_is_wrong():
    logits, labels = np.eye(4)[np.arange(100) % 4] * 5, np.arange(100) % 4
    probabilities = softmax(logits / fit_temperature(logits, labels))
    # (N + 1) / (N + 2) of N fields, what Platt's targets ask for; without them it would be 1.
    assert probabilities.max(axis=1) == pytest.approx(np.full(100, 101 / 102), abs=1e-6)


def test_temperature_is_bounded():
    labels = np.arange(40) % 4
    assert fit_temperature(np.eye(4)[labels] * 1e-4, labels) == pytest.approx(0.01)
    assert fit_temperature(np.eye(4)[(labels + 1) % 4] * 50, labels) == pytest.approx(100)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(np.zeros((0, 4)), np.zeros(0, int)), (np.zeros((2, 4)), np.zeros(3, int)), (np.full((1, 4), np.nan), [0])],
)
def test_temperature_needs_fields(logits, labels):
    with pytest.raises(ValueError, match="logits have shape"):
        fit_temperature(logits, labels)


def test_reliability_bins_by_hand_and_against_the_error(tmp_path):
    top = np.array([0.5, 0.6, 0.8, 0.9])
    probabilities = np.stack([top, 1 - top], axis=1)
    bins = reliability_bins(probabilities, np.array([1, 0, 0, 0]), num_bins=2)
    np.testing.assert_allclose(bins, [(2, 0.55, 0.5), (2, 0.85, 1.0)])
    logits, labels = drawn(2, 100, 2.0)
    bins = reliability_bins(softmax(logits), labels)
    gap = sum(each.num_fields * abs(each.confidence - each.accuracy) for each in bins) / 100
    assert gap == pytest.approx(metrics.expected_calibration_error(softmax(logits), labels))
    plot_reliability_diagram(bins, tmp_path / "reliability.png", title="test")
    assert (tmp_path / "reliability.png").stat().st_size > 1000


def calibration_fields(of_first, of_second):
    """Two classes; each class's probabilities on its own fields."""
    first = np.stack([of_first, 1 - np.asarray(of_first)], axis=1)
    second = np.stack([1 - np.asarray(of_second), of_second], axis=1)
    return np.concatenate([first, second]), np.repeat([0, 1], [len(of_first), len(of_second)])


def test_quantiles_by_hand():
    pytest.importorskip("crepes")
    # 19 fields: the 19th smallest nonconformity of ceil(20 * 0.95) = 19, so the lowest probability of all.
    # 39 fields: ceil(40 * 0.95) = 38, so the second lowest. Fewer than 19 promise nothing: every set has the class.
    low = np.linspace(0.30, 0.48, 19)
    probabilities, labels = calibration_fields(low, np.linspace(0.60, 0.98, 39))
    assert fit_quantiles(probabilities, labels) == pytest.approx((0.30, 0.61))
    probabilities, labels = calibration_fields(low[:18], np.linspace(0.60, 0.98, 39))
    assert fit_quantiles(probabilities, labels) == pytest.approx((0.0, 0.61))
    assert fit_quantiles(probabilities, labels, coverage=0.75) == pytest.approx((low[3], 0.60 + 0.01 * 9))


def test_ties_are_covered():
    pytest.importorskip("crepes")
    probabilities, labels = calibration_fields(np.full(40, 0.9), np.full(40, 1.0))
    assert fit_quantiles(probabilities, labels) == pytest.approx((0.9, 1.0))


def test_certainty_by_hand():
    pytest.importorskip("crepes")
    # With the lowest of n as the limit, coverage exceeds 0.95 in a share 1 - 0.95^n of draws: 0.9006 for 45.
    values = np.linspace(0.5, 0.94, 45)
    assert 1 - 0.95**44 < 0.9 < 1 - 0.95**45
    probabilities, labels = calibration_fields(values, values[:44])
    assert fit_quantiles(probabilities, labels, certainty=0.9) == pytest.approx((0.5, 0.0))
    assert fit_quantiles(probabilities, labels) == pytest.approx((values[1], values[1]))


def test_coverage_of_every_class():
    pytest.importorskip("crepes")
    generator = np.random.default_rng(0)
    covered, sizes = np.zeros(2), []
    for _ in range(60):
        # The second class is harder; one threshold for both would cover it too seldom.
        def fields(count):
            return calibration_fields(generator.beta(8, 1, count), generator.beta(2, 1, count))

        probabilities, labels = fields(60)
        quantiles = fit_quantiles(probabilities, labels)
        probabilities, labels = fields(100)
        sets = [prediction_set(row, quantiles) for row in probabilities]
        sizes += [len(each) for each in sets]
        for label in (0, 1):
            covered[label] += np.mean(
                [label in each for each, true in zip(sets, labels, strict=True) if true == label]
            )
    # 58 of 61 ranks: 0.951 on average; the argmax, always in, adds to it.
    assert (covered / 60 > 0.94).all()
    assert 1 <= np.mean(sizes) < 2


def test_sets_hold_the_best_class_and_are_sorted():
    assert prediction_set(np.array([0.2, 0.5, 0.3]), (0.1, 0.9, 0.3)) == (1, 2, 0)
    assert prediction_set(np.array([0.2, 0.5, 0.3]), (0.9, 0.9, 0.9)) == (1,)
    assert prediction_set(np.array([0.5, 0.5]), (0.5, 0.5)) == (0, 1)


def test_near_quantile():
    assert near_quantile(np.array([0.7, 0.3]), (0.5, 0.305), 0.01)
    assert not near_quantile(np.array([0.7, 0.3]), (0.5, 0.35), 0.01)


def test_what_cannot_be_fitted_is_said():
    pytest.importorskip("crepes")
    probabilities, labels = calibration_fields([0.9, 0.8], [0.7, 0.6])
    with pytest.raises(DataError, match="class 1 has no calibration field"):
        fit_quantiles(probabilities[:2], labels[:2])
    with pytest.raises(ValueError, match="coverage is 1"):
        fit_quantiles(probabilities, labels, coverage=1)
    with pytest.raises(ValueError, match="certainty is 0"):
        fit_quantiles(probabilities, labels, certainty=0)


def drawn_with_bias(number, bias, seed=0):
    """Logits whose labels are drawn after a bias was added and all was sharpened by 1.7."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (number, 4))
    chances = softmax(1.7 * (logits + bias))
    return logits, (chances.cumsum(axis=1) < generator.random((number, 1))).sum(axis=1)


def test_bias_is_found_again_whatever_the_temperature():
    bias = np.array([0.8, -0.5, 0.1, -0.4])
    logits, labels = drawn_with_bias(20_000, bias)
    # Every class counts the same, so that each is weighed by how rare it is; the labels' shares are nearly equal here.
    weighed = fit_bias(logits, labels)
    shares = np.bincount(labels) / len(labels)
    expected = bias - np.log(shares) / 1.7
    np.testing.assert_allclose(weighed, expected - expected.mean(), atol=0.06)
    assert weighed.sum() == pytest.approx(0, abs=1e-9)
    moved = fit_bias(logits + np.array([0.5, 0, 0, -0.5]), labels)
    np.testing.assert_allclose(moved, weighed - np.array([0.5, 0, 0, -0.5]), atol=0.01)


def test_classes_that_lie_apart_need_no_bias():
    labels = np.arange(80) % 4
    logits = np.eye(4)[labels] * 9.0
    assert np.abs(fit_bias(logits, labels)).max() < 0.01


def test_bias_mends_a_class_that_is_named_too_often():
    logits, labels = drawn_with_bias(4000, np.zeros(4), seed=3)
    leaning = logits + np.array([0, 0, 1.2, 0])
    mended = leaning + fit_bias(leaning, labels)

    def right(scores):
        return np.mean([(scores.argmax(axis=1) == labels)[labels == label].mean() for label in range(4)])

    assert right(mended) > right(leaning) + 0.03 and right(mended) == pytest.approx(right(logits), abs=0.01)


def test_bias_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="give finite"):
        fit_bias(np.full((3, 4), np.nan), np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match=r"labels \(2,\)"):
        fit_bias(np.zeros((3, 4)), np.zeros(2, dtype=int))
