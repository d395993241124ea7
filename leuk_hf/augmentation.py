"""Training transforms of enhanced fields.

Shared contract: images are uint8 tensors (3, H, W), RGB, after `Preprocessor.enhance` and before
normalisation; the same seed gives the same result, whatever ran before and in whichever worker.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import torch
from torchvision.transforms import v2

Augmentation = Literal["none", "plain", "classic"]


class _RandomQuarterTurn(v2.Transform):
    """Rotate by 0, 90, 180 or 270 degrees: a smear has no up, and no pixel is interpolated."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"turns": int(torch.randint(4, ()))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return torch.rot90(inpt, params["turns"], dims=(-2, -1))


def build_augmentation(name: Augmentation) -> v2.Transform:
    """Build a recipe's augmentation: uint8 (3, H, W) -> uint8 (3, H, W).

    Args:
        name: "classic" is what is published for this data set (flips, rotation by up to 20 degrees, colour
            jitter); "plain" has flips, quarter turns and a mild jitter; "none" changes nothing.

    Raises:
        ValueError: For another name.
    """
    flips: list[v2.Transform] = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    if name == "classic":
        rotation = v2.RandomRotation(20, interpolation=v2.InterpolationMode.BILINEAR, fill=255)
        return v2.Compose([*flips, rotation, v2.ColorJitter(0.2, 0.2, 0.2, 0.05)])
    if name == "plain":
        return v2.Compose([*flips, _RandomQuarterTurn(), v2.ColorJitter(0.1, 0.1, 0.1)])
    if name == "none":
        return v2.Identity()
    raise ValueError(f"there is no augmentation {name!r}; choose none, plain or classic")


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Derive the seed of one field in one epoch: 63 bits, independent of workers and of a resume."""
    digest = hashlib.blake2b(f"{seed}/{epoch}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def augment(transform: v2.Transform, image: torch.Tensor, *, seed: int) -> torch.Tensor:
    """Apply a transform under its own seed; the global random state is left as it was.

    Args:
        transform: From `build_augmentation`.
        image: uint8 (3, H, W).
        seed: From `sample_seed`.

    Returns:
        uint8 (3, H, W).
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed the GPUs
        return transform(image)
