"""Backends: exported graphs give torch's answers, without torch; every wrong combination is one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from leuk_hf import LeukDenseNet, load_predictor, predict
from leuk_hf.attribution import class_activation_maps, grad_cam
from leuk_hf.backends import BACKENDS, as_predictor
from leuk_hf.errors import CheckpointError, LeukError
from leuk_hf.explanation import explain
from leuk_hf.export import TOLERANCES, example_values, export_checkpoint, largest_relative_difference
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import render_smear
from leuk_hf.torch_backend import TorchPredictor, inference_copy, pool_first

EXPORTED = ("openvino", "onnxruntime")
SMEARS = [render_smear(name, seed=seed, image_size=80) for name in ("Benign", "Pro-B") for seed in (1, 2)]


def trained_like(**settings) -> LeukDenseNet:
    """A tiny model whose BatchNorm statistics and classifier are as far from trivial as training leaves them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = LeukDenseNet(
            growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64), **settings
        )
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.3)
                    module.running_var.uniform_(0.5, 1.5)
                    module.weight.normal_(1, 0.5)
                    module.bias.normal_(0, 0.3)
            model.classifier.weight.normal_(0, 1)
    return model.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("backends") / "checkpoint"
    trained_like(temperature=1.7).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint) -> Path:
    """Graphs alone, without the weights."""
    folder = checkpoint.parent / "exported"
    export_checkpoint(checkpoint, folder, command="a test")
    return folder


@pytest.fixture
def both(checkpoint, exported, tmp_path) -> Path:
    """Weights and graphs in one folder, as pushed to the Hub."""
    folder = tmp_path / "both"
    shutil.copytree(exported, folder)
    shutil.copyfile(checkpoint / "model.safetensors", folder / "model.safetensors")
    return folder


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text and 20 < len(text) < 500
    return text


@pytest.mark.parametrize("backend", EXPORTED)
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_graphs_give_torchs_outputs_at_every_batch_size(checkpoint, exported, backend, rows):
    reference = load_predictor(checkpoint, backend="torch", precision="float32")
    values = example_values(reference.preprocessor)[:rows]
    actual = load_predictor(exported, backend=backend, precision="float32").run(values)
    expected = reference.run(values)
    assert actual.logits.dtype == np.float64 and actual.maps.dtype == actual.features.dtype == np.float32
    assert actual.maps.shape == (rows, 4, 2, 2) and actual.features.shape == (rows, 32)
    assert max(largest_relative_difference(actual, expected).values()) < 1e-5
    assert np.abs(expected.maps).max() > 1e-3


def test_maps_of_run_are_captums(checkpoint):
    predictor = load_predictor(checkpoint, backend="torch", precision="float32")
    values = example_values(predictor.preprocessor)
    maps = predictor.run(values).maps
    for target in range(4):
        expected = grad_cam(predictor.torch_model(), torch.from_numpy(values), target, "denseblock4")[:, 0].numpy()
        np.testing.assert_allclose(maps[:, target], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_the_graph_gives_probabilities_at_the_temperature(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported / "model.onnx"), providers=["CPUExecutionProvider"])
    predictor = load_predictor(exported, backend="onnxruntime")
    values = predictor.preprocess(SMEARS)
    (inside,) = session.run(["probabilities"], {"pixel_values": values})
    outside = np.array([list(answer.probabilities.values()) for answer in predict(predictor, SMEARS)])
    np.testing.assert_allclose(inside, outside, atol=1e-6)
    scaled = predictor.run(values).logits / 1.7
    np.testing.assert_allclose(outside, np.exp(scaled) / np.exp(scaled).sum(1, keepdims=True), rtol=1e-12)


@pytest.mark.parametrize("backend", EXPORTED)
def test_predictions_and_explanations_are_the_same(checkpoint, exported, backend):
    reference, predictor = load_predictor(checkpoint, backend="torch"), load_predictor(exported, backend=backend)
    for expected, actual in zip(predict(reference, SMEARS), predict(predictor, SMEARS), strict=True):
        assert (actual.label, actual.prediction_set) == (expected.label, expected.prediction_set)
        assert actual.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
        assert actual.in_distribution_score == pytest.approx(expected.in_distribution_score, rel=1e-5)
    expected, actual = explain(reference, SMEARS[0], target="Pre-B"), explain(predictor, SMEARS[0], target="Pre-B")
    assert actual.layer == expected.layer == "denseblock4"
    np.testing.assert_allclose(actual.heatmap, expected.heatmap, atol=1e-5)
    assert actual.heatmap.max() == 1


@pytest.mark.parametrize("view", ["leukocytes", "leukocytes_in_colour"])
@pytest.mark.parametrize("layer", ["leukocyte_pool", "denseblock4"])
def test_a_network_that_sees_leukocytes_is_the_same_exported(tmp_path, layer, view):
    settings = {"output_stride": 16}
    if view == "leukocytes_in_colour":
        settings |= {"outline_orientations": 4, "field_orientations": 2}
    model = trained_like(view=view, cam_layer=layer, conformal_quantiles=(0.1, 0.2, 0.3, 0.2), **settings)
    model.save_pretrained(tmp_path / "checkpoint")
    content = export_checkpoint(tmp_path / "checkpoint", tmp_path / "exported")
    assert content["map_layer"] == layer
    reference = load_predictor(tmp_path / "checkpoint", backend="torch", precision="float32")
    for backend in EXPORTED:
        predictor = load_predictor(tmp_path / "exported", backend=backend, precision="float32")
        for expected, actual in zip(predict(reference, SMEARS), predict(predictor, SMEARS), strict=True):
            assert (actual.label, actual.prediction_set) == (expected.label, expected.prediction_set)
            assert actual.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
            assert actual.in_distribution_score == pytest.approx(expected.in_distribution_score, rel=1e-4)
        expected, actual = (explain(one, SMEARS[0], target="Pre-B") for one in (reference, predictor))
        assert actual.layer == expected.layer == layer
        np.testing.assert_allclose(actual.heatmap, expected.heatmap, atol=1e-4)


def test_norm5_can_be_the_layer_of_the_maps(tmp_path):
    model = trained_like(cam_layer="norm5")
    model.save_pretrained(tmp_path / "checkpoint")
    content = export_checkpoint(tmp_path / "checkpoint", tmp_path / "exported", formats=("onnx",))
    assert content["map_layer"] == "norm5" and set(content["graphs"]) == {"model.onnx"}
    predictor = load_predictor(tmp_path / "exported", backend="openvino")  # it reads ONNX, too
    values = predictor.preprocess(SMEARS)
    expected = grad_cam(model, torch.from_numpy(values), 2, "norm5")[:, 0].numpy()
    actual = predictor.run(values).maps[:, 2]
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())
    assert explain(predictor, SMEARS[0]).layer == "norm5"


def test_a_finer_layer_in_the_config_falls_back_where_there_are_no_weights(tmp_path):
    trained_like(cam_layer="denseblock2").save_pretrained(tmp_path / "checkpoint")
    export_checkpoint(tmp_path / "checkpoint", tmp_path / "exported", formats=("onnx",))
    predictor = load_predictor(tmp_path / "exported", backend="onnxruntime")
    assert predictor.cam_layers == ("denseblock4",)
    assert explain(predictor, SMEARS[0]).layer == "denseblock4"
    with pytest.raises(ValueError, match="no layer 'denseblock2'; choose one of denseblock4"):
        explain(predictor, SMEARS[0], layer="denseblock2")
    with pytest.raises(LeukError, match="explains denseblock4 only"):
        predictor.torch_model()


@pytest.mark.parametrize("backend", EXPORTED)
def test_other_layers_use_the_weights_beside_the_graph(both, backend):
    predictor = load_predictor(both, backend=backend)
    assert predictor.cam_layers[-1] == "norm5" and len(predictor.cam_layers) == 5
    expected = explain(LeukDenseNet.from_pretrained(both), SMEARS[1], layer="denseblock2")
    actual = explain(predictor, SMEARS[1], layer="denseblock2")
    assert actual.layer == "denseblock2"
    np.testing.assert_allclose(actual.heatmap, expected.heatmap, atol=1e-5)


def test_auto_prefers_graphs_and_says_what_it_chose(checkpoint, exported, both, monkeypatch):
    assert load_predictor(both).backend == "openvino"
    assert load_predictor(checkpoint).backend == "torch"  # no graph there
    assert load_predictor(both, device="cpu").backend == "openvino"
    hidden = {"openvino"}
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "leuk_hf.backends.importlib.util.find_spec", lambda name: None if name in hidden else find_spec(name)
    )
    assert load_predictor(both).description.startswith("onnxruntime ")
    hidden.add("onnxruntime")
    assert load_predictor(both).description.startswith("torch ")
    with pytest.raises(LeukError) as error:
        load_predictor(exported)
    assert "pip install onnxruntime" in one_line(error)
    with pytest.raises(LeukError) as error:
        load_predictor(exported, backend="openvino")
    assert one_line(error) == "openvino is not installed; run: pip install openvino"


def test_identity_is_the_checkpoints_on_every_backend(checkpoint, both):
    identities = {backend: load_predictor(both, backend=backend).identity for backend in BACKENDS}
    assert len(set(identities.values())) == 1 and len(identities["torch"]) == 64
    assert trained_like(temperature=1.7).identity() == identities["torch"]
    assert trained_like(temperature=1.8).identity() != identities["torch"]
    changed = trained_like(temperature=1.7)
    with torch.no_grad():
        changed.classifier.bias[0] += 1
    assert changed.identity() != identities["torch"]


@pytest.mark.parametrize("backend", EXPORTED)
def test_an_exported_folder_needs_neither_torch_nor_timm(exported, backend):
    code = (
        "import sys\n"
        "from leuk_hf import load_predictor, predict\n"
        "from leuk_hf.explanation import explain\n"
        "from leuk_hf.image_io import load_image\n"
        f"predictor = load_predictor({str(exported)!r}, backend={backend!r})\n"
        "field = load_image('leuk_hf/assets/examples/synthetic-Pre.png')\n"
        "print(predict(predictor, field)[0].label, explain(predictor, field).heatmap.shape)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    modules = set(done.stdout.splitlines()[1].split())
    assert backend in modules
    assert not modules & {"torch", "timm", "torchvision", "captum", "huggingface_hub", "onnx", "datasets"}


def test_half_precision_is_stored_only_where_it_is_exact(tmp_path):
    model = trained_like()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.half()
    model.save_pretrained(tmp_path / "checkpoint")
    export_checkpoint(tmp_path / "checkpoint", tmp_path / "exported", formats=("onnx",))
    graph = onnx.load(tmp_path / "exported" / "model.onnx").graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    halves = [array for array in stored.values() if array.dtype == np.float16]
    weights = {
        name: tensor for name, tensor in model.state_dict().items() if "conv" in name and tensor.numel() >= 1024
    }
    assert len(halves) == len(weights) > 5
    kept = {array.tobytes() for array in halves}
    assert all(tensor.numpy().tobytes() in kept for tensor in weights.values())
    reference = load_predictor(tmp_path / "checkpoint", backend="torch")
    values = reference.preprocess(SMEARS)
    actual = load_predictor(tmp_path / "exported", backend="onnxruntime").run(values)
    assert max(largest_relative_difference(actual, reference.run(values)).values()) < 1e-5


def test_the_export_is_a_whole_folder(checkpoint, exported):
    names = {"README.md", "config.json", "export.json", "model.onnx", "openvino_model.bin", "openvino_model.xml"}
    assert {path.name for path in exported.iterdir()} == names
    record = json.loads((exported / "export.json").read_text())
    assert record["command"] == "a test" and set(record["largest_relative_difference"]) == set(EXPORTED)
    onnx.checker.check_model(onnx.load(exported / "model.onnx"), full_check=True)
    for graph in ("model.onnx", "openvino_model.xml"):  # no stack trace with the paths of this machine
        content = (exported / graph).read_bytes()
        assert b".py" not in content and b"site-packages" not in content
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        LeukDenseNet.from_pretrained(exported)


def test_exporting_beside_the_weights_touches_nothing_else(checkpoint, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, folder)
    (folder / "README.md").write_text("edited")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    export_checkpoint(folder, folder, formats=("onnx",))
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(after) - set(before) == {"model.onnx", "export.json"}
    assert {name: after[name] for name in before} == before
    assert load_predictor(folder).backend == "openvino"


def retrained(folder: Path) -> None:
    trained_like(temperature=1.7).adapted(class_names=("a", "b", "c", "d")).save_pretrained(folder)


def resettled(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["leuk_hf"]["temperature"] = 3.0
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(("change", "what"), [(retrained, "other weights"), (resettled, "other settings")])
def test_a_stale_graph_is_never_used(both, change, what):
    change(both)
    with pytest.warns(UserWarning, match=what):
        assert load_predictor(both).backend == "torch"
    with pytest.raises(CheckpointError) as error:
        load_predictor(both, backend="onnxruntime")
    assert what in one_line(error)


@pytest.mark.parametrize("backend", EXPORTED)
def test_a_damaged_graph_is_one_sentence(exported, tmp_path, backend):
    folder = tmp_path / "damaged"
    shutil.copytree(exported, folder)
    for name in ("model.onnx", "openvino_model.bin"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError) as error:
        load_predictor(folder, backend=backend)
    assert "is not the file that export.json describes" in one_line(error)
    record = json.loads((folder / "export.json").read_text())
    from leuk_hf.export_record import file_sha256

    record["graphs"] = {name: file_sha256(folder / name) for name in record["graphs"]}
    (folder / "export.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError) as error:
        load_predictor(folder, backend=backend)
    assert "cannot be read by" in one_line(error)


RECORDS = {
    "not JSON": ("{", "is no record of an export"),
    "a list": ("[]", "is no record of an export (it is no JSON object)"),
    "nothing": ("{}", "is no record of an export (it has no schema_version)"),
    "incomplete": ('{"schema_version": 1}', "it has no identity"),
    "another type": ('{"schema_version": "1"}', "its schema_version is '1'"),
    "newer": ('{"schema_version": 9}', "upgrade leuk_hf"),
}


UNFIT = {
    "temperature": (("temperature", -1), "temperature is -1"),
    "no number": (("temperature", "x"), "temperature is 'x'"),
    "classes": (("class_names", ["a", "b", "a", "c"]), "class_names has a name twice"),
    "other classes": (("class_names", ["a", "b", "c"]), "num_classes is 4"),
    "no block": (("block_config", []), "block_config is []"),
    "endless blocks": (("block_config", [10**9] * 4), "block_config is [1000000000"),
    "layer": (("cam_layer", "conv0"), "cam_layer is 'conv0'"),
    "no layer": (("cam_layer", ["x"]), "cam_layer is ['x']"),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_settings_that_no_model_has_are_refused(exported, tmp_path, fault):
    from leuk_hf.export_record import settings_sha256

    folder = tmp_path / "unfit"
    shutil.copytree(exported, folder)
    (key, value), expected = UNFIT[fault]
    config = json.loads((folder / "config.json").read_text())
    config["leuk_hf"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    record = json.loads((folder / "export.json").read_text())
    record["settings_sha256"] = settings_sha256(folder / "config.json")
    (folder / "export.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError) as error:
        load_predictor(folder)
    assert expected in one_line(error)


@pytest.mark.parametrize("backend", EXPORTED)
def test_a_graph_of_another_size_is_refused(exported, tmp_path, backend):
    from leuk_hf.export_record import settings_sha256

    folder = tmp_path / "resized"
    shutil.copytree(exported, folder)
    config = json.loads((folder / "config.json").read_text())
    config["leuk_hf"]["preprocessor"]["image_size"] = 96
    (folder / "config.json").write_text(json.dumps(config))
    record = json.loads((folder / "export.json").read_text())
    record["settings_sha256"] = settings_sha256(folder / "config.json")
    (folder / "export.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError) as error:
        load_predictor(folder, backend=backend)
    assert "takes [3, 64, 64] and gives [4], its config asks for [3, 96, 96]" in one_line(error)


def test_auto_goes_on_without_a_damaged_graph(both):
    for name in ("openvino_model.bin", "model.onnx"):
        (both / name).write_bytes(b"damaged")
        with pytest.warns(UserWarning, match="is not the file that export.json describes"):
            expected = "onnxruntime" if name.startswith("openvino") else "torch"
            assert load_predictor(both).backend == expected


def test_weights_that_changed_on_the_hub_are_not_used(both):
    predictor = load_predictor(both, backend="onnxruntime")
    retrained(both)
    with pytest.raises(CheckpointError) as error:
        predictor.torch_model()
    assert "is not what the exported graph was made from" in one_line(error)


@pytest.mark.parametrize("fault", RECORDS)
def test_a_bad_record_is_one_sentence(both, fault):
    text, expected = RECORDS[fault]
    (both / "export.json").write_text(text)
    with pytest.warns(UserWarning) as warned:
        assert load_predictor(both).backend == "torch"
    assert [expected in str(each.message) and "torch is used instead" in str(each.message) for each in warned] == [
        True
    ]
    assert load_predictor(both, backend="torch").backend == "torch"
    for backend in EXPORTED:
        with pytest.raises(CheckpointError) as error:
            load_predictor(both, backend=backend)
        assert expected in one_line(error)
    (both / "model.safetensors").unlink()
    with pytest.raises(CheckpointError) as error:
        load_predictor(both)
    assert expected in one_line(error)


def test_a_record_of_another_layer_is_unusable(both):
    record = json.loads((both / "export.json").read_text())
    (both / "export.json").write_text(json.dumps(record | {"map_layer": "conv0"}))
    with pytest.warns(UserWarning, match="its map_layer is 'conv0'; export the model again; torch is used instead"):
        assert load_predictor(both).backend == "torch"


WRONG = {
    "backend": ({"backend": "tpu"}, "there is no backend 'tpu'; choose auto, openvino, onnxruntime, torch"),
    "precision": ({"precision": "int8"}, "there is no precision 'int8'"),
    "threads": ({"num_threads": 0}, "num_threads is 0; give a whole number from 1"),
    "too many threads": ({"num_threads": 10**6}, "num_threads is 1000000; give a whole number"),
    "half a thread": ({"num_threads": 1.5}, "num_threads is 1.5; give a whole number"),
    "device": ({"backend": "openvino", "device": "cuda"}, "openvino runs on the CPU here"),
    "no graph": ({"backend": "onnxruntime"}, "holds no exported graph for onnxruntime"),
    "no device": ({"backend": "torch", "device": "abacus"}, "torch cannot use the device 'abacus'"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_arguments_are_one_sentence(checkpoint, fault):
    arguments, expected = WRONG[fault]
    with pytest.raises(LeukError) as error:
        load_predictor(checkpoint, **arguments)
    assert expected in one_line(error)


def test_export_refuses_what_it_cannot_do(checkpoint, tmp_path, monkeypatch):
    with pytest.raises(LeukError, match="no format 'tensorrt'"):
        export_checkpoint(checkpoint, tmp_path / "out", formats=("tensorrt",))
    (tmp_path / "file").write_text("")
    with pytest.raises(LeukError, match="is a file"):
        export_checkpoint(checkpoint, tmp_path / "file")
    trained_like().save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError, match="holds another checkpoint"):
        export_checkpoint(checkpoint, tmp_path / "other")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "README.md").write_text("mine")
    with pytest.raises(LeukError, match=r"has a README\.md of something else"):
        export_checkpoint(checkpoint, tmp_path / "project")
    assert [path.read_text() for path in (tmp_path / "project").iterdir()] == ["mine"]
    monkeypatch.setitem(TOLERANCES, "logits", 0.0)
    with pytest.raises(LeukError) as error:
        export_checkpoint(checkpoint, tmp_path / "out", formats=("onnx",))
    assert "the logits of model.onnx on" in one_line(error)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_share_a_predictor(both, backend):
    predictor = load_predictor(both, backend=backend)
    values = predictor.preprocess(SMEARS)
    expected = [predictor.run(values[[row]]) for row in range(4)]
    found: list = []

    def run(row: int) -> None:
        found.extend((row, predictor.run(values[[row]])) for _ in range(5))

    threads = [threading.Thread(target=run, args=(number % 4,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    for row, outputs in found:
        assert max(largest_relative_difference(outputs, expected[row]).values()) < 1e-5


@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_pixel_values_are_one_sentence_and_change_nothing(both, backend):
    predictor = load_predictor(both, backend=backend)
    values = predictor.preprocess(SMEARS)
    expected = predictor.run(values)
    for wrong, words in (
        (values[:0], r"shape \(0, 3, 64, 64\); give \(N, 3, 64, 64\)"),
        (values[0], r"shape \(3, 64, 64\)"),
        (values[..., :50], r"shape \(4, 3, 64, 50\)"),
        (np.where(values > 1, np.nan, values), "not finite; make them by preprocess"),
    ):
        with pytest.raises(LeukError, match=words) as error:
            predictor.run(wrong)
        one_line(error)
    again = predictor.run(values)
    assert all(np.array_equal(one, other) for one, other in zip(again, expected, strict=True))


def test_a_network_that_gives_no_numbers_is_not_believed(checkpoint):
    model = LeukDenseNet.from_pretrained(checkpoint)
    with torch.no_grad():
        model.classifier.bias[1] = float("nan")
    with pytest.raises(LeukError, match="the network gives values that are not finite"):
        predict(model, SMEARS)


def test_any_name_of_the_cpu_is_the_cpu(both):
    """Accelerate calls it cpu:0 when there are several processes."""
    assert load_predictor(both, device="cpu:0").backend == "openvino"
    assert load_predictor(both, device="cpu:0", backend="onnxruntime").backend == "onnxruntime"
    assert load_predictor(both, device="cpu:0", backend="torch").backend == "torch"


def test_attribution_takes_a_predictor(both):
    predictor = load_predictor(both, backend="onnxruntime")
    values = torch.from_numpy(predictor.preprocess(SMEARS))
    model = LeukDenseNet.from_pretrained(both)
    assert torch.equal(class_activation_maps(predictor, values).maps, class_activation_maps(model, values).maps)
    assert torch.equal(grad_cam(predictor, values, 1, "denseblock2"), grad_cam(model, values, 1, "denseblock2"))


def test_a_graph_that_is_gone_is_named(exported, tmp_path):
    folder = tmp_path / "gone"
    shutil.copytree(exported, folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(CheckpointError) as error:
        load_predictor(folder, backend="onnxruntime")
    assert "lacks model.onnx, which export.json names; export it again" in one_line(error)


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_are_the_callers_own(both, backend):
    """A later call must not write into what an earlier one gave."""
    predictor = load_predictor(both, backend=backend)
    values = predictor.preprocess(SMEARS)
    first = predictor.run(values)
    given = [array for array in first if array is not None]
    kept = [array.copy() for array in given]
    predictor.run(values[::-1] * 2)
    assert len(given) == 4 and all(np.array_equal(one, other) for one, other in zip(given, kept, strict=True))


def test_a_network_is_used_as_it_is(checkpoint):
    model = LeukDenseNet.from_pretrained(checkpoint)
    predictor = as_predictor(model)
    assert predictor.torch_model() is model and as_predictor(predictor) is predictor
    values = predictor.preprocess(SMEARS)
    with torch.no_grad():
        expected = model(torch.from_numpy(values)).double().numpy()
    np.testing.assert_array_equal(predictor.run(values).logits, expected)
    model.train()
    np.testing.assert_array_equal(predictor.run(values).logits, expected)
    assert model.training and model.features.norm5.training


def test_the_fast_copy_answers_the_same_and_is_a_copy(checkpoint):
    model = LeukDenseNet.from_pretrained(checkpoint)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = inference_copy(model)
    assert fast is not model and fast.features.conv0.weight.is_contiguous(memory_format=torch.channels_last)
    values = example_values(model.preprocessor)
    predictor, expected = TorchPredictor(model, fast=True), as_predictor(model).run(values)
    assert max(largest_relative_difference(predictor.run(values), expected).values()) < 1e-5
    counts = [sum(isinstance(each, torch.nn.BatchNorm2d) for each in whole.modules()) for whole in (fast, model)]
    assert counts == [8 + 3 + 1, 1 + 2 * 8 + 3 + 1]  # of 8 layers, 3 transitions, norm5; before also norm0, norm2
    # What gradients, identity and saving use is the network itself.
    assert predictor.torch_model() is model and predictor.identity == model.identity()
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert not model.features.conv0.weight.is_contiguous(memory_format=torch.channels_last)


def test_pooling_first_changes_the_order_alone():
    model, reordered = trained_like(), trained_like()
    pool_first(reordered)
    assert [name for name, _ in reordered.features.transition1.named_children()] == ["norm", "pool", "conv"]
    assert [name for name, _ in model.features.transition1.named_children()] == ["norm", "conv", "pool"]
    assert reordered.identity() == model.identity()
    values = torch.from_numpy(example_values(model.preprocessor))
    with torch.no_grad():
        torch.testing.assert_close(reordered(values), model(values), rtol=1e-5, atol=1e-4)


def test_bfloat16_keeps_the_head_in_float32(checkpoint):
    model = LeukDenseNet.from_pretrained(checkpoint)
    values = example_values(model.preprocessor)
    exact, rounded = as_predictor(model).run(values), TorchPredictor(model, precision="bfloat16").run(values)
    differences = largest_relative_difference(rounded, exact)
    assert 1e-5 < differences["features"] < 0.05 and differences["logits"] < 0.05
    assert TorchPredictor(model, precision="bfloat16").description.endswith(", bfloat16")


def test_answers_are_float32_unless_asked_otherwise(checkpoint, both):
    # Left to itself, OpenVINO takes bfloat16 where the processor has it.
    for backend in ("torch", *EXPORTED):
        assert load_predictor(both, backend=backend).description.endswith(", float32")
    with pytest.raises(LeukError, match="there is no precision 'auto'; choose float32, bfloat16"):
        load_predictor(checkpoint, precision="auto")


def test_onnxruntime_has_no_bfloat16(exported):
    with pytest.raises(LeukError, match="onnxruntime computes in float32"):
        load_predictor(exported, backend="onnxruntime", precision="bfloat16")


def test_loading_says_nothing(both):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for backend in EXPORTED:
            load_predictor(both, backend=backend)
