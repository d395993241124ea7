"""leuk_hf: B-ALL subtype classification of blood-smear fields, with its explanation and its limits.

For research and teaching, never for diagnosis. Public names load on first use, so `import leuk_hf` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from leuk_hf._version import __version__

if TYPE_CHECKING:
    from leuk_hf.backends import load_predictor
    from leuk_hf.model import LeukDenseNet
    from leuk_hf.prediction import Prediction, predict

_HOME = {
    "LeukDenseNet": "leuk_hf.model",
    "Prediction": "leuk_hf.prediction",
    "load_predictor": "leuk_hf.backends",
    "predict": "leuk_hf.prediction",
}
__all__ = ["LeukDenseNet", "Prediction", "__version__", "load_predictor", "predict"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'leuk_hf' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
