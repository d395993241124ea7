"""The tab "Many fields": a case in, a table, heatmaps, a summary, CSV and a report out.

Shared contract: what a visitor hands in is read where Gradio has put it, and stays there until it is an hour old: one
file may have come from several visitors, so none of them can delete it. What is made of it lies in a folder of the
run's own, which the visitor's button deletes at once. Names come from anybody: they are escaped in HTML, and shown as
plain text elsewhere.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import gradio as gr
import numpy as np

from leuk_hf.backends import Outputs
from leuk_hf.case_summary import summarise
from leuk_hf.field_report import summary_html
from leuk_hf.intake import Upload, open_uploads
from leuk_hf.many_fields import answer_candidates
from leuk_hf.space.many_run import ManyRun, Orders, begin_run, delete_older, own_folder
from leuk_hf.space.many_shown import chosen_field, directed, headers, outcome, progress, spoken, table
from leuk_hf.space.page_context import Page
from leuk_hf.space.serving import KEPT_SECONDS
from leuk_hf.space.uploads import upload_list
from leuk_hf.space.waiting import num_waiting
from leuk_hf.space.words import mark, say
from leuk_hf.space.words_many import TEXTS
from leuk_hf.space.zero_gpu import on_gpu

EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"
LINE = "many"  # in which whole cases wait, one after the other
CSS = """
.leuk-many {contain: inline-size; width: 100%; overflow-x: clip}
.leuk-many-words table {width: 100%; border-collapse: collapse; margin: 0.4em 0}
.leuk-many-words table, .leuk-many-words tr, .leuk-many-words th, .leuk-many-words td {border: 0 !important}
.leuk-many-words th, .leuk-many-words td {padding: 0.15em 0.6em; text-align: start; font-weight: normal}
.leuk-many-words .wide {width: 100%} .leuk-many-words .counts :is(td, th) {white-space: nowrap}
.leuk-many-words .number {text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap}
.leuk-many-words .track {height: 0.6em; background: var(--border-color-primary); border-radius: 0.3em;
  overflow: hidden} .leuk-many-words .fill {height: 100%; background: var(--color-accent)}
.leuk-many-words .bars {display: grid; grid-template-columns: max-content 1fr max-content; gap: 0.15em 0.6em;
  align-items: center; margin: 0.5em 0} .leuk-many-words :is(.refused, .verdict) {font-weight: 600}
.leuk-many-words .file {overflow-wrap: anywhere; margin-block: 0.4em}
.leuk-many-words .pictures {display: flex; gap: 0.5em} .leuk-many-words .pictures img {width: 50%; min-width: 0;
  object-fit: contain; border-radius: var(--radius-md)}
.leuk-many-words ul {margin: 0.4em 0; padding-inline-start: 1.2em; list-style: disc}
.leuk-many-gallery .grid-wrap {max-height: 24em; min-height: 0 !important; overflow-y: auto; margin-top: 1.6em}
.leuk-many :is(.virtual-row, table) {font-family: var(--font)}
.leuk-many-gallery .grid-container {grid-template-columns: repeat(auto-fill, minmax(5.5em, 1fr)) !important;
  grid-template-rows: none !important}
.leuk-many-words progress {width: 100%; height: 0.8em; accent-color: var(--color-accent)}
"""


def build_many_tab(page: Page, demo: gr.Blocks) -> None:
    """Lay out the tab and connect it.

    Args:
        page: Where it goes.
        demo: The whole page, whose queue the runs wait in.
    """
    predictor, language = page.predictor, page.language

    @on_gpu
    def run_network(pixel_values: np.ndarray) -> Outputs:
        return predictor.run(pixel_values)

    with gr.Column(elem_classes="leuk-many"):
        gr.Markdown(mark("many_intro"))
        with gr.Row():
            boxes: dict[str, Any] = {"largest_file": page.options.largest_file, "height": 150, "min_width": 260}
            files = upload_list(label=mark("many_files"), file_count="multiple", **boxes)
            folder = upload_list(label=mark("many_folder"), file_count="directory", **boxes)
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
            rows = gr.Dataframe(
                label=mark("many_table"),
                headers=headers("en"),
                datatype=["number", "str", "str", "number", "str", "str", "number", "str"],
                column_widths=["60px", "230px", "110px", "110px", "190px", "160px", "110px", "600px"],
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
    # Of the visit, to be changed in place: by the buttons, while a run reads it.
    orders = gr.State(Orders())
    # In the browser: each start that waits has its own.
    number = gr.Number(0, visible=False)
    shown = [results, summary, table_file, report_file, rows, gallery, chosen, state]

    def show(run: ManyRun, words: str) -> dict[Any, Any]:
        """Fill everything that depends on the rows."""
        return {
            results: gr.Column(visible=True),
            summary: directed(summary_html(summarise(run.rows, predictor.class_names), TEXTS[words]), words),
            table_file: str(run.write_csv(predictor.class_names)),
            report_file: str(run.write_report(predictor, words)),
            rows: table(run, words),
            gallery: [(str(run.overlay_path(number)), f"{number + 1}") for number in run.pictured],
            chosen: directed(f"<p>{say('many_row_hint', words)}</p>", words),
            state: run,
        }

    def nothing(words: str) -> dict[Any, Any]:
        """Empty everything that depends on a run."""
        return {
            **{status: spoken("many_cleared", words), results: gr.Column(visible=False), summary: ""},
            **{table_file: None, report_file: None, rows: {"headers": headers(words), "data": []}},
            **{gallery: [], chosen: "", state: None},
        }

    def begin(orders: Orders, language: str) -> int:
        """Give a start its number at once, so that Stop and Clear count for it while it waits."""
        if (waiting := num_waiting(demo, LINE)) >= page.options.cases_waiting:
            raise gr.Error(say("many_crowded", language, waiting=waiting), print_exception=False)
        orders.begun += 1
        return orders.begun

    def classify(
        given: list[Upload] | None,
        inside: list[Upload] | None,
        number: int,
        language: str,
        orders: Orders,
        previous: ManyRun | None,
    ) -> Iterator[dict[Any, Any]]:
        words, uploads = _known(language), [*(given or ()), *(inside or ())]
        if number <= orders.cleared:
            yield nothing(words)
            return
        if number <= orders.stopped or not uploads:
            yield {status: spoken("many_unbegun" if uploads else "many_nothing", words)}
            return
        _forget(previous)
        cache = Path(gallery.GRADIO_CACHE)
        delete_older(cache, KEPT_SECONDS)
        yield {status: spoken("many_busy", words), results: gr.Column(visible=False), state: None}
        with open_uploads(uploads) as candidates:
            run = begin_run(cache, predictor, len(candidates), model=page.model_name, revision=page.revision)
            begun, is_shown = time.monotonic(), False
            try:
                yield {status: progress(run, words)}
                for batch in answer_candidates(predictor, candidates, run=run_network):
                    for row in batch:
                        run.add(row)
                    run.seconds = time.monotonic() - begun
                    if number <= orders.stopped:
                        break
                    yield {status: progress(run, words)}
                if number > orders.cleared:
                    for picture in run.pictured:  # what Gradio's own clearing up deletes
                        gallery.temp_files.add(str(run.field_path(picture)))
                    yield {status: outcome(run, words), **show(run, words)}
                    is_shown = number > orders.cleared
                if not is_shown:  # also what was on its way already must not come back
                    yield nothing(words)
            finally:
                if not is_shown:  # the visitor has left, or wants it gone
                    run.delete()

    def halt(orders: Orders) -> None:
        orders.stopped = orders.begun

    def erase(language: str, orders: Orders, run: ManyRun | None) -> dict[Any, Any]:
        orders.stopped = orders.cleared = orders.begun
        _forget(run)
        return {files: None, folder: None, **nothing(_known(language))}

    def hand_in_examples() -> list[str]:
        # Copies: Gradio takes files from its own folder alone.
        target = own_folder(Path(files.GRADIO_CACHE))
        return [str(shutil.copy(path, target)) for path in examples]

    def choose_row(run: ManyRun | None, language: str, event: gr.SelectData) -> str:
        # Rows are known by their number, however the visitor has sorted and filtered them.
        return chosen_field(run, int(event.row_value[0]) - 1, _known(language))

    def choose_picture(run: ManyRun | None, language: str, event: gr.SelectData) -> str:
        return "" if run is None else chosen_field(run, run.pictured[event.index], _known(language))

    def say_again(run: ManyRun | None, language: str) -> dict[Any, Any]:
        return {state: gr.skip()} if run is None else {status: "", **show(run, _known(language))}

    private: dict[str, Any] = {"api_visibility": "private"}
    quick: dict[str, Any] = {**private, "queue": False, "show_progress": "hidden"}
    # A budget of their own: two long runs must not keep everybody else from classifying one field.
    run: dict[str, Any] = {
        **private,
        "fn": classify,
        "inputs": [files, folder, number, language, orders, state],
        "outputs": [status, *shown],
        "show_progress": "minimal",
        "show_progress_on": status,
        "concurrency_id": LINE,
        "concurrency_limit": 1,
    }
    asked: dict[str, Any] = {**quick, "fn": begin, "inputs": [orders, language], "outputs": number}
    start.click(**asked).success(**run)
    example.click(hand_in_examples, None, files, **quick).success(**asked).success(**run)
    stop.click(halt, orders, None, **quick)
    clear.click(erase, [language, orders, state], [files, folder, status, *shown], **quick)
    rows.select(choose_row, [state, language], chosen, **quick)
    gallery.select(choose_picture, [state, language], chosen, **quick)
    language.change(say_again, [state, language], [status, *shown], show_progress="hidden", **private)


def _known(language: str | None) -> str:
    return language if language in TEXTS else "en"


def _forget(run: ManyRun | None) -> None:
    if run is not None:
        run.delete()
