"""Samples around leukocytes, the classes drawn equally, averaged weights, and splits of one's own."""

from __future__ import annotations

import colorsys
import csv
import dataclasses
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from leuk_hf.data import load_smears
from leuk_hf.errors import DataError, TrainingError
from leuk_hf.field_cache import CachedFields
from leuk_hf.fields import NO_EVIDENCE, NO_FIELD, CanvasDataset, EpochSampler, appearance_of
from leuk_hf.hole_filling import _nearest, fill_hole, widened
from leuk_hf.leukocyte_canvas import Canvas, change_appearance, change_optics, draw_gap, stretch_field, turn_field
from leuk_hf.leukocyte_samples import SamplePool, _hole, draw_sample
from leuk_hf.leukocyte_weights import LEUKOCYTE_WEIGHTS
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.segmenter_training import fit_segmenter, segmentation_loss
from leuk_hf.split_table import parts_of_table
from leuk_hf.splits import deal_groups
from leuk_hf.synthetic import write_smears
from leuk_hf.training import train
from leuk_hf.training_config import RECIPES, kept_last, smoke_config
from leuk_hf.training_loss import summed_loss
from leuk_hf.training_setup import average_of, starting_model

FIELD = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


def disc(y: int, x: int, radius: int, size: int = 96) -> np.ndarray:
    return cv2.circle(np.zeros((size, size), np.uint8), (x, y), radius, 255, -1)


def test_fields_are_stretched_across_with_their_cells():
    labels = (disc(48, 40, 12) > 0).astype(np.uint8) + 2 * (disc(20, 6, 5) > 0).astype(np.uint8)
    field = np.dstack([200 * (labels == 1), 200 * (labels == 2), 60 + 0 * labels]).astype(np.uint8)
    factors = []
    for seed in range(60):
        shown, found = stretch_field(field, labels, np.random.default_rng(seed), most=1.5)
        assert ((shown[..., 0] > 100) == (found == 1)).mean() > 0.99
        (rows, columns), (before, across) = np.nonzero(found == 1), np.nonzero(labels == 1)
        assert np.ptp(before) - 2 <= np.ptp(rows) <= np.ptp(before)  # down as they were, but for a tip of one pixel
        factors.append((np.ptp(columns) + 1) / (np.ptp(across) + 1))
        # About the middle, 47.5.
        assert columns.mean() - 47.5 == pytest.approx((40 - 47.5) * factors[-1], abs=0.7)
    assert factors.count(1.0) in range(20, 42) and min(factors) < 0.75 and max(factors) > 1.35
    assert min(factors) > 0.62 and max(factors) < 1.55
    generator = np.random.default_rng(0)
    assert stretch_field(field, labels, generator, most=1.0)[0] is field
    assert generator.random() == np.random.default_rng(0).random()  # nothing drawn


def test_cells_that_a_squashed_fields_sides_cut_off_count_for_none():
    labels = np.zeros((96, 96), np.uint8)
    labels[10:30, :20], labels[60:80, 90:], labels[40:50, 40:50] = 1, 2, 3
    found = [stretch_field(FIELD, labels, np.random.default_rng(seed), most=1.5)[1] for seed in range(40)]
    changed = [one for one in found if one is not labels]
    squashed = [one for one in changed if (one == 3).sum() < 95]
    assert len(squashed) > 5 and all(set(np.unique(one)) == {0, 3} for one in squashed)
    stretched = [one for one in changed if (one == 3).sum() > 105]
    assert len(stretched) > 5 and all(one[20, 0] == 1 for one in stretched)


def test_fields_without_evidence_show_other_outlines_where_leukocytes_were():
    own, other = disc(30, 30, 12) > 0, disc(66, 60, 9) > 0
    black = np.where(own[..., None], np.uint8(0), np.uint8(200)).repeat(3, axis=-1)[..., :3].astype(np.uint8)
    white = np.full((96, 96, 3), 200, np.uint8)
    cells = np.stack([own, other]).astype(np.uint8)
    options = {"fields_per_canvas": 2, "whole_field_share": 1.0, "optics": False, "stretch": 1.0, "seed": 0}
    fields = CachedFields(None, pixels=np.stack([black, white]))
    given = (fields, cells[None], [0, 1], np.arange(2))
    dataset = CanvasDataset(*given, no_evidence_share=0.3, **options)
    samples = [dataset[epoch, 0] for epoch in range(300)]
    empty = [pixels for pixels, labels in samples if labels.tolist() == [NO_EVIDENCE, NO_FIELD]]
    assert 60 < len(empty) < 120
    for pixels in empty:
        shown, mask = pixels[..., :3].numpy(), pixels[..., 3].numpy() > 0
        assert mask.any() and (np.abs(mask.sum() - np.array([own.sum(), other.sum()])).min() < 0.4 * mask.sum())
        painted = (shown == shown[0, 0]).all() or shown.std() < 120  # the black cell is gone, but for paint and noise
        assert painted and (shown.max(axis=-1) == 0).mean() < 0.5
    told = [labels.tolist() for _, labels in samples if labels[0] != NO_EVIDENCE]
    assert all(labels == [0, NO_FIELD] for labels in told)
    none = CanvasDataset(*given, no_evidence_share=0.0, **options)
    assert all(none[epoch, 0][1].tolist() == [0, NO_FIELD] for epoch in range(20))


def test_the_loss_of_a_batch_by_hand():
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]]))
    targets = torch.tensor([0, NO_EVIDENCE, NO_FIELD, 2])
    expected = -np.log(0.7) - np.log([0.25, 0.25, 0.5]).mean() - np.log(0.1)
    assert float(summed_loss(logits, targets, label_smoothing=0.0)) == pytest.approx(expected, abs=1e-5)
    # Smoothed, a class's target is 0.9 and a tenth spread over all; no evidence stays uniform.
    smoothed = [0.9 * -np.log(p[k]) + 0.1 * -np.log(p).mean() for p, k in (([0.7, 0.2, 0.1], 0), ([0.6, 0.3, 0.1], 2))]
    expected = sum(smoothed) - np.log([0.25, 0.25, 0.5]).mean()
    assert float(summed_loss(logits, targets, label_smoothing=0.1)) == pytest.approx(expected, abs=1e-5)


def test_which_epoch_a_run_kept_is_told_from_its_record():
    for stored, expected in (
        ({"weight_averaging": 0.99, "patience": None}, True),  # from before keep_last
        ({"weight_averaging": 0.99, "patience": 3}, False),
        ({"weight_averaging": 0.0, "patience": None}, False),
        ({"weight_averaging": 0.99, "patience": None, "keep_last": False}, False),
        ({"weight_averaging": 0.0, "patience": None, "keep_last": True}, True),
        ({}, False),
    ):
        assert kept_last(stored) is expected
    assert RECIPES["default"].keep_last and not RECIPES["plain"].keep_last


def test_a_run_from_before_a_setting_came_goes_on(config):
    stored = config.to_dict()
    del stored["stretch"], stored["no_evidence_share"]
    assert config.differences(stored) == []
    assert dataclasses.replace(config, stretch=1.3).differences(stored) == ["stretch"]
    assert config.differences({**stored, "stretch": 1.3}) == ["stretch"]


def test_a_canvas_holds_cells_at_their_size_with_their_pixels():
    # The field is white exactly on its cells: pixels and masks must move together.
    cells = np.zeros((96, 96), np.uint8)
    for number, (y, x, radius) in enumerate(((20, 70, 9), (60, 30, 7), (75, 75, 8)), 1):
        cells[disc(y, x, radius) > 0] = number
    field = np.where(cells[..., None] > 0, 255, 0).astype(np.uint8).repeat(3, axis=-1)
    for seed in range(20):
        canvas = Canvas(64)
        assert canvas.add(field, cells, np.random.default_rng(seed)) and canvas.num_fields == 1 and not canvas.is_full
        group = canvas.pixels[..., 3]
        count, _, stats, _ = cv2.connectedComponentsWithStats(group)
        assert set(np.unique(group)) == {0, 1} and count == 4
        areas, expected = np.sort(stats[1:, cv2.CC_STAT_AREA]), np.sort(np.bincount(cells.ravel())[1:])
        assert (areas / expected > 0.6).all() and (areas / expected < 1.5).all()
        inner = cv2.erode(group, np.ones((7, 7), np.uint8)) > 0
        assert inner.any() and (canvas.pixels[inner, :3] > 200).all() and not canvas.pixels[group == 0].any()


def test_a_full_canvas_takes_no_more_and_numbers_its_fields():
    cells, canvas, generator = (disc(40, 40, 10) > 0).astype(np.uint8), Canvas(64), np.random.default_rng(0)
    added = 0
    while not canvas.is_full:
        added += canvas.add(FIELD, cells, generator)
    group = canvas.pixels[..., 3].copy()
    assert canvas.num_fields == added == group.max() and set(np.unique(group)) == set(range(added + 1)) and added >= 4
    assert not canvas.add(FIELD, cells, generator) and np.array_equal(canvas.pixels[..., 3], group)
    assert not Canvas(64).add(FIELD, np.zeros((96, 96), np.uint8), generator)


def test_gaps_leave_cells_where_there_is_room_and_make_canvases_sparse():
    cells = (disc(40, 40, 10) > 0).astype(np.uint8)
    shares, gaps = [], []
    for gap in (0, 12, 40):
        canvas, generator = Canvas(128, gap=gap), np.random.default_rng(1)
        while not canvas.is_full:
            canvas.add(FIELD, cells, generator)
        mask = canvas.pixels[..., 3] > 0
        assert cv2.connectedComponents(mask.astype(np.uint8))[0] - 1 == canvas.num_fields
        assert not mask[0].any() and not mask[:, 0].any()
        shares.append(mask.mean())
        gaps.append(np.flatnonzero(mask.any(axis=0))[0])
    assert shares[0] > 1.5 * shares[1] > 2 * shares[2] > 0
    drawn = [draw_gap(128, np.random.default_rng(seed)) for seed in range(300)]
    assert min(drawn) == 0 and 30 < max(drawn) <= 38 and np.median(drawn) < 19


def test_canvases_depend_on_the_key_alone_and_say_whose_cells_they_hold():
    cells = np.stack([(disc(40, 40, 10) > 0).astype(np.uint8)] * 6 + [np.zeros((96, 96), np.uint8)])
    fields = CachedFields(None, pixels=np.stack([FIELD] * 7))
    options = {
        "fields_per_canvas": 4,
        "whole_field_share": 0.0,
        "optics": True,
        "stretch": 1.0,
        "no_evidence_share": 0.0,
        "seed": 3,
    }
    dataset = CanvasDataset(fields, cells[None], [0, 0, 0, 1, 1, 2, 2], np.arange(7), **options)
    pixels, labels = dataset[0, 5]
    assert pixels.shape == (96, 96, 4) and labels.shape == (4,) and labels.dtype == torch.int64
    assert int(labels[0]) == 2 and int(pixels[..., 3].max()) == int((labels != NO_FIELD).sum())
    again, other = dataset[0, 5], dataset[0, 5 + 7]
    assert torch.equal(pixels, again[0]) and torch.equal(labels, again[1]) and not torch.equal(pixels, other[0])
    # The last field has no leukocytes: others fill its canvas.
    drawn = np.concatenate([dataset[epoch, 6][1].numpy() for epoch in range(60)])
    counts = np.bincount(drawn[drawn != NO_FIELD], minlength=3)
    # Half of class 2 has nothing to show, so it is drawn in vain every other time.
    assert counts[:2].min() > 0.8 * counts.max() and counts[2] > 0.36 * counts.max()


def test_whole_fields_keep_their_layout_under_turns_and_mirrors():
    cells = (disc(30, 60, 12) > 0).astype(np.uint8) * 7
    marked = np.where(cells[..., None] > 0, FIELD, 0).astype(np.uint8)
    seen = set()
    for seed in range(80):
        shown = turn_field(marked, cells, np.random.default_rng(seed))
        assert shown.shape == (96, 96, 4) and set(np.unique(shown[..., 3])) == {0, 1}
        images = [np.rot90(marked, turn) for turn in range(4)]
        images += [image[:, ::-1] for image in images]
        matching = [index for index, image in enumerate(images) if np.array_equal(image, shown[..., :3])]
        assert len(matching) == 1
        seen.add(matching[0])
        inside = shown[..., :3].any(axis=-1)
        assert np.abs(int(shown[..., 3].sum()) - int(inside.sum())) < 0.35 * inside.sum()
        assert not shown[..., 3][~cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)].any()
    assert seen == set(range(8))


def test_some_samples_are_whole_fields():
    cells = np.stack([(disc(40, 40, 10) > 0).astype(np.uint8)] * 4)
    fields = CachedFields(None, pixels=np.stack([FIELD] * 4))
    options = {"fields_per_canvas": 4, "optics": False, "stretch": 1.0, "no_evidence_share": 0.0, "seed": 0}
    for share, expected in ((0.0, 0), (1.0, 40), (0.25, 10)):
        dataset = CanvasDataset(fields, cells[None], [0, 1, 2, 3], np.arange(4), whole_field_share=share, **options)
        samples = [dataset[epoch, 1] for epoch in range(40)]
        # A canvas is black where there is no cell, a field is not.
        whole = [(pixels, labels) for pixels, labels in samples if pixels[..., :3][pixels[..., 3] == 0].any()]
        assert abs(len(whole) - expected) <= (6 if 0 < share < 1 else 0)
        assert all(labels.tolist() == [1, NO_FIELD, NO_FIELD, NO_FIELD] for _, labels in whole)


def test_half_of_the_fields_are_shown_in_another_appearance_with_the_cells_found_in_it():
    # Another outline in each appearance: a disc as it is, a larger and a smaller one, and in the third nothing.
    radii = (10, 14, 7)
    cells = np.stack([(disc(40, 40, radius) > 0).astype(np.uint8)[None] for radius in radii])
    cells = np.concatenate([cells, np.zeros_like(cells[:1])])
    fields = CachedFields(None, pixels=FIELD[None])
    options = {
        "fields_per_canvas": 1,
        "whole_field_share": 1.0,
        "optics": True,
        "stretch": 1.0,
        "no_evidence_share": 0.0,
        "seed": 5,
    }
    dataset = CanvasDataset(fields, cells, [0], np.arange(1), **options)
    areas = np.array([int((dataset[epoch, 0][0][..., 3] > 0).sum()) for epoch in range(200)])
    expected = np.array([np.pi * radius**2 for radius in radii])
    nearest = np.abs(areas[:, None] - expected).argmin(axis=1)
    counts = np.bincount(nearest, minlength=3)
    # Of the three others the third shows nothing to learn from, and the field is shown as it is instead.
    assert abs(counts[0] - 200 * (1 / 2 + 1 / 6)) < 24 and min(counts[1:]) > 200 / 6 - 18
    drawn = {"rows": np.arange(1), "seed": 5}
    first = appearance_of(fields, cells, 0, 1, **drawn)
    assert np.array_equal(first, appearance_of(fields, cells, 0, 1, **drawn)) and not np.array_equal(first, FIELD)
    assert not np.array_equal(first, appearance_of(fields, cells, 0, 2, **drawn))
    assert np.array_equal(appearance_of(fields, cells, 0, 0, **drawn), FIELD)


def test_other_appearances_lose_colour_or_background_or_show_another_field_s_at_times():
    leukocytes = disc(40, 40, 14) > 0
    stripes = np.zeros_like(FIELD)
    stripes[::8] = stripes[1::8] = stripes[2::8] = stripes[3::8] = 160
    other = (stripes, np.zeros_like(leukocytes))
    shown = [change_appearance(FIELD, leukocytes, other, np.random.default_rng(seed)) for seed in range(300)]
    grey = [
        np.array_equal(field[..., 0], field[..., 1]) and np.array_equal(field[..., 1], field[..., 2])
        for field in shown
    ]
    alone = [len(np.unique(field[:20, :20].reshape(-1, 3), axis=0)) == 1 for field in shown]
    corner = stripes[:20, :20, 1].ravel()
    moved = [
        not flat and np.corrcoef(field[:20, :20, 1].ravel(), corner)[0, 1] > 0.5
        for field, flat in zip(shown, alone, strict=True)
    ]
    assert abs(np.mean(grey) - 0.25) < 0.08 and abs(np.mean(alone) - 0.25) < 0.08 and abs(np.mean(moved) - 0.2) < 0.08


def test_samples_take_another_fields_colours_and_other_hues():
    green = np.random.default_rng(1).integers((20, 140, 20), (60, 200, 60), (96, 96, 3), dtype=np.uint8)
    red = np.random.default_rng(2).integers((140, 20, 20), (200, 60, 60), (96, 96, 3), dtype=np.uint8)
    shown = [change_optics(red, green, np.random.default_rng(seed)) for seed in range(300)]
    means = np.array([field.mean(axis=(0, 1)) for field in shown])
    assert abs(np.mean(means[:, 1] > means[:, 0]) - 0.4) < 0.1
    turns = np.array([hue_of(change_optics(red, red, np.random.default_rng(seed))) for seed in range(300)])
    # Three in ten are turned, by as many degrees to either side; white balance alone moves red by a few.
    assert abs(np.mean(np.abs(turns) > 10) - 0.3 * 2 / 3) < 0.08 and turns.min() < -20 and turns.max() > 20


def hue_of(field: np.ndarray) -> float:
    """Hue of the mean colour, in degrees from red, in [-180, 180)."""
    red, green, blue = (field.mean(axis=(0, 1)) / 255).tolist()
    return (360 * colorsys.rgb_to_hsv(red, green, blue)[0] + 180) % 360 - 180


def test_each_field_on_a_canvas_has_its_own_logits():
    model = LeukDenseNet(
        view="leukocytes", growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64)
    ).eval()
    values = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    one, other = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    one[..., 4:20, 4:20], other[..., 4:20, 40:60] = 1, 1
    with torch.no_grad():
        both = model(values, torch.cat([one, other], dim=1))
        swapped = model(values, torch.cat([other, one], dim=1))
        three = model(values, torch.cat([one, other, torch.zeros_like(one)], dim=1))
    assert both.shape == (1, 2, 4) and torch.allclose(both, swapped.flip(1), atol=1e-6)
    assert not torch.allclose(both[:, 0], both[:, 1], atol=1e-4)
    assert torch.allclose(three[:, :2], both, atol=1e-6) and torch.allclose(three[:, 2], model.classifier.bias)


def test_optics_change_luminance_and_keep_type():
    changed = [change_optics(FIELD, FIELD, np.random.default_rng(seed)) for seed in range(6)]
    assert all(each.dtype == np.uint8 and each.shape == FIELD.shape for each in changed)
    assert np.ptp([each.mean() for each in changed]) > 20
    assert np.array_equal(changed[2], change_optics(FIELD, FIELD, np.random.default_rng(2)))


def test_balanced_sampling_draws_every_class_equally_and_repeats_under_new_keys():
    labels = [0] * 4 + [1] * 20 + [2] * 8
    sampler = EpochSampler(32, shuffle=True, seed=0, labels=labels)
    keys = [key for _, key in sampler]
    drawn = np.array([labels[key % 32] for key in keys])
    assert len(keys) == len(set(keys)) == 32
    assert np.bincount(drawn).tolist() in ([11, 11, 10], [11, 10, 11], [10, 11, 11])
    # Every one of the four is drawn before any is drawn a third time.
    assert np.bincount([key % 32 for key in keys if labels[key % 32] == 0]).min() >= 2
    assert [key for _, key in sampler] == keys
    sampler.set_epoch(1)
    assert [key for _, key in sampler] != keys


def test_samples_show_what_is_left_to_find():
    masks = np.stack([disc(30, 30, 12, 64) > 0, disc(20, 44, 9, 64) > 0])
    fields = np.where(masks[..., None], 40, 220).astype(np.uint8).repeat(3, axis=-1)[..., :3]
    pool = SamplePool(np.ascontiguousarray(fields), masks, np.full((1, 64, 64, 3), 180, np.uint8))
    kinds = {True: 0, False: 0}
    for seed in range(60):
        field, mask = draw_sample(pool, np.random.default_rng(seed))
        assert field.shape == (64, 64, 3) and field.dtype == np.uint8 and mask.shape == (64, 64) and mask.dtype == bool
        kinds[bool(mask.any())] += 1
    assert kinds[True] > 20 and kinds[False] > 8
    again = [draw_sample(pool, np.random.default_rng(7)) for _ in range(2)]
    assert np.array_equal(again[0][0], again[1][0]) and np.array_equal(again[0][1], again[1][1])


@pytest.mark.parametrize(("radius", "least", "most"), [(10, 0.3, 0.6), (24, 0.7, 0.99), (64, 0, 0)])
def test_a_hole_may_take_most_of_the_field_along_but_never_all(radius, least, most, monkeypatch):
    monkeypatch.setattr("leuk_hf.leukocyte_samples._SHARES", {"taken away": 1.0})
    monkeypatch.setattr("leuk_hf.leukocyte_samples._in_other_light", lambda field, *others: field)
    monkeypatch.setattr("leuk_hf.leukocyte_samples._moved", lambda field, mask, generator: (field, mask))
    mask = disc(32, 32, radius, 64) > 0
    pool = SamplePool(FIELD[None, :64, :64], mask[None], FIELD[:0, :64, :64])
    shares = []
    for seed in range(40):
        field, left = draw_sample(pool, np.random.default_rng(seed))
        changed = (field != pool.fields[0]).any(axis=-1)
        # All or nothing: none may be drawn, and where all is leukocyte there is nothing to fill it from.
        nothing_done = np.array_equal(left, mask) and not changed.any()
        assert nothing_done or (not left.any() and changed[mask].mean() > 0.99)
        shares.append(changed.mean())
    assert least <= max(shares) <= most  # soft rims reach beyond the hole


def test_wide_holes_leave_something_to_fill_them_from():
    mask = disc(32, 32, 28, 64) > 0  # widened by 12 it is 0.98 of the field
    shares = [_hole(mask, np.random.default_rng(seed)).mean() for seed in range(60)]
    assert widened(mask, 12).mean() > 0.95 and max(shares) <= 0.9 and max(shares) > 0.8
    assert _hole(disc(10, 10, 3, 32) > 0, np.random.default_rng(1)).shape == (32, 32)  # small fields, too


def test_holes_are_filled_by_the_nearest_colour():
    field = np.full((40, 60, 3), 50, np.uint8)
    field[:, 30:] = 200
    hole = np.zeros((40, 60), bool)
    hole[:, 10:50] = True
    filled = _nearest(field, hole, np.random.default_rng(0))
    # Left of the middle the left side is nearer; blurred by three pixels at most.
    assert (filled[:, 10:20] == 50).all() and (filled[:, 40:50] == 200).all()
    assert set(np.unique(fill_hole(field, hole, np.random.default_rng(0), facets=True)[~hole])) == {50, 200}


def test_what_fills_a_hole_is_no_piece_of_the_cells_that_stay(monkeypatch):
    monkeypatch.setattr("leuk_hf.leukocyte_samples._SHARES", {"taken away": 1.0})
    monkeypatch.setattr("leuk_hf.leukocyte_samples._in_other_light", lambda field, *others: field)
    monkeypatch.setattr("leuk_hf.leukocyte_samples._moved", lambda field, mask, generator: (field, mask))
    cells = np.stack([disc(20, 20, 8, 64) > 0, disc(40, 44, 8, 64) > 0])
    mask = cells.any(axis=0)
    red = np.where(mask[..., None], np.uint8([255, 0, 0]), np.uint8(200))
    partly = 0
    for seed in range(200):
        field, left = draw_sample(SamplePool(red[None], mask[None], red[:0]), np.random.default_rng(seed))
        if left.any() and not left[mask].all():
            partly += 1
            assert np.array_equal(field[left], red[left])
            is_red = (field == np.uint8([255, 0, 0])).all(axis=-1)
            assert (is_red & ~left).mean() < 0.002  # but for paint and noise
    assert partly > 15


def test_the_loss_of_a_segmentation_by_hand():
    masks = torch.zeros(1, 1, 10, 10)
    masks[..., :5] = 1
    logits = torch.where(masks > 0, 0.0, -30.0)
    # Half of each pixel found on 50 pixels: Dice (2 * 25 + 50) / (25 + 50 + 50); cross-entropy ln 2 on half of them.
    assert float(segmentation_loss(logits, masks)) == pytest.approx(np.log(2) / 2 + 1 - 100 / 125, abs=1e-5)


def test_a_stopped_fit_goes_on_as_if_it_had_not(tmp_path, monkeypatch):
    masks = np.stack([disc(16, 16, 8, 32) > 0])
    fields = np.where(masks[..., None], 60, 200).astype(np.uint8).repeat(3, axis=-1)[..., :3]
    pool = SamplePool(np.ascontiguousarray(fields), masks, fields[:0])
    options = {"steps": 6, "batch_size": 2, "learning_rate": 1e-3, "seed": 0}
    whole, losses = fit_segmenter(pool, **options, state=tmp_path / "whole.safetensors")
    monkeypatch.setattr("leuk_hf.fitting._SAVE_EVERY", 2)
    drawn = []

    def stopping(*arguments):
        drawn.append(1)
        if len(drawn) == 8:  # in the fifth step, after the state of the fourth
            raise KeyboardInterrupt
        return draw_sample(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("leuk_hf.segmenter_training.draw_sample", stopping)
        fit_segmenter(pool, **options, state=tmp_path / "state.safetensors")
    assert (tmp_path / "state.safetensors").is_file()
    dark = SamplePool(pool.fields // 2, masks, fields[:0])
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    for changed, told in (
        ({"seed": 1}, "seed 0, not 1"),
        ({"steps": 7}, "steps 6, not 7"),
        ({"batch_size": 3}, "batch_size 2, not 3"),
        ({"weights": tmp_path / "whole.safetensors"}, "other weights"),
        ({"pool": dark}, "other fields"),
    ):
        given = {"pool": pool, **options, **changed}
        with pytest.raises(TrainingError, match=f"was left by a fit with {told}; give the same again"):
            fit_segmenter(given.pop("pool"), **given, state=tmp_path / "state.safetensors")
    with pytest.raises(TrainingError, match=r"the loss is no number any more in step [1-6]; lower learning_rate"):
        fit_segmenter(pool, **{**options, "learning_rate": 1e30}, state=tmp_path / "none.safetensors")
    resumed, again = fit_segmenter(pool, **options, state=tmp_path / "state.safetensors")
    assert again == losses and not (tmp_path / "state.safetensors").exists()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])
    # Weights to go on from count: after two tiny steps they are nearly what they were.
    few = {"steps": 2, "batch_size": 2, "learning_rate": 1e-8, "seed": 5, "state": tmp_path / "state.safetensors"}
    further, _ = fit_segmenter(pool, **few, weights=tmp_path / "whole.safetensors")
    assert torch.allclose(further.head.weight, whole.head.weight, atol=1e-6)
    other, _ = fit_segmenter(pool, **few)
    assert not torch.allclose(other.head.weight, whole.head.weight, atol=1e-3)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--steps", "0"], "steps is 0; give at least 2"),
        (["--batch-size", "1"], "batch_size is 1; give at least 2"),
        (["--learning-rate", "-1"], "learning_rate is -1.0; give a number above 0"),
        (["--learning-rate", "nan"], "learning_rate is nan; give a number above 0"),
        (["--learning-rate", "inf"], "learning_rate is inf; give a number above 0"),
        (["--seed", "-1"], "seed is -1; give at least 0"),
        (["--weights", "README.md"], "README.md does not hold the network that finds leukocytes; give weights that"),
        (["--weights", "none.safetensors"], "none.safetensors is no file; give weights that"),
        ([], "nowhere has no JPEG or PNG image; give the folder of the fields"),
    ],
)
def test_a_fit_asked_for_wrongly_is_told_at_once(wrong, told, tmp_path, capsys, monkeypatch):
    script = Path(__file__).parents[1] / "scripts" / "fit_leukocyte_segmenter.py"
    specification = importlib.util.spec_from_file_location("fit_leukocyte_segmenter", script)
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, specification.name, module)  # dataclasses ask there
    specification.loader.exec_module(module)
    asked = [name.replace("README.md", str(script.parents[1] / "README.md")) for name in wrong]
    assert module.main(["--source", "nowhere", "--output", str(tmp_path / "fitted"), *asked]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and told in error and error.count("\n") == 1
    assert not (tmp_path / "fitted").exists()


def test_the_average_of_weights_by_hand(tiny_model):
    average = average_of(tiny_model, 0.75)
    name = "classifier.weight"
    start = tiny_model.state_dict()[name].clone()
    average.update_parameters(tiny_model)  # the first step copies
    with torch.no_grad():
        tiny_model.classifier.weight += 1
    average.update_parameters(tiny_model)
    assert torch.allclose(average.module.state_dict()[name], start + 0.25)
    assert average_of(tiny_model, 0.0) is None


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split") / "smears"
    write_smears(folder, fields_per_class=12, seed=0, image_size=64)
    return folder


def write_table(path, dataset, part_of):
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "split"])
        rows.writerows([name, part_of(index)] for index, name in enumerate(dataset["path"]))


def test_a_split_table_is_completed_by_whole_groups(tmp_path, smears):
    dataset = load_smears(smears)
    write_table(tmp_path / "split.csv", dataset, lambda index: "test" if index % 12 == 0 else "train")
    groups = [index // 2 for index in range(len(dataset))]
    parts = parts_of_table(tmp_path / "split.csv", dataset, groups, seed=0)
    assert parts["test"].tolist() == [0, 12, 24, 36]
    tested = {groups[row] for row in parts["test"].tolist()}
    kept = [{groups[row] for row in parts[name].tolist()} for name in ("train", "validation", "calibration")]
    assert all(part and not part & tested for part in kept)
    assert not (kept[0] & kept[1] or kept[0] & kept[2] or kept[1] & kept[2])
    labels = np.asarray(dataset["label"])
    assert all(set(labels[parts[name]].tolist()) == {0, 1, 2, 3} for name in parts)


def test_parts_that_the_table_has_stay(tmp_path, smears):
    dataset = load_smears(smears)
    names = ["train", "train", "validation", "test"]
    write_table(tmp_path / "split.csv", dataset, lambda index: names[index % 4])
    parts = parts_of_table(tmp_path / "split.csv", dataset, list(range(48)), seed=0)
    assert parts["validation"].tolist() == [index for index in range(48) if index % 4 == 2]
    assert len(parts["calibration"]) and set(parts["calibration"] % 4) <= {0, 1}


def test_what_is_cut_out_of_train_stays_what_it_was(tmp_path, smears):
    dataset = load_smears(smears)
    write_table(tmp_path / "split.csv", dataset, lambda index: "test" if index % 12 == 0 else "train")
    groups = [index // 2 for index in range(len(dataset))]
    parts = parts_of_table(tmp_path / "split.csv", dataset, groups, seed=0)
    rows = [index for index in range(48) if index % 12 > 1]
    labels, paths = np.asarray(dataset["label"])[rows], [dataset["path"][row] for row in rows]
    bins, _ = deal_groups(labels, paths, [groups[row] for row in rows], 10, 0)
    for name, chosen in (("validation", bins == 0), ("calibration", bins == 1), ("train", bins > 1)):
        assert parts[name].tolist() == np.array(rows)[chosen].tolist()


def test_tested_groups_are_in_no_other_part_of_a_table(tmp_path, smears):
    dataset = load_smears(smears)
    names = ["test", "validation", "calibration", "train"] + ["validation", "calibration"] + ["train"] * 6
    write_table(tmp_path / "split.csv", dataset, lambda index: names[index % 12])
    groups = [index // 4 for index in range(48)]  # the first of each class has a field in every part
    parts = parts_of_table(tmp_path / "split.csv", dataset, groups, seed=0)
    for name, places in (("test", {0}), ("validation", {4}), ("calibration", {5}), ("train", {6, 7, 8, 9, 10, 11})):
        assert parts[name].tolist() == [index for index in range(48) if index % 12 in places]
    with pytest.raises(DataError) as caught:  # all of validation and calibration is in tested groups
        parts_of_table(tmp_path / "split.csv", dataset, [index % 12 // 6 for index in range(48)], seed=0)
    assert str(caught.value).endswith(
        "leaves no field for validation outside the groups that are tested; put more groups into its part validation"
    )


def test_a_part_with_unknown_files_is_not_taken_for_one_that_is_missing(tmp_path, smears):
    dataset = load_smears(smears)
    write_table(tmp_path / "split.csv", dataset, lambda index: "test" if index % 12 == 0 else "train")
    with (tmp_path / "split.csv").open("a") as file:
        file.write("elsewhere.png,validation\n")
    with pytest.raises(DataError, match=r"1 files of .*split\.csv are not in the data set, for one elsewhere\.png"):
        parts_of_table(tmp_path / "split.csv", dataset, list(range(48)), seed=0)


def test_a_table_without_training_fields_is_refused(tmp_path, smears):
    dataset = load_smears(smears)
    write_table(tmp_path / "split.csv", dataset, lambda index: "test")
    with pytest.raises(DataError, match="has no part 'train'"):
        parts_of_table(tmp_path / "split.csv", dataset, list(range(48)), seed=0)


@pytest.fixture(scope="module")
def config(tmp_path_factory, smears):
    folder = tmp_path_factory.mktemp("default")
    tiny = smoke_config(RECIPES["default"])
    return dataclasses.replace(
        tiny, source=str(smears), output=folder / "run", cache=folder / "cache", protocol="random", num_epochs=2,
        batch_size=4, save_steps=3,
    )  # fmt: skip


def test_the_default_recipe_trains_averages_and_keeps_the_segmenter(config):
    record = train(config)
    model = LeukDenseNet.from_pretrained(config.output / "checkpoint")
    assert model.view == "leukocytes_in_colour" and model.cam_layer == "leukocyte_pool"
    assert not model.preprocessor.clahe
    assert record["epochs"] == 2 and record["best"]["validation_balanced_accuracy"] >= 0
    shipped = load_file(LEUKOCYTE_WEIGHTS)
    for name, tensor in shipped.items():
        assert torch.equal(model.state_dict()[f"leukocytes.{name}"], tensor)


@pytest.mark.parametrize("name", ["plain", "default"])
def test_recipes_start_with_the_view_they_name(name):
    config = dataclasses.replace(smoke_config(RECIPES[name]), weights="scratch")
    model, origin = starting_model(config, ("a", "b"))
    layers = ("denseblock4", "leukocyte_pool")
    assert origin == "scratch" and model.view == (config.view or "field")
    assert model.cam_layer == layers[name == "default"]
    assert model.features.conv0.weight.shape[1] == (5 if model.sees_colour else 3)


def test_grey_and_colour_start_from_each_other_and_neither_from_fields(tmp_path):
    tiny = {"growth_rate": 8, "block_config": (2, 2, 2, 2), "preprocessor": Preprocessor(image_size=64)}
    for view, other, channels in (
        ("leukocytes", "leukocytes_in_colour", 5),
        ("leukocytes_in_colour", "leukocytes", 3),
        ("field", "leukocytes", 0),
    ):
        origin = LeukDenseNet(view=view, **tiny)
        origin.save_pretrained(tmp_path / view)
        config = dataclasses.replace(RECIPES["default"], weights=str(tmp_path / view), view=other, image_size=64)
        if not channels:
            with pytest.raises(TrainingError, match="the weights see the field, not the leukocytes"):
                starting_model(config, origin.class_names)
            continue
        model, _ = starting_model(config, origin.class_names)
        stem = model.features.conv0.weight
        assert model.view == other and stem.shape[1] == channels
        assert torch.equal(stem[:, :3], origin.features.conv0.weight[:, :3]) and not stem[:, 3:].any()


def test_a_resumed_default_run_ends_with_the_same_weights(config, tmp_path, monkeypatch):
    from leuk_hf.training_run import TrainingRun

    whole = json.loads((config.output / "metrics.jsonl").read_text().splitlines()[-1])
    stopped = dataclasses.replace(config, output=tmp_path / "run")
    calls = []

    def saving(self, save=TrainingRun._save_state):
        save(self)
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TrainingRun, "_save_state", saving)
        train(stopped)
    train(dataclasses.replace(stopped, resume=True))
    again = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    for name in ("train_loss", "validation_loss", "validation_balanced_accuracy"):
        assert again[name] == whole[name]
    one, other = (
        load_file(folder / "checkpoint" / "model.safetensors") for folder in (config.output, tmp_path / "run")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    shutil.rmtree(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight_averaging": 1.0}, "weight_averaging is 1.0; give a decay"),
        ({"whole_field_share": 1.5}, "whole_field_share is 1.5; give a share"),
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0; give a number above 0"),
        ({"output_stride": 8}, "output_stride is 8; give 16 or 32"),
        ({"no_evidence_share": 1.0}, "no_evidence_share is 1.0; give a share"),
        (
            {"keep_last": True, "patience": 3},
            "patience stops by the lowest validation loss; leave it or keep_last out",
        ),
        ({"stretch": 0.8}, "stretch is 0.8; give a factor from 1 to 2"),
        ({"stretch": float("nan")}, "stretch is nan; give a factor from 1 to 2"),
    ],
)
def test_impossible_configs_are_refused_in_one_sentence(config, changes, reason):
    with pytest.raises(TrainingError, match=reason):
        dataclasses.replace(config, **changes).check()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"view": "field"}, "augmentation default is for the views of leukocytes"),
        ({"progressive_sizes": (32, 96)}, "leave out --progressive-sizes"),
    ],
)
def test_what_a_view_cannot_be_trained_with_is_refused(config, tmp_path, changes, reason):
    with pytest.raises(TrainingError, match=reason):
        train(dataclasses.replace(config, output=tmp_path, **changes))
