"""Whether an image can be judged at all: the limits of its measures beyond which it is refused.

Shared contract: a limit that is None is not checked. Limits are fitted to fields that the network was trained and
calibrated on, stored with the checkpoint, and only compared with when serving.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leuk_hf.input_measures import FieldMeasures
from leuk_hf.sentence import Sentence

_TAIL = 0.001  # of usable fields; an input check's limit starts from what the others keep


@dataclasses.dataclass(frozen=True)
class RefusalLimits:
    """How far the measures of an image may go before it is refused; None checks nothing.

    Args:
        smallest_side: Of `FieldMeasures.side`; below it there is too little detail.
        largest_elongation: Of `FieldMeasures.elongation`.
        highest_frame_share: Above it the image has a blank frame.
        lowest_light: Below it the image is too dark.
        highest_burnt_out: Above it the image is too bright.
        lowest_contrast: Below it the image is nearly uniform.
        lowest_sharpness: Below it the image is blurred.
        lowest_correlation_length: Below it the magnification is too low.
        lowest_leukocyte_share: Below it there is nothing to judge by.
        lowest_leukocyte_diameter: Below it the magnification is too low.
        highest_leukocyte_diameter: Above it the magnification is too high.
        lowest_cell_size: Below it the magnification is too low.
        highest_cell_size: Above it the magnification is too high.
        lowest_leukocyte_texture: Below it what is found has a leukocyte's colour and shape, and is flat.
        lowest_in_distribution_score: Below it the image is unlike the training fields.

    Raises:
        ValueError: If a limit is neither None nor a finite number.
    """

    smallest_side: float | None = None
    largest_elongation: float | None = None
    highest_frame_share: float | None = None
    lowest_light: float | None = None
    highest_burnt_out: float | None = None
    lowest_contrast: float | None = None
    lowest_sharpness: float | None = None
    lowest_correlation_length: float | None = None
    lowest_leukocyte_share: float | None = None
    lowest_leukocyte_diameter: float | None = None
    highest_leukocyte_diameter: float | None = None
    lowest_cell_size: float | None = None
    highest_cell_size: float | None = None
    lowest_leukocyte_texture: float | None = None
    lowest_in_distribution_score: float | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not is_number:
                raise ValueError(f"{name} is {value!r}; give a finite number, or null to leave it unchecked")


@dataclasses.dataclass(frozen=True)
class Check:
    """One measure, the limit it is compared with, and how that is fitted.

    Args:
        limit: Of `RefusalLimits`.
        measure: Of `FieldMeasures`.
        is_lowest: Whether what lies below the limit is refused, else above.
        tolerance: What a measure may be multiplied by beyond the usable fields' own range.
        sentence: Says why an image beyond the limit is refused.
        addend: What may be added to it.
        tail: Share of usable fields that the limit leaves beyond it before both.
        with_relit: Whether the usable fields' copies in another light count, too.
    """

    limit: str
    measure: str
    is_lowest: bool
    tolerance: float
    sentence: Callable[[FieldMeasures], Sentence]
    addend: float = 0.0
    tail: float = _TAIL
    with_relit: bool = False

    def refuses(self, measures: FieldMeasures, limits: RefusalLimits) -> bool:
        """Tell whether an image is beyond the limit; not if either is None."""
        value, limit = getattr(measures, self.measure), getattr(limits, self.limit)
        if value is None or limit is None:
            return False
        return value < limit if self.is_lowest else value > limit


def _extent(measures: FieldMeasures) -> Sentence:
    diameter = measures.leukocyte_diameter
    if diameter is None:
        return Sentence("of unknown size")
    return Sentence("{percent} % of the image's edge", percent=f"{100 * diameter:.0f}")


_TOO_SMALL = Sentence(
    "The cells are too small: the magnification does not fit, or the image shows more than one field; crop it to one."
)
# Wider than other tails: a field at one and a half of the magnification is often read wrongly, and still overlaps with
# the largest cells of the training fields. Of 579 validation and calibration fields, tails of 1, 3, 5 and 10 in a
# thousand refuse 0.0, 0.5, 0.9 and 1.6 %, at one and a half of the magnification 35, 50, 66 and 75 %, and when a fifth
# brighter 0.9, 1.4, 1.9 and 3.3 %.
_SIZE_TAIL = 0.005
# What is left of leukocytes that were taken away, and what fills their place, is often no more than a small cell: with
# the limit at 0.6 times what all but a thousandth show, half a per cent of the field, a tenth of the validation and
# calibration fields that were emptied were answered (experiment log).
_SHARE_TAIL = 0.003

# Above this share of nearly white pixels, some on leukocytes among them, light is what explains a refusal: as they
# are, 145 validation and calibration fields had 0.51 at most; of those refused when 1.4, 1.6 and 1.8 times as bright
# (52, 78 and 119) 47, 72 and 116 had both (experiment log).
_WASHED_OUT = 0.85
_LEAST_BURNT_OUT = 0.01  # of leukocytes, where any are found; drawings on white paper have none

# In the order in which reasons are given: what explains others first. The tolerances are about what training changes
# fields by (brightness by half, blur, size by a quarter): what the network has learnt to read is not refused. That of
# texture is what compression and denoising may take while flat patches stay refused; a frame of a tenth makes cells
# smaller by a twentieth.
CHECKS = (
    Check("smallest_side", "side", True, 1, lambda measures: Sentence(
        "The image is too small ({side} pixels at its shorter side), its cells have too little detail; give the"
        " original, not a reduced copy.", side=str(measures.side))),
    Check("largest_elongation", "elongation", False, 1, lambda measures: Sentence(
        "The image is {elongation} times as long as wide, so its cells would be squashed; crop it to one field.",
        elongation=f"{measures.elongation:.1f}")),
    Check("highest_frame_share", "frame_share", False, 1, lambda measures: Sentence(
        "The image has a blank frame (at least {percent} % of its area), which makes its cells look smaller than they"
        " are; crop the frame off.", percent=f"{min(99, 100 * measures.frame_share):.0f}"), addend=0.1),
    Check("lowest_contrast", "contrast", True, 0.4, lambda measures: Sentence(
        "The image is nearly uniform; there is nothing to see.")),
    Check("lowest_light", "light", True, 0.5, lambda measures: Sentence(
        "The image is too dark; take it with more light.")),
    Check("highest_burnt_out", "burnt_out", False, 1, lambda measures: Sentence(
        "The image is too bright, its cells are washed out; take it with less light."), addend=0.4),
    Check("lowest_leukocyte_share", "leukocyte_share", True, 1, lambda measures: Sentence(
        "No leukocytes were found, or hardly any of one; there is nothing to tell the class by."), tail=_SHARE_TAIL),
    Check("lowest_sharpness", "sharpness", True, 0.7, lambda measures: Sentence(
        "The image is blurred; focus and take it again.")),
    Check("lowest_leukocyte_texture", "leukocyte_texture", True, 0.85, lambda measures: Sentence(
        "What looks like leukocytes is flat, without the grain of a cell: painted over, smoothed, blurred or too dark;"
        " give the original photo, or a sharper and brighter one."), with_relit=True),
    Check("lowest_correlation_length", "correlation_length", True, 1, lambda measures: _TOO_SMALL),
    Check("lowest_cell_size", "cell_size", True, 1, lambda measures: _TOO_SMALL, tail=_SIZE_TAIL, with_relit=True),
    Check("lowest_leukocyte_diameter", "leukocyte_diameter", True, 0.8, lambda measures: Sentence(
        "The leukocytes are too small ({extent}): the magnification does not fit, or the image shows more than one"
        " field; crop it to one.", extent=_extent(measures))),
    Check("highest_leukocyte_diameter", "leukocyte_diameter", False, 1.25, lambda measures: Sentence(
        "The leukocytes are too large ({extent}): the magnification does not fit; take a whole field.",
        extent=_extent(measures))),
    Check("highest_cell_size", "cell_size", False, 1, lambda measures: Sentence(
        "The cells are too large: the magnification does not fit; take a whole field."), tail=_SIZE_TAIL,
        with_relit=True),
    Check("lowest_in_distribution_score", "in_distribution_score", True, 1, lambda measures: Sentence(
        "The image is unlike the blood-smear fields that the model was trained on.")),
)  # fmt: skip


# What no light brings about.
_OF_SIZE_AND_SHAPE = {"smallest_side", "largest_elongation", "highest_frame_share"}
# What does not hang on whether anything can be told apart in the image.
_OF_ANY_IMAGE = _OF_SIZE_AND_SHAPE | {"lowest_contrast", "lowest_light", "highest_burnt_out"}
# Whose reason is not said beside which other's: one cause is told once, by what explains it best.
_EXPLAINS = {
    "lowest_contrast": {check.limit for check in CHECKS} - _OF_ANY_IMAGE,
    "smallest_side": {"lowest_sharpness", "lowest_leukocyte_texture"},
    "lowest_light": {"lowest_sharpness", "lowest_leukocyte_texture"},
    "highest_frame_share": {check.limit for check in CHECKS} - {"smallest_side", "highest_frame_share"},
    "highest_burnt_out": {
        "lowest_sharpness", "lowest_leukocyte_texture", "lowest_correlation_length", "lowest_cell_size",
        "lowest_leukocyte_diameter", "highest_cell_size"
    },
    "lowest_leukocyte_share": {
        "lowest_leukocyte_texture", "lowest_leukocyte_diameter", "highest_leukocyte_diameter", "highest_cell_size"
    },
    "lowest_sharpness": {"lowest_leukocyte_texture"},
    "lowest_leukocyte_diameter": {"lowest_correlation_length", "lowest_cell_size"},
    "highest_leukocyte_diameter": {"highest_cell_size"},
    "lowest_in_distribution_score": {"lowest_leukocyte_texture"},  # a drawing is flat, too
}  # fmt: skip


def refusal_reasons(measures: FieldMeasures, limits: RefusalLimits) -> tuple[Sentence, ...]:
    """Say why an image is refused: one plain sentence for each cause, none if it is answered.

    That it is too bright is also said, though its limit is not passed, where hardly anything but white is left of an
    image that other limits than those of size, shape and frame refuse: it is why they do. Of a frame nothing but it is
    told, as without it the image may be another.

    Args:
        measures: From `measure_input`.
        limits: Of the checkpoint.
    """
    causes = set(passed_limits(measures, limits))
    if causes - _OF_SIZE_AND_SHAPE and limits.highest_burnt_out is not None and _is_washed_out(measures):
        causes.add("highest_burnt_out")
    if "highest_burnt_out" in causes and measures.leukocyte_share:
        causes.discard("lowest_contrast")  # there is something to see
    explained = {other for limit in causes for other in _EXPLAINS.get(limit, ())}
    said = (check for check in CHECKS if check.limit in causes - explained)
    return tuple(dict.fromkeys(check.sentence(measures) for check in said))  # two limits may have one reason


def _is_washed_out(measures: FieldMeasures) -> bool:
    on_leukocytes = measures.burnt_out is None or measures.burnt_out >= _LEAST_BURNT_OUT
    return measures.washed_out > _WASHED_OUT and on_leukocytes


def passed_limits(measures: FieldMeasures, limits: RefusalLimits) -> tuple[str, ...]:
    """Name the limits that an image passes, in the order of their reasons."""
    return tuple(check.limit for check in CHECKS if check.refuses(measures, limits))


def near_limit(measures: FieldMeasures, limits: RefusalLimits, margin: float) -> bool:
    """Tell whether a verdict hangs on less than a margin, relative to the limit.

    Args:
        measures: Of one image.
        limits: Of the checkpoint.
        margin: Share of the limit's size.
    """
    for check in CHECKS:
        value, limit = getattr(measures, check.measure), getattr(limits, check.limit)
        if value is not None and limit is not None and abs(value - limit) <= margin * max(abs(limit), 1e-9):
            return True
    return False


def refused_share(measures: Sequence[FieldMeasures], limits: RefusalLimits) -> float:
    """Tell the share of images that are refused; NaN of none."""
    return float(np.mean([bool(passed_limits(each, limits)) for each in measures])) if measures else math.nan


def limits_from(settings: dict[str, Any]) -> RefusalLimits:
    """Read limits from a checkpoint's config.

    Args:
        settings: Name -> number or None, all of them.

    Raises:
        ValueError: If a name is missing or unknown, a value no finite number, or limits are such that no image passes.
    """
    known = {field.name for field in dataclasses.fields(RefusalLimits)}
    if not isinstance(settings, dict) or set(settings) != known:
        differing = sorted(known ^ set(settings if isinstance(settings, dict) else ()))
        raise ValueError(
            f"missing or unknown refusal limits: {', '.join(differing)}; calibrate the checkpoint again, or mend its"
            " config: null leaves a limit unchecked"
        )
    limits = RefusalLimits(**settings)
    for measure in ("leukocyte_diameter", "cell_size"):
        lowest, highest = getattr(limits, f"lowest_{measure}"), getattr(limits, f"highest_{measure}")
        if None not in (lowest, highest) and lowest > highest:
            raise ValueError(
                f"lowest_{measure} {lowest} is above highest_{measure} {highest}; no image passes both, mend one"
            )
    if limits.smallest_side is not None and limits.smallest_side < 0:
        raise ValueError(f"smallest_side is {limits.smallest_side}; give a number of pixels of at least 0")
    return limits
