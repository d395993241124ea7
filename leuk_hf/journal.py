"""A dictionary that survives an interruption: every entry is appended to a file as it is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from threading import Lock
from typing import Any

from leuk_hf.errors import DataError


class Journal(MutableMapping[str, Any]):
    """JSON values by string, one line each; a line cut short by a kill is ignored. Thread-safe.

    Args:
        path: JSON Lines file, made with its folder when the first entry comes; None keeps nothing on disk.

    Raises:
        DataError: If the file cannot be read.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._entries, self._lock = path, dict[str, Any](), Lock()
        if path is None or not path.exists():
            return
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error}); remove it to start anew") from error
        for line in lines:
            try:
                key, value = json.loads(line)
                self._entries[key] = value
            except (ValueError, TypeError):
                continue

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __setitem__(self, key: str, value: Any) -> None:
        with self._lock:
            self._entries[key] = value
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8", newline="\n") as file:
                    # The break in front ends a line that a kill may have left open.
                    file.write("\n" + json.dumps([key, value], allow_nan=False))

    def __delitem__(self, key: str) -> None:
        raise TypeError("entries of a journal are not taken back")

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
