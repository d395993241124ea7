"""Measure how well burnt-in annotation is found: recall by style on fields labelled by eye, and false alarms.

python scripts/measure_annotation.py --source leukemia/Original --clean bccd
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from leuk_hf.errors import DataError, LeukError

COVERED = 0.9  # share of an annotation's ink that has to be covered for it to count as found


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure.

    Args:
        source: Folder of the labelled fields, with the class folders Benign, Early, Pre and Pro.
        reference: Boxes by eye (JSON).
        clean: Folders of smears that are known to carry no annotation.
        results: File the figures are merged into, as data/annotation_removal; empty: print only.
    """

    source: Path
    reference: Path = Path("tests/reference/annotations.json")
    clean: tuple[Path, ...] = ()
    results: Path | None = None


def ink_of(field: np.ndarray, style: str) -> np.ndarray:
    """Tell the ink within a labelled box: red by hue, anything else by its neutral dark."""
    values = field.astype(int)
    if style == "small red":
        return values[..., 0] - values[..., 1:].max(axis=2) > 15
    return (values.max(axis=2) < 160) & (np.ptp(values, axis=2) < 40)


def share(hits: list[bool]) -> dict[str, Any]:
    """Give a share with its interval and count, as JSON types."""
    from leuk_hf.metrics import wilson_interval

    low, high = wilson_interval(sum(hits), len(hits))
    return {"num_fields": len(hits), "value": float(np.mean(hits)), "interval": [float(low), float(high)]}


def run(arguments: Arguments, command: str) -> dict[str, Any]:
    """Measure and write; gives the entry that goes into results.json."""
    from leuk_hf.annotation import annotation_mask, find_annotations, remove_annotation
    from leuk_hf.evaluation import merge_results
    from leuk_hf.image_io import SUFFIXES, load_image
    from leuk_hf.provenance import provenance

    try:
        reference = json.loads(arguments.reference.read_text(encoding="utf-8"))
        entries, free = reference["fields"], reference["free_of_annotation"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{arguments.reference} is no annotation reference ({error!r})") from error
    found: dict[str, list[bool]] = {}
    clean, untouched = [], []
    for entry in entries:
        field = load_image(arguments.source / entry["file"])
        mask, pixels = annotation_mask(field), np.asarray(field)
        for left, top, right, bottom in entry["boxes"]:
            window = np.s_[top:bottom, left:right]
            hit = mask[window][ink_of(pixels[window], entry["style"])].mean() >= COVERED
            found.setdefault(entry["style"], []).append(bool(hit))
        clean.append(bool(find_annotations(field.crop(free))))
        removed, boxes = remove_annotation(field)
        outside = np.ones(mask.shape, dtype=bool)
        for left, top, right, bottom in boxes:
            outside[top:bottom, left:right] = False
        untouched.append(bool((np.asarray(removed)[outside] == pixels[outside]).all()))
    alarms = {"crops of the labelled fields without their annotation": share(clean)}
    for folder in arguments.clean:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise DataError(f"{folder} holds no images")
        alarms[folder.name] = share([bool(find_annotations(load_image(path))) for path in paths])
    entry = {
        "recall": {style: share(hits) for style, hits in sorted(found.items())},
        "false_alarms": alarms,
        "untouched_outside_boxes": share(untouched),
        **provenance(command),
    }
    if arguments.results:
        merge_results(arguments.results, "data", "annotation_removal", entry)
    return entry


def table(entry: dict[str, Any]) -> str:
    """Write all figures as a Markdown table."""
    lines = ["| measure | fields | share | 95 % interval |", "|---|---|---|---|"]
    rows = {f"found, {style}": figure for style, figure in entry["recall"].items()}
    rows |= {f"false alarm, {name}": figure for name, figure in entry["false_alarms"].items()}
    rows["pixels outside the boxes bit-identical"] = entry["untouched_outside_boxes"]
    for name, figure in rows.items():
        low, high = figure["interval"]
        lines.append(f"| {name} | {figure['num_fields']} | {figure['value']:.3f} | {low:.3f} to {high:.3f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Parse, measure, print the table; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/measure_annotation.py")
    try:
        print(table(run(parsed, shlex.join(["python", "scripts/measure_annotation.py", *arguments]))))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
