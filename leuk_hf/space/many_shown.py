"""What the tab "Many fields" shows of a run, in the visitor's language."""

from __future__ import annotations

import html
from typing import Any

from leuk_hf.field_report import answer_html, notes_html, pictures_html
from leuk_hf.many_fields import FieldRow
from leuk_hf.percentages import probability_text
from leuk_hf.space.many_run import ManyRun
from leuk_hf.space.sentences import row_in
from leuk_hf.space.words import say
from leuk_hf.space.words_many import TEXTS

_COLUMNS = ("number", "file", "class", "probability", "set", "answer", "cells", "notes")
_PROBABILITY = _COLUMNS.index("probability")


def headers(language: str) -> list[str]:
    """Name the table's columns.

    Args:
        language: Of `TEXTS`.
    """
    return [say(f"many_column_{name}", language) for name in _COLUMNS]


def table(run: ManyRun, language: str) -> dict[str, Any]:
    """Give the table's value: probabilities are numbers, to sort by, and shown as percentages.

    Args:
        run: Whose rows.
        language: Of `TEXTS`.
    """
    values = [_table_row(number, row_in(row, language), language) for number, row in enumerate(run.rows)]
    texts = [["" if value is None else str(value) for value in row] for row in values]
    for row, text in zip(run.rows, texts, strict=True):
        if row.prediction is not None and row.prediction.answered:
            text[_PROBABILITY] = probability_text(row.prediction.probabilities[row.prediction.label])
    return {"headers": headers(language), "data": values, "metadata": {"display_value": texts}}


def _table_row(number: int, row: FieldRow, language: str) -> list[Any]:
    prediction = row.prediction
    if prediction is None:
        return [number + 1, row.file, "", None, "", say("many_failed", language), None, row.error or ""]
    notes = " ".join(prediction.reasons)
    if not prediction.answered:  # no class is named, as in the first tab; the chosen row shows what it would be
        return [number + 1, row.file, "", None, "", say("many_refused", language), None, notes]
    answer = "ambiguous" if len(prediction.prediction_set) > 1 else "answered"
    return [
        number + 1,
        row.file,
        prediction.label,
        prediction.probabilities[prediction.label],
        ", ".join(prediction.prediction_set),
        say(f"many_{answer}", language),
        row.cells,
        notes,
    ]


def chosen_field(run: ManyRun | None, number: int, language: str) -> str:
    """Show one row with its pictures.

    Args:
        run: Of the visitor; None shows nothing, like a row that is not there.
        number: Of the row, from 0.
        language: Of `TEXTS`.
    """
    if run is None or not 0 <= number < len(run.rows):
        return ""
    row, words, pictures = row_in(run.rows[number], language), TEXTS[language], run.pictures_of(number)
    shown = "" if pictures is None else f"<div class=pictures>{pictures_html(number, pictures, words)}</div>"
    name = f"<div class=file>{number + 1}. <bdi>{html.escape(row.file)}</bdi></div>"
    return directed(f"{shown}{name}{answer_html(row, words)}{notes_html(row)}", language)


def spoken(key: str, language: str, **values: Any) -> str:
    """Say something where the visitor sees how the run is getting on.

    Args:
        key: Of `TEXTS`.
        language: Of `TEXTS`.
        **values: Of the text.
    """
    return directed(f'<p role="status">{html.escape(say(key, language, **values))}</p>', language)


def progress(run: ManyRun, language: str) -> str:
    """Tell how far a run is, and how long it will go on.

    Args:
        run: Being answered.
        language: Of `TEXTS`.
    """
    done = len(run.rows)
    text = say("many_progress", language, done=done, total=run.total)
    if done:
        left = run.seconds / done * (run.total - done)
        text = f"{text}, {say('many_left', language, seconds=round(left))}"
    label = html.escape(text)
    bar = f'<progress max="{run.total}" value="{done}" aria-label="{label}"></progress>'
    return directed(f'<p role="status">{label}</p>{bar}', language)


def outcome(run: ManyRun, language: str) -> str:
    """Tell how a run has ended.

    Args:
        run: That is over.
        language: Of `TEXTS`.
    """
    if len(run.rows) < run.total:
        return spoken("many_stopped", language, done=len(run.rows), total=run.total)
    return spoken("many_done", language, done=len(run.rows), seconds=f"{run.seconds:.1f}")


def directed(text: str, language: str) -> str:
    """Set a piece of HTML in its language's direction.

    Args:
        text: The HTML.
        language: Of `TEXTS`.
    """
    return f'<div dir="{TEXTS[language]["many_report_direction"]}" lang="{language}">{text}</div>'
