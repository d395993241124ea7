"""Which sentence about a checkpoint each of its figures supports, and which it does not, from results.json alone.

Shared contract: a sentence is chosen by the bound of the figure's 95 % interval that speaks against it, so that few
fields say less, never more; differences of two figures and figures without an interval are taken as they are. A figure
that was not measured gives no sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from leuk_hf.audit_claims import audit_claims
from leuk_hf.claim import MOST_RIGHT, Claim, high_end, low_end, number, show
from leuk_hf.conformal import COVERAGE
from leuk_hf.protocol_tables import epochs_of, is_comparison
from leuk_hf.sentence import Sentence, listed

SMALL_ERROR, LARGE_ERROR = 0.02, 0.05  # expected calibration error
TOLD_APART, REFUSED = 0.95, 0.9  # AUROC and share of refusal
ON_LEUKOCYTES = 0.8  # of what the leukocytes' own map reaches
LEARNED = 0.3  # rank correlation with a random network's map up to which a map counts as learned
COVERED = 0.92  # lower bound of a class's coverage
_SAME_SLIDES = ("random", "grouped")  # protocols


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
        accuracy, familiar = entry["metrics"]["balanced_accuracy"], protocol in _SAME_SLIDES
        apart = low_end(accuracy) >= MOST_RIGHT
        said = {
            (True, True): Sentence(
                "It tells the classes apart on fields like those it was trained on (protocol `{protocol}`).",
                protocol=protocol,
            ),
            (True, False): Sentence(
                "It does not always tell the classes apart, even on fields like those it was trained on (protocol"
                " `{protocol}`).",
                protocol=protocol,
            ),
            (False, True): Sentence(
                "It tells the classes apart in sessions left out of training (protocol `{protocol}`).",
                protocol=protocol,
            ),
            (False, False): Sentence(
                "It does not always tell the classes apart in sessions left out of training (protocol `{protocol}`).",
                protocol=protocol,
            ),
        }
        yield Claim(
            said[familiar, apart],
            Sentence(
                "balanced accuracy {figure}, {fields} test fields", figure=show(accuracy), fields=entry["num_fields"]
            ),
            Sentence("How it does on slides of another session, laboratory or patient.")
            if familiar
            else Sentence("How it does on slides of another laboratory or patient."),
            None if apart else False,
        )


def _other_sessions(results: dict[str, Any]) -> Iterator[Claim]:
    for entry in results.get("protocols", {}).values():
        if not is_comparison(entry) or entry["protocol"] not in ("reference", "acquisition") or entry["without"]:
            continue
        yield Claim(
            Sentence(
                "So often these recipes are right in sessions left out of training (protocol `{protocol}`, balanced).",
                protocol=entry["protocol"],
            ),
            listed(_recipe(name, recipe) for name, recipe in entry["recipes"].items()),
            Sentence(
                "What these very weights do there, for networks were trained anew for it; what any does for other"
                " patients: the sessions of a class may be of the same ones, and nothing in the data tells."
            ),
            None,
        )


def _recipe(name: str, recipe: dict[str, Any]) -> Sentence:
    figure, epochs = show(recipe["metrics"]["balanced_accuracy"]), epochs_of(recipe)
    if epochs is None:
        return Sentence("{name}: {figure}", name=name, figure=figure)
    return Sentence("{name}, {epochs} epochs: {figure}", name=name, epochs=epochs, figure=figure)


def _probabilities(results: dict[str, Any]) -> Iterator[Claim]:
    for name, part in results.get("protocols", {}).items():
        if is_comparison(part):
            continue
        error = part["metrics"].get("expected_calibration_error")
        if error is not None:
            small = high_end(error) <= SMALL_ERROR
            yield Claim(
                Sentence("Its probabilities mean what they say.")
                if small
                else Sentence("Its probabilities are roughly right.")
                if high_end(error) <= LARGE_ERROR
                else Sentence("Its probabilities do not mean what they say."),
                Sentence("expected calibration error {figure} (`{name}`)", figure=show(error), name=name),
                Sentence("Probabilities in other laboratories, where the mix of classes and the slides differ."),
                small,
            )
        covered = {label: row["coverage"] for label, row in part["per_class"].items() if row.get("coverage")}
        sets = part.get("prediction_sets", {})
        if covered and "mean_size" in sets:
            label, worst = min(covered.items(), key=lambda item: item[1]["value"])
            holds = min(low_end(each) for each in covered.values()) >= COVERED
            yield Claim(
                Sentence(
                    "The prediction set holds the true class, of each class, about as often as promised ({promised}).",
                    promised=f"{100 * COVERAGE:.0f} %",
                )
                if holds
                else Sentence(
                    "The prediction set may hold the true class less often than promised ({promised}).",
                    promised=f"{100 * COVERAGE:.0f} %",
                ),
                Sentence(
                    "coverage {figure} at worst ({label}), mean size {size} of {classes}",
                    figure=show(worst),
                    label=label,
                    size=f"{sets['mean_size']['value']:.2f}",
                    classes=len(part["per_class"]),
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
            apart = all(each["auroc"] >= TOLD_APART and each["refused"] >= REFUSED for each in others.values())
            yield Claim(
                Sentence("It tells images that are no such smear from usable fields.")
                if apart
                else Sentence("It does not tell all images that are no such smear from usable fields."),
                listed([*shares, Sentence("usable fields refused: {share} %", share=usable)]),
                Sentence("That what it answers is a usable smear: there are more kinds of junk than these."),
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
        low = min(map(low_end, of_perfect.values()), default=0.0)
        yield Claim(
            Sentence("Its map lies on leukocytes, and what it shows matters for the answer.")
            if low >= ON_LEUKOCYTES
            else Sentence("What its map shows matters for the answer, but part of it lies beside leukocytes."),
            Sentence(
                "{shares} of what the leukocytes' own map reaches on the same grid ({method}, {layer})",
                shares=", ".join(shares),
                method=chosen["method"],
                layer=chosen["layer"],
            ),
            Sentence("What about a leukocyte decides; where only leukocytes can be seen, a map on them is no merit."),
            low >= ON_LEUKOCYTES,
        )
        whole = own["classes"]["all"]
        if whole.get("network_randomised") is None:
            continue
        learned = high_end(whole["network_randomised"]) <= LEARNED
        yield Claim(
            Sentence("Where its map is hot depends on what it has learned.")
            if learned
            else Sentence("Where its map is hot is in part given by its architecture, not by what it has learned."),
            Sentence(
                "rank correlation with the map of a random network {network}, of a random classifier {classifier}, of"
                " random blocks {unrelated}",
                network=number(whole["network_randomised"]),
                classifier=number(whole["classifier_randomised"]),
                unrelated=number(whole["unrelated"]),
            ),
            Sentence("Which part: a network that sees leukocytes alone marks them whatever its weights."),
            learned,
        )


def _audits(results: dict[str, Any]) -> Iterator[Claim]:
    for report in results.get("audit", {}).values():
        if "rows" in report:
            yield from audit_claims(report["rows"])


_RULES = (_accuracy, _other_sessions, _audits, _probabilities, _refusals, _explanations)
