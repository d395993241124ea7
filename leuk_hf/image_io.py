"""Decoding images that come from anybody.

Shared contract: everything returns an RGB uint8 PIL image that is fully decoded, upright (EXIF orientation
applied), and at least `MIN_SIDE` pixels a side; alpha is laid over white, the colour of empty glass; more than
8 bits a channel are scaled down, not clipped. Anything else raises `ImageError` with one sentence. A file is
never trusted: only plain raster formats are opened (none that start an interpreter), the pixel count is checked
before any pixel is decoded, and animations are refused because "the" frame would be a guess.

A large photo need not be decoded in full to become a small square: with `reduce_to`, JPEG leaves out the finest
frequencies while decoding and other formats are averaged right after it. `original_size` remembers.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import IO, Any, TypeAlias, Union

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from leuk_hf.errors import ImageError
from leuk_hf.sentence import Sentence

ImageSource: TypeAlias = Union[Image.Image, str, Path, bytes, np.ndarray]  # noqa: UP007 - used at run time

# Pillow's own warning comes before our check of the same thing, as two more lines on standard error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif"}
    | {".ppm", ".pgm", ".pbm", ".jp2", ".j2k"}
)
MAX_PIXELS = 64_000_000  # the largest microscope cameras; 192 MB as RGB
MAX_BYTES = 512 * 2**20
MIN_SIDE = 16  # below this no cell has a shape
_ORIGINAL_SIZE = "leuk_hf.original_size"  # in `info`: the size before reducing, and the one after it
_BAND_ROWS = 256
_LEAST_HIGHEST = 65536 // 8  # of 16-bit values; the glass of any smear that is lit is brighter
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that swap width and height


def load_image(source: ImageSource, *, name: str | None = None, reduce_to: int | None = None) -> Image.Image:
    """Decode one image.

    Args:
        source: A path, the bytes of a file, a PIL image, or an array: uint8, (H, W, 3) RGB, (H, W, 4) RGBA or
            (H, W) grey.
        name: What to call the image in error messages; by default its path or kind.
        reduce_to: Shorter side, in pixels, that is enough for what follows (`Preprocessor.sufficient_side`), at
            least `MIN_SIDE`. An image at least twice as large is reduced by a whole factor, to no less than
            that. By default nothing is reduced.

    Returns:
        RGB uint8, upright; a PIL image given as RGB comes back as a copy.

    Raises:
        ImageError: If the source is missing, a folder, empty, not an image, truncated, animated, below
            `MIN_SIDE` or above `MAX_PIXELS`, of 16 bits with less than an eighth of their range, or an array of
            another type or shape.
        ValueError: If reduce_to is below `MIN_SIDE`.
    """
    if reduce_to is not None and reduce_to < MIN_SIDE:
        raise ValueError(f"reduce_to is {reduce_to}; give at least {MIN_SIDE}")
    if isinstance(source, (str, Path)):
        if not str(source).strip():
            raise ImageError(Sentence("the path is empty; give an image file"))
        name = name or str(source)
    name = " ".join(name.split()) if name else None  # a file name may hold line breaks
    if isinstance(source, np.ndarray):
        return _from_array(source, name or "the array", reduce_to)
    if isinstance(source, Image.Image):
        return _decode(source, name or getattr(source, "filename", "") or "the image", reduce_to)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), name or "the uploaded data", reduce_to)
    if isinstance(source, (str, Path)):
        return _from_path(Path(source), name or str(source), reduce_to)
    raise ImageError(
        Sentence(
            "{name} is a {kind}; give a path, bytes, a PIL image or a uint8 array",
            name=name or "the image",
            kind=type(source).__name__,
        )
    )


def original_size(image: Image.Image) -> tuple[int, int]:
    """Tell (width, height), upright, that an image from `load_image` had before `reduce_to` reduced it.

    Args:
        image: As it came from `load_image`; the size of any other, or of one cropped or resized since, is its own.
    """
    sizes = image.info.get(_ORIGINAL_SIZE)
    # A PNG may bring a text of any name; ours is no text.
    return sizes[0] if isinstance(sizes, tuple) and sizes[1] == image.size else image.size


def _from_path(path: Path, name: str, reduce_to: int | None) -> Image.Image:
    try:
        if path.is_dir():
            raise ImageError(Sentence("{name} is a folder; give an image file", name=name))
        if not path.is_file():
            raise ImageError(Sentence("{name} does not exist or is no regular file; check the path", name=name))
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(
                Sentence(
                    "{name} is larger than {most} MB; export the field as PNG or JPEG",
                    name=name,
                    most=MAX_BYTES // 2**20,
                )
            )
        with path.open("rb") as file:
            if file.read(1):
                file.seek(0)
                _open(file, name).close()  # before half a gigabyte of something else is read
        return _from_bytes(path.read_bytes(), name, reduce_to)
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(Sentence("{name} cannot be read ({reason})", name=name, reason=_reason(error))) from error


def _from_bytes(content: bytes, name: str, reduce_to: int | None) -> Image.Image:
    if not content:
        raise ImageError(Sentence("{name} is empty (0 bytes); save or copy it again", name=name))
    return _decode(_open(io.BytesIO(content), name), name, reduce_to, is_ours=True)


def _open(file: IO[bytes], name: str) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(
            Sentence("{name} is not an image that can be read; save it as PNG, JPEG, TIFF, BMP or WebP", name=name)
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            Sentence("{name} has too many pixels (at most {most}); crop the field", name=name, most=f"{MAX_PIXELS:,}")
        ) from error
    except Exception as error:
        raise ImageError(
            Sentence("{name} is damaged ({reason}); save or copy it again", name=name, reason=_reason(error))
        ) from error


def _from_array(array: np.ndarray, name: str, reduce_to: int | None) -> Image.Image:
    channels_fit = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not channels_fit or 0 in array.shape:
        raise ImageError(
            Sentence(
                "{name} has shape {shape} and type {dtype}; give uint8 with shape (H, W, 3), RGB",
                name=name,
                shape=array.shape,
                dtype=array.dtype,
            )
        )
    return _decode(Image.fromarray(array), name, reduce_to)


def _decode(image: Image.Image, name: str, reduce_to: int | None, *, is_ours: bool = False) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            Sentence(
                "{name} has {size} pixels (at most {most} in all); crop the field",
                name=name,
                size=f"{width}x{height}",
                most=f"{MAX_PIXELS:,}",
            )
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            Sentence(
                "{name} has {size} pixels; at least {least} are needed",
                name=name,
                size=f"{width}x{height}",
                least=f"{MIN_SIDE}x{MIN_SIDE}",
            )
        )
    try:
        frames = getattr(image, "n_frames", 1)
        # An MPO (opened as JPEG) is a phone's JPEG with a preview behind the photo: its first frame is the photo.
        if frames > 1 and image.format != "MPO":
            raise ImageError(
                Sentence(
                    "{name} has {frames} frames; save the one to classify as PNG or JPEG", name=name, frames=frames
                )
            )
        # Not of the caller's own image, which would stay small.
        drafted = image.draft(None, (reduce_to, reduce_to)) if reduce_to is not None and is_ours else None
        is_deep = _is_16_bit_colour(image)
        image.load()
        extrema: Any = image.getextrema()  # of each channel
        if is_deep and (high_byte := max(highest for _, highest in extrema[:3])):
            _check_levels(high_byte * 256 + 255, name)
        if drafted is not None:
            image = _fill_frame(image, drafted[1][2:])
        if image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE:
            width, height = height, width
        rgb = _to_rgb(ImageOps.exif_transpose(image), name)
        return rgb if reduce_to is None else _reduce(rgb, reduce_to, (width, height))
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            Sentence(
                "{name} is truncated or damaged ({reason}); save or copy it again", name=name, reason=_reason(error)
            )
        ) from error


def _reduce(image: Image.Image, reduce_to: int, size: tuple[int, int]) -> Image.Image:
    """Average whole squares of pixels down to `reduce_to`, noting the `size` that the source had."""
    known = original_size(image)
    original = size if known == image.size else known  # a given image may have been reduced before
    factor = min(image.size) // reduce_to
    reduced = image
    if factor > 1:
        reduced = _fill_frame(image.reduce(factor), (image.width / factor, image.height / factor))
    if reduced.size != original:
        reduced.info[_ORIGINAL_SIZE] = (original, reduced.size)
    return reduced


def _fill_frame(image: Image.Image, extent: tuple[float, float]) -> Image.Image:
    """Stretch a reduced image whose last row and column hold only a part of a pixel each, to fill its frame."""
    if extent == image.size:
        return image
    return image.resize(image.size, Image.Resampling.BILINEAR, box=(0, 0, *extent))


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bit(np.asarray(image), name))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    # In bands: three more copies of a 64-megapixel image are 800 MB.
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, _BAND_ROWS):
        box = (0, top, image.width, min(top + _BAND_ROWS, image.height))
        band = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", band.size, "white")
        rgb.paste(Image.alpha_composite(white, band).convert("RGB"), box)
    return rgb


def _to_8_bit(grey: np.ndarray, name: str) -> np.ndarray:
    # PIL clips these modes at 255, which turns a 16-bit microscope image white.
    if not np.isfinite(grey).all():
        raise ImageError(Sentence("{name} has pixels that are not numbers; save it as 8-bit PNG", name=name))
    low, high = float(grey.min()), float(grey.max())
    if low < 0 or high > 65535:
        raise ImageError(
            Sentence(
                "{name} has values from {low} to {high}; save it as 8-bit or 16-bit PNG",
                name=name,
                low=f"{low:g}",
                high=f"{high:g}",
            )
        )
    if np.issubdtype(grey.dtype, np.floating) and high <= 1:
        full_scale = 1.0
    elif grey.dtype.itemsize > 2 and high <= 255:  # 32-bit containers of 8-bit values
        full_scale = 255.0
    else:
        full_scale = 65535.0
    if full_scale > 255:
        _check_levels(round(high), name)
    scaled = np.empty(grey.shape, dtype=np.uint8)
    for top in range(0, len(grey), _BAND_ROWS):
        band = slice(top, top + _BAND_ROWS)
        scaled[band] = np.round(grey[band].astype(np.float64) * (255.0 / full_scale))
    return scaled


def _is_16_bit_colour(image: Image.Image) -> bool:
    """Tell whether a file, not decoded yet, has more levels than Pillow will give, which keeps the high byte."""
    return image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _check_levels(highest: int, name: str) -> None:
    """Refuse 12-bit values in a 16-bit file: scaled down they are black, and how bright they were meant is a guess."""
    if 0 < highest < _LEAST_HIGHEST:
        raise ImageError(
            Sentence(
                "{name} uses only the lowest {most} of 65536 levels; spread them over the full range and save it as"
                " 8-bit PNG",
                name=name,
                most=highest + 1,
            )
        )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
