"""The door for agents (MCP): where it is open, and how it is found under a root path."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gradio.route_utils import API_PREFIX

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_DOOR = f"{API_PREFIX}/mcp"


def has_mcp() -> bool:
    """Tell whether the package is there that lets agents call the endpoints (`pip install "gradio[mcp]"`)."""
    return importlib.util.find_spec("mcp") is not None


class AgentDoor:
    """Let agents find their way under a root path.

    A proxy may keep the root path in what it passes on, or strip it. Gradio's own routes take both, but of what is
    mounted, as this is, only the outermost is found without it.

    Args:
        app: To pass everything to.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its path made whole."""
        root = urlsplit(scope.get("root_path", "")).path.rstrip("/") if scope["type"] == "http" else ""
        if scope["type"] != "http" or not scope["path"].removeprefix(root).startswith(_DOOR):
            return await self._app(scope, receive, send)
        if not scope["path"].startswith(f"{root}{_DOOR}"):
            scope = {**scope, "path": root + scope["path"]}
        return await self._app({**scope, "root_path": root}, receive, send)
