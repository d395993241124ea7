"""Training with Accelerate: one process, several, or many machines; resumable to the same result.

Files in the run's folder: checkpoint/ (the kept epoch, loadable by `LeukDenseNet.from_pretrained`), metrics.jsonl
(a row per epoch), curves.png, split.csv, training.json (how it was made), state.safetensors (while unfinished).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed

from leuk_hf.data import class_names_of, load_smears, without_decoding
from leuk_hf.errors import TrainingError
from leuk_hf.field_cache import cached_fields
from leuk_hf.files import write_json
from leuk_hf.group_source import read_group_table
from leuk_hf.leukocyte_labels import find_labels
from leuk_hf.splits import read_split_table, write_split
from leuk_hf.training_config import TrainConfig
from leuk_hf.training_record import check_folder, check_record, doubts_of, remove_leftovers, start_record
from leuk_hf.training_run import TrainingRun
from leuk_hf.training_setup import (
    build_accelerator,
    split_dataset,
    starting_model,
    synchronise_batch_norm,
)


def train(config: TrainConfig, *, command: str | None = None) -> dict[str, Any]:
    """Run or resume a training; call it in every process.

    Args:
        config: What to train; its `output` folder receives the files.
        command: The command line, for the record.

    Returns:
        The content of training.json.

    Raises:
        TrainingError: If the run cannot start or resume as asked.
        DataError: If the data cannot be used.
        CheckpointError: If the starting weights cannot be had.
    """
    config.check()
    output = Path(config.output)
    check_folder(config, output)
    if config.tracker != "none" and importlib.util.find_spec(config.tracker) is None:
        raise TrainingError(f"{config.tracker} is not installed; run: pip install {config.tracker}")
    accelerator = build_accelerator(config)
    set_seed(config.seed)
    # Same seed, same weights: cuDNN's search for the fastest kernels (benchmark) may choose others in another run.
    torch.backends.cudnn.deterministic = True
    names = None if not config.class_names else config.class_names
    with accelerator.local_main_process_first():  # one download, not one per process
        if config.split is not None:  # tables are read before minutes are spent on images
            read_split_table(config.split, "train", "test")
        if config.groups is not None:
            read_group_table(config.groups)
        dataset = load_smears(
            config.source,
            class_names=names,
            split=config.source_split,
            revision=config.source_revision,
            skip_unreadable=config.skip_unreadable,
            progress=accelerator.is_main_process,
        )
    model, origin = starting_model(config, class_names_of(dataset))  # fails in seconds, the search takes minutes
    if config.progressive_sizes and config.progressive_sizes[-1] != model.preprocessor.image_size:
        raise TrainingError(
            f"the last of progressive_sizes must be the weights' size, {model.preprocessor.image_size}"
        )
    if config.sync_batch_norm:
        synchronise_batch_norm(model, accelerator.device)
    with accelerator.local_main_process_first():  # one search for overlaps, not one per process
        parts = split_dataset(config, dataset, progress=accelerator.is_main_process)
    global_batch = config.batch_size * accelerator.num_processes
    if len(parts["train"]) < global_batch:
        raise TrainingError(
            f"{len(parts['train'])} training fields do not fill one batch of {config.batch_size} on each of"
            f" {accelerator.num_processes} process(es); give a smaller --batch-size"
        )
    record = start_record(config, dataset, parts, command=command)
    record |= {
        "num_processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
        "starting_weights": origin,
    }
    if warning := doubts_of(config.weights, [dataset["path"][row] for row in parts["test"].tolist()]):
        accelerator.print(warning)
    resuming = check_record(output, config, record)
    if config.resume and not resuming:
        accelerator.print(f"nothing to resume in {output}; starting a new run")
    rows, bars = without_decoding(dataset), accelerator.is_main_process
    with accelerator.local_main_process_first():  # one decodes, the others open the file
        fields = cached_fields(rows, model.preprocessor, folder=config.cache, progress=bars)
    if fields.note:
        accelerator.print(fields.note)
    cells = None
    if model.leukocytes is None and config.augmentation == "default":
        raise TrainingError(
            "augmentation default is for the views of leukocytes; give another, or --view leukocytes_in_colour"
        )
    if model.leukocytes is not None and config.progressive_sizes:
        raise TrainingError("networks that see leukocytes alone train at one size; leave out --progressive-sizes")
    if model.leukocytes is not None:
        model.leukocytes.requires_grad_(False)  # found beforehand, as they are in every later run of the model
        with accelerator.local_main_process_first():  # minutes once, not in every process
            cells = find_labels(
                model, fields, parts["train"], appearances=config.appearances, seed=config.seed, progress=bars
            )
        if not cells[0].any():
            raise TrainingError(
                "no leukocyte was found in the training fields; give stained smear fields, or --view field"
            )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if not resuming:
            write_json(output / "training.json", record)
        remove_leftovers(output)
        write_split(output / "split.csv", dataset, parts)
    accelerator.wait_for_everyone()
    accelerator.print(
        f"{accelerator.num_processes} process(es) x batch {config.batch_size} x accumulation"
        f" {config.gradient_accumulation_steps} on {accelerator.device.type}, precision"
        f" {accelerator.mixed_precision}; fields: " + ", ".join(f"{len(rows)} {name}" for name, rows in parts.items())
    )
    return TrainingRun(config, accelerator, model, fields, cells, dataset["label"], parts, record).finish()
