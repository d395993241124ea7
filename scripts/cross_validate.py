"""Train recipes under every protocol and compare them: all folds and seeds, resumable, several runs at a time.

python scripts/cross_validate.py --source leukemia --groups groups.csv --split acquisition_reference.csv --jobs 2

Stopped or killed, the same command goes on where it was; what is finished is not run again.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from leuk_hf.errors import DataError, LeukError

if TYPE_CHECKING:
    from leuk_hf.experiments import Experiment


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to compare.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        groups: Group table of scripts/prepare_data.py.
        split: Split table (CSV with the columns file and split) of the protocol reference.
        recipes: Recipes of scripts/train.py.
        protocols: Which to run; reference is the split table.
        grouped_folds: Folds of the protocol grouped.
        acquisition_folds: Folds of the protocol acquisition.
        reference_seeds: Seeds on the split table.
        without: Classes that are nearly one session: the protocol acquisition is also shown without their fields;
            names that are no class of the data do nothing.
        image_size: Recipe and edge in pixels, where it is not the recipe's own: "plain 160".
        num_epochs: Recipe and epochs, where they are not the recipe's own: "plain 6 default 12".
        settings: Recipe and other numbers, likewise: "default weight_decay=0.05,label_smoothing=0.05".
        output: Folder of the runs, of experiments.json and of protocols.md.
        results: results.json whose section protocols receives the comparisons; empty: output/results.json.
        jobs: Runs at a time; they share the cores.
        cache: Folder for the preprocessed fields and their leukocytes; empty: in the Hugging Face cache.
        seed: The first seed; folds all have it.
        calibrate: Fit temperature, prediction sets and refusal of every run to fields kept for that first (needs
            pip install -e ".[calibrate]").
        smoke: Tiny networks, uncalibrated, for trying the command.
    """

    source: str
    groups: str
    split: Path | None = None
    recipes: tuple[str, ...] = ("plain", "default")
    protocols: tuple[Literal["random", "grouped", "reference", "acquisition"], ...] = (
        "random", "grouped", "reference", "acquisition"
    )  # fmt: skip
    grouped_folds: int = 3
    acquisition_folds: int = 2
    reference_seeds: int = 3
    without: tuple[str, ...] = ("Pro-B",)
    image_size: dict[str, int] = dataclasses.field(default_factory=dict)
    num_epochs: dict[str, int] = dataclasses.field(default_factory=dict)
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    output: Path = Path("runs/cross-validation")
    results: Path | None = None
    jobs: int = 1
    cache: Path | None = None
    seed: int = 0
    calibrate: bool = True
    smoke: bool = False


def run(arguments: Arguments, command: str) -> tuple[str, dict[str, str]]:
    """Run, compare and write; gives the Markdown that is printed, and what failed."""
    import importlib.util

    from leuk_hf import cross_validation
    from leuk_hf.evaluation import check_results, merge_results
    from leuk_hf.experiment_jobs import run_experiments
    from leuk_hf.experiments import read_entries
    from leuk_hf.files import write_text
    from leuk_hf.group_source import read_group_table
    from leuk_hf.protocol_tables import OTHER_SESSIONS, comparison_text, runs_table
    from leuk_hf.provenance import provenance
    from leuk_hf.splits import read_split_table
    from leuk_hf.training_config import RECIPES, smoke_config

    if unknown := [name for name in arguments.recipes if name not in RECIPES]:
        raise DataError(f"there is no recipe {unknown[0]!r}; choose among {', '.join(RECIPES)}")
    if unknown := [
        name
        for name in (*arguments.image_size, *arguments.num_epochs, *arguments.settings)
        if name not in arguments.recipes
    ]:
        raise DataError(f"{unknown[0]!r} is none of the recipes that are run, {', '.join(arguments.recipes)}")
    counts = {"random": 1, "grouped": arguments.grouped_folds, "acquisition": arguments.acquisition_folds}
    if min(*counts.values(), arguments.reference_seeds) < 1:
        raise DataError("grouped_folds, acquisition_folds and reference_seeds must be at least 1")
    runs: dict[str, list[tuple[int, int]]] = {}
    for protocol in dict.fromkeys(arguments.protocols):
        if protocol == cross_validation.REFERENCE:
            runs[protocol] = [(0, arguments.seed + number) for number in range(arguments.reference_seeds)]
        else:
            runs[protocol] = [(fold, arguments.seed) for fold in range(counts[protocol])]
    recipes = {name: smoke_config(RECIPES[name]) if arguments.smoke else RECIPES[name] for name in arguments.recipes}
    asked = {"image_size": arguments.image_size, "num_epochs": arguments.num_epochs}
    changes: dict[str, Any] = {
        recipe: {name: values[recipe] for name, values in asked.items() if recipe in values}
        | cross_validation.settings_from(arguments.settings.get(recipe, ""), config)
        for recipe, config in recipes.items()
    }
    experiments = cross_validation.plan(
        {name: dataclasses.replace(recipe, **changes[name]) for name, recipe in recipes.items()},
        runs,
        source=arguments.source,
        groups=arguments.groups,
        split=arguments.split,
        cache=arguments.cache,
        calibrated=arguments.calibrate and not arguments.smoke,
    )
    if any(each.calibrated for each in experiments) and importlib.util.find_spec("crepes") is None:
        raise DataError('crepes is not installed; run: pip install -e ".[calibrate]", or give --no-calibrate')
    record = arguments.output / "experiments.json"
    results = arguments.results or arguments.output / "results.json"
    # Before hours of training: a results file that cannot be filled, tables that cannot be read.
    check_results(results)
    read_group_table(arguments.groups)
    if arguments.split is not None:
        read_split_table(arguments.split, "train", "test")
    failed = run_experiments(
        experiments, arguments.output, record, jobs=arguments.jobs, command=command, progress=True
    )
    for protocol in runs:
        own = [experiment for experiment in experiments if experiment.protocol == protocol]
        if (entry := cross_validation.compare(own, arguments.output, seed=arguments.seed)) is None:
            continue
        if protocol in OTHER_SESSIONS:
            entry["sessions"] = _sessions(arguments, own, list(entry["recipes"]))
        entries = {f"{protocol}, by recipe": entry}
        names = next(iter(entry["recipes"].values()))["class_names"]
        left_out = [name for name in arguments.without if name in names]  # other data has other classes
        if protocol == "acquisition" and left_out:
            shorter = cross_validation.compare(own, arguments.output, without=left_out, seed=arguments.seed)
            if shorter is not None:
                entries[f"{protocol}, by recipe, without {' and '.join(left_out)}"] = shorter
        for name, content in entries.items():
            merge_results(results, "protocols", name, content | provenance(command))
    content = check_results(results)
    text = f"{comparison_text(content)}\n\n## Single runs\n\n{runs_table(list(read_entries(record).values()))}\n"
    write_text(arguments.output / "protocols.md", f"# Recipes over protocols\n\n{text}")
    return text, failed


def _sessions(arguments: Arguments, experiments: Sequence[Experiment], recipes: Sequence[str]) -> dict[str, Any]:
    """Tell how often each recipe is right in each session, if the group table knows sessions."""
    from leuk_hf.data import load_smears
    from leuk_hf.group_source import read_groups
    from leuk_hf.group_table import parts_by_protocol
    from leuk_hf.session_accuracy import by_session
    from leuk_hf.splits import read_split

    dataset = load_smears(arguments.source)
    table = read_groups(arguments.groups, dataset)
    sessions = {row["file"]: row["acquisition"] for row in table if row.get("acquisition")}
    if len(sessions) < len(table):
        return {}
    trained = {}
    for experiment in experiments:
        config = experiment.config
        if config.split is not None:
            rows = read_split(config.split, dataset, "train")
        else:
            rows = parts_by_protocol(dataset, config.protocol, table, fold=config.fold, seed=config.seed)["train"]
        trained[config.fold, config.seed] = dataset.select(rows)["path"]
    return by_session(experiments, arguments.output, sessions, trained, recipes=recipes)


def main(arguments: list[str]) -> int:
    """Parse, run, print; the exit code is 0, 1 if a run failed, 2 for a user's mistake, 130 if stopped."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/cross_validate.py")
    try:
        text, failed = run(parsed, shlex.join(["python", "scripts/cross_validate.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"{text}\nwritten to {parsed.output}")
    for name, fault in failed.items():
        print(f"error: {name}: {fault}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
