"""A split of one's own: a table of files and parts, completed by whole groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from leuk_hf.errors import DataError
from leuk_hf.splits import PARTS, deal_groups, read_split, read_split_table

_BINS = 10  # a tenth of the training fields for each part that is missing


def parts_of_table(path: Path, dataset: Dataset, groups: Sequence[Any], *, seed: int) -> dict[str, np.ndarray]:
    """Split a data set as a table says; validation and calibration, where it has none, are cut out of train.

    A group with a field in the test part is in no other part, whatever the table says; its other fields are left out.
    What the table shares out between its own train, validation and calibration stays, even where that cuts a group.

    Args:
        path: CSV with the columns file and split; fields that it leaves out are in no part.
        dataset: From `load_smears`.
        groups: (N,) group of each field; what is cut out of train is whole groups.
        seed: Of the cut.

    Returns:
        Part name -> sorted row indices.

    Raises:
        DataError: If `read_split` refuses the table, or a part is left without a field.
    """
    there = {row["split"] for row in read_split_table(path, "train", "test").values()}
    missing = [name for name in ("validation", "calibration") if name not in there]
    parts = {name: read_split(path, dataset, name) for name in PARTS if name not in missing}
    tested = {groups[row] for row in parts["test"].tolist()}
    for name in parts.keys() - {"test"}:
        kept = [row for row in parts[name].tolist() if groups[row] not in tested]
        parts[name] = np.array(kept, dtype=np.int64)
    rows = parts["train"]
    if missing:
        labels, paths = np.asarray(dataset["label"])[rows], dataset["path"]
        bins, _ = deal_groups(labels, [paths[row] for row in rows], [groups[row] for row in rows], _BINS, seed)
        for number, name in enumerate(missing):
            parts[name] = rows[bins == number]
        rows = rows[bins >= len(missing)]
    parts["train"] = rows
    if empty := [name for name in PARTS if not len(parts[name])]:
        part = "train" if empty[0] in missing else empty[0]
        raise DataError(
            f"{path} leaves no field for {empty[0]} outside the groups that are tested; put more groups into its part"
            f" {part}"
        )
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
