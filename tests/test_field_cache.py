"""The cache of preprocessed fields: bit-equal to no cache, shared, remade when it cannot be trusted."""

from __future__ import annotations

import dataclasses
import os
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from leuk_hf.data import load_smears, read_image, without_decoding
from leuk_hf.errors import TrainingError
from leuk_hf.field_cache import cache_key, cached_fields
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import write_smears

PREPROCESSOR = Preprocessor(image_size=40)


@pytest.fixture
def rows(smear_folder):
    return without_decoding(load_smears(smear_folder))


def enhanced(rows, preprocessor=PREPROCESSOR):
    return np.stack([np.asarray(preprocessor.enhance(read_image(row))) for row in rows])


def content(fields):
    return np.stack([fields[row] for row in range(len(fields))])


@pytest.mark.parametrize(
    "preprocessor",
    [PREPROCESSOR, Preprocessor(image_size=64, clahe=False), Preprocessor(image_size=40, annotation_removal=True)],
)
def test_cached_fields_are_bit_equal_to_enhanced_ones(rows, tmp_path, preprocessor):
    fields = cached_fields(rows, preprocessor, folder=tmp_path)
    assert len(fields) == len(rows) and fields[0].dtype == np.uint8
    assert np.array_equal(content(fields), enhanced(rows, preprocessor))
    assert fields.note == "" and fields.path.is_relative_to(tmp_path)


def test_the_second_run_reads_the_file_of_the_first(rows, tmp_path):
    first = cached_fields(rows, PREPROCESSOR, folder=tmp_path)
    written = first.path.stat().st_mtime_ns
    again = cached_fields(rows, dataclasses.replace(PREPROCESSOR, mean=(0.1, 0.2, 0.3)), folder=tmp_path)
    assert again.path == first.path and again.path.stat().st_mtime_ns == written
    assert [path.name for path in first.path.parent.iterdir()] == ["fields.npy"]


def test_the_default_folder_is_the_hugging_face_cache_and_private(rows):
    path = cached_fields(rows, PREPROCESSOR).path
    assert path.parent.parent.name == "fields" and path.parent.parent.parent.name == "leuk_hf"
    assert sys.platform == "win32" or path.stat().st_mode & 0o077 == 0


def test_key_follows_content_and_settings_not_names(rows, tmp_path, smear_folder):
    copy = tmp_path / "renamed"
    for number, path in enumerate(sorted(smear_folder.glob("*/*.png"))):
        (copy / path.parent.name).mkdir(parents=True, exist_ok=True)
        (copy / path.parent.name / f"other{number:03d}.png").write_bytes(path.read_bytes())
    key = cache_key(rows, PREPROCESSOR)
    assert cache_key(without_decoding(load_smears(copy)), PREPROCESSOR) == key
    changed = next(iter(copy.glob("*/*.png")))
    Image.fromarray(255 - np.array(Image.open(changed))).save(changed)
    assert cache_key(without_decoding(load_smears(copy)), PREPROCESSOR) != key
    keys = {
        cache_key(rows, dataclasses.replace(PREPROCESSOR, **change))
        for change in (
            {"image_size": 48},
            {"interpolation": "bicubic"},
            {"clahe": False},
            {"clahe_clip_limit": 3.0},
            {"clahe_tiles": 4},
            {"annotation_removal": True},
        )
    }
    assert len(keys | {key}) == 7


def truncate(path):
    path.write_bytes(path.read_bytes()[:-5000])


def flip_a_byte(path):
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


def empty(path):
    path.write_bytes(b"")


def pickled(path):
    np.save(path, np.array([{"an": "object"}], dtype=object), allow_pickle=True)


def made_by_other_code(path):
    records = np.load(path)
    records["pixels"] ^= 1
    records["crc32"] = [crc32(pixels.tobytes()) for pixels in records["pixels"]]
    np.save(path, records)


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, empty, pickled, made_by_other_code])
def test_what_cannot_be_trusted_is_remade(rows, tmp_path, damage):
    path = cached_fields(rows, PREPROCESSOR, folder=tmp_path).path
    damage(path)
    fields = cached_fields(rows, PREPROCESSOR, folder=tmp_path)
    assert fields.path == path and np.array_equal(content(fields), enhanced(rows))


def test_several_at_once_get_the_same(rows, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: cached_fields(rows, PREPROCESSOR, folder=tmp_path), range(4)))
    expected = enhanced(rows)
    assert all(np.array_equal(content(fields), expected) for fields in made)
    assert [path.name for path in made[0].path.parent.iterdir()] == ["fields.npy"]


def test_pickling_sends_the_path_not_the_pixels(rows, tmp_path):
    fields = cached_fields(rows, PREPROCESSOR, folder=tmp_path)
    sent = pickle.dumps(fields)
    assert len(sent) < 1000
    assert np.array_equal(content(pickle.loads(sent)), content(fields))  # noqa: S301 - our own


def test_a_folder_that_cannot_be_written_gets_one_sentence(rows, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(TrainingError, match=r"cannot be written .*; give a --cache folder with 1 MB free") as error:
        cached_fields(rows, PREPROCESSOR, folder=blocked)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_leaves_no_file(rows, tmp_path, named):
    import resource

    preprocessor = dataclasses.replace(PREPROCESSOR, clahe_clip_limit=4.0 + named)  # a key nobody has used
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        if named:
            with pytest.raises(TrainingError, match="cannot be written"):
                cached_fields(rows, preprocessor, folder=tmp_path)
            assert not [path for path in tmp_path.rglob("*") if path.is_file()]
        else:
            fields = cached_fields(rows, preprocessor)
            assert fields.path is None and "kept in memory (1 MB" in fields.note and "\n" not in fields.note
            assert np.array_equal(content(fields), enhanced(rows, preprocessor))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_killed_processes_left_is_removed_and_what_others_write_is_not(rows, tmp_path):
    path: Path = cached_fields(rows, PREPROCESSOR, folder=tmp_path).path
    path.unlink()
    old, fresh = path.with_name(".fields.old.npy"), path.with_name(".fields.fresh.npy")
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (1, 1))
    cached_fields(rows, PREPROCESSOR, folder=tmp_path)
    assert not old.exists() and fresh.exists() and path.exists()


def test_images_that_differ_in_size_are_squashed_alike(tmp_path):
    write_smears(tmp_path / "small", fields_per_class=1, seed=0, image_size=32)
    write_smears(tmp_path / "mixed", fields_per_class=2, seed=0, image_size=64)
    for path in (tmp_path / "small").glob("*/*.png"):
        (tmp_path / "mixed" / path.parent.name / f"small-{path.name}").write_bytes(path.read_bytes())
    rows = without_decoding(load_smears(tmp_path / "mixed"))
    assert np.array_equal(content(cached_fields(rows, PREPROCESSOR, folder=tmp_path / "cache")), enhanced(rows))


def test_images_that_lie_in_the_data_set_itself_are_cached_like_files(rows, tmp_path):
    # As in data sets of the Hub.
    embedded = [{"bytes": Path(row["image"]["path"]).read_bytes(), "path": None} for row in rows]
    held = Dataset.from_dict({"image": embedded, "label": rows["label"], "path": rows["path"]}, rows.features)
    assert cache_key(held, PREPROCESSOR) == cache_key(rows, PREPROCESSOR)
    assert np.array_equal(content(cached_fields(held, PREPROCESSOR, folder=tmp_path)), enhanced(rows))
