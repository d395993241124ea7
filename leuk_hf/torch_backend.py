"""The predictor that runs the network in torch, on the CPU or a GPU."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from leuk_hf.backends import Outputs, Predictor
from leuk_hf.class_activation import evaluating, explained_head, map_layer
from leuk_hf.errors import LeukError
from leuk_hf.model import LeukDenseNet


class TorchPredictor(Predictor):
    """A `LeukDenseNet` as a predictor; the network is left as found.

    Args:
        model: On any device, in any mode and memory layout.
        fast: Run a copy in the form that is fastest to run (`inference_copy`), instead of the network itself.
        precision: "float32" (the network's own type) or "bfloat16" (autocast).
        num_threads: Of torch's CPU operations; a setting of the whole process, as torch has it.
    """

    def __init__(
        self, model: LeukDenseNet, *, fast: bool = False, precision: str = "float32", num_threads: int | None = None
    ) -> None:
        super().__init__("torch", model.settings, map_layer(model))
        self._model = model
        self._running = inference_copy(model) if fast else model
        self.device = next(model.parameters()).device
        self.precision = precision
        self._identity: str | None = None
        self._lock = threading.Lock()
        if num_threads is not None:
            torch.set_num_threads(num_threads)

    @property
    def description(self) -> str:
        """Backend, version, precision and, unless it is the CPU, the device."""
        device = "" if self.device.type == "cpu" else f" on {self.device}"
        return f"torch {torch.__version__.split('+')[0]}, {self.precision}{device}"

    @property
    def identity(self) -> str:
        """SHA-256 of weights and settings."""
        with self._lock:
            if self._identity is None:
                self._identity = self._model.identity()
            return self._identity

    @property
    def cam_layers(self) -> tuple[str, ...]:
        """All layers of the network."""
        return self._model.cam_layers

    def torch_model(self) -> LeukDenseNet:
        """Give the network itself."""
        return self._model

    def _run(self, pixel_values: np.ndarray) -> Outputs:
        model = self._running
        parameter = next(model.parameters())
        channels_last = parameter.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        values = torch.from_numpy(pixel_values)
        # channels_last alone would leave a tensor of one channel or one pixel ambiguous; .to() with a format is exact.
        values = values.to(parameter.device, parameter.dtype, memory_format=layout)
        bfloat16 = torch.autocast(parameter.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")
        with evaluating(model), torch.no_grad(), torch.autocast(parameter.device.type, enabled=False):
            leukocytes = model.find_leukocytes(values)
            with bfloat16:
                activations = model.forward_blocks(values, leukocytes)
            # The head costs next to nothing; rounding its sums would show in probabilities and maps.
            explained = explained_head(model, activations.to(parameter.dtype), leukocytes, self.map_layer)
            scores = model.in_distribution(explained.logits, explained.features, values, leukocytes)
        return Outputs(
            explained.logits.double().cpu().numpy(),
            explained.maps.float().contiguous().cpu().numpy(),
            explained.features.float().cpu().numpy(),
            scores.double().cpu().numpy(),
            None if leukocytes is None else leukocytes[:, 0].float().contiguous().cpu().numpy(),
        )


def inference_copy(model: LeukDenseNet) -> LeukDenseNet:
    """Copy a network into the form that answers fastest; equal to rounding, no longer good for training or saving.

    Channels last; BatchNorm multiplied into the convolution before it where there is one; transitions pool first.

    Args:
        model: On any device; stays as it is.
    """
    # The tensors beforehand: on ZeroGPU torch sees every call, and takes minutes over deepcopy's.
    tensors: dict[int, Any] = {id(buffer): buffer.clone() for buffer in model.buffers()}
    for weight in model.parameters():
        tensors[id(weight)] = nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)
    fast = copy.deepcopy(model, tensors).eval()
    pool_first(fast)
    features: Any = fast.features
    features.conv0, features.norm0 = _folded(features.conv0, features.norm0)
    for name, block in features.named_children():
        if name.startswith("denseblock"):
            for layer in block.children():
                layer.conv1, layer.norm2 = _folded(layer.conv1, layer.norm2)
    return fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def pool_first(model: LeukDenseNet) -> None:
    """Let the transitions average before their 1x1 convolution, in place: the same sum, a quarter of the products.

    Args:
        model: Its tensors and their names stay.
    """
    for name, module in model.features.named_children():
        if name.startswith("transition"):
            children = module._modules
            children["conv"] = children.pop("conv")  # to the end, behind the pooling


def _folded(convolution: nn.Conv2d, norm: Any) -> tuple[nn.Conv2d, nn.Module]:
    """Give the convolution that BatchNorm is multiplied into, and the activation that is left of the norm."""
    return fuse_conv_bn_eval(convolution, norm), norm.act


def on_device(model: LeukDenseNet, device: str | None) -> LeukDenseNet:
    """Move a network to where it shall run.

    Args:
        model: Moved in place.
        device: Such as "cuda:1"; by default a GPU if torch sees one, else the CPU.

    Raises:
        LeukError: If torch cannot use the device.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return model.to(chosen)
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise LeukError(f"torch cannot use the device {chosen!r} ({reason}); give cpu or leave it out") from error
