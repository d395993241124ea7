"""Tables that people bring: CSV files that say of each field's file what part or group it belongs to.

Shared contract: a spreadsheet's own habits (a mark at the beginning, semicolons, backslashes) are read or told apart.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from datasets import Dataset

from leuk_hf.errors import DataError
from leuk_hf.labels import canonical_class_name


def read_table(path: Path | str, columns: Sequence[str], kind: str, *, name: object = None) -> list[dict[str, str]]:
    """Read a table that needs some columns; others may be there, too.

    Args:
        path: The CSV file, in UTF-8.
        columns: That it needs.
        kind: What it is a table of, such as "group", for messages.
        name: What messages call it; None: its path.

    Returns:
        Its rows, at least one; a row that was cut short has None.

    Raises:
        DataError: If the file cannot be read, lacks a column or has no row.
    """
    name = path if name is None else name
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a mark in front
            reader = csv.DictReader(file)
            found, rows = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name} cannot be read as a {kind} table ({error})") from error
    if not set(columns) <= set(found):
        wrong = len(found) == 1 and ";" in found[0]
        raise DataError(
            f"{name} is no {kind} table: it needs the columns {' and '.join(columns)}, separated by commas, and has"
            f" {', '.join(found) or 'none'}{'; save it with commas instead of semicolons' if wrong else ''}"
        )
    if not rows:
        raise DataError(f"{name} is a {kind} table without a row; it needs one for each field")
    return rows


def folders_hint(names: Iterable[str]) -> str:
    """Give what a message adds if a name of a file has a backslash; else empty.

    Args:
        names: As a table has them.
    """
    return "; write folders with /, not with \\" if any("\\" in name for name in names) else ""


def check_labels(path: Path | str, rows: Mapping[str, Mapping[str, str]], dataset: Dataset) -> None:
    """Compare a table's column label, if it has one, with the labels of a data set.

    Args:
        path: Of the table, for the message.
        rows: File -> row; files that the data set lacks and empty labels say nothing. The folder's name of a known
            layout counts as its class.
        dataset: From `load_smears`.

    Raises:
        DataError: If they say different things of a file.
    """
    names = dataset.features["label"].names
    for file, label in zip(dataset["path"], dataset["label"], strict=True):
        told, own = rows.get(file, {}).get("label"), names[label]
        if not told or told == own:
            continue
        meant = None if told in names else canonical_class_name(told)
        if meant is None or meant != canonical_class_name(own):
            raise DataError(
                f"{path} says that {file} is {told}, and the data set that it is {own}; mend one of them, or leave out"
                " the table's column label"
            )
