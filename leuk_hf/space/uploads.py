"""Uploads are hostile: they are decoded by `load_image`, never by gradio, and no road in takes more than the limit.

Shared contract: a file comes by gradio's upload, which has its own limit, as an address on the web, which is fetched
here, or as a data URI. The classes are made without gradio's metaclass, which writes a stub file beside the source of
every subclass; a method put onto an instance would be lost when an update, such as an example, makes gradio build the
visitor's component again.
"""

from __future__ import annotations

import base64
import binascii
import html
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import gradio as gr
from gradio import processing_utils
from gradio.data_classes import FileData, ImageData, ListFiles
from gradio_client.utils import is_http_url_like
from PIL import Image

from leuk_hf.errors import ImageError
from leuk_hf.image_encoding import encode_image
from leuk_hf.image_io import load_image
from leuk_hf.intake import Upload
from leuk_hf.sentence import Sentence
from leuk_hf.space.example_answers import remember_file
from leuk_hf.space.serving import megabytes
from leuk_hf.space.web_files import fetch

_Kind = TypeVar("_Kind", gr.Image, gr.File)


def smear_image(*, reduce_to: int, largest_file: int, keeps_errors: bool = False, **settings: Any) -> gr.Image:
    """Make a `gr.Image` that decodes by `load_image`.

    gradio's own decoding fails without a word on a wrong file, keeps animations, clips 16-bit images to white, and
    lets data URIs through as they are.

    Args:
        reduce_to: As for `load_image`.
        largest_file: Bytes of the largest image that is taken.
        keeps_errors: Whether an image that cannot be used comes as its `ImageError`, for who knows in which language
            to say it, instead of being refused in English.
        **settings: Arguments of `gr.Image`.
    """

    def preprocess(self: gr.Image, payload: ImageData | None) -> Image.Image | ImageError | None:
        try:
            image = decode_upload(payload, reduce_to=reduce_to, largest_file=largest_file)
        except ImageError as error:
            if keeps_errors:
                return ImageError(error.sentence)  # without what was decoded, which the error itself keeps alive
            # Gradio shows the sentence as HTML, and a file may be named anything.
            sentence = html.escape(str(error), quote=False)
            raise gr.Error(sentence, title="This image cannot be used", print_exception=False) from error
        if image is not None and payload is not None and payload.path:
            remember_file(image, Path(payload.path))
        return image

    return _with_limit(gr.Image, largest_file, preprocess=preprocess)(**settings)


def upload_list(*, largest_file: int, **settings: Any) -> gr.File:
    """Make a `gr.File` that gives `Upload`s.

    Args:
        largest_file: Bytes of the largest file that is taken.
        **settings: Arguments of `gr.File`.
    """

    def preprocess(self: gr.File, payload: ListFiles | FileData | None) -> list[Upload] | None:
        return received(payload)

    def api_info(self: gr.File) -> dict[str, Any]:
        schema = gr.File.api_info(self)
        # Gradio puts the schema of an argument into that of a tool, where its references lead nowhere: no agent could
        # call one that takes a list of files.
        return _without_references(schema, schema.get("$defs", {}))

    return _with_limit(gr.File, largest_file, preprocess=preprocess, api_info=api_info)(**settings)


def received(payload: ListFiles | FileData | None) -> list[Upload] | None:
    """Give what was handed in, with the names it had; Gradio's own way leaves an empty file behind for each.

    Args:
        payload: Files in Gradio's upload folder.
    """
    if payload is None:
        return None
    given = payload.root if isinstance(payload, ListFiles) else [payload]
    return [Upload(Path(file.path), name_of(file)) for file in given]


def name_of(file: FileData) -> str:
    """Name a file as the visitor knows it: with its folders if it came in one, and without what leads elsewhere.

    Args:
        file: As the browser names it.
    """
    given = (file.orig_name or Path(file.path).name).replace("\\", "/")
    parts = [part for part in PurePosixPath(given).parts if part not in ("/", ".", "..")]
    return "/".join(parts) or Path(file.path).name


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


def decode_upload(payload: ImageData | None, *, largest_file: int, reduce_to: int | None = None) -> Image.Image | None:
    """Decode what the browser or a client sent: RGB PIL, or None when nothing was given.

    Args:
        payload: A file in gradio's upload folder, or a data URI.
        largest_file: Bytes of the largest image that a data URI may hold.
        reduce_to: As for `load_image`.

    Raises:
        ImageError: If it cannot be used.
    """
    if payload is None:
        return None
    name = Path(payload.orig_name).name if payload.orig_name else "the image"
    if payload.url and payload.url.startswith("data:"):
        return load_image(_decode_data_uri(payload.url, largest_file), name=name, reduce_to=reduce_to)
    return load_image(Path(payload.path or ""), name=name, reduce_to=reduce_to)


def _with_limit(kind: type[_Kind], largest_file: int, **methods: Any) -> type[_Kind]:
    """Make a class of gradio's component that fetches no more than the limit from the web."""

    async def move(self: gr.Image | gr.File, source: str | Path | None) -> str | None:
        if source is None or not is_http_url_like(str(source)):
            return await kind.async_move_resource_to_block_cache(self, source)  # type: ignore[arg-type]
        try:
            name, content = await fetch(str(source), largest_file)
        except ImageError as error:
            sentence = html.escape(str(error), quote=False)
            raise gr.Error(sentence, title="This file cannot be used", print_exception=False) from error
        path = processing_utils.save_bytes_to_cache(content, name, self.GRADIO_CACHE)
        self.temp_files.add(path)
        return path

    content = {**methods, "async_move_resource_to_block_cache": move, "__module__": __name__}
    return type.__new__(type(kind), kind.__name__, (kind,), content)


def _without_references(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_without_references(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _without_references(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {key: _without_references(value, definitions) for key, value in schema.items() if key != "$defs"}


def _decode_data_uri(uri: str, largest_file: int) -> bytes:
    header, _, body = uri.partition(",")
    if len(body) * 3 // 4 > largest_file + 2:  # before it is in memory twice
        raise ImageError(Sentence("the image is larger than {most}; save it smaller", most=megabytes(largest_file)))
    try:
        if not header.endswith(";base64"):
            raise ValueError("not base64")
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError(
            Sentence("the data URI cannot be decoded ({reason}); send data:image/png;base64,...", reason=error)
        ) from error
