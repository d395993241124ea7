"""What the loopback Hub's answers are made of: who asks for what, files, and refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple


class User(NamedTuple):
    """Who a token belongs to, and whether it may write."""

    name: str
    write: bool


class Call(NamedTuple):
    """A request to answer."""

    method: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    user: User | None


class Answer(NamedTuple):
    """What goes back to a client: bytes as they are, anything else as JSON."""

    content: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Refusal(Exception):
    """A request that is answered with an error; `code` is what clients choose the exception by."""

    def __init__(
        self, status: int, message: str, code: str = "", headers: Mapping[str, str] = {}, **content: Any
    ) -> None:
        named = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}
        self.answer = Answer({"error": message, **content}, status, named)


@dataclasses.dataclass(frozen=True)
class File:
    """A file at some commit: `oid` names its git blob, `etag` its content; `lfs` if it is large or binary."""

    content: bytes = dataclasses.field(repr=False)
    lfs: bool
    oid: str
    etag: str

    @classmethod
    def of(cls, content: bytes, *, lfs: bool) -> File:
        """Hash a file as git does, large ones by their pointers."""
        sha256 = hashlib.sha256(content).hexdigest()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(content)}\n"
        blob = pointer.encode() if lfs else content
        oid = hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()
        return cls(content, lfs, oid, sha256 if lfs else oid)

    def describe(self) -> dict[str, Any]:
        """Make its entry in a listing."""
        size = len(self.content)
        lfs = {"oid": self.etag, "sha256": self.etag, "size": size, "pointerSize": 125 + len(str(size))}
        entry = {"type": "file", "size": size, "oid": self.oid, "blobId": self.oid}
        return {**entry, "lfs": lfs} if self.lfs else entry

    def answer(self, wanted: str, headers: Mapping[str, str]) -> Answer:
        """Give the content, or the range of it that a client wants."""
        size = len(self.content)
        linked = {"X-Linked-Etag": f'"{self.etag}"', "X-Linked-Size": str(size)} if self.lfs else {}
        headers = {**headers, "Accept-Ranges": "bytes", "ETag": f'"{self.etag}"', **linked}
        first, last = match.groups() if (match := re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)) else ("", "")
        if not first and not last:
            return Answer(self.content, 200, headers)
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= end:
            raise Refusal(416, "Range not satisfiable", "", {"Content-Range": f"bytes */{size}"})
        return Answer(self.content[start:end], 206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"})
