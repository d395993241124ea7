"""The endpoints as tools for agents, over the running page."""

import ast
import asyncio
import base64

import pytest
from gradio_client import handle_file

from leuk_hf.synthetic import render_smear

pytest.importorskip("mcp", reason='agents need the package mcp: pip install "gradio[mcp]"')

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

ENDPOINTS = ("predict", "explain", "predict_batch")


def visit(address, ask):
    """Let an agent ask; gives what it gets."""

    async def talk():
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await ask(session)

    return asyncio.run(talk())


def test_tools_read_well(address):
    tools = {tool.name: tool for tool in visit(address, lambda session: session.list_tools()).tools}
    assert tuple(tools) == ENDPOINTS
    for name, tool in tools.items():
        first, _, rest = tool.description.partition(".")
        assert "blood" in first and len(first) < 120, (name, first)
        assert "Returns: " in rest and not [wrong for wrong in ("  ", "\n", ",,", ";,") if wrong in rest], (name, rest)
        fields = tool.inputSchema["properties"]
        told = [each.get("description", "") for each in fields.values()]
        assert all(text.endswith(".") for text in told), (name, told)
    assert tools["predict"].description.startswith("Classify one field of a stained blood smear: benign, or a subtype")
    assert "Not for diagnosis" in tools["predict"].description and "Not for" in tools["predict_batch"].description
    assert tools["predict"].inputSchema["required"] == ["image"]
    assert set(tools["explain"].inputSchema["properties"]) == {"image", "target", "layer"}
    assert tools["explain"].inputSchema["properties"]["target"]["description"].startswith("Name of the class")


def test_a_tool_answers(address, client, tmp_path):
    path = tmp_path / "field.png"
    render_smear("Pre-B", seed=1, image_size=96).save(path)
    expected = client.predict(image=handle_file(path), api_name="/predict")
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    result = visit(address, lambda session: session.call_tool("predict", {"image": uri}))
    assert not result.isError
    assert ast.literal_eval(result.content[0].text) == expected  # Gradio writes Python, not JSON


def test_a_tool_takes_several_files(address, client, tmp_path):
    path = tmp_path / "field.png"
    render_smear("Pre-B", seed=1, image_size=96).save(path)
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    result = visit(address, lambda session: session.call_tool("predict_batch", {"files": [uri, uri]}))
    assert not result.isError, result.content[0].text
    expected = client.predict(image=handle_file(path), api_name="/predict")
    rows = ast.literal_eval(result.content[0].text)
    assert [row["error"] for row in rows] == [None, None]
    for row in rows:
        assert row["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
