"""The leukocytes of all fields of a run, found once by the network that the model brings.

Shared contract: labels are uint8 (A, N, H, W): 0 outside and 1 to n on the cells of N fields in A appearances, the
first as they are. In another light the network finds other outlines; a classifier that has only seen the best ones
takes the difference for one of the cells.
"""

from __future__ import annotations

import numpy as np
import torch
from tqdm.auto import tqdm

from leuk_hf.cells import label_alike, label_leukocytes
from leuk_hf.class_activation import evaluating
from leuk_hf.field_cache import CachedFields
from leuk_hf.fields import appearance_of, to_pixel_values
from leuk_hf.model import LeukDenseNet

_BATCH = 16
_MOST = 255  # cells of a field that are told apart


def find_labels(
    model: LeukDenseNet,
    fields: CachedFields,
    rows: np.ndarray,
    *,
    appearances: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> np.ndarray:
    """Number the leukocytes of fields.

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
    device, size = next(model.parameters()).device, model.preprocessor.image_size
    labels = np.zeros((1 + appearances, len(fields), size, size), dtype=np.uint8)
    batches = [rows[start : start + _BATCH].tolist() for start in range(0, len(rows), _BATCH)]
    looks = [(number, batch) for number in range(1 + appearances) for batch in batches]
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
    return labels
