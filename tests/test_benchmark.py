"""The benchmark's arithmetic, its tables, and one quick run of the script."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from leuk_hf import benchmark, benchmark_inference, benchmark_processes, benchmark_stages, benchmark_variants
from leuk_hf.backends import as_predictor
from leuk_hf.errors import LeukError
from leuk_hf.model import LeukDenseNet
from leuk_hf.speed_tables import load_sentence, machine_sentence, speed_text

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark.py"


def test_median_and_quartiles():
    assert benchmark.figure(np.array([5.0, 1, 2, 4, 3])) == {"median": 3.0, "quartiles": [2.0, 4.0]}
    assert benchmark.figure(np.array([1.0, 2.0])) == {"median": 1.5, "quartiles": [1.25, 1.75]}
    assert benchmark.figure(np.array([1234.567]))["median"] == 1235


def test_ratios_are_paired_before_they_are_summarised():
    # The machine was ten times slower in the second round; the ratio of medians would be 2 / 1.
    slow, fast = np.array([2.0, 40.0, 2.0]), np.array([1.0, 10.0, 1.0])
    assert benchmark.paired_ratio(slow, fast) == {"median": 2.0, "quartiles": [2.0, 3.0]}
    with pytest.raises(ValueError, match="3 and 2 rounds cannot be paired"):
        benchmark.paired_ratio(slow, fast[:2])


def test_orders_are_permutations_and_follow_the_seed():
    names = list("abcdef")
    orders = benchmark.round_orders(names, 20, seed=3)
    assert orders == benchmark.round_orders(names, 20, seed=3) != benchmark.round_orders(names, 20, seed=4)
    assert all(sorted(order) == names for order in orders)
    assert len({tuple(order) for order in orders}) > 10


def test_interleaving_runs_each_variant_once_a_round_and_drops_the_warm_up():
    now, calls = [0.0], []

    def variant(name, seconds):
        def call():
            calls.append(name)
            now[0] += seconds * (100 if len(calls) <= 4 else 1)  # two rounds of warming up

        return call

    found = benchmark.interleave(
        {"a": variant("a", 1.0), "b": variant("b", 3.0)}, rounds=3, warmup_rounds=2, seed=1, clock=lambda: now[0]
    )
    assert found["a"].tolist() == [1, 1, 1] and found["b"].tolist() == [3, 3, 3]
    orders = benchmark.round_orders("ab", 5, seed=1)
    assert calls == [name for order in orders for name in order]
    with pytest.raises(ValueError, match="rounds is 0"):
        benchmark.interleave({}, rounds=0)


def test_flops_by_hand():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1, stride=2),  # 8x8x8 outputs of 3 * 9 products
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 4, 1, groups=2),  # 4x8x8 outputs of 4
        torch.nn.Flatten(),
        torch.nn.Linear(256, 5),
    )
    expected = 2 * (8 * 64 * 27 + 4 * 64 * 4 + 256 * 5)
    assert benchmark_inference.count_flops(network, torch.zeros(1, 3, 16, 16)) == expected
    assert benchmark_inference.count_flops(network, torch.zeros(2, 3, 16, 16)) == 2 * expected
    assert not any(module._forward_hooks for module in network.modules())


def test_flops_of_densenet_121():
    """2.83 billion multiplications with ImageNet's 1000 classes (Huang et al. and torchvision), fewer with four."""
    model = LeukDenseNet().eval()
    flops = benchmark_inference.count_flops(model, torch.zeros(1, 3, 224, 224))
    assert flops + 2 * 996 * 1024 == pytest.approx(2 * 2.834e9, rel=0.001)


def test_random_weights_follow_the_seed_and_stay_in_range():
    one, same = (benchmark_variants.random_model(64, seed=0) for _ in range(2))
    assert one.identity() == same.identity() and not one.training
    with torch.no_grad():
        spread = one.features(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))).std()
    assert 0.1 < spread < 10


def test_steady_images_come_first(tiny_model):
    values = np.random.default_rng(0).standard_normal((6, 3, 64, 64), dtype=np.float32)
    kept, pre_activations = {}, []
    tiny_model.features.norm5.act.register_forward_pre_hook(
        lambda module, given: pre_activations.append(given[0].clone())
    )
    ordered = benchmark_variants.steadiest_first(tiny_model, values)
    assert sorted(row.tobytes() for row in ordered) == sorted(row.tobytes() for row in values)
    for row in ordered:
        with torch.no_grad():
            tiny_model(torch.from_numpy(row[None]))
        kept[row.tobytes()] = float(pre_activations[-1].abs().min() / pre_activations[-1].std())
    assert list(kept.values()) == sorted(kept.values(), reverse=True) and len(set(kept.values())) == 6


def test_what_is_not_installed_is_said(tiny_model, monkeypatch):
    values = np.random.default_rng(0).standard_normal((2, 3, 64, 64), dtype=np.float32)
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    ways = list(benchmark_variants.variants(tiny_model, None, values, native_bfloat16=False))
    missing = {way.name: way.missing for way in ways if way.call is None}
    assert missing[benchmark_variants.PYTORCH_GRAD_CAM] == "not installed; pip install grad-cam"
    assert missing["leuk_hf, OpenVINO: logits and 4 maps"] == "not installed; pip install openvino"
    assert sum("emulate bfloat16" in reason for reason in missing.values()) == 2
    done = {way.name: way.difference(way.call()) for way in ways if way.call is not None and way.difference}
    assert len(done) == 4 and max(done.values()) < 1e-5


def test_wrong_maps_stop_the_benchmark(tiny_model):
    way = benchmark_variants.Variant("wrong", lambda: 0.5, lambda result: result)
    with pytest.raises(LeukError, match=r"the maps of 'wrong' differ from Captum's by 5\.0e-01"):
        benchmark_inference._checked(way)


def test_features_of_a_cpu(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f\nprocessor : 1\nflags : fpu\n")
    found = benchmark.cpu_features(path)
    assert found == {"avx2": True, "avx512f": True, "avx512_bf16": False, "amx_bf16": False}
    assert not benchmark.computes_in_bfloat16(found)
    path.write_text("Features : fp asimd bf16\n")
    found = benchmark.cpu_features(path)
    assert found == {"asimd": True, "bf16": True, "sve": False} and benchmark.computes_in_bfloat16(found)
    path.write_text("nothing\n")
    assert benchmark.cpu_features(path) == {}


def test_stages_add_up(tiny_model):
    ticks = iter(range(10**6))
    files = benchmark_stages.example_files(photo=(700, 500))
    entry = benchmark_stages.measure_stages(
        as_predictor(tiny_model), files, rounds=2, warmup_rounds=1, clock=lambda: next(ticks) / 1000
    )
    assert list(entry["files"]) == ["field of 224 x 224", "photo of 700 x 500"]
    for file in entry["files"].values():  # a tick of 1 ms for each of nine stages
        assert all(stage["milliseconds"]["median"] == 1 for stage in file["stages"].values())
        assert sum(stage["share"] for stage in file["stages"].values()) == pytest.approx(1, abs=0.001)
        assert file["all"]["median"] == 9 and file["without_network"]["median"] == 8
    assert list(entry["files"]["field of 224 x 224"]["stages"]) == list(benchmark_stages.STAGES)


def test_cold_processes_tell_what_they_load():
    entry = benchmark_processes.measure_cold(
        {"nothing": "pass", "leuk_hf": "import leuk_hf", "fake": "sys.modules['timm'] = 0"}, rounds=1, warmup_rounds=0
    )
    assert {name: row["loaded"] for name, row in entry["rows"].items()} == {
        "nothing": [],
        "leuk_hf": [],
        "fake": ["timm"],
    }
    assert all(row["seconds"]["median"] >= row["seconds_inside"]["median"] for row in entry["rows"].values())
    with pytest.raises(LeukError, match="'wrong' failed: ZeroDivisionError"):
        benchmark_processes.measure_cold({"wrong": "1 / 0"}, rounds=1, warmup_rounds=0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process's peak memory")
def test_peak_memory_is_the_childs_own(tmp_path):
    """A stand-in for predict.py that holds 100 MB, started by a process that once held more."""
    script = tmp_path / "holder.py"
    script.write_text(
        "import pathlib, sys\nheld = bytearray(b'x') * 100_000_000\n"
        "count = len(list(pathlib.Path(sys.argv[1]).iterdir()))\n"
        "pathlib.Path(sys.argv[3]).write_text('{}\\n' * count)\n"
    )
    bytearray(b"x") * 400_000_000
    benchmark_processes.write_fields(tmp_path / "fields", 20, image_size=32)
    assert len({path.read_bytes() for path in (tmp_path / "fields").iterdir()}) == 8
    found = benchmark_processes.measure_memory(script, tmp_path / "fields", tmp_path / "rows.jsonl")
    assert found["num_files"] == 20 and 100 < found["peak_megabytes"] < 160
    script.write_text("raise SystemExit('error: no such model')")
    with pytest.raises(LeukError, match=r"exit code 1: error: no such model"):
        benchmark_processes.measure_memory(script, tmp_path / "fields", tmp_path / "rows.jsonl")


def figure(median):
    return {"median": median, "quartiles": [median * 0.9, median * 1.2]}


COMMON = {
    "command": "python scripts/benchmark.py",
    "versions": {"torch": "2.14.1"},
    "load_average": [0.5, 1.9],
    "machine": {
        "processor": "Some CPU",
        "cores": 2,
        "features": {"avx2": True, "avx512f": False, "amx_bf16": False},
        "bfloat16": "emulated",
        "threads": {"torch": 2, "onnxruntime": "its own choice", "openvino": "its own choice"},
        "thread_variables": {},
        "packages": {"openvino": "2026.4.1"},
    },
}
INFERENCE = {
    "model": "DenseNet-121",
    "image_size": 224,
    "rounds": 20,
    "flops": 5_660_000_000,
    "floor": {
        "milliseconds": figure(30.0),
        "product": "numpy float32",
        "gigaflops_per_second": {"numpy float32": 188.7},
    },
    "rows": [
        {
            "name": "Captum",
            "num_images": 1,
            "milliseconds": figure(300.0),
            "times_faster": {"Captum": figure(1.0), "pytorch-grad-cam: 1 map": figure(2.5)},
            "over_floor": figure(10.0),
            "map_difference": None,
        },
        {
            "name": "ours",
            "num_images": 1,
            "milliseconds": figure(60.0),
            "times_faster": {"Captum": figure(5.0), "pytorch-grad-cam: 1 map": figure(12.5)},
            "over_floor": figure(2.0),
            "map_difference": 3.5e-7,
            "note": "50 s to compile",
        },
        {"name": "OpenVINO", "num_images": 1, "missing": "not installed; pip install openvino"},
    ],
}


def test_the_inference_table():
    lines = speed_text({"speed": {"inference 224": {**INFERENCE, **COMMON}}}).splitlines()
    assert (
        lines[4]
        == "| way | times faster than Captum | times faster than pytorch-grad-cam | times the floor | ms | maps |"
    )
    assert lines[6] == "| Captum | 1.00 (0.90-1.20) | 2.50 (2.25-3.00) | 10.0 (9.00-12.0) | 300 (270-360) |  |"
    assert lines[7] == (
        "| ours (50 s to compile) | 5.00 (4.50-6.00) | 12.5 (11.2-15.0) | 2.00 (1.80-2.40) | 60.0 (54.0-72.0)"
        " | 3.5e-07 |"
    )
    assert lines[8] == "| OpenVINO | not installed; pip install openvino | | | | |"
    assert lines[9] == "| floor | | | 1 | 30.0 (27.0-36.0) | |"
    assert all(line.count("|") == 7 for line in lines[4:10])
    assert "the network's 5.66 GFLOP" in lines[11] and "(numpy float32; GFLOP/s: numpy float32 189)" in lines[11]
    assert lines[-1] == "Load average 0.5 at the start, 1.9 at the end."


def test_the_machine_in_words():
    assert machine_sentence(COMMON) == (
        "Some CPU, 2 cores, with AVX2, without AVX-512, AMX (bfloat16 emulated); threads: torch 2;"
        " torch 2.14.1, openvino 2026.4.1."
    )
    assert load_sentence(COMMON) == "Load average 0.5 at the start, 1.9 at the end."
    busy = "**the machine was busy; of these figures only the ratios count**"
    entry = copy.deepcopy(COMMON)
    for load in ([5.0, 2.0], [0.0, 4.0]):
        entry["load_average"] = load
        assert busy in load_sentence(entry)
    entry["load_average"], entry["machine"]["features"] = [None, None], {}
    entry["machine"]["threads"] = {"torch": 1, "onnxruntime": 1, "openvino": 1}
    entry["machine"]["thread_variables"] = {"OMP_NUM_THREADS": "1"}
    assert "features not known" in machine_sentence(entry) and load_sentence(entry) == ""
    assert "threads: torch 1, the others 1, OMP_NUM_THREADS=1;" in machine_sentence(entry)


def test_machine_and_command_are_said_once_if_common():
    entries = {"inference 224": {**INFERENCE, **COMMON}, "inference 160": {**INFERENCE, **COMMON}}
    text = speed_text({"speed": entries})
    assert text.count("Some CPU") == text.count("`python scripts/benchmark.py`") == 1
    assert text.startswith("On Some CPU") and text.count("Load average") == 2
    entries["inference 160"]["command"] = "another"
    text = speed_text({"speed": entries})
    assert text.count("Some CPU") == 2 and "Made by `another`." in text and not text.startswith("On")
    assert speed_text({"speed": entries}, ("training",)) == "" != speed_text({"speed": entries}, ("inference",))


def test_the_other_tables():
    stages = {
        "predictor": "openvino",
        "annotation_removal": False,
        "rounds": 5,
        "files": {
            "field": {
                "stages": {
                    "decode": {"milliseconds": figure(1.0), "share": 0.1},
                    "annotation removal": {"milliseconds": figure(0.0), "share": 0.0},
                    "network": {"milliseconds": figure(9.0), "share": 0.9},
                },
                "all": figure(10.0),
                "without_network": figure(1.0),
            }
        },
    }
    cold = {
        "rounds": 5,
        "rows": {
            "first answer, torch": {
                "seconds": figure(3.0),
                "seconds_inside": figure(2.9),
                "loaded": ["torch", "timm"],
            },
            "first answer, openvino": {"seconds": figure(1.0), "seconds_inside": figure(0.9), "loaded": []},
        },
    }
    memory = {
        "field_size": 224,
        "rows": [{"backend": "torch", "num_files": 10_000, "peak_megabytes": 812.3, "images_per_second": 12.34}],
    }
    training = {
        "image_size": 160,
        "batch_size": 16,
        "device": "cpu",
        "rounds": 5,
        "progressive_sizes": [96, 160],
        "rows": {"plain loop": {"times_plain": figure(1.0), "images_per_second": figure(2.0)}},
    }
    parity = {
        "model": "shipped checkpoint",
        "fields": "7 fields of Original",
        "reference": "torch",
        "margin": 0.01,
        "backends": {
            "openvino": {
                "num_fields": 7,
                "differing": {
                    "label": 1,
                    "probability": 2,
                    "set": 0,
                    "set_near_threshold": 3,
                    "verdict": 0,
                    "verdict_near_threshold": 0,
                    "fields": [{"file": f"{n}.jpg", "differs_in": ["set_near_threshold"]} for n in range(12)],
                },
                "largest_probability_difference": 2e-6,
                "map_difference": {"median": 1e-6, "largest": 1e-5, "num_above": 0},
                "lowest_map_correlation": 0.9999996,
            }
        },
    }
    entries = {"parity": parity, "stages": stages, "cold": cold, "memory": memory, "training": training}
    lines = speed_text({"speed": {name: {**entry, **COMMON} for name, entry in entries.items()}}).splitlines()
    assert "| decode | 1.00 (0.90-1.20) | 10 % |" in lines
    assert not any(line.startswith("| annotation removal") for line in lines)
    assert "| **all but the network** | 1.00 (0.90-1.20) | |" in lines
    assert "| first answer, torch | 3.00 (2.70-3.60) | 2.90 (2.61-3.48) | torch, timm |" in lines
    assert "| first answer, openvino | 1.00 (0.90-1.20) | 0.90 (0.81-1.08) | neither torch nor timm |" in lines
    assert "| torch | 10000 | 812 | 12.3 |" in lines
    assert "| plain loop | 1.00 (0.90-1.20) | 2.00 (1.80-2.40) |" in lines
    assert "Progressive: equal shares of the images at 96, 160 pixels." in lines
    assert "| openvino | 7 | 1 | 2 | 2.0e-06 | 0 (3) | 0 (0) | 1.0e-06, 1.0e-05 | 1.000000 |" in lines
    assert "- openvino: 9.jpg (set near threshold)" in lines and "- and 2 more, in results.json" in lines
    order = [next(n for n, line in enumerate(lines) if line.startswith(start)) for start in (
        "**From the bytes", "**A cold process", "**Peak memory", "**Training", "**Same answers"
    )]  # fmt: skip
    assert order == sorted(order)


def test_no_section_is_no_text():
    assert speed_text({}) == "" and speed_text({"protocols": {}}) == ""


def run(*arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


WRONG = {
    "rounds": (["--rounds", "0"], "--rounds is 0; give at least 1"),
    "image size": (["--image-size", "8"], "--image-size is 8; give at least 32"),
    "threads": (["--num-threads", "0"], "--num-threads is 0; give at least 1"),
    "source": (["--source", "nowhere"], "nowhere is no folder; give a folder of fields for --source"),
    "model": (["--model", "nowhere"], "nowhere is neither a folder here nor"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_arguments_are_one_sentence(fault, tmp_path):
    arguments, expected = WRONG[fault]
    done = run(*arguments, "--output", tmp_path / "out")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ") and expected in done.stderr.splitlines()[-1]


def test_the_script_measures_merges_and_writes(tiny_model, smear_folder, tmp_path):
    pytest.importorskip("onnxscript")
    tiny_model.save_pretrained(tmp_path / "model")
    output, results = tmp_path / "speed", tmp_path / "results.json"
    results.write_text(json.dumps({"data": {"kept": 1}, "speed": {}}))
    common = ["--model", tmp_path / "model", "--output", output, "--results", results, "--rounds", "2"]
    done = run(
        *common, "--inference-model", tmp_path / "model", "--source", smear_folder, "--num-threads", "1",
        "--sections", "inference", "stages", "parity",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = json.loads((output / "speed.json").read_text())
    merged = json.loads(results.read_text())
    assert merged["data"] == {"kept": 1} and merged["speed"] == written["speed"]
    assert list(written["speed"]) == ["inference 64", "stages", "parity"]
    inference = written["speed"]["inference 64"]
    rows = {row["name"]: row for row in inference["rows"]}
    assert rows[benchmark_variants.CAPTUM]["times_faster"][benchmark_variants.CAPTUM]["median"] == 1
    assert rows["leuk_hf, torch: logits and 4 maps"]["map_difference"] < 1e-5
    assert all("missing" in row or row["milliseconds"]["median"] > 0 for row in rows.values())
    assert inference["machine"]["threads"]["torch"] == 1 and inference["command"].startswith("python scripts/")
    parity = written["speed"]["parity"]
    assert parity["fields"] == f"8 fields of {smear_folder.name}" and len(parity["backends"]) >= 1
    assert all(not backend["differing"]["fields"] for backend in parity["backends"].values())
    text = (output / "speed.md").read_text()
    assert text.strip() == speed_text(written) and text.strip() in done.stdout
