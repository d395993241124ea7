"""Turning a finished training run into the checkpoint that ships: small file, evaluated as reloaded, documented."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import nn

from leuk_hf.data import load_smears
from leuk_hf.errors import DataError
from leuk_hf.evaluation import Results, evaluate, merge_results
from leuk_hf.files import write_json, write_text
from leuk_hf.model import LeukDenseNet
from leuk_hf.model_card import results_table
from leuk_hf.provenance import provenance
from leuk_hf.splits import fingerprint, read_split

_TABLE = re.compile(r"(<!-- results: [^>]*-->\n).*?(<!-- end of results -->)", re.DOTALL)


def release_checkpoint(run: Path, source: str, folder: Path, *, command: str) -> tuple[Dataset, Results]:
    """Write the shipped form of a run's checkpoint and evaluate that file on the run's test part.

    Convolutions and the classifier are cast once to half precision; BatchNorm stays in float32, where rounding
    would shift whole channels. The folder receives model.safetensors, config.json, training.json, split.csv,
    results.json and README.md, the model card.

    Args:
        run: Output folder of `train`, finished, with a test part.
        source: The data set the run was trained on.
        folder: Where the checkpoint goes; files of the same names are replaced.
        command: The command line, for the record.

    Returns:
        The test part and its results.

    Raises:
        DataError: If the run is unfinished or the data is not that of the run.
        CheckpointError: If the run's checkpoint cannot be loaded.
    """
    record_path = run / "checkpoint" / "training.json"
    if not record_path.is_file():
        raise DataError(f"{run} is not a finished run; train it to the end first")
    record = json.loads(record_path.read_text(encoding="utf-8"))
    names = tuple(record["config"]["class_names"]) or None
    dataset = load_smears(source, class_names=names, progress=True)
    if fingerprint(dataset) != record["data_sha256"]:
        raise DataError(f"{source} does not hold the files that {run} was trained on; give the same data")
    rows = read_split(run / "split.csv", dataset, "test")  # before anything is replaced
    model = LeukDenseNet.from_pretrained(run / "checkpoint")
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.half()
    model.save_pretrained(folder)
    write_json(folder / "training.json", record)
    shutil.copyfile(run / "split.csv", folder / "split.csv")

    shipped = LeukDenseNet.from_pretrained(folder)
    part = dataset.select(rows)
    results = evaluate(shipped, part, progress=True)
    entry = {"part": "test", **results.summary(), **provenance(command)}
    (folder / "results.json").unlink(missing_ok=True)
    merge_results(folder / "results.json", "protocols", record["protocol"], entry)
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    write_text(folder / "README.md", str(shipped.generate_model_card(results=content)))
    return part, results


def fill_results_table(text: str, results: dict[str, Any]) -> str:
    """Put the figures of results.json between a document's results marks.

    Args:
        text: Markdown with `<!-- results: ... -->` and `<!-- end of results -->`.
        results: Content of results.json.

    Raises:
        DataError: If the marks are missing.
    """
    if not _TABLE.search(text):
        raise DataError("the document has no results marks")
    return _TABLE.sub(lambda found: f"{found[1]}\n{results_table(results)}\n\n{found[2]}", text)
