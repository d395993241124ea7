"""Drive the running demo in a real browser: classify an example, change opacity, send a wrong file.

python .ci/browser.py http://127.0.0.1:7860 [folder for screenshots]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

EXAMPLE = Path(__file__).parent.parent / "leuk_hf" / "assets" / "examples" / "synthetic-Pre.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


def classify(page: Page) -> None:
    """Upload a field and wait for verdict, probabilities and overlay."""
    page.locator("input[type=file]").first.set_input_files(str(EXAMPLE))
    expect(page.locator(".leuk-verdict h3")).to_contain_text("%", timeout=60_000)
    expect(page.get_by_alt_text("Grad-CAM overlay")).to_be_visible(timeout=60_000)


def overlay_address(page: Page) -> str:
    """Give the address of the overlay shown now."""
    return page.get_by_alt_text("Grad-CAM overlay").get_attribute("src") or ""


def visit(page: Page, address: str, *, theme: str) -> None:
    """Open the page and fail on any error it logs."""
    page.goto(f"{address}/?__theme={theme}")
    expect(page.get_by_role("button", name="Classify")).to_be_visible(timeout=60_000)


def main(address: str, folder: Path) -> None:
    """Run every check at phone and desktop width; raises at the first that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        for name, (width, height) in SIZES.items():
            for theme in ("light", "dark"):
                page = browser.new_page(viewport={"width": width, "height": height})
                faults: list[str] = []
                page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
                visit(page, address, theme=theme)
                classify(page)
                page.screenshot(path=folder / f"{name}-{theme}.png", full_page=True)
                overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                if overflow > 1:
                    raise SystemExit(f"{name}: the page is {overflow} pixels wider than the screen")
                if faults:
                    raise SystemExit(f"{name}, {theme}: {faults[0]}")
                page.close()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        visit(page, address, theme="light")
        classify(page)
        before = overlay_address(page)
        slider = page.get_by_label("number input for Heatmap opacity")
        slider.fill("0.9")
        slider.press("Enter")
        page.wait_for_function(
            "old => document.querySelector('img[alt=\"Grad-CAM overlay\"]').src !== old", arg=before
        )
        page.reload()
        with tempfile.TemporaryDirectory() as temporary:
            wrong = Path(temporary) / "notes.png"
            wrong.write_text("not an image")
            page.locator("input[type=file]").first.set_input_files(str(wrong))
            expect(page.get_by_text("is not an image that can be read").first).to_be_visible(timeout=60_000)
        page.screenshot(path=folder / "wrong-file.png")
        browser.close()
    print("browser: classified at phone and desktop width, light and dark; re-blended; refused a wrong file")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2] if len(sys.argv) > 2 else ".ci/artifacts"))
