"""Many fields at once, for a page or an endpoint: each gets a row, and a small picture of what spoke for its class.

Shared contract: rows come in the order of the candidates, one for each, also for one that cannot be used. While the
network runs on a batch, one thread prepares the next: of an image only its pixel_values, a small picture and a copy
of 64 by 64 pixels wait, so memory does not grow with the images' size or number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import cv2
import numpy as np
from PIL import Image

from leuk_hf.backends import Outputs, Predictor
from leuk_hf.batch_prediction import Glance, empty_row
from leuk_hf.errors import ImageError
from leuk_hf.evidence import find_cells
from leuk_hf.explanation import heatmap_of
from leuk_hf.image_encoding import encode_image
from leuk_hf.image_io import load_image
from leuk_hf.intake import Candidate, IntakeLimits, Upload, open_uploads
from leuk_hf.prediction import Prediction, in_batches, interpret, measures_of
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.visualization import overlay

PICTURE_SIDE = 360  # pixels, the longer one: what a row of a report can show
PICTURE_OPACITY = 0.45


@dataclasses.dataclass(frozen=True)
class FieldPictures:
    """A field, small, as WebP of some 5 to 10 kB each.

    Args:
        field: As it is.
        overlay: Under the heatmap of its most probable class.
    """

    field: bytes
    overlay: bytes


@dataclasses.dataclass(frozen=True)
class FieldRow:
    """One file's answer.

    Args:
        file: Name to show; anybody may have chosen it.
        prediction: None if the file could not be classified.
        cells: Leukocytes found; None like `prediction`.
        error: What is wrong with the file, else None.
        pictures: None like `prediction`, or if none were asked for.
    """

    file: str
    prediction: Prediction | None
    cells: int | None
    error: str | None
    pictures: FieldPictures | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give everything but the pictures as JSON types, with the names of `predict.py`'s rows and `cells`."""
        answer = {} if self.prediction is None else self.prediction.to_dict()
        return {**empty_row(self.file), **answer, "cells": self.cells, "error": self.error}


def answer_candidates(
    predictor: Predictor,
    candidates: Iterable[Candidate],
    *,
    batch_size: int = 8,
    pictures: bool = True,
    run: Callable[[np.ndarray], Outputs] | None = None,
) -> Iterator[list[FieldRow]]:
    """Classify candidates batch by batch; to stop, take no more batches.

    Args:
        predictor: From `load_predictor`.
        candidates: From `open_uploads`, still open.
        batch_size: Files in each batch but the last.
        pictures: Whether to make them.
        run: Runs the network in place of `predictor.run`, such as that function marked for a GPU.

    Yields:
        The rows of each batch.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="leuk_hf")

    def begin(batch: list[Candidate] | None) -> tuple[list[Candidate], list[Future[_Prepared | str]]] | None:
        prepare = [pool.submit(_prepare, predictor.preprocessor, each, pictures) for each in batch or ()]
        return (batch, prepare) if batch else None

    try:
        batches = in_batches(candidates, batch_size)
        current = begin(next(batches, None))
        while current:
            batch, futures = current
            prepared = [future.result() for future in futures]
            current = begin(next(batches, None))
            yield _answer(predictor, run or predictor.run, batch, prepared)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def predict_uploads(
    predictor: Predictor,
    uploads: Sequence[Upload],
    *,
    limits: IntakeLimits | None = None,
    batch_size: int = 8,
    run: Callable[[np.ndarray], Outputs] | None = None,
) -> list[dict[str, Any]]:
    """Classify files, folders and archives: what the endpoint for many fields answers.

    Args:
        predictor: From `load_predictor`.
        uploads: What was handed in.
        limits: As for `open_uploads`.
        batch_size: Files in each forward pass.
        run: As for `answer_candidates`.

    Returns:
        For each file: file, label, probabilities (by class name), prediction_set, in_distribution_score, answered,
        reasons, error and cells; error says what is wrong with a file that could not be classified, whose other
        values are None, False or empty.
    """
    with open_uploads(uploads, limits) as candidates:
        batches = answer_candidates(predictor, candidates, batch_size=batch_size, pictures=False, run=run)
        return [row.to_dict() for batch in batches for row in batch]


@dataclasses.dataclass(frozen=True, eq=False)
class _Prepared:
    pixel_values: np.ndarray  # float32 (3, H, W)
    glance: Glance
    cells: int
    picture: Image.Image | None


def _prepare(preprocessor: Preprocessor, candidate: Candidate, pictures: bool) -> _Prepared | str:
    try:
        image = load_image(candidate.open(), name=candidate.name, reduce_to=preprocessor.sufficient_side)
    except ImageError as error:
        return error.sentence  # the error itself would keep what was decoded alive
    cells = len(find_cells(image).boxes)
    picture = _reduced(image, PICTURE_SIDE) if pictures else None
    return _Prepared(preprocessor([image])[0], Glance(image), cells, picture)


def _answer(
    predictor: Predictor,
    run: Callable[[np.ndarray], Outputs],
    batch: list[Candidate],
    prepared: list[_Prepared | str],
) -> list[FieldRow]:
    usable = [each for each in prepared if isinstance(each, _Prepared)]
    if not usable:
        return [
            FieldRow(candidate.name, None, None, cast(str, error))
            for candidate, error in zip(batch, prepared, strict=True)
        ]
    pixel_values = np.stack([each.pixel_values for each in usable])
    outputs = run(pixel_values)
    rows, position = [], 0
    for candidate, each in zip(batch, prepared, strict=True):
        if isinstance(each, str):
            rows.append(FieldRow(candidate.name, None, None, each))
            continue
        glance = cast(Image.Image, each.glance)
        measures = measures_of(predictor, outputs, position, pixel_values, glance)
        prediction = interpret(predictor, outputs.logits[position], glance, measures=measures)
        pictures = None
        if each.picture is not None:
            heatmap = heatmap_of(predictor, outputs, position, each.picture, target=prediction.label)
            shown = overlay(each.picture, heatmap, opacity=PICTURE_OPACITY)
            pictures = FieldPictures(encode_image(each.picture, "webp"), encode_image(shown, "webp"))
        rows.append(FieldRow(candidate.name, prediction, each.cells, None, pictures))
        position += 1
    return rows


def _reduced(image: Image.Image, longest: int) -> Image.Image:
    """Shrink to a longer side of at most `longest`: a new image, without what the file's `info` brought along."""
    ratio = min(1.0, longest / max(image.size))
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return Image.fromarray(cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA))
