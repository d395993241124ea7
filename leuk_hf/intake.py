"""What was handed in, as fields to classify: files, a folder's files, zip archives.

Shared contract: a candidate is one file with a name to show; opening it gives what `load_image` takes, or raises
`ImageError` with one sentence. Archives are read where they are, one entry at a time in memory: nothing is unpacked
to disk, so no entry's name can lead anywhere. What cannot be taken is a candidate too, one that says why.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from leuk_hf.errors import ImageError
from leuk_hf.input_files import find_inputs
from leuk_hf.sentence import Sentence

_ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "__macosx"})  # file managers put them everywhere
_NAME_LENGTH = 160
# Characters that change how the rest of a name reads; joiners between letters are Persian spelling and stay.
_DISGUISES = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@dataclasses.dataclass(frozen=True)
class IntakeLimits:
    """How much is taken at once.

    Args:
        files: In all; also entries of one archive.
        archives: In all; each stays open until the last field is read.
        file_bytes: Of one unpacked entry.
        total_bytes: Of all unpacked entries of one archive.
        ratio: Unpacked over packed size of an entry of more than a megabyte; uncompressed images reach some 10,
            empty ones 100.
    """

    files: int = 1000
    archives: int = 20
    file_bytes: int = 64 * 2**20
    total_bytes: int = 2 * 2**30
    ratio: int = 200


@dataclasses.dataclass(frozen=True)
class Upload:
    """A file or folder as it was handed in.

    Args:
        path: Where it lies.
        name: What to call it, such as "case 7/field 1.jpg"; anybody may have chosen it.
    """

    path: Path
    name: str


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One file that may be a field.

    Args:
        name: To show; without control characters, and not that of another file.
        open: Gives the file's path or its bytes; raises `ImageError`.
    """

    name: str
    open: Callable[[], Path | bytes]


@contextlib.contextmanager
def open_uploads(uploads: Iterable[Upload], limits: IntakeLimits | None = None) -> Iterator[list[Candidate]]:
    """List the candidates; archives stay open until the block ends.

    Args:
        uploads: In order. A folder stands for the images in it, an archive (told by its content) for its entries.
        limits: By default `IntakeLimits()`. Beyond `files` one candidate says how many more there are.
    """
    from leuk_hf.zip_intake import zip_candidates

    limits = limits or IntakeLimits()
    with contextlib.ExitStack() as stack:
        candidates: list[Candidate] = []
        left_out = num_archives = 0
        taken: set[str] = set()
        for upload in _expanded(uploads):
            if len(candidates) >= limits.files:
                left_out += 1
                continue
            name = _another_name(shown_name(upload.name), taken)
            taken.add(name)
            if _is_archive(upload.path):
                num_archives += 1
                if num_archives > limits.archives:
                    beyond = Sentence(
                        "{name} was left out: at most {most} archives are taken at once; hand it in later",
                        name=name,
                        most=limits.archives,
                    )
                    candidates.append(refused(name, beyond))
                    continue
                entries = zip_candidates(upload.path, name, limits, stack)
                left_out += max(0, len(candidates) + len(entries) - limits.files)
                candidates += entries[: limits.files - len(candidates)]
            elif upload.name.lower().endswith(".zip"):
                sentence = Sentence("{name} is no zip archive that can be read; pack it again", name=name)
                candidates.append(refused(name, sentence))
            else:
                candidates.append(Candidate(name, functools.partial(_path, upload.path)))
        if left_out:
            sentence = Sentence(
                "{number} more were left out: at most {most} are taken at once; hand them in separately",
                number=f"{left_out:,}",
                most=f"{limits.files:,}",
            )
            candidates.append(refused(f"{left_out:,} more", sentence))
        yield candidates


def refused(name: str, sentence: str) -> Candidate:
    """Give a candidate that cannot be taken.

    Args:
        name: As for `Candidate`.
        sentence: What is wrong and what to do.
    """
    return Candidate(name, functools.partial(_refuse, sentence))


def shown_name(name: str) -> str:
    """Make a name fit to show: one line, not too long, nothing in it that disguises what it is.

    Args:
        name: Anything; markup stays and must be escaped where it is shown.
    """
    name = " ".join(name.split())
    shown = "".join("\ufffd" if character in _DISGUISES or _is_control(character) else character for character in name)
    if len(shown) > _NAME_LENGTH:
        half = _NAME_LENGTH // 2
        shown = f"{shown[:half]}…{shown[-half:]}"
    return shown or "unnamed"


def is_system_file(name: str) -> bool:
    """Tell whether a file is a file manager's own, or hidden, which nobody means to hand in.

    Args:
        name: With its folders, parted by slashes.
    """
    parts = PurePosixPath(name).parts
    return any(part.lower() in _SYSTEM_FILES for part in parts) or (bool(parts) and parts[-1].startswith("._"))


def _another_name(name: str, taken: set[str]) -> str:
    """Number a name that another file has already, as browsers do: a page may give files without their folders."""
    number, another = 1, name
    while another in taken:
        number += 1
        another = f"{name} ({number})"
    return another


def _expanded(uploads: Iterable[Upload]) -> Iterator[Upload]:
    for upload in uploads:
        if upload.path.is_dir():
            for path in find_inputs([str(upload.path)], ()):
                inside = Path(path)
                within = inside.relative_to(upload.path).as_posix() if inside != upload.path else ""
                yield Upload(inside, f"{upload.name}/{within}".rstrip("/"))
        elif not is_system_file(upload.name):
            yield upload


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in _ARCHIVE_STARTS
    except (OSError, ValueError):
        return False  # load_image says what is wrong with it


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _path(path: Path) -> Path:
    return path


def _refuse(sentence: str) -> bytes:
    raise ImageError(sentence)
