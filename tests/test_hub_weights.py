"""Weights pushed alone onto repositories that hold more, over HTTP: nothing goes on to speak of other weights."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from loopback_hub import LoopbackHub

from leuk_hf import LeukDenseNet, predict
from leuk_hf.export_record import settings_sha256
from leuk_hf.hub_cards import is_unedited, marked
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent
# Every case in one process, since importing torch costs seconds: each line is a call, each answer what came of it.
CLIENT = """
import json, sys, warnings
from leuk_hf import LeukDenseNet, load_predictor
from leuk_hf.errors import LeukError
print("READY", flush=True)
for line in sys.stdin:
    call = json.loads(line)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            if call.pop("do") == "push":
                answer = {"oid": LeukDenseNet.from_pretrained(call.pop("weights")).push_to_hub(**call).oid}
            else:
                answer = {"backend": load_predictor(call.pop("source"), **call).backend}
        except LeukError as error:
            answer = {"error": str(error)}
    # Where a warning points is what its reader sees: the line that pushed, not the package's own.
    answer["warnings"] = [str(each.message) for each in caught if each.category is UserWarning]
    answer["places"] = [each.filename for each in caught if each.category is UserWarning]
    print("ANSWER" + json.dumps(answer), flush=True)
"""
FIGURES = "model-index:\n- name: leuk_hf\n  results: []\n"
RESULTS = (".gitattributes", "README.md", "config.json", "examples/a.png", "handler.py", "model.safetensors")


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        yield hub


@pytest.fixture(scope="module")
def ask(hub, tmp_path_factory):
    environment = {**hub.environment(tmp_path_factory.mktemp("home"), "hf_ada"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT], env={**environment, "OMP_NUM_THREADS": "1"}, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip

    def ask(**call):
        process.stdin.write(json.dumps(call) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("ANSWER"):
                return json.loads(line.removeprefix("ANSWER"))
        raise RuntimeError("the client ended")

    yield ask
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two checkpoints; the first in half precision, as released ones are."""
    top = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(("first", "second")):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64))
        if not seed:
            model.features.conv0.half()
        model.save_pretrained(top / name)
    render_smear("Pre-B", seed=0, image_size=64).save(top / "a.png")
    return top


def record_of(folder, graph):
    return json.dumps({
        "schema_version": 1, "identity": "x", "settings_sha256": settings_sha256(folder / "config.json"),
        "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "map_layer": "norm5", "beside_weights": True, "graphs": {"model.onnx": hashlib.sha256(graph).hexdigest()},
    }).encode()  # fmt: skip


@pytest.fixture
def whole(hub, folders, request):
    """What scripts/push_to_hub.py leaves: the first weights with all that was made from them."""
    first = folders / "first"
    card = f"---\nlicense: mit\n{FIGURES}---\n\n# A model\n\nAccuracy 0.9.\n"
    files = {
        **{name: (first / name).read_bytes() for name in ("config.json", "model.safetensors")},
        **{"README.md": marked(card).encode(), "examples/a.png": (folders / "a.png").read_bytes()},
        **{"results.json": b"{}", "training.json": b"{}", "split.csv": b"file,split\n", "plots/audit.png": b"plot"},
        **{"model.onnx": b"graph", "openvino_model.xml": b"graph", "openvino_model.bin": b"graph"},
        **{"export.json": record_of(first, b"graph"), "handler.py": b"pass"},
    }
    return hub.add_repo("model", f"ada/{request.node.name.split('[')[0].replace('test_', '')[:40]}", files)


def edit(hub, repo, old, new):
    """Change the card as somebody does on the Hub's page."""
    files = repo.files()
    return hub.add_repo("model", repo.repo_id, {**files, "README.md": files["README.md"].replace(old, new)})


def test_the_same_weights_change_nothing(hub, ask, folders, whole):
    before = whole.at()
    said = ask(do="push", weights=str(folders / "first"), repo_id=whole.repo_id)
    assert said == {"oid": before.oid, "warnings": [], "places": []} and whole.at() == before
    # By the short name, too, which is the token's own user's.
    said = ask(do="push", weights=str(folders / "first"), repo_id=whole.repo_id.removeprefix("ada/"))
    assert said["oid"] == before.oid and whole.at() == before
    card = {"training": None, "data_name": "slides of my own"}
    said = ask(do="push", weights=str(folders / "first"), repo_id=whole.repo_id, model_card_kwargs=card)
    changed = {name for name, content in whole.files().items() if content != before.files[name].content}
    assert changed == {"README.md"} and b"slides of my own" in whole.files()["README.md"]
    assert set(whole.files()) == set(before.files)


def test_other_weights_take_what_was_made_from_the_first_with_them(hub, ask, folders, whole, tmp_path):
    before, commits = whole.at(), len(whole.history())
    said = ask(do="push", weights=str(folders / "second"), repo_id=whole.repo_id)
    assert said["oid"] == whole.at().oid and len(whole.history()) == commits + 1
    assert sorted(whole.files()) == list(RESULTS)
    assert said["warnings"] == [
        f"{whole.repo_id} had other weights; what told of them is replaced or deleted: export.json, model.onnx,"
        " openvino_model.bin, openvino_model.xml, plots/audit.png, results.json, split.csv, training.json, README.md;"
        " scripts/push_to_hub.py publishes the like for these"
    ]
    assert said["places"] == ["<string>"]
    card = whole.files()["README.md"].decode()
    assert is_unedited(card) and "Accuracy 0.9" not in card and "model-index" not in card
    assert "No evaluation is recorded with these weights." in card
    assert f"What this repository showed up to commit `{before.oid}` is of those, not of these." in card
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    (sample,) = ModelCard.load(tmp_path / "README.md").data.to_dict()["widget"]
    answer = predict(LeukDenseNet.from_pretrained(folders / "second"), folders / "a.png")[0].probabilities
    assert sample["src"] == "examples/a.png"
    assert {one["label"]: one["score"] for one in sample["output"]} == pytest.approx(answer, abs=1e-4)
    again = ask(do="push", weights=str(folders / "second"), repo_id=whole.repo_id)
    assert again == {"oid": said["oid"], "warnings": [], "places": []}


def test_a_card_with_figures_that_was_edited_there_is_never_left_beside_other_weights(hub, ask, folders, whole):
    repo = edit(hub, whole, b"# A model", b"# My model")
    before = repo.at()
    call = {"do": "push", "weights": str(folders / "second"), "repo_id": repo.repo_id}
    assert ask(**call)["error"] == (
        f"README.md of {repo.repo_id} was edited on the Hub and has the model-index of other weights; take that out"
        " there, or replace the card by overwrite_card=True"
    )
    assert repo.at() == before
    kept = ask(**{**call, "weights": str(folders / "first")})
    assert kept["warnings"] == [f"the card of {repo.repo_id} was edited on the Hub and is kept"]
    assert kept["oid"] == before.oid and repo.at() == before
    ask(**call, overwrite_card=True)
    assert b"# My model" not in repo.files()["README.md"] and "results.json" not in repo.files()


def test_an_edited_card_without_figures_stays(hub, ask, folders, whole):
    repo = edit(hub, whole, f"{FIGURES}---\n\n# A model\n\nAccuracy 0.9.".encode(), b"---\n\n# By hand")
    card = repo.files()["README.md"]
    said = ask(do="push", weights=str(folders / "second"), repo_id=repo.repo_id)
    assert repo.files()["README.md"] == card and sorted(repo.files()) == list(RESULTS)
    assert len(said["warnings"]) == 2 and said["warnings"][1].endswith("was edited on the Hub and is kept")
    assert said["places"] == ["<string>", "<string>"]


def test_whoever_chooses_the_files_gets_just_those(hub, ask, folders, whole):
    before = whole.at()
    ask(do="push", weights=str(folders / "second"), repo_id=whole.repo_id, allow_patterns="README.md")
    changed = {name for name in before.files if whole.files().get(name) != before.files[name].content}
    assert changed == {"README.md"}


@pytest.mark.parametrize("beside", [True, False])
def test_a_graph_beside_other_weights_is_not_used(hub, ask, folders, whole, beside):
    """As by `hf upload` of weights alone, or by an earlier leuk_hf."""
    record = json.loads(whole.files()["export.json"]) | {"beside_weights": beside}
    weights = (folders / "second" / "model.safetensors").read_bytes()
    repo = hub.add_repo(
        "model", whole.repo_id,
        {**whole.files(), "model.safetensors": weights, "export.json": json.dumps(record).encode()},
    )  # fmt: skip
    seen = len(hub.requests)
    sentence = f"{repo.repo_id}: the exported graph was made from other weights; export it again"
    assert ask(do="load", source=repo.repo_id, backend="onnxruntime")["error"] == sentence
    assert not [request for request in hub.requests[seen:] if request.path.endswith(".onnx")]
    said = ask(do="load", source=repo.repo_id)
    if beside:
        assert said["backend"] == "torch" and said["warnings"][0].startswith(f"{sentence}; another backend is used")
    else:
        assert said["error"] == sentence
