"""Use the running demo in a real browser: every tab, both languages, both themes, three widths, keyboard, axe.

python .ci/browser.py http://127.0.0.1:7860 [folder for screenshots]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import browse_field
import browse_many
from browsing import TABS, accessible, classify, fits, go_to, start_browser, visit
from playwright.sync_api import Browser, sync_playwright

LOOKS = (("light", "en-US"), ("dark", "fa-IR"))


def every_look(browser: Browser, address: str, folder: Path) -> None:
    """Classify at each width, theme and language, and let axe look at every tab, on a screen and on a phone."""
    for theme, locale in LOOKS:
        with visit(browser, address, size="tablet", theme=theme, locale=locale) as page:
            classify(page)
            page.screenshot(path=folder / f"tablet-{theme}-{locale[:2]}.png", full_page=True)
            fits(page, f"tablet-{theme}-{locale[:2]}")
    everywhere = [(theme, locale) for theme in ("light", "dark") for locale in ("en-US", "fa-IR")]
    for size, looks in (("desktop", everywhere), ("phone", LOOKS)):
        for theme, locale in looks:
            with visit(browser, address, size=size, theme=theme, locale=locale) as page:
                classify(page)
                for number in range(len(TABS)):
                    where = f"{size}-{theme}-{locale[:2]}-tab-{number + 1}"
                    go_to(page, number)
                    page.wait_for_timeout(500)
                    accessible(page, where)
                    fits(page, where)
                    page.screenshot(path=folder / f"{where}.png", full_page=True)


def main(address: str, folder: Path) -> None:
    """Run every check; stops at the first that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    checks = {
        "wrong file": lambda: browse_field.wrong_file(browser, address, folder),
        "one screen": lambda: browse_field.one_screen(browser, address),
        "opacity": lambda: browse_field.opacity(browser, address),
        "method": lambda: browse_field.method(browser, address),
        "evidence": lambda: browse_field.evidence(browser, address),
        "language": lambda: browse_field.language(browser, address),
        "keyboard": lambda: browse_field.keyboard(browser, address),
        "audit": lambda: browse_field.audit(browser, address, folder),
        "batch": lambda: browse_many.batch(browser, address, folder),
        "archive": lambda: browse_many.archive(browser, address),
        "folder": lambda: browse_many.directory(browser, address),
        "filled": lambda: browse_many.filled(browser, address, folder),
        "every look": lambda: every_look(browser, address, folder),
    }
    with sync_playwright() as playwright:
        browser = start_browser(playwright)
        for name, check in checks.items():
            begun = time.monotonic()
            check()
            print(f"browser: {name} ({time.monotonic() - begun:.0f} s)", flush=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2] if len(sys.argv) > 2 else ".ci/artifacts"))
