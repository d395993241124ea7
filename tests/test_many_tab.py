"""The tab for many fields, over the running page: what a visitor's events answer, leave and delete."""

import concurrent.futures
import json
import os
import secrets
import threading
import time
import zipfile
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file

from leuk_hf.backends import as_predictor
from leuk_hf.intake import IntakeLimits, Upload
from leuk_hf.many_fields import predict_uploads
from leuk_hf.percentages import probability_text
from leuk_hf.space import many_run
from leuk_hf.space.options import Options
from leuk_hf.space.page import build_page, launch_settings
from leuk_hf.space.words_many import TEXTS
from leuk_hf.synthetic import render_smear


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model():
    import torch

    from leuk_hf.model import LeukDenseNet
    from leuk_hf.preprocessing import Preprocessor

    torch.manual_seed(0)
    return LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64)).eval()


@pytest.fixture(scope="module")
def predictor(model):
    return as_predictor(model)


@pytest.fixture(scope="module")
def demo(cache, predictor):
    demo = build_page(predictor, model_name="tiny", revision="abc123", options=Options(queue_size=8))
    demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings(Options()))
    yield demo
    demo.close()


class Visitor:
    """A browser's session: the events of the page are private, so no client library fires them."""

    def __init__(self, demo):
        self.demo, self.session = demo, secrets.token_hex(8)
        self.api = f"{demo.local_url.rstrip('/')}/gradio_api"

    def upload(self, path):
        """Send a file; gives what the browser would refer to it by."""
        answer = httpx.post(f"{self.api}/upload", files={"files": (path.name, path.read_bytes())})
        return {"path": answer.json()[0], "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def classify(self, files, folder, language):
        """Press the button that starts a run, and wait for its end."""
        return self.fire("classify", files, folder, self.begin(), language)

    def begin(self):
        """Give a start its number, as the button does first."""
        return self.press("begin", "en")["number 0"]

    def press(self, name, *values):
        """Fire an event that does not wait in the queue."""
        call, function = self.call(name, values)
        answer = httpx.post(f"{self.api}/run/predict", json=call, timeout=60)
        assert answer.status_code == 200, answer.text
        return _shown(function, answer.json()["data"])

    def call(self, name, values):
        """Name an event and its values as the browser does."""
        index, function = next(
            (index, each) for index, each in self.demo.fns.items() if each.name == name and "many" in _module(each)
        )
        # A state's place is empty: its value is on the server.
        given = iter(values)
        data = [None if type(each).__name__ == "State" else next(given) for each in function.inputs]
        return {"data": data, "fn_index": index, "session_hash": self.session}, function

    def fire(self, name, *values):
        """Fire an event; gives its last values by the components' kinds and places."""
        call, function = self.call(name, values)
        assert httpx.post(f"{self.api}/queue/join", json=call, timeout=60).status_code == 200
        with httpx.stream("GET", f"{self.api}/queue/data?session_hash={self.session}", timeout=120) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    assert message["success"], message
                    return _shown(function, message["output"]["data"])
        raise AssertionError("the stream ended")


@pytest.fixture
def visitor(demo):
    return Visitor(demo)


def _shown(function, values):
    shown = {}
    for name, value in zip(_names(function.outputs), values, strict=True):
        if not (isinstance(value, dict) and value.get("__type__") == "update" and len(value) == 1):
            shown[name] = value
    return shown


def _module(function):
    return function.fn.__module__ if function.fn else ""


def _names(components):
    """Name components by kind and place: html 0, downloadbutton 0, downloadbutton 1, ..."""
    kinds = [type(component).__name__.lower() for component in components]
    return [f"{kind} {kinds[:place].count(kind)}" for place, kind in enumerate(kinds)]


@pytest.fixture
def case(tmp_path):
    """Three fields, one of them in an archive, and two files that are none."""
    for number, name in enumerate(("=1+1.png", "b.png")):
        render_smear("Pre-B", seed=number, image_size=64).save(tmp_path / name)
    (tmp_path / "c.png").write_text("<svg/>")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.write(tmp_path / "b.png", "<b>.png")
        archive.write(tmp_path / "b.png", "../e.png")
    return [tmp_path / name for name in ("=1+1.png", "b.png", "c.png", "d.zip")]


def runs(cache):
    return list(cache.glob("leuk-many-*"))


def test_case(visitor, case, cache, model):
    shown = visitor.classify([visitor.upload(path) for path in case], None, "en")
    assert "Done: 5 files in" in shown["html 0"]
    assert "5 files: 3 answered, 0 classified but not answered, 2 unusable." in shown["html 1"]
    assert "not a diagnosis" in shown["html 1"]
    table = shown["dataframe 0"]
    assert table["headers"][:4] == ["No.", "File", "Class", "Probability"]
    names = ["=1+1.png", "b.png", "c.png", "d.zip/../e.png", "d.zip/<b>.png"]
    assert [row[:2] for row in table["data"]] == [[number, name] for number, name in enumerate(names, 1)]
    assert [row[5] == "unusable file" for row in table["data"]] == [False, False, True, True, False]
    assert len(shown["gallery 0"]) == 3
    expected = predict_uploads(as_predictor(model), [Upload(path, path.name) for path in case])
    assert [row[2] for row in table["data"]] == [row["label"] or "" for row in expected]
    for row, text, answer in zip(table["data"], table["metadata"]["display_value"], expected, strict=True):
        probability = answer["probabilities"][answer["label"]] if answer["label"] else None
        assert row[3] == pytest.approx(probability) and text[3] == (
            probability_text(probability) if probability else ""
        )
    written = Path(shown["downloadbutton 0"]["path"]).read_text(encoding="utf-8")
    assert written.startswith("\ufeff") and '"\'=1+1.png"' in written and '"tiny","abc123"' in written
    report = Path(shown["downloadbutton 1"]["path"]).read_text(encoding="utf-8")
    assert "d.zip/&lt;b&gt;.png" in report and "<b>" not in report and "abc123" in report
    assert len(runs(cache)) == 1


def test_another_run_and_clearing_delete(visitor, case, cache):
    before = set(runs(cache))
    unique = case[0].with_name("unique.png")
    unique.write_bytes(case[1].read_bytes() + b"unique")
    uploaded = visitor.upload(unique)
    assert len(list(cache.rglob("unique.png"))) == 1
    visitor.classify([uploaded], None, "en")
    (first,) = set(runs(cache)) - before
    assert {path.suffix for path in first.iterdir()} == {".webp", ".csv", ".html"}
    visitor.classify([uploaded], None, "en")
    (second,) = set(runs(cache)) - before
    assert second != first
    cleared = visitor.press("erase", "en")
    assert "Everything made of your files was deleted." in cleared["html 0"] and cleared["gallery 0"] == []
    assert set(runs(cache)) == before


def test_clearing_takes_no_file_from_another_visitor(demo, case):
    # Gradio keeps one copy of what is the same.
    first, second = Visitor(demo), Visitor(demo)
    mine, theirs = first.upload(case[1]), second.upload(case[1])
    assert mine["path"] == theirs["path"]
    first.classify([mine], None, "en")
    first.press("erase", "en")
    assert "Done: 1 files in" in second.classify([theirs], None, "en")["html 0"]


@pytest.fixture
def gate(predictor, monkeypatch):
    """Holds the network as soon as it has two fields to answer at once; (reached, let go)."""
    reached, let_go, run = threading.Event(), threading.Event(), predictor.run

    def held(pixel_values):
        if len(pixel_values) == 2:
            reached.set()
            assert let_go.wait(120)
        return run(pixel_values)

    monkeypatch.setattr(predictor, "run", held)
    yield reached, let_go
    let_go.set()


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield pool


def test_nothing_comes_back_after_clearing_during_a_run(visitor, case, cache, gate, pool):
    reached, let_go = gate
    before = set(runs(cache))
    running = pool.submit(visitor.classify, [visitor.upload(path) for path in case[:2]], None, "en")
    assert reached.wait(120) and len(set(runs(cache)) - before) == 1
    visitor.press("erase", "en")
    let_go.set()
    shown = running.result()
    assert "was deleted" in shown["html 0"] and "Done" not in shown["html 0"]
    assert shown["html 1"] == "" and shown["gallery 0"] == [] and shown["dataframe 0"]["data"] == []
    assert set(runs(cache)) == before
    again = visitor.fire("say_again", "fa")  # nor in another language
    assert not [value for value in again.values() if isinstance(value, (str, list)) and value]


def test_clearing_counts_even_when_the_results_are_on_their_way(demo, case, tmp_path):
    function = next(each.fn for each in demo.fns.values() if each.name == "classify" and "many" in _module(each))
    orders = many_run.Orders(begun=1)
    steps = function([Upload(case[1], "b.png")], None, 1, "en", orders, None)
    run = next(run for shown in steps for run in shown.values() if isinstance(run, many_run.ManyRun))
    assert run.folder.is_dir()
    orders.cleared = 1
    (last,) = steps
    assert not run.folder.exists() and run not in last.values() and [] in last.values()


def test_a_stop_during_a_run_keeps_what_is_done(demo, case):
    function = next(each.fn for each in demo.fns.values() if each.name == "classify" and "many" in _module(each))
    orders, last = many_run.Orders(begun=1), {}
    for shown in function([Upload(case[1], "b.png")] * 17, None, 1, "en", orders, None):
        last = shown
        if "8 of 17 files" in str(shown.values()):
            orders.stopped = 1
    assert "Stopped after 16 of 17 files." in str(last.values())  # the second batch was under way
    (run,) = (value for value in last.values() if isinstance(value, many_run.ManyRun))
    assert [row.file for row in run.rows[:2]] == ["b.png", "b.png (2)"] and len(run.rows) == 16
    run.delete()


def test_a_stop_counts_while_a_run_still_waits_and_single_fields_wait_elsewhere(demo, case, gate, pool):
    reached, let_go = gate
    first, second, third = (Visitor(demo) for _ in range(3))
    two = [first.upload(path) for path in case[:2]]
    running = pool.submit(first.classify, two, None, "en")
    assert reached.wait(120)
    number = second.begin()
    waiting = pool.submit(second.fire, "classify", two[:1], None, number, "en")
    while not demo._queue.event_queue_per_concurrency_id["many"].queue:
        time.sleep(0.01)
    second.press("halt")
    # Of eight places one is for a case, and it is taken.
    crowded = httpx.post(f"{third.api}/run/predict", json=third.call("begin", ["fa"])[0])
    assert TEXTS["fa"]["many_crowded"].format(waiting=1) in crowded.json()["error"]
    forced = httpx.post(f"{third.api}/queue/join", json=third.call("classify", [two, None, 1, "en"])[0])
    assert forced.status_code == 503 and "1 cases are waiting" in forced.text
    client = Client(demo.local_url, verbose=False, analytics_enabled=False)
    assert client.predict(image=handle_file(case[1]), api_name="/predict")["label"]
    assert not running.done()
    let_go.set()
    assert "Done: 2 files in" in running.result()["html 0"]
    assert "Stopped before it began." in waiting.result()["html 0"]
    assert "Done: 1 files in" in second.classify(two[:1], None, "en")["html 0"]


def test_a_run_that_fails_leaves_the_next_one_fine(visitor, case, cache, predictor, monkeypatch):
    before, uploaded = set(runs(cache)), [visitor.upload(case[1])]

    def fail(pixel_values):
        raise MemoryError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(predictor, "run", fail)
        with pytest.raises(AssertionError, match="'success': False"):
            visitor.classify(uploaded, None, "en")
    assert set(runs(cache)) == before
    assert "Done: 1 files in" in visitor.classify(uploaded, None, "en")["html 0"]


def test_nothing_to_classify(visitor):
    assert "There is nothing to classify" in visitor.classify(None, None, "en")["html 0"]
    assert TEXTS["fa"]["many_nothing"] in visitor.classify([], [], "fa")["html 0"]


def test_words_in_persian(visitor, case):
    shown = visitor.classify([visitor.upload(case[1])], [visitor.upload(case[2])], "fa")
    assert shown["dataframe 0"]["headers"][1] == TEXTS["fa"]["many_column_file"]
    assert 'dir="rtl"' in shown["html 1"] and 'dir="rtl"' in Path(shown["downloadbutton 1"]["path"]).read_text(
        encoding="utf-8"
    )


def test_its_events_are_private(demo):
    private = {function.name for function in demo.fns.values() if "many" in _module(function)}
    assert {"classify", "erase", "halt", "choose_row", "choose_picture", "say_again"} <= private
    public = Client(demo.local_url, verbose=False).view_api(return_format="dict")["named_endpoints"]
    assert not {f"/{name}" for name in private} & set(public)


def test_examples_are_copies(visitor, cache):
    (files,) = visitor.press("hand_in_examples").values()
    assert [Path(file["path"]).name for file in files] == [
        f"synthetic-{name}.png" for name in ("Benign", "Early", "Pre", "Pro")
    ]


def test_what_nobody_cleared_goes_after_an_hour(tmp_path):
    old, new = many_run.own_folder(tmp_path), many_run.own_folder(tmp_path)
    (old / "field-0001.webp").write_bytes(b"x")
    os.utime(old, (time.time() - 4000,) * 2)
    other = tmp_path / "other"
    other.mkdir()
    os.utime(other, (time.time() - 4000,) * 2)
    many_run.delete_older(tmp_path, 3600)
    assert sorted(tmp_path.iterdir()) == sorted([new, other])


def test_the_page_tells_the_true_limit():
    limits = IntakeLimits()
    assert f"At most {limits.files} files and {limits.archives} archives;" in TEXTS["en"]["many_intro"]
    assert {str(limits.files), str(limits.archives)} <= set(TEXTS["fa"]["many_intro"].split())
