"""What a program of this repository imports, read from its source: nothing is run.

Shared contract: imports inside functions count, those for type checkers do not; a module named at run time (by
`importlib`) is not seen.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "leuk_hf"


def imported(checkout: Path, program: str) -> tuple[list[Path], set[str]]:
    """Follow a program's imports through the package.

    Args:
        checkout: The folder that holds the package.
        program: File in the checkout where to start.

    Returns:
        The files it runs, its own among them, relative to the checkout and sorted; and the names of what it imports
        that is neither the package's nor Python's.
    """
    files: set[Path] = set()
    others: set[str] = set()
    open_files = [Path(program)]
    while open_files:
        file = open_files.pop()
        if file in files:
            continue
        files.add(file)
        for name in _names(ast.parse((checkout / file).read_text(encoding="utf-8"))):
            if name.split(".")[0] == PACKAGE:
                open_files += _files_of(checkout, name)
            else:
                others.add(name.split(".")[0])
    return sorted(files), others - sys.stdlib_module_names


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # Whether `from package import name` means a module shows only in the folder.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from _names(node)


def _files_of(checkout: Path, name: str) -> Iterator[Path]:
    """Give the files that importing a dotted name runs: those of the packages around it, too."""
    place = Path()
    for part in name.split("."):
        place /= part
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if (checkout / file).is_file():
                yield file
