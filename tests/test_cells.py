"""Tests of leuk_hf.cells and leuk_hf.segmentation_metrics."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image

from leuk_hf import synthetic
from leuk_hf.annotation import remove_annotation
from leuk_hf.cell_network import leukocyte_probability
from leuk_hf.cells import (
    Leukocyte,
    describe_leukocytes,
    find_leukocytes,
    label_leukocytes,
    segment_leukocytes,
)
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.segmentation_metrics import (
    count_cells,
    count_error,
    coverage,
    dice,
    rasterise,
    share_found,
    without_specks,
)

DATA = Path(__file__).parents[2] / "shared" / "data" / "leukemia" / "Original"
REFERENCE = Path(__file__).parent / "reference" / "leukocytes"
GLASS, RED_CELL, NUCLEUS = (252, 253, 246), (168, 185, 214), (140, 105, 236)


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    """Bool (H, W), from (width, height), (x, y) and a radius."""
    down, right = np.indices((size[1], size[0]))
    return (right - centre[0]) ** 2 + (down - centre[1]) ** 2 <= radius**2


def field(
    nuclei: list[tuple[float, float, float]], red_cells: list[tuple[float, float, float]] = (), *, size: int = 224
) -> tuple[np.ndarray, np.ndarray]:
    """A drawn field, slightly blurred, and its true mask; cells are (x, y, radius) of a 224-pixel field."""
    image = np.full((size, size, 3), GLASS, dtype=np.uint8)
    true = np.zeros((size, size), dtype=bool)
    scale = size / 224
    for cells, colour in ((red_cells, RED_CELL), (nuclei, NUCLEUS)):
        for x, y, radius in cells:
            inside = disc((size, size), (x * scale, y * scale), radius * scale)
            image[inside] = colour
            if colour == NUCLEUS:
                true |= inside
    return cv2.GaussianBlur(image, (0, 0), 0.8 * scale), true


CELLS = [(50, 60, 13), (150, 50, 10), (110, 150, 16)]
RED_CELLS = [(90, 90, 9), (180, 100, 9), (40, 180, 8), (170, 170, 9), (20, 20, 8), (66, 60, 8), (100, 20, 9)]


@pytest.mark.parametrize("use", [segment_leukocytes, find_leukocytes, remove_annotation])
def test_a_path_is_no_image(use):
    for path in ("field.png", Path("field.png")):
        with pytest.raises(
            TypeError, match=f"^an image of type {type(path).__name__} cannot be used here; give a PIL"
        ):
            use(path)


def test_drawn_cells_are_found_where_they_are_and_red_cells_are_not() -> None:
    image, true = field(CELLS, RED_CELLS)
    mask = segment_leukocytes(image)
    assert mask.dtype == bool and mask.shape == true.shape
    assert dice(mask, true) > 0.94
    found = find_leukocytes(Image.fromarray(image))
    # Rows from the top meet the cell at y = 50 - 10 first, then 60 - 13, then 150 - 16.
    assert [cell.label for cell in found] == [1, 2, 3]
    for cell, (x, y, radius) in zip(found, (CELLS[1], CELLS[0], CELLS[2]), strict=True):
        assert cell.centre == pytest.approx((x, y), abs=1)
        assert cell.area == pytest.approx(math.pi * (radius + 0.5) ** 2, rel=0.15)  # rather too wide than too narrow
        assert cell.box == pytest.approx((x - radius, y - radius, x + radius + 1, y + radius + 1), abs=2)
        assert not cell.touches_border


def test_a_cell_cut_by_the_edge_touches_the_border() -> None:
    image, _ = field([(0, 100, 13), (120, 100, 13)])
    left, middle = sorted(find_leukocytes(image), key=lambda cell: cell.centre[0])
    assert left.touches_border and left.box[0] == 0
    assert not middle.touches_border
    assert left.area == pytest.approx(middle.area / 2, rel=0.2)


def test_array_and_image_give_the_same_and_repeat() -> None:
    image, _ = field(CELLS, RED_CELLS)
    first = segment_leukocytes(image)
    assert np.array_equal(first, segment_leukocytes(Image.fromarray(image)))
    assert find_leukocytes(image) == find_leukocytes(image)


@pytest.mark.parametrize(
    ("shape", "floor"), [((448, 448), 0.93), ((1024, 768), 0.93), ((2592, 1944), 0.93), ((150, 170), 0.91)]
)
def test_the_size_of_the_image_does_not_matter(shape: tuple[int, int], floor: float) -> None:
    # Outlines lie about a working pixel outside what is drawn; the smaller the image, the larger the share of that.
    image, true = field(CELLS, RED_CELLS, size=672)
    small = find_leukocytes(cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA))
    resized = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    mask = segment_leukocytes(resized)
    assert mask.shape == shape[::-1]
    expected = cv2.resize(true.astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST) > 0
    assert dice(mask, expected) > floor
    width, height = (2 * math.ceil(2 * edge / 224) + 1 for edge in shape)
    reach = np.ones((height, width), np.uint8)
    assert not mask[cv2.dilate(expected.astype(np.uint8), reach) == 0].any()
    assert mask[cv2.erode(expected.astype(np.uint8), reach) > 0].all()
    found = describe_leukocytes(label_leukocytes(mask))
    assert len(found) == len(small) == 3
    for cell, reference in zip(found, small, strict=True):
        assert cell.area / mask.size == pytest.approx(reference.area / 224**2, rel=0.1)


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_synthetic_fields_without_leukocytes_give_an_empty_mask(
    class_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = dataclasses.replace(synthetic.APPEARANCES[class_name], leukocyte_count=(0, 0), smudge_count=(0, 0))
    monkeypatch.setitem(synthetic.APPEARANCES, class_name, empty)
    for seed in range(3):
        image = synthetic.render_smear(class_name, seed=seed)
        assert not segment_leukocytes(image).any()
        assert find_leukocytes(image) == ()


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_synthetic_fields_with_leukocytes_give_some_of_plausible_size(class_name: str) -> None:
    look = synthetic.APPEARANCES[class_name]
    for seed in range(3):
        mask = segment_leukocytes(synthetic.render_smear(class_name, seed=seed))
        whole = [cell for cell in describe_leukocytes(label_leukocytes(mask)) if not cell.touches_border]
        # Some drawn cells lie outside the field, touch each other or are burst.
        assert 1 <= len(whole) <= look.leukocyte_count[1] + look.smudge_count[1]
        radius = math.sqrt(np.median([cell.area for cell in whole]) / math.pi) / 224
        assert 0.8 * look.leukocyte_radius[0] < radius < 1.2 * look.leukocyte_radius[1]


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (90, 60, 160), (250, 250, 240)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2), (64, 64), (300, 200)])
def test_flat_images_hold_no_leukocyte(colour: tuple[int, int, int], shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), colour, dtype=np.uint8)
    mask = segment_leukocytes(image)
    assert mask.shape == shape and not mask.any()
    assert find_leukocytes(image) == ()


def test_uneven_glass_holds_no_leukocyte() -> None:
    ramp = np.linspace(255, 190, 224)[None, :, None] * np.array([1, 0.98, 1.0])
    noise = np.random.default_rng(0).normal(0, 3, (224, 224, 3))
    assert not segment_leukocytes(np.clip(ramp + noise, 0, 255).astype(np.uint8)).any()


def test_a_grey_field_does_not_crash_and_has_no_colour_to_find() -> None:
    image, _ = field(CELLS, RED_CELLS)
    assert not segment_leukocytes(Image.fromarray(image).convert("L")).any()


@pytest.mark.parametrize("colour", [(0, 0, 0), (230, 30, 30)])
def test_burnt_in_scale_bars_are_left_out(colour: tuple[int, int, int]) -> None:
    image, true = field(CELLS, RED_CELLS)
    image = np.ascontiguousarray(image)
    cv2.rectangle(image, (190, 200), (223, 223), (255, 255, 255), cv2.FILLED)
    cv2.rectangle(image, (195, 214), (223, 217), colour, cv2.FILLED)
    cv2.putText(image, "200", (194, 211), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, 1)
    mask = segment_leukocytes(image)
    assert not mask[196:, 186:].any()
    assert dice(mask, true) > 0.93


def test_platelets_are_too_small() -> None:
    image, _ = field([*CELLS, (200, 40, 2.5), (30, 120, 2.0)])
    mask = segment_leukocytes(image)
    assert len(describe_leukocytes(label_leukocytes(mask))) == 3
    assert not mask[30:50, 190:210].any() and not mask[110:130, 20:40].any()


def test_bad_images_and_masks_are_refused() -> None:
    for image in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3))):
        with pytest.raises(ValueError, match="uint8"):
            segment_leukocytes(image)
    for mask in (np.zeros((0, 3), bool), np.zeros((2, 2, 2), bool)):
        with pytest.raises(ValueError, match="mask"):
            label_leukocytes(mask)


def test_probability_is_high_inside_and_low_outside() -> None:
    image, true = field(CELLS, RED_CELLS)
    probability = leukocyte_probability(image)
    assert probability.shape == (224, 224) and probability.min() >= 0 and probability.max() <= 1
    inside = cv2.erode(true.astype(np.uint8), np.ones((7, 7))) > 0
    outside = cv2.dilate(true.astype(np.uint8), np.ones((7, 7))) == 0
    assert probability[inside].mean() > 0.9 and probability[outside].mean() < 0.05


@pytest.mark.parametrize("scale", [1, 4])
def test_two_touching_discs_are_two_cells(scale: int) -> None:
    size = (224 * scale, 224 * scale)
    left, right = disc(size, (90 * scale, 100 * scale), 14 * scale), disc(size, (114 * scale, 100 * scale), 14 * scale)
    labels = label_leukocytes(left | right)
    assert labels.dtype == np.int32
    assert np.array_equal(labels > 0, left | right)
    assert np.unique(labels).tolist() == [0, 1, 2]
    cells = sorted(describe_leukocytes(labels), key=lambda cell: cell.centre[0])
    assert cells[0].area == pytest.approx(cells[1].area, rel=0.05)
    assert cells[0].box[2] == pytest.approx(102 * scale, abs=2 * scale)


def test_one_oval_stays_one_cell() -> None:
    mask = np.zeros((224, 224), dtype=np.uint8)
    cv2.ellipse(mask, (100, 100), (24, 13), 30, 0, 360, 1, cv2.FILLED)
    assert np.unique(label_leukocytes(mask > 0)).tolist() == [0, 1]


def test_apart_regions_never_share_a_label() -> None:
    # Two columns of a wide mask that fall into one working pixel.
    mask = np.zeros((40, 2240), dtype=bool)
    mask[5:35, 1000:1005] = mask[5:35, 1007:1012] = True
    labels = label_leukocytes(mask)
    assert labels.max() == 2 and len(np.unique(labels[:, 1000:1005])) == 2
    assert set(labels[5:35, 1000:1005].ravel()) != set(labels[5:35, 1007:1012].ravel())


def test_empty_full_and_noisy_masks() -> None:
    assert not label_leukocytes(np.zeros((30, 20), dtype=bool)).any()
    assert np.array_equal(label_leukocytes(np.ones((30, 20), dtype=bool)), np.ones((30, 20), dtype=np.int32))
    noise = np.random.default_rng(0).random((90, 70)) > 0.7
    labels = label_leukocytes(noise)
    assert np.array_equal(labels > 0, noise)
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_description_of_a_hand_made_label_map() -> None:
    labels = np.zeros((6, 8), dtype=np.int32)
    labels[1:3, 2:5] = 1
    labels[4:6, 7] = 3
    assert describe_leukocytes(labels) == (
        Leukocyte(label=1, area=6, centre=(3.0, 1.5), box=(2, 1, 5, 3), touches_border=False),
        Leukocyte(label=3, area=2, centre=(7.0, 4.5), box=(7, 4, 8, 6), touches_border=True),
    )
    assert describe_leukocytes(np.zeros((3, 3), dtype=np.int32)) == ()


def test_rasterise_covers_the_pixels_inside() -> None:
    drawn = rasterise([[(2, 1), (6, 1), (6, 4), (2, 4)]], (6, 8))
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 2:6] = True
    # OpenCV draws the outline itself too, at most a pixel outwards.
    assert drawn[expected].all()
    assert not drawn[5:].any() and not drawn[:, 7:].any() and not drawn[:, :1].any() and not drawn[0].all()
    assert not rasterise([], (4, 4)).any()


def test_dice_by_hand() -> None:
    found = np.array([[True, True, False, False]])
    true = np.array([[False, True, True, False]])
    assert dice(found, true) == 0.5  # 2 * 1 / (2 + 2)
    assert dice(found, true, np.array([[True, False, False, False]])) == pytest.approx(2 / 3)
    assert dice(found, found) == 1.0
    assert math.isnan(dice(np.zeros((2, 2), bool), np.zeros((2, 2), bool)))


def test_coverage_by_hand() -> None:
    found, true = np.zeros((9, 9), dtype=bool), np.zeros((9, 9), dtype=bool)
    found[4, 4] = True
    true[4, 3:8] = True
    assert coverage(found, true) == 0.2
    assert coverage(found, true, margin=1) == 0.6
    assert coverage(found, true, margin=3) == 1.0
    ignored = np.zeros((9, 9), dtype=bool)
    ignored[4, 7] = True
    assert coverage(found, true, ignored=ignored) == 0.25
    assert math.isnan(coverage(found, np.zeros((9, 9), bool)))


def test_counts_by_hand() -> None:
    ignored = np.zeros((4, 4), dtype=bool)
    ignored[3, 1] = True
    assert count_cells([(0.2, 0.1), (1.4, 2.6), (3.0, 1.0)], ignored) == 2
    assert count_error(8, 10) == pytest.approx(-0.2)
    assert count_error(12, 10) == pytest.approx(0.2)
    assert math.isnan(count_error(3, 0))


def test_share_found_and_specks_by_hand() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[2:8, 2:8] = True
    mask[15, 15] = True
    square = [[2.5, 2.5], [7.5, 2.5], [7.5, 7.5], [2.5, 7.5]]
    missed = [[12.5, 12.5], [17.5, 12.5], [17.5, 17.5], [12.5, 17.5]]
    assert share_found(mask, [square, missed]) == 0.5
    assert math.isnan(share_found(mask, []))
    cleaned = without_specks(mask, 2)
    assert cleaned[2:8, 2:8].all() and cleaned.sum() == 36
    assert not without_specks(np.zeros((3, 3), bool), 2).any()


def load_script() -> ModuleType:
    path = Path(__file__).parents[1] / "scripts" / "measure_segmentation.py"
    specification = importlib.util.spec_from_file_location("measure_segmentation", path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    # Dataclasses look their module up by name.
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def write_outlined_fields(folder: Path) -> tuple[Path, Path]:
    """Two drawn fields: of the first only a part is outlined, the second completely and with an unclear cell."""
    source, reference = folder / "Original", folder / "outlines"
    (source / "Pre").mkdir(parents=True)
    reference.mkdir()
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circles = [[[x + r * math.cos(a) + 0.5, y + r * math.sin(a) + 0.5] for a in angles] for x, y, r in CELLS]
    image, _ = field(CELLS, RED_CELLS)
    for name in ("a.png", "b.png"):
        Image.fromarray(image).save(source / "Pre" / name)
    outlined = [[("leukocyte", circles[0])], [("leukocyte", circles[0]), ("leukocyte", circles[1])]]
    outlined[1].append(("unclear", circles[2]))
    fields = [
        {"file": f"Pre/{name}", "cells": [{"kind": kind, "polygon": polygon} for kind, polygon in cells]}
        for name, cells in zip(("a.png", "b.png"), outlined, strict=True)
    ]
    (reference / "pre.json").write_text(json.dumps({"fields": fields}), encoding="utf-8")
    return source, reference


def test_script_measures_the_odd_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tyro")
    source, reference = write_outlined_fields(tmp_path)
    results, failures = tmp_path / "results.json", tmp_path / "failures.png"
    arguments = ["--source", str(source), "--reference", str(reference)]
    script = load_script()
    assert script.main([*arguments, "--results", str(results), "--failures", str(failures)]) == 0
    entry = json.loads(results.read_text(encoding="utf-8"))["data"]["leukocyte_segmentation"]
    assert entry["part"] == "odd" and "scripts/measure_segmentation.py" in entry["command"]
    # Nobody's masks lie beside the source, so only two methods are compared.
    assert list(entry["methods"]) == ["leuk_hf", "otsu_blurred_a"]
    figures = entry["methods"]["leuk_hf"]["pre"]
    # Two of the field's three cells count, the unclear third neither for nor against.
    assert figures["num_fields"] == 1
    assert figures["count_error"]["value"] == 0
    assert figures["cells_found"]["value"] == 1
    assert figures["dice"]["value"] > 0.9
    assert "| leuk_hf | pre | 1 |" in capsys.readouterr().out
    with Image.open(failures) as page:
        assert page.size == (672, 672)

    # In the even field three cells are found where one is outlined.
    assert script.main([*arguments, "--part", "even", "--results", str(results)]) == 0
    entry = json.loads(results.read_text(encoding="utf-8"))["data"]["leukocyte_segmentation"]
    assert entry["methods"]["leuk_hf"]["all"]["signed_count_error"]["value"] == 2


def test_script_explains_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tyro")
    source, reference = write_outlined_fields(tmp_path)
    script = load_script()
    assert script.main(["--source", str(source), "--reference", str(tmp_path / "none")]) == 2
    assert "holds no outline file" in capsys.readouterr().err
    assert script.main(["--source", str(tmp_path), "--reference", str(reference)]) == 2
    assert "is missing or no image" in capsys.readouterr().err
    (reference / "pre.json").write_text('{"fields": [{}, {"file": "Pre/a.png"}]}', encoding="utf-8")
    assert script.main(["--source", str(source), "--reference", str(reference)]) == 2
    assert "is no outline file" in capsys.readouterr().err


# Slightly worse than what scripts/measure_segmentation.py measured on these fields: Dice and covered within 3 px at
# least, error of the count at most.
BOUNDS = {
    "benign": (0.92, 0.975, 0.05),
    "early": (0.945, 0.99, 0.09),
    "pre": (0.945, 0.99, 0.05),
    "pro": (0.95, 0.99, 0.02),
}


@pytest.mark.skipif(not DATA.is_dir(), reason="the data set is not here")
@pytest.mark.parametrize("name", BOUNDS)
def test_real_fields_that_were_not_used_for_tuning(name: str) -> None:
    path = REFERENCE / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    rows = []
    for entry in json.loads(path.read_text(encoding="utf-8"))["fields"][1::2]:
        image = Image.open(DATA / entry["file"]).convert("RGB")
        outlines = [cell["polygon"] for cell in entry["cells"] if cell["kind"] == "leukocyte"]
        others = [cell["polygon"] for cell in entry["cells"] if cell["kind"] != "leukocyte"]
        true = rasterise(outlines, image.size[::-1])
        ignored = rasterise(others, image.size[::-1]) & ~true
        mask = segment_leukocytes(image)
        centres = [cell.centre for cell in describe_leukocytes(label_leukocytes(mask))]
        error = abs(count_error(count_cells(centres, ignored), len(outlines)))
        rows.append((dice(mask, true, ignored), coverage(mask, true, margin=3, ignored=ignored), error))
    mean_dice, mean_coverage, mean_error = np.nanmean(rows, axis=0)
    least_dice, least_coverage, most_error = BOUNDS[name]
    assert mean_dice > least_dice
    assert mean_coverage > least_coverage
    assert mean_error < most_error
