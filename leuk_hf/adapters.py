"""Classifiers of other libraries as what the audit takes: a callable (list of PIL RGB images) -> probabilities (N, K).

Shared contract: `order` says which output belongs to which class of the audit: entry k is the index of the model's
output for class k. Nothing is downloaded or imported but what the caller's own model brings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from leuk_hf.errors import DataError
from leuk_hf.labels import CLASS_NAMES, canonical_class_name

if TYPE_CHECKING:
    from torch import nn

    from leuk_hf.backends import Predictor
    from leuk_hf.model import LeukDenseNet

Classifier = Callable[[list[Image.Image]], Any]


def from_leuk(model: Predictor | LeukDenseNet) -> Classifier:
    """Adapt a model of this package; its refusals are passed on.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`; its class order is the audit's.
    """
    from leuk_hf.backends import Predictor
    from leuk_hf.prediction import predict

    if isinstance(model, Predictor):
        fast = model
    else:
        from leuk_hf.torch_backend import TorchPredictor

        fast = TorchPredictor(model, fast=True, precision="float32")

    def classify(images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        predictions = predict(fast, images, batch_size=len(images))
        probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions])
        return probabilities, np.array([prediction.answered for prediction in predictions], dtype=bool)

    return classify


def from_torch(
    model: nn.Module, transform: Callable[[Image.Image], Any], *, order: Sequence[int] | None = None
) -> Classifier:
    """Adapt a PyTorch classifier, such as timm's and torchvision's.

    Args:
        model: pixel_values (N, 3, H, W) -> logits (N, M); on any device and in any precision, which its first
            parameter tells (without parameters CPU and float32); run in evaluation mode.
        transform: PIL RGB -> tensor (3, H, W): `timm.data.create_transform(**timm.data.resolve_model_data_config(
            model))`, or a torchvision weights' `transforms()`.
        order: Output index of each class; by default the outputs are in the audit's order.
    """
    import torch

    def classify(images: list[Image.Image]) -> np.ndarray:
        parameter = next(model.parameters(), torch.empty(0, dtype=torch.float32, device="cpu"))
        modes = [(module, module.training) for module in model.modules()]  # a frozen part stays frozen
        model.eval()
        try:
            with torch.inference_mode():
                pixel_values = torch.stack([torch.as_tensor(transform(image)) for image in images])
                logits = model(pixel_values.to(parameter.device, parameter.dtype))
        finally:
            for module, training in modes:
                module.training = training
        return _ordered(logits.float().softmax(dim=-1).cpu().numpy(), order)

    return classify


def from_pipeline(pipeline: Callable[..., Any], class_names: Sequence[str] = CLASS_NAMES) -> Classifier:
    """Adapt an image-classification pipeline of transformers.

    Args:
        pipeline: `transformers.pipeline("image-classification", model=...)`: called with a list of images and
            top_k=None, it gives for each a list of {"label", "score"} over all its labels.
        class_names: In the audit's order; labels are matched by name, known folder names and aliases included.

    The callable raises DataError if the pipeline has no label for a class, or two.
    """
    wanted = [canonical_class_name(name) or name for name in class_names]

    def classify(images: list[Image.Image]) -> np.ndarray:
        rows = []
        for answers in pipeline(images, top_k=None):
            scores: dict[str, float] = {}
            label_of: dict[str, str] = {}
            for answer in answers:
                label = str(answer["label"])
                name = canonical_class_name(label) or label
                if name in label_of:
                    raise DataError(
                        f"the pipeline's labels {label_of[name]} and {label} both mean the class {name}; rename one"
                    )
                scores[name], label_of[name] = float(answer["score"]), label
            if missing := [name for name in wanted if name not in scores]:
                raise DataError(f"the pipeline has the labels {', '.join(scores)}, but none for {missing[0]}")
            rows.append([scores[name] for name in wanted])
        return np.array(rows)

    return classify


def from_keras(
    model: Callable[..., Any],
    image_size: tuple[int, int],
    *,
    preprocess: Callable[[np.ndarray], np.ndarray] = lambda values: values / 255,
    order: Sequence[int] | None = None,
) -> Classifier:
    """Adapt a Keras classifier, or any callable of its form.

    Args:
        model: float32 (N, H, W, 3) -> probabilities (N, M), as a model that ends in a softmax gives; any backend
            of Keras 3.
        image_size: (height, width) of its input.
        preprocess: float32 (N, H, W, 3) in [0, 255] -> the model's input; by default a division by 255. Pass
            `keras.applications.densenet.preprocess_input` or what the model was trained with.
        order: Output index of each class; by default the outputs are in the audit's order.
    """
    height, width = image_size

    def classify(images: list[Image.Image]) -> np.ndarray:
        resized = [image.resize((width, height), Image.Resampling.BILINEAR) for image in images]
        values = np.stack([np.asarray(image, dtype=np.float32) for image in resized])
        probabilities = model(preprocess(values))
        if hasattr(probabilities, "detach"):  # a torch tensor: NumPy takes none that has a gradient or is on a GPU
            probabilities = probabilities.detach().cpu().float()
        return _ordered(np.asarray(probabilities), order)

    return classify


def _ordered(probabilities: np.ndarray, order: Sequence[int] | None) -> np.ndarray:
    return probabilities if order is None else probabilities[:, list(order)]
