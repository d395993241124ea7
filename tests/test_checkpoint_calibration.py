"""Calibrating a checkpoint from end to end, on synthetic smears and a tiny network."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from leuk_hf import LeukDenseNet, predict
from leuk_hf.calibrated_files import copy_companions
from leuk_hf.calibration_run import alone_entry, calibrate_checkpoint, results_of
from leuk_hf.checkpoint_calibration import Options, calibrate, save_calibrated
from leuk_hf.data import load_smears
from leuk_hf.errors import CheckpointError, DataError
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.leukocyte_view import LeukocyteNetwork
from leuk_hf.leukocyte_weights import describe_leukocyte_weights
from leuk_hf.model_card import _calibrated_alone
from leuk_hf.refusal_measurement import measure_refusal
from leuk_hf.released_weights import halve_precision
from leuk_hf.seen_fields import Seen, relit, see
from leuk_hf.synthetic import render_smear, write_smears
from leuk_hf.torch_backend import TorchPredictor

pytest.importorskip("crepes")
NAMES = ("Benign", "Early Pre-B", "Pre-B", "Pro-B")


def smears(seed, count):
    return [render_smear(NAMES[index % 4], seed=seed + index, image_size=64) for index in range(count)]


def parts(model):
    generator = np.random.default_rng(0)
    predictor = TorchPredictor(model, precision="float32")

    def part(seed, count):
        fields = smears(seed, count)
        again = see(predictor, [relit(field, generator) for field in fields])
        return see(predictor, fields), again, np.arange(count) % 4

    return predictor, part(0, 40), part(1000, 24)


def images_of_rows(dataset, rows):
    return [dataset[int(row)]["image"] for row in rows]


def noise(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_everything_is_filled_in_and_survives_saving(tiny_model, tmp_path):
    predictor, training, calibration = parts(tiny_model)
    fitted = calibrate(tiny_model, training, calibration, Options(dims=8, certainty=None))
    assert fitted.report["num_training_fields"] == 40 and fitted.report["num_calibration_fields"] == 24
    assert json.loads(json.dumps(fitted.report)) == fitted.report
    tiny_model.save_pretrained(tmp_path / "before")
    save_calibrated(fitted.model, tmp_path / "before", tmp_path / "after")
    reloaded = LeukDenseNet.from_pretrained(tmp_path / "after")
    assert reloaded.settings == fitted.model.settings
    assert reloaded.refusal_limits != RefusalLimits() and len(reloaded.conformal_quantiles) == 4
    before = tiny_model.state_dict()
    for name, tensor in reloaded.state_dict().items():
        if not name.startswith("in_distribution.") and name != "classifier.weight":
            assert torch.equal(tensor, before[name]), name
    # What predict says of a field is what was measured when it was calibrated.
    fields = smears(1000, 24)
    answers = predict(reloaded, fields)
    assert np.mean([not answer.answered for answer in answers]) == pytest.approx(
        fitted.report["calibration_part"]["refused"]
    )
    assert fitted.report["calibration_part"]["refused"] <= 0.05
    for answer in answers:
        assert answer.label == max(answer.probabilities, key=answer.probabilities.get) == answer.prediction_set[0]
        assert answer.answered == (not any("unlike" in reason for reason in answer.reasons))
    foreign = predict(reloaded, [noise(seed) for seed in range(4)])
    assert not any(answer.answered for answer in foreign)
    assert all("unlike the blood-smear fields" in " ".join(answer.reasons) for answer in foreign)
    seen = {"noise": see(predictor, [noise(seed) for seed in range(4)])}
    refusal = measure_refusal(reloaded, calibration[0], seen)
    assert refusal["noise"]["refused"] == 1 and refusal["noise"]["auroc"] == 1
    assert refusal["usable"]["refused"] == fitted.report["calibration_part"]["refused"]


def test_auroc_of_refusal_by_hand(tiny_model):
    predictor, *_ = parts(tiny_model)
    template = see(predictor, smears(0, 1))

    def seen(*told: tuple[int, float]) -> Seen:
        logits = np.full((len(told), 4), -1e9)
        logits[:, 0] = [score for _, score in told]  # without dimensions the score is their logsumexp
        measures = tuple(dataclasses.replace(template.measures[0], side=side) for side, _ in told)
        return Seen(dataclasses.replace(template.described, logits=logits), measures)

    model = LeukDenseNet(**{**tiny_model.settings, "refusal_limits": RefusalLimits(smallest_side=64)}).eval()
    usable = seen((100, 5), (100, 4), (32, 1), (100, 3))
    refusal = measure_refusal(model, usable, {"other": seen((100, 3.5), (32, 0), (32, 6))})
    # Of twelve pairs the usable one is ahead in three for 5 and for 4, in two for 3 and, though refused, in one for 1.
    assert refusal["other"]["auroc"] == pytest.approx(9 / 12)
    assert refusal["usable"]["refused"] == 0.25 and refusal["other"]["refused"] == pytest.approx(2 / 3)


def test_half_precision_stays_half(tiny_model, tmp_path):
    from safetensors.torch import load_file

    tiny_model.classifier.half()
    tiny_model.save_pretrained(tmp_path / "before")
    _, training, calibration = parts(LeukDenseNet.from_pretrained(tmp_path / "before"))
    fitted = calibrate(LeukDenseNet.from_pretrained(tmp_path / "before"), training, calibration, Options(dims=0))
    save_calibrated(fitted.model, tmp_path / "before", tmp_path / "after")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("before", "after"))
    assert {name: tensor.dtype for name, tensor in before.items()} == {
        name: tensor.dtype for name, tensor in after.items()
    }
    assert all(torch.equal(before[name], after[name]) for name in before if name != "classifier.weight")
    # The corrected weights are saved without rounding, or temperature and sets would be those of others.
    assert torch.equal(after["classifier.weight"].float(), fitted.model.classifier.weight)


@pytest.mark.parametrize("view", ["field", "leukocytes", "leukocytes_in_colour"])
def test_the_classifier_is_corrected_and_the_file_says_what_was_kept_with_the_model(tiny_model, view, tmp_path):
    torch.manual_seed(0)
    model = LeukDenseNet(**{**tiny_model.settings, "view": view}).eval()
    _, (known, _, labels), _ = parts(model)
    scale = known.described.features.std()
    regression = LogisticRegression(max_iter=1000).fit(known.described.features / scale, labels)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(regression.coef_ / scale))
        model.classifier.bias.copy_(torch.from_numpy(np.add(regression.intercept_, [1, 0, 0, -1])))  # to be corrected
    _, training, calibration = parts(model)
    fitted = calibrate(model, training, calibration, Options(dims=8, certainty=None))
    # The correction is what the bias is on fields, and nothing where there are no features.
    assert torch.equal(fitted.model.classifier.bias, model.classifier.bias)
    change = (fitted.model.classifier.weight - model.classifier.weight).detach().numpy()
    added = calibration[0].described.features @ change.T
    np.testing.assert_allclose(fitted.report["bias"], added.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(fitted.report["bias_spread"], added.std(axis=0), atol=1e-6)
    assert fitted.report["bias"][0] < -0.2 < fitted.report["bias"][3]
    np.testing.assert_allclose(added, np.tile(fitted.report["bias"], (len(added), 1)), rtol=0.3, atol=0.05)
    model.save_pretrained(tmp_path / "before")
    save_calibrated(fitted.model, tmp_path / "before", tmp_path / "after")
    reloaded = LeukDenseNet.from_pretrained(tmp_path / "after")
    again = see(TorchPredictor(reloaded, precision="float32"), smears(1000, 24))
    np.testing.assert_allclose(again.described.logits, fitted.calibration[0].described.logits, atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"batch_size": 0}, "batch_size is 0; give at least 1"),
        ({"dims": -1}, "dims is -1; give at least 0"),
        ({"seed": -1}, "seed is -1; give at least 0"),
        *(
            ({"share": share}, f"share is {share}; give a number above 0 and below 0.5")
            for share in (0, 0.5, 2, np.nan)
        ),
        ({"outline_orientations": 3}, "outline_orientations is 3; choose 1 or 4"),
        *(
            ({"field_orientations": count}, f"field_orientations is {count}; choose 1, 2 or 4")
            for count in (3, 2.0, True)
        ),
        *(
            ({"coverage": part}, f"coverage is {part}; give a number above 0 and below 1")
            for part in (0, 1, 95, np.nan)
        ),
        *(({"certainty": part}, f"certainty is {part}; give a number above 0 and below 1") for part in (-1, 0, 1)),
    ],
)
def test_options_out_of_range_are_told_at_once(wrong, told):
    with pytest.raises(ValueError) as caught:
        Options(**wrong)
    assert str(caught.value) == told


def test_other_orientations_are_calibrated_for_and_kept(tiny_model, tmp_path):
    torch.manual_seed(0)
    model = LeukDenseNet(**{**tiny_model.settings, "view": "leukocytes"}).eval()
    model.save_pretrained(tmp_path / "before")
    write_smears(tmp_path / "smears", fields_per_class=6, seed=0, image_size=64)
    dataset, rows = load_smears(str(tmp_path / "smears")), np.arange(24)
    rows = {"train": rows[::2], "calibration": rows[1::2]}
    names = ("outline_orientations", "field_orientations")
    once, turned = (
        calibrate_checkpoint(
            tmp_path / "before", dataset, rows, tmp_path / f"{number}",
            options=Options(dims=4, certainty=None, **{name: number for name in names}),
        )
        for number in (None, 4)
    )  # fmt: skip
    plain, averaging = (LeukDenseNet.from_pretrained(tmp_path / name) for name in ("None", "4"))
    for name in names:
        assert getattr(averaging, name) == 4 == turned.report[name]
        assert getattr(plain, name) == 1 == once.report[name]
    one, other = (fitted.training[0].described.features for fitted in (once, turned))
    assert not np.allclose(one, other, atol=1e-4)
    again = averaging.adapted(view="field")
    assert again.outline_orientations == again.field_orientations == 1 and again.leukocytes is None


@pytest.mark.parametrize("is_half", [False, True])
def test_another_leukocyte_network_is_calibrated_for_and_kept(is_half, tiny_model, tmp_path):
    torch.manual_seed(0)
    model = LeukDenseNet(**{**tiny_model.settings, "view": "leukocytes"}).eval()
    if is_half:
        halve_precision(model)
    model.save_pretrained(tmp_path / "before")
    other = LeukocyteNetwork().eval()
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    write_smears(tmp_path / "smears", fields_per_class=6, seed=0, image_size=64)
    dataset, rows = load_smears(str(tmp_path / "smears")), np.arange(24)
    given = (tmp_path / "before", dataset, {"train": rows[::2], "calibration": rows[1::2]})
    options = Options(dims=4, certainty=None)
    once = calibrate_checkpoint(*given, tmp_path / "own", options=options)
    replaced = calibrate_checkpoint(
        *given, tmp_path / "other", options=options, leukocytes=tmp_path / "other.safetensors"
    )
    one, two = (fitted.training[0].described.features for fitted in (once, replaced))
    assert not np.allclose(one, two, atol=1e-4)
    if is_half:  # as the weights whose place they take
        halve_precision(other)
    saved = LeukDenseNet.from_pretrained(tmp_path / "other")
    for name, tensor in other.state_dict().items():
        assert torch.equal(
            saved.leukocytes.state_dict()[name], tensor.float() if tensor.is_floating_point() else tensor
        )
    # What was fitted was fitted to what is saved, not to what it was rounded from.
    again = see(TorchPredictor(saved, fast=True, precision="float32"), images_of_rows(dataset, rows[::2]))
    assert np.abs(again.described.features - two).max() < 1e-6
    with pytest.raises(CheckpointError, match="none is no file; give weights that scripts/fit_leukocyte_segmenter"):
        calibrate_checkpoint(*given, tmp_path / "no", options=options, leukocytes=tmp_path / "none")


def test_what_fewer_calibration_fields_would_have_given(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "before")
    write_smears(tmp_path / "smears", fields_per_class=15, seed=0, image_size=48)
    dataset, rows = load_smears(str(tmp_path / "smears")), np.arange(60)
    parts = {"train": rows[::3], "calibration": np.concatenate([rows[1::6], rows[4::6]])}
    options = Options(dims=4, certainty=None)
    given = (tmp_path / "before", dataset)
    both = calibrate_checkpoint(*given, parts, tmp_path / "both", options=options, alone=10)
    first = {**parts, "calibration": rows[1::6]}
    only = calibrate_checkpoint(*given, first, tmp_path / "first", options=options, alone=10)
    assert only.alone is None and both.report["num_calibration_fields"] == 20
    kept = ("temperature", "conformal_quantiles", "bias", "refusal_limits", "num_calibration_fields")
    # Copies in another light are drawn field after field, so that those of the first fields are the same.
    assert all(both.alone.report[name] == only.report[name] for name in kept)
    tested = dataset.select(rows[2::3])
    told = []
    for name, fitted in (("both", both), ("first", only)):
        predictor = TorchPredictor(LeukDenseNet.from_pretrained(tmp_path / name), fast=True, precision="float32")
        told.append((fitted, see(predictor, images_of_rows(tested, range(20)))))
    entry = alone_entry(both, ("test", told[0][1]), tested, np.arange(20), seed=3)["calibration_part_alone"]
    expected = results_of(told[1][0].model, told[1][1], tested, np.arange(20)).summary(seed=3)
    for name, figure in expected["metrics"].items():
        assert entry["test_part"]["metrics"][name]["value"] == pytest.approx(figure["value"], abs=1e-5)
    assert entry["num_calibration_fields"] == 10
    assert alone_entry(only, ("test", told[1][1]), tested, np.arange(20)) == {}
    figure = {"value": 0.5, "interval": [0.25, 0.75]}
    part = {
        "metrics": {"expected_calibration_error": figure, "balanced_accuracy": {"value": 1.0, "interval": None}},
        "prediction_sets": {"mean_size": {"value": 1.25, "interval": [1.0, 1.5]}},
    }
    both = {"num_calibration_fields": 20}
    both["calibration_part_alone"] = {"num_calibration_fields": 10, "test_part": part}
    assert _calibrated_alone({"calibration": {"grouped": both}}) == (
        "Fitted to the 10 fields of the calibration part alone, instead of 20, the same weights come to a calibration"
        " error of 0.500 (0.250-0.750), sets of 1.250 (1.000-1.500) and a balanced accuracy of 1.000 on part test."
    )
    assert _calibrated_alone({"calibration": {"grouped": {"num_calibration_fields": 20}}}) == ""


def test_what_finds_the_leukocytes_from_now_on_is_recorded(tmp_path):
    network = LeukocyteNetwork()
    save_file(network.state_dict(), tmp_path / "fitted.safetensors")
    digest = hashlib.sha256((tmp_path / "fitted.safetensors").read_bytes()).hexdigest()
    named = {"file": "fitted.safetensors", "sha256": digest}
    assert describe_leukocyte_weights(tmp_path / "fitted.safetensors") == named
    for record, expected in (
        ({"sha256": digest, "steps": 7}, {**named, "steps": 7}),
        ({"sha256": "of others", "steps": 7}, named),
    ):
        (tmp_path / "fitted.json").write_text(json.dumps(record), encoding="utf-8")
        assert describe_leukocyte_weights(tmp_path / "fitted.safetensors") == expected
    (tmp_path / "fitted.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"fitted\.json is damaged"):
        describe_leukocyte_weights(tmp_path / "fitted.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "another.safetensors")
    with pytest.raises(CheckpointError, match=r"another\.safetensors does not hold the network that finds"):
        describe_leukocyte_weights(tmp_path / "another.safetensors")
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
    (before / "config.json").write_text("{}", encoding="utf-8")
    (before / "training.json").write_text('{"recipe": "default"}', encoding="utf-8")
    (before / "results.json").write_text('{"data": {"n": 1}, "audit": {"old": {}}}', encoding="utf-8")
    for folder in (after, before):  # last in its own folder
        copy_companions(before, folder, is_changed=True, leukocytes=named)
        recorded = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        assert recorded == {"recipe": "default", "leukocyte_network": named}
        assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == {"data": {"n": 1}}
    (before / "training.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"training\.json is no record of a training"):
        copy_companions(before, before, is_changed=True, leukocytes=named)


def test_a_network_that_finds_no_leukocyte_cannot_be_calibrated(tiny_model):
    model = LeukDenseNet(**{**tiny_model.settings, "view": "leukocytes"}).eval()
    with torch.no_grad():
        model.leukocytes.head.weight.zero_()
        model.leukocytes.head.bias.fill_(-5)
    _, training, calibration = parts(model)
    with pytest.raises(DataError, match="the network finds no leukocyte in any of 24 calibration fields"):
        calibrate(model, training, calibration, Options(dims=0, certainty=None))


def test_relit_copies_are_reproducible_and_keep_the_cells():
    field = render_smear("Pre-B", seed=0, image_size=64)
    several = [np.asarray(relit(field, np.random.default_rng(seed))).astype(float) for seed in range(20)]
    again = np.asarray(relit(field, np.random.default_rng(3))).astype(float)
    assert np.array_equal(several[3], again)
    original = np.asarray(field).astype(float)
    assert sum(not np.array_equal(one, original) for one in several) > 12
    for one in several:
        assert np.corrcoef(one.mean(axis=2).ravel(), original.mean(axis=2).ravel())[0, 1] > 0.75


def test_the_script_from_end_to_end(tiny_model, tmp_path):
    pytest.importorskip("tyro")
    write_smears(tmp_path / "smears", fields_per_class=18, seed=0, image_size=48)
    tiny_model.save_pretrained(tmp_path / "before")
    earlier = {"data": {"groups": {"n": 1}}, "protocols": {"split": {"metrics": {}}}, "audit": {"old": {"rows": {}}}}
    (tmp_path / "before" / "results.json").write_text(json.dumps(earlier), encoding="utf-8")
    files = sorted(path.relative_to(tmp_path / "smears").as_posix() for path in (tmp_path / "smears").rglob("*.png"))
    part = {0: "train", 1: "train", 2: "calibration", 3: "test"}
    lines = ["file,label,split"] + [
        f"{name},{name.split('/')[0]},{part[index % 4]}" for index, name in enumerate(files)
    ]
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        noise(seed).save(tmp_path / "photos" / f"{seed}.png")
    script = Path(__file__).parent.parent / "scripts" / "calibrate.py"
    command = [
        sys.executable,
        str(script),
        "--source",
        str(tmp_path / "smears"),
        "--split",
        str(tmp_path / "split.csv"),
    ]
    command += ["--model", str(tmp_path / "before"), "--output", str(tmp_path / "after"), "--dims", "6"]
    table = ["file,group"] + [f"{name},{index // 8}" for index, name in enumerate(files)]  # two test fields each
    (tmp_path / "groups.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    command += ["--part", "test", "--foreign", str(tmp_path / "photos"), "--groups", str(tmp_path / "groups.csv")]
    turned = ["--field-orientations", "2"]
    done = subprocess.run([*command, *turned], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((tmp_path / "after" / "results.json").read_text(encoding="utf-8"))
    # The classes' bias is corrected, so that figures of the answers before are none of the new ones.
    assert set(results) == {"data", "calibration"} and results["data"] == earlier["data"]
    entry = results["calibration"]["split"]
    assert entry["dims"] == 6 and entry["refusal"]["usable"]["num_images"] == entry["test_part"]["num_fields"]
    assert entry["refusal"][str(tmp_path / "photos")]["refused"] == 1
    assert len(entry["scores"]) == 6 and "prediction_sets" in entry["test_part"]
    assert (tmp_path / "after" / "reliability.png").is_file()
    by_group = entry["test_part"]["metrics"]["brier_score"]["interval"]
    alone = subprocess.run(
        [*command[:-2], *turned, "--output", str(tmp_path / "alone")], capture_output=True, text=True, check=False
    )
    assert alone.returncode == 0, alone.stderr[-2000:]
    other = json.loads((tmp_path / "alone" / "results.json").read_text(encoding="utf-8"))["calibration"]["split"]
    assert (
        other["test_part"]["metrics"]["brier_score"]["value"] == entry["test_part"]["metrics"]["brier_score"]["value"]
    )
    assert other["test_part"]["metrics"]["brier_score"]["interval"] != by_group
    assert f"temperature {entry['temperature']:.4f}" in done.stdout and "photos" in done.stdout
    # Only the limits anew, in place: all else stays, in the file as in the record.
    config = json.loads((tmp_path / "after" / "config.json").read_text(encoding="utf-8"))
    assert config["leuk_hf"]["field_orientations"] == 2
    card = LeukDenseNet.from_pretrained(tmp_path / "after").generate_model_card()
    assert "reads what it sees in 2 of them\n  (as it is and mirrored down)" in str(card)
    again = ["--model", str(tmp_path / "after"), "--only-limits"]
    again += ["--share", "0.2"]
    done = subprocess.run([*command, *again], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    changed = json.loads((tmp_path / "after" / "config.json").read_text(encoding="utf-8"))
    limits = changed["leuk_hf"].pop("refusal_limits")
    assert config["leuk_hf"].pop("refusal_limits") != limits and config == changed
    renewed = json.loads((tmp_path / "after" / "results.json").read_text(encoding="utf-8"))["calibration"]["split"]
    assert renewed["refusal_limits"] == limits and renewed["share"] == 0.2 and "only-limits" in renewed["command"]
    same = ("temperature", "conformal_quantiles", "bias", "num_calibration_fields")
    assert all(renewed[name] == entry[name] for name in same)
    for name, value in entry["calibration_part"].items():
        assert "refused" in name or renewed["calibration_part"][name] == value
    unknown = subprocess.run([*command, "--only-limits"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2 and "has no record of a calibration on the split split" in unknown.stderr
    for wrong in (["calibration", "test"], ["train"], []):
        asked = [*command, "--calibration-parts", *wrong]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and f"calibration_parts are {' '.join(wrong) or 'none'}; give" in done.stderr
    save_file(LeukocyteNetwork().state_dict(), tmp_path / "fitted.safetensors")
    for wrong, told in (
        (["--batch-size", "0"], "batch_size is 0; give at least 1"),
        (["--share", "2", "--source", "nowhere"], "share is 2.0; give a number above 0 and below 0.5"),
        (["--coverage", "95", "--source", "nowhere"], "coverage is 95.0; give a number above 0 and below 1"),
        (["--certainty", "-1", "--source", "nowhere"], "certainty is -1.0; give a number above 0 and below 1"),
        (["--fields", "-1", "--source", "nowhere"], "fields is -1; give at least 0"),
        (
            ["--outline-orientations", "4"],
            "outline_orientations is 4, but the checkpoint sees the whole field; leave --outline-orientations out",
        ),
        (["--foreign", "nofolder", "--source", "nowhere"], "nofolder is no folder; give folders of images"),
        (
            ["--only-limits", "--outline-orientations", "4", "--source", "nowhere"],
            "--outline-orientations changes every answer; give it without --only-limits",
        ),
        (
            ["--only-limits", "--field-orientations", "2", "--source", "nowhere"],
            "--field-orientations changes every answer; give it without --only-limits",
        ),
        (
            ["--only-limits", "--leukocytes", "other.safetensors", "--source", "nowhere"],
            "--leukocytes changes every answer; give it without --only-limits",
        ),
        (["--leukocytes", "other.safetensors", "--source", "nowhere"], "other.safetensors is no file; give weights"),
        (
            ["--leukocytes", str(tmp_path / "fitted.safetensors")],
            "the checkpoint sees the whole field and looks for no leukocytes; leave out",
        ),
        (["--dims", "80"], "36 training fields, too few for an in-distribution score of 80 dimensions; give at least"),
    ):
        done = subprocess.run([*command, *wrong], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert told in done.stderr.splitlines()[-1] and "Evaluating" not in done.stderr
    for option, kind in (("--split", "split"), ("--groups", "group")):
        asked = [*command, "--source", "nowhere", option, str(tmp_path / "none.csv")]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and f"none.csv cannot be read as a {kind} table" in done.stderr
    missing = subprocess.run(
        [*command, "--foreign", str(tmp_path / "none")], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 2 and "is no folder" in missing.stderr
