"""Painting over burnt-in annotation so that what is left looks like the smear around it."""

from __future__ import annotations

import cv2
import numpy as np

from leuk_hf.annotation_search import EDGE, Box, odd

_LIGHT = 30  # grey levels by which a patch may be made lighter or darker


def fill(pixels: np.ndarray, box: Box, opaque: bool, covered: np.ndarray) -> None:
    """Paint one annotation over in place: thin strokes from their rim, wide boxes from a like place elsewhere.

    Args:
        pixels: uint8 (H, W, 3), RGB; changed under `covered` within the box.
        box: Of the annotation.
        opaque: Whether it stands on a label box that hides the smear.
        covered: bool (H, W), all annotations of the field; nothing is copied from there.
    """
    left, top, right, bottom = box
    height, width = covered.shape
    unit = float(np.sqrt(width * height)) / EDGE
    rim = max(2, round(6 * unit))
    window = (slice(max(0, top - rim), bottom + rim), slice(max(0, left - rim), right + rim))
    mask, area = covered[window], pixels[window]
    source = _alike(pixels, covered, window, unit) if opaque else None
    if source is None:
        painted = cv2.inpaint(area, mask.astype(np.uint8), max(2, 2 * unit), cv2.INPAINT_TELEA)
    else:
        painted = _blend(area, pixels[source], mask, unit)
    area[mask] = painted[mask]


def _alike(
    pixels: np.ndarray, covered: np.ndarray, window: tuple[slice, slice], unit: float
) -> tuple[slice, slice] | None:
    """Find the place of the same size whose rim is most like the window's; None when there is none."""
    height, width = covered.shape
    ratio = min(1.0, 0.5 / unit)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    hidden = (cv2.resize(covered.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    scale = (size[1] / height, size[0] / width)
    rows, columns = (
        slice(int(part.start * step), max(int(part.start * step) + 1, min(end, int(part.stop * step))))
        for part, step, end in zip(window, scale, (size[1], size[0]), strict=True)
    )
    template, known = small[rows, columns], 1 - hidden[rows, columns]
    if not known.any() or min(template.shape[:2]) < 2:
        return None
    distance = cv2.matchTemplate(small, template, cv2.TM_SQDIFF, mask=cv2.merge([known] * 3))
    high, wide = template.shape[:2]
    # Nothing may appear that the rim gives no hint of: a made-up leukocyte would be read as one.
    red, green, blue = cv2.split(small)
    stain = cv2.subtract(cv2.max(red, blue), green)
    usual = float(stain[rows, columns][known > 0].mean())
    purple = cv2.boxFilter(stain, cv2.CV_32F, (wide, high), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    excess = np.maximum(0, purple[: distance.shape[0], : distance.shape[1]] - usual)
    distance += 3 * high * wide * excess**2
    sums = cv2.integral(hidden)
    occupied = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    distance[(occupied > 0) | ~np.isfinite(distance)] = np.inf
    if not np.isfinite(distance).any():
        return None
    row, column = np.unravel_index(int(distance.argmin()), distance.shape)
    target = covered[window].shape
    top = min(round(row / scale[0]), height - target[0])
    left = min(round(column / scale[1]), width - target[1])
    source = (slice(top, top + target[0]), slice(left, left + target[1]))
    return None if covered[source].any() else source


def _blend(area: np.ndarray, patch: np.ndarray, mask: np.ndarray, unit: float) -> np.ndarray:
    """Shift the patch's colours smoothly so that it meets the rim of the hole without a step."""
    step = max(1, round(2 * unit))
    size = (-(-mask.shape[1] // step), -(-mask.shape[0] // step))
    reach = np.ones((odd(3 * unit),) * 2, np.uint8)
    rim = ((cv2.dilate(mask.astype(np.uint8), reach) > 0) & ~mask).astype(np.float32)
    weight = cv2.resize(rim, size, interpolation=cv2.INTER_AREA)
    gap = cv2.resize((area.astype(np.float32) - patch) * rim[..., None], size, interpolation=cv2.INTER_AREA)
    rows, columns = np.nonzero(weight > 0.05)
    if not len(rows):
        return patch
    # A larger gap is a cell's edge, not another light; spreading it would dye the patch.
    values = np.clip(gap[rows, columns] / weight[rows, columns, None], -_LIGHT, _LIGHT)
    down, right = np.indices(size[::-1], dtype=np.float32).reshape(2, -1, 1)
    closeness = 1 / ((down - rows) ** 2 + (right - columns) ** 2 + 0.1) ** 1.5
    shift = (closeness @ values / closeness.sum(axis=1, keepdims=True)).reshape(size[1], size[0], 3)
    shift = cv2.resize(shift.astype(np.float32), mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(np.rint(patch + shift), 0, 255).astype(np.uint8)
