"""Uploads are hostile: they are decoded by `load_image`, never by gradio."""

from __future__ import annotations

import base64
import binascii
import html
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils
from gradio.data_classes import ImageData
from PIL import Image

from leuk_hf.errors import ImageError
from leuk_hf.image_encoding import encode_image
from leuk_hf.image_io import load_image


def smear_image(*, reduce_to: int, **settings: Any) -> gr.Image:
    """Make a `gr.Image` that decodes by `load_image`.

    gradio's own decoding fails without a word on a wrong file, keeps animations, clips 16-bit images to white, and
    lets data URIs through as they are. The class is made without gradio's metaclass, which writes a stub file beside
    the source of every subclass; a method put onto the instance would be lost when an update, such as an example,
    makes gradio build the visitor's component again.

    Args:
        reduce_to: As for `load_image`.
        **settings: Arguments of `gr.Image`.
    """

    def preprocess(self: gr.Image, payload: ImageData | None) -> Image.Image | None:
        return decode_upload(payload, reduce_to=reduce_to)

    made = type.__new__(type(gr.Image), "Image", (gr.Image,), {"preprocess": preprocess, "__module__": __name__})
    return made(**settings)


def overlay_image(**settings: Any) -> gr.Image:
    """Make a `gr.Image` for RGB PIL results that encodes by `encode_image`, several times as fast as gradio.

    Args:
        **settings: Arguments of `gr.Image`.
    """
    component = gr.Image(format="png", interactive=False, **settings)

    def postprocess(value: Image.Image | None) -> ImageData | None:
        if value is None:
            return None
        # In gradio's cache, which is emptied like its own files.
        path = processing_utils.save_bytes_to_cache(encode_image(value), "overlay.png", component.GRADIO_CACHE)
        return ImageData(path=path, orig_name="overlay.png")

    component.postprocess = postprocess  # type: ignore[method-assign, assignment]
    return component


def decode_upload(payload: ImageData | None, *, reduce_to: int | None = None) -> Image.Image | None:
    """Decode what the browser or a client sent: RGB PIL, or None when nothing was given.

    Args:
        payload: A file in gradio's upload folder, or a data URI.
        reduce_to: As for `load_image`.

    Raises:
        gradio.Error: The sentence of the `ImageError`.
    """
    if payload is None:
        return None
    # Gradio shows the sentence as HTML, and a file may be named anything.
    name = html.escape(Path(payload.orig_name).name, quote=False) if payload.orig_name else "the image"
    try:
        if payload.url and payload.url.startswith("data:"):
            return load_image(_decode_data_uri(payload.url), name=name, reduce_to=reduce_to)
        return load_image(Path(payload.path or ""), name=name, reduce_to=reduce_to)
    except ImageError as error:
        raise gr.Error(str(error), title="This image cannot be used", print_exception=False) from error


def _decode_data_uri(uri: str) -> bytes:
    header, _, body = uri.partition(",")
    try:
        if not header.endswith(";base64"):
            raise ValueError("not base64")
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(f"the data URI cannot be decoded ({error}); send data:image/png;base64,...") from error
