"""The tab "Many fields": a case in, a table, heatmaps, a summary, CSV and a report out.

Shared contract: what a visitor hands in is read where Gradio has put it and deleted by the button or within the hour,
like everything made of it; a run's files lie in a folder of its own. Names come from anybody: they are escaped in
HTML, and shown as plain text elsewhere.
"""

from __future__ import annotations

import html
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import gradio as gr
import numpy as np

from leuk_hf.backends import Outputs
from leuk_hf.case_summary import summarise
from leuk_hf.field_report import answer_html, notes_html, pictures_html, summary_html
from leuk_hf.intake import Upload, open_uploads
from leuk_hf.many_fields import FieldRow, answer_candidates
from leuk_hf.space.many_run import ManyRun, begin_run, delete_older, own_folder
from leuk_hf.space.page_context import Page
from leuk_hf.space.upload_list import upload_list
from leuk_hf.space.words import mark, say
from leuk_hf.space.words_many import TEXTS
from leuk_hf.space.zero_gpu import on_gpu

EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"
KEPT_SECONDS = 3600
_COLUMNS = ("number", "file", "class", "probability", "set", "answer", "cells", "notes")
CSS = """
.leuk-many {contain: inline-size; width: 100%; overflow-x: clip}
.leuk-many-words table {width: 100%; border-collapse: collapse; margin: 0.4em 0}
.leuk-many-words table, .leuk-many-words tr, .leuk-many-words th, .leuk-many-words td {border: 0 !important}
.leuk-many-words th, .leuk-many-words td {padding: 0.15em 0.6em; text-align: start; font-weight: normal}
.leuk-many-words .number {text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap}
.leuk-many-words .track {height: 0.6em; background: var(--border-color-primary); border-radius: 0.3em;
  overflow: hidden} .leuk-many-words .fill {height: 100%; background: var(--color-accent)}
.leuk-many-words .bars {display: grid; grid-template-columns: max-content 1fr max-content; gap: 0.15em 0.6em;
  align-items: center; margin: 0.5em 0} .leuk-many-words :is(.refused, .verdict) {font-weight: 600}
.leuk-many-words .file {overflow-wrap: anywhere; margin-block: 0.4em}
.leuk-many-words .pictures {display: flex; gap: 0.5em} .leuk-many-words .pictures img {width: 50%; min-width: 0;
  object-fit: contain; border-radius: var(--radius-md)}
.leuk-many-words ul {margin: 0.4em 0; padding-inline-start: 1.2em; list-style: disc}
.leuk-many-gallery .grid-wrap {max-height: 24em; min-height: 0 !important; overflow-y: auto}
.leuk-many-gallery .grid-container {grid-template-columns: repeat(auto-fill, minmax(5.5em, 1fr)) !important;
  grid-template-rows: none !important}
.leuk-many-words progress {width: 100%; height: 0.8em; accent-color: var(--color-accent)}
"""


def build_many_tab(page: Page) -> None:
    """Lay out the tab and connect it.

    Args:
        page: Where it goes.
    """
    predictor, language = page.predictor, page.language
    stopping: set[str | None] = set()  # sessions that have pressed Stop
    erasing: set[str | None] = set()  # sessions that have pressed Clear

    @on_gpu
    def run_network(pixel_values: np.ndarray) -> Outputs:
        return predictor.run(pixel_values)

    with gr.Column(elem_classes="leuk-many"):
        gr.Markdown(mark("many_intro"))
        with gr.Row():
            files = upload_list(label=mark("many_files"), file_count="multiple", height=150, min_width=260)
            folder = upload_list(label=mark("many_folder"), file_count="directory", height=150, min_width=260)
        examples = sorted(EXAMPLES.glob("*.png"))
        example = gr.Button(mark("many_examples"), size="sm", visible=bool(examples), min_width=60)
        with gr.Row():
            start = gr.Button(mark("many_start"), variant="primary", size="md", scale=3, min_width=120)
            stop = gr.Button(mark("many_stop"), size="md", scale=1, min_width=90)
            clear = gr.Button(mark("many_clear"), size="md", scale=2, min_width=120)
        status = gr.HTML(elem_classes="leuk-many-words")
        with gr.Column(visible=False) as results:
            summary = gr.HTML(elem_classes="leuk-many-words")
            with gr.Row():
                table_file, report_file = (
                    # Its annotation forgets what the browser translates.
                    gr.DownloadButton(cast(str, mark(key)), size="md", min_width=120)
                    for key in ("many_csv", "many_report")
                )
            table = gr.Dataframe(
                label=mark("many_table"),
                headers=_headers("en"),
                datatype=["number", "str", "str", "number", "str", "str", "number", "str"],
                column_widths=["60px", "220px", "120px", "120px", "180px", "160px", "120px", "600px"],
                interactive=False,
                show_search="filter",
                buttons=["fullscreen"],
                max_height=420,
                max_chars=120,
            )
            with gr.Row():
                gallery = gr.Gallery(
                    label=mark("many_gallery"),
                    columns=6,
                    elem_classes="leuk-many-gallery",
                    allow_preview=False,
                    interactive=False,
                    object_fit="cover",
                    buttons=[],
                    scale=3,
                )
                with gr.Column(scale=2, min_width=300):
                    chosen = gr.HTML(elem_classes="leuk-many-words")
    state = gr.State(None, time_to_live=KEPT_SECONDS, delete_callback=_forget)
    shown = [results, summary, table_file, report_file, table, gallery, chosen, state]

    def show(run: ManyRun, words: str) -> dict[Any, Any]:
        """Fill everything that depends on the rows."""
        values = [_table_row(number, row, words) for number, row in enumerate(run.rows)]
        return {
            results: gr.Column(visible=True),
            summary: _directed(summary_html(summarise(run.rows, predictor.class_names), TEXTS[words]), words),
            table_file: str(run.write_csv(predictor.class_names)),
            report_file: str(run.write_report(predictor, words)),
            table: {"headers": _headers(words), "data": values},
            gallery: [(str(run.overlay_path(number)), f"{number + 1}") for number in run.pictured],
            chosen: _directed(f"<p>{say('many_row_hint', words)}</p>", words),
            state: run,
        }

    def classify(
        given: list[Upload] | None,
        inside: list[Upload] | None,
        language: str,
        previous: ManyRun | None,
        request: gr.Request,
    ) -> Iterator[dict[Any, Any]]:
        words, uploads, session = _known(language), [*(given or ()), *(inside or ())], request.session_hash
        if not uploads:
            yield {status: _spoken("many_nothing", words)}
            return
        _forget(previous)
        stopping.discard(session)
        erasing.discard(session)
        cache = Path(gallery.GRADIO_CACHE)
        delete_older(cache, KEPT_SECONDS)
        yield {status: _spoken("many_busy", words), results: gr.Column(visible=False), state: None}
        with open_uploads(uploads) as candidates:
            run = begin_run(cache, predictor, len(candidates), model=page.model_name, revision=page.revision)
            begun, is_shown = time.monotonic(), False
            try:
                yield {status: _progress(run, words)}
                for rows in answer_candidates(predictor, candidates, run=run_network):
                    for row in rows:
                        run.add(row)
                    run.seconds = time.monotonic() - begun
                    if session in stopping:
                        break
                    yield {status: _progress(run, words)}
                if session in erasing:  # what is deleted must not come back
                    return
                for number in run.pictured:  # what Gradio's own clearing up deletes
                    gallery.temp_files.add(str(run.field_path(number)))
                done, is_shown = show(run, words), True
                yield {status: _outcome(run, words), **done}
            finally:
                if not is_shown:  # the visitor has left, or wants it gone
                    run.delete()

    def halt(request: gr.Request) -> None:
        stopping.add(request.session_hash)

    def erase(
        given: list[Upload] | None,
        inside: list[Upload] | None,
        language: str,
        run: ManyRun | None,
        request: gr.Request,
    ) -> dict[Any, Any]:
        stopping.add(request.session_hash)
        erasing.add(request.session_hash)
        _forget(run)
        for upload in (*(given or ()), *(inside or ())):
            upload.path.unlink(missing_ok=True)
        return {
            **{files: None, folder: None, status: _spoken("many_cleared", _known(language))},
            **{results: gr.Column(visible=False), summary: "", table_file: None, report_file: None},
            **{table: {"headers": _headers(_known(language)), "data": []}, gallery: [], chosen: "", state: None},
        }

    def hand_in_examples() -> list[str]:
        # Copies, which may be deleted like anything a visitor has handed in.
        target = own_folder(Path(files.GRADIO_CACHE))
        return [str(shutil.copy(path, target)) for path in examples]

    def choose_row(run: ManyRun | None, language: str, event: gr.SelectData) -> str:
        # Rows are known by their number, however the visitor has sorted and filtered them.
        return _chosen(run, int(event.row_value[0]) - 1, _known(language))

    def choose_picture(run: ManyRun | None, language: str, event: gr.SelectData) -> str:
        return "" if run is None else _chosen(run, run.pictured[event.index], _known(language))

    def say_again(run: ManyRun | None, language: str) -> dict[Any, Any]:
        return {state: gr.skip()} if run is None else {status: "", **show(run, _known(language))}

    private: dict[str, Any] = {"api_visibility": "private"}
    quick: dict[str, Any] = {**private, "queue": False, "show_progress": "hidden"}
    # A budget of their own: two long runs must not keep everybody else from classifying one field.
    run: dict[str, Any] = {
        **private,
        "fn": classify,
        "inputs": [files, folder, language, state],
        "outputs": [status, *shown],
        "show_progress": "minimal",
        "show_progress_on": status,
        "concurrency_id": "many",
        "concurrency_limit": 1,
    }
    start.click(**run)
    example.click(hand_in_examples, None, files, **quick).then(**run)
    stop.click(halt, None, None, **quick)
    clear.click(erase, [files, folder, language, state], [files, folder, status, *shown], **quick)
    table.select(choose_row, [state, language], chosen, **quick)
    gallery.select(choose_picture, [state, language], chosen, **quick)
    language.change(say_again, [state, language], [status, *shown], show_progress="hidden", **private)


def _known(language: str | None) -> str:
    return language if language in TEXTS else "en"


def _headers(language: str) -> list[str]:
    return [say(f"many_column_{name}", language) for name in _COLUMNS]


def _table_row(number: int, row: FieldRow, language: str) -> list[Any]:
    prediction = row.prediction
    if prediction is None:
        return [number + 1, row.file, "", None, "", say("many_failed", language), None, row.error or ""]
    answer = "refused"
    if prediction.answered:
        answer = "ambiguous" if len(prediction.prediction_set) > 1 else "answered"
    return [
        number + 1,
        row.file,
        prediction.label,
        round(prediction.probabilities[prediction.label], 3),
        ", ".join(prediction.prediction_set),
        say(f"many_{answer}", language),
        row.cells,
        " ".join(prediction.reasons),
    ]


def _chosen(run: ManyRun | None, number: int, language: str) -> str:
    if run is None or not 0 <= number < len(run.rows):
        return ""
    row, words, pictures = run.rows[number], TEXTS[language], run.pictures_of(number)
    shown = "" if pictures is None else f"<div class=pictures>{pictures_html(number, pictures, words)}</div>"
    name = f"<div class=file>{number + 1}. <bdi>{html.escape(row.file)}</bdi></div>"
    return _directed(f"{shown}{name}{answer_html(row, words)}{notes_html(row)}", language)


def _spoken(key: str, language: str, **values: Any) -> str:
    return _directed(f'<p role="status">{html.escape(say(key, language, **values))}</p>', language)


def _progress(run: ManyRun, language: str) -> str:
    done = len(run.rows)
    text = say("many_progress", language, done=done, total=run.total)
    if done:
        left = run.seconds / done * (run.total - done)
        text = f"{text}, {say('many_left', language, seconds=round(left))}"
    label = html.escape(text)
    bar = f'<progress max="{run.total}" value="{done}" aria-label="{label}"></progress>'
    return _directed(f'<p role="status">{label}</p>{bar}', language)


def _directed(text: str, language: str) -> str:
    return f'<div dir="{TEXTS[language]["many_report_direction"]}" lang="{language}">{text}</div>'


def _outcome(run: ManyRun, language: str) -> str:
    if len(run.rows) < run.total:
        return _spoken("many_stopped", language, done=len(run.rows), total=run.total)
    return _spoken("many_done", language, done=len(run.rows), seconds=f"{run.seconds:.1f}")


def _forget(run: ManyRun | None) -> None:
    if run is not None:
        run.delete()
