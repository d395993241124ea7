"""Whether an image can be judged at all: a few numbers of it, and the limits beyond which it is refused.

Shared contract: pixels are RGB, uint8 (H, W, 3), as the network is to see them, after squashing and any equalising;
leukocytes are bool (H, W) of the same size; lengths are shares of that square's edge, so that another `image_size`
changes nothing. A limit that is None is not checked. Limits are fitted to fields that the network was trained and
calibrated on, stored with the checkpoint, and only compared with when serving.

Red cells tell the magnification, too. In these crowded fields five that lie apart were found in only 8 % of 600, so it
is not their diameter that is measured, but how far the luminance of the whole image is correlated.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from leuk_hf.image_texture import correlation_length, sharpness
from leuk_hf.sentence import Sentence

_LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)  # ITU-R BT.601
_SMALLEST_REGION = 0.02  # diameter, share of the edge; smaller specks of the mask are no cells
LARGEST_ELONGATION = 1.6  # longer over shorter side; cameras at microscopes have 1 to 1.5
_TAIL = 0.001  # of usable fields; an input check's limit starts from what the others keep
_BURNT_OUT = 250  # luminance, levels; above it nothing can be told apart


@dataclasses.dataclass(frozen=True)
class FieldMeasures:
    """What decides whether an image is refused; None where it cannot be told.

    Args:
        elongation: Longer over shorter side of the image as it came, at least 1.
        light: 95th percentile of luminance, the level of bright glass, in [0, 255].
        burnt_out: Share of the leukocytes' pixels that are (nearly) white; of all pixels if it is not known where
            leukocytes are.
        contrast: Standard deviation of luminance, in levels.
        sharpness: `image_texture.sharpness`, on and around leukocytes if there are any, else everywhere.
        correlation_length: `image_texture.correlation_length`.
        leukocyte_share: Of the field's area, in [0, 1]; specks too small for a cell do not count.
        num_leukocytes: Separate regions but for specks; cells that touch count as one.
        leukocyte_diameter: Median over the regions that lie wholly inside (else over all) of the largest circle in
            each, as a share of the edge.
        in_distribution_score: Of the network, higher = more like the fields it was trained on.
    """

    elongation: float
    light: float
    burnt_out: float | None
    contrast: float
    sharpness: float
    correlation_length: float
    leukocyte_share: float | None
    num_leukocytes: int | None
    leukocyte_diameter: float | None
    in_distribution_score: float


@dataclasses.dataclass(frozen=True)
class RefusalLimits:
    """How far the measures of an image may go before it is refused; None checks nothing.

    Args:
        largest_elongation: Of `FieldMeasures.elongation`.
        lowest_light: Below it the image is too dark.
        highest_burnt_out: Above it the image is too bright.
        lowest_contrast: Below it the image is nearly uniform.
        lowest_sharpness: Below it the image is blurred.
        lowest_correlation_length: Below it the magnification is too low.
        lowest_leukocyte_share: Below it there is nothing to judge by.
        lowest_leukocyte_diameter: Below it the magnification is too low.
        highest_leukocyte_diameter: Above it the magnification is too high.
        lowest_in_distribution_score: Below it the image is unlike the training fields.

    Raises:
        ValueError: If a limit is neither None nor a finite number.
    """

    largest_elongation: float | None = None
    lowest_light: float | None = None
    highest_burnt_out: float | None = None
    lowest_contrast: float | None = None
    lowest_sharpness: float | None = None
    lowest_correlation_length: float | None = None
    lowest_leukocyte_share: float | None = None
    lowest_leukocyte_diameter: float | None = None
    highest_leukocyte_diameter: float | None = None
    lowest_in_distribution_score: float | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not is_number:
                raise ValueError(f"{name} is {value!r}; give a finite number, or null to leave it unchecked")


@dataclasses.dataclass(frozen=True)
class _Check:
    limit: str
    measure: str
    is_lowest: bool
    tolerance: float  # what a measure may be multiplied by beyond the usable fields' own range
    sentence: Callable[[FieldMeasures], Sentence]
    addend: float = 0.0  # and what may be added to it

    def refuses(self, measures: FieldMeasures, limits: RefusalLimits) -> bool:
        value, limit = getattr(measures, self.measure), getattr(limits, self.limit)
        if value is None or limit is None:
            return False
        return value < limit if self.is_lowest else value > limit


def _extent(measures: FieldMeasures) -> Sentence:
    diameter = measures.leukocyte_diameter
    if diameter is None:
        return Sentence("of unknown size")
    return Sentence("{percent} % of the image's edge", percent=f"{100 * diameter:.0f}")


# In the order in which reasons are given: what explains others first. The tolerances are about what training changes
# fields by (brightness by half, blur, size by a quarter): what the network has learnt to read is not refused.
_CHECKS = (
    _Check("largest_elongation", "elongation", False, 1, lambda measures: Sentence(
        "The image is {elongation} times as long as wide, so its cells would be squashed; crop it to one field.",
        elongation=f"{measures.elongation:.1f}")),
    _Check("lowest_contrast", "contrast", True, 0.4, lambda measures: Sentence(
        "The image is nearly uniform; there is nothing to see.")),
    _Check("lowest_light", "light", True, 0.5, lambda measures: Sentence(
        "The image is too dark; take it with more light.")),
    _Check("highest_burnt_out", "burnt_out", False, 1, lambda measures: Sentence(
        "The image is too bright, its cells are washed out; take it with less light."), addend=0.4),
    _Check("lowest_leukocyte_share", "leukocyte_share", True, 0.6, lambda measures: Sentence(
        "No leukocytes were found, or hardly any of one; there is nothing to tell the class by.")),
    _Check("lowest_sharpness", "sharpness", True, 0.7, lambda measures: Sentence(
        "The image is blurred; focus and take it again.")),
    _Check("lowest_correlation_length", "correlation_length", True, 1, lambda measures: Sentence(
        "The cells are too small: the magnification does not fit, or the image shows more than one field; crop it to"
        " one.")),
    _Check("lowest_leukocyte_diameter", "leukocyte_diameter", True, 0.8, lambda measures: Sentence(
        "The leukocytes are too small ({extent}): the magnification does not fit, or the image shows more than one"
        " field; crop it to one.", extent=_extent(measures))),
    _Check("highest_leukocyte_diameter", "leukocyte_diameter", False, 1.25, lambda measures: Sentence(
        "The leukocytes are too large ({extent}): the magnification does not fit; take a whole field.",
        extent=_extent(measures))),
    _Check("lowest_in_distribution_score", "in_distribution_score", True, 1, lambda measures: Sentence(
        "The image is unlike the blood-smear fields that the model was trained on.")),
)  # fmt: skip


def measure_input(
    pixels: np.ndarray,
    leukocytes: np.ndarray | None,
    original_size: tuple[int, int],
    in_distribution_score: float,
) -> FieldMeasures:
    """Measure one image.

    Args:
        pixels: uint8 (H, W, 3), RGB, as the network is to see it.
        leukocytes: bool (H, W), or None if they are not known: what hangs on them is then left open.
        original_size: (width, height) of the image as it came.
        in_distribution_score: Of the network.

    Raises:
        ValueError: If pixels and leukocytes differ in size, or pixels are no RGB image.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3)")
    if leukocytes is not None and leukocytes.shape != pixels.shape[:2]:
        raise ValueError(f"leukocytes have shape {leukocytes.shape}, pixels {pixels.shape[:2]}; give them one size")
    luminance = pixels.astype(np.float32) @ _LUMA
    cells = None if leukocytes is None else _measure_cells(leukocytes)
    seen = luminance if leukocytes is None else luminance[leukocytes]
    return FieldMeasures(
        elongation=max(original_size) / min(original_size),
        light=float(np.percentile(luminance, 95)),
        burnt_out=float((seen >= _BURNT_OUT).mean()) if seen.size else None,
        contrast=float(luminance.std()),
        sharpness=sharpness(luminance, leukocytes),
        correlation_length=correlation_length(luminance),
        leukocyte_share=None if cells is None else cells.share,
        num_leukocytes=None if cells is None else cells.number,
        leukocyte_diameter=None if cells is None else cells.diameter,
        in_distribution_score=float(in_distribution_score),
    )


def refusal_reasons(measures: FieldMeasures, limits: RefusalLimits) -> tuple[Sentence, ...]:
    """Say why an image is refused: one plain sentence for each limit passed, none if it is answered.

    Args:
        measures: From `measure_input`.
        limits: Of the checkpoint.
    """
    return tuple(check.sentence(measures) for check in _CHECKS if check.refuses(measures, limits))


def passed_limits(measures: FieldMeasures, limits: RefusalLimits) -> tuple[str, ...]:
    """Name the limits that an image passes, in the order of their reasons."""
    return tuple(check.limit for check in _CHECKS if check.refuses(measures, limits))


def near_limit(measures: FieldMeasures, limits: RefusalLimits, margin: float) -> bool:
    """Tell whether a verdict hangs on less than a margin, relative to the limit.

    Args:
        measures: Of one image.
        limits: Of the checkpoint.
        margin: Share of the limit's size.
    """
    for check in _CHECKS:
        value, limit = getattr(measures, check.measure), getattr(limits, check.limit)
        if value is not None and limit is not None and abs(value - limit) <= margin * max(abs(limit), 1e-9):
            return True
    return False


def fit_limits(
    training: Sequence[FieldMeasures],
    calibration: Sequence[FieldMeasures],
    share: float = 0.02,
    *,
    scores: Sequence[float] | None = None,
) -> RefusalLimits:
    """Set the limits by fields that are known to be usable, so that all checks together refuse few of them.

    An input check's limit is what all but a thousandth of the training and calibration fields keep, moved outwards by
    what the network learns to bear. The limit of the in-distribution score, which alone tells other images from
    smears, takes the rest of `share`, by calibration fields alone: the network knows the training fields by heart.
    `largest_elongation` is not fitted; the training fields are squares.

    Args:
        training: Of the training part.
        calibration: Of the calibration part.
        share: Of usable fields that may be refused, in (0, 0.5).
        scores: In-distribution scores that set their limit; by default those of the calibration fields.

    Returns:
        Limits; None where no field has the measure.

    Raises:
        ValueError: If a part is empty or share is out of range.
    """
    if not training or not calibration:
        raise ValueError("there are no training or no calibration fields to set the limits by; give both parts")
    if not 0 < share < 0.5:
        raise ValueError(f"share is {share}; give a number above 0 and below 0.5")
    limits: dict[str, float | None] = {"largest_elongation": LARGEST_ELONGATION}
    for check in _CHECKS[1:-1]:
        values = [value for each in (*training, *calibration) if (value := getattr(each, check.measure)) is not None]
        if values:
            kept = _outermost_kept(values, _TAIL, is_lowest=check.is_lowest)
            limits[check.limit] = kept * check.tolerance + check.addend
    refused = refused_share(calibration, RefusalLimits(**limits))
    known = [each.in_distribution_score for each in calibration] if scores is None else scores
    limits["lowest_in_distribution_score"] = _below_kept(known, max(0.0, share - refused))
    return RefusalLimits(**limits)


def refused_share(measures: Sequence[FieldMeasures], limits: RefusalLimits) -> float:
    """Tell the share of images that are refused; NaN of none."""
    return float(np.mean([bool(passed_limits(each, limits)) for each in measures])) if measures else math.nan


def limits_from(settings: dict[str, Any]) -> RefusalLimits:
    """Read limits from a checkpoint's config.

    Args:
        settings: Name -> number or None, all of them.

    Raises:
        ValueError: If a name is missing or unknown, or a value no finite number.
    """
    known = {field.name for field in dataclasses.fields(RefusalLimits)}
    if not isinstance(settings, dict) or set(settings) != known:
        differing = sorted(known ^ set(settings if isinstance(settings, dict) else ()))
        raise ValueError(f"missing or unknown refusal limits: {', '.join(differing)}")
    return RefusalLimits(**settings)


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


class _Cells(NamedTuple):
    share: float
    number: int
    diameter: float | None


def _measure_cells(mask: np.ndarray) -> _Cells:
    """Measure the regions of a mask that are large enough for cells, each by the largest circle in it."""
    height, width = mask.shape
    edge = math.sqrt(mask.size)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    # A frame that continues what the border cuts off; without any outline the distance would be infinite.
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = np.minimum(cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32(edge / 2))
    area, whole, cut = 0, list[float](), list[float]()
    for region in range(1, count):
        left, top, across, down, covered = stats[region].tolist()
        window = np.s_[top : top + down, left : left + across]
        diameter = 2 * float(depth[window][regions[window] == region].max()) - 1
        if diameter < _SMALLEST_REGION * edge:
            continue
        area += covered
        at_border = left == 0 or top == 0 or left + across == width or top + down == height
        (cut if at_border else whole).append(diameter)
    diameters = whole or cut
    return _Cells(area / mask.size, len(whole) + len(cut), float(np.median(diameters)) / edge if diameters else None)
