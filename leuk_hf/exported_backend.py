"""Predictors over exported graphs: OpenVINO and ONNX Runtime, without torch.

Shared contract: several threads may share a predictor. Nothing is sent anywhere and no code of a model is run: the
graphs hold standard operations only.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leuk_hf import checkpoint_io
from leuk_hf.backends import LazyModel, Outputs, Predictor
from leuk_hf.errors import CheckpointError, LeukError, one_line

if TYPE_CHECKING:
    from leuk_hf.export_record import ExportRecord
    from leuk_hf.model import LeukDenseNet


def output_names(view: str) -> tuple[str, ...]:
    """Name what a graph gives, in order.

    Args:
        view: Of the checkpoint.
    """
    optional = ("leukocytes",) if view != "field" else ()
    return ("logits", "probabilities", "maps", "features", "in_distribution_scores", *optional)


class ExportedPredictor(Predictor):
    """What both backends share: settings and identity come from the record.

    Args:
        backend: "openvino" or "onnxruntime".
        record: Of the export.
    """

    def __init__(self, backend: str, record: ExportRecord) -> None:
        super().__init__(backend, record.settings, record.content["map_layer"])
        self._record = record
        self._torch_model = LazyModel(record.source, record.download, check=record.check_weights)

    @property
    def identity(self) -> str:
        """SHA-256 of weights and settings, as recorded by the export."""
        return self._record.content["identity"]

    @property
    def cam_layers(self) -> tuple[str, ...]:
        """The graph's own layer, and all others if torch's weights lie beside it."""
        if not self._record.has_weights():
            return (self.map_layer,)
        return checkpoint_io.cam_layers_of(self._record.settings)

    def torch_model(self) -> LeukDenseNet:
        """Load the weights beside the graph, once."""
        if not self._record.has_weights():
            raise LeukError(
                f"an exported graph explains {self.map_layer} only; for other layers give the checkpoint that it was"
                " made from, with backend torch"
            )
        return self._torch_model()

    def _check_shapes(self, graph: Path, given: Any, logits: Any) -> None:
        size, count = self.preprocessor.image_size, len(self.class_names)
        if list(given)[1:] != [3, size, size] or list(logits)[1:] != [count]:
            raise CheckpointError(
                f"{graph} takes {list(given)[1:]} and gives {list(logits)[1:]}, its config asks for {[3, size, size]}"
                f" and {[count]}; export it again"
            )


class OpenVinoPredictor(ExportedPredictor):
    """OpenVINO on the CPU, set for the shortest time of one request.

    Args:
        graph: openvino_model.xml with its .bin beside it, or an ONNX file.
        record: Of the export.
        precision: "float32" or "bfloat16"; left to itself, OpenVINO takes the latter where the processor has it.
        num_threads: Of one request; by default one for each core.

    Raises:
        CheckpointError: If the graph cannot be read.
        LeukError: If the processor does not compute in the precision.
    """

    def __init__(self, graph: Path, record: ExportRecord, *, precision: str, num_threads: int | None) -> None:
        super().__init__("openvino", record)
        try:
            import openvino
        except ImportError as error:
            raise LeukError(f"openvino cannot be imported ({one_line(error)}); install it again") from error
        core = openvino.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise LeukError("this processor does not compute in bfloat16; leave out the precision")
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        }
        if num_threads is not None:
            options["INFERENCE_NUM_THREADS"] = num_threads
        try:
            self._compiled = core.compile_model(core.read_model(graph), "CPU", options)
            self._outputs = [self._compiled.output(name) for name in output_names(self.view)]
        except RuntimeError as error:
            raise CheckpointError(
                f"{graph} cannot be read by OpenVINO ({one_line(error)}); export it again"
            ) from error
        given, logits = self._compiled.input("pixel_values").partial_shape, self._outputs[0].partial_shape
        # The batch is of any size; the other sides are numbers.
        numbers = ([0, *(side.get_length() for side in list(shape)[1:])] for shape in (given, logits))
        self._check_shapes(graph, *numbers)
        self._version = openvino.__version__.split("-")[0]
        self._local = threading.local()  # a request serves one thread at a time

    @property
    def description(self) -> str:
        """Backend, version and the precision that is really used."""
        names = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
        kind = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return f"openvino {self._version}, {names.get(kind, kind)}"

    def _run(self, pixel_values: np.ndarray) -> Outputs:
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        found = self._local.request.infer({"pixel_values": pixel_values}, share_inputs=True)
        logits, _, *others = (found[output] for output in self._outputs)
        return _outputs(logits, *others)


class OnnxRuntimePredictor(ExportedPredictor):
    """ONNX Runtime on the CPU.

    Args:
        graph: An ONNX file.
        record: Of the export.
        precision: "float32".
        num_threads: Of one request; by default one for each core.

    Raises:
        CheckpointError: If the graph cannot be read.
        LeukError: If bfloat16 is asked for.
    """

    def __init__(self, graph: Path, record: ExportRecord, *, precision: str, num_threads: int | None) -> None:
        super().__init__("onnxruntime", record)
        if precision == "bfloat16":
            raise LeukError("onnxruntime computes in float32 here; leave out the precision, or take openvino or torch")
        try:
            import onnxruntime
        except ImportError as error:
            raise LeukError(f"onnxruntime cannot be imported ({one_line(error)}); install it again") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if num_threads is not None:
            options.intra_op_num_threads = num_threads
        try:
            self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no other base
            raise CheckpointError(
                f"{graph} cannot be read by ONNX Runtime ({one_line(error)}); export it again"
            ) from error
        shapes = {each.name: each.shape for each in (*self._session.get_inputs(), *self._session.get_outputs())}
        self._check_shapes(graph, shapes.get("pixel_values", ()), shapes.get("logits", ()))
        self.description = f"onnxruntime {onnxruntime.__version__}, float32"

    description = ""

    def _run(self, pixel_values: np.ndarray) -> Outputs:
        names = [name for name in output_names(self.view) if name != "probabilities"]
        return _outputs(*self._session.run(names, {"pixel_values": pixel_values}))


def _outputs(
    logits: np.ndarray,
    maps: np.ndarray,
    features: np.ndarray,
    scores: np.ndarray,
    leukocytes: np.ndarray | None = None,
) -> Outputs:
    return Outputs(logits.astype(np.float64), maps, features, scores.astype(np.float64), leukocytes)


def load_exported(
    backend: str, graph: Path, record: ExportRecord, *, precision: str = "float32", num_threads: int | None = None
) -> ExportedPredictor:
    """Build the predictor of a backend.

    Args:
        backend: "openvino" or "onnxruntime".
        graph: From `record.graph_for(backend)`.
        record: Of the export.
        precision: As for `load_predictor`.
        num_threads: As for `load_predictor`.

    Raises:
        CheckpointError: If the graph cannot be read.
        LeukError: If the precision cannot be had.
    """
    kind = OpenVinoPredictor if backend == "openvino" else OnnxRuntimePredictor
    return kind(graph, record, precision=precision, num_threads=num_threads)
