"""Which cells the evidence lies on, by value: drawn cells, drawn heatmaps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from leuk_hf.cells import find_leukocytes
from leuk_hf.evidence import crop_box, find_cells, outline_cells, outlined, weigh_cells
from leuk_hf.synthetic import render_smear

LABELS = np.zeros((40, 60), dtype=np.int32)
LABELS[5:15, 10:20] = 1
LABELS[20:30, 40:60] = 2  # at the right border
FIELD = outline_cells(LABELS, (60, 40))


def heat(**places):
    heatmap = np.zeros((40, 60), dtype=np.float32)
    for value, window in places.values():
        heatmap[window] = value
    return heatmap


def test_shares_add_up_with_what_lies_between_the_cells():
    heatmap = heat(one=(0.5, np.s_[5:15, 10:20]), two=(1.0, np.s_[20:30, 40:60]), glass=(0.25, np.s_[30:40, 0:60]))
    evidence = weigh_cells(FIELD, heatmap)
    assert [cell.share for cell in evidence.cells] == pytest.approx([50 / 400, 200 / 400])
    assert evidence.share == pytest.approx(250 / 400)
    assert evidence.area == pytest.approx(300 / 2400)
    assert [(cell.number, cell.rank) for cell in evidence.cells] == [(1, 2), (2, 1)]
    assert [cell.number for cell in evidence.ranked] == [2, 1]


def test_an_empty_map_gives_no_cell_a_share():
    evidence = weigh_cells(FIELD, np.zeros((40, 60), dtype=np.float32))
    assert evidence.share == 0 and [cell.share for cell in evidence.cells] == [0, 0]
    assert [cell.rank for cell in evidence.cells] == [1, 2]


def test_boxes_and_outlines_are_in_pixels_of_the_field():
    assert FIELD.boxes == ((10, 5, 20, 15), (40, 20, 60, 30))
    large = outline_cells(LABELS, (240, 120))  # four times as wide, three times as high
    assert large.boxes == ((40, 15, 80, 45), (160, 60, 240, 90))
    for field, scale in ((FIELD, (1, 1)), (large, (4, 3))):
        low, high = field.outlines[0].min(axis=0), field.outlines[0].max(axis=0)
        np.testing.assert_allclose(low, np.array((10.5, 5.5)) * scale, atol=0.3 * max(scale))
        np.testing.assert_allclose(high, np.array((19.5, 14.5)) * scale, atol=0.3 * max(scale))


def test_a_reduced_copy_gives_the_same_shares():
    large = outline_cells(LABELS, (240, 160))
    small = heat(one=(1.0, np.s_[5:15, 10:20]), glass=(0.5, np.s_[0:5, 0:40]))
    heatmap = small.repeat(4, axis=0).repeat(4, axis=1)
    assert weigh_cells(large, heatmap).share == pytest.approx(weigh_cells(FIELD, small).share)
    assert weigh_cells(FIELD, small).share == pytest.approx(0.5)


def test_a_heatmap_of_another_size_is_refused():
    with pytest.raises(ValueError, match="give them one size"):
        weigh_cells(FIELD, np.zeros((60, 40), dtype=np.float32))


def test_drawing_marks_the_outlines_and_the_chosen_cell_only():
    evidence = weigh_cells(FIELD, heat())
    field = Image.new("RGB", (60, 40), (120, 60, 140))
    drawn, chosen = (np.asarray(outlined(field, evidence, chosen=number)).astype(int) for number in (None, 2))
    changed = (drawn != (120, 60, 140)).any(axis=2)
    assert changed[5, 12:18].all() and changed[14, 12:18].all()
    assert not changed[35:].any() and not changed[:, 25:36].any()
    differs = (drawn != chosen).any(axis=2)
    assert differs[19:31, 38:].any() and not differs[:, :38].any()
    assert field.getpixel((15, 5)) == (120, 60, 140)


def test_crops_are_squares_of_the_full_field_around_the_cell():
    cell, at_border = weigh_cells(FIELD, heat()).cells
    assert crop_box(cell, (60, 40), (60, 40)) == (8, 2, 23, 17)  # a quarter more on each side
    assert crop_box(cell, (60, 40), (600, 400)) == (75, 25, 225, 175)
    left, top, right, bottom = crop_box(at_border, (60, 40), (60, 40))
    assert (right, right - left, bottom - top) == (60, 30, 30) and top == 10
    left, top, right, bottom = crop_box(at_border, (60, 40), (60, 20))  # narrower than the crop
    assert (top, bottom) == (0, 20) and 0 <= left < right == 60


def test_a_field_without_leukocytes_has_no_cells():
    found = find_cells(Image.new("RGB", (100, 80), (235, 225, 235)))
    evidence = weigh_cells(found, np.ones((80, 100), dtype=np.float32))
    assert evidence.cells == () and evidence.share == 0 and evidence.area == 0
    assert outlined(Image.new("RGB", (100, 80)), evidence).size == (100, 80)


def test_cells_are_those_of_the_segmentation_at_any_size():
    field = render_smear("Pre-B", seed=2, image_size=224)
    expected = find_leukocytes(field)
    found = find_cells(field)
    assert found.boxes == tuple(cell.box for cell in expected) and len(expected) > 2
    large = find_cells(field.resize((1120, 1120), Image.Resampling.BICUBIC))
    assert large.labels.shape == (448, 448) and len(large.boxes) == len(expected)
    boxes = np.array(large.boxes) / 5  # neighbours in a row may swap their numbers
    for reference in found.boxes:
        assert np.abs(boxes - reference).max(axis=1).min() <= 3
