"""What every look at the demo in a browser needs: a visitor, a classified field, and what must hold of any page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, expect

EXAMPLES = Path(__file__).parent.parent / "leuk_hf" / "assets" / "examples"
EXAMPLE = EXAMPLES / "synthetic-Pre.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SIZES = {"desktop": (1280, 800), "tablet": (820, 1180), "phone": (390, 844)}
TABS = ("One field", "Many fields", "How good is it?", "For programmers")
PATIENCE = 180_000


def start_browser(playwright: Playwright) -> Browser:
    """Start this machine's Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


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


def go_to(page: Page, number: int) -> None:
    """Open a tab by its number, from 0; on a phone the last ones are behind a menu."""
    shown = page.get_by_role("tab")
    if number < shown.count():
        shown.nth(number).click()
        return
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button").nth(number - shown.count()).click()


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
