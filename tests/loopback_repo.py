"""The loopback Hub's repositories: files, commits and refs in memory, and the answers to what clients ask of them."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from loopback_parts import Call, File, Refusal
from loopback_rules import is_large, read_card
from loopback_xet import XetStorage


class Commit(NamedTuple):
    """All files at one moment."""

    oid: str
    parent: str | None
    title: str
    message: str
    date: str
    files: Mapping[str, File]


class Repo:
    """A repository; its `branches`, `tags` and `pull_requests` (refs/pr/1) name commits by their hashes.

    The `answer_` methods answer clients, who have the right to ask.
    """

    def __init__(self, repo_type: str, repo_id: str, page: str, xet: XetStorage, *, private: bool) -> None:
        self.repo_type, self.repo_id, self.page, self.private, self.gated = repo_type, repo_id, page, private, False
        self.owner, self.xet = repo_id.split("/")[0], xet
        self.commits: dict[str, Commit] = {}
        attributes = File.of(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", lfs=False)
        self.branches = {"main": self.record(None, {".gitattributes": attributes}, "initial commit")}
        self.tags: dict[str, str] = {}
        self.pull_requests: dict[str, str] = {}
        self._uploads: dict[str, dict[str, Any]] = {}  # by ticket: what was announced, and its content
        self._verified: dict[str, bytes] = {}  # by SHA-256

    def at(self, revision: str = "main") -> Commit:
        """Find the commit that a branch, tag, pull request or full hash names."""
        oid = {**self.pull_requests, **self.tags, **self.branches}.get(revision, revision)
        if oid not in self.commits:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """Give the content of a revision's files by path."""
        return {path: file.content for path, file in self.at(revision).files.items()}

    def history(self, revision: str = "main") -> list[Commit]:
        """List a revision's commits, the newest first."""
        commits = [self.at(revision)]
        while (parent := commits[-1].parent) is not None:
            commits.append(self.commits[parent])
        return commits

    def record(self, parent: str | None, files: Mapping[str, File], title: str, message: str = "") -> str:
        """Add a commit, which no ref names yet, and give its hash."""
        number = len(self.commits)
        tree = {path: file.oid for path, file in files.items()}
        content = json.dumps([self.repo_type, self.repo_id, number, parent, title, message, tree])
        oid = hashlib.sha1(content.encode()).hexdigest()
        date = datetime.datetime(2026, 1, 1) + datetime.timedelta(minutes=number)
        self.commits[oid] = Commit(oid, parent, title, message, f"{date.isoformat()}.000Z", dict(files))
        return oid

    def changed(self, files: Mapping[str, File], operations: Sequence[Mapping[str, Any]]) -> dict[str, File]:
        """Apply a commit's operations to a copy of the files, so that one refused operation changes nothing."""
        files = dict(files)
        for operation in operations:
            kind, value = operation["key"], operation["value"]
            path = value["path"].rstrip("/")
            if any(part in ("", ".", "..", ".git") for part in path.split("/")):
                raise Refusal(400, f"Invalid path: {value['path']}")
            if kind == "file":
                files[path] = File.of(base64.b64decode(value["content"], validate=True), lfs=False)
            elif kind == "lfsFile" and (content := self._large(value["oid"])) is not None:
                files[path] = File.of(content, lfs=True)
            elif kind == "lfsFile":
                raise Refusal(400, f"{path} points to a large file that was never uploaded: {value['oid']}")
            elif kind == "deletedFile" and path in files:
                del files[path]
            elif kind == "deletedFolder" and any(each.startswith(f"{path}/") for each in files):
                files = {each: file for each, file in files.items() if not each.startswith(f"{path}/")}
            else:  # the client looks for this wording
                raise Refusal(404, f"A file with this name doesn't exist: {value['path']} ({kind})", "EntryNotFound")
        return files

    def _large(self, oid: str) -> bytes | None:
        return self._verified[oid] if oid in self._verified else self.xet.content(oid)

    def entries(self, revision: str, *, expand: bool = False) -> dict[str, dict[str, Any]]:
        """Describe a revision's files and folders by path, with the last commit of each if asked."""
        history = self.history(revision)
        found = {path: {**file.describe(), "path": path} for path, file in history[0].files.items()}
        for path in list(found):
            for folder in (path[: slash.start()] for slash in re.finditer("/", path)):
                tree = hashlib.sha1(f"{history[0].oid} {folder}".encode()).hexdigest()
                found[folder] = {"type": "directory", "path": folder, "size": 0, "oid": tree}
        for path, entry in found.items() if expand else ():
            inside = [{p: f.oid for p, f in c.files.items() if f"{p}/".startswith(f"{path}/")} for c in history]
            last = next(n for n, earlier in enumerate([*inside[1:], None]) if earlier != inside[0])
            entry["lastCommit"] = {"id": history[last].oid, "title": history[last].title, "date": history[last].date}
        return dict(sorted(found.items()))

    def answer_info(self, call: Call, revision: str = "main") -> Any:
        commit = self.at(revision)
        readme = commit.files.get("README.md")
        card, _ = read_card(readme.content.decode() if readme else "", self.repo_type)
        blobs = "blobs" in call.query
        siblings = [{**(f.describe() if blobs else {}), "rfilename": path} for path, f in sorted(commit.files.items())]
        return {
            **{key: card[key] for key in ("pipeline_tag", "library_name", "model-index", "sdk") if key in card},
            **{"id": self.repo_id, "author": self.owner, "sha": commit.oid, "siblings": siblings, "cardData": card},
            **{"private": self.private, "gated": self.gated, "disabled": False, "downloads": 0, "likes": 0},
            **{"lastModified": commit.date, "createdAt": "2026-01-01T00:00:00.000Z", "tags": card.get("tags") or []},
        }

    def answer_refs(self, call: Call) -> Any:
        kinds = {"branches": "refs/heads/", "tags": "refs/tags/", "converts": "", "pullRequests": ""}
        named = {"branches": self.branches, "tags": self.tags, "pullRequests": self.pull_requests}
        return {
            kind: [{"name": n, "ref": prefix + n, "targetCommit": oid} for n, oid in named.get(kind, {}).items()]
            for kind, prefix in kinds.items()
        }

    def answer_commits(self, call: Call, revision: str) -> Any:
        return [
            {"id": c.oid, "authors": [{"user": self.owner}], "title": c.title, "message": c.message, "date": c.date}
            for c in self.history(revision)
        ]

    def answer_tree(self, call: Call, revision: str, folder: str = "") -> Any:
        entries = self.entries(revision, expand=call.query.get("expand") == "true")
        if folder and entries.get(folder, {}).get("type") != "directory":
            raise Refusal(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        prefix = f"{folder}/" if folder else ""
        inside = {path.removeprefix(prefix): entry for path, entry in entries.items() if path.startswith(prefix)}
        return [entry for path, entry in inside.items() if "/" not in path or call.query.get("recursive") == "true"]

    def answer_paths(self, call: Call, revision: str) -> Any:
        asked = parse_qs(call.body.decode())
        entries = self.entries(revision, expand=asked.get("expand") == ["true"])
        return [entries[path] for path in asked.get("paths", ()) if path in entries]

    def answer_preupload(self, call: Call, revision: str) -> Any:
        there, answers = self.at(revision).files, []
        for file in json.loads(call.body)["files"]:
            mode = "lfs" if is_large(base64.b64decode(file["sample"]), file["size"]) else "regular"
            oid = there[file["path"]].etag if file["path"] in there else None
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answers}

    def answer_batch(self, call: Call) -> Any:
        objects = []
        for wanted in json.loads(call.body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self._verified:
                ticket = secrets.token_hex(16)
                self._uploads[ticket] = dict(entry, content=b"")
                href = f"{self.page}/upload/{ticket}"
                entry["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
            objects.append(entry)
        return {"transfer": "basic", "objects": objects}

    def answer_upload(self, call: Call, ticket: str) -> Any:
        self._uploads[ticket]["content"] = call.body
        return {}

    def answer_verify(self, call: Call, ticket: str) -> Any:
        oid, size, content = self._uploads.pop(ticket).values()
        if len(content) != size or hashlib.sha256(content).hexdigest() != oid:
            raise Refusal(422, f"What was uploaded is not the object {oid} of {size} bytes")
        self._verified[oid] = content
        return {}

    def answer_commit(self, call: Call, revision: str) -> Any:
        header, *operations = [json.loads(line) for line in call.body.splitlines()]
        parent, value = self.at(revision), header["value"]
        refs = next((refs for refs in (self.branches, self.pull_requests) if revision in refs), None)
        if refs is None:
            raise Refusal(404, f"{revision} is no branch", "RevisionNotFound")
        if value.get("parentCommit") not in (None, parent.oid):
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        files = self.changed(parent.files, operations)
        _, errors = read_card(files["README.md"].content.decode() if "README.md" in files else "", self.repo_type)
        if errors:
            raise Refusal(400, "\n".join(errors))
        oid = self.record(parent.oid, files, value["summary"], value.get("description", ""))
        answer = {"success": True, "commitOid": oid, "commitUrl": f"{self.page}/commit/{oid}"}
        if "create_pr" in call.query:
            number = len(self.pull_requests) + 1
            refs, revision = self.pull_requests, f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{self.page}/discussions/{number}"
        refs[revision] = oid
        return answer

    def answer_reference(self, call: Call, ref: str, name: str) -> Any:
        refs = self.branches if ref == "branch" else self.tags
        if call.method == "DELETE":
            if name not in refs or (ref, name) == ("branch", "main"):
                raise Refusal(404, f"There is no {ref} {name} to delete", "RevisionNotFound")
            del refs[name]
            return {}
        content = json.loads(call.body)
        start, new = (content.get("startingPoint", "main"), name) if ref == "branch" else (name, content["tag"])
        if new in refs:
            raise Refusal(409, f"Reference already exists: {new}")
        refs[new] = self.at(start).oid
        return {}

    def answer_resolve(self, call: Call, revision: str, path: str) -> Any:
        if self.gated and (call.user is None or call.user.name != self.owner):
            raise Refusal(403 if call.user else 401, f"Access to {self.repo_id} is restricted", "GatedRepo")
        commit = self.at(revision)
        headers = {"X-Repo-Commit": commit.oid}
        if path not in commit.files:
            raise Refusal(404, "Entry not found", "EntryNotFound", headers)
        file = commit.files[path]
        if file.etag in self.xet.hashes:  # other clients read it here as any other file
            ticket = f"{self.xet.hub}/api/{self.repo_type}s/{self.repo_id}/xet-read-token/{commit.oid}"
            headers |= {"X-Xet-Hash": self.xet.hashes[file.etag], "Link": f'<{ticket}>; rel="xet-auth"'}
        return file.answer(call.headers.get("Range", ""), headers)

    def answer_ticket(self, call: Call, right: str, revision: str) -> Any:
        self.at(revision)
        return self.xet.ticket(right)
