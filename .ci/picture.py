"""Make README's picture anew: start the demo, classify a synthetic smear, take the picture.

python .ci/picture.py [file]
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browsing import classify, start_browser, visit
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "leuk_hf" / "assets" / "demo.png"


@contextmanager
def demo() -> Iterator[str]:
    """Serve the demo on a free port; gives its address, and stops it in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The shipped checkpoint with its own settings, whatever this shell has set.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEUK_", "GRADIO_"))}
    served = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env={**kept, **served}, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            if app.poll() is not None:
                sys.exit("the demo stopped; `python app.py` says why")
            try:
                urllib.request.urlopen(f"{address}/gradio_api/startup-events", timeout=5).close()
                break
            except OSError:
                time.sleep(1)
        yield address
    finally:
        app.terminate()
        app.wait()


def main(file: Path) -> None:
    """Take the picture."""
    with demo() as address, sync_playwright() as playwright:
        browser = start_browser(playwright)
        with visit(browser, address) as page:
            classify(page)
            page.mouse.move(0, 0)
            page.wait_for_timeout(2000)  # until nothing moves
            page.screenshot(path=file, full_page=True)
        browser.close()
    print(f"written to {file}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
