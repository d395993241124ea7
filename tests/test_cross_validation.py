"""Comparisons over protocols and ablations: the right runs planned, figures by hand, verdicts, tables as they are."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from leuk_hf import ablations, cross_validation, metrics
from leuk_hf.errors import DataError, TrainingError
from leuk_hf.experiments import predictions_path, read_entries
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.model_card import results_table
from leuk_hf.protocol_tables import comparison_text, left_out, mean_and_spread, runs_table, sessions_text
from leuk_hf.results import Results, write_predictions
from leuk_hf.session_accuracy import by_session
from leuk_hf.training_config import DEFAULT, PLAIN, TrainConfig

TABLES = {"source": "smears", "groups": Path("groups.csv"), "split": Path("reference.csv")}
RECIPES = {"plain": PLAIN, "default": DEFAULT}


def test_settings_of_a_recipe_are_read_from_the_command_line():
    read = cross_validation.settings_from("weight_decay=0.05, appearances=3", DEFAULT)
    assert read == {"weight_decay": 0.05, "appearances": 3} and type(read["appearances"]) is int
    assert cross_validation.settings_from("", DEFAULT) == {}
    for wrong, told in (
        ("decay=1", "'decay' is no number that decides a run; give such as weight_decay=0.05"),
        ("balanced_sampling=1", "'balanced_sampling' is no number that decides a run"),
        ("source=x", "'source' is no number that decides a run"),
        ("appearances=2.5", "appearances is '2.5'; give a number"),
        ("weight_decay", "weight_decay is ''; give a number"),
    ):
        with pytest.raises(TrainingError) as caught:
            cross_validation.settings_from(wrong, DEFAULT)
        assert str(caught.value).startswith(told)


def test_plan_covers_every_fold_and_seed_of_every_recipe():
    runs = {"random": [(0, 5)], "grouped": [(0, 5), (1, 5)], "reference": [(0, 5), (0, 6)]}
    planned = cross_validation.plan(RECIPES, runs, **TABLES)
    assert [one.name for one in planned] == [
        "plain-random-fold0-seed5", "default-random-fold0-seed5",
        "plain-grouped-fold0-seed5", "default-grouped-fold0-seed5",
        "plain-grouped-fold1-seed5", "default-grouped-fold1-seed5",
        "plain-reference-seed5", "default-reference-seed5", "plain-reference-seed6", "default-reference-seed6",
    ]  # fmt: skip
    for one in planned:
        config = one.config
        config.check()
        assert (config.split is not None) == (one.protocol == "reference") and config.groups == Path("groups.csv")
        assert one.protocol == "reference" or config.protocol == one.protocol
        assert one.changes == {} and config.recipe == one.variant
    assert (planned[5].config.fold, planned[5].config.seed) == (1, 5)
    assert (planned[8].config.fold, planned[8].config.seed) == (0, 6)


@pytest.mark.parametrize(
    ("runs", "tables", "message"),
    [
        ({"sessions": [(0, 0)]}, {}, "there is no protocol 'sessions'"),
        ({"reference": [(0, 0)]}, {"split": None}, "needs the --split table"),
        ({"grouped": [(0, 0)]}, {"groups": None}, "needs a --groups table"),
    ],
)
def test_plan_refuses_what_cannot_be_run(runs, tables, message):
    with pytest.raises(TrainingError, match=message):
        cross_validation.plan(RECIPES, runs, **(TABLES | tables))


def answers(paths: list[str], seed: int, right: float) -> Results:
    generator = np.random.default_rng(seed)
    labels = np.arange(len(paths)) % 4
    predictions = np.where(generator.random(len(paths)) < right, labels, generator.integers(0, 4, len(paths)))
    return Results(
        CLASS_NAMES, tuple(paths), labels, 0.1 + 0.6 * np.eye(4)[predictions], np.array(paths),
        answered=generator.random(len(paths)) < 0.5,
    )  # fmt: skip


def compare(*arguments, **options):
    return cross_validation.compare(*arguments, num_resamples=20, **options)


def finish(experiment, output, results: Results) -> None:
    folder = experiment.folder(output)
    write_predictions(predictions_path(folder, "test"), results)
    (folder / "entry.json").write_text('{"calibration": null}')


def test_folds_are_pooled_and_every_field_counts_once(tmp_path):
    planned = cross_validation.plan(RECIPES, {"grouped": [(0, 0), (1, 0)]}, **TABLES)
    folds = [[f"a{row}" for row in range(40)], [f"b{row}" for row in range(60)]]
    runs = [answers(folds[one.config.fold], number, 0.8) for number, one in enumerate(planned)]
    for one, run in zip(planned, runs, strict=True):
        finish(one, tmp_path, run)
    entry = compare(planned, tmp_path)
    assert list(entry["recipes"]) == ["plain", "default"]
    plain = entry["recipes"]["plain"]
    own = [run for one, run in zip(planned, runs, strict=True) if one.variant == "plain"]
    pooled = own[0].confusion + own[1].confusion
    assert plain["num_fields"] == 100 and plain["num_runs"] == 1 and plain["confusion_matrix"] == pooled.tolist()
    value = plain["metrics"]["balanced_accuracy"]["value"]
    assert value == pytest.approx(metrics.balanced_accuracy(pooled), abs=1e-6)
    single = [metrics.balanced_accuracy(run.confusion) for run in own]
    spread = plain["single_runs"]["balanced_accuracy"]
    assert spread["values"] == pytest.approx(single, abs=1e-6)
    assert spread["standard_deviation"] == pytest.approx(np.std(single, ddof=1), abs=2e-6)
    json.dumps(entry, allow_nan=False)


def test_seeds_are_averaged_on_the_same_fields(tmp_path):
    planned = cross_validation.plan({"plain": PLAIN}, {"reference": [(0, 0), (0, 1), (0, 2)]}, **TABLES)
    runs = [answers([f"a{row}" for row in range(40)], number, 0.7) for number in range(3)]
    for one, run in zip(planned, runs, strict=True):
        finish(one, tmp_path, run)
    plain = compare(planned, tmp_path)["recipes"]["plain"]
    assert plain["num_fields"] == 40 and plain["num_runs"] == 3
    accuracies = [metrics.accuracy(run.confusion) for run in runs]
    assert plain["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(accuracies), abs=1e-6)
    assert plain["single_runs"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracies), abs=1e-6)


def test_each_session_is_told_by_itself(tmp_path):
    planned = cross_validation.plan(RECIPES, {"reference": [(0, 0), (0, 1)]}, **TABLES)
    paths = [f"a{row}" for row in range(40)]
    sessions = {path: "known" if int(path[1:]) < 20 else "unknown" for path in paths}
    sessions |= {f"t{row}": "known" for row in range(7)}
    for number, one in enumerate(planned):
        run = answers(paths, number, 1.0)
        if one.variant == "default":  # wrong in all of one session, of one class
            lost = [row for row in range(20, 40) if run.labels[row] == 2]
            run.probabilities[lost] = 0.1 + 0.6 * np.eye(4)[3]
        finish(one, tmp_path, run)
    trained = {(0, 0): ["t0", "t1"], (0, 1): [f"t{row}" for row in range(7)]}
    told = by_session(planned, tmp_path, sessions, trained, recipes=["plain", "default"])
    rows = told["rows"]
    assert (told["num_left_out"], told["share_left_out"]) == (20, 0.5)
    assert [(row["session"], row["class"]) for row in rows] == [
        (name, label) for label in CLASS_NAMES for name in ("known", "unknown")
    ]
    assert all(row["num_fields"] == 5 and row["recipes"]["plain"]["values"] == [1.0, 1.0] for row in rows)
    assert [row["num_trained"] for row in rows] == [7, 0] * 4  # the most of any run
    assert [row["recipes"]["default"]["mean"] for row in rows] == [1.0] * 5 + [0.0] + [1.0] * 2
    assert [row["class"] for row in left_out(rows)] == list(CLASS_NAMES)
    assert "| unknown | Pre-B | 5 | none | 1.000, 1.000 | 0.000, 0.000 |" in sessions_text(rows)
    assert sessions_text([]) == ""
    shown = comparison_text({"protocols": {"x": compare(planned, tmp_path) | {"command": "c", "sessions": told}}})
    assert shown.endswith(sessions_text(rows))


def test_fields_of_a_session_that_several_folds_test_add_up(tmp_path):
    planned = cross_validation.plan({"plain": PLAIN}, {"acquisition": [(0, 0), (1, 0)]}, **TABLES)
    for fold, one in enumerate(planned):
        finish(one, tmp_path, answers([f"{fold}-{row}" for row in range(20 + 20 * fold)], fold, 1.0))
    sessions = {f"{fold}-{row}": "split" for fold in range(2) for row in range(40)}
    told = by_session(planned, tmp_path, sessions, {(0, 0): ["1-0"], (1, 0): []}, recipes=["plain"])
    assert [(row["num_fields"], row["num_trained"]) for row in told["rows"]] == [(15, 1)] * 4  # 5 and 10 of each class
    assert told["rows"][0]["recipes"]["plain"]["values"] == [1.0, 1.0] and told["num_left_out"] == 0


def test_unfinished_recipes_are_left_out(tmp_path):
    planned = cross_validation.plan(RECIPES, {"grouped": [(0, 0), (1, 0)]}, **TABLES)
    for one in planned[:3]:  # default lacks fold 1
        finish(one, tmp_path, answers([f"{one.config.fold}-{row}" for row in range(20)], 0, 0.9))
    assert list(compare(planned, tmp_path)["recipes"]) == ["plain"]
    assert compare(planned[3:], tmp_path) is None


def test_a_class_can_be_left_out(tmp_path):
    planned = cross_validation.plan({"plain": PLAIN}, {"acquisition": [(0, 0)]}, **TABLES)
    run = answers([f"a{row}" for row in range(40)], 3, 0.6)
    finish(planned[0], tmp_path, run)
    entry = compare(planned, tmp_path, without=("Pro-B",))
    plain = entry["recipes"]["plain"]
    assert plain["num_fields"] == 30 and plain["confusion_matrix"][3] == [0, 0, 0, 0]
    expected = np.diag(run.confusion)[:3] / run.confusion.sum(axis=1)[:3]
    assert plain["metrics"]["balanced_accuracy"]["value"] == pytest.approx(expected.mean(), abs=1e-6)
    text = comparison_text({"protocols": {"x": entry | {"command": "c"}}})
    assert "without Pro-B" in text and "Pro-B sensitivity" not in text and "Pre-B sensitivity (10 fields)" in text
    with pytest.raises(DataError, match="no class 'Cat' to leave out"):
        compare(planned, tmp_path, without=("Cat",))


def test_table_says_what_differs_from_a_recipe(tmp_path):
    smaller = {"plain": dataclasses.replace(PLAIN, image_size=160, num_epochs=6), "default": RECIPES["default"]}
    planned = cross_validation.plan(smaller, {"grouped": [(0, 0)]}, **TABLES)
    for one in planned:
        finish(one, tmp_path, answers([f"a{row}" for row in range(40)], 0, 0.8))
    entry = compare(planned, tmp_path)
    assert entry["recipes"]["plain"]["changes"] == {"image_size": 160, "num_epochs": 6}
    text = comparison_text({"protocols": {"x": entry | {"command": "c"}}})
    assert "seed 0; plain with image_size 160, num_epochs 6, made by" in text and "default with" not in text


def test_table_says_how_the_recipes_were_calibrated(tmp_path):
    planned = cross_validation.plan(RECIPES, {"grouped": [(0, 0), (1, 0)]}, **TABLES)
    for number, one in enumerate(planned):
        finish(one, tmp_path, answers([f"{one.config.fold}-{row}" for row in range(40)], number, 0.8))
        if one.variant == "default":
            limits = {"lowest_light": 3.0, "highest_burnt_out": 0.5, "lowest_cell_size": None}
            report = {"num_calibration_fields": 30 + number, "refusal_limits": limits}
            (one.folder(tmp_path) / "entry.json").write_text(json.dumps({"calibration": report}), encoding="utf-8")
    entry = compare(planned, tmp_path)
    numbers = [number for number, one in enumerate(planned) if one.variant == "default"]
    expected = [{"num_fields": 30 + number, "num_limits": 2} for number in numbers]
    assert entry["recipes"]["default"]["calibrations"] == expected
    assert entry["recipes"]["plain"]["calibrations"] == [None, None]
    text = comparison_text({"protocols": {"x": entry | {"command": "c"}}})
    told = (
        f"seed 0; default calibrated on {30 + numbers[0]} to {30 + numbers[1]} fields and refusing by 2 limits, made"
    )
    assert told in text


def test_table_has_the_recipes_beside_each_other_in_every_row(tmp_path):
    planned = cross_validation.plan(RECIPES, {"grouped": [(0, 0), (1, 0)]}, **TABLES)
    for number, one in enumerate(planned):
        finish(one, tmp_path, answers([f"{one.config.fold}-{row}" for row in range(40)], number, 0.8))
    entry = compare(planned, tmp_path) | {"command": "python scripts/cross_validate.py"}
    plain, default = (entry["recipes"][name] for name in ("plain", "default"))
    shipped = {"part": "test", "command": "release", **default}
    results = {"protocols": {"grouped": shipped, "grouped, by recipe": entry}}
    text = comparison_text(results)
    lines = text.splitlines()
    assert "| measure | plain | default |" in lines and "folds 0, 1 pooled, seed 0" in text

    def cell(figure):
        return f"{figure['value']:.3f} ({figure['interval'][0]:.3f}-{figure['interval'][1]:.3f})"

    for title, section, name in (
        ("balanced accuracy", "metrics", "balanced_accuracy"),
        ("sensitivity for malignant at 95 % specificity", "metrics", "malignant_sensitivity_at_95_specificity"),
        ("with refusal: share answered", "with_refusal", "answered"),
        ("with refusal: balanced accuracy of the answered", "with_refusal", "balanced_accuracy"),
    ):
        assert f"| {title} | {cell(plain[section][name])} | {cell(default[section][name])} |" in lines
    each = [", ".join(f"{value:.3f}" for value in one["single_runs"]["balanced_accuracy"]["values"]) for one in
            (plain, default)]  # fmt: skip
    (row,) = [line for line in lines if line.startswith("| balanced accuracy of the single runs")]
    assert each[0] in row.split("|")[2] and each[1] in row.split("|")[3] and row.count("SD") == 2
    rows = [line for line in lines if line.startswith("|")]
    assert all(line.count("|") == 4 for line in rows)
    few = comparison_text(results, ("balanced_accuracy",)).splitlines()
    assert [line for line in few if line.startswith("| b")] == [
        line for line in lines if line.startswith("| balanced accuracy")
    ]
    whole = results_table(results)  # the checkpoint's own figures first
    assert whole.endswith(text) and whole.startswith("Protocol `grouped`, part `test`: 80 fields, made by\n`release`")
    assert "| with refusal: share answered |" in whole
    assert comparison_text({"protocols": {"grouped": shipped}}) == "" and comparison_text({}) == ""


def test_every_ablation_changes_the_default_and_can_be_trained():
    planned = ablations.plan(source="smears", split=Path("acquisition_reference.csv"), groups=None)
    assert [one.config.seed for one in planned] == [0] * len(ablations.ABLATIONS) + [1] * len(ablations.ABLATIONS)
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    shared = dataclasses.replace(DEFAULT, **ablations.BASE)
    for one in planned:
        one.config.check()
        ablation = ablations.ABLATIONS[one.variant]
        assert ablation.question.endswith("?") and set(ablation.changes) <= names
        for name, value in ablation.changes.items():
            assert getattr(one.config, name) == value != getattr(shared, name)
        assert (ablation.changes == {}) == (one.variant == ablations.REFERENCE)
        assert one.config.split == Path("acquisition_reference.csv") and one.protocol == "acquisition_reference"
    only = ablations.plan(source="smears", split=Path("s.csv"), groups=None, seeds=(3,), only=["CLAHE"])
    assert [one.name for one in only] == ["CLAHE-samples2-seed3"]
    with pytest.raises(TrainingError, match="there is no ablation 'clahe'; choose among: default; "):
        ablations.plan(source="smears", split=Path("s.csv"), groups=None, only=["clahe"])
    with pytest.raises(TrainingError, match="seeds must be different"):
        ablations.plan(source="smears", split=Path("s.csv"), groups=None, seeds=(1, 1))


def figures_of(value: float) -> dict:
    return {"metrics": {"balanced_accuracy": {"value": value, "interval": None}}}


def entry_of(variant: str, seed: int, value: float, *, samples: int = 1, light: float | None = None) -> dict:
    figures = {"test": figures_of(value), "validation": figures_of(value)}
    if light is not None:  # a mean of three unlike values
        for name, shift in (("grey", 0), ("brightness x1.4", 0.1), ("hue +20 degrees", -0.1)):
            figures[f"validation, {name}"] = figures_of(light + shift)
    return {"variant": variant, "protocol": "p", "seed": seed, "samples": samples, "figures": figures}


def test_an_ingredient_is_weighed_against_the_spread_between_seeds():
    entries = [
        entry_of("default", 0, 0.80), entry_of("default", 1, 0.84), entry_of("default", 2, 0.99),
        entry_of("CLAHE", 0, 0.70), entry_of("CLAHE", 1, 0.71),  # gain 0.115, spread 0.04
        entry_of("whole field", 0, 0.78), entry_of("whole field", 1, 0.79),  # gain 0.035, spread 0.04
        entry_of("one field a canvas", 0, 0.90), entry_of("one field a canvas", 1, 0.95),  # gain -0.105, spread 0.05
        entry_of("output stride 32", 1, 0.10),  # one seed tells nothing
    ]  # fmt: skip
    judged = ablations.judge(entries)
    assert judged["CLAHE"]["gain"] == pytest.approx(0.115) and judged["CLAHE"]["spread"] == pytest.approx(0.04)
    assert judged["CLAHE"]["reference"] == [0.80, 0.84]  # of the same seeds
    assert {name: row["effect"] for name, row in judged.items()} == {
        "CLAHE": 1, "whole field": 0, "one field a canvas": -1, "output stride 32": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("in_sessions", "in_light", "words"),
    [
        (1, 1, "stays, for other sessions and other light"),
        (0, 1, "stays, for other light"),
        (1, -1, "stays, for other sessions, at a cost in other light"),
        (0, 0, "goes: no gain beyond the spread"),
        (-1, 0, "goes: better without it in other sessions"),
        (-1, -1, "goes: better without it in other sessions and other light"),
        (None, 1, "not known"),
        (0, None, "not known"),
    ],
)
def test_an_ingredient_stays_only_if_it_gains_somewhere(in_sessions, in_light, words):
    assert ablations.verdict(in_sessions, in_light) == words


def test_the_table_shows_other_sessions_and_other_light():
    entries = [
        entry_of("default", 0, 0.80, light=0.60), entry_of("default", 1, 0.84, light=0.62),
        entry_of("no change of optics", 0, 0.82, light=0.40), entry_of("no change of optics", 1, 0.84, light=0.44),
        entry_of("whole field", 0, 0.78), entry_of("whole field", 1, 0.79),
        entry_of("gone since", 0, 0.5, light=0.5),
    ]  # fmt: skip
    judged = ablations.judge(entries, ablations.in_other_light)
    assert judged["no change of optics"]["gain"] == pytest.approx(0.19)
    assert judged["no change of optics"]["effect"] == 1 and judged["whole field"]["effect"] is None
    lines = ablations.ablation_table(entries).splitlines()
    names = [line.split(" | ")[0].strip("| ") for line in lines[2:]]
    assert names == ["default", "whole field", "no change of optics"]
    (row,) = [line for line in lines if line.startswith("| no change")]
    assert row.endswith(
        "| 0.830 ± 0.014 (0.820, 0.840) | -0.010 (0.040) | 0.420 ± 0.028 (0.400, 0.440) | +0.190 (0.040)"
        " | 0.830 ± 0.014 | stays, for other light |"
    )
    assert lines[3].endswith("| (not defined, not defined) |  | 0.785 ± 0.007 | not known |")
    assert len({line.count("|") for line in lines}) == 1


def test_a_record_takes_no_runs_on_other_settings():
    def planned(**base):
        runs = ablations.plan(source="s", split=Path("s.csv"), groups=None, base=ablations.BASE | base)
        entries = {one.name: {"variant": one.variant, "samples": 2, "changes": one.changes} for one in runs}
        return entries, runs[0].changes

    entries, settings = planned()
    assert runs_are_alike(entries, settings)
    _, longer = planned(num_epochs=8)
    with pytest.raises(TrainingError, match=r"^rows.json has runs with num_epochs 2, not 8; give another --record"):
        ablations.check_record(Path("rows.json"), entries, longer)
    of_old = {name: entry | {"samples": 1} for name, entry in entries.items()}
    assert runs_are_alike(of_old, longer)  # never compared with these


def runs_are_alike(entries, settings):
    return ablations.check_record(Path("rows.json"), entries, settings) is None


def test_runs_on_samples_that_other_code_made_are_not_compared():
    entries = [entry_of("default", seed, 0.8) for seed in (0, 1)]
    others = [entry_of("CLAHE", seed, 0.7, samples=2) for seed in (0, 1)]
    judged = ablations.judge([*entries, *others])["CLAHE"]
    assert judged["values"] == judged["reference"] == [] and judged["effect"] is None
    lines = ablations.ablation_table([*entries, *others]).splitlines()[2:]
    assert [line.split(" | ")[:2] for line in lines] == [["| default", "1"], ["| CLAHE", "2"]]
    again = [entry_of("default", seed, 0.9, samples=2) for seed in (0, 1)]
    assert ablations.judge([*again, *others])["CLAHE"]["gain"] == pytest.approx(0.2)


def test_runs_are_told_apart_by_variant_and_protocol():
    entries = [entry_of("plain", 0, 0.5), entry_of("plain", 1, 0.7), {**entry_of("plain", 0, 0.9), "protocol": "q"}]
    lines = runs_table(entries).splitlines()[2:]
    assert len(lines) == 2 and lines[0].startswith("| plain | p | 2 | 0.600 ± 0.141 (0.500, 0.700) |")
    assert lines[1].startswith("| plain | q | 1 | 0.900 (0.900) |")
    assert mean_and_spread([None]) == "" and mean_and_spread([0.25, None]) == "0.250"


@pytest.mark.parametrize("content", ["[", "[]", "{}", '{"runs": []}'])
def test_another_file_is_no_experiments_file(tmp_path, content):
    assert read_entries(tmp_path / "none.json") == {}
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(DataError, match="is no experiments file"):
        read_entries(tmp_path / "other.json")
