"""Taking folders of one machine out of what is published: an absolute path tells who worked where, and nothing else.

Shared contract: only the last part of an absolute path stays, "/home/ada/leukemia" becomes "leukemia"; relative
paths, addresses on the web and all other text stay as they are.
"""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

# Within text: from what begins an absolute path to the next space or quote.
_PATH = re.compile(r"(?<![\w.~:/\\-])(?:~\w*|[A-Za-z]:)?[/\\][^\s\"'`)\]]+")
_SEVERAL = re.compile(r"\s[-/~]")  # a command that begins with a path, rather than one path with spaces
_BEGINNING = re.compile(r"~\w*/|[A-Za-z]:[/\\]|/|\\\\")


def without_local_paths(content: Any) -> Any:
    """Shorten every absolute path in JSON.

    Args:
        content: Anything JSON knows; keys are searched, too.
    """
    if isinstance(content, dict):
        return {_shortened(key): without_local_paths(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_local_paths(value) for value in content]
    return _shortened(content) if isinstance(content, str) else content


def _shortened(text: str) -> str:
    if "/" not in text and "\\" not in text:
        return text
    text = text.replace("file:///", "/")
    if not _SEVERAL.search(text) and (whole := _name(text)) != text:
        return whole
    try:
        parts = shlex.split(text) if "'" in text or '"' in text else []
    except ValueError:  # words with an apostrophe
        parts = []
    # A quoted part of a command may hold spaces.
    if (named := [_of_option(part) for part in parts]) != parts:
        text = shlex.join(named)
    return _PATH.sub(lambda found: _name(found[0]), text)


def _of_option(part: str) -> str:
    option, equals, value = part.partition("=")
    return f"{option}={_name(value)}" if equals and option.startswith("-") else _name(part)


def _name(path: str) -> str:
    """Give the last part of an absolute path; anything else as it is."""
    if not _BEGINNING.match(path) or "\n" in path:
        return path
    kind = PurePosixPath if path.startswith(("/", "~")) and "\\" not in path else PureWindowsPath
    return kind(path).name or path
