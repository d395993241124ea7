"""Serving a checkpoint on Hugging Face Inference Endpoints: what a repository's handler.py hands on to.

Shared contract: a request is {"inputs": image or list of images, "parameters": {...}}; an answer is one object for
each image, or a single one for a single image. An image that cannot be used is answered by {"error": sentence}: the
others are classified all the same.

Source: https://huggingface.co/docs/inference-endpoints/engines/custom_handler
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

from PIL import Image

from leuk_hf.backends import load_predictor
from leuk_hf.errors import ImageError, LeukError
from leuk_hf.explanation import explain
from leuk_hf.image_io import load_image
from leuk_hf.prediction import Prediction, predict

HEATMAP_SIDE = 1024  # pixels: answers of several megabytes help nobody
_PARAMETERS = ("top_k", "heatmap", "target", "layer")


class EndpointHandler:
    """Answer requests with one checkpoint.

    Args:
        path: Folder of the repository; empty: the shipped checkpoint.
    """

    def __init__(self, path: str = "") -> None:
        self.predictor = load_predictor(path or None)

    def __call__(self, data: dict[str, Any]) -> Any:
        """Classify the images of one request.

        Args:
            data: inputs: base64 text (also as a data URL), bytes, a PIL image, or a list of these; parameters: top_k
                (int, default all classes), heatmap (bool: whether to add the overlay), target (class to explain, by
                default the predicted one), layer (to explain).

        Returns:
            For each image: labels ([{label, score}], most probable first), prediction_set, in_distribution_score,
            answered, reasons and, if asked for, heatmap (base64 PNG: the map over the field) and target; or error.
        """
        try:
            parameters = _parameters(data)
            inputs = data["inputs"]
        except LeukError as error:
            return {"error": str(error)}
        several = inputs if isinstance(inputs, list) else [inputs]
        answers = [self._answer(one, parameters) for one in several]
        return answers if isinstance(inputs, list) else answers[0]

    def _answer(self, value: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            image = load_image(
                _bytes_of(value), reduce_to=max(self.predictor.preprocessor.sufficient_side, HEATMAP_SIDE)
            )
            if not parameters["heatmap"]:
                return _described(predict(self.predictor, image)[0], parameters["top_k"])
            explanation = explain(self.predictor, image, target=parameters["target"], layer=parameters["layer"])
        except ValueError as error:  # LeukError among them
            return {"error": str(error)}
        picture = explanation.overlay(image)
        picture.thumbnail((HEATMAP_SIDE, HEATMAP_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        return {
            **_described(explanation.prediction, parameters["top_k"]),
            "heatmap": base64.b64encode(buffer.getvalue()).decode(),
            "target": explanation.target,
        }


def _parameters(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or "inputs" not in data:
        raise LeukError('the request has no "inputs"; send {"inputs": "<base64 image>"}')
    given = data.get("parameters") or {}
    if not isinstance(given, dict):
        raise LeukError(f"parameters is {given!r}; give an object")
    if unknown := sorted(set(given) - set(_PARAMETERS)):
        raise LeukError(f"there is no parameter {unknown[0]!r}; known are {', '.join(_PARAMETERS)}")
    top_k = given.get("top_k")
    if top_k is not None and (not isinstance(top_k, int) or isinstance(top_k, bool) or top_k < 1):
        raise LeukError(f"top_k is {top_k!r}; give a whole number of at least 1")
    heatmap, target, layer = given.get("heatmap", False), given.get("target"), given.get("layer")
    if not isinstance(heatmap, bool):
        raise LeukError(f"heatmap is {heatmap!r}; give true or false")
    if not heatmap and (target or layer):
        raise LeukError("target and layer say what the heatmap explains; give heatmap: true, or leave them out")
    return {"top_k": top_k, "heatmap": heatmap, "target": target, "layer": layer}


def _bytes_of(value: Any) -> bytes | Image.Image:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, Image.Image):
        return value
    if not isinstance(value, str):
        raise ImageError(f"an input is a {type(value).__name__}; send the image's bytes in base64")
    text = value.split(",", 1)[1] if value.startswith("data:") and "," in value else value
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("an input is not base64; send the image's bytes in base64") from error


def _described(prediction: Prediction, top_k: int | None) -> dict[str, Any]:
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    content = prediction.to_dict()
    return {
        "labels": [{"label": name, "score": score} for name, score in ranked[:top_k]],
        **{key: content[key] for key in ("prediction_set", "in_distribution_score", "answered", "reasons")},
    }
