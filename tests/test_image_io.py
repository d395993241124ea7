"""Whatever anybody sends becomes an upright RGB image by value, or one sentence that names the file."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from leuk_hf.errors import ImageError
from leuk_hf.image_io import MIN_SIDE, load_image, original_size


def noise(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(image: Image.Image, image_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of under 100 bytes whose header promises any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


def frames(image_format: str, **options) -> bytes:
    first, *others = (Image.fromarray(noise(seed=seed)) for seed in range(3))
    return encoded(first, image_format, save_all=True, append_images=others, **options)


def assert_refused(source, *parts: str, name: str | None = None) -> None:
    with pytest.raises(ImageError) as caught:
        load_image(source, name=name)
    message = str(caught.value)
    with pytest.raises(ImageError) as caught:
        load_image(source, name=name, reduce_to=MIN_SIDE)
    assert str(caught.value) == message
    assert "\n" not in message
    assert 20 < len(message) < 400
    for part in parts:
        assert part in message


PHOTO = Image.fromarray(noise())
HOSTILE = {
    "text": (b"patient,label\n1,Pro\n", "not an image"),
    "page": (b"<!doctype html><html></html>", "not an image"),
    "script": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\nshowpage\n", "not an image"),
    "vector": (b'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"/>', "not an image"),
    "cut JPEG": (encoded(PHOTO, "JPEG")[:-400], "truncated"),
    "cut PNG": (encoded(PHOTO, "PNG")[:-400], "truncated"),
    "cut TIFF": (encoded(PHOTO, "TIFF")[:-2000], ""),
    "cut WebP": (encoded(PHOTO, "WEBP")[:-200], ""),
    "PNG signature alone": (b"\x89PNG\r\n\x1a\n", ""),
    "empty": (b"", "0 bytes"),
    "one pixel": (encoded(PHOTO.resize((1, 1)), "PNG"), "1x1"),
    "too low": (encoded(PHOTO.resize((64, MIN_SIDE - 1)), "PNG"), "64x15"),
    "bomb": (png_claiming(20_000, 20_000), "pixels"),
    "huge": (png_claiming(9_000, 8_000), "9000x8000"),
    "bomb JPEG 2000": (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\xff" * 40, ""),
    "animated GIF": (frames("GIF"), "3 frames"),
    "animated PNG": (frames("PNG"), "3 frames"),
    "animated WebP": (frames("WEBP"), "3 frames"),
    "stack TIFF": (frames("TIFF"), "3 frames"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path, kind):
    content, part = HOSTILE[kind]
    path = tmp_path / "field 7.png"
    path.write_bytes(content)
    assert_refused(path, str(path), part)
    assert_refused(str(path), str(path), part)
    assert_refused(content, "the uploaded data", part)
    assert_refused(content, "upload.png", part, name="upload.png")


def test_folders_and_missing_files_are_refused_by_name(tmp_path):
    assert_refused(tmp_path, str(tmp_path), "folder")
    assert_refused(tmp_path / "absent.png", "absent.png", "does not exist")


def test_a_path_that_the_system_refuses_is_named():
    with pytest.raises(ImageError, match=r"^longlong.* cannot be read"):
        load_image("long" * 200)


def test_other_types_are_refused():
    assert_refused(None, "NoneType")
    assert_refused(3.5, "float")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_sizes_at_which_pillow_only_warns_are_refused():
    assert_refused(png_claiming(12_000, 9_000), "12000x9000")


def test_sizes_at_which_pillow_only_warns_are_refused_when_warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # as Pillow's documentation advises
        assert_refused(png_claiming(12_000, 9_000), "pixels")


DAMAGED = {
    "JPEG": encoded(PHOTO, "JPEG", exif=Image.Exif()),
    "PNG": encoded(PHOTO, "PNG"),
    "GIF": encoded(PHOTO, "GIF"),
    "animated GIF": frames("GIF"),
    "animated PNG": frames("PNG"),
    "animated WebP": frames("WEBP"),
    "TIFF": encoded(PHOTO, "TIFF", compression="tiff_lzw"),
    "stack TIFF": frames("TIFF"),
    "MPO": frames("MPO"),
    "BMP": encoded(PHOTO, "BMP"),
    "PPM": encoded(PHOTO, "PPM"),
    "WEBP": encoded(PHOTO, "WEBP"),
    "JPEG2000": encoded(PHOTO, "JPEG2000"),
}

LARGE = Image.fromarray(noise(90, 130))
DAMAGED_LARGE = DAMAGED | {
    "JPEG": encoded(LARGE, "JPEG", exif=Image.Exif()),
    "PNG": encoded(LARGE, "PNG"),
    "TIFF": encoded(LARGE, "TIFF", compression="tiff_lzw"),
    "WEBP": encoded(LARGE, "WEBP"),
    "MPO": encoded(LARGE, "MPO", save_all=True, append_images=[PHOTO]),
}


def load_or_refuse(content: bytes, reduce_to: int | None) -> None:
    try:
        image = load_image(content, name="damaged.bin", reduce_to=reduce_to)
    except ImageError as error:
        assert str(error).startswith("damaged.bin ")
        assert "\n" not in str(error)
    else:
        assert image.mode == "RGB"
        assert min(image.size) >= MIN_SIDE


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reduce_to", [None, MIN_SIDE])
@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_never_raises_anything_else(kind, reduce_to):
    content = DAMAGED[kind] if reduce_to is None else DAMAGED_LARGE[kind]
    for end in {*range(0, min(120, len(content))), *range(0, len(content), max(1, len(content) // 60))}:
        load_or_refuse(content[:end], reduce_to)
    generator = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(content)
        # Mostly the header, where sizes, offsets and types lie.
        reach = len(content) if generator.random() < 0.4 else min(200, len(content))
        for position in generator.integers(0, reach, 3):
            damaged[position] = generator.integers(256)
        load_or_refuse(bytes(damaged), reduce_to)


@pytest.mark.parametrize("kind", ["path", "text path", "bytes", "memoryview", "image", "array"])
def test_every_kind_of_source_gives_the_same_pixels(tmp_path, kind):
    content = encoded(PHOTO, "PNG")
    path = tmp_path / "field.png"
    path.write_bytes(content)
    sources = {
        "path": path,
        "text path": str(path),
        "bytes": content,
        "memoryview": memoryview(content),
        "image": PHOTO,
        "array": noise(),
    }
    image = load_image(sources[kind])
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), noise())


def test_a_given_image_comes_back_as_a_copy():
    given = Image.fromarray(noise())
    load_image(given).putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(np.asarray(given), noise())


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
@pytest.mark.parametrize("transparent", [False, True])
def test_palette_images_by_value(image_format, transparent):
    indices = np.zeros((20, 20), dtype=np.uint8)
    indices[:, 10:] = 1
    palette = Image.fromarray(indices).convert("P")
    palette.putpalette([200, 30, 40, 10, 120, 240])
    options = {"transparency": 0} if transparent else {}
    image = load_image(encoded(palette, image_format, **options))
    assert image.getpixel((3, 3)) == ((255, 255, 255) if transparent else (200, 30, 40))
    assert image.getpixel((15, 3)) == (10, 120, 240)


def test_cmyk_by_value():
    image = load_image(encoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95))
    assert image.mode == "RGB"
    assert np.abs(np.subtract(image.getpixel((16, 16)), (255, 0, 0))).max() <= 6


def test_sixteen_bit_grey_is_scaled_not_clipped():
    grey = np.zeros((16, 20), dtype=np.uint16)
    grey[0, :6] = (0, 256, 257, 128 * 257, 200 * 257 + 100, 65535)
    content = encoded(Image.fromarray(grey), "PNG")
    pixels = np.asarray(load_image(content))
    assert pixels[0, :6, 0].tolist() == [0, 1, 1, 128, 200, 255]
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_sixteen_bit_colour_is_scaled_not_clipped():
    colour = noise().astype(np.uint16) * 257
    content = cv2.imencode(".png", cv2.cvtColor(colour, cv2.COLOR_RGB2BGR))[1].tobytes()
    assert np.array_equal(np.asarray(load_image(content)), noise())


def deep_files(values: np.ndarray) -> dict[str, bytes]:
    """One set of 16-bit values as grey and as colour."""
    return {
        "grey": encoded(Image.fromarray(values[..., 0]), "PNG"),
        "grey TIFF": encoded(Image.fromarray(values[..., 0]), "TIFF"),
        "colour": cv2.imencode(".png", values)[1].tobytes(),
    }


@pytest.mark.parametrize("kind", ["grey", "grey TIFF", "colour"])
def test_twelve_bit_values_in_a_sixteen_bit_file_are_told_from_darkness(kind):
    values = noise().astype(np.uint16) * 16
    values[0, 0] = 4095
    said = "{} uses only the lowest 4096 of 65536 levels; spread them over the full range and save it as 8-bit PNG"
    assert_refused(deep_files(values)[kind], said.format("field.png"), name="field.png")
    for sound in (np.zeros_like(values), values * 2 + 8192 - values[0, 0] * 2 + 1):
        assert load_image(deep_files(sound)[kind]).size == (32, 24)


def test_dark_eight_bit_colour_is_not_refused():
    assert load_image(encoded(Image.fromarray(noise() // 16), "PNG")).size == (32, 24)


def test_thirty_two_bit_tiff_of_eight_bit_values_is_not_darkened():
    grey = noise(channels=1)[..., 0]
    grey[0, 0] = 255
    content = encoded(Image.fromarray(grey.astype(np.int32)), "TIFF")
    assert np.array_equal(np.asarray(load_image(content))[..., 0], grey)


def test_float_tiff_of_shares_is_scaled():
    shares = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    pixels = np.asarray(load_image(encoded(Image.fromarray(shares), "TIFF")))
    assert np.array_equal(pixels[..., 1], np.round(shares * 255).astype(np.uint8))


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 1e6])
def test_float_tiff_without_meaning_is_refused(value):
    shares = np.full((20, 20), 0.5, dtype=np.float32)
    shares[3, 4] = value
    assert_refused(encoded(Image.fromarray(shares), "TIFF"), "save it as")


def test_transparency_is_laid_over_white():
    rgba = np.zeros((16, 20, 4), dtype=np.uint8)
    rgba[0, :4] = [(200, 0, 0, 0), (10, 20, 30, 255), (0, 0, 0, 128), (100, 200, 0, 51)]
    expected = [[255, 255, 255], [10, 20, 30], [127, 127, 127], [224, 244, 204]]
    for source in (rgba, Image.fromarray(rgba), encoded(Image.fromarray(rgba), "PNG")):
        assert np.asarray(load_image(source))[0, :4].tolist() == expected


def test_grey_with_transparency_is_laid_over_white():
    content = encoded(Image.new("LA", (20, 20), (100, 51)), "PNG")
    assert load_image(content).getpixel((5, 5)) == (224, 224, 224)


def test_one_bit_images_are_black_and_white():
    one_bit = Image.fromarray(noise(channels=1)[..., 0] > 127)
    assert np.array_equal(np.asarray(load_image(encoded(one_bit, "PNG")))[..., 0], np.asarray(one_bit) * 255)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_exif_orientation_is_applied(orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(PHOTO, "PNG", exif=exif)
    assert np.array_equal(np.asarray(load_image(content)), np.rot90(noise(), turns))


def test_phone_photo_with_preview_gives_the_photo():
    red, blue = Image.new("RGB", (32, 24), (220, 20, 20)), Image.new("RGB", (16, 16), (20, 20, 220))
    content = encoded(red, "MPO", save_all=True, append_images=[blue])
    image = load_image(content)
    assert image.size == (32, 24)
    assert np.abs(np.subtract(image.getpixel((9, 9)), (220, 20, 20))).max() <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint16, bool])
def test_arrays_of_another_type_are_refused(dtype):
    assert_refused(noise().astype(dtype), "the array", np.dtype(dtype).name)


def test_array_with_nan_is_refused():
    assert_refused(np.full((20, 20, 3), np.nan), "the array", "float64")


@pytest.mark.parametrize("shape", [(20,), (20, 20, 1), (20, 20, 2), (3, 20, 20), (1, 20, 20, 3), (0, 20, 3), ()])
def test_arrays_of_another_shape_are_refused(shape):
    assert_refused(np.zeros(shape, dtype=np.uint8), "the array", str(shape))


def test_grey_array_becomes_colour():
    grey = noise(channels=1)[..., 0]
    assert np.array_equal(np.asarray(load_image(grey)), np.stack([grey] * 3, axis=-1))


def test_array_views_keep_their_order():
    assert np.array_equal(np.asarray(load_image(noise()[::-1, ::2])), noise()[::-1, ::2])


def test_smallest_side_is_accepted(tmp_path: Path):
    path = tmp_path / "small.png"
    PHOTO.resize((MIN_SIDE, MIN_SIDE)).save(path)
    assert load_image(path).size == (MIN_SIDE, MIN_SIDE)


# Smooth, unlike on every side, so that a shift by one pixel of hundreds shows.
WAVES = np.sin(np.linspace(0, 9, 640))[None, :, None] * np.cos(np.linspace(0, 7, 480))[:, None, None]
FIELD = Image.fromarray(np.round(128 + 100 * WAVES * (1, -1, 0.5) + (0, 10, 60)).astype(np.uint8))
ENCODINGS = {
    "JPEG": {"quality": 95},
    "progressive JPEG": {"quality": 95, "progressive": True},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"quality": 95},
    "JPEG2000": {},
    "MPO": {"quality": 95, "save_all": True, "append_images": [PHOTO]},
}


def squared(image: Image.Image, edge: int = 32) -> np.ndarray:
    return np.asarray(image.resize((edge, edge), Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize("size", [(640, 480), (637, 479), (601, 479)])
@pytest.mark.parametrize("kind", ENCODINGS)
def test_reduced_images_show_what_the_whole_ones_show(kind, size):
    content = encoded(FIELD.crop((0, 0, *size)), kind.removeprefix("progressive "), **ENCODINGS[kind])
    reduced = load_image(content, reduce_to=96)
    assert reduced.mode == "RGB"
    assert reduced.size in {(-(-size[0] // factor), -(-size[1] // factor)) for factor in (4, 5)}
    assert original_size(reduced) == size
    difference = np.abs(squared(reduced) - squared(load_image(content)))
    assert difference.max() <= 3
    assert difference.mean() < 0.6


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "I;16"])
def test_every_mode_is_reduced_after_its_conversion(mode):
    grey = np.asarray(FIELD)[..., 0].astype(np.uint16) * 257
    image = Image.fromarray(grey) if mode == "I;16" else FIELD.convert(mode)
    content = encoded(image, "JPEG" if mode in ("L", "CMYK") else "PNG")
    reduced = load_image(content, reduce_to=100)
    assert (reduced.mode, reduced.size) == ("RGB", (160, 120))
    assert np.abs(squared(reduced) - squared(load_image(content))).max() <= 2


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_reduced_images_are_upright_and_so_is_their_original_size(image_format, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(FIELD.crop((0, 0, 637, 479)), image_format, exif=exif)
    reduced, whole = load_image(content, reduce_to=100), load_image(content)
    assert original_size(reduced) == whole.size == ((637, 479) if orientation < 5 else (479, 637))
    assert np.abs(squared(reduced) - squared(whole)).max() <= 3


@pytest.mark.parametrize("reduce_to", [241, 480, 10_000])
def test_images_less_than_twice_as_large_stay_as_they_are(reduce_to):
    content = encoded(FIELD, "JPEG")
    image = load_image(content, reduce_to=reduce_to)
    assert image.tobytes() == load_image(content).tobytes()
    assert original_size(image) == (640, 480)


@pytest.mark.parametrize("size", [(640, 480), (33, 900), (32, 32), (31, 31)])
def test_no_side_falls_below_what_is_asked(size):
    for image_format in ("JPEG", "PNG"):
        image = load_image(encoded(FIELD.resize(size), image_format), reduce_to=MIN_SIDE)
        assert MIN_SIDE <= min(image.size) < 2 * MIN_SIDE + 1


def test_given_images_are_reduced_but_not_changed():
    lazy = Image.open(io.BytesIO(encoded(FIELD, "JPEG")))
    assert load_image(lazy, reduce_to=100).size == (160, 120)
    assert lazy.size == (640, 480)
    assert load_image(np.asarray(FIELD), reduce_to=100).size == (160, 120)


def test_original_size_is_known_after_a_second_loading_and_forgotten_after_a_crop():
    reduced = load_image(encoded(FIELD, "JPEG"), reduce_to=100)
    assert original_size(load_image(reduced)) == (640, 480)
    assert original_size(load_image(reduced, reduce_to=30)) == (640, 480)
    assert original_size(reduced.crop((0, 0, 50, 60))) == (50, 60)
    assert original_size(FIELD) == (640, 480)


def test_a_file_cannot_claim_an_original_size():
    texts = PngImagePlugin.PngInfo()
    texts.add_text("leuk_hf.original_size", "9")
    assert original_size(load_image(encoded(FIELD, "PNG", pnginfo=texts))) == (640, 480)
    assert original_size(load_image(encoded(FIELD, "PNG", pnginfo=texts), reduce_to=100)) == (640, 480)


def test_reducing_below_the_smallest_side_is_refused():
    with pytest.raises(ValueError, match="reduce_to is 15"):
        load_image(FIELD, reduce_to=MIN_SIDE - 1)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_bands_over_white_are_the_whole(mode):
    """Large images are laid over white in bands; the seams must not show, and nothing stays transparent."""
    random = np.random.default_rng(5)
    rgba = Image.fromarray(random.integers(0, 256, (700, 40, 4), dtype=np.uint8))
    image = rgba.convert(mode)
    if mode == "P":
        image.info["transparency"] = 3
    white = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    loaded = load_image(image)
    assert loaded.mode == "RGB" and loaded.tobytes() == expected.tobytes()
    assert load_image(loaded).tobytes() == expected.tobytes()
