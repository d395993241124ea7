"""The shortcut audit: fakes that read one known thing are exposed by it, figures by hand, stops and stores.

Scenes are drawn with plain discs, so that a class can be written into exactly one of: the texture of the nuclei, the
number of leukocytes, the tint of the field, or a patch in the corner.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image

from leuk_hf import audit_findings, metrics
from leuk_hf import counterfactuals as made
from leuk_hf.audit import CLEAN, audit, generator_for
from leuk_hf.audit_report import AuditReport, RowResult
from leuk_hf.audit_rows import BY_NAME, ROWS, Panel, Subject, corner_only, foreign_corner
from leuk_hf.audit_tables import audit_table
from leuk_hf.cells import label_leukocytes
from leuk_hf.counterfactuals import CORNERS
from leuk_hf.data import load_smears, read_image, without_decoding
from leuk_hf.errors import DataError, ImageError
from leuk_hf.journal import Journal
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.prediction import predict
from leuk_hf.synthetic import render_smear

EDGE = 80
NUM_CLASSES, PER_CLASS = 4, 5
GLASS, RED_CELL, NUCLEUS, SPOT = (234, 232, 240), (205, 160, 172), (110, 60, 190), (225, 195, 245)
TINTS = ((234, 232, 240), (240, 226, 222), (222, 238, 226), (216, 224, 246))
INKS = ((0, 0, 0), (220, 0, 0), (0, 140, 0), (0, 200, 220))
COUNTS = (1, 3, 6, 10)
# Places of leukocytes: a grid that leaves the bottom right corner free.
PLACES = [(10 + 20 * row, 10 + 20 * column) for row in range(4) for column in range(4) if (row, column) < (3, 2)]

REMOVED = "it names the class of fields without leukocytes"
BACKGROUND = "its label follows the background"
CORNER = "it reads one corner, as where scale bars are"
COLOUR = "its label follows the colours"
COUNT = "number, size or outline of the leukocytes decide, without their looks"
SHORTCUTS = {REMOVED, BACKGROUND, CORNER, COLOUR, COUNT}
# The rows that the findings about shortcuts need, and no others.
SHORTCUT_ROWS = (
    "leukocytes removed, inpainted",
    "leukocytes removed, background cloned",
    "leukocytes only, on grey",
    "half of the leukocytes removed",
    "leukocytes on another class's background",
    "sham: equal holes off the leukocytes",
    "silhouettes: hole mask only",
    *(corner_only(corner) for corner in CORNERS),
    *(foreign_corner(corner) for corner in CORNERS),
    "colours of another class",
)
FEW_ROWS = ("leukocytes removed, inpainted", "bottom right corner of another class", "noise 10/255")


@pytest.fixture(scope="module", autouse=True)
def _numbered_by_connection():
    """The scenes' nuclei never touch; to number them as the package does costs most of an audit of so few pixels."""

    def number(mask):
        return cv2.connectedComponents(mask.astype(np.uint8))[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leuk_hf.audit.label_leukocytes", number)
        yield


def scene(label, number, *, cue, edge=EDGE):
    """Draw a field whose class shows in one thing only; everything else is drawn alike for all classes."""
    generator = np.random.default_rng([label, number])
    field = np.full((edge, edge, 3), TINTS[label] if cue == "tint" else GLASS, dtype=np.uint8)
    red_cell = np.multiply(RED_CELL, np.divide(TINTS[label], GLASS)) if cue == "tint" else RED_CELL
    for row, column in generator.integers(0, edge, (18, 2)).tolist():
        cv2.circle(field, (column, row), 5, tuple(map(int, red_cell)), -1)
    for place in generator.permutation(len(PLACES))[: COUNTS[label] if cue == "count" else 5]:
        row, column = (np.array(PLACES[place]) + generator.integers(-1, 2, 2)).tolist()
        cv2.circle(field, (column, row), 8, NUCLEUS, -1)
        for down, right in ((-3, -3), (3, 3), (-3, 3))[: label if cue == "texture" else 1]:
            field[row + down - 1 : row + down + 2, column + right - 1 : column + right + 2] = SPOT
    if cue == "corner":
        field[-10:, -16:] = INKS[label]
    noisy = field + generator.integers(-2, 3, field.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def violet(image):
    """Nuclei without their pale spots: much less green than blue."""
    field = np.asarray(image).astype(np.float32)
    return (field[..., 1] < 0.6 * field[..., 2]) & (field[..., 2] > 100)


def find_nuclei(image):
    """The leukocytes of a scene, spots included: bool (H, W)."""
    padded = np.pad(violet(image), 1)
    outside = padded.astype(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 2)
    return (outside != 2)[1:-1, 1:-1]


def no_annotation(image):
    return np.zeros((image.height, image.width), dtype=bool)


def find_ink(image):
    """The patch in the corner of a scene whose cue it is."""
    mask = no_annotation(image)
    mask[-10:, -16:] = True
    return mask


@functools.cache
def fields_of(cue, per_class=PER_CLASS):
    labels = [label for label in range(NUM_CLASSES) for _ in range(per_class)]
    numbers = [number for _ in range(NUM_CLASSES) for number in range(per_class)]
    images = [scene(label, number, cue=cue) for label, number in zip(labels, numbers, strict=True)]
    return images, labels, [f"{label}/{number}.png" for label, number in zip(labels, numbers, strict=True)]


def number_of_parts(mask):
    return cv2.connectedComponents(mask.astype(np.uint8))[0] - 1


def nearest(colour, palette):
    return int(np.abs(np.array(palette, dtype=float) - colour).sum(axis=1).argmin())


def read_texture(field):
    """Honest: pale spots per nucleus."""
    nuclei = find_nuclei(field)
    if not (cells := number_of_parts(nuclei)):
        return None
    return min(3, round(number_of_parts(nuclei & ~violet(field)) / cells))


def read_count(field):
    cells = number_of_parts(find_nuclei(field))
    return int(np.abs(np.array(COUNTS) - cells).argmin()) if cells else None


def read_corner(field):
    patch = np.asarray(field)[-8:, -14:].reshape(-1, 3)
    colour = np.median(patch, axis=0)
    return nearest(colour, INKS) if np.ptp(colour) > 60 or colour.max() < 60 else None


def read_tint(field):
    """The background: its bright side, without anything neutral grey."""
    pixels = np.asarray(field).astype(float)
    pixels = pixels[~violet(field) & (np.abs(pixels - 128).max(axis=-1) > 6)]
    bright = pixels[pixels[:, 1] >= np.median(pixels[:, 1])] if len(pixels) > 100 else []
    return nearest(np.median(bright, axis=0), TINTS) if len(bright) else None


def classifier_of(read):
    """A fake that is sure of what `read` names and clueless where it names nothing."""

    def classify(images):
        answers = np.full((len(images), NUM_CLASSES), 1 / NUM_CLASSES)
        for row, image in enumerate(images):
            if (label := read(image)) is not None:
                answers[row] = 0.01
                answers[row, label] = 0.97
        return answers

    return classify


def constant(images):
    return np.tile([0.1, 0.6, 0.2, 0.1], (len(images), 1))


def by_chance(images):
    """A class drawn from the pixels' checksum: the same field always gets the same answer, any change another."""
    return classifier_of(lambda image: zlib.crc32(image.tobytes()) % NUM_CLASSES)(images)


@functools.cache
def _untouched_fields():
    images, labels, _ = fields_of("texture")
    return {image.tobytes(): label for image, label in zip(images, labels, strict=True)}


def panic(images):
    """Right on every untouched field, and the third class for whatever was changed, no matter how."""
    return classifier_of(lambda image: _untouched_fields().get(image.tobytes(), 2))(images)


def lottery(images):
    """Right on every untouched field, and a class by chance for whatever was changed."""
    draw = classifier_of(lambda image: _untouched_fields().get(image.tobytes(), zlib.crc32(image.tobytes()) % 4))
    return draw(images)


def ask(classifier, cue="texture", per_class=PER_CLASS, **options):
    images, labels, names = fields_of(cue, per_class)
    finder = {"segment": find_nuclei, "find_annotation": find_ink if cue == "corner" else no_annotation}
    return audit(classifier, images, labels, names=names, **finder | options)


def exposed(report):
    return {finding.name for finding in report.findings if finding.exposed}


FAKES = {
    # fake: (classifier, cue that the scenes carry, what must be exposed)
    "honest": (classifier_of(read_texture), "texture", set()),
    "count": (classifier_of(read_count), "count", {COUNT}),
    "background": (classifier_of(read_tint), "tint", {REMOVED, BACKGROUND, COLOUR}),
    "corner": (classifier_of(read_corner), "corner", {REMOVED, BACKGROUND, CORNER}),
    "constant": (constant, "texture", set()),
    "chance": (by_chance, "texture", set()),
    "panic": (panic, "texture", set()),
    "lottery": (lottery, "texture", set()),
}


@functools.cache
def report_of(fake):
    classifier, cue, _ = FAKES[fake]
    return ask(classifier, cue, rows=SHORTCUT_ROWS)


def rate(report, row, name="accuracy"):
    return report.figures(row)[name]["value"]


@pytest.mark.parametrize("fake", FAKES)
def test_each_fake_is_exposed_by_what_it_reads_and_by_nothing_else(fake):
    report = report_of(fake)
    assert {finding.name for finding in report.findings} >= SHORTCUTS  # all were judged
    assert exposed(report) & SHORTCUTS == FAKES[fake][2], report.to_markdown()


def test_the_scenes_carry_one_cue_each():
    readers = {"texture": read_texture, "count": read_count, "tint": read_tint, "corner": read_corner}
    for cue in readers:
        images, labels, _ = fields_of(cue)
        for name, read in readers.items():
            right = np.mean([read(image) == label for image, label in zip(images, labels, strict=True)])
            assert right == 1 if name == cue else right <= 0.25, (cue, name)


def test_an_honest_reader_is_right_where_leukocytes_are_left_and_clueless_where_none_is():
    report = report_of("honest")
    for row in (
        CLEAN,
        "leukocytes only, on grey",
        "half of the leukocytes removed",
        "leukocytes on another class's background",
        "sham: equal holes off the leukocytes",
    ):
        assert rate(report, row) == 1, row
    for row in ("leukocytes removed, inpainted", "leukocytes removed, background cloned", "bottom right corner only"):
        assert report.figures(row)["mean_top_probability"] == 0.25, row
    assert rate(report, "leukocytes on another class's background", "followed_donor") == 0


def test_a_background_reader_follows_the_donor_and_a_counter_does_not():
    row = "leukocytes on another class's background"
    assert rate(report_of("background"), row, "followed_donor") == 1 and rate(report_of("background"), row) == 0
    assert rate(report_of("count"), row, "followed_donor") == 0 and rate(report_of("count"), row) == 1
    assert rate(report_of("count"), "silhouettes: hole mask only") == 1
    assert rate(report_of("corner"), "bottom right corner of another class", "followed_donor") == 1


def test_checks_measure_the_removal_and_its_control():
    checks = report_of("honest").checks
    images, _, _ = fields_of("texture")
    covered = np.mean([find_nuclei(image).mean() for image in images])
    assert checks["leukocyte_area_share"] == pytest.approx(covered, abs=1e-6)
    assert checks["leukocyte_area_share_after_inpainting"] == 0 == checks["leukocyte_area_share_after_cloning"]
    assert checks["leukocyte_area_share_without_bluish"] == 0
    holes = [made.widen(made.bluish(image), image, 7).mean() for image in map(np.asarray, images)]
    assert checks["bluish_hole_area_share"] == pytest.approx(np.mean(holes), abs=1e-6) and 0.1 < np.mean(holes) < 0.6
    assert 0.95 < checks["sham_hole_area_ratio"] <= 1
    assert checks["num_fields_without_leukocytes"] == 0 == checks["num_fields_with_annotation"]
    assert report_of("corner").checks["num_fields_with_annotation"] == 4 * PER_CLASS


# What the rows are made of.


class Recorder:
    """A classifier that keeps what it was shown."""

    def __init__(self):
        self.batches = []

    def __call__(self, images):
        self.batches.append(images)
        return constant(images)

    @property
    def images(self):
        return [image for batch in self.batches for image in batch]


@pytest.fixture(scope="module")
def shown():
    """Row name -> the images of two fields a class, in order of their names."""
    recorder = Recorder()
    report = ask(recorder, "corner", per_class=2, batch_size=3)
    assert max(map(len, recorder.batches)) == 3 and len(recorder.batches) == len(ROWS) * 3
    names = [result.row.name for result in report.results]
    assert names == [row.name for row in ROWS]
    images = [np.asarray(image) for image in recorder.images]
    return {name: images[8 * at : 8 * at + 8] for at, name in enumerate(names)}


@pytest.fixture(scope="module")
def untouched():
    images, _, names = fields_of("corner", 2)
    assert names == sorted(names)
    return [np.asarray(image) for image in images]


def test_every_row_shows_rgb_images_of_the_fields_size(shown, untouched):
    for name, images in shown.items():
        for image, field in zip(images, untouched, strict=True):
            assert image.shape == field.shape and image.dtype == np.uint8, name
    changed = {name for name, images in shown.items() if not np.array_equal(images, untouched)}
    assert changed == set(shown) - {CLEAN}


def test_names_of_rows_differ_and_know_their_donors():
    assert len(BY_NAME) == len(ROWS) and ROWS[0].name == CLEAN
    assert {row.name for row in ROWS if row.needs_donor} == {
        "leukocytes on another class's background",
        "emptied, with another class's holes added",
        *(foreign_corner(corner) for corner in CORNERS),
        "colours of another class",
    }
    assert set(SHORTCUT_ROWS) <= set(BY_NAME)  # the findings look rows up by these names
    assert set(audit_findings.NUISANCES) <= {row.section for row in ROWS}


def test_rows_without_leukocytes_show_none_and_leave_the_rest(shown, untouched):
    for name in ("leukocytes removed, inpainted", "leukocytes removed, background cloned"):
        for image, field in zip(shown[name], untouched, strict=True):
            nuclei = find_nuclei(field)
            assert not violet(image).any()
            far = ~cv2.dilate(nuclei.astype(np.uint8), np.ones((9, 9))).astype(bool)
            assert np.array_equal(image[far], field[far])


def test_what_is_bluish_goes_whatever_the_segmentation_says(shown, untouched):
    for image, field in zip(shown["everything bluish removed, inpainted"], untouched, strict=True):
        assert not violet(image).any() and (image == field).all(axis=-1).mean() > 0.3
    field = np.full((224, 224, 3), GLASS, dtype=np.uint8)
    field[100:120, 80:100] = NUCLEUS
    field[10:200, 30:32] = NUCLEUS  # too thin for a cell
    nothing = np.zeros((224, 224), dtype=bool)
    subject = Subject("a", 0, field, nothing, nothing.astype(np.int32), nothing, nothing, field)
    panel = Panel([subject], "bottom right", NUCLEUS, GLASS)
    image, _ = BY_NAME["everything bluish removed, inpainted"].make(panel, subject, np.random.default_rng(0))
    assert np.abs(image[100:120, 80:100].astype(int) - GLASS).max() < 10
    assert (image[10:200, 30:32] == NUCLEUS).all()
    assert not made.bluish(np.full((50, 60, 3), 90, dtype=np.uint8)).any()  # no colour, no difference


def test_rows_of_one_part_alone_show_nothing_else(shown, untouched):
    corner = made.corner_mask(untouched[0].shape, "bottom right")
    for index, field in enumerate(untouched):
        nuclei = find_nuclei(field)
        alone = shown["leukocytes only, on grey"][index]
        assert np.array_equal(alone[nuclei], field[nuclei])
        assert (alone[cv2.dilate(nuclei.astype(np.uint8), np.ones((5, 5))) == 0] == 128).all()
        flat = shown["silhouettes: hole mask only"][index]
        assert len(np.unique(flat.reshape(-1, 3), axis=0)) == 2 and np.ptp(flat[nuclei], axis=0).max() == 0
        greyed = shown["background only: leukocytes greyed out"][index]
        assert (greyed[nuclei] == 128).all() and (greyed == field).all(axis=-1)[~nuclei].mean() > 0.8
        only = shown["bottom right corner only"][index]
        # The corner as it is, but for its leukocytes and the rim that goes with them.
        kept = corner & (cv2.dilate(nuclei.astype(np.uint8), np.ones((5, 5))) == 0)
        assert np.array_equal(only[kept], field[kept]) and (only[~corner] == 128).all()
        assert not find_nuclei(only).any()
        glass = shown["glass only"][index]
        kept = (glass != 128).any(axis=-1)
        assert kept.mean() > 0.2 and field[kept].min() > 215  # neither cells nor ink
    silhouettes = shown["silhouettes: hole mask only"]
    colours = {tuple(image[find_nuclei(field)][0]) for image, field in zip(silhouettes, untouched, strict=True)}
    assert len(colours) == 1  # of all fields alike: the shade of a field's own cells would be looks


def test_half_of_the_leukocytes_are_removed_and_the_others_are_as_before(shown, untouched):
    for image, field in zip(shown["half of the leukocytes removed"], untouched, strict=True):
        before, after = find_nuclei(field), find_nuclei(image)
        assert number_of_parts(before) == 5 and number_of_parts(after) == 3
        assert np.array_equal(image[after], field[after]) and not (after & ~before).any()


def test_a_cell_that_stays_keeps_its_rim_beside_one_that_goes():
    field = np.full((224, 224, 3), GLASS, dtype=np.uint8)
    cells = np.zeros((224, 224), dtype=np.int32)
    cells[100:120, 80:100], cells[100:120, 100:120] = 1, 2  # touching
    field[cells > 0] = NUCLEUS
    holes = made.widen(cells > 0, field, 3)
    subject = Subject("a", 0, field, cells > 0, cells, np.zeros((224, 224), bool), holes, made.inpaint(field, holes))
    panel = Panel([subject], "bottom right", NUCLEUS, GLASS)
    image, donor = BY_NAME["half of the leukocytes removed"].make(panel, subject, np.random.default_rng(0))
    kept = cells == (1 if (image[110, 90] == NUCLEUS).all() else 2)
    assert donor is None and (image[kept] == NUCLEUS).all()
    assert (image[(cells > 0) & ~kept] == NUCLEUS).all(axis=-1).mean() < 0.2


def test_the_sham_leaves_every_leukocyte_and_ink_alone(shown, untouched):
    for image, field in zip(shown["sham: equal holes off the leukocytes"], untouched, strict=True):
        spared = find_nuclei(field) | find_ink(Image.fromarray(field))
        assert np.array_equal(image[spared], field[spared])
        assert (image != field).any(axis=-1).sum() > 0.3 * find_nuclei(field).sum()


def test_the_swapped_corner_is_the_donors(shown, untouched):
    corner = made.corner_mask(untouched[0].shape, "bottom right")
    for index, image in enumerate(shown["bottom right corner of another class"]):
        assert np.array_equal(image[~corner], untouched[index][~corner])
        own = find_nuclei(untouched[index])
        assert np.array_equal(image[own], untouched[index][own])  # the field's leukocytes stay
        lent = corner & (cv2.dilate(own.astype(np.uint8), np.ones((5, 5))) == 0)
        others = [shown["leukocytes removed, inpainted"][other] for other in range(8) if other // 2 != index // 2]
        assert any(np.array_equal(image[lent], other[lent]) for other in others)


def test_annotation_is_inpainted_and_nothing_else(shown, untouched):
    for image, field in zip(shown["burnt-in annotation inpainted"], untouched, strict=True):
        ink = find_ink(Image.fromarray(field))
        assert np.array_equal(image[~ink], field[~ink])
        assert read_corner(image) is None


def test_transplants_keep_their_leukocytes_on_an_emptied_background(shown, untouched):
    for name in ("leukocytes on another class's background", "leukocytes on another background of their class"):
        for image, field in zip(shown[name], untouched, strict=True):
            nuclei = find_nuclei(field)
            assert np.array_equal(image[nuclei], field[nuclei]) and number_of_parts(find_nuclei(image)) == 5
    same = shown["leukocytes on another background of their class"]
    assert [read_corner(image) for image in same] == [0, 0, 1, 1, 2, 2, 3, 3]
    other = shown["leukocytes on another class's background"]
    assert all(read_corner(image) != index // 2 for index, image in enumerate(other))


@pytest.mark.parametrize("corner", made.CORNERS)
def test_the_corner_is_where_annotation_lies(corner):
    def find(image):
        return made.corner_mask((image.height, image.width), corner)

    report = ask(constant, per_class=2, rows=["bottom right corner only"], find_annotation=find)
    assert report.checks["corner"] == corner


# Figures and findings, from answers set by hand.


def one_hot(classes, num_classes=NUM_CLASSES):
    return np.eye(num_classes)[list(classes)]


def report_from(labels, answers, *, class_names=CLASS_NAMES, checks=None):
    """Row name -> (predicted classes, donors or None, answered or None)."""
    results = tuple(
        RowResult(
            BY_NAME[name],
            one_hot(predicted, len(class_names)),
            None if answered is None else np.array(answered, dtype=bool),
            np.full(len(labels), -1) if donors is None else np.array(donors),
        )
        for name, (predicted, donors, answered) in answers.items()
    )
    names = tuple(f"{row:04d}" for row in range(len(labels)))
    return AuditReport(tuple(class_names), names, np.array(labels), results, checks or {}, seed=0)


def test_figures_by_hand():
    labels = [0, 0, 1, 1, 2, 3]
    report = report_from(
        labels,
        {
            CLEAN: ([0, 0, 1, 2, 2, 3], None, [1, 1, 1, 0, 1, 1]),
            "bottom right corner of another class": ([1, 0, 1, 1, 0, 0], [1, 2, 0, 3, 0, 1], [1, 1, 0, 0, 0, 1]),
        },
    )
    clean, swapped = report.figures(CLEAN), report.figures("bottom right corner of another class")
    assert clean["accuracy"]["value"] == pytest.approx(5 / 6, abs=1e-6)
    assert clean["balanced_accuracy"]["value"] == (1 + 0.5 + 1 + 1) / 4
    assert clean["changed"]["value"] == 0 and clean["followed_donor"] is None
    assert clean["refused"]["value"] == pytest.approx(1 / 6, abs=1e-6)
    assert clean["confusion_matrix"] == [[2, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    # Right: the second, third and fourth. Changed: all but the second and third. Followed: the first and fifth.
    assert swapped["accuracy"]["value"] == 0.5
    assert swapped["balanced_accuracy"]["value"] == (0.5 + 1 + 0 + 0) / 4
    assert swapped["changed"]["value"] == pytest.approx(4 / 6, abs=1e-6)
    assert swapped["followed_donor"]["value"] == pytest.approx(2 / 6, abs=1e-6)
    assert swapped["followed_donor"]["interval"] == pytest.approx(metrics.wilson_interval(2, 6), abs=1e-6)
    assert swapped["refused"]["value"] == 0.5
    assert swapped["mean_top_probability"] == 1 and swapped["num_fields"] == 6
    with pytest.raises(KeyError):
        report.figures("grey")


def test_followed_counts_only_fields_with_a_donor():
    report = report_from(
        [0, 0, 1, 1],
        {
            CLEAN: ([0, 0, 1, 1], None, None),
            "bottom right corner of another class": ([1, 0, 0, 1], [1, -1, -1, 0], None),
        },
    )
    assert report.figures("bottom right corner of another class")["followed_donor"]["value"] == 0.5
    assert report.figures(CLEAN)["refused"] is None


def test_findings_need_the_bound_of_the_interval():
    labels = np.repeat(np.arange(4), 100)

    def removed(right):
        guesses = np.where(np.tile(np.arange(100), 4) < right, labels, (labels + 1) % 4)
        rows = {CLEAN: (labels, None, None), "leukocytes removed, inpainted": (guesses, None, None)}
        (finding,) = (one for one in report_from(labels, rows).findings if one.name == REMOVED)
        return finding.exposed

    # 400 fields of four classes: the interval reaches about 5 % below the value; the threshold is 25 + 10 %.
    assert [removed(right) for right in (25, 37, 43, 60, 100)] == [False, False, True, True, True]


def test_the_worse_of_the_two_removals_decides():
    labels = np.repeat(np.arange(4), 50)
    rows = {
        CLEAN: (labels, None, None),
        "leukocytes removed, inpainted": (labels, None, None),
        "leukocytes removed, background cloned": (np.zeros(200, int), None, None),
    }
    assert REMOVED not in exposed(report_from(labels, rows))
    rows["leukocytes removed, background cloned"] = (labels, None, None)
    assert REMOVED in exposed(report_from(labels, rows))


DONOR_ROWS = {
    "leukocytes on another class's background": BACKGROUND,
    "colours of another class": COLOUR,
}


def donors_for(labels):
    return (labels + 1 + np.arange(len(labels)) % 3) % 4


@pytest.mark.parametrize("row", DONOR_ROWS)
def test_a_constant_answer_follows_nobody(row):
    labels = np.arange(400) % 4
    answer = np.zeros(400, dtype=int)
    report = report_from(labels, {CLEAN: (answer, None, None), row: (answer, donors_for(labels), None)})
    assert report.figures(row)["changed"]["value"] == 0
    assert DONOR_ROWS[row] not in exposed(report), report.findings


@pytest.mark.parametrize("row", DONOR_ROWS)
def test_answers_by_chance_follow_nobody(row):
    labels = np.arange(1200) % 4
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 4, (2, 1200))
    rows = {CLEAN: (first, None, None), row: (second, donors_for(labels), None)}
    assert DONOR_ROWS[row] not in exposed(report_from(labels, rows))


@pytest.mark.parametrize("row", DONOR_ROWS)
def test_a_third_of_the_answers_that_goes_with_the_donor_is_exposed(row):
    labels = np.arange(400) % 4
    donors = donors_for(labels)
    answers = np.where(np.arange(400) % 3 == 0, donors, labels)
    assert DONOR_ROWS[row] in exposed(report_from(labels, {CLEAN: (labels, None, None), row: (answers, donors, None)}))


def test_answers_by_chance_do_not_read_the_corner():
    labels = np.arange(1200) % 4
    first, second, third = np.random.default_rng(1).integers(0, 4, (3, 1200))
    rows = {
        CLEAN: (first, None, None),
        "bottom right corner only": (second, None, None),
        "bottom right corner of another class": (third, donors_for(labels), None),
    }
    assert CORNER not in exposed(report_from(labels, rows))


def test_chance_is_of_the_classes_that_were_audited():
    labels = np.arange(200) % 2  # two of four classes: a constant answer has a balanced accuracy of a half
    answer = np.zeros(200, dtype=int)
    rows = {CLEAN: (answer, None, None), "leukocytes removed, inpainted": (answer, None, None)}
    assert REMOVED not in exposed(report_from(labels, rows))
    rows["leukocytes removed, inpainted"] = (labels, None, None)
    assert REMOVED in exposed(report_from(labels, rows))


def test_counting_is_told_from_what_inpainting_breaks():
    labels = np.arange(200) % 4
    moved = np.where(np.arange(200) < 120, (labels + 1) % 4, labels)
    rows = {
        CLEAN: (labels, None, None),
        "half of the leukocytes removed": (moved, None, None),
        "silhouettes: hole mask only": (np.zeros(200, int), None, None),
        "sham: equal holes off the leukocytes": (labels, None, None),
    }
    assert COUNT in exposed(report_from(labels, rows))
    rows["sham: equal holes off the leukocytes"] = (moved, None, None)
    assert COUNT not in exposed(report_from(labels, rows))


def test_instability_names_the_changes_that_move_it():
    labels = np.arange(200) % 4
    moved = np.where(np.arange(200) < 100, (labels + 1) % 4, labels)
    rows = {CLEAN: (labels, None, None), "grey": (moved, None, None), "mirrored": (labels, None, None)}
    finding = report_from(labels, rows).findings[-1]
    assert finding.exposed and "1 of 2" in finding.evidence and "the worst, grey, moves 50 %" in finding.evidence
    rows["grey"] = (labels, None, None)
    finding = report_from(labels, rows).findings[-1]
    assert not finding.exposed and "0 of 2" in finding.evidence


# Refusals.


def refusing(classifier):
    """Refuses what shows no leukocyte."""

    def classify(images):
        return classifier(images), np.array([bool(find_nuclei(image).any()) for image in images])

    return classify


def test_refusals_have_a_column_of_their_own_and_change_no_other_figure():
    removed = ["leukocytes removed, inpainted", "leukocytes removed, background cloned"]
    rows = [*removed, "mirrored", "bottom right corner only"]
    plain = ask(classifier_of(read_tint), "tint", per_class=2, rows=rows)
    report = ask(refusing(classifier_of(read_tint)), "tint", per_class=2, rows=rows)
    for row in (CLEAN, *rows):
        own, other = dict(report.figures(row)), dict(plain.figures(row))
        assert other.pop("refused") is None
        assert own.pop("refused")["value"] == (row not in (CLEAN, "mirrored")), row
        assert own == other
    assert report.findings[1].name == REMOVED == plain.findings[1].name
    assert "refused 100 %" in report.findings[1].evidence and "refused" not in plain.findings[1].evidence
    # Refusing what holds no leukocyte is the right answer to it.
    assert plain.findings[1].exposed and not report.findings[1].exposed


def test_markdown_has_one_line_a_row_and_shows_refusals_apart():
    labels = [0, 1, 2, 3]
    checks = {
        "num_fields_without_leukocytes": 1,
        "leukocyte_area_share": 0.125,
        "leukocyte_area_share_after_inpainting": 0.001,
        "leukocyte_area_share_after_cloning": 0.002,
        "sham_hole_area_ratio": 0.93,
        "corner": "top left",
    }
    rows = {
        CLEAN: (labels, None, [1, 1, 1, 1]),
        "leukocytes removed, inpainted": ([0, 0, 0, 0], None, [0, 0, 0, 1]),
        "bottom right corner of another class": ([1, 1, 2, 3], [1, 2, 3, 0], [1, 1, 1, 1]),
        "grey": (labels, None, [1, 1, 0, 1]),
    }
    report = report_from(labels, rows, checks=checks)
    lines = report.to_markdown().splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in lines
        if line.startswith("| ")
    }
    header = cells.pop("what was done to the field")
    assert header[4] == "refused" and len(header) == 6
    assert [name for name in cells if not name.startswith("*")] == list(rows)
    low, high = report.figures("leukocytes removed, inpainted")["balanced_accuracy"]["interval"]
    balanced = f"25.0 % ({100 * low:.1f}-{100 * high:.1f})"
    expected = ["25.0 % (4.6-69.9)", balanced, "75.0 %", "", "75.0 %", "1.00"]
    assert cells["leukocytes removed, inpainted"] == expected
    assert cells["bottom right corner of another class"][2:5] == ["25.0 %", "25.0 %", "0.0 %"]
    assert cells[CLEAN][2:5] == ["", "", "0.0 %"]
    assert all(len(line.split("|")) == 9 for line in lines if line.startswith("|"))
    assert sum(line.startswith("- ") for line in lines) == len(report.findings)
    assert "12.5 % of the fields, 0.10 % after inpainting and 0.20 % after cloning" in lines[-1]
    assert "93 %" in lines[-1] and "top left" in lines[-1] and "1 of 4" in lines[-1]
    some = audit_table(report.to_dict(), ["light and colour"]).splitlines()
    assert sum(line.startswith("| ") for line in some) == 3  # header, section, grey


def test_a_classifier_that_cannot_refuse_is_said_to():
    lines = report_of("honest").to_markdown().splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| ") and "*" not in line][1:]
    assert len(rows) == len(SHORTCUT_ROWS) + 1 and {cells[6].strip() for cells in rows} == {"cannot"}


def test_a_report_is_json():
    content = json.loads(json.dumps(report_of("count").to_dict(), allow_nan=False))
    assert content["num_fields"] == 20 and content["seed"] == 0
    assert content["num_fields_of_class"] == dict.fromkeys(CLASS_NAMES, PER_CLASS)
    assert list(content["rows"]) == [CLEAN, *(row.name for row in ROWS if row.name in SHORTCUT_ROWS)]
    assert any(finding["exposed"] for finding in content["findings"])


# Order, seeds, forms of input.


def shuffled(classifier, order, **options):
    images, labels, names = ([content[at] for at in order] for content in fields_of("texture", 2))
    found = {"segment": find_nuclei, "find_annotation": no_annotation} | options
    return audit(classifier, images, labels, names=names, rows=FEW_ROWS, **found)


def by_brightness(images):
    """Probabilities that depend on every pixel."""
    means = np.array([np.asarray(image, dtype=float).mean(axis=(0, 1)) for image in images])
    scores = np.exp((np.column_stack([means, means.sum(axis=1) / 3]) - 200) / 10)
    return scores / scores.sum(axis=1, keepdims=True)


def donors_of(report):
    return [result.donors.tolist() for result in report.results]


def test_the_order_of_the_fields_changes_nothing():
    report = shuffled(by_brightness, range(8))
    other = shuffled(by_brightness, np.random.default_rng(0).permutation(8), batch_size=3)
    assert other.to_dict() == report.to_dict()
    assert np.array_equal(other.labels, report.labels) and donors_of(other) == donors_of(report)
    for own, again in zip(report.results, other.results, strict=True):
        np.testing.assert_allclose(own.probabilities, again.probabilities, rtol=1e-12)


def test_the_seed_decides_donors_and_noise():
    report = shuffled(by_brightness, range(8), seed=1)
    again = shuffled(by_brightness, range(8), seed=1)
    other = shuffled(by_brightness, range(8), seed=2)
    assert donors_of(report) == donors_of(again) != donors_of(other)
    for index, row in enumerate((CLEAN, *FEW_ROWS)):
        assert report.results[index].row.name == row
        own, same, changed = (one.results[index].probabilities for one in (report, again, other))
        assert np.array_equal(own, same)
        assert np.array_equal(own, changed) == (row in (CLEAN, FEW_ROWS[0])), row


def test_a_row_does_not_depend_on_the_other_rows_or_fields():
    images, labels, names = fields_of("texture", 2)
    whole = ask(by_brightness, per_class=2, rows=["noise 10/255", "sham: equal holes off the leukocytes"])
    part = audit(by_brightness, images[2:5], labels[2:5], names=names[2:5], rows=["noise 10/255"],
                 segment=find_nuclei, find_annotation=no_annotation)  # fmt: skip
    noise = {result.row.name: result.probabilities for result in whole.results}["noise 10/255"]
    np.testing.assert_array_equal(noise[2:5], part.results[1].probabilities)


def test_every_donor_is_of_another_class():
    report = report_of("count")
    donors = {result.row.name: result.donors for result in report.results}
    for row in ROWS:
        if row.name in donors and row.needs_donor:
            assert (donors[row.name] != report.labels).all() and len(np.unique(donors[row.name])) == 4
        elif row.name in donors:
            assert (donors[row.name] == -1).all()


def test_generators_differ_between_rows_fields_and_seeds():
    draws = {
        generator_for(seed, row, name).integers(1 << 60)
        for seed in (0, 1)
        for row in ("grey", "mirrored")
        for name in ("a", "b")
    }
    assert len(draws) == 8
    assert generator_for(0, "grey", "a").integers(1 << 60) in draws


def test_fields_may_be_files_bytes_or_arrays_and_stay_as_they_are(tmp_path):
    images, labels, names = fields_of("texture", 1)
    images[1].save(tmp_path / "one.png")
    before = [image.tobytes() for image in images]
    forms = [images[0], tmp_path / "one.png", (tmp_path / "one.png").read_bytes(), np.asarray(images[3])]
    found = {"segment": find_nuclei, "find_annotation": no_annotation, "rows": ["grey"], "names": names}
    expected = audit(by_brightness, [images[0], images[1], images[1], images[3]], labels, **found)
    report = audit(by_brightness, forms, np.array(labels), max_edge=80, **found)
    assert report.to_dict() == expected.to_dict()
    audit(by_brightness, images, labels, max_edge=40, **found)
    assert [image.tobytes() for image in images] == before and images[0].size == (EDGE, EDGE)


def test_fields_of_several_sizes_lend_each_other_their_parts():
    images, labels, names = fields_of("corner", 1)
    sized = [image.resize(size) for image, size in zip(images, ((80, 80), (96, 72), (60, 90), (80, 80)), strict=True)]
    recorder = Recorder()
    audit(recorder, sized, labels, names=names, segment=find_nuclei, find_annotation=no_annotation, batch_size=1)
    assert [image.size for image in recorder.images] == [image.size for image in sized] * len(ROWS)


def test_large_fields_are_shrunk_before_everything():
    images, labels, names = fields_of("texture", 1)
    recorder, segmented = Recorder(), []

    def segment(image):
        segmented.append(image.size)
        return find_nuclei(image)

    wide = [image.resize((160, 120)) for image in images]
    audit(recorder, wide, labels, names=names, rows=[], max_edge=80, segment=segment, find_annotation=no_annotation)
    assert {image.size for image in recorder.images} == {(80, 60)} == set(segmented)


def test_a_classifier_may_draw_into_its_images_and_answer_with_a_tensor():
    def vandal(images):
        assert all(isinstance(image, Image.Image) and image.mode == "RGB" for image in images)
        answers = torch.from_numpy(by_brightness(images)).requires_grad_()
        for image in images:
            image.paste((0, 0, 0), (0, 0, *image.size))
        return answers

    rows = ["leukocytes removed, inpainted", "mirrored"]
    report, expected = (ask(one, per_class=1, rows=rows) for one in (vandal, by_brightness))
    assert report.to_dict() == expected.to_dict()


def test_half_precision_is_understood():
    report = ask(lambda images: torch.full((len(images), 4), 0.25, dtype=torch.bfloat16), per_class=1, rows=[])
    assert report.figures(CLEAN)["mean_top_probability"] == 0.25


def test_rows_of_one_class_that_need_a_donor_are_left_out():
    images, labels, names = fields_of("texture", 2)
    report = audit(constant, images[:2], labels[:2], names=names[:2], segment=find_nuclei,
                   find_annotation=no_annotation)  # fmt: skip
    assert {result.row.name for result in report.results} == {row.name for row in ROWS if not row.needs_donor}
    assert not exposed(report) & SHORTCUTS and "| bottom right corner only |" in report.to_markdown()


def test_class_names_may_be_ones_own():
    images, labels, names = fields_of("texture", 2)

    def ill(images):
        return np.tile([0.2, 0.8], (len(images), 1))

    report = audit(ill, images[:4], labels[:4], names=names[:4], class_names=("well", "ill"), rows=[],
                   segment=find_nuclei, find_annotation=no_annotation)  # fmt: skip
    assert report.figures(CLEAN)["confusion_matrix"] == [[0, 2], [0, 2]]
    assert report.to_dict()["num_fields_of_class"] == {"well": 2, "ill": 2}


def test_the_packages_own_segmentation_is_the_default(monkeypatch):
    monkeypatch.setattr("leuk_hf.audit.label_leukocytes", label_leukocytes)
    images = [render_smear(name, seed=seed, image_size=96) for name in ("Benign", "Pre-B") for seed in (0, 1)]
    report = audit(constant, images, [0, 0, 2, 2], rows=["leukocytes removed, inpainted"])
    assert 0.05 < report.checks["leukocyte_area_share"] < 0.7
    assert report.checks["leukocyte_area_share_after_inpainting"] < 0.2 * report.checks["leukocyte_area_share"]


# The store.


class Counting:
    """Asks `by_brightness`, counts the images and stops before the one that would be too many."""

    def __init__(self, stop_at=None, answer=by_brightness):
        self.seen, self.stop_at, self.answer = 0, stop_at, answer

    def __call__(self, images):
        if self.stop_at is not None and self.seen + len(images) > self.stop_at:
            raise RuntimeError("power cut")
        self.seen += len(images)
        return self.answer(images)


STORED_ROWS = (
    "leukocytes removed, inpainted",
    "bottom right corner of another class",
    "burnt-in annotation inpainted",
    "noise 10/255",
)


def stored(classifier, path, **options):
    return ask(classifier, per_class=1, **{"rows": STORED_ROWS, "store": path, "batch_size": 2} | options)


@pytest.mark.parametrize(("stop_at", "finished"), [(0, 0), (3, 0), (4, 1), (10, 2), (13, 3), (18, 4)])
def test_an_interrupted_audit_goes_on_and_gives_the_same_report(tmp_path, stop_at, finished):
    path = tmp_path / "folder" / "answers.json"
    with pytest.raises(RuntimeError, match="power cut"):
        stored(Counting(stop_at), path)
    rest = Counting()
    report = stored(rest, path)
    # Five rows of four fields; the untouched ones are always asked.
    assert rest.seen == 20 - 4 * max(0, finished - 1)
    whole = stored(Counting(), None)
    assert report.to_dict() == whole.to_dict()
    for own, other in zip(report.results, whole.results, strict=True):
        np.testing.assert_array_equal(own.probabilities, other.probabilities)
    again = Counting()
    assert stored(again, path).to_dict() == whole.to_dict() and again.seen == 4


def test_a_store_keeps_refusals(tmp_path):
    path, classifier = tmp_path / "answers.json", refusing(by_brightness)
    first, second = stored(classifier, path), stored(classifier, path)
    assert first.to_dict() == second.to_dict()
    assert second.results[1].answered.dtype == bool and not second.results[1].answered.any()


def test_a_store_serves_more_rows_than_it_was_made_with(tmp_path):
    path = tmp_path / "answers.json"
    stored(Counting(), path, rows=STORED_ROWS[:1])
    more = Counting()
    report = stored(more, path)
    assert more.seen == 4 + 3 * 4 and len(report.results) == 5


OTHERS = {
    "another classifier": {"answer": lambda images: by_brightness(images)[:, ::-1]},
    "one that refuses": {"answer": refusing(by_brightness)},
    "another seed": {"seed": 1},
    "another segmentation": {"segment": violet},
    "another annotation": {"find_annotation": find_ink},
    "another size": {"max_edge": 64},
}


@pytest.mark.parametrize("change", OTHERS)
def test_a_store_of_something_else_is_begun_anew(tmp_path, change):
    path = tmp_path / "answers.json"
    stored(Counting(), path)
    options = dict(OTHERS[change])
    answer = options.pop("answer", by_brightness)
    other = Counting(answer=answer)
    report = stored(other, path, **options)
    assert other.seen == 20
    assert report.to_dict() == stored(Counting(answer=answer), None, **options).to_dict()


def test_other_refusals_of_the_same_probabilities_are_asked_anew(tmp_path):
    path = tmp_path / "answers.json"
    stored(lambda images: (by_brightness(images), np.ones(len(images), dtype=bool)), path)
    other = Counting(answer=lambda images: (by_brightness(images), np.zeros(len(images), dtype=bool)))
    report = stored(other, path)
    assert other.seen == 20 and report.figures("noise 10/255")["refused"]["value"] == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"key": "x", "rows": {}}', b"[1, 2]", b"\xff\xfe\x00", b"null"])
def test_a_damaged_store_is_begun_anew(tmp_path, content):
    path = tmp_path / "answers.json"
    path.write_bytes(content)
    counting = Counting()
    stored(counting, path)
    assert counting.seen == 20
    assert len(json.loads(path.read_text())["rows"]) == 5


# Mistakes.


def wrong(answer):
    return lambda images: answer(len(images))


UNIFORM = np.full((1, 4), 0.25)
WRONG_ANSWERS = {
    "logits": (wrong(lambda count: np.tile([2.0, 1.0, 0.5, 0.1], (count, 1))), "softmax"),
    "negative logits": (wrong(lambda count: np.tile([2.0, -1.0, 0.0, 0.0], (count, 1))), "negative or not finite"),
    "not a number": (wrong(lambda count: np.full((count, 4), np.nan)), "not finite"),
    "infinite": (wrong(lambda count: np.full((count, 4), np.inf)), "not finite"),
    "too few classes": (wrong(lambda count: np.full((count, 3), 1 / 3)), "3) for 2 images and 4 classes"),
    "too few rows": (wrong(lambda count: UNIFORM), "for 2 images and 4 classes"),
    "one number each": (wrong(lambda count: np.ones(count)), "for 2 images and 4 classes"),
    "nothing": (wrong(lambda count: None), "for 2 images and 4 classes"),
    "numbers as answered": (wrong(lambda count: (UNIFORM.repeat(count, 0), np.ones(count))), "not bool (2,)"),
    "too few answered": (wrong(lambda count: (UNIFORM.repeat(count, 0), np.array([True]))), "not bool (2,)"),
    "a list of a pair": (wrong(lambda count: [UNIFORM.repeat(count, 0), np.ones(count, bool)]), "no array of numbers"),
    "a pipeline's dictionaries": (
        wrong(lambda count: [[{"label": "Pro", "score": 1}]] * count),
        "no array of numbers",
    ),
    "words": (wrong(lambda count: [["a"] * 4] * count), "no array of numbers"),
    "a percentage": (wrong(lambda count: np.full((count, 4), 25.0)), "miss a sum of 1"),
}


@pytest.mark.parametrize("kind", WRONG_ANSWERS)
def test_wrong_answers_of_a_classifier_get_one_sentence(kind):
    classifier, message = WRONG_ANSWERS[kind]
    with pytest.raises(DataError) as raised:
        ask(classifier, per_class=1, rows=[], batch_size=2)
    assert message in str(raised.value) and "\n" not in str(raised.value)


WRONG_ARGUMENTS = {
    "label too large": ({"labels": [0, 1, 2, 4]}, "label 4 is none of the 4 classes (Benign"),
    "negative label": ({"labels": [0, 1, 2, -1]}, "label -1"),
    "too few labels": ({"labels": [0, 1, 2]}, "4 fields, 3 labels and 4 names"),
    "too few names": ({"names": ["a", "b", "c"]}, "4 fields, 4 labels and 3 names"),
    "the same name twice": ({"names": ["a", "b", "c", "b"]}, "same name"),
    "unknown row": ({"rows": ["grey", "upside down"]}, "no audit row 'upside down'; choose among: as it is;"),
    "no batch": ({"batch_size": 0}, "batch_size is 0"),
    "mask of another shape": ({"segment": lambda image: np.ones((3, 3), bool)}, "a mask of a is (3, 3)"),
    "ink of another shape": ({"find_annotation": lambda image: np.ones((3, 3), bool)}, "a mask of a is (3, 3)"),
    "negative seed": ({"seed": -1}, "seed is -1"),
    "no edge": ({"max_edge": 0}, "max_edge 0"),
    "no leukocytes": ({"segment": no_annotation}, "no leukocyte was found in 4 of 4 fields"),
    "nothing to audit": ({"fields": [], "labels": [], "names": []}, "there is no field to audit"),
    "too few class names": ({"class_names": ("one", "two", "three")}, "label 3 is none of the 3 classes"),
}


@pytest.mark.parametrize("kind", WRONG_ARGUMENTS)
def test_wrong_arguments_get_one_sentence_before_the_classifier_is_asked(kind):
    change, message = WRONG_ARGUMENTS[kind]
    images, labels, _ = fields_of("texture", 1)
    given = {"fields": images, "labels": labels, "names": ["a", "b", "c", "d"], "rows": [], "segment": find_nuclei}
    recorder = Recorder()
    with pytest.raises(DataError) as raised:
        audit(recorder, **{"find_annotation": no_annotation} | given | change)
    assert message in str(raised.value) and "\n" not in str(raised.value)
    assert not recorder.batches


def test_a_classifier_that_forgets_its_refusals_gets_one_sentence():
    answers = iter([constant, refusing(constant)])
    with pytest.raises(DataError, match="only for some batches"):
        ask(lambda images: next(answers)(images), per_class=1, rows=[], batch_size=2)


def test_an_unreadable_field_is_named():
    images, labels, _ = fields_of("texture", 1)
    with pytest.raises(ImageError, match="c is not an image"):
        audit(constant, [*images[:2], b"text", images[3]], labels, names=list("abcd"), segment=find_nuclei,
              find_annotation=no_annotation)  # fmt: skip


def test_some_fields_without_leukocytes_are_only_counted():
    images, labels, _ = fields_of("texture", 1)
    empty = Image.new("RGB", (EDGE, EDGE), GLASS)
    report = audit(constant, [*images[:3], empty], labels, segment=find_nuclei, find_annotation=no_annotation)
    assert report.checks["num_fields_without_leukocytes"] == 1 and len(report.results) == len(ROWS)


# The journal, the other store.


def test_a_journal_keeps_its_entries(tmp_path):
    path = tmp_path / "folder" / "journal.jsonl"
    journal = Journal(path)
    assert not path.exists() and len(journal) == 0
    journal["a"], journal["b"] = [1, None, 0.5], {"x": "line\nbreak, ä"}
    journal["a"] = 2
    again = Journal(path)
    assert dict(again) == {"a": 2, "b": {"x": "line\nbreak, ä"}} and "c" not in again
    again["c"] = True
    assert dict(Journal(path)) == {"a": 2, "b": {"x": "line\nbreak, ä"}, "c": True}
    with pytest.raises(TypeError):
        del again["a"]
    with pytest.raises(KeyError):
        again["d"]


def test_a_journal_cut_short_anywhere_loses_only_what_was_cut(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path)["first"] = [1, 2]
    first = len(path.read_bytes())
    Journal(path)["second"] = "text"
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        expected = {"first": [1, 2]} if length >= first else {}
        expected |= {"second": "text"} if length == len(whole) else {}
        rest = Journal(path)
        assert dict(rest) == expected
        rest["third"] = 3
        assert dict(Journal(path)) == expected | {"third": 3}


def test_a_journal_without_a_file_and_with_an_unreadable_one(tmp_path):
    journal = Journal(None)
    journal["a"] = 1
    assert dict(journal) == {"a": 1}
    with pytest.raises(DataError, match="cannot be read"):
        Journal(tmp_path)
    (tmp_path / "foreign").write_bytes(b'{"a": 1}\n[1]\n"ab"\n[["x"], 1]\n\xff\n["good", 1]\nnull\n')
    assert dict(Journal(tmp_path / "foreign"))["good"] == 1


def test_a_journal_refuses_what_is_no_json_and_keeps_the_rest(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal["a"] = 1
    with pytest.raises(ValueError):
        journal["b"] = float("nan")
    assert dict(Journal(tmp_path / "journal.jsonl")) == {"a": 1}


def test_threads_write_whole_entries(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")

    def write(thread):
        for number in range(25):
            journal[f"{thread} {number}"] = "x" * number

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert dict(Journal(tmp_path / "journal.jsonl")) == dict(journal) and len(journal) == 100


# The command line.

ROOT = Path(__file__).parent.parent
USERS_FILE = """
import numpy as np
from neighbour import WEIGHTS

calls = []


def classify(images):
    calls.append(len(images))
    means = np.array([np.asarray(image, dtype=float).mean(axis=(0, 1)) for image in images])
    scores = np.exp(means @ WEIGHTS / 20)
    return scores / scores.sum(axis=1, keepdims=True)


def refuse(images):
    return classify(images), np.arange(len(images)) % 2 == 0


number = 3
"""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("audit_script", ROOT / "scripts" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit_script"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["audit_script"]


@pytest.fixture
def users_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "my model" / "my_model.py"
    path.parent.mkdir()
    path.write_text(USERS_FILE)
    (path.parent / "neighbour.py").write_text("import numpy as np\nWEIGHTS = np.eye(3, 4)\n")
    yield path
    sys.modules.pop("neighbour", None)


def test_the_script_audits_a_users_classifier(users_file, smear_folder, tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable, str(ROOT / "scripts" / "audit.py"), str(smear_folder), "--classifier", f"{users_file}:refuse",
        "--rows", "grey", "bottom right corner of another class", "leukocytes removed, inpainted",
        "--output", str(out), "--name", "mine", "--batch-size", "3",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((out / "results.json").read_text())
    entry = results["audit"]["mine"]
    assert set(results) == {"audit"} and entry["num_fields"] == 8 and entry["part"] == "all"
    corner = "bottom right corner of another class"
    assert list(entry["rows"]) == [CLEAN, "leukocytes removed, inpainted", corner, "grey"]
    # Batches of 3, 3 and 2: the second, fifth and eighth are refused.
    assert entry["rows"]["grey"]["refused"]["value"] == 0.375
    assert entry["rows"]["bottom right corner of another class"]["followed_donor"] is not None
    assert entry["command"].startswith("python scripts/audit.py ") and entry["versions"]["numpy"] == np.__version__
    with Image.open(out / "audit.png") as plot:
        assert plot.width > 600
    text = (out / "audit.md").read_text()
    assert text.startswith("# Shortcut audit of mine: 8 fields") and text.strip() in done.stdout
    assert audit_table(entry) in text and f"written to {out}" in done.stdout
    assert "Traceback" not in done.stderr
    stored = json.loads((out / "answers.json").read_text())
    assert len(stored["rows"]) == 4


def run_script(script, capsys, *arguments):
    code = script.main([str(argument) for argument in arguments])
    return code, capsys.readouterr()


def test_the_script_audits_a_checkpoint_and_goes_on_where_it_was(script, tiny_model, smear_folder, tmp_path, capsys):
    tiny_model.save_pretrained(tmp_path / "model")
    given = (smear_folder, "--model", tmp_path / "model", "--output", tmp_path / "out", "--num-fields", 4, "--rows")
    code, printed = run_script(script, capsys, *given, "mirrored")
    assert code == 0, printed.err
    first = json.loads((tmp_path / "out" / "results.json").read_text())["audit"]
    (name,) = first
    assert str(tmp_path / "model") in name and first[name]["num_fields_of_class"] == dict.fromkeys(CLASS_NAMES, 1)
    assert first[name]["rows"]["mirrored"]["refused"]["value"] == 0  # this package's models can refuse
    code, _ = run_script(script, capsys, *given, "mirrored", "grey", "--name", "again")
    assert code == 0
    both = json.loads((tmp_path / "out" / "results.json").read_text())["audit"]
    assert set(both) == {name, "again"} and both["again"]["rows"]["mirrored"] == first[name]["rows"]["mirrored"]
    content = json.loads((tmp_path / "out" / "answers.json").read_text())["rows"]
    assert list(content) == [CLEAN, "mirrored", "grey"]
    field = read_image(without_decoding(load_smears(smear_folder))[0])
    own = predict(tiny_model, [field])[0].probabilities
    np.testing.assert_allclose(content[CLEAN]["probabilities"][0], list(own.values()), atol=1e-6)


MISTAKES = {
    "no such folder": (["{tmp}/nowhere"], "nowhere"),
    "no such file": (["{smears}", "--classifier", "missing.py:classify"], "must be file.py:name"),
    "no name": (["{smears}", "--classifier", "{file}"], "must be file.py:name"),
    "no such name": (["{smears}", "--classifier", "{file}:classifier"], "has no callable 'classifier'"),
    "a number": (["{smears}", "--classifier", "{file}:number"], "has no callable 'number'"),
    "two models": (["{smears}", "--classifier", "{file}:classify", "--model", "x"], "either --classifier or --model"),
    "part without split": (["{smears}", "--classifier", "{file}:classify", "--part", "test"], "needs the --split"),
    "unknown row": (["{smears}", "--classifier", "{file}:classify", "--rows", "upside down"], "no audit row"),
    "negative": (["{smears}", "--classifier", "{file}:classify", "--num-fields", "-1"], "num_fields and seed"),
    "no batch": (["{smears}", "--classifier", "{file}:classify", "--batch-size", "0"], "batch_size at least 1"),
    "output is a file": (["{smears}", "--classifier", "{file}:classify", "--output", "{file}"], "my_model.py"),
    "no split table": (["{smears}", "--classifier", "{file}:classify", "--split", "{tmp}/none.csv"], "none.csv"),
    "split table before fields": (["{tmp}/nowhere", "--model", "{tmp}/none", "--split", "{tmp}/none.csv"], "none.csv"),
    "group table before fields": (
        ["{tmp}/nowhere", "--model", "{tmp}/none", "--groups", "{tmp}/none.csv"],
        "none.csv",
    ),
    "no group table": (["{smears}", "--classifier", "{file}:classify", "--groups", "{tmp}/none.csv"], "none.csv"),
    "no checkpoint": (["{smears}", "--model", "{tmp}/none"], "none"),
    "too few classes": (
        ["{smears}", "--classifier", "{file}:classify", "--class-names", "Benign", "Early", "--rows", "grey"],
        "Pre",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_at_the_command_line_get_one_sentence(script, users_file, smear_folder, tmp_path, capsys, kind):
    arguments, message = MISTAKES[kind]
    places = {"{tmp}": tmp_path, "{smears}": smear_folder, "{file}": users_file}
    for mark, place in places.items():
        arguments = [argument.replace(mark, str(place)) for argument in arguments]
    if "--output" not in arguments:
        arguments += ["--output", str(tmp_path / "out")]
    code, printed = run_script(script, capsys, *arguments)
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert code == 2 and len(errors) == 1 and message in errors[0]
    assert printed.err.splitlines()[-1] == errors[0] and printed.out == ""
    assert not (tmp_path / "out" / "audit.md").exists()


def test_a_users_classifier_is_loaded_with_its_neighbours(script, users_file):
    classify = script.load_classifier(f"{users_file}:classify")
    answers = classify([Image.new("RGB", (8, 8), (200, 100, 50))] * 2)
    assert answers.shape == (2, 4) and answers.sum(axis=1) == pytest.approx(1) and answers[0].argmax() == 0


def test_the_sample_is_in_proportion_and_does_not_depend_on_the_order(script):
    labels = [0] * 40 + [1] * 20 + [2] * 4 + [3]
    paths = [f"{label}/{row}.png" for row, label in enumerate(labels)]

    def draw(order, num_fields=13, seed=0):
        content = {"label": [labels[row] for row in order], "path": [paths[row] for row in order]}
        rows = script.sample(Dataset.from_dict(content), num_fields, seed)
        assert rows == sorted(set(rows))
        return [content["path"][row] for row in rows]

    drawn = draw(range(65))
    assert [sum(path.startswith(f"{label}/") for path in drawn) for label in range(4)] == [8, 4, 1, 1]
    assert sorted(draw(np.random.default_rng(0).permutation(65))) == sorted(drawn)
    assert drawn != draw(range(65), seed=1)
    assert draw(range(65), num_fields=0) == paths == draw(range(65), num_fields=1000)
