"""Several published ways to map a class's evidence, to be compared with each other; and networks that know nothing.

Shared contract: maps are float32 (N, h, w) at the layer's size, or at that of pixel_values for input gradients; no
final ReLU is applied, so negative values argue against the target (input gradients have none: they tell how much, not
which way). The model is left as found, as by `attribution.grad_cam`.

The outputs of dense blocks are not rectified: an activation may be negative, and HiResCAM's and LayerCAM's products
take the sign of both factors.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Sequence

import torch

from leuk_hf.attribution import grad_cam, network_of, over_orientations, replica_of
from leuk_hf.backends import Predictor
from leuk_hf.model import LeukDenseNet

INPUT = "input"  # the "layer" of methods that explain pixels
RANDOMISED_PARTS = ("classifier", "network")


def attribution_maps(
    model: Predictor | LeukDenseNet,
    pixel_values: torch.Tensor,
    target: Sequence[int] | torch.Tensor,
    method: str,
    layer: str | None = None,
) -> torch.Tensor:
    """Explain one class per image by a named method.

    Args:
        model: On any device, in any mode; used in evaluation mode and outside of autocast. Of a predictor its torch
            network.
        pixel_values: float32 (N, 3, H, W).
        target: Class index of each image.
        method: One of `METHODS`: "grad_cam"; "hires_cam", gradient times activation, summed over channels (Draelos &
            Carin 2020, https://arxiv.org/abs/2011.08891); "layer_cam", the same with the positive gradients alone
            (Jiang et al. 2021, doi 10.1109/TIP.2021.3089943); "input_gradients", the largest absolute gradient of the
            three channels (Simonyan et al. 2014, https://arxiv.org/abs/1312.6034).
        layer: One of `model.cam_layers`, by default `model.cam_layer`; for input gradients `INPUT` or None.

    Returns:
        float32 (N, h, w), detached, on the model's device.

    Raises:
        ValueError: If method or layer is unknown, or a target is no class index.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    model = network_of(model)
    if method == "input_gradients" and layer not in (None, INPUT):
        raise ValueError(f"input gradients explain pixels, not the layer {layer!r}; leave the layer out")
    chosen = INPUT if method == "input_gradients" else layer or model.cam_layer
    targets, count = torch.as_tensor(target).tolist(), len(model.class_names)
    valid = isinstance(targets, list) and len(targets) == len(pixel_values)
    if not valid or any(type(index) is not int or not 0 <= index < count for index in targets):
        raise ValueError(f"target is {target!r}; give each image a class index from 0 to {count - 1}")
    return _COMPUTED[method](model, pixel_values, targets, chosen)


def methods_and_layers(
    cam_layers: Sequence[str], methods: Sequence[str] = (), layers: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """List the maps that can be compared: (method, layer), from fine to coarse.

    Args:
        cam_layers: Of the model.
        methods: Some of `METHODS`; empty: all.
        layers: Some of `cam_layers`; empty: all. Input gradients, if asked for, come in any case.

    Raises:
        ValueError: If a method or layer is unknown.
    """
    for kind, asked, known in (("method", methods, METHODS), ("layer", layers, cam_layers)):
        if unknown := [name for name in asked if name not in known]:
            raise ValueError(f"there is no {kind} {unknown[0]!r}; choose one of {', '.join(known)}")
    chosen = [method for method in METHODS if method in (methods or METHODS)]
    pairs = [("input_gradients", INPUT)] if "input_gradients" in chosen else []
    in_layers = [method for method in chosen if method != "input_gradients"]
    return pairs + [(method, layer) for layer in cam_layers if layer in (layers or cam_layers) for method in in_layers]


def randomised(model: Predictor | LeukDenseNet, part: str, seed: int) -> LeukDenseNet:
    """Copy a model with random weights in place of trained ones, as training from scratch starts with.

    What finds the leukocytes (in the views of them) stays as trained: it knows no class, and without it the copy would
    differ by what it sees, not by what it has learned.

    Args:
        model: Stays as it is.
        part: "classifier", the last layer alone, or "network", every weight and all of BatchNorm.
        seed: Another seed draws other weights.

    Returns:
        In evaluation mode, on the model's device.

    Raises:
        ValueError: If there is no such part.
    """
    if part not in RANDOMISED_PARTS:
        raise ValueError(f"there is no part {part!r} to randomise; choose one of {', '.join(RANDOMISED_PARTS)}")
    model = network_of(model)
    with torch.random.fork_rng(devices=[]):
        # Not the seed itself: training starts from small seeds too, and what it set out from it still resembles.
        torch.default_generator.manual_seed(zlib.crc32(f"randomised {seed}".encode()))
        untrained = type(model)(**model.settings).state_dict()
    replaced = ("classifier.",) if part == "classifier" else ("features.", "classifier.")
    result = copy.deepcopy(model)
    result.load_state_dict({**model.state_dict(), **{k: v for k, v in untrained.items() if k.startswith(replaced)}})
    return result.eval()


def _grad_cam(model: LeukDenseNet, pixel_values: torch.Tensor, targets: list[int], layer: str) -> torch.Tensor:
    return grad_cam(model, pixel_values, targets, layer)[:, 0]


def _hires_cam(model: LeukDenseNet, pixel_values: torch.Tensor, targets: list[int], layer: str) -> torch.Tensor:
    from captum.attr import LayerGradientXActivation  # here: it takes as long to import as a prediction takes

    def products(replica: LeukDenseNet, images: torch.Tensor) -> torch.Tensor:
        given = LayerGradientXActivation(replica, replica.layer(layer)).attribute(images, target=targets)
        return over_orientations(given, len(images)).sum(dim=1)

    return _on_replica(products, model, pixel_values)


def _layer_cam(model: LeukDenseNet, pixel_values: torch.Tensor, targets: list[int], layer: str) -> torch.Tensor:
    from captum.attr import LayerActivation, LayerGradientXActivation

    def products(replica: LeukDenseNet, images: torch.Tensor) -> torch.Tensor:
        module = replica.layer(layer)
        # Not multiplied by the activation it is Captum's gradient at a layer.
        gradients = LayerGradientXActivation(replica, module, multiply_by_inputs=False)
        positive = gradients.attribute(images, target=targets).clamp_min(0)
        return over_orientations(positive * LayerActivation(replica, module).attribute(images), len(images)).sum(dim=1)

    return _on_replica(products, model, pixel_values)


def _input_gradients(model: LeukDenseNet, pixel_values: torch.Tensor, targets: list[int], layer: str) -> torch.Tensor:
    from captum.attr import Saliency

    def gradients(replica: LeukDenseNet, images: torch.Tensor) -> torch.Tensor:
        return Saliency(replica).attribute(images, target=targets).amax(dim=1)

    return _on_replica(gradients, model, pixel_values)


def _on_replica(
    compute: Callable[[LeukDenseNet, torch.Tensor], torch.Tensor], model: LeukDenseNet, pixel_values: torch.Tensor
) -> torch.Tensor:
    """Run what needs autograd and hooks on a copy of the modules, also for callers inside no_grad or autocast."""
    replica = replica_of(model)
    parameter = next(replica.parameters())
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(parameter.device.type, enabled=False):
        images = pixel_values.detach().clone().to(parameter.device, parameter.dtype).requires_grad_()
        return compute(replica, images).detach().float()


_COMPUTED = {
    "grad_cam": _grad_cam,
    "hires_cam": _hires_cam,
    "layer_cam": _layer_cam,
    "input_gradients": _input_gradients,
}
METHODS = tuple(_COMPUTED)
