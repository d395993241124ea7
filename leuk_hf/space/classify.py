"""The tab "One field": one field in; verdict, explanation and evidence cells out."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
from PIL import Image

from leuk_hf.annotation import find_annotations
from leuk_hf.backends import Outputs
from leuk_hf.checkpoint_io import IN_COLOUR
from leuk_hf.errors import ImageError
from leuk_hf.evidence import FieldCells, find_cells
from leuk_hf.explanation import METHODS, Reading, attribute_again, explain_reading, read
from leuk_hf.image_io import SUFFIXES
from leuk_hf.space import field_look
from leuk_hf.space.audit_panel import build_audit_panel
from leuk_hf.space.example_answers import ExampleAnswers
from leuk_hf.space.field_look import SCRIPT
from leuk_hf.space.field_result import FieldResult, explained, picture, render, unusable_html
from leuk_hf.space.page_context import Page
from leuk_hf.space.uploads import smear_image
from leuk_hf.space.words import mark, say
from leuk_hf.space.zero_gpu import import_spaces, on_gpu

PREDICTED = ""  # of the list of classes: whichever is predicted
EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"
MAX_EXAMPLES = 24
# A larger picture is shown at this size. Crops are cut at full resolution, but of a photo of more than 4096 pixels in
# its shorter side, which is halved when it is decoded (`FULL_SIDE`): 64 megapixels would take 200 MB for each visitor.
MAX_SHOWN_SIDE = 1024
FULL_SIDE = 2048
CSS = field_look.CSS + (
    """
.leuk-image img {width: 100%; height: 100%; object-fit: contain}
.leuk-controls {gap: var(--spacing-md)}
.leuk-controls .gallery, .leuk-controls .gallery-item {font-size: var(--text-sm)}
@media (max-width: 640px) {
  .leuk-controls {display: contents !important}
  .leuk-choices {order: 3}
  /* Once there is an answer, what leads to it gives way, so that the verdict stands on the first screen. */
  .column:has(.leuk-intro):not(:has(.leuk-classify .leuk-empty)) {
    .leuk-intro {display: none}
    .leuk-controls > .block:has(.gallery) {order: 3}
    .leuk-notice .prose {font-size: var(--text-sm)}
    .leuk-image:not(:has(video)) {height: 7.5rem !important}
  }
}
"""
)


@dataclasses.dataclass(frozen=True, eq=False)
class _Shown:
    """What a visitor's tab remembers of its field: no file, and nothing at full resolution.

    Args:
        reading: Of the network.
        found: The leukocytes, in the size that is shown.
        unchanging: What of the result no choice of class, layer or method changes.
        result: The last one; None before the first.
    """

    reading: Reading
    found: FieldCells
    unchanging: dict[str, Any]
    result: FieldResult | None = None


def build_classify_tab(page: Page) -> gr.Image:
    """Lay out the tab; gives the component that holds the field.

    Args:
        page: Whose tab it is.
    """
    predictor = page.predictor
    layers = predictor.cam_layers
    default_layer = predictor.cam_layer if predictor.cam_layer in layers else predictor.map_layer

    files = _examples(page.options.examples)
    examples = ExampleAnswers(predictor, files)

    # On ZeroGPU these run in another process: what they take and give are arrays and words.
    @on_gpu
    def run_network(pixel_values: np.ndarray) -> Outputs:
        return predictor.run(pixel_values)

    @on_gpu
    def attribute(pixel_values: np.ndarray, target: int, method: str, layer: str) -> np.ndarray:
        return attribute_again(predictor, pixel_values, target, method, layer)

    def explain_again(
        image: Image.Image, shown: _Shown, target: str, layer: str, method: str, told: Callable[[float], None]
    ) -> _Shown:
        explanation = explain_reading(
            predictor,
            shown.reading,
            target=target or None,
            layer=layer,
            method=method,
            size=shown.found.size,
            progress=told,
            # Of another process, which cannot tell how far it is, only where it has to be.
            attribute=None if import_spaces() is None else attribute,
        )
        rows, columns = shown.reading.maps.shape[1:]
        places = (columns, rows) if method == "grad_cam" and layer == predictor.map_layer else None
        changed = explained(shown.found, explanation, image)
        result = FieldResult(**shown.unchanging, **changed, method=method, places=places)
        return dataclasses.replace(shown, result=result)

    def classify(
        image: Image.Image | ImageError | None,
        target: str,
        layer: str,
        method: str,
        language: str,
        shown: _Shown | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio asks for it
    ) -> tuple[str, _Shown | None]:
        if image is None:
            return render(None, language), None
        if isinstance(image, ImageError):
            return unusable_html(image, language), None

        def told(share: float) -> None:
            name = say(f"classify_method_{method}", language)
            progress(share, desc=say("classify_progress", language, method=name))

        key = examples.key(image, target, layer, method)
        if (known := examples.get(key)) is not None:
            return render(known.result, language), known
        try:
            if shown is None:
                shown = _first(page, image, run_network)
            shown = explain_again(image, shown, target, layer, method, told)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error
        examples.keep(key, shown)
        return render(shown.result, language), shown

    def anew(
        image: Image.Image | ImageError | None,
        target: str,
        layer: str,
        method: str,
        language: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - as above
    ) -> tuple[str, _Shown | None]:
        return classify(image, target, layer, method, language, None, progress)

    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=250, elem_classes="leuk-controls"):
            image = smear_image(
                reduce_to=max(predictor.preprocessor.sufficient_side, FULL_SIDE),
                largest_file=page.options.largest_file,
                keeps_errors=True,
                label=mark("classify_field"),
                sources=["upload", "clipboard", "webcam"],
                height=172,
                buttons=["fullscreen"],
                elem_classes="leuk-image",
                alt_text=mark("classify_field_alt"),
            )
            if files:
                gr.Examples(
                    [[str(file)] for file in files],
                    inputs=[image],
                    label=mark("classify_own_examples" if page.options.examples else "classify_examples"),  # type: ignore[arg-type]
                    example_labels=[file.stem.removeprefix("synthetic-") for file in files],
                    cache_examples=False,
                )
            with gr.Group(elem_classes="leuk-choices"):
                target = gr.Dropdown(
                    [(mark("classify_predicted"), PREDICTED), *((name, name) for name in predictor.class_names)],
                    value=PREDICTED,
                    label=mark("classify_class"),
                )
                method = gr.Dropdown(
                    [(mark(f"classify_method_{name}"), name) for name in METHODS],
                    value=METHODS[0],
                    label=mark("classify_method"),
                )
                layer = gr.Dropdown(
                    list(layers), value=default_layer, label=mark("classify_layer"), info=mark("classify_layer_info")
                )
        with gr.Column(scale=4, min_width=320):
            result = gr.HTML(render(None, "en"), js_on_load=SCRIPT, elem_classes="leuk-classify")
    with gr.Accordion(mark("classify_details"), open=False):
        details = gr.HTML()
    build_audit_panel(page, image)
    shown = gr.State(None, time_to_live=3600)
    settings = [target, layer, method, page.language]
    private: dict[str, Any] = {"api_visibility": "private", "trigger_mode": "always_last"}
    image.change(anew, [image, *settings], [result, shown], **private, **page.model_events).then(
        lambda image, shown, language: _details(page, image, shown, language),
        [image, shown, page.language],
        details,
        show_progress="hidden",
        **private,
    )
    gr.on(
        [target.input, layer.input, method.input],
        classify,
        [image, *settings, shown],
        [result, shown],
        **private,
        **page.model_events,
    )
    page.language.change(
        lambda shown, language: render(shown and shown.result, language),
        [shown, page.language],
        result,
        show_progress="hidden",
        **private,
    ).then(
        lambda image, shown, language: _details(page, image, shown, language),
        [image, shown, page.language],
        details,
        show_progress="hidden",
        **private,
    )
    method.change(  # not input, which tells the method before
        lambda chosen: gr.update(interactive=chosen == "grad_cam"),
        method,
        layer,
        show_progress="hidden",
        queue=False,
        **private,
    )
    return image


def _first(page: Page, image: Image.Image, run: Callable[[np.ndarray], Outputs]) -> _Shown:
    """Read a field and find its cells."""
    predictor = page.predictor
    reading = read(predictor, image, run=run)
    shown = _reduced(image)
    unchanging = {
        "prediction": reading.prediction,
        "is_calibrated": predictor.temperature != 1,
        "sees_leukocytes": predictor.view != "field",
        "provenance": page.provenance(),
        "size": shown.size,
        "field": picture(shown),
    }
    return _Shown(reading, find_cells(shown), unchanging)


def _reduced(image: Image.Image) -> Image.Image:
    ratio = MAX_SHOWN_SIDE / max(image.size)
    if ratio >= 1:
        return image
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)


def _examples(folder: Path | None) -> list[Path]:
    found = sorted(
        path
        for path in (folder or EXAMPLES).iterdir()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    return found[:MAX_EXAMPLES]


def _details(page: Page, image: Image.Image | ImageError | None, shown: _Shown | None, language: str) -> str:
    """Show what the network was given: the preprocessed field, what is left to see, and annotation."""
    if not isinstance(image, Image.Image) or shown is None:
        return ""
    preprocessor, reading = page.predictor.preprocessor, shown.reading
    given = preprocessor.to_image(reading.pixel_values[0])
    size = preprocessor.image_size
    figures = [(picture(given, lossless=True), say("classify_shown_input", language, size=size))]
    if reading.leukocytes is not None:
        in_colour = page.predictor.view == IN_COLOUR
        seen = np.asarray(given if in_colour else given.convert("L").convert("RGB"))
        left = np.rint(seen * reading.leukocytes[..., None] + 200 * (1 - reading.leukocytes[..., None]))
        words = say("classify_shown_view_in_colour" if in_colour else "classify_shown_view", language)
        figures.append((picture(Image.fromarray(left.astype(np.uint8)), lossless=True), words))
    small = _reduced(image)
    boxes = [annotation.box for annotation in find_annotations(small)]
    if not boxes:
        marks = say("classify_marks_none", language)
    else:
        unseen = "classify_marks_unseen" if reading.leukocytes is not None else "classify_marks_ignored"
        key = "classify_marks_removed" if preprocessor.annotation_removal else unseen
        marks = f"{say('classify_shown_marks', language)} {say(key, language, count=len(boxes))}"
        framed, width = np.array(small), max(1, max(small.size) // 300)
        for left_edge, top, right, bottom in boxes:
            cv2.rectangle(framed, (left_edge, top), (right - 1, bottom - 1), (255, 0, 90), width)
        figures.append((picture(Image.fromarray(framed), longest=480), marks))
    shown_figures = "".join(
        f'<figure><img src="{source}" alt="{html.escape(text, quote=True)}"><figcaption>{html.escape(text)}'
        "</figcaption></figure>"
        for source, text in figures
    )
    note = "" if boxes else f'<p class="leuk-note">{html.escape(marks)}</p>'
    return f'<div class="leuk-inputs">{shown_figures}</div>{note}'
