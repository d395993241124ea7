"""A Space's folder starts with nothing but itself, on processors and on ZeroGPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from running_space import answer, isolated_python, started, without_ours

from leuk_hf import LeukDenseNet, predict
from leuk_hf.space import classify
from leuk_hf.space.page import build_page
from leuk_hf.space.zero_gpu import SECONDS
from leuk_hf.space_repo import space_files, write_space
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent


@pytest.fixture
def field(tmp_path):
    path = tmp_path / "field.png"
    render_smear("Pre-B", seed=3, image_size=120).save(path)
    return path


def test_the_folder_starts_by_itself(field, tmp_path):
    python = isolated_python(tmp_path / "environment")
    write_space(tmp_path / "space", space_files(ROOT))
    folder = Path(shutil.copytree(tmp_path / "space", tmp_path / "elsewhere" / "app"))
    code = "import leuk_hf.labels as module; print(module.__file__)"
    run = {"env": without_ours(os.environ), "capture_output": True, "text": True}
    assert "No module named" in subprocess.run([python, "-c", code], cwd=tmp_path, **run).stderr  # the check can fail
    where = subprocess.run([python, "-c", code], cwd=folder, **run).stdout.strip()
    assert Path(where).resolve() == (folder / "leuk_hf" / "labels.py").resolve()
    with started(python, folder, os.environ) as url:
        probabilities = answer(url, field)
    expected = predict(LeukDenseNet.from_pretrained(), field)[0]
    assert probabilities == pytest.approx(expected.probabilities, abs=1e-4)


SPACES = """
import functools, os, pickle

marked, calls, crossed = {}, [], set()

def GPU(duration):
    def mark(function):
        @functools.wraps(function)
        def in_another_process(*args, **kwargs):
            calls.append(os.getpid())
            crossed.update(type(each).__name__ for each in (*args, *kwargs.values()))
            try:
                answer = function(*pickle.loads(pickle.dumps(args)), **pickle.loads(pickle.dumps(kwargs)))
            except Exception as error:
                raise pickle.loads(pickle.dumps(error))
            return pickle.loads(pickle.dumps(answer))
        marked[function.__name__] = duration
        return in_another_process
    return mark
"""


@pytest.fixture
def spaces(tmp_path, monkeypatch):
    """A package that stands in for `spaces`, which is there on ZeroGPU: it pickles as that does and counts calls."""
    (tmp_path / "spaces.py").write_text(SPACES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    yield lambda: sys.modules["spaces"]
    sys.modules.pop("spaces", None)


def served(model, field):
    demo = build_page(model, model_name="tiny")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", run_history=False)
    try:
        client = Client(url, verbose=False, analytics_enabled=False)
        with pytest.raises(AppError, match="There is no image"):
            client.predict(image=None, api_name="/predict")
        parameters = client.view_api(return_format="dict")["named_endpoints"]["/predict"]["parameters"]
        return answer(url, field), [parameter["parameter_name"] for parameter in parameters]
    finally:
        demo.close()


def test_zero_gpu_is_used_where_there_is_one_and_changes_no_answer(spaces, tiny_model, field, monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    plain = served(tiny_model, field)
    assert "spaces" not in sys.modules
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert served(tiny_model, field) == plain and plain[1] == ["image"]
    assert set(spaces().marked.values()) == {SECONDS} and "predict" in spaces().marked and len(spaces().calls) == 2


def test_what_the_page_sends_to_another_process_are_arrays_and_words(spaces, tiny_model, monkeypatch):
    image, answers = render_smear("Pre-B", seed=3, image_size=120), []
    for switch in ("false", "true"):
        monkeypatch.setenv("SPACES_ZERO_GPU", switch)
        demo = build_page(tiny_model, model_name="tiny")
        mine = [
            each.fn for each in demo.fns.values() if each.fn is not None and each.fn.__module__ == classify.__name__
        ]
        anew = next(function for function in mine if function.__name__ == "anew")
        asked = [
            ("", "denseblock4", "grad_cam"),
            ("Pro-B", "denseblock2", "grad_cam"),
            ("", "denseblock4", "occlusion"),
        ]
        answers.append([anew(image, *settings, "en")[0] for settings in asked])
    assert answers[0] == answers[1]
    assert spaces().crossed == {"ndarray", "int", "str"} and len(spaces().calls) == 5
    assert {"run_network", "attribute"} <= set(spaces().marked)


def test_zero_gpu_without_its_package_changes_nothing(tiny_model, field, monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", None)  # as if it were not installed
    assert served(tiny_model, field)[0] == pytest.approx(predict(tiny_model, field)[0].probabilities, abs=1e-6)
