"""Thousands of files: order, bounded memory, going on after a kill, several processes."""

import csv
import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuk_hf import batch_prediction, predict
from leuk_hf.backends import as_predictor
from leuk_hf.batch_prediction import BATCHES_AHEAD, OverlayOptions, PixelGate, answer_batches, run_identity
from leuk_hf.errors import LeukError
from leuk_hf.explanation import explain
from leuk_hf.image_io import load_image
from leuk_hf.input_files import find_inputs
from leuk_hf.prediction_store import PredictionStore, joined_rows, share_of
from leuk_hf.processes import Processes
from leuk_hf.synthetic import render_smear

SCRIPT = Path(__file__).parent.parent / "scripts" / "predict.py"


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Eleven inputs in two folders, two of them unusable."""
    folder = tmp_path_factory.mktemp("fields")
    (folder / "middle").mkdir()
    for number, name in enumerate(("a.png", "b.jpg", "middle/x.png", "middle/y.jpg", "n.png", "o.png", "p.jpg")):
        render_smear("Pre-B", seed=number, image_size=48 + 8 * number).save(folder / name)
    render_smear("Benign", seed=9, image_size=64).resize((100, 50)).save(folder / "q.png")  # has a note
    Image.new("RGB", (420, 400), (200, 180, 190)).save(folder / "r.jpg")  # reduced while decoding
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def store_of(tmp_path, names, identity=None, **options):
    store = PredictionStore(tmp_path / "state", **options)
    store.begin(identity or {"checkpoint": "a"}, names)
    store.load()
    return store


def inputs_of(folder):
    return [*find_inputs([str(folder)], []), str(folder / "missing.png")]


def all_rows(predictor, tmp_path, names, batch_size=4, **options):
    store = store_of(tmp_path, names)
    answers = answer_batches(predictor, store.batches(batch_size), **options)
    return list(joined_rows(store, batch_size, answers, Processes()))


def test_folders_come_in_the_order_of_their_names(fields, tmp_path):
    expected = ["a.png", "b.jpg", "c.jpg", "middle/x.png", "middle/y.jpg", "n.png", "o.png", "p.jpg", "q.png", "r.jpg"]
    assert list(find_inputs([str(fields)], [])) == [str(fields / name) for name in expected]
    empty = tmp_path / "nothing"
    empty.mkdir()
    given = [" ", "-", str(empty), "no*.png", "x" * 5000, str(fields / "middle" / "*.jpg")]
    assert list(find_inputs(given, ["one.png\n", "\n", "two.png"])) == [
        " ", "one.png", "two.png", str(empty), "no*.png", "x" * 5000, str(fields / "middle" / "y.jpg")
    ]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_folders_do_not_follow_links_in_a_circle(fields, tmp_path):
    shutil.copytree(fields / "middle", tmp_path / "top" / "deep")
    (tmp_path / "top" / "deep" / "again").symlink_to(tmp_path / "top", target_is_directory=True)
    (tmp_path / "top" / "link.png").symlink_to(fields / "a.png")
    found = [Path(name).name for name in find_inputs([str(tmp_path / "top")], [])]
    assert found == ["x.png", "y.jpg", "link.png"]


def test_what_is_no_image_by_its_name_is_counted(fields, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("notes.txt", "in/a.doc", "in/.hidden", "in/x.jfif", "y.PGM"):
        (tmp_path / name).write_text("")
    left_out = Counter()
    found = list(find_inputs([str(fields), str(tmp_path), str(tmp_path / "notes.txt")], [], left_out=left_out))
    assert left_out == {str(fields): 1, str(tmp_path): 3}
    assert found[-3:] == [str(tmp_path / name) for name in ("in/x.jfif", "y.PGM", "notes.txt")]


@pytest.mark.parametrize("suffix", [".jfif", ".mpo", ".pgm", ".pbm"])
def test_less_known_suffixes_are_read(tmp_path, suffix):
    field = render_smear("Pre-B", seed=0, image_size=48)
    {".pgm": field.convert("L"), ".pbm": field.convert("1")}.get(suffix, field).save(tmp_path / f"field{suffix}")
    (found,) = find_inputs([str(tmp_path)], [])
    assert load_image(found).size == (48, 48)


def test_folders_without_images_say_so(tiny_model, tmp_path):
    for name in ("empty", "nested/deep/deeper", "full"):
        (tmp_path / name).mkdir(parents=True)
    render_smear("Pre-B", seed=0, image_size=48).save(tmp_path / "full" / "a.png")
    given = [str(tmp_path / name) for name in ("empty", "nested")]
    names = [*find_inputs([*given, "-"], [str(tmp_path / "full")])]
    rows = all_rows(as_predictor(tiny_model), tmp_path, names)
    expected = [*(f"{path} holds no image" for path in given), f"{tmp_path / 'full'} is a folder; give an image file"]
    assert [row["error"] for row in rows] == expected


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_to_an_image_that_is_gone_has_a_row(tiny_model, tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "round.png").symlink_to(folder / "round.png")
    (folder / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    left_out = Counter()
    names = list(find_inputs([str(folder)], [], left_out=left_out))
    assert names == [str(folder / "gone.png"), str(folder / "round.png")] and left_out == {str(folder): 1}
    gone, _ = all_rows(as_predictor(tiny_model), tmp_path, names)
    assert gone["error"] == f"{folder / 'gone.png'} does not exist or is no regular file; check the path"


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_rows_equal_those_of_single_predictions(tiny_model, fields, tmp_path, batch_size):
    names = inputs_of(fields)
    rows = all_rows(as_predictor(tiny_model), tmp_path, names, batch_size, workers=3)
    assert [row["file"] for row in rows] == names
    for row in rows:
        if Path(row["file"]).name in ("c.jpg", "missing.png"):
            assert Path(row["file"]).name in row["error"] and row["label"] is None and row["answered"] is False
            continue
        image = load_image(row["file"], reduce_to=tiny_model.preprocessor.sufficient_side)
        expected = predict(tiny_model, [image])[0].to_dict()
        assert row["error"] is None
        assert {key: row[key] for key in ("label", "prediction_set", "answered", "reasons")} == {
            key: expected[key] for key in ("label", "prediction_set", "answered", "reasons")
        }
        assert list(row["probabilities"].values()) == pytest.approx(list(expected["probabilities"].values()), abs=1e-6)
        assert row["in_distribution_score"] == pytest.approx(expected["in_distribution_score"], abs=1e-5)
    (wide,) = (row for row in rows if row["file"].endswith("q.png"))
    assert any("100x50" in reason for reason in wide["reasons"])


@pytest.mark.parametrize(("layer", "target"), [(None, None), ("norm5", "Benign"), ("denseblock2", "Pro-B")])
def test_overlays_equal_those_of_single_explanations(tiny_model, fields, tmp_path, layer, target):
    predictor, names = as_predictor(tiny_model), inputs_of(fields)
    overlays = OverlayOptions(tmp_path / "maps", target, layer or predictor.cam_layer, 0.5)
    rows = all_rows(predictor, tmp_path, names, overlays=overlays)
    drawn = [index for index, row in enumerate(rows) if row["label"]]
    paths = [overlays.path(index, names[index]) for index in drawn]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [path.name for path in paths]
    for index, path in zip(drawn, paths, strict=True):
        image = load_image(names[index])
        expected = explain(predictor, image, target=target, layer=layer).overlay(image, opacity=0.5)
        difference = np.abs(np.asarray(Image.open(path), dtype=int) - np.asarray(expected, dtype=int))
        assert difference.max() <= 3 or names[index].endswith("r.jpg")  # whose pixels were reduced first


def test_an_overlay_that_cannot_be_written_is_told_in_its_row(tiny_model, fields, tmp_path):
    overlays = OverlayOptions(tmp_path / "maps", None, "denseblock4", 0.5)
    names = inputs_of(fields)
    overlays.path(1, names[1]).mkdir(parents=True)
    rows = all_rows(as_predictor(tiny_model), tmp_path, names, overlays=overlays)
    assert "cannot be written" in rows[1]["error"] and rows[1]["label"] is not None and rows[0]["error"] is None
    assert not overlays.are_written(0, rows[:4]) and overlays.are_written(4, rows[4:8])


def test_only_a_few_batches_wait_in_memory(tiny_model, tmp_path, monkeypatch):
    field = tmp_path / "field.png"
    render_smear("Benign", seed=0, image_size=48).save(field)
    names, batch_size = [str(field)] * 60, 4
    bound = (BATCHES_AHEAD + 1) * batch_size
    lock, waiting, seen = threading.Lock(), [0], []

    def counted(name, **options):
        with lock:
            waiting[0] += 1
            seen.append(waiting[0])
        return load_image(name, **options)

    predictor = as_predictor(tiny_model)
    run, runs = predictor.run, []

    def slow(pixel_values):
        runs.append(len(pixel_values))
        deadline = time.monotonic() + 10
        # All that may be decoded meanwhile is, and then nothing more.
        while waiting[0] < min(bound, len(names) - sum(runs[:-1])) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        outputs = run(pixel_values)
        with lock:
            waiting[0] -= len(pixel_values)
        return outputs

    monkeypatch.setattr(batch_prediction, "load_image", counted)
    monkeypatch.setattr(predictor, "run", slow)
    assert len(all_rows(predictor, tmp_path, names, batch_size, workers=4)) == 60
    assert max(seen) == bound and len(seen) == 60


def test_large_photos_are_not_decoded_all_at_once(tmp_path, tiny_model, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("RGB", (400, 300), "pink").save(path)
    active, most, lock = [0], [0], threading.Lock()

    def watched(name, **options):
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        deadline = time.monotonic() + (5 if most[0] < expected else 0)  # time for as many others as may come
        while most[0] < expected and time.monotonic() < deadline:
            time.sleep(0.001)
        with lock:
            active[0] -= 1
        return load_image(name, **options)

    monkeypatch.setattr(batch_prediction, "load_image", watched)
    for limit, expected in ((250_000, 2), (1000, 1)):
        most[0] = 0
        monkeypatch.setattr(batch_prediction, "PIXELS_AT_ONCE", limit)
        all_rows(as_predictor(tiny_model), tmp_path, [str(path)] * 12, 12, workers=6)
        assert most[0] == expected


def test_errors_keep_no_image_alive(tmp_path, tiny_model):
    """Of a bad file only the sentence waits: an exception would hold every frame's bytes and pixels."""
    path = tmp_path / "bad.png"
    path.write_bytes(b"no image" * 1000)
    found = batch_prediction._prepare(as_predictor(tiny_model).preprocessor, str(path), PixelGate(10))
    assert isinstance(found, str) and "is not an image that can be read" in found
    assert batch_prediction._count_pixels(str(path)) == 8000 // 4  # what is read whole counts, image or not


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 200), 200), ((2592, 1944), 1024), ((4000, 3000), 1024), ((1000, 32000), 500)]
)
def test_overlays_are_reduced_by_area(tmp_path, size, expected):
    path = tmp_path / "photo.png"
    Image.new("L", size).save(path)
    assert batch_prediction._overlay_side(str(path)) == expected


def test_overlay_names_fit_a_file_system(tmp_path):
    options = OverlayOptions(tmp_path, None, "denseblock4", 0.45)
    name = options.path(0, "\U0001fa78" * 80 + ".png").name
    assert len(name.encode()) < 200 and name.startswith("00001-\U0001fa78") and name.endswith(".png")


def test_a_file_managers_file_is_no_obstacle(tmp_path):
    store = store_of(tmp_path, ["a", "b"])
    (store.folder / ".DS_Store").write_text("")
    again = PredictionStore(store.folder)
    assert again.begin({"checkpoint": "a"}, ["a", "b"]) == 2
    again.remove()
    assert [path.name for path in store.folder.iterdir()] == [".DS_Store"]


def test_overlays_among_the_inputs_are_refused(checkpoint, fields):
    command = [sys.executable, SCRIPT, fields, "--model", checkpoint, "--overlays", fields / "middle" / "maps"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 2 and "give --overlays a folder outside it" in done.stderr
    assert done.stderr.count("\n") == 1 and not (fields / "middle" / "maps").exists()


def test_the_gate_opens_again_after_an_error():
    gate = PixelGate(10)
    with pytest.raises(ZeroDivisionError), gate.holding(10):
        1 / 0  # noqa: B018
    with gate.holding(25):  # more than the limit, but alone
        pass


def answered(store, batch_size=2):
    """Answer all batches with rows that tell files and start."""
    for batch in store.batches(batch_size):
        store.append(batch, [{"file": name, "label": None, "start": batch.start} for name in batch.names])


def reopened(tmp_path, names, **options):
    store = store_of(tmp_path, names, **options)
    return [batch.start for batch in store.batches(2) if batch in store], store


@pytest.fixture
def names(tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.png").write_text(str(number))
    return [str(tmp_path / f"{number}.png") for number in range(6)]


def test_batches_are_answered_once(tmp_path, names):
    answered(store_of(tmp_path, names))
    starts, store = reopened(tmp_path, names)
    assert starts == [0, 2, 4]
    rows = list(joined_rows(store, 2, iter(()), Processes()))
    assert [(row["file"], row["start"]) for row in rows] == [
        (name, index // 2 * 2) for index, name in enumerate(names)
    ]
    store.remove()
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("lost", [1, 2, 40, 100])
def test_a_line_cut_short_is_answered_again(tmp_path, names, lost):
    answered(store_of(tmp_path, names))
    path = tmp_path / "state" / "rows-00000.jsonl"
    path.write_bytes(path.read_bytes()[:-lost])
    starts, store = reopened(tmp_path, names)
    assert starts == [0, 2]
    (missing,) = (batch for batch in store.batches(2) if batch not in store)
    store.append(missing, [{"file": name, "start": 4} for name in missing.names])
    starts, store = reopened(tmp_path, names)
    assert starts == [0, 2, 4] and [row["file"] for row in joined_rows(store, 2, iter(()), Processes())] == names


def test_changed_files_are_answered_again(tmp_path, names):
    answered(store_of(tmp_path, names))
    Path(names[2]).write_text("another size")
    assert reopened(tmp_path, names)[0] == [0, 4]
    Path(names[5]).unlink()
    assert reopened(tmp_path, names)[0] == [0]
    os.utime(names[0], ns=(0, 1))  # the same size, but another content for all that is known
    assert reopened(tmp_path, names)[0] == []


def test_a_changed_list_never_moves_rows_to_other_files(tmp_path, names):
    answered(store_of(tmp_path, names))
    assert reopened(tmp_path, names[:3])[0] == [0]
    assert reopened(tmp_path, names[1:])[0] == []
    assert reopened(tmp_path, [names[0], names[1], *names[3:], names[2]])[0] == [0]
    assert reopened(tmp_path, [*names, names[0]])[0] == [0, 2, 4]


def test_another_run_is_refused_and_nothing_lost(tmp_path, names):
    answered(store_of(tmp_path, names, {"checkpoint": "a", "batch size": 2}))
    before = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()}
    with pytest.raises(LeukError, match=r"another batch size and checkpoint; .* --restart"):
        store_of(tmp_path, names[:2], {"checkpoint": "b", "batch size": 8})
    assert {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir()} == before
    store = PredictionStore(tmp_path / "state")
    assert store.begin({"checkpoint": "b", "batch size": 8}, names, restart=True) == 6
    store.load()
    assert not any(batch in store for batch in store.batches(2))


def test_rows_without_a_header_are_not_trusted(tmp_path, names):
    answered(store_of(tmp_path, names))
    (tmp_path / "state" / "run.json").unlink()
    assert reopened(tmp_path, names)[0] == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, names):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "thesis.txt").write_text("all of it")
    with pytest.raises(LeukError, match="move it away"):
        PredictionStore(tmp_path / "state").begin({}, names, restart=True)
    assert (tmp_path / "state" / "thesis.txt").read_text() == "all of it"


def test_processes_share_what_is_missing(tmp_path, names):
    store = store_of(tmp_path, names)
    first = next(store.batches(1))
    store.append(first, [{"file": names[0], "part": "before"}])
    parts = []
    for index in range(2):
        part = PredictionStore(store.folder, part=index)
        part.check({"checkpoint": "a"})
        part.load()
        parts.append((part, *share_of(part, 1, Processes(index, 2))))
    assert [count for _, count, _ in parts] == [2, 3]
    for part, _, share in parts:
        for batch in share:
            part.append(batch, [{"file": batch.names[0], "part": part.folder.name}])
    rows = list(joined_rows(store, 1, iter(()), Processes(0, 2)))
    assert [row["file"] for row in rows] == names
    assert list(joined_rows(store, 1, iter(()), Processes(1, 2))) == []


def test_a_folder_that_is_not_shared_is_told(tmp_path, names):
    with pytest.raises(LeukError, match="several machines need the output in a folder that all of them share"):
        PredictionStore(tmp_path / "elsewhere", part=1).check({})
    with pytest.raises(LeukError, match=r"rows of .*0\.png are missing"):
        list(joined_rows(store_of(tmp_path, names), 2, iter(()), Processes(0, 2)))


def test_identity_names_what_rows_depend_on(tiny_model, tmp_path):
    predictor = as_predictor(tiny_model)
    plain = run_identity(predictor, 8, None)
    assert plain["checkpoint"] == predictor.identity and plain["backend"] == predictor.description
    drawn = run_identity(predictor, 8, OverlayOptions(tmp_path, None, "norm5", 0.5))
    assert set(drawn) - set(plain) == {"overlay folder", "overlay target", "overlay layer", "overlay opacity"}
    assert json.loads(json.dumps(drawn)) == drawn


# The command line, run as users run it.


@pytest.fixture(scope="module")
def many(tmp_path_factory, fields):
    """120 files, some of them broken."""
    folder = tmp_path_factory.mktemp("many")
    sources = [path for path in sorted(fields.iterdir()) if path.suffix in (".png", ".jpg") and path.stem != "r"]
    for number in range(120):
        source = sources[number % len(sources)]
        shutil.copyfile(source, folder / f"{number:03d}{source.suffix}")
    return folder


def command(checkpoint, many, out, *options):
    outputs = ["--csv", out / "p.csv", "--overlays", out / "maps", "--batch-size", "4", *options]
    return [str(part) for part in (SCRIPT, many, "--model", checkpoint, *outputs)]


def start(arguments):
    # More threads would only wait for each other where tests run side by side.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *arguments], text=True, env=environment, **pipes)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def kill_after(process, rows, lines):
    while process.poll() is None:
        if rows.exists() and rows.read_bytes().count(b"\n") >= lines:
            process.kill()
            break
        time.sleep(0.002)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_killed_run_goes_on_to_the_same_files(checkpoint, many, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    arguments = command(checkpoint, many, out, "--jsonl", out / "p.jsonl")
    whole = start(arguments)
    screen, errors = whole.communicate()
    assert whole.returncode == 1 and "backend: torch" in errors, errors
    shutil.move("out", "whole")
    state = out / "p.jsonl.partial"
    for lines in (3, 10):  # the second time it goes on before it is killed again
        kill_after(start(arguments), state / "rows-00000.jsonl", lines)
        assert not (out / "p.csv").exists() and not (out / "p.jsonl").exists()
    before = sum(line.endswith(b"]]") for line in (state / "rows-00000.jsonl").read_bytes().splitlines())
    (state / "rows-00000.jsonl").open("ab").write(b'\n["cut sho')
    resumed = start(arguments)
    again, errors = resumed.communicate()
    assert resumed.returncode == 1 and again == screen
    assert 10 <= before < 30 and f"going on: {4 * before} images were answered before" in errors, errors
    assert contents(out) == contents(Path("whole"))
    rows = [json.loads(line) for line in (out / "p.jsonl").read_text().splitlines()]
    assert len(rows) == 120 and len(contents(out)) == 2 + sum(row["error"] is None for row in rows) > 90


def test_two_processes_write_the_same_files(checkpoint, many, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = command(checkpoint, many, Path("out"), "--jsonl", "out/p.jsonl")
    one = start(arguments)
    screen = one.communicate()[0]
    shutil.move("out", "one")
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0"]
    launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    two = start([*launcher, *arguments])
    again, errors = two.communicate()
    assert two.returncode == one.returncode == 1, errors
    assert again == screen and errors.count("backend: torch") == 1
    assert contents(Path("out")) == contents(Path("one"))


@pytest.fixture
def script():
    specification = importlib.util.spec_from_file_location("predict_script", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # where dataclasses look for it
    specification.loader.exec_module(module)
    yield module
    del sys.modules[specification.name]


def test_a_stopped_run_goes_on_with_its_own_options_only(script, checkpoint, fields, tmp_path, monkeypatch, capsys):
    arguments = [str(fields), "--model", str(checkpoint), "--csv", str(tmp_path / "p.csv")]

    original, calls = script.csv_row, []

    def stopped(*given):
        calls.append(given)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return original(*given)

    assert script.main(arguments) == 1
    whole = (tmp_path / "p.csv").read_bytes()
    (tmp_path / "p.csv").unlink()
    arguments += ["--batch-size", "2"]
    with monkeypatch.context() as patched:
        patched.setattr(script, "csv_row", stopped)
        assert script.main(arguments) == 130
    assert "the same command goes on" in capsys.readouterr().err and not (tmp_path / "p.csv").exists()
    state = contents(tmp_path / "p.csv.partial")
    assert script.main([*arguments[:-1], "5"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "another batch size" in error and len(error.splitlines()) == 1
    assert contents(tmp_path / "p.csv.partial") == state
    shutil.copytree(tmp_path / "p.csv.partial", tmp_path / "copy")
    assert script.main(arguments) == 1 and "going on: 6 images" in capsys.readouterr().err
    rows = list(csv.DictReader((tmp_path / "p.csv").open()))
    assert [row["file"] for row in rows] == inputs_of(fields)[:-1] and not (tmp_path / "p.csv.partial").exists()
    shutil.copytree(tmp_path / "copy", tmp_path / "p.csv.partial")
    assert script.main([*arguments[:-1], "8", "--restart"]) == 1
    assert "going on" not in capsys.readouterr().err and not (tmp_path / "p.csv.partial").exists()
    assert (tmp_path / "p.csv").read_bytes() == whole


def test_several_processes_need_an_output_file(script, fields):
    with pytest.raises(LeukError, match="give --jsonl FILE or --csv FILE"):
        script.run(script.Arguments((str(fields),), jsonl="-"), Processes(0, 2))


def test_a_reader_that_closes_early_is_no_error(checkpoint, many):
    process = start([str(SCRIPT), str(many), "--model", str(checkpoint), "--jsonl", "-"])
    assert json.loads(process.stdout.readline())["file"].endswith("000.png")
    process.stdout.close()
    errors = process.stderr.read()
    process.wait()
    assert "Traceback" not in errors


def test_the_screen_says_what_is_refused_and_what_is_open():
    screen_line = runpy.run_path(str(SCRIPT))["screen_line"]
    row = {
        "file": "a.png", "label": "Pre-B", "probabilities": {"Benign": 0.3, "Pre-B": 0.7}, "answered": True,
        "prediction_set": ["Pre-B"], "reasons": ["small"], "error": None,
    }  # fmt: skip
    line = screen_line(row)
    assert line == "a.png  Pre-B  [Benign 0.300  Pre-B 0.700]\n    note: small"
    refused = screen_line({**row, "answered": False, "prediction_set": ["Pre-B", "Benign"]})
    shares = "[Benign 0.300  Pre-B 0.700]"
    assert refused.splitlines()[0] == f"a.png  REFUSED, most probable Pre-B  {shares}  one of Pre-B, Benign"
    assert screen_line({**row, "error": "gone"}) == "a.png  ERROR  gone"
