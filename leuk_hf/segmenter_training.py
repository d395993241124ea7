"""Fitting the network that finds leukocytes on samples drawn as it goes."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from leuk_hf.augmentation import sample_seed
from leuk_hf.fields import to_pixel_values
from leuk_hf.fitting import fit
from leuk_hf.leukocyte_samples import SamplePool, draw_sample
from leuk_hf.leukocyte_view import LeukocyteNetwork
from leuk_hf.leukocyte_weights import load_leukocyte_network
from leuk_hf.preprocessing import Preprocessor


def fit_segmenter(
    pool: SamplePool,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    state: Path,
    weights: Path | None = None,
) -> tuple[LeukocyteNetwork, list[float]]:
    """Fit a network, or go on with a fit that was stopped.

    Args:
        pool: What samples are made of.
        steps: Of AdamW, one-cycle.
        batch_size: Samples per step.
        learning_rate: Peak.
        seed: Of first weights and samples.
        state: File to resume by; removed at the end.
        weights: Safetensors file to start from; None: random weights.

    Returns:
        The network in evaluation mode, and the mean loss of every 100 steps.

    Raises:
        CheckpointError: If the weights are missing or damaged.
        TrainingError: If the state is damaged, or of a fit with another pool, seed, start or length.
    """
    torch.manual_seed(seed)
    network, preprocessor = LeukocyteNetwork(), Preprocessor(clahe=False)
    if weights is not None:
        load_leukocyte_network(network, weights)

    def loss_of(step: int) -> torch.Tensor:
        generator = np.random.default_rng(sample_seed(seed, step, 0))
        fields, masks = zip(*(draw_sample(pool, generator) for _ in range(batch_size)), strict=True)
        pixel_values = to_pixel_values(torch.from_numpy(np.stack(fields)), preprocessor, channels_last=False)
        return segmentation_loss(network(pixel_values), torch.from_numpy(np.stack(masks))[:, None].float())

    asked = {
        "seed": seed,
        "batch_size": batch_size,
        "weights": "" if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest(),
        **{
            name: f"{zlib.crc32(np.ascontiguousarray(getattr(pool, name)).data):08x}"
            for name in ("fields", "masks", "backgrounds")
        },
    }
    losses = fit(
        network, loss_of, steps=steps, learning_rate=learning_rate, weight_decay=0.01, state=state, asked=asked
    )
    return network, losses


def segmentation_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Add binary cross-entropy and one minus the soft Dice (Milletari et al. 2016, https://arxiv.org/abs/1606.04797).

    Args:
        logits: (N, 1, H, W).
        masks: Float, of the same shape, 0 or 1.
    """
    found = torch.sigmoid(logits)
    # The constant lets an empty field score by how little is found in it.
    overlap = (2 * (found * masks).sum(dim=(1, 2, 3)) + 50) / ((found + masks).sum(dim=(1, 2, 3)) + 50)
    return functional.binary_cross_entropy_with_logits(logits, masks) + (1 - overlap).mean()
