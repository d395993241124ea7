"""Training throughput: the loop that people write against the one of `leuk_hf.training`, on the same fields.

Shared contract: every figure is a sample of one round, in images per second; the variants take turns within a round,
so that whatever else the machine does hits all of them alike, and only ratios within one call mean something.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from leuk_hf.field_cache import CachedFields, cached_fields
from leuk_hf.fields import to_pixel_values
from leuk_hf.image_io import load_image
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.torch_backend import pool_first
from leuk_hf.training_config import TrainConfig
from leuk_hf.training_setup import build_loader, build_optimizer, choose_num_workers, choose_precision

PLAIN_LOOP = "plain loop"


def measure_training(
    files: Sequence[Path | str],
    *,
    image_size: int = 160,
    batch_size: int = 16,
    steps: int = 2,
    rounds: int = 5,
    progressive_sizes: Sequence[int] = (),
    architecture: dict[str, Any] | None = None,
    device: str = "cpu",
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Time training steps of a DenseNet-121 from files to updated weights; labels are made up.

    The plain loop decodes, resizes, equalises (CLAHE) and augments by torchvision for every field in every epoch, in
    the training process, and trains in contiguous float32. The other variants are what `train` does: "cached" at full
    size in float32, "cached, bf16" (or fp16) where `choose_precision` finds it, and "cached, 96 px" and the like for
    each progressive size. One round of each is run first and not counted.

    Args:
        files: Fields; at least `batch_size`, used over and over.
        image_size: Full size, in pixels.
        batch_size: Fields per step.
        steps: Steps of each variant per round.
        rounds: Samples of each variant.
        progressive_sizes: Smaller sizes to time, in pixels; a last one equal to `image_size` needs no run of its own.
        architecture: growth_rate and block_config, for a smaller network.
        device: Where to train.
        seed: Of weights and augmentation.
        clock: Seconds; `time.process_time` is steadier on a shared machine, with one thread.

    Returns:
        images_per_second: variant -> one sample per round; "progressive" is what equal shares of images at the
        progressive sizes come to. precision: of the fastest full-size variant of `train` on this device. cache_seconds
        and cache_fields: making the cache, once per data set. The settings, under their names.

    Raises:
        ValueError: If there are fewer files than fit one batch.
    """
    if len(files) < batch_size:
        raise ValueError(f"{len(files)} files do not fill a batch of {batch_size}; give more")
    preprocessor = Preprocessor(image_size=image_size)
    config = TrainConfig(batch_size=batch_size, seed=seed, **(architecture or {}))
    precision = choose_precision("auto") if torch.device(device).type in ("cpu", "cuda") else "no"
    paths = [str(Path(file).resolve()) for file in files]
    labels = np.arange(len(files)) % 4
    with tempfile.TemporaryDirectory(prefix="leuk-hf-benchmark-", ignore_cleanup_errors=True) as folder:
        started = clock()
        rows = Dataset.from_dict({"image": [{"path": path, "bytes": None} for path in paths], "path": paths})
        fields = cached_fields(rows, preprocessor, folder=Path(folder))
        cache_seconds = clock() - started
        steppers = {PLAIN_LOOP: _plain_loop(paths, labels, preprocessor, config, device)}
        precisions = {"cached": "no"} if precision == "no" else {"cached": "no", f"cached, {precision}": precision}
        for name, kind in precisions.items():
            steppers[name] = _our_loop(fields, labels, preprocessor, config, kind, image_size, device)
        smaller = [size for size in progressive_sizes if size != image_size]
        for size in smaller:
            steppers[f"cached, {size} px"] = _our_loop(fields, labels, preprocessor, config, precision, size, device)
        samples: dict[str, list[float]] = {name: [] for name in steppers}
        for _ in range(rounds + 1):
            for name, stepper in steppers.items():
                started = clock()
                for _ in range(steps):
                    next(stepper)
                samples[name].append(batch_size * steps / (clock() - started))
    samples = {name: values[1:] for name, values in samples.items()}
    if smaller:
        full = list(precisions)[-1]
        shares = [samples[f"cached, {size} px" if size in smaller else full] for size in progressive_sizes]
        samples["progressive"] = [
            len(progressive_sizes) / sum(1 / rate for rate in rates) for rates in zip(*shares, strict=True)
        ]
    return {
        "images_per_second": samples,
        "precision": precision,
        "cache_seconds": cache_seconds,
        "cache_fields": len(files),
        "image_size": image_size,
        "batch_size": batch_size,
        "steps": steps,
        "progressive_sizes": list(progressive_sizes),
        "device": device,
        "seed": seed,
    }


def _build_model(preprocessor: Preprocessor, config: TrainConfig, device: str) -> LeukDenseNet:
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = LeukDenseNet(
            preprocessor=preprocessor,
            growth_rate=config.growth_rate,
            block_config=config.block_config,
            cam_layer=f"denseblock{len(config.block_config)}",
        )
    return model.train().to(device)


class _PlainDataset(torch.utils.data.Dataset):
    def __init__(self, paths: list[str], labels: np.ndarray, preprocessor: Preprocessor) -> None:
        self.paths, self.labels, self.preprocessor = paths, labels.tolist(), preprocessor
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in (0, 90, 180, 270)]),
                v2.ColorJitter(0.1, 0.1, 0.1),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(preprocessor.mean, preprocessor.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.preprocessor.enhance(load_image(self.paths[index]))), self.labels[index]


def _plain_loop(
    paths: list[str], labels: np.ndarray, preprocessor: Preprocessor, config: TrainConfig, device: str
) -> Iterator[None]:
    model = _build_model(preprocessor, config, device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    dataset = _PlainDataset(paths, labels, preprocessor)
    loader = DataLoader(dataset, batch_size=config.batch_size, shuffle=True, drop_last=True)
    while True:
        for pixel_values, targets in loader:
            optimizer.zero_grad()
            logits = model(pixel_values.to(device))
            loss = torch.nn.functional.cross_entropy(logits, targets.to(device), label_smoothing=0.05)
            loss.backward()
            optimizer.step()
            loss.item()
            yield


def _our_loop(
    fields: CachedFields,
    labels: np.ndarray,
    preprocessor: Preprocessor,
    config: TrainConfig,
    precision: str,
    image_size: int,
    device: str,
) -> Iterator[None]:
    kind = torch.device(device)
    model = _build_model(preprocessor, config, device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pool_first(model)
    optimizer = build_optimizer(config, model)
    scaler = torch.amp.GradScaler(kind.type, enabled=precision == "fp16")
    loader = build_loader(
        config,
        fields,
        labels.tolist(),
        np.arange(len(fields)),
        cells=None,
        training=True,
        num_workers=choose_num_workers(None, kind, 1),
        pin_memory=kind.type == "cuda",
    )
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for batch, targets in loader:
            pixel_values = to_pixel_values(batch.to(kind, non_blocking=True), preprocessor, image_size=image_size)
            with torch.autocast(kind.type, dtype=dtype, enabled=dtype is not None):
                logits = model(pixel_values)
            loss = torch.nn.functional.cross_entropy(
                logits.float(), targets.to(kind, non_blocking=True), label_smoothing=config.label_smoothing
            )
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            loss.item()  # waits for the device, so that a step is timed whole
            yield
