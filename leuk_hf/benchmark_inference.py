"""The table of inference: all ways to an explained answer and their floor, timed in the same rounds.

Shared contract: the floor is the network's multiplications at the rate of a large matrix product of the same rounds;
times are per image.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from leuk_hf.benchmark import figure, interleave, paired_ratio, significant
from leuk_hf.benchmark_variants import CAPTUM, PYTORCH_GRAD_CAM, TOLERANCES, Variant, steadiest_first, variants
from leuk_hf.errors import LeukError
from leuk_hf.model import LeukDenseNet

_MATRIX_EDGE = 1536


def count_flops(model: torch.nn.Module, pixel_values: torch.Tensor) -> int:
    """Count the floating-point operations of convolutions and linear layers in a forward pass: 2 per multiply-add.

    Args:
        model: In evaluation mode.
        pixel_values: The input.
    """
    total = 0

    def count(module: torch.nn.Module, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, torch.nn.Conv2d):
            height, width = module.kernel_size
            total += 2 * output.numel() * (module.in_channels // module.groups) * height * width
        elif isinstance(module, torch.nn.Linear):
            total += 2 * output.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    try:
        with torch.no_grad():
            model(pixel_values)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def matrix_products(*, native_bfloat16: bool, with_numpy: bool) -> dict[str, Callable[[], Any]]:
    """Prepare large square matrix products, by library and precision.

    Args:
        native_bfloat16: Whether to take bfloat16, too.
        with_numpy: Whether to take NumPy's (OpenBLAS), the faster one on some CPUs.
    """
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, _MATRIX_EDGE, _MATRIX_EDGE, generator=generator)
    products: dict[str, Callable[[], Any]] = {"torch float32": lambda: left @ right}
    if with_numpy:
        products["numpy float32"] = lambda: left.numpy() @ right.numpy()
    if native_bfloat16:
        halves = left.bfloat16(), right.bfloat16()
        products["torch bfloat16"] = lambda: halves[0] @ halves[1]
    return products


def measure_inference(
    model: LeukDenseNet,
    exported: Path | None,
    pixel_values: np.ndarray,
    *,
    rounds: int,
    native_bfloat16: bool,
    with_compile: bool = False,
    num_threads: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Time all ways to an explained answer, the floor among them, in the same rounds; and check their maps.

    Args:
        model: In evaluation mode, float32, on the CPU.
        exported: Folder of its export; None if there is none.
        pixel_values: float32 (N, 3, H, W), N at least 2.
        rounds: Rounds that count.
        native_bfloat16: Whether to time bfloat16 as well.
        with_compile: Whether to time torch.compile.
        num_threads: Of one forward pass; by default each engine's choice.
        seed: Of the orders.
        progress: Show a bar.

    Returns:
        JSON types: image_size, num_classes, rounds, flops, floor, rows. A row has name, num_images, milliseconds
        (per image), times_faster (by peer), over_floor, map_difference, or missing.

    Raises:
        LeukError: If a variant's maps are not Captum's.
    """
    pixel_values = steadiest_first(model, pixel_values)
    ways = list(
        variants(
            model,
            exported,
            pixel_values,
            native_bfloat16=native_bfloat16,
            with_compile=with_compile,
            num_threads=num_threads,
        )
    )
    differences = {way.name: _checked(way) for way in ways if way.call is not None}
    # NumPy's threads cannot be set from here: its product counts only if it has as many as the others.
    with_numpy = num_threads is None or os.environ.get("OPENBLAS_NUM_THREADS") == str(num_threads)
    products = matrix_products(native_bfloat16=native_bfloat16, with_numpy=with_numpy)
    calls = {way.name: way.call for way in ways if way.call is not None}
    seconds = interleave({**calls, **products}, rounds=rounds, seed=seed, progress=progress)
    fastest = min(products, key=lambda name: float(np.median(seconds[name])))
    flops = count_flops(model, torch.from_numpy(pixel_values[:1].copy()))
    floor = seconds[fastest] * flops / (2 * _MATRIX_EDGE**3)
    per_image = {way.name: seconds[way.name] / way.num_images for way in ways if way.call is not None}
    rows = []
    for way in ways:
        if way.name not in per_image:
            rows.append({"name": way.name, "num_images": way.num_images, "missing": way.missing})
            continue
        peers = [peer for peer in (CAPTUM, PYTORCH_GRAD_CAM) if peer in per_image]
        row = {
            "name": way.name,
            "num_images": way.num_images,
            "milliseconds": figure(per_image[way.name] * 1000),
            "times_faster": {peer: paired_ratio(per_image[peer], per_image[way.name]) for peer in peers},
            "over_floor": paired_ratio(per_image[way.name], floor),
            "map_difference": differences[way.name],
        }
        rows.append({**row, "note": way.note} if way.note else row)
    rates = {name: significant(2 * _MATRIX_EDGE**3 / float(np.median(seconds[name])) / 1e9) for name in products}
    return {
        "image_size": pixel_values.shape[3],
        "num_classes": len(model.class_names),
        "rounds": rounds,
        "flops": flops,
        "floor": {"milliseconds": figure(floor * 1000), "product": fastest, "gigaflops_per_second": rates},
        "rows": rows,
    }


def _checked(way: Variant) -> float | None:
    result = way.call() if way.call is not None else None
    if way.difference is None:
        return None
    difference = way.difference(result)
    if not difference <= TOLERANCES[way.kind]:
        raise LeukError(
            f"the maps of {way.name!r} differ from Captum's by {difference:.1e} of their largest value, more than"
            f" {TOLERANCES[way.kind]:g}; its time would mean nothing"
        )
    return significant(difference, 2)
