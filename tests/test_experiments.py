"""Experiments: run once, gone on with after a kill, evaluated on the right part, failures told and survived."""

import csv
import dataclasses
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuk_hf.data import load_smears
from leuk_hf.errors import TrainingError
from leuk_hf.experiment_jobs import run_experiments
from leuk_hf.experiments import (
    OTHER_LIGHT,
    Experiment,
    finished_entry,
    part_in,
    predictions_path,
    read_entries,
    run_experiment,
)
from leuk_hf.model import LeukDenseNet
from leuk_hf.prediction import predict
from leuk_hf.results import read_predictions
from leuk_hf.synthetic import write_smears
from leuk_hf.training_config import PLAIN

ROOT = Path(__file__).parent.parent
TINY = {"growth_rate": 4, "block_config": (1, 1, 1, 1), "image_size": 32, "batch_size": 4, "num_epochs": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of smears, a group table in which each two neighbours are a group, and a split table."""
    folder = tmp_path_factory.mktemp("data")
    write_smears(folder / "smears", fields_per_class=12, seed=1, image_size=32)
    paths = load_smears(folder / "smears")["path"]
    with (folder / "groups.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file", "group"], *([path, number // 2] for number, path in enumerate(paths))])
    with (folder / "split.csv").open("w", encoding="utf-8", newline="") as file:
        parts = [[path, "test" if number // 2 % 3 == 0 else "train"] for number, path in enumerate(paths)]
        csv.writer(file).writerows([["file", "split"], *parts])
    return folder


@pytest.fixture
def experiment(data):
    config = dataclasses.replace(
        PLAIN, source=str(data / "smears"), groups=data / "groups.csv", split=data / "split.csv", **TINY
    )
    return Experiment("plain, seed 0", "plain", "reference", config)


def test_a_run_is_evaluated_on_its_own_test_part(experiment, data, tmp_path):
    folder = experiment.folder(tmp_path)
    assert folder == tmp_path / "plain-seed-0"
    entry = run_experiment(experiment, folder, command="compare")
    assert entry == json.loads((folder / "entry.json").read_text())
    assert (entry["variant"], entry["protocol"], entry["seed"], entry["command"]) == (
        "plain",
        "reference",
        0,
        "compare",
    )
    assert entry["changes"] == {
        name: list(value) if isinstance(value, tuple) else value for name, value in TINY.items()
    }
    results = read_predictions(predictions_path(folder, "test"))
    with (data / "split.csv").open(encoding="utf-8") as file:
        assert set(results.paths) == {row["file"] for row in csv.DictReader(file) if row["split"] == "test"}
    with (data / "groups.csv").open(encoding="utf-8") as file:
        groups = {row["file"]: row["group"] for row in csv.DictReader(file)}
    assert [groups[path] for path in results.paths] == results.groups.tolist()
    model = LeukDenseNet.from_pretrained(folder / "checkpoint")
    expected = predict(model, [data / "smears" / path for path in results.paths])
    np.testing.assert_allclose(
        results.probabilities, [list(one.probabilities.values()) for one in expected], atol=1e-5
    )
    value = entry["figures"]["test"]["metrics"]["accuracy"]["value"]
    assert value == pytest.approx(np.trace(results.confusion) / len(results.paths), abs=1e-6)
    validation = read_predictions(predictions_path(folder, "validation"))
    assert not set(validation.paths) & set(results.paths)
    assert entry["figures"]["validation"]["num_fields"] == len(validation.paths)
    # The epoch was chosen by the validation part, with these very figures.
    expected = entry["best"]["validation_balanced_accuracy"]
    assert entry["figures"]["validation"]["metrics"]["balanced_accuracy"]["value"] == pytest.approx(expected, abs=1e-6)

    record = tmp_path / "experiments.json"
    before = (folder / "checkpoint" / "model.safetensors").stat().st_mtime_ns
    assert run_experiments([experiment], tmp_path, record) == {}  # done, so nothing is run
    assert read_entries(record) == {"plain, seed 0": entry}
    assert (folder / "checkpoint" / "model.safetensors").stat().st_mtime_ns == before

    changed = dataclasses.replace(experiment, config=dataclasses.replace(experiment.config, learning_rate=1e-3))
    with pytest.raises(TrainingError, match="was started with another learning_rate; use the same, or another"):
        run_experiments([changed], tmp_path, record)


def test_a_finished_run_of_something_else_is_not_taken_for_it(experiment, tmp_path):
    folder = experiment.folder(tmp_path)
    folder.mkdir()
    config = experiment.config
    entry = {"recipe": config.recipe, "protocol": "reference", "fold": config.fold, "seed": config.seed,
             "changes": experiment.changes, "calibration": None}  # fmt: skip

    def write(**values):
        (folder / "entry.json").write_text(json.dumps(entry | values))

    write()
    assert finished_entry(experiment, folder) == entry
    record = tmp_path / "record.json"
    assert run_experiments([experiment], tmp_path, record) == {}  # only its answers were kept
    for values, told in (
        ({"changes": experiment.changes | {"num_epochs": 40}}, f"num_epochs is 40, not {config.num_epochs}"),
        ({"changes": {}}, f"num_epochs is the recipe's own, not {config.num_epochs}"),
        ({"seed": 7}, "seed is 7, not 0"),
        ({"calibration": {}}, "calibrated is True, not False"),
    ):
        write(**values)
        with pytest.raises(TrainingError, match=f"is not the one that is asked for: .*{told}"):
            run_experiments([experiment], tmp_path, record)
    (folder / "entry.json").write_text("{}")
    with pytest.raises(TrainingError, match="is no entry of a finished run"):
        run_experiments([experiment], tmp_path, record)


def test_a_trained_run_is_only_evaluated(experiment, tmp_path):
    folder = experiment.folder(tmp_path)
    first = run_experiment(experiment, folder)
    (folder / "entry.json").unlink()
    (folder / "predictions-test.csv").unlink()
    weights = (folder / "checkpoint" / "model.safetensors").stat().st_mtime_ns
    assert run_experiment(experiment, folder)["figures"] == first["figures"]
    assert (folder / "checkpoint" / "model.safetensors").stat().st_mtime_ns == weights


def test_a_run_is_evaluated_in_other_light(experiment, data, tmp_path):
    asked = dataclasses.replace(experiment, in_other_light=True)
    folder = asked.folder(tmp_path)
    figures = run_experiment(asked, folder)["figures"]
    assert set(figures) == {"test", "validation", *(part_in("validation", light) for light in OTHER_LIGHT)}
    results = read_predictions(predictions_path(folder, "validation"))  # of the fields as they are
    model = LeukDenseNet.from_pretrained(folder / "checkpoint")
    fields = [np.asarray(Image.open(data / "smears" / path).convert("RGB")) for path in results.paths]
    lit = np.clip(np.rint(np.stack(fields) * 1.4), 0, 255).astype(np.uint8)
    got = predict(model, [Image.fromarray(field) for field in lit])
    expected = np.mean([one.label == model.class_names[label] for one, label in zip(got, results.labels, strict=True)])
    part = figures["validation, brightness x1.4"]
    assert part["num_fields"] == len(fields)
    assert part["metrics"]["accuracy"]["value"] == pytest.approx(expected, abs=1e-6)


def test_a_failure_is_told_and_the_others_run(experiment, tmp_path, capsys):
    config = dataclasses.replace(experiment.config, batch_size=1000)
    broken = Experiment("broken", "plain", "reference", config)
    record = tmp_path / "experiments.json"
    failed = run_experiments([broken, experiment], tmp_path, record, jobs=2, command="both")
    assert list(failed) == ["broken"] and "do not fill one batch of 1000" in failed["broken"]
    assert list(read_entries(record)) == ["plain, seed 0"]
    assert "training fields do not fill" in capsys.readouterr().err
    assert "epoch 1" in (experiment.folder(tmp_path) / "log.txt").read_text(encoding="utf-8")


def test_mistakes_are_told_before_anything_runs(experiment, tmp_path):
    twin = dataclasses.replace(experiment, name="plain seed/0")  # the same folder
    with pytest.raises(TrainingError, match="two experiments have the same name"):
        run_experiments([experiment, twin], tmp_path, tmp_path / "e.json")
    with pytest.raises(TrainingError, match="jobs is 0"):
        run_experiments([experiment], tmp_path, tmp_path / "e.json", jobs=0)
    bad = dataclasses.replace(experiment, config=dataclasses.replace(experiment.config, learning_rate=-1))
    with pytest.raises(TrainingError, match="learning_rate"):
        run_experiments([bad], tmp_path, tmp_path / "e.json")
    assert not list(tmp_path.iterdir())


def process_of(folder: Path) -> list[int]:
    """Ids of the processes that have a run's log open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "fd" / "1").readlink() == folder.resolve() / "log.txt":
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux shows what other processes have open")
def test_killed_and_started_again_it_goes_on(data, tmp_path):
    output = tmp_path / "runs"
    command = [
        sys.executable, str(ROOT / "scripts" / "ablate.py"), "--source", str(data / "smears"), "--split",
        str(data / "split.csv"), "--groups", str(data / "groups.csv"), "--output", str(output), "--record",
        str(tmp_path / "rows.json"), "--only", "whole field", "--seeds", "0", "--smoke", "--num-epochs", "40",
        "--cache", str(tmp_path / "cache"),
    ]  # fmt: skip
    folder = output / "whole-field-samples2-seed0"
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (folder / "state.safetensors").is_file():  # the first one is of an epoch's end
        assert started.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    while process_of(folder):  # what it had started ends with it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    epochs = len((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    assert 0 < epochs < 40 and not (tmp_path / "rows.json").exists()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "resuming at epoch" in (folder / "log.txt").read_text(encoding="utf-8")
    (entry,) = read_entries(tmp_path / "rows.json").values()
    assert entry["epochs"] == 40 and entry["variant"] == "whole field" and entry["changes"]["view"] == "field"
    table = (tmp_path / "rows.md").read_text(encoding="utf-8")
    value = entry["figures"]["test"]["metrics"]["balanced_accuracy"]["value"]
    assert f"({value:.3f})" in table and "not known" in table and table.splitlines()[-1] in again.stdout


@pytest.mark.parametrize("script", ["ablate.py", "cross_validate.py"])
@pytest.mark.parametrize("option", ["--split", "--groups"])
def test_a_table_that_is_missing_is_told_before_anything_runs(data, tmp_path, script, option):
    tables = {"--split": str(data / "split.csv"), "--groups": str(data / "groups.csv")} | {option: "none.csv"}
    command = [sys.executable, str(ROOT / "scripts" / script), "--source", str(data / "smears"), "--output",
               str(tmp_path / "out"), "--smoke", *itertools.chain(*tables.items())]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and not list(tmp_path.iterdir()) and done.stdout == ""
    kind = {"--split": "split", "--groups": "group"}[option]
    assert (
        done.stderr.startswith(f"error: none.csv cannot be read as a {kind} table")
        and len(done.stderr.strip().splitlines()) == 1
    )


def test_ablations_are_recorded_beside_their_runs(data, tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("ablate", ROOT / "scripts" / "ablate.py")
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ablate", script)
    spec.loader.exec_module(script)
    asked = script.Arguments("smears", Path("split.csv"), "groups.csv")
    assert asked.filled == Path("runs/ablations/experiments.json")
    assert dataclasses.replace(asked, output=Path("out")).filled == Path("out/experiments.json")
    assert dataclasses.replace(asked, output=Path("out"), record=Path("rows.json")).filled == Path("rows.json")
    monkeypatch.setattr("leuk_hf.experiment_jobs.run_experiments", lambda *_, **__: {"CLAHE, seed 0": "it broke"})
    options = ["--source", "smears", "--split", str(data / "split.csv"), "--groups", str(data / "groups.csv"),
               "--output", str(tmp_path / "out")]  # fmt: skip
    assert script.main(options) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == "error: CLAHE, seed 0: it broke\n"
    assert not list(tmp_path.iterdir())  # no table of nothing


def test_cross_validation_mistakes_get_one_sentence(data, tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "cross_validate.py"), "--source", str(data / "smears"),
               "--groups", str(data / "groups.csv"), "--output", str(tmp_path / "out"), "--protocols",
               "reference"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: the protocol reference needs the --split table")
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "out").exists()
