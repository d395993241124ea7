"""A data set as a folder to publish: the group table and a card, and the images only where that is allowed.

Shared contract: the table says which files belong together and how they are split, and holds no pixel. Groups are
numbered anew, so that a patient's name used as a group stays here; names of files and acquisitions are published.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature

from leuk_hf.data import class_names_of, without_decoding
from leuk_hf.errors import DataError
from leuk_hf.files import replacing
from leuk_hf.group_source import TABLE_NAME, file_digests
from leuk_hf.group_table import split_columns

IMAGES = "data"  # folder of Parquet files
IMAGE_PATTERN = f"{IMAGES}/*.parquet"
_SHARD_BYTES = 200_000_000  # of images in one Parquet file, and so in memory
_MEASURED = "sharpness"  # a column that only scripts/prepare_data.py writes


@dataclasses.dataclass(frozen=True)
class DatasetTable:
    """What is published of a data set besides its images.

    Args:
        rows: One per field, in the order of the data set; the keys are the columns `table_features` names.
        class_names: In index order.
        stretched: Classes that are nearly one acquisition, so that the split by acquisition cuts them into stretches.
        seed: Of the splits.
        found: Whether leuk_hf found groups and acquisitions in the pixels; else they are the publisher's own.
    """

    rows: tuple[dict[str, Any], ...]
    class_names: tuple[str, ...]
    stretched: tuple[str, ...]
    seed: int
    found: bool


def table_features(class_names: Sequence[str]) -> Features:
    """Name and type the columns of the published table.

    Args:
        class_names: In index order.
    """
    return Features(
        {
            "file": Value("string"),
            "sha256": Value("string"),
            "label": ClassLabel(names=list(class_names)),
            "group": Value("int64"),
            "acquisition": Value("string"),
            "split_random": Value("string"),
            "split_grouped": Value("string"),
            "split_acquisition": Value("string"),
        }
    )


def image_features(class_names: Sequence[str]) -> Features:
    """Name and type the columns of the published images: those of the table, with the file's name as path.

    Args:
        class_names: In index order.
    """
    columns = dict(table_features(class_names))
    return Features(
        {"image": ImageFeature(), "label": columns.pop("label"), "path": columns.pop("file"), **columns},
    )


def make_table(dataset: Dataset, groups: Sequence[Mapping[str, str]], *, seed: int = 0) -> DatasetTable:
    """Make the table that is published.

    Args:
        dataset: From `load_smears`.
        groups: Its rows of a group table, from `read_groups`. Splits are computed anew.
        seed: Of the splits; with the seed of a training run they are that run's.

    Raises:
        DataError: If two fields share a name, or the group table is of other files.
    """
    paths, labels = list(dataset["path"]), list(dataset["label"])
    if len(set(paths)) < len(paths):
        raise DataError("two fields have the same path, so a table could not tell them apart; give each its own")
    digests = file_digests(dataset)
    pairs = zip(groups, digests, strict=True)
    if stale := [row["file"] for row, digest in pairs if (row.get("sha256") or digest) != digest]:
        raise DataError(
            f"the group table was made of other files: {len(stale)} have another content here, for one {stale[0]};"
            " make it anew with scripts/prepare_data.py"
        )
    names, numbers = class_names_of(dataset), _numbered(paths, [row["group"] for row in groups])
    sessions = [row.get("acquisition") or "" for row in groups]
    splits, stretched = split_columns(paths, labels, numbers, sessions, seed=seed)
    rows = tuple(
        {
            "file": path,
            "sha256": digests[row],
            "label": names[labels[row]],
            "group": numbers[row],
            "acquisition": sessions[row],
            **{name: values[row] for name, values in splits.items()},
        }
        for row, path in enumerate(paths)
    )
    found = all(_MEASURED in row for row in groups)
    return DatasetTable(rows, names, tuple(names[label] for label in stretched), seed, found)


def check_empty(folder: Path) -> None:
    """Refuse a folder that holds something, which would be published, too.

    Args:
        folder: Missing or empty.

    Raises:
        DataError: If it is neither.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty; give a new folder, for all of it would be published")


def write_folder(folder: Path, table: DatasetTable, card: str, *, images: Dataset | None = None) -> None:
    """Write the folder that is published.

    Args:
        folder: Missing or empty.
        table: From `make_table`.
        card: Markdown with its YAML block.
        images: The data set that the table was made of, to publish its images, byte for byte; by default none.

    Raises:
        DataError: If the folder holds something.
    """
    check_empty(folder)
    with replacing(folder / TABLE_NAME) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table_features(table.class_names)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table.rows)
    if images is not None:
        _write_images(folder / IMAGES, images, table)
    with replacing(folder / "README.md") as temporary:
        temporary.write_text(card, encoding="utf-8", newline="\n")


def _write_images(folder: Path, dataset: Dataset, table: DatasetTable) -> None:
    features = image_features(table.class_names)
    folder.mkdir()
    for number, (start, contents) in enumerate(_shards(dataset)):
        rows = table.rows[start : start + len(contents)]
        columns: dict[str, list[Any]] = {name: [row[name] for row in rows] for name in features if name in rows[0]}
        columns["path"] = [row["file"] for row in rows]
        columns["image"] = [
            {"bytes": content, "path": PurePosixPath(row["file"]).name}
            for row, content in zip(rows, contents, strict=True)
        ]
        columns["label"] = [table.class_names.index(row["label"]) for row in rows]
        with replacing(folder / f"{number:05d}.parquet") as temporary:
            Dataset.from_dict({name: columns[name] for name in features}, features=features).to_parquet(temporary)


def _shards(dataset: Dataset) -> Iterator[tuple[int, list[bytes]]]:
    """Read a data set's files shard by shard: the first row of each, and the files' bytes."""
    start, contents, size = 0, list[bytes](), 0
    for row in without_decoding(dataset):
        encoded = row["image"]
        contents.append(encoded["bytes"] if encoded["bytes"] is not None else Path(encoded["path"]).read_bytes())
        size += len(contents[-1])
        if size >= _SHARD_BYTES:
            yield start, contents
            start, contents, size = start + len(contents), [], 0
    if contents:
        yield start, contents


def _numbered(paths: Sequence[str], groups: Sequence[str]) -> list[int]:
    """Number groups from 0 in order of their files' names, as `FieldRecord` has them."""
    numbers: dict[str, int] = {}
    for row in sorted(range(len(paths)), key=lambda row: paths[row]):
        numbers.setdefault(groups[row], len(numbers))
    return [numbers[group] for group in groups]
