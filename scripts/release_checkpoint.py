"""Make the shipped checkpoint from a finished run, evaluate that very file, and fill the card and the README.

python scripts/release_checkpoint.py --run runs/plain --source leukemia/Original
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import Literal

from leuk_hf.errors import LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to release.

    Args:
        run: Output folder of scripts/train.py.
        source: The data the run was trained on.
        groups: Group table (CSV, or data set on the Hub) by whose groups the intervals are drawn; empty: each field
            is its own.
        calibrated: Whether the file is calibrated on fields kept for that: yes, no, or auto: if the network sees
            leukocytes alone.
        halfway: Take the mean of the weights that the run began with, a checkpoint's, and of those it ended with.
        outline_orientations: In how many orientations of a field the calibrated file looks for its leukocytes, 1 or 4;
            empty: as the run.
        field_orientations: In how many it reads what is seen, 1, 2 or 4; empty: as the run.
        foreign: Folders of images that the calibrated file is to refuse, for its figures.
        folder: Where the checkpoint goes.
        plots: Folder for plots of the test part; they hold images of the data, so keep them out of commits.
        readme: Document whose tables are filled.
        log: Document whose tables of goals, comparisons and ablations are filled.
    """

    run: Path
    source: str
    groups: str | None = None
    calibrated: Literal["auto", "yes", "no"] = "auto"
    halfway: bool = False
    outline_orientations: Literal[1, 4] | None = None
    field_orientations: Literal[1, 2, 4] | None = None
    foreign: tuple[Path, ...] = ()
    folder: Path = Path("leuk_hf/checkpoint")
    plots: Path = Path("results/release")
    readme: Path = Path("README.md")
    log: Path = Path("scripts/experiments/README.md")


def main(arguments: list[str]) -> int:
    """Parse and release; the exit code is 0, or 2 for a user's mistake."""
    import tyro

    from leuk_hf.checkpoint_calibration import Options
    from leuk_hf.evaluation import write_plots
    from leuk_hf.model import LeukDenseNet
    from leuk_hf.release import refresh_documents, release_checkpoint

    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/release_checkpoint.py")
    command = shlex.join(["python", "scripts/release_checkpoint.py", *arguments])
    try:
        part, results = release_checkpoint(
            parsed.run,
            parsed.source,
            parsed.folder,
            command=command,
            groups=parsed.groups,
            calibrated={"auto": None, "yes": True, "no": False}[parsed.calibrated],
            halfway=parsed.halfway,
            options=Options(
                outline_orientations=parsed.outline_orientations, field_orientations=parsed.field_orientations
            ),
            foreign=parsed.foreign,
        )
        refresh_documents(parsed.folder, parsed.readme, parsed.log)
        model = LeukDenseNet.from_pretrained(parsed.folder)
        protocol = json.loads((parsed.folder / "training.json").read_text(encoding="utf-8"))["protocol"]
        write_plots(model, part, results, parsed.plots, title=f"{protocol} split, test ({len(part)} fields)")
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"\nstopped; the same command starts again; what lies in {parsed.folder} may be half of a release",
            file=sys.stderr,
        )
        return 130
    print(f"released to {parsed.folder}; {parsed.readme} filled; plots in {parsed.plots}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
