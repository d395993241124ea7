"""Where the network runs: one interface over torch, ONNX Runtime and OpenVINO.

Shared contract: a predictor takes pixel_values, float32 (N, 3, H, W), and gives logits, maps and features of one
forward pass as NumPy arrays; several threads may share one. Importing this module imports none of the backends, and
a predictor over an exported graph never imports torch or timm unless a layer outside the graph is explained.
"""

from __future__ import annotations

import abc
import importlib.util
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from leuk_hf import checkpoint_io
from leuk_hf.errors import CheckpointError, LeukError
from leuk_hf.export_record import UnusableRecordError, find_export
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.image_io import ImageSource, load_image
from leuk_hf.preprocessing import Preprocessor

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet

BACKENDS = ("openvino", "onnxruntime", "torch")  # in the order that "auto" prefers on a CPU
PRECISIONS = ("float32", "bfloat16")
MAX_THREADS = 1024  # torch crashes when the system refuses it more


class Outputs(NamedTuple):
    """What one forward pass gives.

    Args:
        logits: float64 (N, K), before the temperature.
        maps: float32 (N, K, h, w): signed Grad-CAM of every class at the predictor's `map_layer`.
        features: float32 (N, C): the averaged feature maps that the classifier reads.
        in_distribution_scores: float64 (N,), higher = more like the training fields.
        leukocytes: float32 (N, H, W) in [0, 1]: how far each pixel was left to see, 1 on leukocytes; None if the whole
            field was seen.
    """

    logits: np.ndarray
    maps: np.ndarray
    features: np.ndarray
    in_distribution_scores: np.ndarray
    leukocytes: np.ndarray | None


class Predictor(abc.ABC):
    """A classifier on some backend.

    Args:
        backend: One of `BACKENDS`.
        settings: The checkpoint's settings, from `checkpoint_io.read_config`.
        map_layer: The layer that the maps of `run` explain.
    """

    def __init__(self, backend: str, settings: dict[str, Any], map_layer: str) -> None:
        self.backend = backend
        self.map_layer = map_layer
        self.class_names: tuple[str, ...] = tuple(settings["class_names"])
        self.preprocessor: Preprocessor = settings["preprocessor"]
        self.temperature = float(settings["temperature"])
        self.cam_layer: str = settings["cam_layer"]
        self.view: str = settings["view"]
        self.conformal_quantiles: tuple[float, ...] = tuple(settings["conformal_quantiles"])
        self.refusal_limits: RefusalLimits = settings["refusal_limits"]

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """Backend, version and precision, as shown beside a result: "openvino 2026.4.1, float32"."""

    @property
    @abc.abstractmethod
    def identity(self) -> str:
        """SHA-256 of weights and settings: equal for the same checkpoint on every backend."""

    @property
    @abc.abstractmethod
    def cam_layers(self) -> tuple[str, ...]:
        """The layers that this predictor can explain, from fine to coarse."""

    def run(self, pixel_values: np.ndarray) -> Outputs:
        """Run one forward pass.

        Args:
            pixel_values: float32 (N, 3, image_size, image_size), N at least 1, finite.

        Raises:
            LeukError: If pixel_values are something else, or the network gives values that are no numbers.
        """
        values, size = np.ascontiguousarray(pixel_values, dtype=np.float32), self.preprocessor.image_size
        if values.ndim != 4 or not len(values) or values.shape[1:] != (3, size, size):
            raise LeukError(f"pixel_values have shape {values.shape}; give (N, 3, {size}, {size}), N at least 1")
        if not np.isfinite(values).all():
            raise LeukError("pixel_values have values that are not finite; make them by preprocess")
        outputs = self._run(values)
        if not np.isfinite(outputs.logits).all():
            raise LeukError("the network gives values that are not finite; use another checkpoint")
        return outputs

    @abc.abstractmethod
    def _run(self, pixel_values: np.ndarray) -> Outputs: ...

    @abc.abstractmethod
    def torch_model(self) -> LeukDenseNet:
        """Give the network for what needs gradients: layers other than `map_layer`.

        Raises:
            LeukError: If there is only an exported graph.
        """

    def preprocess(self, images: ImageSource | Sequence[ImageSource]) -> np.ndarray:
        """Turn images into pixel_values.

        Args:
            images: One or several of what `load_image` takes.

        Returns:
            float32 (N, 3, image_size, image_size).

        Raises:
            ImageError: If an image cannot be used.
        """
        several: Any = images if isinstance(images, (list, tuple)) else [images]
        side = self.preprocessor.sufficient_side
        return self.preprocessor([load_image(image, reduce_to=side) for image in several])


def as_predictor(model: Predictor | LeukDenseNet) -> Predictor:
    """Give a predictor for either a predictor, which comes back, or a network, which is used as it is.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(model, Predictor):
        return model
    from leuk_hf.network import DenseNetClassifier
    from leuk_hf.torch_backend import TorchPredictor

    if not isinstance(model, DenseNetClassifier):
        raise TypeError(
            f"the model is of type {type(model).__name__}; give what load_predictor or LeukDenseNet.from_pretrained"
            " gives, before the images"
        )

    return TorchPredictor(model, precision="float32")


def load_predictor(
    source: str | Path | None = None,
    *,
    backend: str = "auto",
    revision: str | None = None,
    device: str | None = None,
    precision: str = "float32",
    num_threads: int | None = None,
) -> Predictor:
    """Load what `predict` and `explain` need, on the fastest backend at hand.

    Args:
        source: Checkpoint folder, exported folder, or Hub id; by default the one named by `LEUK_MODEL`, else the
            shipped one.
        backend: "torch", "onnxruntime", "openvino", or "auto": of the installed ones OpenVINO, then ONNX Runtime,
            if the source holds an exported graph (`scripts/export.py`), else torch.
        revision: Branch, tag or commit of a Hub id.
        device: Of torch, such as "cuda" or "cuda:1"; with it, unless it is "cpu", "auto" is torch. By default torch
            takes a GPU if it sees one. The other backends run on the CPU, and "auto" does not look for GPUs.
        precision: "float32", which checkpoints are calibrated in, or "bfloat16": faster on some processors, with
            probabilities that differ by several hundredths and now and then another label.
        num_threads: Threads of one forward pass; by default one for each core.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded, or holds no graph for the backend asked for.
        LeukError: If the backend is unknown or not installed, or another argument is out of its range.
    """
    if backend not in ("auto", *BACKENDS):
        raise LeukError(f"there is no backend {backend!r}; choose auto, {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise LeukError(f"there is no precision {precision!r}; choose {', '.join(PRECISIONS)}")
    if num_threads is not None and (not isinstance(num_threads, int) or not 1 <= num_threads <= MAX_THREADS):
        raise LeukError(f"num_threads is {num_threads!r}; give a whole number from 1 to {MAX_THREADS}")
    on_cpu = device is None or device.split(":")[0] == "cpu"
    if not on_cpu and backend in ("openvino", "onnxruntime"):
        raise LeukError(f"{backend} runs on the CPU here; leave out device {device!r}, or take backend torch")
    source = source or checkpoint_io.checkpoint_source()
    download = {"revision": revision}
    if backend in ("auto", "torch") and (backend == "torch" or not on_cpu):
        return _load_torch(source, download, device, precision, num_threads)
    if backend != "auto" and not _is_installed(backend):
        raise LeukError(f"{backend} is not installed; run: pip install {backend}")
    asked = [backend] if backend != "auto" else [name for name in BACKENDS[:-1] if _is_installed(name)]
    try:
        record = find_export(source, **download)
    except UnusableRecordError as error:
        if backend != "auto" or checkpoint_io.find(source, checkpoint_io.WEIGHTS_NAME, **download) is None:
            raise
        warnings.warn(f"{error}; torch is used instead", stacklevel=2)
        return _load_torch(source, download, device, precision, num_threads)
    if record is None and backend != "auto":
        raise CheckpointError(
            f"{source or 'the shipped checkpoint'} holds no exported graph for {backend}; make one with:"
            " python scripts/export.py --model ... --output FOLDER"
        )
    if record is not None and (stale := record.fault()):
        if backend != "auto" or not record.has_weights():
            raise CheckpointError(stale)
        warnings.warn(f"{stale}; torch is used instead", stacklevel=2)
        record = None
    if record is not None:
        from leuk_hf.exported_backend import load_exported

        for name in asked:
            try:
                if (graph := record.graph_for(name)) is not None:
                    return load_exported(name, graph, record, precision=precision, num_threads=num_threads)
            except LeukError as error:
                if backend != "auto" or not record.has_weights():
                    raise
                warnings.warn(f"{error}; another backend is used instead", stacklevel=2)
        if backend != "auto" or (asked and not record.has_weights()):
            raise CheckpointError(f"{record.folder} has no graph that {' or '.join(asked)} reads; export it again")
        if not record.has_weights():
            raise LeukError(
                f"{record.folder} is an exported graph without weights for torch, and neither openvino nor"
                " onnxruntime is installed; run: pip install onnxruntime"
            )
    return _load_torch(source, download, device, precision, num_threads)


def _load_torch(
    source: str | Path | None,
    download: dict[str, Any],
    device: str | None,
    precision: str,
    num_threads: int | None,
) -> Predictor:
    from leuk_hf.model import LeukDenseNet
    from leuk_hf.torch_backend import TorchPredictor, on_device

    model = on_device(LeukDenseNet.from_pretrained(source, **download), device)
    return TorchPredictor(model, fast=True, precision=precision, num_threads=num_threads)


def _is_installed(backend: str) -> bool:
    return importlib.util.find_spec(backend) is not None


class LazyModel:
    """The torch network of a source, loaded when first asked for; thread-safe.

    Args:
        source: Folder or Hub id; None for the shipped checkpoint.
        download: Passed to `LeukDenseNet.from_pretrained`.
        check: Called once before; raises what keeps the weights from being used.
    """

    def __init__(self, source: str | Path | None, download: dict[str, Any], *, check: Callable[[], None]) -> None:
        self._source, self._download, self._check = source, download, check
        self._lock = threading.Lock()
        self._model: LeukDenseNet | None = None

    def __call__(self) -> LeukDenseNet:
        """Give the network.

        Raises:
            CheckpointError: If the source has no weights.
        """
        with self._lock:
            if self._model is None:
                from leuk_hf.model import LeukDenseNet

                self._check()
                self._model = LeukDenseNet.from_pretrained(self._source, **self._download)
            return self._model
