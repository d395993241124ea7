"""Evaluation: figures by hand, results.json merged without loss, the released file is the evaluated one."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from leuk_hf.audit_tables import BASELINES
from leuk_hf.calibration_run import calibration_parts
from leuk_hf.checkpoint_calibration import Options
from leuk_hf.data import load_smears
from leuk_hf.errors import DataError
from leuk_hf.evaluation import Results, evaluate, merge_results
from leuk_hf.model import LeukDenseNet
from leuk_hf.prediction import predict, softmax
from leuk_hf.release import fill_tables, release_checkpoint, without_the_weights
from leuk_hf.released_weights import halfway_between
from leuk_hf.synthetic import write_smears
from leuk_hf.training import train
from leuk_hf.training_config import PLAIN


def test_summary_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    results = Results(("a", "b"), ("1", "2", "3", "4"), np.array([0, 0, 1, 1]), probabilities, np.arange(4))
    summary = results.summary()
    assert summary["confusion_matrix"] == [[2, 0], [1, 1]]
    assert summary["metrics"]["accuracy"]["value"] == 0.75
    assert summary["metrics"]["balanced_accuracy"]["value"] == 0.75
    assert summary["metrics"]["mean_auroc"]["value"] == 1.0
    b = summary["per_class"]["b"]
    assert (b["sensitivity"]["value"], b["specificity"]["value"], b["precision"]["value"]) == (0.5, 1.0, 1.0)
    assert b["f1"]["value"] == pytest.approx(2 / 3, abs=1e-6) and b["num_fields"] == 2
    assert summary["metrics"]["mean_auroc"]["interval"] is None  # no resample of a perfect ranking differs
    for name, figure in summary["metrics"].items():
        low, high = figure["interval"] or (0, 2)
        assert low <= figure["value"] <= high or name == "expected_calibration_error"
    json.dumps(summary, allow_nan=False)


def test_absent_class_gives_none_not_zero():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    summary = Results(("a", "b", "c"), ("1", "2"), np.array([0, 1]), probabilities, np.arange(2)).summary()
    assert summary["per_class"]["c"]["sensitivity"] == {"value": None, "interval": None}


def test_evaluate_agrees_with_predict(tiny_model, smear_folder):
    dataset = load_smears(smear_folder)
    results = evaluate(tiny_model, dataset, batch_size=3)
    answers = predict(tiny_model, [str(smear_folder / path) for path in results.paths])
    expected = [list(answer.probabilities.values()) for answer in answers]
    np.testing.assert_allclose(results.probabilities, expected, atol=1e-5)
    assert list(results.labels) == dataset["label"]
    np.testing.assert_allclose(softmax(results.logits / tiny_model.temperature), results.probabilities, atol=1e-12)
    assert results.answered.tolist() == [answer.answered for answer in answers]
    names = results.class_names
    sets = [{name for name, inside in zip(names, row, strict=True) if inside} for row in results.prediction_sets]
    assert sets == [set(answer.prediction_set) for answer in answers]
    assert results.groups.tolist() == list(range(len(answers)))
    by_patient = evaluate(tiny_model, dataset, groups=["a", "b"] * 4)
    assert by_patient.groups.tolist() == ["a", "b"] * 4


def test_evaluate_refuses_other_classes(smear_folder):
    model = LeukDenseNet(class_names=("a", "b"), growth_rate=4, block_config=(1, 1, 1, 1))
    with pytest.raises(DataError, match="the model a, b"):
        evaluate(model, load_smears(smear_folder))


def test_merge_results_keeps_what_is_there(tmp_path):
    path = tmp_path / "results.json"
    merge_results(path, "protocols", "random", {"n": 1})
    merge_results(path, "protocols", "grouped", {"n": 2})
    merge_results(path, "audit", "ours", {"n": 3})
    merge_results(path, "protocols", "random", {"n": 4})
    assert json.loads(path.read_text()) == {
        "protocols": {"random": {"n": 4}, "grouped": {"n": 2}}, "audit": {"ours": {"n": 3}}
    }  # fmt: skip
    path.write_text("[broken")
    with pytest.raises(DataError, match="is not JSON"):
        merge_results(path, "audit", "ours", {})
    assert path.read_text() == "[broken"


def test_release_evaluates_the_very_file(tmp_path):
    source = tmp_path / "smears"
    write_smears(source, fields_per_class=8, seed=0, image_size=32)
    tiny = {"growth_rate": 4, "block_config": (1, 1, 1, 1), "image_size": 32, "batch_size": 4, "num_epochs": 1}
    tiny["protocol"] = "random"
    train(dataclasses.replace(PLAIN, source=str(source), output=tmp_path / "run", **tiny))
    folder = tmp_path / "shipped"
    part, results = release_checkpoint(tmp_path / "run", str(source), folder, command="release")
    content = json.loads((folder / "results.json").read_text())
    assert tuple(part["path"]) == results.paths
    names = {"README.md", "config.json", "model.safetensors", "results.json", "split.csv", "training.json"}
    assert {path.name for path in folder.iterdir()} == names
    reloaded = LeukDenseNet.from_pretrained(folder)
    trained = LeukDenseNet.from_pretrained(tmp_path / "run" / "checkpoint")
    assert reloaded.classifier.weight.equal(trained.classifier.weight.half().float())
    assert reloaded.features.norm5.running_var.equal(trained.features.norm5.running_var)
    paths = [str(source / path) for path in results.paths]
    expected = [list(answer.probabilities.values()) for answer in predict(reloaded, paths)]
    np.testing.assert_allclose(results.probabilities, expected, atol=1e-5)
    accuracy = content["protocols"]["random"]["metrics"]["accuracy"]["value"]
    assert f"| accuracy | {accuracy:.3f} |" in (folder / "README.md").read_text(encoding="utf-8")
    with pytest.raises(DataError, match="does not hold the files"):
        (source / "Pro" / "synthetic-Pro-0001.png").rename(source / "Pro" / "renamed.png")
        release_checkpoint(tmp_path / "run", str(source), folder, command="release")


def test_a_release_halfway_is_the_mean_of_beginning_and_end(tmp_path):
    source = tmp_path / "smears"
    write_smears(source, fields_per_class=8, seed=0, image_size=32)
    tiny = {"growth_rate": 4, "block_config": (1, 1, 1, 1), "image_size": 32, "batch_size": 4, "num_epochs": 1}
    first = dataclasses.replace(PLAIN, source=str(source), output=tmp_path / "first", protocol="random", **tiny)
    train(first)
    begun = {"growth_rate": 32, "block_config": (6, 12, 24, 16), "weights": str(tmp_path / "first" / "checkpoint")}
    train(dataclasses.replace(first, output=tmp_path / "second", **begun))
    folder = tmp_path / "shipped"
    release_checkpoint(tmp_path / "second", str(source), folder, command="release", halfway=True)
    start, end, mean = (
        LeukDenseNet.from_pretrained(path).state_dict()
        for path in (tmp_path / "first" / "checkpoint", tmp_path / "second" / "checkpoint", folder)
    )
    changed = 0
    for name, tensor in mean.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (start[name] + end[name]) / 2, rtol=1e-3, atol=1e-4)
            changed += not torch.equal(start[name], end[name])
    assert changed > 10
    assert "| these weights | the mean of" in (folder / "README.md").read_text(encoding="utf-8")
    assert json.loads((folder / "training.json").read_text())["halfway"] is True
    with pytest.raises(DataError, match="began with scratch, not with a trained checkpoint"):
        release_checkpoint(tmp_path / "first", str(source), folder, command="release", halfway=True)
    other = tmp_path / "first" / "checkpoint" / "training.json"
    other.write_text(json.dumps({**json.loads(other.read_text()), "date": "2001-01-01"}))
    with pytest.raises(DataError, match="no longer holds what"):
        release_checkpoint(tmp_path / "second", str(source), folder, command="release", halfway=True)
    with pytest.raises(DataError, match="another architecture, view or classes"):
        halfway_between(LeukDenseNet(growth_rate=4, block_config=(1, 1, 1, 2)), LeukDenseNet.from_pretrained(folder))


def test_a_calibrated_release_records_what_is_in_the_very_file(tmp_path):
    pytest.importorskip("crepes")
    source, junk = tmp_path / "smears", tmp_path / "junk"
    write_smears(source, fields_per_class=20, seed=0, image_size=48)
    write_smears(junk, fields_per_class=1, seed=1, image_size=48)
    tiny = {"growth_rate": 4, "block_config": (1, 1, 1, 1), "image_size": 32, "batch_size": 4, "num_epochs": 1}
    tiny["protocol"] = "random"
    train(dataclasses.replace(PLAIN, source=str(source), output=tmp_path / "run", **tiny))
    options = Options(dims=4, field_orientations=2)
    folder, given = tmp_path / "shipped", {"command": "release", "calibrated": True, "options": options}
    with pytest.raises(DataError, match="none is no folder"):
        release_checkpoint(tmp_path / "run", str(source), folder, foreign=[tmp_path / "none"], **given)
    for calibrated in (True, False):  # the network sees the whole field
        turned = {**given, "calibrated": calibrated, "options": Options(outline_orientations=4)}
        with pytest.raises(DataError, match="for a calibrated network that sees leukocytes alone"):
            release_checkpoint(tmp_path / "run", str(source), folder, **turned)
    turned = {**given, "calibrated": False, "options": Options(field_orientations=2)}
    with pytest.raises(DataError, match="for a calibrated network; leave out --field-orientations"):
        release_checkpoint(tmp_path / "run", str(source), folder, **turned)
    assert not folder.exists()
    part, results = release_checkpoint(tmp_path / "run", str(source), folder, foreign=[junk], **given)
    settings = LeukDenseNet.from_pretrained(folder).settings
    assert settings["field_orientations"] == 2
    fields = json.loads((folder / "training.json").read_text())["fields"]
    held = sum(fields["calibration"].values())
    entry = json.loads((folder / "results.json").read_text())["calibration"]["random"]
    assert entry["temperature"] == settings["temperature"] != 1 and entry["num_calibration_fields"] == held
    # Where no field chose the epoch, the validation part calibrates, too.
    record = {"config": {"weight_averaging": 0.9, "patience": None, "num_epochs": 3}, "best": {"epoch": 3}}
    rows = calibration_parts(folder / "split.csv", load_smears(str(source)), record)["calibration"]
    assert len(set(rows.tolist())) == held + sum(fields["validation"].values())
    record["best"]["epoch"] = 2
    rows = calibration_parts(folder / "split.csv", load_smears(str(source)), record)["calibration"]
    assert len(rows) == held
    assert tuple(entry["conformal_quantiles"]) == tuple(settings["conformal_quantiles"])
    assert entry["refusal_limits"] == dataclasses.asdict(LeukDenseNet.from_pretrained(folder).refusal_limits)
    usable, foreign = entry["refusal"]["usable"], entry["refusal"][str(junk)]
    assert usable["num_images"] == len(part) and foreign["num_images"] == 4 and len(entry["scores"]) == 6
    # The same fields, refused by the same file on its way through predict.
    assert usable["refused"] == pytest.approx(1 - results.answered.mean())


def test_a_release_keeps_what_is_said_of_the_data(tmp_path):
    baselines = {"protocols": {}, "command": "x"}
    results = {
        "data": {"groups": {"n": 1}},
        "audit": {BASELINES: baselines, "old weights": {"rows": {}}},
        "speed": {"inference 224": {"rounds": 2}, "training": {"rounds": 3}, "stages": {"rounds": 4}},
        "protocols": {"old": {}, "grouped, by recipe": {"recipes": {}}},
    }
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    assert without_the_weights(path) == {
        "data": {"groups": {"n": 1}},
        "protocols": {"grouped, by recipe": {"recipes": {}}},
        "audit": {BASELINES: baselines},
        "speed": {"inference 224": {"rounds": 2}, "training": {"rounds": 3}},
    }  # fmt: skip
    path.write_text(json.dumps({"speed": {"old": 2}, "audit": {"old": {}}}))
    assert without_the_weights(path) == {}
    path.write_text("{broken")
    assert without_the_weights(path) == {} == without_the_weights(tmp_path / "none.json")


def test_document_without_marks_is_refused():
    with pytest.raises(DataError, match="no results marks"):
        fill_tables("# title", {"protocols": {}})
