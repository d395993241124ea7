"""What an unfinished batch prediction leaves beside its output, so that the same command goes on where it stopped.

Shared contract: a state folder holds run.json (what the rows depend on besides the files), inputs.jsonl (the files,
in order) and rows-00000.jsonl, ... (one file per process, one line per batch, appended when the batch is done). A
batch is known by its key, a hash of its place, its files' names, sizes, times of change and modes, and so of all that
its rows depend on: a row is never given to another file, whatever was added, removed or changed since. A line cut
short by a kill is ignored. Nothing here grows with the number of files but an index of some 200 bytes a batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from leuk_hf.errors import LeukError
from leuk_hf.files import replacing, write_json

if TYPE_CHECKING:
    from leuk_hf.processes import Processes

Row: TypeAlias = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Files that go through the network together.

    Args:
        start: Number of the first file among all, from 0.
        names: The files, in order.
        key: Known nowhere else: from start, names and the files' sizes, times and modes.
    """

    start: int
    names: tuple[str, ...]
    key: str


class PredictionStore:
    """The state folder of one batch prediction.

    Args:
        folder: Made by `begin`; nothing but this class's files may be in it.
        part: Number of this process; it appends to a file of its own.
        is_complete: Takes a batch's start and rows; one for which it is False counts as not answered.
    """

    def __init__(
        self, folder: Path, *, part: int = 0, is_complete: Callable[[int, list[Row]], bool] = lambda start, rows: True
    ) -> None:
        self.folder = folder
        self._is_complete = is_complete
        self._header, self._inputs = folder / "run.json", folder / "inputs.jsonl"
        self._part = folder / f"rows-{part:05d}.jsonl"
        self._index: dict[str, tuple[Path, int]] = {}

    def begin(self, identity: dict[str, Any], names: Iterable[str], *, restart: bool = False) -> int:
        """Start or go on: by one process, before any other touches the folder.

        Args:
            identity: What the rows depend on besides the files, as JSON types, by names to show.
            names: The files, in order; kept on disk.
            restart: Throw away what an unfinished run has left.

        Returns:
            The number of files.

        Raises:
            LeukError: If the folder belongs to a run with another identity, or is not a state folder.
        """
        if self.folder.exists() and (not self.folder.is_dir() or self._strangers()):
            raise LeukError(f"{self.folder} is needed for unfinished predictions but is something else; move it away")
        self.folder.mkdir(parents=True, exist_ok=True)
        if restart or not self._header.exists():
            self._clear()  # rows without a header are of an unknown run
            write_json(self._header, identity)
        self.check(identity)
        count = 0
        with replacing(self._inputs) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
            for name in names:
                file.write(json.dumps([name, _fingerprint(name)]) + "\n")
                count += 1
        return count

    def check(self, identity: dict[str, Any]) -> None:
        """Refuse rows of another run.

        Args:
            identity: As for `begin`.

        Raises:
            LeukError: If the folder's run has another identity, or the folder cannot be seen.
        """
        try:
            stored = json.loads(self._header.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LeukError(
                f"process of {self._part.stem} does not see {self.folder}; several machines need the output in a"
                " folder that all of them share"
            ) from None
        except (OSError, ValueError) as error:
            raise LeukError(f"{self._header} cannot be read ({error}); give --restart to start anew") from error
        wanted = json.loads(json.dumps(identity))
        differing = sorted(key for key in {*wanted, *stored} if wanted.get(key) != stored.get(key))
        if differing:
            raise LeukError(
                f"{self.folder} holds an unfinished run with another {' and '.join(differing)}; repeat that run's"
                " options to go on with it, or give --restart to throw it away"
            )

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """Give all files in batches, in order; every process sees the same.

        Args:
            batch_size: Files in each batch but the last.
        """
        with self._inputs.open(encoding="ascii") as file:
            for start in itertools.count(step=batch_size):
                lines = list(itertools.islice(file, batch_size))
                if not lines:
                    return
                key = hashlib.sha256(f"{start}\n{''.join(lines)}".encode()).hexdigest()[:32]
                yield Batch(start, tuple(json.loads(line)[0] for line in lines), key)

    def load(self) -> None:
        """Look up which batches have been answered, by any process."""
        self._index.clear()
        for path in sorted(self.folder.glob("rows-*.jsonl")):
            for offset, (key, start, rows) in _records(path):
                if self._is_complete(start, rows):
                    self._index[key] = (path, offset)

    def __contains__(self, batch: Batch) -> bool:
        return batch.key in self._index

    def rows(self, batch: Batch) -> list[Row]:
        """Read the rows of a batch that is in here.

        Args:
            batch: From `batches`.
        """
        path, offset = self._index[batch.key]
        with path.open("rb") as file:
            file.seek(offset)
            return json.loads(file.readline())[2]

    def append(self, batch: Batch, rows: list[Row]) -> None:
        """Keep the rows of a batch; a kill from here on does not lose them.

        Args:
            batch: From `batches`.
            rows: One per file, of JSON types.
        """
        with self._part.open("ab") as file:
            # The break in front ends a line that a kill may have left open.
            file.write(b"\n" + json.dumps([batch.key, batch.start, rows]).encode("ascii"))

    def remove(self) -> None:
        """Remove the folder and what this class has put there."""
        self._clear()
        with contextlib.suppress(OSError):  # a file manager's own file in it is no reason to fail at the end
            self.folder.rmdir()

    def _clear(self) -> None:
        for path in (*self._files(), self._header):  # the header last: rows are never without it
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [path for pattern in ("rows-*.jsonl", "*inputs*.jsonl", ".run.*") for path in self.folder.glob(pattern)]

    def _strangers(self) -> bool:
        seen = {path for path in self.folder.iterdir() if not path.name.startswith(".")}
        return not seen <= {*self._files(), self._header}


def _fingerprint(name: str) -> list[int] | None:
    try:
        status = Path(name).stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_mode]


def _records(path: Path) -> Iterator[tuple[int, tuple[str, int, list[Row]]]]:
    offset = 0
    with path.open("rb") as file:
        for line in file:
            # A prefix of a JSON array is never one itself, so what a kill cut short does not pass.
            with contextlib.suppress(ValueError, TypeError):
                key, start, rows = json.loads(line)
                yield offset, (key, start, rows)
            offset += len(line)


def share_of(store: PredictionStore, batch_size: int, processes: Processes) -> tuple[int, Iterator[Batch]]:
    """Give this process's part of the batches that are not answered: a contiguous block.

    Args:
        store: Loaded; the same for every process.
        batch_size: Files in each batch but the last.
        processes: Which part.

    Returns:
        Number of files in the part, and its batches.
    """

    def part() -> Iterator[Batch]:
        missing = (batch for batch in store.batches(batch_size) if batch not in store)
        return itertools.islice(missing, first, end)

    count = sum(batch not in store for batch in store.batches(batch_size))
    first, end = (count * edge // processes.count for edge in (processes.index, processes.index + 1))
    return sum(len(batch.names) for batch in part()), part()


def joined_rows(
    store: PredictionStore, batch_size: int, answers: Iterator[tuple[Batch, list[Row]]], processes: Processes
) -> Iterator[Row]:
    """Give the rows of all files in order: those in the store, those being made, those of other processes.

    Args:
        store: Loaded. With several processes it must also be where the answers are recorded.
        batch_size: Files in each batch but the last.
        answers: Of this process's share, in order.
        processes: With several, rows come when all are done, and only to the main one.

    Raises:
        LeukError: If rows are missing.
    """
    if processes.count > 1:
        deque(answers, maxlen=0)
        processes.wait()
        if processes.index > 0:
            return
        store.load()
    for batch in store.batches(batch_size):
        if batch in store:
            yield from store.rows(batch)
            continue
        for _, rows in itertools.islice(answers, 1):
            yield from rows
            break
        else:
            raise LeukError(
                f"the rows of {batch.names[0]} are missing in {store.folder}; several machines need the output in a"
                " folder that all of them share, and the same command again to answer what is missing"
            )


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[IO[str]]:
    """Open a text file that gets its name when the block ends without an error.

    The temporary name is the same each time, so that a kill leaves nothing that the next run does not clear.

    Args:
        path: The file to write; its folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.unfinished")
    try:
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
