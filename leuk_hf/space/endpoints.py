"""The endpoints for programs, which do not change when the page does."""

from __future__ import annotations

from typing import Any

import gradio as gr
from PIL import Image

from leuk_hf.prediction import predict as classify_fields
from leuk_hf.space.page_context import Page
from leuk_hf.space.uploads import smear_image
from leuk_hf.space.zero_gpu import on_gpu


def add_endpoints(page: Page) -> None:
    """Add the endpoints to the page being laid out; nothing of them shows.

    Args:
        page: Whose predictor answers.
    """
    predictor = page.predictor

    @on_gpu
    def predict(image: Image.Image) -> dict[str, Any]:
        """Classify one field of a stained blood smear: benign, or a subtype of B-ALL. Not for diagnosis.

        Args:
            image: The field, as an image file.

        Returns:
            label (the most probable class), probabilities by class, prediction_set (every class that stays
            plausible), answered (false: the image is refused) with its reasons, verdict (in one sentence), and what
            answered: model, revision, library, backend.
        """
        if image is None:
            raise gr.Error("There is no image; send a field", print_exception=False)
        try:
            prediction = classify_fields(predictor, image)[0]
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return {**prediction.to_dict(), **page.provenance()}

    hidden = gr.Button(visible=False)
    image = smear_image(reduce_to=predictor.preprocessor.sufficient_side, visible=False, label="Field: an image file")
    answer = gr.JSON(visible=False, label="Prediction")
    hidden.click(predict, image, answer, api_name="predict", **page.model_events)
