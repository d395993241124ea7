"""What programs send wrongly gets one sentence, whichever road it comes by, and no traceback in the server's log."""

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from leuk_hf.synthetic import render_smear

META = {"_type": "gradio.FileData"}
NO_FILE = "The argument image is no file"
OF_NO_UPLOAD = "The file was not uploaded here"


@pytest.fixture(scope="module")
def server_file(tmp_path_factory):
    """An image that lies on the server, and that nobody has uploaded."""
    path = tmp_path_factory.mktemp("private") / "field.png"
    render_smear("Pre-B", seed=1, image_size=96).save(path)
    assert Image.open(path).size == (96, 96)
    return str(path)


@pytest.fixture(autouse=True)
def no_traceback(capfd):
    yield
    assert "Traceback" not in "".join(capfd.readouterr())


def told(address, endpoint, body, version="/v2"):
    """Call an endpoint; gives what it says instead of an answer."""
    answer = httpx.post(f"{address}/gradio_api/call{version}/{endpoint}", json=body, timeout=60)
    if answer.status_code != 200:
        return answer.json()["detail"]
    event = answer.json()["event_id"]
    stream = httpx.get(f"{address}/gradio_api/call/{endpoint}/{event}", timeout=60).text
    assert stream.startswith("event: error"), stream
    return httpx.Response(200, text=stream.partition("data: ")[2]).json()["error"]


@pytest.mark.parametrize("endpoint", ["predict", "explain"])
@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (5, NO_FILE),
        ("field.png", NO_FILE),
        ([], NO_FILE),
        ({}, NO_FILE),
        ({"path": 5, "meta": META}, NO_FILE),
        ({"path": "PRIVATE"}, NO_FILE),  # without the mark Gradio looks at no path
        ({"path": "PRIVATE", "url": "data:image/png;base64,AAAA"}, NO_FILE),
        ({"path": "PRIVATE", "meta": META}, OF_NO_UPLOAD),
        ({"path": "PRIVATE", "meta": META, "is_stream": True}, OF_NO_UPLOAD),
        ({"path": "file:///etc/passwd", "meta": META}, OF_NO_UPLOAD),
        ({"url": "file:///etc/passwd", "meta": META}, NO_FILE),
        (None, "There is no image; send a field"),
    ],
)
def test_an_image_that_is_none_gets_one_sentence(address, server_file, endpoint, image, sentence):
    if isinstance(image, dict) and image.get("path") == "PRIVATE":
        image = {**image, "path": server_file}
    assert sentence in told(address, endpoint, {"image": image})
    data = [image] if endpoint == "predict" else [image, "", ""]
    assert sentence in told(address, endpoint, {"data": data}, version="")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (5, "The argument files is no list"),
        ({"path": "x", "meta": META}, "The argument files is no list"),
        ([5], "Something in the argument files is no file"),
        ([None], "Something in the argument files is no file"),
        ([{"path": "/etc/passwd"}], "Something in the argument files is no file"),
        ([{"path": "/etc/passwd", "meta": META}], OF_NO_UPLOAD),
        (["/etc/passwd"], "Something in the argument files is no file"),
        (["data:nothing"], "An argument is not of the kind that this endpoint takes"),
        ([], "There are no files"),
    ],
)
def test_files_that_are_none_get_one_sentence(address, files, sentence):
    assert sentence in told(address, "predict_batch", {"files": files})
    assert sentence in told(address, "predict_batch", {"data": [files]}, version="")


def test_wrong_calls_get_one_sentence(address):
    listed = "gradio_api/openapi.json lists"
    for endpoint, body, version, sentence in (
        ("predict", {}, "/v2", "No value provided for required argument: image"),
        ("explain", {"image": None, "method": "occlusion"}, "/v2", "There is no argument 'method'"),
        ("predict", {"data": []}, "", "There are 0 arguments, not 1"),
        ("predict", {"data": {}}, "", "The request is not the JSON that is expected here"),
        ("predict", {}, "", "The request is not the JSON that is expected here"),
        ("predict", [], "/v2", "The request is not the JSON that is expected here"),
        ("guess", {"image": None}, "/v2", "There is no endpoint of this name"),
        ("guess", {"data": []}, "", "There is no endpoint of this name"),
    ):
        said = told(address, endpoint, body, version)
        assert sentence in said and listed in said and "\n" not in said, (endpoint, body, said)


def test_a_python_program_is_told_too(address, server_file):
    client = Client(address, verbose=False, analytics_enabled=False)
    for image in (5, {"path": server_file}):
        with pytest.raises(AppError, match=NO_FILE):
            client.predict(image=image, api_name="/predict")
    with pytest.raises(AppError, match="The argument files is no list"):
        client.predict(files=handle_file(server_file), api_name="/predict_batch")
    assert client.predict(image=handle_file(server_file), api_name="/predict")["label"]


def test_elsewhere_a_wrong_request_is_told_as_gradio_does(address):
    assert isinstance(httpx.post(f"{address}/gradio_api/queue/join", json=[]).json()["detail"], list)
