"""Fill the README's tables, the experiment log's and the shipped model card from the recorded figures.

To be run after an audit, for one; `scripts/release_checkpoint.py` does it by itself.

python scripts/refresh_documents.py

python scripts/refresh_documents.py --plain results/plain/results.json    # another checkpoint's figures beside them
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from leuk_hf.errors import LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to refresh.

    Args:
        folder: Of the checkpoint, with results.json.
        readme: Document whose tables are filled.
        log: Document whose tables of goals, comparisons and ablations are filled.
        plain: results.json of a checkpoint of the recipe plain, to be kept beside the own figures; empty: the one
            that was kept before.
    """

    folder: Path = Path("leuk_hf/checkpoint")
    readme: Path = Path("README.md")
    log: Path = Path("scripts/experiments/README.md")
    plain: Path | None = None


def main(arguments: list[str]) -> int:
    """Parse and refresh; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    from leuk_hf.goals import PLAIN
    from leuk_hf.release import compare_with, refresh_documents

    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/refresh_documents.py")
    try:
        if parsed.plain is not None:
            compare_with(parsed.folder / "results.json", PLAIN, parsed.plain)
        refresh_documents(parsed.folder, parsed.readme, parsed.log)
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"filled {parsed.readme}, {parsed.log} and {parsed.folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
