"""What the forward pass and the input checks tell of many images, kept for fitting and measuring.

Shared contract: a network's blocks are run once; other classifiers and in-distribution scores are then applied to what
was kept. Beside every field a copy in another light (`relit`) describes what the score must bear.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf import perturbations as changed
from leuk_hf.backends import Predictor
from leuk_hf.errors import DataError
from leuk_hf.in_distribution import InDistribution, field_statistics
from leuk_hf.input_measures import FieldMeasures
from leuk_hf.prediction import in_batches, measures_of
from leuk_hf.score_comparison import Described


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """What the forward pass and the input checks tell of some images.

    Args:
        described: Logits, features and statistics.
        measures: One per image.
    """

    described: Described
    measures: tuple[FieldMeasures, ...]


Part = tuple[Seen, Seen, np.ndarray]  # fields, their copies in another light, labels int (N,)


def see(
    predictor: Predictor, images: Iterable[Image.Image], *, batch_size: int = 16, progress: str | None = None
) -> Seen:
    """Run images through a network and measure them.

    Args:
        predictor: The classifier.
        images: RGB, from `load_image`; at least one.
        batch_size: Images per forward pass.
        progress: Name of the bar; None shows none.

    Raises:
        DataError: If there is no image.
    """
    logits, features, statistics, measures = [], [], [], list[FieldMeasures]()
    with tqdm(desc=progress, unit="image", disable=progress is None) as bar:
        for batch in in_batches(images, batch_size):
            pixel_values = predictor.preprocessor(batch)
            outputs = predictor.run(pixel_values)
            cells = None if outputs.leukocytes is None else torch.from_numpy(outputs.leukocytes)[:, None]
            logits.append(outputs.logits)
            features.append(outputs.features)
            statistics.append(field_statistics(torch.from_numpy(pixel_values), cells).numpy())
            measures += [measures_of(predictor, outputs, row, pixel_values, image) for row, image in enumerate(batch)]
            bar.update(len(batch))
    if not measures:
        raise DataError("there is no image to calibrate with; give some")
    described = Described(*(np.concatenate(parts).astype(np.float64) for parts in (logits, features, statistics)))
    return Seen(described, tuple(measures))


def relit(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Show a field as another lamp, exposure or camera would: brightness, tone curve, white balance, hue, focus.

    Args:
        image: RGB.
        generator: Chooses which changes, and how large.
    """
    field = np.asarray(image)
    if generator.random() < 0.6:
        field = changed.brightness(field, float(generator.uniform(0.6, 1.4)))
    if generator.random() < 0.3:
        field = changed.gamma(field, float(np.exp(generator.uniform(-0.35, 0.35))))
    if generator.random() < 0.3:
        red, blue = generator.uniform(0.9, 1.1, size=2).tolist()
        field = changed.white_balance(field, red=red, blue=blue)
    if generator.random() < 0.3:
        field = changed.hue(field, float(generator.uniform(-20, 20)))
    if generator.random() < 0.2:
        field = changed.blur(field, float(generator.uniform(0.3, 1.0)))
    return Image.fromarray(field)


def first_of(part: Part, count: int) -> Part:
    """Give the first fields of a part, as if no others had been seen.

    Args:
        part: Fields, copies and labels.
        count: How many.
    """
    held, again, labels = part
    return _first(held, count), _first(again, count), labels[:count]


def _first(seen: Seen, count: int) -> Seen:
    described = Described(
        *(getattr(seen.described, field.name)[:count] for field in dataclasses.fields(seen.described))
    )
    return Seen(described, seen.measures[:count])


def reweighted(seen: Seen, change: np.ndarray) -> Seen:
    """Give what a network would have told whose classifier has other weights.

    Args:
        seen: From `see`.
        change: What is added to the weights, float (K, C).
    """
    described = seen.described
    return dataclasses.replace(
        seen, described=dataclasses.replace(described, logits=described.logits + described.features @ change.T)
    )


def rescored(seen: Seen, scorer: InDistribution) -> tuple[FieldMeasures, ...]:
    """Give the measures with the score of another `InDistribution`.

    Args:
        seen: From `see`.
        scorer: Fitted.
    """
    if scorer.dims:
        scores = scorer.score(torch.from_numpy(seen.described.joined).float())
    else:
        scores = torch.logsumexp(torch.from_numpy(seen.described.logits), dim=1)
    return tuple(
        dataclasses.replace(each, in_distribution_score=score)
        for each, score in zip(seen.measures, scores.double().tolist(), strict=True)
    )
