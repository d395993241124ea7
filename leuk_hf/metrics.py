"""Metrics of a classifier on labelled fields, pure functions on arrays.

Shared contract: probabilities are float (N, K), rows summing to 1; labels and predictions are int (N,) in
[0, K); confusion matrices have true classes as rows. Values are shares in [0, 1]; a ratio with nothing below
the line is NaN, never 0; the Brier score alone is in [0, 2]. Intervals are two-sided 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Z95 = 1.959963984540054  # 97.5 % point of the normal distribution


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Count fields: int (K, K), rows true, columns predicted."""
    flat = np.asarray(labels) * num_classes + np.asarray(predictions)
    return np.bincount(flat, minlength=num_classes**2).reshape(num_classes, num_classes)


def accuracy(confusion: np.ndarray) -> float:
    """Share of fields predicted right."""
    return _ratio(np.trace(confusion), confusion.sum())


def sensitivity(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's fields that are found (recall): (K,)."""
    return _ratios(np.diag(confusion), confusion.sum(axis=1))


def specificity(confusion: np.ndarray) -> np.ndarray:
    """Share of all other fields that are not taken for the class: (K,)."""
    negatives = confusion.sum() - confusion.sum(axis=1)
    false_positives = confusion.sum(axis=0) - np.diag(confusion)
    return _ratios(negatives - false_positives, negatives)


def precision(confusion: np.ndarray) -> np.ndarray:
    """Share of the fields predicted as the class that are of it: (K,)."""
    return _ratios(np.diag(confusion), confusion.sum(axis=0))


def f1(confusion: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and sensitivity: (K,)."""
    return _ratios(2 * np.diag(confusion), confusion.sum(axis=1) + confusion.sum(axis=0))


def balanced_accuracy(confusion: np.ndarray) -> float:
    """Mean sensitivity over the classes that have fields."""
    return float(np.nanmean(sensitivity(confusion))) if confusion.sum() else float("nan")


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur as label or prediction."""
    return float(np.nanmean(f1(confusion))) if confusion.sum() else float("nan")


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores higher, ties counting half.

    Args:
        scores: float (N,).
        positive: bool (N,).
    """
    scores, positive = np.asarray(scores), np.asarray(positive, dtype=bool)
    num_positive, num_negative = positive.sum(), (~positive).sum()
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    return _ratio(
        mean_rank[inverse][positive].sum() - num_positive * (num_positive + 1) / 2,
        num_positive * num_negative,
    )


def roc_curve(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Trace the ROC curve from (0, 0) to (1, 1): 1 - specificity and sensitivity at every threshold.

    Args:
        scores: float (N,).
        positive: bool (N,), both values occurring.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    sorted_scores, hits = np.asarray(scores)[order], np.asarray(positive, dtype=bool)[order]
    last_of_tie = np.r_[np.diff(sorted_scores) != 0, True]
    found, false_alarms = np.cumsum(hits)[last_of_tie], np.cumsum(~hits)[last_of_tie]
    return np.r_[0.0, false_alarms / (~hits).sum()], np.r_[0.0, found / hits.sum()]


def sensitivity_at_specificity(
    probabilities: np.ndarray, labels: np.ndarray, *, negative: int = 0, specificity: float = 0.95
) -> float:
    """Share of the positive fields (all classes but one) found while `specificity` of the negative ones are spared.

    The score of a field is 1 - probability of the negative class, and it is called positive when its score is at
    least the threshold. The threshold is the lowest of the fields' own scores that leaves at least `specificity` of
    the negative fields strictly below it. Fields of one score fall on one side: ties are neither split nor
    interpolated. If no score will do, nothing is called positive, and the share is 0. So the threshold comes from the
    fields it is judged on: a point of their ROC curve, not an operating point fixed beforehand.

    Args:
        probabilities: float (N, K).
        labels: int (N,).
        negative: Index of the negative class.
        specificity: Least share of the negative fields to spare, in [0, 1].

    Returns:
        NaN without a positive or without a negative field.
    """
    positive = np.asarray(labels) != negative
    num_negative = int((~positive).sum())
    if not num_negative or num_negative == len(positive):
        return math.nan
    false_alarms, found = roc_curve(1 - probabilities[:, negative], positive)
    allowed = math.floor((1 - specificity) * num_negative + 1e-9)  # fields; (1 - 0.9) * 10 is a little less than 1
    return float(found[np.rint(false_alarms * num_negative) <= allowed].max())


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance between probabilities and truth, summed over the classes: 0 is best, 2 worst.

    Source: Brier 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    truth = np.eye(probabilities.shape[1])[np.asarray(labels)]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean()) if len(truth) else math.nan


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, *, num_bins: int = 15) -> float:
    """Mean gap between top probability and accuracy over bins of equal field counts (adaptive).

    Source: Nguyen & O'Connor 2015, https://arxiv.org/abs/1508.05154.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    num_bins = min(num_bins, len(top))
    order = np.argsort(top, kind="stable")
    larger = len(top) % num_bins  # bins that hold one field more, as `numpy.array_split` has it
    starts = np.arange(num_bins) * (len(top) // num_bins) + np.minimum(np.arange(num_bins), larger)
    return float(np.abs(np.add.reduceat((top - right)[order], starts)).sum() / len(top))


def wilson_interval(successes: float, trials: float) -> tuple[float, float]:
    """Bound a share by the Wilson score interval (Wilson 1927); honest at 0 and at 1."""
    if trials == 0:
        return float("nan"), float("nan")
    share = successes / trials
    denominator = 1 + Z95**2 / trials
    centre = (share + Z95**2 / (2 * trials)) / denominator
    half = Z95 * np.sqrt(share * (1 - share) / trials + Z95**2 / (4 * trials**2)) / denominator
    # At 0 and 1 the bound is exact; rounding must not move it past the share.
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == trials else centre + half)


def balanced_accuracy_interval(confusion: np.ndarray) -> tuple[float, float]:
    """Bound the balanced accuracy by combining the classes' Wilson intervals (Zou & Donner 2008, MOVER).

    A bootstrap would give [1, 1] when every field is right.
    """
    totals = confusion.sum(axis=1)
    rows = np.flatnonzero(totals)
    if not len(rows):
        return float("nan"), float("nan")
    shares = np.diag(confusion)[rows] / totals[rows]
    bounds = np.array([wilson_interval(confusion[row, row], totals[row]) for row in rows])
    centre = float(shares.mean())
    below = float(np.sqrt(((shares - bounds[:, 0]) ** 2).sum())) / len(rows)
    above = float(np.sqrt(((bounds[:, 1] - shares) ** 2).sum())) / len(rows)
    return max(0.0, centre - below), min(1.0, centre + above)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], groups: np.ndarray, *, seed: int, num_resamples: int = 1000
) -> tuple[float, float]:
    """Bound one statistic; see `bootstrap_intervals`."""
    bounds = bootstrap_intervals(lambda rows: [statistic(rows)], groups, seed=seed, num_resamples=num_resamples)
    return float(bounds[0, 0]), float(bounds[0, 1])


def bootstrap_intervals(
    statistics: Callable[[np.ndarray], Sequence[float]], groups: np.ndarray, *, seed: int, num_resamples: int = 1000
) -> np.ndarray:
    """Bound statistics by the percentile bootstrap over groups (Efron & Tibshirani 1993), all on the same resamples.

    Args:
        statistics: Function of row indices (repeats allowed) that gives the values, always the same M.
        groups: (N,) group per row; rows of a group are drawn together. `np.arange(N)` if rows are independent.
        seed: Of the resampling.
        num_resamples: Of a statistic, resamples whose value is NaN are left out.

    Returns:
        float64 (M, 2), lower and upper bounds.
    """
    generator = np.random.default_rng(seed)
    _, inverse = np.unique(groups, return_inverse=True)
    order, sizes = np.argsort(inverse, kind="stable"), np.bincount(inverse)
    starts = np.cumsum(sizes) - sizes
    values = []
    for _ in range(num_resamples):
        drawn = generator.integers(len(sizes), size=len(sizes))
        lengths = sizes[drawn]
        ends = np.cumsum(lengths)  # of each drawn group among the rows drawn
        values.append(statistics(order[np.repeat(starts[drawn] - ends + lengths, lengths) + np.arange(ends[-1])]))
    columns = np.array(values, dtype=np.float64).T
    bounds = np.full((len(columns), 2), math.nan)
    known = ~np.isnan(columns).all(axis=1)
    bounds[known] = np.nanpercentile(columns[known], [2.5, 97.5], axis=1).T
    return bounds


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")


def _ratios(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    undefined = np.full(len(numerators), math.nan)
    return np.divide(numerators, denominators, out=undefined, where=np.asarray(denominators) != 0)
