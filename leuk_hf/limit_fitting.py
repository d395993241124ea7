"""Setting the limits of refusal by fields that are known to be usable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leuk_hf.field_checks import CHECKS, RefusalLimits, refused_share
from leuk_hf.input_measures import FieldMeasures

# Longer over shorter side; cameras at microscopes have 1 to 1.5. The data set's square fields were some 4:3 before
# they were squashed (their leukocytes are about 0.8 times as wide as tall), so that a photo of 4:3 fits best.
LARGEST_ELONGATION = 1.6
# Pixels. Of 100 validation and calibration fields reduced to 64 pixels and enlarged again 96 were told right, as they
# are 98, at 48 pixels 92, at 32 pixels 86.
SMALLEST_SIDE = 64


def fit_limits(
    training: Sequence[FieldMeasures],
    calibration: Sequence[FieldMeasures],
    share: float = 0.02,
    *,
    relit: tuple[Sequence[FieldMeasures], Sequence[FieldMeasures]] = ((), ()),
) -> RefusalLimits:
    """Set the limits by fields that are known to be usable, so that all checks together refuse few of them.

    An input check's limit is what all but a thousandth (of the cells' size: five; of the leukocytes' share: three) of
    the training and calibration fields keep, moved outwards by what an image may differ in and still be read. The
    limit of the in-distribution score, which alone tells other images from smears, takes the rest of `share`, by
    calibration fields and their copies in another light alone: the network knows the training fields by heart. Those
    copies, and those of training fields, also set the limits of the cells' size and texture: bright light makes cells
    look smaller, and that is no other size, and little light or focus makes them fainter.
    `smallest_side` is `SMALLEST_SIDE` unless fields are smaller, and `largest_elongation` is not fitted: the training
    fields are squares of 224 pixels.

    Args:
        training: Of the training part.
        calibration: Of the calibration part.
        share: Of usable fields that may be refused, in (0, 0.5).
        relit: Of the copies in another light of both parts, if there are any.

    Returns:
        Limits; None where no field has the measure.

    Raises:
        ValueError: If a part is empty or share is out of range.
    """
    if not training or not calibration:
        raise ValueError("there are no training or no calibration fields to set the limits by; give both parts")
    if not 0 < share < 0.5:
        raise ValueError(f"share is {share}; give a number above 0 and below 0.5")
    sides = [each.side for each in (*training, *calibration)]
    limits: dict[str, float | None] = {
        "smallest_side": min(SMALLEST_SIDE, *sides),
        "largest_elongation": LARGEST_ELONGATION,
    }
    for check in CHECKS[2:-1]:
        fields = (*training, *calibration, *((*relit[0], *relit[1]) if check.with_relit else ()))
        values = [value for each in fields if (value := getattr(each, check.measure)) is not None]
        if values:
            kept = _outermost_kept(values, check.tail, is_lowest=check.is_lowest)
            limits[check.limit] = kept * check.tolerance + check.addend
    refused = refused_share(calibration, RefusalLimits(**limits))
    known = [each.in_distribution_score for each in (*calibration, *relit[1])]
    limits["lowest_in_distribution_score"] = _below_kept(known, max(0.0, share - refused))
    return RefusalLimits(**limits)


def _outermost_kept(values: Sequence[float], tail: float, *, is_lowest: bool) -> float:
    """Give the outermost of the values that are kept when at most a share `tail` of them, rounded down, is not."""
    ordered = np.sort(values)
    beyond = int(tail * len(ordered) + 1e-9)
    return float(ordered[beyond] if is_lowest else ordered[-1 - beyond])


def _below_kept(scores: Sequence[float], tail: float) -> float:
    """Give a limit between the lowest score kept and the highest one not: rounding must not decide about a field."""
    ordered = np.sort(scores)
    beyond = int(tail * len(ordered) + 1e-9)
    below = ordered[beyond - 1] if beyond else ordered[0] - 0.01 * abs(ordered[0])
    return float((below + ordered[beyond]) / 2)
