"""Synthetic fields: repeatable, of the asked size, told apart by class, and marked as synthetic."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuk_hf.labels import CLASS_NAMES
from leuk_hf.synthetic import DESCRIPTION, render_smear, write_smears

REPOSITORY = Path(__file__).resolve().parents[1]


def violet_share(image: Image.Image) -> float:
    """Share of pixels whose green is far below their blue: leukocytes, not red cells or glass."""
    _, green, blue = np.moveaxis(np.asarray(image, dtype=np.int16), -1, 0)
    return float((blue - green > 70).mean())


def mean_over_fields(class_name: str, measure, fields: int = 6):
    return np.mean([measure(render_smear(class_name, seed=seed)) for seed in range(fields)], axis=0)


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_same_seed_gives_the_same_bytes_and_another_seed_another_field(class_name):
    first, again, other = (render_smear(class_name, seed=seed) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert np.abs(np.asarray(first, dtype=float) - np.asarray(other)).mean() > 5


@pytest.mark.parametrize("image_size", [32, 97, 224, 300])
def test_image_is_rgb_of_the_asked_size(image_size):
    image = render_smear("Pre-B", seed=0, image_size=image_size)
    assert (image.mode, image.size) == ("RGB", (image_size, image_size))


def test_same_scene_at_every_size():
    small = render_smear("Benign", seed=3, image_size=112)
    large = render_smear("Benign", seed=3, image_size=224).resize((112, 112), Image.Resampling.BOX)
    values = [np.asarray(image, dtype=float).ravel() for image in (small, large)]
    assert np.corrcoef(values)[0, 1] > 0.95


def test_classes_differ_as_designed():
    area = {name: mean_over_fields(name, violet_share) for name in CLASS_NAMES}
    assert area["Pre-B"] > 1.5 * max(area["Benign"], area["Early Pre-B"], area["Pro-B"])
    assert min(area.values()) > 0.01

    red, green, blue = range(3)
    colour = {name: mean_over_fields(name, lambda image: np.asarray(image).mean((0, 1))) for name in CLASS_NAMES}
    assert colour["Pro-B"][green] > max(colour[name][green] for name in CLASS_NAMES if name != "Pro-B") + 5
    assert colour["Pre-B"][blue] - colour["Pre-B"][red] > 30  # the bluest stain


def test_a_field_is_mostly_bright_glass_and_red_cells():
    pixels = np.asarray(render_smear("Early Pre-B", seed=1))
    assert np.median(pixels) > 150
    assert pixels.std() > 15


def test_own_class_names_have_their_own_stable_look():
    names = ("healthy", "odd", "zz top")
    images = [render_smear(name, seed=0) for name in names]
    assert render_smear("odd", seed=0).tobytes() == images[1].tobytes()
    assert len({image.tobytes() for image in images}) == 3


@pytest.mark.parametrize("image_size", [31, 0, -5])
def test_too_small_image_size_is_refused_in_one_sentence(image_size):
    with pytest.raises(ValueError, match=rf"^image_size must be at least 32 pixels, not {image_size}\.$"):
        render_smear("Benign", seed=0, image_size=image_size)


def test_negative_seed_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        render_smear("Benign", seed=-1)


def test_files_have_the_documented_names_and_their_text_chunk(tmp_path):
    paths = write_smears(tmp_path, fields_per_class=2, seed=0, image_size=48)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        f"{folder}/synthetic-{folder}-{number:04d}.png"
        for folder in ("Benign", "Early", "Pre", "Pro")
        for number in (1, 2)
    ]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)  # no temporary left
    for path in paths:
        with Image.open(path) as image:
            assert image.text == {"Description": DESCRIPTION}
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (48, 48))
    assert len({path.read_bytes() for path in paths}) == len(paths)


def test_files_do_not_depend_on_the_number_of_fields_or_the_other_classes(tmp_path):
    few = write_smears(tmp_path / "few", fields_per_class=1, seed=5, image_size=32, class_names=("Pre-B",))
    many = write_smears(str(tmp_path / "many"), fields_per_class=3, seed=5, image_size=32)
    other_seed = write_smears(tmp_path / "other", fields_per_class=1, seed=6, image_size=32, class_names=("Pre-B",))
    same = next(path for path in many if path.name == few[0].name)
    assert few[0].read_bytes() == same.read_bytes() != other_seed[0].read_bytes()


def test_own_classes_get_folders_of_their_own_name(tmp_path):
    paths = write_smears(tmp_path, fields_per_class=1, seed=0, image_size=32, class_names=("mine", "v1.5"))
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "mine/synthetic-mine-0001.png",
        "v1.5/synthetic-v1.5-0001.png",
    ]


@pytest.mark.parametrize(
    ("class_names", "message"),
    [
        (("../up",), "cannot be used as a folder name"),
        (("",), "cannot be used as a folder name"),
        (("..",), "cannot be used as a folder name"),
        (("Early Pre-B", "early"), "two classes would share a folder"),
    ],
)
def test_unusable_class_names_are_refused_before_anything_is_written(tmp_path, class_names, message):
    with pytest.raises(ValueError, match=message):
        write_smears(tmp_path, fields_per_class=1, seed=0, image_size=32, class_names=class_names)
    assert list(tmp_path.iterdir()) == []


def run_script(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / "generate_smears.py"), *arguments],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
        },
    )


def test_script_writes_the_fields_and_says_so(tmp_path):
    pytest.importorskip("tyro")
    result = run_script(str(tmp_path), "--fields-per-class", "1", "--image-size", "32")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"wrote 4 synthetic fields (not real specimens) to {tmp_path}\n"
    assert len(list(tmp_path.rglob("*.png"))) == 4


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--image-size=8", "error: image_size must be at least 32 pixels, not 8.\n"),
        ("--fields-per-class=0", "error: fields_per_class must be at least 1, not 0.\n"),
    ],
)
def test_script_refuses_a_bad_value_in_one_sentence(tmp_path, option, sentence):
    pytest.importorskip("tyro")
    result = run_script(str(tmp_path), option)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", sentence)
