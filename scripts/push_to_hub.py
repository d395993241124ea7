"""Publish a checkpoint on the Hugging Face Hub as a model repository: weights, card, plots, samples, graph, handler.

python scripts/push_to_hub.py --repo your-name/your-model --model runs/mine/checkpoint --private
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

from leuk_hf.errors import LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to publish, and where. The token is the one saved by `hf auth login`, or HF_TOKEN.

    Args:
        repo: Hub id, owner/name; made if missing. Not needed with --dry-run.
        model: Checkpoint folder; empty: the shipped checkpoint.
        data_name: What the checkpoint was trained and evaluated on, for the card; empty: the Kaggle ALL set for the
            shipped checkpoint, else "data of the owner's that the card does not describe".
        dry_run: Write the folder that would be published here, and publish nothing.
        private: Make a new repository private; it must not be a public one already.
        branch: Branch to commit to, made if missing; empty: main.
        create_pr: Open a pull request instead.
        tag: Tag to put onto the commit, such as v1.
        overwrite_card: Replace the card on the Hub even if it was edited there.
        message: Of the commit.
    """

    repo: str = ""
    model: Path | None = None
    data_name: str = ""
    dry_run: Path | None = None
    private: bool = False
    branch: str | None = None
    create_pr: bool = False
    tag: str | None = None
    overwrite_card: bool = False
    message: str = "Publish a leuk_hf checkpoint"


def run(arguments: Arguments) -> str:
    """Assemble and publish; gives what is printed."""
    from leuk_hf.errors import HubError
    from leuk_hf.hub import check_access, publish_folder
    from leuk_hf.hub_weights import CARD_CLAIMS
    from leuk_hf.model_index import DATASET

    if arguments.dry_run is None and not arguments.repo:
        raise HubError("there is no --repo; give owner/name, or --dry-run FOLDER")
    where: dict[str, Any] = {
        "private": arguments.private or None,
        "branch": arguments.branch,
        "create_pr": arguments.create_pr,
        "tag": arguments.tag,
    }
    if arguments.dry_run is None:
        check_access(arguments.repo, **where)
    from leuk_hf.model_repo import OBSOLETE, assemble_model_repo  # with torch, which takes seconds

    unknown = DATASET if arguments.model is None else "Data of the owner's that this card does not describe"
    data_name = arguments.data_name or unknown
    if arguments.dry_run is not None:
        assemble_model_repo(arguments.model, arguments.dry_run, data_name=data_name, progress=True)
        return f"written to {arguments.dry_run}; `hf upload owner/name {arguments.dry_run}` publishes the same"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "repository"
        assemble_model_repo(arguments.model, folder, data_name=data_name, progress=True)
        published = publish_folder(
            folder,
            arguments.repo,
            message=arguments.message,
            obsolete=OBSOLETE,
            overwrite_card=arguments.overwrite_card,
            card_agrees_on=CARD_CLAIMS,
            **where,
        )
    return str(published)


def main(arguments: list[str]) -> int:
    """Parse, publish, print URL and commit; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/push_to_hub.py")
    try:
        print(run(parsed))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
