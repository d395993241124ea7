"""From attribution to pictures: heatmap, colours, overlay.

Shared contract: attribution is signed float (h, w) at layer size; a heatmap is float32 (H, W) in [0, 1], 0 for
everything that does not argue for the target; an overlay is RGB uint8 of the image's size. Colours are those of the
Inferno colour map, from black by purple and orange to pale yellow: lightness rises all the way, so that it is read the
same with any kind of colour vision and in grey, and what argues for nothing is dimmed. Each heatmap is scaled by its
own maximum, so colours compare places in one image, never two images.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from PIL import Image


@functools.cache
def _inferno() -> np.ndarray:
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def to_heatmap(attribution: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Turn one attribution map into a heatmap of an image's size.

    Args:
        attribution: float (h, w), signed; negative values argue against the target and become 0.
        size: (width, height) of the image, in pixels.

    Returns:
        float32 (height, width) in [0, 1], bilinear; all 0 when nothing argues for the target.

    Raises:
        ValueError: If the map is not two-dimensional or not finite.
    """
    attribution = np.asarray(attribution, dtype=np.float32)
    if attribution.ndim != 2 or not np.isfinite(attribution).all():
        raise ValueError(f"attribution has shape {attribution.shape} and must be a finite (h, w) map")
    positive = np.maximum(attribution, 0)
    peak = positive.max()
    if peak == 0:
        return np.zeros((size[1], size[0]), dtype=np.float32)
    # Where the image is smaller than the map, averaging keeps what sampling would step over.
    fitting = (min(size[0], positive.shape[1]), min(size[1], positive.shape[0]))
    reduced = cv2.resize(positive / peak, fitting, interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(reduced, size, interpolation=cv2.INTER_LINEAR)
    # Enlarging can miss the peak between pixels; scale again so that the hottest pixel is 1.
    return np.divide(enlarged, enlarged.max(), out=enlarged)


def colourise(heatmap: np.ndarray) -> np.ndarray:
    """Colour a heatmap: uint8 (H, W, 3), RGB.

    Args:
        heatmap: float (H, W) in [0, 1].
    """
    levels = np.clip(heatmap, 0, 1)
    np.rint(np.multiply(levels, 255, out=levels), out=levels)
    return cv2.applyColorMap(levels.astype(np.uint8), _inferno())


def overlay(image: Image.Image, heatmap: np.ndarray, *, opacity: float = 0.45) -> Image.Image:
    """Lay a coloured heatmap over an image.

    Args:
        image: RGB uint8.
        heatmap: float (H, W) in [0, 1], of the image's size. An all-zero one shows the image alone: there is
            nothing to point at.
        opacity: 0 hides the heatmap, 1 hides the image.

    Returns:
        RGB uint8 of the same size.

    Raises:
        ValueError: If the sizes differ or opacity is outside [0, 1].
    """
    if heatmap.shape != (image.height, image.width):
        raise ValueError(f"heatmap has shape {heatmap.shape}, the image is {image.height} high, {image.width} wide")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}; give a value in [0, 1]")
    if not heatmap.any():
        return image.copy()
    return Image.blend(image, Image.fromarray(colourise(heatmap)), opacity)


def colour_bar(width: int = 256, height: int = 12) -> Image.Image:
    """Draw the colour scale, nothing left to most right: RGB (width, height)."""
    return Image.fromarray(colourise(np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))))
