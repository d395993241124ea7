"""The tab "For programmers": how to call the endpoints, told by examples that the tests run."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from leuk_hf.space.agents import has_mcp
from leuk_hf.space.words import mark

ADDRESS = "http://127.0.0.1:7860"
PYTHON = f'''from gradio_client import Client, handle_file

client = Client("{ADDRESS}")
answer = client.predict(image=handle_file("field.png"), api_name="/predict")
print(answer["verdict"], answer["probabilities"])

overlay, heatmap, evidence = client.predict(image=handle_file("field.png"), target="Pre-B", api_name="/explain")
print(overlay, heatmap, evidence["cells"][:3])

rows = client.predict(files=[handle_file("field.png")], api_name="/predict_batch")
print([(row["file"], row["error"] or row["label"]) for row in rows])'''
CURL = f"""path=$(curl -s -F "files=@field.png" {ADDRESS}/gradio_api/upload | tr -d '[]"')
event=$(curl -s {ADDRESS}/gradio_api/call/v2/predict -H "Content-Type: application/json" \\
  -d '{{"image": {{"path": "'"$path"'", "meta": {{"_type": "gradio.FileData"}}}}}}' | cut -d '"' -f 4)
curl -sN {ADDRESS}/gradio_api/call/predict/$event"""
MCP_PATH = "gradio_api/mcp/"
CSS = """
.leuk-snippet {contain: inline-size; width: 100%; overflow-x: auto} /* a long line must not widen the page */
.leuk-snippet code, .leuk-snippet .cm-editor {direction: ltr; text-align: left}
/* It measures a line in a tab that nobody sees yet, where it is wrapped, and reserves room for five of that height. */
.leuk-snippet .cm-scroller {min-height: 0 !important}
/* The editor's own colours are too pale to read. */
.leuk-snippet .cm-content, .leuk-snippet .cm-content span {color: var(--body-text-color) !important}
"""


def build_programs_tab(demo: gr.Blocks, *, has_logins: bool = False) -> None:
    """Lay out the tab.

    Args:
        demo: The page, whose address stands in the examples once it is open in a browser.
        has_logins: Whether visitors log in.
    """
    gr.Markdown(mark("programs_endpoints"))
    # Lines that are wrapped need no scrolling, which a keyboard could not do.
    shown: dict[str, Any] = {"elem_classes": "leuk-snippet", "interactive": False, "wrap_lines": True}
    python = gr.Code(PYTHON, language="python", label="Python", **shown)
    curl = gr.Code(CURL, language="shell", label="curl", **shown)
    gr.Markdown(mark("programs_openapi"))
    mcp = "on" if has_mcp() else "off"
    gr.Markdown(mark("programs_mcp_logins" if has_logins else f"programs_mcp_{mcp}"))
    address = "window.location.origin + window.location.pathname.replace(/[/]$/, '')"
    texts = json.dumps([PYTHON, CURL])
    js = f"() => {texts}.map((text) => text.replaceAll({json.dumps(ADDRESS)}, {address}))"
    demo.load(None, None, [python, curl], js=js, api_visibility="private")
