"""How wide a data set's leukocytes are for their height: squashed images have narrow ones.

Shared contract: labels are int32 (H, W) as from `cells.label_leukocytes`. A cell's width over its height is the root
of the ratio of its pixels' variances across and down: 1 for a circle, the ratio of the axes for an upright ellipse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leuk_hf.cells import describe_leukocytes
from leuk_hf.metrics import bootstrap_interval
from leuk_hf.results import figure


def widths_over_heights(labels: np.ndarray) -> list[float]:
    """Measure the cells that lie wholly inside of a field, in the order of their labels.

    Args:
        labels: int32 (H, W).
    """
    ratios = []
    for cell in describe_leukocytes(labels):
        if cell.touches_border:
            continue
        left, top, right, bottom = cell.box
        rows, columns = np.nonzero(labels[top:bottom, left:right] == cell.label)
        # A row of one pixel has no variance; a twelfth is that of the pixel itself.
        ratios.append(float(np.sqrt((columns.var() + 1 / 12) / (rows.var() + 1 / 12))))
    return ratios


def cell_shape(
    ratios: Sequence[Sequence[float]], groups: np.ndarray, sessions: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """Average over all cells of a data set, and over those of each session.

    Args:
        ratios: Of each field, from `widths_over_heights`.
        groups: (N,) by which the interval is drawn.
        sessions: Acquisition session of each field.
        seed: Of the bootstrap.

    Returns:
        JSON types: num_fields and num_leukocytes that were measured, width_over_height {value, interval}, by_session.

    Raises:
        ValueError: If no field has a cell.
    """
    totals = np.array([sum(each) for each in ratios])
    counts = np.array([len(each) for each in ratios])
    if not counts.sum():
        raise ValueError("no field has a leukocyte that lies wholly inside; give fields with some")

    def mean(rows: np.ndarray) -> float:
        return float(totals[rows].sum() / counts[rows].sum()) if counts[rows].sum() else float("nan")

    everything = np.arange(len(counts))
    named = np.asarray(sessions)
    by_session = {name: mean(everything[named == name]) for name in sorted(set(sessions))}
    return {
        "num_fields": int((counts > 0).sum()),
        "num_leukocytes": int(counts.sum()),
        "width_over_height": figure(mean(everything), bootstrap_interval(mean, groups, seed=seed)),
        "by_session": {name: value for name, value in by_session.items() if value == value},
    }
