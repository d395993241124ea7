"""A report of many fields: one HTML file that needs nothing else, to read, keep or print.

Shared contract: nothing in it is fetched or run, and a policy in its head says so to the browser; every text is
escaped, whoever wrote it. Pictures are in it as data URIs, up to `MAX_PICTURE_BYTES` together.
"""

from __future__ import annotations

import base64
import functools
import html
from collections.abc import Callable, Mapping, Sequence

from leuk_hf.case_summary import CaseSummary, summarise
from leuk_hf.field_table import RunRecord
from leuk_hf.many_fields import FieldPictures, FieldRow
from leuk_hf.percentages import probability_text

MAX_PICTURE_BYTES = 18_000_000  # some 1,200 fields; beyond it rows come without
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root {color-scheme: light; --line: #d4d8e0; --soft: #f3f4f8; --ink: #1c2230; --dim: #545c6e; --bar: #4250af}
* {box-sizing: border-box}
body {margin: 0 auto; max-width: 62rem; padding: 1.5rem; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Vazirmatn", "Noto Sans", Tahoma, sans-serif}
h1 {font-size: 1.55rem; line-height: 1.25; margin: 0 0 .2rem} h2 {font-size: 1.15rem; margin: 1.8rem 0 .5rem}
p {margin: .4rem 0} .dim {color: var(--dim); font-size: .88rem}
.notice {border: 1px solid #b3541e; border-inline-start-width: 5px; padding: .5rem .8rem; margin: .9rem 0;
  background: #fff6ef}
table {border-collapse: collapse; width: 100%} th {text-align: start; font-size: .82rem; color: var(--dim)}
th, td {border-bottom: 1px solid var(--line); padding: .45rem .55rem; vertical-align: top}
.counts td, .counts th {vertical-align: middle; white-space: nowrap} .wide {width: 100%}
.number {text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap}
.answer {min-width: 16rem} .pictures {white-space: nowrap; width: 17rem}
.pictures img {width: 8rem; height: 8rem; object-fit: contain; background: var(--soft); vertical-align: top}
.file {overflow-wrap: anywhere} ul {margin: .3rem 0; padding-inline-start: 1.1rem}
.bars {display: grid; grid-template-columns: max-content 1fr max-content; gap: .1rem .5rem; font-size: .82rem;
  align-items: center; margin-top: .3rem; max-width: 22rem}
.track {height: .55rem; background: var(--soft); border-radius: .3rem; overflow: hidden}
.fill {height: 100%; background: var(--bar)} .refused {color: #8a3c10} .refused, .verdict {font-weight: 600}
dl {display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0} dd {margin: 0;
  overflow-wrap: anywhere} dt {color: var(--dim)}
@page {size: A4; margin: 14mm}
@media print {body {max-width: none; padding: 0; font-size: 10.5pt} tr, .notice {break-inside: avoid}
  h2 {break-after: avoid} .pictures {width: 14rem} .pictures img {width: 6.5rem; height: 6.5rem}
  * {print-color-adjust: exact; -webkit-print-color-adjust: exact}}
@media (max-width: 40rem) {body {padding: 1rem} .fields thead {display: none}
  .fields tr {display: block; border-bottom: 1px solid var(--line); padding: .5rem 0}
  .fields td {display: inline-block; border: 0; padding: .2rem .3rem} .fields td.answer, .fields td.pictures {
  display: block; width: auto}}
"""


def report_html(
    rows: Sequence[FieldRow],
    class_names: Sequence[str],
    record: RunRecord,
    *,
    settings: Mapping[str, str],
    words: Mapping[str, str],
    pictures_of: Callable[[int], FieldPictures | None],
) -> str:
    """Write the report.

    Args:
        rows: In order.
        class_names: Of the predictor.
        record: Of the run.
        settings: Name -> value, to list at the end.
        words: Its texts, whose keys start with many_report_, for `str.format` where they hold braces;
            many_report_language is such as "en", many_report_direction "ltr" or "rtl".
        pictures_of: Gives a row's pictures by its number, from 0; asked for one row after the other.
    """

    say = functools.partial(_say, words)
    lines, without, used = [], 0, 0
    for number, row in enumerate(rows):
        pictures = pictures_of(number)
        if pictures is not None and used + len(pictures.field) + len(pictures.overlay) > MAX_PICTURE_BYTES:
            pictures, without = None, without + 1
        used += 0 if pictures is None else len(pictures.field) + len(pictures.overlay)
        lines.append(_row(number, row, pictures, words))
    head = "".join(f"<th scope=col>{say(key)}</th>" for key in ("number", "pictures", "answer", "notes"))
    listed = "".join(
        f"<dt>{html.escape(name)}</dt><dd><bdi>{html.escape(value)}</bdi></dd>" for name, value in settings.items()
    )
    made = say("made", date=_isolated(record.date, words), model=_isolated(record.model, words))
    missing = f"<p class=dim>{say('without_pictures', count=without)}</p>" if without else ""
    return f"""<!doctype html>
<html lang="{say("language")}" dir="{say("direction")}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{say("title")}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{say("title")}</h1>
<p class=dim>{made}</p>
<p class=notice role=note><strong>{say("notice")}</strong></p>
<h2>{say("summary")}</h2>
{summary_html(summarise(rows, class_names), words)}
<h2>{say("fields")}</h2>
<p class=dim>{say("reading")}</p>{missing}
<table class=fields><thead><tr>{head}</tr></thead><tbody>
{"".join(lines)}</tbody></table>
<h2>{say("settings")}</h2>
<dl><dt>{say("model")}</dt><dd>{html.escape(record.model)}</dd>
<dt>{say("revision")}</dt><dd><bdi>{html.escape(record.revision or "-")}</bdi></dd>
<dt>{say("version")}</dt><dd>{html.escape(record.version)}</dd>
<dt>{say("backend")}</dt><dd><bdi>{html.escape(record.backend)}</bdi></dd>
<dt>{say("date")}</dt><dd><bdi>{html.escape(record.date)}</bdi></dd>{listed}</dl>
</body>
</html>
"""


def summary_html(summary: CaseSummary, words: Mapping[str, str]) -> str:
    """Tell the counts of a case, and that they are no diagnosis.

    Args:
        summary: The counts.
        words: As for `report_html`.
    """
    most = max(1, *summary.answered.values())
    rows = "".join(
        f"<tr><th scope=row><bdi>{html.escape(name)}</bdi></th><td class=number>{count}</td>"
        f'<td class=wide><div class=track><div class=fill style="width:{100 * count / most:.1f}%"></div></div>'
        "</td></tr>"
        for name, count in summary.answered.items()
    )
    counts = _say(
        words,
        "counts",
        files=summary.files,
        answered=summary.num_answered,
        refused=summary.refused,
        failed=summary.failed,
        ambiguous=summary.ambiguous,
        cells=summary.cells,
    )
    verdict = _say(words, "no_diagnosis")
    return f"<p>{counts}</p><table class=counts><tbody>{rows}</tbody></table><p><strong>{verdict}</strong></p>"


def answer_html(row: FieldRow, words: Mapping[str, str]) -> str:
    """Tell one row's answer: its verdict and all probabilities, or that it failed.

    Args:
        row: Whose.
        words: As for `report_html`.
    """
    prediction = row.prediction
    if prediction is None:
        return f"<div class=refused>{_say(words, 'failed')}</div>"
    names = ", ".join(prediction.prediction_set)
    verdict = f"<div class=refused>{_say(words, 'refused')}</div>"
    if prediction.answered:
        key = "plausible" if len(prediction.prediction_set) > 1 else "one_class"
        verdict = f"<div class=verdict>{_say(words, key, classes=_isolated(names, words))}</div>"
    bars = "".join(
        f"<bdi>{html.escape(name)}</bdi><div class=track><div class=fill"
        f' style="width:{100 * share:.1f}%"></div></div>'
        f"<span class=number>{html.escape(probability_text(share))}</span>"
        for name, share in prediction.probabilities.items()
    )
    counts = row.cells is not None and prediction.answered  # elsewhere what looks like cells may be anything
    cells = "" if not counts else f"<div class=dim>{_say(words, 'cells', cells=row.cells)}</div>"
    return f'{verdict}<div class=bars dir="ltr">{bars}</div>{cells}'


def notes_html(row: FieldRow) -> str:
    """List what is wrong with a row's file or doubtful about its answer; empty if nothing is.

    Args:
        row: Whose.
    """
    notes = [row.error] if row.error else []
    notes += row.prediction.reasons if row.prediction else ()
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f"<ul>{listed}</ul>" if listed else ""


def pictures_html(number: int, pictures: FieldPictures, words: Mapping[str, str]) -> str:
    """Show a row's pictures, which are in the text as data URIs.

    Args:
        number: Of the row, from 0.
        pictures: Its own.
        words: As for `report_html`.
    """
    return "".join(
        f'<img alt="{_say(words, alt, number=number + 1)}" src="data:image/webp;base64,{_base64(data)}"> '
        for alt, data in (("field_alt", pictures.field), ("overlay_alt", pictures.overlay))
    )


def _row(number: int, row: FieldRow, pictures: FieldPictures | None, words: Mapping[str, str]) -> str:
    shown = "" if pictures is None else pictures_html(number, pictures, words)
    return (
        f"<tr><td class=number>{number + 1}</td><td class=pictures>{shown}</td>"
        f"<td class=answer><div class=file><bdi>{html.escape(row.file)}</bdi></div>{answer_html(row, words)}</td>"
        f"<td>{notes_html(row)}</td></tr>\n"
    )


def _say(words: Mapping[str, str], key: str, **values: object) -> str:
    return html.escape(words[f"many_report_{key}"].format(**values))


def _isolated(text: str, words: Mapping[str, str]) -> str:
    """Keep a value in its own direction where it stands in a sentence that runs from right to left."""
    return f"\u2068{text}\u2069" if words["many_report_direction"] == "rtl" else text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
