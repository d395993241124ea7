"""The page: header, tabs, and what answers here."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware

from leuk_hf.backends import Predictor, as_predictor
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.space import audit_panel, classify, folder_names, language, many, mending, programs, theme, trust
from leuk_hf.space.agents import AgentDoor, has_mcp
from leuk_hf.space.arguments import WRONG_CALLS, check_arguments
from leuk_hf.space.endpoints import add_endpoints
from leuk_hf.space.language import follow_language, language_switch, language_value
from leuk_hf.space.options import Options
from leuk_hf.space.page_context import Page
from leuk_hf.space.serving import (
    KEPT_SECONDS,
    SESSIONS,
    SWEEP_SECONDS,
    BodyLimit,
    NoGuessing,
    keeping_little,
)
from leuk_hf.space.waiting import limit_waiting
from leuk_hf.space.words import I18N, mark, say

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet

CSS = theme.CSS + classify.CSS + audit_panel.CSS + many.CSS + trust.CSS + programs.CSS


def build_page(
    model: Predictor | LeukDenseNet,
    *,
    model_name: str,
    revision: str | None = None,
    options: Options | None = None,
    is_preloaded: bool = False,
    has_logins: bool = False,
) -> gr.Blocks:
    """Lay out the page around a predictor.

    Args:
        model: From `load_predictor` or `LeukDenseNet.from_pretrained`; shared by all visitors.
        model_name: What to call the checkpoint on the page.
        revision: Of a model on the Hub.
        options: How the demo is served.
        is_preloaded: Whether all files of the model that there are lie in the cache.
        has_logins: Whether visitors log in.
    """
    predictor = as_predictor(model)
    kept = (SWEEP_SECONDS, KEPT_SECONDS)  # uploads and results
    with gr.Blocks(title="leuk_hf: B-ALL subtypes on blood smears", delete_cache=kept) as demo:
        page = Page(predictor, model_name, revision, options or Options(), language_value(), is_preloaded)
        with gr.Row(elem_classes="leuk-header"):
            gr.Markdown("# leuk_hf", elem_classes="leuk-title")
            language_switch()
        if predictor.class_names == CLASS_NAMES:
            gr.Markdown(mark("page_intro"), elem_classes="leuk-intro")
        else:
            _in_every_language(
                page, gr.Markdown, functools.partial(_other_intro, predictor.class_names), elem_classes="leuk-intro"
            )
        gr.Markdown(mark("page_notice"), elem_classes="leuk-notice")
        with gr.Tab(mark("page_tab_classify")):
            classify.build_classify_tab(page)
        with gr.Tab(mark("page_tab_many")):
            many.build_many_tab(page, demo)
        with gr.Tab(mark("page_tab_trust")):
            trust.build_trust_tab(page)
        with gr.Tab(mark("page_tab_programs")):
            programs.build_programs_tab(demo, has_logins=has_logins)
        gr.Markdown(mark("page_limits"), elem_classes="leuk-served")
        _in_every_language(page, gr.HTML, functools.partial(served, page), elem_classes="leuk-served")
        add_endpoints(page)
        follow_language(demo, page.language)
    demo.queue(max_size=page.options.queue_size + page.options.cases_waiting, api_open=False)
    check_arguments(demo)
    limit_waiting(demo, many.LINE, page.options.cases_waiting)
    return demo


def served(page: Page, language: str = "en") -> str:
    """Tell what answers here, as HTML: model, revision, library and backend.

    Args:
        page: Whose.
        language: One of `LANGUAGES`.
    """
    known = {name: value for name, value in page.provenance().items() if value}
    parts = (
        f"{say(f'page_served_{name}', language)} <code>{html.escape(value)}</code>" for name, value in known.items()
    )
    return f"<bdi>{' · '.join(parts)}</bdi>"


def _other_intro(class_names: Sequence[str], language: str = "en") -> str:
    return say("page_intro_other", language, classes=html.escape(", ".join(class_names)))


def _in_every_language(
    page: Page, kind: type[gr.Markdown] | type[gr.HTML], write: Callable[[str], str], **settings: Any
) -> None:
    """Show what the server puts together anew whenever the visitor changes the language."""
    shown = kind(write("en"), **settings)
    page.language.change(write, page.language, shown, queue=False, show_progress="hidden", api_visibility="private")


def launch_settings(options: Options, *, has_logins: bool = False) -> dict[str, Any]:
    """Give what `launch` needs for this page, wherever it is served.

    Args:
        options: How.
        has_logins: Whether visitors log in.
    """
    return {
        "theme": theme.THEME,
        "css": CSS,
        "head": language.HEAD + folder_names.HEAD + mending.HEAD,
        "i18n": I18N,
        "max_file_size": options.max_upload,
        "state_session_capacity": SESSIONS,
        "app_kwargs": {
            "lifespan": keeping_little,
            "middleware": [
                Middleware(BodyLimit, largest_file=options.largest_file),
                Middleware(NoGuessing),
                Middleware(AgentDoor),
            ],
            "exception_handlers": WRONG_CALLS,
        },
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": ["api", "settings"],
        # Gradio asks nobody at this door to log in, and then fails to call an endpoint, where somebody would have to.
        "mcp_server": has_mcp() and not has_logins,
        "share": False,
        "ssr_mode": False,  # the language is the browser's to choose
        "server_name": options.host,
        "server_port": options.port or None,
        "root_path": options.root_path or None,
    }
