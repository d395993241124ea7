"""The network behind LeukDenseNet: timm's DenseNet-121, and what sees leukocytes alone.

No files and no Hub here. pixel_values are float32 (N, 3, H, W) from `LeukDenseNet.preprocess`; logits are (N, K), K
classes in the order of `class_names`.

Source: Huang et al., Densely Connected Convolutional Networks, https://arxiv.org/abs/1608.06993
"""

# No `from __future__ import annotations` here: the Hub mixin reads the annotations of __init__ as types.
from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import nn

from leuk_hf import checkpoint_io
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.in_distribution import InDistribution
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.leukocyte_view import (
    NUM_CHANNELS_IN_COLOUR,
    LeukocyteNetwork,
    LeukocytePool,
    averaged_ratings,
    erase_background,
    opacity,
)
from leuk_hf.model_config import check_architecture, check_kinds
from leuk_hf.orientations import OrientationMean, check_field_orientations, oriented
from leuk_hf.preprocessing import Preprocessor


class DenseNetClassifier(nn.Module):
    """DenseNet-121 for smear fields, with random weights.

    Args:
        class_names: One name per class, in index order; at least two, all different.
        preprocessor: How images become pixel_values.
        cam_layer: The layer explained by default, one of `cam_layers`: "denseblock1" ... "denseblock4" (block
            outputs, before norm5), "norm5" (after its ReLU) or, if only leukocytes are seen, "leukocyte_pool" (norm5
            weighted by them). The last one's maps are averaged for the logits.
        view: What the network sees: the "field", its "leukocytes" alone, in grey, or "leukocytes_in_colour": alone,
            with what their colours are relative to each other.
        output_stride: Pixels of the field for each place of the last block: 32, or 16 for maps of twice the size (the
            last transition then does not pool).
        outline_orientations: In how many orientations of a field its leukocytes are looked for, where nothing else is
            seen: 1, or 4 (mirrored across, down and both), whose ratings are averaged.
        field_orientations: In how many orientations the blocks read what is seen: 1, 2 (mirrored down) or 4; the last
            block's outputs, turned back, are averaged before norm5.
        temperature: The logits are divided by it before the softmax (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599); from 0.01 to 100; 1 leaves the probabilities uncalibrated.
        conformal_quantiles: For each class the least probability with which it belongs to the prediction set
            (`leuk_hf.conformal`); empty: not fitted.
        refusal_limits: Beyond which an image is refused (`leuk_hf.field_checks`).
        in_distribution_dims: Dimensions of the fitted score of `leuk_hf.in_distribution`; 0: not fitted.
        growth_rate: Channels added by each dense layer, up to 128.
        block_config: Dense layers in each block: up to 64 in up to 6.
        bn_size: Bottleneck width, in growth rates, up to 16.
        drop_rate: Dropout before the classifier, in [0, 1).

    Raises:
        TypeError: If preprocessor or refusal_limits is of another class.
        ValueError: If a setting is outside its range.
    """

    leukocytes: LeukocyteNetwork | None
    features: nn.Sequential
    global_pool: nn.Module
    head_drop: nn.Dropout
    classifier: nn.Linear

    def __init__(
        self,
        *,
        class_names: Sequence[str] = CLASS_NAMES,
        preprocessor: Preprocessor = Preprocessor(),  # noqa: B008 - frozen
        cam_layer: str = "denseblock4",
        view: str = "field",
        output_stride: int = 32,
        outline_orientations: int = 1,
        field_orientations: int = 1,
        temperature: float = 1.0,
        conformal_quantiles: Sequence[float] = (),
        refusal_limits: RefusalLimits = RefusalLimits(),  # noqa: B008 - frozen
        in_distribution_dims: int = 0,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        bn_size: int = 4,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        check_kinds({"preprocessor": preprocessor, "refusal_limits": refusal_limits})
        check_architecture(growth_rate=growth_rate, block_config=block_config, bn_size=bn_size, drop_rate=drop_rate)
        self.class_names = checkpoint_io.check_class_names(class_names)
        self.temperature = checkpoint_io.check_temperature(temperature)
        self.preprocessor = preprocessor
        if view not in checkpoint_io.VIEWS:
            raise ValueError(f"view is {view!r}; choose {' or '.join(checkpoint_io.VIEWS)}")
        if output_stride not in (16, 32) or isinstance(output_stride, bool):
            raise ValueError(f"output_stride is {output_stride!r}; choose 16 or 32")
        if outline_orientations not in (1, 4) or isinstance(outline_orientations, bool):
            raise ValueError(f"outline_orientations is {outline_orientations!r}; choose 1 or 4")
        if view == "field" and outline_orientations != 1:
            raise ValueError("outline_orientations is 4, but the view is the whole field; leave it at 1")
        self.view, self.output_stride = view, output_stride
        self.outline_orientations = outline_orientations
        self.field_orientations = check_field_orientations(field_orientations)
        self.conformal_quantiles = checkpoint_io.check_quantiles(conformal_quantiles, self.class_names)
        self.refusal_limits = refusal_limits
        self.architecture: dict[str, Any] = {
            "growth_rate": growth_rate,
            "block_config": tuple(block_config),
            "bn_size": bn_size,
            "drop_rate": drop_rate,
        }
        backbone: Any = timm.create_model(
            "densenet121",
            num_classes=len(self.class_names),
            in_chans=NUM_CHANNELS_IN_COLOUR if view == checkpoint_io.IN_COLOUR else 3,
            **self.architecture,
        )
        self.num_features: int = backbone.num_features
        self.features = backbone.features
        if output_stride == 16:
            self.features.get_submodule(f"transition{len(self.architecture['block_config']) - 1}").pool = nn.Identity()
        self.orientation_mean = OrientationMean(field_orientations)
        self.leukocytes = LeukocyteNetwork() if view != "field" else None
        self.leukocyte_pool = LeukocytePool()
        self.global_pool = backbone.global_pool
        self.head_drop = backbone.head_drop
        self.classifier = backbone.classifier
        self.in_distribution = InDistribution(
            in_distribution_dims,
            num_features=self.num_features,
            num_classes=len(self.class_names),
            sees_leukocytes=view != "field",
        )
        self.cam_layer = cam_layer
        self.layer(cam_layer)

    @property
    def sees_colour(self) -> bool:
        """Whether it is told what the leukocytes' colours are relative to each other."""
        return self.view == checkpoint_io.IN_COLOUR

    @property
    def cam_layers(self) -> tuple[str, ...]:
        """The layers that can be explained, from fine to coarse."""
        return checkpoint_io.cam_layers_of(self.settings)

    def layer(self, name: str) -> nn.Module:
        """Give the module behind a layer name.

        Its output is (N, C, h, w); of blocks before the last, in several orientations, it is stacked
        (`leuk_hf.orientations`).

        Args:
            name: One of `cam_layers`.

        Raises:
            ValueError: For any other name.
        """
        if name not in self.cam_layers:
            raise ValueError(f"there is no layer {name!r}; choose one of {', '.join(self.cam_layers)}")
        if name == f"denseblock{len(self.architecture['block_config'])}" and self.field_orientations > 1:
            return self.orientation_mean
        return self.get_submodule(name) if name == "leukocyte_pool" else self.features.get_submodule(name)

    def find_leukocytes(self, pixel_values: torch.Tensor) -> torch.Tensor | None:
        """Rate how far each pixel is left to see: (N, 1, H, W) in [0, 1]; None if the whole field is seen."""
        if self.leukocytes is None:
            return None
        return opacity(averaged_ratings(self.leukocytes, pixel_values, orientations=self.outline_orientations))

    def forward_blocks(self, pixel_values: torch.Tensor, leukocytes: torch.Tensor | None) -> torch.Tensor:
        """Compute the last block's output, before norm5: (N, C, h, w), h = H / output_stride.

        Args:
            pixel_values: (N, 3, H, W).
            leukocytes: From `find_leukocytes`.
        """
        if leukocytes is not None:
            mean, std = (torch.tensor(values) for values in (self.preprocessor.mean, self.preprocessor.std))
            pixel_values = erase_background(
                pixel_values, leukocytes, mean, std, field_size=self.preprocessor.image_size, colour=self.sees_colour
            )
        return self.read_blocks(pixel_values)

    def read_blocks(self, seen: torch.Tensor) -> torch.Tensor:
        """Compute the last block's output from what is seen, (N, C, H, W), averaged over `field_orientations`."""
        return self.orientation_mean(self.features[:-1](oriented(seen, self.field_orientations)))

    def pooled_features(self, activations: torch.Tensor, leukocytes: torch.Tensor | None) -> torch.Tensor:
        """Turn what `forward_blocks` gives into the maps whose mean is classified, after norm5: (N, C, h, w)."""
        features = self.features[-1](activations)
        return features if leukocytes is None else self.leukocyte_pool(features, leukocytes)

    def forward_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Compute the maps whose mean is classified: (N, C, h, w), h = H / output_stride."""
        leukocytes = self.find_leukocytes(pixel_values)
        return self.pooled_features(self.forward_blocks(pixel_values, leukocytes), leukocytes)

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        """Turn the feature maps of `forward_features` into logits: (N, K)."""
        return self.classifier(self.head_drop(self.global_pool(features)))

    def forward(self, pixel_values: torch.Tensor, leukocytes: torch.Tensor | None = None) -> torch.Tensor:
        """Compute logits (N, K) from pixel_values, float32 (N, 3, H, W).

        Args:
            pixel_values: From `preprocess`.
            leukocytes: (N, G, H, W) in [0, 1] instead of those that the network finds, if it sees nothing else: the
                cells of G fields that share an image. The logits are then (N, G, K).
        """
        if leukocytes is None or self.leukocytes is None:
            return self.forward_head(self.forward_features(pixel_values))
        features = self.features[-1](self.forward_blocks(pixel_values, leukocytes))
        return self.classifier(self.head_drop(self.leukocyte_pool.of_fields(features, leukocytes)))

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `__init__` that make this model."""
        return {
            "class_names": self.class_names,
            "preprocessor": self.preprocessor,
            "cam_layer": self.cam_layer,
            "view": self.view,
            "output_stride": self.output_stride,
            "outline_orientations": self.outline_orientations,
            "field_orientations": self.field_orientations,
            "temperature": self.temperature,
            "conformal_quantiles": self.conformal_quantiles,
            "refusal_limits": self.refusal_limits,
            "in_distribution_dims": self.in_distribution.dims,
            **self.architecture,
        }
