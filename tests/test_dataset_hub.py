"""A data set over HTTP: pushed by the script, taken by fresh processes, which get identical images and splits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub
from PIL import Image

from leuk_hf.data import load_smears
from leuk_hf.group_source import read_groups
from leuk_hf.group_table import parts_by_protocol
from leuk_hf.labels import CLASS_FOLDERS
from leuk_hf.synthetic import write_smears

ROOT = Path(__file__).parent.parent
TAKE = """
import json, sys
from leuk_hf.data import load_smears
from leuk_hf.errors import DataError
from leuk_hf.group_source import read_groups
from leuk_hf.training_config import TrainConfig
from leuk_hf.training_setup import split_dataset

report = {}
for name, source, groups in json.loads(sys.argv[1]):
    try:
        dataset = load_smears(source)
        parts = split_dataset(TrainConfig(source=source, groups=groups, fold=1), dataset, progress=False)
        report[name] = {part: [dataset[row]["path"] for row in rows.tolist()] for part, rows in parts.items()}
    except DataError as error:
        report[name] = str(error)
print(json.dumps(report))
"""
LOAD = """
import hashlib, json, sys
from datasets import load_dataset
from leuk_hf.data import load_smears

def pixels(dataset):
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in dataset["image"]]

fields = load_dataset("ada/images", revision=sys.argv[2], split="train")
ours, here = load_smears("ada/images", revision=sys.argv[2]), load_smears(sys.argv[1])
assert pixels(fields) == pixels(ours) == pixels(here)
assert list(fields["label"]) == list(ours["label"]) == list(here["label"])
assert list(fields["path"]) == list(ours["path"]) == list(here["path"])
assert fields.features["label"].names == here.features["label"].names
print(json.dumps({"columns": fields.column_names, "fields": len(fields)}))
"""

# One process for all faults; waiting between a client's attempts is all that is shortened.
READ = """
import sys, time
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))
from leuk_hf.data import load_smears
from leuk_hf.errors import DataError
for line in sys.stdin:
    try:
        print(len(load_smears(line.strip())), flush=True)
    except DataError as error:
        print(error, flush=True)
"""
READ_FAULTS = [
    ("/ada/images", 401, "the Hub does not accept the token; run `hf auth login` with a new one"),
    ("/api/datasets/ada/images", 403, "this token may not read the data of ada/images; use one that may"),
    ("/resolve/.*parquet", 429, "ada/images: the Hub limits how often it may be asked; wait a few minutes"),
    ("/resolve/.*parquet", 500, "ada/images: the Hub is in trouble (500); try again later, or give a folder"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_smears(folder / "smears", fields_per_class=12, seed=0, image_size=48)
    lines = ["file,group"]
    for class_folder in CLASS_FOLDERS.values():
        for number, path in enumerate(sorted((folder / "smears" / class_folder).iterdir())):
            lines.append(f"{class_folder}/{path.name},Jane Roe {class_folder} {number // 2}")
    (folder / "patients.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def hub():
    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        yield hub


@pytest.fixture
def client(hub, tmp_path):
    """Run Python over HTTP, in a process of its own."""

    def run(*arguments, token="hf_ada", home="home"):
        environment = {**hub.environment(tmp_path / home, token=token), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run


def push(client, data, repo, *arguments, token="hf_ada"):
    return client(
        ROOT / "scripts" / "push_dataset.py", "--source", data / "smears", "--groups", data / "patients.csv",
        "--repo", repo, "--origin", "Drawn by a program", "--grouped-by", "patient", *arguments, token=token,
    )  # fmt: skip


def commits(hub):
    return sum(request.method == "POST" and "/commit/" in request.path for request in hub.requests)


def test_anybody_with_the_images_gets_identical_splits(hub, client, data, tmp_path):
    done = push(client, data, "ada/fields", "--no-private", "--tag", "v1")
    assert done.returncode == 0, done.stderr
    url = f"{hub.url}/datasets/ada/fields"
    commit = done.stdout.split()[-1]
    assert done.stdout == f"48 fields in 24 groups, without images, published: {url}\ncommit {commit}\n"
    repo = hub.repo("dataset", "ada/fields")
    assert not repo.private and {"README.md", "groups.csv"} <= set(repo.files()) and commits(hub) == 1
    again = push(client, data, "ada/fields", "--no-private", "--tag", "v1")
    assert again.stdout == f"nothing changed: {url}\ncommit {commit}\n" and commits(hub) == 1, again.stderr

    shutil.copytree(data / "smears", tmp_path / "changed")
    Image.new("RGB", (48, 48)).save(tmp_path / "changed" / "Pre" / "synthetic-Pre-0003.png")
    (tmp_path / "changed" / "Pro" / "synthetic-Pro-0001.png").unlink()
    hub.add_repo("dataset", "ada/empty", {"README.md": b"nothing"})
    same, changed = str(data / "smears"), str(tmp_path / "changed")
    cases = [("commit", same, f"ada/fields@{commit}"), ("tag", same, "ada/fields@v1"), ("main", same, "ada/fields"),
             ("changed", changed, "ada/fields@v1"), ("revision", same, "ada/fields@v9"),
             ("repository", same, "ada/nothing"), ("table", same, "ada/empty")]  # fmt: skip
    done = client("-c", TAKE, json.dumps(cases), token=None, home="another")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    dataset = load_smears(same)
    own = parts_by_protocol(dataset, "grouped", read_groups(data / "patients.csv", dataset), fold=1)
    expected = {part: [dataset["path"][row] for row in rows.tolist()] for part, rows in own.items()}
    assert report["commit"] == report["tag"] == report["main"] == expected
    assert report["changed"] == (
        "ada/fields@v1 describes other files than this data set has: 1 with other content (for one"
        " Pre/synthetic-Pre-0003.png), 1 missing here (for one Pro/synthetic-Pro-0001.png); get the files that it was"
        " made of, or make a table of these with scripts/prepare_data.py"
    )
    assert report["revision"] == "ada/fields has no revision 'v9'; give a branch, tag or commit"
    assert report["repository"].startswith("ada/nothing is neither a file here nor a data set on the Hub that you may")
    assert report["table"] == "ada/empty has no groups.csv; give a data set made by scripts/push_dataset.py"

    seen = len(hub.requests)
    pinned = client("-c", TAKE, json.dumps(cases[:1]), token=None, home="another")
    assert json.loads(pinned.stdout.splitlines()[-1])["commit"] == expected, pinned.stderr
    assert not [request for request in hub.requests[seen:] if "ada/fields" in request.path]  # the cache has it


def test_images_are_private_and_load_as_they_are(hub, client, data):
    right = ["--images", "--i-may-publish-these-images", "MIT, drawn by ourselves"]
    done = push(client, data, "ada/images", *right)
    assert done.returncode == 0 and "48 fields in 24 groups, with images, published" in done.stdout, done.stderr
    repo = hub.repo("dataset", "ada/images")
    assert repo.private and {"README.md", "groups.csv", "data/00000.parquet"} <= set(repo.files())
    commit = done.stdout.split()[-1]
    loaded = client("-c", LOAD, data / "smears", commit, home="another")
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout.splitlines()[-1])["fields"] == 48
    assert push(client, data, "ada/images", *right).stdout.endswith(f"commit {commit}\n")

    done = push(client, data, "ada/images")  # the table alone, from now on
    assert done.returncode == 0, done.stderr
    assert "data/00000.parquet" not in repo.files() and "groups.csv" in repo.files()

    # An edited card stays where it tells how to read what is there, and never stays beside what it does not describe.
    edited = repo.files()["README.md"] + b"\nBy hand.\n"
    repo = hub.add_repo("dataset", "ada/images", {**repo.files(), "README.md": edited}, private=True)
    done = push(client, data, "ada/images")
    assert done.returncode == 0 and "the card was edited on the Hub and stays" in done.stdout, done.stderr
    before = repo.at()
    done = push(client, data, "ada/images", *right)
    assert done.returncode == 2 and repo.at() == before
    assert "README.md of ada/images was edited on the Hub and differs in configs and dataset_info" in done.stderr
    done = push(client, data, "ada/images", *right, "--overwrite-card")
    assert done.returncode == 0 and "data/00000.parquet" in repo.files(), done.stderr
    assert b"MIT, drawn by ourselves" in repo.files()["README.md"]

    public = hub.add_repo("dataset", "ada/open", {"README.md": b"open"})
    before = public.files()
    done = push(client, data, "ada/open", *right)
    assert done.returncode == 2 and public.files() == before
    assert done.stderr.splitlines()[-1].startswith(
        "error: ada/open is public already; make it private in its settings"
    )


def test_without_a_token_nothing_is_published(hub, client, data):
    done = push(client, data, "ada/fields", token=None)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("error: there is no token; run `hf auth")
    assert not hub.repos


def test_what_the_hub_refuses_a_reader_is_one_sentence(hub, client, data, tmp_path):
    push(client, data, "ada/images", "--images", "--i-may-publish-these-images", "MIT, drawn by ourselves")
    environment = {**hub.environment(tmp_path / "another", token="hf_ada"), "PYTHONPATH": str(ROOT)}
    reader = subprocess.Popen(
        [sys.executable, "-c", READ], env=environment, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip

    def ask(repo_id):
        reader.stdin.write(f"{repo_id}\n")
        reader.stdin.flush()
        return reader.stdout.readline().rstrip("\n")

    for pattern, status, sentence in READ_FAULTS:
        hub.fail(f"(GET|HEAD) .*{pattern}", status=status, times=1000)
        assert ask("ada/images").startswith(sentence), (pattern, status)
        hub._faults.clear()
    assert ask("ada/none").startswith("ada/none is neither a folder here nor a data set that the Hub or the cache")
    assert ask("ada/images") == "48"
    reader.stdin.close()
    reader.wait(timeout=60)
    reader.stdout.close()
