"""Publish a data set's groups and splits on the Hub, so that others get identical splits; its images only by right.

python scripts/push_dataset.py --source leukemia --groups groups.csv --repo owner/name --dry-run published

python scripts/push_dataset.py --source leukemia --groups groups.csv --repo owner/name --no-private --tag v1
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from leuk_hf.errors import DataError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to publish, and where. The token is that of `hf auth login`, or HF_TOKEN.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        groups: Group table of scripts/prepare_data.py, or your own CSV with the columns file and group. Groups are
            published as numbers; names of files and of acquisitions as they are, so see that they name no patient.
        repo: Data set repository to publish: owner/name; made if missing.
        images: Publish the images, too, byte for byte, with whatever their files say besides pixels.
        i_may_publish_these_images: The licence or permission by which you may publish the images, in words; the card
            quotes it.
        origin: Where the images come from, in words, for the card; empty: the Kaggle set mehradaria/leukemia.
        grouped_by: What a group is, in words, for the card; empty: what scripts/prepare_data.py finds.
        license: Of the repository, as the Hub names it, such as cc-by-4.0; empty: the terms of the Kaggle set.
        private: Make the repository private, and refuse one that is public; --no-private for everybody to see.
        dry_run: Write the folder that would be published here, and publish nothing; needs no network.
        branch: To publish on, made if missing; empty: the main one.
        create_pr: Open a pull request instead.
        tag: To put onto the commit, such as v1.
        overwrite_card: Replace the card even if it was edited on the Hub.
        seed: Of the splits.
        class_names: Class folders in index order; "folders" takes them as they are; empty: the four classes.
        source_split: Split of a Hub data set; empty: all its splits.
        source_revision: Branch, tag or commit of a Hub data set.
        skip_unreadable: Leave unreadable images out instead of stopping.
    """

    source: str
    groups: str
    repo: str
    images: bool = False
    i_may_publish_these_images: str = ""
    origin: str = ""
    grouped_by: str = ""
    license: str = ""
    private: bool = True
    dry_run: Path | None = None
    branch: str | None = None
    create_pr: bool = False
    tag: str | None = None
    overwrite_card: bool = False
    seed: int = 0
    class_names: tuple[str, ...] = ()
    source_split: str | None = None
    source_revision: str | None = None
    skip_unreadable: bool = False


def check(arguments: Arguments) -> None:
    """Refuse options that cannot work before anything is read."""
    from leuk_hf.dataset_card import check_permission

    if arguments.images:
        check_permission(arguments.i_may_publish_these_images)
    elif arguments.i_may_publish_these_images:
        raise DataError("the right to publish images is stated, but none would be published; give --images, too")
    if not 0 <= arguments.seed < 2**32:
        raise DataError(f"seed is {arguments.seed}; give a whole number from 0 to {2**32 - 1}")


def assemble(arguments: Arguments, folder: Path) -> str:
    """Write the folder that is published; gives what it holds, in words."""
    from leuk_hf.data import load_smears
    from leuk_hf.dataset_card import Statement, render_dataset_card
    from leuk_hf.dataset_repo import check_empty, make_table, write_folder
    from leuk_hf.group_source import read_groups

    check_empty(folder)  # before the minutes that a large data set takes
    dataset = load_smears(
        arguments.source,
        class_names=arguments.class_names or None,
        split=arguments.source_split,
        revision=arguments.source_revision,
        skip_unreadable=arguments.skip_unreadable,
        progress=True,
    )
    table = make_table(dataset, read_groups(arguments.groups, dataset, whole=True), seed=arguments.seed)
    statement = Statement(
        repo_id=arguments.repo,
        origin=arguments.origin,
        grouped_by=arguments.grouped_by,
        license=arguments.license,
        permission=arguments.i_may_publish_these_images,
    )
    card = render_dataset_card(table, statement)
    write_folder(folder, table, card, images=dataset if arguments.images else None)
    groups = len({row["group"] for row in table.rows})
    return f"{len(table.rows)} fields in {groups} groups, {'with' if arguments.images else 'without'} images"


def run(arguments: Arguments) -> str:
    """Assemble and, unless it is a dry run, publish; gives what is printed."""
    from leuk_hf.dataset_repo import IMAGE_PATTERN
    from leuk_hf.hub import check_access, publish_folder

    check(arguments)
    if arguments.dry_run is not None:
        held = assemble(arguments, arguments.dry_run)
        upload = ["hf", "upload", arguments.repo, str(arguments.dry_run), "--repo-type", "dataset"]
        upload += ["--private"] * arguments.private
        return f"{held}, written to {arguments.dry_run}; nothing is published. To publish it: {shlex.join(upload)}"
    where: dict[str, Any] = {
        "repo_type": "dataset",
        "private": arguments.private,
        "branch": arguments.branch,
        "create_pr": arguments.create_pr,
        "tag": arguments.tag,
    }
    check_access(arguments.repo, **where)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "dataset"
        held = assemble(arguments, folder)
        published = publish_folder(
            folder,
            arguments.repo,
            message=f"Publish {held}",
            obsolete=[IMAGE_PATTERN],
            overwrite_card=arguments.overwrite_card,
            card_agrees_on=("configs", "dataset_info"),  # by which datasets reads the table, or the images
            **where,
        )
    said = f"{held}, published" if published.changed else "nothing changed"
    kept = "\nthe card was edited on the Hub and stays; --overwrite-card replaces it" if published.kept_card else ""
    return f"{said}: {published.url}\ncommit {published.commit}{kept}"


def main(arguments: list[str]) -> int:
    """Parse and publish; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/push_dataset.py")
    try:
        print(run(parsed))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
