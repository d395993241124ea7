"""Encoded overlays: exact or nearly so, the same bytes every time, and nothing but the picture in them."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from leuk_hf.errors import ImageError
from leuk_hf.image_encoding import encode_image
from leuk_hf.image_io import load_image
from leuk_hf.synthetic import render_smear
from leuk_hf.visualization import overlay, to_heatmap

SMEAR = render_smear("Pre-B", seed=1, image_size=64)
OVERLAY = overlay(SMEAR, to_heatmap(np.linspace(-1, 1, 25).reshape(5, 5), SMEAR.size))


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "image", [OVERLAY, noise(1, 1), noise(3, 50), noise(257, 2)], ids=lambda image: str(image.size)
)
def test_png_keeps_every_pixel(image):
    content = encode_image(image)
    decoded = Image.open(io.BytesIO(content))
    assert (decoded.format, decoded.mode) == ("PNG", "RGB")
    assert np.array_equal(np.asarray(decoded), np.asarray(image))


def test_jpeg_is_near_and_keeps_the_colour_of_every_pixel():
    content = encode_image(OVERLAY, "jpeg")
    assert Image.open(io.BytesIO(content)).format == "JPEG"
    difference = np.abs(np.subtract(load_image(content), OVERLAY, dtype=int))
    assert difference.mean() < 3
    assert len(content) < len(encode_image(OVERLAY)) / 2
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = (230, 40, 40), (40, 40, 230)
    shown = np.asarray(load_image(encode_image(Image.fromarray(stripes), "jpeg"))).astype(int)
    assert (shown[:, ::2, 0] - shown[:, 1::2, 0] > 120).all()  # halved colour would show purple throughout


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_the_same_image_gives_the_same_bytes_from_every_thread(image_format):
    with ThreadPoolExecutor(max_workers=4) as pool:
        contents = set(pool.map(lambda _: encode_image(OVERLAY.copy(), image_format), range(20)))
    assert len(contents) == 1


@pytest.mark.parametrize("image_format", ["png", "jpeg"])
def test_nothing_that_the_file_told_goes_into_the_picture(image_format):
    told = Image.Exif()
    told[0x010E] = "patient 4711"
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "patient 4711")
    for source_format, options in (
        ("JPEG", {"comment": b"patient 4711", "exif": told, "icc_profile": b"patient 4711"}),
        ("PNG", {"pnginfo": texts, "exif": told, "icc_profile": b"patient 4711"}),
    ):
        buffer = io.BytesIO()
        SMEAR.save(buffer, format=source_format, **options)
        field = load_image(buffer.getvalue())
        assert "patient" in str(field.info)
        shown = overlay(field, np.zeros((64, 64), dtype=np.float32))
        assert b"patient" not in encode_image(shown, image_format)


def test_other_formats_modes_and_sizes_are_refused():
    with pytest.raises(ValueError, match="no image format 'gif'; choose one of png, jpeg"):
        encode_image(OVERLAY, "gif")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode RGBA; give RGB"):
        encode_image(OVERLAY.convert("RGBA"))
    with pytest.raises(ImageError, match=r"66000x16 pixels does not fit into JPEG \(at most 65,500 a side\)"):
        encode_image(Image.new("RGB", (66_000, 16)), "jpeg")
    with pytest.raises(ImageError, match="does not fit into PNG"):
        encode_image(Image.new("RGB", (1_000_001, 16)))
