"""Sources of labelled fields -> one `datasets.Dataset`.

Shared contract: columns are image (PIL RGB when read), label (`ClassLabel` in index order) and path (a name
that stays the same wherever the data set lies). Labels are never taken from datasets' own guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, concatenate_datasets, load_dataset
from datasets import Image as ImageFeature
from datasets.exceptions import DatasetNotFoundError
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf.errors import DataError, ImageError
from leuk_hf.folders import find_files
from leuk_hf.group_source import read_groups
from leuk_hf.hub_files import refusal, refused_error
from leuk_hf.image_io import load_image
from leuk_hf.labels import CLASS_NAMES, canonical_class_name

FROM_FOLDERS = ("folders",)
_GROUP_COLUMNS = ("group", "acquisition", "split_random", "split_grouped", "split_acquisition")


def load_smears(
    source: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    split: str | None = None,
    revision: str | None = None,
    groups: str | Path | None = None,
    skip_unreadable: bool = False,
    progress: bool = False,
) -> Dataset:
    """Load labelled fields from a folder, from Kaggle or from the Hub.

    Args:
        source: A folder in any of the known layouts, "kaggle:owner/slug" (or "kaggle:owner/slug/versions/N"),
            or the id of a Hub data set ("owner/name") with the columns image and label.
        class_names: None for the four classes; `FROM_FOLDERS` (or "folders") for the folder names in natural
            order; or the names in index order.
        split: Of a Hub data set; by default all its splits one after the other.
        revision: Of a Hub data set.
        groups: Group table whose columns group, acquisition, split_random, split_grouped and split_acquisition, as far
            as it has them, are added as text: a CSV file, or "owner/name@revision" of a Hub data set that
            scripts/push_dataset.py made, which must describe these very files.
        skip_unreadable: Leave unreadable images out (their names are in `dataset.info.description`) instead of
            raising.
        progress: Show a bar while the images are checked.

    Returns:
        Columns image, label, path, and those of groups; for folders sorted by label and path.

    Raises:
        DataError: One sentence naming the folder, class, table or files at fault.
    """
    names = (class_names,) if isinstance(class_names, str) else tuple(class_names) if class_names else None
    text = str(source)
    if text.startswith("kaggle:"):
        dataset = _from_folder(_download_kaggle(text.removeprefix("kaggle:")), names)
    elif isinstance(source, Path) or not _is_hub_id(text) or Path(text).exists():
        try:
            folder = Path(source).expanduser()
            dataset = _from_folder(folder, names)
        except (OSError, RuntimeError) as error:
            raise DataError(f"{text} cannot be read as a folder ({error}); check the path") from error
    else:
        dataset = _from_hub(text, names, split, revision)
    dataset = _drop_unreadable(dataset, text, skip=skip_unreadable, progress=progress)
    if groups is not None:
        rows = read_groups(groups, dataset, whole=True)
        for name in (name for name in _GROUP_COLUMNS if name in rows[0]):
            dataset = dataset.add_column(name, [row[name] or "" for row in rows], feature=Value("string"))
    return dataset


def read_image(row: dict[str, Any], *, reduce_to: int | None = None) -> Image.Image:
    """Decode one undecoded row by `load_image`, the code path of serving.

    Args:
        row: Of a data set whose image column was cast by `without_decoding`.
        reduce_to: As for `load_image`.

    Raises:
        ImageError: If the image cannot be used.
    """
    encoded = row["image"]
    if encoded is None:
        raise ImageError(f"{row['path']} has no image")
    content = encoded["bytes"]
    return load_image(content if content is not None else encoded["path"], name=row["path"], reduce_to=reduce_to)


def without_decoding(dataset: Dataset) -> Dataset:
    """Give the same data set with the image column as {"path", "bytes"}, for `read_image`."""
    return dataset.cast_column("image", ImageFeature(decode=False))


def class_names_of(dataset: Dataset) -> tuple[str, ...]:
    """Name the classes of a data set in index order."""
    return tuple(dataset.features["label"].names)


def _is_hub_id(text: str) -> bool:
    return text.count("/") == 1 and not text.startswith((".", "/", "~")) and "\\" not in text and ":" not in text


def _from_folder(root: Path, class_names: tuple[str, ...] | None) -> Dataset:
    names, files = find_files(root, class_names)
    return Dataset.from_dict(
        {
            "image": [str(path.resolve()) for path, _ in files],
            "label": [label for _, label in files],
            # From the class folder down: the same on every machine and under every parent folder.
            "path": _stable_names([path for path, _ in files], root),
        },
        features=_features(names),
    )


def _stable_names(paths: list[Path], root: Path) -> list[str]:
    relative = [path.relative_to(root).parts for path in paths]
    shared = 0
    while len({parts[shared] for parts in relative}) == 1:
        shared += 1
    return ["/".join(parts[shared:]) for parts in relative]


def _features(names: Sequence[str]) -> Features:
    return Features(
        {"image": ImageFeature(mode="RGB"), "label": ClassLabel(names=list(names)), "path": Value("string")}
    )


def _download_kaggle(handle: str) -> Path:
    if handle.count("/") not in (1, 3):
        raise DataError(f"kaggle:{handle} is not a Kaggle data set; write kaggle:owner/slug")
    try:
        import kagglehub
    except ModuleNotFoundError:
        raise DataError("kagglehub is not installed; run: pip install kagglehub") from None
    try:
        return Path(kagglehub.dataset_download(handle))
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"kaggle:{handle} could not be downloaded ({reason}); check the network and your Kaggle credentials"
            " (kagglehub.login()), or download the archive in a browser and give its folder"
        ) from error


def _from_hub(repo_id: str, class_names: tuple[str, ...] | None, split: str | None, revision: str | None) -> Dataset:
    try:
        loaded = load_dataset(repo_id, split=split, revision=revision)
    except Exception as error:
        # A data set that is not there is a refusal behind it, too, but not the sentence that this one gets.
        if (refused := refusal(error)) is not None and not isinstance(error, DatasetNotFoundError):
            at = f" at revision {revision}" if revision else ""
            raise refused_error(repo_id, at, "the data", "a folder", refused, DataError, DataError) from error
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"{repo_id} is neither a folder here nor a data set that the Hub or the cache gives ({reason});"
            " check the name and the network, or run `hf auth login` if it is private"
        ) from error
    try:
        dataset = concatenate_datasets(list(loaded.values())) if isinstance(loaded, DatasetDict) else loaded
    except ValueError as error:
        raise DataError(f"{repo_id}: its splits differ in their columns; choose one split") from error
    label = dataset.features.get("label")
    if "image" not in dataset.features or not isinstance(label, ClassLabel):
        raise DataError(
            f"{repo_id} needs a column image and a class-label column label; it has {dataset.column_names}"
        )
    dataset = without_decoding(dataset)
    stored = [str((row or {}).get("path") or "") for row in dataset["image"]]
    if any("Segmented" in Path(path).parts for path in stored) and any(
        "Original" in Path(path).parts for path in stored
    ):
        raise DataError(f"{repo_id} mixes Original and Segmented images under the same labels; keep one of them")
    if class_names == FROM_FOLDERS:
        names, mapping = tuple(label.names), dict(enumerate(range(len(label.names))))
    else:
        names = class_names or CLASS_NAMES
        wanted: Callable[[str], str | None] = canonical_class_name if class_names is None else str
        if sorted(str(wanted(name)) for name in label.names) != sorted(names):
            raise DataError(f"{repo_id} has the classes {', '.join(label.names)}, not {', '.join(names)}")
        mapping = {index: names.index(str(wanted(name))) for index, name in enumerate(label.names)}
    if unlabelled := sum(index not in mapping for index in dataset["label"]):
        raise DataError(f"{repo_id} has {unlabelled} rows without a label; choose a split that has labels")
    columns = {
        "image": dataset["image"],
        "label": [mapping[index] for index in dataset["label"]],
        "path": dataset["path"]
        if "path" in dataset.column_names
        else [f"{repo_id}/{n:06d}" for n in range(len(dataset))],
    }
    if empty := [name for index, name in enumerate(names) if index not in set(columns["label"])]:
        raise DataError(f"{repo_id} has no images of {', '.join(empty)}; every class needs some")
    return Dataset.from_dict({key: list(values) for key, values in columns.items()}, features=_features(names))


def _drop_unreadable(dataset: Dataset, source: str, *, skip: bool, progress: bool) -> Dataset:
    encoded = without_decoding(dataset)

    def fault(index: int) -> str | None:
        try:
            read_image(encoded[index])
        except ImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(max_workers=4) as pool:
        checks = pool.map(fault, range(len(encoded)))
        bar = tqdm(checks, total=len(encoded), desc="Checking images", unit="image", disable=not progress)
        faults = {index: reason for index, reason in enumerate(bar) if reason}
    if not faults:
        return dataset
    listed = "; ".join(list(faults.values())[:10]) + ("; ..." if len(faults) > 10 else "")
    if not skip:
        raise DataError(
            f"{len(faults)} unreadable image(s) in {source}: {listed}. Mend them, or pass"
            " skip_unreadable (--skip-unreadable)"
        )
    kept = dataset.select([index for index in range(len(dataset)) if index not in faults])
    names = class_names_of(dataset)
    if len(set(kept["label"])) < len(names):
        raise DataError(f"a class of {source} has no readable image left: {listed}")
    kept.info.description = f"{len(faults)} unreadable image(s) skipped: {listed}"
    return kept
