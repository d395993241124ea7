"""The quickstart notebook: in step with its script, run from start to end by a kernel, and again by Python alone."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from leuk_hf import LeukDenseNet, predict
from leuk_hf.model_card import results_table

ROOT = Path(__file__).parent.parent
SCRIPT, NOTEBOOK = ROOT / "scripts" / "quickstart.py", ROOT / "scripts" / "quickstart.ipynb"
WORK = Path("runs") / "quickstart"


def content(notebook):
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def environment(home):
    """One thread, nobody logged in, no network."""
    kept = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "REPO_ID")}
    nowhere = "http://127.0.0.1:9"
    own = {"PYTHONPATH": str(ROOT), "HF_HOME": str(home / "huggingface"), "IPYTHONDIR": str(home / "ipython")}
    return {**kept, **own, "OMP_NUM_THREADS": "1", "HF_ENDPOINT": nowhere, "HTTPS_PROXY": nowhere}


def repository_files():
    files = [path for folder in ("leuk_hf", "scripts") for path in (ROOT / folder).rglob("*")]
    seen = {path: path.stat().st_mtime_ns for path in files if path.is_file() and "__pycache__" not in path.parts}
    return seen, {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The folder the notebook ran in, its outputs by cell, and the kernel's seconds of processor time."""
    folder, home = tmp_path_factory.mktemp("executed"), tmp_path_factory.mktemp("home")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import time; print(time.process_time())"))
    before = repository_files()
    client = NotebookClient(
        notebook, timeout=3600, startup_timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute(env=environment(home))
    assert repository_files() == before
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    return folder, outputs[:-1], float(outputs[-1][0].text)


def shown(outputs, kind):
    return [output.data[kind] for cell in outputs for output in cell if kind in output.get("data", {})]


def printed(cell):
    return "".join(output.text for output in cell if output.get("name") == "stdout")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_notebook_is_made_from_the_script():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert content(notebook) == content(jupytext.read(SCRIPT)), "run jupytext --to ipynb --update on the script"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 8
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_it_runs_from_start_to_end_and_keeps_to_its_folder(executed):
    folder, outputs, seconds = executed
    assert seconds < 90
    assert [path.name for path in folder.iterdir()] == ["runs"]
    assert [path.name for path in (folder / "runs").iterdir()] == ["quickstart"]
    assert len(shown(outputs, "image/png")) == 4  # a field, curves, confusion matrix, Grad-CAM
    assert printed(outputs[-1]).startswith("Nothing is pushed: ")


def test_the_figures_shown_are_those_of_the_checkpoint(executed):
    folder, outputs, _ = executed
    work = folder / WORK
    tested = [row for row in rows_of(work / "run" / "split.csv") if row["split"] == "test"]
    model = LeukDenseNet.from_pretrained(work / "run" / "checkpoint")
    answers = predict(model, [work / "smears" / row["file"] for row in tested])
    right = sum(answer.label == row["label"] for answer, row in zip(answers, tested, strict=True))
    results = json.loads((work / "run" / "checkpoint" / "results.json").read_text(encoding="utf-8"))
    entry = results["protocols"]["grouped"]
    assert entry["num_fields"] == len(tested) >= 12
    assert entry["metrics"]["accuracy"]["value"] == pytest.approx(right / len(tested), abs=1e-6)
    assert right / len(tested) > 0.4  # it learned something; chance is a quarter
    tables = shown(outputs, "text/markdown")
    assert results_table({"protocols": {"grouped": entry}}) in tables
    (audited,) = [table for table in tables if "leukocytes removed, inpainted" in table]
    rows = results["audit"]["quickstart"]["rows"]
    assert rows["as it is"]["accuracy"]["value"] == pytest.approx(right / len(tested), abs=1e-6)
    assert f"| {100 * rows['leukocytes removed, inpainted']['accuracy']['value']:.1f} % (" in audited
    group_of = {row["file"]: row["group"] for row in rows_of(work / "groups.csv")}
    parts = {(group_of[row["file"]], row["split"]) for row in rows_of(work / "run" / "split.csv")}
    assert len(parts) == len({group for group, _ in parts})  # no group crosses parts


def test_the_folder_to_push_says_what_it_was_made_of(executed):
    folder, _, _ = executed
    repository = folder / WORK / "repository"
    assert (repository / "quickstart.ipynb").read_bytes() == NOTEBOOK.read_bytes()
    card = (repository / "README.md").read_text(encoding="utf-8")
    assert "Synthetic fields drawn by leuk_hf" in card and "Kaggle" not in card.split("## How to start")[1]
    results = json.loads((repository / "results.json").read_text(encoding="utf-8"))
    assert results_table(results) in card and "leukocytes removed, inpainted" in card


def test_python_alone_makes_the_same_weights_and_pushes_them(executed, loopback_hub, tmp_path):
    folder, _, _ = executed
    loopback_hub.add_user("ada", "hf_ada")
    again = tmp_path / "again"
    again.mkdir()
    hub = loopback_hub.environment(tmp_path / "home", token="hf_ada")
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "REPO_ID": "ada/quickstart"}
    options = {"cwd": again, "env": {**hub, **own}, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, str(SCRIPT)], check=False, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    repo = loopback_hub.repo("model", "ada/quickstart")
    assert repo.private and f"commit {repo.at().oid}" in done.stdout
    assert "what the Hub gives back is the same model" in done.stdout
    pushed = repo.files()
    assert pushed["quickstart.ipynb"] == NOTEBOOK.read_bytes()
    assert pushed["model.safetensors"] == (folder / WORK / "run" / "checkpoint" / "model.safetensors").read_bytes()
    assert not [name for name, content in pushed.items() if str(again).encode() in content]
    made = again / WORK / "repository"
    for path in made.rglob("*"):
        assert path.is_dir() or pushed[path.relative_to(made).as_posix()] == path.read_bytes(), path
    for name in ("groups.csv", "run/split.csv", "run/checkpoint/model.safetensors"):
        assert (again / WORK / name).read_bytes() == (folder / WORK / name).read_bytes(), name
    ours, theirs = (
        json.loads((place / WORK / "run" / "checkpoint" / "results.json").read_text(encoding="utf-8"))
        for place in (again, folder)
    )
    assert ours["protocols"]["grouped"]["metrics"] == theirs["protocols"]["grouped"]["metrics"]
    assert ours["audit"]["quickstart"]["rows"] == theirs["audit"]["quickstart"]["rows"]
