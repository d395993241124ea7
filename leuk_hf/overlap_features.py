"""What is kept of a field to find other fields that show the same place: cells, their surroundings, local contrast.

Shared contract: as in `overlaps`; lengths are in pixels of the field squashed to WORKING_SIZE x WORKING_SIZE.
"""

from __future__ import annotations

import dataclasses
import hashlib

import cv2
import numpy as np
from PIL import Image

WORKING_SIZE = 224
MAXIMUM_KEYPOINTS = 200  # a 224-pixel field has about 190 cells and gaps between cells
MINIMUM_CONTRAST = 0.1  # of a keypoint, in standard deviations of its surroundings; glass has less
PATCH_STEPS = 16  # a descriptor sees 16 x 16 samples
PATCH_SPACING = 3.0  # of 3 pixels: 45 pixels, that is a cell and its neighbours
FREQUENCIES = 8  # and keeps the 8 x 8 lowest cosines: blur and JPEG change the others
MARGIN = 20  # centres nearer to the edge would see mostly nothing
LIGHT_SCALE, CONTRAST_SCALE = 14.0, 24.0  # standard deviations in pixels: larger than a cell, smaller than a field
NOISE_FLOOR = 3.0  # grey steps: local contrast below this is camera noise, not cells
STORED_STEPS = 24.0  # per standard deviation, in the int8 picture kept for the pixel check


ORIENTATIONS = tuple(
    np.array(matrix, dtype=np.float64)
    for matrix in (
        ((1, 0), (0, 1)), ((-1, 0), (0, 1)), ((1, 0), (0, -1)), ((-1, 0), (0, -1)),
        ((0, 1), (1, 0)), ((0, -1), (-1, 0)), ((0, 1), (-1, 0)), ((0, -1), (1, 0)),
    )
)  # fmt: skip
CENTRE = (WORKING_SIZE - 1) / 2


@dataclasses.dataclass(frozen=True, eq=False)
class FieldFeatures:
    """What is kept of a field to find its overlaps, about 150 KB.

    Args:
        digest: SHA-256 of the working picture and its mask, hexadecimal: fields with the same digest are the same.
        points: float32 (K, 2), x and y of the keypoints, strongest first; K may be 0.
        descriptors: float32 (K, 64), unit length: weighted cosine coefficients, vertical frequency first.
        picture: int8 (WORKING_SIZE, WORKING_SIZE), local contrast of the luminance.
        valid: bool (WORKING_SIZE, WORKING_SIZE), false where annotation is ignored.
    """

    digest: str
    points: np.ndarray
    descriptors: np.ndarray
    picture: np.ndarray
    valid: np.ndarray


def describe_field(image: Image.Image | np.ndarray, ignore: np.ndarray | None = None) -> FieldFeatures:
    """Prepare one field for the search.

    Args:
        image: RGB, PIL or uint8 (H, W, 3), any size; it is squashed to the working size.
        ignore: bool (H, W), true on burnt-in annotation such as scale bars, which are the same in all fields; None
            ignores the bottom right corner, where cameras put them.

    Raises:
        ValueError: If the image is not uint8 (H, W, 3) with pixels, or `ignore` has another size.
    """
    pixels = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise ValueError(f"the field must be uint8 (H, W, 3), not {pixels.dtype} {pixels.shape}")
    size = (WORKING_SIZE, WORKING_SIZE)
    if ignore is None:
        valid = np.ones(size, dtype=bool)
        valid[int(0.84 * WORKING_SIZE) :, int(0.8 * WORKING_SIZE) :] = False
    elif np.shape(ignore) != pixels.shape[:2]:
        raise ValueError(f"ignore is {np.shape(ignore)}, the field {pixels.shape[:2]}; they must agree")
    else:
        covered = cv2.resize(np.asarray(ignore, dtype=np.float32), size, interpolation=cv2.INTER_AREA)
        valid = cv2.dilate((covered > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) == 0  # and its JPEG fringe
    gray = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    contrast = _local_contrast(gray.astype(np.float32), valid)
    points = _keypoints(contrast, valid)
    return FieldFeatures(
        digest=hashlib.sha256(gray.tobytes() + valid.tobytes()).hexdigest(),
        points=points.astype(np.float32),
        descriptors=_descriptors(contrast, points),
        picture=np.clip(np.rint(contrast * STORED_STEPS), -127, 127).astype(np.int8),
        valid=valid,
    )


def _local_contrast(gray: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Luminance without slow light, in local standard deviations; float32, 0 where not valid."""
    detail = cv2.GaussianBlur(gray, (0, 0), 1.2) - cv2.GaussianBlur(gray, (0, 0), LIGHT_SCALE)
    detail[~valid] = 0
    deviation = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), CONTRAST_SCALE))
    return detail / (deviation + NOISE_FLOOR)


def _keypoints(contrast: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Middles of cells and of gaps: extrema of a difference of Gaussians; int64 (K, 2), x and y."""
    blobs = np.abs(cv2.GaussianBlur(contrast, (0, 0), 2.5) - cv2.GaussianBlur(contrast, (0, 0), 5.0))
    peaks = (blobs >= cv2.dilate(blobs, np.ones((7, 7), np.uint8))) & (blobs > MINIMUM_CONTRAST) & valid
    inside = np.zeros_like(peaks)
    inside[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    rows, columns = np.nonzero(peaks & inside)
    strongest = np.argsort(-blobs[rows, columns], kind="stable")[:MAXIMUM_KEYPOINTS]
    return np.stack([columns[strongest], rows[strongest]], axis=1)


def _descriptors(contrast: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Lowest cosines of the patch around every point, without the mean; float32 (K, 64), unit length."""
    steps = (np.arange(PATCH_STEPS) + 0.5) / PATCH_STEPS
    cosines = np.cos(np.pi * np.arange(FREQUENCIES)[:, None] * steps).astype(np.float32)
    frequency = np.hypot(*np.indices((FREQUENCIES, FREQUENCIES)))
    weights = 1 + frequency / 4  # cells are mostly low frequencies; the others tell places apart
    weights[0, 0] = 0
    weights[0, 1:] *= 0.7  # the first cosine is constant: longer by the square root of 2
    weights[1:, 0] *= 0.7
    reach = (PATCH_STEPS / 2 - 0.5) * PATCH_SPACING
    offsets = np.linspace(-reach, reach, PATCH_STEPS)
    border = int(reach) + 2
    smooth = cv2.copyMakeBorder(
        cv2.GaussianBlur(contrast, (0, 0), 1.5), border, border, border, border, cv2.BORDER_CONSTANT
    )
    places = np.sign(offsets) * np.floor(np.abs(offsets) + 0.5)  # symmetric, so that mirroring is exact
    rows = (points[:, 1, None] + border + places).astype(int)
    columns = (points[:, 0, None] + border + places).astype(int)
    patches = smooth[rows[:, :, None], columns[:, None, :]]
    coefficients = (cosines @ patches @ cosines.T * weights.astype(np.float32)).reshape(len(points), FREQUENCIES**2)
    return coefficients / (np.linalg.norm(coefficients, axis=1, keepdims=True) + np.float32(1e-6))


def turn_descriptors(descriptors: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Descriptors as if the field had been mirrored or turned: even cosines stay, odd ones change sign.

    Args:
        descriptors: float32 (K, 64).
        orientation: One of `ORIENTATIONS`.
    """
    grid = descriptors.reshape(len(descriptors), FREQUENCIES, FREQUENCIES)
    if orientation[0, 0] == 0:
        grid = grid.transpose(0, 2, 1)
    across, down = orientation.sum(axis=1)
    signs = np.outer(down ** np.arange(FREQUENCIES), across ** np.arange(FREQUENCIES)).astype(np.float32)
    return (grid * signs).reshape(len(descriptors), FREQUENCIES**2)
