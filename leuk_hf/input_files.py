"""From what was typed to files: folders, globs, lists, in an order that is the same everywhere."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from leuk_hf.image_io import SUFFIXES


def find_inputs(paths: Iterable[str], listed: Iterable[str], *, left_out: Counter[str] | None = None) -> Iterator[str]:
    """Expand folders, globs and the list behind "-" to files, in order; unknown names stay, to be reported.

    A folder's files come by name, subfolders in their place among them, links to folders not followed; only the
    names of one folder are held at a time. So do links to images that are gone, and a folder that holds no image.

    Args:
        paths: As typed.
        listed: Read for "-", one path a line.
        left_out: Counts, for each folder, the files inside that are no images by their names.
    """
    left_out = Counter() if left_out is None else left_out
    for path in paths:
        if not path.strip():
            yield path  # an unset shell variable must not mean "everything here"
        elif path == "-":
            yield from (line.strip() for line in listed if line.strip())
        elif _is_folder(path):
            inside = _images_inside(Path(path), left_out, path)
            first = next(inside, path)
            yield first
            yield from inside
        elif glob.has_magic(path) and not os.path.lexists(path):
            yield from sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 - absolute patterns too
        else:
            yield path


def fault_of_folder(path: str) -> str | None:
    """Say in a sentence why a folder that `find_inputs` gives instead of files cannot be answered.

    Args:
        path: From `find_inputs`.

    Returns:
        None for anything else: a file, or a folder with images that stood in a list.
    """
    if not path.strip() or not _is_folder(path):
        return None
    if not os.access(path, os.R_OK | os.X_OK):
        return f"{path} is a folder that may not be read; change its permissions"
    return f"{path} holds no image" if next(find_inputs([path], ())) == path else None


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # too long a name, a folder that may not be entered: reported in its row
        return False


def _images_inside(folder: Path, left_out: Counter[str], typed: str) -> Iterator[str]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder or _is_image(entry):
                    found.append((entry.name, is_folder))  # plain names: entries are ten times as large
                elif not _is_folder(entry.path):
                    left_out[typed] += 1
    except OSError:
        yield str(folder)  # a folder that may not be read is reported, not skipped
        return
    for name, is_folder in sorted(found):
        if is_folder:
            yield from _images_inside(folder / name, left_out, typed)
        else:
            yield str(folder / name)


def _is_image(entry: os.DirEntry[str]) -> bool:
    # Of links only those to folders are left: one that leads nowhere is reported. `entry.is_file()` fails in a loop.
    is_file = entry.is_file(follow_symlinks=False) or (entry.is_symlink() and not _is_folder(entry.path))
    return is_file and Path(entry.name).suffix.lower() in SUFFIXES
