"""Figures of one and of several networks: by hand, intervals over groups, honest where nothing varies."""

import dataclasses
import json

import numpy as np
import pytest

from leuk_hf import metrics
from leuk_hf.errors import DataError
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.results import MALIGNANT, Results, concatenate, read_predictions, summarise, write_predictions


def answers(seed: int, size: int = 80, right: float = 0.8, groups: np.ndarray | None = None) -> Results:
    generator = np.random.default_rng(seed)
    labels = np.arange(size) % 4
    predictions = np.where(generator.random(size) < right, labels, generator.integers(0, 4, size))
    logits = generator.normal(0, 1, (size, 4)) + 4 * np.eye(4)[predictions]
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return Results(
        CLASS_NAMES, tuple(f"{row:03d}.png" for row in range(size)), labels, probabilities,
        np.arange(size) if groups is None else groups,
        logits=logits, answered=generator.random(size) < 0.7, prediction_sets=probabilities > 0.05,
    )  # fmt: skip


def test_every_figure_is_the_metric_of_its_name():
    results = answers(0)
    summary = summarise([results], num_resamples=60)
    confusion, kept = results.confusion, results.select(results.answered).confusion
    covered = results.prediction_sets[np.arange(80), results.labels]
    expected = {
        ("metrics", "macro_f1"): metrics.macro_f1(confusion),
        ("metrics", "balanced_accuracy"): metrics.balanced_accuracy(confusion),
        ("metrics", MALIGNANT): metrics.sensitivity_at_specificity(results.probabilities, results.labels, negative=0),
        ("metrics", "brier_score"): metrics.brier_score(results.probabilities, results.labels),
        ("with_refusal", "answered"): results.answered.mean(),
        ("with_refusal", "balanced_accuracy"): metrics.balanced_accuracy(kept),
        ("with_refusal", "accuracy"): metrics.accuracy(kept),
        ("prediction_sets", "coverage"): covered.mean(),
        ("prediction_sets", "mean_size"): results.prediction_sets.sum(axis=1).mean(),
    }
    for index, name in enumerate(CLASS_NAMES):
        own = results.labels == index
        expected["per_class", name, "specificity"] = metrics.specificity(confusion)[index]
        expected["per_class", name, "coverage"] = covered[own].mean()
        expected["per_class", name, "answered"] = results.answered[own].mean()
    for path, value in expected.items():
        found = summary
        for part in path:
            found = found[part]
        assert found["value"] == pytest.approx(value, abs=1e-6), path
        low, high = found["interval"]
        assert low < value < high or low < value == high == 1, path
    assert summary["num_fields"] == 80 and summary["per_class"]["Pro-B"]["num_fields"] == 20
    json.dumps(summary, allow_nan=False)


def test_what_the_classifier_does_not_say_has_no_figure():
    silent = dataclasses.replace(answers(0), logits=None, answered=None, prediction_sets=None)
    summary = summarise([silent], num_resamples=60)
    assert "with_refusal" not in summary and "prediction_sets" not in summary
    assert not {"answered", "coverage"} & set(summary["per_class"]["Benign"])
    other = summarise([dataclasses.replace(silent, class_names=("a", "b", "c", "d"))], num_resamples=60)
    assert MALIGNANT in summary["metrics"] and MALIGNANT not in other["metrics"]  # no class is benign there


def width(figure: dict) -> float:
    return figure["interval"][1] - figure["interval"][0]


def test_intervals_are_wider_where_fields_of_a_group_are_alike():
    alone = answers(1, 80)
    twins = concatenate([alone, dataclasses.replace(alone, paths=tuple(f"copy {path}" for path in alone.paths))])
    grouped = dataclasses.replace(twins, groups=np.tile(np.arange(80), 2))
    as_if_independent = dataclasses.replace(twins, groups=np.arange(160))
    summaries = [summarise([one], num_resamples=100) for one in (alone, grouped, as_if_independent)]
    for name in ("accuracy", "balanced_accuracy", "mean_auroc", "brier_score"):
        single, honest, flattering = (summary["metrics"][name] for summary in summaries)
        assert honest == single  # copies tell nothing new
        assert width(flattering) < 0.85 * width(honest)


def test_perfect_answers_have_intervals_by_their_groups():
    groups = np.arange(80) // 8  # each class in every group: 10 groups
    results = dataclasses.replace(answers(2, right=1.0, groups=groups), answered=np.ones(80, dtype=bool))
    results = dataclasses.replace(results, probabilities=np.eye(4)[results.labels])
    summary = summarise([results], num_resamples=60)
    wilson = pytest.approx(metrics.wilson_interval(10, 10), abs=1e-6)
    for figure in (
        summary["metrics"]["accuracy"], summary["metrics"][MALIGNANT], summary["with_refusal"]["answered"],
        summary["per_class"]["Pre-B"]["sensitivity"], summary["per_class"]["Pre-B"]["specificity"],
    ):  # fmt: skip
        assert figure["value"] == 1 and figure["interval"] == wilson
    expected = metrics.balanced_accuracy_interval(np.diag([10, 10, 10, 10]))
    assert summary["metrics"]["balanced_accuracy"]["interval"] == pytest.approx(expected, abs=1e-6)
    assert summary["metrics"]["mean_auroc"] == {"value": 1.0, "interval": None}


def test_one_answer_for_all_has_an_interval_around_chance():
    constant = dataclasses.replace(answers(3), probabilities=np.tile([0.7, 0.1, 0.1, 0.1], (80, 1)))
    figure = summarise([constant], num_resamples=60)["metrics"]["balanced_accuracy"]
    assert figure["value"] == 0.25 and figure["interval"][0] < 0.25 < figure["interval"][1] < 0.35


def test_several_networks_give_the_mean_of_their_figures():
    runs = [answers(seed, right=right) for seed, right in ((4, 0.9), (5, 0.6), (6, 0.7))]
    summary = summarise(runs, num_resamples=60)
    alone = [summarise([run], num_resamples=60) for run in runs]
    for name in ("balanced_accuracy", "mean_auroc", MALIGNANT, "expected_calibration_error"):
        expected = np.mean([one["metrics"][name]["value"] for one in alone])
        assert summary["metrics"][name]["value"] == pytest.approx(expected, abs=2e-6)
    assert summary["num_runs"] == 3 and summary["num_fields"] == 80
    assert np.sum(summary["confusion_matrix"]) == 240 and summary["per_class"]["Benign"]["num_fields"] == 20
    # The fields are drawn once for all networks: three answers to 80 fields are not 240 fields.
    independent = concatenate(
        [dataclasses.replace(runs[0], groups=np.arange(80) + 80 * number) for number in range(3)]
    )
    same = summarise([runs[0]] * 3, num_resamples=60)["metrics"]["accuracy"]
    assert same == alone[0]["metrics"]["accuracy"]
    assert width(same) > 1.3 * width(summarise([independent], num_resamples=60)["metrics"]["accuracy"])


def test_networks_tested_on_other_fields_have_no_common_figure():
    with pytest.raises(DataError, match="tested on the same fields"):
        summarise([answers(0), answers(0, size=76)])
    with pytest.raises(DataError, match="different classes cannot be joined"):
        concatenate([answers(0), dataclasses.replace(answers(0), class_names=("a", "b", "c", "d"))])


def test_predictions_come_back_as_they_were(tmp_path):
    results = answers(7, groups=np.array([f"patient {row % 9}" for row in range(80)]))
    write_predictions(tmp_path / "all.csv", results)
    back = read_predictions(tmp_path / "all.csv")
    assert (back.class_names, back.paths) == (results.class_names, results.paths)
    for name in ("labels", "probabilities", "groups", "logits", "answered", "prediction_sets"):
        assert np.array_equal(getattr(back, name), getattr(results, name)), name
    assert summarise([back], num_resamples=60) == summarise([results], num_resamples=60)
    silent = dataclasses.replace(results, logits=None, answered=None, prediction_sets=None)
    write_predictions(tmp_path / "few.csv", silent)
    back = read_predictions(tmp_path / "few.csv")
    assert back.logits is None and back.answered is None and back.prediction_sets is None


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "file,true,predicted,a,b,group\nx,c,a,1,0,0\n"])
def test_another_table_is_no_table_of_predictions(tmp_path, content):
    (tmp_path / "other.csv").write_text(content)
    with pytest.raises(DataError, match="is no table of predictions"):
        read_predictions(tmp_path / "other.csv")
