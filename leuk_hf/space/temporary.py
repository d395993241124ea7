"""The server's own temporary folder: all that visitors send and get lies in it, and it goes when the server does.

Shared contract: every server has a folder of its own, with a lock beside it that the system releases however the
process ends. A folder whose lock nobody holds was left by a server that was killed; the next one to start removes it.
Nothing outside of `leuk_hf-space-USER` is touched, and of other users' folders none.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from leuk_hf.errors import LeukError


@contextlib.contextmanager
def own_temporary_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for this server and remove those that killed servers have left; it is removed in the end.

    Args:
        parent: Where temporary folders go.

    Raises:
        LeukError: If what should hold the folders is somebody else's.
    """
    home = _home(parent)
    remove_abandoned(home)
    folder = home / secrets.token_hex(8)
    try:
        with FileLock(_lock_of(folder), timeout=0):  # before the folder: what has no lock is removed
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        _lock_of(folder).unlink(missing_ok=True)


def remove_abandoned(home: Path) -> None:
    """Remove the folders of servers that run no more.

    Args:
        home: That holds them.
    """
    for folder in home.iterdir():
        if folder.suffix == ".lock":
            continue
        with contextlib.suppress(Timeout, OSError):
            with FileLock(_lock_of(folder), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)


def remove_older(folder: Path, seconds: float) -> None:
    """Remove files that nobody has changed for a while: Gradio forgets uploads that were broken off, for one.

    Args:
        folder: Of this server alone.
        seconds: Age from which they go.
    """
    for path in sorted(folder.rglob("*"), reverse=True):  # a folder after what is in it
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_ctime > seconds:
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()  # fails as long as something younger is in it
                else:
                    path.unlink()


def _home(parent: Path) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    home = parent / f"leuk_hf-space-{user}"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = home.lstat()
    # In a folder that everybody may write to, somebody else could have made it first, to read what visitors send.
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise LeukError(f"{home} belongs to somebody else; set GRADIO_TEMP_DIR to a folder of your own")
    return home


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
