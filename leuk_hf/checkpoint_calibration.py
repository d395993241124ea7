"""Filling a checkpoint with what turns scores into probabilities, sets and refusals.

Shared contract: training fields fit the in-distribution score; calibration fields fit temperature and quantiles and
set the score's limit; both together set the limits of the input checks. Foreign images fit nothing. Beside every field
a copy in another light (`relit`) describes what the score must bear: without them it refused nearly every field that
was 20 % brighter than usual, though it could be read as well as any.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from tqdm.auto import tqdm

from leuk_hf import checkpoint_io, export_record, metrics
from leuk_hf import perturbations as changed
from leuk_hf.backends import Predictor
from leuk_hf.calibration import fit_temperature
from leuk_hf.conformal import COVERAGE, fit_quantiles
from leuk_hf.errors import DataError
from leuk_hf.field_checks import FieldMeasures, fit_limits, passed_limits, refused_share
from leuk_hf.in_distribution import DEFAULT_DIMS, InDistribution, field_statistics, fit_in_distribution
from leuk_hf.model import LeukDenseNet
from leuk_hf.prediction import in_batches, measures_of, softmax
from leuk_hf.score_comparison import Described, candidates, compare

_SCORE_LIMIT = "lowest_in_distribution_score"


@dataclasses.dataclass(frozen=True)
class Options:
    """How a checkpoint is calibrated.

    Args:
        dims: Of the in-distribution score's subspace; 0 keeps the energy.
        share: Of usable fields that may be refused.
        coverage: Of each class's prediction sets.
        certainty: Share of draws of the calibration part in which the coverage is to hold; None: on average.
        seed: Of the copies in another light.
        batch_size: Fields per forward pass.
    """

    dims: int = DEFAULT_DIMS
    share: float = 0.02
    coverage: float = COVERAGE
    certainty: float | None = 0.9
    seed: int = 0
    batch_size: int = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """What the forward pass and the input checks tell of some images.

    Args:
        described: Logits, features and statistics.
        measures: One per image.
    """

    described: Described
    measures: tuple[FieldMeasures, ...]


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


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """What was fitted, and to what.

    Args:
        model: A copy with everything filled in.
        report: JSON types, for results.json.
    """

    model: LeukDenseNet
    report: dict[str, Any]


def calibrate(
    model: LeukDenseNet,
    training: tuple[Seen, Seen, np.ndarray],
    calibration: tuple[Seen, Seen, np.ndarray],
    options: Options = Options(),
) -> Calibration:
    """Fit everything and fill it into a copy of a network.

    Args:
        model: The network that saw the fields.
        training: Fields of the training part, their relit copies, and their labels int (N,).
        calibration: The same of the calibration part.
        options: How.

    Raises:
        DataError: If a class has no calibration field, or crepes is not installed.
        ValueError: If there are too few training fields for the dimensions.
    """
    (known, known_relit, known_labels), (held, held_relit, held_labels) = training, calibration
    temperature = fit_temperature(held.described.logits, held_labels)
    probabilities = softmax(held.described.logits / temperature)
    quantiles = fit_quantiles(probabilities, held_labels, coverage=options.coverage, certainty=options.certainty)
    fitted = {}
    if options.dims:
        fitted = fit_in_distribution(
            torch.from_numpy(np.concatenate([known.described.joined, known_relit.described.joined])),
            torch.from_numpy(np.concatenate([known_labels, known_labels])),
            num_features=model.num_features,
            num_classes=len(model.class_names),
            dims=options.dims,
        )
    scorer = InDistribution(
        options.dims,
        num_features=model.num_features,
        num_classes=len(model.class_names),
        sees_leukocytes=model.view == "leukocytes",
    )
    scorer.load_state_dict(fitted)
    known_measures, held_measures, relit_measures = (rescored(each, scorer) for each in (known, held, held_relit))
    limits = fit_limits(
        known_measures,
        held_measures,
        options.share,
        scores=[each.in_distribution_score for each in (*held_measures, *relit_measures)],
    )
    filled = LeukDenseNet(
        **{
            **model.settings,
            "temperature": temperature,
            "conformal_quantiles": quantiles,
            "refusal_limits": limits,
            "in_distribution_dims": options.dims,
        }
    )
    state_dict = {name: tensor for name, tensor in model.state_dict().items() if "in_distribution." not in name}
    filled.load_state_dict(state_dict | {f"in_distribution.{name}": tensor for name, tensor in fitted.items()})
    before, after = softmax(held.described.logits / model.temperature), probabilities
    report = {
        "temperature": temperature,
        "conformal_quantiles": list(quantiles),
        "refusal_limits": dataclasses.asdict(limits),
        **dataclasses.asdict(options),
        "num_training_fields": len(known_labels),
        "num_calibration_fields": len(held_labels),
        "calibration_part": {
            "expected_calibration_error_before": metrics.expected_calibration_error(before, held_labels),
            "expected_calibration_error": metrics.expected_calibration_error(after, held_labels),
            "brier_score_before": metrics.brier_score(before, held_labels),
            "brier_score": metrics.brier_score(after, held_labels),
            "refused": refused_share(held_measures, limits),
            "refused_in_another_light": refused_share(relit_measures, limits),
        },
        "training_part": {"refused": refused_share(known_measures, limits)},
    }
    return Calibration(filled.eval(), report)


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


def compare_scores(
    training: tuple[Seen, Seen, np.ndarray],
    calibration: tuple[Seen, Seen, np.ndarray],
    usable: Seen,
    foreign: dict[str, Seen],
    options: Options = Options(),
) -> list[dict[str, Any]]:
    """Measure every candidate score on foreign images, all fitted to the same fields; see `score_comparison.compare`.

    Args:
        training: As for `calibrate`.
        calibration: As for `calibrate`.
        usable: Fields to be answered, best of the test part.
        foreign: Name -> images to be refused.
        options: As for `calibrate`.
    """
    known, held = (
        Described(
            *(
                np.concatenate([getattr(part.described, field.name) for part in parts])
                for field in dataclasses.fields(Described)
            )
        )
        for parts in (training[:2], calibration[:2])
    )
    scores = candidates(known, np.tile(training[2], 2), dims=options.dims or DEFAULT_DIMS)
    described = {name: seen.described for name, seen in foreign.items()}
    return compare(scores, held, usable.described, described, options.share)


def measure_refusal(model: LeukDenseNet, usable: Seen, foreign: dict[str, Seen]) -> dict[str, Any]:
    """Measure how a calibrated network's refusal, checks and score together, parts images.

    Args:
        model: Calibrated.
        usable: Fields to be answered.
        foreign: Name -> images to be refused.

    Returns:
        Name -> {refused, auroc, by_limit: limit -> share}; "usable" has no auroc. For the AUROC an image refused by
        an input check counts as less usable than any other.
    """
    limits = model.refusal_limits
    measures = {"usable": rescored(usable, model.in_distribution)}
    measures |= {name: rescored(seen, model.in_distribution) for name, seen in foreign.items()}

    def usability(part: Sequence[FieldMeasures]) -> np.ndarray:
        checked = [set(passed_limits(each, limits)) - {_SCORE_LIMIT} for each in part]
        scores = [each.in_distribution_score for each in part]
        return np.array([-np.inf if fails else score for fails, score in zip(checked, scores, strict=True)])

    content: dict[str, Any] = {}
    for name, part in measures.items():
        passed = [name for each in part for name in passed_limits(each, limits)]
        content[name] = {
            "num_images": len(part),
            "refused": refused_share(part, limits),
            "by_limit": {limit: passed.count(limit) / len(part) for limit in sorted(set(passed))},
        }
        if name != "usable":
            kept, found = usability(measures["usable"]), usability(part)
            positive = np.repeat([True, False], [len(kept), len(found)])
            content[name]["auroc"] = metrics.auroc(np.concatenate([kept, found]), positive)
    return content


def save_calibrated(model: LeukDenseNet, source: str | Path | None, folder: Path) -> None:
    """Write a calibrated copy in the precision of the file it was made from; exported graphs there are out of date.

    Args:
        model: From `calibrate`; its tensors are rounded to the source's types, which changes none that came from it.
        source: The checkpoint it was made from: folder, Hub id, or None for the shipped one.
        folder: Receives config.json and model.safetensors.
    """
    with safe_open(checkpoint_io.locate(source, checkpoint_io.WEIGHTS_NAME), framework="pt") as stored:
        half = {name for name in stored.keys() if stored.get_tensor(name).dtype == torch.float16}  # noqa: SIM118
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name in half:
            tensor.data = tensor.data.half()
    model.save_pretrained(folder)
    for name in (export_record.RECORD_NAME, *export_record.GRAPH_NAMES):
        (folder / name).unlink(missing_ok=True)
