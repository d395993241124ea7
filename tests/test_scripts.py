"""The command line, run as users run it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def fields(tmp_path):
    folder = tmp_path / "fields [a]"
    folder.mkdir()
    for number, name in enumerate(("Benign", "Pro-B")):
        render_smear(name, seed=number, image_size=64).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("not an image, and not looked at")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder


def run(name, *arguments, text=None):
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, text=True)


def test_predict_folder_to_every_output(checkpoint, fields, tmp_path):
    out = tmp_path / "out"
    done = run(
        "predict.py", fields, "--model", checkpoint, "--jsonl", out / "p.jsonl", "--csv", out / "p.csv",
        "--overlays", out / "maps", "--target", "Pro-B", "--layer", "denseblock3", "--opacity", "1",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    rows = [json.loads(line) for line in (out / "p.jsonl").read_text().splitlines()]
    assert [Path(row["file"]).name for row in rows] == ["0.png", "1.png", "broken.jpg"]
    assert list(rows[0]) == [
        "file", "label", "probabilities", "prediction_set", "in_distribution_score", "answered", "reasons", "error"
    ]  # fmt: skip
    assert rows[0]["error"] is None and abs(sum(rows[0]["probabilities"].values()) - 1) < 1e-9
    assert rows[2]["label"] is None and "broken.jpg" in rows[2]["error"] and rows[2]["answered"] is False
    table = list(csv.DictReader((out / "p.csv").open()))
    assert float(table[1]["probability Pro-B"]) == rows[1]["probabilities"]["Pro-B"]
    assert table[2]["error"] == rows[2]["error"]
    maps = sorted((out / "maps").iterdir())
    assert [path.name for path in maps] == ["00001-0.png", "00002-1.png"]
    assert Image.open(maps[0]).size == (64, 64)
    assert "1.png" in done.stdout and "ERROR" in done.stdout and "Traceback" not in done.stderr
    assert not list(out.glob(".*"))


def test_predict_list_on_standard_input_to_standard_output(checkpoint, fields):
    listed = f"{fields / '1.png'}\n\n{fields / 'nothing.png'}\n{fields / '0.png'}\n"
    done = run("predict.py", "-", "--model", checkpoint, "--jsonl", "-", text=listed)
    rows = [json.loads(line) for line in done.stdout.splitlines()]  # nothing else may be on standard output
    assert [Path(row["file"]).name for row in rows] == ["1.png", "nothing.png", "0.png"]
    assert rows[1]["error"].endswith("nothing.png does not exist or is no regular file; check the path")
    assert done.returncode == 1


def test_predict_glob_and_success(checkpoint, fields):
    done = run("predict.py", str(fields.parent / "fields*" / "?.png"), "--model", checkpoint)
    assert done.returncode == 0 and len(done.stdout.splitlines()) >= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "Cat", "--overlays", "unused"], "there is no class 'Cat'"),
        (["--layer", "top", "--overlays", "unused"], "there is no layer 'top'"),
        (["--layer", "denseblock1"], "give --overlays FOLDER too"),
        (["--csv", "."], ". is a folder"),
        (["--csv", "same", "--jsonl", "same"], "name the same file"),
        (["--opacity", "2"], "--opacity"),
        (["--model", "./missing"], "there is no folder ./missing"),
        (["--model", "nobody/nothing"], "the Hub cannot be reached"),
    ],
)
def test_predict_mistakes_get_one_sentence(checkpoint, fields, arguments, message):
    done = run("predict.py", fields / "0.png", "--model", checkpoint, *arguments)
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.startswith("error: ") and len(done.stderr.strip().splitlines()) == 1


def test_csv_defuses_formulas(checkpoint, tmp_path):
    name = tmp_path / "=1+1.png"
    done = run("predict.py", "=1+1.png", "--model", checkpoint, "--csv", tmp_path / "out.csv")
    assert done.returncode == 1 and not name.exists()
    (row,) = csv.DictReader((tmp_path / "out.csv").open())
    assert row["file"] == "'=1+1.png"


def test_evaluate_writes_results_and_plots(checkpoint, smear_folder, tmp_path):
    out = tmp_path / "results"
    done = run(
        "evaluate.py", "--model", checkpoint, "--source", smear_folder, "--output", out, "--protocol", "synthetic"
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((out / "results.json").read_text())
    entry = results["protocols"]["synthetic"]
    assert entry["part"] == "all" and entry["num_fields"] == sum(map(sum, entry["confusion_matrix"]))
    assert entry["command"].startswith("python scripts/evaluate.py") and entry["versions"]["torch"]
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    assert sum(row["true"] == row["predicted"] for row in rows) / len(rows) == pytest.approx(
        entry["metrics"]["accuracy"]["value"], abs=1e-6
    )
    for plot in ("confusion_matrix.png", "roc_curves.png", "grad_cam.png"):
        assert Image.open(out / plot).width > 300
    again = run("evaluate.py", "--model", checkpoint, "--source", smear_folder, "--output", out, "--protocol", "other")
    assert again.returncode == 0
    assert set(json.loads((out / "results.json").read_text())["protocols"]) == {"synthetic", "other"}


def test_evaluate_leaves_classes_out(checkpoint, smear_folder, tmp_path):
    out = tmp_path / "results"
    options = ["--model", checkpoint, "--source", smear_folder, "--output", out, "--protocol", "acquisition"]
    assert run("evaluate.py", *options).returncode == 0
    everything = list(csv.DictReader((out / "predictions.csv").open()))
    done = run("evaluate.py", *options, "--without", "Pro", "Early Pre-B")  # a folder's name counts as its class
    assert done.returncode == 0, done.stderr
    entries = json.loads((out / "results.json").read_text())["protocols"]
    name = "acquisition, without Early Pre-B and Pro-B"
    assert set(entries) == {"acquisition", name}
    assert f"Protocol `{name}`, part `all`: 4 fields" in done.stdout
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    for row in (*rows, *everything):
        del row["group"]  # a number within what is evaluated
    assert rows == [row for row in everything if row["true"] in ("Benign", "Pre-B")] and len(rows) == 4
    entry = entries[name]
    assert [sum(row) for row in entry["confusion_matrix"]] == [2, 0, 2, 0] and entry["num_fields"] == 4
    assert entry["metrics"]["accuracy"]["value"] == sum(row["true"] == row["predicted"] for row in rows) / 4
    assert entry["per_class"]["Pro-B"]["sensitivity"] == {"value": None, "interval": None}
    assert entry["per_class"]["Benign"] != entries["acquisition"]["per_class"]["Benign"]
    assert entry["command"].endswith("--without Pro 'Early Pre-B'")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Cat"], "there is no class 'Cat' to leave out; the classes are Benign, Early Pre-B, Pre-B, Pro-B"),
        (["Benign", "Early", "Pre", "Pro"], "all classes are left out"),
    ],
)
def test_evaluate_refuses_classes_that_cannot_be_left_out(checkpoint, smear_folder, tmp_path, names, message):
    out = tmp_path / "results"
    done = run(
        "evaluate.py", "--model", checkpoint, "--source", smear_folder, "--output", out, "--without", *names
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.strip().splitlines()) == 1 and not out.exists()


def test_evaluate_reads_tables_before_fields(tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("file,split\na.png,train\n", encoding="utf-8")
    common = ("evaluate.py", "--source", tmp_path / "nowhere", "--output", tmp_path / "results")
    for options, told in (
        (["--split", table], "own.csv has no part 'test'; it has train"),
        (["--groups", table], "own.csv is no group table: it needs the columns file and group"),
    ):
        done = run(*common, *options)
        assert done.returncode == 2 and told in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_evaluate_mistake_gets_one_sentence(checkpoint, tmp_path):
    out = tmp_path / "results"
    done = run("evaluate.py", "--model", checkpoint, "--source", tmp_path / "nowhere", "--output", out)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert not out.exists()  # a mistake leaves nothing behind
