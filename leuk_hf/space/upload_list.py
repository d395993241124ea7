"""Files and folders handed in together, with the names they had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from leuk_hf.intake import Upload


def received(payload: ListFiles | FileData | None) -> list[Upload] | None:
    """Give what was handed in, with the names it had; Gradio's own way leaves an empty file behind for each.

    Args:
        payload: Files in Gradio's upload folder.
    """
    if payload is None:
        return None
    given = payload.root if isinstance(payload, ListFiles) else [payload]
    return [Upload(Path(file.path), Path(file.orig_name or file.path).name) for file in given]


def upload_list(**settings: Any) -> gr.File:
    """Make a `gr.File` that gives `Upload`s.

    Args:
        **settings: Arguments of `gr.File`.
    """

    def preprocess(self: gr.File, payload: ListFiles | FileData | None) -> list[Upload] | None:
        return received(payload)

    # Made as `smear_image` makes its class, and for the same reasons.
    made = type.__new__(type(gr.File), "File", (gr.File,), {"preprocess": preprocess, "__module__": __name__})
    return made(**settings)
