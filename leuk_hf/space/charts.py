"""Figures, tables and diagrams as HTML and SVG in the page's own colours, from plain values.

Shared contract: every text that is passed is escaped here; numbers are written left to right in every language; a
diagram repeats what stands beside it as text, or has a text of its own.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from leuk_hf.metrics import wilson_interval

Figure = Mapping[str, Any]  # {"value", "interval"} of results.json

CSS = """
.leuk-figure {white-space: nowrap; unicode-bidi: isolate; direction: ltr; font-variant-numeric: tabular-nums}
.leuk-figure small {color: var(--body-text-color-subdued)}
.leuk-scroll {overflow-x: auto; max-width: 100%}
.leuk-table {border-collapse: collapse; width: 100%; font-size: var(--text-sm)}
.leuk-table, .leuk-table thead, .leuk-table tbody, .leuk-table tr {border: 0 !important}
.leuk-table caption {text-align: start; color: var(--body-text-color-subdued); padding-bottom: 0.4em}
.leuk-table th, .leuk-table td {border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important;
  padding: 0.35em 0.6em !important; text-align: start !important; vertical-align: top}
.leuk-table th {font-weight: 600}
.leuk-table tbody th {font-weight: 500}
.leuk-table thead th {color: var(--body-text-color-subdued)}
.leuk-track {position: relative; direction: ltr; min-width: 5em; max-width: 22em; height: 0.7em; margin-top: 0.3em;
  border-radius: 0.4em; background: var(--border-color-primary)}
.leuk-track * {position: absolute; top: 0; bottom: 0; display: block}
.leuk-track i {background: color-mix(in srgb, var(--color-accent) 45%, transparent); border-radius: 0.4em}
.leuk-track b {width: 4px; margin-inline-start: -2px; background: var(--color-accent)}
.leuk-track u {width: 0; top: -3px; bottom: -3px; border-inline-start: 2px dashed var(--body-text-color)}
.leuk-matrix td {text-align: center !important; font-variant-numeric: tabular-nums}
.leuk-diagram {width: 100%; max-width: 26em; height: auto; direction: ltr}
.leuk-diagram text {fill: var(--body-text-color); font-size: 12px}
.leuk-diagram .axis {stroke: var(--body-text-color-subdued); fill: none}
.leuk-diagram .ideal {stroke: var(--body-text-color-subdued); stroke-dasharray: 3 4}
.leuk-diagram .bound {stroke: var(--color-accent); stroke-width: 2; opacity: 0.6}
.leuk-diagram circle {fill: var(--color-accent)}
@media (max-width: 640px) {.leuk-table th, .leuk-table td {padding: 0.3em 0.3em !important}}
"""


def direction(language: str | None) -> str:
    """Give the attributes of what is written in a language.

    Args:
        language: "en" or "fa".
    """
    return 'lang="fa" dir="rtl"' if language == "fa" else 'lang="en" dir="ltr"'


def number(value: float, digits: int = 3) -> str:
    """Write a number left to right, as HTML."""
    return f'<span class="leuk-figure">{value:.{digits}f}</span>'


def percent(share: float) -> str:
    """Write a share in [0, 1] as HTML."""
    return f'<span class="leuk-figure">{_percent(share)} %</span>'


def rounded(share: float) -> str:
    """Write a share that is a round number by choice, as text that keeps its direction among other letters."""
    return f"\u2066{100 * share:.0f} %\u2069"


def figure(entry: Figure | None, *, is_share: bool = True) -> str:
    """Write a figure with its interval, as HTML; a dash if it is not known.

    Args:
        entry: {"value", "interval"}.
        is_share: Whether it is written in percent.
    """
    if entry is None or entry["value"] is None:
        return "–"
    show = _percent if is_share else lambda value: f"{value:.3f}"
    unit = " %" if is_share else ""
    bounds = ""
    if entry.get("interval") is not None:
        low, high = entry["interval"]
        bounds = f" <small>({show(low)}–{show(high)})</small>"
    return f'<span class="leuk-figure">{show(entry["value"])}{unit}{bounds}</span>'


def bar(entry: Figure | None, mark: float | None = None) -> str:
    """Draw a share and its interval on a line from 0 to 1; the text that stands beside it is not repeated.

    Args:
        entry: {"value", "interval"}.
        mark: A share to compare with.
    """
    if entry is None or entry["value"] is None:
        return ""
    low, high = entry.get("interval") or (entry["value"], entry["value"])
    parts = (
        f'<i style="left:{_place(low)};width:{_place(high - low)}"></i><b style="left:{_place(entry["value"])}"></b>'
    )
    if mark is not None:
        parts += f'<u style="left:{_place(mark)}"></u>'
    return f'<div class="leuk-track" aria-hidden="true">{parts}</div>'


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """Write a table whose first column names its rows.

    Args:
        headings: Texts.
        rows: A text that names the row, then cells as HTML.
        caption: Text.
    """
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in headings)
    body = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return _scrolled(f'<table class="leuk-table">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def confusion_table(
    matrix: Sequence[Sequence[int]], names: Sequence[str], *, true: str, said: str, caption: str
) -> str:
    """Write a confusion matrix as a table, shaded by the share of the true class.

    Args:
        matrix: Counts, rows true.
        names: Of the classes.
        true: Word for the rows.
        said: Word for the columns.
        caption: Text.
    """
    head = "".join(f'<th scope="col"><bdi>{html.escape(name)}</bdi></th>' for name in names)
    lines = []
    for name, counts in zip(names, matrix, strict=True):
        total = max(sum(counts), 1)
        # No more than half: the text keeps its contrast in both themes.
        cells = "".join(
            f'<td style="background:color-mix(in srgb, var(--color-accent) {45 * count / total:.0f}%, transparent)">'
            f"{int(count)}</td>"
            for count in counts
        )
        lines.append(f'<tr><th scope="row"><bdi>{html.escape(name)}</bdi></th>{cells}</tr>')
    corner = f'<th scope="col">{html.escape(true)} \\ {html.escape(said)}</th>'
    return _scrolled(
        f'<table class="leuk-table leuk-matrix"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{corner}{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def reliability_diagram(bins: Sequence[Mapping[str, float]], *, label: str, across: str, up: str) -> str:
    """Draw how often answers of each probability are right, with Wilson intervals, as SVG.

    Args:
        bins: num_fields, confidence and accuracy.
        label: Text in place of the picture.
        across: Title of the horizontal axis.
        up: Title of the vertical axis.
    """
    left, top, side = 44, 14, 260

    def at(x: float, y: float) -> tuple[str, str]:
        return f"{left + side * x:.1f}", f"{top + side * (1 - y):.1f}"

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = at(tick, tick)
        parts.append(f'<text x="{x}" y="{top + side + 16}" text-anchor="middle">{100 * tick:.0f}</text>')
        parts.append(
            f'<text x="{left - 6}" y="{y}" text-anchor="end" dominant-baseline="middle">{100 * tick:.0f}</text>'
        )
    (x0, y0), (x1, y1) = at(0, 0), at(1, 1)
    parts.append(f'<rect class="axis" x="{x0}" y="{y1}" width="{side}" height="{side}"/>')
    parts.append(f'<line class="ideal" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>')
    for each in bins:
        low, high = wilson_interval(each["accuracy"] * each["num_fields"], each["num_fields"])
        x, bottom = at(each["confidence"], low)
        _, upper = at(each["confidence"], high)
        _, y = at(each["confidence"], each["accuracy"])
        parts.append(f'<line class="bound" x1="{x}" y1="{bottom}" x2="{x}" y2="{upper}"/>')
        parts.append(f'<circle cx="{x}" cy="{y}" r="4"/>')
    middle = left + side / 2
    parts.append(f'<text x="{middle}" y="{top + side + 34}" text-anchor="middle">{html.escape(across)} (%)</text>')
    turned = f'transform="translate(11 {top + side / 2}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{html.escape(up)} (%)</text>')
    size = f"0 0 {left + side + 14} {top + side + 42}"
    return (
        f'<svg class="leuk-diagram" viewBox="{size}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _place(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.1f}%"


def _scrolled(content: str) -> str:
    return f'<div class="leuk-scroll" tabindex="0">{content}</div>'
