"""What a release does to weights before they are saved: averages them with a run's first ones, halves their size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import nn

from leuk_hf import checkpoint_io
from leuk_hf.checkpoint_io import SHIPPED_CHECKPOINT
from leuk_hf.errors import DataError
from leuk_hf.model import LeukDenseNet
from leuk_hf.training_record import read_record


def start_of(record: Mapping[str, Any], run: Path) -> LeukDenseNet:
    """Load the weights that a run began with, if they still lie where they lay.

    Args:
        record: Content of the run's training.json.
        run: Its folder, to be named.

    Raises:
        DataError: If it began with no trained checkpoint, or that is gone.
        TrainingError: If the checkpoint's record is damaged.
    """
    weights = record["config"]["weights"]
    if "started_from" not in record:
        raise DataError(f"{run} began with {weights}, not with a trained checkpoint; leave out --halfway")
    folder = SHIPPED_CHECKPOINT if weights == "shipped" else Path(weights)
    if not (folder / "training.json").is_file() or read_record(folder) != record["started_from"]:
        raise DataError(f"{folder} no longer holds what {run} began with; put those weights there again")
    return LeukDenseNet.from_pretrained(folder)


def halfway_between(start: LeukDenseNet, end: LeukDenseNet) -> LeukDenseNet:
    """Average the weights of a network before and after it was trained on.

    What a network learned to bear last costs some of what it knew; halfway most of both is there.

    Args:
        start: What training began with; what it is calibrated to does not count.
        end: What it ended with.

    Raises:
        DataError: If the networks are not of the same build.

    Source:
        Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903
    """
    before, after = start.state_dict(), end.state_dict()
    shapes = [
        {name: tensor.shape for name, tensor in each.items() if not name.startswith("in_distribution.")}
        for each in (before, after)
    ]
    if shapes[0] != shapes[1] or (start.view, start.class_names) != (end.view, end.class_names):
        raise DataError(
            "the run began with another architecture, view or classes; its weights cannot be averaged with those"
        )
    mean = {
        name: (before[name].double() + tensor.double()).div(2).to(tensor.dtype)
        for name, tensor in after.items()
        if name in shapes[1] and tensor.is_floating_point()
    }
    end.load_state_dict(mean, strict=False)  # counts of batches stay; scores are fitted later
    return end


def halve_precision(model: nn.Module) -> None:
    """Cast convolutions and linear layers to half precision, in place, for a file of half the size.

    BatchNorm stays in float32, where rounding would shift whole channels.

    Args:
        model: To be saved next.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.half()


def half_precision_names(source: str | Path | None) -> set[str]:
    """Name the tensors that a checkpoint's file holds in half precision.

    Args:
        source: As for `checkpoint_io.locate`.

    Raises:
        CheckpointError: If there is no such file.
    """
    with safe_open(checkpoint_io.locate(source, checkpoint_io.WEIGHTS_NAME), framework="pt") as stored:
        return {name for name in stored.keys() if stored.get_slice(name).get_dtype() == "F16"}  # noqa: SIM118
