"""The package as a whole: public names, light imports, the wheel, the shipped checkpoint and its documents."""

import csv
import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import leuk_hf
from leuk_hf import LeukDenseNet, load_predictor, predict
from leuk_hf.checkpoint_io import SHIPPED_CHECKPOINT
from leuk_hf.claims import claims_text
from leuk_hf.explanation_tables import explanations_text
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.model_card import audit_text, baselines_text, results_table
from leuk_hf.release import checkpoint_card, fill_tables
from leuk_hf.speed_tables import speed_text
from leuk_hf.training_config import DEFAULT

ROOT = Path(__file__).parent.parent
FOLDERS = ("Benign/", "Early/", "Pre/", "Pro/")
REAL_DATA = ROOT.parent / "shared" / "data" / "leukemia" / "Original"


def modules_after(statement):
    code = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_is_light():
    assert not modules_after("import leuk_hf") & {"torch", "numpy", "gradio", "PIL", "huggingface_hub"}


def test_predicting_needs_no_torch_before_the_model():
    loaded = modules_after("from leuk_hf import predict, load_predictor; import leuk_hf.explanation")
    assert "numpy" in loaded
    assert not loaded & {"torch", "timm", "captum", "huggingface_hub", "openvino", "onnxruntime"}


def test_predicting_needs_no_training_packages():
    loaded = modules_after("from leuk_hf import predict, LeukDenseNet")
    assert "torch" in loaded  # the check can fail
    assert not loaded & {"gradio", "datasets", "accelerate", "sklearn", "tyro", "matplotlib"}


def test_only_the_space_imports_gradio():
    for path in (ROOT / "leuk_hf").rglob("*.py"):
        if path.parent.name != "space":
            assert "import gradio" not in path.read_text(encoding="utf-8"), path


def test_the_demo_needs_no_training_packages():
    assert not modules_after("import app") & {"datasets", "accelerate", "sklearn", "tyro"}


def test_public_names():
    assert leuk_hf.__all__ == ["LeukDenseNet", "Prediction", "__version__", "load_predictor", "predict"]
    assert all(getattr(leuk_hf, name) is not None for name in leuk_hf.__all__)
    with pytest.raises(AttributeError):
        leuk_hf.nothing  # noqa: B018


def test_shipped_checkpoint_loads_and_answers():
    model = LeukDenseNet.from_pretrained()
    assert model.class_names == CLASS_NAMES and not model.training
    assert model.architecture["block_config"] == (6, 12, 24, 16)
    examples = sorted((ROOT / "leuk_hf" / "assets" / "examples").glob("*.png"))
    answers = predict(model, examples)
    assert model.view == "leukocytes_in_colour" and model.temperature != 1 and len(model.conformal_quantiles) == 4
    assert len(answers) == 4 and all(abs(sum(answer.probabilities.values()) - 1) < 1e-9 for answer in answers)


def test_the_shipped_graph_is_of_the_shipped_weights():
    predictor = load_predictor(precision="float32")  # a stale graph would warn, and torch would take its place
    assert predictor.backend == "openvino"
    model = LeukDenseNet.from_pretrained()
    assert predictor.identity == model.identity()
    examples = sorted((ROOT / "leuk_hf" / "assets" / "examples").glob("*.png"))
    for actual, expected in zip(predict(predictor, examples), predict(model, examples), strict=True):
        assert actual.label == expected.label
        assert actual.probabilities == pytest.approx(expected.probabilities, abs=1e-4)


def test_documents_show_the_figures_of_results_json():
    results = json.loads((SHIPPED_CHECKPOINT / "results.json").read_text(encoding="utf-8"))
    table = results_table(results)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    card = (SHIPPED_CHECKPOINT / "README.md").read_text(encoding="utf-8")
    assert table in readme and table in card
    assert audit_text(results) in card and claims_text(results) in card and explanations_text(results) in card
    assert "\n### What the figures support\n" in card and "Not measured." not in readme
    assert baselines_text(results) in readme and baselines_text(results) in card
    assert speed_text(results) in card and "times faster" in card
    assert fill_tables(readme, results) == readme


def test_the_shipped_card_is_what_its_records_say():
    card = (SHIPPED_CHECKPOINT / "README.md").read_text(encoding="utf-8")
    assert card == checkpoint_card(SHIPPED_CHECKPOINT)
    record = json.loads((SHIPPED_CHECKPOINT / "training.json").read_text(encoding="utf-8"))
    with (SHIPPED_CHECKPOINT / "split.csv").open(encoding="utf-8") as file:
        used = {row["file"] for row in csv.DictReader(file)}
    assert len(used) == sum(sum(counts.values()) for counts in record["fields"].values())
    said = re.search(
        r"Of the (\d+) fields of the archive, (\d+) are in .*?The\s+other (\d+) are in none", card, re.DOTALL
    )
    assert tuple(map(int, said.groups())) == (3256, len(used), 3256 - len(used))
    # No field is lacking for being a copy: those that lack are stretches of consecutive numbers.
    numbers = {
        label: {int(name.rsplit("-", 1)[1][:3]) for name in used if name.startswith(label)} for label in FOLDERS
    }
    lacking = [(label, n) for label, own in numbers.items() for n in range(1, max(own) + 1) if n not in own]
    assert len(lacking) == 3256 - len(used)
    assert sum((folder, number - 1) not in lacking for folder, number in lacking) < len(lacking) / 5


def test_training_record_belongs_to_the_checkpoint():
    record = json.loads((SHIPPED_CHECKPOINT / "training.json").read_text(encoding="utf-8"))
    stages = [record]
    while "started_from" in stages[-1]:
        stages.append(stages[-1]["started_from"])
    hues, colour, grey = stages
    assert [stage["starting_weights"] for stage in stages] == ["shipped", "shipped", "warm-up"]
    assert len({stage["split_sha256"] for stage in stages}) == 1 and hues["halfway"] is True
    # As the recipe says, but for where it ran and what makes three stages of it.
    place = {"source", "groups"}
    left = {"weight_averaging": 0.99, "label_smoothing": 0.05, "weight_decay": 0.05}  # the recipe since
    later = {"weights", "learning_rate", "num_epochs"}
    assert grey["config"]["view"] == "leukocytes" and hues["config"]["weights"] == "shipped"
    for one, own in ((grey, {"view"}), (colour, later), (hues, later)):
        assert "scripts/train.py --recipe default" in one["command"] and one["fold"] == 0
        assert set(DEFAULT.differences(one["config"])) == (place | own | set(left)) - {"view"} | own
        assert {name: one["config"][name] for name in left} == left
        assert len(one["commit"]) >= 40
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`--view {grey['config']['view']} --num-epochs {grey['config']['num_epochs']}`" in readme
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in left.items())
    assert f"(`{options}`" in " ".join(readme.split())
    for stage in (colour, hues):
        rate, epochs = stage["config"]["learning_rate"], stage["config"]["num_epochs"]
        assert f"--learning-rate {rate} --num-epochs {epochs}`" in readme
    with (SHIPPED_CHECKPOINT / "split.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = ("train", "validation", "calibration", "test")
    counts = {part: sum(row["split"] == part for row in rows) for part in names}
    assert counts == {part: sum(fields.values()) for part, fields in record["fields"].items()}
    results = json.loads((SHIPPED_CHECKPOINT / "results.json").read_text(encoding="utf-8"))
    assert results["protocols"]["grouped"]["num_fields"] == counts["test"]


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data set is not on this machine")
def test_shipped_checkpoint_on_held_out_real_fields():
    with (SHIPPED_CHECKPOINT / "split.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"][::8]
    answers = predict(LeukDenseNet.from_pretrained(), [REAL_DATA / row["file"] for row in rows])
    right = sum(answer.label == row["label"] for answer, row in zip(answers, rows, strict=True))
    results = json.loads((SHIPPED_CHECKPOINT / "results.json").read_text(encoding="utf-8"))
    recorded = results["protocols"]["grouped"]["metrics"]["accuracy"]["value"]
    assert len(rows) > 30 and right / len(rows) >= recorded - 0.12


def test_wheel_predicts_from_another_directory(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    # A bare environment that sees this one's packages, except for leuk_hf, which must come from the wheel.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    installed = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q", "--target", str(installed)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), packages])}
    code = (
        "import leuk_hf; from leuk_hf import LeukDenseNet, predict; from leuk_hf.model_card import template_path;"
        "from leuk_hf.model_repo import notebook_path;"
        "from leuk_hf.space.classify import EXAMPLES;"
        "model = LeukDenseNet.from_pretrained(); print(leuk_hf.__file__, template_path().is_file());"
        "print(notebook_path().is_file(), notebook_path().parent == template_path().parent);"
        "print(predict(model, sorted(EXAMPLES.glob('*.png'))[0])[0].label);"
        "print(leuk_hf.load_predictor(backend='onnxruntime').description)"
    )
    done = subprocess.run([str(python), "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    where, notebook, label, description = done.stdout.splitlines()
    assert notebook == "True True"
    assert str(installed) in where and where.endswith("True") and label in CLASS_NAMES
    assert description.startswith("onnxruntime ")
