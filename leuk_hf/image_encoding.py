"""Encoding overlays quickly: PNG, exact, JPEG, a quarter of the size, and WebP, small enough for hundreds on a page.

Shared contract: images are RGB uint8; the same image and versions of OpenCV and Pillow give the same bytes. No name,
time or other metadata is written, so that nothing of a specimen's file leaks into its picture.
"""

from __future__ import annotations

import io
from typing import Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image

from leuk_hf.errors import ImageError
from leuk_hf.sentence import Sentence

ImageFormat: TypeAlias = Literal["png", "jpeg", "webp"]

JPEG_QUALITY = 90
WEBP_QUALITY = 82
_LONGEST_SIDE = {"png": 1_000_000, "jpeg": 65_500, "webp": 16_383}  # set by libpng, libjpeg and WebP
_PNG_PARAMETERS = [
    # Overlays are photographs: between their pixels zlib finds hardly a repeat, and searching costs most of the time.
    *(cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    # One filter for all rows spares trying all five; OpenCV 4.10 cannot be told.
    *((cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH) if hasattr(cv2, "IMWRITE_PNG_FILTER") else ()),
]


def encode_image(image: Image.Image, image_format: ImageFormat = "png") -> bytes:
    """Encode an image for a file or a browser.

    Args:
        image: RGB uint8 PIL, such as an overlay.
        image_format: "png", lossless, or "jpeg" of quality `JPEG_QUALITY` with colour at full resolution, because
            in a heatmap the colour is what is read, or "webp" of quality `WEBP_QUALITY`, for small pictures.

    Returns:
        The bytes of a whole file.

    Raises:
        ImageError: If a side is longer than the format can hold.
        ValueError: If the format is another or the image is not RGB.
    """
    if image_format not in _LONGEST_SIDE:
        raise ValueError(f"there is no image format {image_format!r}; choose one of {', '.join(_LONGEST_SIDE)}")
    if image.mode != "RGB":
        raise ValueError(f"the image has mode {image.mode}; give RGB")
    if max(image.size) > _LONGEST_SIDE[image_format]:
        raise ImageError(
            Sentence(
                "an image of {size} pixels does not fit into {kind} (at most {most} a side); crop the field",
                size=f"{image.width}x{image.height}",
                kind=image_format.upper(),
                most=f"{_LONGEST_SIDE[image_format]:,}",
            )
        )
    encode = {"png": _encode_png, "jpeg": _encode_jpeg, "webp": _encode_webp}[image_format]
    return encode(image)


def _encode_png(image: Image.Image) -> bytes:
    encoded = cv2.imencode(".png", cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR), _PNG_PARAMETERS)[1]
    return encoded.tobytes()


def _encode_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # Pillow copies the comment of the file that the image came from, unless it is given one.
    image.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0, comment=b"")
    return buffer.getvalue()


def _encode_webp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # Pillow copies exif and xmp data of the file that the image came from, unless it is given some.
    image.save(buffer, format="WEBP", quality=WEBP_QUALITY, method=2, exif=b"", xmp=b"", icc_profile=b"")
    return buffer.getvalue()
