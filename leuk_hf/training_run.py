"""The loop of a training: epochs over batches, a validation after each, its state saved on the way.

`leuk_hf.training` prepares what goes in here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from leuk_hf import metrics
from leuk_hf.augmentation import sample_seed
from leuk_hf.errors import TrainingError
from leuk_hf.field_cache import CachedFields
from leuk_hf.fields import NO_FIELD, group_masks, to_pixel_values
from leuk_hf.files import write_json, write_text
from leuk_hf.model import LeukDenseNet
from leuk_hf.plots import plot_training_curves
from leuk_hf.torch_backend import pool_first
from leuk_hf.training_config import TrainConfig
from leuk_hf.training_loss import summed_loss
from leuk_hf.training_setup import (
    average_of,
    build_loader,
    build_optimizer,
    build_scheduler,
    choose_num_workers,
)
from leuk_hf.training_state import Progress, load_state, save_state

_READ_EVERY = 16  # steps between looks at the loss on a GPU, which has to wait for each


class TrainingRun:
    """One process's part of a run: loaders, optimiser, epochs, validation, saved state.

    Args:
        config: What to train.
        accelerator: From `build_accelerator`.
        model: The network to train, changed in place.
        fields: Every field of the data set.
        cells: Their leukocytes, from `find_labels`; None for networks that see whole fields.
        labels: Class indices of all fields.
        parts: Part -> rows.
        record: The content of training.json so far.
    """

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        model: LeukDenseNet,
        fields: CachedFields,
        cells: np.ndarray | None,
        labels: Sequence[int],
        parts: dict[str, np.ndarray],
        record: dict[str, Any],
    ) -> None:
        self.config, self.accelerator, self.model, self.record = config, accelerator, model, record
        self.output, self.state_path = Path(config.output), Path(config.output) / "state.safetensors"
        pool_first(model)
        if config.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = average_of(model, config.weight_averaging)
        self.optimizer = build_optimizer(config, model)
        local_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        workers = choose_num_workers(config.num_workers, accelerator.device, local_processes)
        loaders = [
            build_loader(config, fields, labels, parts[part], cells=cells, training=part == "train",
                         num_workers=workers, pin_memory=accelerator.device.type == "cuda")
            for part in ("train", "validation")
        ]  # fmt: skip
        if self.average is not None:
            self.average.to(accelerator.device)
        self.wrapped, self.prepared_optimizer, self.train_loader, self.validation_loader = accelerator.prepare(
            model, self.optimizer, *loaders
        )
        steps_per_epoch = math.ceil(len(self.train_loader) / config.gradient_accumulation_steps)
        # Not prepared: Accelerate would step it once per process.
        self.scheduler = build_scheduler(config, self.optimizer, steps_per_epoch)
        self.progress = Progress()
        self.unread: list[torch.Tensor] = []  # (loss sum, number right) of steps, still on the device
        if config.resume and self.state_path.is_file():
            self.progress = Progress(**load_state(self.state_path, model, self.optimizer, self.average))
            self.scheduler.load_state_dict(self.progress.scheduler)
            if self.accelerator.scaler:
                self.accelerator.scaler.load_state_dict(self.progress.scaler)
            accelerator.print(f"resuming at epoch {self.progress.epoch + 1}, batch {self.progress.batches}")
        if config.tracker != "none":
            scalars = {key: value for key, value in config.to_dict().items() if isinstance(value, (int, float, str))}
            accelerator.init_trackers("leuk_hf", config=scalars)

    def finish(self) -> dict[str, Any]:
        """Train to the end, then write the record."""
        config, progress = self.config, self.progress
        total = config.num_epochs * len(self.train_loader) * config.batch_size * self.accelerator.num_processes
        done = total // config.num_epochs * progress.epoch + progress.seen
        with tqdm(
            total=total,
            initial=done,
            unit="image",
            desc="Training",
            disable=not self.accelerator.is_main_process,
        ) as bar:
            while progress.epoch < config.num_epochs and not self._out_of_patience():
                self._train_epoch(bar)
                self._end_epoch()
        record = {**self.record, "epochs": progress.epoch, "best": progress.rows[progress.best_epoch]}
        record["seconds"] = round(sum(row["seconds"] for row in progress.rows), 1)
        if self.accelerator.is_main_process:
            write_json(self.output / "checkpoint" / "training.json", record)
            write_json(self.output / "training.json", {**record, "finished": True})
            self.state_path.unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()  # last: it also takes the process group down
        return record

    def _train_epoch(self, bar: tqdm) -> None:
        accelerator, progress = self.accelerator, self.progress
        self.train_loader.set_epoch(progress.epoch)
        loader = self.train_loader
        if progress.batches:
            loader = accelerator.skip_first_batches(loader, progress.batches)
            loader.set_epoch(progress.epoch)
        self.wrapped.train()
        self.started, self.seen_before = time.perf_counter(), progress.seen
        for fields, labels in loader:
            # Dropout is the only draw left; tied to the step it needs no saved random state.
            torch.manual_seed(sample_seed(self.config.seed, progress.steps, accelerator.process_index - 2**31))
            with accelerator.accumulate(self.wrapped):
                logits = self.wrapped(*self._inputs(fields, self.config.image_size_of(progress.epoch)))
                # Of canvases there are logits for several fields, and places without a field.
                logits, targets = logits.flatten(0, -2).float(), labels.flatten()
                # A batch of canvases on which no field found room teaches nothing; its mean would be no number.
                count = (targets != NO_FIELD).sum().clamp_min(1)
                total = summed_loss(logits, targets, label_smoothing=self.config.label_smoothing)
                loss = total / count
                accelerator.backward(loss)
                if self.config.max_grad_norm is not None and accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(self.wrapped.parameters(), self.config.max_grad_norm)
                self.prepared_optimizer.step()
                self.prepared_optimizer.zero_grad()
            right = (logits.argmax(dim=1) == targets).sum() / (targets >= 0).sum().clamp_min(1)
            self.unread.append(torch.stack([loss.detach(), right]) * len(labels))
            if accelerator.device.type == "cpu" or len(self.unread) == _READ_EVERY:
                self._read_losses()
            progress.seen += len(labels) * accelerator.num_processes
            progress.batches += 1
            bar.update(len(labels) * accelerator.num_processes)
            seen = progress.seen - len(self.unread) * len(labels) * accelerator.num_processes
            if seen:
                bar.set_postfix(epoch=progress.epoch + 1, loss=f"{progress.loss_sum / seen:.3f}", refresh=False)
            if accelerator.sync_gradients:
                if not accelerator.optimizer_step_was_skipped:  # fp16 skips steps that overflow
                    self.scheduler.step()
                    if self.average is not None:
                        self.average.update_parameters(self.model)
                progress.steps += 1
                if progress.steps % self.config.save_steps == 0:
                    self._save_state()

    def _read_losses(self) -> None:
        if not self.unread:
            return
        # Summed one by one, so that the sum does not depend on when it was read.
        for loss, right in self.accelerator.reduce(torch.stack(self.unread), reduction="sum").tolist():
            self.progress.loss_sum += loss
            self.progress.right += right
        self.unread.clear()
        if not math.isfinite(self.progress.loss_sum):
            raise TrainingError("the loss is no longer a number; give a smaller --learning-rate")

    def _end_epoch(self) -> None:
        accelerator, progress = self.accelerator, self.progress
        self._read_losses()
        seconds = time.perf_counter() - self.started
        loss, confusion = self._validate()
        row = {
            "epoch": progress.epoch + 1,
            "image_size": self.config.image_size_of(progress.epoch) or self.model.preprocessor.image_size,
            "step": progress.steps,
            "train_loss": progress.loss_sum / progress.seen,
            "train_accuracy": progress.right / progress.seen,
            "validation_loss": loss,
            "validation_accuracy": metrics.accuracy(confusion),
            "validation_balanced_accuracy": metrics.balanced_accuracy(confusion),
            "learning_rate": self.scheduler.get_last_lr()[0],
            "images_per_second": (progress.seen - self.seen_before) / seconds,
            "seconds": seconds,
        }
        progress.rows.append(row)
        # By the loss: on a few hundred fields the accuracy of one epoch to the next is mostly chance. Of averaged
        # weights the last: validation shows fields as they are, and what is learned to the end is to bear others.
        if self.config.keep_last or progress.best_epoch < 0 or loss < progress.best_loss:
            progress.best_epoch, progress.best_loss = progress.epoch, loss
            if accelerator.is_main_process:
                self._kept.save_pretrained(self.output / "checkpoint")
        progress.epoch += 1
        progress.batches = progress.seen = progress.right = 0
        progress.loss_sum = 0.0
        if accelerator.is_main_process:
            lines = "".join(json.dumps(row) + "\n" for row in progress.rows)
            write_text(self.output / "metrics.jsonl", lines)
            plot_training_curves(progress.rows, self.output / "curves.png", protocol=self.config.protocol)
        self._save_state()  # last: a kill before it repeats the validation, a kill after it loses nothing
        accelerator.log({key: value for key, value in row.items() if key != "epoch"}, step=row["epoch"])
        accelerator.print(
            f"\nepoch {row['epoch']}: train loss {row['train_loss']:.4f}, validation loss {loss:.4f},"
            f" validation balanced accuracy {row['validation_balanced_accuracy']:.4f},"
            f" {row['images_per_second']:.1f} images/s"
        )

    @torch.no_grad()
    def _validate(self) -> tuple[float, np.ndarray]:
        kept = self.wrapped if self.average is None else self._kept
        if self.average is not None and self.accelerator.num_processes > 1:
            for buffer in self._kept.buffers():  # each process has averaged its own; those of the first are saved
                torch.distributed.broadcast(buffer, src=0)
        kept.eval()
        gathered = []
        for fields, labels in self.validation_loader:
            with self.accelerator.autocast():
                logits = kept(*self._inputs(fields)).float()
            gathered.append(self.accelerator.gather_for_metrics((logits, labels)))
        logits = torch.cat([pair[0] for pair in gathered]).cpu()
        labels = torch.cat([pair[1] for pair in gathered]).cpu()
        loss = float(torch.nn.functional.cross_entropy(logits, labels))
        predictions = logits.argmax(dim=1).numpy()
        return loss, metrics.confusion_matrix(labels.numpy(), predictions, logits.shape[1])

    @property
    def _kept(self) -> LeukDenseNet:
        return self.model if self.average is None else cast(LeukDenseNet, self.average.module)

    def _inputs(self, fields: torch.Tensor, image_size: int | None = None) -> tuple[torch.Tensor, ...]:
        channels_last = self.config.channels_last
        pixel_values = to_pixel_values(
            fields[..., :3], self.model.preprocessor, image_size=image_size, channels_last=channels_last
        )
        if fields.shape[-1] == 3:
            return (pixel_values,)
        # Canvases bring the number of each cell's field as a fourth channel; whole fields are searched by the network.
        return pixel_values, group_masks(fields[..., 3], self.config.fields_per_canvas)

    def _out_of_patience(self) -> bool:
        config, progress = self.config, self.progress
        best = max(progress.best_epoch, config.first_full_epoch - 1)  # smaller images are no reason to stop
        return config.patience is not None and progress.epoch - 1 - best >= config.patience

    def _save_state(self) -> None:
        self._read_losses()
        self.progress.scheduler = self.scheduler.state_dict()
        self.progress.scaler = self.accelerator.scaler.state_dict() if self.accelerator.scaler else {}
        if self.accelerator.is_main_process:
            save_state(self.state_path, self.model, self.optimizer, dataclasses.asdict(self.progress), self.average)
