"""Grad-CAM in closed form: every class's map from the forward pass that makes the logits.

After the last dense block come only BatchNorm (in evaluation mode), ReLU, the mean over places and a linear layer, so
the gradient that Grad-CAM averages is known without autograd. With A the block's output (N, C, h, w), g the slope
weight / sqrt(running_var + eps) of each channel, m the ReLU's mask and W the classifier's weights, the weight of
channel k for class c is W[c, k] * g[k] * mean(m[k]) / (h * w). At norm5, after its ReLU, it is W[c, k] / (h * w).
Where only leukocytes are seen, `LeukocytePool` multiplies each place's features by a weight v after norm5: mean(m[k])
becomes mean(m[k] * v), and the last layer is the pool, with the weight W[c, k] / (h * w).
It equals Captum's LayerGradCam to rounding.

Source of Grad-CAM: Selvaraju et al., https://arxiv.org/abs/1610.02391
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from leuk_hf.model import LeukDenseNet


class ExplainedForward(NamedTuple):
    """One forward pass with its explanation.

    Args:
        logits: (N, K).
        maps: (N, K, h, w), signed: Grad-CAM of every class, no ReLU applied.
        features: (N, C), averaged over places: what the classifier reads.
        leukocytes: (N, 1, H, W) in [0, 1], what was left to see; None if the whole field was.
    """

    logits: torch.Tensor
    maps: torch.Tensor
    features: torch.Tensor
    leukocytes: torch.Tensor | None


def closed_form_layers(model: LeukDenseNet) -> tuple[str, str]:
    """Name the layers whose maps need no second pass: the last dense block, and the one that is averaged."""
    return f"denseblock{len(model.architecture['block_config'])}", model.cam_layers[-1]


def map_layer(model: LeukDenseNet) -> str:
    """Name the layer whose maps come with every forward pass: the model's own if it can be, else the last block."""
    layers = closed_form_layers(model)
    return model.cam_layer if model.cam_layer in layers else layers[0]


def explained_forward(model: LeukDenseNet, pixel_values: torch.Tensor, layer: str) -> ExplainedForward:
    """Compute logits and all classes' maps; differentiable, and of a form that exports.

    Args:
        model: In evaluation mode: with batch statistics the closed form would be another one.
        pixel_values: (N, 3, H, W), on the model's device.
        layer: One of `closed_form_layers`.

    Raises:
        ValueError: If the layer has no closed form.
    """
    leukocytes = model.find_leukocytes(pixel_values)
    return explained_head(model, model.forward_blocks(pixel_values, leukocytes), leukocytes, layer)


def explained_head(
    model: LeukDenseNet, activations: torch.Tensor, leukocytes: torch.Tensor | None, layer: str
) -> ExplainedForward:
    """Compute what `explained_forward` gives from the last dense block's output.

    Args:
        model: In evaluation mode.
        activations: (N, C, h, w), before norm5.
        leukocytes: From `find_leukocytes`.
        layer: One of `closed_form_layers`.

    Raises:
        ValueError: If the layer has no closed form.
    """
    last_block, last = closed_form_layers(model)
    if layer not in (last_block, last):
        raise ValueError(f"layer {layer!r} has no closed form; choose {last_block} or {last}, or use grad_cam")
    norm: Any = model.features.get_submodule("norm5")
    activated = norm(activations)
    averaged = activated if leukocytes is None else model.leukocyte_pool(activated, leukocytes)
    pooled = model.global_pool(averaged)
    logits = model.classifier(model.head_drop(pooled))
    weights = model.classifier.weight / (activated.shape[2] * activated.shape[3])  # (K, C)
    if layer == last:
        maps = torch.einsum("kc,nchw->nkhw", weights, averaged)
        return ExplainedForward(logits, maps, pooled, leukocytes)
    slope = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    active = (activated > 0).to(activated.dtype)
    if leukocytes is not None:
        active = model.leukocyte_pool(active, leukocytes)
    weights = weights[None] * (slope * active.mean(dim=(2, 3)))[:, None]  # (N, K, C)
    return ExplainedForward(logits, torch.einsum("nkc,nchw->nkhw", weights, activations), pooled, leukocytes)


class ExplainedModel(torch.nn.Module):
    """What is exported: pixel_values -> logits, probabilities (temperature applied), maps, features, in-distribution
    scores (N,) and, if only leukocytes are seen, their opacities (N, H, W).

    Args:
        model: In evaluation mode.
    """

    def __init__(self, model: LeukDenseNet) -> None:
        super().__init__()
        self.model, self.layer = model, map_layer(model)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute all of them."""
        logits, maps, features, leukocytes = explained_forward(self.model, pixel_values, self.layer)
        scores = self.model.in_distribution(logits, features, pixel_values, leukocytes)
        outputs = (logits, torch.softmax(logits / self.model.temperature, dim=1), maps, features, scores)
        return outputs if leukocytes is None else (*outputs, leukocytes[:, 0])


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode and every module back into its own afterwards, also after an error.

    Several threads may share a model that is in evaluation mode already; one in training mode they may not.

    Args:
        model: Any module.
    """
    training = [module for module in model.modules() if module.training]
    try:
        if training:
            model.eval()
        yield
    finally:
        for module in training:
            module.training = True
