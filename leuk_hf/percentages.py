"""Shares as percentages to read; files for programs keep the numbers."""

from __future__ import annotations

_SPACE = "\u00a0"  # a line must not end between the number and its sign


def share_text(value: float) -> str:
    """Write a share: "< 1 %", "93 %", "> 99 %"; 0 and 1 only of what is exactly that.

    Args:
        value: In [0, 1].
    """
    if 0 < value < 0.01:
        return f"<{_SPACE}1{_SPACE}%"
    if 0.99 < value < 1:
        return f">{_SPACE}99{_SPACE}%"
    return f"{100 * value:.0f}{_SPACE}%"


def probability_text(value: float) -> str:
    """Write a probability as a percentage that never claims certainty, even where arithmetic has rounded it to 0 or 1.

    Args:
        value: In [0, 1].
    """
    return share_text(min(max(value, 1e-9), 1 - 1e-9))
