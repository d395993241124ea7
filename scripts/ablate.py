"""Change one ingredient of the recipe `default` at a time and see what it is worth; resumable, several runs at a time.

python scripts/ablate.py --source leukemia --split acquisition_reference.csv --groups groups.csv --jobs 2

python scripts/ablate.py --source leukemia --split acquisition_reference.csv --groups groups.csv --only CLAHE

Stopped or killed, the same command goes on where it was; what is finished is not run again (`--restart` does).
"""

from __future__ import annotations

import dataclasses
import functools
import shlex
import shutil
import sys
from pathlib import Path

from leuk_hf.errors import LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to run.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        split: Split table (CSV with the columns file and split); its test part chooses nothing but the verdicts.
        groups: Group table of scripts/prepare_data.py: the validation part is cut out of train by its groups.
        only: Rows to run, by name (leuk_hf/ablations.py); empty: all. A verdict needs the row default, too, run here
            or recorded, on samples of the same code.
        seeds: Of each row; a verdict needs at least two.
        num_epochs: Epochs of each run; empty: those of leuk_hf/ablations.py.
        output: Folder of the runs.
        record: Experiments file that is filled; beside it the table, with the ending .md; empty:
            output/experiments.json.
        restart: Run the rows anew.
        jobs: Runs at a time; they share the cores.
        cache: Folder for the preprocessed fields and their leukocytes; empty: in the Hugging Face cache.
        smoke: Tiny networks, for trying the command.
    """

    source: str
    split: Path
    groups: str
    only: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1)
    num_epochs: int | None = None
    output: Path = Path("runs/ablations")
    record: Path | None = None
    restart: bool = False
    jobs: int = 1
    cache: Path | None = None
    smoke: bool = False

    @property
    def filled(self) -> Path:
        """The experiments file."""
        return self.record or self.output / "experiments.json"


def run(arguments: Arguments, command: str) -> tuple[str, dict[str, str]]:
    """Run and write; gives the Markdown that is printed, and what failed."""
    from leuk_hf import ablations
    from leuk_hf.experiment_jobs import run_experiments
    from leuk_hf.experiments import read_entries
    from leuk_hf.files import write_text
    from leuk_hf.group_source import read_group_table
    from leuk_hf.protocol_tables import value_of
    from leuk_hf.splits import read_split_table
    from leuk_hf.training_config import DEFAULT, smoke_config

    base = dict(ablations.BASE)
    if arguments.smoke:
        base = {"num_epochs": 1}
    if arguments.num_epochs is not None:
        base["num_epochs"] = arguments.num_epochs
    plan = functools.partial(
        ablations.plan,
        source=arguments.source,
        split=arguments.split,
        groups=arguments.groups,
        seeds=arguments.seeds,
        cache=arguments.cache,
        default=smoke_config(DEFAULT) if arguments.smoke else DEFAULT,
        base=base,
    )
    experiments = plan(only=arguments.only)
    before = read_entries(arguments.filled)  # also refuses a file that is something else
    ablations.check_record(arguments.filled, before, plan(only=(ablations.REFERENCE,))[0].changes)
    read_split_table(arguments.split, "train", "test")
    read_group_table(arguments.groups)
    if arguments.restart:
        for experiment in experiments:
            shutil.rmtree(experiment.folder(arguments.output), ignore_errors=True)
    failed = run_experiments(
        experiments, arguments.output, arguments.filled, jobs=arguments.jobs, command=command, progress=True
    )
    after = read_entries(arguments.filled)
    text = ablations.ablation_table(list(after.values()))
    if after:
        write_text(arguments.filled.with_suffix(".md"), f"# Ablations\n\n`{command}`\n\n{text}\n")
    for experiment in experiments:
        name = experiment.name
        if name in before and name in after and before[name] != after[name]:
            values = [value_of(entry[name], "test", "metrics", "balanced_accuracy") for entry in (before, after)]
            text += f"\n\n{name}: balanced accuracy recorded before {values[0]}, now {values[1]}"
    return text, failed


def main(arguments: list[str]) -> int:
    """Parse, run, print; the exit code is 0, 1 if a run failed, 2 for a user's mistake, 130 if stopped."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/ablate.py")
    try:
        text, failed = run(parsed, shlex.join(["python", "scripts/ablate.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    if written := [str(path) for path in (parsed.filled, parsed.filled.with_suffix(".md")) if path.is_file()]:
        print(f"{text}\n\nwritten to {' and '.join(written)}")
    for name, fault in failed.items():
        print(f"error: {name}: {fault}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
