"""The door for agents: under a root path, whatever a proxy does with it, and shut where visitors log in."""

import json

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from leuk_hf.space import page
from leuk_hf.space.agents import AgentDoor
from leuk_hf.space.options import Options
from leuk_hf.space.uploads import upload_list

KEPT = "/leuk/gradio_api/mcp/schema"
STRIPPED = "/gradio_api/mcp/schema"


def told(request):
    return PlainTextResponse(f"{request.scope['root_path']} {request.scope['path']}")


def client(root_path=""):
    """A server that is built as Gradio's is: mounted in it another, which has a route of its own."""
    mounted = Mount("/gradio_api/mcp", Starlette(routes=[Route("/schema", told)]))
    app = Starlette(routes=[mounted, Route("/config", told)], middleware=[Middleware(AgentDoor)])
    return TestClient(app, root_path=root_path)


@pytest.mark.parametrize(
    ("root_path", "path"),
    [("/leuk", KEPT), ("/leuk", STRIPPED), ("https://example.org/leuk", STRIPPED), ("https://example.org/leuk", KEPT)],
)
def test_the_way_under_a_root_path(root_path, path):
    answer = client(root_path).get(path)
    # What is mounted tells agents where to go on from this root path.
    assert (answer.status_code, answer.text) == (200, f"/leuk/gradio_api/mcp {KEPT}")


def test_without_a_root_path_nothing_changes():
    assert client().get(STRIPPED).text == f"/gradio_api/mcp {STRIPPED}"


def test_nobody_comes_in_past_the_login(monkeypatch):
    monkeypatch.setattr(page, "has_mcp", lambda: True)
    assert page.launch_settings(Options())["mcp_server"]
    assert not page.launch_settings(Options(), has_logins=True)["mcp_server"]


def test_a_list_of_files_is_described_without_references():
    info = upload_list(largest_file=1, file_count="multiple").api_info()
    assert "$" not in json.dumps(info) and info["items"]["properties"]["meta"]["properties"]["_type"]["const"]
