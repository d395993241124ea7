"""Burnt-in annotation is found at any side and size, painted over, and nothing else is touched."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from leuk_hf.annotation import annotation_mask, annotation_style, find_annotations, remove_annotation
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.synthetic import render_smear

DATA = Path(__file__).parents[2] / "shared" / "data"
REFERENCE = Path(__file__).parent / "reference" / "annotations.json"
COLOURS = {"black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 255, 0), "yellow": (255, 255, 0)}


def drawn(smear: Image.Image, corner: str, colour: tuple[int, int, int], label_box: bool = False):
    """Draw a bar with its text into a corner; give the field and the bool (H, W) of the ink."""
    pixels, edge = np.array(smear), smear.width
    left = round(0.06 * edge) if "left" in corner else round(0.72 * edge)
    top = round(0.05 * edge) if "top" in corner else round(0.86 * edge)
    if label_box:
        cv2.rectangle(
            pixels, (left - edge // 40, top - edge // 50), (left + edge // 4, top + edge // 9), (255,) * 3, -1
        )
    ink = np.zeros(pixels.shape[:2], np.uint8)
    cv2.rectangle(ink, (left, top + edge // 14), (left + edge // 5, top + edge // 14 + max(1, edge // 112)), 1, -1)
    cv2.putText(ink, "20 um", (left, top + edge // 20), 0, edge / 700, 1, max(1, edge // 300))
    pixels[ink > 0] = colour
    return Image.fromarray(pixels), ink > 0


@pytest.mark.parametrize("class_name", CLASS_NAMES)
def test_nothing_is_found_on_clean_smears(class_name):
    for seed in range(5):
        smear = render_smear(class_name, seed=seed, image_size=224)
        result, boxes = remove_annotation(smear)
        assert boxes == []
        assert result.tobytes() == smear.tobytes()
        assert not annotation_mask(smear).any()
        assert annotation_style(find_annotations(smear)) == "none"


@pytest.mark.parametrize("corner", ["top left", "top right", "bottom left", "bottom right"])
@pytest.mark.parametrize("colour", COLOURS)
def test_bars_are_found_in_every_corner_and_colour(corner, colour):
    for class_name in CLASS_NAMES[1:3]:
        field, ink = drawn(render_smear(class_name, seed=3, image_size=224), corner, COLOURS[colour])
        assert annotation_mask(field)[ink].mean() >= 0.9
        result, boxes = remove_annotation(field)
        assert 1 <= len(boxes) <= 2
        inside = np.zeros(ink.shape, bool)
        for left, top, right, bottom in boxes:
            inside[top:bottom, left:right] = True
        before, after = np.asarray(field), np.asarray(result)
        np.testing.assert_array_equal(before[~inside], after[~inside])
        assert inside.mean() < 0.1
        assert (np.abs(after.astype(int) - COLOURS[colour]).sum(axis=2)[ink] > 60).mean() > 0.95  # the ink is gone


@pytest.mark.parametrize("edge", [224, 400, 900])
def test_bars_are_found_at_every_size(edge):
    field, ink = drawn(render_smear("Pre-B", seed=5, image_size=edge), "bottom right", (0, 0, 0), label_box=True)
    mask = annotation_mask(field)
    assert mask.shape == (edge, edge)
    assert mask[ink].mean() >= 0.99
    assert mask.mean() < 0.08


def test_fields_need_not_be_square():
    field, ink = drawn(render_smear("Pro-B", seed=6, image_size=512), "top left", (255, 0, 0))
    wide = field.resize((1024, 768))
    stretched = cv2.resize(ink.astype(np.uint8), (1024, 768), interpolation=cv2.INTER_NEAREST) > 0
    assert annotation_mask(wide)[stretched].mean() >= 0.9


def test_mask_and_boxes_agree():
    field, _ = drawn(render_smear("Benign", seed=1, image_size=224), "bottom left", (0, 255, 0))
    annotations = find_annotations(field)
    whole = np.zeros((224, 224), bool)
    for annotation in annotations:
        left, top, right, bottom = annotation.box
        assert annotation.mask.shape == (bottom - top, right - left)
        assert annotation.mask.any(axis=0)[[0, -1]].all() and annotation.mask.any(axis=1)[[0, -1]].all()
        whole[top:bottom, left:right] |= annotation.mask
    np.testing.assert_array_equal(whole, annotation_mask(field))
    assert remove_annotation(field)[1] == [annotation.box for annotation in annotations]
    assert annotation_style(annotations) == "other"


def test_a_second_removal_finds_nothing_and_the_first_is_deterministic():
    again = 0
    for seed, class_name in enumerate(CLASS_NAMES * 2):
        field, _ = drawn(
            render_smear(class_name, seed=seed, image_size=224), "bottom right", (0, 0, 0), bool(seed % 2)
        )
        result, boxes = remove_annotation(field)
        assert boxes
        assert remove_annotation(field)[0].tobytes() == result.tobytes()
        again += bool(remove_annotation(result)[1])
    assert again <= 1


def test_fill_is_no_flat_patch():
    field, _ = drawn(render_smear("Pre-B", seed=8, image_size=224), "bottom right", (0, 0, 0), label_box=True)
    result, boxes = remove_annotation(field)
    left, top, right, bottom = boxes[0]
    assert np.asarray(result)[top:bottom, left:right].std(axis=(0, 1)).min() > 3


def test_dark_cells_cut_by_the_border_stay():
    pixels = np.full((224, 224, 3), (236, 236, 244), np.uint8)
    for centre in ((0, 60), (110, 223), (223, 150), (60, -12), (224 + 9, 40), (20, 222)):
        cv2.ellipse(pixels, centre, (15, 17), 20, 0, 360, (60, 25, 140), -1)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.8)
    assert find_annotations(Image.fromarray(pixels)) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (31, 31), (32, 32), (40, 2000), (224, 224)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (90, 30, 160)])
def test_flat_and_tiny_images_come_back_as_they_are(size, colour):
    image = Image.new("RGB", size, colour)
    result, boxes = remove_annotation(image)
    assert boxes == []
    assert result.tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", ["array", "reversed view", "read-only array", "RGBA", "P", "L", "1", "CMYK"])
def test_other_kinds_of_images_give_what_their_rgb_gives(kind):
    field, ink = drawn(render_smear("Pre-B", seed=5, image_size=300), "bottom right", (0, 0, 0), label_box=True)
    arrays = {"array": np.array(field), "read-only array": np.asarray(field),
              "reversed view": np.ascontiguousarray(np.asarray(field)[..., ::-1])[..., ::-1]}  # fmt: skip
    given = arrays[kind] if kind in arrays else field.convert(kind)
    before = given.copy()
    plain = field if kind in arrays else given.convert("RGB")
    result, boxes = remove_annotation(given)
    expected, expected_boxes = remove_annotation(plain)
    assert isinstance(result, Image.Image) and result.mode == "RGB" and result.tobytes() == expected.tobytes()
    assert boxes == expected_boxes == [annotation.box for annotation in find_annotations(given)]
    np.testing.assert_array_equal(annotation_mask(given), annotation_mask(plain))
    np.testing.assert_array_equal(np.asarray(given), np.asarray(before))  # nobody's array is painted over
    if kind != "1":  # dithering leaves no colour to tell ink by
        assert annotation_mask(given)[ink].mean() > 0.9


def test_without_annotation_an_rgb_image_is_itself_and_others_are_converted():
    smear = render_smear("Pro-B", seed=0, image_size=224)
    assert remove_annotation(smear)[0] is smear
    for given in (np.asarray(smear), smear.convert("RGBA"), smear.convert("L"), Image.new("P", (5, 3))):
        result, boxes = remove_annotation(given)
        assert boxes == [] and result.mode == "RGB"
        assert result.tobytes() == (
            given.tobytes() if isinstance(given, np.ndarray) else given.convert("RGB").tobytes()
        )


@pytest.mark.parametrize("array", [np.zeros((50, 50), np.uint8), np.zeros((50, 50, 4), np.uint8),
                                   np.zeros((50, 50, 3)), np.zeros((0, 50, 3), np.uint8)])  # fmt: skip
def test_arrays_that_are_no_rgb_image_are_refused(array):
    for function in (remove_annotation, find_annotations, annotation_mask):
        with pytest.raises(ValueError, match="uint8"):
            function(array)


def test_noise_does_not_crash():
    generator = np.random.default_rng(0)
    for size in ((32, 32), (64, 300), (224, 224)):
        image = Image.fromarray(generator.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
        assert remove_annotation(image)[0].size == size


@pytest.mark.skipif(not DATA.is_dir(), reason="the Kaggle fields are not beside the repository")
def test_recall_and_false_positives_on_labelled_fields():
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    found: dict[str, list[bool]] = {}
    right_style, clean = [], []
    for entry in reference["fields"]:
        with Image.open(DATA / "leukemia" / "Original" / entry["file"]) as opened:
            field = opened.convert("RGB")
        annotations = find_annotations(field)
        mask = np.zeros((224, 224), bool)
        for annotation in annotations:
            left, top, right, bottom = annotation.box
            mask[top:bottom, left:right] |= annotation.mask
        for left, top, right, bottom in entry["boxes"]:
            part = np.asarray(field).astype(int)[top:bottom, left:right]
            if entry["style"] == "small red":
                ink = part[..., 0] - part[..., 1:].max(axis=2) > 15
            else:
                ink = (part.max(axis=2) < 160) & (np.ptp(part, axis=2) < 40)
            found.setdefault(entry["style"], []).append(mask[top:bottom, left:right][ink].mean() >= 0.9)
        right_style.append(annotation_style(annotations) == entry["style"])
        clean.append(not find_annotations(field.crop(reference["free_of_annotation"])))
    assert {style for style, hits in found.items() if np.mean(hits) < 0.97} == set()
    assert np.mean(right_style) >= 0.98
    assert np.mean(clean) >= 0.97
