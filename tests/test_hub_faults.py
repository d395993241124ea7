"""What the Hub refuses scripts/push_space.py and scripts/push_dataset.py: one sentence each, nothing published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub

from leuk_hf.labels import CLASS_FOLDERS
from leuk_hf.synthetic import write_smears

ROOT = Path(__file__).parent.parent
# One process runs the scripts' main again and again; waiting between a client's attempts is all that is shortened.
CLIENT = """
import contextlib, io, json, sys, time
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))
import push_dataset, push_space
print("READY", flush=True)
for line in sys.stdin:
    script, *arguments = json.loads(line)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = {"space": push_space, "dataset": push_dataset}[script].main(arguments)
    print("ANSWER" + json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""
# Which request fails, how, and what is said; {kind} is spaces or datasets.
FAULTS = [
    ("POST /api/repos/create", 402, "the Hub asks for a paid plan for this (injected error 402); choose another kind"),
    ("POST /api/repos/create", 409, "somebody else is changing ada/new; run the same command again"),
    ("POST /api/{kind}/ada/new/commit", 402, "the Hub asks for a paid plan for this (injected error 402); choose"),
    ("POST /api/{kind}/ada/new/commit", 409, "somebody else is changing ada/new; run the same command again"),
    ("POST /api/{kind}/ada/new/commit", 429, "the Hub limits how often it may be asked; wait a few minutes and run"),
    ("POST /api/{kind}/ada/new/commit", 500, "the Hub is in trouble (500); nothing is published by halves, run the"),
    ("POST /api/{kind}/ada/new/commit", 503, "the Hub is in trouble (503); nothing is published by halves, run the"),
    ("GET /api/{kind}/ada/new", 429, "the Hub limits how often it may be asked; wait a few minutes and run the same"),
    ("GET /api/{kind}/ada/new", 500, "the Hub is in trouble (500); nothing is published by halves, run the same"),
    ("GET /api/{kind}/ada/new", 503, "the Hub is in trouble (503); nothing is published by halves, run the same"),
]


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        hub.add_repo("model", "ada/leuk", {"config.json": b"{}", "model.safetensors": b"\0"})
        yield hub


@pytest.fixture(scope="module")
def push(hub, tmp_path_factory):
    """Run one of the scripts for ada/new; gives exit code, standard output, standard error."""
    folder = tmp_path_factory.mktemp("data")
    write_smears(folder / "smears", fields_per_class=4, seed=0, image_size=32)
    lines = [
        f"{name}/{path.name},{name} {number}"
        for name in CLASS_FOLDERS.values()
        for number, path in enumerate(sorted((folder / "smears" / name).iterdir()))
    ]
    (folder / "groups.csv").write_text("\n".join(["file,group", *lines]) + "\n", encoding="utf-8")
    arguments = {
        "space": ("--model", "ada/leuk"),
        "dataset": ("--source", str(folder / "smears"), "--groups", str(folder / "groups.csv"),
                    "--origin", "Drawn by a program", "--grouped-by", "field"),
    }  # fmt: skip
    environment = {**hub.environment(folder / "home", "hf_ada"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "scripts")])
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip

    def push(script):
        process.stdin.write(json.dumps([script, "--repo", "ada/new", *arguments[script]]) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("ANSWER"):
                return json.loads(line.removeprefix("ANSWER"))
        raise RuntimeError("the client ended")

    yield push
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()


@pytest.mark.parametrize("script", ["space", "dataset"])
@pytest.mark.parametrize(("pattern", "status", "sentence"), FAULTS)
def test_one_sentence_and_nothing_by_halves(hub, push, script, pattern, status, sentence):
    hub.repos.pop((script, "ada/new"), None)
    hub.fail(pattern.format(kind=f"{script}s"), status=status, times=100)
    code, out, err = push(script)
    hub._faults.clear()
    said = err.splitlines()[-1]
    assert code == 2 and out == "" and said.startswith(f"error: {sentence}") and len(said) < 260, err
    assert "Traceback" not in err
    repo = hub.repos.get((script, "ada/new"))
    assert repo is None or set(repo.files()) == {".gitattributes"}


@pytest.mark.parametrize("script", ["space", "dataset"])
def test_without_a_fault_it_is_published(hub, push, script):
    hub.repos.pop((script, "ada/new"), None)
    code, out, err = push(script)
    assert code == 0 and hub.repo(script, "ada/new").at().oid in out, err
    assert len(hub.repo(script, "ada/new").history()) == 2
