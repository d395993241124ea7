"""Counterfactual fields: what is cut, what is kept to the last bit, and what comes into the holes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from leuk_hf import counterfactuals as made
from leuk_hf.cells import nearest_labels

VIOLET = (90, 40, 160)


def background(edge=96, seed=0):
    """Bright noise: no pixel is darker than 190."""
    return np.random.default_rng(seed).integers(190, 231, (edge, edge, 3), dtype=np.uint8)


def discs(edge, *places):
    mask = np.zeros((edge, edge), dtype=np.uint8)
    for row, column, radius in places:
        cv2.circle(mask, (column, row), radius, 1, -1)
    return mask.astype(bool)


def with_cells(field, mask):
    return np.where(mask[..., None], np.array(VIOLET, np.uint8), field)


FIVE = discs(96, (20, 20, 7), (22, 70, 9), (60, 48, 8), (80, 15, 6), (84, 84, 7))
AT_THE_EDGES = discs(96, (0, 0, 9), (0, 50, 7), (50, 0, 7), (95, 95, 9), (95, 40, 7), (40, 95, 7))


def test_widen_grows_by_so_many_pixels_of_a_reference_field():
    for edge, reach in ((224, 3), (448, 6), (112, 2)):  # 1.5 is rounded to even
        mask = np.zeros((edge, edge), dtype=bool)
        mask[edge // 2, edge // 2] = True
        wide = made.widen(mask, np.zeros((edge, edge, 3), np.uint8), 3)
        rows, columns = np.nonzero(wide)
        assert np.ptp(rows) == np.ptp(columns) == 2 * reach
        assert wide[edge // 2 - reach, edge // 2] and not wide[edge // 2 - reach, edge // 2 - reach]  # a disc


def test_widen_by_less_than_a_pixel_is_a_copy():
    mask = FIVE.copy()
    wide = made.widen(mask, np.zeros((96, 96, 3), np.uint8), 1)
    assert np.array_equal(wide, mask) and not np.shares_memory(wide, mask)


@pytest.mark.parametrize("mask", [FIVE, AT_THE_EDGES], ids=["inside", "at the edges"])
def test_inpainting_changes_nothing_outside_and_leaves_no_cell(mask):
    field = with_cells(background(), mask)
    filled = made.inpaint(field, mask)
    assert np.array_equal(filled[~mask], field[~mask])
    assert filled[mask].min() > 180  # Telea's method leaves the range of its surroundings by a little
    assert (field[mask] == VIOLET).all()  # and the given field is as it was


def test_inpainting_without_and_with_nothing_but_holes():
    field = background()
    none = made.inpaint(field, np.zeros((96, 96), dtype=bool))
    assert np.array_equal(none, field) and not np.shares_memory(none, field)
    assert (made.inpaint(field, np.ones((96, 96), dtype=bool)) == made.NEUTRAL_GREY).all()


def near(mask, pixels):
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)).astype(bool)


@pytest.mark.parametrize("mask", [FIVE, AT_THE_EDGES], ids=["inside", "at the edges"])
def test_cloning_changes_nothing_outside_its_feather_and_leaves_no_cell(mask):
    field = with_cells(background(), mask)
    filled = made.clone_over(field, mask, np.random.default_rng(0))
    feather = near(mask, 2)
    assert np.array_equal(filled[~feather], field[~feather])
    assert filled.min() > 180
    assert (field[mask] == VIOLET).all()


def test_cloned_holes_hold_pixels_of_the_field_not_smooth_ones():
    field = with_cells(background(), FIVE)
    cloned = made.clone_over(field, FIVE, np.random.default_rng(0))
    smooth = made.inpaint(field, FIVE)
    assert cloned[FIVE].std() > 2 * smooth[FIVE].std()
    assert cloned[FIVE].std() == pytest.approx(field[~FIVE].std(), rel=0.15)
    window = cloned[56:65, 44:53]  # the middle of the third disc, radius 8
    here = [
        (row, column)
        for row in range(88)
        for column in range(88)
        if np.array_equal(field[row : row + 9, column : column + 9], window)
    ]
    assert len(here) == 1 and not FIVE[here[0][0] : here[0][0] + 9, here[0][1] : here[0][1] + 9].any()


def test_cloning_takes_what_fits_its_surroundings():
    field = np.full((96, 96, 3), 240, np.uint8)
    field[:, 48:] = (200, 150, 160)
    mask = discs(96, (30, 24, 8), (60, 72, 8))
    for seed in range(3):
        filled = made.clone_over(with_cells(field, mask), mask, np.random.default_rng(seed))
        assert np.array_equal(filled, field)


def test_cloning_repeats_with_its_generator():
    field = with_cells(background(), FIVE)
    first = made.clone_over(field, FIVE, np.random.default_rng(1))
    assert np.array_equal(first, made.clone_over(field, FIVE, np.random.default_rng(1)))
    others = [made.clone_over(field, FIVE, np.random.default_rng(seed)) for seed in (2, 3, 4)]
    assert any(not np.array_equal(first, other) for other in others)


def test_cloning_into_a_hole_that_fits_nowhere_inpaints():
    mask = np.zeros((40, 40), dtype=bool)
    mask[4:36, 4:36] = True
    field = with_cells(background(40), mask)
    assert np.array_equal(made.clone_over(field, mask, np.random.default_rng(0)), made.inpaint(field, mask))
    whole = np.ones((40, 40), dtype=bool)
    assert (made.clone_over(field, whole, np.random.default_rng(0)) == made.NEUTRAL_GREY).all()


def numbered(mask):
    return cv2.connectedComponents(mask.astype(np.uint8))[1]


def shapes_of(parts):
    """Every part cut out at its box: shape and area, not place."""
    shapes = []
    for number in np.unique(parts[parts > 0]):
        rows, columns = np.nonzero(parts == number)
        cut = (parts == number)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        shapes.append((cut.tobytes(), cut.shape))
    return sorted(shapes)


def test_displaced_parts_keep_number_shape_and_area_and_avoid_what_is_forbidden():
    annotation = np.zeros((96, 96), dtype=bool)
    annotation[88:, 40:70] = True
    apart, moves = 0, set()
    for seed in range(10):
        moved = made.displaced(numbered(FIVE), FIVE | annotation, np.random.default_rng(seed))
        assert not (moved & (FIVE | annotation)).any()
        assert moved.sum() == FIVE.sum()  # so they do not overlap each other either
        if numbered(moved).max() == 5:  # not when two came to touch
            assert shapes_of(numbered(moved)) == shapes_of(numbered(FIVE))
            apart += 1
        moves.add(moved.tobytes())
        again = made.displaced(numbered(FIVE), FIVE | annotation, np.random.default_rng(seed))
        assert np.array_equal(moved, again)
    assert apart >= 3 and len(moves) == 10


def test_displaced_finds_the_only_place_there_is():
    parts = np.zeros((20, 20), dtype=np.int32)
    parts[2:6, 2:7] = 4
    forbidden = np.ones((20, 20), dtype=bool)
    forbidden[13:17, 9:14] = False
    expected = np.zeros((20, 20), dtype=bool)
    expected[13:17, 9:14] = True
    given = forbidden.copy()
    assert np.array_equal(made.displaced(parts, forbidden, np.random.default_rng(0)), expected)
    assert np.array_equal(forbidden, given)
    forbidden[14, 10] = True
    assert not made.displaced(parts, forbidden, np.random.default_rng(0)).any()


def test_displaced_moves_touching_parts_one_by_one():
    parts = np.zeros((20, 40), dtype=np.int32)
    parts[8:12, 0:40] = np.repeat(np.arange(1, 5), 10)  # a bar across the field, of four parts
    forbidden = parts > 0
    forbidden[:, [3, 14, 25, 36]] = True  # no room for the bar, but for parts of 4 x 10
    moved = made.displaced(parts, forbidden, np.random.default_rng(0))
    assert moved.sum() == 160 and not (moved & forbidden).any()


def test_displaced_leaves_out_the_part_without_room_and_moves_the_other():
    parts = np.zeros((30, 30), dtype=np.int32)
    parts[0:14] = 1
    parts[20:23, 20:23] = 2  # in the way of the first
    for seed in range(4):
        moved = made.displaced(parts, parts > 0, np.random.default_rng(seed))
        assert moved.sum() == 9 and not (moved & (parts > 0)).any()


def test_displaced_gives_large_parts_their_place_first():
    parts = np.zeros((10, 30), dtype=np.int32)
    parts[4, 0], parts[0:3, 0:10] = 1, 2
    forbidden = np.ones((10, 30), dtype=bool)
    forbidden[6:9, 15:25] = False  # exactly the large part's size
    for seed in range(5):
        moved = made.displaced(parts, forbidden, np.random.default_rng(seed))
        assert np.array_equal(moved, ~forbidden)


def test_displaced_without_parts_and_without_room():
    nothing = np.zeros((9, 9), dtype=np.int32)
    assert not made.displaced(nothing, nothing > 0, np.random.default_rng(0)).any()
    assert not made.displaced(nothing + 1, nothing == 0, np.random.default_rng(0)).any()


def test_nearest_label_by_hand():
    assert nearest_labels(np.array([[3, 0, 0, 0, 0, 7]])).tolist() == [[3, 3, 3, 7, 7, 7]]
    nothing = np.zeros((3, 4), dtype=np.int32)
    assert np.array_equal(nearest_labels(nothing), nothing)


def test_nearest_label_is_the_nearest():
    generator = np.random.default_rng(0)
    labels = np.zeros((40, 60), dtype=np.int32)
    places = np.column_stack([generator.integers(0, 40, 8), generator.integers(0, 60, 8)])
    for number, (row, column) in enumerate(places, start=1):
        labels[row, column] = number
    answer = nearest_labels(labels)
    rows, columns = np.mgrid[:40, :60]
    distances = np.hypot(rows[..., None] - places[:, 0], columns[..., None] - places[:, 1])
    chosen = np.take_along_axis(distances, (answer - 1)[..., None], axis=2)[..., 0]
    assert (chosen <= 1.05 * distances.min(axis=2) + 0.5).all()  # OpenCV's chamfer distance is off by 2 %
    assert np.array_equal(answer[labels > 0], labels[labels > 0]) and answer.dtype == labels.dtype


def test_isolate_keeps_a_masks_pixels_and_paints_the_rest():
    field = background()
    alone = made.isolate(field, FIVE)
    assert np.array_equal(alone[FIVE], field[FIVE]) and (alone[~FIVE] == 128).all()
    assert (made.isolate(field, FIVE, (1, 2, 3))[~FIVE] == (1, 2, 3)).all()
    assert alone.dtype == np.uint8


def test_silhouettes_have_two_colours():
    drawn = made.silhouettes(FIVE, VIOLET, (220, 221, 222))
    assert (drawn[FIVE] == VIOLET).all() and (drawn[~FIVE] == (220, 221, 222)).all() and drawn.dtype == np.uint8


def test_transplant_takes_the_mask_from_the_field_and_the_rest_from_the_background():
    field, other = np.random.default_rng(3).integers(0, 120, (96, 96, 3), dtype=np.uint8), background(seed=4)
    mixed = made.transplant(field, FIVE, other)
    assert np.array_equal(mixed[FIVE], field[FIVE])
    outside = ~near(FIVE, 2)
    assert np.array_equal(mixed[outside], other[outside])
    rim = near(FIVE, 1) & ~FIVE
    low, high = np.minimum(field, other)[rim], np.maximum(field, other)[rim]
    assert ((mixed[rim] >= low) & (mixed[rim] <= high)).all()


def test_transplant_onto_a_background_of_another_size():
    field, other = background(seed=1), np.full((50, 120, 3), (200, 210, 220), np.uint8)
    mixed = made.transplant(field, FIVE, other)
    assert mixed.shape == field.shape and np.array_equal(mixed[FIVE], field[FIVE])
    assert (mixed[~near(FIVE, 2)] == (200, 210, 220)).all()


def test_transplant_without_and_with_nothing_but_leukocytes():
    field, other = background(seed=1), background(seed=2)
    assert np.array_equal(made.transplant(field, np.zeros((96, 96), bool), other), other)
    assert np.array_equal(made.transplant(field, np.ones((96, 96), bool), other), field)


CELLS = np.repeat(np.arange(6), 4).reshape(6, 4)  # cells 1 to 5 of four pixels each


@pytest.mark.parametrize(
    ("share", "count"), [(0, 0), (0.01, 1), (0.2, 1), (0.4, 2), (0.5, 2), (0.6, 3), (0.9, 4), (1, 5)]
)
def test_thin_out_takes_a_share_of_the_cells_whole(share, count):
    chosen = made.thin_out(CELLS, share, np.random.default_rng(0))
    assert chosen.dtype == bool and chosen.sum() == 4 * count and not chosen[CELLS == 0].any()
    assert len(np.unique(CELLS[chosen])) == count


def test_thin_out_chooses_by_its_generator_and_knows_gaps():
    draws = [made.thin_out(CELLS, 0.2, np.random.default_rng(seed)).tobytes() for seed in range(12)]
    assert len(set(draws)) > 2
    assert draws[3] == made.thin_out(CELLS, 0.2, np.random.default_rng(3)).tobytes()
    gaps = np.array([[0, 7, 0, 90]])
    assert made.thin_out(gaps, 1, np.random.default_rng(0)).tolist() == [[False, True, False, True]]
    assert not made.thin_out(np.zeros((4, 4), int), 0.5, np.random.default_rng(0)).any()


def test_glass_is_bright_and_off_every_cell():
    red_cells, leukocytes = discs(96, (20, 60, 10), (70, 30, 12)), discs(96, (48, 48, 9))
    field = np.full((96, 96, 3), 240, np.uint8)
    field[red_cells] = (190, 130, 140)
    field[leukocytes] = 250  # brighter than glass, still no glass
    empty = made.glass(field, leukocytes)
    assert not (empty & (red_cells | leukocytes)).any()
    assert empty[~near(red_cells | leukocytes, 4)].all()


@pytest.mark.parametrize("value", [0, 255])
def test_glass_of_odd_fields(value):
    field, none = np.full((16, 16, 3), value, np.uint8), np.zeros((16, 16), dtype=bool)
    assert made.glass(field, none).all() == (value == 255)
    assert not made.glass(field, ~none).any()
    assert made.glass(field[:1, :1], none[:1, :1]).shape == (1, 1)


@pytest.mark.parametrize("shape", [(224, 224, 3), (97, 51), (33, 100, 3), (1, 1, 3)])
def test_corners_lie_where_they_say_and_have_their_share(shape):
    height, width = shape[:2]
    rows, columns = max(1, round(0.3 * height)), max(1, round(0.3 * width))
    expected = {
        "top left": np.s_[:rows, :columns],
        "top right": np.s_[:rows, width - columns :],
        "bottom left": np.s_[height - rows :, :columns],
        "bottom right": np.s_[height - rows :, width - columns :],
    }
    assert set(expected) == set(made.CORNERS)
    for corner, window in expected.items():
        mask = made.corner_mask(shape, corner)
        assert mask.shape == (height, width) and mask[window].all() and mask.sum() == rows * columns


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 2)])
def test_tiny_fields_go_through_everything(shape):
    field, one = np.full((*shape, 3), 99, np.uint8), np.zeros(shape, dtype=bool)
    one[0, 0] = True
    generator = np.random.default_rng(0)
    for mask in (one, ~one, np.ones(shape, bool)):
        for answer in (
            made.inpaint(field, mask),
            made.clone_over(field, mask, generator),
            made.transplant(field, mask, field),
            made.isolate(field, made.glass(field, mask)),
            made.isolate(field, made.displaced(mask.astype(np.int32), mask, generator)),
            made.isolate(field, nearest_labels(mask.astype(np.int32)) > 0),
        ):
            assert answer.shape == field.shape and answer.dtype == np.uint8
