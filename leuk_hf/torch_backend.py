"""The predictor that runs the network in torch, on the CPU or a GPU."""

from __future__ import annotations

import copy
import threading

import numpy as np
import torch

from leuk_hf.backends import Outputs, Predictor
from leuk_hf.class_activation import evaluating, explained_head, map_layer
from leuk_hf.errors import LeukError
from leuk_hf.model import LeukDenseNet


class TorchPredictor(Predictor):
    """A `LeukDenseNet` as a predictor; the network is shared, not copied, and left as found.

    Args:
        model: On any device, in any mode and memory layout.
        precision: "float32" (the network's own type), "bfloat16" (autocast), or "auto": bfloat16 where the
            processor computes in it.
        num_threads: Of torch's CPU operations; a setting of the whole process, as torch has it.
    """

    def __init__(self, model: LeukDenseNet, *, precision: str = "auto", num_threads: int | None = None) -> None:
        super().__init__("torch", model.settings, map_layer(model))
        self._model = model
        self.device = next(model.parameters()).device
        self.precision = natural_precision(self.device) if precision == "auto" else precision
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

    def run(self, pixel_values: np.ndarray) -> Outputs:
        """Run one forward pass, in evaluation mode and without gradients.

        Args:
            pixel_values: float32 (N, 3, H, W).
        """
        parameter = next(self._model.parameters())
        channels_last = parameter.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        values = torch.from_numpy(np.ascontiguousarray(pixel_values, dtype=np.float32))
        # channels_last alone would leave a tensor of one channel or one pixel ambiguous; .to() with a format is exact.
        values = values.to(parameter.device, parameter.dtype, memory_format=layout)
        bfloat16 = torch.autocast(parameter.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")
        with evaluating(self._model), torch.no_grad(), torch.autocast(parameter.device.type, enabled=False):
            with bfloat16:
                activations = self._model.features[:-1](values)
            # The head costs next to nothing; rounding its sums would show in probabilities and maps.
            logits, maps, features = explained_head(self._model, activations.to(parameter.dtype), self.map_layer)
        return Outputs(
            logits.double().cpu().numpy(),
            maps.float().contiguous().cpu().numpy(),
            features.float().cpu().numpy(),
        )


def natural_precision(device: torch.device) -> str:
    """Name the precision that a device computes fastest in without emulating it: "bfloat16" or "float32"."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type != "cpu":
        return "float32"
    abilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    # With AVX512_BF16 alone the conversions cost what the arithmetic gains.
    return "bfloat16" if abilities.get("amx_bf16") else "float32"


def fastest_layout(model: LeukDenseNet, device: str | None) -> LeukDenseNet:
    """Copy a model to where it runs fastest: onto the device, channels last.

    Args:
        model: Stays as it is.
        device: Such as "cuda:1"; by default a GPU if torch sees one, else the CPU.

    Raises:
        LeukError: If torch cannot use the device.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return copy.deepcopy(model).to(chosen).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:160]
        raise LeukError(f"torch cannot use the device {chosen!r} ({reason}); give cpu or leave it out") from error
