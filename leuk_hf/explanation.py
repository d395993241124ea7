"""One image -> its prediction and its Grad-CAM: what the demo, the scripts and the panels show.

An image is read once; every class, layer and method is then explained from that reading, and the maps of the
predictor's `map_layer` are in it already.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from leuk_hf.backends import Outputs, Predictor, as_predictor
from leuk_hf.input_measures import FieldMeasures
from leuk_hf.prediction import Prediction, interpret, measures_of
from leuk_hf.visualization import overlay, to_heatmap

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet
    from leuk_hf.pixel_attribution import Progress

METHODS = ("grad_cam", "integrated_gradients", "occlusion")
INPUT = "input"  # the "layer" of the methods that explain pixels
_SMOOTHING = 1 / 64  # of the input's edge: single pixels of Integrated Gradients are noise, their sums are not


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A prediction with the map that goes with it.

    Args:
        prediction: The image's answer.
        target: Name of the class explained.
        layer: Name of the layer explained; `INPUT` by methods that explain pixels.
        heatmap: float32 (H, W) in [0, 1], of the image's size; all 0 when nothing argues for the target.
    """

    prediction: Prediction
    target: str
    layer: str
    heatmap: np.ndarray

    @property
    def is_empty(self) -> bool:
        """Whether no place argues for the target."""
        return not self.heatmap.any()

    def overlay(self, image: Image.Image, *, opacity: float = 0.45) -> Image.Image:
        """Lay the heatmap over the image it was made for.

        Args:
            image: RGB uint8.
            opacity: 0 hides the heatmap, 1 hides the image.
        """
        return overlay(image, self.heatmap, opacity=opacity)


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """What one run of the network gives for one image.

    Args:
        prediction: The image's answer.
        measures: What decides whether it is refused.
        size: (width, height) of the image.
        pixel_values: float32 (1, 3, H, W) that were run.
        maps: float32 (K, h, w): signed Grad-CAM of every class at the predictor's `map_layer`.
        leukocytes: float32 (H, W) in [0, 1], what was left to see; None if the whole field was.
    """

    prediction: Prediction
    measures: FieldMeasures
    size: tuple[int, int]
    pixel_values: np.ndarray
    maps: np.ndarray
    leukocytes: np.ndarray | None


def read(
    model: Predictor | LeukDenseNet, image: Image.Image, *, run: Callable[[np.ndarray], Outputs] | None = None
) -> Reading:
    """Classify an image, keeping what its explanations need.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`.
        image: RGB uint8, from `load_image`.
        run: Runs the network in place of `predictor.run`, such as that function marked for a GPU.
    """
    predictor = as_predictor(model)
    pixel_values = predictor.preprocessor([image])
    outputs = (run or predictor.run)(pixel_values)
    measures = measures_of(predictor, outputs, 0, pixel_values, image)
    prediction = interpret(predictor, outputs.logits[0], image, measures=measures)
    leukocytes = None if outputs.leukocytes is None else outputs.leukocytes[0]
    return Reading(prediction, measures, image.size, pixel_values, outputs.maps[0], leukocytes)


def explain_reading(
    predictor: Predictor,
    reading: Reading,
    *,
    target: str | None = None,
    layer: str | None = None,
    method: str = "grad_cam",
    size: tuple[int, int] | None = None,
    progress: Progress | None = None,
    attribute: Callable[[np.ndarray, int, str, str], np.ndarray] | None = None,
) -> Explanation:
    """Explain one class of an image that has been read.

    Args:
        predictor: What read it.
        reading: From `read`.
        target: Class name; by default the predicted class.
        layer: One of the predictor's `cam_layers`; by default its `cam_layer`, or the only layer of an exported
            graph. Only of Grad-CAM.
        method: One of `METHODS`; the other two explain pixels (`leuk_hf.pixel_attribution`) and take their time.
        size: (width, height) of the heatmap; by default the image's.
        progress: Told the share that is done, by the methods that take their time.
        attribute: Runs what needs the network again, in place of `attribute_again`, such as that function marked for
            a GPU: takes pixel_values, the class's number, method and layer.

    Raises:
        ValueError: If class, layer or method is unknown, or what is asked for needs weights that are not there.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    chosen = layer or (predictor.cam_layer if predictor.cam_layer in predictor.cam_layers else predictor.map_layer)
    _check(predictor, target, chosen)
    name = target or reading.prediction.label
    index = predictor.class_names.index(name)
    if method != "grad_cam":
        chosen = INPUT
    if chosen == predictor.map_layer:
        attribution = reading.maps[index]
    else:
        attribute = attribute or functools.partial(attribute_again, predictor, progress=progress)
        attribution = attribute(reading.pixel_values, index, method, chosen)
    return Explanation(reading.prediction, name, chosen, to_heatmap(attribution, size or reading.size))


def attribute_again(
    predictor: Predictor,
    pixel_values: np.ndarray,
    target: int,
    method: str,
    layer: str,
    *,
    progress: Progress | None = None,
) -> np.ndarray:
    """Explain one class by what no forward pass brings along.

    Args:
        predictor: What answers.
        pixel_values: float32 (1, 3, H, W).
        target: Number of the class.
        method: One of `METHODS`.
        layer: Of Grad-CAM.
        progress: As for `explain_reading`.

    Returns:
        float32 (h, w).
    """
    if method == "grad_cam":
        return _second_pass(predictor, pixel_values, target, layer)
    return _of_pixels(predictor, pixel_values, target, method, progress)


def explain(
    model: Predictor | LeukDenseNet, image: Image.Image, *, target: str | None = None, layer: str | None = None
) -> Explanation:
    """Classify an image and explain one class.

    The maps of the predictor's `map_layer` come with the forward pass that classifies, for all classes; any other
    layer takes a second pass, by Captum's LayerGradCam.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`.
        image: RGB uint8, from `load_image`.
        target: Class name; by default the predicted class.
        layer: One of the model's `cam_layers`; by default its `cam_layer`, or the only layer of an exported graph.

    Raises:
        ValueError: If the class or the layer is unknown, or the layer needs weights that are not there.
    """
    predictor = as_predictor(model)
    _check(predictor, target, layer or predictor.map_layer)  # before the run
    return explain_reading(predictor, read(predictor, image), target=target, layer=layer)


def heatmap_of(
    predictor: Predictor, outputs: Outputs, row: int, image: Image.Image, *, target: str | None = None
) -> np.ndarray:
    """Explain one image of a batch that has been run, at the predictor's `map_layer`.

    Args:
        predictor: What gave the outputs.
        outputs: From `predictor.run`.
        row: Which image of the batch.
        image: RGB uint8; the heatmap gets its size.
        target: Class name; by default the most probable class.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        ValueError: If the class is unknown.
    """
    _check(predictor, target, predictor.map_layer)
    index = int(outputs.logits[row].argmax()) if target is None else predictor.class_names.index(target)
    return to_heatmap(outputs.maps[row, index], image.size)


def _check(predictor: Predictor, target: str | None, layer: str) -> None:
    if target is not None and target not in predictor.class_names:
        raise ValueError(f"there is no class {target!r}; choose one of {', '.join(predictor.class_names)}")
    if layer not in predictor.cam_layers:
        raise ValueError(f"there is no layer {layer!r}; choose one of {', '.join(predictor.cam_layers)}")


def _second_pass(predictor: Predictor, pixel_values: np.ndarray, target: int, layer: str) -> np.ndarray:
    import torch

    from leuk_hf.attribution import grad_cam

    attribution = grad_cam(predictor.torch_model(), torch.from_numpy(pixel_values), target, layer)
    return attribution[0, 0].cpu().numpy()


def _of_pixels(
    predictor: Predictor, pixel_values: np.ndarray, target: int, method: str, progress: Progress | None
) -> np.ndarray:
    from leuk_hf import pixel_attribution  # here: importing this module imports no torch

    if method == "occlusion":
        return pixel_attribution.occlusion(predictor, pixel_values, target, progress=progress).values
    found = pixel_attribution.integrated_gradients(predictor, pixel_values, target, progress=progress)
    values = found.values
    return cv2.GaussianBlur(values, (0, 0), _SMOOTHING * len(values))
