"""Finding the class folders of a data set on disk, in any of the known layouts, without guessing.

Nothing here decodes an image. `imagefolder` of datasets is not used: it orders labels by code point, merges
`Original/` with `Segmented/`, and takes words such as "test" in a path for split names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from leuk_hf.errors import DataError
from leuk_hf.image_io import SUFFIXES
from leuk_hf.labels import CLASS_NAMES, canonical_class_name

_SEARCH_DEPTH = 4  # the Kaggle archives wrap the class folders in up to three others


def find_files(root: Path, class_names: Sequence[str] | None) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """List the images of a data set with their labels.

    Args:
        root: The folder that holds the class folders, at any of the known depths.
        class_names: None for the four classes under any of their known folder names; ("folders",) to take the
            folder names, in natural order, as the classes; or the folder names in the wanted index order.

    Returns:
        The class names in index order, and (path, label) pairs sorted by label and path.

    Raises:
        DataError: If the layout is unknown or mixed, or a class is missing or empty.
    """
    if not root.is_dir():
        kind = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(f"{root} {kind}; give the folder that holds the class folders")
    if class_names is None:
        base = _find_base(root)
        names, folders = CLASS_NAMES, _known_classes(base)
    else:
        base = root
        names, folders = _own_classes(base, class_names)
    _refuse_loose_images(base)
    files = [(path, names.index(name)) for name, folder in folders.items() for path in _images(folder)]
    counts = [sum(label == index for _, label in files) for index in range(len(names))]
    if empty := [str(folders[name]) for name, count in zip(names, counts, strict=True) if count == 0]:
        raise DataError(f"no images in {', '.join(empty)}; every class needs some")
    return names, sorted(files, key=lambda file: (file[1], file[0].as_posix()))


def _subfolders(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(hidden))


def _images(folder: Path) -> list[Path]:
    nested = [child for child in folder.rglob("*") if child.is_dir() and canonical_class_name(child.name)]
    if nested and canonical_class_name(folder.name):
        raise DataError(f"{nested[0]} is a class folder inside the class folder {folder}; move it out")
    return [path for path in folder.rglob("*") if _is_image(path)]


def _find_base(root: Path) -> Path:
    """Descend to the folder whose children are class folders; `Original` wins over its sibling `Segmented`."""
    candidates = _candidates(root, _SEARCH_DEPTH)
    originals = [folder for folder in candidates if folder.name.lower() == "original"]
    beside = {folder.parent for folder in originals}
    candidates = [
        folder for folder in candidates if not (folder.name.lower() == "segmented" and folder.parent in beside)
    ]
    if len(candidates) > 1:
        raise DataError(
            f"{root} holds several data sets ({', '.join(str(folder) for folder in candidates)}); give one of them"
        )
    if not candidates:
        found = ", ".join(child.name for child in _subfolders(root)[:6]) or "no folders"
        raise DataError(
            f"{root} has no class folders Benign, Early, Pre, Pro (or their known other names); found {found};"
            " for other classes pass class_names='folders' (--class-names folders)"
        )
    return candidates[0]


def _candidates(folder: Path, depth: int) -> list[Path]:
    children = _subfolders(folder)
    if any(canonical_class_name(child.name) for child in children):
        return [folder]
    if depth == 0:
        return []
    return [found for child in children for found in _candidates(child, depth - 1)]


def _known_classes(base: Path) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for child in _subfolders(base):
        name = canonical_class_name(child.name)
        if name is None:
            raise DataError(
                f"{child} is not one of the four classes; move it out, or pass class_names='folders'"
                " (--class-names folders)"
            )
        if name in folders:
            raise DataError(f"{folders[name]} and {child} both mean {name}: two layouts are mixed; keep one")
        folders[name] = child
    if missing := [name for name in CLASS_NAMES if name not in folders]:
        raise DataError(f"{base} has no folder for {', '.join(missing)}; all four classes are needed")
    return {name: folders[name] for name in CLASS_NAMES}


def _own_classes(base: Path, class_names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Path]]:
    folders = {child.name: child for child in _subfolders(base)}
    names = tuple(class_names)
    if names == ("folders",):
        names = tuple(sorted(folders, key=_natural_order))
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"{base} gives the classes {', '.join(names) or 'none'}; at least two are needed")
    if missing := [name for name in names if name not in folders]:
        raise DataError(f"{base} has no folder named {', '.join(missing)}; it has {', '.join(folders) or 'none'}")
    if extra := [name for name in folders if name not in names]:
        raise DataError(f"{base} has folders that are not among the class names: {', '.join(extra)}; move them out")
    if {"original", "segmented"} <= {name.lower() for name in names}:
        raise DataError(f"{base} holds Original beside Segmented, not classes; give {base / 'Original'}")
    for name in names:
        if len(_subfolders(folders[name])) > 1 and not any(_is_image(path) for path in folders[name].iterdir()):
            raise DataError(
                f"{folders[name]} holds folders, not images; give the folder whose children are the classes"
            )
    return names, {name: folders[name] for name in names}


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural_order(name: str) -> list[tuple[int, int | str]]:
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", name.casefold()) if part]


def _refuse_loose_images(base: Path) -> None:
    loose = [path for path in base.iterdir() if _is_image(path)]
    if loose:
        raise DataError(f"{loose[0]} lies beside the class folders, so its class is unknown; move it into one")
