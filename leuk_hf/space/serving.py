"""What the running server keeps, how long, and how much it takes at once, where Gradio's own way is too generous.

Shared contract: of a visit Gradio keeps the last value of every component, for links that restore it; here it keeps
none. A result is remembered only in the state of a tab that needs it, for an hour, or until `SESSIONS` other visits
have come; a program's call leaves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradio.route_utils import API_PREFIX
from gradio.state_holder import SessionState, StateHolder
from gradio.utils import LRUCache
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

from leuk_hf.space.temporary import remove_older

if TYPE_CHECKING:
    from gradio.blocks import Blocks
    from gradio.routes import App
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSIONS = 256
KEPT_SECONDS = 3600
SWEEP_SECONDS = 300


class Visit(SessionState):
    """One visit's state, without the values that its page shows.

    Args:
        blocks: The page.
    """

    def __init__(self, blocks: Blocks) -> None:
        super().__init__(blocks)
        self.config_values = {}

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values = {}

    def _update_config(self, key: int) -> None:
        """Keep no value."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Keep no value."""


class Visits(StateHolder):
    """The visits of a page, at most `SESSIONS`."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Visit(self.blocks)
        return super().__getitem__(session_id)


@contextlib.asynccontextmanager
async def keeping_little(app: App) -> AsyncIterator[None]:
    """Serve with `Visits`, and sweep what Gradio forgets; for `launch(app_kwargs={"lifespan": ...})`.

    Args:
        app: Before its first request.
    """
    blocks = app.get_blocks()
    app.state_holder = Visits()
    app.state_holder.set_blocks(blocks)
    # Answers that nobody has fetched; Gradio keeps those of 2,000 visits.
    blocks._queue.pending_messages_per_session = LRUCache(SESSIONS)
    sweeping = asyncio.create_task(_sweep(Path(app.uploaded_file_dir)))
    try:
        yield
    finally:
        sweeping.cancel()


async def _sweep(folder: Path) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await asyncio.to_thread(give_back_memory)
        # Where app.py has not made a folder for this server alone, others' files may lie in it.
        if folder.parent.name.startswith("leuk_hf-space-"):
            await asyncio.to_thread(remove_older, folder, KEPT_SECONDS)


def give_back_memory() -> None:
    """Let the system have what was freed; glibc keeps it, after Integrated Gradients some 650 MB, others never do."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc here
        ctypes.CDLL(None).malloc_trim(0)


class BodyLimit:
    """Refuse requests whose body is larger than any this demo needs; uploads have a limit of their own, for each file.

    An image may come within JSON, as a data URI, which Gradio would read whatever its size.

    Args:
        app: To pass everything else to.
        largest_file: Bytes of the largest file that is taken.
    """

    def __init__(self, app: ASGIApp, largest_file: int) -> None:
        self._app = app
        self._limit = largest_file * 4 // 3 + 2**20  # base64, and some words around it
        self._sentence = f"The request is too large; its image may have {megabytes(largest_file)} at most"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413, or pass the request on."""
        if scope["type"] != "http" or scope["path"].endswith(f"{API_PREFIX}/upload"):
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        refusal = JSONResponse({"detail": self._sentence}, 413, {"Connection": "close"})
        if length.isdigit():
            return await (refusal if int(length) > self._limit else self._app)(scope, receive, send)
        if b"transfer-encoding" not in headers:
            return await self._app(scope, receive, send)
        # Of unknown length: read before anybody else does, and no more than is allowed.
        messages: list[Message] = []
        size = 0
        while True:
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
            if size > self._limit:
                return await refusal(scope, receive, send)
            if not messages[-1].get("more_body"):
                break
        messages.reverse()

        async def read_again() -> Message:
            return messages.pop() if messages else await receive()

        return await self._app(scope, read_again, send)


class NoGuessing:
    """Tell browsers to take every answer, such as a visitor's file, for what it says it is, and for nothing else.

    Args:
        app: To pass everything to.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the header to its answer."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, add if scope["type"] == "http" else send)


def megabytes(size: int) -> str:
    """Say a size, as "64 MB" or "0.5 MB".

    Args:
        size: In bytes.
    """
    return f"{size / 2**20:,.0f} MB" if size >= 2**20 else f"{size / 2**20:.2g} MB"
