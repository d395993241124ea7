"""Blank frames by value: framed noise, what is no frame, and real fields."""

from pathlib import Path

import numpy as np
import pytest

from leuk_hf.blank_frame import frame_share
from leuk_hf.image_io import load_image
from leuk_hf.perturbations import brightness

REAL = Path(__file__).parent.parent.parent / "shared" / "data" / "leukemia" / "Original"
FIELD = np.random.default_rng(0).integers(60, 250, (100, 100)).astype(np.float32)


def framed(field, left, top, right, bottom, tone=255.0):
    return np.pad(field, ((top, bottom), (left, right)), constant_values=tone)


@pytest.mark.parametrize("tone", [0.0, 128.0, 200.0, 255.0])
@pytest.mark.parametrize("sides", [(25, 25, 25, 25), (10, 0, 0, 0), (0, 40, 0, 0), (3, 5, 7, 11), (0, 0, 1, 0)])
def test_the_share_is_that_of_what_was_put_around(sides, tone):
    around = framed(FIELD, *sides, tone=tone)
    assert frame_share(around) == pytest.approx(1 - FIELD.size / around.size)


def test_sides_may_differ_in_tone():
    letterbox = framed(framed(FIELD, 20, 0, 20, 0, tone=255.0), 0, 30, 0, 10, tone=0.0)
    assert frame_share(letterbox) == pytest.approx(1 - FIELD.size / letterbox.size)


def test_what_compression_leaves_of_a_frame_is_one():
    around = framed(FIELD, 20, 20, 20, 20, tone=250.0)
    around += np.random.default_rng(1).normal(0, 1, around.shape).astype(np.float32)
    assert frame_share(around) == pytest.approx(1 - FIELD.size / around.size)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2), (3, 3), (40, 60)])
def test_an_image_in_one_tone_has_no_frame(shape):
    assert frame_share(np.full(shape, 255, dtype=np.float32)) == 0


def test_a_slope_and_bare_glass_with_a_cell_are_no_frame():
    slope = np.tile(np.linspace(50, 250, 200, dtype=np.float32), (200, 1))
    assert frame_share(slope) == frame_share(slope.T) == frame_share(slope[:, ::-1]) == 0
    glass = np.full((100, 100), 240, dtype=np.float32)
    glass[45:55, 45:55] = 90  # a tenth of its lines
    assert frame_share(glass) == 0
    assert frame_share(FIELD) == 0


@pytest.mark.skipif(not REAL.is_dir(), reason="the real fields are not here")
def test_real_fields_have_no_frame_and_framed_ones_theirs():
    for name in ("Benign", "Early", "Pre", "Pro"):
        for file in sorted((REAL / name).glob("*.jpg"))[::100]:
            field = np.asarray(load_image(file))
            for seen in (field, brightness(field, 1.8)):
                assert frame_share(seen @ np.array((0.299, 0.587, 0.114), dtype=np.float32)) == 0, file
            luminance = field.astype(np.float32).mean(axis=2)
            edge = len(luminance) // 10
            around = framed(luminance, edge, edge, edge, edge)
            assert frame_share(around) == pytest.approx(1 - luminance.size / around.size), file
