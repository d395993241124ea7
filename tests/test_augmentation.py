"""Augmentation depends on its seed alone, leaves the global random state alone and keeps the format."""

from __future__ import annotations

import itertools
import pickle

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from leuk_hf.augmentation import augment, build_augmentation, jitter_colours, sample_seed

FIELD = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
FIELD.setflags(write=False)  # as a field of the cache is


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
    results.append(augment(pickle.loads(pickle.dumps(transform)), FIELD, seed=77))  # noqa: S301 - as a worker gets it
    assert all(np.array_equal(results[0], result) for result in results)


@pytest.mark.parametrize("name", ["none", "plain", "classic"])
def test_global_random_state_is_left_as_it_was(name):
    torch.manual_seed(5)
    before, numpy_before = torch.get_rng_state(), pickle.dumps(np.random.get_state())
    augment(build_augmentation(name), FIELD, seed=3)
    assert torch.equal(torch.get_rng_state(), before) and pickle.dumps(np.random.get_state()) == numpy_before


@pytest.mark.parametrize("name", ["plain", "classic"])
def test_different_seeds_differ(name):
    transform = build_augmentation(name)
    results = {augment(transform, FIELD, seed=seed).tobytes() for seed in range(20)}
    assert len(results) > 15


@pytest.mark.parametrize("name", ["none", "plain", "classic"])
@pytest.mark.parametrize("seed", [0, sample_seed(0, 3, 9)])
def test_type_shape_and_the_given_field_are_kept(name, seed):
    given = FIELD.copy()
    result = augment(build_augmentation(name), given, seed=seed)
    assert (result.dtype, result.shape) == (np.uint8, (24, 24, 3))
    assert np.array_equal(given, FIELD)


def test_none_changes_nothing():
    assert np.array_equal(augment(build_augmentation("none"), FIELD, seed=1), FIELD)


def orientation(field: np.ndarray) -> tuple[int, bool]:
    """Tell by which quarter turns and flip a field came from FIELD; brightness and contrast do not matter."""

    def likeness(key: tuple[int, bool]) -> float:
        turned = np.rot90(FIELD[:, ::-1] if key[1] else FIELD, key[0])
        return float(np.corrcoef(turned.ravel(), field.ravel())[0, 1])

    return max(itertools.product(range(4), (False, True)), key=likeness)


def test_plain_reaches_every_turn_and_flip():
    transform = build_augmentation("plain")
    reached = {orientation(augment(transform, FIELD, seed=seed)) for seed in range(80)}
    assert reached == set(itertools.product(range(4), (False, True)))


def test_classic_fills_the_corners_with_empty_glass():
    black = np.zeros((40, 40, 3), dtype=np.uint8)
    corners = np.stack([augment(build_augmentation("classic"), black, seed=seed)[0, 0] for seed in range(10)])
    assert corners.max() > 150
    assert corners.std(axis=1).max() < 30


class _Given:
    """Gives a jitter the draws that a test wants."""

    def __init__(self, factors, shift, order):
        self.draws, self.order = [np.array(factors), shift], order

    def uniform(self, low, high, size=None):
        return self.draws.pop(0)

    def permutation(self, count):
        assert sorted(self.order) == list(range(count))
        return np.array(self.order)


# Colours of a smear, away from 0 and 255, where clamping once and clamping after each change may differ.
STAINED = cv2.resize(np.random.default_rng(1).integers(60, 190, (6, 6, 3), dtype=np.uint8), (24, 24))


@pytest.mark.parametrize("order", [*itertools.permutations(range(3)), (3, 0, 1, 2), (0, 3, 2, 1), (2, 1, 0, 3)])
def test_colours_change_as_by_torchvision(order):
    factors, shift = (1.15, 0.9, 1.12), 0.03
    reference = torch.from_numpy(STAINED).permute(2, 0, 1)
    for change in order:
        if change == 3:
            reference = functional.adjust_hue(reference, shift)
        else:
            names = ("adjust_brightness", "adjust_contrast", "adjust_saturation")
            reference = getattr(functional, names[change])(reference, factors[change])
    result = jitter_colours(STAINED, _Given(factors, shift, order), strength=0.2, hue=0.05 if 3 in order else 0.0)
    difference = np.abs(result.astype(int) - reference.permute(1, 2, 0).numpy().astype(int))
    unchanged = np.abs(result.astype(int) - STAINED.astype(int))
    # torchvision cuts decimals off after each change, up to one grey value each time.
    assert difference.max() <= 6 and difference.mean() < 2.5 < 5 < unchanged.mean()


def test_no_strength_changes_no_colour():
    unmoved = jitter_colours(FIELD, np.random.default_rng(0), strength=0.0)
    assert np.array_equal(unmoved, FIELD)


def test_classic_turns_by_up_to_20_degrees():
    # A bright spot on the edge of the field goes round its centre.
    spot = np.zeros((101, 101, 3), dtype=np.uint8)
    spot[48:53, 88:93] = 255
    turns = []
    for seed in range(60):
        turned = augment(build_augmentation("classic"), spot, seed=seed)[..., 0].astype(float)
        rows, columns = np.mgrid[-50:51, -50:51]
        turned[rows**2 + columns**2 > 48**2] = 0  # the corners filled white
        turned[turned < 100] = 0
        vertical, horizontal = (turned * rows).sum(), (turned * columns).sum()
        turns.append(np.degrees(np.arctan2(vertical, abs(horizontal))))
    assert max(turns) < 21 and min(turns) > -21 and max(turns) > 14 and min(turns) < -14


def test_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="'randaugment'"):
        build_augmentation("randaugment")


def test_sample_seeds_tell_seed_epoch_and_row_apart():
    keys = list(itertools.product(range(4), range(12), range(12)))
    seeds = [sample_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sample_seed(1, 2, 3) == 3751671686878481423  # runs stay repeatable from version to version
