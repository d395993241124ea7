"""Goals: a figure, its bar, and whether it is reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leuk_hf.errors import DataError
from leuk_hf.experiments import read_entries
from leuk_hf.goals import goals_of, goals_table
from leuk_hf.release import ABLATIONS, compare_with, fill_log

ROOT = Path(__file__).parent.parent


def figure(value: float, low: float | None = None, high: float | None = None) -> dict:
    return {"value": value, "interval": None if low is None else [low, high]}


def row(accuracy: float, changed: float = 0.0, refused: float = 0.0) -> dict:
    return {
        "accuracy": figure(accuracy, accuracy - 0.1, accuracy),
        "balanced_accuracy": figure(accuracy),
        "changed": figure(changed),
        "refused": figure(refused, refused, refused + 0.004),
    }


RESULTS = {
    "protocols": {
        "grouped": {
            "metrics": {"balanced_accuracy": figure(0.985, 0.97, 0.99), "expected_calibration_error": figure(0.03)},
            "per_class": {"a": {"coverage": figure(0.96, 0.91, 1)}, "b": {"coverage": figure(0.97, 0.95, 1)}},
            "prediction_sets": {"mean_size": figure(1.05)},
            "with_refusal": {"answered": figure(0.99, 0.98, 1)},
        },
        "grouped, by recipe": {
            "protocol": "grouped",
            "without": [],
            "runs": [{"fold": fold, "seed": 0} for fold in range(3)],
            "recipes": {
                "default": {
                    "num_runs": 1,
                    "metrics": {"balanced_accuracy": figure(0.97)},
                    "per_class": {"a": {"coverage": figure(0.94, 0.93, 1)}},
                    "prediction_sets": {"mean_size": figure(1.5)},
                    "with_refusal": {"answered": figure(0.96, 0.95, 0.97)},
                }
            },
        },
    },
    "audit": {
        "baselines": {"protocols": {}},
        "this": {
            "rows": {
                "as it is": row(0.95),
                "leukocytes removed, inpainted": row(0.3, refused=0.99),
                "leukocytes removed, background cloned": row(0.3, refused=0.97),
                "everything bluish removed, inpainted": row(0.4, refused=0.96),
                "leukocytes only, on grey": row(0.93),
                "brightness x0.6": row(0.98),
                "brightness x1.4": row(0.97),
                "top left corner of another class": row(0.9, changed=0.004),
                "bottom left corner of another class": row(0.9, changed=0.006),
            }
        },
    },
}


def test_the_worst_figure_decides():
    goals = {goal.text: goal for goal in goals_of(RESULTS)}
    met = {text: goal.is_met for text, goal in goals.items() if goal.is_met is not None}
    assert met == {
        "`grouped`: balanced accuracy": False,  # the checkpoint reaches it, its recipe over three folds does not
        "leukocytes removed: balanced accuracy": False,
        "leukocytes removed: answered with refusal on": False,
        "leukocytes only: balanced accuracy lost": True,
        "brightness: accuracy": True,
        "corner of another class: changed": False,
        "`grouped`: expected calibration error": False,
        # Of these, too, the recipe over three folds decides.
        "coverage of the prediction sets, by class": False,
        "lower end of its interval": False,
        "mean size of the prediction sets": False,
        "fields of the data set refused": False,
    }
    assert goals["mean size of the prediction sets"].figures == {
        "one checkpoint": figure(1.05),
        "3 run(s)": figure(1.5),
    }
    assert goals["coverage of the prediction sets, by class"].figures["3 run(s), a"] == figure(0.94, 0.93, 1)
    refused = goals["fields of the data set refused"].figures
    assert refused["`grouped`, one checkpoint"]["value"] == pytest.approx(0.01)
    assert refused["`grouped`, 3 run(s)"]["interval"] == pytest.approx([0.03, 0.05])
    lost = goals["leukocytes only: balanced accuracy lost"].figures[""]
    assert lost["value"] == pytest.approx(0.02) and lost["interval"] is None
    answered = goals["leukocytes removed: answered with refusal on"]
    assert answered.figures["leukocytes removed, background cloned"]["value"] == pytest.approx(0.03)
    answered = answered.figures["everything bluish removed, inpainted"]
    assert answered["value"] == pytest.approx(0.04) and answered["interval"] == pytest.approx([0.036, 0.04])


def test_the_table_shows_figures_intervals_and_what_is_missing():
    lines = goals_table(RESULTS).splitlines()
    assert lines[2] == (
        "| `grouped`: balanced accuracy | >= 0.98 | not measured"
        " | one checkpoint 0.985 (0.970-0.990); 3 run(s) 0.970 | no |"
    )
    assert "| `reference`: balanced accuracy | >= 0.88 | not measured | not measured |  |" in lines
    assert all("not measured" in line for line in goals_table({}).splitlines()[2:])


def test_the_recipe_plain_is_shown_beside(tmp_path):
    compared = RESULTS["protocols"]["grouped, by recipe"]
    metrics = {"balanced_accuracy": figure(0.99, 0.98, 1.0)}
    recipes = {"plain": {"num_runs": 1, "metrics": metrics, "changes": {"image_size": 160, "num_epochs": 6}}}
    fewer = {**compared, "runs": compared["runs"][:2], "recipes": recipes}
    own = {"protocols": {"grouped, by recipe": compared, "grouped, plain": fewer}, "speed": {}}
    other = {
        "protocols": {"grouped": {"metrics": {"balanced_accuracy": figure(0.994)}}},
        "audit": {"plain": {"rows": {"grey": row(0.3), "brightness x1.4": row(0.5)}}},
        "speed": {"training": {}},
    }
    paths = tmp_path / "results.json", tmp_path / "plain.json"
    for path, content in zip(paths, (own, other), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    compare_with(paths[0], "plain", paths[1])
    results = json.loads(paths[0].read_text(encoding="utf-8"))
    assert results == {**own, "compared": {"plain": {key: other[key] for key in ("protocols", "audit")}}}
    lines = goals_table(results).splitlines()
    assert lines[2] == (
        "| `grouped`: balanced accuracy | >= 0.98 | one checkpoint 0.994; 2 run(s) of 6 epochs 0.990 (0.980-1.000)"
        " | 3 run(s) 0.970 | no |"
    )
    assert "| grey: accuracy | >= 0.9 | 0.300 (0.200-0.300) | not measured |  |" in lines
    with pytest.raises(DataError, match=r"none\.json is no results\.json; evaluate the checkpoint first"):
        compare_with(paths[0], "plain", tmp_path / "none.json")
    paths[1].write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"plain\.json has none of the sections protocols, audit"):
        compare_with(paths[0], "plain", paths[1])
    assert json.loads(paths[0].read_text(encoding="utf-8")) == results


def test_calibration_is_that_of_the_folds_where_no_checkpoint_was_evaluated():
    measured = {"metrics": {"balanced_accuracy": figure(0.9), "expected_calibration_error": figure(0.03, 0.02, 0.04)}}
    entry = {"protocol": "grouped", "without": [], "runs": [{}, {}], "recipes": {"plain": measured}}
    by_text = {goal.text: goal for goal in goals_of({"protocols": {"grouped, by recipe": entry}}, "plain")}
    assert by_text["`grouped`: expected calibration error"].figures == {"2 run(s)": figure(0.03, 0.02, 0.04)}
    other = {"protocol": "acquisition", "without": [], "runs": [{}], "recipes": {"plain": measured}}
    for entries in ({"acquisition, by recipe": other}, {"grouped, by recipe": {**entry, "without": ["Pro-B"]}}):
        goals = {goal.text: goal for goal in goals_of({"protocols": entries}, "plain")}
        assert goals["`grouped`: expected calibration error"].is_met is None


def test_the_log_shows_what_is_recorded():
    folder = ROOT / "scripts" / "experiments"
    results = json.loads((ROOT / "leuk_hf" / "checkpoint" / "results.json").read_text(encoding="utf-8"))
    entries = list(read_entries(folder / ABLATIONS).values())
    log = (folder / "README.md").read_text(encoding="utf-8")
    assert fill_log(log, results, entries) == log
    with pytest.raises(DataError, match="no comparisons marks"):
        fill_log("# Log", results, entries)
