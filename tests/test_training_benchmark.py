"""The training benchmark runs what it names and reports what its clock said."""

from __future__ import annotations

import itertools

import pytest

from leuk_hf.training_benchmark import PLAIN_LOOP, measure_training

TINY = {"growth_rate": 4, "block_config": (1, 1, 1, 1)}


def test_every_variant_has_a_sample_a_round_from_the_clock(smear_folder):
    files = sorted(smear_folder.glob("*/*.png"))
    ticks = itertools.count(0, 0.5)  # each look at the clock is half a second later, so a sample takes that long
    result = measure_training(
        files, image_size=64, batch_size=3, steps=2, rounds=2, progressive_sizes=(32, 64), architecture=TINY,
        clock=lambda: float(next(ticks)),
    )  # fmt: skip
    samples = result["images_per_second"]
    assert {PLAIN_LOOP, "cached", "cached, 32 px", "progressive"} <= set(samples)
    # 2 steps of 3 fields in half a second; equal shares at the same speed have that speed.
    assert all(values == pytest.approx([12.0, 12.0]) for values in samples.values())
    assert result["cache_seconds"] == 0.5 and result["cache_fields"] == len(files)
    assert result["image_size"] == 64 and result["progressive_sizes"] == [32, 64]


def test_too_few_files_are_refused(smear_folder):
    with pytest.raises(ValueError, match="8 files do not fill a batch of 9; give more"):
        measure_training(sorted(smear_folder.glob("*/*.png")), batch_size=9)
