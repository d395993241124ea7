"""The panel "Audit this field" and its place on the page."""

import dataclasses
import re

import gradio as gr
import numpy as np
import pytest

from leuk_hf import load_predictor
from leuk_hf.field_audit import Answer, FieldAudit, Version
from leuk_hf.prediction import Prediction
from leuk_hf.space.audit_panel import audit_html
from leuk_hf.space.page import build_page
from leuk_hf.synthetic import render_smear

FIELD = np.full((300, 400, 3), 200, np.uint8)


def said(label, top, *, answered=True):
    others = dict.fromkeys((name for name in "abc" if name != label), (1 - top) / 2)
    return Prediction(label, {label: top, **others}, (label,), 0.0, answered, ())


def audited(*answers, untouched=None, num_leukocytes=3):
    return FieldAudit(FIELD, untouched or said("a", 0.8), answers, num_leukocytes)


REMOVED = Answer(Version("removed", "lets go", FIELD), said("a", 0.9), "names")
SHAM = Answer(Version("sham", "keeps", FIELD, 0.87), said("a", 0.9), "keeps")
GREY = Answer(Version("grey", "keeps", FIELD), said("b", 0.7, answered=False), "changes, refused")
COLOURS = Answer(Version("colours", "keeps", FIELD, detail="b"), said("b", 0.7), "follows")


def test_each_version_has_its_picture_answer_and_sentences():
    shown = audit_html(audited(REMOVED, SHAM, GREY, COLOURS))
    assert shown.count('src="data:image/jpeg;base64,') == shown.count(" alt=") == 5
    assert "1 of 4 answers are as one must expect" in shown and "2 are not" in shown and "1 changed without" in shown
    assert "still named <bdi>a</bdi>" in shown and "room for <span" in shown and "87 %" in shown
    assert "went over to <bdi>b</bdi>" in shown and "(refused)" in shown
    assert re.findall(r'class="leuk-(sound|unsound|reserved)"', shown) == ["unsound", "sound", "reserved", "unsound"]
    assert "not_telling" not in shown and "says little" not in shown


def test_persian_is_written_from_right_to_left():
    shown = audit_html(audited(REMOVED, SHAM, GREY, COLOURS), "fa")
    assert 'lang="fa" dir="rtl"' in shown and "بی‌آنکه" in shown and "Should" not in shown


def test_doubtful_fields_are_said_to_be():
    for untouched in (said("a", 0.9, answered=False), said("a", 0.4)):
        assert "says little" in audit_html(audited(SHAM, untouched=untouched))
    assert "No leukocyte was found" in audit_html(audited(GREY, num_leukocytes=0))


def test_names_of_classes_are_escaped():
    hostile = dataclasses.replace(COLOURS, prediction=said("<img src=x>", 0.9))
    assert "<img src=x>" not in audit_html(audited(hostile, untouched=said("<img src=x>", 0.9)))


@pytest.fixture(scope="module")
def demo():
    return build_page(load_predictor(), model_name="shipped")


def function_named(demo, name):
    (found,) = [each for each in demo.fns.values() if each.name == name]
    return found


def test_the_page_has_the_figures_of_the_checkpoint(demo):
    shown = [block.value for block in demo.blocks.values() if isinstance(block, gr.HTML) and block.value]
    (page,) = [value for value in shown if "leuk-trust" in value]
    assert "How often it is right" in page and "grouped" in page


def test_the_button_audits_the_field(demo):
    event = function_named(demo, "audit")
    assert event.api_visibility == "private" and event.concurrency_id == "model"
    with pytest.raises(gr.Error, match="no image"):
        event.fn(None, "en")
    shown = event.fn(render_smear("Pro-B", seed=2), "en")
    assert shown.count("<figure") == 12 and "In the colours of" in shown
