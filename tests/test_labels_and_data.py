"""Labels follow the class order whatever the layout on disk; anything doubtful is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage

from leuk_hf.data import (
    FROM_FOLDERS,
    _drop_unreadable,
    _from_hub,
    class_names_of,
    load_smears,
    read_image,
    without_decoding,
)
from leuk_hf.errors import DataError
from leuk_hf.labels import CLASS_FOLDERS, CLASS_NAMES, canonical_class_name

COLOURS = ((200, 10, 10), (10, 200, 10), (10, 10, 200), (200, 200, 10), (10, 200, 200), (200, 10, 200))
DISTRACTOR = (0, 0, 0)

KAGGLE = ("Benign", "Early", "Pre", "Pro")
MALIGNANT = ("Benign", "[Malignant] early Pre-B", "[Malignant] Pre-B", "[Malignant] Pro-B")
MULTI_CANCER = ("all_benign", "all_early", "all_pre", "all_pro")
LOWER = ("benign", "early", "pre", "pro")

# Where the class folders lie, their names in index order, and folders that must not be read.
LAYOUTS = {
    "original": ("Original", KAGGLE, [f"Segmented/{name}" for name in KAGGLE]),
    "malignant": ("Blood cell Cancer [ALL]", MALIGNANT, []),
    "multi cancer": (
        "Multi Cancer/Multi Cancer/ALL",
        MULTI_CANCER,
        ["Multi Cancer/Multi Cancer/Breast Cancer/breast_benign", "Multi Cancer/Multi Cancer/Lymphoma/lymph_cll"],
    ),
    "lower case": ("original", LOWER, [f"segmented/{name}" for name in LOWER]),
    "test in the path": ("test/train", KAGGLE, []),
    "white cells": ("data", ("WBC-Benign", "WBC-Malignant-Early", "WBC-Malignant-Pre", "WBC-Malignant-Pro"), []),
}


def write_flat(folder: Path, colour: tuple[int, int, int], *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        PILImage.new("RGB", (20, 20), colour).save(folder / name)


def write_classes(base: Path, names, files=("a.png", "eval_1.png", "test_2.png")) -> Path:
    for name, colour in zip(names, COLOURS, strict=False):
        write_flat(base / name, colour, *files)
    return base


def assert_colours_match_labels(dataset: Dataset) -> None:
    assert [row["image"].getpixel((3, 3)) for row in dataset] == [COLOURS[label] for label in dataset["label"]]


def assert_one_sentence(message: str, *parts: str) -> None:
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_original_beside_segmented_is_not_taken_for_classes(tmp_path):
    for kind in ("Original", "Segmented"):
        write_classes(tmp_path / kind, KAGGLE)
    with pytest.raises(DataError, match="Original beside Segmented"):
        load_smears(tmp_path, class_names="folders")
    (tmp_path / "Segmented").rename(tmp_path / "Other")
    with pytest.raises(DataError, match="holds folders, not images"):
        load_smears(tmp_path, class_names="folders")


def test_class_order_is_fixed():
    assert CLASS_NAMES == ("Benign", "Early Pre-B", "Pre-B", "Pro-B")
    assert [CLASS_FOLDERS[name] for name in CLASS_NAMES] == list(KAGGLE)


@pytest.mark.parametrize("folders", [KAGGLE, MALIGNANT, MULTI_CANCER, LOWER, CLASS_NAMES])
def test_every_known_folder_name_has_its_class(folders):
    assert tuple(canonical_class_name(folder) for folder in folders) == CLASS_NAMES


@pytest.mark.parametrize(
    "folder",
    ["breast_benign", "ALL", "all", "Malignant", "[Malignant]", "Segmented", "Original", "", "T-ALL", "Prob2"],
)
def test_other_folder_names_have_no_class(folder):
    assert canonical_class_name(folder) is None


@pytest.mark.parametrize("given", ["class folders", "parent"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_match_the_images_in_every_layout(tmp_path, layout, given):
    base, names, distractors = LAYOUTS[layout]
    write_classes(tmp_path / base, names)
    for distractor in distractors:
        write_flat(tmp_path / distractor, DISTRACTOR, "a.png", "other.png")
    (tmp_path / base / "metadata.csv").write_text("file_name,label\na.png,3\n", encoding="utf-8")
    dataset = load_smears(tmp_path / base if given == "class folders" else tmp_path)
    assert class_names_of(dataset) == CLASS_NAMES
    assert dataset["label"] == [index for index in range(4) for _ in range(3)]
    assert_colours_match_labels(dataset)
    assert dataset["path"] == [f"{name}/{file}" for name in names for file in ("a.png", "eval_1.png", "test_2.png")]


def test_segmented_images_are_read_when_asked_for_alone(tmp_path):
    write_classes(tmp_path / "Segmented", KAGGLE)
    write_classes(tmp_path / "Original", KAGGLE, files=("other.png",))
    dataset = load_smears(tmp_path / "Segmented")
    assert len(dataset) == 12
    assert not [path for path in dataset["path"] if "other" in path]


def test_images_in_folders_inside_a_class_count(tmp_path):
    write_classes(tmp_path, KAGGLE)
    write_flat(tmp_path / "Pro" / "patient 7", COLOURS[3], "x.PNG")
    dataset = load_smears(tmp_path)
    assert "Pro/patient 7/x.PNG" in dataset["path"]
    assert_colours_match_labels(dataset)


def test_hidden_files_and_archive_leftovers_are_left_out(tmp_path):
    write_classes(tmp_path / "Original", KAGGLE)
    write_flat(tmp_path / "__MACOSX" / "Original" / "Pre", DISTRACTOR, "a.png")
    (tmp_path / "Original" / "Pre" / "._a.png").write_bytes(b"not an image")
    (tmp_path / "Original" / "Pre" / "notes.txt").write_text("not an image", encoding="utf-8")
    assert len(load_smears(tmp_path)) == 12


def test_synthetic_smears_load(smear_folder):
    dataset = load_smears(str(smear_folder))
    assert dataset["label"] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert dataset[0]["image"].size == (48, 48)
    assert dataset["path"][0] == "Benign/synthetic-Benign-0001.png"


def test_a_relative_folder_with_one_slash_is_no_hub_id(tmp_path, monkeypatch):
    write_classes(tmp_path / "owner" / "name", KAGGLE)
    monkeypatch.chdir(tmp_path)
    assert len(load_smears("owner/name")) == 12


def test_undecoded_rows_read_as_in_serving(smear_folder):
    dataset = load_smears(smear_folder)
    decoded = read_image(without_decoding(dataset)[3])
    assert decoded.mode == "RGB"
    assert decoded.tobytes() == dataset[3]["image"].tobytes()


@pytest.mark.parametrize("names", [("10", "2"), ("b", "a", "c", "f", "e", "d")])
def test_own_classes_in_the_order_given(tmp_path, names):
    write_classes(tmp_path, names)
    dataset = load_smears(tmp_path, class_names=names)
    assert class_names_of(dataset) == names
    assert set(dataset["label"]) == set(range(len(names)))
    assert_colours_match_labels(dataset)


@pytest.mark.parametrize("ask", ["folders", FROM_FOLDERS, ["folders"]])
def test_own_classes_from_folders_in_natural_order(tmp_path, ask):
    names = ("2", "10", "stage 3", "stage 12")
    write_classes(tmp_path, names)
    dataset = load_smears(tmp_path, class_names=ask)
    assert class_names_of(dataset) == names
    assert_colours_match_labels(dataset)


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", "b", "c"), ("a", "missing")])
def test_own_classes_that_do_not_fit_the_folders(tmp_path, names):
    write_classes(tmp_path, ("a", "b"))
    with pytest.raises(DataError) as caught:
        load_smears(tmp_path, class_names=names)
    assert_one_sentence(str(caught.value), str(tmp_path))


def test_own_classes_leave_no_folder_out(tmp_path):
    write_classes(tmp_path, ("a", "b", "extra"))
    with pytest.raises(DataError, match="extra"):
        load_smears(tmp_path, class_names=("a", "b"))


def break_layout(base: Path, fault: str) -> str:
    """Spoil a good data set; gives what the error must name."""
    if fault == "mixed layouts":
        write_flat(base / "all_pro", COLOURS[3], "a.png")
        return "all_pro"
    if fault == "unknown folder":
        write_flat(base / "Basophils", DISTRACTOR, "a.png")
        return "Basophils"
    if fault == "loose image":
        write_flat(base, DISTRACTOR, "loose.jpg")
        return "loose.jpg"
    if fault == "nested class":
        write_flat(base / "Pre" / "Pro", COLOURS[3], "a.png")
        return "Pro"
    for file in (base / "Pro").iterdir():
        file.unlink()
    if fault == "missing class":
        (base / "Pro").rmdir()
        return "Pro-B"
    return str(base / "Pro")


@pytest.mark.parametrize(
    "fault", ["mixed layouts", "unknown folder", "loose image", "nested class", "missing class", "empty class"]
)
@pytest.mark.parametrize("given", ["class folders", "parent"])
def test_doubtful_layouts_are_refused_by_name(tmp_path, fault, given):
    base = write_classes(tmp_path / "Original", KAGGLE)
    named = break_layout(base, fault)
    with pytest.raises(DataError) as caught:
        load_smears(base if given == "class folders" else tmp_path)
    assert_one_sentence(str(caught.value), named)


def test_two_data_sets_in_one_folder_are_refused(tmp_path):
    write_classes(tmp_path / "one", KAGGLE)
    write_classes(tmp_path / "two", MULTI_CANCER)
    with pytest.raises(DataError) as caught:
        load_smears(tmp_path)
    assert_one_sentence(str(caught.value), str(tmp_path / "one"), str(tmp_path / "two"))


def test_a_folder_without_classes_is_refused(tmp_path):
    write_flat(tmp_path / "Monocyte", DISTRACTOR, "a.png")
    with pytest.raises(DataError) as caught:
        load_smears(tmp_path)
    assert_one_sentence(str(caught.value), str(tmp_path), "Monocyte")


@pytest.mark.parametrize("kind", [str, Path])
def test_a_missing_folder_is_named(tmp_path, kind):
    with pytest.raises(DataError) as caught:
        load_smears(kind(tmp_path / "nowhere"))
    assert_one_sentence(str(caught.value), str(tmp_path / "nowhere"), "does not exist")


def test_a_file_is_no_data_set(tmp_path):
    write_flat(tmp_path, DISTRACTOR, "a.png")
    with pytest.raises(DataError, match=r"a\.png is a file"):
        load_smears(tmp_path / "a.png")


def test_unreadable_files_are_listed_and_skipped_only_when_asked(tmp_path):
    write_classes(tmp_path, KAGGLE)
    (tmp_path / "Early" / "a.png").write_bytes(b"not an image")
    (tmp_path / "Pro" / "test_2.png").write_bytes((tmp_path / "Pro" / "a.png").read_bytes()[:40])
    with pytest.raises(DataError) as caught:
        load_smears(tmp_path)
    assert_one_sentence(str(caught.value), "2 unreadable", "Early/a.png", "Pro/test_2.png")
    dataset = load_smears(tmp_path, skip_unreadable=True)
    assert np.bincount(dataset["label"]).tolist() == [3, 2, 3, 2]
    assert_colours_match_labels(dataset)
    assert_one_sentence(dataset.info.description, "2 unreadable", "Early/a.png", "Pro/test_2.png")


def test_a_class_of_unreadable_files_is_refused(tmp_path):
    write_classes(tmp_path, KAGGLE, files=("a.png",))
    (tmp_path / "Early" / "a.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"Early/a\.png"):
        load_smears(tmp_path, skip_unreadable=True)


def test_kaggle_without_network_is_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("kagglehub")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        address = "" if name == "NO_PROXY" else "http://127.0.0.1:9"  # nothing listens on the discard port
        monkeypatch.setenv(name, address)
        monkeypatch.setenv(name.lower(), address)
    with pytest.raises(DataError) as caught:
        load_smears("kaggle:mehradaria/leukemia")
    assert_one_sentence(str(caught.value), "kaggle:mehradaria/leukemia", "check the network")


def test_a_wrong_kaggle_handle_is_refused():
    with pytest.raises(DataError, match="kaggle:leukemia is not a Kaggle data set"):
        load_smears("kaggle:leukemia")


def test_hub_without_network_is_one_sentence():
    with pytest.raises(DataError) as caught:
        load_smears("nobody/nothing")
    assert_one_sentence(str(caught.value), "nobody/nothing", "check the name and the network")


def write_hub_data_set(folder: Path, names, labels, colours=None) -> str:
    """Write a data set as the Hub holds it: a Parquet file with image, label and nothing else."""
    columns = {
        "image": [
            colour and PILImage.new("RGB", (20, 20), colour) for colour in colours or [DISTRACTOR] * len(labels)
        ],
        "label": labels,
    }
    features = Features({"image": Image(), "label": ClassLabel(names=list(names)) if names else Value("int64")})
    folder.mkdir()
    Dataset.from_dict(columns, features=features).to_parquet(str(folder / "train.parquet"))
    return str(folder)


def test_hub_labels_are_put_in_class_order(tmp_path):
    names = ("Pro", "Pre", "Early", "Benign")
    source = write_hub_data_set(tmp_path / "set", names, [0, 1, 2, 3], [COLOURS[index] for index in (3, 2, 1, 0)])
    dataset = _from_hub(source, None, None, None)
    assert class_names_of(dataset) == CLASS_NAMES
    assert dataset["label"] == [3, 2, 1, 0]
    assert_colours_match_labels(dataset)
    assert len(set(dataset["path"])) == 4


def test_hub_labels_keep_their_order_when_taken_from_the_data_set(tmp_path):
    source = write_hub_data_set(tmp_path / "set", ("b", "a"), [1, 0], [COLOURS[1], COLOURS[0]])
    dataset = _from_hub(source, FROM_FOLDERS, None, None)
    assert class_names_of(dataset) == ("b", "a")
    assert_colours_match_labels(dataset)


@pytest.mark.parametrize("names", [("Benign", "Early", "Pre"), ("a", "b", "c", "d"), None])
def test_hub_data_sets_with_other_columns_or_classes_are_refused(tmp_path, names):
    source = write_hub_data_set(tmp_path / "set", names, [0, 1])
    with pytest.raises(DataError) as caught:
        _from_hub(source, None, None, None)
    assert_one_sentence(str(caught.value), source)


def test_hub_rows_without_an_image_are_listed(tmp_path):
    colours = [*COLOURS[:4], None]
    source = write_hub_data_set(tmp_path / "set", KAGGLE, [0, 1, 2, 3, 3], colours)
    dataset = _from_hub(source, None, None, None)
    with pytest.raises(DataError) as caught:
        _drop_unreadable(dataset, source, skip=False, progress=False)
    assert_one_sentence(str(caught.value), "1 unreadable", dataset["path"][4])
    assert len(_drop_unreadable(dataset, source, skip=True, progress=False)) == 4


def test_hub_data_sets_that_mix_segmented_images_are_refused(tmp_path):
    features = Features({"image": Image(decode=False), "label": ClassLabel(names=list(KAGGLE))})
    (tmp_path / "set").mkdir()
    content = {"bytes": b"never decoded"}
    images = [{**content, "path": f"{kind}/Pre/a.png"} for kind in ("Original", "Segmented")]
    Dataset.from_dict({"image": images, "label": [2, 2]}, features=features).to_parquet(
        str(tmp_path / "set" / "train.parquet")
    )
    with pytest.raises(DataError, match="mixes Original and Segmented"):
        _from_hub(str(tmp_path / "set"), None, None, None)


def test_hub_rows_without_a_label_are_refused(tmp_path):
    source = write_hub_data_set(tmp_path / "set", KAGGLE, [0, 1, 2, 3, -1])  # -1 marks hidden test labels
    with pytest.raises(DataError) as caught:
        _from_hub(source, None, None, None)
    assert_one_sentence(str(caught.value), source)
