"""Train or fine-tune a classifier of smear fields.

accelerate launch scripts/train.py --recipe plain --source leukemia --output runs/plain

accelerate launch scripts/train.py --smoke

Several processes: `accelerate launch --multi_gpu` on GPUs; on CPUs `ACCELERATE_USE_CPU=true torchrun
--nproc_per_node 2 scripts/train.py ...` (`accelerate launch --cpu --num_processes 2` starts only one).
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from leuk_hf.errors import LeukError

if TYPE_CHECKING:
    from leuk_hf.training_config import TrainConfig


def main(arguments: list[str]) -> int:
    """Parse, train, print where the checkpoint is; the exit code is 0, 2 for a user's mistake, 130 if stopped."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[train]"', file=sys.stderr)
        return 2
    from leuk_hf.training_config import RECIPES, SMOKE_OUTPUT, TrainConfig, smoke_config

    # The recipe decides the defaults that --help shows, so it is looked up before the rest is parsed.
    smoke = "--smoke" in arguments
    options = [argument for argument in arguments if argument != "--smoke"]
    words = " ".join(options).replace("=", " ").split()
    named = words[words.index("--recipe") + 1 :] if "--recipe" in words else []
    default = RECIPES.get(named[0] if named else "plain", RECIPES["plain"])
    if smoke:
        default = smoke_config(default)
    config = tyro.cli(TrainConfig, default=default, args=options, description=__doc__, prog="scripts/train.py")
    try:
        if smoke and config.source == default.source:
            config = dataclasses.replace(config, source=str(config.output / "synthetic"))
            prepare_smoke(config, replace=config.output == SMOKE_OUTPUT and not config.resume)
        from leuk_hf.training import train

        record = train(config, command=command_line(arguments))
    except (LeukError, OSError) as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; run the same command with --resume to go on (state in {config.output})", file=sys.stderr)
        return 130
    best = record["best"]
    print(
        f"epoch {best['epoch']} is kept: validation balanced accuracy {best['validation_balanced_accuracy']:.4f}"
        f" ({config.protocol} split, {sum(record['fields']['validation'].values())} fields); checkpoint in"
        f" {config.output / 'checkpoint'}"
    )
    return 0


def command_line(arguments: list[str]) -> str:
    """Give the command that started this process, with the launcher that its environment shows."""
    launcher = ["python"]
    if "ACCELERATE_MIXED_PRECISION" in os.environ:
        launcher = ["accelerate", "launch"]
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        launcher = ["torchrun", "--nproc_per_node", os.environ["LOCAL_WORLD_SIZE"]]
    return shlex.join([*launcher, "scripts/train.py", *arguments])


def prepare_smoke(config: TrainConfig, *, replace: bool) -> None:
    """Draw the synthetic fields of a smoke run; `replace` removes the smoke run before it."""
    from accelerate import PartialState

    from leuk_hf.synthetic import write_smears

    folder = Path(config.source)
    with PartialState().main_process_first():
        if PartialState().is_main_process and replace:
            shutil.rmtree(config.output, ignore_errors=True)
        if not folder.is_dir():
            write_smears(folder, fields_per_class=20, seed=config.seed, image_size=96)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
