"""Export a checkpoint to ONNX and OpenVINO, with the maps of all classes in the graph.

python scripts/export.py --output exported            # the shipped checkpoint

python scripts/export.py --model runs/mine/checkpoint --output runs/mine/checkpoint     # beside the weights

The folder loads by `leuk_hf.load_predictor(folder)`, needs neither torch nor timm then, and can be uploaded to the
Hub beside the weights.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Literal

from leuk_hf.errors import LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to export.

    Args:
        output: Folder for model.onnx, openvino_model.xml and .bin, export.json, config.json and the card.
        model: Checkpoint folder or Hub id; empty: LEUK_MODEL, else the shipped checkpoint.
        revision: Branch, tag or commit when model is a Hub id.
        formats: What to write: onnx (for ONNX Runtime; OpenVINO reads it, too), openvino (starts faster).
    """

    output: Path
    model: str | None = None
    revision: str | None = None
    formats: tuple[Literal["onnx", "openvino"], ...] = ("onnx", "openvino")


def main(arguments: list[str]) -> int:
    """Parse and export; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[export]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/export.py")
    from leuk_hf.checkpoint_io import checkpoint_source
    from leuk_hf.export import describe, export_checkpoint

    try:
        content = export_checkpoint(
            parsed.model or checkpoint_source(),
            parsed.output,
            formats=parsed.formats,
            revision=parsed.revision,
            command=shlex.join(["python", "scripts/export.py", *arguments]),
            report=lambda step: print(f"{step} ...", file=sys.stderr),
        )
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"written to {parsed.output}: {', '.join(content['graphs'])}")
    print(describe(content))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
