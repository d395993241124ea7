"""Use the running demo in a real browser: every tab, both languages, both themes, three widths, keyboard, axe.

python .ci/browser.py http://127.0.0.1:7860 [folder for screenshots]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

EXAMPLES = Path(__file__).parent.parent / "leuk_hf" / "assets" / "examples"
EXAMPLE = EXAMPLES / "synthetic-Pre.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SIZES = {"desktop": (1280, 800), "tablet": (820, 1180), "phone": (390, 844)}
TABS = {"en": ("One field", "Many fields", "How good is it?", "For programmers")}
PATIENCE = 180_000


@contextmanager
def visit(
    browser: Browser, address: str, *, size: str = "desktop", theme: str = "light", locale: str = "en-US"
) -> Iterator[Page]:
    """Open the page as a new visitor; fails at the end if it has logged an error."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{address}/?__theme={theme}")
    expect(page.locator("input[type=file]").first).to_be_attached(timeout=PATIENCE)
    page.wait_for_function("document.documentElement.dir !== ''")
    yield page
    assert not faults, faults
    context.close()


def classify(page: Page, file: Path = EXAMPLE) -> None:
    """Upload a field and wait for its verdict."""
    page.locator("input[type=file]").first.set_input_files(str(file))
    expect(page.locator("h3.leuk-verdict")).to_be_visible(timeout=PATIENCE)


def fits(page: Page, where: str) -> None:
    """Fail if the page is wider than the screen."""
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 1, f"{where}: the page is {overflow} pixels wider than the screen"


def accessible(page: Page, where: str) -> None:
    """Fail on a serious or critical violation of axe's rules."""
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    told = [f"{each['id']} ({each['impact']}): {node['html'][:160]}" for each in serious for node in each["nodes"][:6]]
    assert not told, "\n".join([f"{where}: axe", *told])


def every_look(browser: Browser, address: str, folder: Path) -> None:
    """Classify at each width, theme and language, and let axe look at every tab."""
    for size in SIZES:
        for theme, locale in (("light", "en-US"), ("dark", "fa-IR")):
            with visit(browser, address, size=size, theme=theme, locale=locale) as page:
                where = f"{size}-{theme}-{locale[:2]}"
                classify(page)
                page.screenshot(path=folder / f"{where}.png", full_page=True)
                fits(page, where)
    for theme, locale in (("light", "en-US"), ("dark", "en-US"), ("light", "fa-IR"), ("dark", "fa-IR")):
        with visit(browser, address, theme=theme, locale=locale) as page:
            classify(page)
            for number in range(page.get_by_role("tab").count()):
                page.get_by_role("tab").nth(number).click()
                page.wait_for_timeout(500)
                accessible(page, f"{theme}, {locale}, tab {number + 1}")
                page.screenshot(path=folder / f"tab-{number + 1}-{theme}-{locale[:2]}.png", full_page=True)


def language(browser: Browser, address: str) -> None:
    """The button changes labels, tabs, sentences and direction; the browser remembers."""
    with visit(browser, address) as page:
        classify(page)
        english = page.locator("h3.leuk-verdict").inner_text()
        page.get_by_role("button", name="فارسی").click()
        expect(page.locator("html[lang=fa][dir=rtl]")).to_be_attached()
        expect(page.get_by_role("tab", name="یک میدان دید")).to_be_visible()
        expect(page.locator("h3.leuk-verdict")).not_to_have_text(english, timeout=PATIENCE)
        page.reload()
        expect(page.locator("html[lang=fa][dir=rtl]")).to_be_attached(timeout=PATIENCE)
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("tab", name=TABS["en"][0])).to_be_visible()
        expect(page.locator("html[lang=en][dir=ltr]")).to_be_attached()


def opacity(browser: Browser, address: str) -> None:
    """The heatmap fades at once, without a request."""
    with visit(browser, address) as page:
        classify(page)
        page.wait_for_timeout(1500)  # what still answers the upload is done with
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        slider = page.locator("input[data-sets=opacity]")
        heat = "getComputedStyle(document.querySelector('.leuk-heat')).opacity"
        before = page.evaluate(heat)
        slider.fill("95")
        page.wait_for_function(f"before => {heat} !== before", arg=before)
        # What only listens, /queue/data, asks for nothing.
        assert not [url for url in requests if "/queue/join" in url or "/call/" in url or "/run/" in url], requests


def wrong_file(browser: Browser, address: str, folder: Path) -> None:
    """A file that is no image is refused in a sentence, and its name is shown, not run."""
    with visit(browser, address) as page, tempfile.TemporaryDirectory() as temporary:
        wrong = Path(temporary) / "<img src=x onerror=document.title='run'>.png"
        wrong.write_text("not an image")
        page.locator("input[type=file]").first.set_input_files(str(wrong))
        expect(page.get_by_text("is not an image that can be read").first).to_be_visible(timeout=PATIENCE)
        assert page.title() != "run" and not page.locator("img[src=x]").count()
        page.screenshot(path=folder / "wrong-file.png")


def batch(browser: Browser, address: str, folder: Path) -> None:
    """Several files, one of them no image, become a table with a row each."""
    with visit(browser, address) as page, tempfile.TemporaryDirectory() as temporary:
        wrong = Path(temporary) / "notes.png"
        wrong.write_text("not an image")
        page.get_by_role("tab", name=TABS["en"][1]).click()
        many = page.locator(".leuk-many")
        files = [EXAMPLE, EXAMPLES / "synthetic-Benign.png", wrong]
        many.locator("input[type=file]").first.set_input_files([str(file) for file in files])
        expect(many.get_by_text("notes.png").first).to_be_visible(timeout=PATIENCE)
        many.locator("button.primary").first.click()
        # Gradio measures its columns by a table that nobody sees.
        expect(many.get_by_text("unusable file").locator("visible=true").first).to_be_visible(timeout=PATIENCE)
        page.screenshot(path=folder / "batch.png", full_page=True)


def folder_of_fields(browser: Browser, address: str) -> None:
    """Files of one name keep the folders that tell them apart; rows sort by number; Clear leaves nothing."""
    with visit(browser, address) as page, tempfile.TemporaryDirectory() as temporary:
        inner = Path(temporary) / "case" / "inner"
        inner.mkdir(parents=True)
        for name, place in (("synthetic-Pre.png", inner.parent), ("synthetic-Pro.png", inner)):
            shutil.copy(EXAMPLES / name, place / "a.png")
        page.get_by_role("tab", name=TABS["en"][1]).click()
        many = page.locator(".leuk-many")
        many.locator("input[type=file]").nth(1).set_input_files(str(inner.parent))
        expect(many.locator("tr", has_text="case/inner/").first).to_be_visible(timeout=PATIENCE)
        many.locator("button.primary").first.click()
        cell = many.get_by_text("case/inner/a.png", exact=True).locator("visible=true").first
        expect(cell).to_be_visible(timeout=PATIENCE)
        cell.click()
        expect(many.locator(".file", has_text="2. case/inner/a.png")).to_be_visible(timeout=PATIENCE)
        many.get_by_role("button", name="Clear and delete results").click()
        expect(many.get_by_text("Everything made of your files was deleted.")).to_be_visible(timeout=PATIENCE)
        expect(cell).not_to_be_visible()


def keyboard(browser: Browser, address: str) -> None:
    """With Tab, arrows and Enter alone: choose an example, get its verdict, go to the next tab."""
    with visit(browser, address) as page:

        def focus(wanted: str) -> None:
            for _ in range(80):
                page.keyboard.press("Tab")
                if page.evaluate("wanted => document.activeElement?.matches(wanted)", wanted):
                    visible = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                    assert visible != "none", f"{wanted}: the focus cannot be seen"
                    return
            raise AssertionError(f"{wanted} cannot be reached by the keyboard")

        focus("button.leuk-language")
        focus("[role=tab][aria-selected=true]")
        focus("button.gallery-item")
        page.keyboard.press("Enter")
        expect(page.locator("h3.leuk-verdict")).to_be_visible(timeout=PATIENCE)
        focus("input[data-sets=opacity]")
        focus("button[data-cell]")
        page.keyboard.press("Enter")
        expect(page.locator("button[data-cell][aria-pressed=true]")).to_have_count(1)


def main(address: str, folder: Path) -> None:
    """Run every check; stops at the first that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        wrong_file(browser, address, folder)
        opacity(browser, address)
        language(browser, address)
        keyboard(browser, address)
        batch(browser, address, folder)
        folder_of_fields(browser, address)
        every_look(browser, address, folder)
        browser.close()
    print(
        "browser: one field, many, a folder, wrong file, opacity, language, keyboard; three widths, two themes, axe on"
        " every tab"
    )


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2] if len(sys.argv) > 2 else ".ci/artifacts"))
