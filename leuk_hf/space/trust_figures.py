"""How often a checkpoint is right, by protocol, as HTML, from results.json alone.

Shared contract: what was not measured has no section; texts from the file are escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from leuk_hf.claims import FOREIGN
from leuk_hf.protocol_tables import epochs_of, is_comparison
from leuk_hf.space.charts import bar, confusion_table, figure, number, percent, reliability_diagram, rounded, table
from leuk_hf.space.words import TEXTS, tell

LEVEL = 0.95  # of every interval in results.json, see leuk_hf.results
Say = Callable[..., str]
_FIRST = "balanced_accuracy"  # what is seen of a comparison before the rest is unfolded


def right_html(results: Mapping[str, Any], words: Say) -> str:
    """Tell how often it is right, protocol by protocol, then how often networks of other recipes are.

    Args:
        results: Content of a results.json.
        words: Gives the words of the tab by their key.
    """
    parts = []
    # First what the checkpoint in use reaches: figures of another recipe would be taken for its own.
    for name, entry in sorted(results.get("protocols", {}).items(), key=lambda item: is_comparison(item[1])):
        parts.append(_comparison(name, entry, words) if is_comparison(entry) else _protocol(name, entry, words))
    return f"<h2>{words('right')}</h2>{''.join(parts)}" if parts else ""


def _protocol(name: str, entry: Mapping[str, Any], words: Say) -> str:
    measures = [[_metric(key, words), _measure(key, value), bar(value) if _is_share(key) else ""]
                for key, value in entry["metrics"].items()]  # fmt: skip
    level = rounded(LEVEL)
    rates = ("sensitivity", "specificity", "coverage")
    classes = [
        [label, str(row["num_fields"]), *(f"{figure(row.get(key))}{bar(row.get(key))}" for key in rates)]
        for label, row in entry["per_class"].items()
    ]
    return (
        f"<p>{_about(name, entry['part'], entry['num_fields'], words)}</p>"
        f"{table([words('measure'), words('figure', level=level), ''], measures)}"
        f"{table([words('class'), words('fields'), *(words(key) for key in rates)], classes)}"
    )


def _comparison(name: str, entry: Mapping[str, Any], words: Say) -> str:
    recipes = list(entry["recipes"].values())
    measures = {key: [_metric(key, words), *(_measure(key, recipe["metrics"].get(key)) for recipe in recipes)]
                for key in recipes[0]["metrics"]}  # fmt: skip
    first = [measures.pop(key) for key in (_FIRST,) if key in measures]
    rows = list(measures.values())
    for label in recipes[0]["class_names"]:
        for rate in ("sensitivity", "specificity"):
            cells = [figure(recipe["per_class"][label].get(rate)) for recipe in recipes]
            rows.append([f"{label}, {words(rate)}", *cells])
    headings = [
        recipe if (epochs := epochs_of(content)) is None else words("recipe_epochs", recipe=recipe, epochs=epochs)
        for recipe, content in entry["recipes"].items()
    ]
    protocol, without = entry.get("protocol", name), ""
    if entry["without"]:
        without = f" {words('without', classes=html.escape(', '.join(entry['without'])))}"
    titles = [words("measure"), *headings]
    return (
        f"<p>{_about(protocol, entry['part'], recipes[0]['num_fields'], words)}{without} {words('recipes')}</p>"
        f"{table(titles, first) if first else ''}<details><summary>{words('other_figures')}</summary>"
        f"{table(titles, rows)}{_sessions(entry, headings, words)}</details>"
    )


def _sessions(entry: Mapping[str, Any], headings: list[str], words: Say) -> str:
    """Show how often each recipe is right in each session, on the mean of its runs."""
    rows = entry.get("sessions", {}).get("rows", ())
    if not rows:
        return ""
    lines = []
    for row in rows:
        shares = [figures["mean"] for figures in row["recipes"].values()]
        counts = [html.escape(str(row["class"])), str(int(row["num_fields"])), str(int(row["num_trained"]))]
        lines.append([str(row["session"]), *counts, *(percent(share) for share in shares)])
    titles = [words(key) for key in ("session", "class", "fields", "session_trained")]
    return f"<p>{words('session_words')}</p>{table([*titles, *headings], lines)}"


def _about(protocol: str, part: str, fields: int, words: Say) -> str:
    shown = {name: f"<code dir=ltr>{html.escape(str(text))}</code>" for name, text in
             (("protocol", protocol), ("part", part))}  # fmt: skip
    known = f"protocol_{protocol}"
    meaning = f" {words(known)}" if f"trust_{known}" in TEXTS["en"] else ""
    return f"{words('protocol', **shown, fields=int(fields))}{meaning}"


def _metric(key: str, words: Say) -> str:
    if f"trust_metric_{key}" not in TEXTS["en"]:
        return key.replace("_", " ")
    return words(f"metric_{key}", share="".join(f"{digits} %" for digits in re.findall(r"\d+$|\d\d+", key)[:1]))


def _is_share(key: str) -> bool:
    return key not in ("brier_score", "expected_calibration_error", "mean_size", "mean_auroc", "macro_f1")


def _measure(key: str, entry: Mapping[str, Any] | None) -> str:
    return figure(entry, is_share=_is_share(key))


def own_parts(results: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give what was measured on the checkpoint itself, not on its recipe.

    Args:
        results: Content of a results.json.
    """
    yield from (entry for entry in results.get("protocols", {}).values() if not is_comparison(entry))


def pictures_html(own: list[Mapping[str, Any]], words: Say) -> str:
    """Show which classes are mixed up, and whether probabilities mean what they say.

    Args:
        own: From `own_parts`.
        words: As for `right_html`.
    """
    parts, level = [], rounded(LEVEL)
    for entry in own:
        if "confusion_matrix" in entry:
            matrix = confusion_table(
                entry["confusion_matrix"], entry["class_names"], true=words("true"), said=words("said"),
                caption=words("confusion_caption"),
            )  # fmt: skip
            parts.append(f"<div><h3>{words('confusion')}</h3>{matrix}</div>")
        if bins := entry.get("reliability"):
            alt = words("reliability_alt", fields=entry["num_fields"], bins=len(bins))
            drawn = reliability_diagram(bins, label=alt, across=words("probability"), up=words("share_right"))
            headings = [words(key) for key in ("probability", "share_right", "fields")]
            lines = [[f"{100 * each['confidence']:.1f} %", percent(each["accuracy"]), str(each["num_fields"])]
                     for each in bins]  # fmt: skip
            listed = f"<details><summary>{words('reliability_table')}</summary>{table(headings, lines)}</details>"
            caption = words("reliability_caption", level=level)
            parts.append(f"<div><h3>{words('reliability')}</h3>{drawn}<p>{caption}</p>{listed}</div>")
    return f'<div class="leuk-halves">{"".join(parts)}</div>' if parts else ""


def sets_html(
    results: Mapping[str, Any], own: list[Mapping[str, Any]], words: Say, *, language: str | None = "en"
) -> str:
    """Tell how good prediction sets and refusal are.

    Args:
        results: Content of a results.json.
        own: From `own_parts`.
        words: As for `right_html`.
        language: One of `leuk_hf.space.words.LANGUAGES`.
    """
    parts = []
    for entry in own:
        if sets := entry.get("prediction_sets"):
            shown = {"coverage": figure(sets["coverage"]), "size": figure(sets["mean_size"], is_share=False)}
            parts.append(f"<p>{words('sets_words', **shown)}</p>")
        if refusal := entry.get("with_refusal"):
            shown = {"answered": figure(refusal["answered"]), "accuracy": figure(refusal["balanced_accuracy"])}
            parts.append(f"<p>{words('answered', **shown)}</p>")
    for entry in results.get("calibration", {}).values():
        rows = [
            [
                words("usable") if name == "usable" else _images_in(name.rstrip("/").split("/")[-1], language),
                str(each["num_images"]),
                f"{percent(each['refused'])}{bar({'value': each['refused']})}",
                number(each["auroc"]) if "auroc" in each else "",
            ]
            for name, each in entry.get("refusal", {}).items()
        ]
        if rows:
            headings = [words(key) for key in ("images", "images", "refused", "auroc")]
            parts.append(f"<p>{words('refusal_words')}</p>{table(['', *headings[1:]], rows)}")
    return f"<h2>{words('sets')}</h2>{''.join(parts)}" if parts else ""


def _images_in(folder: str, language: str | None) -> str:
    """Say what the images of a folder show; its name, if that is not known."""
    if folder not in FOREIGN:
        return folder
    shown = tell(FOREIGN[folder], language)
    return f"{shown[:1].upper()}{shown[1:]}"
