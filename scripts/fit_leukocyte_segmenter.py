"""Fit the network that finds leukocytes inside the model (leuk_hf/leukocyte_view.py).

python scripts/fit_leukocyte_segmenter.py --source leukemia/Original --backgrounds chula_rbc12 --output fitted

Its examples are the masks of `segment_leukocytes` on fields as they are; it learns to find the same cells in any
light, on any background and alone, and nothing where they were taken away. No class label is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from leuk_hf.errors import DataError, LeukError


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to fit on.

    Args:
        source: Folder of fields, searched through.
        output: Folder for leukocyte_network.safetensors and .json and, meanwhile, the state by which the same command
            goes on after a stop.
        backgrounds: Folders of smears of other laboratories; those in which no leukocyte is found are used.
        image_size: Edge of the fields in pixels: that of the models it is for.
        steps: Of the optimizer.
        batch_size: Samples per step.
        learning_rate: Peak of the one-cycle schedule.
        seed: Of first weights and samples.
        weights: File of the same network to go on from, such as leuk_hf/assets/leukocyte_network.safetensors; empty:
            random first weights. A smaller learning_rate suits them, such as 1e-3.
    """

    source: Path
    output: Path
    backgrounds: tuple[Path, ...] = ()
    image_size: int = 160
    steps: int = 6000
    batch_size: int = 12
    learning_rate: float = 3e-3
    seed: int = 0
    weights: Path | None = None


def run(arguments: Arguments, command: str) -> dict[str, Any]:
    """Fit, write the weights and their record; gives the record."""
    import numpy as np
    from safetensors.torch import save_file

    from leuk_hf.files import replacing, write_json
    from leuk_hf.leukocyte_samples import SamplePool
    from leuk_hf.leukocyte_view import LeukocyteNetwork
    from leuk_hf.leukocyte_weights import load_leukocyte_network
    from leuk_hf.provenance import provenance
    from leuk_hf.segmenter_training import fit_segmenter

    if arguments.image_size < 64:
        raise DataError(f"image_size is {arguments.image_size}; give at least 64")
    for name in ("steps", "batch_size"):
        if getattr(arguments, name) < 2:
            raise DataError(f"{name} is {getattr(arguments, name)}; give at least 2")
    if not 0 < arguments.learning_rate < math.inf:
        raise DataError(f"learning_rate is {arguments.learning_rate}; give a number above 0")
    if arguments.seed < 0:
        raise DataError(f"seed is {arguments.seed}; give at least 0")
    if arguments.weights is not None:
        load_leukocyte_network(LeukocyteNetwork(), arguments.weights)  # told before minutes are spent on images
    fields, masks = _segmented(arguments.source, arguments.image_size)
    others = [_segmented(folder, arguments.image_size) for folder in arguments.backgrounds]
    empty = [images[~found.any(axis=(1, 2))] for images, found in others]
    backgrounds = np.concatenate([fields[:0], *empty])
    arguments.output.mkdir(parents=True, exist_ok=True)
    network, losses = fit_segmenter(
        SamplePool(fields, masks, backgrounds),
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
        weights=arguments.weights,
        state=arguments.output / "state.safetensors",
    )
    with replacing(arguments.output / "leukocyte_network.safetensors") as temporary:
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, temporary)
    record = {
        "num_fields": len(fields),
        "num_backgrounds": len(backgrounds),
        "sha256": _named(arguments.output / "leukocyte_network.safetensors")["sha256"],
        "losses": losses,
        "weights": None if arguments.weights is None else _named(arguments.weights),
        **{key: value for key, value in dataclasses.asdict(arguments).items() if isinstance(value, (int, float))},
        **provenance(command),
    }
    write_json(arguments.output / "leukocyte_network.json", record)
    return record


def _named(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _segmented(folder: Path, size: int) -> tuple[Any, Any]:
    import cv2
    import numpy as np
    from PIL import Image
    from tqdm.auto import tqdm

    from leuk_hf.cells import segment_leukocytes
    from leuk_hf.image_io import load_image

    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        raise DataError(f"{folder} has no JPEG or PNG image; give the folder of the fields")
    images = []
    for path in tqdm(files, desc=f"Segmenting {folder.name}", unit="image"):
        image = load_image(path)
        edge = min(image.size)
        left, top = (image.width - edge) // 2, (image.height - edge) // 2
        square = image.crop((left, top, left + edge, top + edge))
        mask = segment_leukocytes(square)  # at full size, where it sees best
        small = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) > 0.5
        images.append((np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)), small))
    return np.stack([pixels for pixels, _ in images]), np.stack([mask for _, mask in images])


def main(arguments: list[str]) -> int:
    """Parse, fit, print where the weights are; the exit code is 0, or 2 for a user's mistake."""
    try:
        import tyro
    except ModuleNotFoundError:
        print('error: tyro is not installed; run: pip install -e ".[scripts]"', file=sys.stderr)
        return 2
    parsed = tyro.cli(Arguments, args=arguments, description=__doc__, prog="scripts/fit_leukocyte_segmenter.py")
    try:
        record = run(parsed, shlex.join(["python", "scripts/fit_leukocyte_segmenter.py", *arguments]))
    except (LeukError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last state that was saved, if any", file=sys.stderr)
        return 130
    print(f"last loss {record['losses'][-1]:.3f}; weights in {parsed.output / 'leukocyte_network.safetensors'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
