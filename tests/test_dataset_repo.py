"""Publishing a data set: the table by value, images only by right, a card of what is there, identical splits."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import ClassLabel, load_dataset
from datasets import Image as ImageFeature
from huggingface_hub import DatasetCard, DatasetCardData
from PIL import Image

from leuk_hf import dataset_repo
from leuk_hf.data import load_smears
from leuk_hf.dataset_card import Statement, check_permission, facts_of, render_dataset_card
from leuk_hf.dataset_repo import make_table, write_folder
from leuk_hf.errors import DataError
from leuk_hf.group_source import differences, locate_groups, read_groups
from leuk_hf.group_table import parts_by_protocol, session_folds
from leuk_hf.hub_cards import is_unedited
from leuk_hf.labels import CLASS_FOLDERS, CLASS_NAMES
from leuk_hf.splits import PARTS
from leuk_hf.synthetic import write_smears

SCRIPT = Path(__file__).parent.parent / "scripts" / "push_dataset.py"
COLUMNS = ["file", "sha256", "label", "group", "acquisition", "split_random", "split_grouped", "split_acquisition"]
OWN = Statement("ada/fields", origin="Drawn by a program", grouped_by="patient")
MIT = Statement("ada/fields", origin="Drawn by a program", grouped_by="patient", permission="MIT, drawn by us")


def write_patients(path: Path, folder: Path) -> Path:
    """Write a group table of one's own: two neighbours belong to a patient, each class has four sessions."""
    lines = ["file,group,acquisition"]
    for class_folder in CLASS_FOLDERS.values():
        files = sorted((folder / class_folder).iterdir())
        for number, file in enumerate(files):
            patient = f"Jane Roe {class_folder} {number // 2}"
            lines.append(f"{class_folder}/{file.name},{patient},day {number // 4}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_smears(folder / "smears", fields_per_class=16, seed=0, image_size=48)
    write_patients(folder / "patients.csv", folder / "smears")
    return folder


@pytest.fixture(scope="module")
def dataset(home):
    return load_smears(home / "smears")


@pytest.fixture(scope="module")
def table(home, dataset):
    return make_table(dataset, read_groups(home / "patients.csv", dataset))


@pytest.fixture(scope="module")
def published(home, dataset, table):
    write_folder(home / "table", table, render_dataset_card(table, OWN))
    write_folder(home / "images", table, render_dataset_card(table, MIT), images=dataset)
    return home


def rows_in(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def card_data(folder):
    """Read a card's YAML as huggingface_hub understands it."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    data = DatasetCardData(**yaml.safe_load(text.split("---\n")[1]))
    assert DatasetCard(text).data.to_dict() == data.to_dict()
    return data


@pytest.fixture(scope="module")
def script():
    specification = importlib.util.spec_from_file_location("push_dataset_script", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # a dataclass looks its module up
    specification.loader.exec_module(module)
    return module


# The table.


def test_the_table_by_value_without_a_patient_or_a_pixel(published):
    folder = published / "table"
    assert sorted(path.name for path in folder.rglob("*")) == ["README.md", "groups.csv"]
    rows = rows_in(folder / "groups.csv")
    assert list(rows[0]) == COLUMNS and len(rows) == 64
    for number, row in enumerate(rows):
        path = published / "smears" / row["file"]
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["label"] == CLASS_NAMES[number // 16] and CLASS_FOLDERS[row["label"]] == path.parent.name
        assert row["group"] == str(number // 2)  # from 0 in order of the files
        assert row["acquisition"] == f"day {number % 16 // 4}"
    for path in folder.iterdir():
        assert "Roe" not in path.read_text(encoding="utf-8")


def test_the_split_columns_are_the_splits_of_training(published, dataset):
    own = read_groups(published / "patients.csv", dataset)
    rows = rows_in(published / "table" / "groups.csv")
    for protocol in ("random", "grouped"):
        parts = parts_by_protocol(dataset, protocol, own)
        assert sum(map(len, parts.values())) == 64 and all(len(parts[part]) for part in PARTS)
        for part in PARTS:
            assert [row for row in range(64) if rows[row][f"split_{protocol}"] == part] == parts[part].tolist()
    folds, _ = session_folds(dataset, own)
    assert len(folds) == 4
    for number, parts in enumerate(folds):
        tested = [row for row in range(64) if rows[row]["split_acquisition"] == f"fold {number}"]
        assert tested == parts["test"].tolist() and len(tested) == 16


@pytest.mark.parametrize("protocol", ["random", "grouped", "acquisition"])
@pytest.mark.parametrize("seed", [0, 3])
def test_splits_through_the_table_are_identical(published, dataset, protocol, seed):
    own = read_groups(published / "patients.csv", dataset)
    through = read_groups(published / "table" / "groups.csv", dataset)
    expected = parts_by_protocol(dataset, protocol, own, fold=1, seed=seed)
    actual = parts_by_protocol(dataset, protocol, through, fold=1, seed=seed)
    assert {name: rows.tolist() for name, rows in actual.items()} == {
        name: rows.tolist() for name, rows in expected.items()
    }


def test_another_seed_gives_other_columns(home, dataset, table):
    other = make_table(dataset, read_groups(home / "patients.csv", dataset), seed=3)
    assert other.rows != table.rows
    assert [row["group"] for row in other.rows] == [row["group"] for row in table.rows]


def test_a_table_without_acquisitions_has_no_split_by_them(published, dataset):
    rows = [{"file": path, "group": str(number)} for number, path in enumerate(dataset["path"])]
    table = make_table(dataset, rows)
    assert {row["acquisition"] for row in table.rows} == {row["split_acquisition"] for row in table.rows} == {""}
    card = render_dataset_card(table, OWN)
    assert "| acquisition | none: too few groups, or no acquisitions | 16 | 16 | 16 | 16 |" in card
    assert "| Benign | 16 | 16 | not known |" in card and "**An acquisition**" not in card


def test_a_table_of_other_files_is_not_published(published, dataset):
    rows = [dict(row) for row in read_groups(published / "table" / "groups.csv", dataset)]
    rows[5]["sha256"] = rows[9]["sha256"] = "0" * 64
    with pytest.raises(
        DataError, match=r"2 have another content here, for one Benign/synthetic-Benign-0006\.png; make"
    ):
        make_table(dataset, rows)


def test_fields_of_one_name_cannot_be_published(dataset):
    twice = dataset.select([0, 1, 1])
    with pytest.raises(DataError, match="two fields have the same path"):
        make_table(twice, [{"file": path, "group": "0"} for path in twice["path"]])


# What is published, read by `datasets`.


def test_the_published_table_loads(published):
    loaded = load_dataset(str(published / "table"))
    assert list(loaded) == ["train"] and loaded["train"].column_names == COLUMNS
    assert loaded["train"].features["label"] == ClassLabel(names=list(CLASS_NAMES))
    assert loaded["train"]["label"] == [number // 16 for number in range(64)]
    assert loaded["train"]["group"] == [number // 2 for number in range(64)]


def test_the_published_images_load_with_identical_pixels(published):
    assert sorted(path.name for path in (published / "images").rglob("*.*")) == [
        "00000.parquet", "README.md", "groups.csv"
    ]  # fmt: skip
    fields = load_dataset(str(published / "images"), split="train")
    assert fields.column_names == ["image", "label", "path", *COLUMNS[1:2], *COLUMNS[3:]]
    assert fields.features["image"] == ImageFeature()
    assert fields.features["label"] == ClassLabel(names=list(CLASS_NAMES))
    rows = rows_in(published / "images" / "groups.csv")
    assert rows == rows_in(published / "table" / "groups.csv")
    for field, row in zip(fields, rows, strict=True):
        with Image.open(published / "smears" / row["file"]) as image:
            assert np.array_equal(np.asarray(field["image"]), np.asarray(image))
        assert fields.features["label"].int2str(field["label"]) == row["label"]
        assert field["path"] == row["file"] and field["group"] == int(row["group"])
        for column in ("sha256", "acquisition", "split_random", "split_grouped", "split_acquisition"):
            assert field[column] == row[column]
    stored = fields.cast_column("image", ImageFeature(decode=False))[7]["image"]
    assert hashlib.sha256(stored["bytes"]).hexdigest() == rows[7]["sha256"]
    assert stored["path"] == "synthetic-Benign-0008.png"


def test_images_are_written_in_several_files_alike_each_time(published, dataset, table, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_repo, "_SHARD_BYTES", 100_000)
    for name in ("one", "two"):
        write_folder(tmp_path / name, table, render_dataset_card(table, MIT), images=dataset)
    files = sorted((tmp_path / "one" / "data").iterdir())
    assert [path.name for path in files][:2] == ["00000.parquet", "00001.parquet"]
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / "data" / path.name).read_bytes()
    fields = load_dataset(str(tmp_path / "one"), split="train")
    whole = load_dataset(str(published / "images"), split="train")
    assert fields["path"] == whole["path"] and fields["sha256"] == whole["sha256"]


# The card.


def test_the_card_of_a_table(published, table):
    data = card_data(published / "table").to_dict()
    assert data["task_categories"] == ["image-classification"] and data["size_categories"] == ["n<1K"]
    assert data["configs"] == [{"config_name": "default", "data_files": "groups.csv"}]
    assert "license" not in data and {"hematology", "leukemia"} <= set(data["tags"])
    text = (published / "table" / "README.md").read_text(encoding="utf-8")
    assert is_unedited(text) and "{{" not in text and "{%" not in text and "**There are no images here**" in text
    assert "| Pre-B | 16 | 8 | 4 |" in text and "| acquisition | fold 2 | 4 | 4 | 4 | 4 |" in text
    assert "32 groups;\n64 fields share theirs with another; most fields in one group: 2; 4 acquisitions." in text
    assert "what the publisher of this table says: patient." in text and "Drawn by a program" in text
    assert "Kaggle" not in text and "right to publish" not in text
    assert 'load_smears("leukemia", groups="ada/fields@COMMIT")' in text
    for protocol, part, counts in facts_of(table)["parts"]:
        own = [row for row in table.rows if row[f"split_{protocol}"] == part]
        assert counts == [sum(row["label"] == name for row in own) for name in CLASS_NAMES]
        assert f"| {protocol} | {part} | {' | '.join(map(str, counts))} |" in text


def test_the_card_of_images_quotes_the_right_to_publish_them(published):
    assert card_data(published / "images").configs == [{"config_name": "default", "data_files": "data/*.parquet"}]
    text = (published / "images" / "README.md").read_text(encoding="utf-8")
    assert "\n> MIT, drawn by us\n" in text and "There are no images" not in text


def kaggle_table(folder):
    """Make the table of fields that are named as in the Kaggle archive."""
    write_smears(folder, fields_per_class=8, seed=1, image_size=48)
    for class_folder in CLASS_FOLDERS.values():
        kind = "Benign" if class_folder == "Benign" else f"Malignant-{class_folder}"
        for number, path in enumerate(sorted((folder / class_folder).iterdir())):
            path.rename(path.with_name(f"WBC-{kind}-{number + 1:03d}.jpg"))
    dataset = load_smears(folder)
    rows = [
        {
            "file": path,
            "group": path,
            "acquisition": "scan" if label == 3 else f"day {int(path[-5]) % 2}",
            "sharpness": "1",
        }
        for path, label in zip(dataset["path"], dataset["label"], strict=True)
    ]
    return make_table(dataset, rows)


def test_the_card_of_the_kaggle_set(tmp_path):
    table = kaggle_table(tmp_path / "leukemia")
    assert table.found and table.stretched == ("Pro-B",)
    for permission, license in (("", "odbl"), ("by letter of the authors", "other")):
        folder = tmp_path / license
        write_folder(folder, table, render_dataset_card(table, Statement("ada/fields", permission=permission)))
        assert card_data(folder).license == license
        text = (folder / "README.md").read_text(encoding="utf-8")
        assert "10.34740/KAGGLE/DSV/2175623" in text and "Contents: © Original Authors" in text
        assert "no patient ids" in text and "one hospital" in text
        assert "Pro-B is nearly one continuous scan" in text
        assert ("made of 32 fields, the archive has 3256" in text) == (not permission)
    assert "license_name: odbl-database-contents-c-original-authors" in text
    named = Statement("ada/fields", license="cc-by-4.0")
    assert DatasetCard(render_dataset_card(table, named)).data.license == "cc-by-4.0"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (Statement("ada/fields", grouped_by="patient"), "synthetic-Benign-0001.png is no file of the Kaggle set"),
        (Statement("ada/fields", origin="ours"), "the group table is your own; say for the card what a group is"),
        (Statement("fields", origin="ours", grouped_by="patient"), "'fields' cannot be a repository's name"),
    ],
)
def test_the_card_takes_nothing_for_granted(table, statement, message):
    with pytest.raises(DataError, match=message):
        render_dataset_card(table, statement)


# Refusals.


@pytest.mark.parametrize("permission", ["", "  ", "yes", "\n"])
def test_images_are_not_published_without_a_stated_right(permission):
    with pytest.raises(DataError, match="state it, as --i-may-publish-these-images"):
        check_permission(permission)


def test_a_folder_that_holds_something_is_not_published(published, table, tmp_path):
    (tmp_path / "scan.png").write_bytes(b"a patient's")
    with pytest.raises(DataError, match="is not empty; give a new folder"):
        write_folder(tmp_path, table, "card")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.png"]


def test_the_script_refuses_in_one_sentence_and_writes_nothing(home, tmp_path, script, capsys):
    common = ["--source", str(home / "smears"), "--groups", str(home / "patients.csv"), "--repo", "ada/fields"]
    common += ["--origin", "ours", "--grouped-by", "patient", "--dry-run", str(tmp_path / "out")]
    for arguments, message in (
        (["--images"], "error: images are published only by somebody who has the right to"),
        (["--i-may-publish-these-images", "MIT, ours"], "error: the right to publish images is stated, but none"),
        (["--seed", "-1"], "error: seed is -1; give a whole number from 0 to 4294967295"),
    ):
        assert script.main([*common, *arguments]) == 2
        printed = capsys.readouterr()
        assert printed.err.startswith(message) and len(printed.err.splitlines()) == 1 and not printed.out
    assert not (tmp_path / "out").exists()


def test_the_script_writes_the_folder_it_would_publish(published, tmp_path, script, capsys):
    common = ["--source", str(published / "smears"), "--groups", str(published / "patients.csv")]
    common += ["--repo", "ada/fields", "--origin", OWN.origin, "--grouped-by", OWN.grouped_by]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *common, "--dry-run", str(tmp_path / "table")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("64 fields in 32 groups, without images, written to ")
    assert done.stdout.endswith(f"hf upload ada/fields {tmp_path / 'table'} --repo-type dataset --private\n")
    images = ["--images", "--i-may-publish-these-images", MIT.permission, "--dry-run", str(tmp_path / "images")]
    assert script.main([*common, *images, "--no-private"]) == 0
    assert capsys.readouterr().out.endswith("--repo-type dataset\n")
    for kind in ("table", "images"):
        expected = sorted(path.relative_to(published / kind) for path in (published / kind).rglob("*"))
        assert sorted(path.relative_to(tmp_path / kind) for path in (tmp_path / kind).rglob("*")) == expected
        for name in (name for name in expected if (tmp_path / kind / name).is_file()):
            assert (tmp_path / kind / name).read_bytes() == (published / kind / name).read_bytes()


# Taking a table.


def test_load_smears_adds_the_columns_of_a_table(published, dataset):
    fields = load_smears(published / "smears", groups=published / "table" / "groups.csv")
    assert fields.column_names == ["image", "label", "path", "group", *COLUMNS[4:]]
    rows = rows_in(published / "table" / "groups.csv")
    for column in ("group", *COLUMNS[4:]):
        assert list(fields[column]) == [row[column] for row in rows]
    train = fields.filter(lambda part: part == "train", input_columns="split_grouped")
    assert list(train["path"]) == [row["file"] for row in rows if row["split_grouped"] == "train"]
    own = load_smears(published / "smears", groups=str(published / "patients.csv"))
    assert own.column_names == ["image", "label", "path", "group", "acquisition"]
    assert own[3]["group"] == "Jane Roe Benign 1" and own[3]["path"] == dataset[3]["path"]


def test_differences_are_said_in_one_sentence(published, tmp_path):
    folder = tmp_path / "smears"
    shutil.copytree(published / "smears", folder)
    by_file = {row["file"]: row for row in rows_in(published / "table" / "groups.csv")}
    assert differences(by_file, load_smears(folder), whole=True) == ""
    Image.new("RGB", (48, 48)).save(folder / "Pre" / "synthetic-Pre-0003.png")
    Image.new("RGB", (48, 48)).save(folder / "Pro" / "new.png")
    for name in ("Benign/synthetic-Benign-0002.png", "Early/synthetic-Early-0009.png"):
        (folder / name).unlink()
    changed = load_smears(folder)
    same = "1 with other content (for one Pre/synthetic-Pre-0003.png), 1 without a row (for one Pro/new.png)"
    assert differences(by_file, changed, whole=False) == same
    missing = "2 missing here (for one Benign/synthetic-Benign-0002.png)"
    assert differences(by_file, changed, whole=True) == f"{same}, {missing}"
    bare = {file: {"file": file, "group": "0"} for file in changed["path"]}  # a table may have no hashes
    assert differences(bare, changed, whole=True) == ""


def test_embedded_images_are_hashed_as_their_files_are(published):
    fields = load_dataset(str(published / "images"), split="train")
    by_file = {row["file"]: row for row in rows_in(published / "table" / "groups.csv")}
    assert differences(by_file, fields, whole=True) == ""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "png")
    by_file["Pro/synthetic-Pro-0016.png"]["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    assert differences(by_file, fields, whole=True) == "1 with other content (for one Pro/synthetic-Pro-0016.png)"


def test_a_file_goes_before_a_repository_of_its_name(published, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ada").mkdir()
    shutil.copy(published / "table" / "groups.csv", tmp_path / "ada" / "fields")
    assert locate_groups("ada/fields") == Path("ada/fields")
    assert [row["file"] for row in read_groups("ada/fields", dataset)] == dataset["path"]
    assert locate_groups("ada/missing.csv") == Path("ada/missing.csv")
    with pytest.raises(DataError, match=r"^ada/missing\.csv cannot be read as a group table"):
        read_groups("ada/missing.csv", dataset)
    # HF_HUB_OFFLINE is set for all tests.
    with pytest.raises(DataError, match=r"^ada/other at revision v1 is neither a file here nor in the cache"):
        read_groups("ada/other@v1", dataset)
    with pytest.raises(DataError, match=r"^'ada/a\.\.b' is neither a file here nor a valid Hub id"):
        read_groups("ada/a..b", dataset)
