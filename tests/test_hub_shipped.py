"""The shipped checkpoint over HTTP: pushed by the script, it gives a fresh process and cache the very same logits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from loopback_hub import LoopbackHub

from leuk_hf import predict
from leuk_hf.checkpoint_io import SHIPPED_CHECKPOINT
from leuk_hf.model import LeukDenseNet

ROOT = Path(__file__).parent.parent
# Both roads, of the Hub's repository first: what is here cannot help it.
LOAD = """
import json, sys
import numpy as np, torch
from leuk_hf import LeukDenseNet, load_predictor, predict
commit, field = sys.argv[1:]

def logits(*source, backend, **options):
    predictor = load_predictor(*source, backend=backend, precision="float32", num_threads=1, **options)
    outputs = predictor.run(predictor.preprocess([field]))
    return [outputs.logits.tolist(), float(np.abs(outputs.maps).sum()), predictor.identity]

def network(*source, **options):
    model = LeukDenseNet.from_pretrained(*source, **options)
    with torch.no_grad():
        return model(model.preprocess([field])).tolist()

hub = {"onnx": logits("ada/leuk", backend="onnxruntime", revision=commit)}
print("GRAPH", flush=True)
sys.stdin.readline()
hub["torch"] = logits("ada/leuk", backend="torch", revision=commit)
hub["network"] = network("ada/leuk", revision=commit)
print("WEIGHTS", flush=True)
sys.stdin.readline()
here = {"onnx": logits(backend="onnxruntime"), "torch": logits(backend="torch"), "network": network()}
again = logits("ada/leuk", backend="onnxruntime", revision=commit)
print(json.dumps([hub, here, again]), flush=True)
"""


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        yield hub


@pytest.fixture(scope="module")
def pushed(hub, tmp_path_factory):
    """The repository that the script makes of the shipped checkpoint, and its commit."""
    environment = {**hub.environment(tmp_path_factory.mktemp("home"), "hf_ada"), "OMP_NUM_THREADS": "1"}
    push = [sys.executable, ROOT / "scripts" / "push_to_hub.py", "--repo", "ada/leuk"]
    done = subprocess.run(push, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (commit,) = re.findall("commit ([0-9a-f]{40})", done.stdout)
    return hub.repo("model", "ada/leuk"), commit


def test_torch_and_onnx_give_the_very_logits_of_the_shipped_files(hub, pushed, tmp_path):
    repo, commit = pushed
    assert repo.at().oid == commit
    for name in ("config.json", "model.safetensors", "model.onnx", "export.json", "split.csv"):
        assert repo.files()[name] == (SHIPPED_CHECKPOINT / name).read_bytes(), name
    environment = {**hub.environment(tmp_path / "fresh"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    field = ROOT / "leuk_hf" / "assets" / "examples" / "synthetic-Pro.png"
    seen = len(hub.requests)
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD, commit, str(field)], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def fetched():
        process.stdin.write("\n")
        process.stdin.flush()
        return [request.path.split("/")[-1] for request in hub.requests[seen:] if request.method == "GET"]

    assert process.stdout.readline() == "GRAPH\n"
    assert fetched() == ["export.json", "config.json", "model.onnx"]  # of the weights the hash alone was asked for
    assert process.stdout.readline() == "WEIGHTS\n"
    seen_of_weights = len(hub.requests)
    assert fetched() == ["export.json", "config.json", "model.onnx", "model.safetensors"]
    there, here, again = json.loads(process.stdout.readline())
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    process.stdout.close()
    assert there == here and again == here["onnx"] and len(hub.requests) == seen_of_weights
    assert len(there["network"][0]) == len(there["onnx"][0][0]) == 4


def test_the_card_of_the_published_repository_has_its_samples(pushed, tmp_path):
    repo, _ = pushed
    (tmp_path / "README.md").write_bytes(repo.files()["README.md"])
    widget = ModelCard.load(tmp_path / "README.md").data.to_dict()["widget"]
    assert [sample["src"] for sample in widget] == sorted(
        name for name in repo.files() if name.startswith("examples/")
    )
    assert len(widget) == 4
    (tmp_path / "field.png").write_bytes(repo.files()[widget[1]["src"]])
    probabilities = predict(LeukDenseNet.from_pretrained(), tmp_path / "field.png")[0].probabilities
    shown = {one["label"]: one["score"] for one in widget[1]["output"]}
    assert shown == pytest.approx(probabilities, abs=1e-4)


def test_the_folder_answers_without_an_installation_as_its_card_says(pushed, tmp_path):
    repo, _ = pushed
    for name, content in repo.files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    card = repo.files()["README.md"].decode()
    start = card.split("## How to start")[1].split("## ")[0]
    assert "pip install -r requirements.txt" in start and "no package index" in start
    example = re.search(r"```python\n(.*?)```", start, re.DOTALL)[1]
    # From the folder itself, and not from the checkout that is installed here.
    code = f"{example}\nimport leuk_hf; print(leuk_hf.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answer, package = done.stdout.splitlines()
    expected = predict(LeukDenseNet.from_pretrained(), tmp_path / "examples" / "synthetic-Pre.png")[0]
    assert answer.startswith(f"{expected.label} {{") and Path(package).parent == tmp_path / "leuk_hf"
