"""Blank frames by value: framed noise, what is no frame, and real fields."""

from pathlib import Path

import numpy as np
import pytest

from leuk_hf.blank_frame import frame_share
from leuk_hf.image_io import load_image
from leuk_hf.perturbations import brightness, jpeg
from leuk_hf.preprocessing import Preprocessor

REAL = Path(__file__).parent.parent.parent / "shared" / "data" / "leukemia" / "Original"
FIELD = np.random.default_rng(0).integers(60, 250, (100, 100)).astype(np.float32)


def framed(field, left, top, right, bottom, tone=255):
    sides = ((top, bottom), (left, right), (0, 0))[: field.ndim]
    return np.pad(field, sides, constant_values=tone)


def share_around(field, image):
    return pytest.approx(1 - field.shape[0] * field.shape[1] / (image.shape[0] * image.shape[1]))


@pytest.mark.parametrize("tone", [0, 128, 200, 255])
@pytest.mark.parametrize("sides", [(25, 25, 25, 25), (10, 0, 0, 0), (0, 40, 0, 0), (3, 5, 7, 11), (0, 0, 1, 0)])
def test_the_share_is_that_of_what_was_put_around(sides, tone):
    image = framed(FIELD, *sides, tone=tone)
    assert frame_share(image) == share_around(FIELD, image)
    assert frame_share(image.T) == share_around(FIELD, image)


def test_a_frame_of_any_width_is_found():
    for edge in (1, 10, 50, 100, 130):
        image = framed(FIELD, edge, edge, edge, edge)
        assert frame_share(image) == share_around(FIELD, image), edge


def test_frames_in_frames():
    within = framed(FIELD, 0, 20, 0, 20)
    for image in (framed(within, 8, 0, 8, 0, tone=0), framed(framed(FIELD, 9, 9, 9, 9), 5, 5, 5, 5, tone=0)):
        assert frame_share(image) == frame_share(image.T) == share_around(FIELD, image)


@pytest.mark.parametrize("tone", [0, 100, 200, 230, 250])
def test_an_outline_drawn_around_a_frame_hides_nothing(tone):
    image = framed(framed(FIELD, 20, 20, 20, 20), 2, 2, 2, 2, tone=tone)
    assert frame_share(image) == share_around(FIELD, image)


def test_what_compression_leaves_of_a_frame_is_one():
    image = framed(FIELD, 20, 20, 20, 20, tone=250)
    image += np.random.default_rng(1).normal(0, 1, image.shape).astype(np.float32)
    assert frame_share(image) == share_around(FIELD, image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2), (3, 3), (40, 60)])
def test_an_image_in_one_tone_has_no_frame(shape):
    assert frame_share(np.full(shape, 255, dtype=np.float32)) == 0


def test_of_the_smallest_images_the_share_is_below_one():
    generator = np.random.default_rng(0)
    for _ in range(500):
        image = generator.choice([0.0, 255.0], generator.integers(1, 5, 2)).astype(np.float32)
        assert 0 <= frame_share(image) < 1


def test_halves_stripes_and_slopes_are_no_frame():
    halves = np.repeat(np.float32([0, 255]), 50)[:, None].repeat(100, axis=1)
    last = np.full((100, 100), 255, dtype=np.float32)
    last[-1] = np.arange(100)
    slope = np.tile(np.linspace(0, 255, 90, dtype=np.float32), (120, 1))
    for image in (halves, last, slope, FIELD):
        assert frame_share(image) == frame_share(image.T) == frame_share(image[::-1, ::-1]) == 0


def test_white_is_no_frame_where_cells_come_in_one_by_one():
    generator = np.random.default_rng(0)
    for _ in range(20):
        image = np.full((200, 200), 255, dtype=np.float32)
        for row, column in generator.integers(20, 172, (9, 2)):
            image[row : row + 9, column : column + 9] = 90
        assert frame_share(image) == 0
    image[:] = 255
    image[80:89, 60:69] = 90  # one is left
    assert frame_share(image) == 0
    image[20:180, 20:180] = 90
    assert frame_share(image) == pytest.approx(1 - 0.8**2)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real fields are not here")
def test_real_fields_have_no_frame_and_framed_ones_theirs():
    preprocessor = Preprocessor(image_size=160, clahe=False)

    def seen(pixels):
        return np.asarray(preprocessor.to_image(preprocessor([load_image(pixels)])[0])).astype(np.float32) @ (
            np.float32([0.299, 0.587, 0.114])
        )

    for name in ("Benign", "Early", "Pre", "Pro"):
        for file in sorted((REAL / name).glob("*.jpg"))[::100]:
            field = np.asarray(load_image(file))
            assert frame_share(seen(field)) == frame_share(seen(brightness(field, 1.4))) == 0, file
            edge = len(field) // 9
            outlined = framed(framed(field, edge, edge, edge, edge), 1, 1, 1, 1, tone=0)
            for image in (framed(field, edge, edge, edge, edge), outlined, jpeg(outlined, 50)):
                assert frame_share(seen(image)) == pytest.approx(1 - field.size / image.size, abs=0.03), file
