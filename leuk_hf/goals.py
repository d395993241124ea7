"""What this project set out to reach, and what a checkpoint reaches, from results.json alone.

Shared contract: a goal is met when the figure itself reaches its bar; the interval beside it says how sure that is.
A figure that was not measured is shown as such. Labels are those with refusal off unless the goal says otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from leuk_hf.audit_rows import REMOVED, foreign_corner
from leuk_hf.counterfactuals import CORNERS
from leuk_hf.protocol_tables import epochs_of, is_comparison

_PHOTOS_AND_TISSUE, _OTHER_SMEARS = ("natural_photos", "histology_he"), ("bccd",)
_DARKEST, _BRIGHTEST = "brightness x0.6", "brightness x1.4"
_LIGHTS = (_DARKEST, "brightness x1.2", _BRIGHTEST)
_UP, _DOWN = ">=", "<="
PLAIN = "plain"  # the recipe whose figures are kept in the section `compared`

Figure = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Goal:
    """One figure beside its bar.

    Args:
        text: What is measured.
        bar: The value to reach.
        direction: ">=" or "<=".
        figures: By what they are of; the worst of them decides.
    """

    text: str
    bar: float
    direction: str
    figures: dict[str, Figure]

    @property
    def is_met(self) -> bool | None:
        """Whether every figure reaches the bar; None when none was measured."""
        values = [figure["value"] for figure in self.figures.values()]
        if not values:
            return None
        return min(values) >= self.bar if self.direction == _UP else max(values) <= self.bar


def goals_of(results: dict[str, Any], recipe: str = "default") -> tuple[Goal, ...]:
    """Find the figures of every goal.

    Args:
        results: Content of a results.json.
        recipe: Whose figures are taken where recipes were compared.
    """
    rows: dict[str, Any] = next(
        (report["rows"] for report in results.get("audit", {}).values() if "rows" in report), {}
    )
    goals = [
        *_accuracy(results, recipe),
        *_audited(rows),
        *_calibrated(results, recipe),
        *_refused(results, recipe),
        *_explained(results),
    ]
    return tuple(goals)


def goals_table(results: dict[str, Any]) -> str:
    """Write the goals as Markdown, what the recipe `plain` reaches beside what is reached here.

    Args:
        results: Content of a results.json; the figures of a checkpoint of `plain` are in `results["compared"]`.
    """
    plain = results.get("compared", {}).get(PLAIN, {})
    comparisons = {key: entry for key, entry in results.get("protocols", {}).items() if is_comparison(entry)}
    protocols = {**comparisons, **plain.get("protocols", {})}
    beside = {goal.text: goal for goal in goals_of({**plain, "protocols": protocols}, PLAIN)}
    lines = ["| goal | bar | `plain` | reached (95 % interval) | |", "|---|---|---|---|---|"]
    for goal in goals_of(results):
        met = {True: "yes", False: "no", None: ""}[goal.is_met]
        shown, compared = (_show_all(one) for one in (goal, beside[goal.text]))
        lines.append(f"| {goal.text} | {goal.direction} {goal.bar:g} | {compared} | {shown} | {met} |")
    return "\n".join(lines)


def _entries(results: dict[str, Any], protocol: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what was measured under a protocol: of the checkpoint, then of the compared runs of a recipe."""
    protocols = results.get("protocols", {})
    if protocol in protocols and not is_comparison(protocols[protocol]):
        yield "one checkpoint", protocols[protocol]
    for entry in protocols.values():
        if is_comparison(entry) and entry["protocol"] == protocol and not entry["without"]:
            recipe = entry["recipes"].get(name)
            if recipe is not None:
                # Not the recipe's num_runs: folds are pooled into one, of several runs all the same.
                epochs = epochs_of(recipe)
                yield f"{len(entry['runs'])} run(s)" + (f" of {epochs} epochs" if epochs else ""), recipe


def _accuracy(results: dict[str, Any], name: str) -> Iterator[Goal]:
    for protocol, bar in (("grouped", 0.98), ("reference", 0.88)):
        figures = {of: entry["metrics"]["balanced_accuracy"] for of, entry in _entries(results, protocol, name)}
        yield Goal(f"`{protocol}`: balanced accuracy", bar, _UP, figures)


def _audited(rows: dict[str, Any]) -> Iterator[Goal]:
    def of(names: tuple[str, ...], measure: str, *, short: bool = True) -> dict[str, Figure]:
        present = {name: rows[name][measure] for name in names if name in rows and rows[name].get(measure)}
        return {("" if short and len(names) == 1 else name): figure for name, figure in present.items()}

    answered = {name: _complement(figure) for name, figure in of(REMOVED, "refused").items()}
    yield Goal("leukocytes removed: balanced accuracy", 0.35, _DOWN, of(REMOVED, "balanced_accuracy"))
    yield Goal("leukocytes removed: answered with refusal on", 0.02, _DOWN, answered)
    sham = ("sham: equal holes off the leukocytes",)
    yield Goal("sham holes: changed", 0.02, _DOWN, of(sham, "changed"))
    yield Goal("sham holes: refused", 0.02, _DOWN, of(sham, "refused"))
    moved = ("leukocytes on another class's background",)
    yield Goal("transplant: the label stays with the leukocytes", 0.95, _UP, of(moved, "accuracy"))
    lost = {}
    if "leukocytes only, on grey" in rows:
        clean, alone = (rows[name]["balanced_accuracy"] for name in ("as it is", "leukocytes only, on grey"))
        lost[""] = {"value": clean["value"] - alone["value"], "interval": None}
    yield Goal("leukocytes only: balanced accuracy lost", 0.03, _DOWN, lost)
    yield Goal("colours of another class: changed", 0.05, _DOWN, of(("colours of another class",), "changed"))
    yield Goal("grey: accuracy", 0.9, _UP, of(("grey",), "accuracy"))
    yield Goal("brightness: accuracy", 0.97, _UP, of(_LIGHTS, "accuracy"))
    corners = tuple(foreign_corner(corner) for corner in CORNERS)
    yield Goal("corner of another class: changed", 0.005, _DOWN, of(corners, "changed"))


def _calibrated(results: dict[str, Any], name: str) -> Iterator[Goal]:
    errors: dict[str, Figure] = {}
    covered: dict[str, Figure] = {}
    sizes: dict[str, Figure] = {}
    for of, entry in _entries(results, "grouped", name):
        if error := entry["metrics"].get("expected_calibration_error"):
            errors[of] = error
        by_class = {label: row["coverage"] for label, row in entry.get("per_class", {}).items() if row.get("coverage")}
        covered |= {f"{of}, {label}": figure for label, figure in by_class.items()}
        if size := entry.get("prediction_sets", {}).get("mean_size"):
            sizes[of] = size
    yield Goal("`grouped`: expected calibration error", 0.02, _DOWN, errors)
    yield Goal("coverage of the prediction sets, by class", 0.95, _UP, covered)
    low = {of: {"value": row["interval"][0], "interval": None} for of, row in covered.items() if row["interval"]}
    yield Goal("lower end of its interval", 0.92, _UP, low)
    yield Goal("mean size of the prediction sets", 1.1, _DOWN, sizes)


def _refused(results: dict[str, Any], name: str) -> Iterator[Goal]:
    refusal: dict[str, Any] = next((entry["refusal"] for entry in results.get("calibration", {}).values()), {})
    by_name = {name.rstrip("/").split("/")[-1]: entry for name, entry in refusal.items()}
    for text, names, bar in (
        ("refusal of photographs and tissue: AUROC", _PHOTOS_AND_TISSUE, 0.995),
        ("refusal of another laboratory's smears: AUROC", _OTHER_SMEARS, 0.95),
    ):
        found = {name: {"value": by_name[name]["auroc"], "interval": None} for name in names if name in by_name}
        yield Goal(text, bar, _UP, found)
    refused: dict[str, Figure] = {}
    for protocol in ("grouped", "reference"):
        for of, entry in _entries(results, protocol, name):
            if answered := entry.get("with_refusal", {}).get("answered"):
                refused[f"`{protocol}`, {of}"] = _complement(answered)
    yield Goal("fields of the data set refused", 0.03, _DOWN, refused)


def _explained(results: dict[str, Any]) -> Iterator[Goal]:
    figures: dict[str, Figure] = {}
    for entry in results.get("explanations", {}).values():
        chosen = entry["chosen"]
        if chosen is not None and not figures:
            own = next(one for one in entry["maps"] if all(one[key] == chosen[key] for key in ("method", "layer")))
            figures = {
                label: figure["of_perfect"]
                for label, figure in own["classes"].items()
                if label != "all" and figure.get("of_perfect", {}).get("value") is not None
            }
    yield Goal("attribution on leukocytes over a perfect map's, by class", 0.8, _UP, figures)


def _complement(figure: Figure) -> Figure:
    interval = figure["interval"]
    return {"value": 1 - figure["value"], "interval": None if interval is None else [1 - interval[1], 1 - interval[0]]}


def _show_all(goal: Goal) -> str:
    return "; ".join(f"{name} {_show(figure)}".strip() for name, figure in goal.figures.items()) or "not measured"


def _show(figure: Figure) -> str:
    value = f"{figure['value']:.3f}"
    return value if figure["interval"] is None else "{} ({:.3f}-{:.3f})".format(value, *figure["interval"])
