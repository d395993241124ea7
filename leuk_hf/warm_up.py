"""The warm-up: a DenseNet learns to measure leukocytes before it learns their classes, and no label is read.

From random weights a network needs hours to discover texture and size from four class names. The measures of
`leuk_hf.cell_measures` can be computed for every place of every cell; telling them from cells whose light, stain and
focus were changed teaches both at once: to see texture, and not to mind the optics.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from leuk_hf import perturbations
from leuk_hf.augmentation import sample_seed
from leuk_hf.cell_measures import measure_places
from leuk_hf.class_activation import evaluating
from leuk_hf.field_cache import CachedFields
from leuk_hf.fields import group_masks, to_pixel_values
from leuk_hf.fitting import fit
from leuk_hf.leukocyte_canvas import Canvas, change_optics, draw_gap
from leuk_hf.leukocyte_view import depth_and_radius, standardised_luminance
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor

FIELDS_PER_CANVAS = 8
_STANDARDISED_BY = 64  # canvases whose measures give mean and standard deviation
_FARTHEST = 4.0  # standard deviations beyond which a target is cut off
_AVERAGING = 0.995  # decay per step of the averaged weights
_WEIGHT_DECAY = 0.05


class _MeasuringNetwork(nn.Module):
    """A classifier's blocks with a head that tells measures instead of classes.

    Args:
        model: Of a view of leukocytes; its blocks are trained in place.
        num_measures: Of each place.
    """

    def __init__(self, model: LeukDenseNet, num_measures: int) -> None:
        super().__init__()
        self.model = model
        self.head = nn.Conv2d(model.num_features, num_measures, 1)

    def forward(self, pixel_values: torch.Tensor, leukocytes: torch.Tensor) -> torch.Tensor:
        return self.head(self.model.features[-1](self.model.forward_blocks(pixel_values, leukocytes)))


def warm_up(
    model: LeukDenseNet,
    fields: CachedFields,
    cells: np.ndarray,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    state: Path,
) -> list[float]:
    """Teach a network's blocks to measure, or go on with a warm-up that was stopped.

    Args:
        model: Of a view of leukocytes; its blocks are changed in place, into the average over the last steps.
        fields: Preprocessed as the model's preprocessor does.
        cells: uint8 (N, H, W), their leukocytes, numbered (`leuk_hf.leukocyte_labels`).
        steps: Of AdamW, one-cycle.
        batch_size: Canvases per step.
        learning_rate: Peak.
        seed: Of head and samples.
        state: File to resume by; removed at the end.

    Returns:
        The mean squared error of standardised measures, of every 100 steps.

    Raises:
        TrainingError: If the state is damaged, or of a warm-up with other cells, another seed or another length.
    """
    size = model.preprocessor.image_size
    with evaluating(model), torch.no_grad():
        height, width = model.forward_features(torch.zeros(1, 3, size, size)).shape[2:]
    grid = (height, width)

    def draw(index: int, count: int) -> torch.Tensor:
        generator = np.random.default_rng(sample_seed(seed, index, 0))
        return torch.from_numpy(np.stack([draw_canvas(fields, cells, generator) for _ in range(count)]))

    first = [targets_of(draw(-1 - number, 8), model.preprocessor, grid) for number in range(_STANDARDISED_BY // 8)]
    mean, deviation = _moments(*(torch.cat(parts) for parts in zip(*first, strict=True)))
    torch.manual_seed(seed)
    network = _MeasuringNetwork(model, mean.shape[1])
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGING), use_buffers=True)

    def loss_of(step: int) -> torch.Tensor:
        canvases = draw(step, batch_size)
        measures, counts = targets_of(canvases, model.preprocessor, grid)
        targets = ((measures - mean) / deviation).clamp(-_FARTHEST, _FARTHEST)
        leukocytes = group_masks(canvases[..., -1], FIELDS_PER_CANVAS)
        told = network(to_pixel_values(canvases[..., :3], model.preprocessor), leukocytes)
        return measuring_loss(told, targets, counts)

    asked = {"seed": seed, "batch_size": batch_size, "cells": f"{zlib.crc32(np.ascontiguousarray(cells).data):08x}"}
    losses = fit(
        network, loss_of, steps=steps, learning_rate=learning_rate, weight_decay=_WEIGHT_DECAY, state=state,
        average=average, asked=asked,
    )  # fmt: skip
    model.features.load_state_dict(average.module.get_submodule("model.features").state_dict())
    return losses


def draw_canvas(fields: CachedFields, cells: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw a canvas of cells in changed optics that brings their unchanged luminance along.

    Args:
        fields: To draw from.
        cells: uint8 (N, H, W), their leukocytes, numbered.
        generator: Decides everything.

    Returns:
        uint8 (H, W, 5): RGB in changed optics, luminance as it was, number of the field.
    """
    size = fields[0].shape[0]
    canvas = Canvas(size, gap=draw_gap(size, generator), channels=4)
    for _ in range(2 * FIELDS_PER_CANVAS):  # fields without leukocytes must not keep it for ever
        row, other = generator.integers(len(cells), size=2).tolist()
        luminance = perturbations.grey(fields[row])[..., :1]
        canvas.add(np.dstack([change_optics(fields[row], fields[other], generator), luminance]), cells[row], generator)
        if canvas.is_full or canvas.num_fields == FIELDS_PER_CANVAS:
            break
    return canvas.pixels


def targets_of(
    canvases: torch.Tensor, preprocessor: Preprocessor, grid: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure the unchanged cells of canvases and average over each place of the network's last block.

    Args:
        canvases: From `draw_canvas`: uint8 (N, H, W, 5).
        preprocessor: Gives mean and std.
        grid: (h, w).

    Returns:
        Measures (N, M, h, w), and the share of each place that they were taken from, of the same shape.
    """
    grey = to_pixel_values(canvases[..., 3:4].expand(-1, -1, -1, 3), preprocessor, channels_last=False)
    mean, std = torch.tensor(preprocessor.mean), torch.tensor(preprocessor.std)
    luminance = standardised_luminance(grey, group_masks(canvases[..., -1], FIELDS_PER_CANVAS), mean, std)
    leukocytes = (canvases[..., -1][:, None] > 0).to(grey.dtype)
    size = canvases.shape[1]
    depth, radius = depth_and_radius(leukocytes, field_size=size)
    measures, counts = measure_places(luminance, leukocytes, depth, radius, field_size=size)
    shares = functional.adaptive_avg_pool2d(counts, grid)
    return functional.adaptive_avg_pool2d(measures * counts, grid) / (shares + 1e-4), shares


def measuring_loss(told: torch.Tensor, targets: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Give the squared error of each measure, averaged over leukocytes, then over measures.

    Args:
        told: (N, M, h, w).
        targets: Of the same shape.
        counts: How far each place counts for each measure, of the same shape.
    """
    errors = ((told - targets).square() * counts).sum(dim=(0, 2, 3))
    return (errors / counts.sum(dim=(0, 2, 3)).clamp_min(0.1)).mean()


def _moments(measures: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give mean and standard deviation of each measure over leukocytes: (1, M, 1, 1) each."""
    total = counts.sum(dim=(0, 2, 3), keepdim=True).clamp_min(1e-3)
    mean = (measures * counts).sum(dim=(0, 2, 3), keepdim=True) / total
    variance = ((measures - mean).square() * counts).sum(dim=(0, 2, 3), keepdim=True) / total
    # A measure that hardly ever varies must not be blown up to count like the others.
    return mean, variance.sqrt().clamp_min(0.01)
