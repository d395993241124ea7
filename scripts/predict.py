"""Classify images: a table on screen, CSV, JSONL, overlays.

python scripts/predict.py field.jpg "more/*.png" folder/ --jsonl predictions.jsonl --overlays overlays/

find fields -name "*.jpg" | python scripts/predict.py - --jsonl -

A file that cannot be used is reported in its own row; the exit code is 1 if there was any, else 0. With --jsonl FILE
or --csv FILE a run can be stopped at any moment: the same command goes on where it was, to the same files.

Several processes: accelerate launch --multi_gpu scripts/predict.py ...; on CPUs ACCELERATE_USE_CPU=true torchrun
--nproc_per_node 2 scripts/predict.py .... On several machines the output folder must be one that all of them share.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from leuk_hf.errors import LeukError

if TYPE_CHECKING:
    from leuk_hf.backends import Predictor
    from leuk_hf.batch_prediction import OverlayOptions
    from leuk_hf.processes import Processes


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to classify.

    Args:
        paths: Files, folders (searched for images), globs, or - for a list of paths on standard input.
        model: Checkpoint folder, exported folder or Hub id; empty: LEUK_MODEL, else the shipped checkpoint.
        revision: Branch, tag or commit when model is a Hub id.
        backend: auto, torch, onnxruntime or openvino; auto takes the fastest that is installed and fits the model.
        jsonl: One JSON object per image; - for standard output instead of the table.
        csv: One row per image.
        overlays: Folder for one Grad-CAM overlay PNG per image.
        target: Class to explain in the overlays; empty: the predicted one.
        layer: Layer to explain, such as denseblock3; empty: the model's default.
        opacity: Of the heatmap in the overlays, in [0, 1].
        batch_size: Images per forward pass.
        workers: Threads that decode images and write overlays; empty: one per core, at most 8.
        restart: Throw away what an unfinished run with the same output has left, instead of going on with it.
    """

    paths: tuple[str, ...]
    model: str | None = None
    revision: str | None = None
    backend: str = "auto"
    jsonl: str | None = None
    csv: Path | None = None
    overlays: Path | None = None
    target: str | None = None
    layer: str | None = None
    opacity: float = 0.45
    batch_size: int = 8
    workers: int | None = None
    restart: bool = False


def check(arguments: Arguments) -> None:
    """Refuse options that cannot work before anything is classified."""
    if arguments.batch_size < 1:
        raise LeukError(f"--batch-size is {arguments.batch_size}; give at least 1")
    if arguments.workers is not None and arguments.workers < 1:
        raise LeukError(f"--workers is {arguments.workers}; give at least 1")
    if not 0 <= arguments.opacity <= 1:
        raise LeukError(f"--opacity is {arguments.opacity}; give a value in [0, 1]")
    if not arguments.overlays and (arguments.target or arguments.layer):
        raise LeukError("--target and --layer choose what overlays show; give --overlays FOLDER too")
    jsonl = jsonl_file(arguments)
    for path in (jsonl, arguments.csv):
        if path is not None and path.is_dir():
            raise LeukError(f"{path} is a folder; give a file to write")
    if jsonl is not None and arguments.csv is not None and jsonl.resolve() == arguments.csv.resolve():
        raise LeukError(f"--jsonl and --csv name the same file {jsonl}; give two")
    if arguments.overlays is not None and arguments.overlays.exists() and not arguments.overlays.is_dir():
        raise LeukError(f"{arguments.overlays} is a file; give a folder for the overlays")
    for path in arguments.paths if arguments.overlays else ():
        if path.strip() and Path(path).is_dir() and arguments.overlays.resolve().is_relative_to(Path(path).resolve()):
            raise LeukError(
                f"the overlays would go into the input folder {path} and be inputs the next time; give --overlays a"
                " folder outside it"
            )


def jsonl_file(arguments: Arguments) -> Path | None:
    """Give the file that --jsonl names, if it is one."""
    return None if arguments.jsonl in (None, "-") else Path(arguments.jsonl)


def overlay_options(arguments: Arguments, predictor: Predictor) -> OverlayOptions | None:
    """Check and fill in what the overlays show; None when there are none."""
    from leuk_hf.batch_prediction import OverlayOptions

    layers = predictor.cam_layers
    layer = arguments.layer or (predictor.cam_layer if predictor.cam_layer in layers else predictor.map_layer)
    if arguments.target is not None and arguments.target not in predictor.class_names:
        raise LeukError(f"there is no class {arguments.target!r}; choose one of {', '.join(predictor.class_names)}")
    if layer not in layers:
        raise LeukError(f"there is no layer {layer!r}; choose one of {', '.join(layers)}")
    return arguments.overlays and OverlayOptions(arguments.overlays, arguments.target, layer, arguments.opacity)


def run(arguments: Arguments, processes: Processes) -> int:
    """Classify all inputs; gives the number of failed ones (in the main process)."""
    from leuk_hf.backends import load_predictor
    from leuk_hf.batch_prediction import run_identity
    from leuk_hf.input_files import find_inputs
    from leuk_hf.prediction_store import PredictionStore

    output = jsonl_file(arguments) or arguments.csv
    is_main = processes.index == 0
    if processes.count > 1 and output is None:
        raise LeukError("several processes cannot share standard output; give --jsonl FILE or --csv FILE")
    left_out: Counter[str] = Counter()
    files = find_inputs(arguments.paths, sys.stdin, left_out=left_out) if is_main else iter(())
    first = list(itertools.islice(files, 1))
    if is_main and not first:
        raise LeukError("no images given; name files, folders or globs, or - for a list on standard input")
    predictor = load_predictor(
        arguments.model,
        backend=arguments.backend,
        revision=arguments.revision,
        device=processes.device,
        num_threads=processes.num_threads,
    )
    overlays = overlay_options(arguments, predictor)
    with unfinished_folder(output) as folder:
        every = {"is_complete": overlays.are_written} if overlays else {}
        store = PredictionStore(folder, part=processes.index, **every)
        identity = run_identity(predictor, arguments.batch_size, overlays)
        if is_main:
            store.begin(identity, itertools.chain(first, files), restart=arguments.restart)
            print(f"backend: {predictor.description}", file=sys.stderr)
            for path, count in left_out.items():
                print(left_out_line(path, count), file=sys.stderr)
        processes.wait()
        store.check(identity)
        failed = answer(arguments, processes, predictor, store, overlays)
        if is_main:
            store.remove()
        processes.wait()
    return failed


def left_out_line(folder: str, count: int) -> str:
    """Say how many files of a folder are passed over."""
    if count == 1:
        return f"1 file in {folder} is no image by its name and was left out"
    return f"{count} files in {folder} are no images by their names and were left out"


@contextlib.contextmanager
def unfinished_folder(output: Path | None) -> Iterator[Path]:
    """Give the folder for unfinished work: beside the output file, or a temporary one without output file."""
    if output is not None:
        yield output.with_name(f"{output.name}.partial")
        return
    with tempfile.TemporaryDirectory(prefix="leuk-hf-") as temporary:
        yield Path(temporary) / "partial"


def answer(
    arguments: Arguments,
    processes: Processes,
    predictor: Predictor,
    store: Any,
    overlays: OverlayOptions | None,
) -> int:
    """Answer what the store lacks and write all rows; gives the number of failed inputs."""
    from tqdm.auto import tqdm

    from leuk_hf.batch_prediction import answer_batches
    from leuk_hf.prediction_store import joined_rows, share_of
    from leuk_hf.processes import available_cores

    store.load()
    number, share = share_of(store, arguments.batch_size, processes)
    processes.wait()  # nobody may add rows before everybody knows which are missing
    before = sum(len(batch.names) for batch in store.batches(arguments.batch_size) if batch in store)
    if processes.index == 0 and before:
        print(f"going on: {before} images were answered before", file=sys.stderr)
    workers = arguments.workers or min(8, processes.num_threads or available_cores())
    show_bar = processes.index == 0 and number > arguments.batch_size and sys.stderr.isatty()
    name = f"process 1 of {processes.count}" if processes.count > 1 else None
    with tqdm(total=number, unit="image", desc=name, disable=not show_bar) as bar:

        def recorded() -> Iterator[Any]:
            for batch, rows in answer_batches(predictor, share, overlays=overlays, workers=workers):
                if jsonl_file(arguments) or arguments.csv:  # else nobody could go on with them
                    store.append(batch, rows)
                bar.update(len(rows))
                yield batch, rows

        rows = joined_rows(store, arguments.batch_size, recorded(), processes)
        if processes.index > 0:
            return len(list(rows))  # none: the main process has them
        return write_rows(rows, arguments, predictor.class_names)


def write_rows(rows: Iterable[dict[str, Any]], arguments: Arguments, class_names: tuple[str, ...]) -> int:
    """Write every row where it was asked for; gives the number of failed inputs."""
    from tqdm.auto import tqdm

    from leuk_hf.batch_prediction import empty_row
    from leuk_hf.prediction_store import publishing

    failed = 0
    with contextlib.ExitStack() as stack:
        to_screen = arguments.jsonl == "-"
        path = jsonl_file(arguments)
        jsonl = sys.stdout if to_screen else stack.enter_context(publishing(path)) if path else None
        table = None
        if arguments.csv:
            table = csv.writer(stack.enter_context(publishing(arguments.csv)), lineterminator="\n")
            probability_columns = [f"probability {name}" for name in class_names]
            table.writerow(["file", "label", *probability_columns, *list(empty_row(""))[3:]])
        for row in rows:
            failed += row["error"] is not None
            if jsonl:
                jsonl.write(json.dumps(row) + "\n")
            if table:
                table.writerow(csv_row(row, class_names))
            if not to_screen:
                tqdm.write(screen_line(row), file=sys.stdout)
    return failed


def csv_row(row: dict[str, Any], class_names: tuple[str, ...]) -> list[Any]:
    """Flatten a row for the CSV file, defusing text a spreadsheet would run as a formula."""
    probabilities = row["probabilities"] or dict.fromkeys(class_names, "")
    values = [
        row["file"],
        row["label"],
        *probabilities.values(),
        " | ".join(row["prediction_set"] or ()),
        row["in_distribution_score"],
        row["answered"],
        " ".join(row["reasons"]),
        row["error"],
    ]
    return [f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value for value in values]


def screen_line(row: dict[str, Any]) -> str:
    """Write one row for people: file, class and all probabilities, whether it is refused, or what is wrong."""
    name = " ".join(row["file"].splitlines())
    if row["error"]:
        return f"{name}  ERROR  {row['error']}"
    shares = "  ".join(f"{name} {value:.3f}" for name, value in row["probabilities"].items())
    notes = "".join(f"\n    note: {reason}" for reason in row["reasons"])
    refused = "" if row["answered"] else "REFUSED, most probable "
    several = row["prediction_set"] or ()
    among = f"  one of {', '.join(several)}" if len(several) > 1 else ""
    return f"{name}  {refused}{row['label']}  [{shares}]{among}{notes}"


def main(arguments: list[str]) -> int:
    """Parse and run; the exit code is 0, 1 if an input failed, or 2 for a mistake in the command."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):  # file names need not be text the terminal knows
        stream.reconfigure(errors="backslashreplace")
    positional = Annotated[Arguments, tyro.conf.arg(name="")]
    config = (tyro.conf.PositionalRequiredArgs,)
    parsed = tyro.cli(positional, args=arguments, description=__doc__, prog="scripts/predict.py", config=config)
    try:
        check(parsed)
        from leuk_hf.processes import joined_processes

        with joined_processes() as processes:
            failed = run(parsed, processes)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was if --jsonl or --csv names a file", file=sys.stderr)
        return 130
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if failed:
        print(f"{failed} input(s) could not be classified; see their rows", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
