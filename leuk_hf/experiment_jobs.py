"""Running experiments: several processes at a time, resumable, with a bar.

Shared contract: the same call later skips what is done and goes on with what is not; a kill loses at most the steps
since the last saved state. Each experiment runs in a process of its own, which writes to log.txt in its folder and
ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from leuk_hf.errors import LeukError, TrainingError
from leuk_hf.evaluation import merge_results
from leuk_hf.experiments import RUNS, Experiment, finished_entry, is_trained, run_experiment
from leuk_hf.processes import available_cores

_POLL_SECONDS = 1.0


def run_experiments(
    experiments: Sequence[Experiment],
    output: Path,
    record: Path,
    *,
    jobs: int = 1,
    command: str | None = None,
    progress: bool = False,
) -> dict[str, str]:
    """Run what is not done yet, several at a time, and merge an entry for each into the experiments file.

    Args:
        experiments: Their names differ, also as names of folders.
        output: Receives a folder for each.
        record: The experiments file, JSON: {"runs": {name: entry}}; other entries stay.
        jobs: Processes at a time; they share the cores, or the OMP_NUM_THREADS of the environment.
        command: The command line, for the entries.
        progress: Show a bar, in epochs.

    Returns:
        Name -> sentence for each experiment that failed; the others are done.

    Raises:
        TrainingError: If an argument is out of its range, or a folder holds a run that was started otherwise.
    """
    if jobs < 1:
        raise TrainingError(f"jobs is {jobs}; give at least 1")
    folders = [experiment.folder(output) for experiment in experiments]
    if len({str(folder).lower() for folder in folders}) < len(folders):
        raise TrainingError("two experiments have the same name; give each its own")
    for experiment, folder in zip(experiments, folders, strict=True):
        experiment.config.check()
        is_trained(experiment, folder)
        finished_entry(experiment, folder)  # where only the answers were kept
    for experiment, folder in zip(experiments, folders, strict=True):
        if (folder / "entry.json").is_file():
            _merge(experiment, folder, record)
    waiting = deque(
        experiment for experiment in experiments if not (experiment.folder(output) / "entry.json").is_file()
    )
    threads = _threads(jobs)
    running: dict[_Job, Experiment] = {}
    failed: dict[str, str] = {}
    try:
        with tqdm(total=sum(one.config.num_epochs for one in experiments), initial=_epochs(experiments, output),
                  unit="epoch", desc="Experiments", disable=not progress) as bar:  # fmt: skip
            while waiting or running:
                while waiting and len(running) < jobs:
                    experiment = waiting.popleft()
                    running[_Job(experiment, experiment.folder(output), command, threads)] = experiment
                    bar.set_postfix_str(", ".join(one.name for one in running.values()))
                if (done := _epochs(experiments, output)) != bar.n:
                    bar.update(done - bar.n)
                connection.wait([job.process.sentinel for job in running], timeout=_POLL_SECONDS)
                for job in [job for job in running if not job.process.is_alive()]:
                    experiment = running.pop(job)
                    if fault := job.fault():
                        failed[experiment.name] = fault
                        tqdm.write(f"{experiment.name}: {fault}", file=sys.stderr)
                    else:
                        _merge(experiment, job.folder, record)
    finally:
        for job in running:
            job.process.terminate()
        for job in running:
            job.process.join()
    return failed


def _work(experiment: Experiment, folder: Path, command: str | None, threads: int, sender: Any) -> None:
    """Run one experiment in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the starting process, which ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8", errors="replace") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    import torch

    torch.set_num_threads(threads)
    try:
        run_experiment(experiment, folder, command=command)
    except (LeukError, OSError) as error:
        sender.send(str(error))
        sys.exit(2)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # killed, it could not end this process; a restarted one would train in the same folder


class _Job:
    def __init__(self, experiment: Experiment, folder: Path, command: str | None, threads: int) -> None:
        self.folder = folder
        context = multiprocessing.get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(experiment, folder, command, threads, sender))
        # Read by the libraries when the process loads them.
        with _environment(OMP_NUM_THREADS=str(threads), TQDM_MININTERVAL="30"):
            self.process.start()
        sender.close()

    def fault(self) -> str | None:
        """Say in one sentence why the process, which has ended, failed; None if it did not."""
        self.process.join()
        if self.process.exitcode == 0:
            return None
        with contextlib.suppress(EOFError):
            if self._receiver.poll():
                return str(self._receiver.recv())
        return f"the run ended with exit code {self.process.exitcode}; see {self.folder / 'log.txt'}"


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _threads(jobs: int) -> int:
    given = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, available_cores() // jobs)
    return min(share, int(given)) if given.isdigit() and int(given) else share


def _epochs(experiments: Sequence[Experiment], output: Path) -> int:
    count = 0
    for experiment in experiments:
        folder = experiment.folder(output)
        if (folder / "entry.json").is_file():
            count += experiment.config.num_epochs  # patience may have ended it sooner
        elif (folder / "metrics.jsonl").is_file():
            count += (folder / "metrics.jsonl").read_text(encoding="utf-8").count("\n")
    return count


def _merge(experiment: Experiment, folder: Path, record: Path) -> None:
    entry = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
    merge_results(record, RUNS, experiment.name, entry)
