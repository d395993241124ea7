"""What clients do by default where hf_xet is installed: large files go to the Hub, and come from it, by Xet."""

import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub

pytest.importorskip("hf_xet", reason="hf_xet is not made for every processor")

ROOT = Path(__file__).parent.parent
# Of hf_xet itself, which otherwise tries again for minutes.
IMPATIENT = {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1", "HF_XET_CLIENT_RETRY_BASE_DELAY": "10ms"}
LOAD = """
import sys, torch
from leuk_hf import LeukDenseNet
pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
print("LOGITS", LeukDenseNet.from_pretrained(sys.argv[1])(pixels).tolist())
"""
# One process for all faults. Each push or download has a name of its own, since hf_xet remembers what it has sent.
PUBLISH = """
import sys
from pathlib import Path
from leuk_hf.errors import HubError
from leuk_hf.hub import publish_folder
for line in sys.stdin:
    repo_id = line.strip()
    (Path(sys.argv[1]) / "model.safetensors").write_bytes(repo_id.encode() + bytes(range(256)) * 300)
    try:
        print(publish_folder(Path(sys.argv[1]), repo_id, message="Publish").changed, flush=True)
    except HubError as error:
        print(error, flush=True)
"""
DOWNLOAD = """
import sys
from leuk_hf.errors import CheckpointError
from leuk_hf.hub_files import download_file
for line in sys.stdin:
    try:
        words = {"here": "a folder", "there": "a model", "lacking": "", "error": CheckpointError}
        print(len(download_file(line.strip(), "model.safetensors", **words).read_bytes()), flush=True)
    except CheckpointError as error:
        print(error, flush=True)
"""


@pytest.fixture
def hub():
    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        yield hub


def run(environment, *command):
    done = subprocess.run([sys.executable, *map(str, command)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(hub, method, part):
    return [request for request in hub.requests if request.method == method and part in request.path]


def test_a_model_goes_and_comes_by_xet_bit_for_bit(hub, tiny_model, tmp_path):
    checkpoint = tmp_path / "checkpoint"
    tiny_model.save_pretrained(checkpoint)
    push = [ROOT / "scripts" / "push_to_hub.py", "--repo", "ada/net", "--model", checkpoint]
    pushed = run(hub.environment(tmp_path / "home", "hf_ada", xet=True), *push)
    repo = hub.repo("model", "ada/net")
    assert pushed.splitlines() == [repo.page, f"commit {repo.at().oid}"]
    assert repo.files()["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    assert asked(hub, "POST", "/xet/v1/xorbs/") and not asked(hub, "POST", "/info/lfs/")
    loaded = run(hub.environment(tmp_path / "fresh", xet=True), "-c", LOAD, "ada/net")
    assert asked(hub, "GET", "/xet/data/")
    plainly = run(hub.environment(tmp_path / "without xet"), "-c", LOAD, "ada/net")
    assert loaded == plainly == run(hub.environment(tmp_path / "nothing"), "-c", LOAD, checkpoint)
    again = run(hub.environment(tmp_path / "another home", "hf_ada", xet=True), *push)
    assert "no commit was made" in again and len(repo.history()) == 2


PUSH_FAULTS = [
    ("xet-write-token", {"status": 403}, "this token may not write to ada/"),
    ("xet-write-token", {"status": 429}, "the Hub limits how often it may be asked; wait"),
    ("/xet/v1/xorbs/", {"status": 500}, "the Hub is in trouble (500); nothing is published by halves"),
    ("/xet/v1/xorbs/", {"drop": True}, "the connection to the Hub broke ("),
    ("/xet/v1/shards", {"status": 403}, "this token may not write to ada/"),
    ("/xet/v1/shards", {"drop": True}, "the connection to the Hub broke ("),
    ("POST .*/commit/", {"status": 500}, "the Hub is in trouble (500); nothing is published by halves"),
]
LOAD_FAULTS = [
    ("xet-read-token", {"status": 403}, "this token may not read model.safetensors of ada/net"),
    ("/reconstructions/", {"status": 401}, "the Hub does not accept the token"),
    ("/reconstructions/", {"status": 500}, "ada/net: the Hub is in trouble (500); try again later, or give a folder"),
    ("/xet/data/", {"status": 429}, "ada/net: the Hub limits how often it may be asked; wait"),
    ("/xet/data/", {"drop": True}, "ada/net: the download of model.safetensors broke off ("),
]


class Conversation:
    """A client that is given a line at a time and answers by one."""

    def __init__(self, environment, *command):
        self.process = subprocess.Popen(
            [sys.executable, "-c", *map(str, command)], env={**IMPATIENT, **environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def test_faults_of_an_upload_are_told_and_publish_nothing(hub, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with Conversation(hub.environment(tmp_path / "home", "hf_ada", xet=True), PUBLISH, folder) as client:
        for number, (pattern, fault, sentence) in enumerate(PUSH_FAULTS):
            hub.fail(pattern, times=100, **fault)
            answer = client.ask(f"ada/{number}")
            assert answer.startswith(sentence) and len(answer) < 300, (pattern, fault)
            assert len(hub.repo("model", f"ada/{number}").history()) == 1, "something is published"
            hub._faults.clear()
            assert client.ask(f"ada/{number}") == "True", "the next try does not work"


def test_what_hf_xet_tries_again_succeeds(hub, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    patient = {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "3"}
    hub.fail("/xet/v1/xorbs/", drop=True)
    hub.fail("/xet/v1/shards", status=503)
    with Conversation(
        {**hub.environment(tmp_path / "home", "hf_ada", xet=True), **patient}, PUBLISH, folder
    ) as client:
        assert client.ask("ada/net") == "True"
    hub.fail("/xet/data/", drop=True)
    with Conversation({**hub.environment(tmp_path / "fresh", xet=True), **patient}, DOWNLOAD) as client:
        assert int(client.ask("ada/net")) > 70_000
    assert not any(fault.times for fault in hub._faults)


def test_faults_of_a_download_are_told(hub, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with Conversation(hub.environment(tmp_path / "home", "hf_ada", xet=True), PUBLISH, folder) as client:
        assert client.ask("ada/net") == "True"
    with Conversation(hub.environment(tmp_path / "fresh", xet=True), DOWNLOAD) as client:
        for pattern, fault, sentence in LOAD_FAULTS:
            hub.fail(pattern, times=100, **fault)
            answer = client.ask("ada/net")
            assert answer.startswith(sentence) and len(answer) < 300, (pattern, fault, answer)
            hub._faults.clear()
        assert int(client.ask("ada/net")) > 70_000
