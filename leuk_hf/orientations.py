"""Looking at a field in several orientations: a slide has no upright, so what is found in each may be averaged.

Shared contract: maps are (N, C, H, W); of several orientations they are stacked, (count * N, C, H, W), the field as it
is first. With one orientation nothing is changed or copied.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# Axes to mirror. Of two, mirrored down: it helped fields as they are more than mirrored across did (experiment log).
AXES = {1: ((),), 2: ((), (2,)), 4: ((), (2,), (3,), (2, 3))}
COUNTS = tuple(AXES)


def check_field_orientations(count: Any) -> int:
    """Give back a number of orientations that a field can be read in.

    Args:
        count: One of `COUNTS`.

    Raises:
        ValueError: If it is anything else.
    """
    if type(count) is not int or count not in COUNTS:
        raise ValueError(f"field_orientations is {count!r}; choose 1, 2 or 4")
    return count


def oriented(maps: torch.Tensor, count: int) -> torch.Tensor:
    """Stack maps as they are and mirrored: (N, C, H, W) to (count * N, C, H, W).

    Args:
        maps: (N, C, H, W).
        count: One of `COUNTS`: 1; 2, also mirrored down; 4, also mirrored across and turned by half.
    """
    if count == 1:
        return maps
    return torch.cat([maps.flip(axes) if axes else maps for axes in AXES[count]])


def turned_back(maps: torch.Tensor, count: int) -> list[torch.Tensor]:
    """Undo `oriented`: count maps (N, C, H, W), place on place.

    Args:
        maps: (count * N, C, H, W).
        count: As for `oriented`.
    """
    if count == 1:
        return [maps]
    parts = maps.unflatten(0, (count, -1)).unbind(0)
    return [part.flip(axes) if axes else part for part, axes in zip(parts, AXES[count], strict=True)]


class OrientationMean(nn.Module):
    """Averages stacked maps over the orientations, each turned back.

    Args:
        count: As for `oriented`.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Give (N, C, H, W) from (count * N, C, H, W)."""
        if self.count == 1:
            return maps
        # Added up in float32 at least, so that half precision is rounded once, as with one orientation.
        exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
        return torch.stack(turned_back(exact, self.count)).mean(dim=0).to(maps.dtype)
