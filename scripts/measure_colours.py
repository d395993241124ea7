"""Measure the colours of each class, which the audit of one field borrows: prints `field_audit.CLASS_COLOURS` anew.

python scripts/measure_colours.py --source leukemia/Original --split leuk_hf/checkpoint/split.csv
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from leuk_hf.errors import LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure.

    Args:
        source: Labelled fields, as for scripts/train.py.
        split: CSV with the columns file and split.
        part: Of the split.
    """

    source: str
    split: Path = Path("leuk_hf/checkpoint/split.csv")
    part: str = "train"


def run(arguments: Arguments) -> str:
    """Measure; gives the lines of Python that state the means over each class."""
    from leuk_hf.data import class_names_of, load_smears, read_image, without_decoding
    from leuk_hf.perturbations import colour_statistics
    from leuk_hf.splits import read_split

    dataset = without_decoding(load_smears(arguments.source))
    names = class_names_of(dataset)
    measured: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for row in dataset.select(read_split(arguments.split, dataset, arguments.part)):
        measured[names[row["label"]]].append(np.array(colour_statistics(np.asarray(read_image(row)))))
    return "\n".join(_line(name, np.mean(values, axis=0)) for name, values in measured.items() if values)


def _line(name: str, statistics: np.ndarray) -> str:
    mean, spread = (", ".join(f"{value:.1f}" for value in values) for values in statistics)
    return f'    "{name}": changed.ColourStatistics(({mean}), ({spread})),'


def main(arguments: list[str]) -> int:
    """Parse, measure, print; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/measure_colours.py")
    try:
        print(run(parsed))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
