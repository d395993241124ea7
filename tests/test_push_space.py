"""scripts/push_space.py against a Hub over HTTP, and the Space's start from the cache that the Hub fills for it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import metadata_load
from running_space import answer, isolated_python, started

from leuk_hf import predict
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent


@pytest.fixture
def hub(loopback_hub):
    loopback_hub.add_user("ada", "hf_ada")
    return loopback_hub


@pytest.fixture
def model(hub, tiny_model, tmp_path):
    """The tiny model as a repository of the Hub."""
    tiny_model.save_pretrained(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    return hub.add_repo("model", "ada/leuk", files)


def push(environment, *arguments):
    command = [sys.executable, str(ROOT / "scripts" / "push_space.py"), *map(str, arguments)]
    environment = {**environment, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_space_is_published_once(hub, model, tmp_path):
    environment = hub.environment(tmp_path / "home", "hf_ada")
    options = ("--model", "ada/leuk", "--hardware", "zero-a10g")
    dry = push(environment, "--dry-run", tmp_path / "space", *options)
    assert dry.returncode == 0, dry.stderr
    assert "nothing published" in dry.stdout and list(hub.repos) == [("model", "ada/leuk")]
    first = push(environment, "--repo", "ada/demo", *options, "--private", "--tag", "v1")
    assert first.returncode == 0, first.stderr
    space = hub.repo("space", "ada/demo")
    assert space.private and space.tags == {"v1": space.at().oid}
    assert first.stdout.splitlines() == [space.page, f"commit {space.at().oid}"]
    assert {path: content for path, content in space.files().items() if path != ".gitattributes"} == contents(
        tmp_path / "space"
    )
    assert len(space.history()) == 2  # the Hub's own and ours
    again = push(environment, "--repo", "ada/demo", *options)
    assert again.stdout.splitlines()[:2] == first.stdout.splitlines() and "no commit was made" in again.stdout
    assert len(space.history()) == 2

    # Another kind of Space at the same place: what it has no use for goes.
    other = push(environment, "--repo", "ada/demo")
    assert other.returncode == 0 and len(space.history()) == 3, other.stderr
    assert "space.json" in space.files("v1") and "space.json" not in space.files()
    assert "leuk_hf/checkpoint/model.safetensors" in space.files()


def test_a_space_serves_the_pinned_commit_without_asking_the_hub(hub, model, tiny_model, tmp_path):
    pinned = model.at().oid
    to_pin = ("--model", "ada/leuk", "--revision", pinned)  # a commit that is there
    dry = push(hub.environment(tmp_path / "home"), "--dry-run", tmp_path / "space", *to_pin)
    assert dry.returncode == 0, dry.stderr
    hub.add_repo("model", "ada/leuk", {"config.json": b"{}"})  # whatever becomes of the branch
    hub.repos["model", "ada/leuk"].commits.update(model.commits)
    # What the Hub does with preload_from_hub while it builds the Space.
    (preload,) = metadata_load(tmp_path / "space" / "README.md")["preload_from_hub"]
    repo_id, names, revision = preload.split(" ")
    assert revision == pinned
    environment = hub.environment(tmp_path / "space_home")
    fetch = "import sys, huggingface_hub as hub; hub.hf_hub_download(*sys.argv[1:3], revision=sys.argv[3])"
    for name in names.split(","):
        subprocess.run([sys.executable, "-c", fetch, repo_id, name, revision], env=environment, check=True)

    field = tmp_path / "field.png"
    render_smear("Pre-B", seed=3, image_size=120).save(field)
    asked = len(hub.requests)
    with started(isolated_python(tmp_path / "environment"), tmp_path / "space", environment) as url:
        probabilities = answer(url, field)
    assert hub.requests[asked:] == []
    assert probabilities == pytest.approx(predict(tiny_model, field)[0].probabilities, abs=1e-4)


def test_mistakes_get_one_sentence(hub, model, tmp_path):
    environment = hub.environment(tmp_path / "home", "hf_ada")
    hub.add_repo("model", "ada/secret", model.files(), private=True)
    hub.add_repo("model", "ada/empty", {"config.json": b"{}"})
    hub.add_repo("model", "ada/gated", model.files()).gated = "auto"
    dry, at = ("--dry-run", tmp_path / "space"), ("--model", "ada/leuk", "--revision")
    for arguments, sentence in (
        ((), "nothing says where to publish; give --repo owner/name, or --dry-run FOLDER"),
        ((*dry, "--revision", "v1"), "revision v1 needs the --model repository that it is of"),
        ((*dry, "--model", "ada/secret"), "ada/secret is private, and a Space preloads only public models"),
        ((*dry, "--model", "ada/gated"), "ada/gated is gated, and a Space preloads only models that anybody may read"),
        (
            (*dry, "--model", "ada/leuk", "--revision", "0" * 40),
            f"ada/leuk has no revision '{'0' * 40}'; give a branch",
        ),
        ((*dry, *at, "v9"), "ada/leuk has no revision 'v9'; give a branch, tag or commit of it"),
        ((*dry, "--model", "ada/empty"), "ada/empty has no model.safetensors; push a checkpoint there first"),
        ((*dry, "--model", "ada/nothing"), "there is no ada/nothing that this token may see"),
        ((*dry, "--hardware", "toaster"), "there is no hardware 'toaster'"),
    ):
        done = push(environment, *arguments)
        assert done.returncode == 2 and done.stdout == "", arguments
        assert done.stderr.startswith(f"error: {sentence}") and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "space").exists()
    logged_out = push(hub.environment(tmp_path / "nobody"), "--repo", "ada/demo")
    assert logged_out.returncode == 2 and "there is no token; run `hf auth login`" in logged_out.stderr
    assert ("space", "ada/demo") not in hub.repos


def test_every_dry_run_writes_the_same_bytes(tmp_path):
    digests = []
    for seed in ("1", "2"):
        done = push({**os.environ, "PYTHONHASHSEED": seed}, "--dry-run", tmp_path / seed)
        assert done.returncode == 0, done.stderr
        files = contents(tmp_path / seed)
        assert f"{len(files)} files" in done.stdout
        digests.append({path: hashlib.sha256(content).hexdigest() for path, content in files.items()})
    assert digests[0] == digests[1] and "app.py" in digests[0]
