"""The rows of the shortcut audit: what is done to a field, and the question that it asks of a classifier.

Shared contract: a row makes one image from one subject, at its size, and may name a donor, the field whose colours,
corner or background it borrows. A label that follows the donor was not read from the leukocytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.random import Generator

from leuk_hf import counterfactuals as made
from leuk_hf import perturbations as changed
from leuk_hf.cells import nearest_labels

REMOVAL_MARGIN = 3  # pixels of a 224-pixel field cut around each leukocyte, so that no stained rim stays
BLUISH_MARGIN = 7  # the same around what is bluish, which holds less of the cytoplasm
KEPT_MARGIN = 1  # the same around leukocytes that are kept or transplanted: little of their background comes along


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """One field and what the rows need to know of it.

    Args:
        name: Decides the randomness of its rows.
        label: Class index.
        field: uint8 (H, W, 3), RGB.
        leukocytes: bool (H, W), as segmented.
        cells: int32 (H, W), 1..n on the single leukocytes.
        annotation: bool (H, W), burnt-in ink.
        holes: bool (H, W), `leukocytes` widened by `REMOVAL_MARGIN`.
        emptied: The field with its holes inpainted.
    """

    name: str
    label: int
    field: np.ndarray
    leukocytes: np.ndarray
    cells: np.ndarray
    annotation: np.ndarray
    holes: np.ndarray
    emptied: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Leukocytes with a narrow rim: bool (H, W)."""
        return made.widen(self.leukocytes, self.field, KEPT_MARGIN)


@dataclasses.dataclass(frozen=True, eq=False)
class Panel:
    """All subjects, in order of their names, with what they share.

    Args:
        subjects: At least one.
        corner: One of `CORNERS`: where most burnt-in annotation lies.
        leukocyte_colour: Mean over the leukocytes of all subjects, RGB.
        background_colour: Mean over all other pixels, RGB.
    """

    subjects: Sequence[Subject]
    corner: str
    leukocyte_colour: tuple[int, int, int]
    background_colour: tuple[int, int, int]

    def other_class(self, subject: Subject, generator: Generator) -> Subject:
        """Choose a donor: a class other than the subject's, then a field of it."""
        classes = sorted({other.label for other in self.subjects} - {subject.label})
        return self._of_class(classes[generator.integers(len(classes))], subject, generator)

    def same_class(self, subject: Subject, generator: Generator) -> Subject:
        """Choose another field of the subject's class; itself if it is the only one."""
        return self._of_class(subject.label, subject, generator)

    def _of_class(self, label: int, subject: Subject, generator: Generator) -> Subject:
        choice = [other for other in self.subjects if other.label == label and other is not subject]
        return choice[generator.integers(len(choice))] if choice else subject


Made = tuple[np.ndarray, Subject | None]


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the audit.

    Args:
        name: As it stands in tables and results.json.
        section: Heading it stands under.
        question: What it asks, in one sentence.
        make: (panel, subject, generator) -> (image uint8 (H, W, 3), donor or None).
        needs_donor: Whether it needs a second class among the subjects.
    """

    name: str
    section: str
    question: str
    make: Callable[[Panel, Subject, Generator], Made]
    needs_donor: bool = False


def _plain(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Panel, Subject, Generator], Made]:
    return lambda panel, subject, generator: (change(subject.field), None)


def _cloned(panel: Panel, subject: Subject, generator: Generator) -> Made:
    return made.clone_over(subject.field, subject.holes, generator), None


def _bluish_removed(panel: Panel, subject: Subject, generator: Generator) -> Made:
    return made.inpaint(subject.field, bluish_holes(subject)), None


def _sham(panel: Panel, subject: Subject, generator: Generator) -> Made:
    return made.inpaint(subject.field, sham_holes(subject, generator)), None


def _half(panel: Panel, subject: Subject, generator: Generator) -> Made:
    gone = made.thin_out(subject.cells, 0.5, generator)
    # Neighbours that stay must not lose their rim to the widened hole.
    hole = made.widen(gone, subject.field, REMOVAL_MARGIN) & ~(subject.leukocytes & ~gone)
    return made.inpaint(subject.field, hole), None


def _foreign_holes(panel: Panel, subject: Subject, generator: Generator) -> Made:
    donor = panel.other_class(subject, generator)
    holes = fitted(donor.holes, subject.field)
    return made.inpaint(subject.field, subject.holes | holes), donor


def _transplant(panel: Panel, subject: Subject, generator: Generator) -> Made:
    donor = panel.other_class(subject, generator)
    return made.transplant(subject.field, subject.kept, donor.emptied), donor


def _transplant_within(panel: Panel, subject: Subject, generator: Generator) -> Made:
    return made.transplant(subject.field, subject.kept, panel.same_class(subject, generator).emptied), None


def _foreign_colours(panel: Panel, subject: Subject, generator: Generator) -> Made:
    donor = panel.other_class(subject, generator)
    return changed.match_colours(subject.field, donor.field), donor


def _foreign_corner(corner: str, panel: Panel, subject: Subject, generator: Generator) -> Made:
    donor = panel.other_class(subject, generator)
    # Without the donor's leukocytes, and with the subject's own: they may well decide.
    swapped = made.corner_mask(subject.field.shape, corner) & ~subject.kept
    return np.where(swapped[..., None], fitted(donor.emptied, subject.field), subject.field), donor


def _corner_only(corner: str, panel: Panel, subject: Subject, generator: Generator) -> Made:
    return made.isolate(subject.emptied, made.corner_mask(subject.field.shape, corner)), None


def corner_only(corner: str) -> str:
    """Name the row that shows one of `CORNERS` alone."""
    return f"{corner} corner only"


def foreign_corner(corner: str) -> str:
    """Name the row that swaps one of `CORNERS` with another class's."""
    return f"{corner} corner of another class"


def sham_holes(subject: Subject, generator: Generator) -> np.ndarray:
    """Move a subject's holes, cell by cell, to where neither leukocytes nor annotation lie: bool (H, W)."""
    # A hole belongs to the nearest cell: touching cells have touching holes, which find no room as one.
    grown = np.where(subject.holes, nearest_labels(subject.cells), 0)
    return made.displaced(grown, subject.holes | subject.annotation, generator)


def bluish_holes(subject: Subject) -> np.ndarray:
    """Mask what is bluish in a field, and `BLUISH_MARGIN` around it: bool (H, W)."""
    return made.widen(made.bluish(subject.field), subject.field, BLUISH_MARGIN)


def fitted(content: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Bring another subject's field or mask to a field's height and width."""
    import cv2

    height, width = field.shape[:2]
    if content.shape[:2] == (height, width):
        return content
    method = cv2.INTER_AREA if content.ndim == 3 else cv2.INTER_NEAREST
    return cv2.resize(content.astype(np.uint8), (width, height), interpolation=method).astype(content.dtype)


REMOVED_INPAINTED, REMOVED_CLONED = "leukocytes removed, inpainted", "leukocytes removed, background cloned"
REMOVED_BLUISH = "everything bluish removed, inpainted"
REMOVED = (REMOVED_INPAINTED, REMOVED_CLONED, REMOVED_BLUISH)  # rows in which there is nothing to diagnose
_LEUKOCYTES, _CONTROLS, _SHORTCUTS = "leukocytes", "controls", "shortcuts"
_COLOUR, _OPTICS, _GEOMETRY = "light and colour", "optics and file", "geometry"
_MAGNIFICATION = "magnification"

ROWS: tuple[Row, ...] = (
    Row("as it is", "field", "What it scores on untouched fields.", _plain(np.copy)),
    Row(REMOVED_INPAINTED, _LEUKOCYTES, "Can it still name the class when there is nothing to diagnose?",
        lambda panel, subject, generator: (subject.emptied, None)),
    Row(REMOVED_CLONED, _LEUKOCYTES,
        "The same with pieces of the field's own background, which leave no smooth patch.", _cloned),
    Row(REMOVED_BLUISH, _LEUKOCYTES,
        "Does it matter which segmentation removes them? A threshold takes leukocytes and what is stained like them.",
        _bluish_removed),
    Row("leukocytes only, on grey", _LEUKOCYTES, "Are the leukocytes alone enough?",
        lambda panel, subject, generator: (made.isolate(subject.field, subject.kept), None)),
    Row("half of the leukocytes removed", _LEUKOCYTES,
        "Does the answer hang on how many leukocytes there are? Each one that is left looks as before.", _half),
    Row("leukocytes on another class's background", _LEUKOCYTES,
        "Transplant: whom does the label follow, the leukocytes or the emptied field they were put on?",
        _transplant, needs_donor=True),
    Row("sham: equal holes off the leukocytes", _CONTROLS,
        "Inpainting as such should change little; the same holes, moved to where no leukocyte lies.", _sham),
    Row("leukocytes on another background of their class", _CONTROLS,
        "Transplanting as such should change little.", _transplant_within),
    Row("emptied, with another class's holes added", _CONTROLS,
        "Do the traces of removal give the class away? Then the label follows whose holes they are.",
        _foreign_holes, needs_donor=True),
    Row("silhouettes: hole mask only", _CONTROLS,
        "Number, size and place of the leukocytes as flat shapes, nothing of their looks.",
        lambda panel, subject, generator: (
            made.silhouettes(subject.leukocytes, panel.leukocyte_colour, panel.background_colour), None)),
    Row("background only: leukocytes greyed out", _SHORTCUTS, "Red cells, glass and annotation alone.",
        lambda panel, subject, generator: (made.isolate(subject.field, ~subject.holes), None)),
    Row("glass only", _SHORTCUTS, "The empty glass between the cells alone: light and stain of the slide.",
        lambda panel, subject, generator: (
            made.isolate(subject.field, made.glass(subject.field, subject.holes | subject.annotation)), None)),
    *(Row(corner_only(corner), _SHORTCUTS, "One corner alone, without leukocytes; scale bars are burnt into one.",
          partial(_corner_only, corner)) for corner in made.CORNERS),
    *(Row(foreign_corner(corner), _SHORTCUTS, "Does the label follow a swapped corner? Own leukocytes stay.",
          partial(_foreign_corner, corner), needs_donor=True) for corner in made.CORNERS),
    Row("burnt-in annotation inpainted", _SHORTCUTS, "Does removing scale bars change the answer?",
        lambda panel, subject, generator: (made.inpaint(subject.field, subject.annotation), None)),
    Row("colours of another class", _COLOUR, "Does the label follow colour statistics (Reinhard, LAB)?",
        _foreign_colours, needs_donor=True),
    Row("grey", _COLOUR, "Without any colour.", _plain(changed.grey)),
    *(Row(f"brightness x{factor}", _COLOUR, "Another exposure.",
          _plain(partial(changed.brightness, factor=factor))) for factor in (0.6, 1.2, 1.4)),
    *(Row(f"gamma {exponent}", _COLOUR, "Another tone curve.",
          _plain(partial(changed.gamma, exponent=exponent))) for exponent in (0.7, 1.4)),
    *(Row(f"white balance {name}", _COLOUR, "Another lamp.",
          _plain(partial(changed.white_balance, red=red, blue=blue)))
      for name, red, blue in (("warm", 1.1, 0.9), ("cold", 0.9, 1.1))),
    *(Row(f"hue {degrees:+d} degrees", _COLOUR, "Another stain or camera.",
          _plain(partial(changed.hue, degrees=degrees))) for degrees in (-20, 20)),
    *(Row(f"stain {name}", _COLOUR, "Other amounts of the two dyes of Giemsa's stain.",
          _plain(partial(changed.stain, blue=blue, eosin=eosin)))
      for name, blue, eosin in (("bluer", 1.25, 0.8), ("redder", 0.8, 1.25))),
    *(Row(f"blur {sigma:g} px", _OPTICS, "Out of focus.",
          _plain(partial(changed.blur, sigma=sigma))) for sigma in (1, 2)),
    Row("noise 10/255", _OPTICS, "A noisy sensor.",
        lambda panel, subject, generator: (changed.noise(subject.field, 10, generator), None)),
    Row("JPEG quality 30", _OPTICS, "Sent by a messenger.", _plain(lambda field: changed.jpeg(field, 30))),
    Row("half resolution", _OPTICS, "A lesser camera.", _plain(lambda field: changed.resolution(field, 0.5))),
    Row("quarter turn", _GEOMETRY, "A slide has no upright.", _plain(changed.quarter_turn)),
    Row("half turn", _GEOMETRY, "A slide has no upright.", _plain(changed.half_turn)),
    Row("mirrored", _GEOMETRY, "A slide has no left.", _plain(changed.mirror)),
    *(Row(f"magnification x{factor}", _MAGNIFICATION, "Cells of another size: to be refused, not taken for others.",
          _plain(partial(changed.magnify, factor=factor))) for factor in (0.67, 0.8, 1.25, 1.5)),
)  # fmt: skip
BY_NAME = {row.name: row for row in ROWS}
MAGNIFICATIONS = tuple(row.name for row in ROWS if row.section == _MAGNIFICATION)
# What another lamp, camera or stain does to a whole field, without the colours of a class.
LIGHTS = tuple(row.name for row in ROWS if row.section == _COLOUR and not row.needs_donor)
