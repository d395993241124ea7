"""Training: resumable to the same weights after SIGKILL, refusals in one sentence, several processes."""

import csv
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from leuk_hf import training_run
from leuk_hf.checkpoint_io import SHIPPED_CHECKPOINT
from leuk_hf.data import load_smears
from leuk_hf.errors import CheckpointError, TrainingError
from leuk_hf.model import LeukDenseNet
from leuk_hf.synthetic import write_smears
from leuk_hf.training import train
from leuk_hf.training_config import CLASSIC, PLAIN, TrainConfig
from leuk_hf.training_record import doubts_of
from leuk_hf.training_setup import choose_precision, synchronise_batch_norm

ROOT = Path(__file__).parent.parent
# Grouping has tests of its own (test_groups); the random protocol needs no search for overlaps.
TINY = {
    "growth_rate": 4, "block_config": (1, 1, 1, 1), "image_size": 32, "batch_size": 4, "save_steps": 1,
    "protocol": "random",
}  # fmt: skip


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smears")
    write_smears(folder, fields_per_class=7, seed=1, image_size=32)
    return folder


@pytest.fixture(scope="module")
def config(smears):
    return dataclasses.replace(PLAIN, source=str(smears), num_epochs=3, **TINY)


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    output = tmp_path_factory.mktemp("run") / "out"
    record = train(dataclasses.replace(config, output=output), command="train")
    return output, record


def command(config, output, *extra):
    options = ["--source", config.source, "--output", str(output), "--num-epochs", str(config.num_epochs)]
    for name, value in TINY.items():
        values = value if isinstance(value, tuple) else (value,)
        options += [f"--{name.replace('_', '-')}", *map(str, values)]
    return [sys.executable, str(ROOT / "scripts" / "train.py"), *options, *extra]


def weights(output):
    return load_file(output / "checkpoint" / "model.safetensors")


def comparable(output):
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if "second" not in key} for row in rows]


def test_run_leaves_its_files(finished, config):
    output, record = finished
    assert {path.name for path in output.iterdir()} == {
        "checkpoint", "curves.png", "metrics.jsonl", "split.csv", "training.json"
    }  # fmt: skip
    stored = json.loads((output / "checkpoint" / "training.json").read_text())
    assert stored == record and stored["command"] == "train" and stored["config"]["seed"] == 0
    assert stored["fields"]["train"] == {"Benign": 4, "Early Pre-B": 4, "Pre-B": 4, "Pro-B": 4}
    assert stored["fields"]["test"] == {"Benign": 1, "Early Pre-B": 1, "Pre-B": 1, "Pro-B": 1}
    assert LeukDenseNet.from_pretrained(output / "checkpoint").preprocessor.image_size == 32
    assert len(comparable(output)) == 3


def test_best_epoch_is_the_one_kept(finished):
    output, record = finished
    rows = comparable(output)
    best = min(rows, key=lambda row: row["validation_loss"])
    assert record["best"]["epoch"] == best["epoch"]


def test_same_seed_gives_the_same_weights_and_another_does_not(finished, config, tmp_path):
    train(dataclasses.replace(config, output=tmp_path / "again"))
    train(dataclasses.replace(config, output=tmp_path / "other", seed=1))
    first, again, other = weights(finished[0]), weights(tmp_path / "again"), weights(tmp_path / "other")
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_worker_processes_change_nothing(finished, config, tmp_path):
    train(dataclasses.replace(config, output=tmp_path / "workers", num_workers=2))
    first, again = weights(finished[0]), weights(tmp_path / "workers")
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_killed_in_an_epoch_and_resumed_equals_uninterrupted(config, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # One thread in both runs: sums over threads may round differently.
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    config = dataclasses.replace(config, num_epochs=12)
    subprocess.run(command(config, whole), check=True, env=environment, capture_output=True)
    process = subprocess.Popen(command(config, broken), env=environment, stderr=subprocess.DEVNULL)
    state = broken / "state.safetensors"
    deadline = time.monotonic() + 600
    kills = 0
    while kills < 2 and time.monotonic() < deadline:
        # 4 steps an epoch and a state after each: wait for one in the middle of an epoch.
        progress = read_progress(state)
        if progress and progress["batches"] in (1, 2) and progress["epoch"] >= 1 + 4 * kills:
            process.kill()
            process.wait()
            kills += 1
            if kills < 2:
                process = subprocess.Popen(
                    command(config, broken, "--resume"), env=environment, stderr=subprocess.DEVNULL
                )
        elif process.poll() is not None:
            pytest.fail("the run ended before it could be killed")
    assert kills == 2
    subprocess.run(command(config, broken, "--resume"), check=True, env=environment, capture_output=True)
    first, second = weights(whole), weights(broken)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert comparable(whole) == comparable(broken)


def read_progress(state):
    # The header is parsed from one open file: safe_open opens the path twice, and the run replaces it in between.
    if not state.is_file():
        return None
    with state.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return json.loads(header["__metadata__"]["state"])["progress"]


@pytest.mark.parametrize("stop_after", [3, 6, 10])
def test_progressive_resizing_resumes_to_the_same_weights(config, tmp_path, monkeypatch, stop_after):
    # 4 steps an epoch, so the stops lie in the first epoch (32 px), the second (48 px) and the third (64 px).
    config = dataclasses.replace(config, image_size=64, progressive_sizes=(32, 48, 64), cache=tmp_path / "cache")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    sizes, forward, threads = [], LeukDenseNet.forward, torch.get_num_threads()

    def noting_forward(self, pixel_values):
        sizes.append((pixel_values.shape[-1], self.training))
        return forward(self, pixel_values)

    torch.set_num_threads(1)  # sums over threads may round differently
    try:
        with monkeypatch.context() as patch:
            patch.setattr(LeukDenseNet, "forward", noting_forward)
            train(dataclasses.replace(config, output=whole))
        stop_run_after(stop_after, dataclasses.replace(config, output=broken), monkeypatch)
        train(dataclasses.replace(config, output=broken, resume=True))
    finally:
        torch.set_num_threads(threads)
    assert [size for size, training in sizes if training] == [32] * 4 + [48] * 4 + [64] * 4
    assert {size for size, training in sizes if not training} == {64}
    assert [row["image_size"] for row in comparable(whole)] == [32, 48, 64]
    first, second = weights(whole), weights(broken)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert comparable(whole) == comparable(broken)
    assert json.loads((whole / "training.json").read_text())["config"]["progressive_sizes"] == [32, 48, 64]


def stop_run_after(states, config, monkeypatch):
    """Stop a run as Ctrl+C does, once it has saved this many states."""
    saved, save = [], training_run.save_state

    def save_and_stop(*arguments):
        save(*arguments)
        saved.append(1)
        if len(saved) == states:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training_run, "save_state", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            train(config)


def test_synchronised_batch_norm_keeps_the_tensors_and_the_answers(tiny_model):
    # Statistics shared among GPUs cannot be tried here; that the network stays the same one can.
    pixel_values = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before, logits = {name: value.clone() for name, value in tiny_model.state_dict().items()}, tiny_model(pixel_values)
    synchronise_batch_norm(tiny_model, torch.device("cuda"))
    norms = [module for module in tiny_model.modules() if isinstance(module, torch.nn.SyncBatchNorm)]
    plain = [module for module in tiny_model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 21 and not plain
    after = tiny_model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert torch.allclose(tiny_model.eval()(pixel_values), logits, atol=1e-6)


def test_epochs_share_the_sizes_equally():
    config = TrainConfig(progressive_sizes=(96, 128, 160), num_epochs=8)
    assert [config.image_size_of(epoch) for epoch in range(8)] == [96] * 3 + [128] * 3 + [160] * 2
    assert TrainConfig().image_size_of(5) is None
    for epochs in range(3, 12):
        config = TrainConfig(progressive_sizes=(96, 128, 160), num_epochs=epochs)
        sizes = [config.image_size_of(epoch) for epoch in range(epochs)]
        assert config.first_full_epoch == sizes.index(160) and sorted(sizes) == sizes


def test_averaged_weights_are_kept_to_the_end(config, tmp_path):
    averaged = dataclasses.replace(config, weight_averaging=0.5, learning_rate=0.1, schedule="constant", num_epochs=3)
    averaged = dataclasses.replace(averaged, keep_last=True)
    record = train(dataclasses.replace(averaged, output=tmp_path / "last"))
    rows = [json.loads(line) for line in (tmp_path / "last" / "metrics.jsonl").read_text().splitlines()]
    lowest = min(rows, key=lambda row: row["validation_loss"])
    assert lowest["epoch"] < 3 == record["best"]["epoch"] and record["best"] == rows[-1]
    stopped = train(dataclasses.replace(averaged, output=tmp_path / "lowest", keep_last=False))
    assert stopped["best"] == {**lowest, **{key: stopped["best"][key] for key in ("seconds", "images_per_second")}}


def test_patience_counts_from_the_full_size(config, tmp_path):
    frozen = dataclasses.replace(config, learning_rate=1e-12, weight_decay=0.0, patience=2, num_epochs=12)
    sizes = {"image_size": 64, "progressive_sizes": (32, 64), "schedule": "constant"}
    record = train(dataclasses.replace(frozen, output=tmp_path / "out", **sizes))
    # Six epochs at 32 px, then two without a better validation, whichever epoch was the best before.
    assert record["epochs"] == max(6, record["best"]["epoch"]) + 2 < 12


def test_a_run_names_its_cache_and_another_may_be_named_on_resume(config, tmp_path, monkeypatch):
    config = dataclasses.replace(config, output=tmp_path / "out", cache=tmp_path / "first")
    stop_run_after(2, config, monkeypatch)
    assert len(list((tmp_path / "first").rglob("fields.npy"))) == 1
    train(dataclasses.replace(config, resume=True, cache=tmp_path / "second"))
    assert len(list((tmp_path / "second").rglob("fields.npy"))) == 1
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    with pytest.raises(TrainingError, match="blocked cannot be written"):
        train(dataclasses.replace(config, output=tmp_path / "other", cache=blocked))
    assert not (tmp_path / "other").exists()


def test_two_processes_train_and_say_so(config, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0"]
    launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    done = subprocess.run(
        [*launcher, *command(config, tmp_path / "two")[1:]], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("2 process(es) x batch 4") == 1
    record = json.loads((tmp_path / "two" / "training.json").read_text())
    assert record["num_processes"] == 2
    # 16 training fields, two processes of 4: two steps an epoch.
    assert comparable(tmp_path / "two")[-1]["step"] == 6
    # One process that takes the same batches one after the other sees the same loss, to rounding.
    train(dataclasses.replace(config, output=tmp_path / "one", gradient_accumulation_steps=2))
    curves = [[row["train_loss"] for row in comparable(tmp_path / name)] for name in ("one", "two")]
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
    assert comparable(tmp_path / "one")[-1]["step"] == 6


def test_gradient_accumulation_halves_the_steps(config, tmp_path):
    train(dataclasses.replace(config, output=tmp_path / "out", gradient_accumulation_steps=2))
    assert comparable(tmp_path / "out")[-1]["step"] == 6


def test_patience_stops_early(config, tmp_path):
    # With a learning rate of nearly nothing the first epoch's balanced accuracy is never beaten by much.
    frozen = dataclasses.replace(config, learning_rate=1e-12, weight_decay=0.0, patience=2, num_epochs=30)
    record = train(dataclasses.replace(frozen, output=tmp_path / "out", schedule="constant"))
    assert record["epochs"] == record["best"]["epoch"] + 2 < 30


def test_fine_tuning_on_other_classes(finished, tmp_path):
    folder = tmp_path / "slides"
    write_smears(folder, fields_per_class=6, seed=2, image_size=32, class_names=("blast", "other", "smudge"))
    config = TrainConfig(
        source=str(folder), output=tmp_path / "tuned", class_names=("folders",), num_epochs=1, batch_size=4,
        protocol="random",
        weights=str(finished[0] / "checkpoint"),
    )  # fmt: skip
    record = train(config)
    assert record["class_names"] == ["blast", "other", "smudge"]
    tuned = LeukDenseNet.from_pretrained(tmp_path / "tuned" / "checkpoint")
    assert tuned.class_names == ("blast", "other", "smudge") and tuned.preprocessor.image_size == 32
    assert record["started_from"] == finished[1] and "started_from" not in finished[1]


def test_weights_that_were_trained_on_tested_fields_are_warned_of(finished, tmp_path):
    with (finished[0] / "split.csv").open(encoding="utf-8") as file:
        part = {row["file"]: row["split"] for row in csv.DictReader(file)}
    trained, tested = ([name for name in part if part[name] == split] for split in ("train", "test"))
    weights = str(finished[0] / "checkpoint")
    assert doubts_of(weights, tested) == "" == doubts_of("scratch", trained) == doubts_of(str(tmp_path), trained)
    assert "was trained on 2 of the 3 fields that are tested here" in doubts_of(weights, [*trained[:2], tested[0]])
    with (SHIPPED_CHECKPOINT / "split.csv").open(encoding="utf-8") as file:
        first = next(row["file"] for row in csv.DictReader(file) if row["split"] == "train")
    assert "warning: shipped was trained on 1 of the 1 fields" in doubts_of("shipped", [first])


def test_a_finished_or_foreign_folder_is_refused(finished, config):
    output = finished[0]
    before = (output / "training.json").read_text()
    with pytest.raises(TrainingError, match="already holds a run"):
        train(dataclasses.replace(config, output=output))
    with pytest.raises(TrainingError, match="is finished"):
        train(dataclasses.replace(config, output=output, resume=True))
    assert (output / "training.json").read_text() == before


def test_resuming_with_other_settings_is_refused(finished, config, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    stored = json.loads((finished[0] / "training.json").read_text())
    del stored["finished"]
    (output / "training.json").write_text(json.dumps(stored))
    with pytest.raises(TrainingError, match="another learning_rate, seed"):
        train(dataclasses.replace(config, output=output, resume=True, seed=5, learning_rate=1.0))


def test_the_record_tells_the_split(finished):
    output, record = finished
    with (output / "split.csv").open(encoding="utf-8", newline="") as file:
        lines = sorted(f"{row['file']}\t{row['split']}" for row in csv.DictReader(file))
    assert len(lines) == 28
    assert record["split_sha256"] == hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_resuming_with_another_group_table_is_refused(config, tmp_path, monkeypatch):
    output, table = tmp_path / "out", tmp_path / "groups.csv"
    config = dataclasses.replace(config, output=output, protocol="grouped", groups=table, num_epochs=2)
    paths = list(load_smears(config.source)["path"])

    def write_table(pairing):
        lines = [f"{path},{label * 10 + pairing[row]}" for label in range(4)
                 for row, path in enumerate(paths[label * 7 : label * 7 + 7])]  # fmt: skip
        table.write_text("\n".join(["file,group", *lines]) + "\n", encoding="utf-8")

    save = training_run.save_state

    def save_and_stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    first, other = (0, 0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5, 5)
    write_table(first)
    monkeypatch.setattr(training_run, "save_state", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.setattr(training_run, "save_state", save)
    before = {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}
    assert {"split.csv", "state.safetensors", "training.json"} <= set(before)
    write_table(other)  # a table of the same name that deals fields to other parts
    with pytest.raises(TrainingError, match=r"another split_sha256 .*; use the same group table") as error:
        train(dataclasses.replace(config, resume=True))
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()} == before
    write_table(tuple(9 - number for number in first))  # other numbers, the same groups, so the same split
    assert train(dataclasses.replace(config, resume=True))["epochs"] == 2
    assert (output / "split.csv").read_bytes() == before["split.csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ""}, "no data"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 64}, "smaller --batch-size"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"fold": -1}, "fold is -1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"image_size": 8}, "image_size is 8"),
        ({"seed": -1}, "seed is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"block_config": (1, 1, 1, 1, 1), "image_size": 32}, "need at least 64"),
        ({"weights": "shipped"}, "for --weights scratch"),
        ({"sync_batch_norm": True}, "works on GPUs only"),
        ({"num_workers": -1}, "num_workers and appearances must be at least 0"),
        ({"progressive_sizes": (32,), "image_size": 64}, "32; the last must be the image_size, 64"),
        ({"progressive_sizes": (48, 32)}, "48 32; give growing edges"),
        ({"progressive_sizes": (16, 32)}, "16 32; give growing edges of at least 32"),
        ({"progressive_sizes": (32, 48, 56, 64), "image_size": 64}, "more than the 3 epochs"),
        ({"progressive_sizes": (32, 64), "image_size": None}, "must be the weights' size, 224"),
    ],
)
def test_bad_values_get_one_sentence(config, tmp_path, change, message):
    with pytest.raises(TrainingError, match=message) as error:
        train(dataclasses.replace(config, output=tmp_path / "out", **change))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_diverging_training_gets_one_sentence(config, tmp_path):
    with pytest.raises(TrainingError, match="no longer a number"):
        train(dataclasses.replace(config, output=tmp_path / "out", learning_rate=1e30, schedule="constant"))


def test_classic_is_the_published_recipe():
    assert (CLASSIC.optimizer, CLASSIC.learning_rate, CLASSIC.weight_decay) == ("adam", 1e-4, 1e-5)
    assert (CLASSIC.schedule, CLASSIC.step_epochs, CLASSIC.step_factor) == ("step", 7, 0.1)
    assert (CLASSIC.patience, CLASSIC.batch_size, CLASSIC.protocol) == (5, 32, "grouped")
    assert (CLASSIC.weights, CLASSIC.augmentation, CLASSIC.label_smoothing) == ("imagenet", "classic", 0.0)


def test_classic_without_network_gets_one_sentence(smears, tmp_path):
    with pytest.raises(CheckpointError, match="Hub cannot be reached"):
        train(dataclasses.replace(CLASSIC, source=str(smears), output=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_smoke_run_and_script_errors(tmp_path):
    script = str(ROOT / "scripts" / "train.py")
    done = subprocess.run([sys.executable, script, "--smoke"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "epoch 4 is kept" in done.stdout and "(grouped split, " in done.stdout and "1 process(es)" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "curves.png").stat().st_size > 5000 and (run / "groups.csv").is_file()
    wrong = subprocess.run(
        [sys.executable, script, "--source", "nowhere"], cwd=tmp_path, capture_output=True, text=True
    )
    assert wrong.returncode == 2 and wrong.stderr.strip() == (
        "error: nowhere does not exist; give the folder that holds the class folders"
    )


def test_auto_precision_is_what_this_processor_is_faster_in(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for abilities, precision in (({"avx512_bf16": True}, "no"), ({"avx512_bf16": True, "amx_bf16": True}, "bf16")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=abilities: found, raising=False)
        assert choose_precision("auto") == precision
    assert choose_precision("fp16") == "fp16"
