"""What lies beside a checkpoint and goes with it when it is calibrated: its records."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from leuk_hf import checkpoint_io
from leuk_hf.errors import CheckpointError
from leuk_hf.files import write_json
from leuk_hf.release import without_the_weights

_TRAINING = "training.json"
_COMPANIONS = (_TRAINING, "split.csv")


def copy_companions(
    source: str | Path | None, folder: Path, *, is_changed: bool, leukocytes: dict[str, Any] | None = None
) -> None:
    """Take along what lies beside a checkpoint and stays true of the calibrated one.

    Args:
        source: The checkpoint it was made from: folder, Hub id, or None for the shipped one.
        folder: Of the calibrated one; may be the same.
        is_changed: Whether its answers are others: then the figures of recipes, of the data and of speed with any
            weights are left.
        leukocytes: What says of the weights that find its leukocytes from now on; None: they are as they were.

    Raises:
        CheckpointError: If the record of its training is damaged.
    """
    results = checkpoint_io.RESULTS_NAME
    for name in _COMPANIONS if is_changed else (*_COMPANIONS, results):
        path = checkpoint_io.find(source, name)
        if path is not None and path.parent.resolve() != folder.resolve():
            shutil.copyfile(path, folder / name)
    if is_changed and (path := checkpoint_io.find(source, results)) is not None:
        write_json(folder / results, without_the_weights(path))
    if leukocytes is not None and (training := checkpoint_io.read_json(folder / _TRAINING)) is not None:
        if not isinstance(training, dict):
            raise CheckpointError(f"{folder / _TRAINING} is no record of a training; make it anew or take it away")
        write_json(folder / _TRAINING, {**training, "leukocyte_network": leukocytes})
