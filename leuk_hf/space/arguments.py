"""What programs send wrongly is told in one sentence, where Gradio says nothing and writes a traceback.

Shared contract: every argument of every event is looked at before Gradio prepares it, whether it comes by HTTP, from
gradio_client, from an agent or from the page. A file has to name itself as one: Gradio checks where a path leads only
in what has its mark, and an image of Gradio's needs none, so that any picture on the server could be asked for.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from gradio import processing_utils
from gradio.exceptions import ComponentProcessingError, InvalidPathError
from gradio.route_utils import API_PREFIX, FnIndexInferError
from gradio_client.utils import is_file_obj_with_meta
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from gradio.blocks import BlockFunction
    from gradio.state_holder import SessionState
    from starlette.requests import Request

_META = '"meta": {"_type": "gradio.FileData"}'
_FILE = f'{{"path": PATH, {_META}}}, where PATH is what {API_PREFIX}/upload gave, or an address on the web'
_NOT_UPLOADED = (
    f"The file was not uploaded here; upload it first ({API_PREFIX}/upload), and send the path that this gives"
)
_LISTED = f"{API_PREFIX}/openapi.json lists"


def check_arguments(demo: gr.Blocks) -> None:
    """Let a page refuse wrong arguments in one sentence, and prepare all others as before.

    Args:
        demo: The page.
    """
    prepare = demo.preprocess_data

    @functools.wraps(prepare)
    async def checked(
        block_fn: BlockFunction, inputs: list[Any], state: SessionState | None, explicit_call: bool = False
    ) -> list[Any]:
        try:
            inputs = [_listed_files(block, value) for block, value in zip(block_fn.inputs, inputs, strict=False)]
            if (wrong := wrong_argument(block_fn, inputs)) is not None:
                raise gr.Error(wrong)
            return await prepare(block_fn, inputs, state, explicit_call)
        except gr.Error as error:
            error.print_exception = False  # whatever was sent, it is no fault of the server's
            raise
        except ComponentProcessingError:  # while an image was decoded, say; no sentence would be true of all of them
            raise
        except InvalidPathError as error:
            raise gr.Error(_NOT_UPLOADED, print_exception=False) from error
        except (AttributeError, TypeError, ValueError) as error:
            sentence = f"An argument is not of the kind that this endpoint takes; {_LISTED} them"
            raise gr.Error(sentence, print_exception=False) from error

    demo.preprocess_data = checked  # type: ignore[method-assign]


def wrong_argument(block_fn: BlockFunction, inputs: Sequence[Any]) -> str | None:
    """Say what is wrong with an event's arguments; None if nothing can be seen from outside.

    Args:
        block_fn: The event.
        inputs: As they were sent.
    """
    if len(inputs) < len(block_fn.inputs):
        return f"There are {len(inputs)} arguments, not {len(block_fn.inputs)}; {_LISTED} them"
    names = list(inspect.signature(block_fn.fn).parameters) if block_fn.fn else []
    for number, (block, value) in enumerate(zip(block_fn.inputs, inputs, strict=False)):
        name = names[number] if number < len(names) else f"number {number + 1}"
        if value is None or not isinstance(block, (gr.Image, gr.File)):
            continue
        if isinstance(block, gr.File) and block.file_count != "single":
            if not isinstance(value, list):
                return f"The argument {name} is no list; send a list of files, each as {_FILE}"
            if not all(_is_file(each) for each in value):
                return f"Something in the argument {name} is no file; send each as {_FILE}"
        elif not (_is_file(value) or _is_data_uri(value)):
            return f"The argument {name} is no file; send it as {_FILE}"
    return None


def _listed_files(block: Any, value: Any) -> Any:
    """Make files of the texts in a list: Gradio has agents send addresses, and makes files only of what is no list."""
    if not isinstance(block, gr.File) or not isinstance(value, list):
        return value
    files = []
    for each in value:
        if isinstance(each, str) and each.startswith(("data:", "http://", "https://")):
            is_content = each.startswith("data:")
            path = processing_utils.save_base64_to_cache(each, block.GRADIO_CACHE) if is_content else each
            each = {"path": path, "meta": {"_type": "gradio.FileData"}}
        files.append(each)
    return files


def _is_file(value: Any) -> bool:
    return is_file_obj_with_meta(value) and isinstance(value["path"], str) and bool(value["path"])


def _is_data_uri(value: Any) -> bool:
    # With no path at all: that is what would be read unseen.
    return isinstance(value, dict) and not value.get("path") and str(value.get("url")).startswith("data:")


async def wrong_call(request: Request, error: Exception) -> Response:
    """Say in one sentence what is wrong with a program's call, where Gradio would fail without a word.

    Args:
        request: Of the program.
        error: Gradio's; any that does not tell of a wrong call is not for here, and raised again.
    """
    _, call, name = request.url.path.rpartition(f"{API_PREFIX}/call/")
    name, sentence = name.removeprefix("v2/").strip("/"), str(error)
    if isinstance(error, RequestValidationError):
        if not call:
            return await request_validation_exception_handler(request, error)
        kind = "an object with the arguments by name" if "/call/v2/" in request.url.path else '{"data": [ARGUMENTS]}'
        return JSONResponse(
            {"detail": f"The request is not the JSON that is expected here: {kind}; {_LISTED} them"}, 422
        )
    if call and (
        isinstance(error, FnIndexInferError) or (isinstance(error, KeyError) and sentence == repr(f"/{name}"))
    ):
        return JSONResponse({"detail": f"There is no endpoint of this name; {_LISTED} those there are"}, 404)
    if call and isinstance(error, TypeError):
        if sentence.startswith("No value provided"):
            return JSONResponse({"detail": f"{sentence}; {_LISTED} the arguments"}, 422)
        if sentence.startswith("Parameter `"):
            key = sentence.removeprefix("Parameter `").partition("` is ")[0]
            return JSONResponse({"detail": f"There is no argument {key!r}; {_LISTED} those there are"}, 422)
    raise error


WRONG_CALLS = dict.fromkeys((TypeError, KeyError, FnIndexInferError, RequestValidationError), wrong_call)
