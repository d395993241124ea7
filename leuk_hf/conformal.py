"""Prediction sets that hold the true class in a promised share of the fields of every class.

Shared contract: probabilities are float (N, K) after the temperature; quantiles are K probabilities: a class belongs
to a field's set when its probability is at least the class's quantile. They are fitted to calibration fields, class by
class (label-conditional or Mondrian split conformal prediction), so rare classes are covered as well as common ones.
The promise holds for fields drawn like the calibration fields: other laboratories' are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leuk_hf.errors import DataError

COVERAGE = 0.95
_STRICTLY = 1e-9  # crepes takes in what has a p-value of exactly 1 - confidence, but for rounding; one field too many


def fit_quantiles(
    probabilities: np.ndarray, labels: np.ndarray, *, coverage: float = COVERAGE, certainty: float | None = None
) -> tuple[float, ...]:
    """Fit for each class the least probability with which it belongs to a set.

    The p-values are those of crepes' Mondrian conformal classifier, not smoothed, with the nonconformity 1 -
    probability of the class. A class of few fields may need the quantile 0: it is then in every set.

    Args:
        probabilities: float (N, K), of the calibration part.
        labels: int (N,).
        coverage: Share of each class's fields whose sets are to hold it, in (0, 1): on average over draws of the
            calibration part.
        certainty: If given, in (0, 1): coverage is to hold for this share of such draws, not only on average.

    Returns:
        K probabilities.

    Raises:
        DataError: If crepes is not installed, or a class has no calibration field.
        ValueError: If coverage or certainty is out of range.

    Source:
        Vovk 2012, "Conditional validity of inductive conformal predictors",
        https://proceedings.mlr.press/v25/vovk12.html (label-conditional: section 3; certainty: proposition 2a);
        Sadinle et al. 2019, https://arxiv.org/abs/1609.00451 (the score).
    """
    for name, value in (("coverage", coverage), ("certainty", certainty)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} is {value}; give a number between 0 and 1")
    try:
        from crepes import ConformalClassifier
    except ModuleNotFoundError:
        raise DataError('crepes is not installed; run: pip install -e ".[calibrate]"') from None
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    nonconformity = 1 - probabilities[np.arange(len(labels)), labels]
    fitted = ConformalClassifier().fit(nonconformity, bins=labels)
    quantiles = []
    for label in range(probabilities.shape[1]):
        own = probabilities[labels == label, label]
        if not len(own):
            raise DataError(f"class {label} has no calibration field; its sets cannot be fitted")
        # Whether a class belongs to a set changes only at probabilities that occurred; 0 is in for want of fields.
        candidates = np.unique(np.append(own, 0.0))
        confidence = coverage if certainty is None else _certain_confidence(len(own), coverage, certainty)
        belongs = fitted.predict_set(
            (1 - candidates)[:, None],
            bins=np.full(len(candidates), label),
            confidence=confidence - _STRICTLY,
            smoothing=False,
        )[:, 0].astype(bool)
        quantiles.append(float(candidates[belongs].min()))
    return tuple(quantiles)


def prediction_set(probabilities: np.ndarray, quantiles: Sequence[float]) -> tuple[int, ...]:
    """Choose the classes of one field's set.

    Args:
        probabilities: float (K,).
        quantiles: K, from `fit_quantiles`.

    Returns:
        Class indices, the most probable first; that one is always among them.
    """
    order = np.argsort(-probabilities, kind="stable").tolist()
    return (order[0], *(index for index in order[1:] if probabilities[index] >= quantiles[index]))


def near_quantile(probabilities: np.ndarray, quantiles: Sequence[float], margin: float) -> bool:
    """Tell whether a set hangs on less than a margin of probability.

    Args:
        probabilities: float (K,).
        quantiles: K, from `fit_quantiles`.
        margin: Of probability.
    """
    return bool((np.abs(probabilities - np.asarray(quantiles)) <= margin).any())


def _certain_confidence(count: int, coverage: float, certainty: float) -> float:
    """Give the least confidence at which the coverage of a class with this many fields is certain enough."""
    from scipy.stats import beta  # crepes brings it

    # With the r-th smallest nonconformity as the limit, coverage over draws is Beta(r, count + 1 - r).
    ranks = np.arange(1, count + 1)
    certain = ranks[beta.sf(coverage, ranks, count + 1 - ranks) >= certainty]
    # Half a step above the p-value of the next field out; without a rank that will do every class is in.
    return (certain[0] - 0.5) / (count + 1) if len(certain) else 1 - 0.5 / (count + 1)
