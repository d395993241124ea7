"""The demo page: one field in, class probabilities and Grad-CAM out."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from PIL import Image

from leuk_hf._version import __version__
from leuk_hf.backends import Predictor, as_predictor
from leuk_hf.explanation import Explanation, explain
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.space.uploads import overlay_image, smear_image
from leuk_hf.space.zero_gpu import on_gpu
from leuk_hf.visualization import overlay

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet

PREDICTED = "Predicted class"
EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"
NOTICE = "For research and teaching only. Not a medical device, not for diagnosis."
# A larger picture is shown (not classified) at this size: overlays of camera fields would be tens of megabytes.
MAX_SHOWN_SIDE = 1024
CSS = """
.leuk-notice {border-left: 4px solid var(--color-accent); padding: 0.4em 0.8em;
  background: var(--block-background-fill)}
.leuk-bar {display: flex; gap: 0.6em; align-items: center; font-size: var(--text-sm)}
.leuk-bar div {flex: 1; height: 10px; border-radius: 5px; background:
  linear-gradient(90deg, #30123b, #4777ef, #1bcfd4, #62fc6b, #d2e935, #fe9b2d, #db3a07, #7a0403)}
.leuk-image img {width: 100%; height: 100%; object-fit: contain}
.leuk-verdict h3 {margin: 0}
.leuk-verdict ul {margin: 0.3em 0 0 1.2em; padding: 0}
"""
BAR = '<div class="leuk-bar">little evidence<div role="img" aria-label="colour scale, blue to red"></div>most</div>'


def build_demo(model: Predictor | LeukDenseNet, *, model_name: str) -> gr.Blocks:
    """Lay out the page around a predictor.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`; shared by all visitors.
        model_name: What to call the checkpoint on the page.
    """
    predictor = as_predictor(model)
    layers = predictor.cam_layers
    calibration = " (not calibrated)" if predictor.temperature == 1 else ""
    default_layer = predictor.cam_layer if predictor.cam_layer in layers else predictor.map_layer

    @on_gpu
    def predict(
        image: Image.Image, target: str = PREDICTED, layer: str = default_layer, opacity: float = 0.45
    ) -> tuple[dict[str, float], Image.Image, str, tuple[Image.Image, np.ndarray]]:
        """Classify one blood-smear field and explain one class by Grad-CAM. Not for diagnosis.

        Args:
            image: A field of a stained peripheral blood smear.
            target: Class to explain, or "Predicted class".
            layer: Layer to explain, denseblock1 (fine) to denseblock4 (coarse), or norm5.
            opacity: Of the heatmap, 0 to 1.

        Returns:
            Class probabilities, the overlay, the verdict in words.
        """
        if image is None:
            raise gr.Error("There is no image; upload a field first", print_exception=False)
        try:
            explanation = explain(predictor, image, target=None if target == PREDICTED else target, layer=layer)
            shown = _shrink(image)
            heatmap = np.asarray(Image.fromarray(explanation.heatmap).resize(shown.size))
            picture = overlay(shown, heatmap, opacity=opacity)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return explanation.prediction.probabilities, picture, verdict(explanation), (shown, heatmap)

    def update(image: Image.Image | None, target: str, layer: str, opacity: float) -> tuple[Any, ...]:
        return (None, None, "", None) if image is None else predict(image, target, layer, opacity)

    def blend(shown: tuple[Image.Image, np.ndarray] | None, opacity: float) -> Any:
        return gr.skip() if shown is None else overlay(*shown, opacity=opacity)

    with gr.Blocks(title="leuk_hf: B-ALL subtypes on blood smears", delete_cache=(300, 3600)) as demo:
        gr.Markdown(
            "# leuk_hf\nSorts a field of a stained peripheral blood smear into **Benign** or one of three subtypes of"
            " B-cell acute lymphoblastic leukemia, **Early Pre-B, Pre-B, Pro-B**, and shows where the network found"
            " its evidence."
            if predictor.class_names == CLASS_NAMES
            else f"# leuk_hf\nSorts a field of a blood smear into {html.escape(', '.join(predictor.class_names))}."
        )
        gr.HTML(f'<div class="leuk-notice"><b>{NOTICE}</b> Uploads are deleted after about an hour.</div>')
        with gr.Row():
            with gr.Column():
                image = smear_image(
                    reduce_to=max(predictor.preprocessor.sufficient_side, MAX_SHOWN_SIDE),
                    label="Field of view",
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
                        label="Synthetic examples (drawn by a program, not specimens)",
                        example_labels=[file.stem.replace("-", " ") for file in files],
                        cache_examples=False,
                    )
                with gr.Accordion("What to explain", open=False):
                    target = gr.Dropdown([PREDICTED, *predictor.class_names], value=PREDICTED, label="Class")
                    layer = gr.Dropdown(
                        list(layers),
                        value=default_layer,
                        label="Layer",
                        info="Early blocks are finer but know less of the class.",
                    )
                button = gr.Button("Classify", variant="primary")
            with gr.Column():
                words = gr.Markdown(label="Verdict", elem_classes="leuk-verdict")
                probabilities = gr.Label(label=f"Class probabilities{calibration}", show_heading=False)
                picture = overlay_image(
                    label="Grad-CAM",
                    height=340,
                    buttons=["fullscreen", "download"],
                    elem_classes="leuk-image",
                    alt_text="Grad-CAM overlay",
                )
                gr.HTML(BAR)
                opacity = gr.Slider(0, 1, value=0.45, step=0.05, label="Heatmap opacity")
        shown = gr.State(None, time_to_live=3600)
        gr.Markdown(
            f"Model: `{html.escape(model_name)}`, leuk_hf {__version__}, backend"
            f" {predictor.description}. The explanation is Grad-CAM (Captum's LayerGradCam; computed in closed form"
            " for the last block), scaled to each image's own maximum: colours compare places, not images. On the"
            " public data set, networks trained the usual way read stain and background rather than leukocytes: a red"
            " spot on a cell does not prove that the cell decided."
        )
        inputs, outputs = [image, target, layer, opacity], [probabilities, picture, words, shown]
        shared: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2}
        button.click(predict, inputs, outputs, api_name="predict", **shared)
        gr.on(
            [image.change, target.change, layer.change],
            update,
            inputs,
            outputs,
            api_visibility="private",
            trigger_mode="always_last",
            **shared,
        )
        opacity.change(
            blend, [shown, opacity], picture, queue=False, show_progress="hidden", api_visibility="private",
            trigger_mode="always_last",
        )  # fmt: skip
    return demo


def verdict(explanation: Explanation) -> str:
    """Say the answer in words, as Markdown.

    Args:
        explanation: What `explain` gave.
    """
    prediction = explanation.prediction
    others = [html.escape(name) for name in prediction.prediction_set if name != prediction.label]
    lines = [f"### {html.escape(prediction.label)}: {prediction.probabilities[prediction.label]:.0%}", ""]
    notes = list(prediction.reasons)
    if others:
        notes.insert(0, f"Also plausible: {', '.join(others)}.")
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
