"""The panel "Audit this field": what the model says when the field at hand is changed on purpose.

Shared contract: the versions are written into the answer itself; no file of them is made, and nothing is kept.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from typing import Any

import cv2
import gradio as gr
import numpy as np
from PIL import Image

from leuk_hf.errors import ImageError
from leuk_hf.field_audit import Answer, FieldAudit, audit_field
from leuk_hf.image_encoding import encode_image
from leuk_hf.percentages import probability_text
from leuk_hf.prediction import Prediction
from leuk_hf.space.charts import direction
from leuk_hf.space.page_context import Page
from leuk_hf.space.sentences import unusable
from leuk_hf.space.trust_sentences import translated
from leuk_hf.space.words import mark, say
from leuk_hf.space.zero_gpu import import_spaces, on_gpu

SHOWN_EDGE = 224  # of the small pictures
CSS = """
.leuk-versions {display: grid; gap: 0.8em; grid-template-columns: repeat(auto-fill, minmax(min(13em, 100%), 1fr));
  margin-top: 0.6em}
.leuk-versions figure {margin: 0; border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
  padding: 0.6em; background: var(--block-background-fill); min-width: 0}
.leuk-versions img {display: block; width: 100%; height: 9em; object-fit: contain; border-radius: var(--radius-sm)}
.leuk-versions figcaption {font-size: var(--text-sm); overflow-wrap: anywhere}
.leuk-versions p {margin: 0.3em 0 0 0}
.leuk-versions .leuk-said {font-weight: 700}
@media (max-width: 640px) {
  .leuk-versions {grid-template-columns: 1fr}
  .leuk-versions figure {display: grid; grid-template-columns: 6.5em 1fr; gap: 0.7em}
  .leuk-versions img {height: auto}
  .leuk-versions figcaption p:first-child {margin-top: 0}
}
.leuk-versions .leuk-unsound {border-width: 3px; border-style: solid; border-color: var(--color-accent)}
.leuk-versions .leuk-reserved {border-style: dashed; border-width: 2px}
"""
_MARKS = {True: "sound", False: "unsound", None: "reserved"}


def build_audit_panel(page: Page, image: gr.Image) -> gr.HTML:
    """Lay out the panel where it is called; gives the component that holds its answer.

    Args:
        page: Whose predictor is asked.
        image: Holds the field.
    """

    @on_gpu
    def question(field: Image.Image, language: str, on_progress: Callable[[float], None] = lambda share: None) -> str:
        try:
            return audit_html(audit_field(page.predictor, field, on_progress=on_progress), language)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def audit(
        field: Image.Image | ImageError | None,
        language: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how gradio asks for it
    ) -> str:
        if isinstance(field, ImageError):
            raise unusable(field, language)
        if field is None:
            raise gr.Error(say("trust_field_no_image", language), print_exception=False)
        progress(0, desc=say("trust_field_cells", language))
        if import_spaces() is not None:
            return question(field, language)  # in another process, which cannot tell how far it is
        text = say("trust_field_versions", language)
        return question(field, language, lambda share: progress(share, desc=text))

    with gr.Accordion(mark("trust_field_heading"), open=False):
        gr.Markdown(mark("trust_field_what"))
        button = gr.Button(mark("trust_field_button"), variant="secondary", elem_id="leuk-audit")
        answer = gr.HTML(padding=False)
    settings: dict[str, Any] = {"api_visibility": "private", **page.model_events}
    button.click(audit, [image, page.language], answer, **settings)
    # An answer to another field must not stay under this one; in another language it is asked for anew.
    gr.on([image.change, page.language.change], lambda: "", None, answer, queue=False, api_visibility="private")
    return answer


def audit_html(audit: FieldAudit, language: str | None = "en") -> str:
    """Write an audit: what it comes to, then each version with its answer and what that means.

    Args:
        audit: From `audit_field`.
        language: One of `leuk_hf.space.words.LANGUAGES`.
    """

    def words(key: str, **values: Any) -> str:
        return say(f"trust_field_{key}", language, **values)

    notes = []
    if not audit.is_telling:
        notes.append(words("not_telling"))
    if not audit.num_leukocytes:
        notes.append(words("no_leukocytes"))
    else:
        notes.append(words("leukocytes", number=audit.num_leukocytes))
    notes.append(f"<b>{words('summary', sound=audit.count(True), all=len(audit.answers))}</b>")
    if bad := audit.count(False):
        notes.append(f"<b>{words('summary_bad', bad=bad)}</b>")
    if reserved := audit.count(None):
        notes.append(words("summary_reserved", reserved=reserved))
    notes.append(words("one"))
    title = words("as_it_is")
    figures = [_figure(audit.field, title, _said(audit.untouched, words), "", alt=title, kind="untouched")]
    figures += [_answer(answer, words, language) for answer in audit.answers]
    return (
        f"<div {direction(language)}>"
        f'<div class="leuk-audit" role="status"><p>{" ".join(notes)}</p></div>'
        f'<div class="leuk-versions">{"".join(figures)}</div></div>'
    )


def _answer(answer: Answer, words: Callable[..., str], language: str | None) -> str:
    version, kind = answer.version, _MARKS[answer.is_sound]
    key = version.name.replace(", ", "_")
    amount = "" if version.amount is None else _ltr(_amount(version.name, version.amount))
    # Of a class it is a name, which is not translated; of a corner words.
    shown = {"amount": amount, "detail": f"<bdi>{html.escape(translated(version.detail, language))}</bdi>"}
    title = words(key, **shown)
    plain = words(key, amount=_amount(version.name, version.amount or 0), detail=translated(version.detail, language))
    label = f"<bdi>{html.escape(answer.prediction.label)}</bdi>"
    text = (
        f"<p><b>{words(kind)}</b></p>"
        f"<p>{words('should')} {words(f'{key}_should', **shown)}</p>"
        f"<p>{words('did')} {words('did_' + answer.outcome.replace(', ', '_'), label=label)}</p>"
    )
    alt = words("alt", title=plain)
    return _figure(version.field, title, _said(answer.prediction, words), text, alt=alt, kind=kind)


def _said(prediction: Prediction, words: Callable[..., str]) -> str:
    share = html.escape(probability_text(prediction.probabilities[prediction.label]))
    refused = "" if prediction.answered else f" ({words('refused')})"
    return f"<bdi>{html.escape(prediction.label)}</bdi> {_ltr(share)}{refused}"


def _figure(field: np.ndarray, title: str, said: str, text: str, *, alt: str, kind: str) -> str:
    return (
        f'<figure class="leuk-{kind}"><img src="{_source(field)}" alt="{html.escape(alt)}">'
        f'<figcaption><p>{title}</p><p class="leuk-said">{said}</p>{text}</figcaption></figure>'
    )


def _amount(name: str, amount: float) -> str:
    return f"{100 * amount:.0f} %" if name == "sham" else f"{amount:g}"


def _ltr(text: str) -> str:
    return f'<span class="leuk-figure">{text}</span>'


def _source(field: np.ndarray) -> str:
    height, width = field.shape[:2]
    factor = min(1.0, SHOWN_EDGE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = Image.fromarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA))
    return f"data:image/jpeg;base64,{base64.b64encode(encode_image(small, 'jpeg')).decode()}"
