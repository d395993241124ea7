"""What an audit found: figures by row, plain findings, and the table that shows them.

Shared contract: shares lie in [0, 1]; intervals are two-sided 95 %, Wilson's for shares and their combination over
classes for balanced accuracy, fields counted as independent (those of one slide are not quite, so the truth is a
little wider). Figures are {"value", "interval"}.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from leuk_hf import metrics
from leuk_hf.audit_findings import Finding, judge
from leuk_hf.audit_rows import Row
from leuk_hf.audit_tables import audit_table


@dataclasses.dataclass(frozen=True, eq=False)
class RowResult:
    """A classifier's answers to one row.

    Args:
        row: What was asked.
        probabilities: float (N, K).
        answered: bool (N,), or None for a classifier that cannot refuse.
        donors: int (N,), class index of the donor, -1 for none.
    """

    row: Row
    probabilities: np.ndarray
    answered: np.ndarray | None
    donors: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """Most probable class, also where refused: int (N,)."""
        return self.probabilities.argmax(axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class AuditReport:
    """All answers of one audit.

    Args:
        class_names: In index order.
        names: (N,) of the fields, sorted; all answers are in this order.
        labels: int (N,) true classes.
        results: One per row, the untouched fields first.
        checks: Whether removal and sham did what they claim.
        seed: Of the audit.
    """

    class_names: tuple[str, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    results: tuple[RowResult, ...]
    checks: dict[str, Any]
    seed: int

    def figures(self, name: str) -> dict[str, Any]:
        """Compute the figures of one row.

        Args:
            name: Of the row.

        Returns:
            JSON types: accuracy, balanced_accuracy, changed (predictions that differ from the untouched field's),
            followed_donor (predictions that are the donor's class; None without donors), followed_by_chance (the share
            that would be if, within each true class, predictions and donors were paired at random), refused (None for
            a classifier that cannot), mean_top_probability, confusion_matrix (rows true).

        Raises:
            KeyError: If the row was not audited.
        """
        return self._figures[name]

    @cached_property
    def _figures(self) -> dict[str, dict[str, Any]]:
        clean = self.results[0].predictions
        return {result.row.name: self._of(result, clean) for result in self.results}

    def _of(self, result: RowResult, clean: np.ndarray) -> dict[str, Any]:
        predictions, count = result.predictions, len(self.labels)
        confusion = metrics.confusion_matrix(self.labels, predictions, len(self.class_names))
        borrowed = result.donors >= 0

        def share(hits: np.ndarray) -> dict[str, Any]:
            return figure(hits.mean(), metrics.wilson_interval(int(hits.sum()), len(hits)))

        return {
            "section": result.row.section,
            "question": result.row.question,
            "num_fields": count,
            "accuracy": share(predictions == self.labels),
            "balanced_accuracy": figure(
                metrics.balanced_accuracy(confusion), metrics.balanced_accuracy_interval(confusion)
            ),
            "changed": share(predictions != clean),
            "followed_donor": share(predictions[borrowed] == result.donors[borrowed]) if borrowed.any() else None,
            "followed_by_chance": self._by_chance(predictions, result.donors),
            "refused": None if result.answered is None else share(~result.answered),
            "mean_top_probability": round(float(result.probabilities.max(axis=1).mean()), 6),
            "confusion_matrix": confusion.tolist(),
        }

    def _by_chance(self, predictions: np.ndarray, donors: np.ndarray) -> float | None:
        borrowed, total = donors >= 0, 0.0
        if not borrowed.any():
            return None
        for label in np.unique(self.labels[borrowed]):
            own = borrowed & (self.labels == label)
            answers, lent = (np.bincount(of[own], minlength=len(self.class_names)) for of in (predictions, donors))
            total += float(answers @ lent) / int(own.sum())
        return round(total / int(borrowed.sum()), 6)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Judge the figures by fixed rules; see `leuk_hf.audit_findings`."""
        return judge(self._figures, len(np.unique(self.labels)))

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the single answers as JSON types, for results.json."""
        return {
            "num_fields": len(self.labels),
            "num_fields_of_class": {
                name: int((self.labels == index).sum()) for index, name in enumerate(self.class_names)
            },
            "seed": self.seed,
            "rows": self._figures,
            "checks": self.checks,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def to_markdown(self) -> str:
        """Write the findings and the table."""
        return audit_table(self.to_dict())


def figure(value: float, interval: tuple[float, float]) -> dict[str, Any]:
    """Give a share and its interval as JSON types."""
    return {"value": round(float(value), 6), "interval": [round(float(bound), 6) for bound in interval]}
