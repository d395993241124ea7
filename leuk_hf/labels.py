"""Class names in index order, and the folder names under which the known data sets keep them.

Standard library only. The order is fixed: 0 Benign, 1 Early Pre-B, 2 Pre-B, 3 Pro-B. "Benign" means
hematogone-rich samples without leukemia; the other three are immunophenotypes of B-ALL (told apart by flow
cytometry), not stages of severity. Source: https://doi.org/10.34740/KAGGLE/DSV/2175623
"""

from __future__ import annotations

import re

CLASS_NAMES: tuple[str, ...] = ("Benign", "Early Pre-B", "Pre-B", "Pro-B")

# Folder names as in the Kaggle archive mehradaria/leukemia.
CLASS_FOLDERS: dict[str, str] = {"Benign": "Benign", "Early Pre-B": "Early", "Pre-B": "Pre", "Pro-B": "Pro"}

# What is left of a folder name once decoration is stripped (see `canonical_class_name`).
_ALIASES: dict[str, str] = {
    "benign": "Benign",
    "early": "Early Pre-B",
    "earlypre": "Early Pre-B",
    "earlypreb": "Early Pre-B",
    "pre": "Pre-B",
    "preb": "Pre-B",
    "pro": "Pro-B",
    "prob": "Pro-B",
}
_DECORATION = re.compile(r"\[?malignant\]?|^wbc|^all(?=[_\- ])")


def canonical_class_name(folder_name: str) -> str | None:
    """Map a folder or label name of a known layout to its class name.

    Knows `Early`, `early`, `all_early`, `[Malignant] early Pre-B`, `WBC-Malignant-Early` and their like for all
    four classes (Kaggle mehradaria/leukemia, "Blood cell Cancer [ALL]", Multi Cancer).

    Args:
        folder_name: The name of one folder, not a path.

    Returns:
        One of `CLASS_NAMES`, or None for any other name.
    """
    bare = _DECORATION.sub("", folder_name.strip().lower())
    return _ALIASES.get(re.sub(r"[^a-z0-9]", "", bare))
