"""Which sentence about a checkpoint each of its figures supports, and which it does not, from results.json alone.

Shared contract: a sentence is chosen by the bound of the figure's 95 % interval that speaks against it, so that few
fields say less, never more; differences of two figures and figures without an interval are taken as they are. A figure
that was not measured gives no sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leuk_hf.audit_claims import audit_claims
from leuk_hf.claim import MOST_RIGHT, Claim, high_end, low_end, show
from leuk_hf.conformal import COVERAGE
from leuk_hf.explanation_claims import explanation_claims
from leuk_hf.protocol_tables import OTHER_SESSIONS, epochs_of, is_comparison, left_out
from leuk_hf.sentence import Sentence, listed

SMALL_ERROR, LARGE_ERROR = 0.02, 0.05  # expected calibration error
TOLD_APART, REFUSED = 0.95, 0.9  # AUROC and share of refusal
MOSTLY_WRONG = 0.5  # share right in a session below it
COVERED = 0.92  # lower bound of a class's coverage
FOREIGN = {  # what is in the folders that the shipped figures are of
    "natural_photos": Sentence("photographs"),
    "histology_he": Sentence("stained tissue"),
    "bccd": Sentence("blood smears of another laboratory"),
}
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
        if not is_comparison(entry) or entry["protocol"] not in OTHER_SESSIONS or entry["without"]:
            continue
        sessions = entry.get("sessions", {})
        figure = listed(_recipe(name, recipe) for name, recipe in entry["recipes"].items())
        if sessions:
            figure = Sentence(
                "{before}; {number} fields ({share} %) are of sessions wholly left out of training",
                before=figure,
                number=sessions["num_left_out"],
                share=f"{100 * sessions['share_left_out']:.1f}",
            )
        yield Claim(
            Sentence(
                "So often these recipes are right on the test part of protocol `{protocol}` (balanced).",
                protocol=entry["protocol"],
            ),
            figure,
            Sentence(
                "What these very weights do there, for networks were trained anew for it; what any does for other"
                " patients: the sessions of a class may be of the same ones, and nothing in the data tells."
            ),
            None,
        )
        if unknown := left_out(sessions.get("rows", ())):
            yield _left_out_sessions(entry["protocol"], unknown)


def _left_out_sessions(protocol: str, rows: Sequence[Mapping[str, Any]]) -> Claim:
    shares = {(row["session"], name): figures["mean"] for row in rows for name, figures in row["recipes"].items()}
    lowest = min(shares.values())
    if lowest >= MOST_RIGHT:
        said = Sentence(
            "In each session that they learned nothing of, networks trained for comparison are mostly right (protocol"
            " `{protocol}`).",
            protocol=protocol,
        )
    elif lowest >= MOSTLY_WRONG:
        said = Sentence(
            "In sessions that they learned nothing of, networks trained for comparison are right less often (protocol"
            " `{protocol}`).",
            protocol=protocol,
        )
    else:
        said = Sentence(
            "In some sessions that they learned nothing of, networks trained for comparison are mostly wrong (protocol"
            " `{protocol}`).",
            protocol=protocol,
        )
    told = [
        Sentence(
            "{session} ({label}, {fields} fields): {shares}",
            session=row["session"],
            label=row["class"],
            fields=row["num_fields"],
            shares=listed(
                Sentence("{name}: {figure}", name=name, figure=f"{100 * shares[row['session'], name]:.1f} %")
                for name in row["recipes"]
            ),
        )
        for row in rows
    ]
    caveat = Sentence("What they do in further sessions: these are few, and differ more than any interval says.")
    return Claim(said, listed(told), caveat, lowest >= MOST_RIGHT)


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
                    name=_foreign(name.rstrip("/").split("/")[-1]),
                    share=f"{100 * each['refused']:.1f}",
                    auroc=f"{each['auroc']:.3f}",
                )
                for name, each in others.items()
            ]
            usable = f"{100 * entry['refusal']['usable']['refused']:.1f}"
            apart = all(each["auroc"] >= TOLD_APART and each["refused"] >= REFUSED for each in others.values())
            yield Claim(
                Sentence("It tells other images than fields like its own from usable ones.")
                if apart
                else Sentence("It does not tell all other images than fields like its own from usable ones."),
                listed([*shares, Sentence("usable fields refused: {share} %", share=usable)]),
                Sentence("That what it answers is a usable smear: there are more kinds of junk than these."),
                apart,
            )


def _foreign(name: str) -> str:
    return Sentence("{what} ({name})", what=FOREIGN[name], name=name) if name in FOREIGN else name


def _audits(results: dict[str, Any]) -> Iterator[Claim]:
    for report in results.get("audit", {}).values():
        if "rows" in report:
            yield from audit_claims(report["rows"])


_RULES = (_accuracy, _other_sessions, _audits, _probabilities, _refusals, explanation_claims)
