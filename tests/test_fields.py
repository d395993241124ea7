"""What reaches the network: bit-equal pixel_values, each field once an epoch, the same for one process and two."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from accelerate.data_loader import prepare_data_loader

from leuk_hf.augmentation import augment, build_augmentation, sample_seed
from leuk_hf.data import load_smears, read_image, without_decoding
from leuk_hf.field_cache import cached_fields
from leuk_hf.fields import FieldDataset, to_pixel_values
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.training_config import TrainConfig
from leuk_hf.training_setup import build_loader, choose_num_workers

PREPROCESSOR = Preprocessor(image_size=40, mean=(0.5, 0.4, 0.6), std=(0.2, 0.3, 0.1))
FIELDS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def rows(smear_folder):
    return without_decoding(load_smears(smear_folder))


@pytest.fixture(scope="module")
def fields(rows, tmp_path_factory):
    return cached_fields(rows, PREPROCESSOR, folder=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("channels_last", [True, False])
def test_pixel_values_are_bit_equal_to_serving(rows, fields, channels_last):
    dataset = FieldDataset(fields, rows["label"], np.arange(len(rows)), augmentation="none", seed=0)
    batch = torch.stack([dataset[0, index][0] for index in range(len(rows))])
    pixel_values = to_pixel_values(batch, PREPROCESSOR, channels_last=channels_last)
    assert np.array_equal(pixel_values.numpy(), PREPROCESSOR([read_image(row) for row in rows]))
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    assert pixel_values.is_contiguous(memory_format=wanted) and pixel_values.dtype == torch.float32


def test_every_value_of_every_channel_is_normalised_bit_equally():
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), (1, 16, 16, 3))
    assert np.array_equal(to_pixel_values(torch.tensor(ramp), Preprocessor()).numpy(), Preprocessor().normalise(ramp))


def test_channels_last_takes_no_copy_after_normalising():
    given = FIELDS.clone()
    pixel_values = to_pixel_values(given, PREPROCESSOR)
    assert pixel_values.permute(0, 2, 3, 1).is_contiguous() and torch.equal(given, FIELDS)


def test_reducing_averages_and_does_not_pick():
    # Lines one pixel wide: picking pixels would give lines or none, averaging gives grey.
    lines = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    lines[:, :, ::2] = 200
    reduced = to_pixel_values(lines, Preprocessor(mean=(0, 0, 0), std=(1, 1, 1)), image_size=16)
    assert reduced.shape == (1, 3, 16, 16) and reduced.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(reduced[..., 2:-2], torch.tensor(100 / 255), atol=0.02)


def test_reducing_to_the_size_it_has_changes_nothing():
    assert torch.equal(to_pixel_values(FIELDS, PREPROCESSOR, image_size=40), to_pixel_values(FIELDS, PREPROCESSOR))


def test_an_item_is_decided_by_seed_epoch_and_index(rows, fields):
    chosen = np.array([5, 2, 7])
    dataset = FieldDataset(fields, rows["label"], chosen, augmentation="plain", seed=9)
    field, label = dataset[4, 1]
    expected = augment(build_augmentation("plain"), fields[2], seed=sample_seed(9, 4, 1))
    assert torch.equal(field, torch.from_numpy(expected)) and label == rows["label"][2]
    assert not torch.equal(dataset[5, 1][0], field)


def batches(rows, fields, *, batch_size, num_processes=1, process=0, epoch=0, num_workers=0, augmentation="plain"):
    config = TrainConfig(batch_size=batch_size, seed=3, augmentation=augmentation)
    part = np.arange(7)
    loader = build_loader(
        config, fields, rows["label"], part, cells=None, training=True, num_workers=num_workers, pin_memory=False
    )
    loader = prepare_data_loader(
        loader, num_processes=num_processes, process_index=process, put_on_device=False, rng_types=[]
    )
    loader.set_epoch(epoch)
    return [(field.clone(), labels.clone()) for field, labels in loader]


def test_two_processes_share_the_batches_of_one(rows, fields):
    for epoch in range(3):
        one = batches(rows, fields, batch_size=2, epoch=epoch)
        first, second = (
            batches(rows, fields, batch_size=1, num_processes=2, process=process, epoch=epoch) for process in (0, 1)
        )
        assert len(one) == len(first) == len(second) == 3  # of 7 fields
        for whole, half, other in zip(one, first, second, strict=True):
            assert torch.equal(whole[0], torch.cat([half[0], other[0]]))
            assert torch.equal(whole[1], torch.cat([half[1], other[1]]))


def test_an_epoch_shows_each_field_once_in_an_order_of_its_own(rows, fields):
    orders = []
    for epoch in range(3):
        seen = batches(rows, fields, batch_size=1, epoch=epoch, augmentation="none")
        orders.append([row for field, _ in seen for row in range(7) if np.array_equal(field[0].numpy(), fields[row])])
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_workers_give_the_same_batches(rows, fields):
    here, there = (batches(rows, fields, batch_size=3, num_workers=number) for number in (0, 2))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(here, there, strict=True))


def test_the_number_of_workers():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert choose_num_workers(None, cpu, 1) == 0
    assert choose_num_workers(3, cpu, 1) == choose_num_workers(3, gpu, 8) == 3
    assert 0 <= choose_num_workers(None, gpu, 1) <= 4
    assert choose_num_workers(None, gpu, 10_000) == 0


def test_a_worker_that_is_not_forked_gets_names_not_pixels(rows, fields):
    dataset = FieldDataset(fields, rows["label"], np.arange(len(rows)), augmentation="classic", seed=1)
    sent = pickle.dumps(dataset)
    assert len(sent) < 2000
    assert torch.equal(pickle.loads(sent)[2, 3][0], dataset[2, 3][0])  # noqa: S301 - our own
