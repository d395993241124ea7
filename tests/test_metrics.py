"""Metrics agree with scikit-learn, also on degenerate counts; intervals agree with tables and theory."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from leuk_hf import metrics


def random_case(seed: int, size: int = 60, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, size)
    guesses = generator.integers(0, classes, size)
    return labels, np.where(generator.random(size) < 0.6, labels, guesses)


CASES = {
    "random 0": random_case(0),
    "random 1": random_case(1, size=7),
    "random 2": random_case(2, size=1000),
    "all right": (np.arange(12) % 4, np.arange(12) % 4),
    "all wrong": (np.arange(12) % 4, (np.arange(12) + 1) % 4),
    "one class": (np.full(5, 2), np.full(5, 2)),
    "class without fields": (np.array([0, 1, 1, 3]), np.array([0, 1, 2, 3])),
    "class never predicted": (np.array([0, 1, 2, 3]), np.array([0, 0, 2, 3])),
    "one field": (np.array([1]), np.array([3])),
}
every_case = pytest.mark.parametrize(("labels", "predictions"), CASES.values(), ids=CASES.keys())


@every_case
def test_counts_match_scikit_learn(labels, predictions):
    expected = reference.confusion_matrix(labels, predictions, labels=range(4))
    assert np.array_equal(metrics.confusion_matrix(labels, predictions, 4), expected)


@every_case
def test_overall_figures_match_scikit_learn(labels, predictions):
    confusion = metrics.confusion_matrix(labels, predictions, 4)
    assert metrics.accuracy(confusion) == pytest.approx(reference.accuracy_score(labels, predictions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes without fields
        expected = reference.balanced_accuracy_score(labels, predictions)
    assert metrics.balanced_accuracy(confusion) == pytest.approx(expected)
    assert metrics.macro_f1(confusion) == pytest.approx(reference.f1_score(labels, predictions, average="macro"))


@every_case
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.sensitivity, reference.recall_score),
        (metrics.precision, reference.precision_score),
        (metrics.f1, reference.f1_score),
    ],
    ids=["sensitivity", "precision", "f1"],
)
def test_class_figures_match_scikit_learn(labels, predictions, ours, theirs):
    expected = theirs(labels, predictions, labels=range(4), average=None, zero_division=np.nan)
    np.testing.assert_allclose(ours(metrics.confusion_matrix(labels, predictions, 4)), expected, equal_nan=True)


def test_specificity_by_hand():
    confusion = np.array([[5, 1, 0], [2, 3, 1], [0, 0, 8]])
    # Class 0: 14 others, 2 of them taken for it; and so on.
    np.testing.assert_allclose(metrics.specificity(confusion), [12 / 14, 13 / 14, 11 / 12])


def test_specificity_without_other_fields_is_undefined():
    assert np.isnan(metrics.specificity(np.array([[3, 1], [0, 0]]))[0])


def test_no_fields_give_no_figures():
    empty = np.zeros((4, 4), dtype=int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [metrics.accuracy(empty), metrics.balanced_accuracy(empty), metrics.macro_f1(empty)]
        assert np.isnan([*figures, *metrics.balanced_accuracy_interval(empty), *metrics.wilson_interval(0, 0)]).all()


SCORES = {
    "continuous": lambda generator: generator.random(80),
    "ties": lambda generator: generator.integers(0, 5, 80) / 4,
    "all tied": lambda generator: np.full(80, 0.25),
    "single precision": lambda generator: generator.random(80).astype(np.float32),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("positives", [1, 30, 79])
def test_roc_matches_scikit_learn(kind, positives):
    generator = np.random.default_rng(positives)
    positive = generator.permutation(np.arange(80) < positives)
    scores = SCORES[kind](generator)
    expected = reference.roc_auc_score(positive, scores)
    assert metrics.auroc(scores, positive) == pytest.approx(expected)
    false_alarms, found = metrics.roc_curve(scores, positive)
    assert np.trapezoid(found, false_alarms) == pytest.approx(expected)
    assert (false_alarms[0], found[0], false_alarms[-1], found[-1]) == (0, 0, 1, 1)
    expected_curve = reference.roc_curve(positive, scores, drop_intermediate=False)[:2]
    np.testing.assert_allclose((false_alarms, found), expected_curve)


def test_auroc_with_one_kind_of_field_is_undefined():
    assert np.isnan(metrics.auroc(np.array([0.1, 0.9]), np.array([True, True])))
    assert np.isnan(metrics.auroc(np.array([0.1, 0.9]), np.array([False, False])))


FOUR_ROWS = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])


def test_calibration_error_by_hand():
    labels = np.array([0, 1, 1, 1])  # right but for the second
    # Bins by top probability: {0.6 wrong, 0.7 right} and {0.8 right, 0.9 right}.
    expected = (abs(0.65 - 0.5) + abs(0.85 - 1.0)) / 2
    assert metrics.expected_calibration_error(FOUR_ROWS, labels, num_bins=2) == pytest.approx(expected)
    assert metrics.expected_calibration_error(FOUR_ROWS, labels, num_bins=1) == pytest.approx(abs(0.75 - 0.75))
    one_row_a_bin = (0.6 + 0.3 + 0.2 + 0.1) / 4
    assert metrics.expected_calibration_error(FOUR_ROWS, labels) == pytest.approx(one_row_a_bin)


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("wanted", [0.0, 0.5, 0.9, 0.95, 1.0])
def test_sensitivity_at_specificity_matches_the_roc_of_scikit_learn(kind, wanted):
    generator = np.random.default_rng(3)
    labels = generator.permutation(np.arange(80) % 4)  # 20 negatives: 0.05 of them is exactly one field
    probabilities = np.zeros((80, 4))
    probabilities[:, 2] = SCORES[kind](generator).astype(np.float64) * 0.5 - 0.2 * (labels != 2)
    false_alarms, found, thresholds = reference.roc_curve(
        labels != 2, 1 - probabilities[:, 2], drop_intermediate=False
    )
    allowed = false_alarms <= 1 - wanted + 1e-9
    actual = metrics.sensitivity_at_specificity(probabilities, labels, negative=2, specificity=wanted)
    assert actual == found[allowed].max()
    threshold = thresholds[allowed][found[allowed].argmax()]  # as documented: at least the threshold is positive
    called = 1 - probabilities[:, 2] >= threshold
    assert called[labels != 2].mean() == actual and (~called)[labels == 2].mean() >= wanted - 1e-9


def test_sensitivity_at_specificity_by_hand():
    # Scores 1 - probability: 20 negatives at 0.00 ... 0.19, positives at 0.18 (tied with a negative), 0.185 and 0.9.
    benign = np.r_[1 - np.arange(20) / 100, 1 - 0.18, 1 - 0.185, 1 - 0.9]
    probabilities = np.stack([benign, 1 - benign], axis=1)
    labels = np.r_[np.zeros(20, dtype=int), 1, 1, 1]

    def at(specificity: float) -> float:
        return metrics.sensitivity_at_specificity(probabilities, labels, negative=0, specificity=specificity)

    assert at(0.95) == 2 / 3  # one negative may be above: 0.19; the tie at 0.18 would let in a second
    assert at(0.96) == 1 / 3 and at(0.9) == 1.0
    tied = np.full((4, 2), 0.5)  # nothing but ties: no threshold spares a negative
    assert metrics.sensitivity_at_specificity(tied, np.array([0, 0, 1, 1]), negative=0) == 0.0
    for one_kind in (np.zeros(4, dtype=int), np.ones(4, dtype=int)):
        assert np.isnan(metrics.sensitivity_at_specificity(tied, one_kind, negative=0))


@pytest.mark.parametrize("classes", [2, 4])
def test_brier_score_matches_scikit_learn(classes):
    generator = np.random.default_rng(classes)
    probabilities = generator.dirichlet(np.ones(classes), 50)
    labels = generator.integers(0, classes, 50)
    expected = reference.brier_score_loss(labels, probabilities, labels=range(classes), scale_by_half=False)
    assert metrics.brier_score(probabilities, labels) == pytest.approx(expected)


def test_brier_score_at_its_ends():
    sure = np.eye(3)
    assert metrics.brier_score(sure, np.arange(3)) == 0 and metrics.brier_score(sure, np.array([1, 2, 0])) == 2
    assert np.isnan(metrics.brier_score(np.zeros((0, 3)), np.zeros(0, dtype=int)))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (10, 10, 0.7225, 1.0),
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (1, 1, 0.2065, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
    ],
)
def test_wilson_interval_matches_published_values(successes, trials, low, high):
    assert metrics.wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-5)


def test_wilson_interval_is_exact_at_its_ends():
    assert metrics.wilson_interval(37, 37)[1] == 1.0
    assert metrics.wilson_interval(0, 37)[0] == 0.0


@every_case
def test_balanced_accuracy_interval_contains_the_value(labels, predictions):
    confusion = metrics.confusion_matrix(labels, predictions, 4)
    low, high = metrics.balanced_accuracy_interval(confusion)
    assert 0 <= low <= metrics.balanced_accuracy(confusion) <= high <= 1
    assert low < high


def test_balanced_accuracy_interval_is_no_point_when_all_are_right():
    low, high = metrics.balanced_accuracy_interval(np.diag([10, 10, 10, 10]))
    # Four classes at [0.7225, 1]: the half width shrinks by the square root of four.
    assert (low, high) == pytest.approx((1 - 0.27754 / 2, 1.0), abs=1e-4)


def test_balanced_accuracy_interval_of_one_class_is_wilson():
    assert metrics.balanced_accuracy_interval(np.diag([0, 8, 0])) == pytest.approx(metrics.wilson_interval(8, 8))


VALUES = np.random.default_rng(5).normal(3, 1, 200)


def mean_of_values(rows: np.ndarray) -> float:
    return float(VALUES[rows].mean())


def test_bootstrap_repeats_and_depends_on_its_seed():
    first = metrics.bootstrap_interval(mean_of_values, np.arange(200), seed=1, num_resamples=200)
    assert metrics.bootstrap_interval(mean_of_values, np.arange(200), seed=1, num_resamples=200) == first
    assert metrics.bootstrap_interval(mean_of_values, np.arange(200), seed=2, num_resamples=200) != first


def test_bootstrap_of_a_mean_is_about_two_standard_errors():
    low, high = metrics.bootstrap_interval(mean_of_values, np.arange(200), seed=0)
    standard_error = VALUES.std() / np.sqrt(200)
    assert (low, high) == pytest.approx(
        (VALUES.mean() - 1.96 * standard_error, VALUES.mean() + 1.96 * standard_error), abs=0.25 * standard_error
    )


def test_bootstrap_draws_groups_together():
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    drawn = []

    def record(rows: np.ndarray) -> float:
        drawn.append(np.bincount(rows, minlength=6))
        return 0.0

    metrics.bootstrap_interval(record, groups, seed=0, num_resamples=50)
    counts = np.array(drawn)
    for name in "abc":
        members = counts[:, groups == name]
        assert (members == members[:, :1]).all()
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(counts, axis=0)) > 3


def test_bootstrap_of_a_single_group_is_a_point():
    low, high = metrics.bootstrap_interval(mean_of_values, np.zeros(200), seed=0, num_resamples=50)
    assert low == high == pytest.approx(VALUES.mean())


def test_bootstrap_of_several_statistics_bounds_each_as_alone():
    def both(rows: np.ndarray) -> list[float]:
        return [mean_of_values(rows), float("nan"), float(VALUES[rows].max())]

    bounds = metrics.bootstrap_intervals(both, np.arange(200), seed=4, num_resamples=100)
    alone = metrics.bootstrap_interval(mean_of_values, np.arange(200), seed=4, num_resamples=100)
    assert tuple(bounds[0]) == alone and np.isnan(bounds[1]).all() and bounds[2, 1] == VALUES.max()


def test_bootstrap_leaves_undefined_resamples_out():
    undefined = iter([float("nan"), 1.0, 2.0, float("nan")])
    low, high = metrics.bootstrap_interval(lambda rows: next(undefined), np.arange(3), seed=0, num_resamples=4)
    assert 1 <= low < high <= 2
