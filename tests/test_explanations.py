"""Measuring explanations: per field, summed up, by the script, and as a table."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leuk_hf.attribution import class_activation_maps
from leuk_hf.backends import as_predictor
from leuk_hf.cells import segment_leukocytes
from leuk_hf.explanation_measurement import Plan, leukocyte_mask, measure_explanations
from leuk_hf.explanation_summary import Field, choose_map, summarise
from leuk_hf.explanation_tables import explanations_summary, explanations_text
from leuk_hf.faithfulness import perfect_map, pointing_score, share_on_leukocytes
from leuk_hf.journal import Journal
from leuk_hf.metrics import bootstrap_interval
from leuk_hf.prediction import predict
from leuk_hf.synthetic import render_smear

ROOT = Path(__file__).parent.parent
CLASSES = ("Benign", "Early Pre-B", "Pre-B", "Pro-B")
PLAN = Plan(methods=("grad_cam", "input_gradients"), layers=("denseblock4",), num_steps=2, num_randomisations=1)


@pytest.fixture
def smears() -> list[Image.Image]:
    return [render_smear(name, seed=seed, image_size=96) for seed, name in enumerate(("Pre-B", "Pro-B", "Pro-B"))]


def measured(model, smears, plan=PLAN, **options):
    labels, names = (2, 3, 3), ("a", "b", "c")
    return measure_explanations(as_predictor(model), smears, labels, names, plan=plan, **options)


def entry_of(report, method):
    return next(one for one in report["maps"] if one["method"] == method and one["layer"] != "input")


def test_masks_are_those_of_the_original_image_at_the_size_of_the_field(smears):
    whole = segment_leukocytes(smears[0])
    assert np.array_equal(leukocyte_mask(smears[0], 96), whole)
    mask = leukocyte_mask(smears[0], 48)
    assert mask.shape == (48, 48) and mask.dtype == bool
    assert np.array_equal(mask, whole.reshape(48, 2, 48, 2).mean(axis=(1, 3)) > 0.5)
    stretched = leukocyte_mask(smears[0].resize((96, 48)), 64)
    assert stretched.shape == (64, 64) and abs(stretched.mean() - whole.mean()) < 0.05


def test_figures_are_the_means_of_the_scores(tiny_model, smears):
    report = measured(tiny_model, smears)
    masks = [leukocyte_mask(smear, 64) for smear in smears]
    targets = [tiny_model.class_names.index(one.label) for one in predict(tiny_model, smears)]
    _, maps = class_activation_maps(tiny_model, tiny_model.preprocess(smears))
    own = [maps[row, target].numpy() for row, target in enumerate(targets)]
    shares = np.array([share_on_leukocytes(one, mask) for one, mask in zip(own, masks, strict=True)])
    perfect = np.array([share_on_leukocytes(perfect_map(mask, (2, 2)), mask) for mask in masks])
    figures = entry_of(report, "grad_cam")["classes"]
    assert list(figures) == ["Pre-B", "Pro-B", "all"]
    assert figures["Pro-B"]["on_leukocytes"]["value"] == pytest.approx(shares[1:].mean(), abs=1e-5)
    assert figures["Pro-B"]["of_perfect"]["value"] == pytest.approx(shares[1:].sum() / perfect[1:].sum(), abs=1e-5)
    expected = (shares[0] / perfect[0] + shares[1:].sum() / perfect[1:].sum()) / 2
    assert figures["all"]["of_perfect"]["value"] == pytest.approx(expected, abs=1e-5)
    hits = [pointing_score(one, mask) for one, mask in zip(own, masks, strict=True)]
    assert figures["Pro-B"]["pointing"]["value"] == pytest.approx(np.mean(hits[1:]), abs=1e-5)
    assert figures["Pre-B"]["pointing"] == {"value": pytest.approx(hits[0], abs=1e-5), "interval": None}
    fields = report["fields"]
    assert [fields[name]["num_fields"] for name in ("Pre-B", "Pro-B", "all")] == [1, 2, 3]
    assert fields["Pre-B"]["area"]["value"] == pytest.approx(masks[0].mean(), abs=1e-6)
    right = np.array(targets) == (2, 3, 3)
    assert fields["Pro-B"]["correct"]["value"] == right[1:].mean()
    top = [max(one.probabilities.values()) for one in predict(tiny_model, smears)]
    assert fields["Pre-B"]["probability"]["value"] == pytest.approx(top[0], abs=1e-5)
    json.dumps(report, allow_nan=False)


def test_all_maps_of_the_plan_and_their_references_are_there(tiny_model, smears):
    report = measured(tiny_model, smears)
    assert [(one["method"], one["layer"], one["grid"]) for one in report["maps"]] == [
        ("centre", "input", [64, 64]),
        ("perfect", "input", [64, 64]),
        ("random_blocks", "input", [64, 64]),
        ("perfect", "denseblock4", [2, 2]),
        ("random_blocks", "denseblock4", [2, 2]),
        ("input_gradients", "input", [64, 64]),
        ("grad_cam", "denseblock4", [2, 2]),
    ]
    figures = entry_of(report, "grad_cam")["classes"]["Pro-B"]
    rivals = {"deletion_gain": "random_blocks", "deletion_over_centre": "centre"}
    for name, rival in rivals.items():
        other = next(one for one in reversed(report["maps"]) if one["method"] == rival)["classes"]["Pro-B"]
        difference = other["deletion"]["value"] - figures["deletion"]["value"]
        assert figures[name]["value"] == pytest.approx(difference, abs=2e-6)
    assert 0 <= figures["network_randomised"]["value"] <= 1
    without = measured(tiny_model, smears[:3], Plan(("grad_cam",), ("denseblock4",), 1, 0))
    assert "network_randomised" not in entry_of(without, "grad_cam")["classes"]["Pro-B"]
    assert math.isclose(
        entry_of(without, "grad_cam")["classes"]["all"]["of_perfect"]["value"],
        entry_of(report, "grad_cam")["classes"]["all"]["of_perfect"]["value"],
    )


def test_same_seed_same_report_and_another_seed_another(tiny_model, smears):
    first = measured(tiny_model, smears)
    assert measured(tiny_model, smears) == first
    other = measured(tiny_model, smears, Plan(**{**vars(PLAN), "seed": 1}))
    assert entry_of(other, "random_blocks")["classes"]["all"] != entry_of(first, "random_blocks")["classes"]["all"]
    figures = [entry_of(report, "grad_cam")["classes"]["all"] for report in (first, other)]
    assert figures[0]["on_leukocytes"]["value"] == figures[1]["on_leukocytes"]["value"]
    assert figures[0]["network_randomised"] != figures[1]["network_randomised"]


def test_an_interrupted_measurement_goes_on_and_a_changed_model_starts_anew(tiny_model, smears, tmp_path):
    path = tmp_path / "journal.jsonl"

    def interrupted():
        yield smears[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(tiny_model, interrupted(), journal=Journal(path))
    assert len(Journal(path)) == 7  # maps of one field
    journal = Journal(path)
    assert measured(tiny_model, smears, journal=journal) == measured(tiny_model, smears)
    assert len(journal) == 21
    kept = path.read_bytes()
    measured(tiny_model, smears, journal=Journal(path))
    assert path.read_bytes() == kept
    tiny_model.classifier.bias.data[0] += 1
    measured(tiny_model, smears, journal=Journal(path))
    assert len(Journal(path)) == 42


def test_fields_without_leukocytes_or_evidence_are_left_out(tiny_model, smears):
    glass = Image.new("RGB", (64, 64), (235, 230, 235))
    report = measured(tiny_model, [smears[0], smears[1], glass])
    alone = measured(tiny_model, [*smears[:2], smears[1]])
    figures, expected = (entry_of(one, "grad_cam")["classes"]["Pro-B"] for one in (report, alone))
    assert figures["on_leukocytes"]["value"] == pytest.approx(expected["on_leukocytes"]["value"], abs=1e-6)
    assert report["fields"]["Pro-B"]["area"]["value"] < alone["fields"]["Pro-B"]["area"]["value"]


def test_mistakes_are_named(tiny_model, smears):
    with pytest.raises(ValueError, match="no layer 'top'"):
        measured(tiny_model, smears, Plan(layers=("top",)))
    with pytest.raises(ValueError, match="no field"):
        measure_explanations(as_predictor(tiny_model), [], [], [], plan=PLAN)
    with pytest.raises(ValueError, match="num_steps"):
        Plan(num_steps=0)


def field(label, share, perfect, deletion, insertion):
    """Scores of one field with random blocks at 0.5 and the centre at 0.6 for both curves."""
    common = {"height": 7.0, "width": 7.0, "probability": 0.9, "neutral_probability": 0.3, "pointing": 1.0}
    return Field(
        label,
        label,
        0.1,
        {
            ("centre", "input"): {**common, "on_leukocytes": 0.2, "deletion": 0.6, "insertion": 0.6},
            ("perfect", "norm5"): {**common, "on_leukocytes": perfect, "deletion": 0.2, "insertion": 0.8},
            ("random_blocks", "norm5"): {**common, "on_leukocytes": 0.1, "deletion": 0.5, "insertion": 0.5},
            ("grad_cam", "norm5"): {**common, "on_leukocytes": share, "deletion": deletion, "insertion": insertion},
        },
    )


def test_a_summary_by_hand():
    fields = [field(0, 0.2, 0.4, 0.4, 0.7), field(0, 0.1, 0.1, 0.2, 0.9), field(1, math.nan, 0.5, 0.3, 0.6)]
    report = summarise(fields, np.arange(3), ("one", "two", "three"), seed=0)
    assert list(report["fields"]) == ["one", "two", "all"]
    figures = entry_of(report, "grad_cam")["classes"]
    one = figures["one"]
    assert one["on_leukocytes"]["value"] == pytest.approx(0.15)
    assert one["of_perfect"] == {"value": 0.6, "interval": [0.5, 1.0]}  # not 0.75, the mean of the ratios
    assert one["deletion_gain"] == {"value": pytest.approx(0.2), "interval": [0.1, 0.3]}
    assert one["insertion_over_centre"] == {"value": pytest.approx(0.2), "interval": [0.1, 0.3]}
    assert figures["two"]["on_leukocytes"] == figures["two"]["of_perfect"] == {"value": None, "interval": None}
    assert figures["all"]["deletion"]["value"] == pytest.approx((0.3 + 0.3) / 2)
    assert figures["all"]["of_perfect"]["value"] == 0.6
    assert "of_perfect" not in entry_of(report, "perfect")["classes"]["one"]
    assert "deletion_gain" not in entry_of(report, "random_blocks")["classes"]["one"]


@pytest.mark.parametrize("groups", [np.arange(7), np.array(list("aabcbca"))])
def test_intervals_are_those_of_metrics(groups):
    scores = np.random.default_rng(2).random(7)
    fields = [field(0, 0.1, 0.5, score, 0.6) for score in scores]
    figure = entry_of(summarise(fields, groups, ("one",), seed=5), "grad_cam")["classes"]["one"]["deletion"]
    expected = bootstrap_interval(lambda rows: float(scores[rows].mean()), groups, seed=5)
    assert figure["interval"] == pytest.approx(expected, abs=1e-6)


def test_fields_of_a_group_are_drawn_together():
    fields = [field(0, share, 0.5, 0.4, 0.6) for share in (0.1, 0.1, 0.1, 0.3, 0.3, 0.3)]
    apart, grouped = (
        entry_of(summarise(fields, groups, ("one",), seed=0), "grad_cam")["classes"]["one"]["on_leukocytes"]
        for groups in (np.arange(6), np.array(["x"] * 3 + ["y"] * 3))
    )
    assert grouped["interval"] == [0.1, 0.3]
    assert apart["interval"][0] > 0.1 and apart["interval"][1] < 0.3 and apart["value"] == grouped["value"]


def test_the_map_chosen_is_true_first_and_then_on_leukocytes():
    def candidate(method, of_perfect, *gains):
        names = ("deletion_gain", "insertion_gain")
        bounds = [{"value": 0, "interval": gain} for gain in gains]
        figures = {"of_perfect": {"value": of_perfect}, **dict(zip(names, bounds, strict=True))}
        figures |= {"deletion": {"value": 0.3}, "insertion": {"value": 0.8}}
        return {"method": method, "layer": "norm5", "classes": {"all": figures}}

    reference = {"method": "perfect", "layer": "norm5", "classes": {"all": {}}}
    pretty = candidate("hires_cam", 0.9, [0.1, 0.2], [-0.1, 0.2])
    unknown = candidate("input_gradients", 0.95, None, [0.1, 0.2])
    true, truer = candidate("grad_cam", 0.5, [0.1, 0.2], [0.1, 0.3]), candidate("layer_cam", 0.6, [0.1, 0.2], [0.1, 1])
    assert choose_map([reference, pretty, unknown, true, truer]) == {"method": "layer_cam", "layer": "norm5"}
    assert choose_map([reference, pretty, unknown]) is None
    # More than a perfect map's share is no better; then the map whose hottest pixels matter more is shown.
    fuller, stronger = (
        candidate("hires_cam", 1.2, [0.1, 0.2], [0.1, 1]),
        candidate("layer_cam", 1.0, [0.1, 1], [0.2, 1]),
    )
    stronger["classes"]["all"]["deletion"] = {"value": 0.2}
    assert choose_map([fuller, stronger, truer]) == {"method": "layer_cam", "layer": "norm5"}
    # The gain over random blocks, whose draw is another for each layer, does not part two ways to the same map.
    lucky, same = (
        candidate("hires_cam", 1.0004, [0.1, 0.2], [0.1, 1]),
        candidate("grad_cam", 1.0, [0.1, 0.2], [0.1, 1]),
    )
    lucky["classes"]["all"]["insertion_gain"]["value"] = 0.5
    assert choose_map([lucky, same, truer]) == {"method": "grad_cam", "layer": "norm5"}


def test_the_table_says_what_the_figures_say():
    fields = [field(0, 0.2, 0.4, 0.4, 0.7), field(0, 0.1, 0.1, 0.2, 0.9)]
    summary = summarise(fields, np.arange(2), ("one", "two"), seed=0)
    entry = {"num_steps": 10, "num_randomisations": 3, "seed": 0, "command": "python me", **summary}
    text = explanations_text({"explanations": {"tiny, test": entry}})
    assert "tiny, test: 2 fields, seed 0, made by\n`python me`" in text
    assert "| map | grid | one | all classes |" in text
    assert "| Grad-CAM, norm5 | 7x7 | 15.0 %, **0.60** (0.50 to 1.00) |" in text
    assert "| *leukocytes themselves*, norm5 | 7x7 | 25.0 % |" in text
    assert "| Grad-CAM, norm5 | 7x7 | 100.0 % | 0.30 | +0.200 (+0.100 to +0.300) | 0.80 |" in text
    assert "mean probability of 0.90, the blurred one of 0.30" in text
    assert "the map to show is Grad-CAM, norm5" in text
    assert "None" not in text and "nan" not in text
    brief = explanations_summary({"explanations": {"tiny, test": entry}})
    assert brief.count("| 7x7 |") == 1 and "| Grad-CAM, norm5 | 7x7 | 15.0 %, **0.60** (0.50 to 1.00) |" in brief
    assert "the map to show is Grad-CAM, norm5" in brief and "`python me`" in brief
    entry["chosen"] = None
    assert "| 7x7 |" not in explanations_summary({"explanations": {"x": entry}})
    assert "No map is better than random blocks" in explanations_text({"explanations": {"x": entry}})
    assert explanations_text({}) == ""


def run(*arguments):
    command = [sys.executable, str(ROOT / "scripts" / "measure_explanations.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def checkpoint(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_the_script_measures_merges_and_goes_on(checkpoint, smear_folder, tmp_path):
    out = tmp_path / "out"
    (out).mkdir()
    (out / "results.json").write_text('{"audit": {"kept": {}}}')
    options = [
        smear_folder, "--model", checkpoint, "--output", out, "--per-class", 1, "--methods", "grad_cam", "--layers",
        "denseblock3", "denseblock4", "--steps", 2, "--randomisations", 1, "--name", "tiny", "--backend", "torch",
    ]  # fmt: skip
    done = run(*options)
    assert done.returncode == 0, done.stderr
    results = json.loads((out / "results.json").read_text())
    entry = results["explanations"]["tiny"]
    assert results["audit"] == {"kept": {}}
    assert entry["fields"]["all"]["num_fields"] == 4 and entry["part"] == "all"
    assert entry["command"].startswith("python scripts/measure_explanations.py") and entry["versions"]["torch"]
    assert len(entry["identity"]) == 64 and entry["grouped"] is False
    assert "Grad-CAM, denseblock3" in done.stdout and "Explaining" in done.stderr
    assert (out / "explanations.md").read_text().strip().endswith(explanations_text(results).strip())
    kept = (out / "explanations.jsonl").read_bytes()
    again = run(*options)
    assert again.returncode == 0 and (out / "explanations.jsonl").read_bytes() == kept
    assert json.loads((out / "results.json").read_text()) == results


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "cam"], "there is no method 'cam'"),
        (["--layers", "top"], "there is no layer 'top'"),
        (["--steps", 0], "steps at least 1"),
        (["--part", "test"], "needs the --split table"),
        (["--split", "none.csv", "--model", "./missing"], "none.csv cannot be read as a split table"),
        (["--groups", "./none.csv", "--model", "./missing"], "none.csv cannot be read as a group table"),
        (["--model", "./missing"], "there is no folder ./missing"),
    ],
)
def test_mistakes_get_one_sentence(checkpoint, smear_folder, tmp_path, options, message):
    out = tmp_path / "out"
    done = run(smear_folder, "--model", checkpoint, "--output", out, *options)
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.startswith("error: ") and len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()
