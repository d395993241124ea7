"""Acquisitions: measures of a field by value, and sittings found again in made-up streams of measures."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leuk_hf.acquisitions import infer_acquisitions, sequence_number
from leuk_hf.errors import DataError
from leuk_hf.field_measures import measure_field

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(__file__).parents[2] / "shared" / "data"
REFERENCE = Path(__file__).parent / "reference" / "acquisitions.csv"
NAMES = ("background_red", "background_blue", "red_cell_density", "red_cell_red", "vignetting", "sharpness")


def smear(*, background=(228, 222, 205), fall_off=0.0, tilt=0.0, size=(224, 224), seed=0) -> np.ndarray:
    """Draw grey-violet discs on glass whose light changes by `tilt` to the right and falls off with distance²."""
    rng = np.random.default_rng(seed)
    height, width = size
    pixels = np.empty((height, width, 3), dtype=np.float32)
    pixels[:] = background
    edge = min(size) / 224
    for _ in range(60):
        centre = tuple(int(value) for value in rng.integers(0, (width, height)))
        cv2.circle(pixels, centre, round(9 * edge), (160, 150, 178), -1, cv2.LINE_AA)
    for _ in range(4):
        centre = tuple(int(value) for value in rng.integers(0, (width, height)))
        cv2.circle(pixels, centre, round(14 * edge), (120, 60, 160), -1, cv2.LINE_AA)
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    pixels *= (1 + tilt * x - fall_off * (x**2 + y**2))[..., None]
    return np.clip(pixels + rng.normal(0, 1.5, pixels.shape), 0, 255).round().astype(np.uint8)


def fields(levels, *, seed=0, shifted=NAMES) -> list[dict[str, float]]:
    """Give each field measures of standard deviation 1, those in `shifted` around its level, the rest around 0."""
    values = np.random.default_rng(seed).normal(0, 1, (len(levels), len(NAMES)))
    values += np.outer(levels, [name in shifted for name in NAMES])
    return [dict(zip(NAMES, row, strict=True)) for row in values]


def numbered(count: int, folder: str = "Pre", step: int = 1) -> list[str]:
    return [f"{folder}/field-{1 + step * place:03d}.jpg" for place in range(count)]


def infer(measures, paths=None, labels=None, styles=None) -> list[str]:
    paths = numbered(len(measures)) if paths is None else paths
    return infer_acquisitions(
        measures, paths, [0] * len(measures) if labels is None else labels, styles or [""] * len(measures)
    )


def borders(names: list[str]) -> list[int]:
    return [place for place in range(1, len(names)) if names[place] != names[place - 1]]


@pytest.mark.parametrize("size", [(224, 224), (480, 640), (97, 130)])
@pytest.mark.parametrize("background", [(228, 222, 205), (250, 254, 240), (180, 176, 190)])
def test_background_colour_is_recovered(background, size):
    measures = measure_field(smear(background=background, size=size))
    found = [measures[f"background_{name}"] for name in ("red", "green", "blue")]
    assert np.abs(np.subtract(found, background)).max() < 2


def test_stain_is_the_one_drawn_and_does_not_depend_on_exposure():
    bright, dark = (measure_field(np.round(smear() * factor).astype(np.uint8)) for factor in (1.0, 0.7))
    for kind, colour, tolerance in (("red_cell", (160, 150, 178), 0.03), ("leukocyte", (120, 60, 160), 0.15)):
        absorbance = np.log10((np.array((228, 222, 205)) + 1) / (np.array(colour) + 1))
        drawn = [absorbance.sum(), absorbance[0] / absorbance.sum(), absorbance[2] / absorbance.sum()]
        names = [f"{kind}_{name}" for name in ("density", "red", "blue")]
        assert [bright[name] for name in names] == pytest.approx(drawn, abs=tolerance)
        assert [dark[name] for name in names] == pytest.approx([bright[name] for name in names], abs=0.03)
    assert dark["background_red"] == pytest.approx(0.7 * 228, abs=2)


def test_thickness_changes_the_density_alone():
    thin = smear().astype(float)
    glass = np.array((228.0, 222.0, 205.0))
    thick = np.clip(glass * (thin / glass) ** 1.5, 0, 255).round().astype(np.uint8)
    before, after = measure_field(smear()), measure_field(thick)
    assert after["red_cell_density"] / before["red_cell_density"] == pytest.approx(1.5, abs=0.1)
    assert after["red_cell_red"] == pytest.approx(before["red_cell_red"], abs=0.03)
    assert after["red_cell_blue"] == pytest.approx(before["red_cell_blue"], abs=0.03)


def test_illumination_is_measured():
    even, tilted, vignetted = (
        measure_field(smear()),
        measure_field(smear(tilt=0.06)),
        measure_field(smear(fall_off=0.1)),
    )
    assert [even[name] for name in ("slope_x", "slope_y", "vignetting")] == pytest.approx([0, 0, 0], abs=0.01)
    assert tilted["slope_x"] == pytest.approx(0.06, abs=0.012)
    assert tilted["slope_y"] == pytest.approx(0, abs=0.012)
    assert vignetted["vignetting"] == pytest.approx(-0.1, abs=0.015)


def test_sharpness_falls_under_blur_and_noise_rises_with_noise():
    image = smear()
    sharpness = [measure_field(cv2.GaussianBlur(image, (0, 0), sigma))["sharpness"] for sigma in (0.6, 1.2, 2.4)]
    assert measure_field(image)["sharpness"] > sharpness[0] > sharpness[1] > sharpness[2]
    noisy = np.clip(image + np.random.default_rng(1).normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    assert measure_field(noisy)["noise"] > 2 * measure_field(image)["noise"]


def test_blockiness_rises_with_jpeg_compression():
    image = smear()
    _, stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 5])
    blocky = cv2.imdecode(stored, cv2.IMREAD_COLOR)
    assert measure_field(blocky)["blockiness"] > measure_field(image)["blockiness"] + 0.1


def test_ignored_pixels_do_not_count():
    image = smear()
    marked, ignore = image.copy(), np.zeros((224, 224), dtype=bool)
    marked[150:224, 120:224], ignore[150:224, 120:224] = (250, 20, 20), True
    plain, covered, seen = measure_field(image), measure_field(marked, ignore), measure_field(marked)
    for name in ("leukocyte_density", "leukocyte_red", "red_cell_density", "background_red"):
        assert covered[name] == pytest.approx(plain[name], abs=0.02 if "cell" in name or "cyte" in name else 1)
    assert abs(seen["leukocyte_red"] - plain["leukocyte_red"]) > 0.05  # red ink is taken for leukocytes
    with pytest.raises(ValueError, match="one size"):
        measure_field(image, ignore[:100])


def test_pil_and_array_agree_and_odd_images_are_measured():
    image = smear()
    assert measure_field(Image.fromarray(image)) == measure_field(image)
    for odd in ((1, 1), (1, 300), (5, 3), (17, 18), (600, 2)):
        for level in (0, 128, 255):
            flat = np.full((*odd, 3), level, dtype=np.uint8)
            measures = measure_field(flat, np.ones(odd, dtype=bool))
            assert np.isfinite(list(measures.values())).all()
            assert measures["background_green"] == level
            assert measures["red_cell_density"] == measures["contrast"] == measures["sharpness"] == 0


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("Benign/WBC-Benign-001.jpg", 1),
        ("a 12/Snap_0420.png", 420),
        ("C:\\slides 3\\field9.jpeg", 9),
        ("7 (copy).png", 7),
        ("part2/field.jpg", None),
        ("", None),
    ],
)
def test_sequence_number(path, number):
    assert sequence_number(path) == number


@pytest.mark.parametrize("first", [12, 30, 75])
@pytest.mark.parametrize("seed", range(3))
def test_two_tints_in_number_order_have_one_border(first, seed):
    tint = ("background_red", "background_blue")
    found = borders(infer(fields([0] * first + [12] * 60, seed=seed, shifted=tint)))
    assert len(found) == 1
    assert abs(found[0] - first) <= 1


def test_missing_numbers_and_restarts_do_not_matter():
    names = infer(fields([0] * 40 + [9] * 40), paths=numbered(80, step=7))
    assert borders(names) == [40]
    restarted = numbered(40, "Pre/slide a") + numbered(40, "Pre/slide b")
    assert borders(infer(fields([0] * 40 + [9] * 40), paths=restarted)) == [40]
    assert len(set(infer(fields([0] * 80), paths=restarted))) == 1


def test_interrupted_acquisition_comes_together():
    levels = [0] * 30 + [10] * 25 + [0] * 30
    names = infer(fields(levels))
    assert len(set(names)) == 2
    assert len(set(names[:30]) | set(names[-25:])) == 1


@pytest.mark.parametrize("period", [2, 3])
def test_alternating_acquisitions_are_told_apart(period):
    levels = [9 if place % period == 0 else 0 for place in range(60)] + [0] * 40
    names = np.array(infer(fields(levels)))
    of_first, of_second = names[np.array(levels) == 9], names[np.array(levels) == 0]
    assert len(set(names)) == 2
    assert (of_first == of_first[0]).mean() == 1
    assert (of_second == of_second[0]).mean() == 1
    assert of_first[0] != of_second[0]


@pytest.mark.parametrize("seed", range(5))
def test_homogeneous_class_is_one_acquisition(seed):
    assert len(set(infer(fields([0] * 300, seed=seed)))) == 1


def test_drift_is_one_acquisition():
    assert len(set(infer(fields(np.linspace(0, 12, 300))))) == 1


def test_stray_fields_do_not_make_an_acquisition():
    levels = np.zeros(120)
    levels[[20, 55, 56, 90]] = 30
    assert len(set(infer(fields(levels)))) == 1


def test_annotation_change_is_a_border_but_a_stray_style_is_not():
    styles = ["black"] * 30 + ["red"] * 30
    styles[10], styles[45], styles[50] = "unclear", "none", "black"
    names = infer(fields([0] * 60), styles=styles)
    assert len(set(names)) == 2
    assert set(names[:30]) & {names[10]}
    assert names[31] != names[29]
    assert borders(["black" in name for name in names if "black" in name]) == []
    clear = [place for place in range(60) if place not in (10, 45, 50)]
    assert [("red" in names[place]) for place in clear] == [place >= 30 for place in clear]
    assert names[50] in set(names[30:])


def test_a_style_on_a_single_field_is_a_mistake():
    names = infer(fields([0] * 60), styles=["black"] * 25 + ["large"] + ["black"] * 34)
    assert set(names) == {"0-black-1"}


def test_one_wrong_measure_does_not_move_a_field_of_alternating_acquisitions():
    measures = fields([0, 9] * 60)
    for place in (20, 50, 80):
        measures[place]["sharpness"] = 60.0
    names = infer(measures)
    assert len(set(names)) == 2
    assert set(names[::2]).isdisjoint(names[1::2])


def test_unknown_annotation_goes_to_the_acquisition_around_it():
    levels, styles = [0] * 30 + [4] * 30, ["black"] * 30 + ["red"] * 30
    levels[40], styles[40] = 1, "unclear"  # looks more like the black ones, which ended ten fields before
    names = infer(fields(levels), styles=styles)
    assert names[40] == names[41] != names[29]


def test_unknown_annotation_follows_the_measures():
    styles = ["black", "red"] * 30
    styles[20] = styles[21] = "unclear"
    names = infer(fields([0, 8] * 30), styles=styles)
    assert names[20] == names[18]
    assert names[21] == names[19]
    assert len(set(names)) == 2


def test_long_run_without_annotation_stands_alone():
    names = infer(fields([0] * 60), styles=["red"] * 40 + ["none"] * 20)
    assert borders(names) == [40]


def test_order_of_the_rows_does_not_matter():
    levels = [0, 9] * 25 + [0] * 30 + [9] * 20 + [4] * 20
    measures, styles = fields(levels), ["black"] * 80 + ["unclear"] * 3 + ["red"] * 37
    paths, labels = numbered(60, "a") + numbered(60, "b"), [0] * 60 + [1] * 60
    names = infer(measures, paths, labels, styles)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(paths))
        shuffled = infer(*([column[row] for row in order] for column in (measures, paths, labels, styles)))
        assert shuffled == [names[row] for row in order]


def test_without_numbers_only_separate_clusters_count():
    letters = [f"{first}{second}.jpg" for first in "abcdefgh" for second in "abcdefghij"]
    levels = np.random.default_rng(2).permutation([0] * 50 + [9] * 30)
    names = np.array(infer(fields(levels), paths=letters))
    assert len(set(names)) == 2
    assert len(set(names[levels == 0])) == len(set(names[levels == 9])) == 1
    assert len(set(infer(fields([0] * 80), paths=letters))) == 1
    assert len(set(infer(fields(np.linspace(0, 9, 80)), paths=letters))) == 1


def test_classes_are_apart_unless_they_look_the_same():
    paths, labels = numbered(40, "a") + numbered(40, "b"), [3] * 40 + [7] * 40
    assert borders(infer(fields([0] * 40 + [5] * 40), paths, labels)) == [40]
    assert set(infer(fields([0] * 80), paths, labels)) == {"3+7-1"}


def test_one_slide_under_two_annotations_is_joined_only_if_asked():
    levels, styles = [0] * 30 + [7] * 30 + [0] * 30, ["red"] * 60 + ["large"] * 30
    paths, labels = numbered(90), [0] * 90
    strict = infer(fields(levels), paths, labels, styles)
    assert borders(strict) == [30, 60]
    assert len(set(strict)) == 3
    joined = infer_acquisitions(fields(levels), paths, labels, styles, across_annotations=True)
    assert joined == ["0-large+red-1"] * 30 + ["0-red-1"] * 30 + ["0-large+red-1"] * 30


def test_few_fields_and_constant_measures():
    assert infer([]) == []
    assert infer(fields([0])) == ["0-1"]
    four = infer(fields([0, 5, 9, 2]), labels=[0, 1, 2, 3])
    assert four == ["0-1", "1-1", "2-1", "3-1"]
    constant = [dict.fromkeys(NAMES, 1.0)] * 50
    assert len(set(infer(constant))) == 1
    assert borders(infer(constant, styles=["red"] * 25 + ["large"] * 25)) == [25]
    holes = fields([0] * 40 + [9] * 40)
    holes[5]["sharpness"] = holes[60]["vignetting"] = float("nan")
    assert borders(infer(holes)) == [40]
    assert len(set(infer([{"only": float("nan")}] * 20))) == 1
    assert len(set(infer([{}] * 20))) == 1


def test_mistaken_arguments_are_refused():
    with pytest.raises(DataError, match="one entry"):
        infer_acquisitions(fields([0, 0]), ["a"], [0, 0], ["", ""])
    with pytest.raises(DataError, match="path of its own"):
        infer(fields([0, 0]), paths=["a", "a"])
    with pytest.raises(DataError, match="same measures"):
        infer([{"sharpness": 1.0}, {"noise": 1.0}])


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data set lies outside the repository")
def test_borders_seen_by_eye_are_found():
    """Ends of the acquisitions in the reference table, on the stretches of the real data around them."""
    stretches = {
        ("Benign", "large"): (340, 460),
        ("Benign", "small red"): (1, 230),
        ("Pre", "small black"): (1, 80),
        ("Pre", "small red"): (200, 800),
        ("Pro", "small black"): (1, 45),
    }
    rows = [
        row
        for row in read_table(DATA / "acquisition_reference.csv")
        if (span := stretches.get((row["label"], row["annotation"])))
        and span[0] <= (sequence_number(row["file"]) or 0) <= span[1]
    ]
    paths = [row["file"] for row in rows]
    measures = []
    scale_bar = np.zeros((224, 224), dtype=bool)
    scale_bar[196:, 176:] = True
    for path in paths:
        with Image.open(DATA / "leukemia" / "Original" / path) as image:
            measures.append(measure_field(image, scale_bar))
    labels = [("Benign", "Pre", "Pro").index(row["label"]) for row in rows]
    found = dict(
        zip(paths, infer_acquisitions(measures, paths, labels, [row["annotation"] for row in rows]), strict=True)
    )
    reference = [row for row in read_table(REFERENCE) if (row["class"], row["annotation"]) in stretches]
    ends = [(row, [row[end] for end in ("first_file", "last_file") if row[end] in found]) for row in reference]
    assert sum(len(files) for _, files in ends) >= 11
    for row, files in ends:
        assert len({found[file] for file in files}) <= 1, row
        others = {file for other, more in ends for file in more if other is not row}
        assert not {found[file] for file in files} & {found[file] for file in others}, row
    violet = {found[path] for path in paths if path in {f"Pre/WBC-Malignant-Pre-{n:03d}.jpg" for n in range(1, 29, 3)}}
    assert len(violet) == 1
    assert sum(name in violet for name in found.values()) == 10
