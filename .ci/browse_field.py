"""The tab "One field" in a browser: opacity, evidence, language, wrong files, the keyboard, one screen."""

from __future__ import annotations

import tempfile
from pathlib import Path

from browsing import PATIENCE, SIZES, TABS, accessible, classify, visit
from playwright.sync_api import Browser, expect


def one_screen(browser: Browser, address: str) -> None:
    """After an upload, verdict, probabilities and map are seen on a small laptop without scrolling.

    On a phone the verdict stands in the upper half of the screen.
    """
    width, height = SIZES["desktop"]
    for locale in ("en-US", "fa-IR"):
        with visit(browser, address, locale=locale) as page:
            classify(page)
            assert page.evaluate("window.scrollY") == 0, f"{locale}: the page has scrolled"
            for part in ("h3.leuk-verdict", ".leuk-classes li:last-child", ".leuk-stage", "input[data-sets=opacity]"):
                box = page.locator(part).evaluate(
                    "each => { const all = [each, ...each.children].map((one) => one.getBoundingClientRect());"
                    " return [Math.min(...all.filter((one) => one.width).map((one) => one.left)),"
                    " Math.max(...all.map((one) => one.right)), Math.max(...all.map((one) => one.bottom))]; }"
                )
                inside = box[0] >= 0 and box[1] <= width and 0 < box[2] <= height
                assert inside, f"{locale}: {part} is at {box} (left, right, bottom), outside of one screen"
        with visit(browser, address, size="phone", locale=locale) as page:
            classify(page)
            page.wait_for_timeout(500)
            box = page.locator("h3.leuk-verdict").bounding_box()
            assert box and 0 < box["y"] < SIZES["phone"][1] / 2, f"{locale}, phone: the verdict is at {box}"


def opacity(browser: Browser, address: str) -> None:
    """The heatmap fades, and the line between before and after follows the pointer, without a request."""
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
        box = page.locator(".leuk-stage").bounding_box()
        assert box
        page.mouse.move(box["x"] + 9, box["y"] + 9)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30, steps=3)
        page.mouse.up()
        page.mouse.move(box["x"] + 9, box["y"] + 9)  # released: nothing follows
        assert page.locator("input[data-sets=split]").input_value() in ("50", "51")
        assert "inset(0px 0px 0px 5" in page.evaluate(heat.replace("opacity", "clipPath"))
        # What only listens, /queue/data, asks for nothing.
        assert not [url for url in requests if "/queue/join" in url or "/call/" in url or "/run/" in url], requests


def method(browser: Browser, address: str) -> None:
    """Another method gives another map, and takes no layer."""
    with visit(browser, address) as page:
        classify(page)
        choices = page.locator(".leuk-choices input")
        choices.nth(1).click()
        page.get_by_role("option", name="Integrated Gradients").click()
        expect(choices.nth(2)).to_be_disabled(timeout=PATIENCE)
        expect(page.locator(".leuk-settings .leuk-note")).to_contain_text("Integrated Gradients", timeout=PATIENCE)


def evidence(browser: Browser, address: str) -> None:
    """A click on a crop marks that cell in the field, another click on it nothing."""
    with visit(browser, address) as page:
        classify(page)
        colours = []
        for crop in page.locator("button[data-cell]").all()[:2]:
            crop.click()
            number = crop.get_attribute("data-cell")
            marked = page.locator(".leuk-stage g.leuk-chosen")
            expect(marked).to_have_count(1)
            assert marked.get_attribute("data-cell") == number
            expect(page.locator("button[data-cell][aria-pressed=true]")).to_have_count(1)
            colours.append(marked.locator("path").last.evaluate("path => getComputedStyle(path).stroke"))
        other = page.locator(".leuk-stage g:not(.leuk-chosen) path").last
        assert other.evaluate("path => getComputedStyle(path).stroke") not in colours
        page.locator("button[data-cell][aria-pressed=true]").click()
        expect(page.locator(".leuk-stage g.leuk-chosen")).to_have_count(0)


def audit(browser: Browser, address: str, folder: Path) -> None:
    """The filled audit panel is accessible and fits, on a phone and in both directions."""
    for locale, theme in (("en-US", "light"), ("fa-IR", "dark")):
        with visit(browser, address, size="phone", theme=theme, locale=locale) as page:
            classify(page)
            page.locator("button.label-wrap").last.click()
            page.locator("#leuk-audit").click()
            expect(page.locator(".leuk-versions figure").first).to_be_visible(timeout=PATIENCE)
            accessible(page, f"phone, {locale}, audit")
            page.screenshot(path=folder / f"audit-phone-{locale[:2]}.png", full_page=True)


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
        expect(page.get_by_role("tab", name=TABS[0])).to_be_visible()
        expect(page.locator("html[lang=en][dir=ltr]")).to_be_attached()


def wrong_file(browser: Browser, address: str, folder: Path) -> None:
    """A file that is no image is refused in a sentence of the page's language; its name is shown, not run."""
    for locale, said in (("en-US", "is not an image that can be read"), ("fa-IR", "تصویری نیست که بتوان خواند")):
        with visit(browser, address, locale=locale) as page, tempfile.TemporaryDirectory() as temporary:
            wrong = Path(temporary) / "<img src=x onerror=document.title='run'>.png"
            wrong.write_text("not an image")
            page.locator("input[type=file]").first.set_input_files(str(wrong))
            expect(page.get_by_text(said).first).to_be_visible(timeout=PATIENCE)
            assert page.title() != "run" and not page.locator("img[src=x]").count()
            page.screenshot(path=folder / f"wrong-file-{locale[:2]}.png")


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
