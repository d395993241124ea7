"""From the scores of single fields to figures by class, layer and method.

Shared contract: a figure is {"value", "interval"}, the mean over fields and its 95 % bootstrap interval over groups of
fields; what is not defined is None, and fields where a score is not defined (no leukocytes, no positive attribution)
are left out of its mean.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

PERFECT, RANDOM, CENTRE = "perfect", "random_blocks", "centre"
REFERENCES = (PERFECT, RANDOM, CENTRE)
ALL = "all"  # the mean over classes, so that none outweighs another
_SHARES = ("on_leukocytes", "pointing", "deletion", "insertion")
_SIMILARITIES = ("classifier_randomised", "network_randomised", "unrelated")

Map = tuple[str, str]  # method, layer
_Ratio = tuple[np.ndarray, np.ndarray]  # summed over fields: above and below the line
_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Field:
    """One field's scores.

    Args:
        label: Index of the true class.
        target: Index of the predicted class, the one explained.
        area: Share of the field that leukocytes cover.
        maps: By method and layer: scores by name, NaN where not defined.
    """

    label: int
    target: int
    area: float
    maps: dict[Map, dict[str, float]]


def summarise(fields: Sequence[Field], groups: np.ndarray, class_names: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Average the scores.

    Args:
        fields: At least one, all with the same maps.
        groups: (N,) fields of one group are not independent.
        class_names: In index order.
        seed: Of the bootstrap.

    Returns:
        JSON types. fields: by class and "all", num_fields, correct (share predicted right), area, probability of the
        predicted class, neutral_probability. maps: one for each method (also the references) and layer, with its grid
        and by class and "all": on_leukocytes (share of the positive attribution), of_perfect (as a fraction of the
        perfect map's), pointing, deletion, insertion, deletion_gain and insertion_gain (better than random blocks by
        how much), deletion_over_centre and insertion_over_centre, classifier_randomised and network_randomised (mean
        absolute rank correlation with the map of such a network), unrelated (the same with random blocks). chosen: the
        map to prefer by these figures (`choose_map`), or None.
    """
    summary = _Summary(fields, groups, class_names, seed)
    maps = [summary.of_map(pair) for pair in fields[0].maps]
    return {"class_names": list(class_names), "fields": summary.of_fields(), "maps": maps, "chosen": choose_map(maps)}


def choose_map(maps: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    """Choose the map to show: true first, then on leukocytes.

    True: its hottest pixels matter more than random blocks of the same size, both when they go and when they come,
    with the whole of either interval. Among these the one of the largest share of a perfect map's; of several that
    reach it, since more than that is no better, the one whose hottest pixels matter most: by insertion less deletion,
    not by what they gain over random blocks, which are drawn anew for each layer. Of maps that are the same, such as
    those of two methods where gradients are constant, Grad-CAM's.

    Args:
        maps: Of a summary.

    Returns:
        method and layer; None when no map is shown to be true.
    """
    true = []
    for entry in maps:
        figures = entry["classes"][ALL]
        if entry["method"] in REFERENCES or figures["of_perfect"]["value"] is None:
            continue
        gains = [figures[name]["interval"] for name in ("deletion_gain", "insertion_gain")]
        if all(interval is not None and interval[0] > 0 for interval in gains):
            true.append(entry)
    if not true:
        return None

    def merit(entry: dict[str, Any]) -> tuple[float, float, bool]:
        share, deletion, insertion = (
            entry["classes"][ALL][name]["value"] for name in ("of_perfect", "deletion", "insertion")
        )
        # The same map, computed in two ways, differs by rounding.
        return round(min(share, 1.0), 3), round(insertion - deletion, 3), entry["method"] == "grad_cam"

    best = max(true, key=merit)
    return {"method": best["method"], "layer": best["layer"]}


class _Summary:
    """All figures are ratios of sums over fields, so that one set of resamples bounds all of them at once."""

    def __init__(self, fields: Sequence[Field], groups: np.ndarray, class_names: Sequence[str], seed: int) -> None:
        self.fields = fields
        labels = np.array([field.label for field in fields])
        # For each class one row of columns, for all classes several: figures are averaged over the rows.
        self.columns = {
            name: [rows] for index, name in enumerate(class_names) if len(rows := np.flatnonzero(labels == index))
        }
        self.columns[ALL] = [rows for (rows,) in self.columns.values()]
        self.counts = {name: np.zeros((_RESAMPLES + 1, len(fields))) for name in self.columns}
        for name, columns in self.columns.items():
            rows = np.sort(np.concatenate(columns))
            self.counts[name][0, rows] = 1  # the fields as they are
            self.counts[name][1:, rows] = resample_counts(groups[rows], seed)

    def of_fields(self) -> dict[str, Any]:
        """Describe the fields, by class."""
        some_map = next(iter(self.fields[0].maps))  # the field is the same for all of them
        figures = self._figures(
            {
                "correct": _mean(np.array([float(field.label == field.target) for field in self.fields])),
                "area": _mean(np.array([field.area for field in self.fields])),
                "probability": _mean(self._scores(some_map, "probability")),
                "neutral_probability": _mean(self._scores(some_map, "neutral_probability")),
            }
        )
        return {
            name: {"num_fields": sum(len(rows) for rows in columns), **figures[name]}
            for name, columns in self.columns.items()
        }

    def of_map(self, pair: Map) -> dict[str, Any]:
        """Give one map's figures, by class."""
        scores = {name: self._scores(pair, name) for name in (*_SHARES, *_SIMILARITIES)}
        measures = {name: _mean(scores[name]) for name in _SHARES}
        method, layer = pair
        if method not in REFERENCES:
            measures["of_perfect"] = _ratio(scores["on_leukocytes"], self._scores((PERFECT, layer), "on_leukocytes"))
            measures |= {name: _mean(scores[name]) for name in _SIMILARITIES if not np.isnan(scores[name]).all()}
        rivals = {"gain": (RANDOM, layer), "over_centre": next(key for key in self.fields[0].maps if key[0] == CENTRE)}
        for word, rival in rivals.items():
            if rival in self.fields[0].maps and rival != pair:
                measures[f"deletion_{word}"] = _mean(self._scores(rival, "deletion") - scores["deletion"])
                measures[f"insertion_{word}"] = _mean(scores["insertion"] - self._scores(rival, "insertion"))
        first = self.fields[0].maps[pair]
        grid = [round(first["height"]), round(first["width"])]
        return {"method": method, "layer": layer, "grid": grid, "classes": self._figures(measures)}

    def _scores(self, pair: Map, name: str) -> np.ndarray:
        return np.array([field.maps[pair].get(name, math.nan) for field in self.fields])

    def _figures(self, measures: dict[str, _Ratio]) -> dict[str, dict[str, Any]]:
        return {
            name: {measure: _figure(self._estimates(name, *ratio)) for measure, ratio in measures.items()}
            for name in self.columns
        }

    def _estimates(self, name: str, above: np.ndarray, below: np.ndarray) -> np.ndarray:
        """Give a figure's value for the fields as they are and for every resample."""
        counts, values = self.counts[name], []
        for rows in self.columns[name]:
            total = counts[:, rows] @ below[rows]
            values.append(
                np.divide(counts[:, rows] @ above[rows], total, np.full(len(counts), math.nan), where=total > 0)
            )
        defined = ~np.isnan(values)
        number = defined.sum(axis=0)
        return np.divide(
            np.where(defined, values, 0).sum(axis=0), number, np.full(len(counts), math.nan), where=number > 0
        )


def resample_counts(groups: np.ndarray, seed: int) -> np.ndarray:
    """Count how often each row is in each of the resamples that `metrics.bootstrap_interval` draws.

    Args:
        groups: (N,) rows of a group are drawn together.
        seed: Of the resampling.

    Returns:
        float64 (1000, N).
    """
    generator = np.random.default_rng(seed)
    _, inverse = np.unique(groups, return_inverse=True)
    size = int(inverse.max()) + 1
    drawn = [np.bincount(generator.integers(size, size=size), minlength=size) for _ in range(_RESAMPLES)]
    return np.array(drawn, dtype=np.float64)[:, inverse]


def _mean(values: np.ndarray) -> _Ratio:
    defined = ~np.isnan(values)
    return np.where(defined, values, 0), defined.astype(np.float64)


def _ratio(above: np.ndarray, below: np.ndarray) -> _Ratio:
    """Divide the means over the fields where both are defined; tiny cells would rule a mean of ratios."""
    both = ~np.isnan(above) & ~np.isnan(below)
    return np.where(both, above, 0), np.where(both, below, 0)


def _figure(estimates: np.ndarray) -> dict[str, Any]:
    value, resampled = estimates[0], estimates[1:][~np.isnan(estimates[1:])]
    low, high = np.percentile(resampled, [2.5, 97.5]).tolist() if len(resampled) else (math.nan, math.nan)
    # A bootstrap that never varies claims a certainty that nobody has.
    bounds = [round(low, 6), round(high, 6)] if high > low else None
    return {"value": None if np.isnan(value) else round(float(value), 6), "interval": bounds}
