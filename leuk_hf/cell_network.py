"""The pixel model of leukocyte segmentation: optical density, its features, and a network of twelve hidden units.

Shared contract: images are RGB, PIL or uint8 (H, W, 3), at least one pixel; density is float32 (H, W, 3), the
darkening against bright glass at the same place (natural logarithm, Beer-Lambert). The numbers below are what
scripts/fit_leukocyte_network.py gives with seed 0.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

WORKING_SIZE = 224  # edge of the square all decisions are made in; the data set's fields have it
_GRID = 56  # edge of the copy the background is fitted on
_SPREADS = (0.8, 3.0, 7.0)  # standard deviations of the pixel's and its neighbourhood's colour, working pixels
HIDDEN_WEIGHTS = np.array(
    (  # rows: optical density of red, green, blue at the three spreads; columns: hidden units
        (-2.884, -4.328, -1.611, -1.374, -1.443, 3.524, -1.630, 1.415, 7.107, 5.794, 5.621, 1.929),
        (2.631, -4.641, 3.704, 2.473, -7.327, 6.432, -1.792, 2.415, 2.324, -1.856, -2.445, 4.832),
        (-2.526, 19.906, -17.943, 0.751, 5.014, -16.346, -7.775, -4.844, 13.064, -1.974, -16.824, -5.974),
        (0.256, 0.880, -3.049, -6.707, 2.195, 2.149, 4.803, 2.417, 3.218, 3.793, 4.717, 1.532),
        (2.361, -0.424, 5.529, 3.062, 3.047, 2.160, -0.844, -0.973, 1.020, -4.361, -2.644, -7.613),
        (-2.913, 24.988, -19.162, -5.915, 21.973, -21.196, 28.151, 9.025, 17.711, -1.862, -10.027, 3.376),
        (4.166, 9.069, -5.051, -13.453, 1.245, 2.006, 4.367, -7.524, -1.945, -0.951, 4.439, 11.227),
        (-0.107, 0.053, 4.767, 5.602, 0.854, -0.119, -5.104, -11.904, -4.302, 2.678, -0.308, -23.421),
        (5.758, -15.482, 18.146, 4.441, -10.441, -7.568, 10.552, 34.886, 1.202, 1.574, 0.082, 22.372),
    ),
    dtype=np.float32,
)
HIDDEN_BIAS = np.array(
    (-3.287, 0.559, -0.006, 0.388, -0.148, -0.771, -0.087, 0.392, 0.464, 1.344, -0.827, 0.980), dtype=np.float32
)
OUTPUT_WEIGHTS = np.array(
    (1.934, -1.875, 1.328, -2.567, -1.535, 1.518, -1.192, -1.462, 1.963, -2.789, -1.822, -2.317), dtype=np.float32
)
OUTPUT_BIAS = np.float32(-2.965)


def leukocyte_probability(image: Image.Image | np.ndarray) -> np.ndarray:
    """Rate every pixel by its own and its neighbourhood's colour.

    Args:
        image: RGB, any size.

    Returns:
        float32 (WORKING_SIZE, WORKING_SIZE) in [0, 1]: the pixel model alone, before regions are judged.

    Raises:
        ValueError: If the image is no RGB image of at least one pixel.
    """
    features = pixel_features(optical_density(resized(as_pixels(image), (WORKING_SIZE, WORKING_SIZE))))
    logit = np.tanh(features @ HIDDEN_WEIGHTS + HIDDEN_BIAS) @ OUTPUT_WEIGHTS + OUTPUT_BIAS
    return (1 / (1 + np.exp(-np.clip(logit, -30, 30)))).reshape(WORKING_SIZE, WORKING_SIZE)


def pixel_features(density: np.ndarray) -> np.ndarray:
    """Give the colours of every pixel and of its neighbourhood: float32 (H, W, 3) to (H * W, 9)."""
    colours = [cv2.GaussianBlur(density, (0, 0), spread) for spread in _SPREADS]
    return np.clip(np.concatenate(colours, axis=-1), -0.1, 1.6).reshape(-1, 9)


def as_pixels(image: Image.Image | np.ndarray) -> np.ndarray:
    """Give an image as uint8 (H, W, 3).

    Raises:
        TypeError: If it is neither image nor array, such as a path.
        ValueError: If it is no RGB image of at least one pixel.
    """
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"an image of type {type(image).__name__} cannot be used here; give a PIL image or an array, a file by"
            " leuk_hf.image_io.load_image"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"an image is uint8 (H, W, 3) with at least one pixel, not {image.dtype} {image.shape}")
    return image


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring pixels to (width, height), averaging where they shrink."""
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    shrinks = width >= size[0] and height >= size[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def optical_density(pixels: np.ndarray) -> np.ndarray:
    """Darkening against the bright glass at the same place, natural logarithm; float32 (H, W, 3)."""
    coarse = resized(pixels, (_GRID, _GRID)).astype(np.float64).reshape(-1, 3)
    surface = _surface(_GRID)
    lowest = coarse.min(axis=1)  # stain lowers at least one channel
    bright = lowest >= np.percentile(lowest, 70)
    # The penalty on slopes keeps the surface flat where glass is only seen at one end of the field.
    penalty = np.diag([0.0, 1.0, 1.0, 1.0, 1.0, 1.0]) * 10
    for _ in range(5):
        rows = surface[bright]
        weights = np.linalg.solve(rows.T @ rows + penalty, rows.T @ coarse[bright])
        inlier = np.abs(coarse - surface @ weights).max(axis=1) < 14
        if inlier.sum() < 100:
            break
        bright = inlier
    glass = (_surface(WORKING_SIZE).astype(np.float32) @ weights.astype(np.float32)).reshape(pixels.shape)
    # The offset bounds the density of black; a camera's darkest values are noise.
    return np.log((np.clip(glass, 40, 255) + 8) / (pixels.astype(np.float32) + 8))


def _surface(edge: int) -> np.ndarray:
    """Terms of a quadratic surface over a square: float (edge * edge, 6)."""
    down, right = np.meshgrid(np.linspace(-1, 1, edge), np.linspace(-1, 1, edge), indexing="ij")
    return np.stack([np.ones_like(right), right, down, right**2, down**2, right * down], axis=-1).reshape(-1, 6)
