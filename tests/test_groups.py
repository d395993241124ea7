"""Group table: what belongs together is found once, kept through interruptions, and obeyed by splits and training."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from PIL import Image

from leuk_hf import groups as groups_module
from leuk_hf import training_run, training_setup
from leuk_hf.data import load_smears
from leuk_hf.errors import DataError, TrainingError
from leuk_hf.group_report import summary_of, summary_table, write_report
from leuk_hf.group_source import read_groups
from leuk_hf.group_table import (
    COLUMNS,
    FieldRecord,
    parts_by_protocol,
    session_folds,
    with_splits,
    write_groups,
)
from leuk_hf.groups import Groups, connected, find_groups
from leuk_hf.journal import Journal
from leuk_hf.labels import CLASS_FOLDERS, CLASS_NAMES
from leuk_hf.synthetic import render_smear, write_smears
from leuk_hf.training import train
from leuk_hf.training_config import PLAIN

ROOT = Path(__file__).parent.parent
TINY = {"growth_rate": 4, "block_config": (1, 1, 1, 1), "image_size": 32, "batch_size": 4, "num_epochs": 2}


def assert_one_sentence(message: str, *words: str) -> None:
    assert len(message.strip().splitlines()) == 1
    for word in words:
        assert word in message


def dataset_of(*counts: int) -> Dataset:
    """Give paths and labels without images; numbers are in file order."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    features = Features({"label": ClassLabel(names=list(CLASS_NAMES[: len(counts)])), "path": Value("string")})
    paths = [f"class {label}/field-{row:04d}.jpg" for row, label in enumerate(labels)]
    return Dataset.from_dict({"label": labels, "path": paths}, features=features)


def rows_of(dataset: Dataset, group, acquisition) -> list[dict]:
    return [{"file": path, "group": group(row), "acquisition": acquisition(row)}
            for row, path in enumerate(dataset["path"])]  # fmt: skip


def write_table(path: Path, header: str, lines) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def table_in(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Journal.


def test_journal_keeps_entries_and_the_last_of_a_key(tmp_path):
    path = tmp_path / "new" / "kept.jsonl"
    journal = Journal(path)
    assert not path.parent.exists() and "a" not in journal
    journal["a"] = {"x": [1, None, "ü\n"]}
    journal["b"] = None
    journal["a"] = 3.5
    again = Journal(path)
    assert dict(again) == dict(journal) == {"a": 3.5, "b": None} and len(again) == 2
    with pytest.raises(TypeError):
        del again["a"]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_journal_ignores_a_line_cut_short_and_goes_on_behind_it(tmp_path, cut):
    path = tmp_path / "kept.jsonl"
    journal = Journal(path)
    for key in ("first", "second", "third"):
        journal[key] = {"value": key * 5}
    path.write_bytes(path.read_bytes()[:-cut])
    journal = Journal(path)
    assert set(journal) == {"first", "second"}
    journal["fourth"] = 4
    assert dict(Journal(path)) == {"first": {"value": "first" * 5}, "second": {"value": "second" * 5}, "fourth": 4}


def test_journal_survives_damage_and_names_an_unreadable_file(tmp_path):
    path = tmp_path / "kept.jsonl"
    path.write_bytes(b'\n\xff\xfe\x00\n5\n{"a": 1}\n[["list"], 1]\n["a", 1, 2]\nnull\n["good", 1]\n["a"')
    assert dict(Journal(path)) == {"good": 1}
    with pytest.raises(DataError) as caught:
        Journal(tmp_path)
    assert_one_sentence(str(caught.value), str(tmp_path), "remove it")


def test_journal_without_a_file_and_with_many_threads(tmp_path):
    memory, journal = Journal(None), Journal(tmp_path / "kept.jsonl")

    def put(number: int) -> None:
        memory[str(number)] = journal[str(number)] = "x" * number

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(300)))
    expected = {str(number): "x" * number for number in range(300)}
    assert dict(memory) == dict(journal) == dict(Journal(tmp_path / "kept.jsonl")) == expected


# Connected components.


def test_copies_and_chains_are_one_component():
    #        0    1    2    3    4    5    6
    copies = ["p", "q", "p", "r", "s", "t", "q"]
    numbers = connected(copies, [(3, 4), (5, 4), (4, 2)], list("gfedcba"))
    # a: f = 1 and 6; b: 5, 4, 3, 2 and 0
    assert numbers.tolist() == [1, 0, 1, 1, 1, 1, 0]
    assert connected(list("abc"), [], ["z", "x", "y"]).tolist() == [2, 0, 1]
    assert connected([], [], []).tolist() == []


def test_components_match_a_search_and_depend_on_no_order():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(2, 40))
        pairs = [tuple(pair) for pair in rng.integers(0, size, (rng.integers(0, size), 2)).tolist()]
        copies = [str(value) for value in rng.integers(0, 3 * size, size)]
        names = [f"{value:03d}" for value in rng.permutation(size)]
        numbers = connected(copies, pairs, names)
        linked = np.array([[a == b for b in copies] for a in copies])
        for one, other in pairs:
            linked[one, other] = linked[other, one] = True
        for _ in range(size):
            linked = (linked.astype(int) @ linked) > 0
        np.testing.assert_array_equal(numbers[:, None] == numbers[None, :], linked)
        firsts = [min(name for name, found in zip(names, numbers, strict=True) if found == number)
                  for number in range(numbers.max() + 1)]  # fmt: skip
        assert firsts == sorted(firsts)
        order = rng.permutation(size)
        place = np.argsort(order)
        moved = connected(
            [copies[row] for row in order],
            [(int(place[other]), int(place[one])) for one, other in reversed(pairs)],
            [names[row] for row in order],
        )
        np.testing.assert_array_equal(moved, numbers[order])


# The table.


def record(file: str, **changes) -> FieldRecord:
    values = {"sha256": "0" * 64, "label": "Benign", "group": 0, "acquisition": "0-1", "annotation": "none",
              "leukocytes": 3, "sharpness": 12.34567891}  # fmt: skip
    return FieldRecord(file, **{**values, **changes})


def test_table_round_trip(tmp_path):
    dataset = dataset_of(3, 2)
    names = list(dataset["path"])
    records = [record(name, group=number, acquisition='a, "b"') for number, name in enumerate(names)]
    path = tmp_path / "new" / "groups.csv"
    write_groups(path, records)
    assert [file.name for file in path.parent.iterdir()] == ["groups.csv"]
    assert path.read_bytes().count(b"\r") == 0
    rows = read_groups(path, dataset)
    assert tuple(rows[0]) == COLUMNS == (
        "file", "sha256", "label", "group", "acquisition", "annotation", "leukocytes", "sharpness", "split_random",
        "split_grouped", "split_acquisition",
    )  # fmt: skip
    assert [row["group"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[0]["sharpness"] == "12.3457" and rows[0]["acquisition"] == 'a, "b"'
    backwards = read_groups(path, dataset.select(range(4, 0, -1)))
    assert [row["file"] for row in backwards] == names[:0:-1]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_ones_own_table_needs_two_columns(tmp_path, mark):
    dataset = dataset_of(3)
    lines = [f"patient {row // 2},{name}" for row, name in enumerate(dataset["path"])]
    path = write_table(tmp_path / "own.csv", mark + "group,file", [*reversed(lines), "patient 9,elsewhere.jpg"])
    assert [row["group"] for row in read_groups(path, dataset)] == ["patient 0", "patient 0", "patient 1"]


def test_tables_that_miss_or_contradict_are_refused(tmp_path):
    dataset = dataset_of(4)
    names = list(dataset["path"])
    path = write_table(tmp_path / "own.csv", "file,group", [f"{names[0]},1", f"{names[3]},2"])
    with pytest.raises(DataError) as caught:
        read_groups(path, dataset)
    assert_one_sentence(str(caught.value), "no row for 2 fields", names[1], "prepare_data.py")
    path = write_table(tmp_path / "own.csv", "file,group", [f"{name},{name}" for name in names] + [f"{names[2]},x"])
    with pytest.raises(DataError) as caught:
        read_groups(path, dataset)
    assert_one_sentence(str(caught.value), names[2], "two groups")
    path = write_table(
        tmp_path / "own.csv", "file,group", [f"{names[0]},1", f"{names[1]},", names[2], f"{names[3]},2"]
    )
    with pytest.raises(DataError) as caught:
        read_groups(path, dataset)
    assert_one_sentence(str(caught.value), "no group for 2 fields", names[1])


@pytest.mark.parametrize(
    "content", [b"", b"file,patient\na,1\n", b"group\n1\n", b"\xff\xfe\x00\x01", b"file,group\n", b"\x00" * 50]
)
def test_files_that_are_no_table_are_refused(tmp_path, content):
    (tmp_path / "broken.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_groups(tmp_path / "broken.csv", dataset_of(2))
    assert_one_sentence(str(caught.value), "broken.csv", "group table")


def test_a_table_with_semicolons_or_backslashes_is_told_so(tmp_path):
    path = write_table(tmp_path / "own.csv", "file;group", ["a;1"])
    with pytest.raises(DataError) as caught:
        read_groups(path, dataset_of(2))
    told = "needs the columns file and group, separated by commas, and has file;group; save it with commas instead of"
    assert_one_sentence(str(caught.value), "own.csv is no group table", told)
    dataset = dataset_of(2)
    names = [name.replace("/", "\\") for name in dataset["path"]]
    path = write_table(tmp_path / "own.csv", "file,group", [f"{name},1" for name in names])
    with pytest.raises(DataError) as caught:
        read_groups(path, dataset)
    assert_one_sentence(str(caught.value), "no row for 2 fields", "; write folders with /, not with \\")


def test_a_missing_table_is_named(tmp_path):
    for path in (tmp_path / "absent.csv", str(tmp_path)):
        with pytest.raises(DataError, match="cannot be read as a group table"):
            read_groups(path, dataset_of(2))


def test_parts_by_every_protocol():
    dataset = dataset_of(80, 120)
    table = rows_of(dataset, lambda row: row // 3, lambda row: f"{row // 40}")  # groups cross sessions and classes
    group = np.array([row["group"] for row in table])
    parts = {
        protocol: parts_by_protocol(dataset, protocol, table) for protocol in ("random", "grouped", "acquisition")
    }
    for found in parts.values():
        assert list(found) == ["train", "validation", "calibration", "test"]
        assert all(np.array_equal(rows, np.sort(rows)) and len(rows) for rows in found.values())
    for protocol in ("random", "grouped"):
        assert sorted(np.concatenate(list(parts[protocol].values())).tolist()) == list(range(200))
    for protocol in ("grouped", "acquisition"):
        seen = [set(group[rows].tolist()) for rows in parts[protocol].values()]
        assert sum(map(len, seen)) == len(set.union(*seen))
    assert len(set(group[parts["random"]["test"]]) & set(group[parts["random"]["train"]])) > 5
    tested = {row // 40 for row in parts["acquisition"]["test"].tolist()}
    assert len(parts["acquisition"]["test"]) == 40 * len(tested)
    folds, stretched = session_folds(dataset, table)
    assert stretched == () and len(folds) == 2
    assert sorted(np.concatenate([found["test"] for found in folds]).tolist()) == list(range(200))
    np.testing.assert_array_equal(folds[0]["train"], parts["acquisition"]["train"])


def test_protocols_that_the_table_cannot_give_are_refused():
    dataset = dataset_of(40, 40)
    assert len(parts_by_protocol(dataset, "random", None)["test"]) == 16
    for protocol in ("grouped", "acquisition"):
        with pytest.raises(DataError) as caught:
            parts_by_protocol(dataset, protocol, None)
        assert_one_sentence(str(caught.value), protocol, "prepare_data.py")
    own = [{"file": path, "group": path} for path in dataset["path"]]
    with pytest.raises(DataError) as caught:
        parts_by_protocol(dataset, "acquisition", own)
    assert_one_sentence(str(caught.value), "no session", "column acquisition")
    with pytest.raises(DataError, match="no session"):
        session_folds(dataset, [*rows_of(dataset, str, lambda row: "1")[:-1], {"group": "1", "acquisition": ""}])


def test_split_columns_are_those_of_fold_0_or_empty():
    dataset = dataset_of(60, 100)
    records = [record(path, group=row // 2, acquisition="a" if row < 30 else "b" if row < 60 else "c")
               for row, path in enumerate(dataset["path"])]  # fmt: skip
    filled, stretched = with_splits(records, list(dataset["label"]), seed=3)
    assert stretched == (1,)  # all of class 1 is session c
    table = [dataclasses.asdict(row) for row in filled]
    for protocol in ("random", "grouped"):
        for part, rows in parts_by_protocol(dataset, protocol, table, seed=3).items():
            assert {filled[row].__getattribute__(f"split_{protocol}") for row in rows.tolist()} == {part}
    tested = parts_by_protocol(dataset, "acquisition", table, fold=1, seed=3)["test"].tolist()
    assert [row for row, field in enumerate(filled) if field.split_acquisition == "fold 1"] == tested
    assert [field.split_acquisition for field in filled].count("gap") == 10
    single = [dataclasses.replace(row, group=0) for row in records]
    empty, _ = with_splits(single, list(dataset["label"]), seed=3)
    assert {row.split_grouped for row in empty} == {""} and filled[0].split_random == empty[0].split_random
    shared = [dataclasses.replace(row, acquisition=row.acquisition.replace("c", "b")) for row in records]
    tangled, _ = with_splits(shared, list(dataset["label"]), seed=3)
    assert {row.split_acquisition for row in tangled} == {""}  # class 0 is dealt by session b, which is all of class 1
    few, _ = with_splits(records[:3], [0, 0, 0], seed=0)
    assert {(row.split_random, row.split_grouped, row.split_acquisition) for row in few} == {("", "", "")}


# Measuring a folder. Each class has two windows of one scene and three scenes of their own, Pre an exact copy besides
# and Pro a re-encoded one.


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    for name, short in CLASS_FOLDERS.items():
        (folder / short).mkdir()
        scene = render_smear(name, seed=0, image_size=336)
        for number, corner in ((1, (0, 0)), (2, (90, 50))):
            window = scene.crop((*corner, corner[0] + 224, corner[1] + 224))
            window.save(folder / short / f"{short}-{number:03d}.png")
        for number in (3, 4, 5):
            render_smear(name, seed=number).save(folder / short / f"{short}-{number:03d}.png")
    shutil.copy(folder / "Pre" / "Pre-003.png", folder / "Pre" / "Pre-006.png")
    Image.open(folder / "Pro" / "Pro-004.png").save(folder / "Pro" / "Pro-006.jpg", quality=85)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache") / "found"


@pytest.fixture(scope="module")
def found(windows, cache) -> Groups:
    return find_groups(load_smears(windows), cache=cache)


LINKED = {frozenset({f"{short}/{short}-001.png", f"{short}/{short}-002.png"}) for short in CLASS_FOLDERS.values()} | {
    frozenset({"Pre/Pre-003.png", "Pre/Pre-006.png"}),
    frozenset({"Pro/Pro-004.png", "Pro/Pro-006.jpg"}),
}


def groups_in(records) -> set[frozenset[str]]:
    members: dict[int, set[str]] = {}
    for row in records:
        members.setdefault(row.group, set()).add(row.file)
    return {frozenset(files) for files in members.values()}


def refuse(*_arguments, **_options):
    raise AssertionError("this had been measured before")


def test_overlaps_and_copies_are_groups_and_nothing_else_is(found):
    assert {files for files in groups_in(found.records) if len(files) > 1} == LINKED
    assert {frozenset({found.records[link.first].file, found.records[link.second].file})
            for link in found.links} == LINKED  # fmt: skip
    assert [row.group for row in found.records] == [
        0, 0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10, 11, 9, 12, 12, 13, 14, 15, 14
    ]  # fmt: skip


def test_records_tell_what_is_in_the_files(found, windows):
    dataset = load_smears(windows)
    assert [row.file for row in found.records] == list(dataset["path"])
    for row, label in zip(found.records, dataset["label"], strict=True):
        assert row.sha256 == hashlib.sha256((windows / row.file).read_bytes()).hexdigest()
        assert row.label == CLASS_NAMES[label]
        assert row.sharpness > 0 and isinstance(row.leukocytes, int)
    by_file = {row.file: row for row in found.records}
    assert by_file["Pre/Pre-003.png"].sha256 == by_file["Pre/Pre-006.png"].sha256
    assert by_file["Pro/Pro-004.png"].sha256 != by_file["Pro/Pro-006.jpg"].sha256
    assert sum(row.leukocytes for row in found.records) > 50
    means = [np.asarray(dataset[row]["image"].convert("L")).mean() for row in range(len(dataset))]
    np.testing.assert_allclose(found.brightness, means, atol=0.5)
    for files in LINKED:
        assert len({by_file[file].split_grouped for file in files}) == 1
    assert {row.split_grouped for row in found.records} == {"train", "validation", "calibration", "test"}


def test_a_second_call_measures_nothing_again(found, windows, cache, monkeypatch):
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert set(before) == {"fields.jsonl", "pairs.jsonl"}
    assert len(Journal(cache / "fields.jsonl")) == 21  # of 22 fields, one of which is an exact copy
    monkeypatch.setattr(groups_module.cells, "find_leukocytes", refuse)
    monkeypatch.setattr(groups_module.overlaps, "verify_pair", refuse)
    again = find_groups(load_smears(windows), cache=cache)
    assert again.records == found.records and again.links == found.links
    np.testing.assert_array_equal(again.brightness, found.brightness)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before


def test_after_a_kill_only_the_rest_is_measured(found, windows, cache, tmp_path, monkeypatch):
    for name in ("fields.jsonl", "pairs.jsonl"):
        content = (cache / name).read_bytes().splitlines(keepends=True)
        kept = content[: 1 + 15] if name == "fields.jsonl" else content[: len(content) // 2]
        (tmp_path / name).write_bytes(b"".join(kept)[:-7])  # the last line was being written
    known = len(Journal(tmp_path / "fields.jsonl"))
    calls = []
    measure = groups_module.cells.find_leukocytes
    monkeypatch.setattr(groups_module.cells, "find_leukocytes", lambda image: calls.append(1) or measure(image))
    again = find_groups(load_smears(windows), cache=tmp_path)
    assert known in (13, 14) and 21 - known <= len(calls) <= 22 - known  # two threads may both meet the copy first
    assert again.records == found.records and again.links == found.links
    assert dict(Journal(tmp_path / "fields.jsonl")) == dict(Journal(cache / "fields.jsonl"))


def test_a_changed_file_is_measured_anew(found, windows, cache, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(windows, folder)
    Image.new("RGB", (224, 224), (240, 240, 240)).save(folder / "Pro" / "Pro-004.png")
    shutil.copytree(cache, tmp_path / "cache")
    changed = find_groups(load_smears(folder), cache=tmp_path / "cache")
    old, new = ({row.file: row for row in records} for records in (found.records, changed.records))
    assert new["Pro/Pro-004.png"].sharpness == 0 and new["Pro/Pro-004.png"].leukocytes == 0
    assert {file for file in old if old[file].sha256 != new[file].sha256} == {"Pro/Pro-004.png"}
    assert frozenset({"Pro/Pro-004.png"}) in groups_in(changed.records)


def test_the_table_depends_on_no_order_of_files(found, windows, cache):
    dataset = load_smears(windows)
    order = np.random.default_rng(1).permutation(len(dataset)).tolist()
    shuffled = find_groups(dataset.select(order), cache=cache)
    assert shuffled.records == tuple(found.records[row] for row in order)
    other = find_groups(dataset, cache=cache, seed=1)
    assert [row.group for row in other.records] == [row.group for row in found.records]
    assert [row.split_grouped for row in other.records] != [row.split_grouped for row in found.records]


def test_tiny_and_flat_fields_are_measured_too(tmp_path):
    for folder, size, colour in (("a", (16, 16), 0), ("a", (17, 16), 255), ("b", (90, 16), 128), ("b", (16, 90), 60)):
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("RGB", size, (colour,) * 3).save(tmp_path / folder / f"{colour}.png")
    result = find_groups(load_smears(tmp_path, class_names="folders"))
    assert [row.leukocytes for row in result.records] == [0, 0, 0, 0]
    assert [row.sharpness for row in result.records] == [0, 0, 0, 0]


def test_summary_counts_by_value(found):
    summary = summary_of(found)
    assert (summary["num_fields"], summary["num_exact_copies"], summary["num_overlaps"]) == (22, 1, 6)
    assert (summary["num_groups"], summary["num_fields_linked"], summary["num_overlaps_across_classes"]) == (16, 12, 0)
    assert summary["largest_groups"] == [2] * 6 + [1] * 4
    assert summary["fields_by_class"] == {"Benign": 5, "Early Pre-B": 5, "Pre-B": 6, "Pro-B": 6}
    for key in ("acquisitions", "annotations"):
        assert sum(sum(counts.values()) for counts in summary[key].values()) == 22
    assert all(sum(counts.values()) == 22 for counts in summary["parts"].values())
    # Benign and Early Pre-B have four groups each, the least that four parts need: four bins, one of them tested.
    assert summary["folds"] == {"grouped": 4}
    json.dumps(summary, allow_nan=False)
    text = summary_table(summary)
    assert "22 fields: 1 exact copies, 6 pairs" in text and "16 groups" in text
    assert "Folds of the grouped protocol: 4." in text.splitlines()


def test_the_folds_of_the_summary_are_those_that_can_be_trained_on():
    dataset = dataset_of(60, 100)
    for groups_per_class, folds in ((40, 5), (7, 7), (4, 4), (3, 0)):
        pairs = zip(dataset["path"], dataset["label"], strict=True)
        records = [record(path, group=label * 1000 + row % groups_per_class, label=CLASS_NAMES[label])
                   for row, (path, label) in enumerate(pairs)]  # fmt: skip
        filled, _ = with_splits(records, list(dataset["label"]), seed=0)
        summary = summary_of(Groups(tuple(filled), (), (), np.zeros(160)))
        assert summary["folds"] == {"grouped": folds}
        table = [dataclasses.asdict(row) for row in filled]
        for fold in range(folds):
            assert len(parts_by_protocol(dataset, "grouped", table, fold=fold)["test"])
        with pytest.raises(DataError):
            parts_by_protocol(dataset, "grouped", table, fold=folds)


def test_report_of_fields_without_links(tmp_path):
    write_smears(tmp_path / "two", fields_per_class=1, seed=0, image_size=32)
    dataset = load_smears(tmp_path / "two")
    result = find_groups(dataset)
    assert result.links == ()
    write_report(result, dataset, tmp_path / "report.png")
    assert min(Image.open(tmp_path / "report.png").size) > 500
    summary = summary_of(result)
    assert summary["folds"] == {"grouped": 0}
    assert "too few groups" in summary_table(summary)
    assert "Folds of the grouped protocol: none, the data is too small." in summary_table(summary).splitlines()


# scripts/prepare_data.py.


def test_prepare_data_end_to_end(script, found, windows, cache, tmp_path, monkeypatch, capsys):
    shutil.copytree(cache, tmp_path / "groups-cache")  # its default place
    (tmp_path / "results.json").write_text('{"protocols": {"random": {"kept": 1}}}')
    monkeypatch.chdir(tmp_path)
    options = [str(windows), "--out", "groups.csv", "--report", "page", "--results", "results.json"]
    assert script("prepare_data").main(options) == 0
    printed = capsys.readouterr().out
    assert "22 fields: 1 exact copies" in printed and "written to groups.csv" in printed
    table = table_in(tmp_path / "groups.csv")
    assert tuple(table[0]) == COLUMNS
    assert [row["group"] for row in table] == [str(row.group) for row in found.records]
    assert [row["split_grouped"] for row in table] == [row.split_grouped for row in found.records]
    page = Image.open(tmp_path / "page" / "report.png")
    page.load()
    assert min(page.size) > 500 and np.asarray(page.convert("L")).std() > 10
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["protocols"] == {"random": {"kept": 1}}
    entry = results["data"]["groups"]
    assert entry["num_groups"] == 16 and entry["command"].startswith("python scripts/prepare_data.py ")
    assert {path.name for path in tmp_path.iterdir()} == {"groups.csv", "groups-cache", "page", "results.json"}


@pytest.fixture
def script(monkeypatch):
    """Load a script as a module: a process of its own takes seconds to start."""

    def load(name: str):
        specification = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
        module = importlib.util.module_from_spec(specification)
        monkeypatch.setitem(sys.modules, specification.name, module)  # dataclasses looks its module up
        specification.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["{windows}", "--out", "."], ". is a folder"),
        (["{windows}", "--seed", "-1"], "seed is -1"),
        (["{windows}", "--class-names", "x", "y"], "no folder named x, y"),
        (["{broken}"], "1 unreadable image(s)"),
        (["{windows}", "--cache", "{file}"], "notes.txt"),
        (["{windows}", "--cache", "{cache}", "--results", "{file}"], "notes.txt is not JSON"),
        (["{windows}", "--cache", "{cache}", "--report", "{file}"], "notes.txt"),
    ],
)
def test_prepare_data_mistakes_get_one_sentence(
    script, found, windows, cache, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("not JSON")
    broken = tmp_path / "broken"
    write_smears(broken, fields_per_class=1, seed=0, image_size=32)
    (broken / "Pro" / "bad.png").write_bytes(b"not an image")
    places = {"windows": windows, "cache": cache, "file": tmp_path / "notes.txt", "broken": broken}
    assert script("prepare_data").main([argument.format(**places) for argument in arguments]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "it/s" not in line and "|" not in line]
    assert len([line for line in errors if line.strip()]) == 1
    assert errors[-1].startswith("error: ") and message in errors[-1]
    assert (tmp_path / "notes.txt").read_text() == "not JSON"


def test_prepare_data_as_a_process(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "prepare_data.py")]
    asked = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True)
    assert asked.returncode == 0 and "--skip-unreadable" in asked.stdout
    without = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert without.returncode == 2 and "Traceback" not in without.stderr


def test_prepare_data_skips_unreadable_fields_when_asked(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_smears(tmp_path / "smears", fields_per_class=1, seed=0, image_size=32)
    (tmp_path / "smears" / "Pro" / "bad.png").write_bytes(b"not an image")
    assert script("prepare_data").main(["smears", "--skip-unreadable", "--out", "new/table.csv"]) == 0
    assert [row["label"] for row in table_in(tmp_path / "new" / "table.csv")] == list(CLASS_NAMES)
    assert (tmp_path / "new" / "table-cache" / "fields.jsonl").is_file()


# Training.


@pytest.fixture(scope="module")
def smears(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("smears")
    write_smears(folder, fields_per_class=7, seed=1, image_size=32)
    return folder


def test_training_makes_the_group_table_once_and_resumes_with_it(smears, tmp_path, monkeypatch):
    config = dataclasses.replace(PLAIN, source=str(smears), output=tmp_path / "run", save_steps=1, **TINY)
    assert config.protocol == "grouped"
    save = training_run.save_state

    def save_and_stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "save_state", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.setattr(training_run, "save_state", save)
    before = (tmp_path / "run" / "groups.csv").read_bytes()
    split = (tmp_path / "run" / "split.csv").read_bytes()
    monkeypatch.setattr(training_setup, "find_groups", refuse)
    with pytest.raises(TrainingError, match="another fold"):
        train(dataclasses.replace(config, resume=True, fold=1))
    record = train(dataclasses.replace(config, resume=True))
    assert (record["protocol"], record["fold"], record["epochs"]) == ("grouped", 0, 2)
    assert (tmp_path / "run" / "groups.csv").read_bytes() == before
    assert (tmp_path / "run" / "split.csv").read_bytes() == split
    table, dataset = table_in(tmp_path / "run" / "groups.csv"), load_smears(smears)
    parts = {row["file"]: row["split"] for row in table_in(tmp_path / "run" / "split.csv")}
    assert [parts[row["file"]] for row in table] == [row["split_grouped"] for row in table]
    assert record["fields"] == {
        part: {name: [parts[path] for path, label in zip(dataset["path"], dataset["label"], strict=True)
                      if CLASS_NAMES[label] == name].count(part) for name in CLASS_NAMES}
        for part in ("train", "validation", "calibration", "test")
    }  # fmt: skip


@pytest.fixture
def patients(smears, tmp_path) -> Path:
    """Fourteen patients with a field of two classes each."""
    paths = list(load_smears(smears)["path"])
    lines = [f"{path},patient {row % 7 + (row // 14) * 7}" for row, path in enumerate(paths)]
    return write_table(tmp_path / "patients.csv", "file,group", lines)


def test_training_keeps_patients_of_ones_own_table_whole(smears, patients, tmp_path):
    record = train(
        dataclasses.replace(PLAIN, source=str(smears), output=tmp_path / "run", groups=patients, fold=2, **TINY)
    )
    assert record["config"]["groups"] == str(patients) and record["fold"] == 2
    part = {row["file"]: row["split"] for row in table_in(tmp_path / "run" / "split.csv")}
    assert len(part) == 28
    dataset = load_smears(smears)
    tested_first = parts_by_protocol(dataset, "grouped", read_groups(patients, dataset))["test"]
    assert not {part[dataset["path"][row]] for row in tested_first.tolist()} & {"test"}
    of_patient: dict[str, set[str]] = {}
    for row in table_in(patients):
        of_patient.setdefault(row["group"], set()).add(part[row["file"]])
    assert len(of_patient) == 14 and all(len(found) == 1 for found in of_patient.values())
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith("groups")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--protocol", "acquisition"], "the group table has no session for some fields; fill its column acquisition"),
        (["--fold", "7"], "there is no fold 7; this data has the folds 0 to 6"),
        (["--groups", "absent.csv"], "absent.csv cannot be read as a group table"),
        (["--fold", "-1"], "fold is -1"),
    ],
)
def test_training_refuses_in_one_sentence(script, smears, patients, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    options = ["--source", str(smears), "--output", "run", "--groups", str(patients), *options]
    assert script("train").main([*options, "--growth-rate", "4", "--block-config", "1", "1", "1", "1"]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert message in error
    assert not (tmp_path / "run" / "training.json").exists()
