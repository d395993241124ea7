"""Labelled fields as a network trains on them, in an order that needs no saved random state."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Sampler

from leuk_hf.augmentation import Augmentation, augment, build_augmentation, sample_seed
from leuk_hf.data import read_image
from leuk_hf.preprocessing import Preprocessor


class FieldDataset(torch.utils.data.Dataset):
    """Rows of `load_smears` as (pixel_values float32 (3, H, W), label); keys are (epoch, row).

    Args:
        rows: Undecoded data set (`without_decoding`).
        preprocessor: The serving path up to pixel_values.
        augmentation: Name for `build_augmentation`.
        seed: With the key, decides the augmentation.
    """

    def __init__(self, rows: Dataset, preprocessor: Preprocessor, *, augmentation: Augmentation, seed: int) -> None:
        self.rows, self.preprocessor, self.seed = rows, preprocessor, seed
        self.augmentation = build_augmentation(augmentation)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, int]:
        epoch, index = key
        row = self.rows[index]
        enhanced = torch.from_numpy(np.array(self.preprocessor.enhance(read_image(row)))).permute(2, 0, 1)
        augmented = augment(self.augmentation, enhanced, seed=sample_seed(self.seed, epoch, index))
        pixel_values = self.preprocessor.normalise(augmented.permute(1, 2, 0).numpy()[None])[0]
        return torch.from_numpy(pixel_values), row["label"]


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
