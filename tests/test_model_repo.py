"""The folder of a model repository: files, card against results.json, samples, endpoint handler in a process alone."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

from leuk_hf import LeukDenseNet, predict
from leuk_hf.cross_validation import spread
from leuk_hf.errors import CheckpointError, HubError
from leuk_hf.model_index import DATASET
from leuk_hf.model_repo import OBSOLETE, assemble_model_repo, serving_requirements
from leuk_hf.results import Results, summarise
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent


def figures(seed):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet([1, 1, 1, 1], 40)
    names = ("Benign", "Early Pre-B", "Pre-B", "Pro-B")
    return summarise(
        [Results(names, tuple(map(str, range(40))), np.arange(40) % 4, probabilities, np.arange(40))],
        num_resamples=20,
    )


SPREADS = {
    name: spread([0.5, 0.6]) for name in ("balanced_accuracy", "accuracy", "mean_auroc", "expected_calibration_error")
}


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    folder = tmp_path / "checkpoint"
    tiny_model.save_pretrained(folder)
    comparison = {
        "protocol": "grouped",
        "part": "test",
        "without": [],
        "runs": [{"fold": 0, "seed": 0}, {"fold": 1, "seed": 0}],
        "recipes": {
            name: {**figures(seed), "single_runs": SPREADS, "changes": {}}
            for seed, name in enumerate(("plain", "default"))
        },
        "command": "python compare",
    }
    own = {"part": "test", **figures(7), "command": "python me"}
    results = {"protocols": {"random": own, "grouped, recipes": comparison}}
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    return folder


def assembled(checkpoint, folder, **options):
    assemble_model_repo(checkpoint, folder, **options)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_a_repository_holds(checkpoint, tmp_path):
    files = assembled(checkpoint, tmp_path / "repository")
    for name in ("config.json", "model.safetensors", "results.json"):
        assert files[name] == (checkpoint / name).read_bytes()
    assert {"README.md", "handler.py", "requirements.txt", "plots/confusion-random.png",
            "plots/reliability-random.png",
            "examples/synthetic-Pre.png", "leuk_hf/endpoint.py"} <= set(files)  # fmt: skip
    assert not any(
        name.startswith(("leuk_hf/space/", "leuk_hf/checkpoint/")) or "__pycache__" in name for name in files
    )
    assert "gradio" not in files["requirements.txt"].decode() and "opencv-python-headless" in serving_requirements()
    assert all(">=" in line and "<" in line for line in serving_requirements().splitlines())
    pixel_values = torch.zeros(1, 3, 64, 64)
    ours, theirs = (LeukDenseNet.from_pretrained(place) for place in (checkpoint, tmp_path / "repository"))
    assert torch.equal(ours(pixel_values), theirs(pixel_values))
    assert assembled(checkpoint, tmp_path / "again") == files


def test_the_hub_finds_a_notebook_to_open(checkpoint, tmp_path):
    files = assembled(checkpoint, tmp_path / "repository")
    assert files["quickstart.ipynb"] == (ROOT / "scripts" / "quickstart.ipynb").read_bytes()
    notebook = json.loads(files["quickstart.ipynb"])
    assert notebook["nbformat"] == 4 and notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "quickstart.ipynb" in OBSOLETE  # a version without it takes it away


def test_the_index_holds_the_figures_of_every_protocol(checkpoint, tmp_path):
    assemble_model_repo(checkpoint, tmp_path / "repository")
    card = ModelCard.load(tmp_path / "repository" / "README.md")
    results = json.loads((checkpoint / "results.json").read_text(encoding="utf-8"))["protocols"]
    data = card.data
    assert data.library_name == "leuk_hf" and data.pipeline_tag == "image-classification" and data.license == "mit"
    assert "base_model" not in data.to_dict()
    index = {(one.dataset_config, one.metric_name): one.metric_value for one in data.eval_results}
    expected = {
        ("random", name.replace("_", " ")): figure["value"] for name, figure in results["random"]["metrics"].items()
    } | {
        ("random", f"{name} {measure}"): figures[measure]["value"]
        for name, figures in results["random"]["per_class"].items()
        for measure in ("sensitivity", "specificity", "precision")
    }
    assert index == expected and len(expected) > 15
    assert {one.dataset_split for one in data.eval_results} == {"test"}
    with_recipe = LeukDenseNet.from_pretrained(checkpoint).generate_model_card(
        results={"protocols": results}, training={**TRAINING, "recipe": "default"}
    )
    recipe = [one for one in with_recipe.data.eval_results if one.dataset_config == "grouped, recipes"]
    value = results["grouped, recipes"]["recipes"]["default"]["metrics"]["accuracy"]["value"]
    assert next(one.metric_value for one in recipe if one.metric_name == "accuracy") == value
    assert all(one.dataset_name.endswith("protocol grouped, recipe default, 2 runs") for one in recipe)
    assert len(recipe) > 15 and not any("plain" in one.dataset_name for one in with_recipe.data.eval_results)
    assert with_recipe.data.to_dict().get("base_model") is None
    begun = LeukDenseNet.from_pretrained(checkpoint).generate_model_card(
        training={**TRAINING, "starting_weights": "imagenet"}
    )
    assert begun.data.base_model == "timm/densenet121.tv_in1k"
    for split, said in (
        ("a", "on the same split:"),
        ("b", "on another split, so that fields evaluated here may have"),
    ):
        stages = {**TRAINING, "starting_weights": "runs/first/checkpoint", "split_sha256": "a"}
        stages["started_from"] = {**TRAINING, "split_sha256": split, "command": "the first command"}
        card = str(LeukDenseNet.from_pretrained(checkpoint).generate_model_card(training=stages))
        (before,) = [line for line in card.splitlines() if line.startswith("| stage 1 of 2 |")]
        assert (
            "recipe `plain`, 5 epochs, from scratch" in before and said in before and "`the first command`" in before
        )
        assert "| recipe | `plain`, from the weights of the stage before |" in card and "runs/first" not in card
        assert "3.0 hours\nin its 2 stages together, trials not counted" in card
        assert "was exchanged on the way" not in card
    config = {**TRAINING["config"], "stretch": 1.3, "no_evidence_share": 0.1}
    for given, is_told in ((config, True), ({**config, "stretch": 1.0, "no_evidence_share": 0.0}, False)):
        card = str(
            LeukDenseNet.from_pretrained(checkpoint).generate_model_card(training={**TRAINING, "config": given})
        )
        said = "; half of the fields stretched across, by up to 1.3; 10 % of the samples without evidence |"
        assert (said in card) is is_told and ("stretched" in card) is is_told
    fit = {"file": "new.safetensors", "sha256": 64 * "a"}
    told = {**fit, "steps": 7, "command": "fit it", "commit": None, "weights": {"file": "w", "sha256": 64 * "b"}}
    for entry, said in (
        (fit, f"- After stage 1 of 2: `new.safetensors` (SHA-256 {12 * 'a'})\n"),
        (
            told,
            f"- After stage 1 of 2: `new.safetensors` (SHA-256 {12 * 'a'}), fitted further, from `w` (SHA-256"
            f" {12 * 'b'}), in 7 steps: `fit it`, commit not known\n",
        ),
    ):
        exchanged = {**stages, "started_from": {**stages["started_from"], "leukocyte_network": entry}}
        card = str(LeukDenseNet.from_pretrained(checkpoint).generate_model_card(training=exchanged))
        assert said in card and card.count("was exchanged on the way") == 1
    three = str(
        LeukDenseNet.from_pretrained(checkpoint).generate_model_card(
            training={**TRAINING, "started_from": {**stages, "seconds": 0}}
        )
    )
    rows = [line for line in three.splitlines() if line.startswith("| stage")]
    assert len(rows) == 2 and rows[0].startswith("| stage 1 of 3 |") and "from scratch" in rows[0]
    assert rows[1].startswith("| stage 2 of 3 |") and "from the weights of the stage before" in rows[1]


TRAINING = {
    "recipe": "plain",
    "starting_weights": "scratch",
    "protocol": "grouped",
    "fold": 2,
    "fields": {"train": {"Benign": 3, "Pre-B": 4}, "test": {"Benign": 1, "Pre-B": 1}},
    "config": {"num_epochs": 5, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.001, "schedule": "one-cycle",
               "weight_decay": 0.05, "label_smoothing": 0.1, "seed": 3},
    "best": {"epoch": 4},
    "num_processes": 2,
    "seconds": 5400.0,
    "command": "accelerate launch scripts/train.py",
    "commit": "0" * 40,
    "date": "2026-01-02",
    "versions": {"torch": "2.14"},
}  # fmt: skip


def test_the_card_says_how_the_weights_were_made(tiny_model):
    text = str(tiny_model.generate_model_card(training=TRAINING))
    for part in ("train 7, test 2 fields", "`grouped`, fold 2", "epoch 4", "5 epochs",
                 "learning rate 0.001", "1.5 hours", "2 processes",
                 "`accelerate launch scripts/train.py`", "emissions were not measured"):  # fmt: skip
        assert part in text, part
    assert DATASET in text
    unknown = str(tiny_model.generate_model_card(data_name="slides of my own"))
    assert (
        "slides of my own." in unknown
        and "is not recorded" in unknown
        and "Kaggle" not in unknown.split("How to start")[1]
    )
    for card in (text, unknown):
        assert "More Information Needed" not in card and "{{" not in card and "{%" not in card
        order = [card.index(f"\n## {name}") for name in (
            "Model details", "Uses", "Bias, risks", "How to start", "Training details", "Evaluation",
            "Environmental impact", "Glossary", "Citation")]  # fmt: skip
        assert order == sorted(order)


def test_records_name_no_folder_of_the_machine_they_were_made_on(checkpoint, tmp_path):
    here = {"command": "python scripts/train.py --source '/home/ada/my smears/all' --output=/home/ada/runs/x --fold 1",
            "config": {"source": "/home/ada/my smears/all", "output": "C:\\Users\\ada\\x", "groups": "me/groups@v1"},
            "note": "see https://example.org/a/b, ada's 3/4 and ~/x/y.csv", "versions": {"torch": "2.14"}}  # fmt: skip
    results = json.loads((checkpoint / "results.json").read_text(encoding="utf-8"))
    results["protocols"]["random"]["command"] = "python scripts/evaluate.py --model /home/ada/runs/x"
    for name, content in (("training.json", {**TRAINING, **here}), ("results.json", results)):
        (checkpoint / name).write_text(json.dumps(content), encoding="utf-8")
    files = assembled(checkpoint, tmp_path / "repository")
    assert not [name for name, content in files.items() if b"/home/ada" in content or b"Users" in content]
    published = json.loads(files["training.json"])
    assert published == {**TRAINING, **here, **{
        "command": "python scripts/train.py --source all --output=x --fold 1",
        "config": {"source": "all", "output": "x", "groups": "me/groups@v1"},
        "note": "see https://example.org/a/b, ada's 3/4 and y.csv",
    }}  # fmt: skip
    results["protocols"]["random"]["command"] = "python scripts/evaluate.py --model x"
    assert json.loads(files["results.json"]) == results
    assert "`python scripts/evaluate.py --model x`" in files["README.md"].decode()


def test_samples_carry_the_checkpoints_own_answers(checkpoint, tmp_path):
    assemble_model_repo(checkpoint, tmp_path / "repository")
    widget = ModelCard.load(tmp_path / "repository" / "README.md").data.to_dict()["widget"]
    assert len(widget) == 4
    model = LeukDenseNet.from_pretrained(checkpoint)
    for sample in widget:
        probabilities = predict(model, tmp_path / "repository" / sample["src"])[0].probabilities
        scores = [one["score"] for one in sample["output"]]
        assert scores == sorted(scores, reverse=True)
        assert {one["label"]: one["score"] for one in sample["output"]} == pytest.approx(probabilities, abs=1e-4)


def test_what_cannot_be_published_is_said(checkpoint, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(HubError, match="holds something else"):
        assemble_model_repo(checkpoint, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "precious"
    (checkpoint / "results.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"results\.json is damaged"):
        assemble_model_repo(checkpoint, tmp_path / "repository")
    (checkpoint / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")
    with pytest.raises(CheckpointError):
        assemble_model_repo(checkpoint, tmp_path / "repository")
    assert not (tmp_path / "repository").exists() and not list(tmp_path.glob(".assembling*"))


ASK = """
import base64, json, sys
from handler import EndpointHandler
import leuk_hf
handler = EndpointHandler(sys.argv[1])
encoded = open(sys.argv[2], "rb").read()
text = base64.b64encode(encoded).decode()
answers = {
    "package": leuk_hf.__file__,
    "one": handler({"inputs": text}),
    "url": handler({"inputs": "data:image/png;base64," + text}),
    "bytes": handler({"inputs": encoded, "parameters": {"top_k": 2, "heatmap": True, "target": "Pro-B"}}),
    "many": handler({"inputs": [text, "no image", "bm8gaW1hZ2U="]}),
    "none": handler({}),
    "top": handler({"inputs": text, "parameters": {"top_k": 0}}),
    "word": handler({"inputs": text, "parameters": {"heatmap": "false"}}),
    "unused": handler({"inputs": text, "parameters": {"target": "Pro-B"}}),
    "unknown": handler({"inputs": text, "parameters": {"colour": "red"}}),
    "class": handler({"inputs": text, "parameters": {"heatmap": True, "target": "Cat"}}),
}
print(json.dumps(answers))
"""


def test_the_handler_answers_from_the_folder_alone(checkpoint, tmp_path):
    assemble_model_repo(checkpoint, tmp_path / "repository")
    folder = Path(shutil.move(tmp_path / "repository", tmp_path / "served"))
    field = render_smear("Pre-B", seed=1, image_size=64)
    field.save(tmp_path / "field.png")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder), str(tmp_path / "field.png")],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert Path(answers["package"]).parent == folder / "leuk_hf"
    expected = predict(LeukDenseNet.from_pretrained(checkpoint), field)[0]
    labels = {one["label"]: one["score"] for one in answers["one"]["labels"]}
    assert labels == pytest.approx(expected.probabilities, abs=1e-4) and next(iter(labels)) == expected.label
    assert answers["url"] == answers["one"] and answers["one"]["prediction_set"] == list(expected.prediction_set)
    assert answers["one"]["answered"] is True and "heatmap" not in answers["one"]
    assert len(answers["bytes"]["labels"]) == 2 and answers["bytes"]["target"] == "Pro-B"
    picture = Image.open(io.BytesIO(base64.b64decode(answers["bytes"]["heatmap"])))
    assert picture.format == "PNG" and picture.size == field.size
    assert answers["many"][0] == answers["one"]
    assert "not base64" in answers["many"][1]["error"] and "error" in answers["many"][2]
    assert 'no "inputs"' in answers["none"]["error"] and "top_k is 0" in answers["top"]["error"]
    assert answers["word"]["error"] == "heatmap is 'false'; give true or false"
    assert answers["unused"]["error"].startswith("target and layer say what the heatmap explains")
    assert "'colour'" in answers["unknown"]["error"] and "Cat" in answers["class"]["error"]


def test_the_script_writes_the_folder_without_a_network(checkpoint, tmp_path):
    pytest.importorskip("tyro")
    script = [sys.executable, str(ROOT / "scripts" / "push_to_hub.py"), "--model", str(checkpoint)]
    done = subprocess.run([*script, "--dry-run", str(tmp_path / "dry")], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "hf upload owner/name" in done.stdout, done.stderr[-2000:]
    assert (tmp_path / "dry" / "handler.py").is_file()
    nothing = subprocess.run(script, capture_output=True, text=True, check=False)
    assert nothing.returncode == 2 and "there is no --repo" in nothing.stderr and "Traceback" not in nothing.stderr
