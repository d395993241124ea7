"""Ask a running demo from many clients at once, for a while, and print what came back and what memory it took.

python scripts/load_test.py http://127.0.0.1:7860 --pid 4711

python scripts/load_test.py http://127.0.0.1:7860 --fields folder/*.jpg --clients 20 --seconds 30

The clients ask about several fields in turn, and every answer is compared with what a single client was told about
that field before. For a demo of one's own, on this machine: it is refused for other hosts.
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
EXAMPLES = Path(__file__).parent.parent / "leuk_hf" / "assets" / "examples"


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


def memory_mb(pid: int | None) -> float | None:
    """Give the memory of a process and all that it has started, in MB; None where Linux does not tell it.

    What several of them share counts once.
    """
    if pid is None or not Path(f"/proc/{pid}/status").is_file():
        return None
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):  # it has ended
            continue
        children.setdefault(parent, []).append(int(folder.name))
    total, waiting = 0.0, [pid]
    while waiting:
        each = waiting.pop()
        waiting += children.get(each, [])
        total += _kilobytes(each) / 1024
    return total


def _kilobytes(pid: int) -> int:
    for name, key in (("smaps_rollup", "\nPss:"), ("status", "\nVmRSS:")):
        try:
            return int(Path(f"/proc/{pid}/{name}").read_text().partition(key)[2].split()[0])
        except (OSError, IndexError):
            continue
    return 0


def run(address: str, fields: list[Path], *, clients: int, seconds: float, pid: int | None) -> bool:
    """Run the load and print its figures; gives whether every answer was the single client's or an honest refusal."""
    paths = [upload(address, field) for field in fields]
    expected, memory = {path: ask(address, path) for path in paths}, [memory_mb(pid)]
    for field, path in zip(fields, paths, strict=True):
        if not expected[path].startswith("ok: "):
            print(f"a single client gets no answer about {field.name}: {expected[path]}")
            return False
    print(f"{len(fields)} fields, {len(set(expected.values()))} different answers")
    counts: collections.Counter[str] = collections.Counter()
    times: list[float] = []
    lock, end = threading.Lock(), time.monotonic() + seconds

    def visit(number: int) -> None:
        while time.monotonic() < end:
            path, begun = paths[number % len(paths)], time.monotonic()
            number += 1
            got = ask(address, path)
            kind = got.split(":")[0]
            if kind == "ok":
                kind = "same answer" if got == expected[path] else "another answer"
            with lock:
                counts[kind] += 1
                times.append(time.monotonic() - begun)
                if kind == "error" and counts[kind] <= 3:
                    print(got)
            if kind == "queue":
                time.sleep(0.5)  # as it was told

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append(memory_mb(pid))
        time.sleep(1)
    after = {path: ask(address, path) for path in paths}
    print(f"{clients} clients for {seconds:.0f} s: {dict(counts)}")
    print(f"seconds per request: median {statistics.median(times):.1f}, longest {max(times):.1f}")
    known = [each for each in memory if each is not None]
    if known:
        most = f"{known[0]:.0f} before, {max(known):.0f} at most, {known[-1]:.0f} last"
        print(f"memory in MB, with child processes: {most}")
    print("afterwards a single client gets", "the same answers" if after == expected else after)
    return after == expected and not counts["another answer"] and not counts["error"]


def main(arguments: list[str]) -> int:
    """Parse, then run; the exit code is 0, 1 if an answer was wrong, or 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="scripts/load_test.py", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("address", help="of the demo, as http://127.0.0.1:7860")
    parser.add_argument(
        "--fields", type=Path, nargs="+", default=sorted(EXAMPLES.glob("*.png")), help="by default the examples"
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pid", type=int, help="process of the demo, whose memory is told")
    parsed = parser.parse_args(arguments)
    if urllib.parse.urlsplit(parsed.address).hostname not in HERE:
        print(f"error: {parsed.address} is not this machine; load only a demo of your own", file=sys.stderr)
        return 2
    for field in parsed.fields:
        if not field.is_file():
            print(f"error: there is no file {field}; give images of fields", file=sys.stderr)
            return 2
    address = parsed.address.rstrip("/")
    good = run(address, parsed.fields, clients=parsed.clients, seconds=parsed.seconds, pid=parsed.pid)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
