"""Fitting the network that finds leukocytes on samples drawn as it goes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm.auto import tqdm

from leuk_hf.augmentation import sample_seed
from leuk_hf.fields import to_pixel_values
from leuk_hf.leukocyte_samples import SamplePool, draw_sample
from leuk_hf.leukocyte_view import LeukocyteNetwork
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.training_state import Progress, load_state, save_state

_REPORT_EVERY = 100  # steps whose mean loss is kept
_SAVE_EVERY = 200


def fit_segmenter(
    pool: SamplePool, *, steps: int, batch_size: int, learning_rate: float, seed: int, state: Path
) -> tuple[LeukocyteNetwork, list[float]]:
    """Fit a network, or go on with a fit that was stopped.

    Args:
        pool: What samples are made of.
        steps: Of AdamW, one-cycle.
        batch_size: Samples per step.
        learning_rate: Peak.
        seed: Of first weights and samples.
        state: File to resume by; removed at the end.

    Returns:
        The network in evaluation mode, and the mean loss of every 100 steps.
    """
    torch.manual_seed(seed)
    network = LeukocyteNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1, pct_start=0.1)
    preprocessor, progress = Preprocessor(clahe=False), Progress()
    if state.is_file():
        progress = Progress(**load_state(state, network, optimizer))
        schedule.load_state_dict(progress.scheduler)
    network.train()
    with tqdm(total=steps, initial=progress.steps, desc="Fitting", unit="step") as bar:
        while progress.steps < steps:
            generator = np.random.default_rng(sample_seed(seed, progress.steps, 0))
            fields, masks = zip(*(draw_sample(pool, generator) for _ in range(batch_size)), strict=True)
            pixel_values = to_pixel_values(torch.from_numpy(np.stack(fields)), preprocessor, channels_last=False)
            loss = segmentation_loss(network(pixel_values), torch.from_numpy(np.stack(masks))[:, None].float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            progress.steps += 1
            progress.loss_sum += loss.item()
            bar.update()
            if progress.steps % _REPORT_EVERY == 0 or progress.steps == steps:
                count = (progress.steps - 1) % _REPORT_EVERY + 1
                progress.rows.append({"step": progress.steps, "loss": progress.loss_sum / count})
                bar.set_postfix(loss=f"{progress.rows[-1]['loss']:.3f}")
                progress.loss_sum = 0.0
            if progress.steps % _SAVE_EVERY == 0:
                progress.scheduler = schedule.state_dict()
                save_state(state, network, optimizer, dataclasses.asdict(progress))
    state.unlink(missing_ok=True)
    return network.eval(), [row["loss"] for row in progress.rows]


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
