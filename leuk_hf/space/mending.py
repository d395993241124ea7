"""What Gradio's components leave unsaid or untranslated, mended in the browser.

Shared contract: only names of controls are set, by Gradio's own classes; where these are others, nothing happens.
"""

from __future__ import annotations

import json

from leuk_hf.space.words import LANGUAGES, say

# The field that filters a table has a placeholder and a title, in English, but no label. The button that adds files to
# a list that has some lies inside another button, which does nothing and is called by the key of its text. Messages
# are headed in English.
_SCRIPT = """(() => {
  const mend = () => {
    const [name, more, error] = names[document.documentElement.lang.split("-")[0]] ?? names.en;
    for (const field of document.querySelectorAll("input.search-input")) {
      if (field.getAttribute("aria-label") === name) continue;
      for (const attribute of ["aria-label", "placeholder", "title"]) field.setAttribute(attribute, name);
    }
    for (const title of document.querySelectorAll(".toast-title")) {
      const text = title.firstChild;
      if (text?.textContent.trim() === "Error" && error !== "Error") text.textContent = `${error} `;
    }
    for (const outer of document.querySelectorAll("button.icon-button:has(button)")) {
      if (outer.getAttribute("aria-label") === more) continue;
      const inner = outer.querySelector("button");
      for (const each of [outer, inner]) each.setAttribute("aria-label", more);
      outer.title = more;
      outer.setAttribute("role", "group");
      outer.tabIndex = -1;
    }
  };
  let isAwaited = false;
  const soon = () => {
    if (isAwaited) return;
    isAwaited = true;
    requestAnimationFrame(() => { isAwaited = false; mend(); });
  };
  const options = { childList: true, subtree: true, attributes: true, attributeFilter: ["lang"] };
  new MutationObserver(soon).observe(document.documentElement, options);
})();"""
_NAMES = {
    language: [say(key, language) for key in ("many_filter", "many_more", "page_error")] for language in LANGUAGES
}
HEAD = f"<script>{{ const names = {json.dumps(_NAMES)}; {_SCRIPT} }}</script>"
