"""Leukocytes that a run found are there for the next: the same labels, and never those of another question."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leuk_hf import leukocyte_labels
from leuk_hf.data import load_smears, without_decoding
from leuk_hf.field_cache import CachedFields, cached_fields
from leuk_hf.leukocyte_labels import find_labels
from leuk_hf.leukocyte_weights import load_leukocyte_network
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor

ROWS = np.array([1, 4, 6])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = LeukDenseNet(
        view="leukocytes", growth_rate=4, block_config=(1, 1), cam_layer="denseblock2",
        preprocessor=Preprocessor(image_size=64, clahe=False),
    ).eval()  # fmt: skip
    load_leukocyte_network(made.leukocytes)
    return made


@pytest.fixture
def fields(model, smear_folder, tmp_path):
    return cached_fields(without_decoding(load_smears(smear_folder)), model.preprocessor, folder=tmp_path)


def searched_labels(model, fields, rows, **options):
    """The same of fields in memory, which have no file."""
    pixels = np.stack([fields[row] for row in range(len(fields))])
    return find_labels(model, CachedFields(None, pixels=pixels), rows, **options)


def files(fields):
    return sorted(path.name for path in fields.path.parent.glob("*leukocytes*"))


def test_labels_are_kept_for_the_next_run(model, fields, monkeypatch):
    found = searched_labels(model, fields, ROWS, appearances=2, seed=3)
    assert found[:, ROWS].any() and not np.delete(found, ROWS, axis=1).any()
    assert np.array_equal(find_labels(model, fields, ROWS, appearances=2, seed=3), found)
    (name,) = files(fields)
    assert (fields.path.parent / name).stat().st_mode & 0o77 == 0
    searched, search = [], leukocyte_labels._fill
    monkeypatch.setattr(leukocyte_labels, "_BATCH", 2)
    monkeypatch.setattr(
        leukocyte_labels, "_fill", lambda *args, **kinds: (searched.append(args[4]), search(*args, **kinds))
    )
    assert np.array_equal(find_labels(model, fields, ROWS, appearances=2, seed=3), found)
    assert files(fields) == [name] and [rows.tolist() for rows in searched] == [[1, 6]]  # a few, to be sure


def test_another_question_is_another_file(model, fields):
    find_labels(model, fields, ROWS, appearances=1, seed=0)
    for rows, appearances, seed in ((ROWS[:2], 1, 0), (ROWS, 2, 0), (ROWS, 1, 1)):
        before = len(files(fields))
        got = find_labels(model, fields, rows, appearances=appearances, seed=seed)
        assert np.array_equal(got, searched_labels(model, fields, rows, appearances=appearances, seed=seed))
        assert len(files(fields)) == before + 1
    other = LeukDenseNet(**model.settings).eval()
    load_leukocyte_network(other.leukocytes)
    with torch.no_grad():
        next(other.leukocytes.parameters()).mul_(0.5)
    got = find_labels(other, fields, ROWS, appearances=1)
    assert np.array_equal(got, searched_labels(other, fields, ROWS, appearances=1))
    assert len(files(fields)) == 5
    averaging = LeukDenseNet(**{**model.settings, "outline_orientations": 4}).eval()
    averaging.load_state_dict(model.state_dict())
    got = find_labels(averaging, fields, ROWS, appearances=1)
    assert np.array_equal(got, searched_labels(averaging, fields, ROWS, appearances=1))
    assert len(files(fields)) == 6


@pytest.mark.parametrize("harm", ["cut", "emptied", "moved", "other shape", "other key", "pickled"])
def test_files_that_cannot_be_trusted_are_replaced(model, fields, harm):
    found = find_labels(model, fields, ROWS)
    path = fields.path.parent / files(fields)[0]
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif harm == "emptied":
        path.write_bytes(b"")
    elif harm == "pickled":
        np.savez(path, labels=np.array([{}], dtype=object))
    else:
        stored = found[:, ROWS]
        wrong = {"moved": np.roll(stored, 9, axis=2), "other shape": stored[:, :2]}.get(harm, stored)
        np.savez_compressed(path, **{"other" if harm == "other key" else "labels": wrong})
    harmed = path.read_bytes()
    assert np.array_equal(find_labels(model, fields, ROWS), found)
    assert path.read_bytes() != harmed
    with np.load(path, allow_pickle=False) as content:
        assert np.array_equal(content["labels"], found[:, ROWS])


def test_without_a_file_of_fields_or_room_for_one_labels_are_found_as_ever(model, fields, monkeypatch):
    found = searched_labels(model, fields, ROWS)
    assert found[:, ROWS].any() and files(fields) == []

    def no_room(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", no_room)
    assert np.array_equal(find_labels(model, fields, ROWS), found)
    assert files(fields) == [] and not list(fields.path.parent.glob(".leukocytes*"))


def test_a_model_of_whole_fields_has_no_labels(fields, tiny_model):
    with pytest.raises(ValueError, match="sees the whole field"):
        find_labels(tiny_model, fields, ROWS)
