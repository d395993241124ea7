"""Labelled fields as a network trains on them, in an order that needs no saved random state.

Shared contract: fields stay uint8 (H, W, 3) until they are a batch on the device that trains; there
`to_pixel_values` makes pixel_values of them, bit-equal to `Preprocessor.normalise` on CPUs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from leuk_hf.augmentation import Augmentation, augment, build_augmentation, sample_seed
from leuk_hf.field_cache import CachedFields
from leuk_hf.preprocessing import Preprocessor


class FieldDataset(torch.utils.data.Dataset):
    """Some rows of the cache as (uint8 (H, W, 3), label); keys are (epoch, index), index into `rows`.

    Args:
        fields: Enhanced fields of the whole data set.
        labels: Class index of each of them.
        rows: Which of them, int (N,).
        augmentation: Name for `build_augmentation`.
        seed: With the key, decides the augmentation.
    """

    def __init__(
        self, fields: CachedFields, labels: Sequence[int], rows: np.ndarray, *, augmentation: Augmentation, seed: int
    ) -> None:
        self.fields, self.rows, self.seed = fields, rows, seed
        self.labels = np.asarray(labels)[rows].tolist()
        self.transform = build_augmentation(augmentation)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, int]:
        epoch, index = key
        field = self.fields[int(self.rows[index])]
        augmented = augment(self.transform, field, seed=sample_seed(self.seed, epoch, index))
        # An unchanged field is the read-only map itself, which torch would warn of.
        return torch.from_numpy(augmented if augmented.flags.writeable else augmented.copy()), self.labels[index]


class EpochSampler(Sampler):
    """Keys (epoch, row): in file order, or in an order drawn from (seed, epoch) alone."""

    def __init__(self, size: int, *, shuffle: bool, seed: int) -> None:
        self.size, self.shuffle, self.seed, self.epoch = size, shuffle, seed, 0

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(sample_seed(self.seed, self.epoch, -1))
        order = torch.randperm(self.size, generator=generator).tolist() if self.shuffle else range(self.size)
        return ((self.epoch, index) for index in order)


def to_pixel_values(
    fields: torch.Tensor, preprocessor: Preprocessor, *, image_size: int | None = None, channels_last: bool = True
) -> torch.Tensor:
    """Turn a batch of enhanced fields into pixel_values, on the device where it is.

    Args:
        fields: uint8 (N, H, W, 3).
        preprocessor: Gives mean and std.
        image_size: Reduce the batch to this edge, in pixels, by antialiased bilinear interpolation, the filter with
            which `Preprocessor` reduces photographs.
        channels_last: Memory layout of the result; this one takes no copy.

    Returns:
        float32 (N, 3, H, W).
    """
    mean, std = (_on_device(values, fields.device) for values in (preprocessor.mean, preprocessor.std))
    pixel_values = fields.to(torch.float32).div_(255).sub_(mean).div_(std).permute(0, 3, 1, 2)
    if image_size is not None and image_size != fields.shape[1]:
        pixel_values = torch.nn.functional.interpolate(
            pixel_values, (image_size, image_size), mode="bilinear", antialias=True
        )
    return pixel_values.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@functools.lru_cache(maxsize=16)
def _on_device(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    # Kept, because a GPU would be waited for while they are copied.
    return torch.tensor(values, device=device)
