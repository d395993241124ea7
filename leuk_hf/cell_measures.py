"""What can be measured at each place of a leukocyte without knowing any class: darkness, depth, size and texture.

Shared contract: all maps are float32 (N, C, H, W) at the size of the view of `leuk_hf.leukocyte_view`; lengths are
relative to a field 224 pixels high, so that a cell measures much the same at any image size. The measures are the
usual ones of texture: histograms of luminance, joint ones with depth and size, differences of Gaussians, and
rotation-invariant uniform local binary patterns (Ojala et al. 2002, https://doi.org/10.1109/TPAMI.2002.1017623).
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from leuk_hf.perturbations import REFERENCE_EDGE

_RIM = 2.5  # pixels below the outline within which texture is the outline's
_BANDS = ((0.5, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0))  # standard deviations of the Gaussians that are subtracted
_PATTERNS = ((0.7, 1), (1.2, 2))  # blur before, and radius in pixels as they are, of local binary patterns
_CONTRAST = 0.02  # standard deviations by which a neighbour must be brighter
_NEIGHBOURS = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))  # (down, right), all around


def measure_places(
    luminance: torch.Tensor, leukocytes: torch.Tensor, depth: torch.Tensor, radius: torch.Tensor, *, field_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure every pixel of leukocytes.

    Args:
        luminance: (N, 1, H, W), standardised over each field's leukocytes, 0 outside.
        leukocytes: (N, 1, H, W), 1 on them, 0 outside.
        depth: (N, 1, H, W), below the outline, in pixels.
        radius: (N, 1, H, W), of the pixel's cell, in pixels.
        field_size: Edge of a whole field in these pixels.

    Returns:
        The measures, (N, 280, H, W), and how far each counts there, of the same shape: 0 outside of leukocytes and,
        for texture, at their rims.
    """
    unit = field_size / REFERENCE_EDGE
    darkness = _soft_histogram(luminance, -2.5, 2.5, 8)
    depths = _soft_histogram(depth / radius.clamp_min(1), 0, 1, 5)
    sizes = _soft_histogram(radius / unit, 5, 20, 7)
    share = _blurred(leukocytes, 4 * unit) + 1e-3
    local_mean = _blurred(luminance * leukocytes, 4 * unit) / share
    local_square = _blurred(luminance.square() * leukocytes, 4 * unit) / share
    contrasts = _soft_histogram((local_square - local_mean.square()).clamp_min(0).sqrt(), 0, 1.6, 6)
    wide_mean = _blurred(luminance * leukocytes, 5 * unit) / (_blurred(leukocytes, 5 * unit) + 1e-3)
    means = _soft_histogram(wide_mean, -1.5, 1.5, 6)
    measures = [darkness, depths, sizes, _joint(darkness, depths), _joint(darkness, sizes), contrasts, means]
    measures += [_joint(contrasts, sizes), _joint(means, sizes), _joint(means, contrasts)]
    textures = [_local_binary_patterns(_blurred(luminance, blur * unit), reach) for blur, reach in _PATTERNS]
    for fine, coarse in _BANDS:
        band = _blurred(luminance, fine * unit) - _blurred(luminance, coarse * unit)
        textures += [band.abs(), band.square(), band.clamp_min(0)]
    inner = (depth > _RIM * unit).to(luminance.dtype) * leukocytes
    everywhere, within = torch.cat(measures, dim=1), torch.cat(textures, dim=1)
    counts = torch.cat([leukocytes.expand_as(everywhere), inner.expand_as(within)], dim=1)
    return torch.cat([everywhere, within], dim=1), counts


def _soft_histogram(maps: torch.Tensor, low: float, high: float, bins: int) -> torch.Tensor:
    """Share each value between the two nearest of `bins` centres from `low` to `high`: (N, bins, H, W)."""
    centres = torch.linspace(low, high, bins, device=maps.device).view(1, -1, 1, 1)
    return (1 - (maps.clamp(low, high) - centres).abs() * (bins - 1) / (high - low)).clamp(0, 1)


def _joint(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one[:, :, None] * other[:, None]).flatten(1, 2)


def _blurred(maps: torch.Tensor, deviation: float) -> torch.Tensor:
    reach = max(1, math.ceil(3 * deviation))
    offsets = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.softmax(-offsets.square() / (2 * deviation**2), dim=0)
    maps = functional.conv2d(functional.pad(maps, (reach, reach, 0, 0), mode="reflect"), kernel.view(1, 1, 1, -1))
    return functional.conv2d(functional.pad(maps, (0, 0, reach, reach), mode="reflect"), kernel.view(1, 1, -1, 1))


def _local_binary_patterns(maps: torch.Tensor, reach: int) -> torch.Tensor:
    """Tell which of ten patterns the ring around each place shows, one-hot (N, 10, H, W)."""
    height, width = maps.shape[2:]
    padded = functional.pad(maps, (reach,) * 4, mode="replicate")
    ring = torch.cat(
        [
            padded[:, :, reach * (1 + down) :, reach * (1 + right) :][:, :, :height, :width] >= maps + _CONTRAST
            for down, right in _NEIGHBOURS
        ],
        dim=1,
    ).to(maps.dtype)
    changes = (ring - ring.roll(1, dims=1)).abs().sum(dim=1, keepdim=True)
    # Uniform rings count their bright neighbours, 0 to 8; all others are alike.
    pattern = torch.where(changes <= 2, ring.sum(dim=1, keepdim=True), 9.0)
    return (pattern == torch.arange(10, device=maps.device).view(1, -1, 1, 1)).to(maps.dtype)
