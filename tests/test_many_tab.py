"""The tab for many fields, over the running page: what a visitor's events answer, leave and delete."""

import json
import os
import secrets
import time
import zipfile
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from leuk_hf.backends import as_predictor
from leuk_hf.intake import IntakeLimits, Upload
from leuk_hf.many_fields import predict_uploads
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
def demo(cache, model):
    demo = build_page(model, model_name="tiny", revision="abc123")
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

    def fire(self, name, *values):
        """Fire an event; gives its last values by the components' kinds and places."""
        index, function = next(
            (index, each) for index, each in self.demo.fns.items() if each.name == name and "many" in _module(each)
        )
        # A state's place is empty: its value is on the server.
        given = iter(values)
        data = [None if type(each).__name__ == "State" else next(given) for each in function.inputs]
        call = {"data": data, "fn_index": index, "session_hash": self.session}
        assert httpx.post(f"{self.api}/queue/join", json=call, timeout=60).status_code == 200
        shown = {}
        with httpx.stream("GET", f"{self.api}/queue/data?session_hash={self.session}", timeout=120) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    assert message["success"], message
                    final = message["output"]["data"]
                    for place, value in enumerate(final):
                        if not (isinstance(value, dict) and value.get("__type__") == "update" and len(value) == 1):
                            shown[_names(function.outputs)[place]] = value
                    return shown
        raise AssertionError("the stream ended")


@pytest.fixture
def visitor(demo):
    return Visitor(demo)


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
    shown = visitor.fire("classify", [visitor.upload(path) for path in case], None, "en")
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
    for row, answer in zip(table["data"], expected, strict=True):
        assert row[3] == (round(answer["probabilities"][answer["label"]], 3) if answer["label"] else None)
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
    visitor.fire("classify", [uploaded], None, "en")
    (first,) = set(runs(cache)) - before
    assert {path.suffix for path in first.iterdir()} == {".webp", ".csv", ".html"}
    visitor.fire("classify", [uploaded], None, "en")
    (second,) = set(runs(cache)) - before
    assert second != first
    cleared = visitor.fire("erase", [uploaded], None, "en")
    assert "was deleted" in cleared["html 0"] and cleared["gallery 0"] == []
    assert set(runs(cache)) == before and not list(cache.rglob("unique.png"))


def test_nothing_to_classify(visitor):
    assert "There is nothing to classify" in visitor.fire("classify", None, None, "en")["html 0"]
    assert TEXTS["fa"]["many_nothing"] in visitor.fire("classify", [], [], "fa")["html 0"]


def test_words_in_persian(visitor, case):
    shown = visitor.fire("classify", [visitor.upload(case[1])], [visitor.upload(case[2])], "fa")
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
    (files,) = visitor.fire("hand_in_examples").values()
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
    assert f"At most {IntakeLimits().files} files" in TEXTS["en"]["many_intro"]
