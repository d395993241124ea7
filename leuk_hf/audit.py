"""The shortcut audit: does a smear classifier, anybody's, read leukocytes?

Shared contract: the classifier is any callable that takes a list of PIL RGB images and gives probabilities (N, K),
or a pair (probabilities (N, K), answered bool (N,)) if it can refuse. A refusal never changes the accuracy, which
always counts the most probable class; it has a column of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from leuk_hf.adapters import Classifier
from leuk_hf.annotation import annotation_mask
from leuk_hf.audit_report import AuditReport, RowResult
from leuk_hf.audit_rows import (
    BY_NAME,
    REMOVAL_MARGIN,
    REMOVED_BLUISH,
    REMOVED_CLONED,
    ROWS,
    Panel,
    Row,
    Subject,
    bluish_holes,
    sham_holes,
)
from leuk_hf.audit_store import RowStore
from leuk_hf.cells import label_leukocytes, segment_leukocytes
from leuk_hf.counterfactuals import CORNERS, corner_mask, inpaint, widen
from leuk_hf.errors import DataError
from leuk_hf.image_io import ImageSource, load_image
from leuk_hf.labels import CLASS_NAMES

Segmenter = Callable[[Image.Image], np.ndarray]
CLEAN = ROWS[0].name


def audit(
    classifier: Classifier,
    fields: Sequence[ImageSource],
    labels: Sequence[int] | Sequence[str],
    *,
    class_names: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    rows: Sequence[str] | None = None,
    segment: Segmenter = segment_leukocytes,
    find_annotation: Segmenter = annotation_mask,
    max_edge: int = 512,
    batch_size: int = 16,
    seed: int = 0,
    store: Path | None = None,
    identity: str = "",
    progress: bool = False,
) -> AuditReport:
    """Question a classifier with changed fields.

    Give fields that it was not trained on, of at least two classes; a few hundred make the intervals narrow.

    Args:
        classifier: (list of PIL RGB images) -> probabilities (N, K), rows summing to 1, or (probabilities, answered).
        fields: N images: path, bytes, PIL image or uint8 (H, W, 3), RGB.
        labels: (N,) class index in [0, K), or class name.
        class_names: K names; by default the four classes.
        names: (N,) different names that decide the randomness of each field's rows; by default its position.
        rows: Names from `ROWS`; by default all. The untouched fields always belong to them.
        segment: PIL RGB -> bool (H, W), the leukocytes; another segmentation may take its place.
        find_annotation: PIL RGB -> bool (H, W), burnt-in ink.
        max_edge: Larger fields are shrunk to this longer edge first, also for the untouched row.
        batch_size: Images per call of the classifier.
        seed: Of holes, donors and noise; the answer does not depend on the order of the fields.
        store: File of finished rows, so that an interrupted audit goes on; it starts anew when the fields, the seed,
            the rows' code, `identity`, or the classifier's answers to the untouched fields differ.
        identity: What tells this classifier from others in a store, such as a hash of its weights.
        progress: Show a bar.

    Raises:
        DataError: If fields, labels, rows or the classifier's answers are not as described.
        ImageError: If a field cannot be read.
    """
    names = [f"field {index}" for index in range(len(fields))] if names is None else list(names)
    class_names = tuple(class_names or CLASS_NAMES)
    labels = _indices(labels, class_names)
    chosen = _check(fields, labels, names, class_names, rows, batch_size)
    if seed < 0 or max_edge < 1:
        raise DataError(f"seed is {seed} and max_edge {max_edge}; give at least 0 and 1")
    order = sorted(range(len(fields)), key=lambda index: names[index])

    def prepare(index: int) -> Subject:
        return _subject(fields[index], int(labels[index]), names[index], segment, find_annotation, max_edge)

    with ThreadPoolExecutor(max_workers=2) as pool:
        prepared = pool.map(prepare, order)
        subjects = list(tqdm(prepared, total=len(order), desc="Finding leukocytes", disable=not progress))
        if (without := sum(not subject.leukocytes.any() for subject in subjects)) > len(subjects) / 2:
            raise DataError(
                f"no leukocyte was found in {without} of {len(subjects)} fields, so that removing them would show"
                " nothing; give smear fields, or another segmentation as segment="
            )
        panel = _panel(subjects)
        if len({subject.label for subject in subjects}) < 2:
            chosen = [row for row in chosen if not row.needs_donor]
        results, finished = [], RowStore(store, subjects, f"{seed} {identity}")
        with tqdm(total=len(chosen) * len(subjects), desc="Auditing", unit="image", disable=not progress) as bar:
            ahead = _making(pool, chosen[0], panel, seed)
            for row, following in zip(chosen, [*chosen[1:], None], strict=True):
                # The next row's images are made while the classifier answers to this one's.
                images, donors = zip(*ahead, strict=True)
                ahead = _making(pool, following, panel, seed) if following else iter(())
                known = None if row.name == CLEAN else finished.get(row.name)
                answers = known or _ask(classifier, images, len(class_names), batch_size, bar)
                if row.name == CLEAN:
                    finished.begin(row.name, answers)
                elif known is None:
                    finished.put(row.name, answers)
                else:
                    bar.update(len(subjects))
                results.append(RowResult(row, *answers, donors=np.array(donors)))
        checks = _checks(panel, segment, seed, pool)
    order_of_answers = tuple(subject.name for subject in subjects)
    true = np.array([subject.label for subject in subjects])
    return AuditReport(class_names, order_of_answers, true, tuple(results), checks, seed)


def _indices(labels: Sequence[Any], class_names: tuple[str, ...]) -> list[int]:
    found = []
    for label in labels:
        index = class_names.index(label) if isinstance(label, str) and label in class_names else label
        if isinstance(index, str) or int(index) != index or not 0 <= index < len(class_names):
            raise DataError(f"label {label!r} is none of the {len(class_names)} classes ({', '.join(class_names)})")
        found.append(int(index))
    return found


def _check(
    fields: Sequence[Any],
    labels: Sequence[int],
    names: Sequence[str],
    class_names: Sequence[str],
    rows: Sequence[str] | None,
    batch_size: int,
) -> list[Row]:
    if not len(fields):
        raise DataError("there is no field to audit")
    if not len(fields) == len(labels) == len(names):
        raise DataError(f"{len(fields)} fields, {len(labels)} labels and {len(names)} names; give one of each a field")
    if len(set(names)) < len(names):
        raise DataError("two fields have the same name, so the audit could not be repeated; give each its own")
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; give at least 1")
    if unknown := sorted(set(rows or ()) - set(BY_NAME)):
        raise DataError(f"there is no audit row {unknown[0]!r}; choose among: {'; '.join(BY_NAME)}")
    return [row for row in ROWS if rows is None or row.name in rows or row.name == CLEAN]


def _subject(
    source: ImageSource, label: int, name: str, segment: Segmenter, find_annotation: Segmenter, max_edge: int
) -> Subject:
    image = load_image(source, name=name)
    image.thumbnail((max_edge, max_edge), Image.Resampling.BOX)
    field = np.array(image)
    leukocytes = np.asarray(segment(image), dtype=bool)
    annotation = np.asarray(find_annotation(image), dtype=bool)
    for mask in (leukocytes, annotation):
        if mask.shape != field.shape[:2]:
            raise DataError(f"a mask of {name} is {mask.shape}, its field {field.shape[:2]}; they must be equal")
    holes = widen(leukocytes, field, REMOVAL_MARGIN)
    cells = label_leukocytes(leukocytes)
    return Subject(name, label, field, leukocytes, cells, annotation, holes, inpaint(field, holes))


def _panel(subjects: Sequence[Subject]) -> Panel:
    def share(corner: str) -> float:
        return sum(float(subject.annotation[corner_mask(subject.field.shape, corner)].mean()) for subject in subjects)

    # Bottom right wins ties: microscope software burns scale bars there.
    corner = max(reversed(CORNERS), key=share)

    def mean(where: Callable[[Subject], np.ndarray], otherwise: tuple[int, int, int]) -> tuple[int, int, int]:
        colours = [subject.field[where(subject)].mean(axis=0) for subject in subjects if where(subject).any()]
        red, green, blue = np.rint(np.mean(colours, axis=0)).astype(int).tolist() if colours else otherwise
        return red, green, blue

    inside = mean(lambda subject: subject.leukocytes, (128, 96, 176))
    return Panel(subjects, corner, inside, mean(lambda subject: ~subject.leukocytes, (224, 224, 224)))


def generator_for(seed: int, row: str, name: str) -> np.random.Generator:
    """Give the randomness of one row of one field, whatever else is audited."""
    return np.random.default_rng([seed, zlib.crc32(row.encode()), zlib.crc32(name.encode())])


def _making(pool: ThreadPoolExecutor, row: Row, panel: Panel, seed: int) -> Iterator[tuple[Image.Image, int]]:
    return pool.map(lambda subject: _make(row, panel, subject, seed), panel.subjects)


def _make(row: Row, panel: Panel, subject: Subject, seed: int) -> tuple[Image.Image, int]:
    image, donor = row.make(panel, subject, generator_for(seed, row.name, subject.name))
    return Image.fromarray(image), -1 if donor is None else donor.label


def _ask(
    classifier: Classifier, images: Sequence[Image.Image], num_classes: int, batch_size: int, bar: tqdm
) -> tuple[np.ndarray, np.ndarray | None]:
    parts = []
    for batch in _batches(images, batch_size):
        parts.append(_understand(classifier(batch), len(batch), num_classes))
        bar.update(len(batch))
    answered = [part[1] for part in parts]
    if any(part is None for part in answered):
        if any(part is not None for part in answered):
            raise DataError("the classifier told only for some batches which images it answered")
        return np.concatenate([part[0] for part in parts]), None
    return np.concatenate([part[0] for part in parts]), np.concatenate(answered)  # type: ignore[arg-type]


def _batches(images: Sequence[Image.Image], batch_size: int) -> Iterator[list[Image.Image]]:
    for start in range(0, len(images), batch_size):
        # Copies: a classifier may draw into what it is given.
        yield [image.copy() for image in images[start : start + batch_size]]


def _understand(answer: Any, count: int, num_classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    answered = None
    if isinstance(answer, tuple) and len(answer) == 2:
        answer, answered = answer
        answered = np.asarray(answered)
        if answered.shape != (count,) or answered.dtype != bool:
            raise DataError(
                f"the classifier's second answer is {answered.dtype} {answered.shape}, not bool ({count},)"
            )
    try:
        probabilities = np.asarray(answer.detach().cpu().double() if hasattr(answer, "detach") else answer, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the classifier gave a {type(answer).__name__} that is no array of numbers; it must give probabilities"
            " (N, K), or a tuple of those and answered; leuk_hf.adapters has some ready"
        ) from error
    if probabilities.shape != (count, num_classes):
        raise DataError(
            f"the classifier gave {probabilities.shape} for {count} images and {num_classes} classes; it must give"
            f" ({count}, {num_classes}), in the order of class_names"
        )
    if not np.isfinite(probabilities).all() or (probabilities < -1e-6).any():
        raise DataError(
            "the classifier gave probabilities that are negative or not finite; logits need a softmax first"
        )
    if (worst := np.abs(probabilities.sum(axis=1) - 1).max()) > 0.01:
        raise DataError(f"the classifier's probabilities miss a sum of 1 by {worst:.2g}; give it a softmax")
    return probabilities, answered


def _checks(panel: Panel, segment: Segmenter, seed: int, pool: ThreadPoolExecutor) -> dict[str, Any]:
    """Measure whether the removal and its control did what their rows claim."""

    def measure(subject: Subject) -> tuple[float, ...]:
        cloned, without_bluish = (
            BY_NAME[name].make(panel, subject, generator_for(seed, name, subject.name))[0]
            for name in (REMOVED_CLONED, REMOVED_BLUISH)
        )
        sham = sham_holes(subject, generator_for(seed, "sham: equal holes off the leukocytes", subject.name))
        left = [
            float(np.asarray(segment(Image.fromarray(one))).mean())
            for one in (subject.emptied, cloned, without_bluish)
        ]
        holes = (subject.holes, sham, bluish_holes(subject))
        return float(subject.leukocytes.mean()), *left, *(float(each.mean()) for each in holes)

    before, inpainted, cloned, without, holes, sham, bluish = np.array(list(pool.map(measure, panel.subjects))).T
    return {
        "num_fields_without_leukocytes": int((before == 0).sum()),
        "num_fields_with_annotation": int(sum(subject.annotation.any() for subject in panel.subjects)),
        "leukocyte_area_share": round(float(before.mean()), 6),
        "leukocyte_area_share_after_inpainting": round(float(inpainted.mean()), 6),
        "leukocyte_area_share_after_cloning": round(float(cloned.mean()), 6),
        "leukocyte_area_share_without_bluish": round(float(without.mean()), 6),
        "bluish_hole_area_share": round(float(bluish.mean()), 6),
        "sham_hole_area_ratio": round(float(sham.sum() / max(holes.sum(), 1e-12)), 6),
        "corner": panel.corner,
    }


__all__ = ["CLEAN", "audit", "generator_for"]
