"""How the loopback Hub judges files and cards, as far as the Hub does the same."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

REGULAR_SIZE = 10_000_000  # larger text is stored as binary files are
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
SPACE_CHOICES = {"colorFrom": COLOURS, "colorTo": COLOURS, "sdk": ("gradio", "docker", "static")}


def is_large(sample: bytes, size: int) -> bool:
    """Tell by its beginning whether a file is stored as large ones are: all but small text."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(sample)  # which may end within a character
    except UnicodeDecodeError:
        return True
    return "\0" in text or size > REGULAR_SIZE


def read_card(text: str, repo_type: str) -> tuple[dict[str, Any], list[str]]:
    """Read a card's metadata, and list what is wrong with them.

    Args:
        text: Content of README.md.
        repo_type: "model", "dataset" or "space".
    """
    matter = re.match(r"\s*---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", text, re.DOTALL | re.MULTILINE)
    try:
        card = yaml.safe_load(matter[1] if matter else "") or {}
    except yaml.YAMLError as error:
        return {}, [f"YAML Metadata Error: {error}"]
    if not isinstance(card, dict):
        return {}, ["YAML Metadata Error: the metadata must be a mapping"]
    errors = [
        f'"{key}" must be {"an array" if kind is list else "a string"}'
        for key, kind in (("tags", list), ("model-index", list), ("pipeline_tag", str), ("short_description", str))
        if key in card and not isinstance(card[key], kind)
    ]
    if errors:
        return card, errors
    models = card.get("model-index", ())
    errors += _missing(models, "model-index", ("name", "results"))
    for number, model in enumerate(() if errors else models):
        results, at = model["results"], f"model-index[{number}].results"
        lacking = list(_missing(results, at, ("task.type", "dataset.name", "dataset.type", "metrics")))
        for index, result in enumerate(() if lacking else results):
            lacking += _missing(result["metrics"], f"{at}[{index}].metrics", ("type", "value"))
        errors += lacking
    if repo_type == "space":
        wrong = [key for key, choices in SPACE_CHOICES.items() if key in card and card[key] not in choices]
        errors += [f'"{key}" must be one of [{", ".join(SPACE_CHOICES[key])}]' for key in wrong]
        if len(card.get("short_description", "")) > 60:
            errors.append('"short_description" length must be less than or equal to 60 characters long')
    return card, errors


def _missing(entries: Sequence[Mapping[str, Any]], at: str, names: Sequence[str]) -> Iterator[str]:
    for number, entry in enumerate(entries):
        for name in names:
            value: Any = entry
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is None:
                yield f'"{at}[{number}].{name}" is required'
