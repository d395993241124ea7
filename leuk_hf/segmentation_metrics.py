"""How well a leukocyte mask agrees with outlines drawn by eye, pure functions on arrays.

Shared contract: masks are bool (H, W), all of one size; outlines are (x, y) pairs in pixels, the top left pixel
reaching from 0 to 1. Pixels of `ignored` (burst or unclear cells) count neither for nor against. A ratio with nothing
below the line is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

_FRACTION_BITS = 4  # outlines are drawn on a grid of sixteenths of a pixel


def rasterise(polygons: Iterable[Sequence[Sequence[float]]], shape: tuple[int, int]) -> np.ndarray:
    """Draw filled outlines.

    Args:
        polygons: Any number of closed outlines, each a sequence of (x, y).
        shape: (H, W).

    Returns:
        bool (H, W).
    """
    drawn = np.zeros(shape, dtype=np.uint8)
    for polygon in polygons:
        # OpenCV's integer coordinates are pixel centres, half a pixel inside the pixel's edge.
        points = np.rint((np.asarray(polygon, dtype=np.float64) - 0.5) * 2**_FRACTION_BITS).astype(np.int32)
        cv2.fillPoly(drawn, [points], 1, shift=_FRACTION_BITS)
    return drawn > 0


def dice(found: np.ndarray, true: np.ndarray, ignored: np.ndarray | None = None) -> float:
    """Twice the common pixels over the sum of both masks' pixels (Dice 1945); NaN when both are empty."""
    valid = np.ones_like(true) if ignored is None else ~ignored
    common, total = (found & true & valid).sum(), (found & valid).sum() + (true & valid).sum()
    return float(2 * common / total) if total else math.nan


def coverage(found: np.ndarray, true: np.ndarray, *, margin: int = 0, ignored: np.ndarray | None = None) -> float:
    """Share of the true pixels that the mask covers after growing it.

    Args:
        found: The mask.
        true: The reference.
        margin: Pixels by which `found` is grown first, round, at least 0.
        ignored: Pixels that do not count.
    """
    if margin:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
        found = cv2.dilate(found.astype(np.uint8), disc) > 0
    wanted = true if ignored is None else true & ~ignored
    return float((found & wanted).sum() / wanted.sum()) if wanted.any() else math.nan


def share_found(found: np.ndarray, polygons: Sequence[Sequence[Sequence[float]]]) -> float:
    """Share of the outlined cells of which the mask covers at least half.

    Args:
        found: The mask.
        polygons: One outline a cell; those without a pixel inside do not count.
    """
    cells = [rasterise([polygon], found.shape) for polygon in polygons]
    covered = [bool(found[cell].mean() >= 0.5) for cell in cells if cell.any()]
    return sum(covered) / len(covered) if covered else math.nan


def without_specks(mask: np.ndarray, smallest: int) -> np.ndarray:
    """Drop the regions of fewer than `smallest` pixels; bool (H, W)."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return mask & (stats[:, cv2.CC_STAT_AREA] >= smallest)[regions]


def count_cells(centres: Iterable[tuple[float, float]], ignored: np.ndarray) -> int:
    """Count the cells whose centre lies outside the ignored pixels.

    Args:
        centres: (x, y), the top left pixel's centre at (0, 0), inside the image.
        ignored: bool (H, W).
    """
    return sum(not ignored[round(y), round(x)] for x, y in centres)


def count_error(found: int, true: int) -> float:
    """Signed difference of two counts as a share of the true one; NaN when there is no true cell."""
    return (found - true) / true if true else math.nan
