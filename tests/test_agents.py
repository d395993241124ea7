"""The door for agents: under a root path, whatever a proxy does with it, and with a login where there is one."""

import base64

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from leuk_hf.space.agents import AgentDoor

KEPT = "/leuk/gradio_api/mcp/schema"
STRIPPED = "/gradio_api/mcp/schema"


def told(request):
    return PlainTextResponse(f"{request.scope['root_path']} {request.scope['path']}")


def client(root_path="", auth=None):
    """A server that is built as Gradio's is: mounted in it another, which has a route of its own."""
    mounted = Mount("/gradio_api/mcp", Starlette(routes=[Route("/schema", told)]))
    app = Starlette(routes=[mounted, Route("/config", told)], middleware=[Middleware(AgentDoor)])
    app.auth, app.tokens, app.cookie_id = auth, {"token": "ada"}, "x"
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


def basic(text):
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize("root_path", ["", "/leuk"])
def test_agents_log_in_where_others_do(root_path):
    server = client(root_path, auth={"ada": "sésame:x"})
    for wrong in ({}, basic("ada:no"), basic("bob:x"), {"Authorization": "Basic ?"}, {"Authorization": "Bearer x"}):
        answer = server.get(STRIPPED, headers=wrong)
        assert answer.status_code == 401 and "HTTP Basic" in answer.json()["detail"]
    assert server.get(STRIPPED, headers=basic("ada:sésame:x")).status_code == 200
    assert server.get(STRIPPED, headers={"Cookie": "access-token-unsecure-x=token"}).status_code == 200
    assert server.get(STRIPPED, headers={"Cookie": "access-token-x=other"}).status_code == 401
    assert server.get("/config").status_code == 200  # Gradio's own, which asks for itself
