"""The tab "How good is it?": what was measured on the checkpoint in use."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from leuk_hf.checkpoint_io import RESULTS_NAME, find
from leuk_hf.errors import CheckpointError
from leuk_hf.space import charts, trust_page
from leuk_hf.space.page_context import Page

SPLIT_NAME = "split.csv"
_PUBLIC_NAME = re.compile(r"(?:.*/)?WBC-(?:Benign|Malignant-(?:Early|Pre|Pro))-\d+\.jpg")
UNREADABLE: Mapping[str, Any] = {"protocols": None}  # the page says of it what it says of any file of another form
CSS = charts.CSS + trust_page.CSS


def build_trust_tab(page: Page) -> gr.HTML:
    """Lay out the tab; gives the component that holds it.

    Args:
        page: Whose tab it is.
    """
    results = results_of(
        page.options.model, page.predictor.identity, revision=page.revision, is_preloaded=page.is_preloaded
    )

    is_public = is_of_public_data(page.options.model, revision=page.revision, is_preloaded=page.is_preloaded)

    def write(language: str) -> str:
        return trust_page.trust_html(results, model=page.model_name, is_public=is_public, language=language)

    shown = gr.HTML(write("en"), padding=False)
    page.language.change(
        write, page.language, shown, queue=False, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    return shown


def results_of(
    source: str | Path | None, identity: str, *, revision: str | None = None, is_preloaded: bool = False
) -> Mapping[str, Any] | None:
    """Read what was measured on a checkpoint.

    Args:
        source: As for `load_predictor`.
        identity: Of its predictor: figures that were measured on other weights are none of its own.
        revision: Of a Hub id.
        is_preloaded: Whether a file that is not in the cache is known to be missing; the Hub is not asked then.

    Returns:
        Content of its results.json, without what says that it was measured on other weights; None without one, or if
        nothing is left of what names its weights.
    """
    path = _beside(source, RESULTS_NAME, revision, is_preloaded)
    if path is None:
        return None
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(results, dict):
        return UNREADABLE
    own = {
        name: {key: entry for key, entry in section.items() if _identity(entry) in (None, identity)}
        if isinstance(section, dict)
        else section
        for name, section in results.items()
    }
    return own if identity in _identities(own) or not _identities(results) else None


def is_of_public_data(source: str | Path | None, *, revision: str | None = None, is_preloaded: bool = False) -> bool:
    """Tell whether a checkpoint was trained and tested on the public data set, by the names of its fields.

    Args:
        source: As for `results_of`.
        revision: As for `results_of`.
        is_preloaded: As for `results_of`.
    """
    path = _beside(source, SPLIT_NAME, revision, is_preloaded)
    if path is None:
        return False
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = [row.get("file") or "" for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error):
        return False
    # Others may have the same classes, but hardly its way of naming files.
    return bool(names) and all(_PUBLIC_NAME.fullmatch(name) for name in names)


def _beside(source: str | Path | None, name: str, revision: str | None, is_preloaded: bool) -> Path | None:
    """Find a file of a checkpoint; None without one."""
    download: dict[str, Any] = {"local_files_only": True} if is_preloaded else {}
    if revision:
        download["revision"] = revision
    try:
        return find(source, name, **download)
    except CheckpointError:
        return None


def _identities(results: Mapping[str, Any]) -> set[str]:
    sections = (section for section in results.values() if isinstance(section, dict))
    return {name for section in sections for entry in section.values() if (name := _identity(entry)) is not None}


def _identity(entry: Any) -> str | None:
    """Give the weights that an entry says it was measured on; None if it says nothing of them."""
    return str(entry["identity"]) if isinstance(entry, dict) and "identity" in entry else None
