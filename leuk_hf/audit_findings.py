"""The rules by which an audit's figures become findings.

Every rule asks for the bound of a 95 % interval, not for the value, so that a small audit exposes less, never more.
The thresholds are conventions, stated here and in the evidence; the table stands beside them for other judgements.
"""

from __future__ import annotations

import dataclasses
from typing import Any

ABOVE_CHANCE = 0.10  # balanced accuracy above 1/K that counts as knowing the class
FOLLOWED = 0.15  # share of labels that go with the donor beyond those that named its class anyway
MOVED = 0.15  # share of changed predictions that counts as instability
CORNER_MOVED = 0.01  # a corner holds no diagnosis at all
CONFIDENT = 0.5  # mean top probability on emptied fields

REMOVED = ("leukocytes removed, inpainted", "leukocytes removed, background cloned")
NUISANCES = ("light and colour", "optics and file", "geometry")

Figures = dict[str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the audit looked for.

    Args:
        name: What would be wrong.
        exposed: Whether it is.
        evidence: The figures that decide, in a sentence.
    """

    name: str
    exposed: bool
    evidence: str


def judge(rows: Figures, num_classes: int) -> tuple[Finding, ...]:
    """Apply the rules whose rows were audited.

    Args:
        rows: Figures by row name, as `AuditReport.figures` gives them.
        num_classes: Classes among the audited fields, K; chance is 1/K of balanced accuracy.
    """
    chance = 1 / num_classes
    rules = (_removed, _background, _corner, _colour, _count, _alone, _sham)
    found = [finding for rule in rules if (finding := rule(rows, chance)) is not None]
    if unstable := _unstable(rows):
        found.append(unstable)
    return tuple(found)


def _removed(rows: Figures, chance: float) -> Finding | None:
    present = [rows[name] for name in REMOVED if name in rows]
    if not present:
        return None
    # A smooth patch and a cloned one leave different traces; the class must be nameable under both to be background.
    worst = min(present, key=lambda row: _low(row, "balanced_accuracy"))
    named = _low(worst, "balanced_accuracy") > chance + ABOVE_CHANCE
    evidence = (
        f"With every leukocyte removed it scores {_show(worst['accuracy'])} (balanced"
        f" {_show(worst['balanced_accuracy'])}, chance {_percent(chance)}), mean top probability"
        f" {worst['mean_top_probability']:.2f}"
    )
    return Finding("it names the class of fields without leukocytes", named, evidence + _refusals(worst) + ".")


def _background(rows: Figures, chance: float) -> Finding | None:
    row = rows.get("leukocytes on another class's background")
    if row is None:
        return None
    evidence = (
        f"Leukocytes put on another class's emptied field: the label follows the background in"
        f" {_show(row['followed_donor'])}, the leukocytes in {_show(row['accuracy'])} of fields."
    )
    return Finding("its label follows the background", _follows(row, FOLLOWED), evidence)


def _corner(rows: Figures, chance: float) -> Finding | None:
    only, swapped = rows.get("corner only"), rows.get("corner of another class")
    if only is None or swapped is None:
        return None
    knows = _low(only, "balanced_accuracy") > chance + ABOVE_CHANCE
    moves = _follows(swapped, CORNER_MOVED) and _low(swapped, "changed") > CORNER_MOVED
    evidence = (
        f"From the annotated corner alone it scores {_show(only['balanced_accuracy'])} balanced (chance"
        f" {_percent(chance)}); with another class's corner {_show(swapped['changed'])} of predictions change,"
        f" {_show(swapped['followed_donor'])} to the corner's class."
    )
    return Finding("it reads the corner where scale bars are", knows or moves, evidence)


def _colour(rows: Figures, chance: float) -> Finding | None:
    row = rows.get("colours of another class")
    if row is None:
        return None
    evidence = (
        f"With another class's colour statistics {_show(row['changed'])} of predictions change,"
        f" {_show(row['followed_donor'])} to the class whose colours they are."
    )
    if "grey" in rows:
        evidence += f" In grey it scores {_show(rows['grey']['accuracy'])}."
    return Finding("its label follows the colours", _follows(row, FOLLOWED), evidence)


def _count(rows: Figures, chance: float) -> Finding | None:
    flat, half = rows.get("silhouettes: hole mask only"), rows.get("half of the leukocytes removed")
    if flat is None or half is None:
        return None
    knows = _low(flat, "balanced_accuracy") > chance + ABOVE_CHANCE
    evidence = (
        f"From flat silhouettes it scores {_show(flat['balanced_accuracy'])} balanced (chance {_percent(chance)});"
        f" with half of the leukocytes removed {_show(half['changed'])} of predictions change"
    )
    moves = _low(half, "changed") > MOVED
    if sham := rows.get("sham: equal holes off the leukocytes"):
        # What removal as such changes is no sign of counting.
        moves = moves and _low(half, "changed") > sham["changed"]["interval"][1]
        evidence += f" (sham removal: {_show(sham['changed'])})"
    return Finding("it goes by number, size or place of the leukocytes, not by their looks", knows or moves,
                   evidence + ".")  # fmt: skip


def _alone(rows: Figures, chance: float) -> Finding | None:
    row, clean = rows.get("leukocytes only, on grey"), rows["as it is"]
    if row is None:
        return None
    lost = row["balanced_accuracy"]["interval"][1] < _low(clean, "balanced_accuracy") - ABOVE_CHANCE
    evidence = (
        f"On leukocytes alone it scores {_show(row['balanced_accuracy'])} balanced, on whole fields"
        f" {_show(clean['balanced_accuracy'])}."
    )
    return Finding("the leukocytes are not enough for it", lost, evidence)


def _sham(rows: Figures, chance: float) -> Finding | None:
    row, traces = (
        rows.get("sham: equal holes off the leukocytes"),
        rows.get("emptied, with another class's holes added"),
    )
    if row is None:
        return None
    evidence = f"Equal holes off the leukocytes change {_show(row['changed'])} of predictions"
    reacts = _low(row, "changed") > MOVED
    if traces is not None:
        # Whose holes they are can only be told by their number, size and place.
        reacts = reacts or _follows(traces, FOLLOWED)
        evidence += f"; another class's holes, added to an emptied field, draw {_show(traces['followed_donor'])} to it"
    return Finding("it reacts to the traces of removal, so the removal rows need care", reacts, evidence + ".")


def _unstable(rows: Figures) -> Finding | None:
    harmless = {name: row for name, row in rows.items() if row["section"] in NUISANCES}
    harmless.pop("colours of another class", None)
    if not harmless:
        return None
    moved = [name for name, row in harmless.items() if _low(row, "changed") > MOVED]
    worst = max(harmless, key=lambda name: harmless[name]["changed"]["value"])
    evidence = f"{len(moved)} of {len(harmless)} changes that leave the cells alone move more than {_percent(MOVED)}"
    if moved:
        evidence += f": {', '.join(moved)}"
    evidence += f"; the worst, {worst}, moves {_show(harmless[worst]['changed'])}."
    return Finding("its answers do not survive another exposure, stain or camera", bool(moved), evidence)


def _refusals(row: dict[str, Any]) -> str:
    return "" if row["refused"] is None else f", refused {_show(row['refused'])}"


def _follows(row: dict[str, Any], least: float) -> bool:
    # A constant or a random answer is the donor's class often enough, but no more often for the donor.
    return _low(row, "followed_donor") > least + row["donor_before"]["value"]


def _low(row: dict[str, Any], name: str) -> float:
    return row[name]["interval"][0]


def _show(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{_percent(figure['value'])} ({100 * low:.0f}-{100 * high:.0f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if round(100 * share, 1) % 1 else f"{100 * share:.0f} %"
