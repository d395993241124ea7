"""Answers to the page's examples, made once: every visitor begins with them.

Shared contract: an answer counts only for the very file, weights, settings, library and backend that it was made with,
so that a new model never shows an old one's. Only examples are kept, never what a visitor has sent, and in memory
alone: results hold arrays, and reading such from a file would mean trusting it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from leuk_hf._version import __version__
from leuk_hf.backends import Predictor

MAX_ANSWERS = 32  # some 300 kB each
_DIGEST = "leuk_hf.upload_sha256"  # in an image's `info`


def remember_file(image: Image.Image, path: Path) -> None:
    """Note in an image which file it was decoded from.

    Args:
        image: As decoded.
        path: Of the file.
    """
    image.info[_DIGEST] = _digest(path)


class ExampleAnswers:
    """The last answers to examples.

    Args:
        predictor: What answers.
        examples: The files.
    """

    def __init__(self, predictor: Predictor, examples: Iterable[Path]) -> None:
        self._predictor = predictor
        self._digests = {_digest(path) for path in examples}
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()

    def key(self, image: Image.Image, *settings: str) -> Hashable | None:
        """Name an answer; None if the image is no example.

        Args:
            image: From an upload.
            *settings: Of the answer: what was asked for.
        """
        if (digest := image.info.get(_DIGEST)) not in self._digests:
            return None
        return (digest, self._predictor.identity, self._predictor.description, __version__, *settings)

    def get(self, key: Hashable | None) -> Any:
        """Give an answer; None if there is none.

        Args:
            key: From `key`.
        """
        return None if key is None else self._answers.get(key)

    def keep(self, key: Hashable | None, answer: Any) -> None:
        """Keep an answer, for all visitors.

        Args:
            key: From `key`; None keeps nothing.
            answer: That nobody will change.
        """
        if key is None:
            return
        self._answers[key] = answer
        while len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
