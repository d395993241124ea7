"""Weights that come with the package for others to be trained from: none of them has seen a class label."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from leuk_hf.checkpoint_io import read_json, read_state_dict
from leuk_hf.errors import CheckpointError
from leuk_hf.leukocyte_view import LeukocyteNetwork

_ASSETS = Path(__file__).parent / "assets"
LEUKOCYTE_WEIGHTS = _ASSETS / "leukocyte_network.safetensors"
WARM_UP = _ASSETS / "warm_up"  # a checkpoint's folder, made by scripts/warm_up.py


def load_leukocyte_network(network: LeukocyteNetwork, path: Path = LEUKOCYTE_WEIGHTS) -> None:
    """Put weights of `scripts/fit_leukocyte_segmenter.py` into a network.

    Args:
        network: Of the widths that were fitted; changed in place.
        path: Safetensors file; the one that training starts with unless another is given.

    Raises:
        CheckpointError: If the file is missing, damaged, or of another network.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; give weights that scripts/fit_leukocyte_segmenter.py wrote")
    try:
        network.load_state_dict(read_state_dict(path, network.state_dict()))
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} does not hold the network that finds leukocytes; give weights that"
            " scripts/fit_leukocyte_segmenter.py wrote"
        ) from error


def describe_leukocyte_weights(path: Path) -> dict[str, Any]:
    """Say which weights these are, and how they were fitted if the record beside them is theirs.

    Args:
        path: Safetensors file of `scripts/fit_leukocyte_segmenter.py`; its record has the ending .json.

    Returns:
        JSON types: file (name), sha256, and what the record says.

    Raises:
        CheckpointError: If the weights are missing, damaged or of another network, or the record is damaged.
    """
    load_leukocyte_network(LeukocyteNetwork(), path)
    found = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    record = read_json(path.with_suffix(".json"))
    is_theirs = isinstance(record, dict) and record.get("sha256") == found["sha256"]
    return {**(record or {}), **found} if is_theirs else found
