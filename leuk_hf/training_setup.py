"""What a run starts with: weights, precision, optimizer, schedule."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from leuk_hf.group_table import parts_by_protocol, read_groups, write_groups
from leuk_hf.groups import find_groups
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.training_config import TrainConfig


def split_dataset(config: TrainConfig, dataset: Dataset, *, progress: bool) -> dict[str, np.ndarray]:
    """Split the data as the run asks; a group table that is missing is made in the run's folder, once.

    Args:
        config: Decides protocol, fold, table and seed.
        dataset: From `load_smears`.
        progress: Show bars.

    Returns:
        Part name -> row indices.

    Raises:
        DataError: If the data cannot be split so.
    """
    path = config.groups
    if path is None and config.protocol != "random":
        path = Path(config.output) / "groups.csv"
        if not path.is_file():
            found = find_groups(
                dataset, cache=Path(config.output) / "groups-cache", seed=config.seed, progress=progress
            )
            write_groups(path, found.records)
    table = None if path is None else read_groups(path, dataset)
    return parts_by_protocol(dataset, config.protocol, table, fold=config.fold, seed=config.seed)


def starting_model(config: TrainConfig, class_names: tuple[str, ...]) -> tuple[LeukDenseNet, str]:
    """Build the model to train and name where its weights come from.

    Args:
        config: Decides weights and preprocessing.
        class_names: Of the data, in index order; a classifier for other classes starts from random weights.

    Raises:
        CheckpointError: If the starting weights cannot be had.
    """
    changes: dict[str, Any] = {}
    if config.image_size is not None:
        changes["image_size"] = config.image_size
    if config.clahe is not None:
        changes["clahe"] = config.clahe
    if config.annotation_removal is not None:
        changes["annotation_removal"] = config.annotation_removal
    if config.weights in ("scratch", "imagenet"):
        settings: dict[str, Any] = {
            "class_names": class_names,
            "preprocessor": dataclasses.replace(Preprocessor(), **changes),
        }
        if config.weights == "imagenet":
            return LeukDenseNet.from_imagenet(revision=config.weights_revision, **settings), "imagenet"
        architecture: dict[str, Any] = {
            "growth_rate": config.growth_rate,
            "block_config": config.block_config,
            "cam_layer": f"denseblock{len(config.block_config)}",
        }
        return LeukDenseNet(**settings, **architecture), "scratch"
    source = None if config.weights == "shipped" else config.weights
    origin = LeukDenseNet.from_pretrained(source, revision=config.weights_revision)
    preprocessor = dataclasses.replace(origin.preprocessor, **changes)
    return origin.adapted(class_names=class_names, preprocessor=preprocessor), config.weights


def choose_precision(asked: str) -> str:
    """Resolve "auto" to what this machine computes in: Accelerate's "no", "bf16" or "fp16".

    Args:
        asked: "auto", or a value that is passed through.
    """
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Without these instructions bfloat16 is emulated, ten times slower than float32.
    abilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if abilities.get("avx512_bf16") or abilities.get("amx_bf16") else "no"


def build_optimizer(config: TrainConfig, model: LeukDenseNet) -> torch.optim.Optimizer:
    """Build the recipe's optimizer over all parameters."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)


def build_scheduler(config: TrainConfig, optimizer: torch.optim.Optimizer, steps_per_epoch: int) -> Any:
    """Build the recipe's learning-rate schedule; it is stepped once per optimizer step."""
    if config.schedule == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            # One step more than there are: the scheduler is also stepped after the last.
            optimizer, max_lr=config.learning_rate, total_steps=config.num_epochs * steps_per_epoch + 1
        )  # fmt: skip
    factor = config.step_factor if config.schedule == "step" else 1.0
    return torch.optim.lr_scheduler.StepLR(optimizer, config.step_epochs * steps_per_epoch, factor)
