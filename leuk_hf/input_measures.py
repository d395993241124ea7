"""What decides whether an image can be judged: a few numbers of it.

Shared contract: pixels are RGB, uint8 (H, W, 3), as the network is to see them, after squashing and any equalising;
leukocytes are bool (H, W) of the same size; lengths are shares of that square's edge, so that another `image_size`
changes nothing.

Red cells tell the magnification, too. In these crowded fields five that lie apart were found in only 8 % of 600, so it
is not their diameter that is measured, but how far the luminance is correlated: of the whole image, in which smaller
cells show wherever they are, and beside the leukocytes.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import cv2
import numpy as np

from leuk_hf.blank_frame import frame_share
from leuk_hf.image_texture import correlation_length, correlation_length_beside, fine_texture, sharpness

_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)  # ITU-R BT.601
_SMALLEST_REGION = 0.02  # diameter, share of the edge; smaller specks of the mask are no cells
_BURNT_OUT = 250  # luminance, levels; above it nothing can be told apart


@dataclasses.dataclass(frozen=True)
class FieldMeasures:
    """What decides whether an image is refused; None where it cannot be told.

    Args:
        side: Shorter side of the image as it came, in pixels.
        elongation: Longer over shorter side of the image as it came, at least 1.
        frame_share: `blank_frame.frame_share`, in [0, 1).
        light: 95th percentile of luminance, the level of bright glass, in [0, 255].
        washed_out: Share of all pixels that are (nearly) white, in [0, 1].
        burnt_out: Share of the leukocytes' pixels that are (nearly) white; of all pixels if it is not known where
            leukocytes are.
        contrast: Standard deviation of luminance, in levels.
        sharpness: `image_texture.sharpness`, on and around leukocytes if there are any, else everywhere.
        correlation_length: `image_texture.correlation_length`.
        leukocyte_share: Of the field's area, in [0, 1]; specks too small for a cell do not count.
        num_leukocytes: Separate regions but for specks; cells that touch count as one.
        leukocyte_diameter: Median over the regions that lie wholly inside (else over all) of the largest circle in
            each, as a share of the edge.
        cell_size: Geometric mean of `leukocyte_diameter` and of the correlation length beside the leukocytes: both
            grow with the magnification, and otherwise vary from field to field each on its own.
        leukocyte_texture: `image_texture.fine_texture`, in levels; None, too, if leukocytes have hardly any inside.
        in_distribution_score: Of the network, higher = more like the fields it was trained on.
    """

    side: int
    elongation: float
    frame_share: float
    light: float
    washed_out: float
    burnt_out: float | None
    contrast: float
    sharpness: float
    correlation_length: float
    leukocyte_share: float | None
    num_leukocytes: int | None
    leukocyte_diameter: float | None
    cell_size: float | None
    leukocyte_texture: float | None
    in_distribution_score: float


def measure_input(
    pixels: np.ndarray,
    leukocytes: np.ndarray | None,
    original_size: tuple[int, int],
    in_distribution_score: float,
) -> FieldMeasures:
    """Measure one image.

    Args:
        pixels: uint8 (H, W, 3), RGB, as the network is to see it.
        leukocytes: bool (H, W), or None if they are not known: what hangs on them is then left open.
        original_size: (width, height) of the image as it came.
        in_distribution_score: Of the network.

    Raises:
        ValueError: If pixels and leukocytes differ in size, or pixels are no RGB image.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3)")
    if leukocytes is not None and leukocytes.shape != pixels.shape[:2]:
        raise ValueError(f"leukocytes have shape {leukocytes.shape}, pixels {pixels.shape[:2]}; give them one size")
    luminance = pixels.astype(np.float32) @ _LUMA
    cells = None if leukocytes is None else _measure_cells(leukocytes)
    seen = luminance if leukocytes is None else luminance[leukocytes]
    return FieldMeasures(
        side=min(original_size),
        elongation=max(original_size) / min(original_size),
        frame_share=frame_share(luminance),
        light=float(np.percentile(luminance, 95)),
        washed_out=float((luminance >= _BURNT_OUT).mean()),
        burnt_out=float((seen >= _BURNT_OUT).mean()) if seen.size else None,
        contrast=float(luminance.std()),
        sharpness=sharpness(luminance, leukocytes),
        correlation_length=correlation_length(luminance),
        leukocyte_share=None if cells is None else cells.share,
        num_leukocytes=None if cells is None else cells.number,
        leukocyte_diameter=None if cells is None else cells.diameter,
        cell_size=_cell_size(luminance, leukocytes, None if cells is None else cells.diameter),
        leukocyte_texture=None if leukocytes is None else fine_texture(luminance, leukocytes),
        in_distribution_score=float(in_distribution_score),
    )


def _cell_size(luminance: np.ndarray, leukocytes: np.ndarray | None, diameter: float | None) -> float | None:
    if leukocytes is None or diameter is None:
        return None
    beside = correlation_length_beside(luminance, leukocytes)
    return None if beside is None else math.sqrt(diameter * beside)


class _Cells(NamedTuple):
    share: float
    number: int
    diameter: float | None


def _measure_cells(mask: np.ndarray) -> _Cells:
    """Measure the regions of a mask that are large enough for cells, each by the largest circle in it."""
    height, width = mask.shape
    edge = math.sqrt(mask.size)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    # A frame that continues what the border cuts off; without any outline the distance would be infinite.
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = np.minimum(cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32(edge / 2))
    area, whole, cut = 0, list[float](), list[float]()
    for region in range(1, count):
        left, top, across, down, covered = stats[region].tolist()
        window = np.s_[top : top + down, left : left + across]
        diameter = 2 * float(depth[window][regions[window] == region].max()) - 1
        if diameter < _SMALLEST_REGION * edge:
            continue
        area += covered
        at_border = left == 0 or top == 0 or left + across == width or top + down == height
        (cut if at_border else whole).append(diameter)
    diameters = whole or cut
    return _Cells(area / mask.size, len(whole) + len(cut), float(np.median(diameters)) / edge if diameters else None)
