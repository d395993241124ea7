"""Finished rows of an audit on disk, so that an interrupted one goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from leuk_hf import audit_rows, counterfactuals, perturbations
from leuk_hf._version import __version__
from leuk_hf.audit_rows import Subject
from leuk_hf.files import write_json

Answers = tuple[np.ndarray, np.ndarray | None]  # probabilities (N, K), answered (N,) or None
_TOLERANCE = 1e-6  # between two runs of one classifier on one machine


class RowStore:
    """Answers by row, valid for one set of fields, one version of the rows, and a classifier that answers as it did.

    Args:
        path: JSON file; None keeps nothing.
        subjects: The fields, in the order of the answers.
        settings: Whatever else the answers depend on: seed, identity of the classifier.
    """

    def __init__(self, path: Path | None, subjects: Sequence[Subject], settings: str) -> None:
        self.path, self.rows = path, dict[str, dict]()
        digest = hashlib.sha256(f"{__version__} {settings}".encode())
        for module in (audit_rows, counterfactuals, perturbations):
            digest.update(Path(str(module.__file__)).read_bytes())
        for subject in subjects:
            digest.update(f"\n{subject.name} {subject.label} {subject.field.shape}".encode())
            digest.update(subject.field.tobytes() + np.packbits((subject.leukocytes, subject.annotation)).tobytes())
        self.key = digest.hexdigest()
        if path is not None and path.is_file():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                content = {}  # of a version or a purpose that is not ours: begin anew
            if isinstance(content, dict) and content.get("key") == self.key:
                self.rows = content["rows"]

    def begin(self, name: str, answers: Answers) -> None:
        """Compare the untouched fields' answers with the stored ones; forget all rows if they differ."""
        known = self.get(name)
        same = known is not None and known[0].shape == answers[0].shape and _listed(known[1]) == _listed(answers[1])
        if not same or np.abs(known[0] - answers[0]).max() > _TOLERANCE:  # type: ignore[index]
            self.rows = {}
        self.put(name, answers)

    def get(self, name: str) -> Answers | None:
        """Give a finished row's answers."""
        if (row := self.rows.get(name)) is None:
            return None
        answered = None if row["answered"] is None else np.array(row["answered"], dtype=bool)
        return np.array(row["probabilities"], dtype=np.float64), answered

    def put(self, name: str, answers: Answers) -> None:
        """Keep a finished row."""
        probabilities, answered = answers
        self.rows[name] = {
            "probabilities": probabilities.tolist(),
            "answered": _listed(answered),
        }
        if self.path is not None:
            write_json(self.path, {"key": self.key, "rows": self.rows})


def _listed(answered: np.ndarray | None) -> list[bool] | None:
    return None if answered is None else answered.tolist()
