"""Fields as they never were: without their leukocytes, with nothing but them, with those of another field.

Shared contract: fields are uint8 (H, W, 3), RGB; masks are bool (H, W), True on what they name; a function
returns a new field or mask of the same height and width. Masks of leukocytes are passed as they are to be cut,
already widened by the caller (`widen`) so that no stained rim stays behind. Randomness comes only from a generator
that the caller passes.
"""

from __future__ import annotations

import cv2
import numpy as np

from leuk_hf.perturbations import scale_of

NEUTRAL_GREY = (128, 128, 128)
FEATHER = 1.0  # standard deviation of a pasted outline, in pixels of a 224-pixel field
RING = 4  # width of the rim by which a place to copy from is chosen, in pixels of a 224-pixel field
_THIN = 2  # pixels of a 224-pixel field: half the width of what is too thin for a cell, such as red cells' rims
CORNER_SHARE = (0.3, 0.3)  # of width and height: holds every scale bar of the Kaggle ALL set
CORNERS = ("top left", "top right", "bottom left", "bottom right")


def widen(mask: np.ndarray, field: np.ndarray, pixels: float) -> np.ndarray:
    """Grow a mask by this many pixels of a 224-pixel field in every direction."""
    reach = round(pixels * scale_of(field))
    if reach < 1:
        return mask.copy()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def inpaint(field: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fill holes smoothly from their rims.

    Source: Telea 2004, "An image inpainting technique based on the fast marching method",
    doi 10.1080/10867651.2004.10487596.
    """
    if not mask.any():
        return field.copy()
    if mask.all():
        return np.full_like(field, NEUTRAL_GREY)
    return cv2.inpaint(field, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)


def clone_over(field: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Fill every hole with a piece of the same field that holds none, chosen by the likeness of the rims.

    Unlike `inpaint` this leaves no smooth patch: red cells and glass keep their texture. A hole that fits nowhere is
    inpainted.

    Args:
        field: The field.
        mask: The holes; nothing is copied from them.
        generator: Chooses among the five best places.
    """
    filled = inpaint(field, mask)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    rim = max(1, round(RING * scale_of(field)))
    for label in range(1, count):
        left, top, width, height = boxes[label][:4]
        window = _grown((left, top, left + width, top + height), rim, mask.shape)
        rows, columns = slice(window[1], window[3]), slice(window[0], window[2])
        hole = labels[rows, columns] == label
        ring = (
            cv2.dilate(hole.astype(np.uint8), np.ones((2 * rim + 1,) * 2, np.uint8)).astype(bool)
            & ~mask[rows, columns]
        )
        place = _alike(field, filled[rows, columns], hole, ring, mask, generator)
        if place is not None:
            row, column = place
            piece = field[row : row + hole.shape[0], column : column + hole.shape[1]]
            filled[rows, columns] = _paste(filled[rows, columns], piece, hole, scale_of(field))
    return filled


def displaced(parts: np.ndarray, forbidden: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Move every part to another place of the field: holes of equal number and shape, elsewhere.

    Args:
        parts: int (H, W), 0 outside, 1..n on the parts to move.
        forbidden: Where none may lie, such as the leukocytes themselves.
        generator: Chooses the places.

    Returns:
        Mask of the moved parts, off `forbidden` and off each other. A part for which there is no room is left out, so
        in a crowded field the area can be smaller; compare the two sums.
    """
    moved, taken = np.zeros(parts.shape, dtype=bool), forbidden.copy()
    areas = np.bincount(parts.ravel())
    # Large parts first: they have the fewest places.
    for number in sorted(np.flatnonzero(areas[1:]) + 1, key=lambda number: -areas[number]):
        rows, columns = np.nonzero(parts == number)
        part = (parts == number)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        tops, lefts = np.nonzero(_overlaps(taken, part) == 0)
        if len(tops):
            chosen = generator.integers(len(tops))
            top, left = tops[chosen], lefts[chosen]
            window = np.s_[top : top + part.shape[0], left : left + part.shape[1]]
            moved[window] |= part
            taken[window] |= part
    return moved


def isolate(field: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int] = NEUTRAL_GREY) -> np.ndarray:
    """Keep the pixels of a mask and paint everything else in one colour."""
    return np.where(mask[..., None], field, np.array(colour, dtype=np.uint8))


def silhouettes(mask: np.ndarray, inside: tuple[int, int, int], outside: tuple[int, int, int]) -> np.ndarray:
    """Draw a mask in two flat colours: number, size, shape and place of the cells, and nothing of their looks."""
    return np.where(mask[..., None], np.array(inside, dtype=np.uint8), np.array(outside, dtype=np.uint8))


def transplant(field: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Put one field's leukocytes, where they are, onto another field.

    Args:
        field: Gives the pixels of `mask`.
        mask: Its leukocytes.
        background: Gives the rest; resized to the field if it differs. Emptied beforehand by the caller.
    """
    height, width = mask.shape
    if background.shape != field.shape:
        background = cv2.resize(background, (width, height), interpolation=cv2.INTER_AREA)
    return _paste(background, field, mask, scale_of(field))


def thin_out(labels: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Choose cells to take away.

    Args:
        labels: int (H, W), 0 outside cells, 1..n on them.
        share: Of the cells, in [0, 1]; at least one cell, if there is one and share is positive.
        generator: Chooses them.

    Returns:
        Mask of the chosen cells.
    """
    numbers = np.unique(labels[labels > 0])
    count = min(len(numbers), max(1, round(share * len(numbers)))) if share > 0 else 0
    return np.isin(labels, generator.permutation(numbers)[:count])


def glass(field: np.ndarray, leukocytes: np.ndarray) -> np.ndarray:
    """Find the empty glass between all cells: the bright side of Otsu's threshold on luma, eroded.

    Args:
        field: The field.
        leukocytes: Never glass.
    """
    luma = cv2.GaussianBlur(cv2.cvtColor(field, cv2.COLOR_RGB2GRAY), (0, 0), max(0.5, scale_of(field)))
    threshold, _ = cv2.threshold(luma[~leukocytes][None], 0, 255, cv2.THRESH_OTSU) if not leukocytes.all() else (0, 0)
    bright = ((luma > threshold) & ~leukocytes).astype(np.uint8)
    return cv2.erode(bright, np.ones((3, 3), np.uint8)).astype(bool)


def bluish(field: np.ndarray) -> np.ndarray:
    """Find what is bluer than the rest and not thin: leukocytes, and what stains like them.

    Nothing of it was fitted, so that it shares nothing with `segment_leukocytes` and what learned from that: the low
    side of Otsu's threshold on b* of CIELAB, opened by a disc.

    Source: Otsu 1979, doi 10.1109/TSMC.1979.4310076.
    """
    scale = scale_of(field)
    blueness = cv2.GaussianBlur(cv2.cvtColor(field, cv2.COLOR_RGB2LAB)[..., 2], (0, 0), max(0.5, scale))
    if blueness.min() == blueness.max():
        return np.zeros(blueness.shape, dtype=bool)
    threshold, _ = cv2.threshold(blueness, 0, 255, cv2.THRESH_OTSU)
    reach = max(1, round(_THIN * scale))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.morphologyEx((blueness <= threshold).astype(np.uint8), cv2.MORPH_OPEN, disc).astype(bool)


def corner_mask(shape: tuple[int, ...], corner: str) -> np.ndarray:
    """Mask one corner of `CORNER_SHARE`.

    Args:
        shape: Of the field, (H, W, ...).
        corner: One of `CORNERS`.
    """
    height, width = shape[:2]
    columns, rows = (max(1, round(share * edge)) for share, edge in zip(CORNER_SHARE, (width, height), strict=True))
    mask = np.zeros((height, width), dtype=bool)
    mask[:rows, :columns] = True
    if corner.startswith("bottom"):
        mask = mask[::-1]
    return np.ascontiguousarray(mask[:, ::-1] if corner.endswith("right") else mask)


def _paste(below: np.ndarray, above: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """Lay `above` over `below` inside a mask with a soft outline, which reaches outwards only."""
    sigma = max(0.3, FEATHER * scale)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)
    weight = np.where(mask, 1, np.clip(2 * soft, 0, 1))[..., None]
    return np.rint(below * (1 - weight) + above * weight).astype(np.uint8)


def _alike(
    field: np.ndarray,
    patch: np.ndarray,
    hole: np.ndarray,
    ring: np.ndarray,
    forbidden: np.ndarray,
    generator: np.random.Generator,
) -> tuple[int, int] | None:
    """Find a place, free of `forbidden` under the hole and its feathered rim, whose pixels fit the ring."""
    footprint = hole | ring
    free = _overlaps(forbidden, footprint) == 0
    if not free.any() or not ring.any():
        return None
    weight = np.repeat(ring[..., None].astype(np.float32), 3, axis=2)
    difference = cv2.matchTemplate(field.astype(np.float32), patch.astype(np.float32), cv2.TM_SQDIFF, mask=weight)
    difference[~free] = np.inf
    best = np.argsort(difference, axis=None, kind="stable")[: min(5, int(free.sum()))]
    row, column = np.unravel_index(best[generator.integers(len(best))], difference.shape)
    return int(row), int(column)


def _overlaps(taken: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Count, for every place of a part's window inside the field, the taken pixels under the part."""
    counts = cv2.matchTemplate(taken.astype(np.float32), part.astype(np.float32), cv2.TM_CCORR)
    return np.rint(counts).astype(np.int64)


def _grown(box: tuple[int, int, int, int], margin: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return max(0, left - margin), max(0, top - margin), min(shape[1], right + margin), min(shape[0], bottom + margin)
