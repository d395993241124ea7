"""Ask a running demo from many clients at once, for a while, and print what came back and what memory it took.

python scripts/load_test.py http://127.0.0.1:7860 --field field.png --pid 4711

For a demo of one's own, on this machine: it is refused for other hosts.
"""

from __future__ import annotations

import argparse
import collections
import json
import statistics
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = ("127.0.0.1", "localhost", "::1")
SECONDS = 120  # that one answer may take


def upload(address: str, field: Path) -> str:
    """Upload a file once; gives its path on the server."""
    boundary = "leukload"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{field.name}"\r\n\r\n'
    body = head.encode() + field.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(f"{address}/gradio_api/upload", body, kind)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)[0]


def ask(address: str, path: str) -> str:
    """Ask /predict about an uploaded field; gives "ok: ANSWER", "queue: SENTENCE" or "error: WHAT"."""
    body = json.dumps({"image": {"path": path, "meta": {"_type": "gradio.FileData"}}}).encode()
    url = f"{address}/gradio_api/call/v2/predict"
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            event = json.load(answer)["event_id"]
        with urllib.request.urlopen(f"{address}/gradio_api/call/predict/{event}", timeout=SECONDS) as answer:
            stream = answer.read().decode()
    except urllib.error.HTTPError as error:
        stream = error.read().decode()
    except OSError as error:
        return f"error: {error}"
    if "event: complete" in stream:
        return "ok: " + stream.partition("event: complete\ndata: ")[2].strip()
    return ("queue: " if "ueue is full" in stream else "error: ") + stream.strip()[-200:]


def resident_mb(pid: int | None) -> float:
    """Give a process's memory in MB, as Linux counts it; 0 where that cannot be read."""
    status = Path(f"/proc/{pid}/status")
    if pid is None or not status.is_file():
        return 0.0
    return int(status.read_text().partition("VmRSS:")[2].split()[0]) / 1024


def run(address: str, field: Path, *, clients: int, seconds: float, pid: int | None) -> bool:
    """Run the load and print its figures; gives whether every answer was the single client's or an honest refusal."""
    path = upload(address, field)
    expected, memory = ask(address, path), [resident_mb(pid)]
    if not expected.startswith("ok: "):
        print(f"a single client gets no answer: {expected}")
        return False
    counts: collections.Counter[str] = collections.Counter()
    times: list[float] = []
    lock, end = threading.Lock(), time.monotonic() + seconds

    def visit() -> None:
        while time.monotonic() < end:
            begun = time.monotonic()
            got = ask(address, path)
            kind = (
                "same answer" if got == expected else "another answer" if got.startswith("ok") else got.split(":")[0]
            )
            with lock:
                counts[kind] += 1
                times.append(time.monotonic() - begun)
                if kind == "error" and counts[kind] <= 3:
                    print(got)
            if kind == "queue":
                time.sleep(0.5)  # as it was told

    threads = [threading.Thread(target=visit) for _ in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append(resident_mb(pid))
        time.sleep(1)
    after = ask(address, path)
    print(f"{clients} clients for {seconds:.0f} s: {dict(counts)}")
    print(f"seconds per request: median {statistics.median(times):.1f}, longest {max(times):.1f}")
    print(f"memory in MB: {memory[0]:.0f} before, {max(memory):.0f} at most, {resident_mb(pid):.0f} after")
    print("afterwards a single client gets", "the same answer" if after == expected else after)
    return after == expected and not counts["another answer"] and not counts["error"]


def main(arguments: list[str]) -> int:
    """Parse, then run; the exit code is 0, 1 if an answer was wrong, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="scripts/load_test.py", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("address", help="of the demo, as http://127.0.0.1:7860")
    parser.add_argument("--field", type=Path, required=True, help="image file to ask about")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pid", type=int, help="process of the demo, whose memory is told")
    parsed = parser.parse_args(arguments)
    if urllib.parse.urlsplit(parsed.address).hostname not in HERE:
        print(f"error: {parsed.address} is not this machine; load only a demo of your own", file=sys.stderr)
        return 2
    if not parsed.field.is_file():
        print(f"error: there is no file {parsed.field}; give an image of a field", file=sys.stderr)
        return 2
    address = parsed.address.rstrip("/")
    good = run(address, parsed.field, clients=parsed.clients, seconds=parsed.seconds, pid=parsed.pid)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
