"""Find copies, overlapping fields and acquisition sessions of a data set, and split it: a CSV without images.

python scripts/prepare_data.py leukemia/Original --out groups.csv --report report
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Annotated

from leuk_hf.errors import DataError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to prepare.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        out: Table to write: CSV with one row per field.
        report: Folder for report.png, one page to look at; it shows fields, so keep it out of commits. Empty: none.
        cache: Folder of what was found so far, so that a second run is fast; empty: beside the table.
        results: results.json that receives the figures; empty: none.
        class_names: Class folders in index order; "folders" takes them as they are; empty: the four classes.
        source_split: Split of a Hub data set; empty: all its splits.
        source_revision: Branch, tag or commit of a Hub data set.
        seed: Of the splits.
        skip_unreadable: Leave unreadable images out instead of stopping.
    """

    source: str
    out: Path = Path("groups.csv")
    report: Path | None = None
    cache: Path | None = None
    results: Path | None = None
    class_names: tuple[str, ...] = ()
    source_split: str | None = None
    source_revision: str | None = None
    seed: int = 0
    skip_unreadable: bool = False


def run(arguments: Arguments, command: str) -> str:
    """Prepare and write; gives the summary that is printed."""
    from leuk_hf.data import load_smears
    from leuk_hf.evaluation import merge_results
    from leuk_hf.group_report import summary_of, summary_table, write_report
    from leuk_hf.group_table import write_groups
    from leuk_hf.groups import find_groups
    from leuk_hf.provenance import provenance

    if arguments.seed < 0:
        raise DataError(f"seed is {arguments.seed}; give a whole number of at least 0")
    if arguments.out.is_dir():
        raise DataError(f"{arguments.out} is a folder; give the name of a CSV file as --out")
    dataset = load_smears(
        arguments.source,
        class_names=arguments.class_names or None,
        split=arguments.source_split,
        revision=arguments.source_revision,
        skip_unreadable=arguments.skip_unreadable,
        progress=True,
    )
    cache = arguments.cache or arguments.out.with_name(f"{arguments.out.stem}-cache")
    groups = find_groups(dataset, cache=cache, seed=arguments.seed, progress=True)
    write_groups(arguments.out, groups.records)
    summary = summary_of(groups)
    if arguments.results is not None:
        merge_results(arguments.results, "data", "groups", {**summary, **provenance(command)})
    if arguments.report is not None:
        write_report(groups, dataset, arguments.report / "report.png")
    return summary_table(summary)


def main(arguments: list[str]) -> int:
    """Parse, prepare, print the summary; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    positional = Annotated[Arguments, tyro.conf.arg(name="")]
    config = (tyro.conf.PositionalRequiredArgs,)
    parsed = tyro.cli(positional, args=arguments, description=__doc__, prog="scripts/prepare_data.py", config=config)
    try:
        print(run(parsed, shlex.join(["python", "scripts/prepare_data.py", *arguments])))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"\nwritten to {parsed.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
