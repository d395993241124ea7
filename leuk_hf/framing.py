"""Between an image of any shape and the square that a network is given.

Shared contract: an image is scaled as a whole, so that cells keep their shape, and lies in the middle of the square;
where it is shorter, its own mirror image fills the square up: no seam, no colour that no field has. A square image
fills it alone.
"""

from __future__ import annotations

import cv2
import numpy as np


def fitting_size(size: tuple[int, int], edge: int) -> tuple[int, int]:
    """Give the (width, height) at which an image just fits into a square.

    Args:
        size: (width, height) of the image.
        edge: Of the square.
    """
    longest = max(size)
    return max(1, round(size[0] * edge / longest)), max(1, round(size[1] * edge / longest))


def fill_up(pixels: np.ndarray, edge: int) -> np.ndarray:
    """Fill an image up to a square: (edge, edge, ...) of the same type.

    Args:
        pixels: (h, w, ...), of `fitting_size`.
        edge: Of the square.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (edge, edge):
        return pixels
    top, left = (edge - height) // 2, (edge - width) // 2
    return cv2.copyMakeBorder(pixels, top, edge - height - top, left, edge - width - left, cv2.BORDER_REFLECT)


def cut_out(square: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Take out of a square what the image itself covers, (height, width, ...); the inverse of `fill_up`.

    Args:
        square: (edge, edge, ...), edge the image's longer side.
        size: (width, height) of the image.
    """
    edge, (width, height) = len(square), size
    top, left = (edge - height) // 2, (edge - width) // 2
    return square[top : top + height, left : left + width]
