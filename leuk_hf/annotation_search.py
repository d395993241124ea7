"""Telling burnt-in ink from a smear: strokes of one ink near the border, their bars and label boxes.

Shared contract: pixels are uint8 (H, W, 3), RGB, at the working size; `unit` is the number of their pixels in a 224th
of the field's edge, in which all lengths here are given. A Box is (left, top, right, bottom), right and bottom
exclusive.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

Box = tuple[int, int, int, int]

EDGE = 224  # the unit of every length here
_ZONE = 0.22  # annotations are looked for within this share of the shorter edge from the border
_STROKE = 7  # strokes are thinner than this
_NO_RED = 128  # the red channel is signed: this stands for as much red as green or blue
_HUES = ("red", "green", "yellow", "cyan", "magenta", "blue")
_FAINT = 8  # lift, in grey levels, of the palest tick of a bar that was found
_LINE = 34  # least lift of every pixel of a hair line; 31 is the most in 720 smears outside annotation
_MOST_GROUPS = 40  # of one ink; more are texture
LARGE = 15  # height of ink from which a mark is of the "large" style
_BAR = 15  # a bar is at least this long
# Least lift of a stroke above its surroundings, in grey levels of the ink's own channel. Measured on 300 fields,
# 120 BCCD and 100 Chula smears: stains reach 54 in red, 37 in green, 67 in yellow, 59 in cyan, 74 in magenta.
_LIFT = {"red": 24, "green": 42, "yellow": 70, "cyan": 70, "magenta": 100, "blue": 150, "black": 70, "white": 60}


@dataclasses.dataclass(frozen=True, eq=False)
class _Ink:
    """One ink's view of a field: its channel, the lift of thin things in it, bool masks of strokes and hair lines."""

    name: str
    channel: np.ndarray
    lift: np.ndarray
    threshold: float
    strokes: np.ndarray
    lines: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False)
class Mark:
    """A group of strokes that is annotation: bool (H, W) cover, its telling features, width and height of ink."""

    ink: str
    cover: np.ndarray
    has_bar: bool
    boxed: bool
    size: tuple[float, float]


def find_marks(pixels: np.ndarray, unit: float) -> list[Mark]:
    """Find groups of strokes that are annotation.

    Args:
        pixels: uint8 (H, W, 3), RGB, at working size.
        unit: Pixels per 224th of the field's edge.
    """
    height, width = pixels.shape[:2]
    margin = round(_ZONE * min(height, width))
    inner = (slice(margin, height - margin), slice(margin, width - margin))
    marks: list[Mark] = []
    found = np.zeros((height, width), bool)
    for name, channel in _ink_channels(pixels).items():
        ink = _strokes(name, channel, pixels, inner, unit)
        if ink is None:
            continue
        ink.strokes[inner] = False
        ink.strokes[found] = False
        if ink.strokes.any():
            for mark in _marks_of(ink, pixels, unit):
                found |= mark.cover
                marks.append(mark)
    return marks


def _strokes(
    name: str, channel: np.ndarray, pixels: np.ndarray, inner: tuple[slice, slice], unit: float
) -> _Ink | None:
    """Find everything thin of one ink; None when nothing in the field has that colour."""
    if cv2.minMaxLoc(channel)[1] <= (_NO_RED if name == "red" else 0.7 * _LIFT[name]):
        return None
    # Above a nucleus red ink is purple: it must stand out from the nucleus, yet not glass from blue cells.
    lifted = np.maximum(channel, _NO_RED - 40) if name == "red" else channel
    lift = cv2.morphologyEx(lifted, cv2.MORPH_TOPHAT, np.ones((odd(_STROKE * unit),) * 2, np.uint8))
    if name == "red":
        lift[channel <= _NO_RED + 4] = 0
    # A field whose cells themselves are so coloured and thin raises its own threshold.
    usual = np.sort(lift[inner][::3, ::3], axis=None)
    threshold = max(_LIFT[name], 1.3 * float(usual[int(0.995 * usual.size)]))
    strokes = lift > threshold
    lines = None
    if name == "black":
        lines = _hair_lines(cv2.bitwise_not(_of_channels(np.maximum, pixels)), unit)
    elif name in ("green", "yellow", "cyan"):
        lines = _hair_lines(channel, unit)
    return _Ink(name, channel, lift, threshold, strokes if lines is None else strokes | lines, lines)


def _hair_lines(darkness: np.ndarray, unit: float) -> np.ndarray:
    """Find straight dark lines too thin and pale for the threshold of strokes: bool (H, W)."""
    lines = np.zeros(darkness.shape, bool)
    thin, length = odd(3 * unit), odd(_BAR * unit)
    for across, along in (((thin, 1), (1, length)), ((1, thin), (length, 1))):
        lift = cv2.morphologyEx(darkness, cv2.MORPH_TOPHAT, np.ones(across, np.uint8))
        # Beyond the border is no ink.
        lift = cv2.erode(lift, np.ones(along, np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        lines |= cv2.dilate((lift > _LINE).astype(np.uint8), np.ones(along, np.uint8)) > 0
    return lines


def _ink_channels(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """How much of each ink a pixel can hold: uint8 (H, W) each. Stains keep some blue, so "black" ignores them."""
    red, green, blue = cv2.split(pixels)
    red_green, green_blue, red_blue = cv2.max(red, green), cv2.max(green, blue), cv2.max(red, blue)
    brightest, darkest = cv2.max(red_green, blue), cv2.min(cv2.min(red, green), blue)
    colourful = cv2.subtract(brightest, darkest)
    return {
        "red": cv2.addWeighted(red, 1, green_blue, -1, _NO_RED),
        "green": cv2.subtract(green, red_blue),
        "yellow": cv2.subtract(cv2.min(red, green), blue),
        "cyan": cv2.subtract(cv2.min(green, blue), red),
        "magenta": cv2.subtract(cv2.min(red, blue), green),
        "blue": cv2.subtract(blue, red_green),
        "black": cv2.subtract(cv2.bitwise_not(brightest), colourful),
        "white": cv2.subtract(darkest, colourful),
    }


def _of_channels(extreme: np.ufunc, pixels: np.ndarray) -> np.ndarray:
    """Take the extreme of (H, W, 3) over its channels: (H, W); `max(axis=2)` takes 20 times as long."""
    return extreme(extreme(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def _marks_of(ink: _Ink, pixels: np.ndarray, unit: float) -> list[Mark]:
    """Gather the strokes of one ink into groups as far apart as the letters of a label, and judge each."""
    near = np.ones((odd(9 * unit), odd(13 * unit)), np.uint8)
    count, groups, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(ink.strokes.astype(np.uint8), near))
    if count > _MOST_GROUPS:
        return []
    marks = []
    for number in range(1, count):
        left, top, wide, high, _ = (int(value) for value in stats[number])
        if max(wide - 13 * unit, high - 9 * unit) < 5 * unit:
            continue
        window = (slice(top, top + high), slice(left, left + wide))
        group = ink.strokes[window] & (groups[window] == number)
        x, y, ink_wide, ink_high = cv2.boundingRect(group.astype(np.uint8))
        ink_box = (left + x, top + y, left + x + ink_wide, top + y + ink_high)
        has_bar = _has_bar(group, pixels[window], ink.name, unit)
        has_bar |= ink.lines is not None and bool((group & ink.lines[window]).any())
        whole = np.zeros(ink.strokes.shape, bool)
        whole[window] = group
        box, sides = _opaque_box(pixels, whole | (ink.lift > 0.3 * ink.threshold), ink_box, unit)
        if not has_bar and not _is_label(ink, group.sum(), pixels, sides, ink_box, unit):
            continue
        # A cell's edge beside a stroke is no box; a bar with no box at all is common.
        if sides < (4 if ink.name in _HUES else 2 if has_bar and ink_high < LARGE * unit else 0):
            box = None
        cover = _cover(ink, whole, ink_box, has_bar and box is None, unit)
        if box is not None:
            cover[box[1] : box[3], box[0] : box[2]] = True
        marks.append(Mark(ink.name, cover, has_bar, box is not None, (ink_wide / unit, ink_high / unit)))
    return marks


def _is_label(ink: _Ink, area: int, pixels: np.ndarray, sides: int, ink_box: Box, unit: float) -> bool:
    """Judge a group of strokes without a bar by its size, contrast and the box it stands on."""
    wide, high = (ink_box[2] - ink_box[0]) / unit, (ink_box[3] - ink_box[1]) / unit
    if max(high, wide) < 6 or max(high, wide) > 110 or min(high, wide) > 45:
        return False
    window = (slice(ink_box[1], ink_box[3]), slice(ink_box[0], ink_box[2]))
    count = round(6 * unit * unit)
    strong = float(np.sort(ink.lift[window], axis=None)[-count:].mean())
    if ink.name == "white":  # letters on a dark label only: gaps between cells are white and thin too
        return sides >= 3 and strong > 110 and float(np.median(_of_channels(np.maximum, pixels[window]))) < 90
    if ink.name == "black" and sides >= 2:
        return strong > 100
    if ink.name == "black":  # specks of dirt are black too, but compact
        return strong > 125 and max(wide, high) > 10 and area < 0.3 * wide * high * unit**2
    if ink.name in ("magenta", "blue"):  # stains are so too
        return False
    if ink.name == "red":  # eosin is red too, but never so thin and so pure
        return strong > 64 and float(np.sort(ink.channel[window], axis=None)[-count:].mean()) > _NO_RED + 30
    return area >= 10 * unit * unit and strong > 1.2 * _LIFT[ink.name]


def _add_faint_ticks(ink_mask: np.ndarray, channel: np.ndarray, ink_box: Box, unit: float) -> None:
    """Add, in place, the short upright ends of a bar, whose ink a dark cell or the resampling has paled."""
    height, width = ink_mask.shape
    left, top, right, bottom = ink_box
    margin = round(4 * unit)
    window = (
        slice(max(0, top - margin), min(height, bottom + margin)),
        slice(max(0, left - 3 * margin), min(width, right + 3 * margin)),
    )
    lift = cv2.morphologyEx(channel[window], cv2.MORPH_TOPHAT, np.ones((1, odd(5 * unit)), np.uint8))
    upright = np.ones((max(3, round(3 * unit)), 1), np.uint8)
    ticks = cv2.morphologyEx((lift > _FAINT).astype(np.uint8), cv2.MORPH_OPEN, upright)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ticks)
    for number in range(1, count):
        if stats[number][2] <= 6 * unit:
            ink_mask[window] |= labels == number


def _has_bar(group: np.ndarray, pixels: np.ndarray, ink: str, unit: float) -> bool:
    """Whether an exactly horizontal or vertical, evenly thick line is in bool (h, w)."""
    darkest = _of_channels(np.minimum, pixels)
    for strokes, values in ((group, darkest), (group.T, darkest.T)):
        length = round((1.4 if ink == "white" else 1) * _BAR * unit)
        if strokes.shape[1] < length:
            continue
        # Padded, for OpenCV takes all beyond the border for ink: a cell cut by it would be a bar.
        padded = cv2.copyMakeBorder(strokes.astype(np.uint8), 0, 0, length, length, cv2.BORDER_CONSTANT, value=0)
        runs = cv2.morphologyEx(padded, cv2.MORPH_OPEN, np.ones((1, length), np.uint8))[:, length:-length]
        count, _, stats, _ = cv2.connectedComponentsWithStats(runs)
        for number in range(1, count):
            left, top, wide, high, area = stats[number]
            if high > max(2, _STROKE * unit) or wide < 3 * high or area < 0.85 * wide * high:
                continue
            if ink != "white":
                return True
            # Gaps between cells are white and thin too, but neither as even nor as sharp.
            line = values[top : top + high, left : left + wide]
            away = round(1.5 * unit)
            flanks = [
                values[row, left : left + wide]
                for row in (top - 1 - away, top + high + away)
                if 0 <= row < len(values)
            ]
            sharp = [float((flank < line.mean() - 30).mean()) > 0.95 for flank in flanks]
            if area >= 0.95 * wide * high and line.mean() > 235 and line.std() < 6 and len(sharp) == 2 and all(sharp):
                return True
    return False


def _opaque_box(pixels: np.ndarray, ink_mask: np.ndarray, ink_box: Box, unit: float) -> tuple[Box | None, int]:
    """Grow the flat rectangle that the strokes stand on.

    Returns:
        The rectangle with its seam (None when no edge of it shows) and the number of sides that show clearly.
    """
    height, width = ink_mask.shape
    reach, seam = round(12 * unit), max(1, round(2 * unit))
    x0, y0 = max(0, ink_box[0] - reach - 4 * seam), max(0, ink_box[1] - reach - 4 * seam)
    x1, y1 = min(width, ink_box[2] + reach + 4 * seam), min(height, ink_box[3] + reach + 4 * seam)
    thick = cv2.dilate(ink_mask[y0:y1, x0:x1].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    area = pixels[y0:y1, x0:x1]
    left, top, right, bottom = (int(v) for v in np.subtract(ink_box, (x0, y0, x0, y0)))
    free = ~thick[top:bottom, left:right]
    if free.sum() < 6:
        return None, 0
    colour = np.median(area[top:bottom, left:right][free], axis=0).astype(np.uint8).astype(int)
    flat = cv2.inRange(area, np.maximum(colour - 11, 0), np.minimum(colour + 11, 255)) > 0
    flat |= thick
    if flat[top:bottom, left:right].mean() < 0.85:
        return None, 0
    start = [left, top, right, bottom]
    grown = list(start)
    limit = [
        max(-x0, left - reach),
        max(-y0, top - reach),
        min(width - x0, right + reach),
        min(height - y0, bottom + reach),
    ]
    limit = [max(0, limit[0]), max(0, limit[1]), min(x1 - x0, limit[2]), min(y1 - y0, limit[3])]
    growing = True
    while growing:
        growing = False
        for side in range(4):
            if grown[side] != limit[side] and _line(flat, grown, side, 0).mean() > 0.8:
                grown[side] += 1 if side >= 2 else -1
                growing = True
    sides, shown, step = 0, False, max(1, round(unit))
    margin = max(round(4 * unit), round(0.45 * (start[3] - start[1])))
    box = [0, 0, 0, 0]
    for side in range(4):
        sign = 1 if side >= 2 else -1
        at_edge = grown[side] == (-x0, -y0, width - x0, height - y0)[side]
        differing = 0.0 if grown[side] == limit[side] else float((~_line(flat, grown, side, step)).mean())
        sides += differing > 0.6
        shown |= differing > 0.2
        # Where the box ends unseen in glass as white as itself, little more than the strokes needs to go.
        end = (
            grown[side]
            if differing > 0.4 or at_edge
            else sign * min(sign * grown[side], sign * (start[side] + sign * margin))
        )
        box[side] = end + sign * seam
    if not shown:
        return None, 0
    left, top, right, bottom = box
    return (max(0, left + x0), max(0, top + y0), min(width, right + x0), min(height, bottom + y0)), sides


def _line(flat: np.ndarray, box: Sequence[int], side: int, away: int) -> np.ndarray:
    """The row or column just outside a side of the box, `away` pixels further out; side as in Box."""
    left, top, right, bottom = box
    if side % 2 == 0:
        column = left - 1 - away if side == 0 else right + away
        return flat[top:bottom, min(max(column, 0), flat.shape[1] - 1)]
    row = top - 1 - away if side == 1 else bottom + away
    return flat[min(max(row, 0), flat.shape[0] - 1), left:right]


def _cover(ink: _Ink, whole: np.ndarray, ink_box: Box, is_bare_bar: bool, unit: float) -> np.ndarray:
    """Cover the strokes, fainter ones that belong to them, gaps between letters, and the rim of blur and JPEG."""
    hue = ink.name in _HUES
    reach = (9 * unit, 27 * unit) if hue else (3 * unit, 3 * unit)  # farther away, black could be chromatin
    nearby = cv2.dilate(whole.astype(np.uint8), np.ones((odd(reach[0]), odd(reach[1])), np.uint8)) > 0
    if is_bare_bar:  # its text is right above or below
        margin = round(9 * unit)
        nearby[max(0, ink_box[1] - margin) : ink_box[3] + margin, ink_box[0] : ink_box[2]] = True
    inked = whole | (nearby & (ink.lift > (0.35 if hue or is_bare_bar else 0.5) * ink.threshold))
    if hue:
        _add_faint_ticks(inked, ink.channel, ink_box, unit)
    gaps = np.ones((odd(3 * unit), odd(5 * unit)), np.uint8)
    rim = np.ones((odd((6 if hue else 4) * unit),) * 2, np.uint8)  # JPEG's colour is coarser than its light
    return cv2.dilate(cv2.morphologyEx(inked.astype(np.uint8), cv2.MORPH_CLOSE, gaps), rim) > 0


def odd(length: float) -> int:
    """Round a length to an odd number of pixels, at least 3, for a kernel with a middle."""
    return max(3, 2 * round((length - 1) / 2) + 1)
