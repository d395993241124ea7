"""Write synthetic blood-smear fields, one folder per class; not real specimens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import tyro

from leuk_hf.synthetic import write_smears


def main(
    folder: Annotated[Path, tyro.conf.Positional],
    fields_per_class: int = 10,
    seed: int = 0,
    image_size: int = 224,
) -> None:
    """Write synthetic fields of the four classes for tests, smoke runs and demo examples.

    Args:
        folder: Data set folder; made if missing.
        fields_per_class: Fields for every class, at least 1.
        seed: Chooses the whole data set; the same seed gives the same files.
        image_size: Edge of the square images in pixels, at least 32.
    """
    try:
        paths = write_smears(folder, fields_per_class=fields_per_class, seed=seed, image_size=image_size)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"wrote {len(paths)} synthetic fields (not real specimens) to {folder}")


if __name__ == "__main__":
    tyro.cli(main)
