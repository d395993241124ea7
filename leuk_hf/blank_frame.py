"""A blank frame around an image, as of a screenshot or on a slide: how much of the image it takes.

Shared contract: luminance is float32 (H, W), in levels from 0 to 255.
"""

from __future__ import annotations

import numpy as np

_PLAIN = 2.0  # levels of standard deviation: what compression leaves of a line in one tone
_SAME_TONE = 4.0  # levels between the means of a frame's lines
_OTHER_TONE = 8.0  # levels between a frame and what is no longer part of it
# Of the line within a frame. Around 145 validation and calibration fields that were framed in white or grey 0.22 of it
# at least is of another tone; where too much light left nothing but white at the edge, 0.12 at most: cells come in
# one by one.
_STEP = 0.15


def frame_share(luminance: np.ndarray) -> float:
    """Tell which share of an image its blank frame takes: lines along its edges in one tone that end all at once.

    Args:
        luminance: (H, W).

    Returns:
        In [0, 1): 0 without a frame.
    """
    rows = _within(luminance)
    return 1 - _within(rows.T).size / luminance.size


def _within(lines: np.ndarray) -> np.ndarray:
    first, last = _frame_lines(lines), _frame_lines(lines[::-1])
    return lines[first : max(first + 1, len(lines) - last)]


def _frame_lines(lines: np.ndarray) -> int:
    means = lines.mean(axis=1)
    blank = (lines.std(axis=1) <= _PLAIN) & (np.abs(means - means[0]) <= _SAME_TONE)
    count = int(np.argmin(blank))  # 0, too, if all are blank: that is no frame around anything
    if not 0 < count < len(lines) - 1:
        return 0
    within = lines[count + 1]  # the line between is of both, as images are reduced
    return count if (np.abs(within - means[0]) > _OTHER_TONE).mean() >= _STEP else 0
