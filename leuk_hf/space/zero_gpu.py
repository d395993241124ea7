"""ZeroGPU: Spaces that borrow a GPU for the length of a call.

Shared contract: on ZeroGPU the package `spaces` is imported before a model is loaded, for it lets torch place tensors
on a GPU that is not there yet; at least one function is marked as needing the GPU, and runs in a forked process, so
its arguments and results (not what it closes over) are pickled. Everywhere else nothing changes.

Source: https://huggingface.co/docs/hub/spaces-zerogpu
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

SECONDS = 20  # of GPU for one call at most, the first one's start included; the fewer, the sooner a visitor's turn

Function = TypeVar("Function", bound=Callable[..., Any])


def import_spaces() -> ModuleType | None:
    """Import `spaces` on ZeroGPU; call it before a model is loaded.

    Returns:
        The package, or None if this is no Space on ZeroGPU.
    """
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return None
    try:
        return importlib.import_module("spaces")
    except ImportError:
        return None


def on_gpu(function: Function) -> Function:
    """Mark a function as needing the GPU.

    Args:
        function: Not a coroutine; what it takes and gives can be pickled.

    Returns:
        The function itself, except on ZeroGPU.
    """
    spaces = import_spaces()
    return function if spaces is None else spaces.GPU(duration=SECONDS)(function)
