"""Fit the pixel network of leuk_hf/cell_network.py to outlines drawn by eye and to other laboratories' smears.

python scripts/fit_leukocyte_network.py --source leukemia/Original --other bccd chula_rbc12 --output network.json

Only outlined fields of even index are read, so the Dice is of the fields fitted on; odd ones are for
scripts/measure_segmentation.py. An outline moved by tenths of a pixel changes which pixels are drawn, and thereby the
weights far more than the masks: compare Dice, not weights. The weights in use are those of seed 0.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import shlex
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np

from leuk_hf import cell_network
from leuk_hf.cell_network import optical_density, pixel_features, resized
from leuk_hf.cells import segment_leukocytes
from leuk_hf.errors import DataError, LeukError
from leuk_hf.files import write_json
from leuk_hf.provenance import provenance
from leuk_hf.segmentation_evaluation import Field, measure, read_fields, summarise

HIDDEN = 12  # units
PIXELS = 2500  # drawn from an outlined field; benign ones, whose cells vary most, give 1.4 times as many
COPIES = 2  # further draws, in other colours
DECIMALS = 3  # of the numbers in leuk_hf/cell_network.py
NAMES = ("HIDDEN_WEIGHTS", "HIDDEN_BIAS", "OUTPUT_WEIGHTS", "OUTPUT_BIAS")  # there
EDGE = cell_network.WORKING_SIZE
Samples = list[tuple[np.ndarray, np.ndarray]]  # features (n, 9) and bool (n,), in a leukocyte
# How confident pixels are found in smears nobody outlined, by the folder's name; chosen by eye. Every how many-th
# file; pixels drawn from it; least optical density of red in a nucleus, and of green above blue's; edges of squares in
# working pixels: the one that opens nuclei, the one that closes them (0: they are no examples, as they may be thick
# red cells) and the one around them in which other pixels are doubtful.
LABORATORIES = {"bccd": (4, 500, 0.27, 0.2, 9, 15, 61), "chula_rbc12": (20, 400, 0.6, 0.3, 7, 0, 41)}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to fit on.

    Args:
        source: Folder of the fields with the class folders Benign, Early, Pre and Pro.
        output: JSON file of the weights and the Dice on even fields, beside that of the weights in use.
        reference: Folder of outline files, one JSON file a class.
        other: Folders of other laboratories' smears, named bccd and chula_rbc12; the fit read both, in this order.
        seed: Of the drawn pixels, their colours and the first weights.
    """

    source: Path
    output: Path
    reference: Path = Path("tests/reference/leukocytes")
    other: tuple[Path, ...] = ()
    seed: int = 0


def draw(density: np.ndarray, true: np.ndarray, weight: np.ndarray, count: int, rng: np.random.Generator) -> Samples:
    """Draw pixels by weight, without repetition; again for every copy, stained and lit otherwise."""
    features, weight, samples = pixel_features(density), weight.ravel().astype(float), []
    count = min(count, int((weight > 0).sum()))
    for copy in range(COPIES + 1 if count else 0):
        rows = rng.choice(len(weight), count, p=weight / weight.sum(), replace=False)
        drawn = features[rows]
        if copy:
            stain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.05, 3))
            drawn = np.clip(drawn * np.tile(stain, 3) + np.tile(rng.normal(0, 0.012, 3), 3), -0.1, 1.6)
        samples.append((drawn, true.ravel()[rows]))
    return samples


def field_samples(field: Field, rng: np.random.Generator) -> Samples:
    """Draw from an outlined field, and a quarter as many from a quarter of it at twice the magnification."""
    if field.true.shape != (EDGE, EDGE):
        raise DataError(f"{field.name} has {field.true.shape} pixels; outlined fields to fit on have {(EDGE, EDGE)}")
    density, true = optical_density(field.image), field.true.astype(np.uint8)
    near = cv2.dilate(true, np.ones((9, 9))) > 0
    rim = cv2.morphologyEx(true, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0  # outlines may be a pixel off
    weight = (np.where(near, 1.0, 0.4) - 0.5 * rim) * ~field.ignored
    samples = draw(density, field.true, weight, int(PIXELS * (1.4 if field.group == "benign" else 1)), rng)
    top, left = rng.integers(0, EDGE // 2 + 1, 2)
    quarter = np.s_[top : top + EDGE // 2, left : left + EDGE // 2]
    density = cv2.resize(density[quarter], (EDGE, EDGE))  # taken of the field: a quarter may show no glass
    true, ignored = (m[quarter].repeat(2, axis=0).repeat(2, axis=1) for m in (field.true, field.ignored))
    return samples + draw(density, true, ~ignored, PIXELS // 4, rng)


def smear_samples(folder: Path, rng: np.random.Generator) -> Samples:
    """Draw what is surely nucleus and what is far from anything like one from another laboratory's smears."""
    if folder.resolve().name not in LABORATORIES:
        raise DataError(f"{folder} is none of the folders this script knows: {', '.join(LABORATORIES)}")
    step, count, red, purple, opening, closing, margin = LABORATORIES[folder.resolve().name]
    samples: Samples = []
    for path in sorted(folder.rglob("*.jpg"))[::step]:
        image = cv2.imread(str(path))
        if image is None:
            raise DataError(f"{path} is no image")
        image = resized(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (EDGE, EDGE))
        density = optical_density(image)
        smooth = cv2.GaussianBlur(density, (0, 0), 1)
        stained = (smooth[..., 0] > red) & (smooth[..., 1] - smooth[..., 2] > purple)
        nuclei = cv2.morphologyEx(stained.astype(np.uint8), cv2.MORPH_OPEN, np.ones((opening, opening)))
        if closing:  # joins lobes, but without the glass between them
            nuclei = cv2.morphologyEx(nuclei, cv2.MORPH_CLOSE, np.ones((closing, closing)))
            nuclei *= smooth.sum(axis=-1) > 0.25
        far = cv2.dilate(nuclei, np.ones((margin, margin))) == 0
        true = (nuclei > 0) & (closing > 0)
        samples += draw(density, true, 2.0 * true + far, count, rng)
    if not samples:
        raise DataError(f"{folder} holds no smear (*.jpg)")
    return samples


def fit(samples: Samples, seed: int) -> dict[str, np.ndarray]:
    """Train; the numbers for NAMES, standardisation of the features folded in, float64, rounded."""
    try:
        from sklearn.neural_network import MLPClassifier
        from sklearn.preprocessing import StandardScaler
    except ModuleNotFoundError:
        raise DataError('scikit-learn is not installed; run: pip install -e ".[audit]"') from None
    features, true = (np.concatenate(arrays) for arrays in zip(*samples, strict=True))
    scaler = StandardScaler().fit(features)
    settings = {"alpha": 1e-2, "max_iter": 40, "batch_size": 512, "learning_rate_init": 4e-3, "random_state": seed}
    network = MLPClassifier((HIDDEN,), activation="tanh", **settings).fit(scaler.transform(features), true)
    (hidden, output), (bias, output_bias) = network.coefs_, network.intercepts_
    bias = bias - (scaler.mean_ / scaler.scale_) @ hidden
    numbers = (hidden / scaler.scale_[:, None], bias, output[:, 0], output_bias[0])
    return {name: np.round(value, DECIMALS) for name, value in zip(NAMES, numbers, strict=True)}


def mean_dice(fields: list[Field], weights: dict[str, np.ndarray]) -> dict[str, float]:
    """Mean Dice of the final masks with these weights, for each class and over all fields."""
    changes: dict[str, Any] = {name: np.float32(value) for name, value in weights.items()}
    with mock.patch.multiple(cell_network, **changes):  # the package's own code with other numbers
        rows = [measure(field, segment_leukocytes(field.image)) for field in fields]
    summary = summarise(np.array([field.group for field in fields]), rows, seed=0)
    return {group: entry["dice"]["value"] for group, entry in summary.items()}


def run(arguments: Arguments, command: str) -> dict[str, Any]:
    """Fit, compare with the weights in use, write; gives what is written."""
    if arguments.seed < 0:
        raise DataError(f"seed is {arguments.seed}; give a whole number of at least 0")
    rng = np.random.default_rng(arguments.seed)
    fields = read_fields(arguments.reference, arguments.source, "even")
    samples = [sample for field in fields for sample in field_samples(field, rng)]
    samples += [sample for folder in arguments.other for sample in smear_samples(folder, rng)]
    fitted, in_use = fit(samples, arguments.seed), {name: getattr(cell_network, name) for name in NAMES}
    content = {
        "weights": {name: value.tolist() for name, value in fitted.items()},
        "largest_difference": max(float(np.abs(fitted[name] - in_use[name]).max()) for name in NAMES),
        "part": "even",
        "num_fields": len(fields),
        "dice": {"fitted": mean_dice(fields, fitted), "in_use": mean_dice(fields, in_use)},
        "scikit_learn": importlib.metadata.version("scikit-learn"),
        **provenance(command),
    }
    write_json(arguments.output, content)
    return content


def main(arguments: list[str]) -> int:
    """Parse, fit, print the Dice; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/fit_leukocyte_network.py")
    try:
        content = run(parsed, shlex.join(["python", "scripts/fit_leukocyte_network.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, figures in content["dice"].items():
        print(f"Dice, {name}: " + ", ".join(f"{group} {value:.4f}" for group, value in figures.items()))
    print(f"largest difference between weights {content['largest_difference']:.3f}\nwritten to {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
