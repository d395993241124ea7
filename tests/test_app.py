"""The demo's server, driven by HTTP as a client would."""

import threading

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from leuk_hf.space.demo import PREDICTED, build_demo, verdict
from leuk_hf.synthetic import render_smear


@pytest.fixture(scope="module")
def address():
    import torch

    from leuk_hf.model import LeukDenseNet
    from leuk_hf.preprocessing import Preprocessor

    torch.manual_seed(0)
    model = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64))
    demo = build_demo(model.eval(), model_name="tiny").queue(api_open=False)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", run_history=False)
    yield url
    demo.close()


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False, analytics_enabled=False)


@pytest.fixture
def smear(tmp_path):
    path = tmp_path / "field.png"
    render_smear("Benign", seed=1, image_size=80).save(path)
    return path


def test_prediction(client, smear):
    label, overlay, words = client.predict(image=handle_file(smear), api_name="/predict")
    assert abs(sum(entry["confidence"] for entry in label["confidences"]) - 1) < 1e-4
    assert Image.open(overlay).size == (80, 80) and Image.open(overlay).format == "PNG"
    assert words.startswith(f"### {label['label']}:")


def test_opacity_zero_shows_the_field(client, smear):
    _, overlay, _ = client.predict(image=handle_file(smear), opacity=0, api_name="/predict")
    assert Image.open(overlay).convert("RGB").tobytes() == Image.open(smear).tobytes()


def test_target_and_layer(client, smear):
    maps = {
        client.predict(image=handle_file(smear), target=target, layer=layer, api_name="/predict")[2]
        for target, layer in ((PREDICTED, "denseblock4"), ("Pro-B", "denseblock2"), ("Benign", "norm5"))
    }
    assert len(maps) >= 2  # the words say when another class than the predicted one is explained


def test_only_predict_is_public(client):
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/predict"}


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


def test_large_field_is_shown_smaller(client, tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (3000, 2000), (240, 230, 240)).save(path)
    _, overlay, _ = client.predict(image=handle_file(path), api_name="/predict")
    assert Image.open(overlay).size == (1024, 683)


def test_clients_at_once_get_the_single_answer(address, client, smear):
    expected = client.predict(image=handle_file(smear), api_name="/predict")[0]
    answers = []

    def ask():
        answers.append(Client(address, verbose=False).predict(image=handle_file(smear), api_name="/predict")[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4


def test_verdict_escapes_markup(tiny_model):
    from leuk_hf.explanation import explain

    model = tiny_model.adapted(class_names=("<b>x</b>", "y", "z"))
    explanation = explain(model, render_smear("Pre-B", seed=0, image_size=64), target="<b>x</b>")
    assert "<b>" not in verdict(explanation)
