"""The resumable state of a run: one safetensors file, replaced whole, with no pickle in it.

Tensors are the model's and the optimizer's; everything else (counters, schedule, best epoch) is JSON in the
file's metadata. Randomness needs no state: every draw is seeded by (seed, epoch, index) or by the step.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from leuk_hf.errors import TrainingError
from leuk_hf.files import replacing


@dataclasses.dataclass
class Progress:
    """Where a run stands; all of it is saved with the state."""

    epoch: int = 0
    batches: int = 0  # of this epoch, per process
    steps: int = 0
    loss_sum: float = 0.0
    right: float = 0
    seen: int = 0
    best_epoch: int = -1
    best_loss: float = math.inf
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    scheduler: dict[str, Any] = dataclasses.field(default_factory=dict)
    scaler: dict[str, Any] = dataclasses.field(default_factory=dict)


def save_state(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
    average: torch.nn.Module | None = None,
) -> None:
    """Write the state, whole or not at all.

    Args:
        path: The file; the earlier one stays until the new one is complete.
        model: Its parameters and buffers are kept in their own dtype.
        optimizer: Its tensors are kept, its numbers go with `progress`.
        progress: JSON types only; floats come back bit-equal.
        average: Of the weights, if one is kept.
    """
    kept = {"model": model} if average is None else {"model": model, "average": average}
    tensors = {
        f"{kind}/{name}": tensor.detach().cpu().contiguous()
        for kind, module in kept.items()
        for name, tensor in module.state_dict().items()
    }
    stored = optimizer.state_dict()
    for index, entries in stored["state"].items():
        for key, value in entries.items():
            tensors[f"optimizer/{index}/{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    content = {"progress": progress, "param_groups": stored["param_groups"]}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(content)})


def saved_progress(path: Path) -> dict[str, Any]:
    """Read the `progress` of a state, and no tensor.

    Args:
        path: Written by `save_state`.

    Raises:
        TrainingError: If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["state"])["progress"]
            return progress
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise TrainingError(f"{path} cannot be resumed ({reason}); start again in another folder") from error


def load_state(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    average: torch.nn.Module | None = None,
) -> dict[str, Any]:
    """Put a state back.

    Args:
        path: Written by `save_state`.
        model: Of the same architecture.
        optimizer: Over the same parameters.
        average: Of the weights, if one is kept.

    Returns:
        The `progress` that was saved.

    Raises:
        TrainingError: If the file is damaged or does not fit the model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        for kind, module in (("model/", model), ("average/", average)):
            if module is not None:
                found = {name.removeprefix(kind): value for name, value in tensors.items() if name.startswith(kind)}
                module.load_state_dict(found)
    except (SafetensorError, OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise TrainingError(f"{path} cannot be resumed ({reason}); start again in another folder") from error
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            parameter = parameters[int(index)]
            if value.shape == parameter.shape:
                # In the parameter's memory layout: a fused optimizer walks through both without looking at strides.
                value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            state.setdefault(int(index), {})[key] = value.detach()
    groups = [{**group, "betas": tuple(group["betas"])} for group in content["param_groups"]]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return content["progress"]
