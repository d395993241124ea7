"""Where a number or a checkpoint comes from: command, commit, date and versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from leuk_hf._version import __version__
from leuk_hf.files import git_commit

_PACKAGES = ("torch", "torchvision", "timm", "opencv-python", "numpy", "pillow")


def provenance(command: str | None) -> dict[str, Any]:
    """Collect what a reader needs to make a result again.

    Args:
        command: The command line, as typed; None when called from Python.

    Returns:
        JSON types: command, commit (None outside a checkout), date (UTC), versions.
    """
    versions = {"leuk_hf": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "command": command,
        "commit": git_commit(Path(__file__).parent.parent),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "versions": versions,
    }
