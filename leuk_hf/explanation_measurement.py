"""Measuring how faithful a model's explanations are, on labelled fields, by class, layer and method.

Shared contract: what is explained is the class that the model predicts; classes in the figures are the true ones. Each
map is scored by `leuk_hf.faithfulness`, beside reference maps on the same grid: "perfect" (the leukocytes themselves),
"random_blocks" and "centre". A figure is {"value", "interval"}, the mean over fields and its 95 % bootstrap interval;
what is not defined is None.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf import attribution, attribution_methods, cells, class_activation, faithfulness, orientations
from leuk_hf._version import __version__
from leuk_hf.attribution_methods import INPUT, RANDOMISED_PARTS, attribution_maps, methods_and_layers, randomised
from leuk_hf.backends import Predictor
from leuk_hf.cells import segment_leukocytes
from leuk_hf.explanation_summary import CENTRE, PERFECT, RANDOM, Field, summarise
from leuk_hf.faithfulness import (
    centre_map,
    deletion_and_insertion,
    neutral_field,
    perfect_map,
    pixel_order,
    pointing_score,
    random_map,
    rank_correlation,
    share_on_leukocytes,
)
from leuk_hf.journal import Journal
from leuk_hf.prediction import softmax

_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured of every field.

    Args:
        methods: Some of `attribution_methods.METHODS`; empty: all.
        layers: Some of the model's `cam_layers`; empty: all.
        num_steps: Of deletion and insertion, at least 1.
        num_randomisations: Networks with random weights for each part that is randomised; 0 leaves this test out. One
            differs much from the next, and the intervals over fields do not know of it.
        seed: Of random maps, random weights and the bootstrap.
    """

    methods: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    num_steps: int = 10
    num_randomisations: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.num_randomisations < 0 or self.seed < 0:
            raise ValueError("num_steps must be at least 1, num_randomisations and seed at least 0")


def leukocyte_mask(image: Image.Image, image_size: int) -> np.ndarray:
    """Find the leukocytes of an image and bring their mask to the field as the network sees it.

    Args:
        image: RGB, any size.
        image_size: Edge of the square that the image is squashed to.

    Returns:
        bool (image_size, image_size).
    """
    mask, size = segment_leukocytes(image).astype(np.float32), (image_size, image_size)
    shrinks = min(mask.shape) >= image_size
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR) > 0.5


def measure_explanations(
    predictor: Predictor,
    images: Iterable[Image.Image],
    labels: Sequence[int],
    names: Sequence[str],
    *,
    plan: Plan,
    groups: Sequence[Any] | None = None,
    journal: Journal | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Score the explanations of labelled fields.

    Args:
        predictor: With a torch network.
        images: (N,) RGB uint8, taken one after the other.
        labels: (N,) class indices.
        names: (N,), all different; with the seed they decide the random maps.
        plan: What is measured.
        groups: (N,) group of each field, for the intervals; by default each field is its own.
        journal: Keeps what is done, so that an interrupted measurement goes on from there.
        progress: Show a bar.

    Returns:
        JSON types, as from `explanation_summary.summarise`.

    Raises:
        ValueError: If a method or layer is unknown, or there is no field.
    """
    measurement = _Measurement(predictor, plan, Journal(None) if journal is None else journal)
    rows = tqdm(zip(images, labels, names, strict=True), "Explaining", len(names), unit="image", disable=not progress)
    fields = [measurement.of_field(image, label, name) for image, label, name in rows]
    if not fields:
        raise ValueError("there is no field to explain")
    return {
        "num_steps": plan.num_steps,
        "num_randomisations": plan.num_randomisations,
        "neutral_blur": faithfulness.NEUTRAL_BLUR,
        "seed": plan.seed,
        **summarise(
            fields,
            np.arange(len(fields)) if groups is None else np.asarray(groups),
            predictor.class_names,
            seed=plan.seed,
        ),
    }


class _Measurement:
    """One model and one plan; scores field after field."""

    def __init__(self, predictor: Predictor, plan: Plan, journal: Journal) -> None:
        self.predictor, self.plan, self.journal = predictor, plan, journal
        self.pairs = methods_and_layers(predictor.torch_model().cam_layers, plan.methods, plan.layers)
        numbers = (plan.num_steps, plan.num_randomisations, plan.seed)
        digest = hashlib.sha256(f"{__version__} {predictor.identity} {predictor.description} {numbers}".encode())
        for module in (attribution, attribution_methods, cells, class_activation, faithfulness, orientations):
            digest.update(Path(str(module.__file__)).read_bytes())
        digest.update(Path(__file__).read_bytes())
        self.key = digest.hexdigest()
        self.grids: dict[str, tuple[int, int]] = {}  # by layer, the same for every field

    @functools.cached_property
    def untrained(self) -> dict[str, list[Any]]:
        """The networks that know nothing, by randomised part."""
        model, seeds = self.predictor.torch_model(), range(self.plan.num_randomisations)
        return {part: [randomised(model, part, self.plan.seed + n) for n in seeds] for part in RANDOMISED_PARTS}

    def of_field(self, image: Image.Image, label: int, name: str) -> Field:
        """Score all maps of one field, or take their scores from the journal."""
        size = self.predictor.preprocessor.image_size
        pixel_values, mask = self.predictor.preprocessor([image]), leukocyte_mask(image, size)
        digest = hashlib.sha256(f"{self.key} {name}".encode() + pixel_values.tobytes() + mask.tobytes()).hexdigest()
        target = int(self.predictor.run(pixel_values).logits[0].argmax())
        subject = _Subject(self, pixel_values, mask, target, name)
        maps: dict[tuple[str, str], dict[str, float]] = {}
        for method, layer in self._with_references():
            entry = f"{digest} {method} {layer}"
            if entry not in self.journal:
                scores = subject.scores(method, layer)
                self.journal[entry] = {key: None if math.isnan(value) else value for key, value in scores.items()}
            stored = self.journal[entry].items()
            maps[method, layer] = {key: math.nan if value is None else value for key, value in stored}
        return Field(label, target, float(mask.mean()), maps)

    def _with_references(self) -> list[tuple[str, str]]:
        layers = dict.fromkeys(layer for _, layer in self.pairs)
        return [(CENTRE, INPUT), *((name, layer) for layer in layers for name in (PERFECT, RANDOM)), *self.pairs]


class _Subject:
    """One field, its target and what all of its maps share."""

    def __init__(
        self, measurement: _Measurement, pixel_values: np.ndarray, mask: np.ndarray, target: int, name: str
    ) -> None:
        self.measurement, self.predictor = measurement, measurement.predictor
        self.pixel_values, self.mask, self.target, self.name = pixel_values, mask, target, name
        self.neutral = neutral_field(pixel_values[0])

    def scores(self, method: str, layer: str) -> dict[str, float]:
        """Score one map."""
        plan = self.measurement.plan
        attribution = self._reference(method, layer)
        is_method = attribution is None
        if attribution is None:
            attribution = self._explain(self.predictor, method, layer)
        scores = {
            "height": float(attribution.shape[0]),
            "width": float(attribution.shape[1]),
            "on_leukocytes": share_on_leukocytes(attribution, self.mask),
            "pointing": pointing_score(attribution, self.mask),
            **self._curves(attribution),
        }
        if is_method and plan.num_randomisations:
            for part, models in self.measurement.untrained.items():
                others = [self._explain(model, method, layer) for model in models]
                scores[f"{part}_randomised"] = _similarity(attribution, others)
            scores["unrelated"] = _similarity(attribution, [random_map(attribution.shape, self._generator(layer))])
        return scores

    def _curves(self, attribution: np.ndarray) -> dict[str, float]:
        # A map without any difference between places puts them in no order.
        if attribution.min() == attribution.max():
            return dict.fromkeys(faithfulness.Curves._fields, math.nan)
        order = pixel_order(attribution, self.mask.shape)
        steps = self.measurement.plan.num_steps
        curves = deletion_and_insertion(self._probability, self.pixel_values[0], self.neutral, order, num_steps=steps)
        return curves._asdict()

    def _reference(self, method: str, layer: str) -> np.ndarray | None:
        if method == CENTRE:
            return centre_map(self.mask.shape)
        if method not in (PERFECT, RANDOM):
            return None
        size = self._grid(layer)
        return perfect_map(self.mask, size) if method == PERFECT else random_map(size, self._generator(layer))

    def _grid(self, layer: str) -> tuple[int, int]:
        grids = self.measurement.grids
        if layer not in grids:
            shape = self.mask.shape if layer == INPUT else self._explain(self.predictor, "grad_cam", layer).shape
            grids[layer] = (shape[0], shape[1])
        return grids[layer]

    def _generator(self, layer: str) -> np.random.Generator:
        words = (layer, self.name)
        return np.random.default_rng([self.measurement.plan.seed, *(zlib.crc32(word.encode()) for word in words)])

    def _explain(self, model: Any, method: str, layer: str) -> np.ndarray:
        values = torch.from_numpy(self.pixel_values)
        return attribution_maps(model, values, [self.target], method, layer)[0].cpu().numpy()

    def _probability(self, fields: np.ndarray) -> np.ndarray:
        batches = [fields[start : start + _BATCH] for start in range(0, len(fields), _BATCH)]
        logits = np.concatenate([self.predictor.run(batch).logits for batch in batches])
        return softmax(logits / self.predictor.temperature)[:, self.target]


def _similarity(attribution: np.ndarray, others: Sequence[np.ndarray]) -> float:
    """Mean absolute rank correlation: a map turned inside out, as a classifier's random signs do, is no other map."""
    return float(np.mean([abs(rank_correlation(attribution, other)) for other in others]))
