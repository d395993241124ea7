"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside `path` and rename it to `path` when the block ends without an error.

    Args:
        path: The file to write; its folder is created. After an error it is as it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: image and plot writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text with `\\n` line ends, whole or not at all.

    Args:
        path: The file to write.
        text: Its content.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path | str, content: Any) -> None:
    """Write indented JSON, whole or not at all; NaN is refused rather than written as invalid JSON.

    Args:
        path: The file to write.
        content: Anything JSON knows.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def git_commit(folder: Path) -> str | None:
    """Tell the commit of a checkout, with "+changes" when tracked files differ from it.

    Args:
        folder: The top of the checkout.

    Returns:
        The 40 hexadecimal digits, or None when the folder is no checkout's top, or without git.
    """
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--show-toplevel", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
        top, commit = answer.stdout.splitlines()
        if Path(top).resolve() != folder.resolve():
            return None  # somebody else's checkout, with this package installed inside it
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=folder, check=False).returncode
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changed else "")
