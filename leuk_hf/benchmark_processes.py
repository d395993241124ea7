"""Whole processes: how long a cold one takes to its first answer, how much memory a long one needs.

Shared contract: every measurement starts a Python process of its own, with this process's environment. The files of
the packages are in the system's cache after the first round, which does not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from leuk_hf.benchmark import figure, round_orders, significant
from leuk_hf.benchmark_stages import jpeg_bytes
from leuk_hf.errors import LeukError
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.synthetic import render_smear

HEAVY = ("torch", "timm")
NOTHING = "Python alone"
IMPORT_LEUK_HF = "import leuk_hf"
IMPORT_TORCH = "import torch, timm"
_EPILOGUE = """
seconds = time.perf_counter() - start
import json
print(json.dumps({{"seconds": seconds, "loaded": [name for name in {heavy!r} if name in sys.modules]}}))
"""
# The parent's peak would count as the child's own until it starts another program: so a small process starts it.
_WATCHER = """
import json, os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
errors = child.stderr.read()
_, status, usage = os.wait4(child.pid, 0)
print(json.dumps({"code": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss, "errors": errors[-500:]}))
"""


def cold_statements(
    model: str | None, exported: Path | None, field: Path, backends: tuple[str, ...]
) -> dict[str, str]:
    """Write what each cold process does.

    Args:
        model: Checkpoint folder; None for the shipped one.
        exported: Folder of its export, for the backends other than torch.
        field: Image file to classify.
        backends: To answer with.

    Returns:
        Name -> Python statements.
    """
    statements = {NOTHING: "pass", IMPORT_LEUK_HF: "import leuk_hf", IMPORT_TORCH: "import torch, timm"}
    for backend in backends:
        source = model if backend == "torch" else str(exported)
        statements[f"first answer, {backend}"] = (
            "from leuk_hf import load_predictor, predict\n"
            f"predict(load_predictor({source!r}, backend={backend!r}), {str(field)!r})"
        )
    return statements


def measure_cold(
    statements: Mapping[str, str],
    *,
    rounds: int,
    warmup_rounds: int = 1,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Time processes from their start to their end.

    Args:
        statements: Name -> what the process does.
        rounds: Rounds that count.
        warmup_rounds: Rounds before them that do not.
        seed: Of the orders.
        progress: Show a bar.

    Returns:
        JSON types: rounds, rows: name -> seconds (of the whole process), seconds_inside (after Python has started),
        loaded (which of torch and timm).

    Raises:
        LeukError: If a process fails.
    """
    whole: dict[str, list[float]] = {name: [] for name in statements}
    inside: dict[str, list[float]] = {name: [] for name in statements}
    loaded: dict[str, list[str]] = {}
    orders = round_orders(statements, warmup_rounds + rounds, seed=seed)
    with tqdm(total=len(orders) * len(statements), unit="process", desc="Cold", disable=not progress) as bar:
        for order in orders:
            for name in order:
                seconds, told = _run_cold(name, statements[name])
                whole[name].append(seconds)
                inside[name].append(told["seconds"])
                loaded[name] = told["loaded"]
                bar.update()
    return {
        "rounds": rounds,
        "rows": {
            name: {
                "seconds": figure(np.array(whole[name][warmup_rounds:])),
                "seconds_inside": figure(np.array(inside[name][warmup_rounds:])),
                "loaded": loaded[name],
            }
            for name in statements
        },
    }


def _run_cold(name: str, statements: str) -> tuple[float, dict[str, Any]]:
    code = f"import sys, time\nstart = time.perf_counter()\n{statements}\n{_EPILOGUE.format(heavy=HEAVY)}"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise LeukError(f"the cold process {name!r} failed: {_last_line(done.stderr)}")
    return seconds, json.loads(done.stdout.splitlines()[-1])


def write_fields(folder: Path, count: int, *, image_size: int = 224, seed: int = 0) -> None:
    """Fill a folder with synthetic JPEG fields: eight different ones, and links to them.

    Args:
        folder: Made if missing.
        count: Files wanted, at least 1.
        image_size: In pixels.
        seed: Of the smears.
    """
    folder.mkdir(parents=True, exist_ok=True)
    different = [folder / f"{number:06d}.jpg" for number in range(min(8, count))]
    for number, path in enumerate(different):
        smear = render_smear(CLASS_NAMES[number % len(CLASS_NAMES)], seed=seed + number, image_size=image_size)
        path.write_bytes(jpeg_bytes(smear))
    for number in range(len(different), count):
        source, path = different[number % len(different)], folder / f"{number:06d}.jpg"
        try:
            os.link(source, path)
        except OSError:  # a file system without links, or too many to one file
            path.write_bytes(source.read_bytes())


def measure_memory(script: Path, fields: Path, output: Path, *, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run predict.py over a folder and take its peak memory.

    Args:
        script: scripts/predict.py.
        fields: Folder of images.
        output: JSON lines file to write; deleted before.
        options: More arguments of the script.

    Returns:
        JSON types: peak_megabytes (resident, of the whole process), seconds, images_per_second.

    Raises:
        LeukError: If the system cannot tell, or the script fails.
    """
    if not hasattr(os, "wait4"):
        raise LeukError("this system does not tell a process's peak memory; leave the section memory out")
    output.unlink(missing_ok=True)
    command = [sys.executable, str(script), str(fields), "--jsonl", str(output), *options]
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _WATCHER, *command], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise LeukError(f"the watcher of predict.py failed: {_last_line(done.stderr)}")
    told = json.loads(done.stdout)
    if told["code"]:
        raise LeukError(f"predict.py failed with exit code {told['code']}: {_last_line(told['errors'])}")
    with output.open(encoding="utf-8") as lines:
        count = sum(1 for _ in lines)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere
    return {
        "num_files": count,
        "peak_megabytes": round(told["peak"] * unit / 1e6, 1),
        "seconds": significant(seconds),
        "images_per_second": significant(count / seconds),
    }


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:300]
