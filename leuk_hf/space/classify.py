"""The tab "One field": one field in, class probabilities and Grad-CAM out."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from leuk_hf.explanation import Explanation, explain
from leuk_hf.space.audit_panel import build_audit_panel
from leuk_hf.space.page_context import Page
from leuk_hf.space.uploads import overlay_image, smear_image
from leuk_hf.space.words import mark, say
from leuk_hf.space.zero_gpu import on_gpu
from leuk_hf.visualization import overlay

PREDICTED = "Predicted class"
EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"
# A larger picture is shown (not classified) at this size: overlays of camera fields would be tens of megabytes.
MAX_SHOWN_SIDE = 1024
CSS = """
.leuk-bar {display: flex; gap: 0.6em; align-items: center; font-size: var(--text-sm)}
.leuk-bar div {flex: 1; height: 10px; border-radius: 5px; background:
  linear-gradient(90deg, #30123b, #4777ef, #1bcfd4, #62fc6b, #d2e935, #fe9b2d, #db3a07, #7a0403)}
.leuk-image img {width: 100%; height: 100%; object-fit: contain}
.leuk-verdict h3 {margin: 0}
.leuk-verdict ul {margin: 0.3em 0 0 1.2em; padding: 0}
"""
BAR = '<div class="leuk-bar">little evidence<div role="img" aria-label="colour scale, blue to red"></div>most</div>'


def build_classify_tab(page: Page) -> gr.Image:
    """Lay out the tab; gives the component that holds the field.

    Args:
        page: Whose tab it is.
    """
    predictor = page.predictor
    layers = predictor.cam_layers
    default_layer = predictor.cam_layer if predictor.cam_layer in layers else predictor.map_layer

    @on_gpu
    def classify(
        image: Image.Image, target: str, layer: str, opacity: float, language: str
    ) -> tuple[dict[str, float], Image.Image, str, tuple[Image.Image, np.ndarray]]:
        try:
            explanation = explain(predictor, image, target=None if target == PREDICTED else target, layer=layer)
            shown = _shrink(image)
            heatmap = np.asarray(Image.fromarray(explanation.heatmap).resize(shown.size))
            picture = overlay(shown, heatmap, opacity=opacity)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return explanation.prediction.probabilities, picture, verdict(explanation, language), (shown, heatmap)

    def update(image: Image.Image | None, target: str, layer: str, opacity: float, language: str) -> tuple[Any, ...]:
        return (None, None, "", None) if image is None else classify(image, target, layer, opacity, language)

    def blend(shown: tuple[Image.Image, np.ndarray] | None, opacity: float) -> Any:
        return gr.skip() if shown is None else overlay(*shown, opacity=opacity)

    with gr.Row():
        with gr.Column():
            image = smear_image(
                reduce_to=max(predictor.preprocessor.sufficient_side, MAX_SHOWN_SIDE),
                label=mark("classify_field"),
                sources=["upload", "clipboard"],
                height=340,
                buttons=["fullscreen"],
                elem_classes="leuk-image",
                alt_text="The field to classify",
            )
            files = sorted(EXAMPLES.glob("*.png"))
            if files:
                gr.Examples(
                    [[str(file)] for file in files],
                    inputs=[image],
                    label=mark("classify_examples"),  # type: ignore[arg-type]
                    example_labels=[file.stem.replace("-", " ") for file in files],
                    cache_examples=False,
                )
            with gr.Accordion(mark("classify_explain"), open=False):
                target = gr.Dropdown(
                    [PREDICTED, *predictor.class_names], value=PREDICTED, label=mark("classify_class")
                )
                layer = gr.Dropdown(
                    list(layers),
                    value=default_layer,
                    label=mark("classify_layer"),
                    info=mark("classify_layer_info"),
                )
            button = gr.Button(mark("classify_button"), variant="primary")
        with gr.Column():
            words = gr.Markdown(elem_classes="leuk-verdict")
            probabilities = gr.Label(label=mark("classify_probabilities"), show_heading=False)
            picture = overlay_image(
                label="Grad-CAM",
                height=340,
                buttons=["fullscreen", "download"],
                elem_classes="leuk-image",
                alt_text="Grad-CAM overlay",
            )
            gr.HTML(BAR)
            opacity = gr.Slider(0, 1, value=0.45, step=0.05, label=mark("classify_opacity"))
    build_audit_panel(page, image)
    shown = gr.State(None, time_to_live=3600)
    inputs, outputs = [image, target, layer, opacity, page.language], [probabilities, picture, words, shown]
    gr.on(
        [button.click, image.change, target.change, layer.change, page.language.change],
        update,
        inputs,
        outputs,
        api_visibility="private",
        trigger_mode="always_last",
        **page.model_events,
    )
    opacity.change(
        blend, [shown, opacity], picture, queue=False, show_progress="hidden", api_visibility="private",
        trigger_mode="always_last",
    )  # fmt: skip
    return image


def verdict(explanation: Explanation, language: str = "en") -> str:
    """Say the answer in words, as Markdown.

    Args:
        explanation: What `explain` gave.
        language: One of `LANGUAGES`.
    """
    prediction = explanation.prediction
    others = [html.escape(name) for name in prediction.prediction_set if name != prediction.label]
    lines = [f"### {html.escape(prediction.label)}: {prediction.probabilities[prediction.label]:.0%}", ""]
    notes = list(prediction.reasons)
    if others:
        notes.insert(0, say("classify_others", language, names=", ".join(others)))
    if explanation.is_empty:
        notes.append(f"Nothing in this image argues for {explanation.target} at {explanation.layer}; no map is shown.")
    elif explanation.target != prediction.label:
        notes.append(f"The map shows what argues for {explanation.target}, which is not the predicted class.")
    return "\n".join([*lines, *(f"- {html.escape(note)}" for note in notes)])


def _shrink(image: Image.Image) -> Image.Image:
    if max(image.size) <= MAX_SHOWN_SIDE:
        return image
    smaller = image.copy()
    smaller.thumbnail((MAX_SHOWN_SIDE, MAX_SHOWN_SIDE))
    return smaller
