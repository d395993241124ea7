"""Fill the README's tables and the shipped model card from the checkpoint's results.json, after an audit for one.

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
    """

    folder: Path = Path("leuk_hf/checkpoint")
    readme: Path = Path("README.md")


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
        refresh_documents(parsed.folder, parsed.readme)
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"filled {parsed.readme} and {parsed.folder / 'README.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
