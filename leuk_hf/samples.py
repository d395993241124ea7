"""The synthetic sample images of a model repository, and a checkpoint's answers to them for the Hub's widget."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leuk_hf.prediction import predict

if TYPE_CHECKING:
    from leuk_hf.backends import Predictor
    from leuk_hf.model import LeukDenseNet

EXAMPLES = Path(__file__).parent / "assets" / "examples"
EXAMPLES_NAME = "examples"  # the folder in a repository


def sample_answers(model: Predictor | LeukDenseNet, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Write a card's widget: each sample with the probabilities of its classes, the most probable first.

    Args:
        model: That answers.
        files: The samples, which lie in the repository's folder `EXAMPLES_NAME` under the same names.
    """
    return [
        {
            "src": f"{EXAMPLES_NAME}/{file.name}",
            "example_title": file.stem.replace("-", " "),
            "output": [
                {"label": name, "score": round(score, 4)}
                for name, score in sorted(prediction.probabilities.items(), key=lambda item: -item[1])
            ],
        }
        for file, prediction in zip(files, predict(model, files) if files else (), strict=True)
    ]
