"""Burnt-in annotation: finding scale bars and labels near the border of a field, and painting them over.

Shared contract: images are PIL of any mode or uint8 (H, W, 3) RGB arrays, of any size. A Box is (left, top, right,
bottom) in pixels of the given image, right and bottom exclusive. All lengths below are in 224ths of the field's edge
(the geometric mean of width and height), so that a field gives the same answer at any resolution. Nothing depends on
where along the border an annotation is.

Ink differs from a smear in three ways: it is thinner than any cell, its colour (neutral black, white, or a pure
hue) is none that stains have, and it runs straight along rows and columns or sits on a flat box.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from leuk_hf.annotation_fill import fill
from leuk_hf.annotation_search import EDGE, LARGE, Box, Mark, find_marks
from leuk_hf.cell_network import as_pixels

STYLES = ("small black", "small red", "large", "other")
_LARGEST_WORKING_EDGE = 448  # more detail only costs time
_SMALLEST_IMAGE = 32  # pixels; below that nothing can be told apart
_MOST_MARKS = 12  # more are the texture of some other kind of picture


@dataclasses.dataclass(frozen=True, eq=False)
class Annotation:
    """One burnt-in mark.

    Args:
        box: (left, top, right, bottom) in pixels of the image, right and bottom exclusive.
        style: One of STYLES: how the marks of the Kaggle ALL set look, or "other".
        mask: bool (bottom - top, right - left): what covers the smear, i.e. ink and opaque label box, with the
            seam that resampling and JPEG leave around it.
        opaque: Whether the ink stands on a label box that hides the smear below.
    """

    box: Box
    style: str
    mask: np.ndarray
    opaque: bool


def remove_annotation(image: Image.Image | np.ndarray) -> tuple[Image.Image, list[Box]]:
    """Paint burnt-in annotation over with smear from the same field.

    Args:
        image: PIL of any mode or uint8 (H, W, 3) RGB, any size.

    Returns:
        The field without annotation, PIL RGB, equal to `image` in every pixel outside the boxes (`image` itself when
        it is PIL RGB and nothing is found), and the boxes.

    Raises:
        ValueError: If an array is no such image of at least one pixel.
    """
    pixels = _pixels(image)
    annotations = find_annotations(pixels)
    if not annotations and isinstance(image, Image.Image) and image.mode == "RGB":
        return image, []
    pixels = pixels.copy()
    covered = cover_of(annotations, pixels.shape[:2])
    for annotation in annotations:
        fill(pixels, annotation.box, annotation.opaque, covered)
    return Image.fromarray(pixels), [annotation.box for annotation in annotations]


def annotation_mask(image: Image.Image | np.ndarray) -> np.ndarray:
    """Tell the pixels that burnt-in annotation covers: bool (H, W).

    Args:
        image: PIL of any mode or uint8 (H, W, 3) RGB, any size.

    Raises:
        ValueError: If an array is no such image of at least one pixel.
    """
    pixels = _pixels(image)
    return cover_of(find_annotations(pixels), pixels.shape[:2])


def annotation_style(annotations: Sequence[Annotation]) -> str:
    """Name the style of a field by its largest annotation: one of STYLES, or "none"."""
    if not annotations:
        return "none"
    return max(annotations, key=lambda annotation: int(annotation.mask.sum())).style


def find_annotations(image: Image.Image | np.ndarray) -> list[Annotation]:
    """Find scale bars, their text and label boxes near the border.

    Args:
        image: PIL of any mode or uint8 (H, W, 3) RGB, any size; below 32 pixels nothing is found.

    Returns:
        Annotations with boxes that do not overlap, from top to bottom.

    Raises:
        ValueError: If an array is no such image of at least one pixel.
    """
    pixels = np.ascontiguousarray(_pixels(image))
    height, width = pixels.shape[:2]
    if min(height, width) < _SMALLEST_IMAGE:
        return []
    edge = float(np.sqrt(width * height))
    working_edge = float(np.clip(edge, EDGE, _LARGEST_WORKING_EDGE))
    ratio = working_edge / edge
    if ratio != 1:
        size = (max(_SMALLEST_IMAGE, round(width * ratio)), max(_SMALLEST_IMAGE, round(height * ratio)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC)
    marks = find_marks(pixels, working_edge / EDGE)
    if len(marks) > _MOST_MARKS:
        return []
    return _merge(marks, pixels.shape[:2], (height, width))


def _pixels(image: Image.Image | np.ndarray) -> np.ndarray:
    is_rgb = isinstance(image, Image.Image) and image.mode == "RGB"  # `convert` would copy it once more
    return as_pixels(np.asarray(image) if is_rgb else image)


def _style(mark: Mark) -> str:
    if mark.ink == "red" and mark.size[0] <= 30 and mark.size[1] <= 10:
        return "small red"
    if mark.ink == "black" and mark.has_bar and mark.size[1] >= LARGE:
        return "large"
    if mark.ink == "black" and mark.size[0] <= 30 and mark.size[1] <= 12 and (mark.boxed or not mark.has_bar):
        return "small black"
    return "other"


def _merge(marks: Sequence[Mark], working: tuple[int, int], full: tuple[int, int]) -> list[Annotation]:
    """Join touching marks and bring them to the size of the image."""
    if not marks:
        return []
    union = np.any([mark.cover for mark in marks], axis=0).astype(np.uint8)
    gap = np.ones((9, 21), np.uint8)
    count, groups = cv2.connectedComponents(cv2.morphologyEx(union, cv2.MORPH_CLOSE, gap))
    annotations = []
    for number in range(1, count):
        members = [mark for mark in marks if (mark.cover & (groups == number)).any()]
        if not members:
            continue
        cover = ((groups == number) & (union > 0)).astype(np.uint8)
        if working != full:
            cover = cv2.resize(cover * 255, full[::-1], interpolation=cv2.INTER_LINEAR) // 64
        left, top, wide, high = cv2.boundingRect(cover)
        mask = cover[top : top + high, left : left + wide] > 0
        opaque = any(mark.boxed for mark in members)
        style = _style(max(members, key=lambda mark: int(mark.cover.sum())))
        annotations.append(Annotation((left, top, left + wide, top + high), style, mask, opaque))
    return annotations


def cover_of(annotations: Sequence[Annotation], shape: tuple[int, int]) -> np.ndarray:
    """Join the masks of a field's annotations: bool `shape`, which is (H, W)."""
    mask = np.zeros(shape, bool)
    for annotation in annotations:
        left, top, right, bottom = annotation.box
        mask[top:bottom, left:right] |= annotation.mask
    return mask
