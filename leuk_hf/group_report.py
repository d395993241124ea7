"""The one-page report on a data set's groups, and the figures that go into results.json.

Shared contract: the page shows fields, so it is for looking at, not for publication; the summary holds numbers and
names only.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from datasets import Dataset

from leuk_hf.data import class_names_of, read_image, without_decoding
from leuk_hf.groups import Groups
from leuk_hf.plots import new_figure, save_figure
from leuk_hf.splits import count_folds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OUTLIERS = 6  # shown at either end
_SHOWN_PAIRS = 6
_INK = "#1b2a41"


def summary_of(groups: Groups) -> dict[str, Any]:
    """Count what was found, as JSON types.

    Args:
        groups: From `find_groups`.

    Returns:
        num_fields, num_exact_copies, num_overlaps, num_overlaps_across_classes, num_groups, largest_groups (sizes),
        fields_by_class, acquisitions (name -> class -> count), annotations (style -> class -> count), parts
        (protocol -> part -> count), folds (protocol -> how many there are to test, 0 when the data is too small),
        classes_in_stretches.
    """
    records = groups.records
    sizes = Counter(record.group for record in records)
    copies = Counter(record.sha256 for record in records)

    def by_class(column: str) -> dict[str, dict[str, int]]:
        counts = Counter((getattr(record, column), record.label) for record in records)
        table: dict[str, dict[str, int]] = {}
        for (value, label), count in sorted(counts.items()):
            table.setdefault(value, {})[label] = count
        return table

    return {
        "num_fields": len(records),
        "num_exact_copies": sum(count - 1 for count in copies.values()),
        "num_overlaps": len(groups.links),
        "num_overlaps_across_classes": sum(
            records[link.first].label != records[link.second].label for link in groups.links
        ),
        "num_groups": len(sizes),
        "num_fields_linked": sum(count for count in sizes.values() if count > 1),
        "largest_groups": sorted(sizes.values(), reverse=True)[:10],
        "fields_by_class": dict(Counter(record.label for record in records)),
        "acquisitions": by_class("acquisition"),
        "annotations": by_class("annotation"),
        "parts": {
            protocol: dict(sorted(Counter(getattr(record, f"split_{protocol}") for record in records).items()))
            for protocol in ("random", "grouped", "acquisition")
        },
        "folds": {"grouped": _num_folds(groups)},
        "classes_in_stretches": list(groups.stretched),
    }


def summary_table(summary: dict[str, Any]) -> str:
    """Write a summary as Markdown.

    Args:
        summary: From `summary_of`.
    """
    labels = list(summary["fields_by_class"])
    lines = [
        f"{summary['num_fields']} fields: {summary['num_exact_copies']} exact copies, {summary['num_overlaps']} pairs"
        f" that overlap ({summary['num_overlaps_across_classes']} across classes); {summary['num_fields_linked']}"
        f" fields have a copy or a neighbour, which leaves {summary['num_groups']} groups; the largest:"
        f" {', '.join(map(str, summary['largest_groups'][:5]))}.",
    ]
    for title, key in (("acquisition", "acquisitions"), ("annotation", "annotations")):
        lines += ["", f"| {title} | {' | '.join(labels)} |", f"|---|{'---|' * len(labels)}"]
        for name, counts in summary[key].items():
            lines.append(f"| {name} | {' | '.join(str(counts.get(label, '')) for label in labels)} |")
    lines += ["", "| protocol | fields |", "|---|---|"]
    for protocol, counts in summary["parts"].items():
        shown = ", ".join(f"{count} {name or 'too few groups for four parts'}" for name, count in counts.items())
        lines.append(f"| {protocol} | {shown} |")
    number = summary["folds"]["grouped"]
    lines += ["", f"Folds of the grouped protocol: {number or 'none, the data is too small'}."]
    if summary["classes_in_stretches"]:
        lines += ["", f"Nearly one session, so cut into stretches: {', '.join(summary['classes_in_stretches'])}."]
    return "\n".join(lines)


def _num_folds(groups: Groups) -> int:
    if not all(record.split_grouped for record in groups.records):
        return 0  # the groups are too few or too tangled for four parts
    names = sorted({record.label for record in groups.records})
    return count_folds(
        [names.index(record.label) for record in groups.records], [record.group for record in groups.records]
    )


def write_report(groups: Groups, dataset: Dataset, path: Path) -> None:
    """Draw the page: counts, sessions along the numbering, overlaps, and the outliers in light and sharpness.

    Args:
        groups: From `find_groups`.
        dataset: The same fields, in the same order.
        path: PNG to write; it shows fields, so keep it out of commits.
    """
    rows, summary = without_decoding(dataset), summary_of(groups)
    figure = new_figure(14, 19)
    parts: Any = figure.subfigures(4, 1, height_ratios=(1.15, 1.0, 1.35, 1.35))
    figure.suptitle(f"{len(groups.records)} fields, {summary['num_groups']} groups", fontsize=14, color=_INK)
    counts, table = parts[0].subplots(1, 2, width_ratios=(1.2, 1.6))
    _draw_counts(counts, summary)
    _draw_tables(table, summary)
    timeline, scatter = parts[1].subplots(1, 2, width_ratios=(1.6, 1.2))
    _draw_timeline(timeline, groups, class_names_of(dataset))
    _draw_scatter(scatter, groups, class_names_of(dataset))
    _draw_pairs(parts[2], groups, rows)
    _draw_outliers(parts[3], groups, rows)
    save_figure(figure, path)


def _draw_counts(axes: Axes, summary: dict[str, Any]) -> None:
    labels = list(summary["fields_by_class"])
    bottom = np.zeros(len(labels))
    for index, (name, counts) in enumerate(summary["acquisitions"].items()):
        heights = np.array([counts.get(label, 0) for label in labels])
        axes.bar(labels, heights, bottom=bottom, color=_session_colour(index), edgecolor="white", linewidth=0.5)
        for place, height in enumerate(heights):
            if height > 0.04 * sum(summary["fields_by_class"].values()) / len(labels):
                axes.text(place, bottom[place] + height / 2, f"{name}: {height}", ha="center", va="center", fontsize=7)
        bottom += heights
    axes.set_title("fields by class and acquisition session", fontsize=10)
    axes.set_ylabel("fields")


def _draw_tables(axes: Any, summary: dict[str, Any]) -> None:
    axes.set_axis_off()
    labels = list(summary["fields_by_class"])
    content, kinds = [], []
    for kind, key in (("acquisition", "acquisitions"), ("annotation", "annotations")):
        for name, counts in summary[key].items():
            content.append([str(counts.get(label, "")) for label in labels])
            kinds.append(f"{kind}: {name}")
    drawn = axes.table(
        content, rowLabels=kinds, colLabels=labels, loc="center", cellLoc="center", bbox=(0.32, 0, 0.68, 1)
    )
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(8)
    axes.set_title(
        f"{summary['num_exact_copies']} exact copies, {summary['num_overlaps']} overlapping pairs"
        f" ({summary['num_overlaps_across_classes']} across classes), largest groups"
        f" {', '.join(map(str, summary['largest_groups'][:5]))}",
        fontsize=9,
    )


def _draw_timeline(axes: Axes, groups: Groups, names: tuple[str, ...]) -> None:
    """Show where in the numbering of a class each session lies: a session should be a stretch or a few."""
    sessions = sorted({record.acquisition for record in groups.records})
    for place, name in enumerate(names):
        own = sorted((record for record in groups.records if record.label == name), key=lambda record: record.file)
        for index, session in enumerate(sessions):
            ranks = [rank for rank, record in enumerate(own) if record.acquisition == session]
            axes.plot(ranks, [place] * len(ranks), "|", color=_session_colour(index), markersize=22)
    axes.set_yticks(range(len(names)), names)
    axes.set(ylim=(-0.6, len(names) - 0.4), xlabel="rank of the file name within the class")
    axes.set_title("acquisition sessions along the numbering", fontsize=10)


def _draw_scatter(axes: Axes, groups: Groups, names: tuple[str, ...]) -> None:
    sharpness = np.array([record.sharpness for record in groups.records])
    for index, name in enumerate(names):
        own = np.array([record.label == name for record in groups.records])
        axes.plot(groups.brightness[own], np.maximum(sharpness[own], 1e-2), ".", markersize=3,
                  color=_session_colour(index), label=name)  # fmt: skip
    axes.set_yscale("log")
    axes.set(xlabel="brightness (mean luma)", ylabel="sharpness (variance of the Laplacian)")
    axes.legend(frameon=False, fontsize=7, markerscale=3)
    axes.set_title("brightness and blur", fontsize=10)


def _draw_pairs(part: Any, groups: Groups, rows: Dataset) -> None:
    part.suptitle("overlapping fields: strongest, weakest and far apart in number", fontsize=10)
    ranked = sorted(groups.links, key=lambda link: link.overlap_share)
    if not ranked:
        part.text(0.5, 0.5, "none found", ha="center")
        return
    chosen = [ranked[round(place)] for place in np.linspace(0, len(ranked) - 1, min(_SHOWN_PAIRS, len(ranked)))]
    grid = part.subplots(2, _SHOWN_PAIRS, squeeze=False)
    for column in range(_SHOWN_PAIRS):
        for line in range(2):
            axes = grid[line][column]
            axes.set_axis_off()
            if column < len(chosen):
                link = chosen[column]
                index = (link.first, link.second)[line]
                axes.imshow(read_image(rows[index]))
                shown = f"{groups.records[index].file}"
                axes.set_title(shown if line else f"{shown}\noverlap {link.overlap_share:.2f}", fontsize=6)


def _draw_outliers(part: Any, groups: Groups, rows: Dataset) -> None:
    part.suptitle("outliers: most blurred, then darkest and brightest", fontsize=10)
    sharpness = np.array([record.sharpness for record in groups.records])
    blurred = np.argsort(sharpness, kind="stable")[:_OUTLIERS]
    light = np.argsort(groups.brightness, kind="stable")
    extremes = [*light[: _OUTLIERS // 2], *light[-(_OUTLIERS // 2) :]]
    grid = part.subplots(2, _OUTLIERS, squeeze=False)
    for line, chosen in enumerate((blurred.tolist(), [int(index) for index in extremes])):
        for column in range(_OUTLIERS):
            axes = grid[line][column]
            axes.set_axis_off()
            if column < len(chosen):
                index = chosen[column]
                axes.imshow(read_image(rows[index]))
                value = f"brightness {groups.brightness[index]:.0f}" if line else f"sharpness {sharpness[index]:.0f}"
                axes.set_title(f"{groups.records[index].file}\n{value}", fontsize=6)


def _session_colour(index: int) -> str:
    palette = (
        "#88CCEE",
        "#CC6677",
        "#DDCC77",
        "#44AA99",
        "#AA4499",
        "#999933",
        "#6699CC",
        "#EE8866",
        "#BBBBBB",
        "#77AADD",
    )
    return palette[index % len(palette)]
