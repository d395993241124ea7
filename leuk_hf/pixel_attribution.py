"""What single pixels and small squares contribute to a class's logit: Integrated Gradients and Occlusion, by Captum.

Shared contract: one image at a time; maps are signed float32 (H, W) at the network's input size, to be shown by
`visualization.to_heatmap`. Both methods compare with a baseline, an image in which there is nothing to see, and their
answers mean nothing without it.

Integrated Gradients starts, for a network that sees leukocytes alone, from the same cells without any texture: every
pixel of a leukocyte at the mean luminance and colour of them all, outlines and sizes as they are. It explains what the
chromatin and cytoplasm say beyond that, in what the network is given to see (`erase_background`), the found leukocytes
held fixed. Neither glass nor black would do: the view divides luminance by its spread over the leukocytes, so that on
the way from glass all happens in the first few per cent, where the cells are too faint to be found; and without any
cell the view is empty, which no field is: there the logits are large and mean nothing. A network that sees the whole
field starts from glass everywhere, in the colour of that field's own.

Occlusion lays a square of that glass over one place after the other, and finds the leukocytes anew each time: a
covered cell is gone, not a grey square.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from leuk_hf.backends import Predictor
from leuk_hf.preprocessing import Preprocessor

if TYPE_CHECKING:
    import torch

    from leuk_hf.model import LeukDenseNet

Progress: TypeAlias = Callable[[float], None]  # is told the share that is done, in (0, 1]

STEPS = 16  # of the path, which is smooth
WINDOW = 0.125  # edge of the occluded square, as a share of the field's: it hides a leukocyte
_STRIDES_PER_WINDOW = 2
_BATCH = 8
_GLASS = 90  # percentile of luminance from which on pixels are glass


@dataclasses.dataclass(frozen=True, eq=False)
class PixelAttribution:
    """A map and what it should add up to.

    Args:
        values: float32 (H, W), signed.
        difference: Logit of the image less logit of the baseline. The values of Integrated Gradients add up to it;
            those of Occlusion need not.
    """

    values: np.ndarray
    difference: float


def glass_colour(pixel_values: np.ndarray) -> np.ndarray:
    """Tell the colour of a field's bright, empty glass: float32 (3,), normalised like pixel_values.

    Args:
        pixel_values: float32 (3, H, W).
    """
    luminance = pixel_values.mean(axis=0)
    return np.median(pixel_values[:, luminance >= np.percentile(luminance, _GLASS)], axis=1).astype(np.float32)


def integrated_gradients(
    predictor: Predictor,
    pixel_values: np.ndarray,
    target: int,
    *,
    steps: int = STEPS,
    progress: Progress | None = None,
) -> PixelAttribution:
    """Integrate the logit's gradient along the way from the baseline to the image.

    Source: Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365; computed by `captum.attr.IntegratedGradients`
    with the Gauss-Legendre rule.

    Args:
        predictor: Its torch network is used; left as found.
        pixel_values: float32 (1, 3, H, W).
        target: Class index.
        steps: Points on the path.
        progress: Told how far it is.

    Raises:
        LeukError: If there is only an exported graph.
        ValueError: If target is no class index, or pixel_values are not of one image.
    """
    _check(predictor, pixel_values, target)
    import torch
    from captum.attr import IntegratedGradients

    from leuk_hf.attribution import replica_of

    model = replica_of(predictor.torch_model())
    parameter = next(model.parameters())
    steps_done = _Count(steps + 2, progress)  # Captum looks at both ends, too
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(parameter.device.type, enabled=False):
        image = torch.from_numpy(pixel_values.copy()).to(parameter.device, parameter.dtype)
        seen, baseline, classify = _seen_by(model, image)

        def forward(values: torch.Tensor) -> torch.Tensor:
            steps_done.add(len(values))
            return classify(values)

        method = IntegratedGradients(forward)
        batch = max(1, _BATCH // model.field_orientations)  # each is read so many times, with its gradient
        given, difference = method.attribute(
            seen, baseline, target=target, n_steps=steps, internal_batch_size=batch, return_convergence_delta=True
        )
        values = given.detach().sum(dim=1)[0].float().cpu().numpy()
    # Captum's delta is what the sum exceeds the difference by.
    return PixelAttribution(values, float(given.sum() - difference.item()))


def occlusion(
    predictor: Predictor, pixel_values: np.ndarray, target: int, *, progress: Progress | None = None
) -> PixelAttribution:
    """Measure how far the logit falls when a square of the field is covered with glass, place by place.

    Source: Zeiler & Fergus 2014, https://arxiv.org/abs/1311.2901; computed by `captum.attr.Occlusion`. Needs no
    gradients and runs on the predictor's own backend. Each pixel gets the mean over the squares that cover it.

    Args:
        predictor: On any backend.
        pixel_values: float32 (1, 3, H, W).
        target: Class index.
        progress: Told how far it is.

    Raises:
        ValueError: If target is no class index, or pixel_values are not of one image.
    """
    _check(predictor, pixel_values, target)
    import torch
    from captum.attr import Occlusion

    size = pixel_values.shape[2]
    window = max(2, round(WINDOW * size))
    stride = max(1, window // _STRIDES_PER_WINDOW)
    places = (1 + math.ceil((size - window) / stride)) ** 2
    runs_done = _Count(places + 1, progress)

    def forward(values: torch.Tensor) -> torch.Tensor:
        runs_done.add(len(values))
        return torch.from_numpy(predictor.run(values.numpy()).logits)

    glass = torch.from_numpy(np.broadcast_to(glass_colour(pixel_values[0])[:, None, None], (1, 3, size, size)).copy())
    with torch.inference_mode(False), torch.no_grad():
        image = torch.from_numpy(pixel_values.copy())
        attribution = Occlusion(forward).attribute(
            image,
            sliding_window_shapes=(3, window, window),
            strides=(3, stride, stride),
            baselines=glass,
            target=target,
            perturbations_per_eval=_BATCH,
        )
        logits = predictor.run(np.concatenate([pixel_values, glass.numpy()])).logits[:, target]
    return PixelAttribution(attribution[0, 0].float().numpy(), float(logits[0] - logits[1]))


class _Count:
    """Turns forward passes into the share that is done."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._done, self._progress = total, 0, progress

    def add(self, number: int) -> None:
        self._done += number
        if self._progress is not None:
            self._progress(min(1.0, self._done / self._total))


def _seen_by(
    model: LeukDenseNet, image: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Give what the classifier reads of an image, its baseline, and the classifier; all (N, C, H, W) to (N, K)."""
    import torch

    from leuk_hf.leukocyte_view import erase_background

    preprocessor: Preprocessor = model.preprocessor
    with torch.no_grad():
        leukocytes = model.find_leukocytes(image)
    if leukocytes is None:
        glass = torch.from_numpy(glass_colour(image[0].float().cpu().numpy())).to(image)
        return image, glass.view(1, 3, 1, 1).expand_as(image).clone(), model
    mean, std = torch.tensor(preprocessor.mean), torch.tensor(preprocessor.std)
    with torch.no_grad():
        seen = erase_background(
            image, leukocytes, mean, std, field_size=preprocessor.image_size, colour=model.sees_colour
        )

    def classify(values: torch.Tensor) -> torch.Tensor:
        return model.forward_head(model.pooled_features(model.read_blocks(values), leukocytes))

    flat = seen.clone()
    flat[:, 0] = flat[:, 3:] = 0  # luminance and colour, whose means over the leukocytes are 0
    return seen, flat, classify


def _check(predictor: Predictor, pixel_values: np.ndarray, target: int) -> None:
    count = len(predictor.class_names)
    if type(target) is not int or not 0 <= target < count:
        raise ValueError(f"target is {target!r}; give a class index from 0 to {count - 1}")
    if len(pixel_values) != 1:
        raise ValueError(f"there are {len(pixel_values)} images; give one at a time")
