"""Fill the README's tables, the goals of the experiment log and the shipped model card from results.json.

To be run after an audit, for one; `scripts/release_checkpoint.py` does it by itself.

python scripts/refresh_documents.py
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
        log: Document whose table of goals is filled.
    """

    folder: Path = Path("leuk_hf/checkpoint")
    readme: Path = Path("README.md")
    log: Path = Path("scripts/experiments/README.md")


def main(arguments: list[str]) -> int:
    """Parse and refresh; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    from leuk_hf.release import refresh_documents

    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/refresh_documents.py")
    try:
        refresh_documents(parsed.folder, parsed.readme, parsed.log)
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"filled {parsed.readme}, {parsed.log} and {parsed.folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
