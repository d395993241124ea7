"""A sentence about a checkpoint beside its figure, and how figures of results.json are read and shown in one.

Shared contract: a figure is {"value", "interval"}; without an interval, its ends are the figure itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from leuk_hf.sentence import Sentence

MOST_RIGHT = 0.90  # share right that counts as telling classes apart, and as unharmed in another light


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


def low_end(figure: dict[str, Any]) -> float:
    """Give the lower end of a figure's interval."""
    return figure["value"] if figure["interval"] is None else figure["interval"][0]


def high_end(figure: dict[str, Any]) -> float:
    """Give the upper end of a figure's interval."""
    return figure["value"] if figure["interval"] is None else figure["interval"][1]


def show(figure: dict[str, Any] | None) -> str:
    """Write a share in per cent, with its interval."""
    if figure is None or figure["value"] is None:
        return Sentence("not defined")
    value = f"{100 * figure['value']:.1f} %"
    if figure["interval"] is None:
        return value
    low, high = figure["interval"]
    return f"{value} ({100 * low:.1f}-{100 * high:.1f})"


def number(figure: dict[str, Any]) -> str:
    """Write a value with two digits, and its interval."""
    bounds = "" if figure["interval"] is None else " ({:.2f}-{:.2f})".format(*figure["interval"])
    return f"{figure['value']:.2f}{bounds}"
