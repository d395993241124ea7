"""Teach the network of the recipe `default` to measure leukocytes, before any class (leuk_hf/warm_up.py).

python scripts/warm_up.py --source leukemia --output runs/warm-up

The folder is what `scripts/train.py --weights` starts from. No class label is read, so that one warm-up serves every
split; the test fields' images are seen, their labels are not.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any, Literal

from leuk_hf.errors import DataError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to learn from.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        output: Folder for config.json, model.safetensors, warm_up.json and, meanwhile, the state to resume by.
        steps: Of the optimizer.
        batch_size: Canvases per step.
        learning_rate: Peak of the one-cycle schedule.
        seed: Of first weights and samples.
        view: What the network sees, in grey, as the shipped warm-up does, or in colour; training can go on from either
            in both.
        image_size: Edge in pixels; empty: the recipe's.
        cache: Folder for the decoded fields; empty: in the Hugging Face cache.
    """

    source: str
    output: Path
    steps: int = 900
    batch_size: int = 8
    learning_rate: float = 3e-3
    seed: int = 0
    view: Literal["leukocytes", "leukocytes_in_colour"] = "leukocytes"
    image_size: int | None = None
    cache: Path | None = None


def run(arguments: Arguments, command: str) -> dict[str, Any]:
    """Fit, write the checkpoint and its record; gives the record."""
    import numpy as np
    import torch

    from leuk_hf.data import load_smears, without_decoding
    from leuk_hf.field_cache import cached_fields
    from leuk_hf.files import write_json
    from leuk_hf.labels import CLASS_NAMES
    from leuk_hf.leukocyte_labels import find_labels
    from leuk_hf.provenance import provenance
    from leuk_hf.released_weights import halve_precision
    from leuk_hf.torch_backend import pool_first
    from leuk_hf.training_config import DEFAULT
    from leuk_hf.training_setup import starting_model
    from leuk_hf.warm_up import warm_up

    if arguments.steps < 2 or arguments.batch_size < 2:
        raise DataError("steps and batch_size must be at least 2")
    size = DEFAULT.image_size if arguments.image_size is None else arguments.image_size
    config = dataclasses.replace(
        DEFAULT, source=arguments.source, weights="scratch", image_size=size, view=arguments.view
    )
    config.check()
    torch.manual_seed(arguments.seed)
    model, _ = starting_model(config, CLASS_NAMES)
    dataset = without_decoding(load_smears(arguments.source, progress=True))
    fields = cached_fields(dataset, model.preprocessor, folder=arguments.cache, progress=True)
    cells = find_labels(model, fields, np.arange(len(fields)), progress=True)[0]
    if not cells.any():
        raise DataError(f"no leukocyte was found in {arguments.source}; give stained smear fields")
    pool_first(model)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    arguments.output.mkdir(parents=True, exist_ok=True)
    losses = warm_up(
        model,
        fields,
        cells,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
        state=arguments.output / "state.safetensors",
    )
    halve_precision(model)
    model.save_pretrained(arguments.output)
    (arguments.output / "README.md").unlink(missing_ok=True)  # a model card, of what classifies nothing yet
    record = {
        "num_fields": len(fields),
        "losses": losses,
        **{key: value for key, value in dataclasses.asdict(arguments).items() if isinstance(value, (int, float))},
        **provenance(command),
    }
    write_json(arguments.output / "warm_up.json", record)
    return record


def main(arguments: list[str]) -> int:
    """Parse, fit, print where the weights are; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/warm_up.py")
    try:
        record = run(parsed, shlex.join(["python", "scripts/warm_up.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last state that was saved, if any", file=sys.stderr)
        return 130
    print(f"last loss {record['losses'][-1]:.3f}; start from it with: scripts/train.py --weights {parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
