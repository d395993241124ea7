"""The model card: model_card.md, a Jinja template, filled from a model's config and its results.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from leuk_hf._version import __version__

_PACKAGE = Path(__file__).parent


def template_path() -> Path:
    """Find the template: beside the package's other assets when installed, at the top of a checkout."""
    installed = _PACKAGE / "assets" / "model_card.md"
    return installed if installed.is_file() else _PACKAGE.parent / "model_card.md"


def render_model_card(
    card_data: ModelCardData, config: dict[str, Any], *, results: dict[str, Any] | None = None
) -> ModelCard:
    """Fill the template.

    Args:
        card_data: Metadata of the YAML block.
        config: A model's `config`.
        results: Content of the results.json that belongs to the weights; without it the card says that no
            evaluation is recorded.
    """
    return ModelCard.from_template(
        card_data=card_data,
        template_str=template_path().read_text(encoding="utf-8"),
        settings=config["leuk_hf"],
        results_table=results_table(results) if results else None,
        version=__version__,
    )


def results_table(results: dict[str, Any]) -> str:
    """Write the figures of results.json as Markdown: one line per class and protocol, with intervals.

    Args:
        results: Content of a results.json with a `protocols` section.
    """
    lines = []
    for protocol, section in results["protocols"].items():
        lines += [
            f"Protocol `{protocol}`, part `{section['part']}`: {section['num_fields']} fields, made by",
            f"`{section['command']}`",
            "",
            "| measure | value | 95 % interval |",
            "|---|---|---|",
        ]
        lines += [_line(name, figure) for name, figure in section["metrics"].items()]
        for class_name, figures in section["per_class"].items():
            own = figures["num_fields"]
            for name, count in (("sensitivity", own), ("specificity", section["num_fields"] - own)):
                lines.append(_line(f"{class_name} {name} ({count} fields)", figures[name]))
        lines.append("")
    return "\n".join(lines).strip()


def _line(name: str, figure: dict[str, Any]) -> str:
    value, interval = figure["value"], figure["interval"]
    shown = "not defined" if value is None else f"{value:.3f}"
    bounds = "not known" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
    return f"| {name.replace('_', ' ')} | {shown} | {bounds} |"
