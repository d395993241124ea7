"""Evaluate a checkpoint on labelled fields: results.json, predictions.csv and plots.

python scripts/evaluate.py --model runs/plain/checkpoint --source leukemia --split runs/plain/split.csv --part test
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from leuk_hf.errors import DataError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to evaluate.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        model: Checkpoint folder or Hub id; empty: LEUK_MODEL, else the shipped checkpoint.
        revision: Branch, tag or commit when model is a Hub id.
        split: Split table (CSV with the columns file and split); empty: every field.
        part: Part of the split to evaluate; empty: test.
        protocol: Name of the entry in results.json, such as random, grouped or acquisition; empty: that of the run
            whose split it is, else the name of the split's file, or unsplit.
        groups: Group table of scripts/prepare_data.py, or your own CSV with the columns file and group: intervals then
            allow for fields of one group being alike; empty: each field is its own.
        without: Classes whose fields are left out, such as Pro-B; the entry's name then says so.
        output: Folder for results.json, predictions.csv and plots.
        source_split: Split of a Hub data set; empty: all its splits.
        source_revision: Branch, tag or commit of a Hub data set.
        batch_size: Fields per forward pass.
        seed: Of the bootstrap.
        skip_unreadable: Leave unreadable images out instead of stopping.
    """

    source: str
    model: str | None = None
    revision: str | None = None
    split: Path | None = None
    part: str | None = None
    protocol: str | None = None
    groups: str | None = None
    without: tuple[str, ...] = ()
    source_split: str | None = None
    source_revision: str | None = None
    output: Path = Path("results")
    batch_size: int = 16
    seed: int = 0
    skip_unreadable: bool = False


def protocol_of(arguments: Arguments) -> str:
    """Name the protocol; without a split the fields may include those trained on, and the name says so."""
    from leuk_hf.split_table import protocol_of_split

    return arguments.protocol or (protocol_of_split(arguments.split) if arguments.split else "unsplit")


def classes_left_out(asked: Sequence[str], class_names: Sequence[str]) -> list[str]:
    """Name the classes to leave out, in index order; known folder names count as their classes.

    Raises:
        DataError: If there is no such class, or none would be left.
    """
    from leuk_hf.labels import canonical_class_name

    found = [name if name in class_names else canonical_class_name(name) for name in asked]
    for name, meant in zip(asked, found, strict=True):
        if meant not in class_names:
            raise DataError(f"there is no class {name!r} to leave out; the classes are {', '.join(class_names)}")
    if set(found) == set(class_names):
        raise DataError("all classes are left out; leave at least one to evaluate")
    return [name for name in class_names if name in found]


def run(arguments: Arguments, command: str) -> tuple[str, dict]:
    """Evaluate and write; gives name and content of the entry that went into results.json."""
    from leuk_hf.backends import load_predictor
    from leuk_hf.data import load_smears
    from leuk_hf.evaluation import evaluate, merge_results, write_plots
    from leuk_hf.group_source import read_group_table, read_groups
    from leuk_hf.labels import CLASS_NAMES
    from leuk_hf.provenance import provenance
    from leuk_hf.results import write_predictions
    from leuk_hf.splits import read_split, read_split_table

    if arguments.batch_size < 1:
        raise DataError(f"batch_size is {arguments.batch_size}; give at least 1")
    if arguments.seed < 0:
        raise DataError(f"seed is {arguments.seed}; give a whole number of at least 0")
    if arguments.part and not arguments.split:
        raise DataError(f"part {arguments.part!r} needs the --split table that defines it")
    part = (arguments.part or "test") if arguments.split else "all"
    # Tables are read before minutes are spent on images.
    if arguments.split:
        read_split_table(arguments.split, part)
    if arguments.groups is not None:
        read_group_table(arguments.groups)
    predictor = load_predictor(arguments.model, revision=arguments.revision)
    names = None if predictor.class_names == CLASS_NAMES else predictor.class_names
    left_out = classes_left_out(arguments.without, predictor.class_names)
    protocol = protocol_of(arguments) + (f", without {' and '.join(left_out)}" if left_out else "")
    dataset = load_smears(
        arguments.source,
        class_names=names,
        split=arguments.source_split,
        revision=arguments.source_revision,
        skip_unreadable=arguments.skip_unreadable,
        progress=True,
    )
    if arguments.split:
        dataset = dataset.select(read_split(arguments.split, dataset, part))
    if left_out:
        kept = [row for row, label in enumerate(dataset["label"]) if predictor.class_names[label] not in left_out]
        dataset = dataset.select(kept)
    groups = None if arguments.groups is None else [row["group"] for row in read_groups(arguments.groups, dataset)]
    # Before the minutes that evaluating takes, but after all that a user may mistake.
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = evaluate(predictor, dataset, groups=groups, batch_size=arguments.batch_size, progress=True)
    entry = {
        "part": part,
        "backend": predictor.description,
        **results.summary(seed=arguments.seed),
        **provenance(command),
    }
    merge_results(arguments.output / "results.json", "protocols", protocol, entry)
    write_predictions(arguments.output / "predictions.csv", results)
    title = f"{protocol}, part {part} ({len(dataset)} fields)"
    write_plots(predictor, dataset, results, arguments.output, title=title)
    return protocol, entry


def main(arguments: list[str]) -> int:
    """Parse, evaluate, print the table; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/evaluate.py")
    try:
        name, entry = run(parsed, shlex.join(["python", "scripts/evaluate.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command starts again", file=sys.stderr)
        return 130
    from leuk_hf.model_card import results_table

    print(results_table({"protocols": {name: entry}}))
    print(f"\nrun by {entry['backend']}; written to {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
