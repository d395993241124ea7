"""Starting a Space's folder as a Space does, with nothing of this repository at hand."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gradio_client import Client, handle_file


def isolated_python(folder: Path) -> Path:
    """Make an interpreter that sees this one's packages, but not this repository, even if it is installed editable.

    Args:
        folder: Where the environment goes.
    """
    venv.create(folder, with_pip=False)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    # What other .pth files in that folder name is not followed from here.
    next(folder.rglob("site-packages")).joinpath("packages.pth").write_text(f"{packages}\n")
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out of an environment what tells Python, Gradio and leuk_hf where to look and what to do."""
    ours = ("PYTHON", "LEUK_", "GRADIO_")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


@contextmanager
def started(python: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Start a folder's app; gives its address when it answers, and stops it in the end.

    Args:
        python: From `isolated_python`.
        folder: With app.py.
        environment: Of the process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    log, url = folder.with_name("log.txt"), f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        variables = {**without_ours(environment), **address}
        app = subprocess.Popen([python, "app.py"], cwd=folder, env=variables, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 600
        while True:
            assert app.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                urllib.request.urlopen(f"{url}/gradio_api/startup-events", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        app.terminate()
        app.wait()


def answer(url: str, field: Path) -> dict[str, float]:
    """Let a running demo classify a field, as a program would; gives the probabilities by class.

    Args:
        url: Of the demo.
        field: Image file.
    """
    client = Client(url, verbose=False, analytics_enabled=False)
    prediction = client.predict(image=handle_file(field), api_name="/predict")
    assert prediction["label"] in prediction["prediction_set"]
    return prediction["probabilities"]
