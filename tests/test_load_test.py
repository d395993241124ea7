"""The load test: it passes on a sound demo, and sees wrong answers and the memory of child processes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leuk_hf.synthetic import render_smear

SCRIPT = Path(__file__).parent.parent / "scripts" / "load_test.py"


@pytest.fixture(scope="module")
def load_test():
    spec = importlib.util.spec_from_file_location("load_test", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fields")
    paths = [folder / f"{name}.png" for name in ("Benign", "Pre-B")]
    for path in paths:
        render_smear(path.stem, seed=1, image_size=80).save(path)
    return paths


def test_a_sound_demo_passes(load_test, address, fields, capsys):
    arguments = [address, "--fields", *map(str, fields), "--clients", "3", "--seconds", "1", "--pid", str(os.getpid())]
    assert load_test.main(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("2 fields, 2 different answers\n3 clients for 1 s: {'same answer': ")
    assert "afterwards a single client gets the same answers" in text
    assert "with child processes" in text or not Path("/proc/self/status").is_file()


def test_answers_mixed_up_are_seen(load_test, fields, monkeypatch, capsys):
    told = []

    def confused(address, path):
        told.append(path)
        other = "1.png" if path == "0.png" else "0.png"
        return f"ok: {other if len(told) == 5 else path}"

    monkeypatch.setattr(load_test, "upload", lambda address, field: f"{fields.index(field)}.png")
    monkeypatch.setattr(load_test, "ask", confused)
    assert not load_test.run("", fields, clients=2, seconds=0.2, pid=None)
    assert "'another answer': 1" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="memory is read as Linux tells it")
def test_child_processes_count(load_test):
    held = "held = bytearray(b'x' * 80_000_000); print(1, flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held!r}])"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", parent], **pipes) as process:
        process.stdout.readline()
        assert 75 < load_test.memory_mb(process.pid) < 200
        process.stdin.write("\n")
        process.stdin.flush()
    assert load_test.memory_mb(process.pid) is None and load_test.memory_mb(None) is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["http://example.org"], "http://example.org is not this machine; load only a demo of your own"),
        (["http://127.0.0.1:1", "--fields", "nowhere.png"], "there is no file nowhere.png; give images of fields"),
    ],
)
def test_mistakes_get_one_sentence(load_test, arguments, sentence, capsys):
    assert load_test.main(arguments) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"
