"""Calibrating a checkpoint on the parts of a data set, and measuring its refusal: the forward passes of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image

from leuk_hf.backends import Predictor
from leuk_hf.checkpoint_calibration import (
    Calibration,
    Options,
    calibrate,
    limit_anew,
    save_calibrated,
)
from leuk_hf.conformal import prediction_set
from leuk_hf.data import read_image, without_decoding
from leuk_hf.errors import CheckpointError, DataError
from leuk_hf.field_checks import passed_limits
from leuk_hf.image_io import load_image
from leuk_hf.input_files import find_inputs
from leuk_hf.leukocyte_weights import load_leukocyte_network
from leuk_hf.model import LeukDenseNet
from leuk_hf.prediction import softmax
from leuk_hf.refusal_measurement import compare_scores, measure_refusal
from leuk_hf.released_weights import half_precision_names
from leuk_hf.results import Results
from leuk_hf.seen_fields import Part, Seen, first_of, relit, rescored, reweighted, see
from leuk_hf.splits import read_split
from leuk_hf.torch_backend import TorchPredictor
from leuk_hf.training_config import kept_last


def calibrate_checkpoint(
    source: str | Path | None,
    dataset: Dataset,
    parts: dict[str, np.ndarray],
    folder: Path,
    *,
    options: Options = Options(),  # noqa: B008 - frozen
    report: dict[str, Any] | None = None,
    leukocytes: Path | None = None,
    alone: int = 0,
    progress: bool = False,
) -> Calibration:
    """Fit everything to the parts train and calibration and write the filled checkpoint.

    Args:
        source: Checkpoint: folder, Hub id, or None for the shipped one.
        dataset: From `load_smears`.
        parts: Part name -> row indices; train and calibration are used.
        folder: Receives config.json and model.safetensors; may be the checkpoint's own.
        options: How.
        report: Of the checkpoint's calibration: the refusal limits alone are fitted anew. None: everything is fitted.
        leukocytes: Weights of the network that finds leukocytes (scripts/fit_leukocyte_segmenter.py), which take the
            place of the checkpoint's; None: its own.
        alone: How many of the calibration rows, from the first, everything is fitted to once more, for comparison; 0,
            or all of them: not done.
        progress: Show bars.

    Raises:
        DataError: If a class has no field in a part, there are too few training fields for the dimensions, or crepes
            or scikit-learn is not installed.
        CheckpointError: If the checkpoint cannot be loaded, or cannot be had with these orientations or
            leukocytes.
    """
    asked = {name: getattr(options, name) for name in ("outline_orientations", "field_orientations")}
    averaged: dict[str, Any] = {name: count for name, count in asked.items() if count is not None}
    model = LeukDenseNet.from_pretrained(source, **averaged)
    if leukocytes is not None:
        _replace_leukocytes(model, leukocytes, source)
    # Told before fields are looked at for minutes. Every field is seen twice, and each class's mean takes one.
    least = (options.dims + len(model.class_names)) // 2 + 1
    if report is None and options.dims and len(parts["train"]) < least:
        raise DataError(
            f"there are {len(parts['train'])} training fields, too few for an in-distribution score of {options.dims}"
            f" dimensions; give at least {least}, or fewer dimensions (calibrate.py --dims)"
        )
    predictor = TorchPredictor(model, fast=True, precision="float32")
    training, calibration = (
        _see_twice(predictor, dataset, parts[name], name, options, progress) for name in ("train", "calibration")
    )
    if report is None:
        fitted = calibrate(model, training, calibration, options)
        if 0 < alone < len(parts["calibration"]):
            fewer = calibrate(model, training, first_of(calibration, alone), options)
            fitted = dataclasses.replace(fitted, alone=fewer)
    else:
        fitted = limit_anew(model, training, calibration, report, options.share)
    save_calibrated(fitted.model, source, folder)
    return fitted


def _replace_leukocytes(model: LeukDenseNet, path: Path, source: str | Path | None) -> None:
    """Let other weights find the leukocytes, in the precision of those whose place they take."""
    if model.leukocytes is None:
        raise CheckpointError(f"the checkpoint sees the whole field and looks for no leukocytes; leave out {path}")
    load_leukocyte_network(model.leukocytes, path)
    half = half_precision_names(source)
    for name, tensor in model.leukocytes.state_dict(prefix="leukocytes.").items():
        if name in half:  # what is fitted next must be fitted to what is saved
            tensor.copy_(tensor.half())


def calibration_parts(split: Path, dataset: Dataset, record: dict[str, Any]) -> dict[str, np.ndarray]:
    """Find what a run's checkpoint is calibrated on: fields that neither trained it nor chose its epoch.

    Of a run that kept the last epoch those are the validation part, too.

    Args:
        split: Split table of the run.
        dataset: From `load_smears`.
        record: Content of the run's training.json.

    Returns:
        train and calibration -> row indices.
    """
    rows = {name: read_split(split, dataset, name) for name in ("train", "calibration")}
    config = record["config"]
    if record["best"]["epoch"] == config["num_epochs"] and kept_last(config):
        rows["calibration"] = np.concatenate([rows["calibration"], read_split(split, dataset, "validation")])
    return rows


def images_of(predictor: TorchPredictor, dataset: Dataset, rows: np.ndarray) -> Iterator[Image.Image]:
    """Decode some fields one by one, at a size that is enough for the network.

    Args:
        predictor: Of the network.
        dataset: From `load_smears`.
        rows: Which of them.
    """
    encoded, side = without_decoding(dataset), predictor.preprocessor.sufficient_side
    return (read_image(encoded[row], reduce_to=side) for row in rows.tolist())


def check_folders(folders: Iterable[Path]) -> None:
    """Check folders of images that are to be refused, before minutes are spent on fields.

    Args:
        folders: All of them.

    Raises:
        DataError: If one is no folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; give folders of images to be refused")


def see_folder(predictor: Predictor, folder: Path, *, batch_size: int, progress: bool = False) -> Seen:
    """Look at all images of a folder.

    Args:
        predictor: Of the network.
        folder: Of images that are to be refused.
        batch_size: Images per forward pass.
        progress: Show a bar.

    Raises:
        DataError: If it is no folder.
        ImageError: If one of the images cannot be read.
    """
    check_folders([folder])
    side = predictor.preprocessor.sufficient_side
    images = (load_image(name, reduce_to=side) for name in find_inputs([str(folder)], ()))
    return see(predictor, images, batch_size=batch_size, progress=folder.name if progress else None)


def calibration_entry(
    fitted: Calibration,
    model: LeukDenseNet,
    options: Options,
    *,
    usable: tuple[str, Seen] | None,
    foreign: dict[str, Seen],
) -> dict[str, Any]:
    """Say what was fitted and how the refusal does, for the section `calibration` of results.json.

    Args:
        fitted: From `calibrate_checkpoint`.
        model: The calibrated checkpoint, as reloaded.
        options: How it was calibrated.
        usable: Name of a part, and its fields, to be answered; None: the calibration part.
        foreign: Name -> images to be refused; with them every candidate score is compared.
    """
    name, fields = usable or ("calibration", fitted.calibration[0])
    entry = {**fitted.report, "usable_fields": name, "refusal": measure_refusal(model, fields, foreign)}
    if foreign:
        entry["scores"] = compare_scores(
            fitted.training, fitted.calibration, fields, foreign, dims=options.dims, share=options.share
        )
    return entry


def results_of(model: LeukDenseNet, seen: Seen, dataset: Dataset, groups: np.ndarray) -> Results:
    """Turn what was seen into the figures' form, as a calibrated model answers.

    Args:
        model: Calibrated; what was seen was seen with its weights.
        seen: Of every field of the data set.
        dataset: From `load_smears`.
        groups: By which intervals are drawn, int (N,).
    """
    logits = seen.described.logits
    probabilities = softmax(logits / model.temperature)
    sets = np.zeros(probabilities.shape, dtype=bool)
    for row, values in enumerate(probabilities):
        sets[row, list(prediction_set(values, model.conformal_quantiles))] = True
    measures = rescored(seen, model.in_distribution)
    return Results(
        model.class_names,
        tuple(dataset["path"]),
        np.asarray(dataset["label"]),
        probabilities,
        groups,
        logits=logits,
        answered=np.array([not passed_limits(each, model.refusal_limits) for each in measures]),
        prediction_sets=sets,
    )


def alone_entry(
    fitted: Calibration, usable: tuple[str, Seen], dataset: Dataset, groups: np.ndarray, *, seed: int = 0
) -> dict[str, Any]:
    """Say what fewer calibration fields would have given: {calibration_part_alone: ...}, or {} if none were asked for.

    Args:
        fitted: From `calibrate_checkpoint`.
        usable: Name of a part, and its fields, as the calibrated network saw them.
        dataset: Those fields.
        groups: By which intervals are drawn.
        seed: Of the bootstrap.
    """
    fewer = fitted.alone
    if fewer is None:
        return {}
    change = (fewer.model.classifier.weight - fitted.model.classifier.weight.float()).detach().double().numpy()
    results = results_of(fewer.model, reweighted(usable[1], change), dataset, groups)
    kept = ("num_calibration_fields", "temperature", "conformal_quantiles", "bias", "refusal_limits")
    told = {name: fewer.report[name] for name in kept}
    return {"calibration_part_alone": {**told, f"{usable[0]}_part": results.summary(seed=seed)}}


def _see_twice(
    predictor: TorchPredictor, dataset: Dataset, rows: np.ndarray, name: str, options: Options, progress: bool
) -> Part:
    generator: Any = np.random.default_rng((options.seed, ("train", "calibration").index(name)))
    size = options.batch_size
    seen = see(predictor, images_of(predictor, dataset, rows), batch_size=size, progress=name if progress else None)
    changed = (relit(image, generator) for image in images_of(predictor, dataset, rows))
    again = see(predictor, changed, batch_size=size, progress=f"{name}, in another light" if progress else None)
    return seen, again, np.asarray(dataset["label"])[rows]
