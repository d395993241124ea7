"""Measure how fast leuk_hf is on this machine, beside what people use else, and whether its backends agree.

python scripts/benchmark.py                                        # everything, on synthetic smears

python scripts/benchmark.py --source leukemia/Original --results leuk_hf/checkpoint/results.json

python scripts/benchmark.py --sections inference --rounds 50       # one table again; the others stay

Ratios are taken within interleaved rounds, so that other work on the machine falls on all variants alike; yet the
quieter the machine, the better. Each section is written when it is done.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from leuk_hf import checkpoint_io
from leuk_hf.errors import ImageError, LeukError

if TYPE_CHECKING:
    from PIL import Image

    from leuk_hf.model import LeukDenseNet

Section = Literal["inference", "stages", "cold", "memory", "training", "parity"]
SECTIONS: tuple[Section, ...] = ("inference", "stages", "cold", "memory", "training", "parity")
PREDICT = Path(__file__).parent / "predict.py"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure.

    Args:
        image_size: Of the random DenseNet-121 in the table of inference, in pixels, at least 32.
        rounds: Rounds of the inference, stages, cold and training tables; of the last two at most 10.
        output: Folder for speed.json and speed.md, and for the exported graphs, which are kept.
        results: results.json to merge the figures into, as well.
        source: Folder of fields for stages, training and parity; empty: synthetic smears.
        model: Checkpoint folder for everything but inference; empty: LEUK_MODEL, else the shipped checkpoint.
        inference_model: Checkpoint folder to time in the inference table; empty: random weights.
        sections: What to measure; what was measured before stays.
        num_threads: Of one forward pass; empty: each engine's own choice.
        all: Also time bfloat16 where the processor emulates it.
        compile: Also time torch.compile.
        memory_files: Files for the largest run of the memory table; another run takes a tenth.
        parity_fields: Fields to compare the backends on, drawn by seed; 0: all.
        bfloat16_fields: Fields to compare torch in bfloat16 on where the processor emulates it; 0: none.
        progressive_sizes: Smaller sizes to time training at, in pixels.
        seed: Of weights, smears and orders.
    """

    image_size: int = 224
    rounds: int = 20
    output: Path = Path("results/speed")
    results: Path | None = None
    source: Path | None = None
    model: str | None = None
    inference_model: str | None = None
    sections: tuple[Section, ...] = SECTIONS
    num_threads: int | None = None
    all: bool = False
    compile: bool = False
    memory_files: int = 10_000
    parity_fields: int = 0
    bfloat16_fields: int = 0
    progressive_sizes: tuple[int, ...] = (96, 128)
    seed: int = 0


def check(arguments: Arguments) -> None:
    """Refuse options that cannot work before anything is measured."""
    least = {"image_size": 32, "rounds": 1, "memory_files": 10, "parity_fields": 0, "bfloat16_fields": 0, "seed": 0}
    for name, smallest in least.items():
        if getattr(arguments, name) < smallest:
            option = name.replace("_", "-")
            raise LeukError(f"--{option} is {getattr(arguments, name)}; give at least {smallest}")
    if arguments.num_threads is not None and arguments.num_threads < 1:
        raise LeukError(f"--num-threads is {arguments.num_threads}; give at least 1")
    if any(size < 32 for size in arguments.progressive_sizes):
        raise LeukError(f"--progressive-sizes are {arguments.progressive_sizes}; give at least 32")
    if not arguments.sections:
        raise LeukError(f"--sections names none; choose from {', '.join(SECTIONS)}")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise LeukError(f"{arguments.output} is a file; give a folder for --output")
    if arguments.source is not None and not arguments.source.is_dir():
        raise LeukError(f"{arguments.source} is no folder; give a folder of fields for --source")
    for source in (arguments.model or checkpoint_io.checkpoint_source(), arguments.inference_model):
        checkpoint_io.locate(source, checkpoint_io.CONFIG_NAME)


class Bench:
    """What the sections share: the options, the model, its export, and the fields.

    Args:
        arguments: Checked.
        scratch: Folder for files of this run.
        command: The command line, for the records.
    """

    def __init__(self, arguments: Arguments, scratch: Path, command: str) -> None:
        self.arguments, self.scratch, self.command = arguments, scratch, command
        self.source = arguments.model or checkpoint_io.checkpoint_source()
        self.model_name = self.source or "shipped checkpoint"

    def backends(self) -> tuple[str, ...]:
        """Name the backends that can be measured here."""
        can_export = is_installed("onnx") and is_installed("onnxscript")
        return ("torch", *(name for name in ("onnxruntime", "openvino") if can_export and is_installed(name)))

    def exported(self, source: str | Path | None) -> Path | None:
        """Export a checkpoint into the output folder, unless the same export lies there; None if nothing reads it."""
        if self.backends() == ("torch",):
            return None
        from leuk_hf.export import FORMATS, export_checkpoint
        from leuk_hf.export_record import OPENVINO_NAME, find_export
        from leuk_hf.model import LeukDenseNet
        from leuk_hf.provenance import provenance

        identity = LeukDenseNet.from_pretrained(source).identity()
        folder = self.arguments.output / "exported" / identity[:16]
        found = find_export(folder) if (folder / "export.json").is_file() else None
        formats = FORMATS if is_installed("openvino") else ("onnx",)
        if found is None or (
            found.content["identity"] != identity
            or found.content.get("versions") != provenance(None)["versions"]
            or (OPENVINO_NAME in found.content["graphs"]) != ("openvino" in formats)
        ):
            export_checkpoint(source, folder, formats=formats, command=self.command, report=say)
        return folder

    def files(self) -> list[str]:
        """List the fields: those of --source, else synthetic smears."""
        from leuk_hf.input_files import find_inputs
        from leuk_hf.synthetic import write_smears

        source = self.arguments.source
        if source is None:
            source = self.scratch / "smears"
            if not source.exists():
                write_smears(source, fields_per_class=8, seed=self.arguments.seed)
        files = list(find_inputs([str(source)], ()))
        if files == [str(source)]:
            raise LeukError(f"{source} holds no image; give a folder of fields for --source")
        return files

    def fields_name(self, count: int) -> str:
        """Say what the fields are, without a path of this machine."""
        return (
            f"{count} fields of {self.arguments.source.name}" if self.arguments.source else f"{count} synthetic smears"
        )


def measure_inference(bench: Bench) -> dict[str, Any]:
    """The table of the ways from pixel_values to an explained answer."""
    import numpy as np

    from leuk_hf import benchmark_inference
    from leuk_hf import benchmark_variants as variants
    from leuk_hf.benchmark import computes_in_bfloat16, cpu_features
    from leuk_hf.export import example_values
    from leuk_hf.model import LeukDenseNet

    arguments = bench.arguments
    if arguments.inference_model:
        source: str | Path = arguments.inference_model
        name = f"DenseNet-121 of {Path(source).name}"
    else:
        source = bench.scratch / f"random-{arguments.image_size}"
        variants.random_model(arguments.image_size, seed=arguments.seed).save_pretrained(source)
        name = "DenseNet-121 with random weights"
    model: LeukDenseNet = LeukDenseNet.from_pretrained(source)
    some = [example_values(model.preprocessor, seed=arguments.seed + number) for number in range(2)]
    pixel_values = np.concatenate(some)[: variants.BATCH_SIZE]
    entry = benchmark_inference.measure_inference(
        model,
        bench.exported(source),
        pixel_values,
        rounds=arguments.rounds,
        native_bfloat16=arguments.all or computes_in_bfloat16(cpu_features()),
        with_compile=arguments.compile,
        num_threads=arguments.num_threads,
        seed=arguments.seed,
        progress=True,
    )
    return {"model": name, **entry}


def measure_stages(bench: Bench) -> dict[str, Any]:
    """The table of the stages from bytes to overlay bytes, on the fastest backend."""
    from leuk_hf.backends import load_predictor
    from leuk_hf.benchmark_stages import example_files, measure_stages

    arguments = bench.arguments
    predictor = load_predictor(bench.exported(bench.source) or bench.source, num_threads=arguments.num_threads)
    files = example_files(seed=arguments.seed)
    entry = measure_stages(predictor, files, rounds=arguments.rounds, seed=arguments.seed, progress=True)
    return {"model": bench.model_name, **entry}


def measure_cold(bench: Bench) -> dict[str, Any]:
    """The table of cold processes."""
    from leuk_hf.benchmark_processes import cold_statements, measure_cold

    field = bench.scratch / "field.jpg"
    write_field(field, bench.arguments.seed)
    statements = cold_statements(bench.source, bench.exported(bench.source), field, bench.backends())
    rounds = min(bench.arguments.rounds, 10)
    return {
        "model": bench.model_name,
        **measure_cold(statements, rounds=rounds, seed=bench.arguments.seed, progress=True),
    }


def measure_memory(bench: Bench) -> dict[str, Any]:
    """The table of predict.py's peak memory, on few and on many files."""
    from leuk_hf.benchmark_processes import measure_memory, write_fields

    rows = []
    count = bench.arguments.memory_files
    for number in (count // 10, count):
        write_fields(bench.scratch / str(number), number, seed=bench.arguments.seed)
        for backend in bench.backends():
            say(f"predict.py on {number} files, {backend}")
            source = bench.source if backend == "torch" else str(bench.exported(bench.source))
            options = ("--backend", backend, *(("--model", source) if source else ()))
            found = measure_memory(PREDICT, bench.scratch / str(number), bench.scratch / "rows.jsonl", options=options)
            rows.append({"backend": backend, **found})
    return {"model": bench.model_name, "field_size": 224, "rows": rows}


def measure_training(bench: Bench) -> dict[str, Any]:
    """The table of training throughput."""
    import numpy as np

    from leuk_hf.benchmark import figure
    from leuk_hf.model import LeukDenseNet
    from leuk_hf.training_benchmark import PLAIN_LOOP, measure_training

    rounds = min(bench.arguments.rounds, 10)
    model = LeukDenseNet.from_pretrained(bench.source)
    size = model.preprocessor.image_size
    smaller = tuple(each for each in bench.arguments.progressive_sizes if each < size)
    architecture = {key: model.architecture[key] for key in ("growth_rate", "block_config")}
    say("training steps")
    found = measure_training(
        bench.files()[:64],
        image_size=size,
        rounds=rounds,
        progressive_sizes=(*smaller, size) if smaller else (),
        architecture=architecture,
        seed=bench.arguments.seed,
    )
    samples = {name: np.array(values) for name, values in found.pop("images_per_second").items()}
    rows = {
        name: {"images_per_second": figure(values), "times_plain": figure(values / samples[PLAIN_LOOP])}
        for name, values in samples.items()
    }
    return {"rounds": rounds, "rows": rows, **found}


def measure_parity(bench: Bench) -> dict[str, Any]:
    """Every field through every backend."""
    import numpy as np
    from tqdm.auto import tqdm

    from leuk_hf.backends import load_predictor
    from leuk_hf.benchmark import computes_in_bfloat16, cpu_features
    from leuk_hf.parity import compare

    arguments = bench.arguments
    files = bench.files()
    generator = np.random.default_rng(arguments.seed)
    if 0 < arguments.parity_fields < len(files):
        files = [files[index] for index in sorted(generator.permutation(len(files))[: arguments.parity_fields])]
    exported, threads = bench.exported(bench.source), arguments.num_threads
    reference = load_predictor(bench.source, backend="torch", device="cpu", precision="float32", num_threads=threads)
    others = {
        f"{backend}, float32": load_predictor(exported, backend=backend, precision="float32", num_threads=threads)
        for backend in bench.backends()
        if backend != "torch"
    }
    halved = load_predictor(bench.source, backend="torch", device="cpu", precision="bfloat16", num_threads=threads)
    native = computes_in_bfloat16(cpu_features())
    if native:
        others["torch, bfloat16"] = halved
        if "openvino, float32" in others:
            others["openvino, bfloat16"] = load_predictor(
                exported, backend="openvino", precision="bfloat16", num_threads=threads
            )
    unreadable: list[str] = []
    root = str(arguments.source or bench.scratch / "smears")

    def fields(names: list[str]) -> Iterator[tuple[str, Image.Image]]:
        from leuk_hf.image_io import load_image

        for name in tqdm(names, unit="field", desc="Comparing"):
            try:
                yield Path(name).relative_to(root).as_posix(), load_image(name)
            except ImageError as error:
                unreadable.append(str(error))

    entry: dict[str, Any] = {"reference": reference.description, "margin": 0.01, "backends": {}}
    if others:
        entry = compare(reference, others, fields(files))
    if not native and arguments.bfloat16_fields:
        count = min(arguments.bfloat16_fields, len(files))
        some = [files[index] for index in sorted(generator.permutation(len(files))[:count])]
        entry["backends"].update(compare(reference, {"torch, bfloat16, emulated": halved}, fields(some))["backends"])
    if not entry["backends"]:
        raise LeukError('only torch is installed, so there is nothing to compare; run: pip install -e ".[benchmark]"')
    name = bench.fields_name(len(files) - len(set(unreadable)))
    return {"model": bench.model_name, "fields": name, "unreadable": len(set(unreadable)), **entry}


def is_installed(package: str) -> bool:
    """Tell whether a package can be imported."""
    import importlib.util

    return importlib.util.find_spec(package) is not None


def write_field(path: Path, seed: int) -> None:
    """Write one synthetic field as JPEG."""
    from leuk_hf.benchmark_stages import jpeg_bytes
    from leuk_hf.synthetic import render_smear

    path.write_bytes(jpeg_bytes(render_smear("Pre-B", seed=seed)))


def say(step: str) -> None:
    """Tell on standard error what is being done."""
    print(f"{step} ...", file=sys.stderr)


MEASURES: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "inference": measure_inference,
    "stages": measure_stages,
    "cold": measure_cold,
    "memory": measure_memory,
    "training": measure_training,
    "parity": measure_parity,
}


def run(arguments: Arguments, command: str) -> str:
    """Measure section by section and write each; gives the tables."""
    import torch

    from leuk_hf.benchmark import describe_machine, load_average
    from leuk_hf.evaluation import check_results, merge_results
    from leuk_hf.files import write_text
    from leuk_hf.provenance import provenance
    from leuk_hf.speed_tables import speed_text

    targets = [arguments.output / "speed.json", *([arguments.results] if arguments.results else [])]
    for target in targets:
        check_results(target)
    if arguments.num_threads is not None:
        torch.set_num_threads(arguments.num_threads)
    start = load_average()  # once: what the first section leaves behind is no other work
    with tempfile.TemporaryDirectory(prefix="leuk-hf-benchmark-") as scratch:
        bench = Bench(arguments, Path(scratch), command)
        for section in SECTIONS:
            if section not in arguments.sections:
                continue
            say(f"measuring {section}")
            entry = {
                **MEASURES[section](bench),
                "machine": describe_machine(num_threads=arguments.num_threads),
                "load_average": [start, load_average()],
                **provenance(command),
            }
            name = f"{section} {entry['image_size']}" if section == "inference" else section
            for target in targets:
                merge_results(target, "speed", name, entry)
            text = speed_text(check_results(targets[0]))
            write_text(arguments.output / "speed.md", text + "\n")
    return text


def main(arguments: list[str]) -> int:
    """Parse, measure, print the tables; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[benchmark]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/benchmark.py")
    try:
        check(parsed)
        text = run(parsed, shlex.join(["python", "scripts/benchmark.py", *arguments]))
    except KeyboardInterrupt:
        print("stopped; the sections that were done are written", file=sys.stderr)
        return 130
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(text)
    print(f"\nwritten to {parsed.output / 'speed.json'} and {parsed.output / 'speed.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
