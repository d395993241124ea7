"""A Space's folder: what is in it, and what its README and requirements say."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from huggingface_hub import SpaceCardData, metadata_load
from packaging.requirements import Requirement

from leuk_hf import LeukDenseNet
from leuk_hf.errors import CheckpointError, HubError
from leuk_hf.hub_cards import is_unedited
from leuk_hf.imports import imported
from leuk_hf.space.pin import Pin, read_pin
from leuk_hf.space_repo import HARDWARE, space_files, write_space

ROOT = Path(__file__).parent.parent
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIN = Pin("ada/leuk", COMMIT)
# Packages that the demo can do without: runtimes for graphs, and what only fitting needs.
OPTIONAL = {"crepes", "onnxruntime", "openvino", "scipy"}
# Parts of gradio's own server: in the version that it asks for, and in no other.
BROUGHT_BY = {
    **dict.fromkeys(("fastapi", "gradio_client", "httpx", "safehttpx", "starlette"), "gradio"),
    "filelock": "huggingface_hub",
}
INSTALLED_AS = {"PIL": "pillow", "cv2": "opencv-python-headless"}


def settings(files, folder):
    write_space(folder, files)
    return metadata_load(folder / "README.md")


def requirements(files):
    lines = files["requirements.txt"].decode().splitlines()
    return {wanted.name: wanted for wanted in map(Requirement, (line for line in lines if line[0] != "-"))}


def test_readme_says_what_the_space_is(tmp_path):
    data = settings(space_files(ROOT, pin=PIN), tmp_path)
    ours = metadata_load(ROOT / "README.md")
    assert {key: data[key] for key in ours} == ours and data["title"] == "leuk_hf"
    assert data["sdk"] == "gradio" and data["app_file"] == "app.py" and data["python_version"] == "3.12"
    assert re.fullmatch(r"\d+\.\d+\.\d+", data["sdk_version"]) and len(data["short_description"]) <= 60
    assert data["models"] == ["ada/leuk"] and data["suggested_hardware"] == "cpu-basic"
    assert data["preload_from_hub"] == [f"ada/leuk config.json,model.safetensors {COMMIT}"]
    assert SpaceCardData(**data).to_dict() == data
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert is_unedited(text) and "not a medical device" in text and f"ada/leuk) at commit `{COMMIT}`" in text


def test_without_a_model_the_checkpoint_comes_along(tmp_path):
    files = space_files(ROOT)
    assert not {"models", "preload_from_hub"} & set(settings(files, tmp_path)) and "space.json" not in files
    theirs, ours = tmp_path / "leuk_hf" / "checkpoint", ROOT / "leuk_hf" / "checkpoint"
    assert (theirs / "model.safetensors").read_bytes() == (ours / "model.safetensors").read_bytes()
    assert LeukDenseNet.from_pretrained(theirs).identity() == LeukDenseNet.from_pretrained(ours).identity()


def test_with_a_model_there_are_no_weights(tmp_path):
    files = space_files(ROOT, pin=PIN)
    assert not [path for path in files if "checkpoint/" in path or path.endswith(".safetensors")]
    write_space(tmp_path, files)
    assert read_pin(tmp_path) == PIN


@pytest.mark.parametrize("hardware", HARDWARE)
def test_requirements_are_pinned_to_what_the_project_allows(hardware):
    wanted = requirements(space_files(ROOT, hardware=hardware))
    allowed = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    ranges = {each.name.replace("opencv-python", "opencv-python-headless"): each.specifier for each in allowed}
    for name, requirement in wanted.items():
        ((operator, version),) = ((each.operator, each.version) for each in requirement.specifier)
        assert operator == "==" and "*" not in version
        assert name not in ranges or ranges[name].contains(version), requirement
    assert ranges["gradio"].contains(metadata_load(ROOT / "README.md")["sdk_version"])
    assert "gradio" not in wanted and "spaces" not in wanted  # they are there, of the Space's own versions


def test_requirements_are_what_the_demo_imports():
    needed = {INSTALLED_AS.get(name, name) for name in imported(ROOT, "app.py")[1] - OPTIONAL}
    listed = set(requirements(space_files(ROOT)))
    assert listed == (needed - {"gradio"} - set(BROUGHT_BY)) | {"torchvision"}  # which timm imports
    for name, package in BROUGHT_BY.items():
        own = [Requirement(line) for line in metadata.requires(package)]
        assert any(one.name.replace("-", "_") == name and "extra" not in str(one.marker) for one in own), name


def test_hardware_decides_about_torch_and_python(tmp_path):
    basic, zero = (space_files(ROOT, hardware=hardware) for hardware in ("cpu-basic", "zero-a10g"))
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in basic["requirements.txt"].decode()
    assert str(requirements(zero)["torch"]) == "torch==2.11.0" and "--" not in zero["requirements.txt"].decode()
    data = settings(zero, tmp_path)
    assert data["suggested_hardware"] == "zero-a10g" and data["python_version"] == "3.12.12"
    differing = {path for path in basic if basic[path] != zero[path]}
    assert set(basic) == set(zero) and differing == {"README.md", "requirements.txt"}


def test_nothing_but_the_demo_is_inside():
    files = space_files(ROOT)
    top = {path.split("/")[0] for path in files}
    assert top == {"LICENSE", "README.md", "app.py", "leuk_hf", "requirements.txt"}
    assert {Path(path).suffix for path in files} == {"", ".md", ".txt", ".py", ".json", ".png", ".safetensors"}
    assert not {"training", "data", "audit", "space_repo"} & {Path(path).stem for path in files}
    assert files["app.py"] == (ROOT / "app.py").read_bytes()  # what the tests run is what the Space runs


def test_a_space_can_be_made_from_a_space_whatever_its_line_ends(tmp_path):
    files = space_files(ROOT)
    write_space(tmp_path, files)
    for path in ("app.py", "README.md", "leuk_hf/checkpoint/config.json"):
        (tmp_path / path).write_bytes((tmp_path / path).read_bytes().replace(b"\n", b"\r\n"))
    assert space_files(tmp_path) == files


def test_imports_are_followed(tmp_path):
    package = tmp_path / "leuk_hf"
    (package / "part").mkdir(parents=True)
    for name in ("__init__", "a", "b", "c", "unused", "part/__init__", "part/d"):
        (package / f"{name}.py").touch()
    (package / "a.py").write_text("def f():\n    from leuk_hf.part.d import g\n    import numpy.linalg\n")
    (package / "b.py").write_text("if TYPE_CHECKING:\n    import leuk_hf.unused, torch\n")
    (tmp_path / "app.py").write_text("import os\nfrom leuk_hf import a, b\nimport leuk_hf.c\n")
    files, others = imported(tmp_path, "app.py")
    ours = {f"leuk_hf/{name}.py" for name in ("__init__", "a", "b", "c", "part/__init__", "part/d")}
    assert {file.as_posix() for file in files} == {"app.py", *ours} and others == {"numpy"}


def test_a_folder_with_other_files_is_refused(tmp_path):
    write_space(tmp_path, {"app.py": b"1", "a/b.txt": b"2"})
    write_space(tmp_path, {"app.py": b"3", "a/b.txt": b"2"})
    assert (tmp_path / "app.py").read_bytes() == b"3"
    (tmp_path / "a" / "secret.txt").touch()
    with pytest.raises(HubError, match=r"has a/secret.txt, which is no part of the Space"):
        write_space(tmp_path, {"app.py": b"4", "a/b.txt": b"2"})
    assert (tmp_path / "app.py").read_bytes() == b"3"
    with pytest.raises(HubError, match="is a file"):
        write_space(tmp_path / "app.py", {})


def test_mistakes_get_one_sentence(tmp_path):
    with pytest.raises(HubError, match=r"no hardware 'toaster' .*; choose cpu-basic, zero-a10g"):
        space_files(ROOT, hardware="toaster")
    with pytest.raises(HubError, match=r"has no app.py; a Space is made from a checkout"):
        space_files(tmp_path)
    for model, revision, fault in (("leuk", COMMIT, "give owner/name"), ("ada/leuk", "main", "'main' is no commit")):
        with pytest.raises(CheckpointError, match=fault):
            Pin(model, revision)
    for content in ("", "[]", "{}", '{"model": "ada/leuk", "revision": "main"}'):
        (tmp_path / "space.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"space.json"):
            read_pin(tmp_path)
