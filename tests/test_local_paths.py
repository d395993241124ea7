"""Folders of one machine in what is published: what is shortened, and what only looks like a path and stays."""

import pytest

from leuk_hf.local_paths import without_local_paths

PATHS = {
    "/home/ada/leukemia": "leukemia",
    "/data": "data",
    "/home/ada/my smears/all": "all",
    "~/x/y.csv": "y.csv",
    "~ada/x": "x",
    "C:\\Users\\ada\\x": "x",
    "D:/smears/all": "all",
    "\\\\server\\share\\all": "all",
    "file:///home/ada/x": "x",
    "/data/Blood cell Cancer [ALL]/Original": "Original",
    "/home/ada/a,b.jpg": "a,b.jpg",
    "/home/ada/a,/home/ada/b": "a,b",
    "python train.py --source=/home/ada/a,/home/ada/b --fold 1": "python train.py --source=a,b --fold 1",
    "python train.py --x=/a,/b": "python train.py --x=a,b",
    "--x=/a,/b": "--x=a,b",
    "--x=/home/ada/a,/home/ada/b": "--x=a,b",
    "python x.py --only /home/ada/a,C:/b/c relative/d": "python x.py --only a,c relative/d",
    "python x.py --source '/home/ada/my smears/all'": "python x.py --source all",
    "python x.py '/home/ada/ada'\"'\"'s run/out' --name 'two words'": "python x.py out --name 'two words'",
    "/usr/bin/python x.py /data/smears": "python x.py smears",
    "LEUK_MODEL=/home/ada/x python app.py": "LEUK_MODEL=x python app.py",
    "made in /home/ada/run, then copied to ~/b/c.": "made in run, then copied to c.",
    "from ['/home/ada/a b', '/home/ada/c']": "from ['a b', 'c']",
    "PATH=/home/ada/bin:/opt/x/y here": "PATH=bin:y here",
    "/home/ada/a\nC:\\Users\\ada\\b": "a\nb",
    "at /data/[ALL]/x (see /data/y/z)": "at x (see z)",
}
TEXTS = [
    "and/or",
    "1/2 of them",
    "either/or, 3/4, 10%/min, +/-, N/A, (a)/(b)",
    "x/y in a sentence",
    "me/groups@v1",
    "https://example.org/a/b?next=/home/x/y",
    "see http://127.0.0.1:7860/gradio_api/openapi.json, or not",
    "s3://bucket/home/x",
    "//example.org/x/y",
    "</p> and <br/>",
    "^/api/(models|datasets)/\\d+$",
    "\\d+/\\w+",
    "a\\\\d+\\\\w",
    "/predict and /explain answer",
    "runs/quickstart/smears",
    "../up/one",
    "./here/it/is",
    "~5/10 fields",
    "/ 2 of 3",
    "ratio: 4/5; next",
    "km/h",
    "--steps 1/2 --name a/b",
    "python train.py --source data/leukemia 'two words'",
    "/",
    "~",
    "say \"yes\" and/or 'no'",
]


@pytest.mark.parametrize("text", PATHS)
def test_a_path_keeps_its_last_part(text):
    assert without_local_paths(text) == PATHS[text]
    assert without_local_paths({text: [text, 1, None]}) == {PATHS[text]: [PATHS[text], 1, None]}


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_no_path_stays(text):
    assert without_local_paths(text) == text
