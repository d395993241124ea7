"""Training samples of the network that finds leukocytes: fields, and fields as they never were.

Shared contract: fields are uint8 (S, S, 3), RGB; masks are bool (S, S), True on leukocytes. Nothing here knows a
class. A sample shows leukocytes in another stain and light, on another background, alone, or taken away: what was
taken away is no longer to be found, however it was filled. The fillings and margins are not those of the audit
(`leuk_hf.counterfactuals`), or the network would learn the audit's tools instead of leukocytes.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from leuk_hf import perturbations

_SHARES = {"as it is": 0.3, "taken away": 0.26, "on another background": 0.14, "alone": 0.2, "none": 0.1}
_SHIFTS = 6  # shifted copies of the field that fill a hole


@dataclasses.dataclass(frozen=True, eq=False)
class SamplePool:
    """What samples are made of.

    Args:
        fields: uint8 (N, S, S, 3).
        masks: bool (N, S, S), their leukocytes.
        backgrounds: uint8 (M, S, S, 3), smears of other laboratories without leukocytes; M may be 0.
    """

    fields: np.ndarray
    masks: np.ndarray
    backgrounds: np.ndarray


def draw_sample(pool: SamplePool, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one sample.

    Args:
        pool: What to draw from.
        generator: Decides everything.

    Returns:
        Field and mask of what is to be found in it.
    """
    kind = generator.choice(list(_SHARES), p=list(_SHARES.values()))
    row = int(generator.integers(len(pool.fields)))
    field, mask = pool.fields[row], pool.masks[row]
    if kind == "none" and len(pool.backgrounds):
        field, mask = _any_of(pool.backgrounds, generator), np.zeros_like(mask)
    elif kind == "taken away":
        gone = mask if generator.random() < 0.7 else _some_parts(mask, generator)
        stays = mask & ~gone
        field = _filled(field, _widened(gone, int(generator.integers(2, 9))) & ~stays, pool, generator)
        mask = stays
    elif kind == "on another background":
        kept = _widened(mask, int(generator.integers(1, 4)))
        field = np.where(kept[..., None], field, _empty_background(pool, generator))
    elif kind == "alone":
        kept = _widened(mask, int(generator.integers(0, 5)))
        field = np.where(kept[..., None], field, _flat_colour(generator))
    return _moved(_in_other_light(field, pool, generator), mask, generator)


def _empty_background(pool: SamplePool, generator: np.random.Generator) -> np.ndarray:
    if len(pool.backgrounds) and generator.random() < 0.5:
        return _any_of(pool.backgrounds, generator)
    row = int(generator.integers(len(pool.fields)))
    return _filled(pool.fields[row], _widened(pool.masks[row], 4), pool, generator)


def _filled(field: np.ndarray, hole: np.ndarray, pool: SamplePool, generator: np.random.Generator) -> np.ndarray:
    """Fill a hole in one of six ways, with a sharp or a soft rim."""
    if not hole.any() or hole.all():
        return field
    way, size = int(generator.integers(6 if len(pool.backgrounds) else 5)), hole.shape[0]
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
        content = np.broadcast_to(_flat_colour(generator), field.shape) if generator.random() < 0.5 else noise
    else:
        content = _any_of(pool.backgrounds, generator)
    weight = hole.astype(np.float32)
    if softness := int(generator.integers(3)):
        weight = np.maximum(weight, np.clip(2 * cv2.GaussianBlur(weight, (0, 0), softness), 0, 1))
    weight = weight[..., None]
    return np.rint(field * (1 - weight) + content.astype(np.float32) * weight).astype(np.uint8)


def _shifted_pieces(field: np.ndarray, hole: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    content, left = field.copy(), hole.copy()
    for _ in range(_SHIFTS):
        shift = generator.integers(hole.shape[0] // 10, hole.shape[0] * 9 // 10, 2).tolist()
        usable = left & ~np.roll(hole, shift, (0, 1))
        content[usable] = np.roll(field, shift, (0, 1))[usable]
        left &= ~usable
    content[left] = field[~hole].mean(axis=0)
    return content


def _in_other_light(field: np.ndarray, pool: SamplePool, generator: np.random.Generator) -> np.ndarray:
    chance = generator.random
    if chance() < 0.4:
        from_elsewhere = len(pool.backgrounds) and chance() < 0.3
        field = perturbations.match_colours(
            field, _any_of(pool.backgrounds if from_elsewhere else pool.fields, generator)
        )
    field = perturbations.gamma(field, float(np.exp(generator.uniform(-0.5, 0.5))))
    light = np.array((generator.uniform(0.85, 1.15), 1, generator.uniform(0.85, 1.15))) * generator.uniform(0.5, 1.5)
    field = cv2.transform(field, np.diag(light))
    colouring = chance()
    if colouring < 0.4:  # the hardest: pale leukocytes are hardly darker than red cells
        field = perturbations.grey(field)
    elif colouring < 0.55:
        field = perturbations.hue(field, generator.uniform(-30, 30))
    if chance() < 0.4:
        field = perturbations.blur(field, max(0.15, generator.uniform(0, 2.5)))
    if chance() < 0.2:
        field = perturbations.resolution(field, generator.uniform(0.4, 0.9))
    if chance() < 0.4:
        field = perturbations.noise(field, generator.uniform(0, 14), generator)
    if chance() < 0.2:
        field = perturbations.jpeg(field, int(generator.integers(25, 90)))
    return field


def _moved(field: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn, mirror and, every other time, scale and shift."""
    turns = int(generator.integers(4))
    field, mask = np.rot90(field, turns), np.rot90(mask, turns)
    if generator.random() < 0.5:
        field, mask = field[:, ::-1], mask[:, ::-1]
    field, mask = np.ascontiguousarray(field), np.ascontiguousarray(mask)
    if generator.random() < 0.5:
        return field, mask
    size = mask.shape[0]
    middle = ((size - 1) / 2, (size - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, generator.uniform(0, 360), float(np.exp(generator.uniform(-0.5, 0.5))))
    matrix[:, 2] += generator.uniform(-0.13, 0.13, 2) * size
    border = cv2.BORDER_REFLECT
    soft = cv2.warpAffine(mask.astype(np.float32), matrix, (size, size), borderMode=border)
    return cv2.warpAffine(field, matrix, (size, size), borderMode=border), soft > 0.5


def _some_parts(mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    chosen = 1 + np.flatnonzero(generator.random(count - 1) < 0.5)
    return np.isin(labels, chosen)


def _widened(mask: np.ndarray, pixels: int) -> np.ndarray:
    if not pixels:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


def _flat_colour(generator: np.random.Generator) -> np.ndarray:
    """Draw a colour: any, or any grey, now and then the very black, grey or white that people paint with."""
    draw = generator.random()
    if draw < 0.2:
        return np.full(3, generator.choice((0, 128, 255)), dtype=np.uint8)
    grey = np.full(3, generator.integers(256), dtype=np.uint8)
    return grey if draw < 0.6 else generator.integers(0, 256, 3, dtype=np.uint8)


def _any_of(fields: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return fields[int(generator.integers(len(fields)))]
