"""Publishing over HTTP, to a Hub on this machine: one commit or none, edited cards, tags, refusals in words."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leuk_hf.hub_cards import is_unedited, marked

ROOT = Path(__file__).parent.parent
CARD = "---\nlicense: mit\n---\n\n# A model\n"
# A client in a process of its own, since the Hub's address is read when huggingface_hub is imported.
CLIENT = """
import dataclasses, json, sys
from pathlib import Path
from leuk_hf.hub import check_access, publish_folder
from leuk_hf.errors import HubError
for line in sys.stdin:
    call = json.loads(line)
    repo_id, folder = call.pop("repo_id"), call.pop("folder", None)
    try:
        if folder is None:
            check_access(repo_id, **call)
        answer = {} if folder is None else dataclasses.asdict(publish_folder(Path(folder), repo_id, **call))
    except HubError as error:
        answer = {"error": str(error)}
    print("ANSWER" + json.dumps(answer), flush=True)
"""


class Client:
    def __init__(self, hub, home, environment=None):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLIENT], env=environment or hub.environment(home, "hf_ada"), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()

    def publish(self, folder, repo_id="ada/net", **options):
        return self.ask(**{"message": "Publish", **options, "folder": str(folder), "repo_id": repo_id})

    def check(self, repo_id="ada/net", **options):
        """What can be known before a folder is there: the sentence, or None."""
        return self.ask(repo_id=repo_id, **options).get("error")

    def ask(self, **options):
        self.process.stdin.write(json.dumps(options) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ANSWER"):
                return json.loads(line.removeprefix("ANSWER"))
        raise RuntimeError("the client ended")


@pytest.fixture
def hub(loopback_hub):
    loopback_hub.add_user("ada", "hf_ada")
    loopback_hub.add_user("bob", "hf_bob")
    loopback_hub.add_user("eve", "hf_eve", write=False)
    return loopback_hub


@pytest.fixture
def client(hub, tmp_path):
    client = Client(hub, tmp_path / "home")
    yield client
    client.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "README.md").write_text(marked(CARD), encoding="utf-8", newline="\n")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4000)
    return folder


def commits(hub):
    return [request for request in hub.requests if request.method == "POST" and "/commit/" in request.path]


def test_the_mark_of_a_card():
    made = marked(CARD)
    assert made.startswith(CARD) and is_unedited(made) and marked(made) == made
    assert is_unedited(made.replace("\n", "\r\n")) and is_unedited(made + "\n\n")
    assert not is_unedited(made.replace("A model", "The model"))
    assert not is_unedited(CARD) and not is_unedited("")
    assert is_unedited(marked(made.replace("A model", "The model")))


def test_one_commit_then_none_then_one_with_leftovers_removed(hub, client, folder):
    first = client.publish(folder, obsolete=["model.onnx", "plots/*"])
    repo = hub.repo("model", "ada/net")
    assert first["changed"] and not first["kept_card"] and first["commit"] == repo.at().oid
    assert first["url"] == f"{hub.url}/ada/net"
    assert repo.files()["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    made = len(commits(hub))
    again = client.publish(folder, obsolete=["model.onnx", "plots/*"])
    assert again == {**first, "changed": False} and len(commits(hub)) == made
    (folder / "plots").mkdir()
    (folder / "plots" / "a.png").write_bytes(b"a")
    (folder / "model.onnx").write_bytes(b"graph")
    client.publish(folder)
    (folder / "model.onnx").unlink()
    (folder / "plots" / "a.png").rename(folder / "plots" / "b.png")
    last = client.publish(folder, obsolete=["model.onnx", "plots/*"])
    assert last["changed"] and len(commits(hub)) == made + 2
    names = set(repo.files()) - {".gitattributes"}
    assert names == {"README.md", "config.json", "model.safetensors", "plots/b.png"}


def test_a_card_edited_on_the_hub_is_kept(hub, client, folder):
    client.publish(folder)
    (folder / "README.md").write_text(marked(CARD + "\nMore.\n"), encoding="utf-8", newline="\n")
    assert not client.publish(folder)["kept_card"]
    repo = hub.repo("model", "ada/net")
    assert b"More." in repo.files()["README.md"]
    edited = repo.files()["README.md"].replace(b"More.", b"By hand.")
    hub.add_repo("model", "ada/net", {**repo.files(), "README.md": edited})
    (folder / "config.json").write_text('{"new": 1}', encoding="utf-8")
    kept = client.publish(folder)
    repo = hub.repo("model", "ada/net")
    assert kept["kept_card"] and kept["changed"]
    assert repo.files()["README.md"] == edited and repo.files()["config.json"] == b'{"new": 1}'
    # By git anything can be pushed, also what no YAML is.
    broken = b"---\nlicense: [mit\n---\nText"
    hub.add_repo("model", "ada/net", {**repo.files(), "README.md": broken})
    assert client.publish(folder)["kept_card"]
    said = client.publish(folder, card_agrees_on=["license"])["error"]
    assert said.startswith("README.md of ada/net was edited on the Hub and differs in license")
    replaced = client.publish(folder, overwrite_card=True)
    assert not replaced["kept_card"]
    assert hub.repo("model", "ada/net").files()["README.md"] == (folder / "README.md").read_bytes()


def test_private_branches_tags_and_pull_requests(hub, client, folder):
    published = client.publish(folder, private=True, tag="v1")
    repo = hub.repo("model", "ada/net")
    assert repo.private and repo.tags["v1"] == published["commit"]
    assert client.publish(folder, tag="v1")["commit"] == published["commit"]
    (folder / "config.json").write_text('{"second": true}', encoding="utf-8")
    branch = client.publish(folder, branch="next")
    assert repo.branches["next"] == branch["commit"] and repo.at().oid == published["commit"]
    taken = client.publish(folder, tag="v1")
    assert "tag v1 stays on" in taken["error"] and repo.tags["v1"] == published["commit"]
    (folder / "config.json").write_text('{"third": true}', encoding="utf-8")
    assert "has a tag v1 on another commit" in client.publish(folder, tag="v1")["error"]
    before = repo.at().oid
    hub.fail("POST .*/tag/", status=403, times=1)
    said = client.publish(folder, tag="v3")["error"]
    assert said.startswith(
        f"published as {repo.at().oid}, but without the tag v3 (this token may not write to ada/net ("
    )
    before = repo.at().oid
    assert client.publish(folder, tag="v3")["commit"] == before == repo.tags["v3"]
    (folder / "config.json").write_text('{"fourth": true}', encoding="utf-8")
    proposed = client.publish(folder, create_pr=True)
    assert "/discussions/1" in proposed["url"] and repo.at().oid == before
    assert "no commit to tag" in client.publish(folder, create_pr=True, tag="v2")["error"]
    assert "for the main branch, not for next" in client.publish(folder, create_pr=True, branch="next")["error"]
    dataset = client.publish(folder, repo_type="dataset")
    assert dataset["url"] == f"{hub.url}/datasets/ada/net" and ("dataset", "ada/net") in hub.repos
    space = client.publish(folder, "ada/demo", repo_type="space")
    assert space["url"] == f"{hub.url}/spaces/ada/demo"


def test_an_edited_card_that_would_not_fit_is_not_kept_in_silence(hub, client, folder):
    client.publish(folder)
    repo = hub.repo("model", "ada/net")
    edited = repo.files()["README.md"].replace(b"A model", b"My model")
    hub.add_repo("model", "ada/net", {**repo.files(), "README.md": edited})
    (folder / "README.md").write_text(marked(CARD.replace("mit", "apache-2.0")), encoding="utf-8", newline="\n")
    before = hub.repo("model", "ada/net").at()
    said = client.publish(folder, card_agrees_on=["tags", "license"])["error"]
    assert said == (
        "README.md of ada/net was edited on the Hub and differs in license from what is to be published; make it agree"
        " there, or replace it by --overwrite-card"
    )
    assert hub.repo("model", "ada/net").at() == before
    assert client.publish(folder, card_agrees_on=["tags"])["kept_card"]
    assert client.publish(folder, card_agrees_on=["license"], overwrite_card=True)["changed"]
    assert b"apache-2.0" in hub.repo("model", "ada/net").files()["README.md"]


def test_what_can_be_known_before_a_folder_is_assembled(hub, client):
    seen = len(hub.requests)
    assert client.check() is None and client.check("net") is None  # one that can be made
    hub.add_repo("model", "ada/open")
    hub.add_repo("model", "bob/open")
    assert client.check("ada/open", private=False) is None and client.check("bob/open", create_pr=True) is None
    for options, sentence in (
        ({"token": "hf_wrong"}, "the Hub does not accept the token"),
        ({"token": "hf_eve"}, "this token may not write to ada/net; use one with write access"),
        ({"repo_id": "bob/open"}, "this token may not write to bob/open"),
        ({"repo_id": "bob/new"}, "this token may not write to bob/new"),
        ({"repo_id": "ada/open", "private": True}, "ada/open is public already; make it private"),
        ({"repo_id": "a/b/c"}, "'a/b/c' cannot be a repository's name"),
        ({"create_pr": True, "tag": "v1"}, "a pull request has no commit to tag yet"),
        ({"create_pr": True, "branch": "next"}, "a pull request is for the main branch, not for next"),
    ):
        assert sentence in client.check(**options)
    write, fine = {"accessToken": {"role": "write"}}, {"accessToken": {"role": "fineGrained"}}
    scoped = {"accessToken": {"role": "write", "fineGrained": {"scoped": [{"entity": {"name": "bob/open"}}]}}}
    for answer, allowed in (
        ({}, True),
        ({"name": "ada"}, True),
        ({"name": "ada", "auth": None, "orgs": None}, True),
        ({"name": "ada", "auth": {"type": "oauth"}, "orgs": []}, True),
        ({"name": "ada", "auth": write}, True),  # of which organisations is not said
        ({"auth": write, "orgs": []}, True),
        ({"name": "ada", "auth": write, "orgs": [{}, {"name": "bob"}]}, True),
        ({"name": "ada", "auth": fine, "orgs": []}, True),
        ({"name": "ada", "auth": scoped, "orgs": []}, True),
        ({"name": "ada", "auth": write, "orgs": [{"name": "eve"}]}, False),
        ({"name": "bob", "auth": {"accessToken": {"role": "read"}}}, False),
    ):
        hub.whoami = answer
        assert (client.check("bob/open") is None) == allowed, answer
        assert (client.check("net") is None) == allowed or answer.get("name") == "ada", answer
    hub.whoami = None
    hub.fail("GET /api/whoami-v2", status=429, times=100)
    assert "limits how often" in client.check()
    assert {request.method for request in hub.requests[seen:]} == {"GET"} and len(hub.repos) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"token": "hf_wrong"}, "the Hub does not accept the token; run `hf auth login`"),
        ({"token": "hf_eve"}, "this token may not write to ada/net"),
        ({"token": "hf_bob"}, "this token may not write to ada/net"),
        ({"repo_id": "a/b/c"}, "'a/b/c' cannot be a repository's name"),
        ({"repo_type": "film"}, "there is no repository type 'film'"),
        ({"folder": "missing"}, "missing is no folder"),
    ],
)
def test_refusals(hub, client, folder, options, sentence):
    options = {"folder": folder, **options}
    answer = client.publish(options.pop("folder"), **options)
    assert sentence in answer["error"] and not commits(hub)


@pytest.mark.parametrize(
    ("pattern", "status", "sentence"),
    [
        ("POST /api/repos/create", 402, "asks for a paid plan"),
        ("POST /api/repos/create", 409, "somebody else is changing ada/net; run the same command again"),
        ("POST /api/models/ada/net/commit", 403, "may not write to ada/net (injected error 403); use one with"),
        ("POST /api/models/ada/net/commit", 404, "there is no ada/net"),
        ("POST /api/models/ada/net/commit", 409, "run the same command again"),
        ("POST /api/models/ada/net/commit", 412, "got another commit meanwhile"),
        ("POST /api/models/ada/net/commit", 429, "limits how often"),
        ("POST /api/models/ada/net/commit", 500, "is in trouble (500)"),
        ("info/lfs/objects/batch", 500, "is in trouble (500)"),
        ("POST /api/models/ada/net/preupload", 403, "may not write to ada/net"),
        ("GET /api/models/ada/net", 503, "is in trouble (503)"),
    ],
)
def test_the_hub_refuses(hub, client, folder, pattern, status, sentence):
    hub.fail(pattern, status=status, times=100)
    answer = client.publish(folder)
    assert sentence in answer["error"] and len(answer["error"]) < 300
    if ("model", "ada/net") in hub.repos:
        assert set(hub.repo("model", "ada/net").files()) <= {".gitattributes"}


def test_many_files_are_one_commit_or_none_for_a_client_with_xet(hub, folder, tmp_path):
    (folder / "model.safetensors").unlink()  # large files are what Xet transfers, and this Hub has none
    for number in range(30):
        (folder / f"{number}.txt").write_text(str(number), encoding="utf-8")
    environment = {**hub.environment(tmp_path / "home", "hf_ada"), "HF_HUB_DISABLE_XET": "0"}
    client = Client(hub, tmp_path / "home", environment)
    hub.fail("POST .*/commit/", status=500, times=1)
    assert "is in trouble (500)" in client.publish(folder)["error"]
    assert set(hub.repo("model", "ada/net").files()) == {".gitattributes"}
    assert client.publish(folder)["changed"] and len(hub.repo("model", "ada/net").history()) == 2
    assert len(hub.repo("model", "ada/net").files()) == 33
    client.close()


def test_what_the_client_retries_succeeds(hub, client, folder):
    hub.fail("/upload/", status=503, times=1)
    answer = client.publish(folder)
    assert answer["changed"] and "model.safetensors" in hub.repo("model", "ada/net").files()


def test_a_dropped_upload_leaves_nothing_and_the_next_try_works(hub, client, folder):
    hub.fail("PUT .*/upload/", drop=True, times=100)
    answer = client.publish(folder)
    assert "nothing is published by halves, run the same command again" in answer["error"]
    assert set(hub.repo("model", "ada/net").files()) <= {".gitattributes"}
    hub._faults.clear()
    assert client.publish(folder)["changed"]


@pytest.mark.parametrize("pattern", ["POST /api/repos/create", "POST .*/commit/"])
def test_a_dropped_connection_is_told(hub, client, folder, pattern):
    hub.fail(pattern, drop=True, times=100)
    assert client.publish(folder)["error"].startswith("the connection to the Hub broke (")
    assert ("model", "ada/net") not in hub.repos or len(hub.repo("model", "ada/net").commits) == 1
    hub._faults.clear()
    assert client.publish(folder)["changed"]


def test_a_card_with_bad_metadata_is_refused(hub, client, folder):
    (folder / "README.md").write_text("---\nlicense: [mit\n---\n", encoding="utf-8")
    answer = client.publish(folder)
    assert "refuses the card" in answer["error"] and "mend README.md" in answer["error"]
    assert not [request for request in commits(hub) if request.status == 200]


def test_no_token_and_offline(hub, folder, tmp_path):
    script = [sys.executable, str(ROOT / "scripts" / "push_to_hub.py"), "--repo", "ada/net"]
    environment = hub.environment(tmp_path / "nobody")
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "there is no token" in done.stderr and "Traceback" not in done.stderr
    environment = {**hub.environment(tmp_path / "home", "hf_ada"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "HF_HUB_OFFLINE is set" in done.stderr and "Traceback" not in done.stderr


LOGITS = """
import sys, torch
from leuk_hf import LeukDenseNet, load_predictor
model = LeukDenseNet.from_pretrained(sys.argv[1], revision=sys.argv[2])
torch.manual_seed(0)
pixels = torch.rand(2, 3, 64, 64)
predictor = load_predictor(sys.argv[1], revision=sys.argv[2], backend="torch", precision="float32")
print("LOGITS", model(pixels).tolist(), predictor.run(pixels.numpy()).logits.tolist())
"""


def test_the_script_pushes_what_a_fresh_process_loads(hub, tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "checkpoint")
    push = [sys.executable, str(ROOT / "scripts" / "push_to_hub.py"), "--repo", "ada/net", "--model",
            str(tmp_path / "checkpoint"), "--private", "--tag", "v1"]  # fmt: skip
    environment = hub.environment(tmp_path / "home", "hf_ada")
    done = subprocess.run(push, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    commit = re.search(r"commit ([0-9a-f]{40})", done.stdout).group(1)
    assert f"{hub.url}/ada/net" in done.stdout and hub.repo("model", "ada/net").at().oid == commit
    again = subprocess.run(push, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and "nothing has changed since" in again.stdout and commit in again.stdout

    # An edited card is kept, but not with answers that are not the checkpoint's.
    files = hub.repo("model", "ada/net").files()
    spoilt = files["README.md"].replace(b"example_title: synthetic Pre", b"example_title: my own")
    assert spoilt != files["README.md"]
    edited = hub.add_repo("model", "ada/edited", {**files, "README.md": spoilt}, private=True)
    push[push.index("ada/net")] = "ada/edited"
    done = subprocess.run(push[:-2], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and edited.files()["README.md"] == spoilt
    assert "README.md of ada/edited was edited on the Hub and differs in widget from what is to be" in done.stderr

    def logits(source, revision, home, **more):
        environment = {**hub.environment(tmp_path / home, "hf_ada"), **more}
        done = subprocess.run(
            [sys.executable, "-c", LOGITS, source, revision], env=environment, capture_output=True, text=True,
            check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split("LOGITS")[1]

    local = logits(str(tmp_path / "checkpoint"), "", "none")
    assert logits("ada/net", commit, "fresh") == local
    seen = len(hub.requests)
    assert logits("ada/net", commit, "fresh") == local and len(hub.requests) == seen  # pinned and warm: no request
