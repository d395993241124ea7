"""Measure how well overlapping fields are found: windows cut with known shifts out of larger pictures.

python scripts/measure_overlaps.py --canvases 60                                   # synthetic smears
python scripts/measure_overlaps.py --source leukemia/Original --canvases 300       # crops of real fields
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator, default_rng
from PIL import Image

from leuk_hf.labels import CLASS_NAMES
from leuk_hf.overlap_features import WORKING_SIZE, describe_field
from leuk_hf.overlaps import find_overlaps, propose_pairs, verify_pair
from leuk_hf.synthetic import APPEARANCES, render_smear

BINS = (0.12, 0.25, 0.35, 0.5, 0.7, 1.01)

COUNTS = ("red_cell_count", "leukocyte_count", "smudge_count")
RADII = ("red_cell_radius", "leukocyte_radius")


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


def measure(canvases: Iterator[np.ndarray], seed: int, rotation: float, scale: float) -> None:
    """Print precision, recall by overlap and shift errors."""
    rng, features, truth = default_rng(seed), [], {}
    nothing = np.zeros((WORKING_SIZE, WORKING_SIZE), dtype=bool)
    for canvas in canvases:
        windows, shift, share = cut_pair(canvas, rng, rotation=rotation, scale=scale)
        truth[(len(features), len(features) + 1)] = (shift, share)
        features += [describe_field(window, nothing) for window in windows]
    start = time.process_time()
    proposals = {(int(first), int(second)) for first, second in propose_pairs(features)}
    middle = time.process_time()
    found = {pair: overlap for pair in sorted(proposals) if (overlap := verify_pair(*(features[i] for i in pair)))}
    end = time.process_time()
    print(f"{len(features)} windows, {len(proposals)} proposals {middle - start:.1f} s, verified {end - middle:.1f} s")
    wrong = sorted(set(found) - set(truth))
    print(f"links {len(found)}, of windows of different scenes {len(wrong)}")
    for pair in wrong:
        link = found[pair]
        print(f"  {pair} correlation {link.correlation:.2f} share {link.overlap_share:.2f} inliers {link.inliers}")
    print("overlap      pairs  proposed  linked  shift error median, 95 %, maximum (pixels)")
    for low, high in itertools.pairwise(BINS):
        pairs = [pair for pair, (_, share) in truth.items() if low <= share < high]
        errors = [np.abs(np.subtract(found[pair].shift, truth[pair][0])).max() for pair in pairs if pair in found]
        shown = " ".join(f"{value:.2f}" for value in np.percentile(errors, (50, 95, 100))) if errors else "-"
        proposed = sum(pair in proposals for pair in pairs)
        total = max(len(pairs), 1)
        print(
            f"{low:.2f}-{min(high, 1):.2f} {len(pairs):8d} {proposed / total:9.3f} {len(errors) / total:7.3f}  {shown}"
        )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="folder of real fields; default: synthetic smears")
    parser.add_argument("--canvases", type=int, default=60, help="one pair of windows is cut from each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rotation", type=float, default=3.0, help="of the second window, up to this many degrees")
    parser.add_argument("--scale", type=float, default=0.02, help="of the second window, up to this share")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    canvases = (
        real_canvases(given.source, given.canvases, given.seed) if given.source else synthetic_canvases(given.canvases)
    )
    measure(canvases, given.seed, given.rotation, given.scale)


if __name__ == "__main__":
    main()
