"""From what was typed to files: folders, globs, lists, in an order that is the same everywhere."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from leuk_hf.image_io import SUFFIXES


def find_inputs(paths: Iterable[str], listed: Iterable[str]) -> Iterator[str]:
    """Expand folders, globs and the list behind "-" to files, in order; unknown names stay, to be reported.

    A folder's files come by name, subfolders in their place among them, links to folders not followed; only the
    names of one folder are held at a time.

    Args:
        paths: As typed.
        listed: Read for "-", one path a line.
    """
    for path in paths:
        if not path.strip():
            yield path  # an unset shell variable must not mean "everything here"
        elif path == "-":
            yield from (line.strip() for line in listed if line.strip())
        elif _is_folder(path):
            inside = _images_inside(Path(path))
            first = next(inside, path)
            yield first
            yield from inside
        elif glob.has_magic(path) and not os.path.lexists(path):
            yield from sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 - absolute patterns too
        else:
            yield path


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # too long a name, a folder that may not be entered: reported in its row
        return False


def _images_inside(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            # Plain names: the entries themselves are ten times as large.
            found = sorted(
                (entry.name, is_folder)
                for entry in entries
                if (is_folder := entry.is_dir(follow_symlinks=False)) or _is_image(entry)
            )
    except OSError:
        yield str(folder)  # a folder that may not be read is reported, not skipped
        return
    for name, is_folder in found:
        if is_folder:
            yield from _images_inside(folder / name)
        else:
            yield str(folder / name)


def _is_image(entry: os.DirEntry[str]) -> bool:
    return Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file()
