"""Sentences that can be said in another language.

Shared contract: to everything else a sentence is its English text. What it was made of goes with it: the template,
written out where the sentence is made, by which a translation is found, and the values that were put in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class Sentence(str):
    """English text that remembers its template and its values.

    Args:
        template: In English, for `str.format`, without format specifications.
        **values: What is put in: numbers, names, or sentences.
    """

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, **values: Any) -> Sentence:
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made

    def __reduce__(self) -> tuple[Callable[[], Sentence], tuple[()]]:
        """Let copies and other processes make it anew."""
        return functools.partial(Sentence, self.template, **self.values), ()


def listed(sentences: Iterable[str]) -> Sentence:
    """Put sentences behind each other, with semicolons between them.

    Args:
        sentences: At least one.
    """
    first, *others = sentences
    text = first if isinstance(first, Sentence) else Sentence("{text}", text=first)
    for other in others:
        text = Sentence("{before}; {after}", before=text, after=other)
    return text
