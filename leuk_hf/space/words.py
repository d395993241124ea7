"""The page's words in its two languages.

Shared contract: each tab keeps its own in a module `words_<tab>`, whose `TEXTS` has the same keys in every language.
What stands on the page from the start is marked and translated by the browser, also when the visitor changes the
language later; what is said of a result is put together on the server, in the language the page was told.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.i18n import I18nData

from leuk_hf.space import words_classify, words_field_audit, words_many, words_page, words_programs, words_trust

# Codes as browsers give them; the first stands in for every language that is not here.
LANGUAGES = {"en": "English", "fa": "فارسی"}
_PARTS = (words_page, words_classify, words_field_audit, words_many, words_trust, words_programs)
TEXTS: dict[str, dict[str, str]] = {
    language: {key: text for part in _PARTS for key, text in part.TEXTS[language].items()} for language in LANGUAGES
}
I18N = gr.I18n(**TEXTS)


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
