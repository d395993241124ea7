"""The language of the page: Gradio chooses it by the browser, the visitor may change it, and the server is told.

Shared contract: Gradio writes the language it shows into the `lang` of the page. From there the direction of writing
is set, and the page's language component, in which the server's sentences are asked for. The choice of a visitor is
remembered in that browser alone.
"""

from __future__ import annotations

import json

import gradio as gr

from leuk_hf.space.words import LANGUAGES, mark

RIGHT_TO_LEFT = ("fa",)
# Gradio's page has a function that changes the language, in one of its modules; its Settings, which have the same
# choice, are the way out where that module is not found.
_SCRIPT = """(() => {
  const page = document.documentElement;
  const chosen = () => {
    const code = (page.lang || "en").split("-")[0];
    return languages.includes(code) ? code : "en";
  };
  const turn = () => { page.dir = rightToLeft.includes(chosen()) ? "rtl" : "ltr"; };
  const show = async (code) => {
    const urls = performance.getEntriesByType("resource").map((entry) => entry.name);
    const core = urls.find((url) => /assets.core-[^/]*.js$/.test(url));
    const change = core && (await import(core)).changeLocale;
    if (change) change(code);
    return Boolean(change);
  };
  window.leukLanguage = {
    chosen,
    start: async () => {
      let kept = null;
      try { kept = localStorage.getItem("leuk-language"); } catch { /* a browser may keep nothing */ }
      if (languages.includes(kept) && kept !== chosen()) await show(kept);
      turn();
      return chosen();
    },
    change: async () => {
      const other = languages[(languages.indexOf(chosen()) + 1) % languages.length];
      try { localStorage.setItem("leuk-language", other); } catch { /* as above */ }
      if (!(await show(other))) location.search = "?view=settings";
    },
  };
  const follow = () => { turn(); document.querySelector("#leuk-language-told")?.click(); };
  new MutationObserver(follow).observe(page, { attributes: true, attributeFilter: ["lang"] });
})();"""
_LISTS = f"const languages = {json.dumps(list(LANGUAGES))}, rightToLeft = {json.dumps(RIGHT_TO_LEFT)};"
HEAD = f"<script>{{ {_LISTS} {_SCRIPT} }}</script>"


def language_value() -> gr.Textbox:
    """Make the component that holds the visitor's language."""
    return gr.Textbox("en", visible="hidden", show_label=False, elem_id="leuk-language")


def language_switch() -> gr.Button:
    """Make the button that shows the page in its other language, which it is named after."""
    button = gr.Button(mark("page_other_language"), size="sm", elem_classes="leuk-language")
    button.click(None, None, None, js="() => { window.leukLanguage.change(); return []; }", api_visibility="private")
    return button


def follow_language(demo: gr.Blocks, language: gr.Textbox) -> None:
    """Keep the component at what the page shows, from its first moment on.

    Args:
        demo: The page.
        language: From `language_value`.
    """
    told = gr.Button(visible="hidden", elem_id="leuk-language-told")
    demo.load(None, None, language, js="() => window.leukLanguage.start()", api_visibility="private")
    told.click(None, None, language, js="() => window.leukLanguage.chosen()", api_visibility="private")
