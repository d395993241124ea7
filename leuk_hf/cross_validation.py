"""Recipes compared over protocols: which runs that takes, and the figures of all folds and seeds together.

Shared contract: an entry of the section `protocols` of results.json that has the key "recipes" compares recipes; one
without it is about a single checkpoint. Folds are pooled: each field counts once, answered by the network that did
not train on it. Of several seeds a figure is the mean. Intervals draw groups; `single_runs` shows the spread.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leuk_hf.errors import DataError, TrainingError
from leuk_hf.experiments import Experiment, predictions_path
from leuk_hf.results import Results, concatenate, read_predictions, summarise
from leuk_hf.training_config import TrainConfig

REFERENCE = "reference"  # a split table instead of a protocol of leuk_hf.splits
PROTOCOLS = ("random", "grouped", REFERENCE, "acquisition")
SPREAD_OF = ("balanced_accuracy", "accuracy", "mean_auroc", "expected_calibration_error")


def settings_from(text: str, config: TrainConfig) -> dict[str, Any]:
    """Read numbers of a training run, such as "weight_decay=0.05,appearances=3".

    Args:
        text: Names and values.
        config: Whose settings they are to replace.

    Raises:
        TrainingError: If a name is no number of it, or a value is none.
    """
    settings: dict[str, Any] = {}
    for pair in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in pair.partition("="))
        kind = type(getattr(config, name, None))
        if kind not in (int, float):
            raise TrainingError(f"{name!r} is no number that decides a run; give such as weight_decay=0.05")
        try:
            settings[name] = kind(value)
        except ValueError:
            raise TrainingError(f"{name} is {value!r}; give a number") from None
    return settings


def plan(
    recipes: Mapping[str, TrainConfig],
    runs: Mapping[str, Sequence[tuple[int, int]]],
    *,
    source: str,
    groups: str | None,
    split: Path | None = None,
    cache: Path | None = None,
    calibrated: bool = False,
) -> list[Experiment]:
    """List the experiments that compare recipes, recipe beside recipe.

    Args:
        recipes: Name -> how to train.
        runs: Protocol -> (fold, seed) of each run.
        source: As in `TrainConfig`.
        groups: Group table, as in `TrainConfig`; only the random protocol can do without it.
        split: Split table of the protocol "reference", of which fold is 0.
        cache: As in `TrainConfig`.
        calibrated: As in `Experiment`.

    Raises:
        TrainingError: If a protocol is unknown or lacks its table.
    """
    experiments = []
    for protocol, places in runs.items():
        if protocol not in PROTOCOLS:
            raise TrainingError(f"there is no protocol {protocol!r}; choose among {', '.join(PROTOCOLS)}")
        if protocol == REFERENCE and split is None:
            raise TrainingError("the protocol reference needs the --split table that defines it")
        if protocol != "random" and groups is None:
            raise TrainingError(f"the protocol {protocol} needs a --groups table; make one with prepare_data.py")
        for fold, seed in places:
            for name, recipe in recipes.items():
                table = protocol == REFERENCE
                # A split table has no protocol; grouped is what its missing parts are cut out by.
                place: dict[str, Any] = {"split": split, "protocol": "grouped"} if table else {"protocol": protocol}
                config = dataclasses.replace(
                    recipe, source=source, groups=groups, cache=cache, fold=fold, seed=seed, **place
                )
                where = f"seed{seed}" if table else f"fold{fold}-seed{seed}"
                experiments.append(Experiment(f"{name}-{protocol}-{where}", name, protocol, config, calibrated))
    return experiments


def compare(
    experiments: Sequence[Experiment],
    output: Path,
    *,
    without: Sequence[str] = (),
    seed: int = 0,
    num_resamples: int = 1000,
) -> dict[str, Any] | None:
    """Give the figures of one protocol's finished experiments, recipe beside recipe.

    Args:
        experiments: All those of one protocol.
        output: Folder of the runs.
        without: Classes whose fields are left out.
        seed: Of the bootstrap.
        num_resamples: Of the bootstrap.

    Returns:
        JSON types: protocol, part, runs, recipes (name -> `summarise`, with `single_runs`: figure -> mean, standard
        deviation over the runs, and values, `changes`: what differs from the recipe, and `calibrations`: of each run
        the number of fields that it was calibrated on and of limits beyond which it refuses, None without), without. A
        recipe with an unfinished run is left out; None if all are.

    Raises:
        DataError: If a table of predictions is damaged, or its classes are not those of the others.
    """
    recipes: dict[str, Any] = {}
    for name in dict.fromkeys(experiment.variant for experiment in experiments):
        own = [experiment for experiment in experiments if experiment.variant == name]
        if any(not (one.folder(output) / "entry.json").is_file() for one in own):
            continue
        answers = [_without(read_predictions(predictions_path(one.folder(output), "test")), without) for one in own]
        seeds = sorted({one.config.seed for one in own})
        pooled = [
            concatenate([run for run, one in zip(answers, own, strict=True) if one.config.seed == number])
            for number in seeds
        ]
        summary = summarise(pooled, seed=seed, num_resamples=num_resamples)
        recipes[name] = {
            **summary,
            "single_runs": _spread([_figures_of(run) for run in answers]),
            "changes": own[0].changes,
            "calibrations": [_calibration(one.folder(output)) for one in own],
        }
    if not recipes:
        return None
    places = dict.fromkeys((one.config.fold, one.config.seed) for one in experiments)
    return {
        "protocol": experiments[0].protocol,
        "part": "test",
        "without": list(without),
        "runs": [{"fold": fold, "seed": number} for fold, number in places],
        "recipes": recipes,
    }


def _calibration(folder: Path) -> dict[str, int] | None:
    """Say how a finished run was calibrated: runs of different days may differ in it."""
    report = json.loads((folder / "entry.json").read_text(encoding="utf-8"))["calibration"]
    if report is None:
        return None
    limits = sum(value is not None for value in report["refusal_limits"].values())
    return {"num_fields": report["num_calibration_fields"], "num_limits": limits}


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Give mean, standard deviation (of a sample; None of one value) and the values themselves, as JSON types.

    Args:
        values: One for each run; None where it is not known.
    """
    known = [value for value in values if value is not None]
    deviation = round(float(np.std(known, ddof=1)), 6) if len(known) > 1 else None
    mean = round(float(np.mean(known)), 6) if known else None
    return {"mean": mean, "standard_deviation": deviation, "values": list(values)}


def _figures_of(run: Results) -> dict[str, float | None]:
    figures = summarise([run], num_resamples=1)["metrics"]  # the values alone
    return {name: figures[name]["value"] for name in SPREAD_OF}


def _spread(runs: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    return {name: spread([run[name] for run in runs]) for name in SPREAD_OF}


def _without(results: Results, classes: Sequence[str]) -> Results:
    if unknown := [name for name in classes if name not in results.class_names]:
        raise DataError(f"there is no class {unknown[0]!r} to leave out; give one of {', '.join(results.class_names)}")
    left_out = [results.class_names.index(name) for name in classes]
    return results.select(~np.isin(results.labels, left_out))
