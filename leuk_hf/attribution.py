"""Where a class's evidence lies: Captum's LayerGradCam, and its closed form for the last layers.

Shared contract: attribution is signed float32 (N, 1, h, w) at the layer's size; no ReLU is applied, so negative
values argue against the target. The model is left as found: no hooks, no gradients, no change of mode, also
after an error, and several threads may explain with one model at once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch

from leuk_hf.backends import Predictor
from leuk_hf.class_activation import evaluating, explained_forward, map_layer
from leuk_hf.model import LeukDenseNet
from leuk_hf.orientations import turned_back


class ClassActivationMaps(NamedTuple):
    """Logits and maps of one forward pass.

    Args:
        logits: float32 (N, K).
        maps: float32 (N, K, h, w), signed: `grad_cam` of every class.
    """

    logits: torch.Tensor
    maps: torch.Tensor


def class_activation_maps(
    model: Predictor | LeukDenseNet, pixel_values: torch.Tensor, layer: str | None = None
) -> ClassActivationMaps:
    """Classify and explain every class from one forward pass, without autograd: `grad_cam` in closed form.

    Equal to `grad_cam` of each class to rounding. Source of the method: Selvaraju et al.,
    https://arxiv.org/abs/1610.02391; the formula is in `leuk_hf.class_activation`.

    Args:
        model: On any device, in any mode; used in evaluation mode and outside of autocast, and left as found. Of a
            predictor its torch network.
        pixel_values: float32 (N, 3, H, W).
        layer: The last dense block or the last of `model.cam_layers`; by default `model.cam_layer` if it is one of
            them, else the last dense block.

    Returns:
        Detached, on the model's device.

    Raises:
        TypeError: If pixel_values are no tensor.
        ValueError: If the layer has no closed form.
    """
    if not isinstance(pixel_values, torch.Tensor):
        raise TypeError(
            f"pixel_values are of type {type(pixel_values).__name__}; give a torch tensor (torch.from_numpy)"
        )
    model = network_of(model)
    parameter = next(model.parameters())
    with evaluating(model), torch.no_grad(), torch.autocast(parameter.device.type, enabled=False):
        images = pixel_values.to(parameter.device, parameter.dtype)
        explained = explained_forward(model, images, layer or map_layer(model))
    return ClassActivationMaps(explained.logits.float(), explained.maps.float())


def grad_cam(
    model: Predictor | LeukDenseNet,
    pixel_values: torch.Tensor,
    target: int | Sequence[int] | torch.Tensor,
    layer: str | None = None,
) -> torch.Tensor:
    """Explain one class per image by Grad-CAM: channel-mean gradients of the logit weigh the activations.

    Source: Selvaraju et al., https://arxiv.org/abs/1610.02391; computed by `captum.attr.LayerGradCam`, in
    evaluation mode and outside of autocast.

    Args:
        model: On any device, in any mode. Of a predictor its torch network.
        pixel_values: float32 (N, 3, H, W).
        target: Class index for all images, or one per image.
        layer: One of `model.cam_layers`; by default `model.cam_layer`.

    Returns:
        float32 (N, 1, h, w), detached, on the model's device. All zero when no gradient reaches the layer.

    Raises:
        ValueError: If the layer is unknown, a target is not a class index, or pixel_values are no batch.
    """
    model = network_of(model)
    count = len(model.class_names)
    if pixel_values.ndim != 4:
        raise ValueError(f"pixel_values have shape {tuple(pixel_values.shape)}; give a batch, (N, 3, H, W)")
    if isinstance(target, str):
        raise ValueError(f"target is {target!r}; give a class index from 0 to {count - 1}, in class_names' order")
    given = torch.as_tensor(target)
    indices = given.reshape(-1).tolist()
    targets = indices * len(pixel_values) if given.ndim == 0 else indices
    whole = not (given.is_floating_point() or given.dtype == torch.bool)
    if not whole or len(targets) != len(pixel_values) or any(not 0 <= index < count for index in targets):
        raise ValueError(f"target is {target!r}; give a class index from 0 to {count - 1}, or one for each image")
    replica = replica_of(model)
    from captum.attr import LayerGradCam  # here: it takes as long to import as a prediction takes

    # Captum needs autograd, also for callers inside no_grad or inference_mode.
    parameter = next(replica.parameters())
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(parameter.device.type, enabled=False):
        images = pixel_values.detach().clone().to(parameter.device, parameter.dtype)
        method = LayerGradCam(replica, replica.layer(layer or model.cam_layer))
        return over_orientations(method.attribute(images, target=targets), len(images)).detach().float()


def over_orientations(maps: torch.Tensor, num_images: int) -> torch.Tensor:
    """Add up what a layer contributes in every orientation that the network reads a field in, each turned back.

    Args:
        maps: (count * N, C, h, w), of a layer before the orientations are averaged, or (N, C, h, w), of one behind.
        num_images: N.
    """
    parts = turned_back(maps, len(maps) // num_images)
    return sum(parts[1:], start=parts[0])


def network_of(model: Predictor | LeukDenseNet) -> LeukDenseNet:
    """Give the torch network of a predictor, or the network itself."""
    return model.torch_model() if isinstance(model, Predictor) else model


def replica_of(model: LeukDenseNet) -> LeukDenseNet:
    """Copy the modules of a network but share every tensor: Captum's hooks then never touch the caller's model."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared).eval()
