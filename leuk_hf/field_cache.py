"""Decoded and enhanced fields, made once and read by every epoch and run from a memory-mapped file.

Shared contract: a field is uint8 (H, W, 3), RGB, exactly what `Preprocessor.enhance` gives, in the order of the rows.
The file, fields.npy, is a NumPy array of records (pixels, CRC-32 of the pixels) without pickle, in a folder named
after everything that decides the pixels, so runs on the same data share it. It holds images, which may be patients':
only its owner may read it, and it goes with its folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
from datasets import Dataset
from huggingface_hub import cached_assets_path
from tqdm.auto import tqdm

from leuk_hf._version import __version__
from leuk_hf.data import read_image
from leuk_hf.errors import TrainingError
from leuk_hf.preprocessing import Preprocessor

_FORMAT = 1  # of the file; another one needs another folder
_CHUNK = 64  # fields in memory at once while the file is made
_ABANDONED_SECONDS = 3600  # a temporary file this old belongs to a process that was killed


class CachedFields:
    """Enhanced fields by row: `fields[row]` is uint8 (H, W, 3) and may be read-only.

    Args:
        path: A file written here, mapped into memory; or None.
        pixels: uint8 (N, H, W, 3) in memory instead.
        note: What the user should know about it; empty if nothing.
    """

    def __init__(self, path: Path | None, *, pixels: np.ndarray | None = None, note: str = "") -> None:
        self.path, self.note = path, note
        self._pixels: Any = pixels if path is None else _open(path)["pixels"]

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, row: int) -> np.ndarray:
        return self._pixels[row]

    def __getstate__(self) -> dict[str, Any]:
        # A worker process that is not forked maps the file itself instead of receiving its content.
        return {**self.__dict__, "_pixels": None if self.path is not None else self._pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.path is not None:
            self._pixels = _open(self.path)["pixels"]


def cached_fields(
    rows: Dataset, preprocessor: Preprocessor, *, folder: Path | None = None, progress: bool = False
) -> CachedFields:
    """Open the cache of a data set, making it if it is missing, damaged or out of date.

    Several processes may call this at once: a file is complete when it gets its name, and another one's is as good.

    Args:
        rows: Undecoded data set (`without_decoding`).
        preprocessor: Its `enhance` is cached; mean and std play no part.
        folder: Where caches are kept; by default the assets of the Hugging Face cache (`HF_ASSETS_CACHE`). If that
            cannot be written, the fields are kept in memory, and `note` says so.
        progress: Show a bar while the fields are made.

    Raises:
        ImageError: If an image cannot be used.
        TrainingError: If `folder` is given and cannot be written.
    """
    key = cache_key(rows, preprocessor)
    try:
        path = _locate(key, folder)
        if not _is_usable(path, rows, preprocessor):
            try:
                _write(path, rows, preprocessor, progress=progress)
            except OSError:
                # Windows lets nobody replace a file that another run, which was faster, has open.
                if not _is_usable(path, rows, preprocessor):
                    raise
        return CachedFields(path)
    except OSError as error:
        megabytes = -(-len(rows) * _record(preprocessor).itemsize // 10**6)
        reason = error.strerror or str(error)
        if folder is not None:
            raise TrainingError(
                f"the cache in {folder} cannot be written ({reason}); give a --cache folder with {megabytes} MB free"
            ) from error
    pixels = np.stack(list(_enhanced(rows, preprocessor, progress=progress)))
    note = (
        f"the preprocessed fields are kept in memory ({megabytes} MB in each process), for the Hugging Face cache"
        f" cannot be written ({reason}); --cache names another folder"
    )
    return CachedFields(None, pixels=pixels, note=note)


def remove_abandoned(folder: Path, pattern: str) -> None:
    """Delete the temporary files of processes that were killed long ago.

    Args:
        folder: Where they were written.
        pattern: Their names, for `Path.glob`.
    """
    for leftover in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _ABANDONED_SECONDS:
                leftover.unlink()


def cache_key(rows: Dataset, preprocessor: Preprocessor) -> str:
    """Name everything that decides the pixels: images, settings, versions. 32 hexadecimal digits.

    Args:
        rows: Undecoded data set; the content of its images counts, not their paths or labels.
        preprocessor: All of it but mean and std.
    """
    settings = {key: value for key, value in dataclasses.asdict(preprocessor).items() if key not in ("mean", "std")}
    versions = {"format": _FORMAT, "leuk_hf": __version__, "pillow": PIL.__version__, "opencv": cv2.__version__}
    digest = hashlib.sha256(json.dumps([settings, versions], sort_keys=True).encode())
    with ThreadPoolExecutor(_num_threads()) as pool:
        for content in pool.map(_digest, rows["image"]):
            digest.update(content)
    return digest.hexdigest()[:32]


def _digest(encoded: dict[str, Any] | None) -> bytes:
    if encoded is None:
        return bytes(32)
    content = encoded["bytes"]
    return hashlib.sha256(content if content is not None else Path(encoded["path"]).read_bytes()).digest()


def _locate(key: str, folder: Path | None) -> Path:
    try:
        return cached_assets_path("leuk_hf", "fields", key, assets_dir=folder) / "fields.npy"
    except ValueError as error:  # the Hub's library says so when a file is in the way
        raise NotADirectoryError(str(error)) from error


def _record(preprocessor: Preprocessor) -> np.dtype:
    size = preprocessor.image_size
    return np.dtype([("pixels", np.uint8, (size, size, 3)), ("crc32", "<u4")])


def _open(path: Path) -> np.ndarray:
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)  # a memmap is slower to index


def _is_usable(path: Path, rows: Dataset, preprocessor: Preprocessor) -> bool:
    """Tell whether a file is complete, undamaged and what this code makes, by remaking a few of its fields."""
    try:
        records = _open(path)
    except (OSError, ValueError, EOFError):
        return False
    if records.shape != (len(rows),) or records.dtype != _record(preprocessor):
        return False
    if any(zlib.crc32(record["pixels"].tobytes()) != record["crc32"] for record in records):
        return False
    sample = np.unique(np.linspace(0, len(rows) - 1, 4).astype(int)).tolist()
    return all(
        np.array_equal(made, records["pixels"][row])
        for row, made in zip(sample, _enhanced(rows.select(sample), preprocessor, progress=False), strict=True)
    )


def _write(path: Path, rows: Dataset, preprocessor: Preprocessor, *, progress: bool) -> None:
    remove_abandoned(path.parent, ".fields.*.npy")
    record = np.zeros((), _record(preprocessor))
    # Not named after the process: on a shared folder two machines may have the same numbers.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".fields.", suffix=".npy")
    temporary = Path(name)
    try:
        # Written, not mapped: a full disk is an error here and would kill the process there.
        with os.fdopen(handle, "wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(record.dtype), "fortran_order": False}
            np.lib.format.write_array_header_1_0(file, {**header, "shape": (len(rows),)})
            for field in _enhanced(rows, preprocessor, progress=progress):
                record["pixels"] = field
                record["crc32"] = zlib.crc32(field.tobytes())
                file.write(record.tobytes())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _enhanced(rows: Dataset, preprocessor: Preprocessor, *, progress: bool) -> Iterator[np.ndarray]:
    def enhance(row: dict[str, Any]) -> np.ndarray:
        image = read_image(row, reduce_to=preprocessor.sufficient_side)
        return np.asarray(preprocessor.enhance(image))

    # Decoding, resizing and equalising leave Python's lock, so threads share the work.
    with (
        ThreadPoolExecutor(_num_threads()) as pool,
        tqdm(total=len(rows), desc="Preparing fields", unit="field", disable=not progress) as bar,
    ):
        for start in range(0, len(rows), _CHUNK):
            for field in pool.map(enhance, rows.select(range(start, min(start + _CHUNK, len(rows))))):
                yield field
                bar.update()


def _num_threads() -> int:
    return min(32, os.cpu_count() or 1)
