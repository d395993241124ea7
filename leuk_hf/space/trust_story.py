"""The shortcut audit as three stories, and the figures that sum a checkpoint up, from results.json alone.

Shared contract: each story asks one thing of several changes of a field. What counts as expected is decided by the
bound of the interval and the thresholds of `leuk_hf.audit_findings`, so that few fields accuse less, never more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from leuk_hf.audit_findings import ABOVE_CHANCE, MOVED, NUISANCES, REFUSES
from leuk_hf.audit_rows import REMOVED, corner_only, foreign_corner
from leuk_hf.counterfactuals import CORNERS
from leuk_hf.protocol_tables import is_comparison

Value = float | int | str | Mapping[str, Any]  # a share, a number, a text, or a figure

_RECIPE = "default"  # of the released weights
_KNOW = (
    *REMOVED,
    "emptied, with another class's holes added",
    "silhouettes: hole mask only",
    "background only: leukocytes greyed out",
    "glass only",
    *(corner_only(corner) for corner in CORNERS),
)
_KEEP = (
    "leukocytes only, on grey",
    "leukocytes on another class's background",
    "leukocytes on another background of their class",
    "half of the leukocytes removed",
    "sham: equal holes off the leukocytes",
)
_MOVE = (*(foreign_corner(corner) for corner in CORNERS), "burnt-in annotation inpainted")


@dataclasses.dataclass(frozen=True)
class Line:
    """One change of the audit.

    Args:
        name: As in results.json.
        figure: What the story looks at.
        refused: Share refused; None if the classifier cannot.
        is_expected: Whether it is what a reader of leukocytes would give.
    """

    name: str
    figure: Mapping[str, Any]
    refused: Mapping[str, Any] | None
    is_expected: bool


@dataclasses.dataclass(frozen=True)
class Story:
    """Changes of which one thing is expected.

    Args:
        key: "know", "keep" or "move".
        lines: In the order of the audit.
        mark: The share to compare with.
        values: What the sentence of what happened needs.
    """

    key: str
    lines: tuple[Line, ...]
    mark: float
    values: Mapping[str, Value]


@dataclasses.dataclass(frozen=True)
class Card:
    """One figure that sums up.

    Args:
        key: Of its words.
        figure: The share.
        values: What its words need.
    """

    key: str
    figure: Mapping[str, Any]
    values: Mapping[str, Value]


def stories_of(report: Mapping[str, Any]) -> Iterator[Story]:
    """Tell an audit; a story without a row is left out.

    Args:
        report: An `AuditReport.to_dict`.
    """
    rows = report["rows"]
    chance = 1 / len(report["num_fields_of_class"])
    clean = rows["as it is"]["balanced_accuracy"]

    def lines(names: list[str], measure: str, expected: Any) -> tuple[Line, ...]:
        return tuple(
            Line(name, rows[name][measure], rows[name]["refused"], bool(expected(rows[name])))
            for name in rows
            if name in names
        )

    if know := lines(list(_KNOW), "balanced_accuracy", lambda row: _knows_nothing(row, chance)):
        most = max(know, key=lambda line: line.figure["value"])
        yield Story("know", know, chance, {"figure": most.figure, "row": most.name, "chance": chance})
    if keep := lines(list(_KEEP), "balanced_accuracy", lambda row: _is_enough(row, clean)):
        least = min(keep, key=lambda line: line.figure["value"])
        yield Story("keep", keep, clean["value"], {"figure": least.figure, "row": least.name, "clean": clean})
    harmless = [name for name, row in rows.items() if name in _MOVE or row["section"] in NUISANCES]
    if move := lines(harmless, "changed", lambda row: _low(row["changed"]) <= MOVED):
        worst = max(move, key=lambda line: line.figure["value"])
        moved = sum(not line.is_expected for line in move)
        values: dict[str, Value] = {
            "figure": worst.figure,
            "row": worst.name,
            "moved": moved,
            "all": len(move),
            "limit": MOVED,
        }
        yield Story("move", move, MOVED, values)


def cards_of(results: Mapping[str, Any]) -> Iterator[Card]:
    """Choose the figures that stand first.

    Args:
        results: Content of a results.json.
    """
    own = [entry for entry in results.get("protocols", {}).values() if not is_comparison(entry)]
    for entry in own:
        yield Card("card_right", entry["metrics"]["balanced_accuracy"], {"fields": entry["num_fields"]})
    yield from _in_other_sessions(results)
    for report in results.get("audit", {}).values():
        if "rows" not in report:
            continue
        if removed := [report["rows"][name]["balanced_accuracy"] for name in REMOVED if name in report["rows"]]:
            chance = 1 / len(report["num_fields_of_class"])
            yield Card("card_removed", max(removed, key=lambda each: each["value"]), {"chance": chance})
        for story in stories_of(report):
            if story.key == "move":
                worst = max(story.lines, key=lambda line: line.figure["value"])
                yield Card("card_moved", worst.figure, {"row": worst.name})
    for entry in own:
        if sets := entry.get("prediction_sets"):
            yield Card("card_sets", sets["coverage"], {"size": f"{sets['mean_size']['value']:.2f}"})


def _in_other_sessions(results: Mapping[str, Any]) -> Iterator[Card]:
    """Give what the recipe reaches where it knows the fewest sessions: what it does on known slides says little."""
    found = []
    for entry in results.get("protocols", {}).values():
        if is_comparison(entry) and not entry["without"] and entry.get("sessions"):
            found.append((entry["sessions"]["share_left_out"], entry))
    if found:
        share, entry = max(found, key=lambda each: each[0])
        name = _RECIPE if _RECIPE in entry["recipes"] else next(iter(entry["recipes"]))
        values: dict[str, Value] = {"recipe": name, "protocol": entry["protocol"], "share": share}
        yield Card("card_sessions", entry["recipes"][name]["metrics"]["balanced_accuracy"], values)


def _knows_nothing(row: Mapping[str, Any], chance: float) -> bool:
    refuses = row["refused"] is not None and _low(row["refused"]) > REFUSES
    return refuses or _low(row["balanced_accuracy"]) <= chance + ABOVE_CHANCE


def _is_enough(row: Mapping[str, Any], clean: Mapping[str, Any]) -> bool:
    return _high(row["balanced_accuracy"]) >= _low(clean) - ABOVE_CHANCE


def _low(figure: Mapping[str, Any]) -> float:
    return figure["value"] if figure["interval"] is None else figure["interval"][0]


def _high(figure: Mapping[str, Any]) -> float:
    return figure["value"] if figure["interval"] is None else figure["interval"][1]
