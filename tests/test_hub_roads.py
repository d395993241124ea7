"""Whole roads over HTTP: ImageNet weights from a Hub, training, publishing, and timm and hf with what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import metadata_load
from loopback_hub import LoopbackHub
from safetensors.torch import load_file, save

from leuk_hf import LeukDenseNet
from leuk_hf.model_config import IMAGENET_REPOSITORY
from leuk_hf.synthetic import write_smears

ROOT = Path(__file__).parent.parent
LOAD = """
import json, sys
import timm, torch
from leuk_hf import LeukDenseNet, load_predictor
pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    ours = LeukDenseNet.from_pretrained("ada/net", revision=sys.argv[1])(pixels)
    theirs = timm.create_model("hf-hub:ada/net", pretrained=True).eval()
    told = theirs(pixels)
    with_one = timm.create_model("hf-hub:ada/net@" + sys.argv[1], pretrained=True).eval()(pixels)
predictor = load_predictor("ada/net", revision=sys.argv[1], backend="torch", precision="float32")
try:
    timm.create_model("hf-hub:ada/leukocytes", pretrained=True)
    refusal = ""
except RuntimeError as error:
    refusal = str(error)
print(json.dumps({
    "logits": ours.tolist(), "timm": told.tolist(), "pinned": with_one.tolist(), "refusal": refusal,
    "labels": theirs.pretrained_cfg["label_names"], "served": predictor.run(pixels.numpy()).logits.tolist(),
}))
"""


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        yield hub


@pytest.fixture(scope="module")
def run(hub, tmp_path_factory):
    """Run a command as ada, in a home that keeps its cache."""
    home = tmp_path_factory.mktemp("home")

    def run(*command, home=home):
        environment = {**hub.environment(home, "hf_ada"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8", env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture(scope="module")
def imagenet(hub):
    """Random weights that stand in for timm's on the Hub."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        weights = timm.create_model("densenet121", num_classes=1000)
    hub.add_repo("model", IMAGENET_REPOSITORY, {"model.safetensors": save(weights.state_dict())})
    return weights.state_dict()


@pytest.fixture(scope="module")
def trained(hub, run, imagenet, tmp_path_factory):
    """A run of the recipe plain from those weights."""
    folder = tmp_path_factory.mktemp("run") / "ada's run"
    write_smears(folder / "smears", fields_per_class=7, seed=0, image_size=48)
    run(
        sys.executable, ROOT / "scripts" / "train.py", "--smoke", "--weights", "imagenet", "--num-epochs", 1,
        "--growth-rate", 32, "--block-config", 6, 12, 24, 16, "--learning-rate", "1e-6", "--schedule", "constant",
        "--protocol", "random", "--cache", folder / "cache",
        "--source", folder / "smears", "--output", folder / "out",
    )  # fmt: skip
    return folder / "out"


@pytest.fixture(scope="module")
def pushed(hub, run, trained):
    """What scripts/push_to_hub.py makes of the run: its output."""
    return run(sys.executable, ROOT / "scripts" / "push_to_hub.py", "--repo", "ada/net", "--model",
               trained / "checkpoint", "--data-name", "smears drawn by a program")  # fmt: skip


def test_training_begins_with_the_weights_of_the_hub(hub, trained, imagenet):
    asked = [request for request in hub.requests if IMAGENET_REPOSITORY in request.path]
    assert [(request.method, request.status) for request in asked] == [("HEAD", 200), ("GET", 200)]
    record = json.loads((trained / "checkpoint" / "training.json").read_text(encoding="utf-8"))
    assert record["starting_weights"] == "imagenet" and record["recipe"] == "plain"
    weights = load_file(trained / "checkpoint" / "model.safetensors")
    kept = [name for name in weights if re.fullmatch(r"features\..*conv\d?\.weight", name)]
    assert len(kept) == 120
    for name in kept:  # steps of a millionth have hardly moved them
        assert torch.allclose(weights[name], imagenet[name], atol=1e-4), name
        assert not torch.equal(weights[name], imagenet[name]), name


def test_what_is_pushed_names_no_folder_of_this_machine(hub, pushed, trained):
    record = (trained / "checkpoint" / "training.json").read_text(encoding="utf-8")
    assert str(trained) in record
    files = hub.repo("model", "ada/net").files()
    for name, content in files.items():
        assert str(trained.parent).encode() not in content and b"ada's run" not in content, name
    published = json.loads(files["training.json"])
    assert published["config"] | {"source": 0, "output": 0, "cache": 0} == json.loads(record)["config"] | {
        "source": 0, "output": 0, "cache": 0
    }  # fmt: skip
    assert (published["config"]["source"], published["config"]["output"]) == ("smears", "out")
    assert "--source smears --output out" in published["command"]
    assert "--source smears --output out" in files["README.md"].decode()


def test_timm_alone_gives_the_same_logits(hub, run, pushed, trained, tmp_path):
    (commit,) = re.findall("commit ([0-9a-f]{40})", pushed)
    seeing_leukocytes = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), view="leukocytes")
    config = json.dumps(seeing_leukocytes.config).encode()
    hub.add_repo("model", "ada/leukocytes", {"config.json": config, "model.safetensors": b"\0"})
    told = json.loads(run(sys.executable, "-c", LOAD, commit, home=tmp_path / "fresh").splitlines()[-1])
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = LeukDenseNet.from_pretrained(trained / "checkpoint")(pixels).tolist()
    assert told["logits"] == told["timm"] == told["pinned"] == logits
    assert torch.allclose(torch.tensor(told["served"]), torch.tensor(logits), atol=1e-5)
    assert told["labels"] == ["Benign", "Early Pre-B", "Pre-B", "Pro-B"]
    assert "Unknown model" in told["refusal"] and "leuk_hf_densenet121" in told["refusal"]


def test_hf_makes_the_same_repository_of_the_folder(hub, run, pushed, trained, tmp_path):
    hf = shutil.which("hf", path=sysconfig.get_path("scripts"))
    dry = run(sys.executable, ROOT / "scripts" / "push_to_hub.py", "--model", trained / "checkpoint", "--data-name",
              "smears drawn by a program", "--dry-run", tmp_path / "folder")  # fmt: skip
    assert f"`hf upload owner/name {tmp_path / 'folder'}` publishes the same" in dry
    run(hf, "upload", "ada/by-hf", tmp_path / "folder")
    ours, theirs = (hub.repo("model", name).at().files for name in ("ada/net", "ada/by-hf"))
    assert {path: file.etag for path, file in ours.items()} == {path: file.etag for path, file in theirs.items()}
    run(hf, "download", "ada/net", "--local-dir", tmp_path / "got")
    got, folder = (
        {
            path.relative_to(top).as_posix(): path.read_bytes()
            for path in top.rglob("*")
            if path.is_file() and ".cache" not in path.parts
        }
        for top in (tmp_path / "got", tmp_path / "folder")
    )
    assert got.pop(".gitattributes") and got == folder and len(folder) > 20
    card = metadata_load(tmp_path / "got" / "README.md")
    assert card["base_model"] == IMAGENET_REPOSITORY and card["library_name"] == "leuk_hf"
