"""The group table: one row per field with its group, session and splits; publishable, for it holds no image."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from leuk_hf.acquisitions import sequence_number
from leuk_hf.errors import DataError
from leuk_hf.files import replacing
from leuk_hf.splits import GAP, PARTS, PROTOCOLS, acquisition_folds, split_by_acquisition, split_fields


@dataclasses.dataclass(frozen=True)
class FieldRecord:
    """One row of the group table; the columns of its CSV.

    Args:
        file: Name of the field, as `load_smears` gives it.
        sha256: Of the file's bytes, hexadecimal.
        label: Class name.
        group: Number of the group, from 0 in order of the files.
        acquisition: Name of the session.
        annotation: Style of the burnt-in annotation: "small black", "small red", "large", "other" or "none".
        leukocytes: Number found.
        sharpness: Variance of the Laplacian of the luma (Pech-Pacheco et al. 2000, doi 10.1109/ICPR.2000.903548) at
            224 pixels; low is blurred.
        split_random: Part under the random protocol, fold 0.
        split_grouped: Part under the grouped protocol, fold 0.
        split_acquisition: "fold 0", "fold 1", ... in which the field is tested by acquisition, or "gap".
    """

    file: str
    sha256: str
    label: str
    group: int
    acquisition: str
    annotation: str
    leukocytes: int
    sharpness: float
    split_random: str = ""
    split_grouped: str = ""
    split_acquisition: str = ""


COLUMNS = tuple(field.name for field in dataclasses.fields(FieldRecord))


def write_groups(path: Path, records: Sequence[FieldRecord]) -> None:
    """Write the group table as CSV, whole or not at all; it holds no image."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for record in records:
            values = dataclasses.asdict(record)
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values.values()])


def parts_by_protocol(
    dataset: Dataset, protocol: str, table: Sequence[Mapping[str, Any]] | None, *, fold: int = 0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Split a data set.

    Args:
        dataset: From `load_smears`.
        protocol: One of `PROTOCOLS`.
        table: Rows with file, group and, for "acquisition", acquisition, in the order of the data set (`read_groups`);
            not needed for "random".
        fold: The fold to test.
        seed: Of the split; the table's own columns are of fold 0 and the seed it was made with.

    Returns:
        Part name -> sorted row indices; rows in a gap are in none.

    Raises:
        DataError: If the protocol cannot be had from this data.
    """
    if protocol not in PROTOCOLS:
        raise DataError(f"there is no protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    paths, labels = list(dataset["path"]), list(dataset["label"])
    if protocol == "random":
        return _rows_by_part(split_fields(labels, paths, paths, fold=fold, seed=seed))
    if table is None:
        raise DataError(f"the protocol {protocol} needs a group table; make one with scripts/prepare_data.py")
    groups = [row["group"] for row in table]
    if protocol == "grouped":
        return _rows_by_part(split_fields(labels, paths, groups, fold=fold, seed=seed))
    folds, _ = _folds_of(labels, paths, _sessions_of(table), seed)
    return _rows_by_part(split_by_acquisition(labels, paths, groups, folds, fold=fold, seed=seed))


def session_folds(
    dataset: Dataset, table: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> tuple[list[dict[str, np.ndarray]], tuple[int, ...]]:
    """Give the parts of every fold by acquisition, and the classes that are cut into stretches."""
    folds, stretched = _folds_of(list(dataset["label"]), list(dataset["path"]), _sessions_of(table), seed)
    count = int(folds.max()) + 1
    return [parts_by_protocol(dataset, "acquisition", table, fold=fold, seed=seed) for fold in range(count)], stretched


def with_splits(
    records: Sequence[FieldRecord], labels: Sequence[int], *, seed: int
) -> tuple[list[FieldRecord], tuple[int, ...]]:
    """Fill the split columns; a protocol that the data is too small for stays empty.

    Args:
        records: The table.
        labels: Class index of each row.
        seed: Of the splits.

    Returns:
        The filled table, and the classes that `acquisition_folds` cut into stretches.
    """
    columns, stretched = split_columns(
        [record.file for record in records],
        labels,
        [record.group for record in records],
        [record.acquisition for record in records],
        seed=seed,
    )
    filled = [
        dataclasses.replace(record, split_random=random, split_grouped=grouped, split_acquisition=by_session)
        for record, random, grouped, by_session in zip(records, *columns.values(), strict=True)
    ]
    return filled, stretched


def split_columns(
    paths: Sequence[str], labels: Sequence[int], groups: Sequence[Any], sessions: Sequence[str], *, seed: int
) -> tuple[dict[str, list[str]], tuple[int, ...]]:
    """Compute the split columns of a group table; those of a protocol that the data is too small for hold "".

    Args:
        paths: Name of each field.
        labels: Class index of each field.
        groups: Group of each field.
        sessions: Acquisition of each field; without one for each there is no split by acquisition.
        seed: Of the splits.

    Returns:
        Column name -> value of each field, and the classes that `acquisition_folds` cut into stretches.
    """

    def attempt(groups: Sequence[Any]) -> list[str]:
        try:
            return split_fields(labels, paths, groups, seed=seed).tolist()
        except DataError:
            return [""] * len(paths)  # too few groups for this protocol; whoever asks for it is told so

    stretched: tuple[int, ...] = ()
    by_session = [""] * len(paths)
    if all(sessions):
        try:
            folds, stretched = _folds_of(labels, paths, sessions, seed)
            by_session = [GAP if fold < 0 else f"fold {fold}" for fold in folds]
        except DataError:
            pass
    columns = {"split_random": attempt(paths), "split_grouped": attempt(groups), "split_acquisition": by_session}
    return columns, stretched


def _sessions_of(table: Sequence[Mapping[str, Any]]) -> list[str]:
    sessions = [row.get("acquisition") or "" for row in table]
    if not all(sessions):
        raise DataError("the group table has no session for some fields; fill its column acquisition")
    return sessions


def _folds_of(
    labels: Sequence[int], paths: Sequence[str], sessions: Sequence[str], seed: int
) -> tuple[np.ndarray, tuple[int, ...]]:
    order = [sequence_number(path) or 0 for path in paths]
    return acquisition_folds(labels, paths, sessions, order, seed=seed)


def _rows_by_part(parts: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.flatnonzero(parts == name) for name in PARTS}
