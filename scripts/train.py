"""Train or fine-tune a classifier of smear fields.

accelerate launch scripts/train.py --recipe plain --source leukemia --output runs/plain
accelerate launch scripts/train.py --smoke

Several processes: `accelerate launch --multi_gpu` on GPUs; on CPUs `ACCELERATE_USE_CPU=true torchrun
--nproc_per_node 2 scripts/train.py ...` (`accelerate launch --cpu --num_processes 2` starts only one).
"""

from __future__ import annotations

import datetime
import shlex
import sys
from pathlib import Path

from leuk_hf.errors import LeukError


def main(arguments: list[str]) -> int:
    """Parse, train, print where the checkpoint is; the exit code is 0, 2 for a user's mistake, 130 if stopped."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[train]"', file=sys.stderr)
        return 2
    from leuk_hf.training_config import RECIPES, TrainConfig

    # The recipe decides the defaults that --help shows, so it is looked up before the rest is parsed.
    smoke = "--smoke" in arguments
    arguments = [argument for argument in arguments if argument != "--smoke"]
    joined = " ".join(arguments).replace("=", " ").split()
    named = joined[joined.index("--recipe") + 1 :] if "--recipe" in joined else []
    default = RECIPES.get(named[0] if named else "plain", RECIPES["plain"])
    config = tyro.cli(TrainConfig, default=default, args=arguments, description=__doc__, prog="scripts/train.py")
    command = shlex.join(["accelerate", "launch", "scripts/train.py", *sys.argv[1:]])
    try:
        if smoke:
            config = _prepare_smoke(config, default.output)
        from leuk_hf.training import train

        record = train(config, command=command)
    except LeukError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"\nstopped; run the same command with --resume to go on (state in {config.output})",
            file=sys.stderr,
        )
        return 130
    best = record["best"]
    print(
        f"best epoch {best['epoch']}: validation balanced accuracy {best['validation_balanced_accuracy']:.4f}"
        f" (random split, {sum(record['fields']['validation'].values())} fields); checkpoint in"
        f" {config.output / 'checkpoint'}"
    )
    return 0


def _prepare_smoke(config, unset_output: Path):
    from accelerate import PartialState

    from leuk_hf.synthetic import write_smears
    from leuk_hf.training_config import smoke_config

    output = config.output
    if output == unset_output:
        output = Path("runs") / f"smoke-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    import dataclasses

    config = dataclasses.replace(config, output=output)
    folder = output / "synthetic"
    with PartialState().main_process_first():
        if not folder.is_dir():
            write_smears(folder, fields_per_class=20, seed=config.seed, image_size=96)
    return smoke_config(config, folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
