"""From images to predictions: class, probabilities, and what to be careful about.

Shared contract: images are whatever `load_image` takes; probabilities are floats by class name, summing to 1.
Probabilities are the softmax of the logits over the checkpoint's temperature; no image is refused for its content: a
photo of a cat gets a class too. Each prediction's `reasons` say what is known to be doubtful. Importing this module
imports no torch.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from leuk_hf.backends import Predictor, as_predictor
from leuk_hf.image_io import ImageSource, load_image, original_size

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet

_Item = TypeVar("_Item")
SET_COVERAGE = 0.95
CLOSE_CALL = 0.5


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One field's answer.

    Args:
        label: The most probable class, also when refused.
        probabilities: Class name -> probability in [0, 1], in index order, summing to 1.
        prediction_set: The most probable classes, best first, until their probabilities reach `SET_COVERAGE`; it
            always contains the label. Without calibration it promises no coverage.
        in_distribution_score: log-sum-exp of the logits, higher = more like the training fields (the negative
            energy of Liu et al. 2020, https://arxiv.org/abs/2010.03759). No threshold has been fitted to it.
        answered: False when the image is refused; this version refuses none that can be decoded.
        reasons: Plain sentences: why refused, or what to be careful about.
    """

    label: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    in_distribution_score: float
    answered: bool
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        return {**dataclasses.asdict(self), "prediction_set": list(self.prediction_set), "reasons": list(self.reasons)}


def predict(
    model: Predictor | LeukDenseNet,
    images: ImageSource | Iterable[ImageSource],
    *,
    batch_size: int = 8,
) -> list[Prediction]:
    """Classify images.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`; used in evaluation mode.
        images: One image or several: path, bytes, PIL image, or uint8 array (H, W, 3), RGB. An array with four
            dimensions is a batch.
        batch_size: Images per forward pass, at least 1; does not change the answers beyond rounding.

    Returns:
        One prediction per image, in order.

    Raises:
        ImageError: If an image cannot be used; use `load_image` first to handle images one by one.
        ValueError: If batch_size is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give at least 1")
    predictor = as_predictor(model)
    predictions: list[Prediction] = []
    for batch in in_batches(_one_by_one(images, predictor.preprocessor.sufficient_side), batch_size):
        logits = predictor.run(predictor.preprocessor(batch)).logits
        predictions += [interpret(predictor, row, image) for row, image in zip(logits, batch, strict=True)]
    return predictions


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (..., K) into probabilities (..., K)."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def interpret(model: Predictor | LeukDenseNet, logits: np.ndarray, image: Image.Image) -> Prediction:
    """Turn one image's logits into its prediction.

    Args:
        model: For class names, temperature and image size.
        logits: float64 (K,), before the temperature.
        image: RGB, from `load_image`: its original size decides some of the cautions.
    """
    probabilities = softmax(logits / model.temperature)
    order = np.argsort(-probabilities, kind="stable")
    needed = int(np.searchsorted(np.cumsum(probabilities[order]), SET_COVERAGE)) + 1
    names = model.class_names
    return Prediction(
        label=names[order[0]],
        probabilities={name: float(value) for name, value in zip(names, probabilities, strict=True)},
        prediction_set=tuple(names[index] for index in order[:needed]),
        in_distribution_score=float(logits.max() + np.log(np.exp(logits - logits.max()).sum())),
        answered=True,
        reasons=tuple(_cautions(probabilities[order], image, model.preprocessor.image_size)),
    )


def _cautions(descending: np.ndarray, image: Image.Image, image_size: int) -> Iterator[str]:
    if descending[0] < CLOSE_CALL:
        yield "No class has even half of the probability: the model cannot tell."
    width, height = original_size(image)
    if max(width, height) > 1.6 * min(width, height):
        yield f"The image is {width}x{height} pixels; squashed to a square, its cells are distorted."
    if min(width, height) < image_size / 2:
        yield f"The image is small ({width}x{height} pixels); it was enlarged to {image_size} pixels."
    pixels = np.asarray(image.resize((64, 64), Image.Resampling.BOX), dtype=np.int16)
    if np.ptp(pixels, axis=2).max() < 12:
        yield "The image has no colour; the model was trained on stained, coloured smears."
    elif pixels.std(axis=(0, 1)).max() < 4:
        yield "The image is nearly uniform; it does not look like a smear field."


def _one_by_one(images: ImageSource | Iterable[ImageSource], reduce_to: int) -> Iterator[Image.Image]:
    single = isinstance(images, (str, Path, bytes, bytearray, memoryview, Image.Image))
    if single or (isinstance(images, np.ndarray) and images.ndim < 4) or not isinstance(images, Iterable):
        yield load_image(images, reduce_to=reduce_to)  # type: ignore[arg-type]
        return
    image: Any
    for number, image in enumerate(images):
        named = isinstance(image, (str, Path)) or bool(getattr(image, "filename", ""))
        yield load_image(image, name=None if named else f"image {number}", reduce_to=reduce_to)


def in_batches(items: Iterable[_Item], batch_size: int) -> Iterator[list[_Item]]:
    """Give items in lists of `batch_size`, the last one shorter, taking no more of them than are asked for.

    Args:
        items: Anything, in order.
        batch_size: At least 1.
    """
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, batch_size)):
        yield batch
