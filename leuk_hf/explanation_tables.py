"""How faithful the explanations are, as Markdown, from results.json alone.

Shared contract: a figure is {"value", "interval"}; what is not defined is left empty.
"""

from __future__ import annotations

from typing import Any

_METHOD_NAMES = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
    "input_gradients": "input gradients",
    "perfect": "*leukocytes themselves*",
    "random_blocks": "*random blocks*",
    "centre": "*centre*",
}
_REFERENCES = ("perfect", "random_blocks", "centre")
_ALL = "all"


def explanations_text(results: dict[str, Any]) -> str:
    """Write the section `explanations` of results.json as Markdown; empty without one.

    Args:
        results: Content of a results.json.
    """
    texts = []
    for name, entry in results.get("explanations", {}).items():
        count = entry["fields"][_ALL]["num_fields"]
        made = f"{name}: {count} fields, seed {entry['seed']}, made by\n`{entry['command']}`"
        texts.append("\n\n".join([made, leukocyte_table(entry), truth_table(entry), choice_sentence(entry)]))
    return "\n\n".join(texts)


def explanations_summary(results: dict[str, Any]) -> str:
    """Write of the section `explanations` only what concerns the map that is shown, as Markdown; empty without one.

    Args:
        results: Content of a results.json.
    """
    texts = []
    for name, entry in results.get("explanations", {}).items():
        chosen = entry["chosen"] or {}
        shown = [one for one in entry["maps"] if all(one[key] == value for key, value in chosen.items())]
        made = f"{name}: {entry['fields'][_ALL]['num_fields']} fields, made by\n`{entry['command']}`"
        brief = {**entry, "maps": shown if chosen else []}
        texts.append("\n\n".join([choice_sentence(entry), leukocyte_table(brief), made]))
    return "\n\n".join(texts)


def leukocyte_table(entry: dict[str, Any]) -> str:
    """Write how much of the positive attribution lies on leukocytes: one line per map, one column per class.

    Args:
        entry: Of the section `explanations`.
    """
    columns = list(entry["fields"])
    headings = " | ".join("all classes" if name == _ALL else name for name in columns)
    area = " | ".join(_percent(entry["fields"][name]["area"]) for name in columns)
    lines = [
        "**Share of the positive attribution on leukocytes**, and in bold as a fraction of what the leukocytes' own"
        " map reaches on the same grid (95 % interval):",
        "",
        f"| map | grid | {headings} |",
        f"|---|---|{'---|' * len(columns)}",
        f"| *area that leukocytes cover (chance)* | | {area} |",
    ]
    for one in entry["maps"]:
        if one["method"] in _REFERENCES[1:]:
            continue
        cells = []
        for name in columns:
            figures = one["classes"][name]
            cell = _percent(figures["on_leukocytes"])
            if "of_perfect" in figures and figures["of_perfect"]["value"] is not None:
                cell += f", **{figures['of_perfect']['value']:.2f}**{_bounds(figures['of_perfect'])}"
            cells.append(cell)
        lines.append(f"| {_map_name(one)} | {_grid(one)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def truth_table(entry: dict[str, Any]) -> str:
    """Write whether the hottest places are on leukocytes, matter for the answer, and depend on what was learned.

    Args:
        entry: Of the section `explanations`.
    """
    fields = entry["fields"][_ALL]
    lines = [
        "**Is the map true?** Means over the classes. Deletion: area under the curve of the predicted class's"
        f" probability while the hottest pixels are blurred away in {entry['num_steps']} steps (low is good);"
        " insertion: while they come back (high is good); gain: better than random blocks on the same grid by how"
        " much (95 % interval)."
        f" The whole field has a mean probability of {_number(fields['probability'])}, the blurred one of"
        f" {_number(fields['neutral_probability'])}. Randomised: absolute rank correlation with the map of a network"
        f" whose classifier, or all of whose weights, are random (mean of {entry['num_randomisations']}; 0 is good;"
        " unrelated: with random blocks).",
        "",
        "| map | grid | hottest pixel on a leukocyte | deletion | gain | insertion | gain | classifier randomised"
        " | network randomised | unrelated |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in entry["maps"]:
        figures = one["classes"][_ALL]
        cells = [
            _percent(figures["pointing"]),
            _number(figures["deletion"]),
            _gain(figures.get("deletion_gain")),
            _number(figures["insertion"]),
            _gain(figures.get("insertion_gain")),
            *(_number(figures.get(name)) for name in ("classifier_randomised", "network_randomised", "unrelated")),
        ]
        lines.append(f"| {_map_name(one)} | {_grid(one)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def choice_sentence(entry: dict[str, Any]) -> str:
    """Say which map these figures favour.

    Args:
        entry: Of the section `explanations`.
    """
    if (chosen := entry["chosen"]) is None:
        return (
            "No map is better than random blocks at both deletion and insertion: none of them is shown to be true to"
            " the network."
        )
    return (
        f"By these figures the map to show is {_map_name(chosen)}: of those better than random blocks at both deletion"
        " and insertion, the one with the largest share of what the leukocytes' own map reaches or, of several that"
        " reach all of it, the one whose hottest pixels matter most."
    )


def _map_name(one: dict[str, Any]) -> str:
    method = _METHOD_NAMES.get(one["method"], one["method"])
    return method if one["layer"] == "input" else f"{method}, {one['layer']}"


def _grid(one: dict[str, Any]) -> str:
    height, width = one["grid"]
    return f"{width}x{height}"


def _percent(figure: dict[str, Any]) -> str:
    return "" if figure["value"] is None else f"{100 * figure['value']:.1f} %"


def _number(figure: dict[str, Any] | None) -> str:
    return "" if figure is None or figure["value"] is None else f"{figure['value']:.2f}"


def _gain(figure: dict[str, Any] | None) -> str:
    return "" if figure is None or figure["value"] is None else f"{figure['value']:+.3f}{_bounds(figure, '+.3f')}"


def _bounds(figure: dict[str, Any], form: str = ".2f") -> str:
    if figure["interval"] is None:
        return ""
    low, high = figure["interval"]
    return f" ({low:{form}} to {high:{form}})"
