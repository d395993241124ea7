"""Which fields belong together: exact copies, overlapping fields of view, acquisition sessions; the group table.

Shared contract: a group is what must not cross the parts of a split: fields linked, directly or through others, as
copies or as showing the same place. An acquisition is one session at the microscope, as far as it shows. Both are
inferred from pixels and file names, because the data set has no patient or slide ids. Nothing depends on the order
of the fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf import annotation, annotation_search, cell_network, cells, field_measures, overlap_features, overlaps
from leuk_hf.acquisitions import infer_acquisitions
from leuk_hf.data import class_names_of, read_image, without_decoding
from leuk_hf.group_table import FieldRecord, with_splits
from leuk_hf.journal import Journal

_MEASURED_BY = (
    annotation,
    annotation_search,
    cell_network,
    cells,
    field_measures,
)  # new code of theirs voids the old cache


@dataclasses.dataclass(frozen=True)
class Groups:
    """A group table and how it came about.

    Args:
        records: One per field, in the order of the data set.
        links: Overlaps, as indices into `records`.
        stretched: Names of the classes that are nearly one session, cut into stretches by acquisition.
        brightness: Mean luma of each field, float (N,) in [0, 255].
    """

    records: tuple[FieldRecord, ...]
    links: tuple[overlaps.Overlap, ...]
    stretched: tuple[str, ...]
    brightness: np.ndarray


def find_groups(dataset: Dataset, *, cache: Path | None = None, seed: int = 0, progress: bool = False) -> Groups:
    """Measure every field, link what shows the same place, infer sessions, and split.

    Args:
        dataset: From `load_smears`.
        cache: Folder of what was found so far: a second call, or one after an interruption, goes on from there.
        seed: Of the splits.
        progress: Show bars.

    Raises:
        ImageError: If a field cannot be read.
    """
    rows, names = without_decoding(dataset), class_names_of(dataset)
    paths, labels = list(dataset["path"]), list(dataset["label"])
    measures = Journal(cache and cache / "fields.jsonl")
    code = _digest_of_code(*_MEASURED_BY, sys.modules[__name__])

    def look(index: int) -> tuple[dict[str, Any], overlap_features.FieldFeatures]:
        return _look(rows[index], measures, code)

    # Two threads: OpenCV lets go of the interpreter, and there may be no more cores.
    with ThreadPoolExecutor(max_workers=2) as pool:
        bar = tqdm(pool.map(look, range(len(rows))), total=len(rows), desc="Measuring", unit="field",
                   disable=not progress)  # fmt: skip
        seen, features = zip(*bar, strict=True)
    links = overlaps.find_overlaps(
        features, progress=progress, verified=_Verified(Journal(cache and cache / "pairs.jsonl"))
    )
    pairs = [(link.first, link.second) for link in links]
    group = connected([entry["pixels"] for entry in seen], pairs, paths)
    # Across annotations: the same slide under two camera programs must not be trained on and tested.
    sessions = infer_acquisitions(
        [entry["measures"] for entry in seen],
        paths,
        labels,
        [entry["annotation"] for entry in seen],
        across_annotations=True,
    )
    records = [
        FieldRecord(
            file=path,
            sha256=entry["sha256"],
            label=names[label],
            group=int(number),
            acquisition=session,
            annotation=entry["annotation"],
            leukocytes=entry["leukocytes"],
            sharpness=entry["sharpness"],
        )
        for path, label, entry, number, session in zip(paths, labels, seen, group, sessions, strict=True)
    ]
    filled, stretched = with_splits(records, labels, seed=seed)
    brightness = np.array([entry["brightness"] for entry in seen])
    return Groups(tuple(filled), tuple(links), tuple(names[index] for index in stretched), brightness)


def connected(copies: Sequence[str], pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> np.ndarray:
    """Number the connected components of fields that are equal or linked.

    Args:
        copies: Hash of each field's pixels.
        pairs: Linked fields.
        names: Decide the numbering: the component of the smallest name is 0.

    Returns:
        int (N,).
    """
    parent = list(range(len(names)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_with: dict[str, int] = {}
    same = [(index, first_with.setdefault(digest, index)) for index, digest in enumerate(copies)]
    for one, other in [*same, *pairs]:
        parent[root(one)] = root(other)
    numbers: dict[int, int] = {}
    result = np.zeros(len(names), dtype=np.int64)
    for index in sorted(range(len(names)), key=lambda index: names[index]):
        result[index] = numbers.setdefault(root(index), len(numbers))
    return result


def _look(row: dict[str, Any], measures: Journal, code: str) -> tuple[dict[str, Any], overlap_features.FieldFeatures]:
    encoded = row["image"]
    content = encoded["bytes"] if encoded["bytes"] is not None else Path(encoded["path"]).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    image = read_image(row)
    ink = annotation.find_annotations(image)
    mask = annotation.cover_of(ink, (image.height, image.width))
    key = f"{digest} {code}"
    if key not in measures:
        measures[key] = {"sha256": digest, **_measure(image, annotation.annotation_style(ink), mask)}
    return measures[key], overlap_features.describe_field(image, mask)


def _measure(image: Image.Image, style: str, ink: np.ndarray) -> dict[str, Any]:
    pixels = np.asarray(image)
    luma = cv2.cvtColor(cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return {
        "pixels": hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest(),
        "annotation": style,
        "leukocytes": len(cells.find_leukocytes(image)),
        "sharpness": round(float(cv2.Laplacian(luma, cv2.CV_64F).var()), 4),
        "brightness": round(float(luma.mean()), 4),
        "measures": field_measures.measure_field(pixels, ink),
    }


def _digest_of_code(*modules: ModuleType) -> str:
    code = b"".join(Path(module.__file__).read_bytes() for module in modules if module.__file__)
    return hashlib.sha256(code).hexdigest()[:16]


class _Verified(MutableMapping[tuple[str, str], "overlaps.Overlap | None"]):
    """Verified pairs as `find_overlaps` keeps them, in a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._code = _digest_of_code(overlaps, overlap_features)

    def _key(self, key: tuple[str, str]) -> str:
        return f"{key[0]} {key[1]} {self._code}"

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and self._key(key) in self._journal

    def __getitem__(self, key: tuple[str, str]) -> overlaps.Overlap | None:
        stored = self._journal[self._key(key)]
        if stored is None:
            return None
        transform = tuple(tuple(line) for line in stored["transform"])
        return overlaps.Overlap(**{**stored, "transform": transform, "shift": tuple(stored["shift"])})

    def __setitem__(self, key: tuple[str, str], value: overlaps.Overlap | None) -> None:
        self._journal[self._key(key)] = None if value is None else dataclasses.asdict(value)

    def __delitem__(self, key: tuple[str, str]) -> None:
        raise TypeError("verified pairs are not taken back")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        raise TypeError("verified pairs are looked up, not listed")

    def __len__(self) -> int:
        return len(self._journal)
