"""Training samples of the network that finds leukocytes: fields, and fields as they never were.

Shared contract: fields are uint8 (S, S, 3), RGB; masks are bool (S, S), True on leukocytes. Nothing here knows a
class. A sample shows leukocytes in other colours and light, on another background, alone, or taken away: what was
taken away is no longer to be found, however it was filled. The fillings and margins are not those of the audit
(`leuk_hf.counterfactuals`), or the network would learn the audit's tools instead of leukocytes; one of them, the
nearest colour, looks much like the audit's inpainting of wide holes, so that the audit's cloning is the further test.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from leuk_hf import perturbations
from leuk_hf.hole_filling import any_of, fill_hole, flat_colour, widened

_SHARES = {"as it is": 0.3, "taken away": 0.3, "on another background": 0.15, "alone": 0.13, "none": 0.12}
_WIDE = 0.5  # of the holes: another segmentation may take much of the background along
_LARGEST_HOLE = 0.9  # of the field


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
        field, mask = any_of(pool.backgrounds, generator), np.zeros_like(mask)
    elif kind == "taken away":
        gone = mask if generator.random() < 0.7 else _some_parts(mask, generator)
        stays = mask & ~gone
        hole = _hole(gone, generator) | stays
        if gone.any() and not hole.all():  # else there is nothing to fill, or nothing to fill it from
            # What stays is filled, too, and put back: pieces of it must not be pasted where nothing is to be found.
            filled = fill_hole(field, hole, generator, backgrounds=pool.backgrounds, facets=True)
            field, mask = np.where(stays[..., None], field, filled), stays
    elif kind == "on another background":
        kept = widened(mask, int(generator.integers(1, 4)))
        field = np.where(kept[..., None], field, _empty_background(pool, generator))
    elif kind == "alone":
        kept = widened(mask, int(generator.integers(0, 3)))
        field = np.where(kept[..., None], field, flat_colour(generator))
    return _moved(_in_other_light(field, pool, generator), mask, generator)


def _hole(gone: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Widen what is taken away; at times so far that most of the field has to be filled from little."""
    is_wide = generator.random() < _WIDE
    reach = int(generator.integers(9, max(10, gone.shape[0] // 5 + 1)) if is_wide else generator.integers(2, 9))
    hole = widened(gone, reach)
    while hole.mean() > _LARGEST_HOLE and reach > 2:  # something must be left to fill it from
        reach //= 2
        hole = widened(gone, reach)
    return hole


def _empty_background(pool: SamplePool, generator: np.random.Generator) -> np.ndarray:
    if len(pool.backgrounds) and generator.random() < 0.5:
        return any_of(pool.backgrounds, generator)
    row = int(generator.integers(len(pool.fields)))
    return fill_hole(
        pool.fields[row], widened(pool.masks[row], 4), generator, backgrounds=pool.backgrounds, facets=True
    )


def _in_other_light(field: np.ndarray, pool: SamplePool, generator: np.random.Generator) -> np.ndarray:
    chance = generator.random
    if chance() < 0.4:
        from_elsewhere = len(pool.backgrounds) and chance() < 0.3
        field = perturbations.match_colours(
            field, any_of(pool.backgrounds if from_elsewhere else pool.fields, generator)
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
