"""Exporting a checkpoint: ONNX, and OpenVINO's format made from it.

The graph takes pixel_values, float32 (N, 3, image_size, image_size) with any N, and gives logits (N, K),
probabilities (N, K; temperature applied), maps (N, K, h, w; signed Grad-CAM of every class, in closed form), features
(N, C; averaged over places), in_distribution_scores (N,) and, if only leukocytes are seen, leukocytes (N, H, W; their
opacities). Weights whose values half precision holds exactly, as those of the shipped file, are stored so; nothing is
rounded.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from leuk_hf import checkpoint_io, export_record
from leuk_hf.backends import Outputs
from leuk_hf.class_activation import ExplainedModel, map_layer
from leuk_hf.errors import CheckpointError, LeukError
from leuk_hf.exported_backend import load_exported, output_names
from leuk_hf.files import write_json
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.provenance import provenance
from leuk_hf.synthetic import render_smear
from leuk_hf.torch_backend import TorchPredictor, pool_first

if TYPE_CHECKING:
    import onnx

OPSET = 18
# float32 on another engine: sums in another order. Relative to the largest value of each output; an activation that is
# zero but for rounding may pass the last ReLU on one engine only, which moves a map by a thousandth.
TOLERANCES = {"logits": 1e-4, "maps": 1e-2, "features": 1e-4, "in_distribution_scores": 1e-3, "leukocytes": 1e-3}
FORMATS = ("onnx", "openvino")


def export_checkpoint(
    source: str | Path | None,
    folder: Path,
    *,
    formats: tuple[str, ...] = FORMATS,
    revision: str | None = None,
    command: str | None = None,
    report: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Write a checkpoint's graphs, check them against torch, and record what they were made from.

    Files: model.onnx, openvino_model.xml and .bin, export.json, and, unless the folder is the checkpoint itself,
    config.json and README.md. They replace an earlier export's after the checks, the record last: without a record
    that fits them no graph is used.

    Args:
        source: Checkpoint folder, Hub id, or None for the shipped checkpoint.
        folder: Where the files go, made if missing; graphs of an earlier export are replaced.
        formats: "onnx", "openvino" or both; onnxruntime reads only the first, OpenVINO both.
        revision: Branch, tag or commit of a Hub id.
        command: The command line, for the record.
        report: Called with a word on each step.

    Returns:
        The content of export.json.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded, or the folder holds another one.
        LeukError: If a package is missing, a format unknown, or a graph does not agree with torch.
    """
    if not formats or (unknown := set(formats) - set(FORMATS)):
        raise LeukError(f"there is no format {sorted(unknown)[0] if formats else ''!r}; choose {' or '.join(FORMATS)}")
    for package in ("onnx", "onnxscript", *(("openvino",) if "openvino" in formats else ())):
        if importlib.util.find_spec(package) is None:
            raise LeukError(f'{package} is not installed; run: pip install "leuk-hf[export]"')
    if folder.exists() and not folder.is_dir():
        raise LeukError(f"{folder} is a file; give a folder for the export")
    report("loading the checkpoint")
    model = LeukDenseNet.from_pretrained(source, revision=revision)
    config = checkpoint_io.locate(source, checkpoint_io.CONFIG_NAME, revision=revision)
    weights = checkpoint_io.locate(source, checkpoint_io.WEIGHTS_NAME, revision=revision)
    inside = folder.resolve() == config.parent.resolve()
    if not inside and (folder / checkpoint_io.WEIGHTS_NAME).exists():
        raise CheckpointError(f"{folder} holds another checkpoint; give a folder of its own, or the checkpoint's")
    if not inside and not (folder / export_record.RECORD_NAME).exists():
        for name in (checkpoint_io.CONFIG_NAME, "README.md", *export_record.GRAPH_NAMES):
            if (folder / name).exists():
                raise LeukError(f"{folder} has a {name} of something else; give a folder of its own for the export")
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".exporting-*"):  # of an export that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".exporting-") as name:
        temporary = Path(name)
        shutil.copyfile(config, temporary / checkpoint_io.CONFIG_NAME)
        if not inside:
            model.generate_model_card().save(temporary / "README.md")
        report("exporting to ONNX")
        write_onnx(model, temporary / export_record.ONNX_NAME)
        if "openvino" in formats:
            report("converting to OpenVINO")
            _write_openvino(temporary / export_record.ONNX_NAME, temporary / export_record.OPENVINO_NAME)
            if "onnx" not in formats:
                (temporary / export_record.ONNX_NAME).unlink()
        graphs = [path for path in sorted(temporary.iterdir()) if path.name.startswith(("model.", "openvino_model."))]
        content = {
            "schema_version": export_record.SCHEMA_VERSION,
            "identity": model.identity(),
            "settings_sha256": export_record.settings_sha256(config),
            "weights_sha256": export_record.file_sha256(weights),
            "map_layer": map_layer(model),
            "beside_weights": inside,
            "graphs": {path.name: export_record.file_sha256(path) for path in graphs},
            **provenance(command),
        }
        write_json(temporary / export_record.RECORD_NAME, content)
        report("checking against torch")
        content["largest_relative_difference"] = _check(model, temporary)
        write_json(temporary / export_record.RECORD_NAME, content)
        for stale in export_record.GRAPH_NAMES:
            (folder / stale).unlink(missing_ok=True)
        # The record last: without it, or with an older one, no graph is used.
        for path in sorted(temporary.iterdir(), key=lambda path: path.name == export_record.RECORD_NAME):
            if not (inside and path.name == checkpoint_io.CONFIG_NAME):
                path.replace(folder / path.name)
    return content


def write_onnx(model: LeukDenseNet, path: Path) -> None:
    """Write the ONNX graph and check its form.

    Args:
        model: In evaluation mode, float32, on the CPU.
        path: The file to write.
    """
    import onnx
    import onnxscript.optimizer

    model = copy.deepcopy(model)
    pool_first(model)
    size = model.preprocessor.image_size
    example = torch.zeros(2, 3, size, size)
    batch = torch.export.Dim("batch", min=1, max=2**16)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # the exporter talks to its developers
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            ExplainedModel(model).eval(),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["pixel_values"],
            output_names=list(output_names(model.view)),
            dynamic_shapes={"pixel_values": {0: batch}},
            opset_version=OPSET,
            optimize=False,
        )
    # Not the whole optimizer: it multiplies BatchNorm into the weights, which half precision then no longer holds.
    # Both runtimes do that themselves when they load the graph.
    onnxscript.optimizer.fold_constants(program.model)
    onnxscript.optimizer.remove_unused_nodes(program.model)
    graph = program.model_proto
    _halve(graph)
    _forget_origin(graph)
    for key, value in (("map_layer", map_layer(model)), ("class_names", json.dumps(model.class_names))):
        graph.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def example_values(preprocessor: Preprocessor, *, seed: int = 0) -> np.ndarray:
    """Make pixel_values that a parity check is worth: synthetic smears, noise, and flat images.

    Args:
        preprocessor: Of the checkpoint.
        seed: Of the noise and the smears.

    Returns:
        float32 (8, 3, image_size, image_size).
    """
    smears = [render_smear(name, seed=seed, image_size=224) for name in ("Benign", "Early Pre-B", "Pre-B", "Pro-B")]
    values = preprocessor(smears)
    random = np.random.default_rng(seed).standard_normal((2, *values.shape[1:]), dtype=np.float32)
    flat = np.stack([np.zeros_like(values[0]), np.full_like(values[0], 2.0)])
    return np.concatenate([values, random, flat])


def largest_relative_difference(actual: Outputs, expected: Outputs) -> dict[str, float]:
    """Compare two backends' outputs for the same pixel_values.

    Args:
        actual: Of the backend in question.
        expected: Of the reference.

    Returns:
        Output name -> largest absolute difference over the reference's largest absolute value.
    """
    return {
        name: float(np.abs(one - other).max() / max(np.abs(other).max(), np.finfo(np.float32).tiny))
        for name, one, other in zip(Outputs._fields, actual, expected, strict=True)
        if other is not None
    }


def _check(model: LeukDenseNet, folder: Path) -> dict[str, dict[str, float]]:
    record = export_record.find_export(folder)
    if record is None:
        raise CheckpointError(f"{folder} has no {export_record.RECORD_NAME}")
    values = example_values(model.preprocessor)
    expected = TorchPredictor(model, precision="float32").run(values)
    found: dict[str, dict[str, float]] = {}
    for backend in ("openvino", "onnxruntime"):
        graph = record.graph_for(backend)
        if graph is None or importlib.util.find_spec(backend) is None:
            continue
        predictor = load_exported(backend, graph, record, precision="float32")
        # One by one and all at once: the batch is dynamic.
        alone = [predictor.run(values[row : row + 1]) for row in range(len(values))]
        joined = _joined(alone)
        differences = [largest_relative_difference(outputs, expected) for outputs in (joined, predictor.run(values))]
        found[backend] = {name: max(each[name] for each in differences) for name in differences[0]}
        for name in found[backend]:
            limit = TOLERANCES[name]
            if found[backend][name] > limit:
                raise LeukError(
                    f"the {name} of {graph.name} on {predictor.description} differ from torch's by"
                    f" {found[backend][name]:.1e}, more than {limit:g}; nothing was written, use backend torch"
                )
    return found


def _joined(outputs: list[Outputs]) -> Outputs:
    parts: list[Any] = [None if each[0] is None else np.concatenate(each) for each in zip(*outputs, strict=True)]
    return Outputs(*parts)


def _write_openvino(onnx_path: Path, path: Path) -> None:
    import openvino

    # Not openvino.convert_model, whose package reports its use over the network. The weights' precision stays.
    openvino.save_model(openvino.Core().read_model(onnx_path), path, compress_to_fp16=False)


def _forget_origin(graph: onnx.ModelProto) -> None:
    """Remove the exporter's notes, stack traces with the paths of this machine among them."""
    parts = [graph.graph, *graph.graph.node, *graph.graph.initializer, *graph.graph.value_info]
    for part in (*parts, *graph.graph.input, *graph.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]


def _halve(graph: onnx.ModelProto) -> None:
    """Store each large float32 constant as float16 and a Cast, if float16 holds all its values exactly."""
    from onnx import TensorProto, helper, numpy_helper

    kept, casts = [], []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else np.zeros(0)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < 1024 or not np.array_equal(half.astype(np.float32), values):
            kept.append(tensor)
            continue
        stored = f"{tensor.name}.half"
        kept.append(numpy_helper.from_array(half, stored))
        casts.append(
            helper.make_node("Cast", [stored], [tensor.name], name=f"{tensor.name}.cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *graph.graph.node]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)


def describe(content: dict[str, Any]) -> str:
    """Say in a line for each backend how far it is from torch.

    Args:
        content: Of export.json.
    """
    lines = [
        f"{backend}: " + ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
        for backend, differences in content["largest_relative_difference"].items()
    ]
    return "\n".join(["largest difference to torch, relative to the largest value:", *lines]) if lines else ""
