"""Rows, CSV, summary and report of many fields, good, bad and hostile."""

import base64
import csv
import html.parser
import io
import re
import threading
import zipfile

import pytest
from PIL import Image

from leuk_hf import predict
from leuk_hf.backends import as_predictor
from leuk_hf.case_summary import summarise
from leuk_hf.field_report import MAX_PICTURE_BYTES, report_html
from leuk_hf.field_table import RunRecord, columns, csv_text, defused
from leuk_hf.intake import Upload, open_uploads
from leuk_hf.many_fields import FieldPictures, FieldRow, answer_candidates, predict_uploads
from leuk_hf.prediction import Prediction
from leuk_hf.space.words_many import TEXTS
from leuk_hf.synthetic import render_smear

RECORD = RunRecord("tiny", "abc123", "torch", "0.0", "2026-01-01T00:00:00+00:00")
CLASSES = ("Benign", "Early Pre-B", "Pre-B", "Pro-B")
MARKUP = "<img src=x onerror=alert(1)>\"'&.png"


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """Eleven files: nine fields, three of them in an archive, and two that cannot be used."""
    folder = tmp_path_factory.mktemp("case")
    for number in range(6):
        render_smear("Pre-B", seed=number, image_size=48 + 8 * number).save(folder / f"{number}.png")
    (folder / "2b.png").write_text("<svg><script>alert(1)</script></svg>")
    with zipfile.ZipFile(folder / "case.zip", "w") as archive:
        for number in range(3):
            archive.write(folder / f"{number}.png", f"z{number}.png")
        archive.writestr("z1b.png", b"not an image")
    return [Upload(path, path.name) for path in sorted(folder.iterdir())]


def answered(predictor, uploads, **options):
    with open_uploads(uploads) as candidates:
        return [row for batch in answer_candidates(predictor, candidates, **options) for row in batch]


def row(file="a.png", label="Benign", names=("Benign",), *, is_answered=True, reasons=(), cells=3, share=0.7):
    rest = (1 - share) / 3
    probabilities = {name: share if name == label else rest for name in CLASSES}
    return FieldRow(file, Prediction(label, probabilities, names, -1.5, is_answered, reasons), cells, None)


def failed(file="b.png", error="b.png is empty (0 bytes); save or copy it again"):
    return FieldRow(file, None, None, error)


def report(rows, language="en", pictures_of=lambda number: None, settings=None):
    return report_html(rows, CLASSES, RECORD, settings=settings or {}, words=TEXTS[language], pictures_of=pictures_of)


def test_answers_are_those_of_one_by_one(tiny_model, uploads):
    rows = answered(as_predictor(tiny_model), uploads, batch_size=4)
    names = [f"{number}.png" for number in (0, 1, 2)] + ["2b.png", "3.png", "4.png", "5.png"]
    assert [each.file for each in rows] == [*names, *(f"case.zip/z{number}.png" for number in ("0", "1", "1b", "2"))]
    by_name = {each.file: each for each in rows}
    for upload in uploads:
        if upload.name in ("2b.png", "case.zip"):
            continue
        (alone,) = predict(tiny_model, upload.path)
        together = by_name[upload.name].prediction
        assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert together.in_distribution_score == pytest.approx(alone.in_distribution_score, abs=1e-4)
        assert (together.label, together.prediction_set, together.answered, together.reasons) == (
            *(alone.label, alone.prediction_set, alone.answered, alone.reasons),
        )
    for number in range(3):
        inside = by_name[f"case.zip/z{number}.png"].prediction.probabilities
        assert inside == pytest.approx(by_name[f"{number}.png"].prediction.probabilities, abs=1e-5)


def test_one_bad_file_is_one_row(tiny_model, uploads):
    for batch_size in (1, 8):  # alone in a batch, and among good ones
        rows = answered(as_predictor(tiny_model), uploads, batch_size=batch_size)
        assert [each.file for each in rows if each.error] == ["2b.png", "case.zip/z1b.png"]
        sentence = "is not an image that can be read; save it as PNG, JPEG, TIFF, BMP or WebP"
        assert {each.error for each in rows if each.error} == {f"2b.png {sentence}", f"case.zip/z1b.png {sentence}"}
        assert all((each.prediction is None) == (each.error is not None) == (each.pictures is None) for each in rows)


def test_pictures_are_small_and_differ(tiny_model, tmp_path):
    Image.effect_noise((700, 300), 80).convert("RGB").save(tmp_path / "large.png")
    (row,) = answered(as_predictor(tiny_model), [Upload(tmp_path / "large.png", "large.png")])
    field, overlay = (Image.open(io.BytesIO(data)) for data in (row.pictures.field, row.pictures.overlay))
    assert field.size == overlay.size == (360, 154) and field.format == overlay.format == "WEBP"
    assert field.tobytes() != overlay.tobytes()


def test_what_a_file_brings_along_is_not_in_its_pictures(tiny_model, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe, born 1970"
    render_smear("Pre-B", seed=0, image_size=64).save(tmp_path / "a.jpg", exif=exif, comment=b"Jane Doe")
    (row,) = answered(as_predictor(tiny_model), [Upload(tmp_path / "a.jpg", "a.jpg")])
    assert b"Jane" not in row.pictures.field + row.pictures.overlay


def test_stopping_takes_no_more(tiny_model, uploads):
    opened = []

    def watched(candidates):
        for candidate in candidates:
            opened.append(candidate.name)
            yield candidate

    with open_uploads(uploads) as candidates:
        batches = answer_candidates(as_predictor(tiny_model), watched(candidates), batch_size=2)
        assert [each.file for each in next(batches)] == ["0.png", "1.png"]
        batches.close()
    assert len(opened) == 4  # the second batch was being prepared
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leuk_hf")]


def test_network_runs_where_it_is_told(tiny_model, uploads):
    predictor, sizes = as_predictor(tiny_model), []

    def run(pixel_values):
        sizes.append(len(pixel_values))
        return predictor.run(pixel_values)

    answered(predictor, uploads, batch_size=4, run=run)
    assert sizes == [3, 4, 2]  # without the files that cannot be used


def test_rows_for_programs(tiny_model, uploads):
    rows = predict_uploads(as_predictor(tiny_model), uploads[:4])
    assert [each["file"] for each in rows] == ["0.png", "1.png", "2.png", "2b.png"]
    assert (
        list(rows[0])
        == list(rows[3])
        == [
            *("file", "label", "probabilities", "prediction_set", "in_distribution_score"),
            *("answered", "reasons", "error", "cells"),
        ]
    )
    assert abs(sum(rows[0]["probabilities"].values()) - 1) < 1e-6 and rows[0]["error"] is None
    assert (rows[3]["label"], rows[3]["cells"], rows[3]["answered"]) == (None, None, False)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        *((f"{sign}1", f"'{sign}1") for sign in "+-@＝＠"),
        ("\t=1", "'=1"),
        ("\r=1", "'=1"),
        ("  =1", "'=1"),
        ("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0"),
        ("a\r\n=1", "a =1"),
        ("a-b=c@d.png", "a-b=c@d.png"),
    ],
)
def test_formulas_are_defused(text, shown):
    assert defused(text) == shown


def test_csv_holds_every_value():
    rows = [row("=1+1.png", names=("Benign", "Pre-B"), reasons=("One.", "Two.")), failed(), row("نمونه.png", "Pro-B")]
    text = csv_text(rows, CLASSES, RECORD)
    assert text.startswith("\ufeff") and text.count("\r\n") == 4
    parsed = list(csv.DictReader(io.StringIO(text[1:])))
    assert list(parsed[0]) == columns(CLASSES)
    run = {"model": "tiny", "revision": "abc123", "backend": "torch", "leuk_hf": "0.0", "date": RECORD.date}
    first = {
        **{"file": "'=1+1.png", "label": "Benign", "prediction_set": "Benign | Pre-B", "answered": "yes"},
        **{"in_distribution_score": "-1.5", "warnings": "One. Two.", "cells": "3", "error": ""},
    }
    assert parsed[0].items() >= {**run, **first}.items()
    assert [float(parsed[0][f"probability {name}"]) for name in CLASSES] == list(
        rows[0].prediction.probabilities.values()
    )
    assert parsed[1].items() >= {**run, "file": "b.png", "label": "", "answered": "no", "error": rows[1].error}.items()
    assert parsed[2]["file"] == "نمونه.png"


def test_no_cell_of_a_hostile_name_starts_a_formula():
    names = ['=1"\r\n=2', "@x;=3;+4", "\t-5", "＝6", ';=7",=8']
    text = csv_text(
        [row(name) for name in names] + [failed(name, f"{name} is empty") for name in names], CLASSES, RECORD
    )
    for delimiter in ",;":
        cells = [cell for line in csv.reader(io.StringIO(text[1:]), delimiter=delimiter) for cell in line]
        texts = [cell for cell in cells if not re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell)]
        assert not [cell for cell in texts if cell.lstrip()[:1] in tuple("=+-@＝") and cell.strip()]


def test_summary_counts():
    rows = [
        row(),
        row(names=("Benign", "Pre-B")),
        row(label="Pro-B", names=("Pro-B",), cells=5),
        row(label="Pro-B", names=("Pro-B", "Pre-B"), is_answered=False),
        failed(),
    ]
    summary = summarise(rows, CLASSES)
    assert summary.answered == {"Benign": 2, "Early Pre-B": 0, "Pre-B": 0, "Pro-B": 1}
    counts = (summary.files, summary.num_answered, summary.ambiguous, summary.refused, summary.failed, summary.cells)
    assert counts == (5, 3, 1, 1, 1, 11)
    assert summarise([], CLASSES).num_answered == 0


class Elements(html.parser.HTMLParser):
    """Every element with its attributes, and the texts."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("language", ["en", "fa"])
def test_report_fetches_and_runs_nothing(language):
    pictures = FieldPictures(b"field", b"overlay")
    rows = [row(MARKUP, reasons=(MARKUP,)), failed(MARKUP, f"{MARKUP} is empty"), row("b.png", names=CLASSES[:2])]
    page = report(rows, language, lambda number: pictures if number == 0 else None, {MARKUP: MARKUP})
    parsed = Elements(page)
    assert {"script", "link", "iframe", "object", "a", "base"}.isdisjoint(tag for tag, _ in parsed.elements)
    images = [attributes for tag, attributes in parsed.elements if tag == "img"]
    assert [image["src"] for image in images] == [
        f"data:image/webp;base64,{base64.b64encode(data).decode()}" for data in (b"field", b"overlay")
    ]
    assert all(image["alt"] for image in images)
    names = [name for _, attributes in parsed.elements for name in attributes]
    assert not [name for name in names if name.startswith("on") or name in ("href", "srcset", "action")]
    assert "url(" not in page and "@import" not in page and parsed.texts.count(MARKUP) == 5
    document = next(attributes for tag, attributes in parsed.elements if tag == "html")
    assert document == {"lang": language, "dir": "rtl" if language == "fa" else "ltr"}
    policies = [attributes for tag, attributes in parsed.elements if tag == "meta" and "http-equiv" in attributes]
    assert policies[0]["content"].startswith("default-src 'none'; img-src data:")


def test_report_says_what_it_must():
    rows = [row(), row(names=("Benign", "Pre-B")), row(is_answered=False, reasons=("Too dark.",)), failed()]
    text = " ".join(" ".join(Elements(report(rows, settings={"Layer": "norm5"})).texts).split())
    for part in (
        "For research and teaching only. Not a medical device, not for diagnosis.",
        "4 files: 2 answered, 1 classified but not answered, 1 unusable. Of those answered, 1 have more than one",
        "This is a count of fields, not a diagnosis of a patient.",
        "More than one class stays plausible: Benign, Pre-B",
        "Not answered: not a field this model knows.",
        *("Too dark.", "b.png is empty (0 bytes)", "70 %"),
        *("Model tiny", "Revision abc123", "leuk_hf 0.0", "Backend torch", f"Date {RECORD.date}", "Layer norm5"),
    ):
        assert part in text


@pytest.mark.parametrize("language", ["en", "fa"])
def test_no_probability_is_shown_as_certain(language):
    page = report([row(share=0.9996, cells=1), row(share=1.0)], language)
    assert page.count(">&gt;\u00a099\u00a0%<") == 2 and page.count(">&lt;\u00a01\u00a0%<") == 6
    assert "100\u00a0%" not in page and ">0\u00a0%<" not in page
    written = csv_text([row(share=0.9996)], CLASSES, RECORD)
    assert ",0.9996," in written  # files for programs keep the numbers


def test_report_is_bounded():
    large = FieldPictures(bytes(MAX_PICTURE_BYTES // 4), bytes(MAX_PICTURE_BYTES // 4))
    page = report([row()] * 5, pictures_of=lambda number: large)
    assert page.count("<img ") == 4 and "3 fields come without pictures" in page
    assert len(page) < 1.4 * MAX_PICTURE_BYTES


def test_languages_have_the_same_words_and_gaps():
    assert list(TEXTS["en"]) == list(TEXTS["fa"])
    for key, text in TEXTS["en"].items():
        gaps = [sorted(re.findall(r"{(\w+)}", each)) for each in (text, TEXTS["fa"][key])]
        assert gaps[0] == gaps[1], key
