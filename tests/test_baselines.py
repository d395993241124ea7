"""Trivial baselines: every feature set by hand, and that a forest knows a class exactly by what it was drawn into."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from leuk_hf import metrics
from leuk_hf.audit_tables import baseline_table
from leuk_hf.baselines import FEATURE_SETS, describe, measure_baselines, score, summarise
from leuk_hf.counterfactuals import CORNERS, corner_mask
from leuk_hf.data import load_smears
from leuk_hf.errors import DataError

EDGE, NUM_CLASSES, PER_CLASS = 64, 3, 16
GLASS, RED_CELL, NUCLEUS = (234, 232, 240), (205, 160, 172), (110, 60, 190)
TINTS = ((234, 232, 240), (240, 226, 222), (222, 238, 226))


def draw(label, number, cue):
    """A field and its leukocytes; the class shows in one thing only."""
    generator = np.random.default_rng([label, number])
    field = np.full((EDGE, EDGE, 3), TINTS[label] if cue == "tint" else GLASS, dtype=np.uint8)
    for row, column in generator.integers(0, EDGE, (5 + 8 * label if cue == "red cells" else 13, 2)).tolist():
        cv2.circle(field, (column, row), 4, RED_CELL, -1)
    leukocytes = np.zeros((EDGE, EDGE), dtype=np.uint8)
    if cue == "place":  # always three, each class in its own band
        places = [(10 + 18 * label, 8 + 14 * column) for column in range(3)]
    else:
        grid = [(8 + 16 * row, 8 + 16 * column) for row in range(4) for column in range(4) if (row, column) < (3, 2)]
        count = 2 + 4 * label if cue == "count" else 5
        places = [grid[place] for place in generator.permutation(len(grid))[:count]]
    for row, column in places:
        shifted = (column + int(generator.integers(-1, 2)), row + int(generator.integers(-1, 2)))
        cv2.circle(field, shifted, 6, NUCLEUS, -1)
        cv2.circle(leukocytes, shifted, 6, 1, -1)
    bar = 2 * label + 1 if cue == "corner" else int(generator.integers(1, 6))  # of one size and colour everywhere
    field[EDGE - 2 * bar : EDGE - 2 * bar + 2, -12:-4] = (90, 90, 90)
    noisy = np.clip(field + generator.integers(-2, 3, field.shape), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8)), leukocytes.astype(bool)


def parts_of(mask):
    return cv2.connectedComponents(mask.astype(np.uint8))[1]


@pytest.fixture(autouse=True)
def _small_forests(monkeypatch):
    monkeypatch.setattr("leuk_hf.baselines._TREES", 15)


def accuracies(cue):
    """Feature set -> accuracy on one half of the fields after learning from the other."""
    labels = np.repeat(np.arange(NUM_CLASSES), PER_CLASS)
    described = []
    for row, label in enumerate(labels.tolist()):
        image, leukocytes = draw(label, row % PER_CLASS, cue)
        described.append(describe(image, leukocytes, parts_of(leukocytes), corner="bottom right"))
    train, test = np.flatnonzero(np.arange(len(labels)) % 2), np.flatnonzero(np.arange(len(labels)) % 2 == 0)
    return {
        name: float(
            (score(np.stack([one[name] for one in described]), labels, train, test, seed=0) == labels[test]).mean()
        )
        for name in FEATURE_SETS
    }


@pytest.mark.parametrize(
    ("cue", "knows", "does_not_know"),
    [
        (
            "tint",
            {"six colour statistics", "background", "glass", "corner"},
            {"leukocyte count and area", "hole mask"},
        ),
        (
            "corner",
            {"corner"},
            {"six colour statistics", "glass", "leukocyte count and area", "hole mask"},
        ),
        (
            "count",
            {"leukocyte count and area", "six colour statistics"},
            {"glass", "corner"},
        ),
        (
            "place",
            {"hole mask"},
            {"six colour statistics", "glass", "leukocyte count and area"},
        ),
        (
            "red cells",
            {"background", "six colour statistics"},
            {"leukocyte count and area", "hole mask"},
        ),
    ],
)  # fmt: skip
def test_a_forest_knows_the_class_by_what_it_was_drawn_into(cue, knows, does_not_know):
    scores = accuracies(cue)
    assert all(scores[name] >= 0.85 for name in knows), scores
    assert all(scores[name] <= 0.65 for name in does_not_know), scores  # chance is a third of 24 fields


def flat_field(colour=GLASS, shape=(40, 60)):
    return Image.fromarray(np.full((*shape, 3), colour, dtype=np.uint8))


def lab(colour):
    return cv2.cvtColor(np.array([[colour]], dtype=np.uint8), cv2.COLOR_RGB2LAB)[0, 0].astype(float)


def test_features_of_a_drawn_field_by_hand():
    image = np.array(flat_field(shape=(56, 112)))
    leukocytes = np.zeros((56, 112), dtype=bool)
    leukocytes[8:16, 16:24] = leukocytes[32:48, 64:72] = True  # 64 and 128 of 6,272 pixels
    image[leukocytes] = NUCLEUS
    image[-17:, -34:] = (10, 200, 30)  # exactly the corner: 30 % of height and width
    features = describe(Image.fromarray(image), leukocytes, parts_of(leukocytes), corner="bottom right")
    assert list(features) == list(FEATURE_SETS)
    assert {name: values.shape for name, values in features.items()} == {
        "six colour statistics": (6,),
        "background": (21,),
        "glass": (6,),
        "corner": (12 * 8 * 3,),
        "leukocyte count and area": (3,),
        "hole mask": (14 * 14,),
    }
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in features.values())
    count, mean_area, covered = features["leukocyte count and area"]
    assert count == 2 and mean_area == pytest.approx(96 / 6272) and covered == pytest.approx(192 / 6272)
    np.testing.assert_allclose(features["corner"].reshape(12 * 8, 3), [lab((10, 200, 30))] * 96, atol=0.01)
    shares = np.array([6272 - 192 - 578, 192, 578]) / 6272
    colours = np.array([lab(GLASS), lab(NUCLEUS), lab((10, 200, 30))])
    means = shares @ colours
    spreads = np.sqrt(shares @ (colours - means) ** 2)
    np.testing.assert_allclose(features["six colour statistics"], [*means, *spreads], rtol=1e-4)
    # Squares of 4 rows by 8 columns; the holes are the leukocytes and one pixel around them.
    squares = features["hole mask"].reshape(14, 14)
    assert squares[2, 2] == squares[3, 2] == squares[9, 8] == 1
    assert squares[1, 2] == pytest.approx(8 / 32) and squares[2, 1] == pytest.approx(4 / 32)
    assert squares[:, 11:].max() == 0 and squares[6].max() == 0
    np.testing.assert_allclose(features["glass"], [*lab(GLASS), 0, 0, 0], atol=1e-3)


def test_the_background_does_not_know_the_leukocytes_colour():
    image, leukocytes = draw(0, 0, "tint")
    changed = np.array(image)
    rim = cv2.dilate(leukocytes.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))).astype(bool)
    changed[rim] = (250, 10, 10)  # stained rims are no background either
    both = [
        describe(one, leukocytes, parts_of(leukocytes), corner="top left") for one in (image, Image.fromarray(changed))
    ]
    for name in set(FEATURE_SETS) - {"six colour statistics", "corner"}:
        assert np.array_equal(both[0][name], both[1][name]), name
    assert not np.array_equal(both[0]["six colour statistics"], both[1]["six colour statistics"])


@pytest.mark.parametrize("corner", CORNERS)
def test_the_corner_is_the_one_asked_for(corner):
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[corner_mask(image.shape, corner)] = 255
    none = np.zeros((40, 60), dtype=bool)
    for asked in CORNERS:
        lightness = describe(Image.fromarray(image), none, parts_of(none), corner=asked)["corner"].reshape(-1, 3)[:, 0]
        assert lightness == pytest.approx(255 if asked == corner else 0, abs=0.01)


@pytest.mark.parametrize("kind", ["no leukocyte", "nothing but leukocytes", "black", "one pixel"])
def test_odd_fields_have_finite_features(kind):
    shape = (1, 1) if kind == "one pixel" else (40, 60)
    leukocytes = np.full(shape, kind == "nothing but leukocytes")
    image = flat_field((0, 0, 0) if kind == "black" else GLASS, shape)
    features = describe(image, leukocytes, parts_of(leukocytes), corner="bottom right")
    assert all(np.isfinite(values).all() for values in features.values())
    covered = float(kind == "nothing but leukocytes")
    assert features["leukocyte count and area"].tolist() == [covered, covered, covered]


def test_an_unknown_corner_gets_one_sentence():
    none = np.zeros((40, 60), dtype=bool)
    with pytest.raises(DataError, match=r"no corner 'middle'; choose one of top left, top right"):
        describe(flat_field(), none, parts_of(none), corner="middle")


def test_a_forest_learns_from_the_training_rows_alone_and_repeats():
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = generator.normal(size=(60, 4)).astype(np.float32)
    features[:, 2] += 20 * labels
    train, test = np.arange(40), np.arange(40, 60)
    first = score(features, labels, train, test, seed=3)
    assert np.array_equal(first, labels[test])
    lied = labels.copy()
    lied[test] = 1 - lied[test]
    assert np.array_equal(score(features, lied, train, test, seed=3), first)
    noise = generator.normal(size=(60, 4)).astype(np.float32)
    assert np.array_equal(score(noise, labels, train, test, seed=3), score(noise, labels, train, test, seed=3))


def test_without_scikit_learn_the_mistake_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'scikit-learn is not installed; run: pip install -e "\.\[audit\]"'):
        score(np.zeros((2, 1), np.float32), np.array([0, 1]), np.array([0]), np.array([1]), seed=0)


def test_summary_and_table_by_hand():
    summary = summarise(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 2)
    assert summary["num_fields"] == 4 and summary["accuracy"]["value"] == 0.75
    assert summary["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-6)
    low, high = metrics.wilson_interval(3, 4)
    assert summary["accuracy"]["interval"] == pytest.approx([low, high], abs=1e-6)
    protocols = {
        name: {"num_folds": 1, "features": dict.fromkeys(FEATURE_SETS, summary)} for name in ("random", "grouped")
    }
    lines = baseline_table(protocols).splitlines()
    assert lines[0] == "| a random forest on | random | grouped |" and lines[1] == "|---|---|---|"
    cell = f"75.0 % ({100 * low:.1f}-{100 * high:.1f})"
    assert lines[2:] == [f"| {name} | {cell} | {cell} |" for name in FEATURE_SETS]


@pytest.fixture(scope="module")
def tinted(tmp_path_factory):
    """Eight fields of each of three classes that differ in tint."""
    folder = tmp_path_factory.mktemp("tinted")
    names = ("one", "two", "three")
    for label, name in enumerate(names):
        (folder / name).mkdir()
        for number in range(8):
            draw(label, number, "tint")[0].save(folder / name / f"{number}.png")
    return load_smears(folder, class_names=names)


def test_baselines_under_every_protocol(tinted):
    # Two sessions of the first two classes; the third is one scan, so it is cut into stretches.
    table = [
        {"file": path, "group": path, "acquisition": "scan" if label == 2 else f"{label} {int(path[-5]) % 2}"}
        for path, label in zip(tinted["path"], tinted["label"], strict=True)
    ]
    content = measure_baselines(tinted, table, seed=1)
    assert {name: (one["num_folds"], one["features"]["glass"]["num_fields"]) for name, one in content.items()} == {
        "random": (1, content["random"]["features"]["corner"]["num_fields"]),
        "grouped": (1, content["grouped"]["features"]["corner"]["num_fields"]),
        "acquisition": (2, 24),  # every field is tested once
        "acquisition, without three": (2, 16),
    }
    for protocol in content.values():
        assert list(protocol["features"]) == list(FEATURE_SETS)
        assert protocol["features"]["six colour statistics"]["accuracy"]["value"] == 1
    by_session = content["acquisition"]["features"]
    assert (
        # The package's own segmentation, which these drawn tints do influence.
        by_session["leukocyte count and area"]["accuracy"]["value"] < 0.9 < by_session["glass"]["accuracy"]["value"]
    )
    assert len(baseline_table(content).splitlines()) == 2 + len(FEATURE_SETS)
    # Without a table the random protocol alone, and the same figures.
    assert measure_baselines(tinted, None, seed=1) == {"random": content["random"]}


def test_too_little_data_for_a_protocol_is_said(tinted):
    with pytest.raises(DataError, match="too few"):
        measure_baselines(tinted.select([0, 1, 8, 9, 16, 17]), None)
