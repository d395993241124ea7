"""What a run's folder says about the run, and whether it may be started or resumed there."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from leuk_hf.checkpoint_io import SHIPPED_CHECKPOINT
from leuk_hf.data import class_names_of
from leuk_hf.errors import TrainingError
from leuk_hf.fields import SAMPLES
from leuk_hf.provenance import provenance
from leuk_hf.splits import count_by_class, fingerprint, split_fingerprint
from leuk_hf.training_config import TrainConfig

# What must be as it was when a run is resumed: key of the record -> what the user should bring again. A group table
# that has changed would move fields that were tested or chose the epoch into training.
_FIXED = {
    "data_sha256": "data",
    "split_sha256": "group table",
    "num_processes": "number of processes",
    "mixed_precision": "--mixed-precision",
    "samples": "version of leuk_hf",
}


def start_record(
    config: TrainConfig, dataset: Dataset, parts: dict[str, np.ndarray], *, command: str | None
) -> dict[str, Any]:
    """Say how a run is made, as JSON types.

    Args:
        config: Of the run.
        dataset: From `load_smears`.
        parts: Part name -> row indices.
        command: The command line.

    Returns:
        The content of training.json; `started_from` is that of the starting weights, if it lies beside them in a
        folder.
    """
    before = SHIPPED_CHECKPOINT if config.weights == "shipped" else Path(config.weights)
    try:
        earlier = {"started_from": read_record(before)}
    except TrainingError:  # none, or one that says nothing
        earlier = {}
    return {
        **provenance(command),
        "recipe": config.recipe,
        "config": config.to_dict(),
        "class_names": list(class_names_of(dataset)),
        "fields": {name: count_by_class(dataset, rows) for name, rows in parts.items()},
        "data_sha256": fingerprint(dataset),
        "split_sha256": split_fingerprint(dataset, parts),
        "protocol": config.protocol,
        "fold": config.fold,
        "samples": SAMPLES,
        **earlier,
    }


def doubts_of(weights: str, tested: Sequence[str]) -> str:
    """Warn if starting weights were trained on fields that a run tests, by the split table beside them; else empty.

    Args:
        weights: What the run starts from.
        tested: Files of its test part.
    """
    table = (SHIPPED_CHECKPOINT if weights == "shipped" else Path(weights)) / "split.csv"
    if not table.is_file() and not (table := table.parent.parent / "split.csv").is_file():  # of a run: beside it
        return ""
    with table.open(encoding="utf-8", newline="") as file:
        trained = {row.get("file") for row in csv.DictReader(file) if row.get("split") == "train"}
    if not (number := len(trained.intersection(tested))):
        return ""
    return (
        f"warning: {weights} was trained on {number} of the {len(tested)} fields that are tested here, going by their"
        " names; no figure on them is worth anything"
    )


def check_folder(config: TrainConfig, output: Path) -> None:
    """Refuse a folder that another run has, before anything costs time.

    Raises:
        TrainingError: If the folder holds a run that `config` may not touch or resume.
    """
    if output.exists() and not output.is_dir():
        raise TrainingError(f"{output} is a file; give a folder as --output")
    if not (output / "training.json").is_file():
        return
    if not config.resume:
        raise TrainingError(f"{output} already holds a run; pass --resume to go on, or another --output")
    stored = read_record(output)
    if stored.get("finished"):
        raise TrainingError(f"the run in {output} is finished; its checkpoint is {output / 'checkpoint'}")
    if differing := config.differences(stored["config"]):
        raise TrainingError(f"the run in {output} was started with another {', '.join(differing)}; use the same")


def read_record(output: Path) -> dict[str, Any]:
    """Read a run's training.json.

    Raises:
        TrainingError: If it is damaged.
    """
    try:
        record = json.loads((output / "training.json").read_text(encoding="utf-8"))
        if not isinstance(record["config"], dict):
            raise TypeError("config is not an object")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{output / 'training.json'} is damaged ({error}); start in another folder") from error
    return record


def check_record(output: Path, config: TrainConfig, record: dict[str, Any]) -> bool:
    """Tell whether a run is resumed; every process checks, so that all of them stop together.

    Raises:
        TrainingError: If the run to resume had other data, another split or another number of processes.
    """
    if not config.resume or not (output / "training.json").is_file():
        return False
    stored = read_record(output)
    for key, what in _FIXED.items():
        if key in stored and stored[key] != record[key]:  # not all of them were recorded at first
            raise TrainingError(
                f"the run in {output} was started with another {key} ({stored[key]}); use the same {what}"
            )
    return True


def remove_leftovers(output: Path) -> None:
    """Remove what a killed process was writing under temporary names."""
    for file in output.glob(".state.*.safetensors"):
        file.unlink(missing_ok=True)
    for folder in (output / "checkpoint").glob(".saving-*"):
        shutil.rmtree(folder, ignore_errors=True)
