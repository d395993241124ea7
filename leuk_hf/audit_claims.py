"""Sentences that a shortcut audit supports; see `leuk_hf.claims`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leuk_hf.audit_rows import LIGHTS, MAGNIFICATIONS, REMOVED, corner_only
from leuk_hf.claim import MOST_RIGHT, Claim, high_end, low_end, show
from leuk_hf.counterfactuals import CORNERS
from leuk_hf.sentence import Sentence

GLASS, SILHOUETTES, HALF_REMOVED = "glass only", "silhouettes: hole mask only", "half of the leukocytes removed"
KNOWS_NOTHING = 0.35  # balanced accuracy up to which four classes count as guessed
LOST_ALONE = 0.03  # balanced accuracy that may be lost where leukocytes stand alone
FEW_CHANGED = 0.05
REFUSES_THEM = 0.95
SURE = 0.6  # mean top probability where there is nothing to see; of four classes guessed it is a quarter and more


def audit_claims(rows: dict[str, Any]) -> Iterator[Claim]:
    """Give the sentences.

    Args:
        rows: Of one report in the section `audit` of results.json.
    """
    for rule in (
        _leukocytes_needed, _refuses_emptied_fields, _can_be_sure_of_nothing, _leukocytes_suffice, _outlines_tell,
        _follows_leukocytes, _bears_light, _knows_magnification,
    ):  # fmt: skip
        yield from rule(rows)


def _leukocytes_needed(rows: dict[str, Any]) -> Iterator[Claim]:
    present = [rows[name] for name in REMOVED if name in rows]
    if not present:
        return
    worst = max(present, key=lambda row: row["balanced_accuracy"]["value"])
    needed = high_end(worst["balanced_accuracy"]) <= KNOWS_NOTHING
    removed = Sentence(
        "balanced accuracy {figure} with every leukocyte removed", figure=show(worst["balanced_accuracy"])
    )
    yield Claim(
        Sentence("Without leukocytes it does not know the class.")
        if needed
        else Sentence("It names classes also without leukocytes."),
        _with_refusal(removed, worst),
        Sentence("That it reads in them what a haematologist reads."),
        needed,
    )


def _refuses_emptied_fields(rows: dict[str, Any]) -> Iterator[Claim]:
    present = {name: rows[name] for name in REMOVED if name in rows and rows[name].get("refused")}
    if not present:
        return
    name, worst = min(present.items(), key=lambda item: item[1]["refused"]["value"])
    refuses = low_end(worst["refused"]) >= REFUSES_THEM
    yield Claim(
        Sentence("It refuses fields without leukocytes.")
        if refuses
        else Sentence("Fields without leukocytes are not always refused."),
        Sentence(
            "refused {figure} ({row}), the least of {number} ways of removing them",
            figure=show(worst["refused"]), row=name, number=str(len(present)),
        ),
        Sentence(
            "That there are leukocytes wherever it answers: what is left of some, burst ones among them, or painted"
            " with their colour and grain, can be enough for it."
        ),
        refuses,
    )  # fmt: skip


def _can_be_sure_of_nothing(rows: dict[str, Any]) -> Iterator[Claim]:
    present = {name: rows[name] for name in (GLASS, *map(corner_only, CORNERS)) if name in rows}
    if not present:
        return
    name, worst = max(present.items(), key=lambda item: item[1]["mean_top_probability"])
    sure = worst["mean_top_probability"] > SURE
    figure = Sentence(
        "mean top probability {probability} ({row})", probability=f"{worst['mean_top_probability']:.2f}", row=name
    )
    yield Claim(
        Sentence("Where there is nothing but what it takes for leukocytes by mistake, it is sure of a class.")
        if sure
        else Sentence("Where there is nothing to judge by, it is not sure of any class."),
        _with_refusal(figure, worst),
        Sentence("That a high probability means that there is something to see; heed refusals first."),
        not sure,
    )


def _leukocytes_suffice(rows: dict[str, Any]) -> Iterator[Claim]:
    if (alone := rows.get("leukocytes only, on grey")) is None:
        return
    clean = rows["as it is"]["balanced_accuracy"]
    enough = alone["balanced_accuracy"]["value"] >= clean["value"] - LOST_ALONE
    figure = Sentence(
        "balanced accuracy {alone} on leukocytes alone, {whole} on whole fields",
        alone=show(alone["balanced_accuracy"]),
        whole=show(clean),
    )
    if alone.get("refused"):
        figure = Sentence(
            "{before}; leukocytes alone are refused: {figure}", before=figure, figure=show(alone["refused"])
        )
    yield Claim(
        Sentence("Leukocytes are enough for it.") if enough else Sentence("Leukocytes alone are not enough for it."),
        figure,
        Sentence("Which property of them decides."),
        enough,
    )


def _outlines_tell(rows: dict[str, Any]) -> Iterator[Claim]:
    if (flat := rows.get(SILHOUETTES)) is None:
        return
    tells = low_end(flat["balanced_accuracy"]) > KNOWS_NOTHING
    told = Sentence("balanced accuracy {figure} on flat silhouettes", figure=show(flat["balanced_accuracy"]))
    figure = _with_refusal(told, flat)
    if (half := rows.get(HALF_REMOVED)) is not None:
        figure = Sentence(
            "{before}; {changed} of labels change with half of the leukocytes removed",
            before=figure,
            changed=show(half["changed"]),
        )
    yield Claim(
        Sentence("Number, size and outlines of the leukocytes tell it a part.")
        if tells
        else Sentence("Number, size and outlines of the leukocytes alone do not tell it the class."),
        figure,
        Sentence("Whether they may: size and shape belong to what is described, number to how the slide was made."),
        None,
    )


def _follows_leukocytes(rows: dict[str, Any]) -> Iterator[Claim]:
    if (moved := rows.get("leukocytes on another class's background")) is None:
        return
    # Not by how often it is right there: it errs on untouched fields, too, and no background is to blame for that.
    follows = high_end(moved["changed"]) <= FEW_CHANGED
    yield Claim(
        Sentence("On another background its label stays with the leukocytes.")
        if follows
        else Sentence("On another background its label does not always stay with the leukocytes."),
        Sentence(
            "changed {changed}, goes with the background {goes}, right {right}",
            changed=show(moved["changed"]),
            goes=show(moved["followed_donor"]),
            right=show(moved["accuracy"]),
        ),
        Sentence("What it does on backgrounds of other laboratories."),
        follows,
    )


def _bears_light(rows: dict[str, Any]) -> Iterator[Claim]:
    if (coloured := rows.get("colours of another class")) is not None:
        kept = high_end(coloured["changed"]) <= FEW_CHANGED
        yield Claim(
            Sentence("Colour hardly moves it.") if kept else Sentence("Colour still moves it."),
            Sentence("changed {figure} in another class's colours", figure=show(coloured["changed"])),
            Sentence("Stains that change which structures are visible."),
            kept,
        )
    present = {name: rows[name]["accuracy"] for name in LIGHTS if name in rows}
    if present:
        clean = rows["as it is"]["accuracy"]
        name, worst = min(present.items(), key=lambda item: item[1]["value"])
        bears = low_end(worst) >= MOST_RIGHT or worst["value"] >= clean["value"]
        figure = Sentence(
            "accuracy {figure} at the worst of {number} changes ({row}), {clean} as they are",
            figure=show(worst),
            number=len(present),
            row=name,
            clean=show(clean),
        )
        yield Claim(
            Sentence("It bears other light and other hues.")
            if bears
            else Sentence("In other light or another hue it is right less often."),
            _with_refusal(figure, rows[name]),
            Sentence("Cameras and lamps that change more than this."),
            bears,
        )


def _knows_magnification(rows: dict[str, Any]) -> Iterator[Claim]:
    present = {name: rows[name] for name in MAGNIFICATIONS if name in rows and rows[name].get("refused")}
    if not present:
        return
    safe = all(
        low_end(row["refused"]) >= REFUSES_THEM or high_end(row["changed"]) <= FEW_CHANGED for row in present.values()
    )
    name, worst = min(present.items(), key=lambda item: item[1]["accuracy"]["value"])
    yield Claim(
        Sentence("Fields at another magnification are refused, or read as well.")
        if safe
        else Sentence("Fields at another magnification are often not refused, and read wrongly."),
        Sentence(
            "accuracy {figure} at the worst of {number} ({row}), refused {refused}",
            figure=show(worst["accuracy"]),
            number=len(present),
            row=name,
            refused=show(worst["refused"]),
        ),
        Sentence("Which magnification an image has: give whole fields like those it was trained on."),
        safe,
    )


def _with_refusal(figure: Sentence, row: dict[str, Any]) -> Sentence:
    """Add to a figure what share of the row's images is refused, if the classifier can refuse."""
    if not row.get("refused"):
        return figure
    return Sentence("{before}, refused {figure}", before=figure, figure=show(row["refused"]))
