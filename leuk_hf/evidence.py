"""Which leukocytes a class's evidence lies on: each one's share of the attribution, its outline and its picture.

Shared contract: images are RGB PIL of any size; boxes and outlines are in pixels of the image that the leukocytes were
found in, (0, 0) its top left corner; heatmaps are float (H, W) in [0, 1] of that image's size, from
`visualization.to_heatmap`. Cells are numbered from 1 in the order in which rows from the top meet them, whatever is
explained; their rank changes with it. The leukocytes are those of `leuk_hf.cells`, which knows nothing of the network
that is explained.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from PIL import Image

from leuk_hf.cells import describe_leukocytes, label_leukocytes, segment_leukocytes

_LONGEST_SIDE = 448  # of the copy that cells are found in: twice what `leuk_hf.cells` decides by
_MARGIN = 0.25  # around a crop, as a share of the cell's longer side
_LINE = (255, 255, 255)
_CASING = (20, 20, 20)  # on either side of the line: light on stained cells, dark on glass
_CHOSEN = (255, 214, 10)


@dataclasses.dataclass(frozen=True, eq=False)
class FieldCells:
    """The leukocytes of one field, found once, to be weighed for any class, layer and method.

    Args:
        size: (width, height) of the field.
        labels: int32, 0 outside, 1 to n on the cells; of a copy of the field, no longer than 448 pixels.
        boxes: (left, top, right, bottom) of each cell, right and bottom exclusive.
        outlines: Of each cell, float32 (n, 2): x, y.
    """

    size: tuple[int, int]
    labels: np.ndarray
    boxes: tuple[tuple[int, int, int, int], ...]
    outlines: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class EvidenceCell:
    """One leukocyte and its part in the explanation.

    Args:
        number: From 1.
        box: (left, top, right, bottom), right and bottom exclusive.
        outline: float32 (n, 2): x, y.
        share: Of the field's positive attribution, in [0, 1].
        rank: 1 has the largest share; of equal shares the lower number comes first.
    """

    number: int
    box: tuple[int, int, int, int]
    outline: np.ndarray
    share: float
    rank: int


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """A field's leukocytes under one explanation.

    Args:
        cells: By number.
        share: Of the positive attribution that lies on leukocytes, in [0, 1]; 0 when nothing argues for the class.
        area: Share of the field that they cover: what `share` would be if the attribution were the same everywhere.
    """

    cells: tuple[EvidenceCell, ...]
    share: float
    area: float

    @property
    def ranked(self) -> tuple[EvidenceCell, ...]:
        """The cells, largest share first."""
        return tuple(sorted(self.cells, key=lambda cell: cell.rank))


def find_cells(image: Image.Image) -> FieldCells:
    """Find, number and outline the leukocytes of a field.

    Args:
        image: RGB, any size.
    """
    ratio = min(1.0, _LONGEST_SIDE / max(image.size))
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    pixels = np.asarray(image)
    if size != image.size:
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return outline_cells(label_leukocytes(segment_leukocytes(pixels)), image.size)


def outline_cells(labels: np.ndarray, size: tuple[int, int]) -> FieldCells:
    """Outline numbered cells.

    Args:
        labels: int (h, w), 0 outside, 1 to n on the cells.
        size: (width, height) of the field that `labels` are a copy of.
    """
    height, width = labels.shape
    across, down = size[0] / width, size[1] / height
    boxes, outlines = [], []
    for cell in describe_leukocytes(labels):
        left, top, right, bottom = cell.box
        mask = (labels[top:bottom, left:right] == cell.label).astype(np.uint8)
        outlines.append(((_outline(mask) + np.array((left, top))) * np.array((across, down))).astype(np.float32))
        box = (int(left * across), int(top * down), int(np.ceil(right * across)), int(np.ceil(bottom * down)))
        boxes.append((box[0], box[1], min(box[2], size[0]), min(box[3], size[1])))
    return FieldCells(size, labels, tuple(boxes), tuple(outlines))


def weigh_cells(found: FieldCells, heatmap: np.ndarray) -> Evidence:
    """Share the positive attribution out among the leukocytes and what lies between them.

    Args:
        found: From `find_cells`.
        heatmap: Of the field's size.

    Raises:
        ValueError: If the sizes differ.
    """
    if heatmap.shape != found.size[::-1]:
        raise ValueError(f"heatmap has shape {heatmap.shape}, the field {found.size[::-1]}; give them one size")
    height, width = found.labels.shape
    weights = heatmap
    if heatmap.shape != found.labels.shape:
        weights = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_AREA)
    sums = np.bincount(found.labels.ravel(), weights=weights.ravel(), minlength=len(found.boxes) + 1)
    total = float(sums.sum())
    shares = sums[1:] / total if total > 0 else np.zeros(len(found.boxes))
    ranks = np.empty(len(shares), dtype=int)
    ranks[np.argsort(-shares, kind="stable")] = np.arange(1, len(shares) + 1)
    numbered = zip(found.boxes, found.outlines, shares.tolist(), ranks.tolist(), strict=True)
    cells = tuple(EvidenceCell(number, *rest) for number, rest in enumerate(numbered, 1))
    return Evidence(cells, float(shares.sum()), float((found.labels > 0).mean()))


def outlined(image: Image.Image, evidence: Evidence, *, chosen: int | None = None) -> Image.Image:
    """Draw every leukocyte's outline and number into a field or an overlay.

    Args:
        image: RGB, of the size that the cells were found in.
        evidence: From `weigh_cells`.
        chosen: Number of a cell to draw in another colour.

    Returns:
        RGB of the same size.
    """
    pixels = np.array(image)
    unit = max(1.0, max(image.size) / 448)
    thin, wide, font = max(1, round(unit)), max(3, round(3 * unit)), cv2.FONT_HERSHEY_SIMPLEX
    # Sixteenths of a pixel, of whose corners OpenCV takes the middle.
    curves = [np.rint((cell.outline - 0.5) * 16).astype(np.int32) for cell in evidence.cells]
    for cell, curve in zip(evidence.cells, curves, strict=True):
        colour = _CHOSEN if cell.number == chosen else _LINE
        cv2.polylines(pixels, [curve], True, _CASING, wide, cv2.LINE_AA, 4)
        cv2.polylines(pixels, [curve], True, colour, thin, cv2.LINE_AA, 4)
    for cell in evidence.cells:  # afterwards: no outline crosses a number
        text, scale = str(cell.number), 0.4 * unit
        (width, height), _ = cv2.getTextSize(text, font, scale, thin)
        left = min(max(0, (cell.box[0] + cell.box[2] - width) // 2), max(0, image.width - width))
        base = min(max(height, (cell.box[1] + cell.box[3] + height) // 2), image.height - 1)
        colour = _CHOSEN if cell.number == chosen else _LINE
        cv2.putText(pixels, text, (left, base), font, scale, _CASING, wide, cv2.LINE_AA)
        cv2.putText(pixels, text, (left, base), font, scale, colour, thin, cv2.LINE_AA)
    return Image.fromarray(pixels)


def crop_box(cell: EvidenceCell, size: tuple[int, int], full_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Tell which square around a cell to cut out of the field at its full resolution.

    Args:
        cell: Found in a field of `size`.
        size: (width, height).
        full_size: (width, height) of the same field before it was reduced.

    Returns:
        (left, top, right, bottom) in pixels of the full field, inside of it; a square except where the field is
        narrower than the cell and its margin.
    """
    scales = (full_size[0] / size[0], full_size[1] / size[1])
    extents = [(cell.box[axis] * scales[axis], cell.box[axis + 2] * scales[axis]) for axis in (0, 1)]
    edge = (1 + 2 * _MARGIN) * max(high - low for low, high in extents)
    starts, ends = [], []
    for (low, high), length in zip(extents, full_size, strict=True):
        side = min(max(1, round(edge)), length)
        start = min(max(0, round((low + high - side) / 2)), length - side)
        starts.append(start)
        ends.append(start + side)
    return starts[0], starts[1], ends[0], ends[1]


def _outline(mask: np.ndarray) -> np.ndarray:
    """Follow the longest outline of a mask (h, w) and smooth its steps: float (n, 2), pixel centres at one half."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(contours, key=len)[:, 0].astype(np.float64)
    if len(points) >= 12:
        shifted = [np.roll(points, shift, axis=0) for shift in (-2, -1, 0, 1, 2)]
        points = np.mean(shifted, axis=0)[::2]
    return points + 0.5
