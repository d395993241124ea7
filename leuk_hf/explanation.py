"""One image -> its prediction and its Grad-CAM: what the demo, the scripts and the panels show."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from leuk_hf.attribution import grad_cam
from leuk_hf.model import LeukDenseNet
from leuk_hf.prediction import Prediction, compute_logits, interpret
from leuk_hf.visualization import overlay, to_heatmap


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
    model: LeukDenseNet, image: Image.Image, *, target: str | None = None, layer: str | None = None
) -> Explanation:
    """Classify an image and explain one class.

    Args:
        model: The classifier.
        image: RGB uint8, from `load_image`.
        target: Class name; by default the predicted class.
        layer: One of `model.cam_layers`; by default `model.cam_layer`.

    Raises:
        ValueError: If the class or the layer is unknown.
    """
    pixel_values = model.preprocess(image)
    prediction = interpret(model, compute_logits(model, pixel_values)[0], image)
    name = target or prediction.label
    if name not in model.class_names:
        raise ValueError(f"there is no class {name!r}; choose one of {', '.join(model.class_names)}")
    chosen = layer or model.cam_layer
    attribution = grad_cam(model, pixel_values, model.class_names.index(name), chosen)
    heatmap = to_heatmap(attribution[0, 0].cpu().numpy(), image.size)
    return Explanation(prediction, name, chosen, heatmap)
