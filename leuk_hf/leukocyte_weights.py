"""The weights of the network that finds leukocytes, which come with the package."""

from __future__ import annotations

from pathlib import Path

from leuk_hf.checkpoint_io import read_state_dict
from leuk_hf.leukocyte_view import LeukocyteNetwork

LEUKOCYTE_WEIGHTS = Path(__file__).parent / "assets" / "leukocyte_network.safetensors"


def load_leukocyte_network(network: LeukocyteNetwork) -> None:
    """Put the shipped weights (`scripts/fit_leukocyte_segmenter.py`) into a network.

    Args:
        network: Of the widths that were fitted; changed in place.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    network.load_state_dict(read_state_dict(LEUKOCYTE_WEIGHTS, network.state_dict()))
