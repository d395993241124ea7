"""The rules by which an audit's figures become findings.

Every rule asks for the bound of a 95 % interval, not for the value, so that a small audit exposes less, never more.
The thresholds are conventions, stated here and in the evidence; the table stands beside them for other judgements.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from leuk_hf.audit_rows import corner_only, foreign_corner
from leuk_hf.counterfactuals import CORNERS

ABOVE_CHANCE = 0.10  # balanced accuracy above 1/K that counts as knowing the class
FOLLOWED = 0.15  # share of labels that go with the donor beyond those that would by chance
MOVED = 0.15  # share of changed predictions that counts as instability
CORNER_MOVED = 0.01  # a corner holds no diagnosis at all
REFUSES = 0.5  # a classifier that surely refuses more than this of a row's images is not held to its answers there

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
    rules = (_clueless, _removed, _background, _corner, _colour, _count, _alone, _sham)
    found = [finding for rule in rules if (finding := rule(rows, chance)) is not None]
    if unstable := _unstable(rows):
        found.append(unstable)
    return tuple(found)


def _clueless(rows: Figures, chance: float) -> Finding | None:
    clean = rows["as it is"]
    evidence = (
        f"On untouched fields it scores {_show(clean['balanced_accuracy'])} balanced (chance {_percent(chance)}); what"
        " knows nothing has no shortcut to show."
    )
    clueless = _low(clean, "balanced_accuracy") <= chance + ABOVE_CHANCE
    return Finding("it hardly knows the classes to begin with, so the rest says little", clueless, evidence)


def _removed(rows: Figures, chance: float) -> Finding | None:
    present = [rows[name] for name in REMOVED if name in rows]
    if not present:
        return None
    # A smooth patch and a cloned one leave different traces; what names the class under both is the background.
    worst = min(present, key=lambda row: _low(row, "balanced_accuracy"))
    evidence = (
        f"With every leukocyte removed it scores {_show(worst['accuracy'])} (balanced"
        f" {_show(worst['balanced_accuracy'])}, chance {_percent(chance)}), mean top probability"
        f" {worst['mean_top_probability']:.2f}{_refusals(worst)}."
    )
    return Finding("it names the class of fields without leukocytes", _knows(worst, chance), evidence)


def _background(rows: Figures, chance: float) -> Finding | None:
    row, control = (rows.get(f"leukocytes on another {rest}") for rest in ("class's background",
                                                                          "background of their class"))  # fmt: skip
    if row is None:
        return None
    evidence = (
        f"Leukocytes put on another class's emptied field: the label follows the background in"
        f" {_show(row['followed_donor'])}, the leukocytes in {_show(row['accuracy'])} of fields"
    )
    if control is not None:
        evidence += f"; on another background of their own class {_show(control['accuracy'])} are right"
    return Finding("its label follows the background", _follows(row, FOLLOWED), evidence + ".")


def _corner(rows: Figures, chance: float) -> Finding | None:
    only = {corner: rows[name] for corner in CORNERS if (name := corner_only(corner)) in rows}
    swapped = {corner: rows[name] for corner in CORNERS if (name := foreign_corner(corner)) in rows}
    if len(only) < len(CORNERS) or len(swapped) < len(CORNERS):
        return None

    def excess(row: dict[str, Any]) -> float:
        return row["followed_donor"]["value"] - row["followed_by_chance"]

    worst = max(swapped, key=lambda corner: excess(swapped[corner]))
    best = max(only, key=lambda corner: only[corner]["balanced_accuracy"]["value"])
    # Stain and light are in every corner; a corner is read where it gives more away than the others do.
    usual = sorted(excess(row) for row in swapped.values())[1]
    moves = _follows(swapped[worst], CORNER_MOVED + max(0.0, usual)) and _low(swapped[worst], "changed") > CORNER_MOVED
    common = sorted(row["balanced_accuracy"]["value"] for row in only.values())[1]
    knows = _knows(only[best], chance) and _low(only[best], "balanced_accuracy") > common
    evidence = (
        f"Swapping the {worst} corner with another class's changes {_show(swapped[worst]['changed'])} of predictions,"
        f" {_show(swapped[worst]['followed_donor'])} to the corner's class; from the {best} corner alone it scores"
        f" {_show(only[best]['balanced_accuracy'])} balanced (chance {_percent(chance)})."
    )
    return Finding("it reads one corner, as where scale bars are", knows or moves, evidence)


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
    evidence = (
        f"From flat silhouettes it scores {_show(flat['balanced_accuracy'])} balanced (chance {_percent(chance)});"
        f" with half of the leukocytes removed {_show(half['changed'])} of predictions change"
    )
    moves = _low(half, "changed") > MOVED
    if sham := rows.get("sham: equal holes off the leukocytes"):
        # What removal as such changes is no sign of counting.
        moves = moves and _low(half, "changed") > sham["changed"]["interval"][1]
        evidence += f" (sham removal: {_show(sham['changed'])})"
    exposed = _knows(flat, chance) or moves
    return Finding("number, size or outline of the leukocytes decide, without their looks", exposed, evidence + ".")


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
    return Finding("its answers do not survive another exposure, stain, camera or orientation", bool(moved), evidence)


def _refusals(row: dict[str, Any]) -> str:
    return "" if row["refused"] is None else f", refused {_show(row['refused'])}"


def _follows(row: dict[str, Any], least: float) -> bool:
    # Whatever is answered without regard to the donor is the donor's class now and then.
    return _low(row, "followed_donor") > least + row["followed_by_chance"] and not _refuses(row)


def _knows(row: dict[str, Any], chance: float) -> bool:
    return _low(row, "balanced_accuracy") > chance + ABOVE_CHANCE and not _refuses(row)


def _refuses(row: dict[str, Any]) -> bool:
    return row["refused"] is not None and _low(row, "refused") > REFUSES


def _low(row: dict[str, Any], name: str) -> float:
    return row[name]["interval"][0]


def _show(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{_percent(figure['value'])} ({100 * low:.0f}-{100 * high:.0f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if round(100 * share, 1) % 1 else f"{100 * share:.0f} %"
