"""Evaluating a classifier on labelled fields: figures with intervals, and the pictures that go with them.

Shared contract: every figure is {"value", "interval"}, shares in [0, 1]; what is not known is None. Shares have Wilson
intervals, balanced accuracy the combination of its classes' (never the empty interval a bootstrap gives at 1),
macro-F1, AUROC and calibration error a bootstrap over groups.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm

from leuk_hf import metrics
from leuk_hf.backends import Predictor, as_predictor
from leuk_hf.data import class_names_of, read_image, without_decoding
from leuk_hf.errors import DataError
from leuk_hf.explanation import explain
from leuk_hf.files import write_json
from leuk_hf.plots import plot_confusion_matrix, plot_panel, plot_roc_curves
from leuk_hf.prediction import softmax

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet


@dataclasses.dataclass(frozen=True)
class Results:
    """What evaluating gave.

    Args:
        class_names: In index order.
        paths: (N,) name of each field.
        labels: int (N,).
        probabilities: float (N, K).
        groups: (N,) fields of one group are not independent; by default each is its own.
    """

    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray

    @property
    def confusion(self) -> np.ndarray:
        """Counts, int (K, K), rows true."""
        return metrics.confusion_matrix(self.labels, self.probabilities.argmax(axis=1), len(self.class_names))

    def summary(self, *, seed: int = 0) -> dict[str, Any]:
        """Compute all figures.

        Args:
            seed: Of the bootstrap.

        Returns:
            JSON types: num_fields, metrics, per_class, confusion_matrix (rows true), class_names.
        """
        return {
            "num_fields": len(self.labels),
            "class_names": list(self.class_names),
            "metrics": self._overall(seed),
            "per_class": {name: self._of_class(index, seed) for index, name in enumerate(self.class_names)},
            "confusion_matrix": self.confusion.tolist(),
        }

    def _overall(self, seed: int) -> dict[str, Any]:
        confusion, labels, probabilities = self.confusion, self.labels, self.probabilities
        predictions, count = probabilities.argmax(axis=1), len(self.class_names)

        def resampled_f1(rows: np.ndarray) -> float:
            return metrics.macro_f1(metrics.confusion_matrix(labels[rows], predictions[rows], count))

        def mean_auroc(rows: np.ndarray) -> float:
            areas = [metrics.auroc(probabilities[rows, index], labels[rows] == index) for index in range(count)]
            return float(np.nanmean(areas)) if not np.isnan(areas).all() else math.nan

        def calibration_error(rows: np.ndarray) -> float:
            return metrics.expected_calibration_error(probabilities[rows], labels[rows])

        everything = np.arange(len(labels))
        right = int(np.trace(confusion))
        return {
            "accuracy": _figure(metrics.accuracy(confusion), metrics.wilson_interval(right, len(labels))),
            "balanced_accuracy": _figure(
                metrics.balanced_accuracy(confusion), metrics.balanced_accuracy_interval(confusion)
            ),
            **{
                name: _figure(statistic(everything), metrics.bootstrap_interval(statistic, self.groups, seed=seed))
                for name, statistic in (
                    ("macro_f1", resampled_f1),
                    ("mean_auroc", mean_auroc),
                    ("expected_calibration_error", calibration_error),
                )
            },
        }

    def _of_class(self, index: int, seed: int) -> dict[str, Any]:
        confusion = self.confusion
        positives, predicted, found = confusion[index].sum(), confusion[:, index].sum(), confusion[index, index]
        negatives = confusion.sum() - positives
        scores, positive = self.probabilities[:, index], self.labels == index
        predictions = self.probabilities.argmax(axis=1)

        def area(rows: np.ndarray) -> float:
            return metrics.auroc(scores[rows], positive[rows])

        def f1(rows: np.ndarray) -> float:
            resampled = metrics.confusion_matrix(self.labels[rows], predictions[rows], len(self.class_names))
            return float(metrics.f1(resampled)[index])

        return {
            "num_fields": int(positives),
            "sensitivity": _figure(metrics.sensitivity(confusion)[index], metrics.wilson_interval(found, positives)),
            "specificity": _figure(
                metrics.specificity(confusion)[index],
                metrics.wilson_interval(negatives - (predicted - found), negatives),
            ),
            "precision": _figure(metrics.precision(confusion)[index], metrics.wilson_interval(found, predicted)),
            "f1": _figure(metrics.f1(confusion)[index], metrics.bootstrap_interval(f1, self.groups, seed=seed)),
            "auroc": _figure(area(np.arange(len(scores))), metrics.bootstrap_interval(area, self.groups, seed=seed)),
        }


def evaluate(
    model: Predictor | LeukDenseNet,
    dataset: Dataset,
    *,
    groups: Sequence[Any] | None = None,
    batch_size: int = 16,
    progress: bool = False,
) -> Results:
    """Predict every field of a data set.

    Args:
        model: The classifier.
        dataset: From `load_smears`, with the model's classes.
        groups: (N,) group of each field, for the intervals; by default each field is its own.
        batch_size: Fields per forward pass.
        progress: Show a bar.

    Raises:
        DataError: If the data set is empty or its classes are not the model's.
    """
    predictor = as_predictor(model)
    names = class_names_of(dataset)
    if names != model.class_names:
        raise DataError(f"the data has the classes {', '.join(names)}, the model {', '.join(model.class_names)}")
    if not len(dataset):
        raise DataError("there is no field to evaluate")
    rows = without_decoding(dataset)
    logits = []
    side = predictor.preprocessor.sufficient_side
    with tqdm(total=len(rows), desc="Evaluating", unit="image", disable=not progress) as bar:
        for start in range(0, len(rows), batch_size):
            indices = range(start, min(start + batch_size, len(rows)))
            images = [read_image(rows[index], reduce_to=side) for index in indices]
            logits.append(predictor.run(predictor.preprocessor(images)).logits)
            bar.update(len(images))
    return Results(
        names,
        tuple(dataset["path"]),
        np.asarray(dataset["label"]),
        softmax(np.concatenate(logits) / predictor.temperature),
        np.arange(len(rows)) if groups is None else np.asarray(groups),
    )


def write_plots(
    model: Predictor | LeukDenseNet, dataset: Dataset, results: Results, folder: Path, *, title: str
) -> list[Path]:
    """Draw confusion matrix, ROC curves and a Grad-CAM panel with one field per class.

    Args:
        model: The classifier that gave the results.
        dataset: The fields evaluated. The panel shows some of them, so it is not for publication.
        results: From `evaluate`.
        folder: Receives confusion_matrix.png, roc_curves.png and grad_cam.png.
        title: What was evaluated on what.

    Returns:
        The files written.
    """
    files = [folder / name for name in ("confusion_matrix.png", "roc_curves.png", "grad_cam.png")]
    plot_confusion_matrix(results.confusion, results.class_names, files[0], title=title)
    plot_roc_curves(results.probabilities, results.labels, results.class_names, files[1], title=title)
    rows, columns, layer = without_decoding(dataset), [], ""
    for label, name in enumerate(results.class_names):
        of_class = np.flatnonzero(results.labels == label)
        if not len(of_class):
            continue
        # The median field by probability: neither the best nor the worst is typical.
        typical = of_class[np.argsort(results.probabilities[of_class, label], kind="stable")[len(of_class) // 2]]
        image = read_image(rows[int(typical)])
        explanation = explain(model, image)
        layer = explanation.layer
        probability = explanation.prediction.probabilities[explanation.target]
        caption = f"true: {name}\npredicted: {explanation.target} ({probability:.2f})"
        columns.append((caption, image, explanation.overlay(image)))
    plot_panel(columns, files[2], title=f"{title}: Grad-CAM of the predicted class, {layer}")
    return files


def check_results(path: Path) -> dict[str, Any]:
    """Read a results.json that is to be filled; {} if there is none yet.

    Args:
        path: results.json.

    Raises:
        DataError: If the file exists and is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); move it away") from error
    if not isinstance(results, dict):
        raise DataError(f"{path} is not a results file; move it away")
    return results


def merge_results(path: Path, section: str, name: str, content: dict[str, Any]) -> None:
    """Put one entry into results.json, leaving all others as they are; the file is replaced whole.

    Args:
        path: results.json; made if missing.
        section: Producer, such as "protocols".
        name: Entry within the section.
        content: JSON types.

    Raises:
        DataError: If the file exists and is not such a JSON object.
    """
    results = check_results(path)
    if not isinstance(results.setdefault(section, {}), dict):
        raise DataError(f"{path} is not a results file; move it away")
    results[section][name] = content
    write_json(path, results)


def _figure(value: float, interval: tuple[float, float]) -> dict[str, Any]:
    def known(number: float) -> float | None:
        return None if math.isnan(number) else round(float(number), 6)

    # A bootstrap of a perfect result never varies: [1, 1] would claim a certainty that nobody has.
    unknown = any(math.isnan(bound) for bound in interval) or interval[0] == interval[1]
    bounds = None if unknown else [known(bound) for bound in interval]
    return {"value": known(float(value)), "interval": bounds}
