"""Evaluating a classifier on labelled fields, the pictures that go with it, and the file of all results.

Shared contract: figures and their intervals are those of `leuk_hf.results`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf.backends import Predictor, as_predictor
from leuk_hf.data import class_names_of, read_image, without_decoding
from leuk_hf.errors import DataError
from leuk_hf.explanation import explain
from leuk_hf.files import write_json
from leuk_hf.plots import plot_confusion_matrix, plot_panel, plot_roc_curves
from leuk_hf.prediction import Prediction, interpret, measures_of, softmax
from leuk_hf.results import Results

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet


def evaluate(
    model: Predictor | LeukDenseNet,
    dataset: Dataset,
    *,
    groups: Sequence[Any] | None = None,
    batch_size: int = 16,
    change: Callable[[np.ndarray], np.ndarray] | None = None,
    progress: bool = False,
) -> Results:
    """Predict every field of a data set.

    Args:
        model: The classifier.
        dataset: From `load_smears`, with the model's classes.
        groups: (N,) group of each field, for the intervals; by default each field is its own.
        batch_size: Fields per forward pass.
        change: What is done to each field, uint8 (H, W, 3), before it is preprocessed (`leuk_hf.perturbations`).
        progress: Show a bar.

    Returns:
        The answers, what refusal and prediction sets say included.

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
    logits: list[np.ndarray] = []
    answers: list[Prediction] = []
    side = predictor.preprocessor.sufficient_side
    with tqdm(total=len(rows), desc="Evaluating", unit="image", disable=not progress) as bar:
        for start in range(0, len(rows), batch_size):
            indices = range(start, min(start + batch_size, len(rows)))
            images = [read_image(rows[index], reduce_to=side) for index in indices]
            if change is not None:
                images = [Image.fromarray(change(np.asarray(image))) for image in images]
            pixel_values = predictor.preprocessor(images)
            outputs = predictor.run(pixel_values)
            logits.append(outputs.logits)
            for row, image in enumerate(images):
                measures = measures_of(predictor, outputs, row, pixel_values, image)
                answers.append(interpret(predictor, outputs.logits[row], image, measures=measures))
            bar.update(len(images))
    raw = np.concatenate(logits)
    return Results(
        names,
        tuple(dataset["path"]),
        np.asarray(dataset["label"]),
        softmax(raw / predictor.temperature),
        np.arange(len(rows)) if groups is None else np.asarray(groups),
        logits=raw,
        answered=np.array([answer.answered for answer in answers]),
        prediction_sets=np.array([[name in answer.prediction_set for name in names] for answer in answers]),
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
