"""What a number is worth: how far a random forest comes with features that hold no diagnosis.

Shared contract: one row of features per field, none of which sees what a leukocyte looks like beyond its mean colour;
what a forest scores on them is what a network may score for the wrong reasons on the same split.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf import metrics
from leuk_hf.audit_report import figure
from leuk_hf.audit_rows import REMOVAL_MARGIN
from leuk_hf.cells import label_leukocytes, segment_leukocytes
from leuk_hf.counterfactuals import CORNERS, corner_mask, glass, widen
from leuk_hf.data import class_names_of, read_image, without_decoding
from leuk_hf.errors import DataError
from leuk_hf.group_table import parts_by_protocol, session_folds

FEATURE_SETS: dict[str, str] = {
    "six colour statistics": "mean and standard deviation of L, a, b over the whole field",
    "background": "the same and 5 quantiles a channel over all pixels off the leukocytes",
    "glass": "mean and standard deviation of L, a, b over the empty glass",
    "corner": "the corner where scale bars are burnt in, shrunk to 12x8 pixels",
    "leukocyte count and area": "number of leukocytes, mean area and covered share",
    "hole mask": "the leukocyte mask shrunk to 14x14: number, size and place, no pixel of them",
}
_TREES = 300


def require_forest() -> None:
    """Refuse early what needs scikit-learn.

    Raises:
        DataError: If it is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise DataError('scikit-learn is not installed; run: pip install -e ".[audit]"')


def describe(image: Image.Image, leukocytes: np.ndarray, cells: np.ndarray, *, corner: str) -> dict[str, np.ndarray]:
    """Compute every feature set of one field.

    Args:
        image: RGB.
        leukocytes: bool (H, W).
        cells: int32 (H, W), 1..n on the single leukocytes.
        corner: One of `CORNERS`.

    Returns:
        Name from `FEATURE_SETS` -> float32 (F,).
    """
    if corner not in CORNERS:
        raise DataError(f"there is no corner {corner!r}; choose one of {', '.join(CORNERS)}")
    field = np.asarray(image)
    lab = cv2.cvtColor(field, cv2.COLOR_RGB2LAB).astype(np.float32)
    holes = widen(leukocytes, field, REMOVAL_MARGIN)
    background = lab[~holes] if not holes.all() else np.zeros((1, 3), np.float32)
    empty = lab[glass(field, holes)]
    rows, columns = np.nonzero(corner_mask(field.shape, corner))
    cut = lab[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    areas = np.bincount(cells.ravel())[1:] / cells.size
    quantiles = np.quantile(background, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    features = {
        "six colour statistics": _moments(lab.reshape(-1, 3)),
        "background": np.concatenate([_moments(background), quantiles.ravel()]),
        "glass": _moments(empty if len(empty) else background),
        "corner": cv2.resize(cut, (12, 8), interpolation=cv2.INTER_AREA).ravel(),
        "leukocyte count and area": np.array(
            [(areas > 0).sum(), areas[areas > 0].mean() if areas.any() else 0, leukocytes.mean()]
        ),
        "hole mask": cv2.resize(holes.astype(np.float32), (14, 14), interpolation=cv2.INTER_AREA).ravel(),
    }
    return {name: values.astype(np.float32) for name, values in features.items()}


def score(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray, *, seed: int) -> np.ndarray:
    """Fit a random forest and predict.

    Args:
        features: float32 (N, F).
        labels: int (N,).
        train: Row indices to fit on.
        test: Row indices to predict.
        seed: Of the forest.

    Returns:
        Predicted class index of each test row.

    Raises:
        DataError: If scikit-learn is not installed.
    """
    require_forest()
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(_TREES, random_state=seed, n_jobs=-1, class_weight="balanced_subsample")
    return forest.fit(features[train], labels[train]).predict(features[test])


def measure_baselines(
    dataset: Dataset,
    table: Sequence[Mapping[str, Any]] | None,
    *,
    corner: str = "bottom right",
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Score every feature set under every protocol; fold 0, except by acquisition, where all folds are pooled.

    Args:
        dataset: From `load_smears`.
        table: Group table in the order of the data set; without one only the random protocol is measured.
        corner: One of `CORNERS`.
        seed: Of splits and forests.
        progress: Show a bar.

    Returns:
        Protocol -> {"num_folds", "features": feature set -> `summarise`}; JSON types. Where a class is nearly one
        session, there is also a protocol without it.

    Raises:
        DataError: If scikit-learn is missing or the data too small for a protocol.
    """
    names, labels = class_names_of(dataset), np.asarray(dataset["label"])
    rows = without_decoding(dataset)

    def look(index: int) -> dict[str, np.ndarray]:
        image = read_image(rows[index])
        leukocytes = segment_leukocytes(image)
        return describe(image, leukocytes, label_leukocytes(leukocytes), corner=corner)

    with ThreadPoolExecutor(max_workers=2) as pool:
        bar = tqdm(pool.map(look, range(len(rows))), total=len(rows), desc="Baselines", unit="field",
                   disable=not progress)  # fmt: skip
        described = list(bar)
    features = {name: np.stack([one[name] for one in described]) for name in FEATURE_SETS}
    folds = {"random": [parts_by_protocol(dataset, "random", None, seed=seed)]}
    if table is not None:
        folds["grouped"] = [parts_by_protocol(dataset, "grouped", table, seed=seed)]
        # A table of one's own may have groups and no sessions.
        by_session, stretched = session_folds(dataset, table, seed=seed) if _has_sessions(table) else ([], ())
        if by_session:
            folds["acquisition"] = by_session
        for label in stretched:
            others = np.flatnonzero(labels != label)
            folds[f"acquisition, without {names[label]}"] = [
                {part: np.intersect1d(chosen, others) for part, chosen in parts.items()} for parts in by_session
            ]
    content: dict[str, Any] = {}
    for protocol, splits in folds.items():
        scores = {}
        for name, values in features.items():
            answers = [_fit(values, labels, parts, seed=seed) for parts in splits]
            true = np.concatenate([labels[parts["test"]] for parts in splits])
            scores[name] = summarise(true, np.concatenate(answers), len(names))
        content[protocol] = {"num_folds": len(splits), "features": scores}
    return content


def _has_sessions(table: Sequence[Mapping[str, Any]]) -> bool:
    return all(row.get("acquisition") for row in table)


def _fit(features: np.ndarray, labels: np.ndarray, parts: Mapping[str, np.ndarray], *, seed: int) -> np.ndarray:
    # A forest needs no validation or calibration fields, so it may learn from them.
    train = np.concatenate([parts["train"], parts["validation"], parts["calibration"]])
    return score(features, labels, train, parts["test"], seed=seed)


def summarise(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> dict[str, Any]:
    """Give accuracy and balanced accuracy with intervals, and the number of fields, as JSON types."""
    confusion = metrics.confusion_matrix(labels, predictions, num_classes)
    right = int(np.trace(confusion))

    return {
        "num_fields": len(labels),
        "accuracy": figure(metrics.accuracy(confusion), metrics.wilson_interval(right, len(labels))),
        "balanced_accuracy": figure(
            metrics.balanced_accuracy(confusion), metrics.balanced_accuracy_interval(confusion)
        ),
    }


def _moments(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values.mean(axis=0), values.std(axis=0)])
