"""Calibrate a checkpoint: temperature, prediction sets, refusal; writes a copy with all of it filled in.

python scripts/calibrate.py --model runs/mine/checkpoint --source leukemia --split runs/mine/split.csv --part test \
    --foreign photos other_smears --output runs/mine/calibrated
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from leuk_hf.errors import LeukError

if TYPE_CHECKING:
    pass


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to calibrate, and how.

    Args:
        source: Labelled fields: folder in a known layout, kaggle:owner/slug, or Hub data set id.
        split: Split table (CSV with the columns file and split) with the parts train and calibration.
        model: Checkpoint folder or Hub id; empty: LEUK_MODEL, else the shipped checkpoint.
        output: Folder for the calibrated checkpoint; may be that of the checkpoint itself.
        calibration_parts: Parts of the split to calibrate on, such as calibration validation where the validation part
            chose nothing of the checkpoint, or little: what the first of several would have given alone is measured,
            too.
        only_limits: Fit the refusal limits of a calibrated checkpoint anew, to the parts it was calibrated on, and
            leave all else as it is; exported graphs in its folder have to be made anew.
        part: Part of the split to evaluate afterwards, such as test; empty: none.
        groups: Group table (scripts/prepare_data.py) by whose groups the intervals of `part` are drawn; empty: each
            field by itself, which makes them too narrow where fields overlap.
        foreign: Folders of images that are to be refused. They fit nothing; they choose nothing either, unless you
            let their figures choose.
        dims: Dimensions of the in-distribution score; 0: the energy of the logits, which is worse.
        share: Of usable fields that may be refused, about.
        coverage: Share of each class's fields whose prediction sets are to hold the class.
        certainty: Share of draws of the calibration part in which that is to be so; 0: on average over draws.
        outline_orientations: In how many orientations of a field its leukocytes are looked for from now on, 1 or 4;
            empty: as the checkpoint does.
        field_orientations: In how many orientations what is seen is read from now on, 1, 2 or 4; empty: as the
            checkpoint does.
        leukocytes: Weights that look for leukocytes from now on (safetensors file of fit_leukocyte_segmenter.py; the
            record beside it goes into training.json and results.json); empty: the checkpoint's own.
        fields: At most so many training fields, spread evenly; 0: all.
        seed: Of the copies in another light, and of the bootstrap.
        batch_size: Fields per forward pass.
    """

    source: str
    split: Path
    output: Path
    model: str | None = None
    calibration_parts: tuple[str, ...] = ("calibration",)
    only_limits: bool = False
    part: str | None = None
    groups: str | None = None
    foreign: tuple[Path, ...] = ()
    dims: int = 64
    share: float = 0.02
    coverage: float = 0.95
    certainty: float = 0.9
    outline_orientations: Literal[1, 4] | None = None
    field_orientations: Literal[1, 2, 4] | None = None
    leukocytes: Path | None = None
    fields: int = 0
    seed: int = 0
    batch_size: int = 16


def run(arguments: Arguments, command: str) -> dict[str, Any]:
    """Calibrate and write; gives the entry that went into results.json."""
    import numpy as np

    from leuk_hf import checkpoint_io
    from leuk_hf.calibrated_files import copy_companions
    from leuk_hf.calibration_run import (
        alone_entry,
        calibrate_checkpoint,
        calibration_entry,
        check_folders,
        images_of,
        results_of,
        see_folder,
    )
    from leuk_hf.checkpoint_calibration import Options
    from leuk_hf.data import load_smears
    from leuk_hf.errors import DataError
    from leuk_hf.evaluation import merge_results
    from leuk_hf.group_source import read_group_table, read_groups
    from leuk_hf.labels import CLASS_NAMES
    from leuk_hf.leukocyte_weights import describe_leukocyte_weights
    from leuk_hf.model import LeukDenseNet
    from leuk_hf.provenance import provenance
    from leuk_hf.seen_fields import see
    from leuk_hf.split_table import protocol_of_split
    from leuk_hf.splits import read_split, read_split_table
    from leuk_hf.torch_backend import TorchPredictor

    options = Options(
        dims=arguments.dims,
        share=arguments.share,
        coverage=arguments.coverage,
        certainty=arguments.certainty or None,
        outline_orientations=arguments.outline_orientations,
        field_orientations=arguments.field_orientations,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
    )
    if arguments.only_limits:
        for option in ("outline_orientations", "field_orientations", "leukocytes"):
            if getattr(arguments, option) is not None:
                flag = option.replace("_", "-")
                raise DataError(f"--{flag} changes every answer; give it without --only-limits")
    if arguments.fields < 0:
        raise DataError(f"fields is {arguments.fields}; give at least 0")
    if not arguments.calibration_parts or {"train", arguments.part} & set(arguments.calibration_parts):
        raise DataError(
            f"calibration_parts are {' '.join(arguments.calibration_parts) or 'none'}; give at least one, neither"
            " train nor the part that is evaluated"
        )
    # Tables are read before minutes are spent on images.
    read_split_table(arguments.split, "train", *arguments.calibration_parts, *filter(None, [arguments.part]))
    if arguments.groups is not None:
        read_group_table(arguments.groups)
    check_folders(arguments.foreign)
    leukocytes = None if arguments.leukocytes is None else describe_leukocyte_weights(arguments.leukocytes)
    source = arguments.model or checkpoint_io.checkpoint_source()
    model = LeukDenseNet.from_pretrained(source)
    if arguments.outline_orientations is not None and model.view == "field":
        raise DataError(
            f"outline_orientations is {arguments.outline_orientations}, but the checkpoint sees the whole field; leave"
            " --outline-orientations out"
        )
    names = None if model.class_names == CLASS_NAMES else model.class_names
    dataset = load_smears(arguments.source, class_names=names, progress=True)
    name = protocol_of_split(arguments.split)
    report = _report_of(source, name) if arguments.only_limits else None
    held = [read_split(arguments.split, dataset, part) for part in dict.fromkeys(arguments.calibration_parts)]
    parts = {"train": read_split(arguments.split, dataset, "train"), "calibration": np.concatenate(held)}
    if arguments.fields and arguments.fields < len(parts["train"]):
        chosen = np.linspace(0, len(parts["train"]) - 1, arguments.fields).round().astype(int)
        parts["train"] = parts["train"][chosen]
    if report is not None:
        options = dataclasses.replace(options, dims=report["dims"], seed=report["seed"])
        counts = report["num_training_fields"], report["num_calibration_fields"]
        if counts != (len(parts["train"]), len(parts["calibration"])):
            raise DataError(
                f"the checkpoint was calibrated on {counts[0]} training and {counts[1]} calibration fields, not"
                f" {len(parts['train'])} and {len(parts['calibration'])}; give the same --calibration-parts and"
                " --fields"
            )
    rows = read_split(arguments.split, dataset, arguments.part) if arguments.part else None
    if rows is not None:
        tested = dataset.select(rows)
        table = None if arguments.groups is None else read_groups(arguments.groups, tested)
        groups = np.arange(len(rows)) if table is None else np.array([row["group"] for row in table])
    fitted = calibrate_checkpoint(
        source,
        dataset,
        parts,
        arguments.output,
        options=options,
        report=report,
        leukocytes=arguments.leukocytes,
        alone=len(held[0]),
        progress=True,
    )
    copy_companions(source, arguments.output, is_changed=report is None, leukocytes=leukocytes)
    reloaded = LeukDenseNet.from_pretrained(arguments.output)
    predictor = TorchPredictor(reloaded, fast=True, precision="float32")
    size = arguments.batch_size
    foreign = {
        str(folder): see_folder(predictor, folder, batch_size=size, progress=True) for folder in arguments.foreign
    }
    usable = None
    if rows is not None:
        fields = images_of(predictor, dataset, rows)
        usable = (arguments.part, see(predictor, fields, batch_size=size, progress=arguments.part))
    entry = calibration_entry(fitted, reloaded, options, usable=usable, foreign=foreign)
    if leukocytes is not None:
        entry["leukocyte_network"] = leukocytes
    if usable is not None:
        results = results_of(reloaded, usable[1], tested, groups)
        entry[f"{arguments.part}_part"] = results.summary(seed=arguments.seed)
        entry |= alone_entry(fitted, usable, tested, groups, seed=arguments.seed)
    merge_results(arguments.output / "results.json", "calibration", name, {**entry, **provenance(command)})
    if arguments.part:
        from leuk_hf.calibration import reliability_bins
        from leuk_hf.plots import plot_reliability_diagram

        plot_reliability_diagram(
            reliability_bins(results.probabilities, results.labels),
            arguments.output / "reliability.png",
            title=f"{name}, part {arguments.part}",
        )
    return entry


def _report_of(source: Any, protocol: str) -> dict[str, Any]:
    """Read what a local checkpoint's results.json says of its calibration on a split."""
    from leuk_hf import checkpoint_io
    from leuk_hf.errors import CheckpointError, DataError
    from leuk_hf.evaluation import check_results

    try:
        path = checkpoint_io.locate(source, "results.json")
    except CheckpointError:
        path = None
    report = {} if path is None else check_results(path).get("calibration", {}).get(protocol, {})
    if not {"refusal_limits", "calibration_part", "training_part"} <= set(report):
        raise DataError(
            f"the checkpoint has no record of a calibration on the split {protocol} (results.json); leave out"
            " --only-limits"
        )
    return dict(report)


def _report(entry: dict[str, Any]) -> Iterator[str]:
    quantiles = ", ".join(format(quantile, ".4g") for quantile in entry["conformal_quantiles"])
    yield f"temperature {entry['temperature']:.4f}; conformal quantiles {quantiles}"
    for name, value in entry["refusal_limits"].items():
        yield f"  {name:32s} {value if value is None else format(value, '.5g')}"
    part = entry["calibration_part"]
    yield (
        f"calibration part: ECE {part['expected_calibration_error_before']:.4f} -> "
        f"{part['expected_calibration_error']:.4f}, Brier {part['brier_score_before']:.4f} -> "
        f"{part['brier_score']:.4f}, refused {part['refused']:.4f}, in another light"
        f" {part['refused_in_another_light']:.4f}"
    )
    summary = entry.get(f"{entry['usable_fields']}_part", {})
    for section in ("metrics", "with_refusal", "prediction_sets"):
        for name, figure in summary.get(section, {}).items():
            yield f"{entry['usable_fields']} part: {name} {figure['value']} {figure['interval']}"
    for name, of_class in summary.get("per_class", {}).items():
        yield f"  {name}: coverage {of_class.get('coverage')}, answered {of_class.get('answered')}"
    for name, figures in entry["refusal"].items():
        area = f", AUROC {figures['auroc']:.4f}" if "auroc" in figures else ""
        yield f"{name}: refused {figures['refused']:.4f} of {figures['num_images']}{area} {figures['by_limit']}"
    for row in entry.get("scores", ()):
        others = "; ".join(
            f"{Path(name).name} {value['auroc']:.4f} ({value['refused']:.2f})"
            for name, value in row.items()
            if isinstance(value, dict)
        )
        yield f"{row['score']:50s} usable refused {row['usable_refused']:.3f}; AUROC (refused): {others}"


def main(arguments: list[str]) -> int:
    """Parse, calibrate, print what was fitted; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[calibrate]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/calibrate.py")
    try:
        entry = run(parsed, shlex.join(["python", "scripts/calibrate.py", *arguments]))
    except (LeukError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; the same command starts again, whatever lies in {parsed.output}", file=sys.stderr)
        return 130
    print("\n".join(_report(entry)))
    print(f"written to {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
