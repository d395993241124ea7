"""Leukocytes of a field: which pixels they cover, where each one lies.

Shared contract: images are RGB, PIL or uint8 (H, W, 3), at least one pixel; masks are bool (H, W) and label maps int32
(H, W), at the image's own size; lengths are pixels of it. A leukocyte is nucleus and cytoplasm; red cells, platelets
and burnt-in scale bars are not, burst (smudge) cells may be either. Finding none is a result: nothing is thresholded
relative to the field's own maximum.

Method: the field is squashed to a working square, its light evened out by a surface through the bright glass
(optical density, Beer-Lambert), and a network of twelve hidden units rates every pixel by its own and its
neighbourhood's colour. Too thin, small or uncertain regions go; touching cells are parted at the necks by flooding
the distance to the outline, and parts whose union is convex are joined again. The network's numbers were fitted on
the fields of even index in tests/reference/leukocytes (colour jitter, two magnifications) and on confident pixels of
other laboratories' smears (BCCD, Chula); nothing is learned at run time.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from PIL import Image

from leuk_hf.cell_network import WORKING_SIZE, as_pixels, leukocyte_probability, resized

_THRESHOLD = 0.35  # below one half: an outline a little too wide is better than a missed rim of cytoplasm
_SMALLEST, _SMALLEST_AT_BORDER = 45, 20  # area of a region, working pixels; the edge may leave little of a cell
_THICKNESS = 3.5  # distance to the outline of the deepest pixel, working pixels
_CERTAINTY = 0.7  # mean probability in a region
_HOLE = 15  # working pixels; larger holes are filled when they are coloured, by at most four times as much
_SOLID = 0.93  # parts whose union fills this share of its convex hull are one cell
_NECK = 0.03  # a peak of the distance map this share above the saddle to a higher one is a cell of its own
_SMOOTHING = 0.7  # standard deviation that evens out the distance map, working pixels


@dataclasses.dataclass(frozen=True)
class Leukocyte:
    """One cell of a field.

    Args:
        label: Its value in `label_leukocytes(segment_leukocytes(image))`, from 1.
        area: Covered pixels.
        centre: (x, y) of the centre of mass; the top left pixel's centre is (0, 0).
        box: (left, top, right, bottom), right and bottom exclusive.
        touches_border: Whether it reaches the image's edge, so that part of it may be missing.
    """

    label: int
    area: int
    centre: tuple[float, float]
    box: tuple[int, int, int, int]
    touches_border: bool


def segment_leukocytes(image: Image.Image | np.ndarray) -> np.ndarray:
    """Tell which pixels belong to leukocytes.

    Args:
        image: RGB, any size; a field of 4:3 is treated like the data set's, which are squashed to squares.

    Returns:
        bool (H, W); empty when there is none.

    Raises:
        ValueError: If the image is no RGB image of at least one pixel.
    """
    pixels = as_pixels(image)
    mask = _clean(leukocyte_probability(pixels))
    height, width = pixels.shape[:2]
    if (height, width) == mask.shape:
        return mask
    # A smooth ramp instead of steps where the working pixels are larger than the image's.
    ramp = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)
    return cv2.resize(ramp, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def label_leukocytes(mask: np.ndarray) -> np.ndarray:
    """Number the cells, touching ones apart.

    Args:
        mask: bool (H, W).

    Returns:
        int32 (H, W): 0 outside the mask, 1 to n inside, in the order in which rows meet them.

    Raises:
        ValueError: If the mask is not of two dimensions or has no pixel.
    """
    mask = np.asarray(mask, dtype=bool)
    if mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask has two dimensions and at least one pixel, not the shape {mask.shape}")
    height, width = mask.shape
    small = resized(mask.astype(np.uint8) * 255, (WORKING_SIZE, WORKING_SIZE))
    split = cv2.resize(_split(small > 127), (width, height), interpolation=cv2.INTER_NEAREST)
    return label_alike(mask, split)


def label_alike(mask: np.ndarray, numbered: np.ndarray) -> np.ndarray:
    """Number the cells of a mask like those of another mask of the same field, touching ones apart as they are there.

    Args:
        mask: bool (H, W).
        numbered: int (H, W): 0 outside of the other mask.

    Returns:
        int32 (H, W): 0 outside the mask, 1 to n inside, in the order in which rows meet them.
    """
    # Where outlines differ, a pixel takes the nearest label.
    _, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    labels = np.where(mask, numbered, 0)
    missing = mask & (labels == 0)
    if missing.any() and labels.any():
        labels = np.where(missing, nearest_labels(labels), labels)
    # A label never spans two regions: joined in the other mask, apart in this one.
    return _in_reading_order(labels * (int(regions.max()) + 1) + regions, mask)


def find_leukocytes(image: Image.Image | np.ndarray) -> tuple[Leukocyte, ...]:
    """List the leukocytes of a field, in the order in which rows from the top meet them.

    Args:
        image: RGB, any size.

    Returns:
        One entry per cell, labels 1 to n; empty when there is none.

    Raises:
        ValueError: If the image is no RGB image of at least one pixel.
    """
    return describe_leukocytes(label_leukocytes(segment_leukocytes(image)))


def describe_leukocytes(labels: np.ndarray) -> tuple[Leukocyte, ...]:
    """Measure every cell of a label map.

    Args:
        labels: int32 (H, W) as from `label_leukocytes`.

    Returns:
        One entry per label that occurs, ascending.
    """
    height, width = labels.shape
    rows, columns = np.nonzero(labels > 0)
    values = labels[rows, columns]
    size = int(labels.max()) + 1
    area, across, down = (np.bincount(values, weights, size) for weights in (None, columns, rows))
    first = np.full((2, size), max(height, width))
    last = np.full((2, size), -1)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(first[axis], values, places)
        np.maximum.at(last[axis], values, places)
    cells = []
    for label in np.flatnonzero(area).tolist():
        (left, top), (right, bottom) = first[:, label].tolist(), (last[:, label] + 1).tolist()
        at_border = left == 0 or top == 0 or right == width or bottom == height
        centre = (float(across[label] / area[label]), float(down[label] / area[label]))
        cells.append(Leukocyte(label, int(area[label]), centre, (left, top, right, bottom), at_border))
    return tuple(cells)


def _clean(probability: np.ndarray) -> np.ndarray:
    """Keep regions as thick, large and certain as a leukocyte, without holes; bool of the same shape."""
    raw = (probability > _THRESHOLD).astype(np.uint8)
    opened = cv2.morphologyEx(raw, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    # A frame of one repeated pixel: what the edge cuts off is judged as if it went on outside.
    filled = _filled(opened, probability)
    framed = cv2.copyMakeBorder(filled, 8, 8, 8, 8, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[8:-8, 8:-8]
    count, regions, stats, _ = cv2.connectedComponentsWithStats(filled, connectivity=4)
    kept = np.zeros(count, dtype=bool)
    for region in range(1, count):
        left, top, width, height, area = stats[region]
        window = (slice(top, top + height), slice(left, left + width))
        inside = regions[window] == region
        certain = probability[window][inside]
        at_border = left == 0 or top == 0 or left + width == WORKING_SIZE or top + height == WORKING_SIZE
        kept[region] = (
            area >= (_SMALLEST_AT_BORDER if at_border else _SMALLEST)
            and depth[window][inside].max() >= _THICKNESS
            and float(np.mean(certain)) >= _CERTAINTY
        )
    return kept[regions]


def _filled(mask: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Fill holes that are part of a cell, such as vacuoles, but not glass between touching cells; uint8."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    total = np.bincount(regions.ravel(), weights=probability.ravel(), minlength=count)
    area = stats[:, cv2.CC_STAT_AREA]
    hole = (area <= _HOLE) | ((area <= 4 * _HOLE) & (total >= 0.1 * area))
    hole[0] = False  # the mask itself
    return np.maximum(mask, hole[regions].astype(np.uint8))


def _split(mask: np.ndarray) -> np.ndarray:
    """Number the regions of a mask, cut at their necks; int32, 0 outside."""
    # The frame continues what the edge cuts off, else a half cell's deepest place would be off its middle.
    frame = 12
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), frame, frame, frame, frame, cv2.BORDER_REPLICATE)
    # Without any pixel outside the distance is infinite.
    distance = np.minimum(cv2.distanceTransform(framed, cv2.DIST_L2, 5), np.float32(WORKING_SIZE))
    depth = cv2.GaussianBlur(distance, (0, 0), _SMOOTHING)
    depth = np.where(framed > 0, depth, 0)[frame:-frame, frame:-frame].astype(np.float32)
    # A cell is a peak that stands out by a share of its height: necks are relative to the cells they join.
    levelled = _reconstructed(depth * np.float32(1 - _NECK), depth)
    step = np.float32(0.05)
    peaks = mask & (levelled - _reconstructed(levelled - step, levelled) > step / 2)
    _, labels = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8, ltype=cv2.CV_16U)
    # Cells grow from their peaks downhill, level by level, and meet at the neck. (cv2.watershed floods by differences
    # between neighbours instead of by height, which is no use on a smooth relief.)
    labels = labels.astype(np.int32)
    for level in np.append(np.arange(float(depth.max()), 0, -1.0), 0):
        opened = mask & (depth >= level) & (labels == 0)
        if opened.any():
            labels[opened] = nearest_labels(labels)[opened]
    return _merged(labels)


def nearest_labels(labels: np.ndarray) -> np.ndarray:
    """Give every pixel the label of the nearest pixel that has one; int32 (H, W). All 0 stays all 0."""
    if not labels.any():
        return labels.astype(np.int32)
    _, nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of = np.zeros(int(nearest.max()) + 1, dtype=np.int32)
    label_of[nearest[labels > 0]] = labels[labels > 0]
    return label_of[nearest]


def _merged(labels: np.ndarray) -> np.ndarray:
    """Join neighbouring parts whose union is convex: one cell, not two; int32."""
    sides = ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:]))
    edges = [(a != b) & (a > 0) & (b > 0) for a, b in sides]
    touching = np.concatenate(
        [np.stack([a[edge], b[edge]], axis=1) for (a, b), edge in zip(sides, edges, strict=True)]
    )
    pairs = {(min(pair), max(pair)) for pair in np.unique(touching, axis=0).tolist()}
    areas = np.bincount(labels.ravel()).astype(float)
    points = {}
    for label in {label for pair in pairs for label in pair}:
        outlines, _ = cv2.findContours((labels == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        points[label] = np.concatenate(outlines)
    while pairs:
        solidity, (kept, gone) = max((_solidity(points, areas, pair), pair) for pair in pairs)
        if solidity < _SOLID:
            break
        labels = np.where(labels == gone, kept, labels)
        points[kept], areas[kept] = np.concatenate([points[kept], points.pop(gone)]), areas[kept] + areas[gone]
        renamed = ((kept if a == gone else a, kept if b == gone else b) for a, b in pairs)
        pairs = {(min(a, b), max(a, b)) for a, b in renamed if a != b}
    return labels.astype(np.int32)


def _solidity(points: dict[int, np.ndarray], areas: np.ndarray, pair: tuple[int, int]) -> float:
    """Pixels of two parts over the pixels of their convex hull, in about [0, 1]."""
    hull = cv2.convexHull(np.concatenate([points[label] for label in pair]))
    # By Pick's theorem; the hull's corners are pixel centres.
    return float(areas[list(pair)].sum() / (cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1))


def _reconstructed(seed: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Grow a seed below a limit until it stands still (grey reconstruction by dilation); float32."""
    kernel = np.ones((3, 3), dtype=np.uint8)
    current = np.minimum(seed, limit)
    while True:
        grown = np.minimum(cv2.dilate(current, kernel), limit)
        if np.array_equal(grown, current):
            return current
        current = grown


def _in_reading_order(labels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Renumber distinct values inside a mask 1 to n by their first pixel; int32, 0 outside."""
    values, first, inverse = np.unique(labels[mask], return_index=True, return_inverse=True)
    rank = np.empty(len(values), dtype=np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(1, len(values) + 1)
    ordered = np.zeros(labels.shape, dtype=np.int32)
    ordered[mask] = rank[inverse.ravel()]
    return ordered
