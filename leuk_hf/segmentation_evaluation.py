"""Leukocyte masks against fields outlined by eye: reading the outlines, comparing, averaging with intervals."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from leuk_hf.cells import describe_leukocytes, label_leukocytes
from leuk_hf.errors import DataError
from leuk_hf.metrics import bootstrap_interval
from leuk_hf.segmentation_metrics import (
    count_cells,
    count_error,
    coverage,
    dice,
    rasterise,
    share_found,
    without_specks,
)

MARGIN = 3  # pixels by which masks are grown before asking what they cover
FIGURES = ("dice", "count_error", "signed_count_error", "coverage", "cells_found")


@dataclasses.dataclass(frozen=True)
class Field:
    """One outlined field.

    Args:
        name: Path below the source.
        group: Name of the outline file, which is the class.
        image: uint8 (H, W, 3), RGB.
        true: bool (H, W), inside leukocytes.
        ignored: bool (H, W), inside burst or unclear cells and in no leukocyte.
        outlines: The leukocytes.
    """

    name: str
    group: str
    image: np.ndarray
    true: np.ndarray
    ignored: np.ndarray
    outlines: list[list[list[float]]]


def read_fields(reference: Path, source: Path, part: str) -> list[Field]:
    """Read outlines and images.

    Args:
        reference: Folder of outline files.
        source: Folder of the fields.
        part: "odd", "even" or "all".

    Returns:
        Fields in the order of the files.

    Raises:
        DataError: If there is no outline file, one is malformed, or an image is missing.
    """
    parities = {"odd": (1,), "even": (0,), "all": (0, 1)}
    if part not in parities:
        raise DataError(f"part is {part!r}; choose one of {', '.join(parities)}")
    paths = sorted(reference.glob("*.json"))
    if not paths:
        raise DataError(f"{reference} holds no outline file (*.json)")
    fields = []
    for path in paths:
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["fields"]
            wanted = [entry for index, entry in enumerate(entries) if index % 2 in parities[part]]
            for entry in wanted:
                image = cv2.imread(str(source / entry["file"]))
                if image is None:
                    raise DataError(f"{source / entry['file']} is missing or no image")
                outlines = [cell["polygon"] for cell in entry["cells"] if cell["kind"] == "leukocyte"]
                others = [cell["polygon"] for cell in entry["cells"] if cell["kind"] != "leukocyte"]
                true = rasterise(outlines, image.shape[:2])
                ignored = rasterise(others, image.shape[:2]) & ~true
                image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
                fields.append(Field(entry["file"], path.stem, image, true, ignored, outlines))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise DataError(f"{path} is no outline file: {error!r}") from error
    return fields


def measure(field: Field, mask: np.ndarray, smallest: int = 0) -> dict[str, float]:
    """Compare one mask with one field's outlines: a value for each of FIGURES.

    Args:
        field: The outlines.
        mask: bool (H, W).
        smallest: Regions of fewer pixels are not counted; else specks swell the counts of masks nobody cleaned.
    """
    cells = describe_leukocytes(label_leukocytes(without_specks(mask, smallest)))
    error = count_error(count_cells([cell.centre for cell in cells], field.ignored), len(field.outlines))
    return {
        "dice": dice(mask, field.true, field.ignored),
        "count_error": abs(error),
        "signed_count_error": error,
        "coverage": coverage(mask, field.true, margin=MARGIN, ignored=field.ignored),
        "cells_found": share_found(mask, field.outlines),
    }


def summarise(groups: np.ndarray, rows: list[dict[str, float]], seed: int) -> dict[str, Any]:
    """Average over fields, for each class and for all: {"value", "interval"}, None when unknown."""
    summary: dict[str, Any] = {}
    for group in [*dict.fromkeys(groups.tolist()), "all"]:
        chosen = [row for row, name in zip(rows, groups, strict=True) if group in (name, "all")]
        summary[group] = {"num_fields": len(chosen)}
        for figure in FIGURES:
            values = np.array([row[figure] for row in chosen])
            values = values[~np.isnan(values)]
            if not len(values):
                summary[group][figure] = {"value": None, "interval": None}
                continue
            interval = bootstrap_interval(_mean_of(values), np.arange(len(values)), seed=seed)
            summary[group][figure] = {"value": float(values.mean()), "interval": list(interval)}
    return summary


def _mean_of(values: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda rows: float(values[rows].mean())
