"""How sharp and how fine-grained an image is, and how much texture its cells have: numbers of its luminance.

Sharpness and correlation length hardly depend on contrast; the texture is in levels, and does.

Shared contract: luminance is float32 (H, W), in levels from 0 to 255.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

_REFERENCE_EDGE = 224  # pixels; the reach around leukocytes is in them
_EDGE = 128  # pixels, at which the correlation is taken
_ILLUMINATION = 0.15  # of the edge: slower changes of luminance are no texture
_LEVEL = 0.2  # of the correlation at distance 0
_FARTHEST = 40  # pixels of `_EDGE`
_LEAST_BESIDE = 0.2  # of an image: there is enough to measure
_TEXTURE_EDGE = 160  # pixels, at which fine texture is taken
_RIM = 2  # pixels of it, thrice the blur's standard deviation: so far what surrounds a flat patch still shows
_GRAIN = 0.7  # pixels of it, standard deviation of the blur
_LEAST_INSIDE = 10  # pixels of it: of fewer there is nothing to tell


def sharpness(luminance: np.ndarray, leukocytes: np.ndarray | None) -> float:
    """Tell the share of the differences between neighbours that a slight blur takes away, in [0, 1].

    Args:
        luminance: (H, W).
        leukocytes: bool (H, W): on and around them only, if there are any; None: everywhere.

    Source: after Crete et al. 2007, doi 10.1117/12.702790.
    """
    place = np.ones(luminance.shape, dtype=bool)
    if leukocytes is not None and leukocytes.any():
        reach = 2 * max(1, round(4 * math.sqrt(luminance.size) / _REFERENCE_EDGE)) + 1
        place = cv2.dilate(leukocytes.astype(np.uint8), np.ones((reach, reach), dtype=np.uint8)) > 0
    kept = total = 0.0
    for axis in (0, 1):
        size = (1, 5) if axis else (5, 1)
        blurred = cv2.blur(luminance, (size[1], size[0]))
        sharp, soft = (np.abs(np.diff(values, axis=axis)) for values in (luminance, blurred))
        inside = place[:, 1:] if axis else place[1:]
        total += float(sharp[inside].sum())
        kept += float(np.minimum(sharp, soft)[inside].sum())
    return 1 - kept / total if total > 0 else 0.0


def correlation_length(luminance: np.ndarray) -> float:
    """Tell the distance at which luminance has lost four fifths of its correlation, as a share of the edge.

    On a crowded smear that is about the radius of a red cell: at half the magnification it is half as long, whatever
    the stain and the light.

    Args:
        luminance: (H, W); squashed to a square.

    Returns:
        In (0, 0.3125]; the largest for an image without texture.
    """
    small = _small(luminance)
    return _length(small - _smoothed(small), _window()[0])


def correlation_length_beside(luminance: np.ndarray, leukocytes: np.ndarray) -> float | None:
    """Tell the same of what is neither on leukocytes nor next to them.

    Args:
        luminance: (H, W); squashed to a square.
        leukocytes: bool (H, W).

    Returns:
        As `correlation_length`; None if less than a fifth of the image, weighed towards its middle, is left.
    """
    small, (window, _) = _small(luminance), _window()
    kept = (cv2.dilate(_small(leukocytes), np.ones((5, 5), dtype=np.uint8)) < 0.05).astype(np.float32)
    if (window * kept).sum() < _LEAST_BESIDE * window.sum():
        return None
    return _length(small - _smoothed(small * kept) / np.maximum(_smoothed(kept), 1e-3), window * kept)


def fine_texture(luminance: np.ndarray, leukocytes: np.ndarray) -> float | None:
    """Tell how far luminance on leukocytes lies from itself slightly blurred: the lower quarter of their inside.

    Chromatin and cytoplasm are grained, and flat patches that have their colours and shape are not. A quarter, as what
    is painted in several tones is flat between their borders only.

    Args:
        luminance: (H, W); squashed to a square.
        leukocytes: bool (H, W).

    Returns:
        In levels, at least 0; None if the leukocytes, without a rim of an eightieth of the edge, have hardly any
        inside.
    """
    small, mask = (
        cv2.resize(values.astype(np.float32), (_TEXTURE_EDGE, _TEXTURE_EDGE), interpolation=cv2.INTER_AREA)
        for values in (luminance, leukocytes)
    )
    inside = cv2.erode((mask >= 0.5).astype(np.uint8), np.ones((2 * _RIM + 1, 2 * _RIM + 1), dtype=np.uint8)) > 0
    if inside.sum() < _LEAST_INSIDE:
        return None
    return float(np.percentile(np.abs(small - cv2.GaussianBlur(small, (0, 0), _GRAIN))[inside], 25))


def _small(values: np.ndarray) -> np.ndarray:
    return cv2.resize(values.astype(np.float32), (_EDGE, _EDGE), interpolation=cv2.INTER_AREA)


def _length(texture: np.ndarray, window: np.ndarray) -> float:
    of_window = _self_correlation(window)
    products = _self_correlation((texture - (texture * window).sum() / window.sum()) * window)
    if products[0, 0] <= 1e-3 * of_window[0, 0]:  # a variance of a thousandth of a level: nothing but rounding
        return _FARTHEST / _EDGE
    # Divided ring by ring: of few pairs of places the mean alone would be noise.
    sums = np.array([[values.ravel()[ring].sum() for ring in _window()[1]] for values in (products, of_window)])
    profile = sums[0] / sums[1] * of_window[0, 0] / products[0, 0]
    below = np.flatnonzero(profile < _LEVEL)
    if not len(below):
        return _FARTHEST / _EDGE
    last = int(below[0]) - 1  # at distance 0 it is 1
    fraction = (profile[last] - _LEVEL) / (profile[last] - profile[last + 1])
    return float(last + fraction) / _EDGE


def _smoothed(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), _ILLUMINATION * _EDGE)


def _self_correlation(values: np.ndarray) -> np.ndarray:
    return np.fft.irfft2(np.abs(np.fft.rfft2(values, (2 * _EDGE, 2 * _EDGE))) ** 2)


@functools.cache
def _window() -> tuple[np.ndarray, list[np.ndarray]]:
    """Give a Hann window and the places of each whole distance."""
    window = np.outer(np.hanning(_EDGE), np.hanning(_EDGE)).astype(np.float32)
    shift = np.minimum(np.arange(2 * _EDGE), 2 * _EDGE - np.arange(2 * _EDGE))
    distance = np.hypot(shift[:, None], shift[None]).ravel()
    return window, [np.flatnonzero(np.abs(distance - whole) < 0.5) for whole in range(_FARTHEST)]
