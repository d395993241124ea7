"""Probabilities that mean what they say: the temperature, and how far confidence and accuracy are apart.

Shared contract: logits are float (N, K), labels int (N,) in [0, K), probabilities float (N, K) with rows summing to 1.
What is fitted is fitted to the calibration part, whose fields neither trained the network nor chose its epoch; where
no field chose that, because the last epoch is kept, to the validation part as well.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 100.0  # what `checkpoint_io.check_temperature` takes
_STEPS = 100
_BIAS_PENALTY = 1e-3


class ReliabilityBin(NamedTuple):
    """Fields of about the same confidence.

    Args:
        num_fields: In the bin.
        confidence: Their mean top probability.
        accuracy: Share of them whose most probable class is right.
    """

    num_fields: int
    confidence: float
    accuracy: float


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit what logits are divided by, so that probabilities agree with how often they are right.

    The cross-entropy is minimised by L-BFGS in float64. As in Platt's scaling, each label counts as N + 1 of N + 2
    observations: on N fields that are all right the best temperature would else be 0 and every probability 1.

    Args:
        logits: float (N, K), before the temperature.
        labels: int (N,).

    Returns:
        From 0.01 to 100.

    Raises:
        ValueError: If there is no field, shapes do not fit or a logit is not finite.

    Source:
        Guo et al. 2017, https://arxiv.org/abs/1706.04599; the targets: Platt 1999, "Probabilistic outputs for support
        vector machines", section 2.2.
    """
    import torch  # here: serving needs this module's neighbours, not torch

    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if logits.ndim != 2 or not len(logits) or labels.shape != logits.shape[:1] or not np.isfinite(logits).all():
        raise ValueError(
            f"logits have shape {logits.shape}, labels {labels.shape}; give finite (N, K) and (N,), N > 0"
        )
    values = torch.from_numpy(logits)
    targets = torch.from_numpy(smoothed_targets(labels, logits.shape[1]))
    lowest, highest = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_temperature], max_iter=_STEPS, tolerance_grad=1e-10, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        # The loss is convex in 1 / temperature, so the bound nearest to an optimum outside is the best allowed.
        temperature = log_temperature.clamp(lowest, highest).exp()
        loss = -(targets * torch.log_softmax(values / temperature, dim=1)).sum(dim=1).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return min(max(math.exp(log_temperature.item()), LOWEST_TEMPERATURE), HIGHEST_TEMPERATURE)


def fit_bias(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Fit what is added to each class's logit, so that no class is named more often than it should be.

    Trained on crowds of cells in changed optics, every class as often, a network leans to some classes on fields as
    they come. Temperature and bias are fitted together, every class counting the same; only the bias is given.

    Args:
        logits: float (N, K), before any temperature.
        labels: int (N,).

    Returns:
        float64 (K,), in units of the logits, mean 0.

    Raises:
        ValueError: If shapes do not fit or a logit is not finite.

    Source:
        Bias-corrected temperature scaling: Alexandari et al. 2020, https://arxiv.org/abs/1901.06852
    """
    import torch

    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not np.isfinite(logits).all():
        raise ValueError(f"logits have shape {logits.shape}, labels {labels.shape}; give finite (N, K) and (N,)")
    counts = np.maximum(np.bincount(labels, minlength=logits.shape[1]), 1)
    values, weights = torch.from_numpy(logits), torch.from_numpy(1 / (len(counts) * counts[labels]))
    targets = torch.from_numpy(smoothed_targets(labels, logits.shape[1]))
    log_slope = torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(logits.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_slope, bias], max_iter=_STEPS, tolerance_grad=1e-10, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )
    lowest, highest = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        scaled = (values + bias) * log_slope.clamp(lowest, highest).exp()
        losses = -(targets * torch.log_softmax(scaled, dim=1)).sum(dim=1)
        # Where classes lie apart no bias is better than another; the penalty then leaves it at 0.
        loss = (weights * losses).sum() + _BIAS_PENALTY * bias.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    fitted = bias.detach().numpy()
    return fitted - fitted.mean()


def smoothed_targets(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Give the probabilities that N labels are fitted to: (N + 1) / (N + 2) for each one's class; float64 (N, K)."""
    rest = 1 / (len(labels) + 2)
    targets = np.full((len(labels), num_classes), rest / (num_classes - 1))
    targets[np.arange(len(labels)), labels] = 1 - rest
    return targets


def reliability_bins(
    probabilities: np.ndarray, labels: np.ndarray, *, num_bins: int = 15
) -> tuple[ReliabilityBin, ...]:
    """Sort fields by confidence into bins of equal counts, those of `metrics.expected_calibration_error`.

    Args:
        probabilities: float (N, K).
        labels: int (N,), N at least 1.
        num_bins: At most; fewer fields make fewer bins.

    Returns:
        The bins, the least confident first.
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.array_split(np.argsort(top, kind="stable"), min(num_bins, len(top)))
    return tuple(ReliabilityBin(len(rows), float(top[rows].mean()), float(right[rows].mean())) for rows in bins)
