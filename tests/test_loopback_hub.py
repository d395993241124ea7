"""The loopback Hub, driven by the unmodified huggingface_hub, datasets and hf, each in a process of its own."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[1]
WRITER, READER, STRANGER = "hf_ada", "hf_ada_reads", "hf_eve"
# Waiting between a client's attempts is all that is shortened.
PRELUDE = """
import json, os, shutil, sys, time
from pathlib import Path
import huggingface_hub
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache

time.sleep = lambda seconds: None
folder = Path(sys.argv[1])
api = HfApi()
report = {}


def error(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except Exception as error:
        return [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None), str(error)]
    return None
"""


def start(environment, *command):
    environment = {**environment, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8", env=environment)


def run(environment, script, folder):
    """Run a client's script; gives what it put into `report`."""
    done = start(environment, sys.executable, "-c", f"{PRELUDE}\n{script}\nprint(json.dumps(report))", folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def hf(environment, *arguments):
    return start(environment, shutil.which("hf", path=sysconfig.get_path("scripts")), *arguments)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


def written(log):
    return [request for request in log if request.method in ("POST", "PUT", "DELETE") and request.status == 200]


@pytest.fixture
def hub(loopback_hub):
    loopback_hub.add_user("ada", WRITER)
    loopback_hub.add_user("ada", READER, write=False)
    loopback_hub.add_user("eve", STRANGER)
    return loopback_hub


@pytest.fixture
def folder(tmp_path):
    """Text, nested binary files and an empty one, as people upload them."""
    folder = tmp_path / "folder"
    (folder / "maps" / "first layer").mkdir(parents=True)
    (folder / "README.md").write_text(
        "---\nlicense: mit\ntags: [blood]\n---\nZellen, größer als 9 µm\n", encoding="utf-8"
    )
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "maps" / "first layer" / "1 [a].png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    (folder / "maps" / "notes.txt").write_bytes(b"")
    return folder


def test_a_model_comes_back_bit_for_bit_and_pinned_loads_ask_nothing(hub, tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    save_file({"pixels": pixels}, tmp_path / "pixels.safetensors")
    with torch.no_grad():
        expected = tiny_model(pixels)
    push = """
from leuk_hf.model import LeukDenseNet
model = LeukDenseNet.from_pretrained(folder / "model")
report["oids"] = [model.push_to_hub("ada/net", private=True).oid for _ in range(2)]
"""
    oids = run(hub.environment(tmp_path / "pusher", WRITER), push, tmp_path)["oids"]
    repo = hub.repo("model", "ada/net")
    assert oids[0] == oids[1] == repo.branches["main"] and [c.title for c in repo.history()][1:] == ["initial commit"]
    assert repo.private and {"config.json", "model.safetensors", "README.md"} < set(repo.files())
    assert repo.files()["model.safetensors"] == (tmp_path / "model" / "model.safetensors").read_bytes()

    pull = """
import torch
from safetensors.torch import load_file, save_file
from leuk_hf.model import LeukDenseNet
pixels = load_file(folder / "pixels.safetensors")["pixels"]
with torch.no_grad():
    loaded = [LeukDenseNet.from_pretrained("ada/net", revision="REVISION")(pixels) for _ in range(2)]
save_file({"first": loaded[0], "again": loaded[1]}, folder / "logits.safetensors")
"""
    asked = len(hub.requests)
    run(hub.environment(tmp_path / "puller", READER), pull.replace("REVISION", oids[0]), tmp_path)
    logits = load_file(tmp_path / "logits.safetensors")
    assert torch.equal(logits["first"], expected) and torch.equal(logits["again"], expected)
    files = [(r.method, r.path.split("/")[-1], r.status) for r in hub.requests[asked:] if "harnesses" not in r.path]
    names = ("config.json", "model.safetensors")
    assert files == [(method, name, 200) for name in names for method in ("HEAD", "GET")]  # all by the first load


def test_folders_come_back_with_identical_bytes(hub, folder, tmp_path):
    script = """
first = api.create_repo("ada/files", private=True)
report["again"] = error(api.create_repo, "ada/files")
report["exists"] = str(api.create_repo("ada/files", exist_ok=True)) == str(first)
report["commits"] = [api.upload_folder(repo_id="ada/files", folder_path=folder / "folder").oid for _ in range(2)]
api.upload_file(repo_id="ada/files", path_or_fileobj=b"second", path_in_repo="maps/notes.txt")
report["snapshots"] = [snapshot_download("ada/files"), snapshot_download("ada/files", revision=report["commits"][0])]
siblings = api.model_info("ada/files", files_metadata=True).siblings
report["modes"] = {each.rfilename: each.lfs and each.lfs.sha256 for each in siblings}
tree = api.list_repo_tree("ada/files", recursive=True, expand=True)
report["tree"] = {each.path: each.last_commit.title for each in tree}
report["top"] = [each.path for each in api.list_repo_tree("ada/files", "maps")]
info = api.get_paths_info("ada/files", ["maps", "README.md", "no"])
report["info"] = [[each.path, type(each).__name__] for each in info]
report["no folder"] = error(list, api.list_repo_tree("ada/files", "no"))
api.delete_folder("maps", "ada/files")
report["no file"] = error(api.delete_file, "no", "ada/files")
report["left"] = api.list_repo_files("ada/files")
for repo_type, sdk in (("dataset", None), ("space", "gradio")):
    report[repo_type] = str(api.create_repo("ada/files", repo_type=repo_type, space_sdk=sdk))
api.delete_repo("ada/files", repo_type="dataset")
report["deleted"] = error(api.delete_repo, "ada/files", repo_type="dataset")
report["whoami"] = api.whoami()["name"]
"""
    report = run(hub.environment(tmp_path / "home", WRITER), script, tmp_path)
    sent = contents(folder)
    repo = hub.repo("model", "ada/files")
    attributes = {".gitattributes": repo.files()[".gitattributes"]}
    assert report["again"][:2] == ["HfHubHTTPError", 409] and report["exists"]
    assert report["commits"][0] == report["commits"][1] and len(repo.history()) == 4
    assert repo.files(report["commits"][0]) == sent | attributes
    second = {"maps/notes.txt": b"second"}
    assert contents(Path(report["snapshots"][0])) == sent | attributes | second
    assert contents(Path(report["snapshots"][1])) == sent | attributes
    large = {"model.safetensors", "maps/first layer/1 [a].png"}
    assert report["modes"] == {
        p: hashlib.sha256(sent[p]).hexdigest() if p in large else None for p in sent | attributes
    }
    pushed, added = "Upload folder using huggingface_hub", "Upload maps/notes.txt with huggingface_hub"
    assert report["tree"] == dict.fromkeys(sent, pushed) | {".gitattributes": "initial commit"} | {
        "maps": added, "maps/first layer": pushed, "maps/notes.txt": added
    }  # fmt: skip
    assert report["top"] == ["maps/first layer", "maps/notes.txt"]
    assert report["info"] == [["maps", "RepoFolder"], ["README.md", "RepoFile"]]
    assert report["no folder"][:2] == report["no file"][:2] == ["RemoteEntryNotFoundError", 404]
    assert sorted(report["left"]) == [".gitattributes", "README.md", "model.safetensors"]
    assert report["dataset"] == f"{hub.url}/datasets/ada/files" and report["space"] == f"{hub.url}/spaces/ada/files"
    assert report["deleted"][:2] == ["RepositoryNotFoundError", 404] and report["whoami"] == "ada"
    assert sorted(kind for kind, _ in hub.repos) == ["model", "space"]


def test_branches_tags_and_pull_requests(hub, tmp_path):
    hub.add_repo("model", "ada/net", {"a.txt": b"one"})
    script = """
api.create_branch("ada/net", branch="release/1")
report["branch again"] = error(api.create_branch, "ada/net", branch="release/1")
api.create_branch("ada/net", branch="release/1", exist_ok=True)
api.create_tag("ada/net", tag="v1", tag_message="first")
report["tag again"] = error(api.create_tag, "ada/net", tag="v1")
api.upload_file(repo_id="ada/net", path_or_fileobj=b"two", path_in_repo="a.txt", revision="release/1")
proposal = HfApi(token="hf_eve").upload_file(
    repo_id="ada/net", path_or_fileobj=b"\\0three", path_in_repo="b.bin", create_pr=True)
report["proposal"] = [proposal.pr_url, proposal.pr_num, proposal.pr_revision]
report["read"] = {
    revision: Path(hf_hub_download("ada/net", name, revision=revision)).read_text()
    for revision, name in (("main", "a.txt"), ("v1", "a.txt"), ("release/1", "a.txt"), ("refs/pr/1", "b.bin"))
}
refs = api.list_repo_refs("ada/net", include_pull_requests=True)
report["refs"] = [[each.ref for each in kind] for kind in (refs.branches, refs.tags, refs.pull_requests)]
report["history"] = [each.title for each in api.list_repo_commits("ada/net", revision="release/1")]
parent = api.model_info("ada/net").sha
add = lambda text: [CommitOperationAdd("a.txt", text)]
api.create_commit("ada/net", add(b"four"), commit_message="on the parent", parent_commit=parent)
report["stale"] = error(api.create_commit, "ada/net", add(b"five"), commit_message="late", parent_commit=parent)
report["to tag"] = error(api.create_commit, "ada/net", add(b"five"), commit_message="to a tag", revision="v1")
api.delete_branch("ada/net", branch="release/1")
api.delete_tag("ada/net", tag="v1")
report["no branch"] = error(api.delete_branch, "ada/net", branch="release/1")
report["no tag"] = error(hf_hub_download, "ada/net", "a.txt", revision="v1")
"""
    report = run(hub.environment(tmp_path / "home", WRITER), script, tmp_path)
    repo = hub.repo("model", "ada/net")
    assert report["branch again"][1] == report["tag again"][1] == 409
    assert report["proposal"] == [f"{hub.url}/ada/net/discussions/1", 1, "refs/pr/1"]
    assert report["read"] == {"main": "one", "v1": "one", "release/1": "two", "refs/pr/1": "\0three"}
    assert report["refs"] == [["refs/heads/main", "refs/heads/release/1"], ["refs/tags/v1"], ["refs/pr/1"]]
    assert report["history"] == ["Upload a.txt with huggingface_hub", "Upload files", "initial commit"]
    assert report["stale"][:2] == ["HfHubHTTPError", 412] and report["to tag"][:2] == ["RevisionNotFoundError", 404]
    assert report["no branch"][:2] == report["no tag"][:2] == ["RevisionNotFoundError", 404]
    assert repo.files()["a.txt"] == b"four" and "b.bin" not in repo.files()
    assert list(repo.branches) == ["main"] and repo.tags == {}


def test_rights_and_missing_things_become_the_clients_exceptions(hub, tmp_path):
    hub.add_repo("model", "ada/secret", {"a.txt": b"mine"}, private=True)
    hub.add_repo("model", "ada/gated", {"a.txt": b"mine"}).gated = "manual"
    hub.add_repo("model", "ada/open", {"a.txt": b"ours"})
    script = """
tokens = {"nobody": False, "wrong": "hf_nonsense", "stranger": "hf_eve", "reader": "hf_ada_reads", "owner": "hf_ada"}
for who, token in tokens.items():
    mine = HfApi(token=token)
    add = lambda repo_id: mine.upload_file(repo_id=repo_id, path_or_fileobj=b"new", path_in_repo=f"{who}.bin")
    report[who] = {
        "read": error(hf_hub_download, "ada/secret", "a.txt", token=token, cache_dir=folder / who),
        "info": error(mine.model_info, "ada/secret"),
        "gated": error(hf_hub_download, "ada/gated", "a.txt", token=token, cache_dir=folder / who),
        "write": error(add, "ada/open"),
        "create": error(mine.create_repo, f"ada/by-{who}"),
        "delete": error(mine.delete_repo, "ada/secret") if who != "owner" else None,
    }
eve = HfApi(token="hf_eve")
report["lfs"] = error(eve.upload_file, repo_id="ada/open", path_or_fileobj=b"\\0", path_in_repo="a.bin")
report["repo"] = error(hf_hub_download, "ada/nothing", "a.txt")
report["revision"] = error(hf_hub_download, "ada/open", "a.txt", revision="v9")
report["entry"] = error(hf_hub_download, "ada/open", "b.txt")
report["known to be missing"] = try_to_load_from_cache("ada/open", "b.txt") is huggingface_hub._CACHED_NO_EXIST
"""
    report = run(hub.environment(tmp_path / "home", WRITER), script, tmp_path)
    hidden, invalid = ["RepositoryNotFoundError", 401], ["HfHubHTTPError", 401]
    expected = {
        "nobody": [hidden, hidden, ["GatedRepoError", 401], hidden, invalid, invalid],
        "wrong": [invalid] * 6,
        "stranger": [["RepositoryNotFoundError", 404]] * 2 + [["GatedRepoError", 403]] + [["HfHubHTTPError", 403]] * 3,
        "reader": [None, None, None] + [["HfHubHTTPError", 403]] * 3,
        "owner": [None] * 6,
    }
    told = {who: [each and each[:2] for each in report[who].values()] for who in expected}
    assert told == expected
    assert [repo_id for _, repo_id in hub.repos] == ["ada/secret", "ada/gated", "ada/open", "ada/by-owner"]
    assert list(hub.repo("model", "ada/open").files()) == [".gitattributes", "a.txt", "owner.bin"]
    assert report["lfs"][:2] == ["HfHubHTTPError", 403] and "ada/open" in report["lfs"][2]
    assert report["repo"][:2] == ["RepositoryNotFoundError", 404]
    assert report["revision"][:2] == ["RevisionNotFoundError", 404]
    assert report["entry"][:2] == ["RemoteEntryNotFoundError", 404] and report["known to be missing"]


def test_faults_are_retried_or_told_and_leave_no_half_commit(hub, tmp_path):
    weights = bytes(range(256)) * 100_000  # in two of the client's pieces
    repo = hub.add_repo("model", "ada/net", {"weights.bin": weights, "small.bin": b"\0" * 5000})
    before = repo.branches["main"]
    far = hub.add_repo("model", "ada/far")
    # Each is met by the next request it fits, in the order of the script.
    hub.fail(r"POST .*/preupload/", status=429, headers={"Retry-After": "0"})
    hub.fail(r"POST .*/batch", status=503, times=2)
    hub.fail(r"PUT /ada/net/upload/", drop=True)
    hub.fail(r"POST .*/commit/", drop=True)
    hub.fail(r"POST .*/commit/", status=500)
    hub.fail(r"POST .*/commit/", status=403, headers={"X-Error-Message": "storage is full"})
    hub.fail(r"POST .*/repos/create", status=402)
    hub.fail(r"PUT /ada/far/upload/", drop=True, times=6)
    hub.fail(r"GET .*/weights.bin", drop=True)
    hub.fail(r"GET .*/small.bin", drop=True, times=6)
    script = """
import httpx2
def upload(name, repo_id="ada/net"):
    api.upload_file(repo_id=repo_id, path_or_fileobj=os.urandom(300_000), path_in_repo=name)
try:
    upload("dropped.bin")
except httpx2.TransportError as fault:
    report["dropped"] = type(fault).__name__
report["broken"] = error(upload, "broken.bin")
report["full"] = error(upload, "full.bin")
report["unpaid"] = error(api.create_repo, "ada/space", repo_type="space", space_sdk="gradio")
report["gave up"] = error(upload, "never.bin", "ada/far")
shutil.copyfile(hf_hub_download("ada/net", "weights.bin"), folder / "weights.bin")
report["torn"] = error(hf_hub_download, "ada/net", "small.bin")
report["cached"] = try_to_load_from_cache("ada/net", "small.bin")
report["files"] = sorted(path.name for path in Path(os.environ["HF_HOME"]).rglob("*.incomplete"))
"""
    report = run(hub.environment(tmp_path / "home", WRITER), script, tmp_path)
    assert repo.branches["main"] == before and set(repo.files()) == {".gitattributes", "weights.bin", "small.bin"}
    assert list(far.commits) == [far.branches["main"]]
    assert "dropped" in report and report["broken"][:2] == ["HfHubHTTPError", 500]
    assert report["full"][:2] == ["HfHubHTTPError", 403] and "storage is full" in report["full"][2]
    assert report["unpaid"][:2] == ["HfHubHTTPError", 402]
    assert report["gave up"][0] == "RuntimeError" and "never.bin" in report["gave up"][2]
    statuses = [[r.status for r in hub.requests if part in r.path] for part in ("/preupload/", "/batch", "/commit/")]
    assert statuses == [[429, 200, 200, 200, 200], [503, 503, 200, 200, 200, 200], [0, 500, 403]]
    assert [r.status for r in hub.requests if r.method == "PUT"] == [0, 200, 200, 200] + [0] * 6
    assert (tmp_path / "weights.bin").read_bytes() == weights
    assert [r.status for r in hub.requests if r.path.endswith("/weights.bin")] == [200, 0, 206]  # only what is missing
    assert report["torn"] and report["cached"] is None and report["files"] == []


def test_uploads_that_are_not_what_was_announced_never_enter_a_commit(hub, tmp_path):
    repo = hub.add_repo("model", "ada/net", {"weights.bin": b"\0good"})
    before = repo.at()
    script = """
tampered = CommitOperationAdd("weights.bin", b"\\0tampered")
tampered.upload_info.sha256 = bytes(32)
report["tampered"] = error(api.create_commit, "ada/net", [tampered], commit_message="tampered")
longer = CommitOperationAdd("weights.bin", b"\\0longer")
longer.upload_info.size += 1
report["longer"] = error(api.create_commit, "ada/net", [longer], commit_message="longer")
batch = [CommitOperationAdd("new.txt", b"text"), CommitOperationAdd("README.md", b"---\\ntags: [a\\n---\\n")]
report["card"] = error(api.create_commit, "ada/net", batch, commit_message="card")
metrics = "[{name: a, results: [{task: {type: b}, dataset: {name: c, type: d}, metrics: [{type: e}]}]}]"
cards = {"tags": "tags: blood", "models": "model-index: [a]", "metrics": f"model-index: {metrics}"}
for name, card in {**cards, "results": "model-index: [{name: a, results: [{task: {}}]}]\\r"}.items():
    report[name] = error(api.upload_file, repo_id="ada/net", path_in_repo="README.md",
        path_or_fileobj=f"---\\n{card}\\n---\\n".encode())
report["space"] = error(api._validate_yaml, "---\\nsdk: gradio\\ncolorFrom: orange\\n---", repo_type="space")
report["fine"] = error(api._validate_yaml, "---\\nsdk: gradio\\ncolorFrom: indigo\\n---", repo_type="space")
"""
    report = run(hub.environment(tmp_path / "home", WRITER), script, tmp_path)
    assert report["tampered"][0] == report["longer"][0] == "RuntimeError"
    assert [r.status for r in hub.requests if r.path.endswith("/verify")] == [422, 422]
    assert report["card"][0] == "ValueError" and "Invalid metadata in README.md" in report["card"][2]
    assert '"tags" must be an array' in report["tags"][2] and '"colorFrom" must be one of' in report["space"][2]
    assert '"model-index[0].name" is required' in report["models"][2]
    assert '"model-index[0].results[0].task.type" is required' in report["results"][2]
    assert '"model-index[0].results[0].metrics[0].value" is required' in report["metrics"][2]
    assert report["fine"] is None and repo.at() == before

    # What a client that skips the checks sends.
    absent = {"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": "0" * 64, "size": 3}}
    good = {"key": "file", "value": {"path": "a.txt", "content": "b25l", "encoding": "base64"}}
    outside = {"key": "file", "value": {"path": "../a.txt", "content": "b25l", "encoding": "base64"}}
    card = {"key": "file", "value": {"path": "README.md", "content": "LS0tCmE6IFsKLS0tCg==", "encoding": "base64"}}
    for operations, status in (([good, absent], 400), ([good, outside], 400), ([good, card], 400), ([good], 200)):
        lines = [{"key": "header", "value": {"summary": "by hand"}}, *operations]
        body = "\n".join(map(json.dumps, lines))
        assert ask(hub, "POST", "/api/models/ada/net/commit/main", body=body)[0] == status
        assert (repo.at() == before) == (status == 400)
    assert repo.files() == {
        ".gitattributes": before.files[".gitattributes"].content,
        "weights.bin": b"\0good",
        "a.txt": b"one",
    }


def ask(hub, method, path, **request):
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"), timeout=20)
    headers = {"Authorization": f"Bearer {WRITER}", **request.pop("headers", {})}
    connection.request(method, path, headers=headers, **request)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def test_ranges_and_pages_that_do_not_exist(hub):
    hub.add_repo("dataset", "ada/data", {"a.txt": b"0123456789", "b.bin": b"\0" * 10})
    path = f"/datasets/ada/data/resolve/{hub.repo('dataset', 'ada/data').branches['main']}/a.txt"
    for wanted, content in (("0-3", b"0123"), ("8-", b"89"), ("-3", b"789"), ("5-99", b"56789"), ("0-0", b"0")):
        status, body, headers = ask(hub, "GET", path, headers={"Range": f"bytes={wanted}"})
        assert (status, body) == (206, content) and headers["Content-Range"].endswith("/10")
    status, _, headers = ask(hub, "GET", path, headers={"Range": "bytes=10-"})
    assert status == 416 and headers["Content-Range"] == "bytes */10"
    status, body, headers = ask(hub, "HEAD", path)
    assert (status, body, headers["Content-Length"]) == (200, b"", "10") and headers["X-Linked-Etag"] is None
    git_hash = hashlib.sha1(b"blob 10\0" + b"0123456789").hexdigest()
    assert headers["ETag"] == f'"{git_hash}"' and headers["X-Repo-Commit"] in path
    _, _, headers = ask(hub, "HEAD", path.replace("a.txt", "b.bin"))
    assert headers["X-Linked-Etag"] == headers["ETag"] == f'"{hashlib.sha256(bytes(10)).hexdigest()}"'
    assert headers["X-Linked-Size"] == "10"
    assert ask(hub, "GET", "/api/nothing")[0] == 404 and ask(hub, "PUT", path, body=b"a")[0] == 404
    assert ask(hub, "POST", "/api/datasets/ada/data/preupload/main", body=b"{")[0] == 400


def test_hf_uploads_and_downloads_identical_bytes(hub, folder, tmp_path):
    sent = contents(folder)
    up = hf(
        hub.environment(tmp_path / "up", WRITER), "upload", "ada/cli", folder, "--private", "--commit-message", "up"
    )
    assert up.returncode == 0, up.stderr
    assert hub.repo("model", "ada/cli").at().title == "up" and hub.repo("model", "ada/cli").private
    down = hf(hub.environment(tmp_path / "down", READER), "download", "ada/cli", "--local-dir", tmp_path / "got")
    assert down.returncode == 0, down.stderr
    got = contents(tmp_path / "got")
    assert got.pop(".gitattributes") and got == sent
    assert not hub.environment(tmp_path).keys() & {"HF_TOKEN", "HF_HUB_OFFLINE"}


def test_datasets_come_back_with_labels_and_images(hub, tmp_path):
    hub.add_repo("dataset", "ada/hidden", {"a.csv": b"a,b\n1,2\n"}, private=True)
    script = """
import io
from PIL import Image
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image as ImageFeature, Value, load_dataset
features = Features({"image": ImageFeature(), "label": ClassLabel(names=["Benign", "Pro-B"]), "group": Value("int64")})
def fields(shades):
    rows = {"image": [Image.new("RGB", (9, 7), (shade, 0, 99)) for shade in shades]}
    return Dataset.from_dict({**rows, "label": [s % 2 for s in shades], "group": list(shades)}, features=features)
made = DatasetDict({"train": fields([1, 2, 3]), "test": fields([4, 5])})
made.push_to_hub("ada/smears", private=True)
made.push_to_hub("ada/smears")
read = load_dataset("ada/smears")
report["features"] = read["train"].features == features
report["rows"] = {part: list(zip(rows["label"], rows["group"])) for part, rows in read.items()}
report["pixels"] = all(row["image"].convert("RGB").getpixel((8, 6)) == (row["group"], 0, 99) for row in read["test"])
report["hidden"] = error(load_dataset, "ada/hidden", token="hf_eve")
"""
    report = run(hub.environment(tmp_path / "home", WRITER), script, tmp_path)
    assert report["features"] and report["pixels"]
    assert report["rows"] == {"train": [[1, 1], [0, 2], [1, 3]], "test": [[0, 4], [1, 5]]}
    assert report["hidden"][0] == "DatasetNotFoundError"
    repo = hub.repo("dataset", "ada/smears")
    assert repo.private and [c.title for c in repo.history()] == ["Upload dataset", "initial commit"]
    assert {"README.md", "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"} < set(repo.files())
