"""A repository's card (README.md): the mark by which an edit on the Hub is noticed, and what a kept card must say.

Shared contract: a card that we made ends with a mark; one whose text does not fit its mark was edited since.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CARD_NAME = "README.md"
_MARK = re.compile(r"\n<!-- made by leuk_hf, text ([0-9a-f]{16}) -->\n*\Z")


def edited_card(api: Any, *, repo_id: str, repo_type: str = "model", revision: str | None = None) -> Path | None:
    """Find the card of a repository if we did not make it, or if it was edited since; None otherwise.

    Args:
        api: `huggingface_hub.HfApi`.
        repo_id: Of the repository, which may be missing.
        repo_type: Of the repository, as `huggingface_hub` names it.
        revision: Branch; None: the main one.
    """
    place: dict[str, Any] = {"repo_id": repo_id, "repo_type": repo_type, "revision": revision}
    if not api.file_exists(filename=CARD_NAME, **place):
        return None
    path = Path(api.hf_hub_download(filename=CARD_NAME, **place))
    return None if is_unedited(path.read_text(encoding="utf-8", errors="replace")) else path


def differing_metadata(card: Path, other: Path, names: Sequence[str]) -> list[str]:
    """Name the metadata of which two cards say different things.

    Args:
        card: A card.
        other: Another one.
        names: What to compare.
    """
    first, second = _metadata(card), _metadata(other)
    return [name for name in names if first.get(name) != second.get(name)]


def named_metadata(card: Path, names: Sequence[str]) -> list[str]:
    """Name the metadata that a card has.

    Args:
        card: A card.
        names: What to look for.
    """
    found = _metadata(card)
    return [name for name in names if found.get(name)]


def _metadata(card: Path) -> dict[str, Any]:
    from huggingface_hub.repocard import metadata_load, yaml  # it lets the errors of yaml through

    try:
        return metadata_load(card) or {}
    except (ValueError, yaml.YAMLError):  # a list or a text; or broken, as git can push it
        return {}


def marked(card: str) -> str:
    """Add the mark to a card's text by which an edit on the Hub is noticed.

    Args:
        card: Markdown with its YAML block; a mark it has is replaced.
    """
    text = _MARK.sub("", card.replace("\r\n", "\n")).rstrip("\n")
    return f"{text}\n\n<!-- made by leuk_hf, text {_digest(text)} -->\n"


def is_unedited(card: str) -> bool:
    """Tell whether a card is as `marked` made it.

    Args:
        card: Markdown.
    """
    card = card.replace("\r\n", "\n")
    found = _MARK.search(card)
    return found is not None and _digest(card[: found.start()].rstrip("\n")) == found.group(1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
