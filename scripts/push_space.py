"""Publish the demo as a Hugging Face Space, or write its folder.

python scripts/push_space.py --dry-run runs/space

python scripts/push_space.py --repo me/leuk-demo --model me/leuk --hardware zero-a10g
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from leuk_hf.errors import HubError, LeukError

if TYPE_CHECKING:
    from leuk_hf.hub import Published

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to publish, and where.

    The token is the one saved by `hf auth login`, or HF_TOKEN.

    Args:
        repo: The Space, as owner/name; made if missing.
        model: Model repository to serve, pinned to a commit; empty: a copy of the shipped checkpoint.
        revision: Branch, tag or commit of the model; empty: what its main branch has now.
        hardware: cpu-basic, or zero-a10g for ZeroGPU.
        dry_run: Write the folder here and publish nothing.
        private: Make a new Space private; without it, as its owner has set.
        branch: Branch to publish on, made if missing; empty: the main one, which is the one that runs.
        create_pr: Open a pull request instead.
        tag: Tag to put onto the commit.
        message: Of the commit.
        overwrite_card: Replace the README even if it was edited on the Hub.
    """

    repo: str | None = None
    model: str | None = None
    revision: str | None = None
    hardware: str = "cpu-basic"
    dry_run: Path | None = None
    private: bool = False
    branch: str | None = None
    create_pr: bool = False
    tag: str | None = None
    message: str = "Publish the demo of leuk_hf"
    overwrite_card: bool = False


def assemble(arguments: Arguments) -> dict[str, bytes]:
    """Give the Space's files."""
    from leuk_hf.space_repo import find_pin, space_files

    if arguments.revision and not arguments.model:
        raise HubError(f"revision {arguments.revision} needs the --model repository that it is of")
    pin = find_pin(arguments.model, arguments.revision) if arguments.model else None
    return space_files(CHECKOUT, hardware=arguments.hardware, pin=pin)


def publish(arguments: Arguments, repo_id: str) -> Published:
    """Assemble the Space and publish it."""
    from leuk_hf.hub import publish_folder
    from leuk_hf.space_repo import OBSOLETE, SETTINGS, write_space

    files = assemble(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        write_space(Path(temporary), files)
        return publish_folder(
            Path(temporary),
            repo_id,
            repo_type="space",
            message=arguments.message,
            private=arguments.private or None,
            branch=arguments.branch,
            create_pr=arguments.create_pr,
            tag=arguments.tag,
            obsolete=OBSOLETE,
            overwrite_card=arguments.overwrite_card,
            card_agrees_on=SETTINGS,
            space_hardware=arguments.hardware,
        )


def main(arguments: list[str]) -> int:
    """Parse, then publish or write the folder; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/push_space.py")
    try:
        if parsed.dry_run is not None:
            from leuk_hf.space_repo import write_space

            files = assemble(parsed)
            write_space(parsed.dry_run, files)
            size = sum(map(len, files.values())) / 1e6
            print(f"{len(files)} files, {size:.1f} MB written to {parsed.dry_run}; nothing published")
            return 0
        if not parsed.repo:
            raise HubError("nothing says where to publish; give --repo owner/name, or --dry-run FOLDER")
        published = publish(parsed, parsed.repo)
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(published)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
