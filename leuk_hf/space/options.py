"""What a running demo can be told: by options of app.py, or by environment variables, which a Space has."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from leuk_hf.errors import LeukError

_UNITS = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30}
_SIZE = re.compile(rf"([1-9]\d*)({'|'.join(_UNITS)})")


@dataclasses.dataclass(frozen=True)
class Options:
    """How to serve.

    Args:
        model: Checkpoint folder or Hub id; empty: the one that space.json names beside app.py, else the shipped one.
        revision: Branch, tag or commit of a model on the Hub.
        host: Address to listen at; 0.0.0.0 lets other machines in.
        port: Port to listen at; 0: the first free one from 7860.
        root_path: Path under which a proxy serves the demo, as "/leuk".
        max_upload: Largest file that is taken, as 64mb.
        queue_size: Requests that may wait, besides an eighth as many whole cases; more are told to come back.
        concurrency: Requests that run the model at a time.
        examples: Folder of own fields to offer as examples; empty: the synthetic ones.
    """

    model: str | None = None
    revision: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    root_path: str = ""
    max_upload: str = "64mb"
    queue_size: int = 64
    concurrency: int = 2
    examples: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise LeukError(f"port is {self.port}; give 1 to 65535, or 0 for the first free one")
        if not _SIZE.fullmatch(self.max_upload):
            raise LeukError(f"max_upload is {self.max_upload!r}; give a number and its unit, as 64mb")
        for name in ("queue_size", "concurrency"):
            if getattr(self, name) < 1:
                raise LeukError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.root_path and not re.fullmatch(r"(https?://[^\s/]+)?(/[\w.\-~]+)*/?", self.root_path):
            raise LeukError(f"root_path is {self.root_path!r}; give a path as /leuk, or a full address")
        if self.examples is not None and not self.examples.is_dir():
            raise LeukError(f"examples is {str(self.examples)!r}, which is no folder; give one with images of fields")

    @property
    def largest_file(self) -> int:
        """`max_upload` in bytes."""
        number, unit = _SIZE.fullmatch(self.max_upload).groups()  # type: ignore[union-attr]
        return int(number) * _UNITS[unit]

    @property
    def cases_waiting(self) -> int:
        """How many whole cases may wait, beside the `queue_size` other requests."""
        return max(1, self.queue_size // 8)


# Gradio's own names where it has them, so that what is written about Gradio holds here.
VARIABLES = {
    "model": "LEUK_MODEL",
    "revision": "LEUK_REVISION",
    "host": "GRADIO_SERVER_NAME",
    "port": "GRADIO_SERVER_PORT",
    "root_path": "GRADIO_ROOT_PATH",
    "max_upload": "LEUK_MAX_UPLOAD",
    "queue_size": "LEUK_QUEUE_SIZE",
    "concurrency": "LEUK_CONCURRENCY",
    "examples": "LEUK_EXAMPLES",
}
AUTH = "LEUK_AUTH"


def read_options(arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read options: an argument counts before its environment variable.

    Args:
        arguments: Of the command line, without the program's name. `--help` prints and exits.
        environment: As `os.environ`; empty variables do not count.

    Raises:
        LeukError: If a value cannot be used; the sentence names it.
    """
    parser = _Parser(prog="app.py", description="Serve the demo.", allow_abbrev=False)
    texts = _argument_texts()
    for field in dataclasses.fields(Options):
        variable, default = VARIABLES[field.name], "" if field.default is None else field.default
        note = f"{texts[field.name]} (environment: {variable}; default: {default or 'empty'})".replace("%", "%%")
        parser.add_argument(f"--{field.name.replace('_', '-')}", dest=field.name, metavar="VALUE", help=note)
    parser.epilog = (
        f"Login: {AUTH}=name:password in the environment, several separated by commas. There is no share link."
    )
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    for name, variable in VARIABLES.items():
        if environment.get(variable):
            given.setdefault(name, environment[variable])
    values = {name: _converted(name, value) for name, value in given.items() if value}
    return Options(**values)  # type: ignore[arg-type]


def read_logins(environment: Mapping[str, str]) -> list[tuple[str, str]] | None:
    """Read who may log in, from the environment alone: arguments show in the list of processes.

    Args:
        environment: As `os.environ`.

    Returns:
        Names and passwords, or None if everyone may come in.

    Raises:
        LeukError: If the variable cannot be read; the sentence shows no password.
    """
    text = environment.get(AUTH, "")
    if not text.strip():
        return None
    logins = [tuple(part.strip().partition(":")[::2]) for part in text.split(",")]
    if not all(name and password for name, password in logins):
        raise LeukError(f"{AUTH} is not name:password, several separated by commas; nobody could log in")
    return [(name, password) for name, password in logins]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise LeukError(f"{message}; app.py --help lists the options")


def _converted(name: str, value: str) -> str | int | Path:
    if name in ("port", "queue_size", "concurrency"):
        try:
            return int(value)
        except ValueError:
            raise LeukError(f"{name} is {value!r}; give a whole number") from None
    if name == "max_upload":
        return value.lower()
    return Path(value) if name == "examples" else value


def _argument_texts() -> dict[str, str]:
    lines = (line.strip().partition(": ") for line in (Options.__doc__ or "").splitlines())
    return {name: text for name, _, text in lines if name in VARIABLES}
