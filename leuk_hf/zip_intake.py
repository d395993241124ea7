"""Reading zip archives that come from anybody, in memory and within limits.

Shared contract: an archive that cannot be used is one candidate that says why, and so is an entry. Entries are
refused by what the directory says of them, before a byte is unpacked; `zipfile` never unpacks more than it says there
and checks the sum. An entry's name is only shown.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from leuk_hf.errors import ImageError, one_line
from leuk_hf.intake import Candidate, IntakeLimits, is_system_file, refused, shown_name
from leuk_hf.sentence import Sentence

_DIRECTORY_BYTES = 1000  # of the directory for each entry allowed: a long name is 200
_ARCHIVE_SUFFIXES = frozenset({".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".jar"})
_SMALL = 2**20  # bytes; whatever unpacks to less cannot do harm
_DAMAGES = (
    *(OSError, ValueError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, struct.error, OverflowError),
)


def zip_candidates(path: Path, name: str, limits: IntakeLimits, stack: contextlib.ExitStack) -> list[Candidate]:
    """List an archive's entries, in the order of their names.

    Args:
        path: Of the archive.
        name: To show.
        limits: What is refused.
        stack: Closes the archive.
    """
    with contextlib.ExitStack() as own:
        candidates = _listed(path, name, limits, own)
        if not isinstance(candidates, Candidate):
            stack.enter_context(own.pop_all())
            return candidates
    # What is refused is closed at once: thousands of them would use up the server's files and memory.
    return [candidates]


def _listed(path: Path, name: str, limits: IntakeLimits, stack: contextlib.ExitStack) -> list[Candidate] | Candidate:
    """List the entries, or give one candidate that says why the archive is refused."""
    directory_bytes = limits.files * _DIRECTORY_BYTES
    try:
        source = stack.enter_context(_DirectoryReader(path, directory_bytes))
        archive = stack.enter_context(zipfile.ZipFile(source))
    except _TooMuchError:
        sentence = Sentence("{name} lists far more than {most} files; split it", name=name, most=f"{limits.files:,}")
        return refused(name, sentence)
    except _DAMAGES as error:
        reason = one_line(error)
        damage = Sentence("{name} is a damaged zip archive ({reason}); pack it again", name=name, reason=reason)
        return refused(name, damage)
    source.is_open = True
    entries = [entry for entry in archive.infolist() if not _is_folder(entry) and not is_system_file(entry.filename)]
    if len(entries) > limits.files:
        numbers = {"number": f"{len(entries):,}", "most": f"{limits.files:,}"}
        return refused(name, Sentence("{name} holds {number} files (at most {most}); split it", name=name, **numbers))
    if not entries:
        return refused(name, Sentence("{name} is an empty zip archive; pack the images into it", name=name))
    entries.sort(key=lambda entry: entry.filename)
    names = [shown_name(f"{name}/{entry.orig_filename}") for entry in entries]
    faults = [_fault(entry, each, limits) for entry, each in zip(entries, names, strict=True)]
    total = sum(entry.file_size for entry, fault in zip(entries, faults, strict=True) if fault is None)
    if total > limits.total_bytes:
        sizes = {"size": _megabytes(total), "most": _megabytes(limits.total_bytes)}
        return refused(name, Sentence("{name} unpacks to {size} (at most {most}); split it", name=name, **sizes))
    return [
        refused(each, fault) if fault else Candidate(each, functools.partial(_read, archive, entry, each))
        for entry, each, fault in zip(entries, names, faults, strict=True)
    ]


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/")  # its own `is_dir` fails on an empty name


def _fault(entry: zipfile.ZipInfo, name: str, limits: IntakeLimits) -> Sentence | None:
    """Tell what is wrong with an entry by what the directory says of it; `name` is what it is called."""
    inside = entry.orig_filename
    if _leads_elsewhere(inside):
        return Sentence(
            "{name} has a name that leads out of the archive; pack the archive again from the images alone", name=name
        )
    if entry.create_system == 3 and stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return Sentence("{name} is a link or another special file; pack the image itself", name=name)
    if entry.flag_bits & 0x1:
        return Sentence("{name} is encrypted; pack it without a password", name=name)
    if PurePosixPath(inside).suffix.lower() in _ARCHIVE_SUFFIXES:
        return _nested(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Sentence("{name} is packed by an unusual method; pack it as an ordinary zip (deflate)", name=name)
    if entry.file_size > limits.file_bytes:
        sizes = {"size": _megabytes(entry.file_size), "most": _megabytes(limits.file_bytes)}
        return Sentence("{name} unpacks to {size} (at most {most}); save it smaller", name=name, **sizes)
    if entry.file_size > _SMALL and entry.file_size > limits.ratio * max(1, entry.compress_size):
        return Sentence(
            "{name} unpacks to more than {ratio} times its size, which no photograph does; save it again",
            name=name,
            ratio=limits.ratio,
        )
    return None


def _nested(name: str) -> Sentence:
    return Sentence("{name} is an archive inside the archive; unpack it and hand in the images", name=name)


def _leads_elsewhere(name: str) -> bool:
    is_absolute = name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None
    return is_absolute or "\\" in name or "\0" in name or ".." in name.split("/")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> bytes:
    try:
        with archive.open(entry) as file:
            content = file.read()
    except _DAMAGES as error:
        raise ImageError(
            Sentence("{name} is damaged in its archive ({reason}); pack it again", name=name, reason=one_line(error))
        ) from error
    if content.startswith(b"PK\x03\x04"):
        raise ImageError(_nested(name))
    return content


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MB"


class _TooMuchError(Exception):
    """The directory is larger than that of any archive that would be taken."""


class _DirectoryReader(io.FileIO):
    """A file that refuses to be read in one large piece while `zipfile` looks for the directory.

    A directory of 64 MB names a million entries, and `zipfile` makes an object of each before anybody can count.
    """

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, "rb")
        self._limit = limit
        self.is_open = False

    def read(self, size: int | None = -1, /) -> bytes:
        if not self.is_open and size is not None and size > max(self._limit, 2**17):
            raise _TooMuchError
        return super().read(-1 if size is None else size)
