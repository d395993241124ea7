"""What is said of a result, in the visitor's language; plain text, to be escaped where it becomes HTML."""

from __future__ import annotations

import dataclasses
import html

import gradio as gr

from leuk_hf.errors import LeukError
from leuk_hf.many_fields import FieldRow
from leuk_hf.percentages import probability_text
from leuk_hf.prediction import Prediction
from leuk_hf.space.language import RIGHT_TO_LEFT
from leuk_hf.space.words import say, tell


def within(text: str, language: str) -> str:
    """Keep a figure together, in its own direction, where it stands in a sentence that runs from right to left.

    Args:
        text: Such as "> 99 %".
        language: One of `LANGUAGES`, of the sentence.
    """
    return f"\u2066{text}\u2069" if language in RIGHT_TO_LEFT else text


def verdict(prediction: Prediction, language: str, *, is_calibrated: bool = True) -> tuple[str, str]:
    """Say the answer in a headline and a sentence.

    Args:
        prediction: Of one field.
        language: One of `LANGUAGES`.
        is_calibrated: Whether the checkpoint's temperature was fitted.
    """
    if not prediction.answered:
        return say("classify_refused", language), ""
    others = [name for name in prediction.prediction_set if name != prediction.label]
    kind = say("classify_calibrated" if is_calibrated else "classify_uncalibrated", language)
    top = prediction.probabilities[prediction.label]
    given = {"kind": kind, "percent": within(probability_text(top), language)}
    if not others:
        headline = say("classify_looks", language, label=prediction.label)
        return headline, say("classify_certain", language, **given)
    headline = say("classify_leans", language, label=prediction.label)
    joined = say("classify_and", language).join(others)
    return headline, say("classify_open", language, others=joined, **given)


def row_in(row: FieldRow, language: str) -> FieldRow:
    """Give a row whose error and reasons are in a language.

    Args:
        row: Of many fields.
        language: One of `LANGUAGES`.
    """
    error = None if row.error is None else tell(row.error, language)
    prediction = row.prediction
    if prediction is not None:
        reasons = tuple(tell(reason, language) for reason in prediction.reasons)
        prediction = dataclasses.replace(prediction, reasons=reasons)
    return dataclasses.replace(row, error=error, prediction=prediction)


def unusable(error: LeukError, language: str) -> gr.Error:
    """Make the message, as HTML, about an image that cannot be used.

    Args:
        error: That says why.
        language: One of `LANGUAGES`.
    """
    sentence = html.escape(tell(error.sentence, language), quote=False)  # a file may be named anything
    return gr.Error(sentence, title=say("classify_unusable", language), print_exception=False)
