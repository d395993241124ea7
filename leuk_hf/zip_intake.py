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
        return refused(name, f"lists far more than {limits.files:,} files; split it")
    except _DAMAGES as error:
        return refused(name, f"is a damaged zip archive ({one_line(error)}); pack it again")
    source.is_open = True
    entries = [entry for entry in archive.infolist() if not _is_folder(entry) and not is_system_file(entry.filename)]
    if len(entries) > limits.files:
        return refused(name, f"holds {len(entries):,} files (at most {limits.files:,}); split it")
    if not entries:
        return refused(name, "is an empty zip archive; pack the images into it")
    entries.sort(key=lambda entry: entry.filename)
    faults = {id(entry): _fault(entry, limits) for entry in entries}
    total = sum(entry.file_size for entry in entries if faults[id(entry)] is None)
    if total > limits.total_bytes:
        return refused(name, f"unpacks to {_megabytes(total)} (at most {_megabytes(limits.total_bytes)}); split it")
    return [_candidate(archive, entry, name, faults[id(entry)]) for entry in entries]


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/")  # its own `is_dir` fails on an empty name


def _candidate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, archive_name: str, fault: str | None) -> Candidate:
    name = shown_name(f"{archive_name}/{entry.orig_filename}")
    return refused(name, fault) if fault else Candidate(name, functools.partial(_read, archive, entry, name))


def _fault(entry: zipfile.ZipInfo, limits: IntakeLimits) -> str | None:
    """Tell what is wrong with an entry by what the directory says of it."""
    name = entry.orig_filename
    if _leads_elsewhere(name):
        return "has a name that leads out of the archive; pack the archive again from the images alone"
    if entry.create_system == 3 and stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or another special file; pack the image itself"
    if entry.flag_bits & 0x1:
        return "is encrypted; pack it without a password"
    if PurePosixPath(name).suffix.lower() in _ARCHIVE_SUFFIXES:
        return "is an archive inside the archive; unpack it and hand in the images"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed by an unusual method; pack it as an ordinary zip (deflate)"
    if entry.file_size > limits.file_bytes:
        return f"unpacks to {_megabytes(entry.file_size)} (at most {_megabytes(limits.file_bytes)}); save it smaller"
    if entry.file_size > _SMALL and entry.file_size > limits.ratio * max(1, entry.compress_size):
        return f"unpacks to more than {limits.ratio} times its size, which no photograph does; save it again"
    return None


def _leads_elsewhere(name: str) -> bool:
    is_absolute = name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None
    return is_absolute or "\\" in name or "\0" in name or ".." in name.split("/")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> bytes:
    try:
        with archive.open(entry) as file:
            content = file.read()
    except _DAMAGES as error:
        raise ImageError(f"{name} is damaged in its archive ({one_line(error)}); pack it again") from error
    if content.startswith(b"PK\x03\x04"):
        raise ImageError(f"{name} is an archive inside the archive; unpack it and hand in the images")
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
