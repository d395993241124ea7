"""What a checkpoint's config.json says: our settings, and what timm alone needs to load the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from leuk_hf import checkpoint_io
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.preprocessing import Preprocessor, is_whole

IMAGENET_REPOSITORY = "timm/densenet121.tv_in1k"
_KINDS = {"preprocessor": Preprocessor, "refusal_limits": RefusalLimits}
# DenseNet-264, the largest of its paper, has 64 layers in a block; with growth rate 48 it has some 70 million weights.
_MOST_BLOCKS, _MOST_LAYERS, _MOST_GROWTH, _MOST_BOTTLENECK = 6, 64, 128, 16
_MOST_WEIGHTS = 250_000_000  # a gigabyte


def check_kinds(settings: Mapping[str, Any]) -> None:
    """Check that settings that are objects are of their classes.

    Args:
        settings: Some arguments of `LeukDenseNet.__init__`.

    Raises:
        TypeError: If one is something else, such as the dict that config.json has.
    """
    for name, kind in _KINDS.items():
        if name in settings and not isinstance(settings[name], kind):
            raise TypeError(f"{name} is {settings[name]!r}; give a {kind.__module__}.{kind.__name__}")


def check_architecture(*, growth_rate: Any, block_config: Any, bn_size: Any, drop_rate: Any) -> None:
    """Check what timm's DenseNet takes, before memory is asked for.

    Args:
        growth_rate: Channels added by each dense layer.
        block_config: Dense layers in each block.
        bn_size: Bottleneck width, in growth rates.
        drop_rate: Dropout before the classifier.

    Raises:
        ValueError: Naming what is outside its range.
    """
    for name, value, most in (("growth_rate", growth_rate, _MOST_GROWTH), ("bn_size", bn_size, _MOST_BOTTLENECK)):
        if not is_whole(value, 1, most):
            raise ValueError(f"{name} is {value!r}; give a whole number from 1 to {most}")
    if (
        not isinstance(block_config, (list, tuple))
        or not 1 <= len(block_config) <= _MOST_BLOCKS
        or not all(is_whole(layers, 1, _MOST_LAYERS) for layers in block_config)
    ):
        raise ValueError(
            f"block_config is {block_config!r}; give 1 to {_MOST_BLOCKS} whole numbers from 1 to {_MOST_LAYERS}"
        )
    is_number = isinstance(drop_rate, (int, float)) and not isinstance(drop_rate, bool)
    if not (is_number and 0 <= drop_rate < 1):
        raise ValueError(f"drop_rate is {drop_rate!r}; give a number from 0 to below 1")
    if (count := _num_weights(growth_rate, block_config, bn_size)) > _MOST_WEIGHTS:
        raise ValueError(
            f"growth_rate {growth_rate}, block_config {block_config} and bn_size {bn_size} make a network of"
            f" {count:,} weights; make it smaller (at most {_MOST_WEIGHTS:,})"
        )


def _num_weights(growth_rate: int, block_config: Sequence[int], bn_size: int) -> int:
    """Count the weights of a DenseNet's convolutions behind the first."""
    count, channels = 0, 2 * growth_rate
    for number, layers in enumerate(block_config, start=1):
        for _ in range(layers):
            count += bn_size * growth_rate * (channels + 9 * growth_rate)
            channels += growth_rate
        if number < len(block_config):
            count += channels * (channels // 2)
            channels //= 2
    return count


def config_of(settings: dict[str, Any], architecture: dict[str, Any], num_features: int) -> dict[str, Any]:
    """Describe a model as JSON types.

    Args:
        settings: All arguments of `LeukDenseNet.__init__`.
        architecture: Those of them that timm's DenseNet takes.
        num_features: Channels of the last feature maps.
    """
    names, preprocessor = list(settings["class_names"]), settings["preprocessor"]
    # Whatever timm's own network is not gets a name that timm refuses.
    is_stock = (
        settings["view"] == "field"
        and settings["output_stride"] == 32
        and settings["field_orientations"] == 1
        and not settings["in_distribution_dims"]
    )
    return {
        "architecture": "densenet121" if is_stock else "leuk_hf_densenet121",
        "num_classes": len(names),
        "num_features": num_features,
        "model_args": dict(architecture),
        "pretrained_cfg": {
            "input_size": [3, preprocessor.image_size, preprocessor.image_size],
            "fixed_input_size": False,
            "interpolation": preprocessor.interpolation,
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": list(preprocessor.mean),
            "std": list(preprocessor.std),
            "label_names": names,
            "first_conv": "features.conv0",
            "classifier": "classifier",
        },
        "leuk_hf": {
            "schema_version": checkpoint_io.SCHEMA_VERSION,
            **settings,
            "class_names": names,
            "preprocessor": dataclasses.asdict(preprocessor),
            "conformal_quantiles": list(settings["conformal_quantiles"]),
            "refusal_limits": dataclasses.asdict(settings["refusal_limits"]),
        },
    }
