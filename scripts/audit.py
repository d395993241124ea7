"""Question a classifier with changed fields: does it read leukocytes? Writes audit.md, audit.png and results.json.

python scripts/audit.py leukemia/Original --split leuk_hf/checkpoint/split.csv

python scripts/audit.py my_slides --classifier my_model.py:classify
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from leuk_hf.errors import DataError, LeukError

if TYPE_CHECKING:
    from datasets import Dataset

    from leuk_hf.backends import Predictor


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to audit.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        model: Checkpoint folder or Hub id of this package; empty: LEUK_MODEL, else the shipped checkpoint.
        revision: Branch, tag or commit when model is a Hub id.
        classifier: Any other model, as file.py:name; name is a callable that takes a list of PIL RGB images and gives
            probabilities (N, K), or those and which were answered. The file is run, so trust it.
        class_names: Class folders in index order, with --classifier; empty: the four classes.
        split: Split table (CSV with the columns file and split); empty: every field.
        part: Part of the split; empty: test.
        num_fields: Fields to audit, drawn in the classes' proportions; 0: all.
        rows: Names of rows; empty: all.
        groups: Group table of scripts/prepare_data.py: also measure the trivial baselines under every protocol.
        baselines: Measure the trivial baselines, without a group table on the random protocol only.
        name: Name of the entry in results.json; empty: of the model and the part.
        output: Folder for audit.md, audit.png, results.json; an interrupted audit goes on from its answers.json.
        results: Another results.json to put the figures into; empty: the one in output.
        source_split: Split of a Hub data set; empty: all its splits.
        source_revision: Branch, tag or commit of a Hub data set.
        batch_size: Fields per call of the classifier.
        seed: Of the sample, holes, donors, noise and forests.
        skip_unreadable: Leave unreadable images out instead of stopping.
    """

    source: str
    model: str | None = None
    revision: str | None = None
    classifier: str | None = None
    class_names: tuple[str, ...] = ()
    split: Path | None = None
    part: str | None = None
    num_fields: int = 300
    rows: tuple[str, ...] = ()
    groups: str | None = None
    baselines: bool = False
    name: str | None = None
    output: Path = Path("results/audit")
    results: Path | None = None
    source_split: str | None = None
    source_revision: str | None = None
    batch_size: int = 16
    seed: int = 0
    skip_unreadable: bool = False


def load_classifier(reference: str) -> Callable[..., Any]:
    """Run a Python file and take the callable that `reference`, file.py:name, names.

    Raises:
        DataError: If there is no such file or callable.
    """
    path, _, name = reference.rpartition(":")
    if not path or not Path(path).is_file():
        raise DataError(f"classifier {reference!r} must be file.py:name, with a file that exists")
    spec = importlib.util.spec_from_file_location(f"audited_{Path(path).stem}", path)
    if spec is None or spec.loader is None:
        raise DataError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # as an import would; dataclasses look themselves up there
    sys.path.insert(0, str(Path(path).resolve().parent))  # it may import its neighbours, as when run
    spec.loader.exec_module(module)
    classifier = getattr(module, name, None)
    if not callable(classifier):
        raise DataError(f"{path} has no callable {name!r}")
    return classifier


def identity_of(arguments: Arguments, predictor: Predictor | None) -> str:
    """Tell the audited classifier from any other: a SHA-256 of its weights, or of its file with its name."""
    import hashlib

    if predictor is not None:
        return predictor.identity
    digest = hashlib.sha256((arguments.classifier or "").encode())
    digest.update(Path(str(arguments.classifier).rpartition(":")[0]).read_bytes())
    return digest.hexdigest()


def sample(dataset: Dataset, num_fields: int, seed: int) -> list[int]:
    """Draw rows in the classes' proportions, the same for any order of the files.

    Args:
        dataset: From `load_smears`.
        num_fields: How many, about; 0: all.
        seed: Another seed draws others.
    """
    import hashlib

    labels, paths = list(dataset["label"]), list(dataset["path"])
    if not num_fields or num_fields >= len(labels):
        return list(range(len(labels)))
    ranked = sorted(range(len(labels)), key=lambda row: hashlib.sha256(f"{seed}:{paths[row]}".encode()).digest())
    chosen: list[int] = []
    for label in sorted(set(labels)):
        own = [row for row in ranked if labels[row] == label]
        chosen += own[: max(1, round(num_fields * len(own) / len(labels)))]
    return sorted(chosen)


def run(arguments: Arguments, command: str) -> str:
    """Audit and write; gives the Markdown that is printed."""
    from leuk_hf.adapters import from_leuk
    from leuk_hf.audit import audit
    from leuk_hf.audit_rows import BY_NAME
    from leuk_hf.audit_tables import BASELINES, baseline_table
    from leuk_hf.backends import load_predictor
    from leuk_hf.baselines import measure_baselines, require_forest
    from leuk_hf.checkpoint_io import checkpoint_source
    from leuk_hf.data import class_names_of, load_smears, without_decoding
    from leuk_hf.evaluation import check_results, merge_results
    from leuk_hf.files import write_text
    from leuk_hf.group_source import read_group_table, read_groups
    from leuk_hf.labels import CLASS_NAMES
    from leuk_hf.plots import plot_audit
    from leuk_hf.provenance import provenance
    from leuk_hf.splits import read_split, read_split_table

    if arguments.num_fields < 0 or arguments.seed < 0 or arguments.batch_size < 1:
        raise DataError("num_fields and seed must be at least 0, batch_size at least 1")
    if arguments.classifier and (arguments.model or arguments.revision):
        raise DataError("give either --classifier or --model")
    if arguments.part and not arguments.split:
        raise DataError(f"part {arguments.part!r} needs the --split table that defines it")
    if arguments.baselines or arguments.groups:
        require_forest()
    if unknown := sorted(set(arguments.rows) - set(BY_NAME)):
        raise DataError(f"there is no audit row {unknown[0]!r}; choose among: {'; '.join(BY_NAME)}")
    part = (arguments.part or "test") if arguments.split else "all"
    # Before anything costs time: tables, a folder that cannot be written, a results file that cannot be filled.
    if arguments.split:
        read_split_table(arguments.split, part)
    if arguments.groups is not None:
        read_group_table(arguments.groups)
    if arguments.output.exists() and not arguments.output.is_dir():
        raise DataError(f"{arguments.output} is a file; give a folder as --output")
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = arguments.results or arguments.output / "results.json"
    check_results(results)
    predictor = None
    if arguments.classifier:
        classifier, names = load_classifier(arguments.classifier), arguments.class_names or None
        source = arguments.classifier
    else:
        predictor = load_predictor(arguments.model, revision=arguments.revision)
        classifier = from_leuk(predictor)
        names = None if predictor.class_names == CLASS_NAMES else predictor.class_names
        source = str(arguments.model or checkpoint_source() or "shipped checkpoint")
    everything = load_smears(
        arguments.source,
        class_names=names,
        split=arguments.source_split,
        revision=arguments.source_revision,
        skip_unreadable=arguments.skip_unreadable,
        progress=True,
    )
    table = None if arguments.groups is None else read_groups(arguments.groups, everything, whole=True)
    dataset = everything
    if arguments.split:
        dataset = everything.select(read_split(arguments.split, everything, part))
    dataset = dataset.select(sample(dataset, arguments.num_fields, arguments.seed))
    encoded = [row["image"] for row in without_decoding(dataset)]
    identity = identity_of(arguments, predictor)
    report = audit(
        classifier,
        [image["path"] if image["bytes"] is None else image["bytes"] for image in encoded],
        dataset["label"],
        class_names=class_names_of(dataset),
        names=dataset["path"],
        rows=arguments.rows or None,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        store=arguments.output / "answers.json",
        identity=identity,
        progress=True,
    )
    name = arguments.name or f"{source}, {part}"
    backend = None if predictor is None else predictor.description
    entry = {"part": part, "identity": identity, "backend": backend, **report.to_dict(), **provenance(command)}
    merge_results(results, "audit", name, entry)
    title = f"{name}: {len(dataset)} fields"
    plot_audit(entry, arguments.output / "audit.png", title=title)
    ran = "" if backend is None else f", run by {backend}"
    text = f"# Shortcut audit of {title}\n\n`{command}`{ran}\n\n{report.to_markdown()}\n"
    write_text(arguments.output / "audit.md", text)
    if table is not None or arguments.baselines:
        corner = report.checks["corner"]
        content = measure_baselines(everything, table, corner=corner, seed=arguments.seed, progress=True)
        merge_results(results, "audit", BASELINES, {"protocols": content, **provenance(command)})
        text += f"\n## What a number is worth\n\n{baseline_table(content)}\n"
        write_text(arguments.output / "audit.md", text)
    return text


def main(arguments: list[str]) -> int:
    """Parse, audit, print; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[audit]"', file=sys.stderr)
        return 2
    positional = Annotated[Arguments, tyro.conf.arg(name="")]
    config = (tyro.conf.PositionalRequiredArgs,)
    parsed = tyro.cli(positional, args=arguments, description=__doc__, prog="scripts/audit.py", config=config)
    try:
        print(run(parsed, shlex.join(["python", "scripts/audit.py", *arguments])))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"written to {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
