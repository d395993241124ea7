"""The shortcut audit of one field: what a classifier says when the field is changed on purpose.

Shared contract: a change either takes the leukocytes away, so that a trustworthy answer lets go of its class, or
leaves them, so that it keeps it. Fields are uint8 (H, W, 3), RGB, no edge longer than `LONGEST_EDGE`. Nobody needs to
know the field's true class: every answer is compared with that to the untouched field. One field proves little; the
audit of many (`leuk_hf.audit`) says how often.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from leuk_hf import counterfactuals as made
from leuk_hf import perturbations as changed
from leuk_hf.annotation import annotation_mask
from leuk_hf.audit_rows import KEPT_MARGIN, REMOVAL_MARGIN, Subject, sham_holes
from leuk_hf.backends import Predictor
from leuk_hf.cells import label_leukocytes, segment_leukocytes
from leuk_hf.image_io import ImageSource, load_image
from leuk_hf.prediction import CLOSE_CALL, Prediction, predict

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet

LONGEST_EDGE = 512
DARKER, BRIGHTER = 0.6, 1.4
# Of the public data set's classes: means over the training fields of the shipped checkpoint's split.csv.
# Measured by: python scripts/measure_colours.py --source leukemia/Original --split leuk_hf/checkpoint/split.csv
CLASS_COLOURS: Mapping[str, changed.ColourStatistics] = {
    "Benign": changed.ColourStatistics((221.4, 129.9, 119.7), (30.4, 10.5, 15.3)),
    "Early Pre-B": changed.ColourStatistics((220.3, 129.8, 116.5), (32.5, 10.6, 15.4)),
    "Pre-B": changed.ColourStatistics((211.0, 132.9, 107.5), (35.6, 13.4, 19.4)),
    "Pro-B": changed.ColourStatistics((236.0, 129.0, 123.9), (21.0, 6.7, 9.1)),
}

Expectation = Literal["lets go", "keeps"]
Outcome = Literal[
    "refuses",
    "unsure",
    "names",
    "keeps",
    "keeps, refused",
    "changes",
    "changes, refused",
    "changes, unsure",
    "follows",
]
_SOUND: dict[Outcome, bool | None] = {
    "refuses": True, "unsure": True, "names": False,
    "keeps": True, "keeps, refused": True,
    "changes": False, "changes, refused": None, "changes, unsure": None, "follows": False,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Version:
    """A field changed on purpose.

    Args:
        name: What was done: one of "removed", "removed, cloned", "alone", "sham", "corner", "grey", "darker",
            "brighter", "colours".
        expectation: What a trustworthy answer does.
        field: uint8 (H, W, 3), RGB.
        amount: The factor of "darker" and "brighter"; of "sham" the share of the holes for which there was room; else
            None.
        detail: The class whose colours were borrowed, or the corner; else empty.
    """

    name: str
    expectation: Expectation
    field: np.ndarray
    amount: float | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """What the classifier said about a version.

    Args:
        version: What it was shown.
        prediction: What it said.
        outcome: How this compares with the untouched field.
    """

    version: Version
    prediction: Prediction
    outcome: Outcome

    @property
    def is_sound(self) -> bool | None:
        """Whether a trustworthy classifier would have done so; None if it changed its mind but did not insist."""
        return _SOUND[self.outcome]


@dataclasses.dataclass(frozen=True, eq=False)
class FieldAudit:
    """What one field's audit gave.

    Args:
        field: Untouched, uint8 (H, W, 3), RGB.
        untouched: The answer to it.
        answers: To its versions, in the order in which they are shown.
        num_leukocytes: Found in the field; without any there is nothing to remove, and those versions are missing.
    """

    field: np.ndarray
    untouched: Prediction
    answers: tuple[Answer, ...]
    num_leukocytes: int

    @property
    def is_telling(self) -> bool:
        """Whether the untouched field has an answer that could be kept or let go."""
        return self.untouched.answered and max(self.untouched.probabilities.values()) >= CLOSE_CALL

    def count(self, is_sound: bool | None) -> int:
        """Tell how many answers were sound (True), not sound (False), or changed without insisting (None)."""
        return sum(answer.is_sound is is_sound for answer in self.answers)


def audit_field(
    model: Predictor | LeukDenseNet,
    image: ImageSource,
    *,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda share: None,
) -> FieldAudit:
    """Question a classifier about one field.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`.
        image: What `load_image` takes.
        seed: Of the places of holes and of what fills them.
        on_progress: Called with the share of the work that is done, in [0, 1].

    Raises:
        ImageError: If the image cannot be used.
        ValueError: If seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; give at least 0")
    field = load_image(image)
    if max(field.size) > LONGEST_EDGE:
        field = field.copy()
        field.thumbnail((LONGEST_EDGE, LONGEST_EDGE), Image.Resampling.BOX)
    subject = subject_of(np.array(field))
    on_progress(0.2)
    (untouched,) = predict(model, subject.field)
    versions = []
    for version in versions_of(subject, untouched.label, seed=seed):
        versions.append(version)
        on_progress(0.2 + 0.4 * len(versions) / _MOST_VERSIONS)
    predictions = predict(model, [version.field for version in versions], batch_size=len(versions))
    on_progress(1.0)
    answers = (
        Answer(version, prediction, outcome_of(untouched, prediction, version))
        for version, prediction in zip(versions, predictions, strict=True)
    )
    return FieldAudit(subject.field, untouched, tuple(answers), int(subject.cells.max()))


def subject_of(field: np.ndarray) -> Subject:
    """Find in a field what its versions need: leukocytes, the holes that they leave, burnt-in annotation."""
    leukocytes = segment_leukocytes(field)
    holes = made.widen(leukocytes, field, REMOVAL_MARGIN)
    cells = label_leukocytes(leukocytes)
    # A field of its own has no name and no known class.
    return Subject("", -1, field, leukocytes, cells, annotation_mask(field), holes, made.inpaint(field, holes))


def versions_of(subject: Subject, label: str, *, seed: int = 0) -> Iterator[Version]:
    """Make a field's versions.

    Args:
        subject: From `subject_of`.
        label: What the classifier said; the colours of other classes are tried.
        seed: As for `audit_field`.
    """
    field = subject.field
    if subject.cells.any():
        yield Version("removed", "lets go", subject.emptied)
        cloned = made.clone_over(field, subject.holes, np.random.default_rng([seed, 0]))
        yield Version("removed, cloned", "lets go", cloned)
        yield Version("alone", "keeps", made.isolate(field, made.widen(subject.leukocytes, field, KEPT_MARGIN)))
        elsewhere = sham_holes(subject, np.random.default_rng([seed, 1]))
        if elsewhere.any():
            room = float(elsewhere.sum() / subject.holes.sum())
            yield Version("sham", "keeps", made.inpaint(field, elsewhere), min(1.0, room))
    corner = annotated_corner(subject.annotation)
    yield Version("corner", "keeps", _without_corner(subject, corner), detail=corner)
    yield Version("grey", "keeps", changed.grey(field))
    yield Version("darker", "keeps", changed.brightness(field, DARKER), DARKER)
    yield Version("brighter", "keeps", changed.brightness(field, BRIGHTER), BRIGHTER)
    for name, statistics in CLASS_COLOURS.items():
        if name != label:
            yield Version("colours", "keeps", changed.set_colours(field, statistics), detail=name)


def annotated_corner(annotation: np.ndarray) -> str:
    """Name the corner with the most burnt-in annotation; bottom right, where scale bars usually are, without any.

    Args:
        annotation: bool (H, W).
    """
    corners = reversed(made.CORNERS)
    return max(corners, key=lambda corner: int(annotation[made.corner_mask(annotation.shape, corner)].sum()))


def outcome_of(untouched: Prediction, prediction: Prediction, version: Version) -> Outcome:
    """Compare the answer to a version with that to the untouched field.

    Args:
        untouched: The answer to the field as it is.
        prediction: The answer to the version.
        version: What was shown.
    """
    is_unsure = prediction.probabilities[prediction.label] < CLOSE_CALL
    if version.expectation == "lets go":
        return "refuses" if not prediction.answered else "unsure" if is_unsure else "names"
    if prediction.label == untouched.label:
        return "keeps" if prediction.answered else "keeps, refused"
    if not prediction.answered:
        return "changes, refused"
    if is_unsure:
        return "changes, unsure"
    return "follows" if version.name == "colours" and prediction.label == version.detail else "changes"


def _without_corner(subject: Subject, corner: str) -> np.ndarray:
    """Paint a corner over in the colour of the glass; leukocytes that reach into it stay, they may well decide."""
    field = subject.field
    # Where cells cover everything, nothing is glass.
    glass = made.glass(field, subject.holes | subject.annotation)
    colour = np.median(field[glass] if glass.any() else field.reshape(-1, 3), axis=0).astype(np.uint8)
    gone = made.corner_mask(field.shape, corner) & ~made.widen(subject.leukocytes, field, KEPT_MARGIN)
    return np.where(gone[..., None], colour, field)


_MOST_VERSIONS = 8 + len(CLASS_COLOURS)
