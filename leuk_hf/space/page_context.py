"""What every tab of the page is given."""

from __future__ import annotations

import dataclasses
from typing import Any

import gradio as gr

from leuk_hf._version import __version__
from leuk_hf.backends import Predictor
from leuk_hf.space.options import Options


@dataclasses.dataclass(frozen=True)
class Page:
    """The model, how it is served, and in which language the visitor reads.

    Args:
        predictor: Shared by all visitors.
        model_name: What to call the checkpoint, without the folders of this machine.
        revision: Of a model on the Hub: branch, tag or commit.
        options: How the demo is served.
        language: Holds "en" or "fa"; an input of every event whose answer has words, and its `change` tells that the
            visitor has chosen another.
        is_preloaded: Whether all files of the model that there are lie in the cache: then the Hub is never asked.
    """

    predictor: Predictor
    model_name: str
    revision: str | None
    options: Options
    language: gr.Textbox
    is_preloaded: bool = False

    @property
    def model_events(self) -> dict[str, Any]:
        """Settings of every event that runs the model: together they run so many at a time."""
        return {"concurrency_id": "model", "concurrency_limit": self.options.concurrency}

    def provenance(self) -> dict[str, str | None]:
        """Tell what a result came from, to be shown with it."""
        return {
            "model": self.model_name,
            "revision": self.revision,
            "identity": self.predictor.identity[:12],
            "library": f"leuk_hf {__version__}",
            "backend": self.predictor.description,
        }
