"""Training samples of the leukocytes' view: the cells of a few fields, cut out, turned and packed onto one canvas, or
whole fields.

Shared contract: fields are uint8 (H, W, 3), RGB; labels are uint8 (H, W), 0 outside and 1 to n on the cells; canvases
are uint8 (S, S, C + 1): the C channels of the fields, RGB or RGB and one more, and the number of the field, from 1,
that a pixel's cell is of; 0 is empty. Randomness comes only from the generator. Lengths are in pixels of a field 224
pixels high.

Nine tenths of a field are no leukocytes: on canvases a network learns from several times as many cells in the same
time. Some canvases are packed and some as sparse as a field: a network that has only seen crowds takes a cell among
glass for something else. Cells keep their size but for a few per cent: all fields of a lab are taken at one
magnification, size tells classes apart, and another magnification is refused rather than guessed.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from leuk_hf import perturbations
from leuk_hf.hole_filling import fill_hole, widened
from leuk_hf.perturbations import REFERENCE_EDGE

_SCALE = 1.06  # most enlargement or reduction of a field's cells
_STRETCH = 1.04  # most difference between the sides of a cell
_OUTLINE = (0.6, 1.8)  # blur of the outline before it is cut again
_LEVEL = (0.2, 0.85)  # at which it is cut: below one half it widens, above it shrinks, as clipped rims do
_CELLS = (3, 10)  # taken from a field, where it has so many
_GAP = 2  # pixels between cells at least
_WIDEST_GAP = 0.3  # of the canvas
_GREY, _ALONE, _MOVED = 0.25, 0.25, 0.2  # shares of other appearances
_STAINED = 0.4  # share of samples in another field's colours
_TURNED, _MOST_TURN = 0.3, 30.0  # share of samples of another hue, and how far it is turned: degrees
_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)


@dataclasses.dataclass
class _Shelves:
    """Free places of a canvas, filled row by row from the top left."""

    size: int
    left: int = 1
    top: int = 1
    height: int = 0

    def place(self, height: int, width: int, down: int = 0, right: int = 0) -> tuple[int, int] | None:
        """Give (top, left) of the next place, moved down and right by so much, or None if the canvas is full."""
        if self.left + right + width >= self.size:
            self.left, self.top, self.height = 1, self.top + self.height + _GAP, 0
        if self.left + right + width >= self.size or self.top + down + height >= self.size:
            return None
        place = (self.top + down, self.left + right)
        self.left, self.height = self.left + right + width + _GAP, max(self.height, down + height)
        return place


class Canvas:
    """A canvas that is being filled, field by field.

    Args:
        size: Its edge in pixels.
        gap: Most pixels between neighbouring cells; each gap is drawn.
        channels: Of the fields, C.
    """

    def __init__(self, size: int, *, gap: int = 0, channels: int = 3) -> None:
        self.gap = gap
        self.pixels = np.zeros((size, size, channels + 1), dtype=np.uint8)
        self.num_fields = 0
        self.is_full = False
        self._shelves = _Shelves(size)

    def add(self, field: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> bool:
        """Put some cells of a field, chosen at random, where there is room.

        Args:
            field: uint8 (H, W, C), in the light and stain that the cells are to have.
            labels: Its cells.
            generator: Decides cells, their angles and how exactly they are cut out.

        Returns:
            Whether any found room.
        """
        scale = _SCALE ** generator.uniform(-1, 1)
        blur = generator.uniform(*_OUTLINE) * min(labels.shape) / REFERENCE_EDGE
        level, most = generator.uniform(*_LEVEL), int(generator.integers(_CELLS[0], _CELLS[1] + 1))
        numbers = generator.permutation(np.unique(labels[labels > 0]))
        added = 0
        for number in numbers[:most]:
            cell, mask = _cut(field, labels == number, generator, scale=scale, blur=blur, level=level)
            room = self._shelves.size - 2 * _GAP - max(mask.shape)
            if not mask.any() or room < 0:
                continue
            down, right = (min(int(gap), room) for gap in generator.integers(0, self.gap + 1, 2))
            place = self._shelves.place(mask.shape[0], mask.shape[1], down, right)
            if place is None:
                self.is_full = True
                break
            window = self.pixels[place[0] : place[0] + mask.shape[0], place[1] : place[1] + mask.shape[1]]
            window[mask, :-1], window[mask, -1] = cell[mask], self.num_fields + 1
            added += 1
        self.num_fields += added > 0
        return added > 0


def turn_field(field: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Show a whole field as a canvas of its own: turned, perhaps mirrored, its leukocytes cut out anew.

    Args:
        field: uint8 (H, H, C).
        labels: Its cells.
        generator: Decides the turn and how exactly leukocytes are cut out.

    Returns:
        uint8 (H, H, C + 1).
    """
    blur = generator.uniform(*_OUTLINE) * min(labels.shape) / REFERENCE_EDGE
    cut = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), blur) > generator.uniform(*_LEVEL)
    turned = np.rot90(np.dstack([field, cut.astype(np.uint8)]), int(generator.integers(4)))
    return np.ascontiguousarray(turned[:, ::-1] if generator.random() < 0.5 else turned)


def stretch_field(
    field: np.ndarray, labels: np.ndarray, generator: np.random.Generator, *, most: float
) -> tuple[np.ndarray, np.ndarray]:
    """Stretch or squash a field across, about its middle, every other time: other cameras' cells are rounder or not.

    Args:
        field: uint8 (H, W, C).
        labels: Its cells. Of a squashed field, those that its sides cut off and what is mirrored in count for none.
        generator: Decides whether and how far.
        most: Largest factor, at least 1; the smallest is its inverse. 1 draws nothing.

    Returns:
        Field and labels of the same sizes.
    """
    if most == 1 or generator.random() < 0.5:
        return field, labels
    factor, (height, width) = most ** generator.uniform(-1, 1), labels.shape
    matrix = np.array(((factor, 0, (1 - factor) * (width - 1) / 2), (0, 1, 0)))
    stretched = cv2.warpAffine(field, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    if factor < 1:  # a cell that a side cuts off would seem to end there, inside of the field
        labels = np.where(np.isin(labels, np.concatenate((labels[:, 0], labels[:, -1]))), 0, labels).astype(np.uint8)
    return stretched, cv2.warpAffine(labels, matrix, (width, height), flags=cv2.INTER_NEAREST)


def draw_gap(size: int, generator: np.random.Generator) -> int:
    """Draw how far apart the cells of a canvas may lie, in pixels: small gaps are likelier than wide ones."""
    return round(_WIDEST_GAP * size * generator.random() ** 1.5)


def change_optics(field: np.ndarray, other: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Show a field in other colours, light, focus, resolution and compression, each drawn at random.

    Args:
        field: uint8 (H, W, 3).
        other: uint8 (H, W, 3), a field of any class, whose colours it takes on at times.
        generator: Decides what is changed and how far.
    """
    chance = generator.random
    changed = perturbations.match_colours(field, other) if chance() < _STAINED else field
    if chance() < _TURNED:
        changed = perturbations.hue(changed, generator.uniform(-_MOST_TURN, _MOST_TURN))
    changed = perturbations.gamma(changed, float(np.exp(generator.uniform(-0.45, 0.45))))
    changed = _mix_channels(changed, generator)
    if chance() < 0.5:
        changed = perturbations.blur(changed, max(0.15, generator.uniform(0, 1.5)))
    if chance() < 0.2:
        changed = perturbations.resolution(changed, generator.uniform(0.45, 0.9))
    if chance() < 0.4:
        changed = perturbations.noise(changed, generator.uniform(0, 12), generator)
    if chance() < 0.2:
        changed = perturbations.jpeg(changed, int(generator.integers(30, 90)))
    return changed


def change_appearance(
    field: np.ndarray, leukocytes: np.ndarray, other: tuple[np.ndarray, np.ndarray], generator: np.random.Generator
) -> np.ndarray:
    """Show a field in other optics and, at times, without colour, its leukocytes alone or elsewhere.

    Args:
        field: uint8 (H, W, 3).
        leukocytes: Its own, bool (H, W).
        other: A field of any class and its leukocytes, which are taken away where its background is borrowed.
        generator: Decides what is changed and how far.
    """
    background, gone = other
    changed, chance = change_optics(field, background, generator), generator.random()
    if chance < _GREY:
        return perturbations.grey(changed)
    if chance >= _GREY + _ALONE + _MOVED:
        return changed
    # Whoever cuts leukocytes out cuts along other outlines: some lose their rim, others bring glass along.
    rim = int(generator.integers(-3, 4))
    kept = ~widened(~leukocytes, -rim) if rim < 0 else widened(leukocytes, rim)
    if chance < _GREY + _ALONE:
        return np.where(kept[..., None], changed, generator.integers(0, 256, 3, dtype=np.uint8))
    emptied = fill_hole(background, widened(gone, int(generator.integers(3, 6))), generator)
    return np.where(kept[..., None], changed, change_optics(emptied, field, generator))


def _mix_channels(field: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Weigh the channels anew, for another camera and lamp, and expose anew, clipping what is too bright."""
    light = np.array((generator.uniform(0.85, 1.15), 1, generator.uniform(0.85, 1.15))) * generator.uniform(0.5, 1.55)
    weights = np.clip(_LUMA + generator.normal(0, 0.25, 3), 0, None)
    shift = weights / max(float(weights.sum()), 1e-6) - _LUMA
    # Rows add the same shift to every channel, so that hues stay and their luminance changes.
    return cv2.transform(field, (np.eye(3) + shift[None]) * light[None])


def _cut(
    field: np.ndarray, mask: np.ndarray, generator: np.random.Generator, *, scale: float, blur: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cut one cell out, turned by any angle and perhaps mirrored: its pixels and its mask, as tight as they come."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    angle = generator.uniform(0, 2 * np.pi)
    scales = scale * np.array((_STRETCH ** generator.uniform(-1, 1), 1.0))
    mirrored = np.array((1.0 if generator.random() < 0.5 else -1.0, 1.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scales * mirrored
    # Room for the widened outline on either side.
    size = np.ceil(np.abs(turn) @ np.array((width, height))).astype(int) + 2 * int(np.ceil(2 * blur)) + 2
    middle = np.array((left + (width - 1) / 2, top + (height - 1) / 2))
    matrix = np.column_stack([turn, (size - 1) / 2 - turn @ middle])
    extent = (int(size[0]), int(size[1]))
    cell = cv2.warpAffine(field, matrix, extent, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.warpAffine(mask.astype(np.float32), matrix, extent, flags=cv2.INTER_LINEAR)
    cut = cv2.GaussianBlur(soft, (0, 0), blur) > level
    rows, columns = np.flatnonzero(cut.any(axis=1)), np.flatnonzero(cut.any(axis=0))
    if not len(rows):
        return cell[:0, :0], cut[:0, :0]
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cell[window], cut[window]
