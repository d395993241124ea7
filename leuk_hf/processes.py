"""This process among the others of a distributed launch (torchrun, accelerate launch)."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Callable, Iterator


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process among those that share the work.

    Args:
        index: Of this process, from 0; 0 is the main one.
        count: Of all processes on all machines.
        device: Where this process runs the network; None leaves it to `load_predictor`.
        num_threads: This process's share of its machine's cores; None for all.
        wait: Returns when every process has called it.
    """

    index: int = 0
    count: int = 1
    device: str | None = None
    num_threads: int | None = None
    wait: Callable[[], None] = lambda: None


@contextlib.contextmanager
def joined_processes() -> Iterator[Processes]:
    """Join the other processes of a distributed launch; alone without one, and without importing torch."""
    if os.environ.get("WORLD_SIZE", "1") in ("", "1"):
        yield Processes()
        return
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    # The others wait for the slowest process, however long it takes.
    state = PartialState(cpu=on_cpu, timeout=datetime.timedelta(days=30))
    cores = available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
    device = "cpu" if on_cpu else str(state.device)  # which is "cpu:0" for every process
    try:
        yield Processes(state.process_index, state.num_processes, device, max(1, cores), state.wait_for_everyone)
    finally:
        state.destroy_process_group()


def available_cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
