"""The in-distribution scores that were tried, so that `in_distribution`'s choice can be made again on other data.

Shared contract: a candidate is fitted to training fields alone and then scores any; arrays are float64; scores are
(N,), higher = more like the training fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch

from leuk_hf import metrics
from leuk_hf.in_distribution import fit_in_distribution

_RIDGE = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class Described:
    """What a forward pass tells of some images.

    Args:
        logits: (N, K).
        features: (N, C).
        statistics: (N, S), from `field_statistics`.
    """

    logits: np.ndarray
    features: np.ndarray
    statistics: np.ndarray

    @property
    def joined(self) -> np.ndarray:
        """Features and statistics side by side: (N, C + S)."""
        return np.concatenate([self.features, self.statistics], axis=1)


Score = Callable[[Described], np.ndarray]


def candidates(training: Described, labels: np.ndarray, *, dims: int, neighbours: int = 10) -> dict[str, Score]:
    """Fit every candidate.

    Args:
        training: Of the training part.
        labels: int (N,).
        dims: Of the subspaces.
        neighbours: The k of kNN.

    Returns:
        Name -> scoring function.
    """
    return {
        "energy (Liu et al. 2020)": lambda described: _energy(described.logits),
        "Mahalanobis, features (Lee et al. 2018)": _mahalanobis(training.features, labels, dims, "features"),
        "relative Mahalanobis, features (Ren et al. 2021)": _relative(training.features, labels, dims),
        "kNN, features (Sun et al. 2022)": _nearest(training.features, neighbours),
        "Mahalanobis, statistics": _mahalanobis(training.statistics, labels, dims, "statistics"),
        "Mahalanobis, features and statistics": _joined(training, labels, dims),
    }


def compare(
    scores: Mapping[str, Score],
    calibration: Described,
    usable: Described,
    foreign: Mapping[str, Described],
    share: float,
) -> list[dict[str, object]]:
    """Measure every candidate on images that are to be refused.

    Args:
        scores: From `candidates`.
        calibration: Sets the threshold: `share` of these are refused.
        usable: Fields to be answered, of neither training nor calibration.
        foreign: Name -> images to be refused.
        share: In (0, 1).

    Returns:
        One row each: score, usable_refused, and for each name of foreign {"auroc", "refused"}.
    """
    rows: list[dict[str, object]] = []
    for name, score in scores.items():
        threshold = np.quantile(score(calibration), share)
        kept = score(usable)
        row: dict[str, object] = {"score": name, "usable_refused": float((kept < threshold).mean())}
        for other, described in foreign.items():
            found = score(described)
            positive = np.repeat([True, False], [len(kept), len(found)])
            row[other] = {
                "auroc": metrics.auroc(np.concatenate([kept, found]), positive),
                "refused": float((found < threshold).mean()),
            }
        rows.append(row)
    return rows


def _energy(logits: np.ndarray) -> np.ndarray:
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))


def _joined(training: Described, labels: np.ndarray, dims: int) -> Score:
    num_features = training.features.shape[1]
    fitted = _fit(training.joined, labels, dims, num_features)
    return lambda described: _distance_score(described.joined, *fitted)


def _mahalanobis(vectors: np.ndarray, labels: np.ndarray, dims: int, source: str) -> Score:
    fitted = _fit(vectors, labels, min(dims, vectors.shape[1]), vectors.shape[1])
    return lambda described: _distance_score(getattr(described, source), *fitted)


def _relative(vectors: np.ndarray, labels: np.ndarray, dims: int) -> Score:
    by_class = _fit(vectors, labels, dims, vectors.shape[1])
    overall = _fit(vectors, np.zeros_like(labels), dims, vectors.shape[1])
    return lambda described: (
        _distance_score(described.features, *by_class) - _distance_score(described.features, *overall)
    )


def _fit(
    vectors: np.ndarray, labels: np.ndarray, dims: int, num_features: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    state = fit_in_distribution(
        torch.from_numpy(np.ascontiguousarray(vectors)),
        torch.from_numpy(np.ascontiguousarray(labels)),
        num_features=num_features,
        num_classes=int(labels.max()) + 1,
        dims=dims,
    )
    centre, whitening, means = (state[name].double().numpy() for name in ("centre", "whitening", "class_means"))
    return centre, whitening, means


def _distance_score(
    vectors: np.ndarray, centre: np.ndarray, whitening: np.ndarray, class_means: np.ndarray
) -> np.ndarray:
    whitened = (vectors - centre) @ whitening
    return -np.square(whitened[:, None] - class_means[None]).mean(axis=2).min(axis=1)


def _nearest(training: np.ndarray, neighbours: int) -> Score:
    known = _unit(training)

    def score(described: Described) -> np.ndarray:
        cosines = _unit(described.features) @ known.T
        nth = np.sort(cosines, axis=1)[:, -min(neighbours, len(known))]
        return -np.sqrt(np.maximum(0, 2 - 2 * nth))

    return score


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + _RIDGE)
