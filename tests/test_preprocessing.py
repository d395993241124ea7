"""The one path from image to pixel_values: by value, exact to undo, the same from every thread."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from leuk_hf.image_io import load_image
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import render_smear

SMEAR = render_smear("Pre-B", seed=1, image_size=64)


def lab(image: Image.Image) -> np.ndarray:
    return cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2LAB).astype(int)


def test_flat_colour_by_hand():
    pixel_values = Preprocessor(image_size=32, clahe=False)([Image.new("RGB", (50, 40), (120, 60, 200))])
    # (120 / 255 - 0.485) / 0.229 and so on
    expected = np.broadcast_to(np.reshape([-0.062933, -0.985294, 1.681394], (1, 3, 1, 1)), (1, 3, 32, 32))
    np.testing.assert_allclose(pixel_values, expected, atol=2e-6)


def test_pixel_values_are_contiguous_float32():
    pixel_values = Preprocessor(image_size=48)([SMEAR, SMEAR.resize((90, 33))])
    assert pixel_values.shape == (2, 3, 48, 48)
    assert pixel_values.dtype == np.float32
    assert pixel_values.flags["C_CONTIGUOUS"]


def test_fields_are_squashed_not_cropped():
    field = np.zeros((40, 200, 3), dtype=np.uint8)
    field[:, :50], field[:, 50:] = (255, 0, 0), (0, 0, 255)
    enhanced = np.asarray(Preprocessor(image_size=32, clahe=False).enhance(Image.fromarray(field)))
    assert enhanced.shape == (32, 32, 3)
    assert (enhanced[:, :7] == (255, 0, 0)).all()
    assert (enhanced[:, 9:] == (0, 0, 255)).all()


@pytest.mark.parametrize(
    ("interpolation", "resampling"),
    [
        ("nearest", Image.Resampling.NEAREST),
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
    ],
)
def test_interpolation_is_the_one_asked_for(interpolation, resampling):
    enhanced = Preprocessor(image_size=40, clahe=False, interpolation=interpolation).enhance(SMEAR)
    assert enhanced.tobytes() == SMEAR.resize((40, 40), resampling).tobytes()


@pytest.mark.parametrize(("clip_limit", "tiles"), [(2.0, 8), (4.0, 2)])
def test_clahe_equals_a_direct_call_of_opencv(clip_limit, tiles):
    preprocessor = Preprocessor(image_size=64, clahe_clip_limit=clip_limit, clahe_tiles=tiles)
    channels = cv2.cvtColor(np.array(SMEAR), cv2.COLOR_RGB2LAB)
    lightness, green_red, blue_yellow = cv2.split(channels)
    equalised = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(tiles, tiles)).apply(lightness)
    expected = cv2.cvtColor(cv2.merge([equalised, green_red, blue_yellow]), cv2.COLOR_LAB2RGB)
    assert np.array_equal(np.asarray(preprocessor.enhance(SMEAR)), expected)


def test_clahe_changes_lightness_alone():
    # Muted colours: a lightness at which RGB cannot show the hue would be cut off.
    muted = Image.fromarray((np.asarray(SMEAR) // 4 + 90).astype(np.uint8))
    before, after = lab(muted), lab(Preprocessor(image_size=64).enhance(muted))
    assert np.abs(after - before)[..., 1:].max() <= 2
    assert after[..., 0].std() > 1.2 * before[..., 0].std()


@pytest.mark.parametrize("clahe", [True, False])
@pytest.mark.parametrize("size", [64, 32])
def test_enhancing_repeats_and_leaves_the_image_alone(clahe, size):
    preprocessor = Preprocessor(image_size=size, clahe=clahe)
    image = SMEAR.copy()
    enhanced = preprocessor.enhance(image)
    assert enhanced is not image
    assert image.tobytes() == SMEAR.tobytes()
    assert preprocessor.enhance(image).tobytes() == enhanced.tobytes()


@pytest.mark.parametrize("settings", [{}, {"mean": (0.5, 0.1, 0.9), "std": (0.013, 1.0, 3.7)}])
def test_to_image_undoes_the_normalisation_exactly(settings):
    levels = np.arange(256, dtype=np.uint8)
    enhanced = np.stack([levels, levels[::-1], np.roll(levels, 77)], axis=-1).reshape(16, 16, 3)
    preprocessor = Preprocessor(image_size=32, **settings)
    assert np.array_equal(np.asarray(preprocessor.to_image(preprocessor.normalise(enhanced[None])[0])), enhanced)


@pytest.mark.parametrize("settings", [{}, {"mean": (0.5, 0.1, 0.9), "std": (0.013, 1.0, 3.7)}])
def test_normalisation_is_exact_to_the_bit(settings):
    preprocessor = Preprocessor(image_size=32, **settings)
    enhanced = np.random.default_rng(0).integers(0, 256, (3, 8, 40, 3), dtype=np.uint8)
    mean, std = np.float32(preprocessor.mean), np.float32(preprocessor.std)
    expected = ((enhanced.astype(np.float32) / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    for given in (enhanced, list(enhanced), np.asfortranarray(enhanced)):
        assert np.array_equal(preprocessor.normalise(given), expected)


@pytest.fixture(scope="module")
def photo() -> bytes:
    buffer = io.BytesIO()
    render_smear("Pre-B", seed=1, image_size=1800).crop((0, 0, 1799, 1797)).save(buffer, format="JPEG", quality=92)
    return buffer.getvalue()


@pytest.mark.parametrize("annotation_removal", [False, True])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_sufficient_side_suffices(photo, annotation_removal, interpolation):
    preprocessor = Preprocessor(
        image_size=64, clahe=False, interpolation=interpolation, annotation_removal=annotation_removal
    )
    side = preprocessor.sufficient_side
    assert side == (896 if annotation_removal else 192)
    whole, reduced = load_image(photo), load_image(photo, reduce_to=side)
    assert side <= min(reduced.size) < min(whole.size) / 2 + 1
    difference = np.abs(np.subtract(preprocessor.enhance(whole), preprocessor.enhance(reduced), dtype=int))
    assert difference.max() <= 4
    assert difference.mean() < 0.5


def test_to_image_shows_the_enhanced_field():
    preprocessor = Preprocessor(image_size=48)
    assert preprocessor.to_image(preprocessor([SMEAR])[0]).tobytes() == preprocessor.enhance(SMEAR).tobytes()


def test_lists_from_json_become_tuples():
    stored = Preprocessor(mean=[0, 0.5, 1], std=[1, 1, 2])
    assert stored == Preprocessor(mean=(0.0, 0.5, 1.0), std=(1.0, 1.0, 2.0))
    assert hash(stored) == hash(Preprocessor(mean=(0.0, 0.5, 1.0), std=(1.0, 1.0, 2.0)))


NAN = float("nan")


@pytest.mark.parametrize(
    "settings",
    [
        {"image_size": 31},
        {"image_size": 224.0},
        {"image_size": "224"},
        {"mean": (0.5, 0.5)},
        {"mean": (0.5, 0.5, NAN)},
        {"std": (0.5, 0.5, 0.5, 0.5)},
        {"std": (0.5, 0.0, 0.5)},
        {"std": (0.5, -1.0, 0.5)},
        {"std": (NAN, 0.5, 0.5)},
        {"std": (0.5, 0.5, float("inf"))},
        {"interpolation": "area"},
        {"clahe_clip_limit": 0.0},
        {"clahe_clip_limit": NAN},
        {"clahe_tiles": 0},
        {"clahe_tiles": 2.5},
    ],
    ids=str,
)
def test_bad_parameters_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Preprocessor(**settings)


def test_threads_get_the_same_result():
    preprocessor = Preprocessor(image_size=64)
    fields = [Image.fromarray(np.roll(np.asarray(SMEAR), 5 * shift, axis=0)) for shift in range(6)] * 8
    alone = [preprocessor.enhance(field).tobytes() for field in fields]
    with ThreadPoolExecutor(max_workers=8) as pool:
        together = list(pool.map(lambda field: preprocessor.enhance(field).tobytes(), fields))
    assert together == alone
    assert len(set(alone)) == 6
