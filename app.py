"""The demo: `python app.py`, or the entry of a Hugging Face Space.

Environment: LEUK_MODEL (checkpoint folder or Hub id; by default the one that space.json names beside this file, else
the one in the package), LEUK_REVISION, GRADIO_SERVER_NAME, GRADIO_SERVER_PORT.
"""

import os
import sys
from pathlib import Path

# Smear images are nobody else's business: no telemetry, decided before gradio is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from leuk_hf.backends import load_predictor
from leuk_hf.checkpoint_io import checkpoint_source
from leuk_hf.errors import LeukError
from leuk_hf.space.demo import CSS, build_demo
from leuk_hf.space.pin import read_pin
from leuk_hf.space.zero_gpu import import_spaces


def main() -> int:
    """Load the checkpoint and serve until stopped; exit code 2 when the checkpoint cannot be loaded."""
    import_spaces()
    source, revision, backend = checkpoint_source(), os.environ.get("LEUK_REVISION") or None, "auto"
    try:
        if source is None and (pin := read_pin(Path(__file__).parent)):
            # Such a Space has nothing but torch: looking for a graph would only be a request to the Hub.
            source, revision, backend = pin.model, revision or pin.revision, "torch"
        predictor = load_predictor(source, revision=revision, backend=backend)
    except LeukError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # Visitors need not know where a folder lies on this machine.
    name = "/".join(Path(source or "shipped checkpoint").parts[-2:])
    demo = build_demo(predictor, model_name=f"{name}@{revision}" if revision else name)
    demo.queue(max_size=64, api_open=False)
    demo.launch(
        theme=gr.themes.Soft(primary_hue="indigo"),
        css=CSS,
        max_file_size="64mb",
        run_history=False,
        enable_monitoring=False,
        footer_links=["api"],
        share=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
