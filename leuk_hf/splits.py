"""Splits of a data set into parts, independent of file order and publishable without images.

Shared contract: labels are class indices (N,); names, all different, decide ties and randomness, never the order of
the rows; a group must not cross parts. Parts are "train", "validation" (chooses the epoch, where it is chosen),
"calibration" (fits what turns scores into probabilities and refusals) and "test"; "gap" rows belong to none.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from leuk_hf.data import class_names_of
from leuk_hf.errors import DataError
from leuk_hf.files import replacing
from leuk_hf.table_files import check_labels, folders_hint, read_table

PARTS = ("train", "validation", "calibration", "test")
PROTOCOLS = ("random", "grouped", "acquisition")
GAP = "gap"
_BINS = 10  # of which 2 test, 1 calibrate, 1 validates: 60 / 10 / 10 / 20 %
_GAP_FIELDS = 5  # left out on either side of the border between two stretches of one scan
_SESSION_SHARE = 0.1  # of a class's fields; smaller sessions are dealt along but make no fold of their own
_MOST_FOLDS = 5


def split_fields(
    labels: Sequence[int], names: Sequence[str], groups: Sequence[Any], *, fold: int = 0, seed: int = 0
) -> np.ndarray:
    """Split so that no group crosses parts, with every class in every part in about equal shares.

    With each row its own group this is the random split that everybody reports, for comparison only: neighbouring
    fields of one slide land on both sides, so figures on it flatter.

    Args:
        labels: Class index per row.
        names: Name per row.
        groups: Group per row, anything hashable.
        fold: Which part of the data is tested, from 0; over all folds (`count_folds`) every row is tested once.
        seed: Another seed gives another split.

    Returns:
        Part of each row: str (N,), values in `PARTS`.

    Raises:
        DataError: If names repeat, a class has too few groups for four parts, or there is no such fold.
    """
    bins, count = deal_groups(np.asarray(labels), names, groups, _BINS, seed)
    tested = max(1, count // 5)
    folds = count // tested
    if not 0 <= fold < folds:
        raise DataError(f"there is no fold {fold}; this data has the folds 0 to {folds - 1}")
    place = (bins - fold * tested) % count
    others = np.where(place == tested, "calibration", np.where(place == tested + 1, "validation", "train"))
    return np.where(place < tested, "test", others)


def count_folds(labels: Sequence[int], groups: Sequence[Any]) -> int:
    """Tell how many folds `split_fields` has."""
    count = _num_bins(np.asarray(labels), groups, _BINS)
    return count // max(1, count // 5)


def acquisition_folds(
    labels: Sequence[int],
    names: Sequence[str],
    acquisitions: Sequence[str],
    order: Sequence[float],
    *,
    seed: int = 0,
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Deal whole acquisition sessions to folds: the test of whether a classifier survives another session.

    As many folds as the classes with several sessions allow, at most five. A class that is nearly one session is
    cut into contiguous stretches instead, with a gap at every border, because neighbours overlap; its figures say
    less, so report results without it, too. Those of its fields whose session also holds fields of a class dealt by
    whole sessions are left out: cut into stretches, they would lie on both sides of that session's fold.

    Args:
        labels: Class index per row.
        names: Name per row.
        acquisitions: Session per row.
        order: Position per row within a scan, such as the number in its file name.
        seed: Breaks ties.

    Returns:
        Fold of each row, int (N,), -1 in a gap or left out; and the classes cut into stretches.

    Raises:
        DataError: If names repeat, or a class (of a stretched one what is not left out) is too small for two folds.
    """
    classes, sessions = np.asarray(labels), np.asarray(acquisitions)
    several = {int(label): _num_session_folds(sessions[classes == label]) for label in np.unique(classes)}
    stretched = tuple(label for label, number in several.items() if number < 2)
    count = min([_MOST_FOLDS, *(number for number in several.values() if number > 1)])
    folds = np.full(len(classes), -1)
    chosen = np.flatnonzero(~np.isin(classes, stretched)).tolist()
    if chosen:
        dealt = [acquisitions[row] for row in chosen]
        folds[chosen], count = deal_groups(classes[chosen], [names[row] for row in chosen], dealt, count, seed)
    dealt_whole = np.isin(sessions, sessions[chosen])
    for label in stretched:
        rows = np.flatnonzero((classes == label) & ~dealt_whole)
        ranked = np.array(sorted(rows.tolist(), key=lambda row: (order[row], names[row])))
        margin = _GAP_FIELDS if len(rows) >= 4 * _GAP_FIELDS * count else 0
        if len(rows) < 2 * count:
            shared = " outside the sessions of other classes" if (dealt_whole & (classes == label)).any() else ""
            raise DataError(f"class {label} has {len(rows)} fields{shared}, too few for {count} folds by acquisition")
        for fold, stretch in enumerate(np.array_split(ranked, count)):
            inner = stretch[margin if fold else 0 : len(stretch) - (margin if fold < count - 1 else 0)]
            folds[inner] = fold
    return folds, stretched


def split_by_acquisition(
    labels: Sequence[int],
    names: Sequence[str],
    groups: Sequence[Any],
    folds: np.ndarray,
    *,
    fold: int = 0,
    seed: int = 0,
) -> np.ndarray:
    """Split with one fold of `acquisition_folds` as the test part.

    Args:
        labels: Class index per row.
        names: Name per row.
        groups: Group per row; rows that share one with a test row go to the gap.
        folds: From `acquisition_folds`.
        fold: The fold to test.
        seed: Of the split of the rest into training, validation and calibration.

    Returns:
        Part of each row: str (N,), values in `PARTS` and "gap".

    Raises:
        DataError: If there is no such fold, or the rest is too small for three parts.
    """
    if fold not in set(folds[folds >= 0].tolist()):
        raise DataError(f"there is no fold {fold}; by acquisition this data has the folds 0 to {folds.max()}")
    parts = np.full(len(folds), GAP, dtype="<U11")
    tested = folds == fold
    parts[tested] = "test"
    linked = {group for group, hit in zip(groups, tested, strict=True) if hit}
    rest = [row for row in np.flatnonzero((folds >= 0) & ~tested).tolist() if groups[row] not in linked]
    if lost := sorted(set(np.asarray(labels).tolist()) - {labels[row] for row in rest}):
        raise DataError(
            f"fold {fold} leaves no field of class {lost[0]} to train on: all others are grouped with tested ones"
        )
    kept_labels, kept_names = np.asarray(labels)[rest], [names[row] for row in rest]
    bins, _ = deal_groups(kept_labels, kept_names, [groups[row] for row in rest], _BINS, seed)
    parts[rest] = np.where(bins == 0, "calibration", np.where(bins == 1, "validation", "train"))
    return parts


def deal_groups(
    labels: np.ndarray, names: Sequence[str], groups: Sequence[Any], wanted: int, seed: int
) -> tuple[np.ndarray, int]:
    """Deal whole groups to bins of about equal class counts, the largest first.

    Args:
        labels: int (N,).
        names: (N,), all different; with the seed they decide ties.
        groups: (N,).
        wanted: Number of bins; fewer, down to four, if a class has fewer groups.
        seed: Another seed gives another deal.

    Returns:
        Bin of each row, int (N,), and the number of bins.

    Raises:
        DataError: If names repeat or the groups of a class cannot be in every bin.
    """
    if len(set(names)) < len(names):
        raise DataError("two fields have the same path, so a split could not be reproduced; give each its own")
    count = _num_bins(labels, groups, wanted)
    classes, columns = np.unique(labels, return_inverse=True)
    members: dict[Any, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    ranked = sorted(
        members.values(),
        key=lambda rows: (-len(rows), hashlib.sha256(f"{seed}:{min(names[row] for row in rows)}".encode()).digest()),
    )
    totals = np.bincount(columns, minlength=len(classes))
    shares, bins = np.zeros((count, len(classes))), np.zeros(len(labels), dtype=np.int64)
    for rows in ranked:
        added = np.bincount(columns[rows], minlength=len(classes)) / totals
        chosen = int(((shares + added) ** 2 - shares**2).sum(axis=1).argmin())
        shares[chosen] += added
        bins[rows] = chosen
    if (shares == 0).any():
        label = int(classes[np.flatnonzero((shares == 0).any(axis=0))[0]])
        raise DataError(f"the groups of class {label} are too few or too tangled to be in every part")
    return bins, count


def _num_bins(labels: np.ndarray, groups: Sequence[Any], wanted: int) -> int:
    least = min(wanted, 4)
    for label in np.unique(labels):
        own = len({groups[row] for row in np.flatnonzero(labels == label).tolist()})
        if own < least:
            raise DataError(
                f"class {label} has {own} separate groups of fields, too few for {least} parts; add fields of other"
                " places, or take --protocol random, which flatters"
            )
        wanted = min(wanted, own)
    return wanted


def _num_session_folds(sessions: np.ndarray) -> int:
    """Tell how many folds of a fair size a class's sessions can be dealt to; 1 if it is nearly one session."""
    sizes = np.unique(sessions, return_counts=True)[1]
    for count in range(_MOST_FOLDS, 1, -1):
        dealt = np.zeros(count)
        for size in sorted(sizes.tolist(), reverse=True):
            dealt[dealt.argmin()] += size
        if dealt.min() >= _SESSION_SHARE * len(sessions):
            return count
    return 1


def fingerprint(dataset: Dataset) -> str:
    """Tell two data sets apart by paths and labels: a SHA-256 in hexadecimal."""
    lines = (f"{path}\t{label}" for path, label in zip(dataset["path"], dataset["label"], strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def split_fingerprint(dataset: Dataset, parts: dict[str, np.ndarray]) -> str:
    """Tell two splits apart by which file is in which part, in whatever order: a SHA-256 in hexadecimal.

    Args:
        dataset: From `load_smears`.
        parts: Part name -> row indices.
    """
    paths = list(dataset["path"])
    lines = sorted(f"{paths[row]}\t{name}" for name, rows in parts.items() for row in rows.tolist())
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


def read_split_table(path: Path | str, *needed: str) -> dict[str, dict[str, str]]:
    """Read a split table without its data set, which tells its mistakes before any image is looked at.

    Args:
        path: CSV with the columns file and split.
        *needed: Parts that it must have.

    Returns:
        File -> row.

    Raises:
        DataError: If the file is no such table, names a file twice or an unknown part, or lacks a needed one.
    """
    rows: dict[str, dict[str, str]] = {}
    known = (*PARTS, GAP)
    for row in read_table(path, ("file", "split"), "split"):
        file, part = row["file"], row["split"]
        if part not in known:
            what = f"into {part!r}" if part else "into no part"
            raise DataError(f"{path} puts {file!r} {what}; the parts are {', '.join(known)}")
        if (other := rows.setdefault(file, row)) is not row:
            parts = "" if other["split"] == part else f", into {other['split']} and into {part}"
            raise DataError(f"{path} has two rows for {file!r}{parts}; keep one")
    parts_there = {row["split"] for row in rows.values()}
    if missing := [part for part in needed if part not in parts_there]:
        there = ", ".join(part for part in known if part in parts_there)
        raise DataError(f"{path} has no part {missing[0]!r}; it has {there}")
    return rows


def read_split(path: Path | str, dataset: Dataset, part: str) -> np.ndarray:
    """Find the rows of one part of a split written by `write_split`.

    Args:
        path: The CSV file.
        dataset: From `load_smears`, of the same images.
        part: Value of the split column, such as "test".

    Returns:
        Sorted row indices.

    Raises:
        DataError: As `read_split_table`; or if the part names files that the data set lacks, or the table has a column
            label that contradicts the data set.
    """
    rows = read_split_table(path, part)
    wanted = {file for file, row in rows.items() if row["split"] == part}
    index_of = {name: index for index, name in enumerate(dataset["path"])}
    if missing := sorted(wanted - set(index_of)):
        hint = folders_hint(missing)
        raise DataError(f"{len(missing)} files of {path} are not in the data set, for one {missing[0]}{hint}")
    check_labels(path, rows, dataset)
    return np.array(sorted(index_of[name] for name in wanted), dtype=np.int64)
