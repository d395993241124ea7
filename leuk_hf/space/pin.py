"""The checkpoint that a Space serves: a model repository at one commit, named in a file beside app.py."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from leuk_hf.errors import CheckpointError

PIN_NAME = "space.json"


@dataclasses.dataclass(frozen=True)
class Pin:
    """A model repository at one commit.

    Args:
        model: "owner/name".
        revision: The commit, 40 hexadecimal digits: a branch or a tag may come to mean something else, and asking
            the Hub what it means takes a request at every start.
        has_results: Whether the repository is known to have a results.json, which is preloaded then.

    Raises:
        CheckpointError: If the revision is no commit, or the model's name no name.
    """

    model: str
    revision: str
    has_results: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.model, str) and re.fullmatch(r"[\w.\-]+/[\w.\-]+", self.model)):
            raise CheckpointError(f"{self.model!r} cannot be a model repository; give owner/name")
        if not (isinstance(self.revision, str) and re.fullmatch(r"[0-9a-f]{40}", self.revision)):
            raise CheckpointError(f"{self.revision!r} is no commit of {self.model}; give its 40 hexadecimal digits")


def read_pin(folder: Path) -> Pin | None:
    """Read which checkpoint a folder's app serves.

    Args:
        folder: That of app.py.

    Returns:
        The pin, or None if the folder has none.

    Raises:
        CheckpointError: If the file cannot be used.
    """
    path = folder / PIN_NAME
    if not path.is_file():
        return None
    try:
        return Pin(**json.loads(path.read_text(encoding="utf-8")))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} names no model and revision ({error}); make the Space again") from error


def pin_text(pin: Pin) -> str:
    """Give the file's content, which `read_pin` reads.

    Args:
        pin: What to serve.
    """
    return json.dumps(dataclasses.asdict(pin), indent=2) + "\n"
