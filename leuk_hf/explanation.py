"""One image -> its prediction and its Grad-CAM: what the demo, the scripts and the panels show."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from leuk_hf.backends import Outputs, Predictor, as_predictor
from leuk_hf.prediction import Prediction, interpret, measures_of
from leuk_hf.visualization import overlay, to_heatmap

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet


@dataclasses.dataclass(frozen=True)
class Explanation:
    """A prediction with the map that goes with it.

    Args:
        prediction: The image's answer.
        target: Name of the class explained.
        layer: Name of the layer explained.
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
    chosen = layer or (predictor.cam_layer if predictor.cam_layer in predictor.cam_layers else predictor.map_layer)
    _check(predictor, target, chosen)
    pixel_values = predictor.preprocessor([image])
    outputs = predictor.run(pixel_values)
    measures = measures_of(predictor, outputs, 0, pixel_values, image)
    prediction = interpret(predictor, outputs.logits[0], image, measures=measures)
    name = target or prediction.label
    if chosen == predictor.map_layer:
        return Explanation(prediction, name, chosen, heatmap_of(predictor, outputs, 0, image, target=name))
    attribution = _second_pass(predictor, pixel_values, predictor.class_names.index(name), chosen)
    return Explanation(prediction, name, chosen, to_heatmap(attribution, image.size))


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
