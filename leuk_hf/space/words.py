"""The page's words in its two languages.

Shared contract: each tab keeps its own in a module `words_<tab>`, whose `TEXTS` has the same keys in every language.
What stands on the page from the start is marked and translated by the browser, also when the visitor changes the
language later; what is said of a result is put together on the server, in the language the page was told. The core
says its sentences in English; their templates are translated in `words_refusals` and `words_claims`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from leuk_hf.sentence import Sentence
from leuk_hf.space import (
    words_claims,
    words_classify,
    words_field_audit,
    words_many,
    words_page,
    words_programs,
    words_refusals,
    words_trust,
    words_trust_audit,
)

# Codes as browsers give them; the first stands in for every language that is not here.
LANGUAGES = {"en": "English", "fa": "فارسی"}
_PARTS = (words_page, words_classify, words_field_audit, words_many, words_trust, words_trust_audit, words_programs)
TEXTS: dict[str, dict[str, str]] = {
    language: {key: text for part in _PARTS for key, text in part.TEXTS[language].items()} for language in LANGUAGES
}
I18N = gr.I18n(**TEXTS)
# Of every language but English: the core's templates -> theirs.
SENTENCES: dict[str, dict[str, str]] = {
    language: {**words_refusals.SENTENCES[language], **words_claims.SENTENCES[language]}
    for language in LANGUAGES
    if language != "en"
}


def mark(key: str) -> I18nData:
    """Give what the browser shows in the visitor's language: for labels, placeholders and whole Markdown texts.

    Args:
        key: Of `TEXTS`.

    Raises:
        KeyError: If there is no such text.
    """
    TEXTS["en"][key]
    return I18N(key)


def say(key: str, language: str | None, **values: Any) -> str:
    """Give a text with its values put in.

    Args:
        key: Of `TEXTS`.
        language: One of `LANGUAGES`; any other counts as English.
        **values: As `str.format` takes them. What a visitor has typed or named is escaped before.

    Raises:
        KeyError: If there is no such text, or it needs a value that is not given.
    """
    return TEXTS[language if language in LANGUAGES else "en"][key].format(**values)


def tell(sentence: str, language: str | None, *, name: Callable[[str], str] = str) -> str:
    """Give what the core says in a language; as it is if it has no translation.

    Args:
        sentence: In English: a `Sentence`, or text of another kind, such as a message of another program.
        language: One of `LANGUAGES`.
        name: Gives the translation of a value that is no sentence.
    """
    template = SENTENCES.get(language or "", {}).get(sentence.template) if isinstance(sentence, Sentence) else None
    if template is None or not isinstance(sentence, Sentence):
        return str(sentence)
    values = {
        key: tell(value, language, name=name) if isinstance(value, Sentence) else _isolated(name(str(value)))
        for key, value in sentence.values.items()
    }
    return template.format(**values)


def _isolated(value: str) -> str:
    """Keep a value, whose letters may run the other way, from disturbing the sentence around it."""
    return f"\u2068{value}\u2069" if value else ""
