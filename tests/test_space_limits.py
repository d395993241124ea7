"""How much the server takes at once, by whichever road it comes, and how little it keeps of it."""

import asyncio
import base64
import contextlib
import http.client
import json
import select
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import safehttpx

from leuk_hf.backends import as_predictor
from leuk_hf.errors import ImageError
from leuk_hf.space import web_files
from leuk_hf.space.options import Options
from leuk_hf.space.page import build_page, launch_settings
from leuk_hf.space.serving import megabytes
from leuk_hf.synthetic import render_smear

MB = 2**20
OPTIONS = Options(max_upload="1mb")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def predictor():
    import torch

    from leuk_hf.model import LeukDenseNet
    from leuk_hf.preprocessing import Preprocessor

    torch.manual_seed(0)
    network = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64))
    return as_predictor(network.eval())


@pytest.fixture(scope="module")
def demo(cache, predictor):
    demo = build_page(predictor, model_name="tiny", options=OPTIONS)
    demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings(OPTIONS))
    yield demo
    demo.close()


@pytest.fixture
def api(demo):
    return f"{demo.local_url.rstrip('/')}/gradio_api"


@pytest.fixture(scope="module")
def smear(tmp_path_factory):
    path = tmp_path_factory.mktemp("fields") / "field.png"
    render_smear("Pre-B", seed=1, image_size=96).save(path)
    return path


def ask(api, image, endpoint="predict"):
    """Send an image's reference; gives the event stream."""
    body = {"image": {"meta": {"_type": "gradio.FileData"}, **image}}
    answer = httpx.post(f"{api}/call/v2/{endpoint}", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    return httpx.get(f"{api}/call/{endpoint}/{answer.json()['event_id']}", timeout=120).text


def uri(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def expected(demo, smear):
    stream = ask(f"{demo.local_url.rstrip('/')}/gradio_api", {"url": uri(smear.read_bytes())})
    assert "event: complete" in stream, stream
    return stream


@pytest.fixture(autouse=True)
def next_request_is_fine(api, smear, expected):
    """After everything that is tried here the next visitor gets the answer that everybody gets."""
    yield
    assert ask(api, {"url": uri(smear.read_bytes())}) == expected


def test_a_data_uri_is_limited_like_an_upload(api):
    stream = ask(api, {"url": uri(bytes(1_100_000))})
    assert "event: error" in stream and "the image is larger than 1 MB; save it smaller" in stream


@pytest.mark.parametrize(("endpoint", "is_chunked"), [("v2/predict", False), ("v2/predict", True), ("upload", True)])
def test_a_larger_request_is_not_read(api, endpoint, is_chunked):
    body = json.dumps({"image": {"url": uri(bytes(3 * MB)), "meta": {"_type": "gradio.FileData"}}}).encode()
    content = (body[start : start + 2**16] for start in range(0, len(body), 2**16)) if is_chunked else body
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{api}/call/{endpoint}", content=content, headers=headers, timeout=60)
    assert answer.status_code == 413
    assert answer.json() == {"detail": "The request is too large; its image may have 1 MB at most"}


def test_a_request_of_unknown_length_is_read_whole(api, smear, expected):
    body = json.dumps({"image": {"url": uri(smear.read_bytes()), "meta": {"_type": "gradio.FileData"}}})
    pieces = (body[start : start + 1000].encode() for start in range(0, len(body), 1000))
    answer = httpx.post(f"{api}/call/v2/predict", content=pieces, headers={"Content-Type": "application/json"})
    assert httpx.get(f"{api}/call/predict/{answer.json()['event_id']}", timeout=60).text == expected


def test_browsers_are_told_not_to_guess(api, smear):
    with smear.open("rb") as file:
        path = httpx.post(f"{api}/upload", files={"files": ("page.html", file)}).json()[0]
    for address in (f"{api}/file={path}", f"{api}/info"):
        assert httpx.get(address).headers["X-Content-Type-Options"] == "nosniff", address


def resident():
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read as Linux tells it")
def test_an_upload_of_200_megabytes_is_refused_at_once(api, cache):
    before, begun, files = resident(), time.monotonic(), {path for path in cache.rglob("*") if path.is_file()}
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=60)
    head = b'--leuk\r\nContent-Disposition: form-data; name="files"; filename="huge.tif"\r\n\r\n'
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", "multipart/form-data; boundary=leuk")
    connection.putheader("Content-Length", str(len(head) + 200 * MB + 12))
    connection.endheaders(head)
    sent, piece, status = 0, bytes(MB // 4), None
    closed = contextlib.suppress(ConnectionError, http.client.HTTPException)  # while we were still speaking
    with closed:
        while sent < 200 * MB and not select.select([connection.sock], [], [], 0)[0]:  # until there is an answer
            connection.send(piece)
            sent += len(piece)
    with closed:
        status = connection.getresponse().status
    connection.close()
    assert status == 413 and sent < 50 * MB, (status, sent)
    assert resident() - before < 50 and time.monotonic() - begun < 30
    assert {path for path in cache.rglob("*") if path.is_file()} == files  # nothing is left of it


def test_what_a_program_sends_and_gets_is_not_kept(demo, api, smear, cache):
    demo.app.state_holder.session_data.clear()
    for endpoint in ("predict", "explain"):
        assert "event: complete" in ask(api, {"url": uri(smear.read_bytes())}, endpoint)
    visits = demo.app.state_holder.session_data
    assert len(visits) == 2
    for visit in visits.values():
        assert visit.config_values == {} and visit.state_data == {}
        assert list(visit.components) == []  # of which Gradio makes its links
    (first, *_) = visits
    assert httpx.get(f"{api}/deep_link?session_hash={first}").status_code == 200
    assert [path.read_text() for path in cache.glob("deep_links/*/state.json")] == ["[]"]
    waiting = demo._queue.pending_messages_per_session
    assert waiting.max_size == 256 and all(queue.empty() for queue in waiting.values())


def test_visits_are_bounded(demo):
    visits = demo.app.state_holder
    assert visits.capacity == 256
    for number in range(300):
        visits[f"visit {number}"]
    assert len(visits.session_data) == 256 and "visit 0" not in visits and "visit 299" in visits
    visits.session_data.clear()


def test_an_exception_leaves_the_next_request_fine(api, smear, predictor, monkeypatch):
    def fail(pixel_values):
        raise RuntimeError("no memory at /srv/secret")

    with monkeypatch.context() as patch:
        patch.setattr(predictor, "run", fail)
        stream = ask(api, {"url": uri(smear.read_bytes())})
    assert "event: error" in stream and "secret" not in stream and "Traceback" not in stream


# ---- files named by their address


@pytest.fixture
def web(monkeypatch, smear):
    """A web of a few pages; gives those that were asked for."""
    asked = []

    def answer(request):
        asked.append(str(request.url))
        if request.url.path == "/moved":
            return httpx.Response(302, headers={"Location": "/field.png"})
        if request.url.path == "/round":
            return httpx.Response(302, headers={"Location": "/round"})
        content = {"/field.png": smear.read_bytes(), "/huge.png": bytes(3 * MB)}.get(request.url.path)
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    async def transport(host):
        return httpx.MockTransport(answer)

    monkeypatch.setattr(web_files, "transport_to", transport)
    return asked


def test_a_file_of_the_web_is_fetched(web, api, expected):
    for name in ("field.png", "moved"):
        assert ask(api, {"path": f"https://example.org/{name}"}) == expected
    assert web == [f"https://example.org/{name}" for name in ("field.png", "moved", "field.png")]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("huge.png", "the file at this address is larger than 1 MB; save it smaller"),
        ("gone.png", "the file cannot be fetched from the web (Client error '404 Not Found'"),
        ("round", "the file's address leads from one to another without end; send the file itself"),
    ],
)
def test_a_file_of_the_web_that_cannot_be_used_gets_one_sentence(web, api, name, sentence):
    with pytest.raises(ImageError) as error:
        asyncio.run(web_files.fetch(f"https://example.org/{name}", MB))
    assert sentence in str(error.value) and "\n" not in str(error.value)
    stream = ask(api, {"path": f"https://example.org/{name}"})
    assert "event: error" in stream and sentence[:40] in stream


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.png", "http://localhost/x.png", "http://[::1]/x.png"])
def test_this_network_is_not_asked(url, api, monkeypatch):
    async def nowhere(host):
        return []

    monkeypatch.setattr(safehttpx, "async_resolve_hostname_google", nowhere)
    with pytest.raises(ImageError, match="failed validation"):
        asyncio.run(web_files.fetch(url, MB))
    assert "event: error" in ask(api, {"path": url})


def test_a_batch_has_the_same_limit(web, api):
    files = [{"path": "https://example.org/huge.png", "meta": {"_type": "gradio.FileData"}}]
    event = httpx.post(f"{api}/call/v2/predict_batch", json={"files": files}).json()["event_id"]
    assert "larger than 1 MB" in httpx.get(f"{api}/call/predict_batch/{event}", timeout=60).text


def test_sizes_are_said_in_megabytes():
    assert [megabytes(Options(max_upload=size).largest_file) for size in ("64mb", "512kb", "2gb", "1048576b")] == [
        *("64 MB", "0.5 MB", "2,048 MB", "1 MB"),
    ]
