"""The endpoints for programs and agents, which stay as they are when the page changes.

Shared contract: an endpoint's name, parameters and docstring are what Gradio's API page, OpenAPI and MCP show; of a
parameter they show the first line, and of the answer all lines with a comma after each, so they are laid out so. A
wrong image is one sentence; in a batch it is a row. Every answer says what model gave it.
"""

from __future__ import annotations

import io
from typing import Any

import gradio as gr
import numpy as np
from gradio import processing_utils
from PIL import Image

from leuk_hf.errors import ImageError, LeukError
from leuk_hf.evidence import find_cells, weigh_cells
from leuk_hf.explanation import explain as explain_field
from leuk_hf.image_io import load_image
from leuk_hf.intake import Upload, shown_name
from leuk_hf.percentages import probability_text
from leuk_hf.prediction import in_batches
from leuk_hf.prediction import predict as classify_fields
from leuk_hf.space.page_context import Page
from leuk_hf.space.uploads import overlay_image, smear_image, upload_list
from leuk_hf.space.zero_gpu import on_gpu
from leuk_hf.visualization import overlay

MAX_FILES = 100
LONGEST_SIDE = 1024  # of overlay and heatmap; evidence is blurrier than this
_NO_IMAGE = "There is no image; send a field"


def add_endpoints(page: Page) -> None:
    """Add the endpoints to the page being laid out; nothing of them shows.

    Args:
        page: Whose predictor answers.
    """
    predictor = page.predictor
    side = max(predictor.preprocessor.sufficient_side, LONGEST_SIDE)
    largest = page.options.largest_file

    @on_gpu
    def predict(image: Image.Image) -> dict[str, Any]:
        """Classify one field of a stained blood smear: benign, or a subtype of B-ALL. Not for diagnosis.

        Args:
            image: The field, as an image file.

        Returns:
            label (the most probable class)
            probabilities (by class)
            prediction_set (every class that stays plausible, best first)
            answered (false when the image is refused)
            reasons (why refused, or what to be careful about)
            verdict (one sentence)
            and what answered: model, revision, identity, library, backend
        """
        if image is None:
            raise gr.Error(_NO_IMAGE, print_exception=False)
        try:
            prediction = classify_fields(predictor, image)[0].to_dict()
        except LeukError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {**prediction, "verdict": verdict(prediction), **page.provenance()}

    @on_gpu
    def explain(image: Image.Image, target: str = "", layer: str = "") -> tuple[Image.Image, str, dict[str, Any]]:
        """Show where in a blood-smear field the network found its evidence for a class, by Grad-CAM.

        Args:
            image: The field, as an image file.
            target: Name of the class to explain; empty: the most probable one.
            layer: Name of the layer, from denseblock1 (fine) to norm5 (coarse); empty: the one the checkpoint names.

        Returns:
            the field with the heatmap over it
            the heatmap as a NumPy file, float32 (height, width) in [0, 1]
            and what they show: target, layer, size, share_on_leukocytes (of the evidence)
            leukocyte_area (their share of the field)
            cells (number, rank, share, box as left, top, right, bottom)
            prediction (what predict answers)
        """
        if image is None:
            raise gr.Error(_NO_IMAGE, print_exception=False)
        try:
            explanation = explain_field(predictor, image, target=target or None, layer=layer or None)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error
        smaller, heatmap = _smaller(image, explanation.heatmap)
        evidence = weigh_cells(find_cells(smaller), heatmap)
        cells = [
            {"number": cell.number, "rank": cell.rank, "share": cell.share, "box": list(cell.box)}
            for cell in evidence.ranked
        ]
        prediction = explanation.prediction.to_dict()
        shown = {
            "target": explanation.target,
            "layer": explanation.layer,
            "size": list(smaller.size),
            "share_on_leukocytes": evidence.share,
            "leukocyte_area": evidence.area,
            "cells": cells,
            "prediction": {**prediction, "verdict": verdict(prediction), **page.provenance()},
        }
        return overlay(smaller, heatmap), _numpy_file(heatmap, results[1].GRADIO_CACHE), shown

    @on_gpu
    def predict_batch(files: list[Upload]) -> list[dict[str, Any]]:
        """Classify several fields of blood smears, at most a hundred. Not for diagnosis.

        Args:
            files: Image files, one field each.

        Returns:
            one row per file, in order: file (its name)
            error (null, or why it cannot be used)
            and for a usable file what predict answers
        """
        if not files:
            raise gr.Error("There are no files; send at least one field", print_exception=False)
        if len(files) > MAX_FILES:
            raise gr.Error(f"There are {len(files)} files; send at most {MAX_FILES} at a time", print_exception=False)
        rows: list[dict[str, Any]] = []
        for batch in in_batches(files, 8):
            rows += _rows(page, batch, reduce_to=side)
        return rows

    # Events without anything to see: a button that nobody can press gives them their components.
    hidden = gr.Button(visible=False)
    image = smear_image(reduce_to=side, largest_file=largest, visible=False, label="Field")
    answer = gr.JSON(visible=False, label="Prediction")
    hidden.click(predict, image, answer, api_name="predict", **page.model_events)
    texts = [gr.Textbox("", visible=False, label=label) for label in ("Class", "Layer")]
    results = [
        overlay_image(visible=False, label="Overlay"),
        gr.File(visible=False, label="Heatmap"),
        gr.JSON(visible=False, label="Evidence"),
    ]
    hidden.click(explain, [image, *texts], results, api_name="explain", **page.model_events)
    files = upload_list(largest_file=largest, file_count="multiple", visible=False, label="Fields")
    rows = gr.JSON(visible=False, label="Rows")
    hidden.click(predict_batch, files, rows, api_name="predict_batch", **page.model_events)


def verdict(prediction: dict[str, Any]) -> str:
    """Say a prediction in one sentence.

    Args:
        prediction: From `Prediction.to_dict`.
    """
    if not prediction["answered"]:
        return f"Not a field this model knows. {prediction['reasons'][0]}"
    label, others = prediction["label"], prediction["prediction_set"][1:]
    also = f"; also plausible: {', '.join(others)}" if others else ""
    figure = probability_text(prediction["probabilities"][label]).replace("\u00a0", " ")
    return f"{label}, with a probability of {figure}{also}."


def _rows(page: Page, files: list[Upload], *, reduce_to: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    images: list[Image.Image] = []
    for file in files:
        name = shown_name(file.name)
        try:
            images.append(load_image(file.path, name=name, reduce_to=reduce_to))
            rows.append({"file": name, "error": None})
        except ImageError as error:
            rows.append({"file": name, "error": str(error)})
    answers = iter(classify_fields(page.predictor, images)) if images else iter(())
    for row in rows:
        if row["error"] is None:
            prediction = next(answers).to_dict()
            row.update(prediction, verdict=verdict(prediction), **page.provenance())
    return rows


def _smaller(image: Image.Image, heatmap: np.ndarray) -> tuple[Image.Image, np.ndarray]:
    smaller = image.copy()
    smaller.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return smaller, np.asarray(Image.fromarray(heatmap).resize(smaller.size))


def _numpy_file(heatmap: np.ndarray, folder: str) -> str:
    content = io.BytesIO()
    np.save(content, heatmap.astype(np.float32))
    # In gradio's cache, which is emptied like its own files.
    return processing_utils.save_bytes_to_cache(content.getvalue(), "heatmap.npy", folder)
