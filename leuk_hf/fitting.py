"""Fitting a network to samples that are drawn as it goes: one process, resumable to the same result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from leuk_hf.errors import TrainingError
from leuk_hf.training_state import Progress, load_state, save_state, saved_progress

_REPORT_EVERY = 100  # steps whose mean loss is kept
_SAVE_EVERY = 200
_MOST_GRADIENT = 2.0  # norm beyond which a step's gradient is shortened


def fit(
    network: nn.Module,
    loss_of: Callable[[int], torch.Tensor],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    state: Path,
    asked: dict[str, Any],
    average: AveragedModel | None = None,
) -> list[float]:
    """Fit a network, or go on with a fit that was stopped.

    Args:
        network: Changed in place; ends in evaluation mode.
        loss_of: Step, from 0 -> its loss; all randomness must come from the step.
        steps: Of AdamW, one-cycle.
        learning_rate: Peak.
        weight_decay: Of AdamW.
        state: File to resume by; removed at the end.
        asked: What else decides the result, numbers or, of what cannot be told in a word, text (a hash); a state of
            other values is refused.
        average: Of the network's weights, updated after every step.

    Returns:
        The mean loss of every 100 steps.

    Raises:
        TrainingError: If the state does not fit, or is of a fit that was asked for something else;
            if the loss is no number any more.
    """
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1, pct_start=0.1)
    asked = {"steps": steps, "learning_rate": learning_rate, "weight_decay": weight_decay, **asked}
    progress = Progress()
    if state.is_file():
        _check_asked(state, saved_progress(state).get("asked", {}), asked)  # before the network is changed
        stored = load_state(state, network, optimizer, average)
        progress = Progress(**{name: value for name, value in stored.items() if name != "asked"})
        schedule.load_state_dict(progress.scheduler)
    network.train()
    with tqdm(total=steps, initial=progress.steps, desc="Fitting", unit="step") as bar:
        while progress.steps < steps:
            loss = loss_of(progress.steps)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), _MOST_GRADIENT)
            optimizer.step()
            schedule.step()
            if average is not None:
                average.update_parameters(network)
            progress.steps += 1
            progress.loss_sum += loss.item()
            if not math.isfinite(progress.loss_sum):
                raise TrainingError(
                    f"the loss is no number any more in step {progress.steps}; lower learning_rate, which is"
                    f" {learning_rate}"
                )
            bar.update()
            if progress.steps % _REPORT_EVERY == 0 or progress.steps == steps:
                count = (progress.steps - 1) % _REPORT_EVERY + 1
                progress.rows.append({"step": progress.steps, "loss": progress.loss_sum / count})
                bar.set_postfix(loss=f"{progress.rows[-1]['loss']:.3f}")
                progress.loss_sum = 0.0
            if progress.steps % _SAVE_EVERY == 0:
                progress.scheduler = schedule.state_dict()
                save_state(state, network, optimizer, {**dataclasses.asdict(progress), "asked": asked}, average)
    state.unlink(missing_ok=True)
    network.eval()
    return [row["loss"] for row in progress.rows]


def _check_asked(state: Path, before: dict[str, Any], asked: dict[str, Any]) -> None:
    for name, value in asked.items():
        if name in before and before[name] == value:
            continue
        if name not in before:
            told = "by another version of leuk_hf; delete it"
        elif isinstance(value, str) or isinstance(before[name], str):
            told = f"by a fit with other {name}; give the same again"
        else:
            told = f"by a fit with {name} {before[name]!r}, not {value!r}; give the same again"
        raise TrainingError(f"{state} was left {told}, or take another folder")
