"""Every plot of numbers, written as PNG. matplotlib is imported only here and only when a plot is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leuk_hf.files import replacing
from leuk_hf.metrics import auroc, roc_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito


def plot_training_curves(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Plot loss and accuracy by epoch.

    Args:
        rows: Content of metrics.jsonl.
        path: PNG to write.
    """
    figure = _figure(9, 3.6)
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
    accuracies.set(xlabel="epoch", ylabel="accuracy (random split)", ylim=(0, 1.02))
    for axes in (losses, accuracies):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    _save(figure, path)


def plot_confusion_matrix(confusion: np.ndarray, class_names: Sequence[str], path: Path, *, title: str) -> None:
    """Plot counts, shaded by the share of the true class.

    Args:
        confusion: int (K, K), rows true.
        class_names: K names.
        path: PNG to write.
        title: What was evaluated on what.
    """
    size = 2.6 + 0.8 * len(class_names)
    figure = _figure(size, size)
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
    _save(figure, path)


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
    figure = _figure(5, 4.6)
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
    _save(figure, path)


def plot_panel(columns: Sequence[tuple[str, Image.Image, Image.Image]], path: Path, *, title: str) -> None:
    """Show fields over their overlays, a column each.

    Args:
        columns: (caption, field, overlay).
        path: PNG to write; it holds images of the data set, so it is not for publication.
        title: What is shown.
    """
    figure = _figure(2.5 * len(columns), 5.9)
    grid = figure.subplots(2, len(columns), squeeze=False)
    for index, (caption, field, overlay) in enumerate(columns):
        for row, image in enumerate((field, overlay)):
            grid[row][index].imshow(image)
            grid[row][index].set_axis_off()
        grid[0][index].set_title(caption, fontsize=9)
    figure.suptitle(title, fontsize=10)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # not pyplot: no global state, no display, thread-safe

    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary)
