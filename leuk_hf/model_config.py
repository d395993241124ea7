"""What a checkpoint's config.json says: our settings, and what timm alone needs to load the weights."""

from __future__ import annotations

import dataclasses
from typing import Any

from leuk_hf import checkpoint_io

IMAGENET_REPOSITORY = "timm/densenet121.tv_in1k"


def config_of(settings: dict[str, Any], architecture: dict[str, Any], num_features: int) -> dict[str, Any]:
    """Describe a model as JSON types.

    Args:
        settings: All arguments of `LeukDenseNet.__init__`.
        architecture: Those of them that timm's DenseNet takes.
        num_features: Channels of the last feature maps.
    """
    names, preprocessor = list(settings["class_names"]), settings["preprocessor"]
    # Whatever timm's own network is not gets a name that timm refuses.
    is_stock = settings["view"] == "field" and settings["output_stride"] == 32 and not settings["in_distribution_dims"]
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
