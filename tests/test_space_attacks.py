"""What strangers send: bombs, polyglots, paths out of the temporary folder, names with markup, too much at once."""

import concurrent.futures
import json
import struct
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from gradio.data_classes import ImageData
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from running_page import running_page

from leuk_hf.space.options import Options
from leuk_hf.space.uploads import smear_image
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def address():
    with running_page(Options(max_upload="1mb", queue_size=2, concurrency=1)) as url:
        yield url


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="module")
def smear(tmp_path_factory):
    path = tmp_path_factory.mktemp("fields") / "field.png"
    render_smear("Pre-B", seed=1, image_size=96).save(path)
    return path


@pytest.fixture(autouse=True)
def next_request_is_fine(client, smear):
    """After every attack the next visitor gets an answer, and the one that everybody gets."""
    expected = client.predict(image=handle_file(smear), api_name="/predict")
    yield
    assert client.predict(image=handle_file(smear), api_name="/predict") == expected


def png(width, height):
    """A grey PNG of that size whose pixels are not all there; a decoder that trusts the header takes the memory."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def upload(address, name, content):
    """Upload as a browser does; gives the path on the server."""
    boundary = "leukboundary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    body = head + content + f"\r\n--{boundary}--\r\n".encode()
    with urllib.request.urlopen(urllib.request.Request(f"{address}/gradio_api/upload", body, kind)) as answer:
        return json.load(answer)[0]


def ask(address, image):
    """Send an image reference to /predict as JSON; gives the event stream."""
    url, kind = f"{address}/gradio_api/call/v2/predict", {"Content-Type": "application/json"}
    body = json.dumps({"image": {"meta": {"_type": "gradio.FileData"}, **image}}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, kind)) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/gradio_api/call/predict/{event}") as answer:
        return answer.read().decode()


@pytest.mark.parametrize("size", [(50_000, 50_000), (2_000_000_000, 1), (9_000, 9_000)])
def test_image_bombs_are_refused_before_they_are_decoded(client, tmp_path, size):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(*size))
    with pytest.raises(AppError, match=r"bomb.png (has|is)"):
        client.predict(image=handle_file(bomb), api_name="/predict")


def test_a_bomb_in_a_batch_is_a_row(client, smear, tmp_path):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(50_000, 50_000))
    rows = client.predict(files=[handle_file(bomb), handle_file(smear)], api_name="/predict_batch")
    assert "pixels" in rows[0]["error"] and rows[1]["error"] is None


def test_too_large_a_file_is_refused(address):
    with pytest.raises(urllib.error.HTTPError) as refused:
        upload(address, "large.png", bytes(2_000_000))
    assert refused.value.code == 413


@pytest.mark.parametrize("name", ["page.html", "page.svg", "page.png.html"])
def test_polyglots_are_never_shown_as_pages(address, smear, name):
    script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    for content in (script, smear.read_bytes() + script):
        path = upload(address, name, content)
        with urllib.request.urlopen(f"{address}/gradio_api/file={quote(path)}") as answer:
            kind, place = answer.headers["Content-Type"], answer.headers["Content-Disposition"] or ""
        assert place.startswith("attachment") or not ("html" in kind or "svg" in kind), (kind, place)
        stream = ask(address, {"path": path, "orig_name": name})
        assert ("event: complete" in stream) == content.startswith(b"\x89PNG")  # an image is what decodes as one


def test_markup_in_a_file_name_is_escaped(address):
    path = upload(address, "x.png", b"no image")
    stream = ask(address, {"path": path, "orig_name": "<img src=x onerror=alert(1)>.png"})
    assert "<img" not in stream and "&lt;img src=x onerror=alert(1)&gt;.png is not an image" in stream


SECRETS = ["/etc/passwd", str(ROOT / "app.py"), str(ROOT / "leuk_hf" / "checkpoint" / "config.json")]


@pytest.mark.parametrize("path", [*SECRETS, "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd"])
def test_nothing_outside_the_temporary_folder_can_be_read(address, path):
    routes = (
        "gradio_api/file=",
        "file=",
        "gradio_api/file/",
        "static/",
        "assets/",
        "gradio_api/stream/",
        "theme.css/../",
    )
    for route in routes:
        try:
            with urllib.request.urlopen(f"{address}/{route}{path}") as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        assert b"root:" not in text and b"class_names" not in text and b"import sys" not in text, route


@pytest.mark.parametrize("path", [*SECRETS, "../../etc/passwd"])
def test_no_file_of_the_server_is_taken_as_an_image(address, path):
    stream = ask(address, {"path": path})
    assert "event: error" in stream and "root:" not in stream


@pytest.mark.parametrize("name", ["..", "../predict", "%2e%2e/%2e%2e/etc/passwd", "predict/..%2f..", "nothing"])
def test_wrong_endpoints_tell_nothing(address, name):
    request = urllib.request.Request(
        f"{address}/gradio_api/call/{name}", b'{"data": []}', {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code >= 400 and b"Traceback" not in refused.value.read()


def test_a_component_built_again_decodes_as_the_first(tmp_path):
    # As gradio does for a visitor who has clicked an example.
    first = smear_image(reduce_to=64, largest_file=2**20, label="Field")
    again = first.__class__(**first.constructor_args)
    path = tmp_path / "grey.png"
    Image.fromarray(np.full((80, 80), 20_000, np.uint16)).save(path)
    for component in (first, again):
        decoded = component.preprocess(ImageData(path=str(path), orig_name="grey.png"))
        assert decoded.mode == "RGB" and decoded.size == (80, 80) and decoded.getpixel((0, 0))[0] < 255


def test_a_visitor_who_leaves_holds_nobody_up(address, smear):
    path = upload(address, "field.png", smear.read_bytes())
    body = json.dumps({"image": {"path": path, "meta": {"_type": "gradio.FileData"}}}).encode()
    request = urllib.request.Request(
        f"{address}/gradio_api/call/v2/predict", body, {"Content-Type": "application/json"}
    )
    for _ in range(2):
        urllib.request.urlopen(request).close()  # and never asks for the answer


def test_a_full_queue_says_so(address, smear):
    path = upload(address, "field.png", smear.read_bytes())

    def visit(_):
        try:
            return ask(address, {"path": path})
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()}"

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        streams = list(pool.map(visit, range(16)))
    answered = [stream for stream in streams if "event: complete" in stream]
    turned_away = [stream for stream in streams if stream not in answered]
    assert answered and turned_away and len(set(answered)) == 1
    assert all("ueue is full" in stream for stream in turned_away), turned_away
