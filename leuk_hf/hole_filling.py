"""Leukocytes taken away: holes filled in several ways, none of them the audit's (`leuk_hf.counterfactuals`).

One of them, which only the network that finds leukocytes is fitted to (`facets`), looks much like the audit's
inpainting where holes are wide.

Shared contract: fields are uint8 (H, W, 3), RGB; holes and masks are bool (H, W). Randomness comes only from the
generator. What learns from these must not learn the audit's own tools.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_SHIFTS = 6  # shifted copies of the field that fill a hole


def fill_hole(
    field: np.ndarray,
    hole: np.ndarray,
    generator: np.random.Generator,
    *,
    backgrounds: Sequence[np.ndarray] | np.ndarray = (),
    facets: bool = False,
) -> np.ndarray:
    """Fill a hole in one of five ways, one more with foreign backgrounds and with facets, with a sharp or a soft rim.

    Args:
        field: uint8 (H, W, 3).
        hole: bool (H, W).
        generator: Decides the way.
        backgrounds: Smears without leukocytes, of the field's size.
        facets: Whether one of the ways is the colour of the nearest place, which looks much like what the audit's
            inpainting makes of wide holes.

    Returns:
        The field with its hole filled; itself if there is no hole, or nothing but hole.
    """
    if not hole.any() or hole.all():
        return field
    ways = [*range(5), *([5] if len(backgrounds) else []), *([6] if facets else [])]
    way, size = ways[int(generator.integers(len(ways)))], hole.shape[0]
    outside = field[~hole]
    content: np.ndarray
    if way == 0:  # at half size, by another equation than the audit's
        small = cv2.resize(field, (size // 2, size // 2), interpolation=cv2.INTER_AREA)
        holes = cv2.resize(hole.astype(np.uint8), (size // 2, size // 2), interpolation=cv2.INTER_NEAREST)
        content = cv2.resize(cv2.inpaint(small, holes, 3, cv2.INPAINT_NS), (size, size))
    elif way == 1:  # one colour of the field
        colour = (
            outside.mean(axis=0) if generator.random() < 0.5 else np.percentile(outside, generator.uniform(60, 98), 0)
        )
        content = np.broadcast_to(colour, field.shape)
    elif way == 2:  # what surrounds it, blurred
        weight = cv2.GaussianBlur((~hole).astype(np.float32), (0, 0), 12)[..., None] + 1e-3
        content = cv2.GaussianBlur(field * (~hole)[..., None].astype(np.float32), (0, 0), 12) / weight
    elif way == 3:  # pieces of the field itself, shifted
        content = _shifted_pieces(field, hole, generator)
    elif way == 4:  # paint or noise
        noise = generator.integers(0, 256, field.shape, dtype=np.uint8)
        content = np.broadcast_to(flat_colour(generator), field.shape) if generator.random() < 0.5 else noise
    elif way == 5:
        content = any_of(backgrounds, generator)
    else:
        content = _nearest(field, hole, generator)
    weight = hole.astype(np.float32)
    if softness := int(generator.integers(3)):
        weight = np.maximum(weight, np.clip(2 * cv2.GaussianBlur(weight, (0, 0), softness), 0, 1))
    weight = weight[..., None]
    return np.rint(field * (1 - weight) + content.astype(np.float32) * weight).astype(np.uint8)


def _nearest(field: np.ndarray, hole: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Give every place of a hole the colour of the nearest place outside: facets with more or less sharp edges."""
    _, labels = cv2.distanceTransformWithLabels(hole.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.zeros((int(labels.max()) + 1, 3), dtype=np.uint8)
    colours[labels[~hole]] = cv2.GaussianBlur(field, (0, 0), 1)[~hole]
    return cv2.GaussianBlur(colours[labels], (0, 0), generator.uniform(0.3, 3))


def _shifted_pieces(field: np.ndarray, hole: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    content, left = field.copy(), hole.copy()
    for _ in range(_SHIFTS):
        shift = generator.integers(hole.shape[0] // 10, hole.shape[0] * 9 // 10, 2).tolist()
        usable = left & ~np.roll(hole, shift, (0, 1))
        content[usable] = np.roll(field, shift, (0, 1))[usable]
        left &= ~usable
    content[left] = field[~hole].mean(axis=0)
    return content


def widened(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Widen a mask by so many pixels, in a disc."""
    if not pixels:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def flat_colour(generator: np.random.Generator) -> np.ndarray:
    """Draw a colour: any, or any grey, now and then the very black, grey or white that people paint with."""
    draw = generator.random()
    if draw < 0.2:
        return np.full(3, generator.choice((0, 128, 255)), dtype=np.uint8)
    grey = np.full(3, generator.integers(256), dtype=np.uint8)
    return grey if draw < 0.6 else generator.integers(0, 256, 3, dtype=np.uint8)


def any_of(fields: Sequence[np.ndarray] | np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw one of several fields."""
    return fields[int(generator.integers(len(fields)))]
