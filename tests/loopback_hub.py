"""A Hugging Face Hub in memory, served over HTTP on this machine, for tests.

It serves the unmodified huggingface_hub, datasets and hf: repositories with branches, tags and pull requests, large
files with verified upload by LFS or Xet, downloads with ranges, and the errors that clients turn into exceptions. Git,
organisations, discussions and pages of long lists are left out. Clients read HF_ENDPOINT when they are imported, so a
test starts a process with it:

    with LoopbackHub() as hub:
        hub.add_user("ada", "hf_ada")
        subprocess.run(["hf", "upload", "ada/net", "folder"], env=hub.environment(tmp_path, token="hf_ada"))
        assert "config.json" in hub.repo("model", "ada/net").files()
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socketserver
import sys
import threading
from collections.abc import Mapping
from email.message import Message
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from loopback_parts import Answer, Call, File, Refusal, User
from loopback_repo import Repo
from loopback_rules import is_large, read_card
from loopback_xet import PREFIX, XetStorage

PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
API = r"/api/(?P<kind>model|dataset|space)s/(?P<repo_id>[^/]+/[^/]+)"
PAGE = r"/(?:(?P<kind>dataset|space)s/)?(?P<repo_id>[^/]+/[^/]+)"
HUB_ROUTES = {
    r"GET /api/agent-harnesses": "harnesses",
    r"GET /api/whoami-v2": "whoami",
    r"POST /api/validate-yaml": "validate",
    r"POST /api/repos/create": "create",
    r"DELETE /api/repos/delete": "delete",
}
# With the right that each takes: whoever has a ticket may upload, and may propose what goes into a pull request.
REPO_ROUTES = {
    rf"GET {API}(?:/revision/(?P<revision>[^/]+))?": ("info", "read"),
    rf"GET {API}/refs": ("refs", "read"),
    rf"GET {API}/commits/(?P<revision>[^/]+)": ("commits", "read"),
    rf"GET {API}/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?": ("tree", "read"),
    rf"POST {API}/paths-info/(?P<revision>[^/]+)": ("paths", "read"),
    rf"POST {API}/preupload/(?P<revision>[^/]+)": ("preupload", "write"),
    rf"POST {API}/commit/(?P<revision>[^/]+)": ("commit", "write"),
    rf"GET {API}/xet-(?P<right>read)-token/(?P<revision>[^/]+)": ("ticket", "read"),
    rf"GET {API}/xet-(?P<right>write)-token/(?P<revision>[^/]+)": ("ticket", "write"),
    rf"(?:POST|DELETE) {API}/(?P<ref>branch|tag)/(?P<name>[^/]+)": ("reference", "write"),
    rf"POST {PAGE}\.git/info/lfs/objects/batch": ("batch", "propose"),
    rf"PUT {PAGE}/upload/(?P<ticket>\w+)": ("upload", "ticket"),
    rf"POST {PAGE}/upload/(?P<ticket>\w+)/verify": ("verify", "propose"),
    rf"(?:GET|HEAD) {PAGE}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": ("resolve", "read"),
}


class Request(NamedTuple):
    """A request that came in; the status is 0 if the connection was dropped."""

    method: str
    path: str
    status: int


@dataclasses.dataclass
class Fault:
    """What spoils the next `times` requests in whose "METHOD /path" the pattern is found."""

    pattern: str
    status: int
    times: int
    drop: bool
    headers: Mapping[str, str]


class LoopbackHub:
    """The server with its users and repositories; `requests` lists what came in."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.users: dict[str, User] = {}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.whoami: dict[str, Any] | None = None  # instead of the full answer
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hub = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.xet = XetStorage(self.url)

    def __enter__(self) -> LoopbackHub:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str | None = None, *, xet: bool = False) -> dict[str, str]:
        """Make a client's environment: this Hub, a Hugging Face home of its own, and no other network.

        Args:
            home: Folder of the client's cache and saved token.
            token: Of a user; without one the client is logged out.
            xet: Let the client use hf_xet, as it does by default where that is installed; else large files go by LFS.
        """
        foreign = re.compile(r"HF_|HUGGING|TRANSFORMERS_OFFLINE|.*_PROXY$", re.IGNORECASE)
        kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
        unwanted = ("TELEMETRY", "UPDATE_CHECK", "PROGRESS_BARS", "SYMLINKS_WARNING", *(() if xet else ("XET",)))
        settings = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "*"}
        settings.update({f"HF_HUB_DISABLE_{name}": "1" for name in unwanted})
        return {**kept, **settings, **({"HF_TOKEN": token} if token else {})}

    def add_user(self, name: str, token: str, write: bool = True) -> None:
        """Let a token act for a user, who owns the repositories under that name; without `write` it only reads."""
        self.users[token] = User(name, write)

    def add_repo(
        self, repo_type: str, repo_id: str, files: Mapping[str, bytes] | None = None, *, private: bool = False
    ) -> Repo:
        """Make a repository, with files as if somebody had pushed them."""
        page = f"{self.url}/{PREFIXES[repo_type]}{repo_id}"
        repo = self.repos[repo_type, repo_id] = Repo(repo_type, repo_id, page, self.xet, private=private)
        if files:
            large = {path: is_large(content[:512], len(content)) for path, content in files.items()}  # as clients ask
            added = {path: File.of(content, lfs=large[path]) for path, content in files.items()}
            repo.branches["main"] = repo.record(repo.at().oid, {**repo.at().files, **added}, "Upload files")
        return repo

    def repo(self, repo_type: str, repo_id: str) -> Repo:
        """Give a repository, to look at or to change behind the clients' backs."""
        return self.repos[repo_type, repo_id]

    def fail(
        self, pattern: str, status: int = 503, times: int = 1, drop: bool = False, headers: Mapping[str, str] = {}
    ) -> None:
        """Spoil coming requests: answer them with an error, or drop their connections.

        Args:
            pattern: Regular expression that is searched in "METHOD /path?query".
            status: Of the error.
            times: How many requests are spoilt.
            drop: Break off instead, in the middle of the request's body or, if it has none, of the answer's.
            headers: Of the error, such as Retry-After or X-Error-Code.
        """
        self._faults.append(Fault(pattern, status, times, drop, headers))

    def next_fault(self, request: str) -> Fault | None:
        """Take what spoils a request, if anything does."""
        with self._lock:
            fault = next((each for each in self._faults if each.times and re.search(each.pattern, request)), None)
            if fault:
                fault.times -= 1
            return fault

    def answer(self, method: str, target: str, headers: Message, body: bytes) -> Answer:
        """Do what a request asks for, wholly or not at all."""
        address = urlsplit(target)
        query = {name: values[-1].lower() for name, values in parse_qs(address.query).items()}
        try:
            with self._lock:
                if address.path.startswith(f"{PREFIX}/"):
                    answer = self.xet.answer(f"{method} {address.path}", headers, body)
                else:
                    call = Call(method, query, headers, body, self._user(headers))
                    answer = self._dispatch(call, f"{method} {address.path}")
        except Refusal as refusal:
            return refusal.answer
        except (KeyError, TypeError, ValueError) as error:
            return Answer({"error": f"malformed request: {error!r}"}, 400)
        return answer if isinstance(answer, Answer) else Answer(answer)

    def _dispatch(self, call: Call, request: str) -> Any:
        for route, name in HUB_ROUTES.items():
            if re.fullmatch(route, request):
                return getattr(self, f"_answer_{name}")(call)
        for route, (name, right) in REPO_ROUTES.items():
            if found := re.fullmatch(route, request):
                places = {key: unquote(value) for key, value in found.groupdict().items() if value is not None}
                repo = self._allowed(call, places.pop("kind", "model"), places.pop("repo_id"), right)
                return getattr(repo, f"answer_{name}")(call, **places)
        raise Refusal(404, "Sorry, we can't find the page you are looking for.")

    def _user(self, headers: Message) -> User | None:
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.users:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.users.get(token)

    def _allowed(self, call: Call, repo_type: str, repo_id: str, right: str) -> Repo:
        repo, user = self.repos.get((repo_type, repo_id)), call.user
        hidden = repo is not None and repo.private and right != "ticket" and (user is None or user.name != repo.owner)
        if repo is None or hidden:
            # The client takes a 401 without the code for a hidden repository only over https.
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if right in ("propose", "write"):
            if user is None:
                raise Refusal(401, "Invalid username or password.", "RepoNotFound")
            if not user.write or (user.name != repo.owner and right == "write" and "create_pr" not in call.query):
                raise Refusal(403, f"you need a token with the right to write in {repo_id}")
        return repo

    def _answer_harnesses(self, call: Call) -> Any:
        return {"standardEnvVars": [], "harnesses": {}}  # kept by clients for a day; after a 404 they ask each time

    def _answer_whoami(self, call: Call) -> Any:
        if call.user is None:
            raise Refusal(401, "Invalid username or password.")
        if self.whoami is not None:
            return self.whoami
        auth = {"type": "access_token", "accessToken": {"role": "write" if call.user.write else "read"}}
        return {"type": "user", "name": call.user.name, "fullname": call.user.name, "orgs": [], "auth": auth}

    def _answer_validate(self, call: Call) -> Any:
        content = json.loads(call.body)
        card, errors = read_card(content["content"], content["repoType"])
        warnings = [] if card or errors else [{"message": "empty or missing yaml metadata in repo card"}]
        return Answer({"errors": [{"message": e} for e in errors], "warnings": warnings}, 400 if errors else 200)

    def _answer_create(self, call: Call) -> Any:
        repo_type, repo_id = self._owned(call)
        if (repo_type, repo_id) in self.repos:
            url = self.repos[repo_type, repo_id].page
            raise Refusal(409, f"You already created this {repo_type} repo", url=url)
        private = json.loads(call.body).get("visibility") == "private"
        return {"url": self.add_repo(repo_type, repo_id, private=private).page}

    def _answer_delete(self, call: Call) -> Any:
        if self.repos.pop(self._owned(call), None) is None:
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return {}

    def _owned(self, call: Call) -> tuple[str, str]:
        content = json.loads(call.body)
        if call.user is None:
            raise Refusal(401, "Invalid username or password.")
        owner = content.get("organization") or call.user.name
        if not call.user.write or owner != call.user.name:
            raise Refusal(403, f"you don't have the rights to do this under the namespace {owner}")
        return content.get("type") or "model", f"{owner}/{content['name']}"


class _Server(socketserver.ThreadingTCPServer):
    # Not http.server's own, which looks up the machine's name: slow where nobody answers.
    daemon_threads = True
    request_queue_size = 64
    hub: LoopbackHub

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients may leave as they like
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits until the headers are acknowledged
    server: _Server

    def answer(self) -> None:
        hub = self.server.hub
        fault = hub.next_fault(f"{self.command} {self.path}")
        drop = fault is not None and fault.drop
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length // 2 if drop else length)
        if len(body) < length or (drop and self.command == "HEAD"):
            hub.requests.append(Request(self.command, self.path, 0))
            self.close_connection = True
            return
        if fault and not drop:
            answer = Answer({"error": f"injected error {fault.status}"}, fault.status, fault.headers)
        else:
            answer = hub.answer(self.command, self.path, self.headers, body)
        raw = isinstance(answer.content, bytes)
        content = answer.content if raw else json.dumps(answer.content, default=str).encode()
        kind = "application/octet-stream" if raw else "application/json"
        hub.requests.append(Request(self.command, self.path, 0 if drop else answer.status))
        self.send_response(answer.status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **answer.headers}.items():
            self.send_header(name, re.sub(r"[^ -~]+", " ", value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if drop else content)
        self.close_connection = self.close_connection or drop

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        """Keep standard error clean; `requests` is the log."""
