"""Which fields were taken in one sitting, told from stain, light, annotation style and file numbering.

A data set without slide or patient numbers still shows its sittings: fields of one slide, taken in one go with one
camera setting, share background, stain and scale bar, and mostly follow each other in number. A test part made of
whole acquisitions asks for more than neighbours of the training fields do. What is found are differences in
acquisition, neither patients nor slides: a slide taken twice with other settings is two acquisitions, two slides of
the same look in a row are one, and so is a scan that drifts.

Shared contract: measures are plain floats under the same names for every field; any will do, those of
`field_measures` are meant. Gaps between groups of fields are in standard deviations of single fields along the line
between the groups (d', Green and Swets, Signal Detection Theory, 1966), so that the thresholds hold for any measures.
They were set on synthetic noise and on one public set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from leuk_hf.errors import DataError

UNKNOWN_ANNOTATIONS = frozenset({"", "none", "unclear", "unknown"})
FEWEST_FIELDS = 10  # that make an acquisition of their own
REACH = 8  # fields looked at on either side of a border, and the fewest of either kind that alternate in a window
STEP = 7.5  # across a border; a cut too many within a scan does no harm, `SAME` mends it
SAME = 4.0  # segments of a class nearer than this are one acquisition
ALTERNATING = 6.5  # between acquisitions told apart without a border; windows of normal noise stayed below 6
SAME_ACROSS_ANNOTATIONS = 3.0  # scale bars come with their own software, sharpness and compression
SAME_ACROSS_CLASSES = 2.0  # classes differ by themselves, so only fields that look alike are joined
WINDOW = 32  # fields searched at once for two alternating acquisitions
_Group = tuple[frozenset[int], str, np.ndarray]  # classes, annotation style, rows


def sequence_number(path: str) -> int | None:
    """Tell the last number in a file's name, None without one: 7 for "Pre/WBC-Pre-007.jpg" and "7 (copy).png"."""
    found = re.findall(r"[0-9]+", PurePosixPath(path.replace("\\", "/")).stem)
    return int(found[-1]) if found else None


def infer_acquisitions(
    measures: Sequence[Mapping[str, float]],
    paths: Sequence[str],
    labels: Sequence[int],
    annotations: Sequence[str],
    *,
    across_annotations: bool = False,
) -> list[str]:
    """Give each field the name of its acquisition.

    Within a class, fields of one annotation style form a stream in folder and number order; a style on a field or
    two, and those of `UNKNOWN_ANNOTATIONS` unless they make up a long run or a quarter of the class, follow the
    measures instead. In a stream, acquisitions that alternate are told apart first (two means in windows of fields,
    followed onwards), then cut where the measures jump. Segments that look the same are joined again; so a scan
    that drifts stays whole and a scan interrupted by another comes together. Without a number on every file of the
    class, order means nothing and clearly separate clusters of measures are all there is. Acquisitions of
    different classes are joined if their style and their look agree.

    Args:
        measures: Per field; not finite values count as typical ones.
        paths: Per field, all different; they name the folder and the number.
        labels: Class index per field.
        annotations: Style per field, any words.
        across_annotations: Join acquisitions of a class that look the same under different styles: most likely one
            slide taken with two programs, which a strict split keeps in one part.

    Returns:
        Per field a name such as "2-small red-1": class, style (left out if unknown), running number. The same
        fields get the same names in any order of the rows.

    Raises:
        DataError: If the arguments differ in length, or two paths are the same, or measures have different names.
    """
    if not len(measures) == len(paths) == len(labels) == len(annotations):
        raise DataError("measures, paths, labels and annotations must have one entry for each field")
    if len(set(paths)) < len(paths) or len({frozenset(measure) for measure in measures}) > 1:
        raise DataError("every field needs a path of its own and the same measures as all others")
    if not paths:
        return []
    order = sorted(range(len(paths)), key=lambda row: _position(paths[row]))  # no later step sees the given order
    names = sorted(measures[0])
    table = [[float(measures[row][name]) for name in names] or [0.0] for row in order]
    values = _standardised(np.array(table))
    groups: list[_Group] = []
    for label in sorted({int(label) for label in labels}):
        rows = np.array([place for place, row in enumerate(order) if int(labels[row]) == label])
        numbered = all(sequence_number(paths[order[row]]) is not None for row in rows)
        styles = _styles([annotations[order[row]].strip() for row in rows])
        found: list[tuple[str, np.ndarray]] = []
        for style in sorted({style for style in styles if style is not None}):
            stream = np.array([place for place, other in enumerate(styles) if other == style])
            scaled = values[rows[stream]] / _noise(values[rows[stream]])
            scaled = np.clip(scaled, *np.percentile(scaled, [1, 99], axis=0))
            for part in _unmixed(scaled, np.arange(len(stream)), numbered):
                found += [
                    (style, stream[piece]) for piece in _joined(scaled, _cut(scaled, part) if numbered else [part])
                ]
        members = [list(part) for _, part in found]
        for place in (place for place, style in enumerate(styles) if style is None):
            members[_nearest(values[rows], place, [part for _, part in found])].append(place)
        groups += [
            (frozenset({label}), style, rows[np.sort(part)]) for (style, _), part in zip(found, members, strict=True)
        ]
    result = [""] * len(paths)
    used: dict[str, int] = {}
    if across_annotations:
        groups = _joined_groups(values, groups, SAME_ACROSS_ANNOTATIONS, lambda a, b: a[0] == b[0] and a[1] != b[1])
    groups = _joined_groups(values, groups, SAME_ACROSS_CLASSES, lambda a, b: not a[0] & b[0] and a[1] == b[1])
    for classes, style, part in sorted(groups, key=lambda group: (sorted(group[0]), group[2][0])):
        stem = "-".join(filter(None, ("+".join(map(str, sorted(classes))), style)))
        used[stem] = used.get(stem, 0) + 1
        for row in part:
            result[order[row]] = f"{stem}-{used[stem]}"
    return result


def _position(path: str) -> tuple[str, int, str]:
    number = sequence_number(path)
    return str(PurePosixPath(path.replace("\\", "/")).parent), -1 if number is None else number, path


def _standardised(values: np.ndarray) -> np.ndarray:
    """Centre by the median, scale by the robust spread, clip at 5; a spread of a few outliers alone counts less."""
    values = np.where(np.isfinite(values), values, np.nan)
    known = np.where(np.isnan(values).all(axis=0), 0.0, values)
    centre = np.nanmedian(known, axis=0)
    values = np.where(np.isnan(known), centre, known) - centre
    middle = np.ptp(np.percentile(values, [5, 95], axis=0), axis=0) / 3.29
    spread = np.maximum(1.4826 * np.median(np.abs(values), axis=0), middle)
    spread = np.where(spread > 0, spread, values.std(axis=0))
    return np.clip(values / np.where(spread > 1e-12, spread, np.inf), -5, 5)


def _noise(values: np.ndarray) -> np.ndarray:
    """Spread from field to field within an acquisition, even where up to four of them alternate."""
    steps = [np.abs(values[lag:] - values[:-lag]).mean(axis=0) / 1.128 for lag in range(1, 5) if len(values) > lag + 3]
    return np.maximum(np.min(steps, axis=0), 0.2) if steps else np.ones(values.shape[1])


def _styles(annotations: list[str]) -> list[str | None]:
    """Settle the style of each field of a class, in number order; None where the measures have to decide."""
    known = ["" if style.lower() in UNKNOWN_ANNOTATIONS else style for style in annotations]
    fewest = min(FEWEST_FIELDS, max(2, len(known) // 10))
    kept = {style for style in known if style and known.count(style) >= fewest}
    if not kept:
        return [known[0] if len(set(known)) == 1 else ""] * len(known)
    run, start = np.zeros(len(known), dtype=int), 0
    for place in range(1, len(known) + 1):
        if place == len(known) or known[place] != known[start]:
            run[start:place], start = place - start, place
    many = known.count("") >= max(FEWEST_FIELDS, len(known) / 4)
    return [
        style if style in kept else "" if not style and (many or length >= FEWEST_FIELDS) else None
        for style, length in zip(known, run, strict=True)
    ]


def _gap(first: np.ndarray, second: np.ndarray) -> float:
    """Tell d' between two groups along the best line for uncorrelated measures, less what chance adds to it."""
    shares = np.array([len(first), len(second)]) / (len(first) + len(second))
    difference = np.median(first, axis=0) - np.median(second, axis=0)
    line = difference / (shares[0] * first.var(axis=0) + shares[1] * second.var(axis=0) + 0.04)
    variance = shares[0] * (first @ line).var() + shares[1] * (second @ line).var() + 1e-9
    chance = first.shape[1] * (1 / len(first) + 1 / len(second))
    return float(np.sqrt(max(0.0, (difference @ line) ** 2 / variance - chance)))


def _halves(values: np.ndarray) -> np.ndarray:
    """Split in two by k-means, started from the best cut of the first principal component: bool (N,)."""
    centred = values - values.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    ordered, below = np.sort(along), np.arange(1, len(along))
    sums = np.cumsum(ordered)
    between = sums[:-1] ** 2 / below + (sums[-1] - sums[:-1]) ** 2 / (len(along) - below)
    member = along > ordered[np.argmax(between)]
    for _ in range(30):
        if member.all() or not member.any():
            break
        distance = [((values - values[side].mean(axis=0)) ** 2).sum(axis=1) for side in (member, ~member)]
        member, before = distance[0] < distance[1], member
        if (member == before).all():
            break
    return member


def _unmixed(values: np.ndarray, rows: np.ndarray, numbered: bool) -> list[np.ndarray]:
    """Separate acquisitions that alternate in a stream (or, without numbers, any separate clusters)."""
    window = min(WINDOW, len(rows)) if numbered else len(rows)
    best_gap, best_start, best_member = 0.0, 0, np.zeros(window, dtype=bool)
    for start in range(0, len(rows) - window + 1, WINDOW // 4) if window >= 2 * REACH else ():
        inside = values[rows[start : start + window]]
        ordered = np.sort(inside, axis=0)
        inside = np.clip(inside, ordered[2], ordered[-3])  # a stray field or two are no acquisition
        member = _halves(inside)
        fewer = min(int(member.sum()), window - int(member.sum()))
        by_chance = 2 * fewer * (window - fewer) / window
        if fewer >= REACH and (not numbered or (member[1:] != member[:-1]).sum() >= by_chance):
            gap = _gap(inside[member], inside[~member])
            if gap >= max(ALTERNATING, best_gap * (1 + 1e-9)):
                best_gap, best_start, best_member = gap, start, member
    if not best_gap:
        return [rows]
    member = _followed(values[rows], best_start, best_member) if numbered else best_member
    if min(member.sum(), (~member).sum()) < FEWEST_FIELDS:
        return [rows]
    return _unmixed(values, rows[member], numbered) + _unmixed(values, rows[~member], numbered)


def _followed(values: np.ndarray, start: int, inside: np.ndarray) -> np.ndarray:
    """Follow two alternating acquisitions from a window to both ends; one not met for two windows' sides has ended."""
    stop = start + len(inside)
    member, decided = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    member[start:stop], decided[start:stop] = inside, True
    sides = (values[start:stop][inside], values[start:stop][~inside])
    spread = np.sqrt((sides[0].var(axis=0) + sides[1].var(axis=0)) / 2 + 0.04)
    outwards = [*range(stop, len(values)), *range(start - 1, -1, -1)]
    for place in outwards + 3 * list(range(len(values))):  # and then each field against its neighbours on both sides
        decided[place] = False
        middles, met = [], []
        for side in (False, True):
            others = np.flatnonzero(decided & (member == side))
            away = np.abs(others - place)
            near = others[np.argsort(away, kind="stable")[:REACH]]
            middles.append(np.median(values[near], axis=0) if near.size else np.zeros(values.shape[1]))
            met.append(bool(away.size and away.min() <= 2 * REACH))
        half = np.where(middles[0] == middles[1], np.inf, (middles[1] - middles[0]) / 2)
        votes = np.clip((values[place] - (middles[0] + middles[1]) / 2) / half, -1, 1)
        # Votes are bounded: one measure that went wrong (no leukocyte in sight) must not outweigh all others.
        choice = bool(votes @ np.minimum(np.abs(middles[1] - middles[0]) / spread, 6) > 0)
        member[place] = choice if met[0] == met[1] else met[1]
        decided[place] = True
    return member


def _cut(values: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Cut a stream where the medians of the fields before and after differ by `STEP` and nowhere near by more."""
    reach, stream = REACH, values[rows]
    steps, cuts = np.zeros(len(rows) + 1), [0]
    for place in range(reach, len(rows) - reach + 1):
        jump = np.median(stream[place : place + reach], axis=0) - np.median(stream[place - reach : place], axis=0)
        steps[place] = np.sqrt(max(0.0, (jump**2).sum() - stream.shape[1] * np.pi / reach))  # less the chance part
    for place in np.flatnonzero(steps >= STEP).tolist():
        if steps[place] == steps[max(0, place - reach) : place + reach + 1].max() and place - cuts[-1] >= reach:
            low, high = max(cuts[-1], place - 2 * reach), min(len(rows), place + 2 * reach)
            tried = range(max(low + 1, place - reach), min(high - 1, place + reach) + 1)
            cost = [_scatter(stream[low:cut]) + _scatter(stream[cut:high]) for cut in tried]
            cuts.append(tried[int(np.argmin(cost))])
    return np.split(rows, cuts[1:])


def _scatter(values: np.ndarray) -> float:
    return float(np.abs(values - np.median(values, axis=0)).sum())


def _joined(values: np.ndarray, segments: list[np.ndarray]) -> list[np.ndarray]:
    """Join segments nearer than `SAME`, the nearest pair first, and those too short to stand alone."""
    segments = list(segments)
    while len(segments) > 1:
        candidates = []
        for second in range(1, len(segments)):
            for first in range(second):
                short = min(len(segments[first]), len(segments[second])) < FEWEST_FIELDS
                candidates.append((not short, _gap(values[segments[first]], values[segments[second]]), first, second))
        long, gap, first, second = min(candidates)
        if long and gap >= SAME:
            break
        segments[first] = np.sort(np.concatenate([segments[first], segments.pop(second)]))
    return segments


def _nearest(values: np.ndarray, place: int, groups: list[np.ndarray]) -> int:
    """Find the acquisition most like a field, among those at work before and after it if there are any."""
    ranks = []
    for index, members in enumerate(groups):
        away = np.abs(members - place)
        near = members[np.argsort(away, kind="stable")[:REACH]]
        difference = (values[place] - np.median(values[near], axis=0)) / (values[members].std(axis=0) + 0.2)
        sides = sum(bool((away[side] <= 2 * REACH).any()) for side in (members < place, members > place))
        ranks.append((-sides, float((difference**2).sum()), index))
    return min(ranks)[2]


def _joined_groups(
    values: np.ndarray, groups: list[_Group], limit: float, allowed: Callable[[_Group, _Group], bool]
) -> list[_Group]:
    groups = list(groups)
    while True:
        pairs = [
            (_gap(values[groups[first][2]], values[groups[second][2]]), first, second)
            for second in range(len(groups))
            for first in range(second)
            if allowed(groups[first], groups[second])
            and min(len(groups[first][2]), len(groups[second][2])) >= FEWEST_FIELDS
        ]
        if not pairs or min(pairs)[0] >= limit:
            return groups
        _, first, second = min(pairs)
        (classes, style, rows), (others, other, more) = groups[first], groups.pop(second)
        styles = "+".join(sorted({*style.split("+"), *other.split("+")} - {""}))
        groups[first] = (classes | others, styles, np.sort(np.concatenate([rows, more])))
