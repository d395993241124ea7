"""Measuring time on a machine that is never quiet: interleaved rounds, medians, paired ratios.

Shared contract: times are seconds, float64 (rounds,), one per round; figures are {"median", "quartiles"}. In every
round each variant runs once, in an order drawn anew, so that whatever else the machine does falls on all of them
alike; a ratio is taken within each round and only then summarised.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from leuk_hf.processes import available_cores

# What decides how fast a CPU multiplies matrices, by the names of /proc/cpuinfo.
FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
_PACKAGES = ("captum", "grad-cam", "onnx", "onnxscript", "onnxruntime", "openvino", "accelerate", "datasets")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def round_orders(names: Iterable[str], rounds: int, *, seed: int) -> list[list[str]]:
    """Draw the order of the variants for every round.

    Args:
        names: Of the variants.
        rounds: How many orders.
        seed: The same one gives the same orders.
    """
    names, generator = list(names), np.random.default_rng(seed)
    return [[names[index] for index in generator.permutation(len(names))] for _ in range(rounds)]


def interleave(
    variants: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    warmup_rounds: int = 2,
    seed: int = 0,
    progress: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, np.ndarray]:
    """Time variants once per round, in shuffled order.

    Args:
        variants: Name -> what to time.
        rounds: Rounds that count, at least 1.
        warmup_rounds: Rounds before them that do not: caches, lazily made kernels, clock rates.
        seed: Of the orders.
        progress: Show a bar.
        clock: Gives seconds.

    Returns:
        Name -> seconds, float64 (rounds,).

    Raises:
        ValueError: If rounds is below 1 or warmup_rounds below 0.
    """
    if rounds < 1 or warmup_rounds < 0:
        raise ValueError(f"rounds is {rounds}, warmup_rounds {warmup_rounds}; give at least 1 and at least 0")
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    orders = round_orders(variants, warmup_rounds + rounds, seed=seed)
    with tqdm(total=len(orders) * len(variants), unit="call", desc="Measuring", disable=not progress) as bar:
        for order in orders:
            for name in order:
                start = clock()
                variants[name]()
                seconds[name].append(clock() - start)
                bar.update()
    return {name: np.array(values[warmup_rounds:], dtype=np.float64) for name, values in seconds.items()}


def figure(values: np.ndarray) -> dict[str, Any]:
    """Summarise one value per round.

    Args:
        values: (rounds,).

    Returns:
        JSON types, four significant digits: median, quartiles (lower, upper).
    """
    lower, median, upper = np.percentile(np.asarray(values, dtype=np.float64), [25, 50, 75])
    return {"median": significant(median), "quartiles": [significant(lower), significant(upper)]}


def paired_ratio(above: np.ndarray, below: np.ndarray) -> dict[str, Any]:
    """Summarise the ratio of two variants, taken within each round.

    Args:
        above: Seconds (rounds,).
        below: Seconds (rounds,) of the same rounds.

    Raises:
        ValueError: If the rounds are not the same number.
    """
    above, below = np.asarray(above), np.asarray(below)
    if above.shape != below.shape:
        raise ValueError(f"{len(above)} and {len(below)} rounds cannot be paired; measure both in the same ones")
    return figure(above / below)


def significant(value: float, digits: int = 4) -> float:
    """Round to significant digits.

    Args:
        value: Any number.
        digits: How many are kept.
    """
    return float(f"{value:.{digits - 1}e}")


def load_average() -> float | None:
    """Tell how many processes wanted to run during the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def describe_machine(*, num_threads: int | None = None) -> dict[str, Any]:
    """Collect what a reader needs to judge a time.

    Args:
        num_threads: As given to the backends; None: their own choice.

    Returns:
        JSON types: processor, cores, features (name -> there or not; empty if unknown), bfloat16 ("native" or
        "emulated"), threads by engine, thread_variables, system, packages.
    """
    import torch

    features = cpu_features()
    return {
        "processor": processor_name(),
        "cores": available_cores(),
        "features": features,
        "bfloat16": "native" if computes_in_bfloat16(features) else "emulated",
        "threads": {
            "torch": torch.get_num_threads(),
            "onnxruntime": num_threads or "its own choice",
            "openvino": num_threads or "its own choice",
        },
        "thread_variables": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
        "system": platform.system(),
        "packages": dict(_versions()),
    }


def _versions() -> Iterable[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue


def computes_in_bfloat16(features: Mapping[str, bool]) -> bool:
    """Tell whether a CPU multiplies bfloat16 without emulating it.

    Args:
        features: From `cpu_features`.
    """
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def cpu_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, bool]:
    """Tell which of `FEATURES` the CPU has; elsewhere than on Linux what torch says, empty if it does not.

    Args:
        cpuinfo: Where Linux describes its CPUs.
    """
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                present = set(value.split())
                return _of_one_family({feature: feature in present for feature in FEATURES})
        return {}
    import torch

    told = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    renamed = {"avx512f": "avx512_f", "asimd": "neon"}
    found = {feature: bool(told.get(renamed.get(feature, feature), False)) for feature in FEATURES}
    return _of_one_family(found) if told else {}


def _of_one_family(found: dict[str, bool]) -> dict[str, bool]:
    """Leave out what the other family of CPUs has."""
    names = FEATURES[4:] if found["asimd"] else FEATURES[:4]
    return {name: found[name] for name in names}


def processor_name() -> str:
    """Name the CPU as its maker does, as far as the system knows."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return answer.stdout.strip() or platform.machine()
    return platform.processor() or platform.machine()
