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
from leuk_hf.hole_filling import fill_hole, widened
from leuk_hf.leukocyte_canvas import Canvas, change_appearance, change_optics, draw_gap, stretch_field, turn_field
from leuk_hf.preprocessing import Preprocessor

NO_FIELD = -100  # in the place of a label: what torch's cross-entropy leaves out
NO_EVIDENCE = -1  # the same: of a field that speaks for no class more than for another
SAMPLES = 2  # grows when the same seed and settings come to give other samples


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
        epoch, draw = key
        index = draw % len(self.rows)
        field = self.fields[int(self.rows[index])]
        augmented = augment(self.transform, field, seed=sample_seed(self.seed, epoch, draw))
        # An unchanged field is the read-only map itself, which torch would warn of.
        return torch.from_numpy(augmented if augmented.flags.writeable else augmented.copy()), self.labels[index]


class CanvasDataset(torch.utils.data.Dataset):
    """Canvases of the cells of a few fields: (uint8 (H, W, 4), int64 (F,)), see `leuk_hf.leukocyte_canvas`.

    The labels are those of the fields 1 to F of the canvas, `NO_FIELD` where it holds fewer. The first field is the
    key's; the others are drawn, every class as often. Some samples are whole fields, as they are met later, and some
    are fields with nothing to tell a class by.

    Args:
        fields: Enhanced fields of the whole data set.
        cells: uint8 (A, N, H, W), their leukocytes in A appearances, numbered (`find_labels`). Half of the fields are
            shown as they are or in changed optics, by the outlines found in them as they are; the others in one of
            their other appearances, by those found in that. Fields borrow colours from each other.
        labels: Class index of each field.
        rows: Which of them, int (N,).
        fields_per_canvas: F, the most fields on one.
        whole_field_share: Share of the samples that are one whole field.
        optics: Whether fields are shown in other colours, light and focus (`change_optics`).
        stretch: How far fields are stretched across (`stretch_field`).
        no_evidence_share: Share of the samples that show a field without its leukocytes, where another field's are
            looked for; their label is `NO_EVIDENCE`.
        seed: With the key (epoch, draw), decides the canvas.
    """

    def __init__(
        self,
        fields: CachedFields,
        cells: np.ndarray,
        labels: Sequence[int],
        rows: np.ndarray,
        *,
        fields_per_canvas: int,
        whole_field_share: float,
        optics: bool,
        stretch: float,
        no_evidence_share: float,
        seed: int,
    ) -> None:
        self.stretch, self.no_evidence_share = stretch, no_evidence_share
        self.fields, self.cells, self.rows, self.seed = fields, cells, rows, seed
        self.fields_per_canvas, self.optics, self.appearance_seed = fields_per_canvas, optics, seed
        self.whole_field_share = whole_field_share
        self.labels = np.asarray(labels)[rows].tolist()
        of_class = np.asarray(self.labels)
        self._members = [np.flatnonzero(of_class == label) for label in np.unique(of_class)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, draw = key
        generator = np.random.default_rng(sample_seed(self.seed, epoch, draw))
        size = self.fields[0].shape[0]
        canvas = Canvas(size, gap=draw_gap(size, generator))
        labels = np.full(self.fields_per_canvas, NO_FIELD)
        index = draw % len(self.rows)
        if self.no_evidence_share and generator.random() < self.no_evidence_share:
            labels[0] = NO_EVIDENCE
            whole = turn_field(*self._emptied(int(self.rows[index]), generator), generator)
            return torch.from_numpy(whole), torch.from_numpy(labels)
        if generator.random() < self.whole_field_share:
            labels[0], row = self.labels[index], int(self.rows[index])
            whole = turn_field(*self._stretched(row, generator), generator)
            return torch.from_numpy(whole), torch.from_numpy(labels)
        for _ in range(2 * self.fields_per_canvas):  # fields without leukocytes must not keep it for ever
            row = int(self.rows[index])
            if canvas.add(*self._stretched(row, generator), generator):
                labels[canvas.num_fields - 1] = self.labels[index]
            if canvas.is_full or canvas.num_fields == self.fields_per_canvas:
                break
            members = self._members[generator.integers(len(self._members))]
            index = int(members[generator.integers(len(members))])
        return torch.from_numpy(canvas.pixels), torch.from_numpy(labels)

    def _emptied(self, row: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Take a field's leukocytes away, and give it the outlines of another's."""
        field, cells = self._shown(row, generator)
        hole = widened(cells > 0, int(generator.integers(3, 8)))
        other = int(self.rows[generator.integers(len(self.rows))])
        if hole.all():  # there is nothing to fill it from
            return field, np.zeros_like(cells)
        return fill_hole(field, hole, generator), self.cells[0, other]

    def _stretched(self, row: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return stretch_field(*self._shown(row, generator), generator, most=self.stretch)

    def _shown(self, row: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if len(self.cells) > 1 and generator.random() < 0.5:
            number = int(generator.integers(1, len(self.cells)))
            # Where nothing was found, there is nothing to learn.
            if self.cells[number, row].any():
                field = appearance_of(self.fields, self.cells, row, number, rows=self.rows, seed=self.appearance_seed)
                return field, self.cells[number, row]
        field = self.fields[row]
        if self.optics:
            field = change_optics(field, self.fields[int(self.rows[generator.integers(len(self.rows))])], generator)
        return field, self.cells[0, row]


def appearance_of(
    fields: CachedFields, labels: np.ndarray, row: int, number: int, *, rows: np.ndarray, seed: int
) -> np.ndarray:
    """Show a field as it is or, always in the same way, in one of its other appearances.

    Args:
        fields: Enhanced fields of the whole data set.
        labels: Of their first appearance at least.
        row: Which field.
        number: Which appearance; 0: as it is.
        rows: Fields whose backgrounds may be borrowed; they are looked at, too.
        seed: Decides the others.

    Returns:
        uint8 (H, W, 3).
    """
    if not number:
        return fields[row]
    generator = np.random.default_rng(sample_seed(seed, -number, row))
    other = int(rows[generator.integers(len(rows))])
    return change_appearance(fields[row], labels[0, row] > 0, (fields[other], labels[0, other] > 0), generator)


class EpochSampler(Sampler):
    """Keys (epoch, row): in file order, or in an order drawn from (seed, epoch) alone.

    Args:
        size: Rows.
        shuffle: Whether to draw an order.
        seed: With the epoch, decides the order.
        labels: Class of each row, to draw as many of each class, as many in all as there are rows. A row drawn again
            gets another key, row + size * times, so that it is augmented anew.
    """

    def __init__(self, size: int, *, shuffle: bool, seed: int, labels: Sequence[int] | None = None) -> None:
        self.size, self.shuffle, self.seed, self.epoch = size, shuffle, seed, 0
        self.labels = None if labels is None else np.asarray(labels)

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if self.labels is not None:
            return ((self.epoch, key) for key in self._balanced(self.labels))
        generator = torch.Generator().manual_seed(sample_seed(self.seed, self.epoch, -1))
        order = torch.randperm(self.size, generator=generator).tolist() if self.shuffle else range(self.size)
        return ((self.epoch, index) for index in order)

    def _balanced(self, labels: np.ndarray) -> list[int]:
        generator = np.random.default_rng(sample_seed(self.seed, self.epoch, -1))
        classes = np.unique(labels)
        each = -(-self.size // len(classes))
        keys = []
        for label in classes:
            rows = np.flatnonzero(labels == label)
            # Whole rounds through the class, each in a new order: every field is seen as often as any other.
            rounds = range(-(-each // len(rows)))
            keys.append(np.concatenate([generator.permutation(rows) + turn * self.size for turn in rounds])[:each])
        # Interleaved, so that every batch has all classes in about equal shares.
        return np.stack(keys, axis=1).ravel()[: self.size].tolist()


def group_masks(numbers: torch.Tensor, count: int) -> torch.Tensor:
    """Turn the last channel of canvases into one mask for each of their fields.

    Args:
        numbers: uint8 (N, H, W), 0 where there is none, else a field's number, from 1.
        count: Most fields on a canvas, G.

    Returns:
        float32 (N, G, H, W), 0 or 1.
    """
    return (numbers[:, None] == torch.arange(1, count + 1, device=numbers.device)[:, None, None]).to(torch.float32)


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
