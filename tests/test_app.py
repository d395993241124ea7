"""The demo's server, driven by HTTP as a client would."""

import threading

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from leuk_hf.synthetic import render_smear


@pytest.fixture
def smear(tmp_path):
    path = tmp_path / "field.png"
    render_smear("Benign", seed=1, image_size=80).save(path)
    return path


def test_prediction(client, smear):
    answer = client.predict(image=handle_file(smear), api_name="/predict")
    assert abs(sum(answer["probabilities"].values()) - 1) < 1e-6
    assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["prediction_set"][0] == answer["label"] and answer["answered"] is True
    assert answer["model"] == "tiny" and answer["library"].startswith("leuk_hf ")


def test_only_the_endpoints_are_public(client):
    public = client.view_api(return_format="dict")["named_endpoints"]
    assert set(public) == {"/predict", "/explain", "/predict_batch"}


@pytest.mark.parametrize("content", [b"", b"no image", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_bad_uploads_get_one_sentence(client, tmp_path, content):
    path = tmp_path / "field.png"
    path.write_bytes(content)
    with pytest.raises(AppError, match=r"field.png is (empty|not an image)") as error:
        client.predict(image=handle_file(path), api_name="/predict")
    assert "\n" not in str(error.value)


def test_missing_image_gets_one_sentence(client):
    with pytest.raises(AppError, match="There is no image"):
        client.predict(image=None, api_name="/predict")


def test_clients_at_once_get_the_single_answer(address, client, smear):
    expected = client.predict(image=handle_file(smear), api_name="/predict")
    answers = []

    def ask():
        answers.append(Client(address, verbose=False).predict(image=handle_file(smear), api_name="/predict"))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4
