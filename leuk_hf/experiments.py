"""Named trainings and what came of each: what cross-validation and ablations are made of.

Shared contract: an experiment trains in a folder of its own below the output folder, named after it, and is done when
entry.json lies there: how the run was made, and figures of its best epoch on its test and validation parts. The
experiments file is JSON, {"runs": {name: entry}}; `leuk_hf.experiment_jobs` runs many and fills it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from leuk_hf import perturbations
from leuk_hf.errors import DataError, TrainingError
from leuk_hf.files import write_json
from leuk_hf.results import write_predictions
from leuk_hf.training_config import RECIPES, TrainConfig

PARTS = ("test", "validation")  # that a finished run is evaluated on
RUNS = "runs"  # section of the experiments file
# What a field may be photographed in elsewhere; each of it has a goal (`leuk_hf.goals`).
OTHER_LIGHT: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "grey": perturbations.grey,
    "brightness x1.4": functools.partial(perturbations.brightness, factor=1.4),
    "hue +20 degrees": functools.partial(perturbations.hue, degrees=20),
}
# Where a run takes place and what it is tested on; everything else that differs from the recipe is a change of it.
_PLACE = {"source", "output", "source_split", "source_revision", "protocol", "fold", "split", "groups", "cache",
          "num_workers", "save_steps", "seed", "tracker", "resume", "skip_unreadable"}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One training run with a name.

    Args:
        name: Unlike all others; decides its folder.
        variant: What is compared, such as a recipe's name; runs of one variant differ in fold and seed.
        protocol: What its test part means, such as "grouped", or "reference" for a split table.
        config: How to train; `output` is replaced.
        calibrated: Whether temperature, prediction sets and refusal are fitted before the run is evaluated, to its
            `calibration_parts` (needs the extra `calibrate`).
        in_other_light: Whether it is also evaluated on its validation part changed as `OTHER_LIGHT` says.
    """

    name: str
    variant: str
    protocol: str
    config: TrainConfig
    calibrated: bool = False
    in_other_light: bool = False

    def folder(self, output: Path) -> Path:
        """Name the run's folder below `output`."""
        return output / re.sub(r"[^A-Za-z0-9._-]+", "-", self.name)

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from the recipe that the config is named after, as JSON types."""
        recipe = RECIPES[self.config.recipe].to_dict()
        values = self.config.to_dict()
        return {name: values[name] for name in values if name not in _PLACE and values[name] != recipe[name]}


def read_entries(record: Path) -> dict[str, dict[str, Any]]:
    """Read the entries of an experiments file by name; {} if there is none yet.

    Raises:
        DataError: If the file is something else.
    """
    if not record.is_file():
        return {}
    try:
        entries = json.loads(record.read_text(encoding="utf-8"))[RUNS]
        if not isinstance(entries, dict):
            raise TypeError("runs is no object")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{record} is no experiments file ({error}); name another") from error
    return entries


def run_experiment(experiment: Experiment, folder: Path, *, command: str | None = None) -> dict[str, Any]:
    """Train (or go on, or find it trained), evaluate the best epoch, and write entry.json and the predictions.

    Args:
        experiment: What to run.
        folder: Of the run.
        command: The command line, for the record.

    Returns:
        The entry: name, variant, recipe, changes, protocol, fold, seed, samples, fields (per part and class), epochs,
        best, seconds, figures (part -> summary; a calibrated run may have been calibrated on validation), calibration
        (None without), backend, command, commit, date, versions.

    Raises:
        LeukError: If the run cannot be made.
    """
    from leuk_hf.backends import load_predictor
    from leuk_hf.data import load_smears
    from leuk_hf.evaluation import evaluate
    from leuk_hf.group_source import read_groups
    from leuk_hf.splits import read_split
    from leuk_hf.training import train
    from leuk_hf.training_record import read_record

    config = dataclasses.replace(experiment.config, output=folder, resume=True)
    if not is_trained(experiment, folder):
        train(config, command=command)
    record = read_record(folder)
    dataset = load_smears(
        config.source,
        class_names=config.class_names or None,
        split=config.source_split,
        revision=config.source_revision,
        skip_unreadable=config.skip_unreadable,
    )
    checkpoint, calibration = folder / "checkpoint", None
    if experiment.calibrated:
        from leuk_hf.calibration_run import calibrate_checkpoint, calibration_parts

        parts = calibration_parts(folder / "split.csv", dataset, record)
        calibration = calibrate_checkpoint(checkpoint, dataset, parts, folder / "calibrated", progress=True).report
        checkpoint = folder / "calibrated"
    # float32 on torch: the figures must not depend on what else is installed.
    predictor = load_predictor(checkpoint, backend="torch", precision="float32")
    table = config.groups or (str(folder / "groups.csv") if (folder / "groups.csv").is_file() else None)
    figures = {}
    for part, light in [(part, None) for part in PARTS] + [
        ("validation", light) for light in OTHER_LIGHT if experiment.in_other_light
    ]:
        fields = dataset.select(read_split(folder / "split.csv", dataset, part))
        groups = None if table is None else [row["group"] for row in read_groups(table, fields)]
        change = None if light is None else OTHER_LIGHT[light]
        results = evaluate(predictor, fields, groups=groups, change=change, progress=True)
        if light is None:
            write_predictions(predictions_path(folder, part), results)
        figures[part if light is None else part_in(part, light)] = results.summary()
    entry = {
        "name": experiment.name,
        "variant": experiment.variant,
        "recipe": config.recipe,
        "changes": experiment.changes,
        "protocol": experiment.protocol,
        "fold": config.fold,
        "seed": config.seed,
        "samples": record.get("samples", 1),  # not recorded at first
        **{key: record[key] for key in ("fields", "epochs", "best", "seconds")},
        "figures": figures,
        "calibration": calibration,
        "backend": predictor.description,
        **{key: record[key] for key in ("command", "commit", "date", "versions")},
    }
    write_json(folder / "entry.json", entry)  # last: with it the experiment is done
    return entry


def part_in(part: str, light: str) -> str:
    """Name the figures of a part of the data in other light.

    Args:
        part: Such as "validation".
        light: One of `OTHER_LIGHT`.
    """
    return f"{part}, {light}"


def predictions_path(folder: Path, part: str) -> Path:
    """Name the file of a run's answers on one part."""
    return folder / f"predictions-{part}.csv"


def finished_entry(experiment: Experiment, folder: Path) -> dict[str, Any] | None:
    """Read the entry of an experiment that is done; None if it is not.

    Args:
        experiment: What is to be run.
        folder: Of the run.

    Raises:
        TrainingError: If the folder holds the entry of something else.
    """
    path = folder / "entry.json"
    if not path.is_file():
        return None
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        own = {name: entry[name] for name in ("recipe", "protocol", "fold", "seed")} | entry["changes"]
        own["calibrated"] = entry["calibration"] is not None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path} is no entry of a finished run ({error}); delete it to run that again") from error
    config = experiment.config
    asked: dict[str, Any] = {"recipe": config.recipe, "protocol": experiment.protocol, "fold": config.fold}
    asked |= {"seed": config.seed, "calibrated": experiment.calibrated} | experiment.changes
    if differing := sorted(name for name in {*own, *asked} if own.get(name) != asked.get(name)):
        told = ", ".join(f"{name} is {_told(own, name)}, not {_told(asked, name)}" for name in differing)
        raise TrainingError(
            f"the finished run in {folder} is not the one that is asked for: {told}; ask for the same, or give another"
            " --output"
        )
    return dict(entry)


def _told(values: Mapping[str, Any], name: str) -> str:
    return str(values[name]) if name in values else "the recipe's own"


def is_trained(experiment: Experiment, folder: Path) -> bool:
    """Tell whether an experiment's training is finished; it may be unevaluated.

    Args:
        experiment: What is to be run.
        folder: Of the run.

    Raises:
        TrainingError: If the folder holds a run that was started otherwise.
    """
    from leuk_hf.training_record import read_record

    if not (folder / "training.json").is_file():
        return False
    record = read_record(folder)
    if differing := experiment.config.differences(record["config"]):
        raise TrainingError(
            f"the run in {folder} was started with another {', '.join(differing)}; use the same, or another --output"
        )
    return bool(record.get("finished"))
