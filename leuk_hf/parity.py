"""Whether backends give the same answers: every field through each, differences counted and named.

Shared contract: a difference of labels, or of a probability by more than the margin, always counts. A prediction set
or verdict that differs where a threshold is within the margin of the reference is counted apart: two sums of the same
numbers in another order may fall on two sides of a threshold. Maps know such a threshold, too: an activation nearer to
zero than rounding errors may pass norm5's ReLU on one backend only, which moves Grad-CAM by about 1e-3 at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from leuk_hf import prediction
from leuk_hf.backends import Outputs, Predictor
from leuk_hf.conformal import near_quantile
from leuk_hf.errors import DataError
from leuk_hf.field_checks import near_limit
from leuk_hf.input_measures import FieldMeasures
from leuk_hf.prediction import Prediction, in_batches, interpret, measures_of

MARGIN = 0.01
MAP_TOLERANCE = 1e-4  # more than rounding alone does to a map


class _Tally:
    """The differences of one backend from the reference, added up field by field."""

    def __init__(self, predictor: Predictor, margin: float) -> None:
        self.predictor, self.margin = predictor, margin
        self.counts = dict.fromkeys(
            ("label", "probability", "set", "set_near_threshold", "verdict", "verdict_near_threshold"), 0
        )
        self.largest = {"probability": 0.0, "in_distribution_score": 0.0, "map": 0.0}
        self.map_differences: list[float] = []
        self.correlations: list[float] = []
        self.differing: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        found: Prediction,
        expected: Prediction,
        maps: tuple[np.ndarray, np.ndarray],
        measures: FieldMeasures,
    ) -> None:
        gap = max(abs(found.probabilities[label] - expected.probabilities[label]) for label in expected.probabilities)
        score = abs(found.in_distribution_score - expected.in_distribution_score)
        self.largest["probability"] = max(self.largest["probability"], gap)
        self.largest["in_distribution_score"] = max(self.largest["in_distribution_score"], score)
        self.map_differences.append(relative_difference(*maps))
        self.correlations.append(correlation(*maps))
        kinds = []
        if found.label != expected.label:
            kinds.append("label")
        if gap > self.margin:
            kinds.append("probability")
        if set(found.prediction_set) != set(expected.prediction_set):
            near = self._near_set_threshold(expected)
            kinds.append("set_near_threshold" if near else "set")
        if (found.answered, found.reasons) != (expected.answered, expected.reasons):
            near = abs(max(expected.probabilities.values()) - prediction.CLOSE_CALL) <= self.margin
            near = near or near_limit(measures, self.predictor.refusal_limits, self.margin)
            kinds.append("verdict_near_threshold" if near else "verdict")
        for kind in kinds:
            self.counts[kind] += 1
        if kinds:
            labels = {"reference": expected.label, "found": found.label}
            self.differing.append({"file": name, "differs_in": kinds, **labels, "probability_difference": gap})

    def _near_set_threshold(self, expected: Prediction) -> bool:
        quantiles = self.predictor.conformal_quantiles
        if not quantiles:
            return near_set_threshold(expected.probabilities.values(), self.margin)
        return near_quantile(np.array(list(expected.probabilities.values())), quantiles, self.margin)

    def summary(self, count: int) -> dict[str, Any]:
        return {
            "predictor": self.predictor.description,
            "num_fields": count,
            "differing": {**self.counts, "fields": self.differing},
            "largest_probability_difference": self.largest["probability"],
            "largest_score_difference": self.largest["in_distribution_score"],
            "map_difference": {
                "median": float(np.median(self.map_differences)),
                "largest": max(self.map_differences),
                "num_above": sum(difference > MAP_TOLERANCE for difference in self.map_differences),
            },
            "lowest_map_correlation": min(self.correlations),
        }


def compare(
    reference: Predictor,
    others: Mapping[str, Predictor],
    fields: Iterable[tuple[str, Image.Image]],
    *,
    batch_size: int = 16,
    margin: float = MARGIN,
) -> dict[str, Any]:
    """Send fields through several backends and compare their answers with the reference's.

    Args:
        reference: What the others are measured by.
        others: Name -> predictor of the same checkpoint.
        fields: (name, RGB image) pairs; only one batch of them is held at a time.
        batch_size: Fields per forward pass.
        margin: Of probabilities, and around thresholds; relative to those of refusal.

    Returns:
        JSON types: reference, margin, backends: name -> predictor, num_fields, differing (counts by kind, and fields:
        file, differs_in, reference, found, probability_difference), largest_probability_difference,
        largest_score_difference (of the in-distribution score), map_difference (of all classes' maps, relative to
        the field's largest value: median, largest, num_above `MAP_TOLERANCE`), lowest_map_correlation.

    Raises:
        DataError: If there is no field, or a predictor is of another checkpoint.
    """
    for name, predictor in others.items():
        if predictor.identity != reference.identity:
            raise DataError(f"{name} is another checkpoint than the reference; export it again")
    tallies = {name: _Tally(predictor, margin) for name, predictor in others.items()}
    count = 0
    for batch in in_batches(fields, batch_size):
        pixel_values = reference.preprocessor([image for _, image in batch])
        expected = _answers(reference, batch, pixel_values)
        for tally in tallies.values():
            found = _answers(tally.predictor, batch, pixel_values)
            for (name, _), (one, one_map, _), (other, other_map, measures) in zip(batch, found, expected, strict=True):
                tally.add(name, one, other, (one_map, other_map), measures)
        count += len(batch)
    if not count:
        raise DataError("there is no field to compare; give some")
    return {
        "reference": reference.description,
        "margin": margin,
        "backends": {name: tally.summary(count) for name, tally in tallies.items()},
    }


def near_set_threshold(probabilities: Iterable[float], margin: float) -> bool:
    """Tell whether the prediction set of a checkpoint without conformal quantiles hangs on less than a margin.

    Args:
        probabilities: Of all classes.
        margin: Around the coverage that ends the set, and between two classes that compete for its last place.
    """
    descending = np.sort(np.fromiter(probabilities, dtype=np.float64))[::-1]
    sums = np.cumsum(descending)
    last = int(np.searchsorted(sums, prediction.SET_COVERAGE))
    tie = last + 1 < len(descending) and descending[last] - descending[last + 1] <= margin
    return bool(tie or np.abs(sums - prediction.SET_COVERAGE).min() <= margin)


def relative_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Compare maps: largest absolute difference over the largest absolute value expected.

    Args:
        actual: float, any shape.
        expected: float, the same shape.
    """
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def correlation(actual: np.ndarray, expected: np.ndarray) -> float:
    """Correlate maps (Pearson); flat ones correlate by 1 if both are flat, else by 0.

    Args:
        actual: float, any shape.
        expected: float, the same shape.
    """
    one, other = (np.ravel(values).astype(np.float64) for values in (actual, expected))
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    if scale == 0:
        return float(not one.any() and not other.any())
    return float(one @ other / scale)


def _answers(
    predictor: Predictor, batch: list[tuple[str, Image.Image]], pixel_values: np.ndarray
) -> list[tuple[Prediction, np.ndarray, FieldMeasures]]:
    outputs: Outputs = predictor.run(pixel_values)
    answers = []
    for row, (_, image) in enumerate(batch):
        measures = measures_of(predictor, outputs, row, pixel_values, image)
        answer = interpret(predictor, outputs.logits[row], image, measures=measures)
        answers.append((answer, outputs.maps[row], measures))
    return answers
