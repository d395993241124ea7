"""The endpoints for programs: their answers, their descriptions, and the examples on the page and in the README."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from leuk_hf.space.endpoints import verdict
from leuk_hf.space.programs import ADDRESS, CURL, PYTHON
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent


@pytest.fixture
def smear(tmp_path):
    path = tmp_path / "field.png"
    render_smear("Pre-B", seed=1, image_size=160).save(path)
    return path


def test_explanation_agrees_with_itself(client, smear):
    overlay, heatmap, shown = client.predict(image=handle_file(smear), target="Pro-B", api_name="/explain")
    values = np.load(heatmap)
    assert Image.open(overlay).size == (160, 160) and tuple(shown["size"]) == (160, 160)
    assert values.dtype == np.float32 and values.shape == (160, 160) and 0 <= values.min() <= values.max() <= 1
    assert shown["target"] == "Pro-B" and [cell["rank"] for cell in shown["cells"]] == [
        *range(1, len(shown["cells"]) + 1)
    ]
    assert sum(cell["share"] for cell in shown["cells"]) == pytest.approx(shown["share_on_leukocytes"], abs=1e-6)
    assert shown["prediction"] == client.predict(image=handle_file(smear), api_name="/predict")


def test_wrong_names_get_one_sentence(client, smear):
    for wrong, sentence in (
        ({"target": "T-ALL"}, "there is no class 'T-ALL'"),
        ({"layer": "x"}, "there is no layer 'x'"),
    ):
        with pytest.raises(AppError, match=sentence):
            client.predict(image=handle_file(smear), **wrong, api_name="/explain")


def test_a_bad_file_is_a_row(client, smear, tmp_path):
    bad = tmp_path / "notes.png"
    bad.write_text("no image")
    rows = client.predict(files=[handle_file(bad), handle_file(smear)], api_name="/predict_batch")
    assert [row["file"] for row in rows] == ["notes.png", "field.png"]
    assert "notes.png is not an image" in rows[0]["error"] and "label" not in rows[0]
    assert rows[1] == {
        "file": "field.png",
        "error": None,
        **client.predict(image=handle_file(smear), api_name="/predict"),
    }


def test_an_empty_batch_gets_one_sentence(client):
    with pytest.raises(AppError, match="There are no files"):
        client.predict(files=[], api_name="/predict_batch")


def test_endpoints_are_described(address):
    with urllib.request.urlopen(f"{address}/gradio_api/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    for name in ("predict", "explain", "predict_batch"):
        (path,) = (path for path in paths if path.endswith(f"/{name}"))
        assert "smear" in json.dumps(paths[path]), path
    with urllib.request.urlopen(f"{address}/gradio_api/info") as answer:
        described = json.load(answer)["named_endpoints"]
    names = {
        name: [parameter["parameter_name"] for parameter in each["parameters"]] for name, each in described.items()
    }
    assert names == {"/predict": ["image"], "/explain": ["image", "target", "layer"], "/predict_batch": ["files"]}
    assert all(
        each["description"].endswith("Not for diagnosis.") or "Grad-CAM" in each["description"]
        for each in described.values()
    )


def test_the_python_example_runs(address, smear):
    run = {"cwd": smear.parent, "capture_output": True, "text": True, "env": dict(os.environ)}
    done = subprocess.run([sys.executable, "-c", PYTHON.replace(ADDRESS, address)], **run)
    assert done.returncode == 0, done.stderr
    assert "with a probability of" in done.stdout and "heatmap.npy" in done.stdout and "('field.png', " in done.stdout


def test_the_curl_example_runs(address, smear):
    run = {"cwd": smear.parent, "capture_output": True, "text": True}
    done = subprocess.run(["bash", "-euc", CURL.replace(ADDRESS, address)], **run)
    assert done.returncode == 0 and "event: complete" in done.stdout, done.stdout + done.stderr
    (answer,) = json.loads(re.search(r"event: complete\ndata: (.*)", done.stdout)[1])
    assert answer["label"] in answer["probabilities"]


def test_readme_has_the_same_examples():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, language, example in (("python", "python", PYTHON), ("curl", "bash", CURL)):
        assert f"<!-- snippet: {name} -->\n```{language}\n{example}\n```\n" in text


def test_verdicts():
    prediction = {"label": "Pre-B", "probabilities": {"Pre-B": 0.734}, "prediction_set": ["Pre-B"], "answered": True}
    assert verdict(prediction) == "Pre-B, with a probability of 73 %."
    assert verdict({**prediction, "prediction_set": ["Pre-B", "Pro-B"]}).endswith("73 %; also plausible: Pro-B.")
    certain = {**prediction, "probabilities": {"Pre-B": 0.99999}}
    assert verdict(certain) == "Pre-B, with a probability of > 99 %."
    refused = {**prediction, "answered": False, "reasons": ["It is too dark.", "It is small."]}
    assert verdict(refused) == "Not a field this model knows. It is too dark."
