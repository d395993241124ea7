"""What training lessens: cross-entropy with smoothed targets, and with none for fields that show nothing."""

from __future__ import annotations

import torch
from torch.nn import functional

from leuk_hf.fields import NO_EVIDENCE, NO_FIELD


def summed_loss(logits: torch.Tensor, targets: torch.Tensor, *, label_smoothing: float) -> torch.Tensor:
    """Add up the cross-entropies of a batch.

    Args:
        logits: (N, K).
        targets: int64 (N,), a class index, `NO_EVIDENCE` for every class alike, or `NO_FIELD` for what does not count.
        label_smoothing: Share of a class's target that is spread over all classes, in [0, 1).

    Source:
        Uniform targets for what is of no class: Lee et al. 2018, https://arxiv.org/abs/1711.09325
    """
    is_empty = targets == NO_EVIDENCE
    told = functional.cross_entropy(
        logits,
        targets.masked_fill(is_empty, NO_FIELD),
        label_smoothing=label_smoothing,
        ignore_index=NO_FIELD,
        reduction="sum",
    )
    # Multiplied, not picked: a graph of one shape, whatever the batch holds.
    return told - (functional.log_softmax(logits, dim=1).mean(dim=1) * is_empty).sum()
