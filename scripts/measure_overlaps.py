"""Measure how well overlapping fields are found: on windows with known shifts, and on real pairs judged by eye.

python scripts/measure_overlaps.py --canvases 200                                  # windows of synthetic scenes

python scripts/measure_overlaps.py --source leukemia/Original --canvases 200       # windows of real fields

python scripts/measure_overlaps.py --source leukemia/Original --reference tests/reference/overlaps.csv
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image

from leuk_hf.errors import DataError, LeukError
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.overlap_features import WORKING_SIZE, describe_field
from leuk_hf.overlaps import find_overlaps
from leuk_hf.synthetic import APPEARANCES, render_smear

BINS = (0.12, 0.25, 0.35, 0.5, 0.7, 1.01)

COUNTS = ("red_cell_count", "leukocyte_count", "smudge_count")
RADII = ("red_cell_radius", "leukocyte_radius")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure.

    Args:
        source: Folder of real fields; empty: synthetic scenes.
        reference: Pairs judged by eye (CSV with the columns first, second, overlap); empty: windows.
        canvases: Scenes or fields; one pair of windows is cut from each.
        rotation: Of the second window, up to this many degrees.
        scale: Of the second window, up to this share.
        results: File the figures are merged into, in the section data; empty: print only.
        seed: Of the windows.
    """

    source: Path | None = None
    reference: Path | None = None
    canvases: int = 60
    rotation: float = 3.0
    scale: float = 0.02
    results: Path | None = None
    seed: int = 0


def synthetic_canvases(count: int) -> Iterator[np.ndarray]:
    """Render scenes of 2.5 x 2.5 fields: 6 times the cells, each as large in pixels as in a field of 224."""
    for name in CLASS_NAMES:
        look = APPEARANCES[name]
        APPEARANCES[f"wide {name}"] = dataclasses.replace(
            look,
            **{key: tuple(round(6.25 * value) for value in getattr(look, key)) for key in COUNTS},
            **{key: tuple(value / 2.5 for value in getattr(look, key)) for key in RADII},
        )
    for seed in range(count):
        yield np.asarray(render_smear(f"wide {CLASS_NAMES[seed % len(CLASS_NAMES)]}", seed=seed, image_size=560))


def real_canvases(source: Path, count: int, seed: int) -> Iterator[np.ndarray]:
    """Read random fields, without those that overlap another one; they are whole scenes, so windows are enlarged."""
    paths, fields = sorted(source.rglob("*.jpg")), []
    for index in sorted(default_rng(seed).choice(len(paths), min(count, len(paths)), replace=False)):
        with Image.open(paths[index]) as field:
            fields.append(np.asarray(field.convert("RGB").resize((224, 224)).crop((0, 0, 224, 190))))  # no scale bar
    links = find_overlaps([describe_field(field, np.zeros((190, 224), dtype=bool)) for field in fields])
    repeated = {link.second for link in links}
    print(f"{len(repeated)} fields left out because they show a place of another field")
    yield from (field for index, field in enumerate(fields) if index not in repeated)


def degrade(window: np.ndarray, rng: Generator) -> np.ndarray:
    """Another capture: light, white balance, focus, noise, JPEG."""
    changed = cv2.GaussianBlur(window, (0, 0), rng.uniform(0.3, 2.0)).astype(np.float32)
    changed = changed * rng.uniform(0.75, 1.15) * rng.uniform(0.93, 1.07, 3) + rng.uniform(-15, 15)
    changed = np.clip(changed + rng.normal(0, rng.uniform(1, 5), changed.shape), 0, 255).astype(np.uint8)
    encoded = cv2.imencode(".jpg", changed[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 92))])[1]
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]


def cut_pair(canvas: np.ndarray, rng: Generator, *, rotation: float, scale: float) -> tuple[list, np.ndarray, float]:
    """Two degraded windows with a random overlap; the second one's centre seen from the first, and the share."""
    height, width = canvas.shape[:2]
    edge = WORKING_SIZE if min(height, width) > 2 * WORKING_SIZE else int(0.68 * min(height, width))
    while True:
        corners = rng.uniform((0, 0), (width - edge, height - edge), (2, 2))
        shift = corners[1] - corners[0]
        share = float(np.prod(np.clip(1 - np.abs(shift) / edge, 0, 1)))
        if share >= BINS[0]:
            break
    windows = []
    for index, corner in enumerate(corners):
        turn, zoom = (rng.uniform(-rotation, rotation), rng.uniform(1 - scale, 1 + scale)) if index else (0.0, 1.0)
        matrix = cv2.getRotationMatrix2D(tuple((corner + (edge - 1) / 2).tolist()), turn, zoom * WORKING_SIZE / edge)
        matrix[:, 2] += (WORKING_SIZE - 1) / 2 - (corner + (edge - 1) / 2)
        size = (WORKING_SIZE, WORKING_SIZE)
        cut = cv2.warpAffine(canvas, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        windows.append(degrade(cut, rng))
    return windows, shift * WORKING_SIZE / edge, share


def measure(canvases: Iterator[np.ndarray], seed: int, rotation: float, scale: float) -> dict[str, Any]:
    """Find the overlaps of windows with known shifts: precision, and recall and shift error by overlap."""
    from leuk_hf.metrics import wilson_interval

    rng, features, truth = default_rng(seed), [], {}
    nothing = np.zeros((WORKING_SIZE, WORKING_SIZE), dtype=bool)
    for canvas in canvases:
        windows, shift, share = cut_pair(canvas, rng, rotation=rotation, scale=scale)
        truth[(len(features), len(features) + 1)] = (shift, share)
        features += [describe_field(window, nothing) for window in windows]
    found = {(link.first, link.second): link for link in find_overlaps(features, progress=True)}
    right = len(set(found) & set(truth))
    bins = {}
    for low, high in itertools.pairwise(BINS):
        pairs = [pair for pair, (_, share) in truth.items() if low <= share < high]
        errors = [
            float(np.abs(np.subtract(found[pair].shift, truth[pair][0])).max()) for pair in pairs if pair in found
        ]
        bins[f"{low:.2f}-{min(high, 1):.2f}"] = {
            "num_pairs": len(pairs),
            "recall": figure(len(errors), len(pairs), wilson_interval),
            "largest_shift_error": max(errors, default=None),
        }
    return {"num_links": len(found), "precision": figure(right, len(found), wilson_interval), "by_overlap": bins}


def judge(source: Path, reference: Path) -> dict[str, Any]:
    """Compare the links among judged fields with what was seen by eye."""
    from leuk_hf.annotation import annotation_mask
    from leuk_hf.image_io import load_image
    from leuk_hf.metrics import wilson_interval

    try:
        with reference.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        judged = {(row["first"], row["second"]): row["overlap"] for row in rows}
    except (OSError, KeyError) as error:
        raise DataError(f"{reference} is no table of judged pairs ({error!r})") from error
    names = sorted({name for pair in judged for name in pair})
    fields = [load_image(source / name) for name in names]
    features = [describe_field(field, annotation_mask(field)) for field in fields]
    found = {(names[link.first], names[link.second]) for link in find_overlaps(features, progress=True)}
    linked = {verdict: [pair in found or pair[::-1] in found for pair, own in judged.items() if own == verdict]
              for verdict in ("yes", "no")}  # fmt: skip
    hits, alarms = sum(linked["yes"]), sum(linked["no"])
    return {
        "num_yes": len(linked["yes"]),
        "num_no": len(linked["no"]),
        "recall": figure(hits, len(linked["yes"]), wilson_interval),
        "precision": figure(hits, hits + alarms, wilson_interval),
    }


def figure(hits: int, total: int, interval_of: Callable[[float, float], tuple[float, float]]) -> dict[str, Any]:
    """Give a share with its interval; None when there is nothing to count."""
    if not total:
        return {"value": None, "interval": None}
    return {"value": hits / total, "interval": [float(bound) for bound in interval_of(hits, total)]}


def show(share: dict[str, Any]) -> str:
    """Write a share with its interval."""
    if share["value"] is None:
        return "none to count"
    return f"{share['value']:.3f} ({share['interval'][0]:.3f}-{share['interval'][1]:.3f})"


def run(arguments: Arguments, command: str) -> str:
    """Measure and write; gives what is printed."""
    from leuk_hf.evaluation import merge_results
    from leuk_hf.provenance import provenance

    if arguments.canvases < 2:
        raise DataError(f"canvases is {arguments.canvases}; give at least 2")
    if arguments.reference is not None:
        if arguments.source is None:
            raise DataError("judged pairs need the --source folder of their fields")
        name, entry = "judged_pairs", judge(arguments.source, arguments.reference)
        text = (
            f"{entry['num_yes']} pairs judged to overlap, {entry['num_no']} judged not to: recall"
            f" {show(entry['recall'])}, precision {show(entry['precision'])}"
        )
    else:
        canvases = (
            real_canvases(arguments.source, arguments.canvases, arguments.seed)
            if arguments.source
            else synthetic_canvases(arguments.canvases)
        )
        name = "windows_of_real_fields" if arguments.source else "windows_of_synthetic_scenes"
        entry = measure(canvases, arguments.seed, arguments.rotation, arguments.scale)
        lines = [f"precision {show(entry['precision'])} of {entry['num_links']} links", "",
                 "| overlap | pairs | recall | largest shift error, px |", "|---|---|---|---|"]  # fmt: skip
        for name_of_bin, row in entry["by_overlap"].items():
            error = row["largest_shift_error"]
            shown = "" if error is None else f"{error:.2f}"
            lines.append(f"| {name_of_bin} | {row['num_pairs']} | {show(row['recall'])} | {shown} |")
        text = "\n".join(lines)
    if arguments.results:
        merge_results(arguments.results, "data", f"overlaps_{name}", {**entry, **provenance(command)})
    return text


def main(arguments: list[str]) -> int:
    """Parse, measure, print; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/measure_overlaps.py")
    try:
        print(run(parsed, shlex.join(["python", "scripts/measure_overlaps.py", *arguments])))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
