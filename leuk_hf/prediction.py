"""From images to predictions: class, probabilities, and what to be careful about.

Shared contract: images are whatever `load_image` takes; probabilities are floats by class name, summing to 1.
Probabilities are the softmax of the logits over the checkpoint's temperature. An image that passes one of the
checkpoint's refusal limits is not answered; its most probable class is given nevertheless. Each prediction's `reasons`
say why it is refused, or what is known to be doubtful. Importing this module imports no torch.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from leuk_hf import conformal
from leuk_hf.backends import Outputs, Predictor, as_predictor
from leuk_hf.field_checks import RefusalLimits, passed_limits, refusal_reasons
from leuk_hf.image_io import ImageSource, load_image, original_size
from leuk_hf.input_measures import FieldMeasures, measure_input
from leuk_hf.sentence import Sentence

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet

_Item = TypeVar("_Item")
SET_COVERAGE = 0.95
CLOSE_CALL = 0.5
# Height over width that is said something of. In fields whose cells were made 1.03 and 1.16 times as wide as tall, as
# in upright photos, 86 and 73 of 96 were told right, as they were 93 (experiment log).
_TALLEST = 1.1


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One field's answer.

    Args:
        label: The most probable class, also when refused.
        probabilities: Class name -> probability in [0, 1], in index order, summing to 1.
        prediction_set: Best first; always contains the label. With the checkpoint's conformal quantiles it holds the
            true class in the promised share of fields like the calibration fields (`leuk_hf.conformal`); without
            them it is the most probable classes until their probabilities reach `SET_COVERAGE`, and promises nothing.
        in_distribution_score: Higher = more like the training fields (`leuk_hf.in_distribution`).
        answered: False when the image is refused: it passes one of the checkpoint's refusal limits.
        reasons: Plain sentences, in English: why refused, or what to be careful about. Those of `predict` are of the
            kind `Sentence`, which can be said in another language.
    """

    label: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...]
    in_distribution_score: float
    answered: bool
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        texts = {"prediction_set": list(self.prediction_set), "reasons": [str(each) for each in self.reasons]}
        return {**dataclasses.asdict(self), **texts}


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
        TypeError: If model is no model, such as a folder's name.
        ValueError: If batch_size is no whole number of at least 1.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}; give a whole number of at least 1")
    predictor = as_predictor(model)
    predictions: list[Prediction] = []
    for batch in in_batches(_one_by_one(images, predictor.preprocessor.sufficient_side), batch_size):
        pixel_values = predictor.preprocessor(batch)
        outputs = predictor.run(pixel_values)
        for row, image in enumerate(batch):
            measures = measures_of(predictor, outputs, row, pixel_values, image)
            predictions.append(interpret(predictor, outputs.logits[row], image, measures=measures))
    return predictions


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (..., K) into probabilities (..., K)."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def measures_of(
    predictor: Predictor, outputs: Outputs, row: int, pixel_values: np.ndarray, image: Image.Image
) -> FieldMeasures:
    """Measure what decides whether one image of a batch is refused.

    Args:
        predictor: What gave the outputs.
        outputs: From `predictor.run`.
        row: Which image of the batch.
        pixel_values: float32 (N, 3, H, W) that were run.
        image: RGB, from `load_image`: its original size counts.
    """
    leukocytes = None if outputs.leukocytes is None else outputs.leukocytes[row] >= 0.5
    seen = np.asarray(predictor.preprocessor.to_image(pixel_values[row]))
    return measure_input(seen, leukocytes, original_size(image), float(outputs.in_distribution_scores[row]))


def interpret(
    model: Predictor | LeukDenseNet, logits: np.ndarray, image: Image.Image, *, measures: FieldMeasures | None = None
) -> Prediction:
    """Turn one image's logits into its prediction.

    Args:
        model: For class names, temperature, quantiles, limits and image size.
        logits: float64 (K,), before the temperature.
        image: RGB, from `load_image`: its original size decides some of the cautions.
        measures: From `measures_of`; only a checkpoint without refusal limits does without.

    Raises:
        ValueError: If the checkpoint has limits and there are no measures.
    """
    if measures is None and model.refusal_limits != RefusalLimits():
        raise ValueError("this checkpoint refuses images by their measures; pass those of measures_of")
    probabilities = softmax(logits / model.temperature)
    names, quantiles = model.class_names, model.conformal_quantiles
    chosen = conformal.prediction_set(probabilities, quantiles) if quantiles else _most_probable(probabilities)
    refusals = () if measures is None else refusal_reasons(measures, model.refusal_limits)
    passed = () if measures is None else passed_limits(measures, model.refusal_limits)
    cautions = cautions_about(probabilities, image, model.preprocessor.image_size, refused_for=passed)
    return Prediction(
        label=names[chosen[0]],
        probabilities={name: float(value) for name, value in zip(names, probabilities, strict=True)},
        prediction_set=tuple(names[index] for index in chosen),
        in_distribution_score=energy(logits) if measures is None else measures.in_distribution_score,
        answered=not refusals,
        reasons=(*refusals, *cautions),
    )


def energy(logits: np.ndarray) -> float:
    """Log-sum-exp of one image's logits (K,): the in-distribution score of a checkpoint that has none fitted."""
    return float(logits.max() + np.log(np.exp(logits - logits.max()).sum()))


def _most_probable(probabilities: np.ndarray) -> tuple[int, ...]:
    order = np.argsort(-probabilities, kind="stable")
    needed = int(np.searchsorted(np.cumsum(probabilities[order]), SET_COVERAGE)) + 1
    return tuple(order[:needed].tolist())


def cautions_about(
    probabilities: np.ndarray, image: Image.Image, image_size: int, *, refused_for: Collection[str] = ()
) -> Iterator[Sentence]:
    """Say what makes an answer doubtful without refusing it.

    Args:
        probabilities: Of the classes.
        image: RGB, from `load_image`: its original size counts.
        image_size: Edge of the square that the network is given.
        refused_for: Refusal limits that the image passes: what their reasons say is not said again.
    """
    if probabilities.max() < CLOSE_CALL and not refused_for:
        yield Sentence("No class has even half of the probability: the model cannot tell.")
    width, height = original_size(image)
    size = f"{width}x{height}"
    framed = "highest_frame_share" in refused_for  # the field within a frame has another shape
    if max(width, height) > 1.6 * min(width, height):
        if not framed and "largest_elongation" not in refused_for:
            yield Sentence("The image is {size} pixels; squashed to a square, its cells are distorted.", size=size)
    elif height > _TALLEST * width and not framed:
        yield Sentence(
            "The image is taller than wide ({size} pixels), photos of fields are wider than tall: squashed to a"
            " square, its cells get another shape. Turn it by a quarter.",
            size=size,
        )
    if min(width, height) < image_size / 2 and "smallest_side" not in refused_for:
        yield Sentence(
            "The image is small ({size} pixels); it was enlarged to {edge} pixels.", size=size, edge=image_size
        )
    if "lowest_contrast" in refused_for:
        return
    pixels = np.asarray(image.resize((64, 64), Image.Resampling.BOX), dtype=np.int16)
    if np.ptp(pixels, axis=2).max() < 12:
        yield Sentence("The image has no colour; the model was trained on stained, coloured smears.")
    elif pixels.std(axis=(0, 1)).max() < 4:
        yield Sentence("The image is nearly uniform; it does not look like a smear field.")


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
