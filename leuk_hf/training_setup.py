"""What a run starts with: weights, precision, loaders, optimizer, schedule."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm.layers
import torch
from accelerate import Accelerator, DataLoaderConfiguration, DistributedDataParallelKwargs
from accelerate.utils import InitProcessGroupKwargs, ProjectConfiguration
from datasets import Dataset
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from leuk_hf.errors import TrainingError
from leuk_hf.field_cache import CachedFields
from leuk_hf.fields import CanvasDataset, EpochSampler, FieldDataset
from leuk_hf.group_source import read_groups
from leuk_hf.group_table import parts_by_protocol, write_groups
from leuk_hf.groups import find_groups
from leuk_hf.leukocyte_weights import WARM_UP, load_leukocyte_network
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.split_table import parts_of_table
from leuk_hf.training_config import TrainConfig


def build_accelerator(config: TrainConfig) -> Accelerator:
    """Join the processes of the run, in its precision and with its tracker."""
    return Accelerator(
        mixed_precision=choose_precision(config.mixed_precision),
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        log_with=None if config.tracker == "none" else config.tracker,
        project_config=ProjectConfiguration(
            project_dir=str(config.output), logging_dir=str(Path(config.output) / "tracker")
        ),
        # From pinned memory a batch is copied while the one before it is trained on.
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
        kwargs_handlers=[
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
            # The others wait for the one that decodes the fields and finds leukocytes, however long it takes.
            InitProcessGroupKwargs(timeout=datetime.timedelta(days=30)),
        ],
    )


def synchronise_batch_norm(model: LeukDenseNet, device: torch.device) -> None:
    """Let the batch norms of a model share their statistics among processes; its tensors stay what they are.

    Args:
        model: Changed in place, before it is wrapped for several processes.
        device: Where it will train.

    Raises:
        TrainingError: On anything but CUDA, where PyTorch has no such batch norm.
    """
    if device.type != "cuda":
        raise TrainingError("sync_batch_norm works on GPUs only; leave it out here, or give a larger --batch-size")
    timm.layers.convert_sync_batchnorm(model)


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
    source = config.groups
    if source is None and config.protocol != "random":
        path = Path(config.output) / "groups.csv"
        if not path.is_file():
            found = find_groups(
                dataset, cache=Path(config.output) / "groups-cache", seed=config.seed, progress=progress
            )
            write_groups(path, found.records)
        source = str(path)
    table = None if source is None else read_groups(source, dataset, whole=True)
    if config.split is not None:
        groups = list(dataset["path"]) if table is None else [row["group"] for row in table]
        return parts_of_table(config.split, dataset, groups, seed=config.seed)
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
    view: dict[str, Any] = {} if config.view is None else {"view": config.view}
    if config.output_stride is not None:
        view["output_stride"] = config.output_stride
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
            **view,
        }
        if config.view not in (None, "field"):
            settings["cam_layer"] = "leukocyte_pool"
        if config.weights == "imagenet":
            model = LeukDenseNet.from_imagenet(revision=config.weights_revision, **settings)
        else:
            settings |= {"growth_rate": config.growth_rate, "block_config": config.block_config}
            settings.setdefault("cam_layer", f"denseblock{len(config.block_config)}")
            model = LeukDenseNet(**settings)
        if model.leukocytes is not None:
            load_leukocyte_network(model.leukocytes)
        return model, config.weights
    source = {"shipped": None, "warm-up": WARM_UP}.get(config.weights, config.weights)
    origin = LeukDenseNet.from_pretrained(source, revision=config.weights_revision)
    # What sees leukocytes in grey can learn to see them in colour, and the other way round.
    if config.view not in (None, origin.view) and "field" in (config.view, origin.view):
        raise TrainingError(f"the weights see the {origin.view}, not the {config.view}; leave out --view")
    preprocessor = dataclasses.replace(origin.preprocessor, **changes)
    return origin.adapted(class_names=class_names, preprocessor=preprocessor, **view), config.weights


def choose_precision(asked: str) -> str:
    """Resolve "auto" to what this machine computes in: Accelerate's "no", "bf16" or "fp16".

    Weights, their gradients and the optimizer stay float32; under autocast a batch is cast once, a weight once a step.
    fp16 is for GPUs before Ampere: Accelerate scales the loss then, and steps that overflow are skipped. In float32 a
    GPU convolves in TF32, cuDNN's default.

    Args:
        asked: "auto", or a value that is passed through.
    """
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Without any such instructions bfloat16 is emulated, ten times slower than float32; with those of AVX-512 alone a
    # training step of DenseNet-121 takes 1.3 times as long as in float32 (two Xeon cores of 2.3 GHz, torch 2.14).
    abilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if abilities.get("amx_bf16") else "no"


def choose_num_workers(asked: int | None, device: torch.device, local_processes: int) -> int:
    """Resolve None to the worker processes that pay.

    A field from the cache takes a fraction of a millisecond to augment. Where CPUs train, at tens of milliseconds a
    field, a worker would only take a core from them. A GPU that trains a thousand fields a second needs one or two
    cores for that, and the training process needs its own to keep the GPU fed.

    Args:
        asked: A number that is passed through, or None.
        device: Where the network is trained.
        local_processes: Training processes on this machine, which share its cores.
    """
    if asked is not None:
        return asked
    if device.type == "cpu":
        return 0
    return max(0, min(4, (os.cpu_count() or 1) // local_processes - 1))


def build_loader(
    config: TrainConfig,
    fields: CachedFields,
    labels: Sequence[int],
    rows: np.ndarray,
    *,
    cells: np.ndarray | None,
    training: bool,
    num_workers: int,
    pin_memory: bool,
) -> DataLoader:
    """Build the loader of one part of the data: batches of uint8 (N, H, W, 3) and labels int64 (N,).

    Args:
        config: Decides batch size, augmentation and seed.
        fields: Of the whole data set.
        labels: Of the whole data set.
        rows: The part.
        cells: Leukocytes of all fields, numbered, to train on canvases of them; None: whole fields.
        training: Augmented, in an order of its own each epoch and in whole batches; otherwise as it is.
        num_workers: Processes that prepare batches.
        pin_memory: Whether batches go to a GPU.
    """  # fmt: skip
    dataset: FieldDataset | CanvasDataset
    if training and cells is not None:
        dataset = CanvasDataset(
            fields, cells, labels, rows, fields_per_canvas=config.fields_per_canvas,
            whole_field_share=config.whole_field_share, optics=config.augmentation == "default",
            stretch=config.stretch, no_evidence_share=config.no_evidence_share, seed=config.seed,
        )  # fmt: skip
    else:
        augmentation = config.augmentation if training else "none"
        dataset = FieldDataset(fields, labels, rows, augmentation=augmentation, seed=config.seed)
    balanced = dataset.labels if training and config.balanced_sampling else None
    return DataLoader(
        dataset,
        batch_size=config.batch_size,
        sampler=EpochSampler(len(dataset), shuffle=training, seed=config.seed, labels=balanced),
        drop_last=training,  # a last batch of one field has no batch statistics
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=pin_memory,
    )


def build_optimizer(config: TrainConfig, model: LeukDenseNet) -> torch.optim.Optimizer:
    """Build the recipe's optimizer over all parameters that are trained."""
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    # Fused: one pass over the hundreds of small tensors of a DenseNet, on CPUs, too.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return kind(trained, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def average_of(model: LeukDenseNet, decay: float) -> AveragedModel | None:
    """Start the exponential moving average of a model's weights and batch statistics.

    Args:
        model: Stays as it is.
        decay: Share that is kept at every step; 0: no average.
    """
    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def build_scheduler(config: TrainConfig, optimizer: torch.optim.Optimizer, steps_per_epoch: int) -> Any:
    """Build the recipe's learning-rate schedule; it is stepped once per optimizer step."""
    if config.schedule == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            # One step more than there are: the scheduler is also stepped after the last.
            optimizer, max_lr=config.learning_rate, total_steps=config.num_epochs * steps_per_epoch + 1
        )  # fmt: skip
    factor = config.step_factor if config.schedule == "step" else 1.0
    return torch.optim.lr_scheduler.StepLR(optimizer, config.step_epochs * steps_per_epoch, factor)
