"""One visitor's run over many fields: its rows in memory, its pictures and downloads in a folder of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import shutil
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from leuk_hf._version import __version__
from leuk_hf.backends import Predictor
from leuk_hf.field_report import report_html
from leuk_hf.field_table import RunRecord, csv_text
from leuk_hf.files import replacing, write_text
from leuk_hf.many_fields import PICTURE_OPACITY, FieldPictures, FieldRow
from leuk_hf.space.sentences import row_in
from leuk_hf.space.words_many import TEXTS

_PREFIX = "leuk-many-"


@dataclasses.dataclass
class Orders:
    """What a visitor has asked for; the runs of a visit are numbered from 1.

    Args:
        begun: Number of the last start.
        stopped: Runs up to this number are to stop, also those that still wait.
        cleared: Of runs up to this number nothing is to be shown, nor kept.
    """

    begun: int = 0
    stopped: int = 0
    cleared: int = 0


@dataclasses.dataclass
class ManyRun:
    """What one run has answered so far.

    Args:
        folder: Of its own; removed by `delete`.
        record: What the rows depend on besides the files.
        total: Files to answer.
        rows: Without pictures, in order.
        pictured: Numbers of the rows, from 0, that have pictures.
        seconds: That the run took.
    """

    folder: Path
    record: RunRecord
    total: int
    rows: list[FieldRow] = dataclasses.field(default_factory=list)
    pictured: list[int] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def add(self, row: FieldRow) -> None:
        """Take a row; its pictures go into the folder.

        Args:
            row: The next one.
        """
        number = len(self.rows)
        if row.pictures is not None:
            self.field_path(number).write_bytes(row.pictures.field)
            self.overlay_path(number).write_bytes(row.pictures.overlay)
            self.pictured.append(number)
        self.rows.append(dataclasses.replace(row, pictures=None))

    def field_path(self, number: int) -> Path:
        """Name the picture of a row's field; the names say nothing of the files handed in."""
        return self.folder / f"field-{number + 1:04d}.webp"

    def overlay_path(self, number: int) -> Path:
        """Name the picture of a row's field under its heatmap."""
        return self.folder / f"heatmap-{number + 1:04d}.webp"

    def pictures_of(self, number: int) -> FieldPictures | None:
        """Read a row's pictures; None if it has none, or they have been deleted since."""
        try:
            return FieldPictures(self.field_path(number).read_bytes(), self.overlay_path(number).read_bytes())
        except OSError:
            return None

    def write_csv(self, class_names: Sequence[str]) -> Path:
        """Write the table to download."""
        path = self.folder / "leuk_hf-fields.csv"
        with replacing(path) as temporary:
            temporary.write_text(csv_text(self.rows, class_names, self.record), encoding="utf-8", newline="")
        return path

    def write_report(self, predictor: Predictor, language: str) -> Path:
        """Write the report to download."""
        path = self.folder / "leuk_hf-report.html"
        text = report_html(
            [row_in(row, language) for row in self.rows],
            predictor.class_names,
            self.record,
            settings=report_settings(predictor, language),
            words=TEXTS[language],
            pictures_of=self.pictures_of,
        )
        write_text(path, text)
        return path

    def delete(self) -> None:
        """Remove all files of the run."""
        shutil.rmtree(self.folder, ignore_errors=True)


def begin_run(cache: Path, predictor: Predictor, total: int, *, model: str, revision: str | None) -> ManyRun:
    """Make a run with an empty folder.

    Args:
        cache: What Gradio serves files from.
        predictor: Answers.
        total: Files to answer.
        model: Name of the checkpoint.
        revision: Its commit, tag or branch.
    """
    folder = own_folder(cache)
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    named = revision or f"weights {predictor.identity[:12]}"
    return ManyRun(folder, RunRecord(model, named, predictor.description, __version__, date), total)


def own_folder(cache: Path) -> Path:
    """Make a folder that nobody can guess.

    Args:
        cache: What Gradio serves files from.
    """
    folder = cache / f"{_PREFIX}{secrets.token_hex(16)}"
    folder.mkdir(parents=True)
    return folder


def delete_older(cache: Path, seconds: float) -> None:
    """Remove the folders of runs that nobody has cleared, such as those of a server that was killed.

    Args:
        cache: What Gradio serves files from.
        seconds: Age from which they go.
    """
    for folder in cache.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > seconds:
                shutil.rmtree(folder, ignore_errors=True)


def report_settings(predictor: Predictor, language: str) -> dict[str, str]:
    """Name the settings that a report lists, with their values.

    Args:
        predictor: Whose.
        language: Of `TEXTS`.
    """
    words = TEXTS[language]
    calibrated = predictor.temperature != 1
    sets = "many_setting_conformal" if predictor.conformal_quantiles else "many_setting_cumulative"
    size = predictor.preprocessor.image_size
    return {
        words["many_setting_size"]: f"{size} x {size}",
        words["many_setting_temperature"]: (
            f"{predictor.temperature:.4g}" if calibrated else words["many_setting_uncalibrated"]
        ),
        words["many_setting_coverage"]: words[sets],
        words["many_setting_layer"]: predictor.map_layer,
        words["many_setting_opacity"]: f"{PICTURE_OPACITY:g}",
    }
