"""The ways to an explained answer that are compared, each from pixel_values to logits and maps.

Shared contract: a variant's call does the whole work every time and gives NumPy arrays or CPU tensors; nothing is
kept from one call to the next but what a server would keep (weights, compiled graphs). Each peer has its own copy
of the network, so that its hooks slow nobody else down.
"""

from __future__ import annotations

import copy
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from leuk_hf.backends import load_predictor
from leuk_hf.class_activation import explained_forward, map_layer
from leuk_hf.errors import LeukError
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.torch_backend import TorchPredictor

PYTORCH_GRAD_CAM = "pytorch-grad-cam: logits and 1 map"
CAPTUM = "Captum LayerGradCam after a forward pass: 1 map"
BATCH_SIZE = 16
TOLERANCES = {"float32": 1e-5, "another engine": 1e-4, "bfloat16": 0.1}


class Variant(NamedTuple):
    """One way to an answer.

    Args:
        name: As it stands in the table.
        call: Does the work; None if it cannot be done here.
        difference: Tells from the call's result how far the maps are from Captum's, relative to their largest
            value; None if it makes no maps.
        kind: Key of `TOLERANCES`.
        num_images: Of one call.
        missing: Why it cannot be done here, and what to do about it.
        note: What else there is to say.
    """

    name: str
    call: Callable[[], Any] | None
    difference: Callable[[Any], float] | None = None
    kind: str = "float32"
    num_images: int = 1
    missing: str | None = None
    note: str | None = None


def random_model(image_size: int, *, seed: int) -> LeukDenseNet:
    """Make a DenseNet-121 with random weights: its speed is that of any other.

    Its normalisation layers have seen noise once; untouched ones would let rounding errors grow from layer to layer.

    Args:
        image_size: In pixels.
        seed: Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LeukDenseNet(preprocessor=Preprocessor(image_size=image_size))
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = None  # the plain mean of all batches
        with torch.no_grad():
            model.train()(torch.randn(4, 3, image_size, image_size))
        for norm in norms:
            norm.momentum = 0.1
    return model.eval()


def steadiest_first(model: LeukDenseNet, pixel_values: np.ndarray) -> np.ndarray:
    """Sort images by how far their last activations keep from zero.

    Where one is nearer to zero than rounding errors are large, two engines disagree on whether norm5's ReLU passes
    it, and so on the gradient: Grad-CAM itself is discontinuous there, by about 1e-3 of a map's largest value. Such
    an image tells nothing about whether two ways compute the same.

    Args:
        model: In evaluation mode.
        pixel_values: float32 (N, 3, H, W).
    """
    norm: Any = model.features.get_submodule("norm5")
    with torch.no_grad():
        values = torch.from_numpy(pixel_values.copy())
        found = model.forward_blocks(values, model.find_leukocytes(values))
        slope = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        normed = (found - norm.running_mean[:, None, None]) * slope[:, None, None] + norm.bias[:, None, None]
        distance = normed.abs().flatten(1).amin(dim=1) / normed.flatten(1).std(dim=1)
    return pixel_values[np.argsort(-distance.numpy(), kind="stable")]


def variants(
    model: LeukDenseNet,
    exported: Path | None,
    pixel_values: np.ndarray,
    *,
    native_bfloat16: bool,
    with_compile: bool = False,
    num_threads: int | None = None,
) -> Iterator[Variant]:
    """Prepare all ways, the peers first.

    Args:
        model: In evaluation mode, float32, on the CPU.
        exported: Folder of its export; None if there is none.
        pixel_values: float32 (N, 3, H, W), N at least 2, the steadiest first; the first is answered alone, all N as
            a batch.
        native_bfloat16: Whether to time bfloat16 as well; emulated, it says nothing.
        with_compile: Whether to time torch.compile, which takes a minute or more to compile.
        num_threads: Of one forward pass.
    """
    layer, count = map_layer(model), len(model.class_names)
    expected = np.concatenate([_captum_maps(model, pixel_values[row : row + 1], layer) for row in range(2)])

    def against_captum(result: Any) -> float:
        maps = np.asarray(result.maps[:2])
        return float(np.abs(maps - expected[: len(maps)]).max() / np.abs(expected[: len(maps)]).max())

    values = torch.from_numpy(pixel_values[:1].copy())
    yield _pytorch_grad_cam(model, values, layer, expected)
    yield _captum(model, values, layer, expected, several=False)
    yield _captum(model, values, layer, expected, several=True)
    ordered: LeukDenseNet = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    yield Variant("torch eager: forward pass alone", _forward(model, values))
    yield Variant("torch eager, channels last: forward pass alone", _forward(ordered, values, channels_last=True))
    name = "torch eager, channels last, bfloat16: forward pass alone"
    emulated = "this processor would emulate bfloat16; --all measures it nevertheless"
    if native_bfloat16:
        yield Variant(name, _forward(ordered, values, channels_last=True, bfloat16=True), kind="bfloat16")
    else:
        yield Variant(name, None, missing=emulated)
    maps = f"logits and {count} maps"
    for title, fast, precision in (
        (f"leuk_hf, torch, the network as it is: {maps}", False, "float32"),
        (f"leuk_hf, torch: {maps}", True, "float32"),
        (f"leuk_hf, torch, bfloat16: {maps}", True, "bfloat16"),
    ):
        if precision == "bfloat16" and not native_bfloat16:
            yield Variant(title, None, missing=emulated)
            continue
        predictor = TorchPredictor(model, fast=fast, precision=precision, num_threads=num_threads)
        yield Variant(title, _run(predictor, pixel_values[:1]), against_captum, precision)
    if with_compile:
        yield _compiled(model, values, layer, maps, against_captum)
    for backend, title in (("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO")):
        yield from _exported(
            backend, title, exported, pixel_values, maps, against_captum, native_bfloat16, num_threads
        )


def _run(predictor: Any, pixel_values: np.ndarray) -> Callable[[], Any]:
    return lambda: predictor.run(pixel_values)


def _forward(
    model: LeukDenseNet, values: torch.Tensor, *, channels_last: bool = False, bfloat16: bool = False
) -> Callable[[], Any]:
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def call() -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return model(values.to(memory_format=layout))

    return call


def _captum_maps(model: LeukDenseNet, pixel_values: np.ndarray, layer: str) -> np.ndarray:
    from leuk_hf.attribution import grad_cam

    values = torch.from_numpy(pixel_values.copy())
    found = [grad_cam(model, values, target, layer) for target in range(len(model.class_names))]
    return torch.cat(found, dim=1).numpy()


def _captum(model: LeukDenseNet, values: torch.Tensor, layer: str, expected: np.ndarray, *, several: bool) -> Variant:
    from captum.attr import LayerGradCam

    network = copy.deepcopy(model)
    method, count = LayerGradCam(network, network.layer(layer)), len(model.class_names)

    def call() -> tuple[torch.Tensor, list[int], torch.Tensor]:
        with torch.no_grad():
            logits = network(values)
        targets = list(range(count)) if several else [int(logits[0].argmax())]
        found = [method.attribute(values, target=target).detach() for target in targets]
        return logits, targets, torch.cat(found, dim=1)

    def difference(result: tuple[torch.Tensor, list[int], torch.Tensor]) -> float:
        reference = expected[:1, result[1]]
        return float(np.abs(result[2].numpy() - reference).max() / np.abs(reference).max())

    return Variant(CAPTUM.replace("1 map", f"{count} maps") if several else CAPTUM, call, difference)


def _pytorch_grad_cam(model: LeukDenseNet, values: torch.Tensor, layer: str, expected: np.ndarray) -> Variant:
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        return Variant(PYTORCH_GRAD_CAM, None, missing="not installed; pip install grad-cam")
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image

    network = copy.deepcopy(model)
    method = GradCAM(model=network, target_layers=[network.layer(layer)])

    def call() -> tuple[np.ndarray, np.ndarray]:
        scaled = method(input_tensor=values, targets=None)
        return method.outputs.detach().numpy(), scaled

    def difference(result: tuple[np.ndarray, np.ndarray]) -> float:
        # It gives the positive part, enlarged to the image and scaled to [0, 1]: ours is brought there, too.
        positive = np.maximum(expected[0, result[0][0].argmax()], 0)[None]
        enlarged = scale_cam_image(scale_cam_image(positive, (values.shape[3], values.shape[2])))
        return float(np.abs(result[1] - enlarged).max() / max(enlarged.max(), np.finfo(np.float32).tiny))

    return Variant(PYTORCH_GRAD_CAM, call, difference)


def _compiled(
    model: LeukDenseNet,
    values: torch.Tensor,
    layer: str,
    maps: str,
    against_captum: Callable[[Any], float],
) -> Variant:
    network, name = copy.deepcopy(model), f"torch.compile: {maps}"
    compiled = torch.compile(lambda given: explained_forward(network, given, layer))

    def call() -> Any:
        with torch.no_grad():
            return compiled(values)

    start = time.perf_counter()
    try:
        call()
    except Exception as error:  # noqa: BLE001 - a compiler that is missing or fails shows in many ways
        return Variant(name, None, missing=f"torch.compile failed ({' '.join(str(error).split())[:120]})")
    note = f"{time.perf_counter() - start:.0f} s to compile"
    return Variant(name, call, against_captum, "another engine", note=note)


def _exported(
    backend: str,
    title: str,
    exported: Path | None,
    pixel_values: np.ndarray,
    maps: str,
    against_captum: Callable[[Any], float],
    native_bfloat16: bool,
    num_threads: int | None,
) -> Iterator[Variant]:
    precisions = ["float32"] + (["bfloat16"] if backend == "openvino" and native_bfloat16 else [])
    for precision in precisions:
        suffix = "" if precision == "float32" else f", {precision}"
        batch = len(pixel_values)
        names = (f"leuk_hf, {title}{suffix}: {maps}", f"leuk_hf, {title}{suffix}, batch of {batch}: {maps}, per image")
        missing = None if importlib.util.find_spec(backend) else f"not installed; pip install {backend}"
        if exported is None and missing is None:
            missing = "there is no exported graph; pip install onnx onnxscript"
        if missing is not None or exported is None:
            yield from (Variant(name, None, missing=missing) for name in names)
            continue
        try:
            predictor = load_predictor(exported, backend=backend, precision=precision, num_threads=num_threads)
        except LeukError as error:
            yield from (Variant(name, None, missing=str(error)) for name in names)
            continue
        kind = "another engine" if precision == "float32" else "bfloat16"
        yield Variant(names[0], _run(predictor, pixel_values[:1]), against_captum, kind)
        yield Variant(names[1], _run(predictor, pixel_values), against_captum, kind, num_images=batch)
