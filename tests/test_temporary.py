"""The server's temporary folder: its own, gone with the server, and swept when a server was killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leuk_hf.errors import LeukError
from leuk_hf.space.temporary import own_temporary_folder, remove_older

ROOT = Path(__file__).parent.parent
SERVER = """
import sys, time
from pathlib import Path
from leuk_hf.space.temporary import own_temporary_folder
with own_temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "upload.png").write_bytes(b"a field")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def server(tmp_path):
    """Start a server in another process; gives the process and its folder."""
    started = []

    def start():
        run = {"cwd": ROOT, "stdout": subprocess.PIPE, "text": True, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
        started.append(subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], **run))
        return started[-1], Path(started[-1].stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_folder_goes_with_its_server(tmp_path):
    with own_temporary_folder(tmp_path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "upload.png").write_bytes(b"a field")
        assert folder.parent.parent == tmp_path
        if os.name == "posix":
            assert (folder.parent.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o700, 0o700)
    assert list(folder.parent.iterdir()) == []


def test_what_a_killed_server_left_goes_and_what_a_running_one_has_stays(server, tmp_path):
    killed, left = server()
    _, running = server()
    foreign = tmp_path / "gradio" / "upload.png"
    foreign.parent.mkdir()
    foreign.write_bytes(b"somebody else's")
    killed.kill()
    killed.wait()
    assert (left / "upload.png").exists()
    with own_temporary_folder(tmp_path) as mine:
        assert not left.exists() and (running / "upload.png").exists() and foreign.exists()
        with own_temporary_folder(tmp_path) as second:  # two servers in one process, too
            assert mine.exists() and second.exists() and mine != second
        assert mine.exists()


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name != "posix", reason="owners of folders are POSIX's")
def test_a_folder_of_somebody_else_is_not_used(tmp_path):
    trap = tmp_path / "trap"
    trap.mkdir()
    (tmp_path / f"leuk_hf-space-{os.getuid()}").symlink_to(trap)
    with pytest.raises(LeukError, match="belongs to somebody else"), own_temporary_folder(tmp_path):
        raise AssertionError("it was used")
    assert list(trap.iterdir()) == []


def test_old_files_go_and_young_ones_stay(tmp_path):
    (tmp_path / "old" / "inner").mkdir(parents=True)
    (tmp_path / "old" / "inner" / "broken-off").write_bytes(b"half a field")
    time.sleep(0.3)  # ctime cannot be set
    (tmp_path / "old" / "young.png").write_bytes(b"a field")
    remove_older(tmp_path, 0.2)
    left = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))]
    assert left == ["old", "old/inner", "old/young.png"]  # a folder is as young as its last change
    time.sleep(0.3)
    remove_older(tmp_path, 0.2)
    remove_older(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_uses_it(tmp_path):
    code = (
        "import app; app.serve = lambda *_: print(app.os.environ['GRADIO_TEMP_DIR']); raise SystemExit(app.main([]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_TEMP_DIR": str(tmp_path)}
    run = {"cwd": ROOT, "capture_output": True, "text": True, "env": environment}
    done = subprocess.run([sys.executable, "-c", code], **run)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.parent.parent == tmp_path and not folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows ends a process without telling it")
def test_a_server_that_is_told_to_stop_removes_it(tmp_path):
    told = "print(app.os.environ['GRADIO_TEMP_DIR'], flush=True)"
    code = f"import app, time; app.serve = lambda *_: ({told}, time.sleep(600))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_TEMP_DIR": str(tmp_path)}
    run = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, "-c", f"{code}; assert app.main([]) == 130"], **run) as process:
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.terminate()
    assert process.returncode == 0 and list(folder.parent.iterdir()) == []
