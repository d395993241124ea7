"""The page "How good is it?" as HTML, from results.json alone.

Shared contract: what was not measured has no section; texts from the file are escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from leuk_hf.claims import Claim, claims_of
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.protocol_tables import is_comparison
from leuk_hf.space.charts import (
    bar,
    confusion_table,
    direction,
    figure,
    number,
    percent,
    reliability_diagram,
    rounded,
    table,
)
from leuk_hf.space.trust_sentences import translated
from leuk_hf.space.trust_story import cards_of, stories_of
from leuk_hf.space.words import TEXTS, say

LEVEL = 0.95  # of every interval in results.json, see leuk_hf.results
SOURCE = "https://doi.org/10.34740/KAGGLE/DSV/2175623"
CSS = """
.leuk-trust {display: grid; gap: 1.2em; width: 100%}
.leuk-trust > * {min-width: 0}
.leuk-trust h2, .leuk-trust h3, .leuk-trust p {margin: 0 0 0.5em 0}
.leuk-trust h3 {margin-top: 1em}
.leuk-trust h2 + h3, .leuk-trust div > h3:first-child {margin-top: 0}
.leuk-trust .leuk-scroll {margin: 0.6em 0}
.leuk-trust section {border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); padding: 1em;
  background: var(--block-background-fill)}
.leuk-cards {display: grid; gap: 0.8em; grid-template-columns: repeat(auto-fit, minmax(13em, 1fr))}
.leuk-cards div {border-inline-start: 4px solid var(--color-accent); padding: 0.2em 0.8em}
.leuk-cards strong {display: block; font-size: var(--text-xxl)}
.leuk-cards strong small {font-size: var(--text-sm); font-weight: 400}
.leuk-halves {display: grid; gap: 1.2em; grid-template-columns: repeat(auto-fit, minmax(min(22em, 100%), 1fr))}
.leuk-halves > * {min-width: 0}
.leuk-trust dt {font-weight: 600; margin-top: 0.6em}
.leuk-trust dd {margin: 0; color: var(--body-text-color)}
.leuk-trust summary {cursor: pointer; font-weight: 600; padding: 0.3em 0}
.leuk-trust code {overflow-wrap: anywhere; font-size: var(--text-xs)}
.leuk-yes {color: var(--body-text-color)}
.leuk-no {color: var(--body-text-color); font-weight: 700}
"""

Say = Callable[..., str]


def trust_html(results: Mapping[str, Any] | None, *, model: str, language: str | None = "en") -> str:
    """Write the page.

    Args:
        results: Content of the results.json that belongs to the weights; None without one.
        model: What the checkpoint is called on the page.
        language: One of `leuk_hf.space.words.LANGUAGES`.
    """

    def words(key: str, **values: Any) -> str:
        return say(f"trust_{key}", language, **values)

    shown_model = f"<code dir=ltr>{html.escape(model)}</code>"
    title = f"<h2>{words('title')}</h2>"
    if results is None:
        return _framed(language, f"{title}<p>{words('none', model=shown_model)}</p>")
    try:
        own = list(_own_parts(results))
        bounds = {"level": rounded(LEVEL), "zero": rounded(0), "full": rounded(1)}
        intro = f"{title}<p>{words('intro', model=shown_model, **bounds)}</p>{_cards(results, words, language)}"
        sections = [
            intro,
            _right(results, words),
            _pictures(own, words),
            _sets_and_refusal(results, own, words),
            *_audits(results, words, language),
            *_claims(results, words, language),
            _data(results, words),
            _made(results, words),
        ]
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        # A file from elsewhere must not keep the whole demo from starting.
        return _framed(language, f"{title}<p>{words('unreadable', model=shown_model)}</p>")
    return _framed(language, *(section for section in sections if section))


def _framed(language: str | None, *sections: str) -> str:
    content = "".join(f"<section>{section}</section>" for section in sections)
    return f'<div class="leuk-trust" {direction(language)}>{content}</div>'


def _cards(results: Mapping[str, Any], words: Say, language: str | None) -> str:
    cards = [
        f"<div><strong>{figure(card.figure)}</strong>"
        f"{words(card.key, **{name: _shown(value, language) for name, value in card.values.items()})}</div>"
        for card in cards_of(results)
    ]
    return f'<div class="leuk-cards">{"".join(cards)}</div>' if cards else ""


def _shown(value: float | str | Mapping[str, Any], language: str | None) -> str:
    if isinstance(value, str):
        return f"<bdi>{html.escape(translated(value, language))}</bdi>"
    if isinstance(value, Mapping):
        return figure(value)
    return percent(value) if isinstance(value, float) else html.escape(str(value))


def _right(results: Mapping[str, Any], words: Say) -> str:
    parts = []
    for name, entry in results.get("protocols", {}).items():
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
    rows = [[_metric(key, words), *(_measure(key, recipe["metrics"].get(key)) for recipe in recipes)]
            for key in recipes[0]["metrics"]]  # fmt: skip
    for label in recipes[0]["class_names"]:
        for rate in ("sensitivity", "specificity"):
            cells = [figure(recipe["per_class"][label].get(rate)) for recipe in recipes]
            rows.append([f"{label}, {words(rate)}", *cells])
    protocol = entry.get("protocol", name)
    return (
        f"<p>{_about(protocol, entry['part'], recipes[0]['num_fields'], words)} {words('recipes')}</p>"
        f"{table([words('measure'), *entry['recipes']], rows)}"
    )


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


def _own_parts(results: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (entry for entry in results.get("protocols", {}).values() if not is_comparison(entry))


def _pictures(own: list[Mapping[str, Any]], words: Say) -> str:
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


def _sets_and_refusal(results: Mapping[str, Any], own: list[Mapping[str, Any]], words: Say) -> str:
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
                words("usable") if name == "usable" else name.rstrip("/").split("/")[-1],
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


def _audits(results: Mapping[str, Any], words: Say, language: str | None) -> Iterator[str]:
    for report in results.get("audit", {}).values():
        if "rows" not in report:
            continue
        parts = [f"<h2>{words('audit')}</h2><p>{words('audit_words', fields=int(report['num_fields']))}</p>"]
        for story in stories_of(report):
            value_heading = words("changed" if story.key == "move" else "balanced")
            headings = [words("change"), words("as_expected"), value_heading, words("refused")]
            lines = [
                [
                    translated(line.name, language),
                    _judged(line.is_expected, words),
                    f"{figure(line.figure)}{bar(line.figure, story.mark)}",
                    figure(line.refused),
                ]
                for line in story.lines
            ]
            listed = table(headings, lines)
            if story.key == "move":  # by far the longest
                listed = f"<details><summary>{words('all_changes', number=len(lines))}</summary>{listed}</details>"
            happened = {name: _shown(value, language) for name, value in story.values.items()}
            parts.append(
                f"<h3>{words(f'story_{story.key}')}</h3><p>{words(f'story_{story.key}_words')}</p>"
                f"<p><b>{words(f'story_{story.key}_happened', **happened)}</b></p>{listed}"
            )
        yield "".join(parts)


def _judged(is_expected: bool, words: Say) -> str:
    kind = "yes" if is_expected else "no"
    return f'<span class="leuk-{kind}">{words(kind)}</span>'


def _claims(results: Mapping[str, Any], words: Say, language: str | None) -> Iterator[str]:
    claims = claims_of(dict(results))
    exposed = [
        Claim(f"{finding['name'][:1].upper()}{finding['name'][1:]}.", finding["evidence"], "", False)
        if language != "fa"
        else Claim(f"{translated(finding['name'], language)}.", finding["evidence"], "", False)
        for report in results.get("audit", {}).values()
        for finding in report.get("findings", ())
        if finding["exposed"]
    ]
    failed = [claim for claim in claims if claim.is_good is False] + exposed
    if not claims and not exposed:
        return
    listed = _listed(failed, words, language) if failed else f"<p>{words('fails_none')}</p>"
    yield f"<h2>{words('fails')}</h2><p>{words('fails_words')}</p>{listed}"
    if kept := [claim for claim in claims if claim.is_good is not False]:
        yield f"<h2>{words('holds')}</h2>{_listed(kept, words, language)}"


def _listed(claims: list[Claim], words: Say, language: str | None) -> str:
    items = []
    for claim in claims:
        sentence, caveat = (html.escape(translated(text, language)) for text in (claim.sentence, claim.caveat))
        # Put together in English by rule; only its sentences are translated.
        evidence = f'<span lang="en" dir="ltr">{html.escape(claim.figure)}</span>'
        noted = f"<dd>{words('not_shown')} {caveat}</dd>" if caveat else ""
        items.append(f"<dt>{sentence}</dt><dd>{evidence}</dd>{noted}")
    return f"<dl>{''.join(items)}</dl>"


def _data(results: Mapping[str, Any], words: Say) -> str:
    groups = results.get("data", {}).get("groups", {})
    is_public = set(groups.get("fields_by_class", ())) == set(CLASS_NAMES)
    if not is_public:
        return f"<h2>{words('data')}</h2><p>{words('data_unknown')}</p>"
    counts = words(
        "data_counts",
        fields=int(groups["num_fields"]),
        copies=int(groups["num_exact_copies"]),
        overlaps=int(groups["num_overlaps"]),
        groups=int(groups["num_groups"]),
    )
    rows = [[label, str(int(count))] for label, count in groups["fields_by_class"].items()]
    link = f'<a href="{SOURCE}" target="_blank" rel="noopener" dir="ltr">{SOURCE}</a>'
    return (
        f"<h2>{words('data')}</h2><p>{words('data_public')} {link}</p><p>{counts}</p>"
        f"{table([words('class'), words('fields')], rows)}"
        f"<h3>{words('limits')}</h3><p>{words('limits_words')}</p>"
    )


def _made(results: Mapping[str, Any], words: Say) -> str:
    def code(text: Any) -> str:
        return f"<code dir=ltr>{html.escape(str(text))}</code>"

    rows = [
        [f"{section}: {name}", code(entry["command"]), code(entry.get("commit") or "–"), str(entry.get("date", "–"))]
        for section, entries in results.items()
        if isinstance(entries, Mapping)
        for name, entry in entries.items()
        if isinstance(entry, Mapping) and "command" in entry
    ]
    rows = [[*row[:3], html.escape(row[3])] for row in rows]
    headings = [words(f"made_{key}") for key in ("entry", "command", "commit", "date")]
    if not rows:
        return ""
    listed = table(headings, rows)
    return (
        f"<h2>{words('made')}</h2><details><summary>{words('made_all', number=len(rows))}</summary>{listed}</details>"
    )
