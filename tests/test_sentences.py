"""What the core says, in the page's other language: complete, with the same values, and nothing left in English."""

import ast
import copy
import dataclasses
import html
import json
import pickle
import re
import string
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import leuk_hf
from leuk_hf.backends import as_predictor
from leuk_hf.checkpoint_io import SHIPPED_CHECKPOINT
from leuk_hf.errors import ImageError
from leuk_hf.field_audit import audit_field
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.image_io import load_image
from leuk_hf.intake import Upload, open_uploads
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.many_fields import answer_candidates
from leuk_hf.prediction import predict
from leuk_hf.sentence import Sentence, listed
from leuk_hf.space.audit_panel import audit_html
from leuk_hf.space.many_run import begin_run
from leuk_hf.space.sentences import row_in, unusable
from leuk_hf.space.trust_page import trust_html
from leuk_hf.space.words import SENTENCES, TEXTS, tell
from leuk_hf.synthetic import render_smear

PACKAGE = Path(leuk_hf.__file__).parent
FIELD = render_smear("Pre-B", seed=2, image_size=224)
REFUSING = RefusalLimits(
    largest_elongation=0.5, lowest_contrast=255, lowest_light=255, highest_burnt_out=-1, lowest_leukocyte_share=1,
    lowest_sharpness=1, lowest_leukocyte_diameter=1, highest_leukocyte_diameter=0, lowest_in_distribution_score=1e9,
    lowest_correlation_length=1, smallest_side=1e9, lowest_cell_size=1, highest_cell_size=0,
    lowest_leukocyte_texture=255, highest_frame_share=-1,
)  # fmt: skip
# Names and titles, which stay as they are.
NAMES = ("Acute Lymphoblastic Leukemia", *CLASS_NAMES, "DOI", "Grad-CAM")


def templates():
    """Every template that is written out in the package."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Sentence":
                assert isinstance(node.args[0], ast.Constant), f"{path}: a template has to be written out"
                yield node.args[0].value


def fields_of(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def english_in(page, names=NAMES):
    """Three and more Latin words in a row, in what is read or heard of a page, without code and names."""
    heard = " ".join(re.findall(r'(?:alt|aria-label|title)="([^"]*)"', page))
    seen = re.sub(r"<(code|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    text = html.unescape(f"{re.sub('<[^>]*>', ' | ', seen)} | {heard}")
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "|")
    return re.findall(r"[A-Za-z]+(?:[\s,;:.']+[A-Za-z]+){2,}", text)


def test_every_template_is_translated_with_its_values():
    known = set(templates())
    assert len(known) > 80
    for language, translations in SENTENCES.items():
        assert set(translations) == known - {"{text}"}, language
        for template, translation in translations.items():
            # What other programs say is left out.
            assert fields_of(template) - {"reason"} == fields_of(translation) - {"reason"}, template
            assert re.search(r"[\u0600-\u06ff]", translation) or not re.search(
                "[A-Za-z]", re.sub("{.*?}", "", template)
            )


def test_a_sentence_is_its_english_text_and_can_be_made_anew():
    inner = Sentence("{percent} % of the image's edge", percent="5")
    outer = Sentence("The leukocytes are too large ({extent}).", extent=inner)
    for made in (outer, pickle.loads(pickle.dumps(outer)), copy.deepcopy(outer)):  # noqa: S301 - our own
        assert made == "The leukocytes are too large (5 % of the image's edge)."
        assert made.template == outer.template and made.values["extent"].values == {"percent": "5"}
    assert json.dumps([outer]) == json.dumps([str(outer)]) and type(str(outer)) is str
    assert listed(["a", inner, "b"]) == "a; 5 % of the image's edge; b"


def test_telling():
    error = Sentence("{name} is empty (0 bytes); save or copy it again", name="{x} <b>.png")
    assert tell(error, "en") == tell(error, None) == "{x} <b>.png is empty (0 bytes); save or copy it again"
    # Between the marks the name keeps its own direction, and the sentence its own.
    assert tell(error, "fa").startswith("\u2068{x} <b>.png\u2069 خالی است")
    assert tell("of another program", "fa") == "of another program"
    nested = Sentence("{before}; {after}", before=Sentence("not defined"), after="grey")
    assert tell(nested, "fa", name={"grey": "بدون رنگ"}.get) == "تعریف‌نشده؛ \u2068بدون رنگ\u2069"


def test_reasons_are_said_in_persian_and_answered_in_english(tiny_model):
    tiny_model.refusal_limits = REFUSING
    prediction = predict(tiny_model, FIELD.resize((300, 100)))[0]
    assert len(prediction.reasons) >= 2
    reasons = list(prediction.reasons)
    for name, value in dataclasses.asdict(REFUSING).items():  # each alone: together some explain others
        tiny_model.refusal_limits = RefusalLimits(**{name: value})
        reasons += predict(tiny_model, FIELD.resize((300, 100)))[0].reasons
    assert len(set(reasons)) >= 10
    for reason in reasons:
        assert isinstance(reason, Sentence) and not re.search(r"[\u0600-\u06ff]", reason)
        assert not english_in(tell(reason, "fa")) and re.search(r"[\u0600-\u06ff]", tell(reason, "fa"))
    told = json.loads(json.dumps(prediction.to_dict()))["reasons"]
    assert told == list(prediction.reasons) and all(type(each) is str for each in prediction.to_dict()["reasons"])


@pytest.fixture
def bad_files(tmp_path):
    (tmp_path / "empty file of mine.png").write_bytes(b"")
    (tmp_path / "just some words here.png").write_text("no image")
    (tmp_path / "not a zip archive.zip").write_text("no archive")
    (tmp_path / "cut off in the middle.png").write_bytes(_png()[:400])
    Image.new("RGB", (8, 8)).save(tmp_path / "a very small one.png")
    return sorted(tmp_path.iterdir())


def _png():
    from leuk_hf.image_encoding import encode_image

    return encode_image(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)))


def test_bad_files_are_rows_and_a_report_in_persian(bad_files, tiny_model, tmp_path):
    # Each of these would explain most of the others.
    tiny_model.refusal_limits = dataclasses.replace(REFUSING, lowest_contrast=None, highest_frame_share=None)
    predictor = as_predictor(tiny_model)
    FIELD.resize((160, 224)).save(tmp_path / "field.png")  # upright, which is told besides
    given = [Upload(path, f"{number}.png") for number, path in enumerate([*bad_files, tmp_path / "field.png"])]
    given[3] = Upload(given[3].path, "3.zip")  # the one that is called an archive
    run = begin_run(tmp_path / "cache", predictor, len(given), model="owner/name", revision="main")
    with open_uploads(given) as candidates:
        for rows in answer_candidates(predictor, candidates):
            for row in rows:
                run.add(row)
    errors = [row_in(row, "fa").error for row in run.rows[:-1]]
    assert all(re.search(r"[\u0600-\u06ff]", error) and not english_in(error) for error in errors), errors
    assert all("\u2068" in error for error in errors) and len(set(errors)) == len(errors)
    assert len(row_in(run.rows[-1], "fa").prediction.reasons) >= 6
    report = run.write_report(predictor, "fa").read_text(encoding="utf-8")
    assert not english_in(report), english_in(report)
    assert "بیش از حد تاریک" in report and english_in(run.write_report(predictor, "en").read_text(encoding="utf-8"))
    table = run.write_csv(predictor.class_names).read_text(encoding="utf-8")
    assert "is empty (0 bytes)" in table and not re.search(r"[\u0600-\u06ff]", table)


def test_an_image_that_cannot_be_used_is_refused_in_the_visitors_language():
    with pytest.raises(ImageError) as refused:
        load_image(b"no image", name="<img src=x>.png")
    for language in ("en", "fa"):
        shown = unusable(refused.value, language)
        assert shown.title == TEXTS[language]["classify_unusable"]
        assert "&lt;img src=x&gt;.png" in shown.message and "<img" not in shown.message
    assert not english_in(shown.message) and "is not an image" not in shown.message


def test_no_page_in_persian_has_an_english_sentence(tiny_model):
    results = json.loads((SHIPPED_CHECKPOINT / "results.json").read_text(encoding="utf-8"))
    names = (*NAMES, *(f"{section}: {name}" for section, entries in results.items() for name in entries))
    for is_public in (True, False):
        page = trust_html(results, model="owner/name", is_public=is_public, language="fa")
        assert not english_in(page, names), english_in(page, names)
    for language, texts in TEXTS.items():
        english = [text for text in texts.values() if english_in(re.sub("`.*?`", "|", text))]
        assert bool(english) == (language == "en"), english
    audited = audit_html(audit_field(tiny_model, FIELD), "fa")
    assert not english_in(audited), english_in(audited)
