"""What a calibrated network's refusal is worth: how its checks and its score part fields from other images.

Shared contract: foreign images fit nothing here; what was seen of them is only measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from leuk_hf import metrics
from leuk_hf.field_checks import passed_limits, refused_share
from leuk_hf.in_distribution import DEFAULT_DIMS
from leuk_hf.input_measures import FieldMeasures
from leuk_hf.model import LeukDenseNet
from leuk_hf.score_comparison import Described, candidates, compare
from leuk_hf.seen_fields import Part, Seen, rescored


def compare_scores(
    training: Part,
    calibration: Part,
    usable: Seen,
    foreign: dict[str, Seen],
    *,
    dims: int,
    share: float,
) -> list[dict[str, Any]]:
    """Measure every candidate score on foreign images, all fitted to the same fields; see `score_comparison.compare`.

    Args:
        training: As for `calibrate`.
        calibration: As for `calibrate`.
        usable: Fields to be answered, best of the test part.
        foreign: Name -> images to be refused.
        dims: Of the scores' subspaces; 0: `DEFAULT_DIMS`.
        share: Of calibration fields below each score's threshold.
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
    scores = candidates(known, np.tile(training[2], 2), dims=dims or DEFAULT_DIMS)
    described = {name: seen.described for name, seen in foreign.items()}
    return compare(scores, held, usable.described, described, share)


def measure_refusal(model: LeukDenseNet, usable: Seen, foreign: dict[str, Seen]) -> dict[str, Any]:
    """Measure how a calibrated network's refusal, checks and score together, parts images.

    Args:
        model: Calibrated.
        usable: Fields to be answered.
        foreign: Name -> images to be refused.

    Returns:
        Name -> {refused, auroc, by_limit: limit -> share}; "usable" has no auroc. For the AUROC an image that is
        refused, by whatever limit, counts as less usable than any that is not; among either the in-distribution score
        decides.
    """
    limits = model.refusal_limits
    measures = {"usable": rescored(usable, model.in_distribution)}
    measures |= {name: rescored(seen, model.in_distribution) for name, seen in foreign.items()}

    def usability(*parts: Sequence[FieldMeasures]) -> np.ndarray:
        told = [(not passed_limits(each, limits), each.in_distribution_score) for part in parts for each in part]
        place = {key: rank for rank, key in enumerate(sorted(set(told)))}
        return np.array([place[key] for key in told])

    content: dict[str, Any] = {}
    for name, part in measures.items():
        passed = [name for each in part for name in passed_limits(each, limits)]
        content[name] = {
            "num_images": len(part),
            "refused": refused_share(part, limits),
            "by_limit": {limit: passed.count(limit) / len(part) for limit in sorted(set(passed))},
        }
        if name != "usable":
            positive = np.repeat([True, False], [len(measures["usable"]), len(part)])
            content[name]["auroc"] = metrics.auroc(usability(measures["usable"], part), positive)
    return content
