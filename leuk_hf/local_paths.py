"""Taking folders of one machine out of what is published: an absolute path tells who worked where, and nothing else.

Shared contract: only the last part of an absolute path stays, "/home/ada/leukemia" becomes "leukemia"; relative
paths, addresses on the web and all other text stay as they are. Within a sentence a lone "/name" stays, too: it has no
other part to hide, and may be an endpoint; "/a/b" is taken for a path there.
"""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_HOME = r"~(?:[A-Za-z_][\w.-]*)?"
_BEGIN = rf"(?:(?:{_HOME})?/(?=[^\s/])|[A-Za-z]:[/\\]|\\\\(?=[\w.-]+\\\w))"
_BEGINNING = re.compile(_BEGIN)
# Several paths in one value, as "/a,/b" or "/a:/b"; the colon of a drive separates nothing.
_SEPARATOR = re.compile(rf"([,;]|(?<!^[A-Za-z])(?<![,;:][A-Za-z]):)(?={_BEGIN})")
# A path within text begins where a word could, and ends with a space or with what closes or separates; a comma or a
# bracket inside a name belongs to it.
_REST = r"(?:[^\s\"'`)\]}>,;:|]|[,;:|](?=[\w.-])(?![A-Za-z]:[/\\])|[)\]}>](?=[\w./\\-]))"
_PATH = re.compile(
    r"(?P<address>\b[A-Za-z][A-Za-z0-9+.-]+://\S*)"
    rf"|(?<![^\s\"'`(\[{{=,;:|])(?P<path>(?:{_HOME}/(?=[^\s/])|[A-Za-z]:[/\\]|\\\\(?=[\w.-]+\\\w)|/(?=[\w.~+@-]+/[^\s/])){_REST}+)"
)
_QUOTED = re.compile(rf"([\"'`])(?P<path>{_BEGIN}[^\"'`\n]*)\1")
_SEVERAL = re.compile(rf"\s(?:-|{_BEGIN})")  # a command that begins with a path, rather than one path with spaces


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
    begins = _PATH if " " in text else _BEGINNING
    if "\n" not in text and begins.match(text) and not _SEVERAL.search(text) and "://" not in text:
        return _names(text)
    if (parts := _command(text)) is not None:  # in which a quoted path may hold spaces
        return shlex.join(map(_of_option, parts))
    text = _QUOTED.sub(lambda found: found[1] + _names(found["path"]) + found[1], text)
    return _PATH.sub(lambda found: found[0] if found["address"] else _name(found["path"]), text)


def _command(text: str) -> list[str] | None:
    """Take a command apart if `shlex.join` made it, as records have it; None for any other text."""
    try:
        parts = shlex.split(text)
    except ValueError:
        return None
    return parts if shlex.join(parts) == text else None


def _of_option(part: str) -> str:
    option, equals, value = part.partition("=")
    if equals and re.fullmatch(r"[\w-]+", option):
        return f"{option}={_names(value)}"
    return _names(part) if _PATH.match(part) else part


def _names(paths: str) -> str:
    """Shorten each of the paths in a list of them; anything else stays as it is."""
    return "".join(map(_name, _SEPARATOR.split(paths)))


def _name(path: str) -> str:
    """Give the last part of an absolute path; anything else as it is."""
    if not _BEGINNING.match(path):
        return path
    kind = PurePosixPath if path.startswith(("/", "~")) and "\\" not in path else PureWindowsPath
    return kind(path).name or path
