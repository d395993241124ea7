"""A split of one's own: a table of files and parts, completed by whole groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from leuk_hf.errors import DataError
from leuk_hf.splits import PARTS, deal_groups, read_split

_BINS = 10  # a tenth of the training fields for each part that is missing


def parts_of_table(path: Path, dataset: Dataset, groups: Sequence[Any], *, seed: int) -> dict[str, np.ndarray]:
    """Split a data set as a table says; validation and calibration, where it has none, are cut out of train.

    Args:
        path: CSV with the columns file and split; fields that it leaves out are in no part.
        dataset: From `load_smears`.
        groups: (N,) group of each field; one is never cut.
        seed: Of the cut.

    Returns:
        Part name -> sorted row indices.

    Raises:
        DataError: If the table has no part train or test, or names files the data set lacks.
    """
    parts = {"train": read_split(path, dataset, "train"), "test": read_split(path, dataset, "test")}
    missing = []
    for name in ("validation", "calibration"):
        try:
            parts[name] = read_split(path, dataset, name)
        except DataError:
            missing.append(name)
    tested = {groups[row] for row in parts["test"].tolist()}
    rows = np.array([row for row in parts["train"].tolist() if groups[row] not in tested], dtype=np.int64)
    if missing:
        labels, paths = np.asarray(dataset["label"])[rows], dataset["path"]
        bins, _ = deal_groups(labels, [paths[row] for row in rows], [groups[row] for row in rows], _BINS, seed)
        for number, name in enumerate(missing):
            parts[name] = rows[bins == number]
        rows = rows[bins >= len(missing)]
    parts["train"] = rows
    if empty := [name for name in PARTS if not len(parts[name])]:
        raise DataError(f"{path} leaves no field for {empty[0]}; put more groups into its part train")
    return {name: parts[name] for name in PARTS}


def protocol_of_split(path: Path) -> str:
    """Name the protocol of a split: that of the training run beside it, else the file's name without its suffix.

    Args:
        path: CSV of the split.
    """
    try:
        return str(json.loads((path.parent / "training.json").read_text(encoding="utf-8"))["protocol"])
    except (OSError, ValueError, KeyError, TypeError):
        return path.stem
