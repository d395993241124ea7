"""Measure the leukocyte masks against outlines drawn by eye, beside a plain baseline and the data set's own masks.

python scripts/measure_segmentation.py --source leukemia/Original
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from leuk_hf.errors import DataError, LeukError
from leuk_hf.segmentation_evaluation import FIGURES, MARGIN, Field, measure, read_fields, summarise

SMALLEST = 45  # pixels; smaller regions of the masks compared with are not counted as cells
Segmenter = Callable[[np.ndarray, str], "np.ndarray | None"]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure.

    Args:
        source: Folder of the fields with the class folders Benign, Early, Pre and Pro; the data set authors' masks are
            looked for beside it, in ../Segmented.
        reference: Folder of outline files, one JSON file a class.
        results: File the figures are merged into, as data/leukocyte_segmentation; empty: print only.
        failures: PNG of the worst fields with both outlines. It shows images of the data, so keep it out of commits.
        part: Fields to measure: odd (by index in the file, not used for tuning), even (used for tuning) or all.
        num_failures: Fields on that page.
        seed: Of the bootstrap.
    """

    source: Path
    reference: Path = Path("tests/reference/leukocytes")
    results: Path | None = None
    failures: Path | None = None
    part: str = "odd"
    num_failures: int = 12
    seed: int = 0


def otsu_mask(image: np.ndarray) -> np.ndarray:
    """Baseline: Otsu's threshold (Otsu 1979) on the blurred a* channel of LAB, the channel from green to magenta."""
    channel = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 1], (0, 0), 2)
    return cv2.threshold(channel, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1] > 0


def authors_mask(source: Path, name: str) -> np.ndarray | None:
    """Read the data set authors' mask of a field: what is not black in their picture; None without one."""
    picture = cv2.imread(str(source.resolve().parent / "Segmented" / name))
    # JPEG leaves traces of up to about ten steps in what was black.
    return None if picture is None else picture.max(axis=2) > 20


def table(methods: dict[str, dict[str, Any]]) -> str:
    """Write all figures as a Markdown table, intervals in brackets."""
    lines = [
        f"| Method | Class | Fields | Dice | Count error | Signed | Covered within {MARGIN} px | Cells found |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for method, summary in methods.items():
        for group, entry in summary.items():
            cells = [_cell(entry[figure]) for figure in FIGURES]
            lines.append(f"| {method} | {group} | {entry['num_fields']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "n/a"
    low, high = figure["interval"]
    return f"{figure['value']:.3f} [{low:.3f}, {high:.3f}]"


def write_failures(path: Path, fields: list[Field], masks: list[np.ndarray], values: list[float], count: int) -> None:
    """Draw the fields of the lowest Dice, enlarged: reference red, burst or unclear orange, mask green."""
    from leuk_hf.files import replacing

    tiles = []
    for index in np.argsort(values, kind="stable")[:count]:
        field, scale = fields[index], 3
        tile = cv2.resize(field.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for mask, colour in ((field.ignored, (255, 150, 0)), (field.true, (255, 0, 0)), (masks[index], (0, 220, 0))):
            large = cv2.resize(mask.astype(np.uint8), tile.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(tile, contours, -1, colour, 1)
        cv2.putText(tile, f"{field.name} {values[index]:.3f}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1)
        tiles.append(cv2.resize(tile, (672, 672)))
    columns = min(4, len(tiles))
    tiles += [np.full((672, 672, 3), 255, dtype=np.uint8)] * (-len(tiles) % columns)
    page = np.vstack([np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)])
    with replacing(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(page, cv2.COLOR_RGB2BGR))


def run(arguments: Arguments, command: str) -> dict[str, Any]:
    """Measure and write; gives the entry that goes into results.json."""
    from leuk_hf.cells import segment_leukocytes
    from leuk_hf.provenance import provenance

    if arguments.seed < 0:
        raise DataError(f"seed is {arguments.seed}; give a whole number of at least 0")
    if arguments.num_failures < 1:
        raise DataError(f"num_failures is {arguments.num_failures}; give at least 1")
    fields = read_fields(arguments.reference, arguments.source, arguments.part)
    segmenters: dict[str, Segmenter] = {
        "leuk_hf": lambda image, name: segment_leukocytes(image),
        "otsu_blurred_a": lambda image, name: otsu_mask(image),
        "data_set_authors": lambda image, name: authors_mask(arguments.source, name),
    }
    methods = {}
    for method, segmenter in segmenters.items():
        masks = [segmenter(field.image, field.name) for field in fields]
        pairs = [(field, mask) for field, mask in zip(fields, masks, strict=True) if mask is not None]
        if not pairs:
            continue
        smallest = 0 if method == "leuk_hf" else SMALLEST
        rows = [measure(field, mask, smallest) for field, mask in pairs]
        methods[method] = summarise(np.array([field.group for field, _ in pairs]), rows, arguments.seed)
        if method == "leuk_hf" and arguments.failures:
            found = [mask for _, mask in pairs]
            values = [row["dice"] for row in rows]
            write_failures(arguments.failures, fields, found, values, arguments.num_failures)
    entry = {"part": arguments.part, "margin": MARGIN, "methods": methods, **provenance(command)}
    if arguments.results:
        from leuk_hf.evaluation import merge_results

        merge_results(arguments.results, "data", "leukocyte_segmentation", entry)
    return entry


def main(arguments: list[str]) -> int:
    """Parse, measure, print the table; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/measure_segmentation.py")
    try:
        entry = run(parsed, shlex.join(["python", "scripts/measure_segmentation.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(entry["methods"]))
    if parsed.results:
        print(f"\nwritten to {parsed.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
