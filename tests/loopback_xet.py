"""The loopback Hub's content-addressed storage, with which clients that have hf_xet exchange large files.

As the Xet protocol has it: a client cuts files into chunks, packs these into xorbs, and then tells by a shard which
chunks make which file. Everything is kept as it came, whether or not a commit ever names it. What the Hub has besides
(deduplication between clients, direct uploads, the second version of the requests) is refused as by an older Hub,
which clients know how to live with.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import struct
import time
from collections.abc import Iterator
from email.message import Message
from typing import Any, NamedTuple

import numpy as np
import pyarrow
from loopback_parts import Answer, Refusal

PREFIX = "/xet"
_RECORD = 48  # bytes of each entry of a shard
_VERIFIED, _WITH_SHA256 = 0x8000_0000, 0x4000_0000
_END = b"\xff" * 32
_PLAIN, _LZ4, _GROUPED = range(3)  # how a chunk is compressed; grouped: bytes of each four by their place, then LZ4


class Term(NamedTuple):
    """A part of a file: chunks of one xorb."""

    xorb: str
    size: int
    first: int
    end: int


class XetStorage:
    """Xorbs and files by their hashes, files also by SHA-256."""

    def __init__(self, url: str) -> None:
        self.hub, self.url = url, url + PREFIX
        self.hashes: dict[str, str] = {}  # by the file's SHA-256
        self._xorbs: dict[str, bytes] = {}
        self._files: dict[str, list[Term]] = {}
        self._rights: dict[str, str] = {}  # by ticket

    def ticket(self, right: str) -> Answer:
        """Let a client read or write for an hour, as it asks the Hub for."""
        ticket, end = secrets.token_hex(16), int(time.time()) + 3600
        self._rights[ticket] = right
        named = {"Cas-Url": self.url, "Access-Token": ticket, "Token-Expiration": str(end)}
        headers = {
            f"X-Xet-{name}": value for name, value in named.items()
        }  # huggingface_hub reads these, hf_xet the rest
        return Answer({"casUrl": self.url, "accessToken": ticket, "exp": end}, 200, headers)

    def content(self, sha256: str) -> bytes | None:
        """Put a file together again; None if nobody sent it."""
        if sha256 not in self.hashes:
            return None
        terms = self._files[self.hashes[sha256]]
        content = b"".join(b"".join(_chunks(self._xorbs[each.xorb])[each.first : each.end]) for each in terms)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Refusal(400, f"what was sent is not the file {sha256}")
        return content

    def answer(self, request: str, headers: Message, body: bytes) -> Any:
        """Do what a client asks of "METHOD /path"."""
        if found := re.fullmatch(rf"GET {PREFIX}/data/(\w+)", request):  # whoever has the address may
            return _ranged(self._xorbs[found[1]], headers)
        right = self._rights.get(headers.get("Authorization", "").removeprefix("Bearer "))
        if right is None or (right == "read" and not request.startswith("GET ")):
            raise Refusal(401 if right is None else 403, "another ticket is needed")
        if found := re.fullmatch(rf"POST {PREFIX}/v1/xorbs/default/(\w+)", request):
            _chunks(body)
            return {"was_inserted": self._xorbs.setdefault(found[1], body) is body}
        if request == f"POST {PREFIX}/v1/shards":
            self._add_shard(body)
            return {"result": 1}
        if found := re.fullmatch(rf"GET {PREFIX}/v1/reconstructions/(\w+)", request):
            return self._reconstruction(found[1], headers)
        raise Refusal(404, f"{request} is not served here")

    def _add_shard(self, shard: bytes) -> None:
        records = iter([shard[at : at + _RECORD] for at in range(_RECORD, len(shard), _RECORD)])
        for record in records:
            file, flags, count = record[:32], *struct.unpack_from("<II", record, 32)
            if file == _END:
                return
            terms = []
            for part in itertools.islice(records, count):
                _, size, first, end = struct.unpack_from("<IIII", part, 32)
                terms.append(Term(_hexadecimal(part[:32]), size, first, end))
            if unknown := [each.xorb for each in terms if each.xorb not in self._xorbs]:
                raise Refusal(400, f"the shard names a xorb that was never sent: {unknown[0]}")
            if flags & _VERIFIED:
                next(itertools.islice(records, count, count), None)
            self._files[_hexadecimal(file)] = terms
            if flags & _WITH_SHA256:
                self.hashes[_hexadecimal(next(records)[:32])] = _hexadecimal(file)

    def _reconstruction(self, file: str, headers: Message) -> Any:
        terms = self._files[file]
        asked = re.fullmatch(r"bytes=(\d+)-\d*", headers.get("Range", ""))
        if asked and int(asked[1]) >= sum(each.size for each in terms):
            raise Refusal(416, "the file ends before")
        whole = {}
        for name in {each.xorb for each in terms}:
            chunks, size = len(_chunks(self._xorbs[name])), len(self._xorbs[name])
            bounds = {"range": {"start": 0, "end": chunks}, "url_range": {"start": 0, "end": size - 1}}
            whole[name] = [{"url": f"{self.url}/data/{name}", **bounds}]
        parts = [
            {"hash": each.xorb, "unpacked_length": each.size, "range": {"start": each.first, "end": each.end}}
            for each in terms
        ]
        return {"offset_into_first_range": 0, "terms": parts, "fetch_info": whole}


def _hexadecimal(raw: bytes) -> str:
    """Write a hash as Xet does: four little-endian numbers."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def _chunks(xorb: bytes) -> list[bytes]:
    return list(_unpacked(xorb))


def _unpacked(xorb: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(xorb) and xorb[at] == 0:  # the version of a chunk; what else may follow is no chunk
        packed, scheme, size = _number(xorb, at + 1), xorb[at + 4], _number(xorb, at + 5)
        content, at = xorb[at + 8 : at + 8 + packed], at + 8 + packed
        if scheme != _PLAIN:
            content = pyarrow.decompress(content, size, codec="lz4", asbytes=True)
        if scheme == _GROUPED:
            ends = np.cumsum([(size - place + 3) // 4 for place in range(4)])
            bytes_of = np.empty(size, np.uint8)
            for place, group in enumerate(np.split(np.frombuffer(content, np.uint8), ends[:3])):
                bytes_of[place::4] = group
            content = bytes_of.tobytes()
        if len(content) != size:
            raise Refusal(400, "a chunk has another length than it says")
        yield content


def _number(content: bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 3], "little")


def _ranged(content: bytes, headers: Message) -> Answer:
    first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", headers["Range"]).groups())
    part = content[first : last + 1]
    return Answer(part, 206, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"})
