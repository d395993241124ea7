"""Metrics of a classifier on labelled fields, pure functions on arrays.

Shared contract: probabilities are float (N, K), rows summing to 1; labels and predictions are int (N,) in
[0, K); confusion matrices have true classes as rows. Values are shares in [0, 1]; a ratio with nothing below
the line is NaN, never 0. Intervals are two-sided 95 %.
"""

from __future__ import annotations

from collections.abc import Callable

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


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, *, num_bins: int = 15) -> float:
    """Mean gap between top probability and accuracy over bins of equal field counts (adaptive).

    Source: Nguyen & O'Connor 2015, https://arxiv.org/abs/1508.05154.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.array_split(np.argsort(top, kind="stable"), min(num_bins, len(top)))
    return float(sum(len(rows) * abs(top[rows].mean() - right[rows].mean()) for rows in bins) / len(top))


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
    """Bound a statistic by the percentile bootstrap over groups (Efron & Tibshirani 1993).

    Args:
        statistic: Function of row indices (repeats allowed) that gives the value.
        groups: (N,) group per row; rows of a group are drawn together. `np.arange(N)` if rows are independent.
        seed: Of the resampling.
        num_resamples: Resamples whose value is NaN are left out.
    """
    generator = np.random.default_rng(seed)
    _, inverse = np.unique(groups, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    values = []
    for _ in range(num_resamples):
        drawn = generator.integers(len(members), size=len(members))
        values.append(statistic(np.concatenate([members[index] for index in drawn])))
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")


def _ratios(numerators: np.ndarray, denominators: np.ndarray) -> np.ndarray:
    return np.array([_ratio(above, below) for above, below in zip(numerators, denominators, strict=True)])
