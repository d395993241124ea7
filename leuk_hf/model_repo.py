"""The folder that a model repository on the Hub is made of; `hf upload` of it gives the same repository.

Shared contract: the checkpoint's own files and the quickstart notebook are copied byte by byte, but for absolute paths
in their JSON, of which the last part stays; card, plots and the answers to the sample images are made from them, the
same for the same checkpoint. What handler.py runs of the package goes along, so that it needs nothing that the folder
does not bring but the packages in its requirements.txt.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from leuk_hf import checkpoint_io, export_record
from leuk_hf.audit_tables import BASELINES
from leuk_hf.backends import load_predictor
from leuk_hf.calibration import ReliabilityBin
from leuk_hf.errors import HubError
from leuk_hf.files import write_json, write_text
from leuk_hf.hub_cards import CARD_NAME
from leuk_hf.hub_weights import COMPANIONS, OF_THE_WEIGHTS
from leuk_hf.imports import imported
from leuk_hf.local_paths import without_local_paths
from leuk_hf.model import LeukDenseNet
from leuk_hf.model_index import DATASET
from leuk_hf.plots import plot_audit, plot_confusion_matrix, plot_reliability_diagram
from leuk_hf.protocol_tables import is_comparison
from leuk_hf.samples import EXAMPLES, EXAMPLES_NAME, sample_answers

_PACKAGE = Path(__file__).parent
HANDLER = _PACKAGE / "assets" / "handler.py"
NOTEBOOK_NAME = "quickstart.ipynb"  # the Hub offers to open a notebook that lies in a repository
_RECORDS = ("training.json", "results.json", export_record.RECORD_NAME)
# What earlier versions may have left in a repository.
OBSOLETE = (*OF_THE_WEIGHTS, f"{EXAMPLES_NAME}/*", "leuk_hf/*", "handler.py", "requirements.txt", NOTEBOOK_NAME)
_SERVING = ("captum", "huggingface_hub", "opencv-python", "safetensors", "timm", "torch", "torchvision")


def assemble_model_repo(
    source: str | Path | None, folder: Path, *, data_name: str = DATASET, progress: bool = False
) -> None:
    """Write everything a model repository holds.

    Args:
        source: Checkpoint: folder, or None for the shipped one.
        folder: Missing, empty, or written by this function before; then it is replaced as a whole.
        data_name: What the checkpoint was trained and evaluated on, for the card.
        progress: Show a bar.

    Raises:
        CheckpointError: If the checkpoint cannot be loaded.
        HubError: If the folder holds something else.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "handler.py").is_file())):
        raise HubError(f"{folder} holds something else; give a new or an empty folder")
    checkpoint = checkpoint_io.locate(source, checkpoint_io.CONFIG_NAME).parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".assembling-") as temporary:
        draft = Path(temporary) / "repository"
        steps = (_copy_checkpoint, _add_plots, _add_examples, _add_handler, _add_notebook)
        with tqdm(total=len(steps) + 1, desc="Assembling", unit="step", disable=not progress) as bar:
            for step in steps:
                step(checkpoint, draft)
                bar.update()
            _write_card(draft, data_name)
            bar.update()
        if folder.exists():
            shutil.rmtree(folder)
        draft.replace(folder)


def _copy_checkpoint(checkpoint: Path, folder: Path) -> None:
    folder.mkdir()
    for name in (checkpoint_io.CONFIG_NAME, checkpoint_io.WEIGHTS_NAME, *COMPANIONS):
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, folder / name)
    for name in _RECORDS:
        content = checkpoint_io.read_json(checkpoint / name)
        if (published := without_local_paths(content)) != content:
            write_json(folder / name, published)
    LeukDenseNet.from_pretrained(folder)  # strictly: nothing that cannot be loaded is published


def _add_plots(checkpoint: Path, folder: Path) -> None:
    results = read_results(folder)
    plots = folder / "plots"
    plots.mkdir()
    for key, entry in results.get("protocols", {}).items():
        if is_comparison(entry):
            continue
        name, title = re.sub(r"[^A-Za-z0-9._-]+", "-", key), f"protocol {key}, part {entry['part']}"
        confusion = np.asarray(entry["confusion_matrix"])
        plot_confusion_matrix(confusion, entry["class_names"], plots / f"confusion-{name}.png", title=title)
        if bins := [ReliabilityBin(**each) for each in entry.get("reliability", ())]:
            plot_reliability_diagram(bins, plots / f"reliability-{name}.png", title=title)
    for number, (key, report) in enumerate(
        (key, report) for key, report in results.get("audit", {}).items() if key != BASELINES
    ):
        plot_audit(report, plots / ("audit.png" if number == 0 else f"audit-{number + 1}.png"), title=key)
    if not any(plots.iterdir()):
        plots.rmdir()


def _add_examples(checkpoint: Path, folder: Path) -> None:
    (folder / EXAMPLES_NAME).mkdir()
    for file in sorted(EXAMPLES.glob("*.png")):
        shutil.copyfile(file, folder / EXAMPLES_NAME / file.name)


def _add_handler(checkpoint: Path, folder: Path) -> None:
    shutil.copyfile(HANDLER, folder / "handler.py")
    copy_package(folder)
    write_text(folder / "requirements.txt", serving_requirements())


def _add_notebook(checkpoint: Path, folder: Path) -> None:
    shutil.copyfile(notebook_path(), folder / NOTEBOOK_NAME)


def _write_card(folder: Path, data_name: str) -> None:
    model = LeukDenseNet.from_pretrained(folder)
    predictor = load_predictor(folder, backend="torch", precision="float32")
    card = model.generate_model_card(
        results=read_results(folder),
        training=checkpoint_io.read_json(folder / "training.json"),
        data_name=data_name,
        widget=sample_answers(predictor, sorted((folder / EXAMPLES_NAME).glob("*.png"))),
        brings_package=True,
        plots=sorted(path.relative_to(folder).as_posix() for path in folder.glob("plots/*.png")),
    )
    write_text(folder / CARD_NAME, str(card))


def notebook_path() -> Path:
    """Find the notebook: beside the package's other assets when installed, among the scripts of a checkout."""
    installed = _PACKAGE / "assets" / NOTEBOOK_NAME
    return installed if installed.is_file() else _PACKAGE.parent / "scripts" / NOTEBOOK_NAME


def copy_package(folder: Path) -> None:
    """Copy what handler.py runs of the package.

    Args:
        folder: Of the repository.
    """
    for file in imported(_PACKAGE.parent, f"{_PACKAGE.name}/endpoint.py")[0]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_PACKAGE.parent / file, folder / file)


def serving_requirements() -> str:
    """List what handler.py needs, with the bounds of this installation, as the text of a requirements.txt."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires("leuk_hf") or []
    except PackageNotFoundError:
        declared = []
    # Names are declared with hyphens or underscores, as the tool that built the package likes.
    names = (re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0].replace("_", "-").lower() for line in declared)
    found = dict(zip(names, (line.replace(" ", "") for line in declared), strict=True))
    lines = [found.get(name.replace("_", "-"), name) for name in _SERVING]
    # Servers have no display, for which opencv-python would need system libraries.
    return "\n".join(line.replace("opencv-python", "opencv-python-headless") for line in lines) + "\n"


def read_results(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's results.json; {} without one.

    Args:
        folder: Of the checkpoint.
    """
    return checkpoint_io.read_json(folder / "results.json") or {}
