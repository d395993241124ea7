"""Time by stage, from the bytes of a field to the bytes of its overlay.

Shared contract: the stages are those of serving, in its order and by its functions; a run through all of them is one
round, and each stage's time is taken within it.
"""

from __future__ import annotations

import dataclasses
import io
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf.backends import Predictor
from leuk_hf.benchmark import figure, round_orders
from leuk_hf.image_encoding import encode_image
from leuk_hf.image_io import load_image
from leuk_hf.prediction import interpret, measures_of
from leuk_hf.preprocessing import remove_annotation
from leuk_hf.synthetic import render_smear
from leuk_hf.visualization import overlay, to_heatmap

NETWORK = "network"
ANNOTATION = "annotation removal"
STAGES = ("decode", ANNOTATION, "resize and CLAHE", "normalise", NETWORK, "answer", "heatmap", "overlay", "encode")


def example_files(*, seed: int = 0, photo: tuple[int, int] = (4000, 3000)) -> dict[str, bytes]:
    """Make JPEG files of synthetic smears: a field of 224 pixels, and a photo.

    Args:
        seed: Of the smears.
        photo: (width, height) of the photo; a smaller smear is enlarged to it.
    """
    pictures = {
        "field of 224 x 224": render_smear("Pre-B", seed=seed, image_size=224),
        f"photo of {photo[0]} x {photo[1]}": render_smear("Pro-B", seed=seed, image_size=1024).resize(photo),
    }
    return {name: jpeg_bytes(picture) for name, picture in pictures.items()}


def jpeg_bytes(picture: Image.Image) -> bytes:
    """Encode a picture as cameras do.

    Args:
        picture: RGB uint8.
    """
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def run_stages(predictor: Predictor, content: bytes, clock: Callable[[], float]) -> dict[str, float]:
    """Go from bytes to overlay bytes once; gives the seconds of each stage.

    Args:
        predictor: The classifier. Annotation is removed only if its checkpoint asks for it.
        content: Of an image file.
        clock: Gives seconds.
    """
    preprocessor = predictor.preprocessor
    plain = dataclasses.replace(preprocessor, annotation_removal=False)
    times = [clock()]

    def done() -> None:
        times.append(clock())

    image = load_image(content, reduce_to=preprocessor.sufficient_side)
    done()
    cleaned = remove_annotation(image)[0] if preprocessor.annotation_removal else image
    done()
    enhanced = np.asarray(plain.enhance(cleaned))
    done()
    pixel_values = plain.normalise([enhanced])
    done()
    outputs = predictor.run(pixel_values)
    done()
    measures = measures_of(predictor, outputs, 0, pixel_values, image)
    prediction = interpret(predictor, outputs.logits[0], image, measures=measures)
    done()
    heatmap = to_heatmap(outputs.maps[0, predictor.class_names.index(prediction.label)], image.size)
    done()
    picture = overlay(image, heatmap)
    done()
    encode_image(picture)
    done()
    return dict(zip(STAGES, np.diff(times).tolist(), strict=True))


def measure_stages(
    predictor: Predictor,
    files: Mapping[str, bytes],
    *,
    rounds: int,
    warmup_rounds: int = 2,
    seed: int = 0,
    progress: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Time the stages.

    Args:
        predictor: The classifier.
        files: Name -> content of an image file.
        rounds: Rounds that count.
        warmup_rounds: Rounds before them that do not.
        seed: Of the order of the files.
        progress: Show a bar.
        clock: Gives seconds.

    Returns:
        JSON types: predictor, annotation_removal (whether the checkpoint asks for it), rounds, files: name ->
        stages (name -> milliseconds and share of the median whole), all, without_network (milliseconds).
    """
    rows: dict[str, list[list[float]]] = {name: [] for name in files}
    for order in tqdm(
        round_orders(files, warmup_rounds + rounds, seed=seed), unit="round", desc="Stages", disable=not progress
    ):
        for name in order:
            rows[name].append(list(run_stages(predictor, files[name], clock).values()))
    return {
        "predictor": predictor.description,
        "annotation_removal": predictor.preprocessor.annotation_removal,
        "rounds": rounds,
        "files": {name: _summarise(np.array(values[warmup_rounds:]) * 1000) for name, values in rows.items()},
    }


def _summarise(milliseconds: np.ndarray) -> dict[str, Any]:
    """Summarise (rounds, stages)."""
    whole = milliseconds.sum(axis=1)
    return {
        "stages": {
            name: {
                "milliseconds": figure(milliseconds[:, index]),
                "share": round(float(np.median(milliseconds[:, index] / whole)), 4),
            }
            for index, name in enumerate(STAGES)
        },
        "all": figure(whole),
        "without_network": figure(whole - milliseconds[:, STAGES.index(NETWORK)]),
    }
