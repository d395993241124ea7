"""Scores of an explanation: does it point at leukocytes, and at what the answer depends on?

Shared contract: an attribution is a signed float (h, w) at the layer's size and is scored as the heatmap that people
see, `visualization.to_heatmap`: negative values clipped, then enlarged bilinearly; a mask of leukocytes is bool (H, W)
at the size of the field as the network sees it, where pixel_values are float32 (3, H, W). A score that is not defined
(a map without a positive value, a field without leukocytes) is NaN, never 0. Scores are pure functions: randomness
comes only from a generator that the caller passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from leuk_hf.visualization import to_heatmap

# Standard deviation, in edges of the field. In 21 test fields blurred so `segment_leukocytes` finds no cell; with half
# of it, cells in 11.
NEUTRAL_BLUR = 1 / 8


class Curves(NamedTuple):
    """Areas under the curves of the target's probability, in [0, 1].

    Args:
        deletion: While the hottest pixels go first; the lower, the more the answer depends on them.
        insertion: While the hottest pixels come first; the higher, the more they suffice.
        probability: Of the untouched field.
        neutral_probability: Of the neutral field. Where it is no lower, the field has nothing left to lose.
    """

    deletion: float
    insertion: float
    probability: float
    neutral_probability: float


def perfect_map(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Make the map that tells no more and no less than where the leukocytes are, on a grid.

    It is what the other maps are held against, not an upper bound: a map of one hot place in the middle of a large
    cell has a larger share of its sum on leukocytes.

    Args:
        mask: bool (H, W).
        size: (h, w) of the grid.

    Returns:
        float32 (h, w) in [0, 1]: the share of leukocyte in each place.
    """
    return cv2.resize(np.asarray(mask, dtype=np.float32), size[::-1], interpolation=cv2.INTER_AREA)


def random_map(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Draw a map of independent places: what a map on this grid scores that knows nothing. float32 (h, w)."""
    return generator.random(size, dtype=np.float32)


def centre_map(size: tuple[int, int]) -> np.ndarray:
    """Make the map that is hottest in the middle: what a map scores that knows how photographs are taken.

    Args:
        size: (h, w).

    Returns:
        float32 (h, w), positive, falling with the distance from the middle in half edges.
    """
    rows, columns = (((np.arange(edge) + 0.5) / edge * 2 - 1) ** 2 for edge in size)
    return (np.sqrt(2) - np.sqrt(rows[:, None] + columns)).astype(np.float32)


def share_on_leukocytes(attribution: np.ndarray, mask: np.ndarray) -> float:
    """Compute the share of the positive attribution that lies on leukocytes; by chance it is their share of the area.

    Args:
        attribution: (h, w), signed.
        mask: bool (H, W).

    Returns:
        In [0, 1]; NaN without positive attribution or without leukocytes.
    """
    mask = np.asarray(mask, dtype=bool)
    heatmap = to_heatmap(attribution, mask.shape[::-1]).astype(np.float64)
    total = heatmap.sum()
    return float(heatmap[mask].sum() / total) if total and mask.any() else float("nan")


def pointing_score(attribution: np.ndarray, mask: np.ndarray) -> float:
    """Play the pointing game (Zhang et al. 2016, https://arxiv.org/abs/1608.00507): hottest pixel on a leukocyte?

    Args:
        attribution: (h, w), signed.
        mask: bool (H, W).

    Returns:
        1 or 0; the share of hits where several pixels are equally hot; NaN as for `share_on_leukocytes`.
    """
    mask = np.asarray(mask, dtype=bool)
    heatmap = to_heatmap(attribution, mask.shape[::-1])
    return float(mask[heatmap == heatmap.max()].mean()) if heatmap.any() and mask.any() else float("nan")


def pixel_order(attribution: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Rank the pixels of a field, hottest first.

    Args:
        attribution: (h, w), signed. Where the heatmap is 0, what argues least against the target comes first.
        size: (H, W) of the field.

    Returns:
        int (H * W,): flat indices.
    """
    heatmap = to_heatmap(attribution, size[::-1])
    signed = cv2.resize(np.asarray(attribution, dtype=np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.lexsort((-signed.ravel(), -heatmap.ravel()))


def neutral_field(pixel_values: np.ndarray) -> np.ndarray:
    """Blur a field until no cell can be told: what deleted pixels are replaced by.

    A constant colour would be no absence of evidence: its edges and its contrast to the field look like cells or like
    burnt-in labels, and a network that saw none in training answers for reasons of its own. The blurred field keeps
    colour and light of the surroundings and has no edges, so that what is deleted is what can be seen in it. (Petsiuk
    et al. blur for insertion for the same reason.) What a network knows from the mean colour alone is not deleted.

    Args:
        pixel_values: float32 (3, H, W).

    Returns:
        float32 (3, H, W).
    """
    sigma = NEUTRAL_BLUR * min(pixel_values.shape[1:])
    return np.stack([cv2.GaussianBlur(channel, (0, 0), sigma) for channel in pixel_values])


def deletion_and_insertion(
    probability_of: Callable[[np.ndarray], np.ndarray],
    pixel_values: np.ndarray,
    neutral: np.ndarray,
    order: np.ndarray,
    *,
    num_steps: int = 10,
) -> Curves:
    """Delete the hottest pixels first, then insert the hottest pixels first, and watch the probability.

    Source: Petsiuk et al. 2018 (RISE), https://arxiv.org/abs/1806.07421.

    Args:
        probability_of: Gives the target's probability (N,) for pixel_values (N, 3, H, W).
        pixel_values: float32 (3, H, W).
        neutral: float32 (3, H, W), from `neutral_field`.
        order: From `pixel_order`.
        num_steps: Equal steps from the whole field to nothing of it, at least 1.
    """
    rank = np.empty(pixel_values.shape[1:], dtype=np.int64)
    rank.ravel()[order] = np.arange(len(order))
    counts = np.rint(np.linspace(0, len(order), num_steps + 1)).astype(np.int64)
    deleted = [np.where(rank < count, neutral, pixel_values) for count in counts]
    inserted = [np.where(rank < count, pixel_values, neutral) for count in counts[1:-1]]
    probabilities = np.asarray(probability_of(np.stack([*deleted, *inserted])), dtype=np.float64)
    whole, nothing = probabilities[0], probabilities[num_steps]
    deletion = probabilities[: num_steps + 1]
    insertion = np.concatenate([[nothing], probabilities[num_steps + 1 :], [whole]])
    return Curves(_area(deletion), _area(insertion), float(whole), float(nothing))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Spearman's correlation of two maps of one grid, ties by their mean rank.

    Model randomisation (Adebayo et al. 2018, https://arxiv.org/abs/1810.03292) asks whether a map changes when the
    network's weights do. Ranks, because maps are shown each scaled by its own maximum; SSIM, the alternative there,
    has windows of 7 or 11 places, more than the grids of the last blocks have.

    Args:
        first: (h, w), signed.
        second: (h, w), signed.

    Returns:
        In [-1, 1]; NaN when one of them is constant.
    """
    ranks = [_ranks(np.asarray(values).ravel()) for values in (first, second)]
    one, other = (values - values.mean() for values in ranks)
    norm = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / norm) if norm else float("nan")


def _area(curve: np.ndarray) -> float:
    return float((curve[:-1] + curve[1:]).mean() / 2)


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
