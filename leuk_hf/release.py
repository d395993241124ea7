"""Turning a finished training run into the checkpoint that ships: small file, evaluated as reloaded, documented."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from leuk_hf import export_record
from leuk_hf.ablations import ablation_table
from leuk_hf.audit_tables import BASELINES
from leuk_hf.calibration_run import (
    alone_entry,
    calibrate_checkpoint,
    calibration_entry,
    calibration_parts,
    check_folders,
    images_of,
    see_folder,
)
from leuk_hf.checkpoint_calibration import Options
from leuk_hf.claims import claims_text
from leuk_hf.data import load_smears
from leuk_hf.data_tables import data_text
from leuk_hf.errors import DataError
from leuk_hf.evaluation import Results, evaluate, merge_results
from leuk_hf.experiments import read_entries
from leuk_hf.explanation_tables import explanations_summary
from leuk_hf.files import write_json, write_text
from leuk_hf.goals import goals_table
from leuk_hf.group_source import read_groups
from leuk_hf.model import LeukDenseNet
from leuk_hf.model_card import audit_text, baselines_text, results_table
from leuk_hf.protocol_tables import comparison_text, is_comparison
from leuk_hf.provenance import provenance
from leuk_hf.released_weights import halfway_between, halve_precision, start_of
from leuk_hf.seen_fields import see
from leuk_hf.speed_tables import speed_text
from leuk_hf.splits import fingerprint, read_split
from leuk_hf.torch_backend import TorchPredictor

# The model card has all.
README_SECTIONS = ("field", "leukocytes", "controls", "shortcuts")
README_SPEED = ("inference", "training")
_COMPARED = ("protocols", "audit", "calibration", "explanations")
ABLATIONS = "ablations.json"  # experiments file of scripts/ablate.py, beside the log
_ANY_WEIGHTS = r"inference \d+$|training$"


def release_checkpoint(
    run: Path,
    source: str,
    folder: Path,
    *,
    command: str,
    groups: str | None = None,
    calibrated: bool | None = None,
    halfway: bool = False,
    options: Options = Options(),  # noqa: B008 - frozen
    foreign: Sequence[Path] = (),
) -> tuple[Dataset, Results]:
    """Write the shipped form of a run's checkpoint and evaluate that file on the run's test part.

    The folder receives model.safetensors, config.json, training.json, split.csv,
    results.json and README.md, the model card.

    Args:
        run: Output folder of `train`, finished, with a test part.
        source: The data set the run was trained on.
        folder: Where the checkpoint goes; files of the same names are replaced.
        command: The command line, for the record.
        groups: Group table whose groups the intervals are drawn by; None: each field is its own.
        calibrated: Whether the file is calibrated on the run's calibration part (and more: `calibration_parts`); None:
            if the network sees leukocytes alone.
        halfway: Whether the weights are the mean of those that the run began with and those it ended with
            (`halfway_between`).
        options: How it is calibrated.
        foreign: Folders of images that the calibrated file is to refuse, for its figures.

    Returns:
        The test part and its results.

    Raises:
        DataError: If the run is unfinished, the data is not that of the run, there is no such folder, options ask for
            outlines or orientations that the file cannot have, or the run began with other weights than a checkpoint's
            of its architecture, or these are gone.
        TrainingError: If the record of either is damaged.
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
    check_folders(foreign)
    model = LeukDenseNet.from_pretrained(run / "checkpoint")
    is_calibrated = model.view != "field" if calibrated is None else calibrated
    if options.field_orientations is not None and not is_calibrated:
        raise DataError("other orientations are for a calibrated network; leave out --field-orientations")
    if options.outline_orientations is not None and (model.view == "field" or not is_calibrated):
        raise DataError(
            "other outlines are for a calibrated network that sees leukocytes alone; leave out --outline-orientations"
        )
    if halfway:
        model, record = halfway_between(start_of(record, run), model), {**record, "halfway": True}
    halve_precision(model)
    model.save_pretrained(folder)
    for name in (export_record.RECORD_NAME, *export_record.GRAPH_NAMES):  # of the weights before these
        (folder / name).unlink(missing_ok=True)
    write_json(folder / "training.json", record)
    shutil.copyfile(run / "split.csv", folder / "split.csv")

    calibration = None
    if is_calibrated:
        parts = calibration_parts(run / "split.csv", dataset, record)
        alone = len(read_split(run / "split.csv", dataset, "calibration"))
        calibration = calibrate_checkpoint(folder, dataset, parts, folder, options=options, alone=alone, progress=True)
    shipped = LeukDenseNet.from_pretrained(folder)
    part = dataset.select(rows)
    places = None if groups is None else [row["group"] for row in read_groups(groups, part)]
    results = evaluate(shipped, part, groups=places, progress=True)
    entry = {"part": "test", **results.summary(), **provenance(command)}
    write_json(folder / "results.json", without_the_weights(folder / "results.json"))
    merge_results(folder / "results.json", "protocols", record["protocol"], entry)
    if calibration is not None:
        predictor, size = TorchPredictor(shipped, fast=True, precision="float32"), options.batch_size
        usable = ("test", see(predictor, images_of(predictor, dataset, rows), batch_size=size, progress="test"))
        junk = {str(one): see_folder(predictor, one, batch_size=size, progress=True) for one in foreign}
        fitted = calibration_entry(calibration, shipped, options, usable=usable, foreign=junk)
        by_field = np.arange(len(rows)) if places is None else np.asarray(places)
        fitted |= alone_entry(calibration, usable, part, by_field, seed=options.seed)
        merge_results(folder / "results.json", "calibration", record["protocol"], {**fitted, **provenance(command)})
    write_text(folder / "README.md", checkpoint_card(folder))
    return part, results


def checkpoint_card(folder: Path) -> str:
    """Write the model card of a released checkpoint from its records.

    Args:
        folder: Of the checkpoint, with results.json and training.json.
    """
    results, training = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in ("results.json", "training.json")
    )
    return str(LeukDenseNet.from_pretrained(folder).generate_model_card(results=results, training=training))


def without_the_weights(path: Path) -> dict[str, Any]:
    """Give what a results.json says of data, recipes, other weights and speed of any, which new weights leave true.

    Args:
        path: Of the file, which may be missing.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}  # none, or a damaged one, which is replaced
    # Training and inference are timed with random weights.
    kept = {
        "data": results.get("data", {}),
        "protocols": {name: one for name, one in results.get("protocols", {}).items() if is_comparison(one)},
        "audit": {name: content for name, content in results.get("audit", {}).items() if name == BASELINES},
        "speed": {name: results["speed"][name] for name in results.get("speed", {}) if re.match(_ANY_WEIGHTS, name)},
        "compared": results.get("compared", {}),
    }
    return {name: content for name, content in kept.items() if content}


def compare_with(path: Path, recipe: str, other: Path) -> None:
    """Keep the figures of another checkpoint beside a checkpoint's own, in the section `compared`.

    Args:
        path: results.json of the checkpoint.
        recipe: That of the other one.
        other: results.json of the other one.

    Raises:
        DataError: If a file is missing, or the other one has no figures.
    """
    contents = []
    for each in (path, other):
        try:
            contents.append(json.loads(each.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError) as error:
            raise DataError(f"{each} is no results.json; evaluate the checkpoint first") from error
    results, figures = contents
    if not (kept := {name: figures[name] for name in _COMPARED if figures.get(name)}):
        raise DataError(f"{other} has none of the sections {', '.join(_COMPARED)}; measure them first")
    write_json(path, {**results, "compared": {**results.get("compared", {}), recipe: kept}})


def refresh_documents(folder: Path, readme: Path, log: Path | None = None) -> None:
    """Fill the README's tables and the checkpoint's model card from its results.json.

    Args:
        folder: Of the checkpoint, with results.json.
        readme: Markdown with `<!-- results: ... -->`, closed by `<!-- end of results -->`, and likewise claims,
            audit, explanations, baselines, data and speed.
        log: Markdown with the marks of `fill_log`; `ABLATIONS` lies beside it.

    Raises:
        DataError: If results.json or a mark is missing, or the ablations are something else.
    """
    if not (folder / "results.json").is_file():
        raise DataError(f"{folder} has no results.json; evaluate the checkpoint first")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    write_text(readme, fill_tables(readme.read_text(encoding="utf-8"), results))
    if log is not None:
        entries = read_entries(log.parent / ABLATIONS)
        write_text(log, fill_log(log.read_text(encoding="utf-8"), results, list(entries.values())))
    write_text(folder / "README.md", checkpoint_card(folder))


def fill_tables(text: str, results: dict[str, Any]) -> str:
    """Put the figures of results.json between a document's marks.

    Args:
        text: Markdown with the marks of `refresh_documents`.
        results: Content of results.json.

    Raises:
        DataError: If a mark is missing.
    """
    contents = {
        "results": results_table(results),
        "claims": claims_text(results),
        "audit": audit_text(results, README_SECTIONS),
        "explanations": explanations_summary(results) or "Not measured.",
        "baselines": baselines_text(results),
        "data": data_text(results),
        "speed": speed_text(results, README_SPEED),
    }
    for name, content in contents.items():
        text = _between_marks(text, name, content)
    return text


def fill_log(text: str, results: dict[str, Any], ablations: Sequence[Mapping[str, Any]]) -> str:
    """Put goals, comparisons of recipes and ablations between the marks of the experiment log.

    Args:
        text: Markdown with `<!-- goals: ... -->`, closed by `<!-- end of goals -->`, and likewise comparisons and
            ablations.
        results: Content of results.json.
        ablations: Entries of `ABLATIONS`.

    Raises:
        DataError: If a mark is missing.
    """
    contents = {
        "comparisons": comparison_text(results) or "Not measured.",
        "ablations": ablation_table(ablations) if ablations else "Not measured.",
        "goals": goals_table(results),
    }
    for name, content in contents.items():
        text = _between_marks(text, name, content)
    return text


def _between_marks(text: str, name: str, content: str) -> str:
    start, end = re.search(rf"<!-- {name}: [^>]*-->\n", text), text.find(f"<!-- end of {name} -->")
    if start is None or end < start.end():
        raise DataError(f"the document has no {name} marks")
    return f"{text[: start.end()]}\n{content}\n\n{text[end:]}"
