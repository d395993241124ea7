"""Sentences about a checkpoint: chosen by the bound that speaks against them, silent where nothing was measured."""

from __future__ import annotations

import pytest

from leuk_hf.claims import claims_text

MOVED = "leukocytes on another class's background"


def figure(value, low=None, high=None):
    return {"value": value, "interval": None if low is None else [low, high]}


def audit_row(balanced=None, accuracy=None, changed=None, followed=None, refused=None, probability=None):
    return {"balanced_accuracy": balanced, "accuracy": accuracy, "changed": changed, "followed_donor": followed,
            "refused": refused, "mean_top_probability": probability}  # fmt: skip


def audited(rows):
    return {"audit": {"one": {"rows": {"as it is": audit_row(figure(0.98), figure(0.98)), **rows}}}}


def test_nothing_measured_nothing_said():
    assert claims_text({}) == "" and claims_text({"audit": {"baselines": {"protocols": {}}}, "protocols": {}}) == ""


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        # The upper bound decides, not the value.
        ({"leukocytes removed, inpainted": audit_row(figure(0.30, 0.25, 0.35))}, "Without leukocytes it does not"),
        ({"leukocytes removed, inpainted": audit_row(figure(0.30, 0.25, 0.36))}, "It names classes also without"),
        ({"leukocytes only, on grey": audit_row(figure(0.951, 0.90, 0.98))}, "Leukocytes are enough"),
        ({"leukocytes only, on grey": audit_row(figure(0.949, 0.90, 0.98))}, "Leukocytes alone are not enough"),
        # What it gets wrong on the field as it is, too, no background is to blame for.
        ({MOVED: audit_row(accuracy=figure(0.8, 0.75, 0.85), followed=figure(0.01), changed=figure(0.03, 0.01, 0.05))},
         "label stays with"),
        ({MOVED: audit_row(accuracy=figure(0.97), followed=figure(0.01), changed=figure(0.03, 0.01, 0.051))},
         "does not always stay"),
        ({"magnification x1.5": audit_row(accuracy=figure(0.5), changed=figure(0.5, 0.4, 0.6),
                                          refused=figure(0.97, 0.95, 0.99))}, "are refused, or read as well"),
        ({"magnification x1.5": audit_row(accuracy=figure(0.5), changed=figure(0.5, 0.4, 0.6),
                                          refused=figure(0.97, 0.94, 0.99))}, "often not refused, and read wrongly"),
        ({"magnification x1.5": audit_row(accuracy=figure(0.97), changed=figure(0.02, 0.0, 0.05),
                                          refused=figure(0.0, 0.0, 0.1))}, "are refused, or read as well"),
        ({"colours of another class": audit_row(changed=figure(0.03, 0.01, 0.05))}, "Colour hardly moves it"),
        ({"colours of another class": audit_row(changed=figure(0.03, 0.01, 0.051))}, "Colour still moves it"),
        ({"grey": audit_row(accuracy=figure(0.95, 0.9, 0.98))}, "It bears other light"),
        ({"grey": audit_row(accuracy=figure(0.95, 0.89, 0.98))}, "right less often"),
        ({"grey": audit_row(accuracy=figure(0.98, 0.89, 0.99))}, "It bears other light"),
        ({"silhouettes: hole mask only": audit_row(figure(0.4, 0.351, 0.45))}, "tell it a part"),
        ({"silhouettes: hole mask only": audit_row(figure(0.4, 0.35, 0.45))}, "alone do not tell it the class"),
        ({"glass only": audit_row(probability=0.61)}, "it is sure of a class"),
        ({"glass only": audit_row(probability=0.6)}, "it is not sure of any class"),
        ({"hue +20 degrees": audit_row(accuracy=figure(0.95, 0.89, 0.98))}, "another hue it is right less often"),
    ],
)  # fmt: skip
def test_the_bound_that_speaks_against_a_sentence_decides(rows, said):
    text = claims_text(audited(rows))
    assert said in text and len(text.splitlines()) == 3


def test_the_worst_removal_and_the_worst_light_are_shown():
    rows = {
        "leukocytes removed, inpainted": audit_row(figure(0.26, 0.2, 0.3), refused=figure(0.99, 0.9, 1)),
        "leukocytes removed, background cloned": audit_row(figure(0.30, 0.27, 0.33), refused=figure(0.98, 0.9, 1)),
        "everything bluish removed, inpainted": audit_row(figure(0.31, 0.28, 0.34), refused=figure(0.97, 0.9, 1)),
        "grey": audit_row(accuracy=figure(0.93)),
        "brightness x1.4": audit_row(accuracy=figure(0.92)),
    }
    text = claims_text(audited(rows))
    assert "31.0 % (28.0-34.0) with every leukocyte removed, refused 97.0 % (90.0-100.0)" in text
    assert "accuracy 92.0 % at the worst of 2 changes (brightness x1.4), 98.0 % as they are" in text
    least = "refused 97.0 % (90.0-100.0) (everything bluish removed, inpainted), the least of 3 ways"
    assert f"| Fields without leukocytes are not always refused. | {least} of removing them |" in text
    for row in rows.values():
        row["refused"] = figure(0.99, 0.96, 1)
    assert "| It refuses fields without leukocytes. | refused 99.0 % (96.0-100.0) (leuk" in claims_text(audited(rows))
    rows = {"grey": audit_row(accuracy=figure(0.85), refused=figure(0.7, 0.6, 0.8))}
    assert "98.0 % as they are, refused 70.0 % (60.0-80.0)" in claims_text(audited(rows))
    rows = {
        "glass only": audit_row(probability=0.8, refused=figure(1.0)),
        "top left corner only": audit_row(probability=0.91, refused=figure(0.9)),
        "silhouettes: hole mask only": audit_row(figure(0.5), refused=figure(1.0)),
        "half of the leukocytes removed": audit_row(changed=figure(0.187, 0.1, 0.2)),
    }
    text = claims_text(audited(rows))
    assert "mean top probability 0.91 (top left corner only), refused 90.0 %" in text
    assert "50.0 % on flat silhouettes, refused 100.0 %; 18.7 % (10.0-20.0) of labels change with half" in text
    rows = {"leukocytes only, on grey": audit_row(figure(0.97), refused=figure(1.0))}
    assert "98.0 % on whole fields; leukocytes alone are refused: 100.0 %" in claims_text(audited(rows))


def results_of_all_kinds():
    own = {"balanced_accuracy": figure(0.99, 0.98, 1.0), "expected_calibration_error": figure(0.012, 0.008, 0.019)}
    per_class = {"a": {"coverage": figure(0.97, 0.93, 0.99)}, "b": {"coverage": figure(0.96, 0.91, 0.99)}}
    refusal = {
        "usable": {"refused": 0.021},
        "some/photos": {"refused": 0.99, "auroc": 0.9987},
        "ood/bccd": {"refused": 0.95, "auroc": 0.98},
    }
    balanced = {"metrics": {"balanced_accuracy": figure(0.87, 0.84, 0.9)}}
    randomised = {name: figure(value) for name, value in
                  (("network_randomised", 0.51), ("classifier_randomised", 0.61), ("unrelated", 0.09))}  # fmt: skip
    maps = [
        {"method": "grad_cam", "layer": "leukocyte_pool",
         "classes": {"a": {"of_perfect": figure(0.93), "pointing": figure(0.8), **randomised},
                     "b": {"of_perfect": figure(0.99), "pointing": figure(0.9), "network_randomised": figure(0.1)},
                     "all": {"of_perfect": figure(0.9), **randomised, "network_randomised": figure(0.31)}}},
        {"method": "grad_cam", "layer": "norm5", "classes": {"a": {"of_perfect": figure(0.1)}}},
    ]  # fmt: skip
    return {
        "protocols": {
            "grouped": {"metrics": own, "num_fields": 280, "per_class": per_class,
                        "prediction_sets": {"mean_size": figure(1.04)}},
            "reference, by recipe": {"protocol": "reference", "without": [], "recipes": {"default": balanced}},
        },
        "calibration": {"split": {"refusal": refusal}},
        "explanations": {"test": {"chosen": {"method": "grad_cam", "layer": "leukocyte_pool"}, "maps": maps}},
    }  # fmt: skip


def test_calibration_sessions_and_explanations():
    lines = claims_text(results_of_all_kinds()).splitlines()[2:]
    assert len(lines) == 7
    assert "99.0 % (98.0-100.0), 280 test fields" in lines[0] and "default: 87.0 % (84.0-90.0)" in lines[1]
    assert "mean what they say" in lines[2] and "1.2 % (0.8-1.9)" in lines[2]
    # Class b's lower bound is below 0.92.
    assert "may hold the true class less often" in lines[3]
    assert "96.0 % (91.0-99.0) at worst (b), mean size 1.04 of 2" in lines[3]
    assert "photos: 99.0 % refused, AUROC 0.999; blood smears of another laboratory (bccd): 95.0 % ref" in lines[4]
    assert "AUROC 0.980; usable fields refused: 2.1 %" in lines[4]
    assert "a 0.93, b 0.99 of what the leukocytes' own map" in lines[5] and "all 0.9" not in lines[5]
    assert "the hottest place is on a leukocyte in a 0.80, b 0.90 of the fields" in lines[5]
    assert "It tells other images" in lines[4] and "Its map lies on leukocytes" in lines[5]
    assert "It tells the classes apart on fields like those it was trained on (protocol `grouped`)" in lines[0]
    assert (
        "in part given by its architecture" in lines[6]
        and "network 0.31 (a 0.51), of a random classifier 0.61" in lines[6]
    )


def test_sentences_turn_where_figures_do():
    results = results_of_all_kinds()
    grouped, refusal = results["protocols"]["grouped"], results["calibration"]["split"]["refusal"]
    maps = results["explanations"]["test"]["maps"]
    grouped["metrics"] = {
        "balanced_accuracy": figure(0.92, 0.89, 0.95), "expected_calibration_error": figure(0.03, 0.02, 0.05)
    }  # fmt: skip
    grouped["per_class"]["b"]["coverage"] = figure(0.96, 0.92, 0.99)
    refusal["some/photos"]["auroc"] = 0.94
    maps[0]["classes"]["a"]["of_perfect"] = figure(0.93, 0.79, 0.97)
    maps[0]["classes"]["a"]["network_randomised"] = figure(0.2, 0.1, 0.3)
    lines = claims_text(results).splitlines()[2:]
    assert "not always tell the classes apart, even on fields like" in lines[0] and "roughly right" in lines[2]
    assert "about as often as promised" in lines[3]
    assert "It does not tell all other images" in lines[4] and "part of it lies beside leukocytes" in lines[5]
    assert "depends on what it has learned" in lines[6]
    grouped["metrics"]["expected_calibration_error"] = figure(0.04, 0.02, 0.051)
    refusal["some/photos"] = {"refused": 0.89, "auroc": 0.99}
    lines = claims_text(results).splitlines()[2:]
    assert "do not mean what they say" in lines[2] and "It does not tell all other images" in lines[4]
    results["protocols"]["acquisition"] = results["protocols"].pop("grouped")
    results["explanations"]["test"]["chosen"] = None
    text = claims_text(results)
    assert "No map is shown to be true" in text
    assert "It does not always tell the classes apart in sessions left out of training (protocol `acq" in text
    assert "How it does on slides of another laboratory or patient." in text
    results["protocols"]["acquisition"]["metrics"]["balanced_accuracy"] = figure(0.92, 0.9, 0.95)
    assert "It tells the classes apart in sessions left out of training (protocol `acq" in claims_text(results)


def test_the_hottest_place_of_the_worst_class_counts():
    results = results_of_all_kinds()
    classes = results["explanations"]["test"]["maps"][0]["classes"]
    classes["b"]["pointing"] = figure(0.79)
    assert "as its coarse grid allows, but not always its hottest place." in claims_text(results)
    classes["a"]["network_randomised"] = figure(0.05)
    classes["b"]["network_randomised"] = figure(0.7)
    assert "in part given by its architecture" in claims_text(results)
    assert "(b 0.70)" in claims_text(results)


def session(name, label, fields, trained, **recipes):
    means = {recipe: {"mean": value, "values": [value]} for recipe, value in recipes.items()}
    return {"session": name, "class": label, "num_fields": fields, "num_trained": trained, "recipes": means}


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (0.49, "mostly wrong"),
        (0.5, "right less often"),
        (0.9, "In each session that they learned nothing of, networks trained for comparison are mostly right"),
    ],
)
def test_a_session_that_is_lost_is_not_hidden_in_a_mean(right, said):
    results = results_of_all_kinds()
    rows = [
        session("a-1", "a", 100, 40, default=0.15),  # learned from: not asked about
        session("b-1", "b", 50, 0, default=right),
        session("b-2", "b", 10, 0, default=1.0),
    ]
    sessions = {"num_left_out": 60, "share_left_out": 0.375, "rows": rows}
    results["protocols"]["reference, by recipe"]["sessions"] = sessions
    text = claims_text(results)
    assert said in text and text.count("learned nothing of") == 1
    assert "default: 87.0 % (84.0-90.0); 60 fields (37.5 %) are of sessions wholly left out of training" in text
    assert f"b-1 (b, 50 fields): default: {100 * right:.1f} %; b-2 (b, 10 fields): default: 100.0 %" in text
    assert "a-1" not in text
