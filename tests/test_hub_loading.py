"""Loading over HTTP: what is asked of the Hub, what the cache knows, and one sentence for whatever goes wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from loopback_hub import LoopbackHub

from leuk_hf import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent
# A client in a process of its own; waiting between a client's attempts is all that is shortened.
CLIENT = """
import json, sys, time
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))
import torch
from leuk_hf import LeukDenseNet, load_predictor
from leuk_hf.errors import CheckpointError
pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

def model(source, **options):
    with torch.no_grad():
        return LeukDenseNet.from_pretrained(source, **options)(pixels).tolist()

def predictor(source, **options):
    return load_predictor(source, precision="float32", **options).run(pixels.numpy()).logits.tolist()

print("READY", flush=True)
for line in sys.stdin:
    call = json.loads(line)
    try:
        answer = {"logits": {"model": model, "predictor": predictor}[call.pop("by")](**call)}
    except CheckpointError as error:
        answer = {"sentence": str(error)}
    print("ANSWER" + json.dumps(answer), flush=True)
"""


class Client:
    def __init__(self, environment):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT], env={**environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def ask(self, by, source, **options):
        self.process.stdin.write(json.dumps({"by": by, "source": source, **options}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER"):
                return json.loads(line.removeprefix("ANSWER"))
        raise RuntimeError("the client ended, by an error that is no CheckpointError")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        hub.add_user("eve", "hf_eve")
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(hub, home):
    client = Client(hub.environment(home))
    yield client
    client.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64))
    model.save_pretrained(folder)
    return {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}


@pytest.fixture
def healed(hub):
    """Take away the faults that a test has put in and nobody has met."""
    yield
    hub._faults.clear()


def asked_for(hub, seen):
    return [(r.method, r.path.split("/")[-1], r.status) for r in hub.requests[seen:] if "/resolve/" in r.path]


def test_a_warm_cache_asks_for_nothing_pinned_and_serves_offline(hub, home, client, files):
    repo = hub.add_repo("model", "ada/warm", files)
    pinned = repo.at().oid
    seen = len(hub.requests)
    fresh = client.ask("predictor", "ada/warm", revision=pinned)
    assert asked_for(hub, seen) == [
        ("HEAD", "export.json", 404),
        *((method, name, 200) for name in ("config.json", "model.safetensors") for method in ("HEAD", "GET")),
    ]
    seen = len(hub.requests)
    same = [client.ask("model", "ada/warm", revision=pinned), client.ask("predictor", "ada/warm", revision=pinned)]
    assert hub.requests[seen:] == []
    assert torch.allclose(torch.tensor(same[0]["logits"]), torch.tensor(fresh["logits"]), atol=1e-5)
    assert same[1] == fresh
    assert client.ask("model", "ada/warm") == same[0]  # which is what the main branch has now
    (home / "again").mkdir()
    shutil.copytree(home / "hub", home / "again" / "hub", symlinks=True)
    offline = Client({**hub.environment(home / "again"), "HF_HUB_OFFLINE": "1"})
    seen = len(hub.requests)
    for options in ({}, {"revision": pinned}):
        assert offline.ask("model", "ada/warm", **options) == same[0]
        assert offline.ask("predictor", "ada/warm", **options) == fresh
    sentence = offline.ask("model", "ada/cold")["sentence"]
    assert sentence.startswith("ada/cold is neither a folder here nor in the cache, and the Hub cannot be reached;")
    assert "unset HF_HUB_OFFLINE" in sentence and hub.requests[seen:] == []
    offline.close()


def test_a_download_that_breaks_off_goes_on_where_it_was(hub, client, tmp_path, healed):
    LeukDenseNet(preprocessor=Preprocessor(image_size=64)).save_pretrained(tmp_path)  # several of the client's pieces
    files = {name: (tmp_path / name).read_bytes() for name in ("config.json", "model.safetensors")}
    hub.add_repo("model", "ada/torn", files)
    hub.fail("GET /ada/torn/resolve/.*/model.safetensors", drop=True)
    seen = len(hub.requests)
    assert "logits" in client.ask("model", "ada/torn")
    assert asked_for(hub, seen)[2:] == [
        ("HEAD", "model.safetensors", 200),
        ("GET", "model.safetensors", 0),
        ("GET", "model.safetensors", 206),
    ]


FAULTS = {
    "drops every file": ("GET {}.*safetensors", {"drop": True}, "the download of model.safetensors broke off ("),
    "drops every request": ("HEAD {}", {"drop": True}, "the download of config.json broke off ("),
    "token": ("{}", {"status": 401}, "the Hub does not accept the token; run `hf auth login` with a new one"),
    "right": ("{}.*config.json", {"status": 403}, "this token may not read config.json of ada/"),
    "right to weights": ("GET {}.*safetensors", {"status": 403}, "this token may not read model.safetensors of ada/"),
    "no Hub": ("{}", {"status": 404}, ".json (404); check the name and HF_ENDPOINT"),
    "limit": ("{}", {"status": 429}, "the Hub limits how often it may be asked; wait a few minutes and try again"),
    "limit of weights": ("GET {}.*safetensors", {"status": 429}, "the Hub limits how often it may be asked; wait"),
    "trouble": ("{}", {"status": 503}, "the Hub is in trouble (503); try again later, or give a folder"),
    "trouble with weights": ("GET {}.*safetensors", {"status": 500}, "the Hub is in trouble (500); try again later"),
}


@pytest.mark.parametrize("by", ["model", "predictor"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_hub_refuses_is_one_sentence_with_the_next_step(hub, client, files, healed, fault, by):
    pattern, spoilt, sentence = FAULTS[fault]
    name = f"ada/{by}-{fault.replace(' ', '-')}"
    hub.add_repo("model", name, files)
    hub.fail(pattern.format(f"/{name}/"), times=100, **spoilt)
    said = client.ask(by, name)["sentence"]
    assert sentence in said and len(said) < 260 and "\n" not in said, said
    hub._faults.clear()
    assert "logits" in client.ask(by, name)  # nothing wrong was kept


def test_what_the_client_tries_again_is_never_noticed(hub, client, files, healed):
    hub.add_repo("model", "ada/busy", files)
    hub.fail("HEAD /ada/busy/", status=503)
    hub.fail("GET /ada/busy/", status=429, headers={"Retry-After": "0"})
    assert "logits" in client.ask("model", "ada/busy")


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("config.json", None, "ada/odd has no config.json; it is not a leuk_hf checkpoint"),
        ("model.safetensors", None, "ada/odd has no model.safetensors; it is not a leuk_hf checkpoint"),
        ("config.json", lambda content: content.replace(b'"schema_version": 1', b'"schema_version": 2'),
         "has schema_version 2, this leuk_hf knows up to 1; upgrade leuk_hf"),
        ("config.json", lambda content: b"{}", "it does not belong to a leuk_hf checkpoint"),
        ("model.safetensors", lambda content: content[:8] + b"x" + content[9:],
         "model.safetensors is damaged (Error while deserializing header: "),
        ("model.safetensors", lambda content: b"\xff" * 8 + content[8:],
         "model.safetensors is damaged (Error while deserializing header: header too large); copy it again, or by"),
        ("model.safetensors", lambda content: content[:-1], "model.safetensors is damaged ("),
    ],
    ids=["no config", "no weights", "newer", "foreign", "header", "huge header", "cut off"],
)  # fmt: skip
def test_what_a_repository_lacks_or_has_wrong(hub, client, files, name, change, sentence):
    spoilt = {} if change is None else {name: change(files[name])}
    hub.add_repo("model", "ada/odd", {**{each: files[each] for each in files if each != name}, **spoilt})
    for by in ("model", "predictor"):
        said = client.ask(by, "ada/odd")["sentence"]
        assert sentence in said and "\n" not in said, said


def test_who_may_not_read_is_told_what_to_do(hub, client, files):
    hub.add_repo("model", "ada/secret", files, private=True)
    hub.add_repo("model", "ada/gated", files).gated = "manual"
    neither = " is neither a folder here nor a repository on the Hub that you may read; check the name, or run"
    for token in (None, "hf_eve"):
        assert neither in client.ask("model", "ada/secret", token=token)["sentence"]
        assert "ada/gated is gated; ask for access on its" in client.ask("model", "ada/gated", token=token)["sentence"]
    assert "does not accept the token" in client.ask("model", "ada/secret", token="hf_wrong")["sentence"]
    assert neither in client.ask("predictor", "ada/nothing")["sentence"]
    assert client.ask("model", "ada/secret", token="hf_ada")["logits"]
    hub.add_repo("model", "ada/open", files)
    said = client.ask("predictor", "ada/open", revision="v9")["sentence"]
    assert said == "ada/open has no revision 'v9'; give a branch, tag or commit"


def test_scripts_and_the_demo_say_it_without_a_traceback(hub, files, tmp_path, healed):
    hub.add_repo("model", "ada/shut", files)
    hub.fail("/ada/shut/", status=403, times=100)
    render_smear("Pre-B", seed=0, image_size=64).save(tmp_path / "field.png")
    environment = {**hub.environment(tmp_path / "home", "hf_ada"), "LEUK_MODEL": "ada/shut", "PYTHONPATH": str(ROOT)}
    for command in (("scripts/predict.py", tmp_path / "field.png"), ("app.py",)):
        done = subprocess.run(
            [sys.executable, ROOT / command[0], *command[1:]], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr == "error: this token may not read export.json of ada/shut; use one that may\n"
