"""Fitting the classifier again, the last layer alone, to whole fields.

Shared contract: features are float (N, C), the inputs of the classifier. A network that sees leukocytes alone trains
mostly on canvases that several fields share; what its blocks measure holds for whole fields, where its classifier lies
a little off.

Source: Kirichenko et al. 2022, Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations,
https://arxiv.org/abs/2204.02937
"""

from __future__ import annotations

import numpy as np
import torch

from leuk_hf.errors import DataError

PENALTY = 0.02
_NOTHING = 0.05  # weight of what follows, as a share of all fields'


def fit_classifier(
    features: np.ndarray, labels: np.ndarray, *, num_classes: int, penalty: float = PENALTY
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a multinomial logistic regression in which every class weighs the same.

    Features that are all 0, what a field without leukocytes gives, are taught to speak for every class alike.

    Args:
        features: Of the training part.
        labels: int (N,), at least one field of each class.
        num_classes: K.
        penalty: L2 penalty on the weights of standardised features, beside the mean loss; > 0.

    Returns:
        Weight float32 (K, C) and bias (K,), of features as they are, rounded to half precision: so released files
        hold what was fitted.

    Raises:
        DataError: If scikit-learn is not installed, or a class has no field.
        ValueError: If penalty is out of range.
    """
    if not penalty > 0:
        raise ValueError(f"penalty is {penalty}; give a number above 0")
    try:
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError:
        raise DataError('scikit-learn is not installed; run: pip install -e ".[calibrate]"') from None
    counts = np.bincount(labels, minlength=num_classes)
    if not counts.all():
        raise DataError(f"class {int(counts.argmin())} has no training field; give some of every class")
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 1e-6 * np.abs(features).max(), deviation, np.inf)  # a constant tells nothing
    standardised = np.concatenate([features, np.zeros((num_classes, features.shape[1]))]) - mean
    standardised /= scale
    share = len(labels) / num_classes
    weights = np.concatenate([share / counts[labels], np.full(num_classes, _NOTHING * share)])
    fitted = LogisticRegression(C=1 / (penalty * len(labels)), max_iter=5000, tol=1e-6).fit(
        standardised, np.concatenate([labels, np.arange(num_classes)]), sample_weight=weights
    )
    # Of two classes scikit-learn gives the one difference.
    coefficients = fitted.coef_ if num_classes > 2 else np.concatenate([-fitted.coef_, fitted.coef_]) / 2
    intercepts = fitted.intercept_ if num_classes > 2 else np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2
    weight = coefficients / scale
    bias = intercepts - weight @ mean
    return tuple(torch.from_numpy(values).half().float() for values in (weight, bias))  # type: ignore[return-value]
