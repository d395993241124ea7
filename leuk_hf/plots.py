"""Every plot of numbers, written as PNG. matplotlib is imported only here and only when a plot is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leuk_hf.calibration import ReliabilityBin
from leuk_hf.files import replacing
from leuk_hf.metrics import auroc, roc_curve, wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito


def plot_training_curves(rows: Sequence[dict[str, Any]], path: Path, *, protocol: str) -> None:
    """Plot loss and accuracy by epoch.

    Args:
        rows: Content of metrics.jsonl.
        path: PNG to write.
        protocol: Of the split, for the label.
    """
    figure = new_figure(9, 3.6)
    epochs = [row["epoch"] for row in rows]
    losses, accuracies = figure.subplots(1, 2)
    for name, colour in (("train", _COLOURS[1]), ("validation", _COLOURS[0])):
        losses.plot(epochs, [row[f"{name}_loss"] for row in rows], "o-", color=colour, label=name, markersize=3)
        accuracies.plot(
            epochs, [row[f"{name}_accuracy"] for row in rows], "o-", color=colour, label=name, markersize=3
        )
    balanced = [row["validation_balanced_accuracy"] for row in rows]
    accuracies.plot(epochs, balanced, "--", color=_COLOURS[2], label="validation, balanced")
    losses.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, None))
    accuracies.set(xlabel="epoch", ylabel=f"accuracy ({protocol} split)", ylim=(0, 1.02))
    for axes in (losses, accuracies):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    save_figure(figure, path)


def plot_confusion_matrix(confusion: np.ndarray, class_names: Sequence[str], path: Path, *, title: str) -> None:
    """Plot counts, shaded by the share of the true class.

    Args:
        confusion: int (K, K), rows true.
        class_names: K names.
        path: PNG to write.
        title: What was evaluated on what.
    """
    size = 2.6 + 0.8 * len(class_names)
    figure = new_figure(size, size)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(confusion):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=ink)
    ticks = range(len(class_names))
    axes.set_xticks(ticks, class_names, rotation=30, ha="right")
    axes.set_yticks(ticks, class_names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize=10)
    save_figure(figure, path)


def plot_roc_curves(
    probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str], path: Path, *, title: str
) -> None:
    """Plot each class against the rest.

    Args:
        probabilities: float (N, K).
        labels: int (N,).
        class_names: K names.
        path: PNG to write.
        title: What was evaluated on what.
    """
    figure = new_figure(5, 4.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color="grey", linewidth=1)
    for index, name in enumerate(class_names):
        positive = labels == index
        if positive.any() and not positive.all():
            false_alarms, found = roc_curve(probabilities[:, index], positive)
            area = auroc(probabilities[:, index], positive)
            colour = _COLOURS[index % len(_COLOURS)]
            axes.plot(false_alarms, found, color=colour, label=f"{name} (AUROC {area:.3f})")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    save_figure(figure, path)


def plot_panel(columns: Sequence[tuple[str, Image.Image, Image.Image]], path: Path, *, title: str) -> None:
    """Show fields over their overlays, a column each.

    Args:
        columns: (caption, field, overlay).
        path: PNG to write; it holds images of the data set, so it is not for publication.
        title: What is shown.
    """
    figure = new_figure(2.5 * len(columns), 5.9)
    grid = figure.subplots(2, len(columns), squeeze=False)
    for index, (caption, field, overlay) in enumerate(columns):
        for row, image in enumerate((field, overlay)):
            grid[row][index].imshow(image)
            grid[row][index].set_axis_off()
        grid[0][index].set_title(caption, fontsize=9)
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path)


def plot_audit(report: dict[str, Any], path: Path, *, title: str) -> None:
    """Plot an audit: accuracy by row with its interval, chance, and the share that followed the donor.

    Args:
        report: `AuditReport.to_dict`.
        path: PNG to write.
        title: What was audited on what.
    """
    rows = report["rows"]
    figure = new_figure(8.4, 1.6 + 0.25 * len(rows))
    axes = figure.subplots()
    places, ticks, height, section = [], [], 0.0, None
    for row in rows.values():
        height -= 1.0 if row["section"] == section else 1.6
        section = row["section"]
        places.append(height)
    for place, (name, row) in zip(places, rows.items(), strict=True):
        low, high = row["accuracy"]["interval"]
        axes.plot([low, high], [place, place], color=_COLOURS[0], linewidth=2.2, solid_capstyle="butt", alpha=0.55)
        axes.plot(row["accuracy"]["value"], place, "o", color=_COLOURS[0], markersize=5)
        if row["followed_donor"] is not None:
            axes.plot(row["followed_donor"]["value"], place, "D", color=_COLOURS[1], markersize=5)
        if row["refused"] is not None and row["refused"]["value"]:
            axes.plot(row["refused"]["value"], place, "x", color=_COLOURS[6], markersize=6)
        ticks.append(name)
    shares = report["num_fields_of_class"].values()
    largest = max(shares) / sum(shares)
    axes.axvline(largest, linestyle=":", color="grey", linewidth=1.2)
    axes.axvline(rows[ticks[0]]["accuracy"]["value"], color=_COLOURS[0], linewidth=0.8, alpha=0.5)
    axes.set_yticks(places, ticks, fontsize=8)
    axes.set(xlim=(-0.02, 1.02), ylim=(places[-1] - 1, places[0] + 1), xlabel="share of fields")
    axes.grid(axis="x", alpha=0.3)
    labels = (
        ("o", _COLOURS[0], "accuracy, 95 % interval"),
        ("D", _COLOURS[1], "label followed the donor"),
        ("x", _COLOURS[6], "refused"),
    )
    handles = [axes.plot([], [], mark, color=colour, label=text)[0] for mark, colour, text in labels]
    handles += axes.plot([], [], ":", color="grey", label="always the largest class")
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    axes.set_title(title, fontsize=10)
    save_figure(figure, path)


def plot_reliability_diagram(bins: Sequence[ReliabilityBin], path: Path, *, title: str) -> None:
    """Plot accuracy against confidence; on the diagonal a probability means what it says.

    Args:
        bins: From `reliability_bins`.
        path: PNG to write.
        title: What was evaluated on what.
    """
    figure = new_figure(4.6, 4.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color="grey", linewidth=1)
    for each in bins:
        low, high = wilson_interval(each.accuracy * each.num_fields, each.num_fields)
        axes.plot([each.confidence] * 2, [low, high], color=_COLOURS[0], linewidth=2.2, alpha=0.45)
    axes.plot(
        [each.confidence for each in bins], [each.accuracy for each in bins], "o", color=_COLOURS[0], markersize=5
    )
    axes.set(
        xlim=(0, 1.02),
        ylim=(0, 1.02),
        xlabel="confidence: mean top probability",
        ylabel=f"accuracy, 95 % interval ({sum(each.num_fields for each in bins)} fields)",
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    axes.set_title(title, fontsize=10)
    save_figure(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """Make a figure of this size in inches."""
    from matplotlib.figure import Figure  # not pyplot: no global state, no display, thread-safe

    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary)
