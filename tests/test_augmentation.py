"""Augmentation depends on its seed alone, leaves the global random state alone and keeps the format."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from leuk_hf.augmentation import augment, build_augmentation, sample_seed

FIELD = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 24, 24), dtype=np.uint8))


@pytest.mark.parametrize("name", ["none", "plain", "classic"])
def test_same_seed_same_bytes_whatever_ran_before(name):
    transform = build_augmentation(name)
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        results.append(augment(transform, FIELD, seed=77))
        augment(transform, FIELD, seed=78)
    results.append(augment(build_augmentation(name), FIELD, seed=77))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("name", ["none", "plain", "classic"])
def test_global_random_state_is_left_as_it_was(name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    augment(build_augmentation(name), FIELD, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_random_state_survives_an_error():
    before = torch.get_rng_state()
    with pytest.raises(TypeError, match="channel"):
        augment(build_augmentation("classic"), FIELD[:2], seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["plain", "classic"])
def test_different_seeds_differ(name):
    transform = build_augmentation(name)
    results = {augment(transform, FIELD, seed=seed).numpy().tobytes() for seed in range(20)}
    assert len(results) > 15


@pytest.mark.parametrize("name", ["none", "plain", "classic"])
@pytest.mark.parametrize("seed", [0, sample_seed(0, 3, 9)])
def test_type_shape_and_the_given_field_are_kept(name, seed):
    given = FIELD.clone()
    result = augment(build_augmentation(name), given, seed=seed)
    assert (result.dtype, result.shape) == (torch.uint8, (3, 24, 24))
    assert torch.equal(given, FIELD)


def test_none_changes_nothing():
    assert torch.equal(augment(build_augmentation("none"), FIELD, seed=1), FIELD)


def orientation(field: torch.Tensor) -> tuple[int, bool]:
    """Tell by which quarter turns and flip a field came from FIELD; brightness and contrast do not matter."""

    def likeness(key: tuple[int, bool]) -> float:
        turned = torch.rot90(FIELD.flip(-1) if key[1] else FIELD, key[0], dims=(-2, -1))
        return float(np.corrcoef(turned.flatten().numpy(), field.flatten().numpy())[0, 1])

    return max(itertools.product(range(4), (False, True)), key=likeness)


def test_plain_reaches_every_turn_and_flip():
    transform = build_augmentation("plain")
    reached = {orientation(augment(transform, FIELD, seed=seed)) for seed in range(80)}
    assert reached == set(itertools.product(range(4), (False, True)))


def test_classic_fills_the_corners_with_empty_glass():
    black = torch.zeros(3, 40, 40, dtype=torch.uint8)
    corners = torch.stack([augment(build_augmentation("classic"), black, seed=seed)[:, 0, 0] for seed in range(10)])
    assert corners.max() > 150
    assert corners.float().std(dim=1).max() < 30


def test_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="'randaugment'"):
        build_augmentation("randaugment")


def test_sample_seeds_tell_seed_epoch_and_row_apart():
    keys = list(itertools.product(range(4), range(12), range(12)))
    seeds = [sample_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sample_seed(1, 2, 3) == 3751671686878481423  # runs stay repeatable from version to version
