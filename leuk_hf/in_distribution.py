"""How like the training fields an image is, told by the forward pass that classifies it.

Shared contract: a score is one float per image, higher = more like the training fields; features are what the
classifier reads, (N, C), pixel_values (N, 3, H, W), leukocytes opacities (N, 1, H, W) in [0, 1] or None. Everything is
torch without branches on values, so that it lies inside an exported graph.

The score is the negative squared Mahalanobis distance to the nearest class mean (Lee et al. 2018,
https://arxiv.org/abs/1807.03888) in a whitened subspace of the features joined with simple statistics of the field.
The statistics are there because a network that sees leukocytes alone cannot tell a foreign background; the features
because the statistics cannot tell a foreign cell. Each block has the same total variance, whatever its length.
"""

# No `from __future__ import annotations`: parts of it are exported by tools that read annotations.
import torch
from torch import nn
from torch.nn import functional

DEFAULT_DIMS = 64
_PAIRS = ((0, 1), (0, 2), (1, 2))
_SCALES = 4  # gradients are measured at the field's size and at halves of it
_TINY = 1e-4  # variance of pixel_values; keeps uniform images finite
_LEAST_AREA = 0.01  # share of the field; below it areas of leukocytes hardly differ
_SMALLEST_VARIANCE = 1e-3  # of a whitened direction, relative to the mean; bounds what a quiet one can contribute
_STATISTICS, _LEUKOCYTE_STATISTICS = 12 + _SCALES, 4


class InDistribution(nn.Module):
    """Scores images; with `dims` 0 by the energy of the logits, else by what was fitted (`fit_in_distribution`).

    Args:
        dims: Dimensions of the whitened subspace; 0 needs no fitting and has no buffers. The energy (log-sum-exp of
            the logits, Liu et al. 2020, https://arxiv.org/abs/2010.03759) is for lack of better: on the plain network
            photographs scored higher than smears.
        num_features: C.
        num_classes: K.
        sees_leukocytes: Whether leukocytes are given.

    Raises:
        ValueError: If dims is no whole number from 0 to the length of the joined vector.
    """

    centre: torch.Tensor
    whitening: torch.Tensor
    class_means: torch.Tensor

    def __init__(self, dims: int, *, num_features: int, num_classes: int, sees_leukocytes: bool) -> None:
        super().__init__()
        length = num_features + num_statistics(sees_leukocytes)
        if not isinstance(dims, int) or isinstance(dims, bool) or not 0 <= dims <= length:
            raise ValueError(f"in_distribution_dims is {dims!r}; give a whole number from 0 to {length}")
        self.dims = dims
        if dims:
            self.register_buffer("centre", torch.zeros(length))
            self.register_buffer("whitening", torch.zeros(length, dims))
            self.register_buffer("class_means", torch.zeros(num_classes, dims))

    def forward(
        self,
        logits: torch.Tensor,
        features: torch.Tensor,
        pixel_values: torch.Tensor,
        leukocytes: torch.Tensor | None,
    ) -> torch.Tensor:
        """Score images: (N,); with dims, a typical training field has about -1.

        Args:
            logits: (N, K), before the temperature.
            features: (N, C).
            pixel_values: (N, 3, H, W).
            leukocytes: (N, 1, H, W), or None.
        """
        if not self.dims:
            return torch.logsumexp(logits, dim=1)
        return self.score(joined(features, pixel_values, leukocytes))

    def score(self, vectors: torch.Tensor) -> torch.Tensor:
        """Score what `joined` gives, (N, C + S), with dims only: (N,)."""
        whitened = (vectors - self.centre) @ self.whitening
        squares = (whitened[:, None] - self.class_means[None]).pow(2).mean(dim=2)  # (N, K)
        return -squares.amin(dim=1)


def num_statistics(sees_leukocytes: bool) -> int:
    """Tell how many numbers `field_statistics` gives."""
    return _STATISTICS + (_LEUKOCYTE_STATISTICS if sees_leukocytes else 0)


def field_statistics(pixel_values: torch.Tensor, leukocytes: torch.Tensor | None) -> torch.Tensor:
    """Describe fields by few numbers: colours, how they go together, how fine the structure is, leukocytes.

    Args:
        pixel_values: (N, 3, H, W), H and W at least 16.
        leukocytes: (N, 1, H, W), or None.

    Returns:
        (N, S), S from `num_statistics`: mean, log spread and skewness of each channel; correlation of each pair;
        logarithm of the squared steps between neighbours over the variance, at four scales; with leukocytes the
        logarithm of their area and their mean colour.
    """
    mean = pixel_values.mean(dim=(2, 3))
    centred = pixel_values - mean[:, :, None, None]
    spread = (centred.pow(2).mean(dim=(2, 3)) + _TINY).sqrt()
    standardised = centred / spread[:, :, None, None]
    skewness = standardised.pow(3).mean(dim=(2, 3))
    together = [(standardised[:, one] * standardised[:, other]).mean(dim=(1, 2)) for one, other in _PAIRS]
    parts = [mean, spread.log(), skewness, torch.stack(together, dim=1)]
    level = centred.mean(dim=1, keepdim=True)
    variance = level.pow(2).mean(dim=(1, 2, 3)) + _TINY
    steps = []
    for scale in range(_SCALES):
        level = level if scale == 0 else functional.avg_pool2d(level, 2)
        across = (level[..., 1:] - level[..., :-1]).pow(2).mean(dim=(1, 2, 3))
        down = (level[:, :, 1:] - level[:, :, :-1]).pow(2).mean(dim=(1, 2, 3))
        steps.append(((across + down) / variance + _TINY).log())
    parts.append(torch.stack(steps, dim=1))
    if leukocytes is not None:
        area = leukocytes.mean(dim=(2, 3))
        colour = (pixel_values * leukocytes).mean(dim=(2, 3)) / (area + _TINY)
        parts += [(area + _LEAST_AREA).log(), colour]
    return torch.cat(parts, dim=1)


def joined(features: torch.Tensor, pixel_values: torch.Tensor, leukocytes: torch.Tensor | None) -> torch.Tensor:
    """Put features and statistics beside one another: (N, C + S).

    Args:
        features: (N, C).
        pixel_values: (N, 3, H, W).
        leukocytes: (N, 1, H, W), or None.
    """
    return torch.cat([features, field_statistics(pixel_values, leukocytes).to(features.dtype)], dim=1)


def fit_in_distribution(
    vectors: torch.Tensor, labels: torch.Tensor, *, num_features: int, num_classes: int, dims: int = DEFAULT_DIMS
) -> dict[str, torch.Tensor]:
    """Fit what `InDistribution` stores, to training fields.

    Args:
        vectors: (N, C + S), from `joined`, of the training part; more rows than dims.
        labels: int (N,), every class occurring.
        num_features: C; tells the two blocks apart.
        num_classes: K.
        dims: Dimensions to keep.

    Returns:
        The module's state dict: centre, whitening, class_means; float32.

    Raises:
        ValueError: If there are too few fields, or a class has none.
    """
    if not 0 < dims < min(len(vectors) - num_classes, vectors.shape[1] + 1):
        raise ValueError(
            f"{len(vectors)} fields with {vectors.shape[1]} numbers each are too few for {dims} dimensions; give more"
            " fields or fewer dimensions"
        )
    values, labels = vectors.double(), labels.long()
    if missing := set(range(num_classes)) - set(labels.tolist()):
        raise ValueError(f"class {min(missing)} has no training field; every class needs some")
    centre, spread = values.mean(dim=0), values.std(dim=0)
    # What never varies tells nothing; its weight is 0.
    weights = torch.where(spread > 1e-8, 1 / spread.clamp_min(1e-8), torch.zeros_like(spread))
    for block in (slice(None, num_features), slice(num_features, None)):
        weights[block] /= (weights[block] > 0).sum().clamp_min(1).sqrt()
    scaled = (values - centre) * weights
    means = torch.stack([scaled[labels == label].mean(dim=0) for label in range(num_classes)])
    residuals = scaled - means[labels]
    covariance = residuals.T @ residuals / (len(values) - num_classes)
    variances, directions = torch.linalg.eigh(covariance)  # ascending
    variances, directions = variances[-dims:].flip(0), directions[:, -dims:].flip(1)
    # The largest entry positive, so that every machine stores the same signs.
    largest = directions.abs().argmax(dim=0)
    directions = directions * directions[largest, torch.arange(dims)].sign()
    variances = variances.clamp_min(_SMALLEST_VARIANCE * variances.mean())
    whitening = directions / variances.sqrt()
    return {
        "centre": centre.float(),
        "whitening": (weights[:, None] * whitening).float(),
        "class_means": (means @ whitening).float(),
    }
