"""Shared fixtures; no test touches the network or the user's caches."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before the first import of a Hugging Face library, which reads these once.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="leuk-hf-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
# Tiny networks gain nothing from more threads, and what sums give does not depend on the machine's cores. Twice in
# some dozen runs of the whole suite libgomp overran the stack while it started a team of threads; why is not known.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import write_smears

if TYPE_CHECKING:
    from gradio_client import Client
    from loopback_hub import LoopbackHub

atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)


@pytest.fixture
def tiny_model() -> LeukDenseNet:
    """A network of four blocks that runs in milliseconds, the same in every test, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64))
    return model.eval()


@pytest.fixture(scope="session")
def smear_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two synthetic fields of each of the four classes; read only."""
    folder = tmp_path_factory.mktemp("smears")
    write_smears(folder, fields_per_class=2, seed=0, image_size=48)
    return folder


@pytest.fixture
def loopback_hub() -> Iterator[LoopbackHub]:
    """A Hub of its own for a test: no user, no repository, a free port."""
    from loopback_hub import LoopbackHub

    with LoopbackHub() as hub:
        yield hub


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a page around a tiny network, one for each file of tests."""
    from running_page import running_page

    with running_page() as url:
        yield url


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    """A program that calls the page."""
    from gradio_client import Client

    return Client(address, verbose=False, analytics_enabled=False)
