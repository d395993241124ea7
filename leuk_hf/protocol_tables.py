"""Recipes beside each other over protocols, and runs of experiments, as Markdown from JSON alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

OTHER_SESSIONS = ("reference", "acquisition")  # protocols that ask for sessions not learned from, at least in part
_NAMES = {
    "malignant_sensitivity_at_95_specificity": "sensitivity for malignant at 95 % specificity",
    "mean_auroc": "mean AUROC",
    "macro_f1": "macro F1",
    "brier_score": "Brier score",
    "mean_size": "mean size of the prediction sets",
    "coverage": "coverage of the prediction sets",
    "answered": "with refusal: share answered",
}


def is_comparison(entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry of the section `protocols` compares recipes, or is about one checkpoint."""
    return "recipes" in entry


def epochs_of(recipe: Mapping[str, Any]) -> int | None:
    """Tell how many epochs the compared runs of a recipe had, where they were not the recipe's own; else None.

    Args:
        recipe: Of the `recipes` of a comparison.
    """
    return recipe.get("changes", {}).get("num_epochs")


def comparison_text(results: Mapping[str, Any], measures: Collection[str] | None = None) -> str:
    """Write the comparisons of recipes in results.json as Markdown, a column for each recipe; empty without one.

    Args:
        results: Content of a results.json.
        measures: Names of the rows that are shown, such as "balanced_accuracy"; by default all.
    """
    entries = [entry for entry in results.get("protocols", {}).values() if is_comparison(entry)]
    return "\n\n".join(_comparison(entry, measures) for entry in entries)


def left_out(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Give the rows of sessions none of whose fields were learned from.

    Args:
        rows: Of what `leuk_hf.session_accuracy.by_session` gives.
    """
    return [row for row in rows if not row["num_trained"]]


def sessions_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write how often recipes are right in each session as Markdown; empty without any.

    Args:
        rows: Of what `leuk_hf.session_accuracy.by_session` gives.
    """
    if not rows:
        return ""
    names = list(rows[0]["recipes"])
    lines = [
        f"| session | class | fields tested | fields of it trained on | {' | '.join(names)} |",
        f"|---|---|---|---|{'---|' * len(names)}",
    ]
    for row in rows:
        each = [", ".join(f"{value:.3f}" for value in row["recipes"][name]["values"]) for name in names]
        counts = f"{row['num_fields']} | {row['num_trained'] or 'none'}"
        lines.append(f"| {row['session']} | {row['class']} | {counts} | {' | '.join(each)} |")
    return "\n".join(lines)


def runs_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Write the entries of an experiments file as Markdown: a line for each variant and protocol.

    Args:
        entries: From `leuk_hf.experiments.read_entries`.
    """
    lines = [
        "| variant | protocol | runs | balanced accuracy, test: mean ± SD (each) | accuracy, test | mean AUROC, test"
        " | answered | balanced accuracy of the answered | balanced accuracy, validation |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for variant, protocol in dict.fromkeys((entry["variant"], entry["protocol"]) for entry in entries):
        own = [entry for entry in entries if (entry["variant"], entry["protocol"]) == (variant, protocol)]
        cells = [
            mean_and_spread([value_of(entry, part, section, name) for entry in own])
            for part, section, name in (
                ("test", "metrics", "balanced_accuracy"),
                ("test", "metrics", "accuracy"),
                ("test", "metrics", "mean_auroc"),
                ("test", "with_refusal", "answered"),
                ("test", "with_refusal", "balanced_accuracy"),
                ("validation", "metrics", "balanced_accuracy"),
            )
        ]
        each = ", ".join(_number(value_of(entry, "test", "metrics", "balanced_accuracy")) for entry in own)
        cells[0] += f" ({each})"
        lines.append(f"| {variant} | {protocol} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def value_of(entry: Mapping[str, Any], part: str, section: str, name: str) -> float | None:
    """Take one value out of an entry; None if the run does not know it.

    Args:
        entry: Of an experiments file.
        part: "test", "validation" or one in other light (`leuk_hf.experiments.part_in`).
        section: "metrics", "with_refusal" or "prediction_sets".
        name: Of the figure.
    """
    return entry["figures"].get(part, {}).get(section, {}).get(name, {}).get("value")


def mean_and_spread(values: Sequence[float | None]) -> str:
    """Write the mean of some values and, of several, their standard deviation (of a sample).

    Args:
        values: None where one is not known.
    """
    known = [value for value in values if value is not None]
    if not known:
        return ""
    mean = sum(known) / len(known)
    if len(known) == 1:
        return f"{mean:.3f}"
    return f"{mean:.3f} ± {(sum((value - mean) ** 2 for value in known) / (len(known) - 1)) ** 0.5:.3f}"


def _comparison(entry: Mapping[str, Any], measures: Collection[str] | None) -> str:
    recipes = entry["recipes"]
    first = next(iter(recipes.values()))
    left_out = f", without {' and '.join(entry['without'])}" if entry["without"] else ""
    lines = [
        f"Protocol `{entry['protocol']}`{left_out}, part `{entry['part']}`: {first['num_fields']} fields,"
        f" {_runs(entry['runs'])}{_changes(recipes)}{_calibrations(recipes)}, made by",
        f"`{entry['command']}`",
        "",
        f"| measure | {' | '.join(recipes)} |",
        f"|---|{'---|' * len(recipes)}",
    ]

    def add(title: str, measure: str, cells: list[str]) -> None:
        if (measures is None or measure in measures) and any(cells):
            lines.append(f"| {title} | {' | '.join(cells)} |")

    def figures(section: str, name: str) -> list[str]:
        return [figure_text(recipe.get(section, {}).get(name)) for recipe in recipes.values()]

    for name in first["metrics"]:
        add(_NAMES.get(name, name.replace("_", " ")), name, figures("metrics", name))
        if name == "balanced_accuracy" and len(entry["runs"]) > 1:
            spreads = [recipe["single_runs"][name] for recipe in recipes.values()]
            each = [f"{', '.join(_number(value) for value in one['values'])}" for one in spreads]
            deviations = [one["standard_deviation"] for one in spreads]
            cells = [
                values + ("" if deviation is None else f" (SD {_number(deviation)})")
                for values, deviation in zip(each, deviations, strict=True)
            ]
            add("balanced accuracy of the single runs", name, cells)
    add(_NAMES["answered"], "answered", figures("with_refusal", "answered"))
    add("with refusal: balanced accuracy of the answered", "answered", figures("with_refusal", "balanced_accuracy"))
    for name in ("coverage", "mean_size"):
        add(_NAMES[name], name, figures("prediction_sets", name))
    for class_name in first["class_names"]:
        of_class = [recipe["per_class"][class_name] for recipe in recipes.values()]
        own = of_class[0]["num_fields"]
        if not own:
            continue
        counts = {"sensitivity": own, "specificity": first["num_fields"] - own, "coverage": own}
        for name, count in counts.items():
            title = f"{class_name} {name} ({count} fields)"
            add(title, name, [figure_text(figures.get(name)) for figures in of_class])
    if text := sessions_text(entry.get("sessions", {}).get("rows", ())):
        lines += ["", f"Share right in each session of `{entry['protocol']}`, run by run:", "", text]
    return "\n".join(lines)


def _changes(recipes: Mapping[str, Any]) -> str:
    told = [
        f"; {name} with {', '.join(f'{key} {value}' for key, value in recipe['changes'].items())}"
        for name, recipe in recipes.items()
        if recipe["changes"]
    ]
    return "".join(told)


def _calibrations(recipes: Mapping[str, Any]) -> str:
    """Say by how much recipes differ in what was done after training, which is part of what is compared."""
    told = []
    for name, recipe in recipes.items():
        runs = [run for run in recipe.get("calibrations", ()) if run is not None]
        if runs:
            fields, limits = (
                " to ".join(map(str, sorted({min(counts), max(counts)})))
                for counts in ([run[key] for run in runs] for key in ("num_fields", "num_limits"))
            )
            told.append(f"; {name} calibrated on {fields} fields and refusing by {limits} limits")
    return "".join(told)


def _runs(runs: Sequence[Mapping[str, int]]) -> str:
    folds, seeds = (sorted({run[key] for run in runs}) for key in ("fold", "seed"))
    texts = []
    for name, numbers, together in (("fold", folds, "pooled"), ("seed", seeds, "averaged")):
        listed = ", ".join(map(str, numbers))
        texts.append(f"{name}s {listed} {together}" if len(numbers) > 1 else f"{name} {listed}")
    return ", ".join(texts)


def figure_text(figure: Mapping[str, Any] | None) -> str:
    """Write a figure with its interval, to three decimals; empty if there is none.

    Args:
        figure: value and interval (low, high), either of them None.
    """
    if figure is None:
        return ""
    if figure["value"] is None:
        return "not defined"
    if figure["interval"] is None:
        return f"{figure['value']:.3f}"
    low, high = figure["interval"]
    return f"{figure['value']:.3f} ({low:.3f}-{high:.3f})"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
