"""What evaluating a classifier gave: the answers to labelled fields, and figures with intervals.

Shared contract: a figure is {"value", "interval"}, a share in [0, 1] (the Brier score in [0, 2], a set's mean size
from 1 to K); what is not known is None. Intervals are 95 %, by bootstrap over groups. Where no resample differs, as
when every field is right, that would claim a certainty that nobody has: then a share has the Wilson interval with each
of its groups as one trial, balanced accuracy the combination of its classes', and any other figure none.
"""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leuk_hf import metrics
from leuk_hf.calibration import reliability_bins
from leuk_hf.errors import DataError
from leuk_hf.files import replacing
from leuk_hf.labels import CLASS_NAMES

NEGATIVE_CLASS = CLASS_NAMES[0]  # Benign; all other classes are malignant
MALIGNANT = "malignant_sensitivity_at_95_specificity"
_Key = tuple[str, ...]  # place of a figure in the summary


@dataclasses.dataclass(frozen=True)
class Results:
    """What evaluating gave.

    Args:
        class_names: In index order.
        paths: (N,) name of each field.
        labels: int (N,).
        probabilities: float (N, K).
        groups: (N,) fields of one group are not independent; by default each is its own.
        logits: float (N, K), before the temperature; None if not known.
        answered: bool (N,), False where the classifier refuses; None if it cannot.
        prediction_sets: bool (N, K), True for the classes in a field's prediction set; None without sets.
    """

    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    logits: np.ndarray | None = None
    answered: np.ndarray | None = None
    prediction_sets: np.ndarray | None = None

    @property
    def confusion(self) -> np.ndarray:
        """Counts, int (K, K), rows true."""
        return metrics.confusion_matrix(self.labels, self.probabilities.argmax(axis=1), len(self.class_names))

    def select(self, rows: np.ndarray) -> Results:
        """Keep some fields.

        Args:
            rows: Indices or bool (N,).
        """
        indices = np.arange(len(self.labels))[rows]
        arrays = ("labels", "probabilities", "groups", "logits", "answered", "prediction_sets")
        kept: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[indices] for name in arrays
        }
        return dataclasses.replace(self, paths=tuple(self.paths[index] for index in indices.tolist()), **kept)

    def summary(self, *, seed: int = 0) -> dict[str, Any]:
        """Compute all figures; see `summarise`."""
        return summarise([self], seed=seed)


def summarise(runs: Sequence[Results], *, seed: int = 0, num_resamples: int = 1000) -> dict[str, Any]:
    """Compute all figures of one or several networks' answers to the same fields.

    Args:
        runs: Of several seeds, for one. A figure is the mean of theirs; in every resample all of them answer the
            same fields.
        seed: Of the bootstrap.
        num_resamples: Of the bootstrap.

    Returns:
        JSON types: num_fields, num_runs, class_names, metrics, per_class, confusion_matrix (rows true, summed over the
        runs), reliability (bins of `reliability_bins`, of all runs together), and where the runs know them
        with_refusal (share answered, accuracies of the answered) and prediction_sets (coverage, mean_size).

    Raises:
        DataError: If there is no run, or the runs answered different fields.
    """
    if not runs or any(sorted(run.paths) != sorted(runs[0].paths) for run in runs[1:]):
        raise DataError("figures of several runs need runs that were tested on the same fields")
    everything = concatenate(runs)
    run_of = np.repeat(np.arange(len(runs)), [len(run.labels) for run in runs])
    values = _mean([_values(run) for run in runs])
    keys = list(values)

    def resampled(rows: np.ndarray) -> list[float]:
        drawn = [_values(everything, rows[run_of[rows] == run]) for run in range(len(runs))]
        return list(_mean(drawn).values())

    bounds = metrics.bootstrap_intervals(resampled, everything.groups, seed=seed, num_resamples=num_resamples)
    names, first = everything.class_names, runs[0]
    content: dict[str, Any] = {
        "num_fields": len(first.labels),
        "num_runs": len(runs),
        "class_names": list(names),
        "metrics": {},
        "per_class": {name: {"num_fields": int((first.labels == index).sum())} for index, name in enumerate(names)},
        "confusion_matrix": everything.confusion.tolist(),
        "reliability": [
            {name: round(value, 6) for name, value in each._asdict().items()}
            for each in reliability_bins(everything.probabilities, everything.labels)
        ],
    }
    for key, (low, high) in zip(keys, bounds.tolist(), strict=True):
        place = content
        for part in key[:-1]:
            place = place.setdefault(part, {})
        interval = (low, high) if low < high else _degenerate_interval(everything, key, values[key])
        place[key[-1]] = figure(values[key], interval)
    return content


def concatenate(runs: Sequence[Results]) -> Results:
    """Join the answers of several networks, such as those of all folds, each tested on other fields.

    Args:
        runs: At least one, with the same classes. What one of them does not know, the joined results do not either.

    Raises:
        DataError: If the classes differ.
    """
    names = runs[0].class_names
    if any(run.class_names != names for run in runs):
        raise DataError("results with different classes cannot be joined; evaluate the same classes")

    def joined(name: str) -> Any:
        arrays = [getattr(run, name) for run in runs]
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    paths = tuple(path for run in runs for path in run.paths)
    arrays = ("labels", "probabilities", "groups", "logits", "answered", "prediction_sets")
    return Results(names, paths, **{name: joined(name) for name in arrays})


def figure(value: float, interval: tuple[float, float] | None) -> dict[str, Any]:
    """Write a value and its bounds as JSON types; None for what is not known.

    Args:
        value: NaN if undefined.
        interval: Lower and upper bound, None or NaN if not known.
    """

    def known(number: float) -> float | None:
        return None if math.isnan(number) else round(float(number), 6)

    unknown = interval is None or any(math.isnan(bound) for bound in interval)
    return {"value": known(value), "interval": None if unknown else [known(bound) for bound in interval or ()]}


def write_predictions(path: Path, results: Results) -> None:
    """Write the answers as CSV: file, true, predicted, a probability per class, group, and what else is known.

    Args:
        path: The CSV file; numbers come back bit-equal by `read_predictions`.
        results: The answers.
    """
    names = results.class_names
    extra: list[tuple[list[str], np.ndarray]] = []
    if results.logits is not None:
        extra.append(([f"logit {name}" for name in names], results.logits))
    if results.answered is not None:
        extra.append((["answered"], results.answered[:, None].astype(int)))
    if results.prediction_sets is not None:
        extra.append(([f"set {name}" for name in names], results.prediction_sets.astype(int)))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "true", "predicted", *names, "group", *(name for part, _ in extra for name in part)])
        for row, (name, label) in enumerate(zip(results.paths, results.labels.tolist(), strict=True)):
            probabilities = results.probabilities[row]
            more = [value for _, values in extra for value in values[row].tolist()]
            predicted = names[probabilities.argmax()]
            writer.writerow([name, names[label], predicted, *probabilities.tolist(), results.groups[row], *more])


def read_predictions(path: Path | str) -> Results:
    """Read what `write_predictions` wrote; groups come back as text.

    Raises:
        DataError: If the file is no such table.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        names = tuple(header[3 : header.index("group")])
        index = {name: column for column, name in enumerate(header)}

        def numbers(columns: Sequence[str]) -> np.ndarray | None:
            if not set(columns) <= set(header):
                return None
            return np.array([[float(row[index[name]]) for name in columns] for row in rows]).reshape(-1, len(columns))

        answered, sets = numbers(["answered"]), numbers([f"set {name}" for name in names])
        return Results(
            names,
            tuple(row[0] for row in rows),
            np.array([names.index(row[1]) for row in rows], dtype=np.int64),
            np.array([row[3 : 3 + len(names)] for row in rows], dtype=np.float64).reshape(-1, len(names)),
            np.array([row[index["group"]] for row in rows], dtype=np.str_),
            logits=numbers([f"logit {name}" for name in names]),
            answered=None if answered is None else answered[:, 0].astype(bool),
            prediction_sets=None if sets is None else sets.astype(bool),
        )
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
        raise DataError(f"{path} is no table of predictions ({error}); evaluate again") from error


def _values(results: Results, rows: np.ndarray | None = None) -> dict[_Key, float]:
    """Compute every figure of some rows (all by default), by its place in the summary."""
    chosen = slice(None) if rows is None else rows
    names, labels, probabilities = results.class_names, results.labels[chosen], results.probabilities[chosen]
    predictions, count = probabilities.argmax(axis=1), len(names)
    confusion = metrics.confusion_matrix(labels, predictions, count)
    areas = [metrics.auroc(probabilities[:, index], labels == index) for index in range(count)]
    values: dict[_Key, float] = {
        ("metrics", "accuracy"): metrics.accuracy(confusion),
        ("metrics", "balanced_accuracy"): metrics.balanced_accuracy(confusion),
        ("metrics", "macro_f1"): metrics.macro_f1(confusion),
        ("metrics", "mean_auroc"): _known_mean(areas),
    }
    if NEGATIVE_CLASS in names:
        values["metrics", MALIGNANT] = metrics.sensitivity_at_specificity(
            probabilities, labels, negative=names.index(NEGATIVE_CLASS)
        )
    error = metrics.expected_calibration_error(probabilities, labels) if len(labels) else math.nan
    values["metrics", "expected_calibration_error"] = error
    values["metrics", "brier_score"] = metrics.brier_score(probabilities, labels)
    of_classes = {"sensitivity": metrics.sensitivity, "specificity": metrics.specificity,
                  "precision": metrics.precision, "f1": metrics.f1}  # fmt: skip
    shares = {kind: compute(confusion) for kind, compute in of_classes.items()} | {"auroc": np.array(areas)}
    if results.answered is not None:
        answered = results.answered[chosen]
        kept = metrics.confusion_matrix(labels[answered], predictions[answered], count)
        values["with_refusal", "answered"] = _known_mean(answered)
        values["with_refusal", "accuracy"] = metrics.accuracy(kept)
        values["with_refusal", "balanced_accuracy"] = metrics.balanced_accuracy(kept)
        shares["answered"] = _shares_by_class(answered, labels, count)
    if results.prediction_sets is not None:
        sets = results.prediction_sets[chosen]
        covered = sets[np.arange(len(labels)), labels]
        values["prediction_sets", "coverage"] = _known_mean(covered)
        values["prediction_sets", "mean_size"] = _known_mean(sets.sum(axis=1))
        shares["coverage"] = _shares_by_class(covered, labels, count)
    for kind, row in shares.items():
        values |= {("per_class", name, kind): float(value) for name, value in zip(names, row, strict=True)}
    return values


def _degenerate_interval(results: Results, key: _Key, value: float) -> tuple[float, float] | None:
    """Bound a figure that no resample changes, by its groups; None for what is no share."""
    labels, predictions = results.labels, results.probabilities.argmax(axis=1)
    answered = np.ones(len(labels), dtype=bool) if results.answered is None else results.answered
    counted: dict[_Key, np.ndarray] = {
        ("metrics", "accuracy"): labels >= 0,
        ("with_refusal", "answered"): labels >= 0,
        ("with_refusal", "accuracy"): answered,
        ("prediction_sets", "coverage"): labels >= 0,
    }
    if NEGATIVE_CLASS in results.class_names:
        counted["metrics", MALIGNANT] = labels != results.class_names.index(NEGATIVE_CLASS)
    for index, name in enumerate(results.class_names):
        own = labels == index
        kinds = {"sensitivity": own, "specificity": ~own, "precision": predictions == index, "answered": own,
                 "coverage": own}  # fmt: skip
        counted |= {("per_class", name, kind): rows for kind, rows in kinds.items()}
    if math.isnan(value):
        return None
    if key[-1] == "balanced_accuracy":
        rows = answered if key[0] == "with_refusal" else labels >= 0
        return _balanced_interval(results, rows, predictions)
    if key not in counted:
        return None
    trials = len(np.unique(results.groups[counted[key]]))
    return metrics.wilson_interval(value * trials, trials)


def _balanced_interval(results: Results, rows: np.ndarray, predictions: np.ndarray) -> tuple[float, float]:
    count = len(results.class_names)
    confusion = np.zeros((count, count))
    for index in range(count):
        own = rows & (results.labels == index)
        trials = len(np.unique(results.groups[own]))
        right = trials * float((predictions[own] == index).mean()) if trials else 0.0
        confusion[index, index], confusion[index, (index + 1) % count] = right, trials - right
    return metrics.balanced_accuracy_interval(confusion)


def _shares_by_class(hits: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    totals = np.bincount(labels, minlength=count)
    found = np.bincount(labels, weights=hits, minlength=count)
    return np.divide(found, totals, out=np.full(count, math.nan), where=totals > 0)


def _mean(several: Sequence[dict[_Key, float]]) -> dict[_Key, float]:
    keys = [key for key in several[0] if all(key in values for values in several)]
    return {key: _known_mean([values[key] for values in several]) for key in keys}


def _known_mean(values: Any) -> float:
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    return float(numbers.mean()) if len(numbers) else math.nan
