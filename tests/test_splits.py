"""No group crosses parts, every row is tested once, and nothing depends on the order of the files."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from leuk_hf.errors import DataError
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.split_table import protocol_of_split
from leuk_hf.splits import (
    PARTS,
    acquisition_folds,
    count_by_class,
    count_folds,
    fingerprint,
    read_split,
    read_split_table,
    split_by_acquisition,
    split_fields,
    split_fingerprint,
    write_split,
)

LABELS = [0] * 40 + [1] * 20 + [2] * 10
NAMES = [f"class {label}/{number}.png" for number, label in enumerate(LABELS)]
KINDS = ("singles", "neighbours", "patients", "one giant", "spanning")


def construct(seed: int, kind: str) -> tuple[list[int], list[str], list[int]]:
    """Draw labels, names and groups of a data set; only the groups of "spanning" mix classes freely."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(rng.integers(2, 5)), rng.integers(30, 90))
    labels = labels[: len(labels) - rng.integers(0, 20)]  # the last class is smaller
    number = np.arange(len(labels))
    if kind == "neighbours":
        groups = labels * 1000 + number // rng.integers(2, 4)
    elif kind == "patients":
        groups = labels * 1000 + rng.integers(0, 9, len(labels))
    elif kind == "one giant":
        groups = np.where((labels == 0) & (rng.random(len(labels)) < 0.6), -1, number)
    elif kind == "spanning":
        groups = rng.integers(0, 25, len(labels))
    else:
        groups = number
    return labels.tolist(), [f"{label}/{index:04d}.jpg" for index, label in enumerate(labels)], groups.tolist()


def spread(values, parts) -> dict:
    """Give the parts in which each value occurs."""
    found: dict = {}
    for value, part in zip(values, parts, strict=True):
        found.setdefault(value, set()).add(str(part))
    return found


def counts_by_part(labels, parts) -> dict[str, list[int]]:
    return {part: np.bincount(np.array(labels)[parts == part], minlength=max(labels) + 1).tolist() for part in PARTS}


def assert_one_sentence(message: str, *words: str) -> None:
    assert "\n" not in message
    for word in words:
        assert word in message


def test_random_split_is_sixty_ten_ten_twenty_in_every_class():
    assert counts_by_part(LABELS, split_fields(LABELS, NAMES, NAMES)) == {
        "train": [24, 12, 6], "validation": [4, 2, 1], "calibration": [4, 2, 1], "test": [8, 4, 2]
    }  # fmt: skip


def test_the_published_split_never_changes():
    # Figures are quoted for one split: another dealing would make them those of other fields.
    parts = split_fields(LABELS, NAMES, [row // 2 for row in range(70)], seed=0)
    assert np.flatnonzero(parts == "test").tolist() == [2, 3, 8, 9, 20, 21, 34, 35, 48, 49, 58, 59, 68, 69]
    assert np.flatnonzero(parts == "calibration").tolist() == [4, 5, 6, 7, 22, 23, 24, 25, 44, 45, 46, 47, 62, 63]


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_disjoint_complete_and_keep_groups_whole(kind):
    refused = 0
    for seed in range(25):
        labels, names, groups = construct(seed, kind)
        try:
            folds = [
                split_fields(labels, names, groups, fold=fold, seed=seed)
                for fold in range(count_folds(labels, groups))
            ]
        except DataError as error:
            assert_one_sentence(str(error), "too tangled")
            refused += 1
            continue
        for parts in folds:
            assert parts.shape == (len(labels),) and set(parts.tolist()) == set(PARTS)
            assert all(len(found) == 1 for found in spread(groups, parts).values())
            assert all(found == set(PARTS) for found in spread(labels, parts).values())
        assert (sum((parts == "test").astype(int) for parts in folds) == 1).all()
        with pytest.raises(DataError, match=f"no fold {len(folds)}; this data has the folds 0 to {len(folds) - 1}"):
            split_fields(labels, names, groups, fold=len(folds), seed=seed)
    assert refused == 0 or (kind == "spanning" and refused <= 2)


def test_shares_are_met_when_groups_are_small():
    for seed in range(15):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 5, 400)
        groups = np.repeat(np.arange(400), sizes)
        labels = np.sort(rng.choice(4, len(groups), p=(0.15, 0.35, 0.3, 0.2)))  # a few groups span two classes
        names = [f"{row:05d}" for row in range(len(groups))]
        parts = split_fields(labels.tolist(), names, groups.tolist(), seed=seed)
        for label in range(4):
            of_class = parts[labels == label]
            for part, share in zip(PARTS, (0.6, 0.1, 0.1, 0.2), strict=True):
                assert (of_class == part).mean() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("reach", [range(30), range(10, 50)], ids=["in a class", "across classes"])
def test_one_giant_group_stays_whole_and_starves_no_part(reach):
    groups = [-1 if row in reach else row for row in range(70)]
    for fold in range(count_folds(LABELS, groups)):
        parts = split_fields(LABELS, NAMES, groups, fold=fold)
        assert len(set(parts[list(reach)].tolist())) == 1
        assert all(min(counts) > 0 for counts in counts_by_part(LABELS, parts).values())


def test_groups_that_span_classes_stay_whole():
    # Twelve patients with fields of all three classes each.
    labels = [row % 3 for row in range(180)]
    patients = [f"patient {row // 15}" for row in range(180)]
    names = [f"{row}.png" for row in range(180)]
    parts = split_fields(labels, names, patients)
    assert all(len(found) == 1 for found in spread(patients, parts).values())
    assert counts_by_part(labels, parts)["calibration"] == [5, 5, 5]


def test_too_few_groups_are_refused_and_four_are_enough():
    groups = [row if label < 2 else -(row % 3) for row, label in enumerate(LABELS)]
    with pytest.raises(DataError) as caught:
        split_fields(LABELS, NAMES, groups)
    assert_one_sentence(str(caught.value), "class 2 has 3 separate groups", "too few for 4 parts", "--protocol random")
    with pytest.raises(DataError, match="class 2 has 3"):
        count_folds(LABELS, groups)
    groups = [row if label < 2 else -(row % 4) for row, label in enumerate(LABELS)]
    assert count_folds(LABELS, groups) == 4
    for fold in range(4):
        parts = split_fields(LABELS, NAMES, groups, fold=fold)
        assert sorted(counts[2] for counts in counts_by_part(LABELS, parts).values()) == [2, 2, 3, 3]


def test_classes_too_small_for_every_part_are_refused():
    with pytest.raises(DataError, match="class 1 has 2 separate"):
        split_fields([0, 0, 0, 0, 1, 1], list("abcdef"), list("abcdef"))


@pytest.mark.parametrize("kind", ["singles", "neighbours", "patients", "one giant"])
def test_split_depends_neither_on_row_order_nor_on_group_names(kind):
    for seed in range(8):
        labels, names, groups = construct(seed, kind)
        expected = dict(zip(names, split_fields(labels, names, groups, seed=seed, fold=1).tolist(), strict=True))
        order = np.random.default_rng(seed).permutation(len(labels)).tolist()
        shuffled = [names[row] for row in order]
        parts = split_fields(
            [labels[row] for row in order], shuffled, [f"group {groups[row]}" for row in order], seed=seed, fold=1
        )
        assert dict(zip(shuffled, parts.tolist(), strict=True)) == expected


def test_the_seed_decides_the_split():
    groups = [row // 2 for row in range(70)]
    splits = [split_fields(LABELS, NAMES, groups, seed=seed) for seed in range(5)]
    assert len({tuple(parts.tolist()) for parts in splits}) == 5
    np.testing.assert_array_equal(splits[3], split_fields(LABELS, NAMES, groups, seed=3))


@pytest.mark.parametrize("fold", [-1, 5])
def test_folds_that_are_not_there_are_refused(fold):
    with pytest.raises(DataError, match=f"no fold {fold}; this data has the folds 0 to 4"):
        split_fields(LABELS, NAMES, NAMES, fold=fold)


def test_repeated_paths_are_refused():
    with pytest.raises(DataError, match="same path"):
        split_fields([0] * 8, ["a", "a", *"bcdefg"], range(8))


# By acquisition.


def sessions_of(*sizes: tuple[int, ...]) -> tuple[list[int], list[str], list[str]]:
    """Give labels, names and sessions "class-session", one tuple of session sizes per class, in file order."""
    labels, sessions = [], []
    for label, of_class in enumerate(sizes):
        for session, size in enumerate(of_class):
            labels += [label] * size
            sessions += [f"{label}-{session}"] * size
    return labels, [f"{label}/{row:04d}.jpg" for row, label in enumerate(labels)], sessions


def folds_of(*sizes: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, tuple[int, ...], list[str]]:
    labels, names, sessions = sessions_of(*sizes)
    folds, stretched = acquisition_folds(labels, names, sessions, range(len(labels)), seed=seed)
    return folds, stretched, sessions


@pytest.mark.parametrize(
    ("sizes", "count"),
    [
        (((60, 40), (50, 30, 20)), 2),
        (((40, 30, 30), (50, 30, 20)), 3),
        (((10,) * 7, (20,) * 9), 5),
        (((60, 35, 3, 2), (25,) * 4), 2),
        (((55, 36, 9), (25,) * 4), 2),
        (((50, 40, 10), (25,) * 4), 3),
        (((3,) * 30, (4,) * 25), 5),  # many small ones, such as patients, together make folds
        (((90, *(2,) * 5), (25,) * 4), 2),
    ],
)
def test_as_many_folds_as_the_sessions_allow(sizes, count):
    folds, stretched, sessions = folds_of(*sizes)
    assert stretched == ()
    assert set(folds.tolist()) == set(range(count))  # small sessions are dealt along: nothing is left out
    assert all(len(found) == 1 for found in spread(sessions, folds).values())
    labels = sessions_of(*sizes)[0]
    assert all(len(found) == count for found in spread(labels, folds).values())


def test_the_seed_deals_equal_sessions():
    dealt = {tuple(folds_of((10,) * 7, (20,) * 9, seed=seed)[0].tolist()) for seed in (0, 0, 1, 2)}
    assert len(dealt) == 3


def test_a_class_of_one_session_is_cut_into_stretches_with_a_gap():
    folds, stretched, _ = folds_of((60, 40), (97, 3))
    assert stretched == (1,)
    assert folds[100:].tolist() == [0] * 45 + [-1] * 10 + [1] * 45
    folds, stretched, _ = folds_of((60, 30, 30), (120,))
    assert folds[120:].tolist() == [0] * 35 + [-1] * 10 + [1] * 30 + [-1] * 10 + [2] * 35


def test_stretches_follow_the_position_not_the_rows_or_names():
    rng = np.random.default_rng(0)
    labels, names, sessions = sessions_of((30, 30), (80,))
    position = {name: -number for number, name in enumerate(names)}
    expected = None
    for _ in range(4):
        order = rng.permutation(len(names)).tolist()
        shuffled = [names[row] for row in order]
        folds, _ = acquisition_folds(
            [labels[row] for row in order], shuffled, [sessions[row] for row in order],
            [position[name] for name in shuffled],
        )  # fmt: skip
        found = dict(zip(shuffled, folds.tolist(), strict=True))
        assert [found[name] for name in reversed(names[60:])] == [0] * 35 + [-1] * 10 + [1] * 35
        assert expected in (None, found)
        expected = found


def test_small_stretches_have_no_gap_and_too_small_ones_are_refused():
    folds, _, _ = folds_of((10, 10), (39,))
    assert folds[20:].tolist() == [0] * 20 + [1] * 19
    assert folds_of((10, 10), (40,))[0][20:].tolist() == [0] * 15 + [-1] * 10 + [1] * 15
    assert folds_of((10, 10), (4,))[0][20:].tolist() == [0, 0, 1, 1]
    with pytest.raises(DataError) as caught:
        folds_of((10, 10), (3,))
    assert_one_sentence(str(caught.value), "class 1 has 3 fields, too few for 2 folds")


def test_one_session_in_every_class_gives_five_stretches():
    folds, stretched, _ = folds_of((150,), (200,))
    assert stretched == (0, 1) and set(folds.tolist()) == {-1, 0, 1, 2, 3, 4}
    assert (folds == -1).sum() == 2 * 4 * 10


def test_a_session_shared_by_classes_stays_whole():
    labels = [0] * 60 + [1] * 60
    sessions = ["monday"] * 30 + ["tuesday"] * 30 + ["tuesday"] * 25 + ["monday"] * 35
    folds, stretched = acquisition_folds(labels, [f"{row:03d}" for row in range(120)], sessions, range(120))
    assert stretched == () and all(len(found) == 1 for found in spread(sessions, folds).values())
    assert set(folds.tolist()) == {0, 1}


def test_a_stretched_classs_fields_of_a_session_that_is_dealt_whole_are_left_out():
    # Class 1 is nearly all of "day", but some fields were taken in "a", which class 0 has as well.
    labels, names = [0] * 60 + [1] * 64, [f"{row:03d}" for row in range(124)]
    sessions = ["a"] * 30 + ["b"] * 30 + ["day"] * 30 + ["a"] * 4 + ["day"] * 30
    folds, stretched = acquisition_folds(labels, names, sessions, range(124))
    assert stretched == (1,)
    assert sorted((set(folds[:30].tolist()), set(folds[30:60].tolist())), key=min) == [{0}, {1}]
    assert folds[60:].tolist() == [0] * 25 + [-1] * 14 + [1] * 25  # 4 left out, and 5 before and behind the border
    for fold in (0, 1):
        parts = split_by_acquisition(labels, names, names, folds, fold=fold)
        assert set(parts[90:94].tolist()) == {"gap"}
        at_test = {session for session, part in zip(sessions, parts, strict=True) if part == "test"} - {"day"}
        elsewhere = {session for session, part in zip(sessions, parts, strict=True) if part not in ("test", "gap")}
        assert len(at_test) == 1 and not at_test & elsewhere


def test_a_stretched_class_without_a_session_of_its_own_is_refused():
    labels, names = [0] * 60 + [1] * 40, [f"{row:03d}" for row in range(100)]
    for own, said in ((0, "0 fields"), (3, "3 fields")):
        sessions = ["a"] * 30 + ["b"] * 30 + ["a"] * (40 - own) + ["day"] * own
        with pytest.raises(DataError) as caught:
            acquisition_folds(labels, names, sessions, range(100))
        assert_one_sentence(str(caught.value), f"class 1 has {said} outside the sessions of other classes, too few")


def test_two_stretched_classes_may_share_a_session():
    # Neither is dealt by whole sessions, so there is no fold of that session to contradict.
    labels = [0] * 120 + [1] * 120
    folds, stretched = acquisition_folds(labels, [f"{row:03d}" for row in range(240)], ["day"] * 240, range(240))
    assert stretched == (0, 1)
    assert [(folds == fold).sum() for fold in range(-1, 5)] == [80, 38, 28, 28, 28, 38]


def test_sessions_too_tangled_for_two_folds_are_refused():
    labels = [0] * 20 + [1] * 20 + [2] * 20
    sessions = [name for name in ("a", "b", "b", "c", "c", "a") for _ in range(10)]
    with pytest.raises(DataError, match="too tangled"):
        acquisition_folds(labels, [f"{row:02d}" for row in range(60)], sessions, range(60))


def test_by_acquisition_groups_and_sessions_stay_whole_and_linked_rows_go_to_the_gap():
    moved = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        sizes = [tuple(rng.integers(25, 60, rng.integers(2, 6)).tolist()) for _ in range(2)] + [(150,)]
        labels, names, sessions = sessions_of(*sizes)
        groups = np.arange(len(labels)) // 2  # some reach over the border of two sessions
        groups[rng.choice(len(labels), 8, replace=False)] = -1  # and one over everything
        folds, stretched = acquisition_folds(labels, names, sessions, range(len(labels)), seed=seed)
        assert stretched == (2,)
        tested = np.zeros(len(labels), dtype=int)
        for fold in range(folds.max() + 1):
            parts = split_by_acquisition(labels, names, groups.tolist(), folds, fold=fold, seed=seed)
            used = parts != "gap"
            assert set(parts.tolist()) == {*PARTS, "gap"}
            np.testing.assert_array_equal(parts == "test", folds == fold)
            assert all(len(found) == 1 for found in spread(groups[used], parts[used]).values())
            linked = np.isin(groups, groups[folds == fold]) & (folds != fold)
            np.testing.assert_array_equal(~used, linked | (folds == -1))
            of_several = used & (np.array(labels) != 2)
            at_test = spread(np.array(sessions)[of_several], np.where(parts == "test", "test", "other")[of_several])
            assert all(len(found) == 1 for found in at_test.values())
            assert all(min(counts) > 0 for counts in counts_by_part(labels, parts).values())
            tested += parts == "test"
            moved += int((linked & (folds >= 0)).sum())
        np.testing.assert_array_equal(tested, (folds >= 0).astype(int))
    assert moved > 100  # else the gap was never needed


def test_by_acquisition_nothing_depends_on_the_row_order_and_the_seed_decides():
    labels, names, sessions = sessions_of((40, 40, 20), (50, 50), (120,))
    groups = [row // 3 for row in range(len(names))]

    def split(order, seed):
        pick = [[values[row] for row in order] for values in (labels, names, sessions, groups)]
        folds, _ = acquisition_folds(pick[0], pick[1], pick[2], [int(name[2:6]) for name in pick[1]], seed=seed)
        parts = split_by_acquisition(pick[0], pick[1], pick[3], folds, fold=1, seed=seed)
        return dict(zip(pick[1], parts.tolist(), strict=True))

    everything = range(len(names))
    expected = split(everything, 0)
    for seed in range(3):
        assert split(np.random.default_rng(seed).permutation(len(names)).tolist(), 0) == expected
    others = [split(everything, seed) for seed in (1, 2, 3)]
    assert all(other != expected for other in others)


@pytest.mark.parametrize("fold", [-1, 2])
def test_folds_by_acquisition_that_are_not_there_are_refused(fold):
    labels, names, sessions = sessions_of((40, 40), (40, 40))
    folds, _ = acquisition_folds(labels, names, sessions, range(160))
    with pytest.raises(DataError, match=f"no fold {fold}; by acquisition this data has the folds 0 to 1"):
        split_by_acquisition(labels, names, names, folds, fold=fold)


def test_a_class_that_is_one_group_cannot_be_tested_by_stretches():
    labels, names, sessions = sessions_of((40, 40), (100,))
    groups = [row if label == 0 else -1 for row, label in enumerate(labels)]
    folds, _ = acquisition_folds(labels, names, sessions, range(180))
    with pytest.raises(DataError) as caught:
        split_by_acquisition(labels, names, groups, folds, fold=1)
    assert_one_sentence(str(caught.value), "fold 1 leaves no field of class 1 to train on")


# The split file.


@pytest.fixture
def comma_set() -> Dataset:
    """Three fields a class; some file names would break a naive CSV writer."""
    folders = ("Benign", "Early", "Pre", "Pro")
    paths = [f"{folder}/{name}" for folder in folders for name in ("a, b.png", 'c "d".png', "plain é.png")]
    features = Features({"label": ClassLabel(names=list(CLASS_NAMES)), "path": Value("string")})
    return Dataset.from_dict({"label": [row // 3 for row in range(12)], "path": paths}, features=features)


def test_split_file_round_trip(tmp_path, comma_set):
    file = tmp_path / "new" / "split.csv"
    parts = {"train": np.arange(0, 12, 2), "validation": np.array([1, 5]), "test": np.array([3, 7, 9])}  # 11 in a gap
    write_split(file, comma_set, parts)
    for part, rows in parts.items():
        assert read_split(file, comma_set, part).tolist() == rows.tolist()
    with file.open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["file"] for row in table] == list(comma_set["path"])[:11]
    assert [row["label"] for row in table] == [CLASS_NAMES[label] for label in list(comma_set["label"])[:11]]
    assert Counter(row["split"] for row in table) == {"train": 6, "validation": 2, "test": 3}


def test_split_file_finds_its_rows_in_another_order(tmp_path, comma_set):
    parts = {"train": np.arange(0, 11), "test": np.array([11])}
    write_split(tmp_path / "split.csv", comma_set, parts)
    backwards = comma_set.select(range(11, -1, -1))
    assert read_split(tmp_path / "split.csv", backwards, "test").tolist() == [0]


def test_wrong_part_or_file_is_refused(tmp_path, comma_set):
    write_split(tmp_path / "split.csv", comma_set, {"train": np.arange(12)})
    with pytest.raises(DataError) as caught:
        read_split(tmp_path / "split.csv", comma_set, "test")
    assert_one_sentence(str(caught.value), "'test'", "train")
    with pytest.raises(DataError, match=r"11 files of .* are not in the data set"):
        read_split(tmp_path / "split.csv", comma_set.select([0]), "train")
    with pytest.raises(DataError, match=r"absent\.csv"):
        read_split(tmp_path / "absent.csv", comma_set, "train")


@pytest.mark.parametrize(
    "content",
    [
        b"name,part\na,test\n",
        b"",
        b"file,label,split\nBenign/a\n",  # a line cut short
        b"file,label,split\nBenign/a\nBenign/b,Benign,train\n",
        b"\xff\xfe\x00file",
    ],
)
def test_files_that_are_no_split_are_refused(tmp_path, comma_set, content):
    (tmp_path / "other.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_split(tmp_path / "other.csv", comma_set, "test")
    assert_one_sentence(str(caught.value), "other.csv")


def split_table(path, *rows, header="file,split", mark=""):
    path.write_text(mark + "\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


MISTAKEN_TABLES = {
    "two parts": (["a,train", "b,test", "a,test"], "has two rows for 'a', into train and into test; keep one"),
    "two parts, none of them asked for": (["a,train", "b,test", "a,gap"], "'a', into train and into gap; keep one"),
    "twice": (["b,test", "a,train", "a,train"], "has two rows for 'a'; keep one"),
    "unknown part": (
        ["b,test", "a,val"], "puts 'a' into 'val'; the parts are train, validation, calibration, test, gap"
    ),
    "another case": (["b,test", "a,Train"], "puts 'a' into 'Train'; the parts are train,"),
    "no part": (["b,test", "a,"], "puts 'a' into no part; the parts are train,"),
    "part not there": (["a,gap", "b,train"], "has no part 'test'; it has train, gap"),
    "no row": ([], "is a split table without a row"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKEN_TABLES)
def test_mistakes_in_a_split_table_are_told_without_its_data_set(tmp_path, kind):
    rows, told = MISTAKEN_TABLES[kind]
    with pytest.raises(DataError) as caught:
        read_split_table(split_table(tmp_path / "own.csv", *rows), "test")
    assert_one_sentence(str(caught.value), "own.csv", told)


def test_columns_that_are_not_there_are_told_with_those_that_are(tmp_path):
    for header, told in (
        ("name,part", "it needs the columns file and split, separated by commas, and has name, part"),
        ("file;label;split", "and has file;label;split; save it with commas instead of semicolons"),
    ):
        with pytest.raises(DataError) as caught:
            read_split_table(split_table(tmp_path / "own.csv", "a", header=header))
        assert_one_sentence(str(caught.value), "own.csv is no split table")
        assert str(caught.value).endswith(told)


def test_a_spreadsheets_split_table_is_read(tmp_path, comma_set):
    rows = ["Benign/plain é.png,test", "elsewhere.png,train"]
    path = split_table(tmp_path / "own.csv", *rows, mark="\ufeff")
    assert read_split(path, comma_set, "test").tolist() == [2]
    assert read_split_table(path, "train", "test") == {
        "Benign/plain é.png": {"file": "Benign/plain é.png", "split": "test"},
        "elsewhere.png": {"file": "elsewhere.png", "split": "train"},
    }


def test_backslashes_are_told(tmp_path, comma_set):
    path = split_table(tmp_path / "own.csv", "Benign\\plain é.png,test")
    with pytest.raises(DataError) as caught:
        read_split(path, comma_set, "test")
    assert_one_sentence(str(caught.value), "1 files of", r"for one Benign\plain é.png; write folders with /, not with")


def test_labels_of_a_split_table_must_be_the_data_sets(tmp_path, comma_set):
    other = comma_set.cast_column("label", ClassLabel(names=["Benign", "Early", "Pre", "Pro"]))
    rows = ["Benign/plain é.png,Benign,test", "Early/plain é.png,{},train", "elsewhere.png,anything,train"]

    def read(label, dataset=comma_set):
        content = [row.format(label) for row in rows]
        return read_split(split_table(tmp_path / "own.csv", *content, header="file,label,split"), dataset, "test")

    for label in ("Early Pre-B", "Early", "[Malignant] early Pre-B", ""):  # folders' names count as their classes
        assert read(label).tolist() == read(label, other).tolist() == [2]
    for label in ("Pre-B", "x", "1"):
        with pytest.raises(DataError) as caught:
            read(label)
        told = f"says that Early/plain é.png is {label}, and the data set that it is Early Pre-B; mend one of them"
        assert_one_sentence(str(caught.value), "own.csv", told)
    with pytest.raises(DataError, match="is Pre-B, and the data set that it is Early; mend"):
        read("Pre-B", other)


def test_counts_and_fingerprint_follow_the_rows(comma_set):
    assert count_by_class(comma_set, np.array([0, 1, 3, 11])) == dict(zip(CLASS_NAMES, (2, 1, 0, 1), strict=True))
    assert fingerprint(comma_set) == fingerprint(comma_set.select(range(12)))
    assert fingerprint(comma_set) != fingerprint(comma_set.select(range(11)))


def test_fingerprint_of_a_split_follows_the_parts_and_no_order(comma_set):
    parts = {"train": np.arange(0, 8), "test": np.array([8, 9])}
    paths = list(comma_set["path"])
    lines = sorted([f"{path}\ttrain" for path in paths[:8]] + [f"{path}\ttest" for path in paths[8:10]])
    expected = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert split_fingerprint(comma_set, parts) == expected
    backwards = {"test": np.array([2, 3]), "train": np.arange(11, 3, -1)}
    assert split_fingerprint(comma_set.select(range(11, -1, -1)), backwards) == expected
    for other in (
        {"train": np.array([*range(7), 8]), "test": np.array([7, 9])},  # as many fields, two of them exchanged
        {"train": np.arange(0, 8), "test": np.array([8])},
        {"train": np.arange(0, 8), "validation": np.array([8, 9])},
    ):
        assert split_fingerprint(comma_set, other) != expected


def test_a_split_is_named_after_the_run_beside_it(tmp_path):
    split = tmp_path / "reference.csv"
    assert protocol_of_split(split) == "reference"
    (tmp_path / "training.json").write_text('{"protocol": "grouped"}', encoding="utf-8")
    assert protocol_of_split(split) == "grouped"
    (tmp_path / "training.json").write_text("[1]", encoding="utf-8")
    assert protocol_of_split(split) == "reference"
