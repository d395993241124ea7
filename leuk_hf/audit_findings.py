"""The rules by which an audit's figures become findings.

Every rule asks for the bound of a 95 % interval, not for the value, so that a small audit exposes less, never more.
The thresholds are conventions, stated here and in the evidence; the table stands beside them for other judgements.
Knowing the class, or following a donor, exposes nothing where a classifier surely refuses (`REFUSES`); the evidence
says what is refused.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from leuk_hf.audit_rows import REMOVED_CLONED, REMOVED_INPAINTED, corner_only, foreign_corner
from leuk_hf.counterfactuals import CORNERS
from leuk_hf.sentence import Sentence

ABOVE_CHANCE = 0.10  # balanced accuracy above 1/K that counts as knowing the class
FOLLOWED = 0.15  # share of labels that go with the donor beyond those that would by chance
MOVED = 0.15  # share of changed predictions that counts as instability
CORNER_MOVED = 0.01  # a corner holds no diagnosis at all
REFUSES = 0.5  # a classifier that surely refuses more than this of a row's images is not held to its answers there

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
    evidence = Sentence(
        "On untouched fields it scores {figure} balanced (chance {chance}); what knows nothing has no shortcut to"
        " show.",
        figure=_show(clean["balanced_accuracy"]),
        chance=_percent(chance),
    )
    clueless = _low(clean, "balanced_accuracy") <= chance + ABOVE_CHANCE
    return Finding("it hardly knows the classes to begin with, so the rest says little", clueless, evidence)


def _removed(rows: Figures, chance: float) -> Finding | None:
    # Not without everything bluish: that takes much of the background along, and what it gives away.
    present = [rows[name] for name in (REMOVED_INPAINTED, REMOVED_CLONED) if name in rows]
    if not present:
        return None
    # A smooth patch and a cloned one leave different traces; what names the class under both is the background.
    worst = min(present, key=lambda row: _low(row, "balanced_accuracy"))
    evidence = Sentence(
        "With every leukocyte removed it scores {accuracy} (balanced {balanced}, chance {chance}), mean top"
        " probability {probability}{refused}.",
        accuracy=_show(worst["accuracy"]),
        balanced=_show(worst["balanced_accuracy"]),
        chance=_percent(chance),
        probability=f"{worst['mean_top_probability']:.2f}",
        refused=_refusals(worst),
    )
    return Finding("it names the class of fields without leukocytes", _knows(worst, chance), evidence)


def _background(rows: Figures, chance: float) -> Finding | None:
    row, control = (rows.get(f"leukocytes on another {rest}") for rest in ("class's background",
                                                                          "background of their class"))  # fmt: skip
    if row is None:
        return None
    kept = ""
    if control is not None:
        kept = Sentence(
            "; on another background of their own class {figure} are right", figure=_show(control["accuracy"])
        )
    evidence = Sentence(
        "Leukocytes put on another class's emptied field: the label follows the background in {background}, the"
        " leukocytes in {leukocytes} of fields{kept}.",
        background=_show(row["followed_donor"]),
        leukocytes=_show(row["accuracy"]),
        kept=kept,
    )
    return Finding("its label follows the background", _follows(row, FOLLOWED), evidence)


def _corner(rows: Figures, chance: float) -> Finding | None:
    only = {corner: rows[name] for corner in CORNERS if (name := corner_only(corner)) in rows}
    swapped = {corner: rows[name] for corner in CORNERS if (name := foreign_corner(corner)) in rows}
    if len(only) < len(CORNERS) or len(swapped) < len(CORNERS):
        return None

    def excess(row: dict[str, Any]) -> float:
        return row["followed_donor"]["value"] - row["followed_by_chance"]

    worst = max(swapped, key=lambda corner: excess(swapped[corner]))
    moving = max(swapped, key=lambda corner: swapped[corner]["changed"]["value"])
    best = max(only, key=lambda corner: only[corner]["balanced_accuracy"]["value"])
    # Stain and light are in every corner; a corner is read where it gives more away than the others do.
    usual = sorted(excess(row) for row in swapped.values())[1]
    moves = _follows(swapped[worst], CORNER_MOVED + max(0.0, usual)) and _low(swapped[worst], "changed") > CORNER_MOVED
    common = sorted(row["balanced_accuracy"]["value"] for row in only.values())[1]
    knows = _knows(only[best], chance) and _low(only[best], "balanced_accuracy") > common
    evidence = Sentence(
        "Swapping a corner with another class's changes {changed} of predictions at most ({moving}); of the answers"
        " with another {worst} corner {followed} are its class ({expected} by chance); from the {best} corner alone it"
        " scores {alone} balanced (chance {chance}).",
        changed=_show(swapped[moving]["changed"]),
        moving=moving,
        worst=worst,
        followed=_show(swapped[worst]["followed_donor"]),
        expected=_percent(swapped[worst]["followed_by_chance"]),
        best=best,
        alone=_show(only[best]["balanced_accuracy"]),
        chance=_percent(chance),
    )
    return Finding("it reads one corner, as where scale bars are", knows or moves, evidence)


def _colour(rows: Figures, chance: float) -> Finding | None:
    row = rows.get("colours of another class")
    if row is None:
        return None
    evidence = Sentence(
        "With another class's colour statistics {changed} of predictions change; {followed} of the answers are the"
        " class whose colours they are ({expected} by chance).",
        changed=_show(row["changed"]),
        followed=_show(row["followed_donor"]),
        expected=_percent(row["followed_by_chance"]),
    )
    if "grey" in rows:
        grey = Sentence("In grey it scores {figure}.", figure=_show(rows["grey"]["accuracy"]))
        evidence = Sentence("{before} {after}", before=evidence, after=grey)
    return Finding("its label follows the colours", _follows(row, FOLLOWED), evidence)


def _count(rows: Figures, chance: float) -> Finding | None:
    flat, half = rows.get("silhouettes: hole mask only"), rows.get("half of the leukocytes removed")
    if flat is None or half is None:
        return None
    moves, control = _low(half, "changed") > MOVED, ""
    if sham := rows.get("sham: equal holes off the leukocytes"):
        # What removal as such changes is no sign of counting.
        moves = moves and _low(half, "changed") > sham["changed"]["interval"][1]
        control = Sentence(" (sham removal: {figure})", figure=_show(sham["changed"]))
    evidence = Sentence(
        "From flat silhouettes it scores {figure} balanced (chance {chance}){refused}; with half of the leukocytes"
        " removed {changed} of predictions change{control}.",
        figure=_show(flat["balanced_accuracy"]),
        chance=_percent(chance),
        refused=_refusals(flat),
        changed=_show(half["changed"]),
        control=control,
    )
    exposed = _knows(flat, chance) or moves
    if not exposed and _low(flat, "balanced_accuracy") > chance + ABOVE_CHANCE:
        harmless = Sentence("What it tells from silhouettes is not held against it, as it refuses them.")
        evidence = Sentence("{before} {after}", before=evidence, after=harmless)
    return Finding("number, size or outline of the leukocytes decide, without their looks", exposed, evidence)


def _alone(rows: Figures, chance: float) -> Finding | None:
    row, clean = rows.get("leukocytes only, on grey"), rows["as it is"]
    if row is None:
        return None
    lost = row["balanced_accuracy"]["interval"][1] < _low(clean, "balanced_accuracy") - ABOVE_CHANCE
    evidence = Sentence(
        "On leukocytes alone it scores {alone} balanced{refused}, on whole fields {whole}.",
        alone=_show(row["balanced_accuracy"]),
        refused=_refusals(row),
        whole=_show(clean["balanced_accuracy"]),
    )
    return Finding("the leukocytes are not enough for it", lost, evidence)


def _sham(rows: Figures, chance: float) -> Finding | None:
    row, traces = (
        rows.get("sham: equal holes off the leukocytes"),
        rows.get("emptied, with another class's holes added"),
    )
    if row is None:
        return None
    reacts, drawn = _low(row, "changed") > MOVED, ""
    if traces is not None:
        # Whose holes they are can only be told by their number, size and place.
        reacts = reacts or _follows(traces, FOLLOWED)
        drawn = Sentence(
            "; another class's holes, added to an emptied field, draw {figure} to it",
            figure=_show(traces["followed_donor"]),
        )
    evidence = Sentence(
        "Equal holes off the leukocytes change {figure} of predictions{drawn}.",
        figure=_show(row["changed"]),
        drawn=drawn,
    )
    return Finding("it reacts to the traces of removal, so the removal rows need care", reacts, evidence)


def _unstable(rows: Figures) -> Finding | None:
    harmless = {name: row for name, row in rows.items() if row["section"] in NUISANCES}
    harmless.pop("colours of another class", None)
    if not harmless:
        return None
    moved = [name for name, row in harmless.items() if _low(row, "changed") > MOVED]
    worst = max(harmless, key=lambda name: harmless[name]["changed"]["value"])
    values = {
        "number": len(moved),
        "all": len(harmless),
        "limit": _percent(MOVED),
        "worst": worst,
        "changed": _show(harmless[worst]["changed"]),
    }
    if moved:
        evidence = Sentence(
            "{number} of {all} changes that leave the cells alone certainly move more than {limit}: {rows}; the worst,"
            " {worst}, moves {changed}.",
            rows=_rows(moved),
            **values,
        )
    else:
        evidence = Sentence(
            "{number} of {all} changes that leave the cells alone certainly move more than {limit}; the worst,"
            " {worst}, moves {changed}.",
            **values,
        )
    return Finding("its answers do not survive another exposure, stain, camera or orientation", bool(moved), evidence)


def _rows(names: list[str]) -> str:
    first, *others = names
    text: str = first
    for other in others:
        text = Sentence("{before}, {after}", before=text, after=other)
    return text


def _refusals(row: dict[str, Any]) -> str:
    return "" if row["refused"] is None else Sentence(", refused {figure}", figure=_show(row["refused"]))


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
