"""Filling a checkpoint with what turns scores into probabilities, sets and refusals.

Shared contract: training fields fit the in-distribution score; calibration fields fit temperature and quantiles and
set the score's limit; both together set the limits of the input checks. What corrects the classes' bias is fitted to
calibration fields and their copies in another light together, and put into the classifier's weights: where there is no
evidence, as in a field without leukocytes, it must not speak for a class.
Foreign images fit nothing. Beside every field a copy in another light (`relit`) tells the score what it must bear:
without them it refused nearly every field that was 20 % brighter than usual, though it could be read as well as any.
The copies set the limits of the cells' size and texture, too: bright light makes cells look smaller, little light
or focus fainter.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leuk_hf import export_record, metrics
from leuk_hf.calibration import fit_bias, fit_temperature
from leuk_hf.conformal import COVERAGE, fit_quantiles
from leuk_hf.errors import DataError
from leuk_hf.field_checks import RefusalLimits, refused_share
from leuk_hf.in_distribution import DEFAULT_DIMS, InDistribution, fit_in_distribution
from leuk_hf.limit_fitting import fit_limits
from leuk_hf.model import LeukDenseNet
from leuk_hf.orientations import check_field_orientations
from leuk_hf.prediction import softmax
from leuk_hf.released_weights import half_precision_names
from leuk_hf.seen_fields import Part, rescored, reweighted

_EVIDENCE_RIDGE = 1e-4
_MEASURED = ("usable_fields", "refusal", "scores", "command", "commit", "date", "versions")


@dataclasses.dataclass(frozen=True)
class Options:
    """How a checkpoint is calibrated.

    Args:
        dims: Of the in-distribution score's subspace; 0 keeps the energy.
        share: Of usable fields that may be refused, in (0, 0.5).
        coverage: Of each class's prediction sets, in (0, 1).
        certainty: Share of draws of the calibration part in which the coverage is to hold, in (0, 1); None: on
            average.
        outline_orientations: Of the calibrated network, as for `LeukDenseNet`; None: as it is.
        field_orientations: Likewise.
        seed: Of the copies in another light.
        batch_size: Fields per forward pass.

    Raises:
        ValueError: If a value is out of its range.
    """

    dims: int = DEFAULT_DIMS
    share: float = 0.02
    coverage: float = COVERAGE
    certainty: float | None = 0.9
    outline_orientations: int | None = None
    field_orientations: int | None = None
    seed: int = 0
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.outline_orientations not in (None, 1, 4):
            raise ValueError(f"outline_orientations is {self.outline_orientations!r}; choose 1 or 4")
        if self.field_orientations is not None:
            check_field_orientations(self.field_orientations)
        for name, least in (("batch_size", 1), ("dims", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least {least}")
        if not 0 < self.share < 0.5:
            raise ValueError(f"share is {self.share}; give a number above 0 and below 0.5")
        for name, value in (("coverage", self.coverage), ("certainty", self.certainty)):
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{name} is {value}; give a number above 0 and below 1")


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """What was fitted, and to what.

    Args:
        model: A copy with everything filled in.
        report: JSON types, for results.json; bias is what the correction adds to the logits of calibration fields, on
            average, and bias_spread its standard deviation over them.
        training: Of the part that the network was trained on.
        calibration: Of the part that was kept for this, likewise.
        alone: The same fitted to fewer calibration fields, for comparison; None: not asked for.
    """

    model: LeukDenseNet
    report: dict[str, Any]
    training: Part
    calibration: Part
    alone: Calibration | None = None


def calibrate(
    model: LeukDenseNet,
    training: Part,
    calibration: Part,
    options: Options = Options(),
) -> Calibration:
    """Fit everything and fill it into a copy of a network.

    Args:
        model: The network that saw the fields.
        training: What the network told of the part that it was trained on.
        calibration: The same of the part that was kept for this.
        options: How.

    Raises:
        DataError: If a class has no field in a part, no calibration field has a leukocyte, or crepes or scikit-learn
            is not installed.
        ValueError: If there are too few training fields for the dimensions.
    """
    before = softmax(calibration[0].described.logits / model.temperature)
    weights = _corrected_weights(model, calibration)
    change = (weights - model.classifier.weight.detach()).double().numpy()
    added = calibration[0].described.features @ change.T
    training, calibration = (
        (reweighted(seen, change), reweighted(again, change), labels)
        for seen, again, labels in (training, calibration)
    )
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
        sees_leukocytes=model.view != "field",
    )
    scorer.load_state_dict(fitted)
    limits, refused = _limits(scorer, training, calibration, options.share)
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
    state_dict["classifier.weight"] = weights
    scorer_state = {f"in_distribution.{name}": tensor for name, tensor in fitted.items()}
    filled.load_state_dict(state_dict | scorer_state)
    report = {
        "bias": added.mean(axis=0).tolist(),
        "bias_spread": added.std(axis=0).tolist(),
        "temperature": temperature,
        "conformal_quantiles": list(quantiles),
        "refusal_limits": dataclasses.asdict(limits),
        **dataclasses.asdict(options),
        "outline_orientations": model.outline_orientations,
        "field_orientations": model.field_orientations,
        "num_training_fields": len(known_labels),
        "num_calibration_fields": len(held_labels),
        "calibration_part": {
            "expected_calibration_error_before": metrics.expected_calibration_error(before, held_labels),
            "expected_calibration_error": metrics.expected_calibration_error(probabilities, held_labels),
            "brier_score_before": metrics.brier_score(before, held_labels),
            "brier_score": metrics.brier_score(probabilities, held_labels),
            **refused["calibration_part"],
        },
        "training_part": refused["training_part"],
    }
    return Calibration(filled.eval(), report, (known, known_relit, known_labels), (held, held_relit, held_labels))


def limit_anew(
    model: LeukDenseNet, training: Part, calibration: Part, report: dict[str, Any], share: float
) -> Calibration:
    """Fit the refusal limits of a calibrated network anew, and leave everything else as it is.

    Args:
        model: Calibrated.
        training: As for `calibrate`, told by this network.
        calibration: The part that it was calibrated on, likewise.
        report: Of its calibration; what it says of limits is replaced, and what was measured with them goes.
        share: Of usable fields that may be refused.
    """
    limits, refused = _limits(model.in_distribution, training, calibration, share)
    filled = LeukDenseNet(**{**model.settings, "refusal_limits": limits})
    filled.load_state_dict(model.state_dict())
    parts = {name: {**report[name], **refused[name]} for name in refused}
    kept = {name: value for name, value in report.items() if name not in _MEASURED and not name.endswith("_part")}
    return Calibration(
        filled.eval(),
        {**kept, **parts, "refusal_limits": dataclasses.asdict(limits), "share": share},
        training,
        calibration,
    )


def _limits(
    scorer: InDistribution, training: Part, calibration: Part, share: float
) -> tuple[RefusalLimits, dict[str, dict[str, float]]]:
    """Fit the limits and tell what share of each part they refuse."""
    known, known_relit = (rescored(each, scorer) for each in training[:2])
    held, relit = (rescored(each, scorer) for each in calibration[:2])
    limits = fit_limits(known, held, share, relit=(known_relit, relit))
    return limits, {
        "calibration_part": {
            "refused": refused_share(held, limits),
            "refused_in_another_light": refused_share(relit, limits),
        },
        "training_part": {"refused": refused_share(known, limits)},
    }


def _corrected_weights(model: LeukDenseNet, calibration: Part) -> torch.Tensor:
    """Fit the classes' bias, and give weights (K, C) whose product with features holds it, nearly."""
    held, relit, labels = calibration
    logits, features = (
        np.concatenate([getattr(part.described, name) for part in (held, relit)]) for name in ("logits", "features")
    )
    if not features.any():
        raise DataError(
            f"the network finds no leukocyte in any of {len(labels)} calibration fields, so that there is nothing to"
            " calibrate; give smear fields like those it was trained on"
        )
    bias = fit_bias(logits, np.tile(labels, 2))
    # The ridge regression of 1 on the features, without intercept: 1 for fields, 0 where all features are 0.
    products = features @ features.T
    products[np.diag_indices_from(products)] += _EVIDENCE_RIDGE * np.trace(products)
    evidence = features.T @ np.linalg.solve(products, np.ones(len(features)))
    own = model.classifier.weight.detach()
    weights = own + torch.from_numpy(np.outer(bias, evidence)).float()
    # What is fitted next must be fitted to what is saved, which is half precision where the weights come from it.
    return weights.half().float() if torch.equal(own, own.half().float()) else weights


def save_calibrated(model: LeukDenseNet, source: str | Path | None, folder: Path) -> None:
    """Write a calibrated copy in the precision of the file it was made from; exported graphs there are out of date.

    Args:
        model: From `calibrate`; its tensors are rounded to the source's types, which changes none of them.
        source: The checkpoint it was made from: folder, Hub id, or None for the shipped one.
        folder: Receives config.json and model.safetensors.
    """
    half = half_precision_names(source)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name in half:
            tensor.data = tensor.data.half()
    model.save_pretrained(folder)
    for name in (export_record.RECORD_NAME, *export_record.GRAPH_NAMES):
        (folder / name).unlink(missing_ok=True)
