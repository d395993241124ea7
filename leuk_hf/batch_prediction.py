"""Thousands of files -> one row each: decoding, inference and overlays overlap, and memory stays bounded.

Shared contract: a row is a dict of JSON types: file, the fields of `Prediction`, and error; rows come in the order of
the files, and a file that cannot be used is a row too. Threads decode and preprocess a few batches ahead and write the
overlays; the caller's thread runs the network. Of an image only its pixel_values, its size and a copy of 64 by 64
pixels wait; large photos are decoded a few at a time. Batches are the same however many processes share the work, so
the rows are too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from leuk_hf._version import __version__
from leuk_hf.backends import Outputs, Predictor
from leuk_hf.errors import ImageError
from leuk_hf.explanation import explain, heatmap_of
from leuk_hf.image_encoding import encode_image
from leuk_hf.image_io import FORMATS, MIN_SIDE, load_image, original_size
from leuk_hf.input_files import fault_of_folder
from leuk_hf.prediction import interpret, measures_of
from leuk_hf.prediction_store import Batch, Row
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.visualization import overlay

BATCHES_AHEAD = 2  # decoded while the network runs; more only wait
OVERLAY_SIDE = 1024  # in pixels: photos at least twice as large get smaller overlays; a map has some 7 by 7 values
OVERLAY_PIXELS = 16_000_000  # long strips are reduced further
PIXELS_AT_ONCE = 24_000_000  # decoded and not yet reduced, over all threads: two photos of 12 megapixels


@dataclasses.dataclass(frozen=True)
class OverlayOptions:
    """What the overlays show.

    Args:
        folder: One PNG per image goes there, of the image's size unless its shorter side is twice `OVERLAY_SIDE`
            or more; then it is reduced by a whole factor.
        target: Class name; None for the predicted one.
        layer: One of the predictor's `cam_layers`.
        opacity: Of the heatmap, in [0, 1].
    """

    folder: Path
    target: str | None
    layer: str
    opacity: float

    def path(self, number: int, name: str) -> Path:
        """Name the overlay of a file; numbered, because two inputs may have the same name.

        Args:
            number: Of the file among all, from 0.
            name: The file's path.
        """
        stem = Path(name).stem[:60].encode("utf-8", "replace")[:180].decode("utf-8", "ignore")  # 255 bytes at most
        return self.folder / f"{number + 1:05d}-{stem}.png"

    def are_written(self, start: int, rows: list[Row]) -> bool:
        """Tell whether every classified file of a batch has its overlay."""
        return all(
            self.path(start + index, row["file"]).is_file()
            for index, row in enumerate(rows)
            if row["label"] is not None
        )


def run_identity(predictor: Predictor, batch_size: int, overlays: OverlayOptions | None) -> dict[str, Any]:
    """Say what rows and overlays depend on besides the files, as JSON types, by names to show."""
    shown = {} if overlays is None else {key: str(value) for key, value in dataclasses.asdict(overlays).items()}
    return {
        "checkpoint": predictor.identity,
        "backend": predictor.description,
        "batch size": batch_size,
        "version of leuk_hf": __version__,
        **{f"overlay {key}": value for key, value in shown.items()},
    }


def answer_batches(
    predictor: Predictor, batches: Iterable[Batch], *, overlays: OverlayOptions | None = None, workers: int = 2
) -> Iterator[tuple[Batch, list[Row]]]:
    """Classify files batch by batch.

    Args:
        predictor: From `load_predictor`; it is run in the caller's thread.
        batches: Taken as needed, a few ahead.
        overlays: What to write; None for no overlays.
        workers: Threads that decode, preprocess and write overlays.

    Yields:
        Each batch with its rows, in order, when its overlays are written.
    """
    gate = PixelGate(PIXELS_AT_ONCE)
    writer = None if overlays is None else _OverlayWriter(predictor, overlays, gate)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="leuk_hf")
    try:
        upcoming = (
            (batch, [pool.submit(_prepare, predictor.preprocessor, name, gate) for name in batch.names])
            for batch in batches
        )
        ahead = deque(itertools.islice(upcoming, BATCHES_AHEAD))
        unfinished: deque[tuple[Batch, list[Row], dict[int, Future[str | None]]]] = deque()
        while ahead:
            batch, futures = ahead.popleft()
            prepared = [future.result() for future in futures]
            del futures
            ahead.extend(itertools.islice(upcoming, 1))  # before the network starts: the threads work meanwhile
            rows, outputs = _answer(predictor, batch, prepared)
            del prepared
            writing = {}
            if writer is not None and outputs is not None:
                answered = [index for index, row in enumerate(rows) if row["label"] is not None]
                writing = {
                    index: pool.submit(writer.write, batch, index, outputs, position)
                    for position, index in enumerate(answered)
                }
            unfinished.append((batch, rows, writing))
            while unfinished and (len(unfinished) > 1 or not unfinished[0][2]):
                yield _finished(*unfinished.popleft())
        while unfinished:
            yield _finished(*unfinished.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class PixelGate:
    """Lets threads hold a limited number of decoded pixels together; one image is always let in.

    Args:
        limit: In pixels.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._held, self._changed = limit, 0, threading.Condition()

    @contextlib.contextmanager
    def holding(self, pixels: int) -> Iterator[None]:
        """Wait until there is room.

        Args:
            pixels: To hold until the block ends.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._held == 0 or self._held + pixels <= self._limit)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


class Glance:
    """What `interpret` asks of an image, without holding its pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.size = self.width, self.height = original_size(image)
        self.info: dict[str, Any] = {}
        self._small = image.resize((64, 64), Image.Resampling.BOX)

    def resize(self, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
        return self._small if size == self._small.size else self._small.resize(size, resample)


@dataclasses.dataclass(frozen=True)
class _Prepared:
    pixel_values: np.ndarray  # float32 (3, H, W)
    glance: Glance


def _prepare(preprocessor: Preprocessor, name: str, gate: PixelGate) -> _Prepared | str:
    if fault := fault_of_folder(name):
        return fault
    try:
        side = preprocessor.sufficient_side
        with gate.holding(_count_pixels(name, reduce_to=side)):
            image = load_image(name, reduce_to=side)
            return _Prepared(preprocessor([image])[0], Glance(image))
    except ImageError as error:
        return str(error)  # the error itself would keep what was decoded alive


def _count_pixels(name: str, *, reduce_to: int | None = None) -> int:
    """Count what an image weighs while it is decoded, in pixels of 4 bytes: at least its file, which is read whole."""
    weight = 0
    try:
        if Path(name).is_file():
            weight = Path(name).stat().st_size // 4
            with Image.open(name, formats=FORMATS) as image:
                # A progressive JPEG is held whole before it is reduced.
                if reduce_to is not None and not image.info.get("progressive"):
                    image.draft(None, (reduce_to, reduce_to))
                # Others than 8-bit grey or colour are converted: a second copy.
                copies = 1 if image.mode in ("RGB", "L", "YCbCr") else 2
                return max(weight, copies * image.width * image.height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # load_image says what is wrong with it
    return weight


def _overlay_side(name: str) -> int:
    try:
        with Image.open(name, formats=FORMATS) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return OVERLAY_SIDE  # load_image says what is wrong with it
    factor = max(1, min(width, height) // OVERLAY_SIDE)
    while width * height > OVERLAY_PIXELS * factor**2:
        factor += 1
    return max(MIN_SIDE, min(OVERLAY_SIDE, min(width, height) // factor))


def _answer(predictor: Predictor, batch: Batch, prepared: list[_Prepared | str]) -> tuple[list[Row], Outputs | None]:
    rows = [empty_row(name) for name in batch.names]
    usable = [(row, image) for row, image in zip(rows, prepared, strict=True) if isinstance(image, _Prepared)]
    for row, image in zip(rows, prepared, strict=True):
        if isinstance(image, str):
            row["error"] = image
    if not usable:
        return rows, None
    pixel_values = np.stack([image.pixel_values for _, image in usable])
    outputs = predictor.run(pixel_values)
    for position, (row, image) in enumerate(usable):
        glance = cast(Image.Image, image.glance)
        measures = measures_of(predictor, outputs, position, pixel_values, glance)
        row.update(interpret(predictor, outputs.logits[position], glance, measures=measures).to_dict())
    return rows, outputs


def empty_row(name: str) -> Row:
    """Give the row of a file that could not be classified; `error` is filled in later."""
    return {
        "file": name,
        "label": None,
        "probabilities": None,
        "prediction_set": None,
        "in_distribution_score": None,
        "answered": False,
        "reasons": [],
        "error": None,
    }


class _OverlayWriter:
    def __init__(self, predictor: Predictor, options: OverlayOptions, gate: PixelGate) -> None:
        self._predictor, self._options, self._gate = predictor, options, gate
        self._second_pass = threading.Lock()  # gradients of several images at once would only cost memory

    def write(self, batch: Batch, index: int, outputs: Outputs, position: int) -> str | None:
        """Write one file's overlay; `position` is its place in `outputs`. Gives what is wrong, or None."""
        name = batch.names[index]
        path = self._options.path(batch.start + index, name)
        # The same name each time: what a kill leaves is overwritten by the next run.
        temporary = path.with_name(f".{path.stem}.unfinished.png")
        try:
            # Heatmap and colours weigh four times the image.
            side = _overlay_side(name)
            with self._gate.holding(4 * _count_pixels(name, reduce_to=side)):
                # Once more, rather than holding every decoded photo until here.
                image = load_image(name, reduce_to=side)
                picture = self._overlay(image, outputs, position)
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(encode_image(picture))
                temporary.replace(path)
        except OSError as error:
            return f"the overlay {path} cannot be written ({error.strerror or error})"
        except ImageError as error:
            return f"the overlay {path} cannot be made: {error}"
        return None

    def _overlay(self, image: Image.Image, outputs: Outputs, position: int) -> Image.Image:
        target, layer = self._options.target, self._options.layer
        if layer == self._predictor.map_layer:
            heatmap = heatmap_of(self._predictor, outputs, position, image, target=target)
            return overlay(image, heatmap, opacity=self._options.opacity)
        with self._second_pass:
            explanation = explain(self._predictor, image, target=target, layer=layer)
        return explanation.overlay(image, opacity=self._options.opacity)


def _finished(batch: Batch, rows: list[Row], writing: dict[int, Future[str | None]]) -> tuple[Batch, list[Row]]:
    for index, future in writing.items():
        rows[index]["error"] = future.result()
    return batch, rows
