"""Finding and checking a checkpoint's files, on disk or on the Hub, before any weight is used.

A checkpoint is a folder (or Hub repository) with `config.json` and `model.safetensors`; pickles are never read.
Every fault becomes one `CheckpointError` sentence that says what is wrong, where, and what to do.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leuk_hf.errors import CheckpointError, one_line
from leuk_hf.field_checks import limits_from
from leuk_hf.hub_files import download_file
from leuk_hf.preprocessing import Preprocessor

if TYPE_CHECKING:
    import torch

CONFIG_NAME = "config.json"
RESULTS_NAME = "results.json"
WEIGHTS_NAME = "model.safetensors"
SCHEMA_VERSION = 1
IN_COLOUR = "leukocytes_in_colour"
VIEWS = ("field", "leukocytes", IN_COLOUR)
SHIPPED_CHECKPOINT = Path(__file__).parent / "checkpoint"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?")


class MissingFileError(CheckpointError):
    """The source is there, or may be, but one of its files cannot be had."""


def checkpoint_source() -> str | None:
    """Tell which checkpoint the demo and the scripts use by default: `LEUK_MODEL`, else the shipped one (None)."""
    return os.environ.get("LEUK_MODEL") or None


def find(source: str | Path | None, name: str, **download: Any) -> Path | None:
    """Find a file that a checkpoint may lack.

    Args:
        source: As for `locate`.
        name: The file's name inside the checkpoint.
        **download: As for `locate`.

    Returns:
        Where the file lies, or None if the checkpoint has none, or none is in the cache and there is no network.

    Raises:
        CheckpointError: If the source itself cannot be had.
    """
    try:
        return locate(source, name, **download)
    except MissingFileError:
        return None


def locate(source: str | Path | None, name: str, **download: Any) -> Path:
    """Find one file of a checkpoint, downloading it when the source is a Hub id.

    Args:
        source: A folder, a Hub id ("owner/name"), or None for the checkpoint that comes with the package.
        name: The file's name inside the checkpoint.
        **download: Passed to `huggingface_hub.hf_hub_download`: revision, token, cache_dir, and so on.

    Returns:
        Where the file lies on this machine.

    Raises:
        CheckpointError: If the folder, the file or the repository cannot be had, or a folder is asked for a revision.
    """
    if source is not None and not isinstance(source, (str, os.PathLike)):
        raise CheckpointError(f"{source!r} is no name of a checkpoint; give a folder or a Hub id (owner/name)")
    if source is not None and not str(source).strip():
        raise CheckpointError("the checkpoint's name is empty; give a folder or a Hub id (owner/name)")
    try:
        folder = SHIPPED_CHECKPOINT if source is None else Path(source).expanduser()
        is_folder, exists = folder.is_dir(), folder.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{source} cannot be a folder ({one_line(error)}); check the path") from error
    if is_folder and (revision := download.get("revision")):
        shown = folder if source is not None else f"the shipped checkpoint ({folder})"
        raise CheckpointError(f"a revision ({revision}) belongs to a Hub id; {shown} is a folder; leave it out")
    if is_folder:
        if not (folder / name).is_file():
            raise MissingFileError(f"{folder} has no {name}; give a folder written by save_pretrained")
        return folder / name
    if source is None:
        raise CheckpointError(f"this installation lacks the shipped checkpoint ({folder}); install leuk_hf again")
    text = str(source)
    if exists:
        raise CheckpointError(f"{text} is a file; give the folder that holds {CONFIG_NAME} and {WEIGHTS_NAME}")
    if not _HUB_ID.fullmatch(text) or ".." in text:
        raise CheckpointError(f"there is no folder {text}, and it cannot be a Hub id (owner/name); check the path")
    return download_file(
        text,
        name,
        here="a folder",
        there="a repository",
        lacking="it is not a leuk_hf checkpoint",
        error=CheckpointError,
        missing=MissingFileError,
        **download,
    )


def read_config(path: Path) -> dict[str, Any]:
    """Read and check a checkpoint's config.

    Args:
        path: The checkpoint's config.json.

    Returns:
        The settings that `LeukDenseNet.__init__` takes, nothing else.

    Raises:
        CheckpointError: If it is not JSON, lacks a setting, has an unknown one, or a newer schema.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({one_line(error)}); copy the checkpoint again") from error
    settings = config.get("leuk_hf") if isinstance(config, dict) else None
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path} has no leuk_hf section; it does not belong to a leuk_hf checkpoint")
    settings = dict(settings)
    schema = settings.pop("schema_version", None)
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} has schema_version {schema!r}, this leuk_hf knows up to {SCHEMA_VERSION}; upgrade leuk_hf"
        )
    names = settings.get("class_names")
    if not isinstance(names, list) or config.get("num_classes") != len(names):
        raise CheckpointError(
            f"{path}: num_classes is {config.get('num_classes')!r}, class_names is {names!r}; mend one"
        )
    preprocessor = settings.get("preprocessor")
    known = {field.name for field in dataclasses.fields(Preprocessor)}
    if not isinstance(preprocessor, dict) or set(preprocessor) != known:
        differing = sorted(known ^ set(preprocessor if isinstance(preprocessor, dict) else ()))
        raise CheckpointError(f"{path}: missing or unknown preprocessor settings: {', '.join(differing)}")
    try:
        settings["preprocessor"] = Preprocessor(**preprocessor)
        if "refusal_limits" in settings:
            settings["refusal_limits"] = limits_from(settings["refusal_limits"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    return settings


def cam_layers_of(settings: dict[str, Any]) -> tuple[str, ...]:
    """Name the layers that can be explained, from fine to coarse.

    Args:
        settings: Of a checkpoint, as from `read_config`.
    """
    blocks = [f"denseblock{number + 1}" for number in range(len(settings["block_config"]))]
    return (*blocks, "norm5", *(("leukocyte_pool",) if settings["view"] != "field" else ()))


def check_class_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of the classes.

    Args:
        class_names: One per class, in index order.

    Raises:
        ValueError: Unless there are at least two, all different and not empty.
    """
    names = tuple(class_names)
    if isinstance(class_names, str) or len(names) < 2:
        raise ValueError(f"class_names is {class_names!r}; give at least two names")
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"class_names is {class_names!r}; every name must be text that is not empty")
    if len(set(names)) < len(names):
        raise ValueError(f"class_names has a name twice: {', '.join(names)}")
    return names


def check_temperature(temperature: float) -> float:
    """Check a temperature.

    Args:
        temperature: What logits are divided by.

    Raises:
        ValueError: Unless it is a number from 0.01 to 100; what is fitted lies near 1.
    """
    is_number = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
    if not (is_number and 0.01 <= temperature <= 100):
        raise ValueError(f"temperature is {temperature!r}; give a number from 0.01 to 100")
    return float(temperature)


def check_quantiles(quantiles: Sequence[float], class_names: Sequence[str]) -> tuple[float, ...]:
    """Check conformal quantiles.

    Args:
        quantiles: None, or one probability for each class.
        class_names: The classes.

    Raises:
        ValueError: If their number is another, or one is not in [0, 1].
    """
    try:
        values = tuple(float(value) for value in quantiles)
    except (TypeError, ValueError):
        values = (-1.0,)
    if (values and len(values) != len(class_names)) or not all(0 <= value <= 1 for value in values):
        raise ValueError(
            f"conformal_quantiles are {quantiles!r}; give none, or a probability for each of the {len(class_names)}"
            " classes"
        )
    return values


def check_mirror(path: Path, expected: dict[str, Any]) -> None:
    """Check that the part of a config that timm reads says the same as ours.

    Args:
        path: The checkpoint's config.json, readable by `read_config`.
        expected: The `config` of the model that our part describes.

    Raises:
        CheckpointError: Naming what differs.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    ours = json.loads(json.dumps(expected))
    if differing := [key for key in ours if stored.get(key) != ours[key]]:
        raise CheckpointError(f"{path}: {', '.join(differing)} contradict the leuk_hf section; save the model again")


def read_state_dict(path: Path, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read weights and check that they are exactly the expected tensors.

    Args:
        path: A safetensors file.
        expected: The model's own state dict, for names and shapes.

    Returns:
        The tensors by name, on the CPU, in the file's dtypes.

    Raises:
        CheckpointError: If the file is damaged, or a tensor is missing, unknown or of another shape.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state_dict = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged ({one_line(error)}); copy it again, or by `hf download --force-download`"
        ) from error
    # All at once: hundreds of small tensors take a hundred times as long one by one.
    flat = [tensor.flatten().float() for tensor in state_dict.values() if tensor.is_floating_point()]
    all_finite = not flat or bool(torch.cat(flat).isfinite().all())
    missing, unknown = sorted(set(expected) - set(state_dict)), sorted(set(state_dict) - set(expected))
    if missing or unknown:
        parts = [f"{verb} {_listed(names)}" for verb, names in (("lacks", missing), ("has unknown", unknown)) if names]
        raise CheckpointError(f"{path} does not fit its config: it {' and '.join(parts)}")
    for name, tensor in state_dict.items():
        if tensor.is_floating_point() != expected[name].is_floating_point():
            raise CheckpointError(f"{path}: {name} is {tensor.dtype}; quantised weights cannot be loaded")
        if tensor.is_floating_point() and not all_finite and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path}: {name} has values that are not finite; its training failed, use another")
        if tensor.shape != expected[name].shape:
            raise CheckpointError(
                f"{path} does not fit its config: {name} has shape {tuple(tensor.shape)}, the config asks for"
                f" {tuple(expected[name].shape)}; check class_names and the architecture in config.json"
            )
    return state_dict


def read_json(path: Path) -> dict[str, Any] | None:
    """Read one of a checkpoint's JSON files; None if it is missing.

    Args:
        path: Of the file.

    Raises:
        CheckpointError: If it is damaged.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); make it anew or take it away") from error


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more tensors"
