"""The leukocytes of all fields of a run, found once by the network that the model brings."""

from __future__ import annotations

import numpy as np
import torch
from tqdm.auto import tqdm

from leuk_hf.cells import label_leukocytes
from leuk_hf.class_activation import evaluating
from leuk_hf.field_cache import CachedFields
from leuk_hf.fields import to_pixel_values
from leuk_hf.model import LeukDenseNet

_BATCH = 16
_MOST = 255  # cells of a field that are told apart


def find_labels(model: LeukDenseNet, fields: CachedFields, *, progress: bool = False) -> np.ndarray:
    """Number the leukocytes of every field.

    Args:
        model: Of view "leukocytes"; left as found.
        fields: Enhanced fields of the whole data set.
        progress: Show a bar.

    Returns:
        uint8 (N, H, W): 0 outside, 1 to n on the cells.

    Raises:
        ValueError: If the model sees the whole field.
    """
    device, size = next(model.parameters()).device, model.preprocessor.image_size
    labels = np.zeros((len(fields), size, size), dtype=np.uint8)
    with evaluating(model), torch.no_grad():
        for start in tqdm(range(0, len(fields), _BATCH), desc="Leukocytes", unit="batch", disable=not progress):
            batch = np.stack([fields[row] for row in range(start, min(start + _BATCH, len(fields)))])
            values = to_pixel_values(torch.from_numpy(batch).to(device), model.preprocessor, channels_last=False)
            found = model.find_leukocytes(values)
            if found is None:
                raise ValueError("the model sees the whole field; give one of view leukocytes")
            for row, mask in enumerate(found[:, 0].cpu().numpy() > 0.5, start):
                labels[row] = np.minimum(label_leukocytes(mask), _MOST)
    return labels
