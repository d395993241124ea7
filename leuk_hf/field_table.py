"""The table of many fields: its columns, and CSV that a spreadsheet opens without running any of it.

Shared contract: CSV is UTF-8 with a byte order mark, so that spreadsheets read every script's letters; every text is
quoted, numbers are not, and probabilities keep all their digits. A text that a spreadsheet would take for a formula
gets an apostrophe in front.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from leuk_hf.many_fields import FieldRow

# A formula starts with one of these, also in their wide forms; after a semicolon a cell starts where that parts cells.
_FORMULA = re.compile(r"(^|;)(\s*)(?=[=+\-@＝＋－＠])")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What the rows depend on besides the files; stands in every table and report.

    Args:
        model: Name of the checkpoint.
        revision: Its commit, tag or branch; empty if it has none.
        backend: Description of the predictor.
        version: Of leuk_hf.
        date: ISO 8601, with the time zone.
    """

    model: str
    revision: str
    backend: str
    version: str
    date: str


def csv_text(rows: Iterable[FieldRow], class_names: Sequence[str], record: RunRecord) -> str:
    """Write rows as CSV, to be encoded as UTF-8; the byte order mark is in it.

    Args:
        rows: In order.
        class_names: Of the predictor.
        record: Goes into every row, so that rows of several tables can be put together.
    """
    text = io.StringIO()
    text.write("\ufeff")
    table = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    table.writerow(columns(class_names))
    for row in rows:
        table.writerow(defused(value) for value in _values(row, class_names, record))
    return text.getvalue()


def columns(class_names: Sequence[str]) -> list[str]:
    """Name the columns of the CSV.

    Args:
        class_names: Of the predictor.
    """
    return [
        *("file", "label", *(f"probability {name}" for name in class_names)),
        *("prediction_set", "answered", "in_distribution_score", "warnings", "cells", "error"),
        *("model", "revision", "backend", "leuk_hf", "date"),
    ]


def defused(value: Any) -> Any:
    """Give a table's cell; a text loses its line breaks and all that a spreadsheet would run as a formula.

    Args:
        value: Text, or a value of another type, which comes back.
    """
    return _FORMULA.sub(r"\1\2'", " ".join(value.split())) if isinstance(value, str) else value


def _values(row: FieldRow, class_names: Sequence[str], record: RunRecord) -> list[Any]:
    run = [record.model, record.revision, record.backend, record.version, record.date]
    prediction = row.prediction
    if prediction is None:
        return [row.file, "", *("" for _ in class_names), "", "no", "", "", "", row.error or "", *run]
    return [
        row.file,
        prediction.label,
        *(prediction.probabilities[name] for name in class_names),
        " | ".join(prediction.prediction_set),
        "yes" if prediction.answered else "no",
        prediction.in_distribution_score,
        " ".join(prediction.reasons),
        "" if row.cells is None else row.cells,
        row.error or "",
        *run,
    ]
