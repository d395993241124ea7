"""The page "How good is it?" as HTML, from results.json alone.

Shared contract: what was not measured has no section; texts from the file are escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leuk_hf.audit_findings import judge
from leuk_hf.claims import claims_of
from leuk_hf.space.charts import bar, direction, figure, percent, rounded, table
from leuk_hf.space.trust_figures import LEVEL, Say, own_parts, pictures_html, right_html, sets_html
from leuk_hf.space.trust_sentences import translated
from leuk_hf.space.trust_story import cards_of, stories_of
from leuk_hf.space.words import say, tell

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
.leuk-trust details {margin-bottom: 0.8em}
.leuk-trust a {overflow-wrap: anywhere}
.leuk-trust code {overflow-wrap: anywhere; font-size: var(--text-xs)}
.leuk-yes {color: var(--body-text-color)}
.leuk-no {color: var(--body-text-color); font-weight: 700}
"""


def trust_html(
    results: Mapping[str, Any] | None, *, model: str, is_public: bool = False, language: str | None = "en"
) -> str:
    """Write the page.

    Args:
        results: Content of the results.json that belongs to the weights; None without one.
        model: What the checkpoint is called on the page.
        is_public: Whether they were measured on the public data set, of which the page then tells.
        language: One of `leuk_hf.space.words.LANGUAGES`.
    """

    def words(key: str, **values: Any) -> str:
        return say(f"trust_{key}", language, **values)

    shown_model = f"<code dir=ltr>{html.escape(model)}</code>"
    title = f"<h2>{words('title')}</h2>"
    if results is None:
        return _framed(language, f"{title}<p>{words('none', model=shown_model)}</p>")
    try:
        own = list(own_parts(results))
        bounds = {"level": rounded(LEVEL), "zero": rounded(0), "full": rounded(1)}
        intro = f"{title}<p>{words('intro', model=shown_model, **bounds)}</p>{_cards(results, words, language)}"
        sections = [
            intro,
            right_html(results, words),
            pictures_html(own, words),
            sets_html(results, own, words, language=language),
            *_audits(results, words, language),
            *_claims(results, words, language),
            _data(results, words, is_public=is_public),
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
    failed = [claim for claim in claims if claim.is_good is False]
    kept = [claim for claim in claims if claim.is_good is not False]
    items = [_item([_told(text, language) for text in claim[:3]], words) for claim in failed]
    items += [
        _item([f"{name[:1].upper()}{name[1:]}.", evidence, ""], words)
        for report in results.get("audit", {}).values()
        for name, evidence in _exposed(report, language)
    ]
    if not claims and not items:
        return
    listed = f"<dl>{''.join(items)}</dl>" if items else f"<p>{words('fails_none')}</p>"
    yield f"<h2>{words('fails')}</h2><p>{words('fails_words')}</p>{listed}"
    if kept:
        items = [_item([_told(text, language) for text in claim[:3]], words) for claim in kept]
        yield f"<h2>{words('holds')}</h2><dl>{''.join(items)}</dl>"


def _exposed(report: Mapping[str, Any], language: str | None) -> Iterator[tuple[str, str]]:
    """Give name and evidence of what an audit has found, in a language."""
    findings = [finding for finding in report.get("findings", ()) if finding["exposed"]]
    try:
        again = judge(report["rows"], len(report["num_fields_of_class"])) if findings else ()
    except (LookupError, TypeError, ValueError, ArithmeticError):
        again = ()  # another version's file; its sentences are shown as they are
    # The file has text alone; what it was made of, which a translation needs, comes from the rule that made it.
    known = {str(finding.evidence): finding.evidence for finding in again}
    for finding in findings:
        evidence = known.get(finding["evidence"], finding["evidence"])
        yield translated(finding["name"], language), _told(evidence, language)


def _told(sentence: str, language: str | None) -> str:
    return tell(sentence, language, name=lambda text: translated(text, language))


def _item(texts: Sequence[str], words: Say) -> str:
    sentence, evidence, caveat = texts
    noted = f"<dd>{words('not_shown')} {html.escape(caveat)}</dd>" if caveat else ""
    return f"<dt>{_marked_up(sentence)}</dt><dd>{_marked_up(evidence)}</dd>{noted}"


def _marked_up(text: str) -> str:
    """Escape a sentence that marks names by backticks, as Markdown does."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _data(results: Mapping[str, Any], words: Say, *, is_public: bool) -> str:
    groups, parts = results.get("data", {}).get("groups"), [f"<h2>{words('data')}</h2>"]
    if is_public:
        link = f'<a href="{SOURCE}" target="_blank" rel="noopener" dir="ltr">{SOURCE}</a>'
        parts.append(f"<p>{words('data_public')} {link}</p>")
    else:
        parts.append(f"<p>{words('data_unknown')}</p>")
    if groups:
        counts = words(
            "data_counts",
            fields=int(groups["num_fields"]),
            copies=int(groups["num_exact_copies"]),
            overlaps=int(groups["num_overlaps"]),
            groups=int(groups["num_groups"]),
        )
        rows = [[label, str(int(count))] for label, count in groups["fields_by_class"].items()]
        parts.append(f"<p>{counts}</p>{table([words('class'), words('fields')], rows)}")
    if is_public:
        parts.append(f"<h3>{words('limits')}</h3><p>{words('limits_words')}</p>")
    return "".join(parts)


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
