"""The options of app.py: arguments, environment, and what wrong values are told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leuk_hf.errors import LeukError
from leuk_hf.space.options import VARIABLES, Options, read_logins, read_options
from leuk_hf.space.words import LANGUAGES, TEXTS, mark, say

ROOT = Path(__file__).parent.parent


def test_an_argument_counts_before_its_variable(tmp_path):
    environment = {"LEUK_MODEL": "ada/leuk", "GRADIO_SERVER_PORT": "7000", "LEUK_QUEUE_SIZE": "5", "LEUK_REVISION": ""}
    options = read_options(["--port", "7001", "--examples", str(tmp_path), "--max-upload", "5MB"], environment)
    assert options == Options(model="ada/leuk", port=7001, queue_size=5, examples=tmp_path, max_upload="5mb")
    assert read_options([], {}) == Options()


def test_every_option_has_a_variable_and_a_line_of_help(capsys):
    with pytest.raises(SystemExit) as done:
        read_options(["--help"], {})
    text = " ".join(capsys.readouterr().out.split())
    assert done.value.code == 0 and all(variable in text for variable in VARIABLES.values()) and "LEUK_AUTH" in text
    assert all(f"--{name.replace('_', '-')} VALUE" in text for name in VARIABLES)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "x"], "port is 'x'; give a whole number"),
        (["--port", "70000"], "port is 70000; give 1 to 65535"),
        (["--max-upload", "much"], "max_upload is 'much'; give a number and its unit, as 64mb"),
        (["--queue-size", "0"], "queue_size is 0; give at least 1"),
        (["--concurrency", "-1"], "concurrency is -1; give at least 1"),
        (["--root-path", "a b"], "root_path is 'a b'; give a path"),
        (["--examples", "nowhere"], "examples is 'nowhere', which is no folder"),
        (["--share"], "unrecognized arguments: --share"),
    ],
)
def test_a_wrong_value_gets_one_sentence(arguments, sentence):
    with pytest.raises(LeukError, match=sentence.replace("(", r"\(")) as error:
        read_options(arguments, {})
    assert "\n" not in str(error.value)


def test_logins_come_from_the_environment_alone():
    assert read_logins({}) is None and read_logins({"LEUK_AUTH": " "}) is None
    assert read_logins({"LEUK_AUTH": "ada:se:cret, bob:b"}) == [("ada", "se:cret"), ("bob", "b")]
    with pytest.raises(LeukError) as error:
        read_logins({"LEUK_AUTH": "ada=secret"})
    assert "secret" not in str(error.value)


def test_app_exits_with_2_and_no_traceback():
    run = {"cwd": ROOT, "capture_output": True, "text": True, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    done = subprocess.run([sys.executable, "app.py", "--port", "x"], **run)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: port is 'x'; give a whole number\n")


def test_both_languages_say_everything():
    first, second = (TEXTS[language] for language in LANGUAGES)
    assert first.keys() == second.keys()
    for key, text in first.items():
        fields, others = (sorted(part.split("}")[0] for part in each.split("{")[1:]) for each in (text, second[key]))
        assert fields == others, key


def test_words_in_any_other_language_are_english():
    assert say("page_tab_classify", "fr") == TEXTS["en"]["page_tab_classify"] != say("page_tab_classify", "fa")
    with pytest.raises(KeyError):
        mark("page_nothing")
