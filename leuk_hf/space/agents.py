"""The door for agents (MCP), which Gradio leaves open where there are logins, and shuts halfway under a root path."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gradio.route_utils import API_PREFIX
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_DOOR = f"{API_PREFIX}/mcp"
_REFUSAL = {"detail": "Log in: send a name and a password as HTTP Basic authentication"}


class AgentDoor:
    """Let agents in by login where there are logins, and find their way under a root path.

    A proxy may keep the root path in what it passes on, or strip it. Gradio's own routes take both, but of what is
    mounted, as this is, only the outermost is found without it.

    Args:
        app: To pass everything to.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        root = urlsplit(scope.get("root_path", "")).path.rstrip("/") if scope["type"] == "http" else ""
        if scope["type"] != "http" or not scope["path"].removeprefix(root).startswith(_DOOR):
            return await self._app(scope, receive, send)
        if not _may_enter(HTTPConnection(scope)):
            refusal = JSONResponse(_REFUSAL, 401, {"WWW-Authenticate": 'Basic realm="leuk_hf"'})
            return await refusal(scope, receive, send)
        if not scope["path"].startswith(f"{root}{_DOOR}"):
            scope = {**scope, "path": root + scope["path"]}
        return await self._app({**scope, "root_path": root}, receive, send)


def _may_enter(request: HTTPConnection) -> bool:
    app: Any = request.app
    if app.auth is None:
        return True
    cookies = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    if any(request.cookies.get(name) in app.tokens for name in cookies):
        return True
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return False
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return name in app.auth and hmac.compare_digest(password.encode(), app.auth[name].encode())
