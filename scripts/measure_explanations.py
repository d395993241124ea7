"""Measure how faithful a checkpoint's explanations are: leukocytes, deletion and insertion, randomised networks.

python scripts/measure_explanations.py leukemia/Original --split leuk_hf/checkpoint/split.csv
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from leuk_hf.errors import DataError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        model: Checkpoint folder or Hub id; empty: LEUK_MODEL, else the shipped checkpoint.
        revision: Branch, tag or commit when model is a Hub id.
        split: Split table (CSV with the columns file and split); empty: every field.
        part: Part of the split; empty: test.
        per_class: Fields of each class, drawn by the seed; 0: all.
        groups: Group table of scripts/prepare_data.py: fields of a group are then drawn together for the intervals.
        methods: grad_cam, hires_cam, layer_cam, input_gradients; empty: all.
        layers: Layers of the model, such as denseblock4; empty: all.
        steps: Of deletion and insertion.
        randomisations: Networks with random weights for each test of model randomisation; 0: leave these tests out.
        name: Name of the entry in results.json; empty: of the model and the part.
        output: Folder for explanations.md and results.json; an interrupted measurement goes on from its
            explanations.jsonl.
        results: Another results.json to put the figures into; empty: the one in output.
        source_split: Split of a Hub data set; empty: all its splits.
        source_revision: Branch, tag or commit of a Hub data set.
        backend: What runs the network for deletion and insertion: auto, openvino, onnxruntime or torch.
        seed: Of the sample, random maps, random weights and the bootstrap.
        skip_unreadable: Leave unreadable images out instead of stopping.
    """

    source: str
    model: str | None = None
    revision: str | None = None
    split: Path | None = None
    part: str | None = None
    per_class: int = 25
    groups: str | None = None
    methods: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    steps: int = 10
    randomisations: int = 3
    name: str | None = None
    output: Path = Path("results/explanations")
    results: Path | None = None
    source_split: str | None = None
    source_revision: str | None = None
    backend: str = "auto"
    seed: int = 0
    skip_unreadable: bool = False


def sample(labels: list[int], paths: list[str], per_class: int, seed: int) -> list[int]:
    """Draw as many rows of each class, the same for any order of the files.

    Args:
        labels: Class index per row.
        paths: Name per row.
        per_class: How many, at most; 0: all.
        seed: Another seed draws others.
    """
    import hashlib

    ranked = sorted(range(len(labels)), key=lambda row: hashlib.sha256(f"{seed}:{paths[row]}".encode()).digest())
    chosen = [[row for row in ranked if labels[row] == label][: per_class or None] for label in sorted(set(labels))]
    return sorted(row for rows in chosen for row in rows)


def run(arguments: Arguments, command: str) -> str:
    """Measure and write; gives the Markdown that is printed."""
    from leuk_hf.attribution_methods import methods_and_layers
    from leuk_hf.backends import load_predictor
    from leuk_hf.checkpoint_io import checkpoint_source
    from leuk_hf.data import class_names_of, load_smears, read_image, without_decoding
    from leuk_hf.evaluation import check_results, merge_results
    from leuk_hf.explanation_measurement import Plan, measure_explanations
    from leuk_hf.explanation_tables import explanations_text
    from leuk_hf.files import write_text
    from leuk_hf.group_source import read_group_table, read_groups
    from leuk_hf.journal import Journal
    from leuk_hf.labels import CLASS_NAMES
    from leuk_hf.provenance import provenance
    from leuk_hf.splits import read_split, read_split_table

    if arguments.per_class < 0 or arguments.seed < 0 or arguments.steps < 1 or arguments.randomisations < 0:
        raise DataError("per_class, seed and randomisations must be at least 0, steps at least 1")
    if arguments.part and not arguments.split:
        raise DataError(f"part {arguments.part!r} needs the --split table that defines it")
    part = (arguments.part or "test") if arguments.split else "all"
    # Before anything costs time: tables, a folder that cannot be written, a results file that cannot be filled.
    if arguments.split:
        read_split_table(arguments.split, part)
    if arguments.groups is not None:
        read_group_table(arguments.groups)
    if arguments.output.exists() and not arguments.output.is_dir():
        raise DataError(f"{arguments.output} is a file; give a folder as --output")
    results = arguments.results or arguments.output / "results.json"
    check_results(results)
    predictor = load_predictor(arguments.model, revision=arguments.revision, backend=arguments.backend)
    try:
        methods_and_layers(predictor.torch_model().cam_layers, arguments.methods, arguments.layers)
    except ValueError as error:
        raise DataError(str(error)) from error
    dataset = load_smears(
        arguments.source,
        class_names=None if predictor.class_names == CLASS_NAMES else predictor.class_names,
        split=arguments.source_split,
        revision=arguments.source_revision,
        skip_unreadable=arguments.skip_unreadable,
        progress=True,
    )
    if class_names_of(dataset) != predictor.class_names:
        raise DataError(
            f"the data has the classes {', '.join(class_names_of(dataset))}, the model"
            f" {', '.join(predictor.class_names)}"
        )
    if arguments.split:
        dataset = dataset.select(read_split(arguments.split, dataset, part))
    dataset = dataset.select(
        sample(list(dataset["label"]), list(dataset["path"]), arguments.per_class, arguments.seed)
    )
    groups = None
    if arguments.groups is not None:
        groups = [row["group"] for row in read_groups(arguments.groups, dataset)]
    arguments.output.mkdir(parents=True, exist_ok=True)
    side = predictor.preprocessor.sufficient_side
    entry: dict[str, Any] = measure_explanations(
        predictor,
        (read_image(row, reduce_to=side) for row in without_decoding(dataset)),
        list(dataset["label"]),
        list(dataset["path"]),
        plan=Plan(arguments.methods, arguments.layers, arguments.steps, arguments.randomisations, arguments.seed),
        groups=groups,
        journal=Journal(arguments.output / "explanations.jsonl"),
        progress=True,
    )
    source = str(arguments.model or checkpoint_source() or "shipped checkpoint")
    name = arguments.name or f"{source}, {part}"
    entry = {
        "part": part,
        "identity": predictor.identity,
        "backend": predictor.description,
        "grouped": groups is not None,
        **entry,
        **provenance(command),
    }
    merge_results(results, "explanations", name, entry)
    text = explanations_text({"explanations": {name: entry}})
    write_text(arguments.output / "explanations.md", f"# Explanations\n\n{text}\n")
    return text


def main(arguments: list[str]) -> int:
    """Parse, measure, print; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    positional = Annotated[Arguments, tyro.conf.arg(name="")]
    parsed = tyro.cli(
        positional,
        args=arguments,
        description=__doc__,
        prog="scripts/measure_explanations.py",
        config=(tyro.conf.PositionalRequiredArgs,),
    )
    try:
        print(run(parsed, shlex.join(["python", "scripts/measure_explanations.py", *arguments])))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"\nwritten to {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
