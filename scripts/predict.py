"""Classify images: a table on screen, CSV, JSONL, overlays.

python scripts/predict.py field.jpg "more/*.png" folder/ --jsonl predictions.jsonl --overlays overlays/
find fields -name "*.jpg" | python scripts/predict.py - --jsonl -

A file that cannot be used is reported in its own row; the exit code is 1 if there was any, else 0.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import glob
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

from leuk_hf.errors import ImageError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to classify.

    Args:
        paths: Files, folders (searched for images), globs, or - for a list of paths on standard input.
        model: Checkpoint folder or Hub id; empty: LEUK_MODEL, else the shipped checkpoint.
        revision: Branch, tag or commit when model is a Hub id.
        jsonl: One JSON object per image; - for standard output instead of the table.
        csv: One row per image.
        overlays: Folder for one Grad-CAM overlay PNG per image.
        target: Class to explain in the overlays; empty: the predicted one.
        layer: Layer to explain, such as denseblock3; empty: the model's default.
        opacity: Of the heatmap in the overlays, in [0, 1].
        batch_size: Images per forward pass.
    """

    paths: tuple[str, ...]
    model: str | None = None
    revision: str | None = None
    jsonl: str | None = None
    csv: Path | None = None
    overlays: Path | None = None
    target: str | None = None
    layer: str | None = None
    opacity: float = 0.45
    batch_size: int = 8


def find_inputs(paths: tuple[str, ...], listed: IO[str]) -> list[str]:
    """Expand folders, globs and the list behind "-" to files, in order; unknown names stay, to be reported.

    Args:
        paths: As typed.
        listed: Read for "-", one path a line.
    """
    from leuk_hf.image_io import SUFFIXES

    found: list[str] = []
    for path in paths:
        if not path.strip():
            found.append(path)  # an unset shell variable must not mean "everything here"
        elif path == "-":
            found += [line.strip() for line in listed if line.strip()]
            continue
        try:
            is_folder, exists = Path(path).is_dir(), Path(path).exists()
        except OSError:  # too long a name, a folder that may not be entered: reported in its row
            found.append(path)
            continue
        if is_folder:
            inside = [file for file in sorted(Path(path).rglob("*")) if file.suffix.lower() in SUFFIXES]
            found += [str(file) for file in inside if file.is_file()] or [path]
        elif not exists and glob.has_magic(path):
            found += sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 - absolute patterns too
        else:
            found.append(path)
    return found


def classify(model: Any, files: list[str], arguments: Arguments) -> Iterator[dict[str, Any]]:
    """Give one row per file, in order: file, the fields of `Prediction`, and error."""
    from leuk_hf.image_io import load_image
    from leuk_hf.prediction import predict

    for start in range(0, len(files), arguments.batch_size):
        names = files[start : start + arguments.batch_size]
        images: dict[int, Any] = {}
        rows: list[dict[str, Any]] = [empty_row(name) for name in names]
        for index, name in enumerate(names):
            try:
                images[index] = load_image(name)
            except ImageError as error:
                rows[index]["error"] = str(error)
        predictions = predict(model, list(images.values()), batch_size=arguments.batch_size) if images else []
        for (index, image), prediction in zip(images.items(), predictions, strict=True):
            rows[index].update(prediction.to_dict())
            if arguments.overlays:
                path = overlay_path(arguments.overlays, start + index, names[index])
                try:
                    write_overlay(model, image, path, arguments)
                except OSError as error:
                    rows[index]["error"] = f"the overlay {path} cannot be written ({error.strerror})"
        yield from rows


def empty_row(name: str) -> dict[str, Any]:
    """Give the row of a file that could not be classified; `error` is filled in later."""
    return {
        "file": name,
        "label": None,
        "probabilities": None,
        "prediction_set": None,
        "in_distribution_score": None,
        "answered": False,
        "reasons": [],
        "error": None,
    }


def overlay_path(folder: Path, index: int, name: str) -> Path:
    """Number the overlays: two inputs may have the same file name."""
    return folder / f"{index + 1:05d}-{Path(name).stem[:60]}.png"


def write_overlay(model: Any, image: Any, path: Path, arguments: Arguments) -> None:
    """Explain one image and write its overlay as PNG."""
    from leuk_hf.explanation import explain
    from leuk_hf.files import replacing

    explanation = explain(model, image, target=arguments.target, layer=arguments.layer)
    with replacing(path) as temporary:
        explanation.overlay(image, opacity=arguments.opacity).save(temporary)


def check(arguments: Arguments) -> None:
    """Refuse options that cannot work before anything is classified."""
    if arguments.batch_size < 1:
        raise LeukError(f"--batch-size is {arguments.batch_size}; give at least 1")
    if not 0 <= arguments.opacity <= 1:
        raise LeukError(f"--opacity is {arguments.opacity}; give a value in [0, 1]")
    if not arguments.overlays and (arguments.target or arguments.layer):
        raise LeukError("--target and --layer choose what overlays show; give --overlays FOLDER too")
    jsonl = Path(arguments.jsonl) if arguments.jsonl not in (None, "-") else None
    for path in (jsonl, arguments.csv):
        if path is not None and path.is_dir():
            raise LeukError(f"{path} is a folder; give a file to write")
    if jsonl is not None and arguments.csv is not None and jsonl.resolve() == arguments.csv.resolve():
        raise LeukError(f"--jsonl and --csv name the same file {jsonl}; give two")
    if arguments.overlays is not None and arguments.overlays.exists() and not arguments.overlays.is_dir():
        raise LeukError(f"{arguments.overlays} is a file; give a folder for the overlays")


def run(arguments: Arguments) -> int:
    """Classify all inputs, writing each row as soon as it is known; gives the number of failed inputs."""
    from tqdm.auto import tqdm

    from leuk_hf.files import replacing
    from leuk_hf.prediction import load_predictor

    check(arguments)
    files = find_inputs(arguments.paths, sys.stdin)
    if not files:
        raise LeukError("no images given; name files, folders or globs, or - for a list on standard input")
    model = load_predictor(arguments.model, revision=arguments.revision)
    if arguments.target is not None and arguments.target not in model.class_names:
        raise LeukError(f"there is no class {arguments.target!r}; choose one of {', '.join(model.class_names)}")
    if arguments.layer is not None and arguments.layer not in model.cam_layers:
        raise LeukError(f"there is no layer {arguments.layer!r}; choose one of {', '.join(model.cam_layers)}")
    failed = 0
    with contextlib.ExitStack() as stack:

        def opened(path: Path) -> IO[str]:
            temporary = stack.enter_context(replacing(path))
            return stack.enter_context(temporary.open("w", encoding="utf-8", errors="backslashreplace", newline=""))

        to_screen = arguments.jsonl == "-"
        jsonl = sys.stdout if to_screen else opened(Path(arguments.jsonl)) if arguments.jsonl else None
        table = csv.writer(opened(arguments.csv), lineterminator="\n") if arguments.csv else None
        if table:
            probability_columns = [f"probability {name}" for name in model.class_names]
            table.writerow(["file", "label", *probability_columns, *list(empty_row(""))[3:]])
        show_bar = len(files) > arguments.batch_size and sys.stderr.isatty()
        for row in tqdm(classify(model, files, arguments), total=len(files), unit="image", disable=not show_bar):
            failed += row["error"] is not None
            if jsonl:
                jsonl.write(json.dumps(row) + "\n")
            if table:
                table.writerow(csv_row(row, model.class_names))
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
    return [f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value for value in values]


def screen_line(row: dict[str, Any]) -> str:
    """Write one row for people: file, class and all probabilities, or what is wrong."""
    name = " ".join(row["file"].splitlines())
    if row["error"]:
        return f"{name}  ERROR  {row['error']}"
    shares = "  ".join(f"{name} {value:.3f}" for name, value in row["probabilities"].items())
    notes = "".join(f"\n    note: {reason}" for reason in row["reasons"])
    return f"{name}  {row['label']}  [{shares}]{notes}"


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
        failed = run(parsed)
    except BrokenPipeError:
        return 0
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if failed:
        print(f"{failed} input(s) could not be classified; see their rows", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
