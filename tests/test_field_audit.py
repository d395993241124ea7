"""The audit of one field: what its versions show, and how answers to them are judged."""

import numpy as np
import pytest

from leuk_hf import load_predictor, predict
from leuk_hf.cells import segment_leukocytes
from leuk_hf.counterfactuals import CORNERS, NEUTRAL_GREY, corner_mask
from leuk_hf.field_audit import (
    BRIGHTER,
    CLASS_COLOURS,
    DARKER,
    Version,
    annotated_corner,
    audit_field,
    outcome_of,
    subject_of,
    versions_of,
)
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.perturbations import colour_statistics, match_colours, set_colours
from leuk_hf.prediction import Prediction
from leuk_hf.synthetic import render_smear

FIELD = np.asarray(render_smear("Pre-B", seed=3))
EMPTY = np.full((64, 80, 3), 240, np.uint8)


@pytest.fixture(scope="module")
def subject():
    return subject_of(FIELD)


@pytest.fixture(scope="module")
def versions(subject):
    return {version.name: version for version in versions_of(subject, "Pre-B", seed=5) if version.name != "colours"}


@pytest.fixture(scope="module")
def predictor():
    return load_predictor()


def answer(label, top, *, answered=True):
    others = [name for name in CLASS_NAMES if name != label]
    probabilities = {label: top, **dict.fromkeys(others, (1 - top) / len(others))}
    return Prediction(label, probabilities, (label,), 0.0, answered, ())


def test_all_versions_in_order(subject):
    made = list(versions_of(subject, "Pre-B"))
    assert [version.name for version in made] == [
        "removed", "removed, cloned", "alone", "sham", "corner", "grey", "darker", "brighter",
        "colours", "colours", "colours",
    ]  # fmt: skip
    assert [version.detail for version in made[-3:]] == ["Benign", "Early Pre-B", "Pro-B"]
    assert {version.name for version in made if version.expectation == "lets go"} == {"removed", "removed, cloned"}
    assert all(version.field.shape == FIELD.shape and version.field.dtype == np.uint8 for version in made)


def test_removal_removes_the_leukocytes_alone(subject, versions):
    assert subject.leukocytes.mean() > 0.1
    for name in ("removed", "removed, cloned"):
        assert segment_leukocytes(versions[name].field).mean() < 0.01
    kept = ~subject.holes
    assert (versions["removed"].field[kept] == FIELD[kept]).all()
    assert (versions["removed"].field != versions["removed, cloned"].field).any()


def test_leukocytes_alone_stand_on_grey(subject, versions):
    shown = versions["alone"].field
    assert (shown[subject.leukocytes] == FIELD[subject.leukocytes]).all()
    assert (shown[~subject.holes] == NEUTRAL_GREY).all()


def test_sham_holes_spare_the_leukocytes(subject, versions):
    changed = (versions["sham"].field != FIELD).any(axis=2)
    assert changed.any() and not changed[subject.leukocytes].any()
    assert 0 < versions["sham"].amount <= 1


def test_a_corner_goes_but_its_leukocytes_stay(subject, versions):
    changed = (versions["corner"].field != FIELD).any(axis=2)
    corner = corner_mask(FIELD.shape, versions["corner"].detail)
    assert changed.sum() > 0.3 * corner.sum()
    assert not changed[~corner].any() and not changed[subject.leukocytes].any()


@pytest.mark.parametrize("corner", CORNERS)
def test_the_annotated_corner(corner):
    annotation = np.zeros((50, 60), bool)
    assert annotated_corner(annotation) == "bottom right"
    annotation[corner_mask(annotation.shape, corner)] = True
    assert annotated_corner(annotation) == corner


def test_light_and_colour(versions):
    assert (versions["grey"].field == versions["grey"].field[..., :1]).all()
    for name, factor in (("darker", DARKER), ("brighter", BRIGHTER)):
        assert versions[name].amount == factor
        assert (versions[name].field == np.clip(np.rint(np.float32(factor) * FIELD), 0, 255)).all()


def test_colours_of_a_class_are_those_stated():
    # Soft colours, so that hardly a value is clipped.
    field = (FIELD // 4 + 100).astype(np.uint8)
    for wanted in CLASS_COLOURS.values():
        got = colour_statistics(set_colours(field, wanted))
        assert np.allclose(got.mean, wanted.mean, atol=4) and np.allclose(got.spread, wanted.spread, atol=5)
    donor = np.asarray(render_smear("Pro-B", seed=1))
    assert (match_colours(field, donor) == set_colours(field, colour_statistics(donor))).all()


def test_the_seed_decides(subject):
    def made(seed):
        return [version.field.tobytes() for version in versions_of(subject, "Benign", seed=seed)]

    assert made(1) == made(1) != made(2)
    with pytest.raises(ValueError, match="seed is -1"):
        audit_field(None, FIELD, seed=-1)


@pytest.mark.parametrize(
    ("expectation", "said", "outcome"),
    [
        ("lets go", answer("Pre-B", 0.9, answered=False), "refuses"),
        ("lets go", answer("Pre-B", 0.4), "unsure"),
        ("lets go", answer("Pre-B", 0.5), "names"),
        ("lets go", answer("Benign", 0.9), "names"),
        ("keeps", answer("Pre-B", 0.4), "keeps"),
        ("keeps", answer("Pre-B", 0.9, answered=False), "keeps, refused"),
        ("keeps", answer("Benign", 0.9), "changes"),
        ("keeps", answer("Benign", 0.9, answered=False), "changes, refused"),
        ("keeps", answer("Benign", 0.4), "changes, unsure"),
    ],
)
def test_outcomes(expectation, said, outcome):
    assert outcome_of(answer("Pre-B", 0.8), said, Version("grey", expectation, EMPTY)) == outcome


def test_an_answer_that_goes_with_the_colours_follows_them():
    borrowed = Version("colours", "keeps", EMPTY, detail="Pro-B")
    assert outcome_of(answer("Pre-B", 0.8), answer("Pro-B", 0.8), borrowed) == "follows"
    assert outcome_of(answer("Pre-B", 0.8), answer("Benign", 0.8), borrowed) == "changes"


def test_the_shipped_checkpoint_audited(predictor):
    shares = []
    result = audit_field(predictor, render_smear("Pre-B", seed=3), seed=5, on_progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1
    assert result.untouched.label == predict(predictor, FIELD)[0].label
    assert result.num_leukocytes > 10
    by_name = {each.version.name: each for each in result.answers}
    assert by_name["removed"].outcome == by_name["removed, cloned"].outcome == "refuses"
    assert by_name["removed"].is_sound is True
    assert sum(result.count(sound) for sound in (True, False, None)) == len(result.answers) == 11
    for each in result.answers[::4]:
        alone = predict(predictor, each.version.field)[0]
        assert alone.label == each.prediction.label
        assert alone.probabilities == pytest.approx(each.prediction.probabilities, abs=1e-4)


def test_a_field_without_leukocytes_has_nothing_to_remove(predictor):
    result = audit_field(predictor, EMPTY)
    assert result.num_leukocytes == 0 and not result.is_telling
    assert {each.version.name for each in result.answers} == {"corner", "grey", "darker", "brighter", "colours"}


def test_large_fields_are_reduced(predictor):
    image = render_smear("Benign", seed=1).resize((900, 600))
    assert audit_field(predictor, image).field.shape == (341, 512, 3)
    assert image.size == (900, 600)
