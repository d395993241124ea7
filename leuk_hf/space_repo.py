"""A Space's repository: all that a Hugging Face Space needs to start the demo, in one folder.

Shared contract: the folder starts by itself (its requirements and its Gradio installed, `python app.py`), and its
bytes depend on the checkout and on what is asked for, on nothing else. README.md says what the Space is: the front
matter of the checkout's own README, which so is the one place that names the Gradio version and the Python version,
and what is known only here. The package comes without what the demo never imports. The checkpoint comes along, or a
model repository is named at one commit: the Hub then puts its files into the cache while it builds the Space.

The two kinds of hardware differ in what torch they take:

- cpu-basic: the torch that the tests run on, without the gigabytes for GPUs that PyPI's comes with. pip prefers the
  build of PyTorch's own index ("2.14.1+cpu" is the higher version) and takes PyPI's where it cannot reach that.
- zero-a10g (ZeroGPU): a torch and the Python that ZeroGPU takes, and PyPI's build. It refuses other versions of torch
  when the Space is built. 2.11.0 is named in its refusals of June 2026 ("Supported versions: 2.11.0, 2.10.0, 2.9.1,
  2.8.0") and in its documentation of September 2026, which adds 2.12.1 and 2.13.0. The package `spaces` is there
  without being asked for, and `leuk_hf.space.zero_gpu` uses it.

Sources: https://huggingface.co/docs/hub/spaces-config-reference (README.md, preload_from_hub),
https://huggingface.co/docs/hub/spaces-dependencies (what is there already),
https://huggingface.co/docs/hub/spaces-zerogpu (versions; its last change known here is of 2026-09-04:
https://github.com/huggingface/hub-docs/pull/2763), https://pytorch.org/get-started/locally (the index)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leuk_hf.checkpoint_io import CONFIG_NAME, RESULTS_NAME, WEIGHTS_NAME
from leuk_hf.errors import HubError
from leuk_hf.files import replacing
from leuk_hf.hub import plain_errors
from leuk_hf.hub_cards import CARD_NAME, marked
from leuk_hf.imports import imported
from leuk_hf.space.pin import PIN_NAME, Pin, pin_text

PROGRAM = "app.py"
# Of what the demo imports, as it is tested; the Space's own README names Gradio.
PINS = {
    "captum": "0.9.0",
    "huggingface_hub": "2.4.0",
    "numpy": "2.4.6",
    "opencv-python-headless": "5.0.0.93",  # the other one needs libraries of a desktop
    "pillow": "12.3.0",
    "safetensors": "0.8.0",
    "timm": "1.0.31",
}
# What earlier versions may have left in the repository.
OBSOLETE = ("leuk_hf/*", PIN_NAME)
# What the Hub reads in README.md to run the Space.
SETTINGS = ("sdk", "sdk_version", "python_version", "app_file", "preload_from_hub")
_COPIED = ("LICENSE", "leuk_hf/assets/examples/*.png")
_CHECKPOINT = "leuk_hf/checkpoint"


@dataclasses.dataclass(frozen=True)
class Hardware:
    """What a kind of hardware asks of a Space.

    Args:
        torch: Version.
        torchvision: The version that belongs to it.
        index: Where pip looks besides PyPI, if anywhere.
        python_version: Instead of the one that the README names.
    """

    torch: str
    torchvision: str
    index: str | None = None
    python_version: str | None = None


HARDWARE = {
    "cpu-basic": Hardware("2.14.1", "0.29.1", index="https://download.pytorch.org/whl/cpu"),
    "zero-a10g": Hardware("2.11.0", "0.26.0", python_version="3.12.12"),
}


def space_files(checkout: Path, *, hardware: str = "cpu-basic", pin: Pin | None = None) -> dict[str, bytes]:
    """Assemble a Space.

    Args:
        checkout: The top folder of this project's source.
        hardware: One of `HARDWARE`.
        pin: The model repository to serve; None: the checkpoint that comes with the package.

    Returns:
        The content of every file by its path in the repository, sorted by path.

    Raises:
        HubError: If the hardware is unknown, or the checkout lacks a file.
    """
    if hardware not in HARDWARE:
        raise HubError(f"there is no hardware {hardware!r} to make a Space for; choose {', '.join(HARDWARE)}")
    if not (checkout / PROGRAM).is_file():
        raise HubError(f"{checkout} has no {PROGRAM}; a Space is made from a checkout of leuk_hf's source")
    paths = [path.as_posix() for path in imported(checkout, PROGRAM)[0]]
    for pattern in _COPIED:
        paths += sorted(path.relative_to(checkout).as_posix() for path in checkout.glob(pattern))
    if pin is None:
        paths += [f"{_CHECKPOINT}/{name}" for name in (CARD_NAME, CONFIG_NAME, WEIGHTS_NAME)]
    if missing := [path for path in paths if not (checkout / path).is_file()]:
        raise HubError(f"{checkout} has no {missing[0]}; check it out again")
    files = {path: _content(checkout / path) for path in paths}
    files[CARD_NAME] = _card(checkout / CARD_NAME, hardware, pin).encode()
    files["requirements.txt"] = _requirements(hardware).encode()
    if pin is not None:
        files[PIN_NAME] = pin_text(pin).encode()
    return dict(sorted(files.items()))


def write_space(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a Space's files, nothing else being in the folder.

    Args:
        folder: Made if missing; it may hold files of the same names, which are replaced.
        files: From `space_files`.

    Raises:
        HubError: If the folder has other files, which would be published with it.
    """
    if folder.exists() and not folder.is_dir():
        raise HubError(f"{folder} is a file; give a folder for the Space")
    there = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if not path.is_dir())
    if other := next((path for path in there if path not in files), None):
        raise HubError(f"{folder} has {other}, which is no part of the Space; give a new folder, or empty this one")
    for path, content in files.items():
        with replacing(folder / path) as temporary:
            temporary.write_bytes(content)


def find_pin(model: str, revision: str | None = None, *, token: str | None = None) -> Pin:
    """Pin a model repository to the commit it has now.

    Args:
        model: "owner/name".
        revision: Branch, tag or commit; by default the main branch.
        token: By default the one saved by `hf auth login`, or HF_TOKEN.

    Raises:
        HubError: If the Hub cannot be asked, or the repository cannot be preloaded.
        CheckpointError: If the name is none.
    """
    import huggingface_hub
    from huggingface_hub.errors import RevisionNotFoundError

    with plain_errors(model):
        try:
            info = huggingface_hub.HfApi(token=token).model_info(model, revision=revision)
        except RevisionNotFoundError as error:
            raise HubError(f"{model} has no revision {revision!r}; give a branch, tag or commit of it") from error
    if info.private:
        raise HubError(f"{model} is private, and a Space preloads only public models; make it public, or leave it out")
    if info.gated:
        raise HubError(
            f"{model} is gated, and a Space preloads only models that anybody may read; take its gate away, or leave"
            " it out"
        )
    names = {file.rfilename for file in info.siblings or ()}
    lacking = {CONFIG_NAME, WEIGHTS_NAME} - names
    if lacking:
        raise HubError(f"{model} has no {' and no '.join(sorted(lacking))}; push a checkpoint there first")
    return Pin(model, str(info.sha), has_results=RESULTS_NAME in names)


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    # A checkout on Windows may have other line ends.
    return content if path.suffix in (".png", ".safetensors") else content.replace(b"\r\n", b"\n")


def _requirements(hardware: str) -> str:
    chosen = HARDWARE[hardware]
    pins = {**PINS, "torch": chosen.torch, "torchvision": chosen.torchvision}
    index = [f"--extra-index-url {chosen.index}"] if chosen.index else []
    return "\n".join([*index, *(f"{name}=={version}" for name, version in sorted(pins.items()))]) + "\n"


def _card(readme: Path, hardware: str, pin: Pin | None) -> str:
    from huggingface_hub import SpaceCardData, metadata_load

    data: dict[str, Any] = metadata_load(readme) or {}
    if not {"title", "sdk", "sdk_version", "python_version", "app_file"} <= set(data):
        raise HubError(f"{readme} does not begin with a Space's settings; check it out again")
    data["python_version"] = HARDWARE[hardware].python_version or data["python_version"]
    data["suggested_hardware"] = hardware
    model = f"the checkpoint in `{_CHECKPOINT}`; its [card]({_CHECKPOINT}/{CARD_NAME})"
    if pin is not None:
        data["models"] = [pin.model]
        names = (CONFIG_NAME, WEIGHTS_NAME, *([RESULTS_NAME] if pin.has_results else []))
        data["preload_from_hub"] = [f"{pin.model} {','.join(names)} {pin.revision}"]
        model = f"[{pin.model}](https://huggingface.co/{pin.model}) at commit `{pin.revision}`; its card"
    settings = SpaceCardData(**data).to_yaml(original_order=list(data))
    text = _TEXT.format(model=model, gradio=data["sdk_version"])
    return marked(f"---\n{settings}\n---\n\n{text}")


_TEXT = """# leuk_hf

This Space sorts a field of a stained peripheral blood smear into Benign or one of three subtypes of B-cell acute
lymphoblastic leukemia (B-ALL), Early Pre-B, Pre-B, Pro-B, and shows where the network found its evidence (Grad-CAM).

**For research and teaching only. It is not a medical device and must not be used for diagnosis.**

- It serves {model} has the results and the limits.
- On the public data set, fields of one hospital, networks trained the usual way read stain and background rather than
  leukocytes. A bright spot on a cell does not prove that the cell decided.
- Do not upload images that could identify a patient. Uploads are deleted after about an hour.
- The examples are drawn by a program; they are not specimens.

As a program: `gradio_client.Client("<this Space>").predict(image=gradio_client.handle_file("field.png"),
api_name="/predict")` gives the probabilities of the classes, the prediction set, the verdict in words, and whether and
why the image is refused; `/explain` and `/predict_batch` are on the page "For programmers".

On your own machine, with what is here and nothing else (leuk_hf is on no package index):

```bash
hf download <this Space> --repo-type space --local-dir demo
cd demo
pip install -r requirements.txt "gradio=={gradio}"
python app.py
```

To change the Space, change the source and run its `scripts/push_space.py` again; this README is made by it.
"""
