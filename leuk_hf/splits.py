"""Splits of a data set into parts, independent of file order and publishable without images."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datasets import Dataset

from leuk_hf.data import class_names_of
from leuk_hf.errors import DataError
from leuk_hf.files import replacing


def random_split(
    labels: Sequence[int], paths: Sequence[str], fractions: dict[str, float], *, seed: int
) -> dict[str, np.ndarray]:
    """Split image by image, stratified by class: the protocol everybody reports, for comparison only.

    Neighbouring fields of one slide land on both sides, so figures on such a split flatter. The split depends on
    the paths and the seed, not on the order of the files: rows are ranked by a hash of their path.

    Args:
        labels: Class index per row.
        paths: Name per row, all different.
        fractions: Part name -> share in (0, 1), summing to less than 1; the rest is "train".
        seed: Another seed gives another split.

    Returns:
        Part name -> sorted row indices, "train" first.

    Raises:
        DataError: If a share is outside its range or a class is too small to be in every part.
    """
    if any(not 0 < share < 1 for share in fractions.values()) or sum(fractions.values()) >= 1:
        raise DataError(f"the shares {fractions} must lie between 0 and 1 and leave something to train on")
    if len(set(paths)) < len(paths):
        raise DataError("two rows have the same path, so a split could not be reproduced; give each its own")
    ranks = [hashlib.sha256(f"{seed}:{path}".encode()).digest() for path in paths]
    parts: dict[str, list[int]] = {"train": [], **{name: [] for name in fractions}}
    for label in sorted(set(labels)):
        rows = sorted((row for row, other in enumerate(labels) if other == label), key=lambda row: ranks[row])
        start = 0
        for name, share in fractions.items():
            count = max(1, round(share * len(rows)))
            parts[name] += rows[start : start + count]
            start += count
        if start >= len(rows):
            raise DataError(f"class {label} has {len(rows)} images, too few for the parts {', '.join(parts)}")
        parts["train"] += rows[start:]
    return {name: np.array(sorted(rows), dtype=np.int64) for name, rows in parts.items()}


def fingerprint(dataset: Dataset) -> str:
    """Tell two data sets apart by paths and labels: a SHA-256 in hexadecimal."""
    lines = (f"{path}\t{label}" for path, label in zip(dataset["path"], dataset["label"], strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def count_by_class(dataset: Dataset, rows: np.ndarray) -> dict[str, int]:
    """Count the fields of each class among some rows."""
    names = class_names_of(dataset)
    counts = np.bincount(np.asarray(dataset["label"])[rows], minlength=len(names))
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def write_split(path: Path, dataset: Dataset, parts: dict[str, np.ndarray]) -> None:
    """Write a split as CSV with the columns file, label, split; no image is needed to publish it.

    Args:
        path: The CSV file.
        dataset: From `load_smears`.
        parts: Part name -> row indices.
    """
    part_of = {int(row): name for name, rows in parts.items() for row in rows}
    names, paths, labels = class_names_of(dataset), dataset["path"], dataset["label"]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "label", "split"])
        writer.writerows([paths[row], names[labels[row]], part_of[row]] for row in sorted(part_of))


def read_split(path: Path | str, dataset: Dataset, part: str) -> np.ndarray:
    """Find the rows of one part of a split written by `write_split`.

    Args:
        path: The CSV file.
        dataset: From `load_smears`, of the same images.
        part: Value of the split column, such as "test".

    Returns:
        Sorted row indices.

    Raises:
        DataError: If the file is no such table, has no such part, or names files the data set lacks.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if {"file", "split"} <= set(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a split table ({error})") from error
    wanted = {row["file"] for row in rows if row["split"] == part}
    if not wanted:
        parts = sorted({row["split"] for row in rows})
        raise DataError(f"{path} has no part {part!r}; it has {', '.join(parts) or 'no columns file and split'}")
    index_of = {name: index for index, name in enumerate(dataset["path"])}
    if missing := sorted(wanted - set(index_of)):
        raise DataError(f"{len(missing)} files of {path} are not in the data set, for one {missing[0]}")
    return np.array(sorted(index_of[name] for name in wanted), dtype=np.int64)
