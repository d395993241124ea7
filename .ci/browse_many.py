"""The tab "Many fields" in a browser: files, an archive, a folder; the table and the report that come down."""

from __future__ import annotations

import csv
import shutil
import tempfile
import zipfile
from pathlib import Path

from browsing import EXAMPLE, EXAMPLES, PATIENCE, accessible, fits, go_to, visit
from playwright.sync_api import Browser, Locator, Page, expect


def open_many(page: Page) -> Locator:
    """Go to the tab; gives what is in it."""
    go_to(page, 1)
    many = page.locator(".leuk-many")
    expect(many).to_be_visible()
    return many


def batch(browser: Browser, address: str, folder: Path) -> None:
    """Several files, one of them no image, become a table with a row each, a CSV file and a report that opens."""
    with visit(browser, address) as page, tempfile.TemporaryDirectory() as temporary:
        wrong = Path(temporary) / "notes.png"
        wrong.write_text("not an image")
        many = open_many(page)
        files = [EXAMPLE, EXAMPLES / "synthetic-Benign.png", wrong]
        many.locator("input[type=file]").first.set_input_files([str(file) for file in files])
        _handed_in(many, "notes.png")
        many.locator("button.primary").first.click()
        # Gradio measures its columns by a table that nobody sees.
        expect(many.get_by_text("unusable file").locator("visible=true").first).to_be_visible(timeout=PATIENCE)
        page.screenshot(path=folder / "batch.png", full_page=True)
        rows = _table(page, many, Path(temporary))
        assert [row["file"] for row in rows] == [file.name for file in files], rows
        for row in rows[:2]:
            shares = [float(value) for name, value in row.items() if name.startswith("probability ")]
            assert len(shares) == 4 and abs(sum(shares) - 1) < 1e-6 and row["model"] and row["date"], row
        assert "notes.png is not an image" in rows[2]["error"] and not rows[2]["label"]
        _report(page, many, Path(temporary), folder)


def archive(browser: Browser, address: str) -> None:
    """An archive stands for the images in it."""
    with visit(browser, address) as page, tempfile.TemporaryDirectory() as temporary:
        packed = Path(temporary) / "case 7.zip"
        with zipfile.ZipFile(packed, "w") as content:
            content.write(EXAMPLE, "a/one.png")
            content.writestr("a/two.png", "not an image")
        many = open_many(page)
        many.locator("input[type=file]").first.set_input_files(str(packed))
        _handed_in(many, "case 7.zip")
        many.locator("button.primary").first.click()
        expect(many.get_by_text("unusable file").locator("visible=true").first).to_be_visible(timeout=PATIENCE)
        rows = _table(page, many, Path(temporary))
        assert [row["file"] for row in rows] == ["case 7.zip/a/one.png", "case 7.zip/a/two.png"], rows
        assert rows[0]["label"] and rows[1]["error"]


def directory(browser: Browser, address: str) -> None:
    """Files of one name keep the folders that tell them apart; rows go by number; Clear leaves nothing."""
    with visit(browser, address) as page, tempfile.TemporaryDirectory() as temporary:
        inner = Path(temporary) / "case" / "inner"
        inner.mkdir(parents=True)
        for name, place in (("synthetic-Pre.png", inner.parent), ("synthetic-Pro.png", inner)):
            shutil.copy(EXAMPLES / name, place / "a.png")
        many = open_many(page)
        many.locator("input[type=file]").nth(1).set_input_files(str(inner.parent))
        expect(many.locator("tr", has_text="case/inner/").first).to_be_visible(timeout=PATIENCE)
        many.locator("button.primary").first.click()
        cell = many.get_by_text("case/inner/a.png", exact=True).locator("visible=true").first
        expect(cell).to_be_visible(timeout=PATIENCE)
        assert [row["file"] for row in _table(page, many, Path(temporary))] == ["case/a.png", "case/inner/a.png"]
        cell.click()
        expect(many.locator(".file", has_text="2. case/inner/a.png")).to_be_visible(timeout=PATIENCE)
        many.get_by_role("button", name="Clear and delete results").click()
        expect(many.get_by_text("Everything made of your files was deleted.")).to_be_visible(timeout=PATIENCE)
        expect(cell).not_to_be_visible()


def filled(browser: Browser, address: str, folder: Path) -> None:
    """The filled tab is accessible and fits, on a phone and in both directions."""
    for locale, theme in (("en-US", "light"), ("fa-IR", "dark")):
        with visit(browser, address, size="phone", theme=theme, locale=locale) as page:
            many = open_many(page)
            many.locator("button.sm").first.click()  # the synthetic examples
            expect(many.locator(".grid-container img").first).to_be_visible(timeout=PATIENCE)
            many.locator(".grid-container button").first.click()
            expect(many.locator(".pictures img").first).to_be_visible(timeout=PATIENCE)
            fits(page, f"phone, {locale}, many")
            accessible(page, f"phone, {locale}, many")
            page.screenshot(path=folder / f"many-phone-{locale[:2]}.png", full_page=True)


def _handed_in(many: Locator, name: str) -> None:
    expect(many.locator(f"td.filename[aria-label='{name}']")).to_be_visible(timeout=PATIENCE)


def _table(page: Page, many: Locator, folder: Path) -> list[dict[str, str]]:
    with page.expect_download() as waiting:
        many.get_by_text("Table (CSV)").first.click()
    path = folder / "table.csv"
    waiting.value.save_as(path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf"), "spreadsheets tell UTF-8 by the byte order mark"
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _report(page: Page, many: Locator, temporary: Path, folder: Path) -> None:
    with page.expect_download() as waiting:
        many.get_by_text("Report to print (HTML)").first.click()
    path = temporary / "report.html"
    waiting.value.save_as(path)
    opened = page.context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(path.as_uri())
    expect(opened.get_by_role("heading", level=1)).to_be_visible()
    expect(opened.locator("table.fields tbody tr")).to_have_count(3)
    broken = "[...document.images].filter((one) => !one.naturalWidth).length"
    assert opened.locator("table.fields img").count() == 4 and opened.evaluate(broken) == 0
    assert all(url.startswith(("file:", "data:")) for url in asked), asked
    accessible(opened, "report")
    opened.screenshot(path=folder / "report.png", full_page=True)
    opened.close()
