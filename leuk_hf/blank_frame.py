"""A blank frame around an image, as of a screenshot or on a slide: how much of the image it takes.

Shared contract: luminance is float32 (H, W), in levels from 0 to 255.
"""

from __future__ import annotations

import numpy as np

_ENDS = 0.02  # of a line at either end, which may show an outline drawn around the frame
_PLAIN = 2.0  # levels of standard deviation: what compression leaves of a line in one tone
_OTHER_TONE = 8.0  # levels between a frame and what is no longer part of it
# Of the line within a frame, as far as the other two sides leave it, which count as leaving a quarter at least: where
# too much light leaves nothing but white along a field's edges, cells come in one by one (experiment log).
_STEP = 0.2
_LEFT = 0.25


def frame_share(luminance: np.ndarray) -> float:
    """Tell which share of an image its blank frame takes: lines along its edges in one tone each that end all at once.

    Args:
        luminance: (H, W).

    Returns:
        In [0, 1): 0 without a frame, or if nothing else is there.
    """
    inside = luminance
    while (within := _within(inside)).size < inside.size:  # a frame may have another one around it
        inside = within
    return 1 - inside.size / luminance.size


def _within(image: np.ndarray) -> np.ndarray:
    sides = [image, image[::-1], image.T, image.T[::-1]]  # each from an edge inwards
    top, bottom, left, right = (_plain_lines(lines) for lines in sides)
    height, width = image.shape
    if top == height or left == width:
        return image
    rows, columns = slice(top, height - bottom), slice(left, width - right)
    top, bottom, left, right = (
        count if _ends_at_once(lines, count, across) else 0
        for lines, count, across in zip(sides, (top, bottom, left, right), (columns, columns, rows, rows), strict=True)
    )
    return image[top : height - bottom, left : width - right]


def _plain_lines(lines: np.ndarray) -> int:
    ends = int(_ENDS * lines.shape[1])
    plain = lines[:, ends : lines.shape[1] - ends].std(axis=1) <= _PLAIN
    return len(plain) if plain.all() else int(np.argmin(plain))


def _ends_at_once(lines: np.ndarray, count: int, across: slice) -> bool:
    if not 0 < count < len(lines) - 1:
        return False
    within = lines[count + 1, across]  # the line between may be of both, as images are reduced
    differing = np.abs(within - lines[count - 1, across].mean()) > _OTHER_TONE
    return bool(differing.sum() >= _STEP * max(len(within), _LEFT * lines.shape[1]))
