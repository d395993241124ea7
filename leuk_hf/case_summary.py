"""What the rows of one case say together: counts, never a verdict about a patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from leuk_hf.many_fields import FieldRow


@dataclasses.dataclass(frozen=True)
class CaseSummary:
    """Counts of fields.

    Args:
        files: All that were handed in.
        answered: Class name -> fields whose most probable class it is, of those answered; every class is there.
        ambiguous: Fields answered with more than one plausible class; they count in `answered` too.
        refused: Classified, but not answered.
        failed: Files that could not be classified.
        cells: Leukocytes found in the answered fields.
    """

    files: int
    answered: dict[str, int]
    ambiguous: int
    refused: int
    failed: int
    cells: int

    @property
    def num_answered(self) -> int:
        """Fields answered, of all classes."""
        return sum(self.answered.values())


def summarise(rows: Iterable[FieldRow], class_names: Sequence[str]) -> CaseSummary:
    """Count.

    Args:
        rows: Of one case.
        class_names: Of the predictor.
    """
    rows = list(rows)
    answers = [(row, row.prediction) for row in rows if row.prediction is not None]
    kept = [(row, prediction) for row, prediction in answers if prediction.answered]
    answered = dict.fromkeys(class_names, 0)
    for _, prediction in kept:
        answered[prediction.label] += 1
    return CaseSummary(
        files=len(rows),
        answered=answered,
        ambiguous=sum(len(prediction.prediction_set) > 1 for _, prediction in kept),
        refused=len(answers) - len(kept),
        failed=len(rows) - len(answers),
        cells=sum(row.cells or 0 for row, _ in kept),
    )
