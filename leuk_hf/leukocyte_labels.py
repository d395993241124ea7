"""The leukocytes of all fields of a run, found once by the network that the model brings.

Shared contract: labels are uint8 (A, N, H, W): 0 outside and 1 to n on the cells of N fields in A appearances, the
first as they are. In another light the network finds other outlines; a classifier that has only seen the best ones
takes the difference for one of the cells. They lie beside the cached fields, compressed, for the next run that asks
for the same: leukocytes-<key>.npz, readable by its owner only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from leuk_hf.cells import label_alike, label_leukocytes
from leuk_hf.class_activation import evaluating
from leuk_hf.field_cache import CachedFields, remove_abandoned
from leuk_hf.fields import SAMPLES, appearance_of, to_pixel_values
from leuk_hf.model import LeukDenseNet

_BATCH = 16
_MOST = 255  # cells of a field that are told apart
_AGREEMENT = 0.999  # of cells' pixels; another number of threads may round a pixel on an outline to the other side


def find_labels(
    model: LeukDenseNet,
    fields: CachedFields,
    rows: np.ndarray,
    *,
    appearances: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """Number the leukocytes of fields, or take them from the file of a run before that asked for the same.

    A file that is damaged, or that this code would not make (a few fields are searched again), is replaced. Fields
    that are kept in memory, and folders that cannot be written, get none.

    Args:
        model: Of a view of leukocytes; left as found.
        fields: Enhanced fields of the whole data set.
        rows: Which of them are looked at; the others stay 0.
        appearances: Other ones of each field (`appearance_of`).
        seed: Decides them.
        progress: Show a bar.

    Returns:
        uint8 (1 + appearances, N, H, W).

    Raises:
        ValueError: If the model sees the whole field.
    """
    size = model.preprocessor.image_size
    labels = np.zeros((1 + appearances, len(fields), size, size), dtype=np.uint8)
    path = None
    if fields.path is not None:
        path = fields.path.parent / f"leukocytes-{_key(model, rows, appearances, seed)}.npz"
        if _take(path, labels, rows):
            sample = rows[np.unique(np.linspace(0, len(rows) - 1, _BATCH).astype(int))]
            stored = labels[:, sample]
            _fill(model, fields, labels, rows, sample, seed=seed, progress=False)
            cells = (labels[:, sample] > 0) | (stored > 0)
            if (labels[:, sample] != stored).sum() <= (1 - _AGREEMENT) * cells.sum():
                labels[:, sample] = stored
                return labels
            labels[:] = 0
    _fill(model, fields, labels, rows, rows, seed=seed, progress=progress)
    if path is not None:
        with contextlib.suppress(OSError):  # the next run finds them anew
            _write(path, labels[:, rows])
    return labels


def _fill(
    model: LeukDenseNet,
    fields: CachedFields,
    labels: np.ndarray,
    rows: np.ndarray,
    wanted: np.ndarray,
    *,
    seed: int,
    progress: bool,
) -> None:
    """Find the leukocytes of `wanted` among `rows`, whose first appearance is known or wanted, too."""
    device = next(model.parameters()).device
    batches = [wanted[start : start + _BATCH].tolist() for start in range(0, len(wanted), _BATCH)]
    looks = [(number, batch) for number in range(len(labels)) for batch in batches]
    with evaluating(model), torch.no_grad():
        for number, batch in tqdm(looks, desc="Leukocytes", unit="batch", disable=not progress):
            shown = np.stack([appearance_of(fields, labels, row, number, rows=rows, seed=seed) for row in batch])
            values = to_pixel_values(torch.from_numpy(shown).to(device), model.preprocessor, channels_last=False)
            found = model.find_leukocytes(values)
            if found is None:
                raise ValueError("the model sees the whole field; give one of a view of leukocytes")
            for row, mask in zip(batch, found[:, 0].cpu().numpy() > 0.5, strict=True):
                # Cells are told apart best in the field as it is.
                cells = label_alike(mask, labels[0, row]) if number else label_leukocytes(mask)
                labels[number, row] = np.minimum(cells, _MOST)


def _key(model: LeukDenseNet, rows: np.ndarray, appearances: int, seed: int) -> str:
    """Name everything that decides the labels of fields that are given: 32 hexadecimal digits."""
    preprocessor = model.preprocessor
    settings = [list(preprocessor.mean), list(preprocessor.std), appearances, seed if appearances else 0, SAMPLES]
    settings.append(model.outline_orientations)
    digest = hashlib.sha256(json.dumps(settings).encode())
    digest.update(np.ascontiguousarray(rows, dtype=np.int64).tobytes())
    if model.leukocytes is not None:
        for name, tensor in sorted(model.leukocytes.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _take(path: Path, labels: np.ndarray, rows: np.ndarray) -> bool:
    """Fill in the labels of a file; tell whether there were any that fit."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("labels.npy") as file:
            stored = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False  # RuntimeError: what a damaged header makes of a method or of encryption
    if stored.dtype != np.uint8 or stored.shape != (len(labels), len(rows), *labels.shape[2:]):
        return False
    labels[:, rows] = stored
    return True


def _write(path: Path, labels: np.ndarray) -> None:
    remove_abandoned(path.parent, ".leukocytes.*.npz")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".leukocytes.", suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, labels=labels)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
