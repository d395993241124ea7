"""The view of a field that leaves the leukocytes alone: found, cut out, freed of stain and light, and pooled.

Shared contract: pixel_values are float32 (N, 3, H, W), normalised by some mean and std; leukocytes are opacities
(N, 1, H, W) in [0, 1], 1 on leukocytes and exactly 0 on everything that is surely none. What lies where the opacity
is 0 cannot reach a classifier behind this view: neither red cells nor glass nor scale bars, nor the brightness or the
contrast of the field, as the leukocytes' pixels are standardised over all of them. In colour, each channel is
standardised by itself: what is left is how the colours of a field's leukocytes differ from each other, such as
cytoplasm from nucleus. Exposure, white balance and gamma of a channel cancel, but where they clip or hardly differ;
what mixes channels, another hue or another stain, does not.

The network that finds them is a small U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) at half of the
field's size.
"""

# No `from __future__ import annotations`: parts of it are exported and scripted by tools that read annotations.
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from leuk_hf.orientations import AXES

WIDTHS = (16, 24, 40, 64)
NUM_CHANNELS_IN_COLOUR = 5
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_DARKEST_SPREAD = 4 / 255  # below it, differences in luminance are the camera's noise
_LEAST_ABSORPTION = 0.02  # spread of optical density below which differences in it are the camera's noise
_NOTHING = 1 / 256  # of the grid: evidence from less area than this counts less than its full weight
_REACH = 0.1  # of the field's edge: depths beyond it are not told apart; the radius of a large cell is 0.09
_NEIGHBOURHOOD = 0.045  # of the field's edge: how far around a place its cell's greatest depth is looked for
_TYPICAL_RADIUS = 0.05  # of the field's edge


class LeukocyteNetwork(nn.Module):
    """Rates every pixel of a field: logits (N, 1, H, W), positive on leukocytes.

    The field is standardised first, by its channels' means and one spread, so that exposure and white balance hardly
    matter.

    Args:
        widths: Channels at a half, a quarter, an eighth and a sixteenth of the field's size.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        full, half, quarter, eighth = widths
        self.down0 = nn.Sequential(_convolution(3, full), _convolution(full, full))
        self.down1 = nn.Sequential(_convolution(full, half, stride=2), _convolution(half, half))
        self.down2 = nn.Sequential(_convolution(half, quarter, stride=2), _convolution(quarter, quarter))
        self.down3 = nn.Sequential(
            _convolution(quarter, eighth, stride=2),
            _convolution(eighth, eighth, dilation=2),
            _convolution(eighth, eighth),
        )
        self.side2, self.up2 = nn.Conv2d(eighth, quarter, 1), _convolution(quarter, quarter)
        self.side1, self.up1 = nn.Conv2d(quarter, half, 1), _convolution(half, half)
        self.side0, self.up0 = nn.Conv2d(half, full, 1), _convolution(full, full)
        self.head = nn.Conv2d(full, 1, 1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Compute logits (N, 1, H, W) from pixel_values (N, 3, H, W), H and W at least 32."""
        mean = pixel_values.mean(dim=(2, 3), keepdim=True)
        centred = pixel_values - mean
        spread = centred.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        fine = self.down0(functional.avg_pool2d(centred / (spread + 0.1), 2))
        middle = self.down1(fine)
        coarse = self.down2(middle)
        found = self.up2(_enlarged(self.side2(self.down3(coarse)), coarse) + coarse)
        found = self.up1(_enlarged(self.side1(found), middle) + middle)
        found = self.up0(_enlarged(self.side0(found), fine) + fine)
        return _enlarged(self.head(found), pixel_values)


def averaged_ratings(network: nn.Module, pixel_values: torch.Tensor, *, orientations: int) -> torch.Tensor:
    """Rate a field's pixels in several orientations, each turned back, on average: logits (N, 1, H, W).

    A small network is not sure of outlines to a pixel. Along the average of four a classifier was right more often in
    grey, where outlines are found worst (experiment log).

    Args:
        network: `LeukocyteNetwork`.
        pixel_values: (N, 3, H, W).
        orientations: 1: as it is; 4: also mirrored across, mirrored down, and turned by half.
    """
    logits = network(pixel_values)
    if orientations == 1:
        return logits
    # One after the other: all at once would take several times the memory at the field's own size.
    for axes in AXES[orientations][1:]:
        logits = logits + network(pixel_values.flip(axes)).flip(axes)
    return logits / orientations


def opacity(logits: torch.Tensor) -> torch.Tensor:
    """Turn logits into opacities: 0 below a probability of about 0.4, 1 above 0.6, so that nothing shines through."""
    return (0.5 + logits).clamp(0, 1)


def erase_background(
    pixel_values: torch.Tensor, leukocytes: torch.Tensor, mean: torch.Tensor, std: torch.Tensor, *, field_size: int,
    colour: bool = False,
) -> torch.Tensor:  # fmt: skip
    """Leave of the leukocytes what a haematologist describes first: texture, the way in from the outline, and size.

    Args:
        pixel_values: (N, 3, H, W).
        leukocytes: Opacities (N, G, H, W); G above 1: of several fields that do not touch, each standardised alone.
        mean: (3,) that pixel_values were normalised by.
        std: (3,) that pixel_values were normalised by.
        field_size: Edge of a whole field in these pixels, which lengths are relative to; H and W may be a piece.
        colour: Whether to leave differences in colour, too.

    Returns:
        (N, 3, H, W), 0 outside of leukocytes: luminance in standard deviations over all their pixels; depth below the
        outline, from 0 to 1 where the cell is deepest; and that greatest depth, the cell's radius, relative to a
        typical one. In colour (N, 5, H, W): also how much more red than blue is absorbed, and how much more green than
        both, by optical densities in standard deviations of each channel; both are 0 where an image is grey.
    """
    luminance = standardised_luminance(pixel_values, leukocytes, mean, std)
    inside = leukocytes.sum(dim=1, keepdim=True)
    depth, radius = depth_and_radius(inside, field_size=field_size)
    described = [depth / radius.clamp_min(1) * inside, radius / (_TYPICAL_RADIUS * field_size) * inside]
    if colour:
        red, green, blue = standardised_absorption(pixel_values, leukocytes, mean, std).split(1, dim=1)
        described += [red - blue, green - (red + blue) / 2]
    return torch.cat([luminance, *described], dim=1)


def standardised_luminance(
    pixel_values: torch.Tensor, leukocytes: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> torch.Tensor:
    """Give luminance in standard deviations over all pixels of a field's leukocytes: (N, 1, H, W), 0 outside.

    Args:
        pixel_values: (N, 3, H, W).
        leukocytes: Opacities (N, G, H, W) of G fields that do not touch, each standardised alone.
        mean: (3,) that pixel_values were normalised by.
        std: (3,) that pixel_values were normalised by.
    """
    luma = torch.tensor(_LUMA, dtype=pixel_values.dtype, device=pixel_values.device)
    weights = (luma * std.to(pixel_values)).view(1, 3, 1, 1)
    luminance = (pixel_values * weights).sum(dim=1, keepdim=True) + (luma * mean.to(pixel_values)).sum()
    return _standardised(luminance, leukocytes, least_spread=_DARKEST_SPREAD)


def standardised_absorption(
    pixel_values: torch.Tensor, leukocytes: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> torch.Tensor:
    """Give each channel's optical density in standard deviations over a field's leukocytes: (N, 3, H, W), 0 outside.

    Neither exposure and white balance (factors of a channel) nor its gamma change it, but where they clip.

    Args:
        pixel_values: (N, 3, H, W).
        leukocytes: Opacities (N, G, H, W) of G fields that do not touch, each standardised alone.
        mean: (3,) that pixel_values were normalised by.
        std: (3,) that pixel_values were normalised by.

    Source:
        Beer-Lambert; Ruifrok and Johnston 2001, "Quantification of histochemical staining by color deconvolution".
    """
    light = pixel_values * std.to(pixel_values).view(1, 3, 1, 1) + mean.to(pixel_values).view(1, 3, 1, 1)
    density = -torch.log((light + 1 / 255).clamp_min(1 / 255))
    channels = [
        _standardised(channel, leukocytes, least_spread=_LEAST_ABSORPTION) for channel in density.split(1, dim=1)
    ]
    return torch.cat(channels, dim=1)


def _standardised(values: torch.Tensor, leukocytes: torch.Tensor, *, least_spread: float) -> torch.Tensor:
    """Standardise (N, 1, H, W) over the leukocytes (N, G, H, W) of each field: (N, 1, H, W), 0 outside."""
    area = leukocytes.sum(dim=(2, 3), keepdim=True) + 1e-6
    centred = values - (values * leukocytes).sum(dim=(2, 3), keepdim=True) / area
    spread = ((centred.pow(2) * leukocytes).sum(dim=(2, 3), keepdim=True) / area).sqrt()
    return (centred / spread.clamp_min(least_spread) * leukocytes).sum(dim=1, keepdim=True)


def depth_and_radius(leukocytes: torch.Tensor, *, field_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure how deep each place lies inside of its cell, and how deep that cell is: both (N, 1, H, W), in pixels.

    Args:
        leukocytes: Opacities (N, 1, H, W).
        field_size: Edge of a whole field in these pixels.
    """
    depth = depth_inside(leukocytes, reach=max(2, round(_REACH * field_size)))
    return depth, _greatest_around(depth, round(_NEIGHBOURHOOD * field_size))


def depth_inside(leukocytes: torch.Tensor, *, reach: int) -> torch.Tensor:
    """Measure how far each place lies below the outline, in pixels, by wearing the mask away from outside.

    Crosses and squares by turns make an octagon, which is within a tenth of a circle. What the border of the image
    cuts off is taken to go on beyond it.

    Args:
        leukocytes: Opacities (N, 1, H, W).
        reach: Greatest depth that is told apart, pixels.

    Returns:
        (N, 1, H, W) in [0, reach].
    """
    left = depth = leukocytes
    for step in range(1, reach):
        across = _least_of_neighbours(left, (0, 1))
        if step % 2 == 0:
            left = _least_of_neighbours(across, (1, 0))
        else:
            left = torch.minimum(across, _least_of_neighbours(left, (1, 0)))
        depth = depth + left
    return depth


def _least_of_neighbours(maps: torch.Tensor, reach: tuple[int, int]) -> torch.Tensor:
    """Give the least of each place and its neighbours reach (down, right) from it, on both sides.

    Shifted copies take a twelfth of the time that pooling takes on a CPU.
    """
    down, right = reach
    height, width = maps.shape[2:]
    # Infinity: nothing beyond the border counts.
    padded = functional.pad(maps, (right, right, down, down), value=float("inf"))
    before, after = padded[:, :, :height, :width], padded[:, :, 2 * down :, 2 * right :]
    return torch.minimum(torch.minimum(before, after), maps)


def _greatest_around(maps: torch.Tensor, reach: int) -> torch.Tensor:
    return _greatest(_greatest(maps, (1, 2 * reach + 1)), (2 * reach + 1, 1))


def _greatest(maps: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    # The padding is minus infinity: nothing beyond the border counts.
    return functional.max_pool2d(maps, window, stride=1, padding=(window[0] // 2, window[1] // 2))


class LeukocytePool(nn.Module):
    """Weighs feature maps by the leukocyte in each place, so that their mean is the mean over leukocytes.

    Where a field has hardly any, the weights do not grow beyond bounds: no evidence stays no evidence.
    """

    def forward(self, features: torch.Tensor, leukocytes: torch.Tensor) -> torch.Tensor:
        """Give (N, C, h, w) whose mean over places is what the classifier reads, from opacities (N, 1, H, W)."""
        return features * _weights(features, leukocytes)

    def of_fields(self, features: torch.Tensor, leukocytes: torch.Tensor) -> torch.Tensor:
        """Give that mean for each of G fields: (N, G, C), from opacities (N, G, H, W)."""
        weights = _weights(features, leukocytes)
        return torch.einsum("nchw,nghw->ngc", features, weights) / (features.shape[2] * features.shape[3])


def _weights(features: torch.Tensor, leukocytes: torch.Tensor) -> torch.Tensor:
    shares = functional.adaptive_avg_pool2d(leukocytes, (features.shape[2], features.shape[3]))
    return shares / (shares.mean(dim=(2, 3), keepdim=True) + _NOTHING)


def _convolution(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _enlarged(maps: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(maps, size=like.shape[2:], mode="bilinear", align_corners=False)
