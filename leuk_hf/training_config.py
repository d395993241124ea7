"""Everything that decides a training run, as one frozen dataclass, and the named recipes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from leuk_hf.augmentation import Augmentation
from leuk_hf.errors import TrainingError

# What may differ between a run and its resumption without changing the result.
# What runs did whose records do not know these; that which epoch is kept hung on other settings then.
_SINCE = {"stretch": 1.0, "no_evidence_share": 0.0}
_FREE_ON_RESUME = {"output", "resume", "cache", "num_workers", "save_steps", "tracker"}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Args:
        source: Folder in a known layout, kaggle:owner/slug, or Hub data set id.
        output: Folder of the run: checkpoint/, metrics.jsonl, curves.png, split.csv, training.json.
        recipe: Name of the recipe the defaults come from.
        source_split: Split of a Hub data set; empty: all its splits.
        source_revision: Branch, tag or commit of a Hub data set.
        weights: Starting weights: scratch, imagenet, shipped, warm-up (of scripts/warm_up.py, which knows leukocytes
            but no classes), a checkpoint folder, or a Hub id.
        weights_revision: Branch, tag or commit when weights is a Hub id.
        class_names: Class folders in index order; "folders" takes them as they are; empty: the four classes.
        image_size: Edge in pixels; empty: that of the starting weights, 224 from scratch.
        clahe: Equalise contrast (CLAHE on L of LAB); empty: as the starting weights, on from scratch.
        annotation_removal: Paint over burnt-in scale bars; empty: as the starting weights, off from scratch.
        augmentation: Training transforms; of views of leukocytes "default" or none.
        view: What the network sees: the field, its leukocytes alone (in grey), or these with their differences in
            colour; empty: as the starting weights, the field from scratch.
        output_stride: Pixels for each place of the last block, 32 or 16; empty: as the starting weights, 32 from
            scratch.
        fields_per_canvas: Most fields whose cells share a canvas, which networks that see leukocytes alone are trained
            on; in an epoch every field begins one. Validation is on whole fields.
        whole_field_share: Share of such a network's samples that are whole fields instead, in [0, 1].
        appearances: Other appearances of each field (light, another field's colours, grey, leukocytes alone or
            elsewhere) in which such a network's leukocytes are found anew, so that it learns from outlines as they
            are found there, too.
        stretch: Most factor by which half of such a network's fields are stretched or squashed across, from 1 to 2;
            those of the data set are squashed, its cells about 0.8 times as wide as tall.
        no_evidence_share: Share of such a network's samples, in [0, 1), that show a field without its leukocytes by
            another field's outlines, and whose target is every class alike.
        balanced_sampling: Draw as many fields of each class.
        weight_averaging: Validate and keep the exponential moving average of the weights with this decay per step, in
            (0, 1); 0: the weights themselves.
        optimizer: Adam or AdamW.
        learning_rate: Starting value of step, peak of one-cycle.
        weight_decay: As the optimizer defines it.
        schedule: step (every step_epochs epochs times step_factor), one-cycle (over the run), or constant.
        step_epochs: Epochs between drops of the step schedule.
        step_factor: Factor of each drop of the step schedule.
        max_grad_norm: Gradients are shortened to this norm; empty: as they are.
        label_smoothing: Share of each target spread over all classes, in [0, 1).
        num_epochs: Most epochs to train.
        patience: Stop after this many epochs without a lower validation loss; empty: never. The epoch with the lowest
            is kept, or the last by keep_last.
        keep_last: Keep the last epoch, not the one with the lowest validation loss: validation shows fields as they
            are, and what is learned to the end is to bear others.
        batch_size: Fields per process and step.
        gradient_accumulation_steps: Batches per optimizer step.
        protocol: random (comparison only: it flatters), grouped (no copy or overlapping field crosses parts), or
            acquisition (whole sessions are tested). Only its name counts where split is given.
        fold: Part of the data that is tested, from 0.
        split: Split table of your own instead (CSV with the columns file and split: train, test and, if it has them,
            validation and calibration); what it lacks is cut out of train, by whole groups; groups with tested fields
            are nowhere else.
        groups: Group table of scripts/prepare_data.py; one on the Hub, as owner/name or owner/name@revision; or your
            own CSV with the columns file and group (such as the patient); empty: made at the start, unless the
            protocol is random.
        mixed_precision: auto is bfloat16 where the device is faster in it, else float32.
        channels_last: Memory layout that convolutions prefer.
        sync_batch_norm: Normalise over the batches of all GPUs instead of each one's own; for small batches.
        progressive_sizes: Edges in pixels for equal shares of the epochs, growing up to image_size, such as 96 128
            160; validation is at full size. Empty: full size throughout.
        cache: Folder for the preprocessed fields and their leukocytes, which later runs on the same data read, too;
            empty: in the Hugging Face cache. It holds images, which may be patients': give a folder of its own on a
            disk where they may lie, and delete that when it is done with.
        num_workers: Processes that augment fields; 0: the training process itself; empty: 0 where CPUs train, up to 4
            a GPU.
        save_steps: Optimizer steps between resumable states, beside one per epoch.
        seed: Of weights, split, order and augmentation.
        tracker: Also log to a tracker of Accelerate.
        resume: Go on where the run in output was stopped, by the same options; with no run there, start one.
        skip_unreadable: Leave unreadable images out instead of stopping.
        growth_rate: Architecture, from scratch only.
        block_config: Architecture, from scratch only.
    """

    source: str = ""
    output: Path = Path("runs/plain")
    recipe: Literal["plain", "classic", "default"] = "plain"
    source_split: str | None = None
    source_revision: str | None = None
    weights: str = "scratch"
    weights_revision: str | None = None
    class_names: tuple[str, ...] = ()
    image_size: int | None = None
    clahe: bool | None = None
    annotation_removal: bool | None = None
    augmentation: Augmentation = "plain"
    view: Literal["field", "leukocytes", "leukocytes_in_colour"] | None = None
    output_stride: int | None = None
    fields_per_canvas: int = 8
    whole_field_share: float = 0.5
    appearances: int = 0
    stretch: float = 1.0
    no_evidence_share: float = 0.0
    balanced_sampling: bool = False
    weight_averaging: float = 0.0
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    schedule: Literal["step", "one-cycle", "constant"] = "one-cycle"
    step_epochs: int = 7
    step_factor: float = 0.1
    max_grad_norm: float | None = None
    label_smoothing: float = 0.05
    num_epochs: int = 8
    patience: int | None = None
    keep_last: bool = False
    batch_size: int = 32
    gradient_accumulation_steps: int = 1
    protocol: Literal["random", "grouped", "acquisition"] = "grouped"
    fold: int = 0
    split: Path | None = None
    groups: str | None = None
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    sync_batch_norm: bool = False
    progressive_sizes: tuple[int, ...] = ()
    cache: Path | None = None
    num_workers: int | None = None
    save_steps: int = 50
    seed: int = 0
    tracker: Literal["none", "tensorboard", "trackio"] = "none"
    resume: bool = False
    skip_unreadable: bool = False
    growth_rate: int = 32
    block_config: tuple[int, ...] = (6, 12, 24, 16)

    def check(self) -> None:
        """Refuse values that cannot work.

        Raises:
            TrainingError: Naming the first bad value and its range.
        """
        if not self.source:
            raise TrainingError("no data: give --source FOLDER, kaggle:owner/slug or a Hub data set id")
        counts = ("num_epochs", "batch_size", "gradient_accumulation_steps", "save_steps", "step_epochs")
        for name in (*counts, "fields_per_canvas"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}; give at least 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise TrainingError(f"learning_rate is {self.learning_rate}; give a number above 0")
        if (
            not (math.isfinite(self.weight_decay) and self.weight_decay >= 0)
            or min(self.num_workers or 0, self.appearances) < 0
        ):
            raise TrainingError("weight_decay, num_workers and appearances must be at least 0")
        if not 0 <= self.seed < 2**32:
            raise TrainingError(f"seed is {self.seed}; give a whole number from 0 to {2**32 - 1}")
        if self.growth_rate < 1 or not self.block_config or min(self.block_config) < 1:
            raise TrainingError("growth_rate and every number of block_config must be at least 1")
        if not 0 < self.step_factor <= 1:
            raise TrainingError(f"step_factor is {self.step_factor}; give a factor in (0, 1]")
        if self.fold < 0:
            raise TrainingError(f"fold is {self.fold}; give a whole number of at least 0")
        if self.max_grad_norm is not None and not (math.isfinite(self.max_grad_norm) and self.max_grad_norm > 0):
            raise TrainingError(f"max_grad_norm is {self.max_grad_norm}; give a number above 0, or leave it out")
        if not 0 <= self.label_smoothing < 1:
            raise TrainingError(f"label_smoothing is {self.label_smoothing}; give a share in [0, 1)")
        blocks = len(self.block_config)
        if self.weights != "scratch" and (self.growth_rate, self.block_config) != (32, (6, 12, 24, 16)):
            raise TrainingError("growth_rate and block_config are for --weights scratch; the weights bring their own")
        least = max(32, 2 ** (blocks + 1))
        if self.image_size is not None and self.image_size < least:
            raise TrainingError(f"image_size is {self.image_size}; {blocks} blocks need at least {least}")
        self._check_progressive_sizes(least)
        if not 0 <= self.weight_averaging < 1:
            raise TrainingError(f"weight_averaging is {self.weight_averaging}; give a decay in [0, 1)")
        if not 0 <= self.whole_field_share <= 1:
            raise TrainingError(f"whole_field_share is {self.whole_field_share}; give a share in [0, 1]")
        if not 1 <= self.stretch <= 2:
            raise TrainingError(f"stretch is {self.stretch}; give a factor from 1 to 2")
        if not 0 <= self.no_evidence_share < 1:
            raise TrainingError(f"no_evidence_share is {self.no_evidence_share}; give a share in [0, 1)")
        if self.output_stride not in (None, 16, 32):
            raise TrainingError(f"output_stride is {self.output_stride}; give 16 or 32")
        if self.patience is not None and self.patience < 1:
            raise TrainingError(f"patience is {self.patience}; give at least 1, or leave it out")
        if self.keep_last and self.patience is not None:
            raise TrainingError("patience stops by the lowest validation loss; leave it or keep_last out")

    def _check_progressive_sizes(self, least: int) -> None:
        sizes = self.progressive_sizes
        given = " ".join(map(str, sizes))
        if not sizes:
            return
        if sorted(set(sizes)) != list(sizes) or sizes[0] < least:
            raise TrainingError(f"progressive_sizes are {given}; give growing edges of at least {least}")
        if self.image_size is not None and sizes[-1] != self.image_size:
            raise TrainingError(f"progressive_sizes are {given}; the last must be the image_size, {self.image_size}")
        if len(sizes) > self.num_epochs:
            raise TrainingError(f"progressive_sizes are {given}, more than the {self.num_epochs} epochs; give fewer")

    def image_size_of(self, epoch: int) -> int | None:
        """Tell the edge at which an epoch, from 0, trains: in pixels, or None for the full size.

        Args:
            epoch: Of `num_epochs`, which the `progressive_sizes` share equally.
        """
        count = len(self.progressive_sizes)
        return self.progressive_sizes[epoch * count // self.num_epochs] if count else None

    @property
    def first_full_epoch(self) -> int:
        """The first epoch, from 0, at full size."""
        count = len(self.progressive_sizes)
        return math.ceil((count - 1) * self.num_epochs / count) if count else 0

    def to_dict(self) -> dict[str, Any]:
        """Give the values as JSON types."""
        values = dataclasses.asdict(self).items()
        return {
            name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in values
        }

    def differences(self, stored: dict[str, Any]) -> list[str]:
        """Name the values that keep this config from resuming a run started with `stored` (a `to_dict`)."""
        stored, values = {**_SINCE, "keep_last": kept_last(stored), **stored}, self.to_dict()
        return sorted(name for name in values.keys() - _FREE_ON_RESUME if stored.get(name) != values[name])


def kept_last(stored: Mapping[str, Any]) -> bool:
    """Tell whether a run kept its last epoch, by its config as a `to_dict`, which may be from before `keep_last`."""
    return bool(stored.get("keep_last", stored.get("weight_averaging", 0) > 0 and stored.get("patience") is None))


PLAIN = TrainConfig()
CLASSIC = TrainConfig(
    output=Path("runs/classic"),
    recipe="classic",
    weights="imagenet",
    augmentation="classic",
    optimizer="adam",
    learning_rate=1e-4,
    weight_decay=1e-5,
    schedule="step",
    label_smoothing=0.0,
    num_epochs=30,
    patience=5,
)
DEFAULT = TrainConfig(
    output=Path("runs/default"),
    recipe="default",
    weights="warm-up",
    view="leukocytes_in_colour",
    clahe=False,  # its tiles carry the background's contrast into the leukocytes
    image_size=160,
    output_stride=16,
    augmentation="default",
    appearances=8,
    balanced_sampling=True,
    keep_last=True,
    max_grad_norm=2.0,
    learning_rate=1e-3,
    label_smoothing=0.0,
    batch_size=8,
    num_epochs=40,
)
RECIPES: dict[str, TrainConfig] = {"default": DEFAULT, "plain": PLAIN, "classic": CLASSIC}


SMOKE_OUTPUT = Path("runs/smoke")


def smoke_config(config: TrainConfig) -> TrainConfig:
    """Shrink a recipe to a tiny network on generated images: seconds instead of hours, the same code.

    Views of leukocytes get more pixels: at 64 hardly any is found.

    Args:
        config: Recipe to follow.
    """
    return dataclasses.replace(
        config,
        source=str(SMOKE_OUTPUT / "synthetic"),
        output=SMOKE_OUTPUT,
        weights="scratch",
        image_size=64 if config.view in (None, "field") else 96,
        growth_rate=8,
        block_config=(2, 2, 2, 2),
        num_epochs=4,
        batch_size=8,
        patience=None,
        save_steps=5,
    )
