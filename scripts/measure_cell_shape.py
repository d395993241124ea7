"""Measure how wide a data set's leukocytes are for their height, which squashing changes: for results.json.

python scripts/measure_cell_shape.py --source leukemia/Original --groups groups.csv --results results/tools.json
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

from leuk_hf.errors import DataError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure.

    Args:
        source: Labelled fields, as for scripts/train.py.
        groups: Group table of scripts/prepare_data.py: by its groups intervals are drawn, by its acquisitions figures
            are told apart.
        results: results.json to put the figures into.
        seed: Of the bootstrap.
    """

    source: str
    groups: str
    results: Path
    seed: int = 0


def run(arguments: Arguments, command: str) -> dict[str, Any]:
    """Measure and write; gives the entry."""
    import numpy as np
    from tqdm.auto import tqdm

    from leuk_hf.cell_shape import cell_shape, widths_over_heights
    from leuk_hf.cells import label_leukocytes, segment_leukocytes
    from leuk_hf.data import load_smears, read_image, without_decoding
    from leuk_hf.evaluation import merge_results
    from leuk_hf.group_source import read_groups
    from leuk_hf.provenance import provenance

    dataset = without_decoding(load_smears(arguments.source))
    table = read_groups(arguments.groups, dataset)
    ratios = [
        widths_over_heights(label_leukocytes(segment_leukocytes(read_image(row))))
        for row in tqdm(dataset, desc="Measuring", unit="field")
    ]
    groups, sessions = (np.array([row[name] for row in table]) for name in ("group", "acquisition"))
    try:
        measured = cell_shape(ratios, groups, sessions.tolist(), seed=arguments.seed)
    except ValueError as error:
        raise DataError(f"{arguments.source}: {error}") from error
    entry = {**measured, **provenance(command)}
    merge_results(arguments.results, "data", "cell_shape", entry)
    return entry


def main(arguments: list[str]) -> int:
    """Parse, measure, print; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/measure_cell_shape.py")
    try:
        entry = run(parsed, shlex.join(["python", "scripts/measure_cell_shape.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    figure = entry["width_over_height"]
    print(f"{figure['value']:.3f} times as wide as tall, interval {figure['interval']}; written to {parsed.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
