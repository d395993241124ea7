"""Weights that come with the package for others to be trained from: none of them has seen a class label."""

from __future__ import annotations

from pathlib import Path

from leuk_hf.checkpoint_io import read_state_dict
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
    network.load_state_dict(read_state_dict(path, network.state_dict()))
