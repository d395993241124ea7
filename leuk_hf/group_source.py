"""Reading a group table: a CSV file of one's own or of scripts/prepare_data.py, or one published on the Hub.

Shared contract: a published table is only used with the very files that it was made of, because a split of other
files is another split.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from datasets import Dataset
from datasets import Image as ImageFeature

from leuk_hf.errors import DataError
from leuk_hf.hub_files import download_file
from leuk_hf.table_files import folders_hint, read_table

TABLE_NAME = "groups.csv"  # in a repository
HUB_NAME = r"[A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*"  # owner/name


def read_groups(source: Path | str, dataset: Dataset, *, whole: bool = False) -> list[dict[str, str]]:
    """Read the rows of a group table that belong to a data set, in its order.

    A table of one's own needs only the columns file and group, such as the patient; acquisition is optional.

    Args:
        source: As for `locate_groups`. The files are compared with the hashes of a table from the Hub.
        dataset: From `load_smears`.
        whole: The data set must have all files of a table from the Hub, because it is going to be split.

    Raises:
        DataError: As `read_group_table`; or if the table misses a field of the data set, or is on the Hub and
            describes other files.
    """
    by_file = read_group_table(source)
    if _hub_place(source) and (found := differences(by_file, dataset, whole=whole)):
        raise DataError(
            f"{source} describes other files than this data set has: {found}; get the files that it was made of, or"
            " make a table of these with scripts/prepare_data.py"
        )
    if missing := [name for name in dataset["path"] if name not in by_file]:
        raise DataError(
            f"{source} has no row for {len(missing)} fields of the data set, for one {missing[0]}"
            + (folders_hint(by_file) or "; make it anew with scripts/prepare_data.py")
        )
    rows = [by_file[name] for name in dataset["path"]]
    if empty := [row["file"] for row in rows if not row["group"]]:
        raise DataError(f"{source} has no group for {len(empty)} fields of the data set, for one {empty[0]}")
    return rows


def read_group_table(source: Path | str) -> dict[str, dict[str, str]]:
    """Read a group table without its data set, which tells its mistakes before any image is looked at.

    Args:
        source: As for `locate_groups`.

    Returns:
        File -> row.

    Raises:
        DataError: If the source is no such table, or puts a file into two groups.
    """
    by_file: dict[str, dict[str, str]] = {}
    for row in read_table(locate_groups(source), ("file", "group"), "group", name=source):
        if by_file.setdefault(row["file"], row)["group"] != row["group"]:
            raise DataError(f"{source} puts {row['file']} into two groups; keep one row for it")
    return by_file


def locate_groups(source: Path | str) -> Path:
    """Find the file of a group table, downloading it when the source is a data set on the Hub.

    Args:
        source: A CSV file, or "owner/name" or "owner/name@revision", whose `TABLE_NAME` is meant. What exists here or
            ends in .csv is a file.

    Raises:
        DataError: If the repository or its table cannot be had.
    """
    place = _hub_place(source)
    if place is None:
        return Path(source)
    return download_file(
        place[0],
        TABLE_NAME,
        here="a file",
        there="a data set",
        lacking="give a data set made by scripts/push_dataset.py",
        error=DataError,
        repo_type="dataset",
        revision=place[1],
    )


def file_digests(dataset: Dataset) -> list[str]:
    """Hash the files of a data set, one after the other: SHA-256 in hexadecimal.

    Args:
        dataset: With the column image.

    Raises:
        DataError: If a file cannot be read.
    """
    digests = []
    for row in dataset.select_columns(["image"]).cast_column("image", ImageFeature(decode=False)):
        content, path = row["image"]["bytes"], row["image"]["path"]
        try:
            digests.append(hashlib.sha256(Path(path).read_bytes() if content is None else content).hexdigest())
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}); check the file") from error
    return digests


def differences(by_file: Mapping[str, Mapping[str, str]], dataset: Dataset, *, whole: bool) -> str:
    """Say how the files of a data set differ from those that a table describes; "" if they do not.

    Args:
        by_file: File -> row of the table; a row without a hash fits any content.
        dataset: From `load_smears`.
        whole: Whether a file that the data set lacks is a difference.
    """
    digests = dict(zip(dataset["path"], file_digests(dataset), strict=True))
    known = [path for path in digests if path in by_file]
    found = {
        "with other content": [path for path in known if by_file[path].get("sha256") not in (None, "", digests[path])],
        "without a row": [path for path in digests if path not in by_file],
        "missing here": [path for path in by_file if path not in digests] if whole else [],
    }
    return ", ".join(f"{len(files)} {what} (for one {min(files)})" for what, files in found.items() if files)


def _hub_place(source: Path | str) -> tuple[str, str | None] | None:
    if isinstance(source, Path) or source.endswith(".csv") or Path(source).exists():
        return None
    found = re.fullmatch(rf"({HUB_NAME})(?:@(\S+))?", source)
    return (found[1], found[2]) if found else None
