"""Training transforms of enhanced fields.

Shared contract: a transform takes a field, uint8 (H, W, 3), RGB, after `Preprocessor.enhance` and before
normalisation, and its own random generator, and gives a field of the same type and shape; the given one, which may be
read-only, stays as it is. What comes out depends on the seed alone, whatever ran before and in whichever process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, TypeAlias

import cv2
import numpy as np

Augmentation = Literal["none", "plain", "classic", "default"]
Transform: TypeAlias = Callable[[np.ndarray, np.random.Generator], np.ndarray]

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601: what grey is of RGB
_TURNS = (None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE)


def build_augmentation(name: Augmentation) -> Transform:
    """Build a recipe's augmentation.

    Args:
        name: "classic" is what is published for this data set (flips, rotation by up to 20 degrees, colour
            jitter); "plain" has flips, quarter turns and a mild jitter; "none" changes nothing.

    Raises:
        ValueError: For another name.
    """
    if name not in _TRANSFORMS:
        raise ValueError(f"there is no augmentation {name!r}; choose {', '.join(_TRANSFORMS)}")
    return _TRANSFORMS[name]


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Derive the seed of one field in one epoch: 63 bits, independent of workers and of a resume."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def augment(transform: Transform, field: np.ndarray, *, seed: int) -> np.ndarray:
    """Apply a transform under its own seed; no global random state is read or changed.

    Args:
        transform: From `build_augmentation`.
        field: uint8 (H, W, 3).
        seed: From `sample_seed`.

    Returns:
        uint8 (H, W, 3).
    """
    return transform(field, np.random.default_rng(seed))


def jitter_colours(
    field: np.ndarray, generator: np.random.Generator, *, strength: float, hue: float = 0.0
) -> np.ndarray:
    """Change brightness, contrast, saturation and hue in an order drawn anew, as torchvision's ColorJitter does.

    All but the hue are affine in RGB, so they are multiplied to one matrix, applied in one pass: rounded and clamped
    once, not after each change.

    Args:
        field: uint8 (H, W, 3).
        generator: Decides the order, the factors and the shift.
        strength: Brightness, contrast and saturation factors lie in [1 - strength, 1 + strength].
        hue: Most shift of the hue, in turns of the colour circle, in [0, 0.5].

    Returns:
        uint8 (H, W, 3).
    """
    factors = generator.uniform(1 - strength, 1 + strength, size=3)
    shift = generator.uniform(-hue, hue)
    colour = np.eye(3, 4)
    for change in generator.permutation(4 if hue else 3):
        if change == 3:
            field, colour = _shift_hue(cv2.transform(field, colour), shift), np.eye(3, 4)
            continue
        factor = factors[change]
        if change == 2:  # saturation: towards each pixel's grey
            colour = factor * colour + (1 - factor) * (_LUMA @ colour)
            continue
        if change == 1:  # contrast: towards the field's mean grey
            mean = _LUMA @ (colour @ [*cv2.mean(field)[:3], 1.0])
        colour *= factor
        if change == 1:
            colour[:, 3] += (1 - factor) * mean
    return cv2.transform(field, colour)


def _shift_hue(field: np.ndarray, turns: float) -> np.ndarray:
    # In float32: the uint8 version of this colour space has only 180 hues.
    hsv = cv2.cvtColor(field.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turns)) % np.float32(360)
    return cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), alpha=255)


def _flip(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    across, over = generator.integers(2, size=2).tolist()
    return cv2.flip(field, -1 if across and over else 1 if across else 0) if across or over else field


def _quarter_turn(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    # A smear has no up, and no pixel is interpolated.
    turn = _TURNS[int(generator.integers(4))]
    return field if turn is None else cv2.rotate(field, turn)


def _rotate(field: np.ndarray, generator: np.random.Generator, *, degrees: float) -> np.ndarray:
    height, width = field.shape[:2]
    angle = generator.uniform(-degrees, degrees)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    # The corners are filled white, the colour of empty glass.
    return cv2.warpAffine(field, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(255, 255, 255))


def _none(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return field


def _plain(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return jitter_colours(_quarter_turn(_flip(field, generator), generator), generator, strength=0.1)


def _classic(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    turned = _rotate(_flip(field, generator), generator, degrees=20.0)
    return jitter_colours(turned, generator, strength=0.2, hue=0.05)


# Functions with a name: a worker process that is not forked receives them by it.
_TRANSFORMS: dict[str, Transform] = {"none": _none, "plain": _plain, "classic": _classic}
