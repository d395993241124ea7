"""Which sentence about a checkpoint each of its figures supports, and which it does not, from results.json alone.

Shared contract: a sentence is chosen by the bound of the figure's 95 % interval that speaks against it, so that few
fields say less, never more; differences of two figures and figures without an interval are taken as they are. A figure
that was not measured gives no sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from leuk_hf.audit_findings import REMOVED
from leuk_hf.protocol_tables import is_comparison
from leuk_hf.sentence import Sentence, listed

KNOWS_NOTHING = 0.35  # balanced accuracy up to which four classes count as guessed
LOST_ALONE = 0.03  # balanced accuracy that may be lost where leukocytes stand alone
FEW_CHANGED = 0.05
MOST_RIGHT = 0.90  # share right in another light that counts as unharmed
FOLLOWS = 0.95
SMALL_ERROR = 0.02  # expected calibration error
TOLD_APART = 0.95  # AUROC of refusal
ON_LEUKOCYTES = 0.8  # of what a perfect map reaches
COVERED = 0.92  # lower bound of a class's coverage
_LIGHT = ("grey", "brightness x0.6", "brightness x1.2", "brightness x1.4")


class Claim(NamedTuple):
    """A sentence about a checkpoint.

    Args:
        sentence: What the figure shows.
        figure: With its interval.
        caveat: What it does not show.
        is_good: Whether that is what one would wish; None where there is no goal.
    """

    sentence: Sentence
    figure: Sentence
    caveat: Sentence
    is_good: bool | None


def claims_text(results: dict[str, Any]) -> str:
    """Write the sentences that results.json supports as Markdown; empty without any.

    Args:
        results: Content of a results.json.
    """
    claims = claims_of(results)
    if not claims:
        return ""
    lines = ["| the figures say | figure (95 % interval) | they do not show |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(claim[:3])} |" for claim in claims)])


def claims_of(results: dict[str, Any]) -> tuple[Claim, ...]:
    """Give the sentences that results.json supports.

    Args:
        results: Content of a results.json.
    """
    return tuple(claim for rule in _RULES for claim in rule(results))


def _accuracy(results: dict[str, Any]) -> Iterator[Claim]:
    for protocol, entry in results.get("protocols", {}).items():
        if is_comparison(entry):
            continue
        yield Claim(
            Sentence(
                "It tells the classes apart on fields like those it was trained on (protocol `{protocol}`).",
                protocol=protocol,
            ),
            Sentence(
                "balanced accuracy {figure}, {fields} test fields",
                figure=_show(entry["metrics"]["balanced_accuracy"]),
                fields=entry["num_fields"],
            ),
            Sentence("How it does on slides of another session, laboratory or patient."),
            None,
        )


def _other_sessions(results: dict[str, Any]) -> Iterator[Claim]:
    for entry in results.get("protocols", {}).values():
        if not is_comparison(entry) or entry["protocol"] not in ("reference", "acquisition") or entry["without"]:
            continue
        recipes = {name: recipe["metrics"]["balanced_accuracy"] for name, recipe in entry["recipes"].items()}
        yield Claim(
            Sentence(
                "So often these recipes are right in sessions left out of training (protocol `{protocol}`, balanced).",
                protocol=entry["protocol"],
            ),
            listed(Sentence("{name}: {figure}", name=name, figure=_show(value)) for name, value in recipes.items()),
            Sentence("Other patients: the sessions of a class may be of the same ones; nothing in the data tells."),
            None,
        )


def _leukocytes_needed(rows: dict[str, Any]) -> Iterator[Claim]:
    present = [rows[name] for name in REMOVED if name in rows]
    if not present:
        return
    worst = max(present, key=lambda row: row["balanced_accuracy"]["value"])
    needed = _high(worst["balanced_accuracy"]) <= KNOWS_NOTHING
    removed = Sentence(
        "balanced accuracy {figure} with every leukocyte removed", figure=_show(worst["balanced_accuracy"])
    )
    if worst.get("refused"):
        removed = Sentence("{before}, refused {figure}", before=removed, figure=_show(worst["refused"]))
    yield Claim(
        Sentence("Without leukocytes it does not know the class.")
        if needed
        else Sentence("It names classes also without leukocytes."),
        removed,
        Sentence("That it reads in them what a haematologist reads."),
        needed,
    )


def _leukocytes_suffice(rows: dict[str, Any]) -> Iterator[Claim]:
    if (alone := rows.get("leukocytes only, on grey")) is None:
        return
    clean = rows["as it is"]["balanced_accuracy"]
    enough = alone["balanced_accuracy"]["value"] >= clean["value"] - LOST_ALONE
    yield Claim(
        Sentence("Leukocytes are enough for it.") if enough else Sentence("Leukocytes alone are not enough for it."),
        Sentence(
            "balanced accuracy {alone} on leukocytes alone, {whole} on whole fields",
            alone=_show(alone["balanced_accuracy"]),
            whole=_show(clean),
        ),
        Sentence("Which property of them decides."),
        enough,
    )


def _follows_leukocytes(rows: dict[str, Any]) -> Iterator[Claim]:
    if (moved := rows.get("leukocytes on another class's background")) is None:
        return
    follows = _low(moved["accuracy"]) >= FOLLOWS
    yield Claim(
        Sentence("On another background its label stays with the leukocytes.")
        if follows
        else Sentence("On another background its label does not always stay with the leukocytes."),
        Sentence(
            "stays {stays}, goes with the background {goes}",
            stays=_show(moved["accuracy"]),
            goes=_show(moved["followed_donor"]),
        ),
        Sentence("What it does on backgrounds of other laboratories."),
        follows,
    )


def _bears_light(rows: dict[str, Any]) -> Iterator[Claim]:
    if (coloured := rows.get("colours of another class")) is not None:
        kept = _high(coloured["changed"]) <= FEW_CHANGED
        yield Claim(
            Sentence("Colour hardly moves it.") if kept else Sentence("Colour still moves it."),
            Sentence("changed {figure} in another class's colours", figure=_show(coloured["changed"])),
            Sentence("Stains that change which structures are visible."),
            kept,
        )
    present = {name: rows[name]["accuracy"] for name in _LIGHT if name in rows}
    if present:
        name, worst = min(present.items(), key=lambda item: item[1]["value"])
        yield Claim(
            Sentence("It bears another light.")
            if _low(worst) >= MOST_RIGHT
            else Sentence("In another light it is right less often."),
            Sentence(
                "accuracy {figure} at the worst of {number} changes ({row})",
                figure=_show(worst),
                number=len(present),
                row=name,
            ),
            Sentence("Cameras and lamps that change more than this."),
            _low(worst) >= MOST_RIGHT,
        )


def _probabilities(results: dict[str, Any]) -> Iterator[Claim]:
    for name, part in _calibrated(results):
        error = part["metrics"].get("expected_calibration_error")
        if error is not None:
            small = _high(error) <= SMALL_ERROR
            yield Claim(
                Sentence("Its probabilities mean what they say.")
                if small
                else Sentence("Its probabilities are roughly right."),
                Sentence("expected calibration error {figure} (`{name}`)", figure=_show(error), name=name),
                Sentence("Probabilities in other laboratories, where the mix of classes and the slides differ."),
                small,
            )
        covered = {label: row["coverage"] for label, row in part["per_class"].items() if row.get("coverage")}
        sets = part.get("prediction_sets", {})
        if covered and "mean_size" in sets:
            label, worst = min(covered.items(), key=lambda item: item[1]["value"])
            holds = min(_low(each) for each in covered.values()) >= COVERED
            yield Claim(
                Sentence("The prediction set holds the true class, of each class, about as often as promised.")
                if holds
                else Sentence("The prediction set may hold the true class less often than promised."),
                Sentence(
                    "coverage {figure} at worst ({label}), mean size {size}",
                    figure=_show(worst),
                    label=label,
                    size=f"{sets['mean_size']['value']:.2f}",
                ),
                Sentence("Coverage on fields that are not drawn like the calibration fields."),
                holds,
            )


def _refusals(results: dict[str, Any]) -> Iterator[Claim]:
    for entry in results.get("calibration", {}).values():
        others = {name: each for name, each in entry["refusal"].items() if name != "usable"}
        if others:
            shares = [
                Sentence(
                    "{name}: {share} % refused, AUROC {auroc}",
                    name=name.rstrip("/").split("/")[-1],
                    share=f"{100 * each['refused']:.1f}",
                    auroc=f"{each['auroc']:.3f}",
                )
                for name, each in others.items()
            ]
            usable = f"{100 * entry['refusal']['usable']['refused']:.1f}"
            apart = min(each["auroc"] for each in others.values()) >= TOLD_APART
            yield Claim(
                Sentence("It tells images that are no such smear from usable fields.")
                if apart
                else Sentence("It does not tell all images that are no such smear from usable fields."),
                listed([*shares, Sentence("usable fields refused: {share} %", share=usable)]),
                Sentence("That what it answers is a usable smear: other kinds of junk were not tried."),
                apart,
            )


def _explanations(results: dict[str, Any]) -> Iterator[Claim]:
    for name, entry in results.get("explanations", {}).items():
        chosen = entry["chosen"]
        if chosen is None:
            yield Claim(
                Sentence("No map is shown to be true to it."),
                Sentence("no gain over random blocks ({name})", name=name),
                Sentence("That its maps are false."),
                False,
            )
            continue
        own = next(one for one in entry["maps"] if all(one[key] == chosen[key] for key in ("method", "layer")))
        of_perfect = {
            label: figures["of_perfect"]
            for label, figures in own["classes"].items()
            if label != "all" and figures.get("of_perfect", {}).get("value") is not None
        }
        shares = [f"{label} {figure['value']:.2f}" for label, figure in of_perfect.items()]
        low = min(map(_low, of_perfect.values()), default=0.0)
        yield Claim(
            Sentence("Its map lies on leukocytes, and what it shows matters for the answer.")
            if low >= ON_LEUKOCYTES
            else Sentence("What its map shows matters for the answer, but part of it lies beside leukocytes."),
            Sentence(
                "{shares} of what a perfect map on the same grid reaches ({method}, {layer})",
                shares=", ".join(shares),
                method=chosen["method"],
                layer=chosen["layer"],
            ),
            Sentence("What about a leukocyte decides; where only leukocytes can be seen, a map on them is no merit."),
            low >= ON_LEUKOCYTES,
        )


def _of_audit(rule: Callable[[dict[str, Any]], Iterator[Claim]]) -> Callable[[dict[str, Any]], Iterator[Claim]]:
    def over(results: dict[str, Any]) -> Iterator[Claim]:
        for report in results.get("audit", {}).values():
            if "rows" in report:
                yield from rule(report["rows"])

    return over


_RULES = (
    _accuracy,
    _other_sessions,
    *map(_of_audit, (_leukocytes_needed, _leukocytes_suffice, _follows_leukocytes, _bears_light)),
    _probabilities,
    _refusals,
    _explanations,
)


def _calibrated(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in results.get("calibration", {}).items():
        if "test_part" in entry:
            yield name, entry["test_part"]


def _low(figure: dict[str, Any]) -> float:
    return figure["value"] if figure["interval"] is None else figure["interval"][0]


def _high(figure: dict[str, Any]) -> float:
    return figure["value"] if figure["interval"] is None else figure["interval"][1]


def _show(figure: dict[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return Sentence("not defined")
    value = f"{100 * figure['value']:.1f} %"
    if figure["interval"] is None:
        return value
    low, high = figure["interval"]
    return f"{value} ({100 * low:.1f}-{100 * high:.1f})"
