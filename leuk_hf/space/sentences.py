"""What is said of a result, in the visitor's language; plain text, to be escaped where it becomes HTML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from leuk_hf.backends import Predictor
from leuk_hf.explanation import Reading
from leuk_hf.field_checks import passed_limits
from leuk_hf.image_io import original_size
from leuk_hf.percentages import probability_text, share_text
from leuk_hf.prediction import Prediction, cautions_about
from leuk_hf.space.language import RIGHT_TO_LEFT
from leuk_hf.space.words import say


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


def reasons(faults: Iterable[tuple[str, dict[str, Any]]], language: str) -> list[str]:
    """Say why a field is refused, or what to be careful about.

    Args:
        faults: From `faults_of`.
        language: One of `LANGUAGES`.
    """
    return [
        say(f"classify_reason_{name}", language, **{**values, "diameter": within(values["diameter"], language)})
        for name, values in faults
    ]


def faults_of(predictor: Predictor, reading: Reading, image: Image.Image) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Name what `Prediction.reasons` says in English, with the values that its sentences need.

    Args:
        predictor: What read the image.
        reading: From `read`.
        image: That was read, with its original size.
    """
    measures, image_size = reading.measures, predictor.preprocessor.image_size
    width, height = original_size(image)
    diameter = measures.leukocyte_diameter
    values = {
        "elongation": f"{measures.elongation:.1f}",
        "diameter": "?" if diameter is None else share_text(diameter),
        "width": width,
        "height": height,
        "image_size": image_size,
    }
    probabilities = np.array(list(reading.prediction.probabilities.values()))
    names = [name for name, _ in cautions_about(probabilities, image, image_size)]
    return tuple((name, values) for name in (*passed_limits(measures, predictor.refusal_limits), *names))
