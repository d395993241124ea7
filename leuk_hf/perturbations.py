"""Changes of a whole field that leave every cell where it is: light, colour, optics, compression, geometry.

Shared contract: fields are uint8 (H, W, 3), RGB; every function returns a new one of the same height and width.
Lengths are in pixels of a field 224 pixels high and grow with the field. Randomness comes only from a generator
that the caller passes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

REFERENCE_EDGE = 224
# Optical densities of red, green and blue in the two dyes of Giemsa's stain, methylene blue and eosin, as in Landini's
# "Colour Deconvolution" for ImageJ; what neither explains lies along their cross product.
_GIEMSA = ((0.834750233, 0.513556283, 0.196330403), (0.092789, 0.954111, 0.283111))


def scale_of(field: np.ndarray) -> float:
    """Tell how many pixels stand for one pixel of a 224-pixel field."""
    return min(field.shape[:2]) / REFERENCE_EDGE


def brightness(field: np.ndarray, factor: float) -> np.ndarray:
    """Multiply all channels; what passes 255 is clipped, as in an overexposed photograph."""
    return _to_bytes(field.astype(np.float32) * factor)


def gamma(field: np.ndarray, exponent: float) -> np.ndarray:
    """Raise the values, scaled to [0, 1], to a power: above 1 darkens the mid-tones."""
    return _to_bytes(255 * (field.astype(np.float32) / 255) ** exponent)


def white_balance(field: np.ndarray, red: float, blue: float) -> np.ndarray:
    """Multiply red and blue: another lamp or another camera setting."""
    return _to_bytes(field.astype(np.float32) * np.array((red, 1, blue), dtype=np.float32))


def hue(field: np.ndarray, degrees: float) -> np.ndarray:
    """Turn the hue circle (HSV), keeping saturation and value."""
    hsv = cv2.cvtColor(field, cv2.COLOR_RGB2HSV)
    # OpenCV stores hue in steps of two degrees.
    hsv[..., 0] = np.mod(hsv[..., 0].astype(np.int16) + round(degrees / 2), 180)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def stain(field: np.ndarray, blue: float, eosin: float) -> np.ndarray:
    """Multiply the amounts of methylene blue and eosin: another batch of Giemsa's stain, or another time in it.

    Source: Ruifrok and Johnston 2001, "Quantification of histochemical staining by color deconvolution".
    """
    dyes = np.array([*_GIEMSA, np.cross(*_GIEMSA)])
    change = np.linalg.inv(dyes) @ np.diag((blue, eosin, 1)) @ dyes
    density = -np.log((field.astype(np.float64) + 1) / 256)
    return _to_bytes(256 * np.exp(-(density @ change)) - 1)


def grey(field: np.ndarray) -> np.ndarray:
    """Keep the luma (ITU-R BT.601) alone, in three equal channels."""
    return cv2.cvtColor(cv2.cvtColor(field, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


class ColourStatistics(NamedTuple):
    """Mean and standard deviation of the L, A and B channels of a field, in OpenCV's steps of 8 bits."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]


def colour_statistics(field: np.ndarray) -> ColourStatistics:
    """Measure a field's colours."""
    values = cv2.cvtColor(field, cv2.COLOR_RGB2LAB).astype(np.float32)
    mean, spread = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
    return ColourStatistics(tuple(mean.tolist()), tuple(spread.tolist()))


def match_colours(field: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """Give a field the mean and spread of another one's LAB channels; see `set_colours`."""
    return set_colours(field, colour_statistics(donor))


def set_colours(field: np.ndarray, statistics: ColourStatistics) -> np.ndarray:
    """Give a field this mean and spread of its LAB channels.

    Source: Reinhard et al. 2001, "Color transfer between images", doi 10.1109/38.946629; here in CIELAB.
    """
    own = cv2.cvtColor(field, cv2.COLOR_RGB2LAB).astype(np.float32)
    mean, spread = (np.asarray(values, dtype=np.float32) for values in statistics)
    own_mean, own_spread = own.mean(axis=(0, 1)), own.std(axis=(0, 1))
    ratio = np.where(own_spread > 0, spread / np.maximum(own_spread, 1e-6), 1)
    return cv2.cvtColor(_to_bytes((own - own_mean) * ratio + mean), cv2.COLOR_LAB2RGB)


def blur(field: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian of this standard deviation: out of focus."""
    return cv2.GaussianBlur(field, (0, 0), sigma * scale_of(field))


def noise(field: np.ndarray, sigma: float, generator: np.random.Generator) -> np.ndarray:
    """Add independent Gaussian noise of this standard deviation in steps of 1/255."""
    return _to_bytes(field + sigma * generator.standard_normal(field.shape, dtype=np.float32))


def jpeg(field: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decompress by JPEG with OpenCV's default 4:2:0 chroma subsampling."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(field, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def resolution(field: np.ndarray, factor: float) -> np.ndarray:
    """Shrink by a factor in (0, 1] by averaging and enlarge again: fewer pixels of the same place."""
    height, width = field.shape[:2]
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    shrunk = cv2.resize(field, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)


def magnify(field: np.ndarray, factor: float) -> np.ndarray:
    """Show cells this many times as large: the middle of the field enlarged, or the field reduced and mirrored out."""
    height, width = field.shape[:2]
    if factor >= 1:
        rows, columns = max(1, round(height / factor)), max(1, round(width / factor))
        top, left = (height - rows) // 2, (width - columns) // 2
        middle = field[top : top + rows, left : left + columns]
        return cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
    small = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_AREA)
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.pad(small, ((top, height - rows - top), (left, width - columns - left), (0, 0)), mode="symmetric")


def quarter_turn(field: np.ndarray) -> np.ndarray:
    """Turn by 90 degrees; a field that is not square is stretched back to its shape."""
    height, width = field.shape[:2]
    turned = np.ascontiguousarray(np.rot90(field))
    return turned if height == width else cv2.resize(turned, (width, height), interpolation=cv2.INTER_LINEAR)


def half_turn(field: np.ndarray) -> np.ndarray:
    """Turn by 180 degrees, exactly."""
    return np.ascontiguousarray(field[::-1, ::-1])


def mirror(field: np.ndarray) -> np.ndarray:
    """Swap left and right, exactly."""
    return np.ascontiguousarray(field[:, ::-1])


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
