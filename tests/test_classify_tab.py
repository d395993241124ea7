"""The tab "One field": what it says, shows and escapes, by the functions that the page calls."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import re

import gradio as gr
import numpy as np
import pytest
import torch
from gradio.data_classes import ImageData
from PIL import Image

from leuk_hf.backends import as_predictor
from leuk_hf.errors import ImageError
from leuk_hf.explanation import explain
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.model import LeukDenseNet
from leuk_hf.percentages import probability_text, share_text
from leuk_hf.prediction import Prediction
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.sentence import Sentence
from leuk_hf.space import classify, example_answers, words_classify
from leuk_hf.space.example_answers import ExampleAnswers, remember_file
from leuk_hf.space.field_result import CROP_BYTES, picture, render
from leuk_hf.space.options import Options
from leuk_hf.space.page import build_page
from leuk_hf.space.sentences import verdict
from leuk_hf.synthetic import render_smear
from leuk_hf.visualization import colourise

FIELD = render_smear("Pre-B", seed=2, image_size=224)


def tab_of(model):
    """Give the function that answers a new field, and the one that answers a changed choice."""
    demo = build_page(as_predictor(model), model_name="<i>tiny</i>", revision="v1")
    mine = [each.fn for each in demo.fns.values() if each.fn is not None and each.fn.__module__ == classify.__name__]
    functions = {function.__name__: function for function in mine}
    return functions["anew"], functions["classify"]


@pytest.fixture(scope="module")
def model() -> LeukDenseNet:
    torch.manual_seed(0)
    return LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64)).eval()


@pytest.fixture(scope="module")
def tab(model):
    return tab_of(model)


@pytest.fixture(scope="module")
def first(tab):
    """The answer to the field, as the page shows it and as the tab remembers it."""
    anew, _ = tab
    return anew(FIELD, "", "denseblock4", "grad_cam", "en")


def pictures(page: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(body))) for body in re.findall(r"base64,([^\"]+)\"", page)]


def test_a_field_gets_verdict_probabilities_cells_and_provenance(first):
    page, shown = first
    prediction, evidence = shown.reading.prediction, shown.result.evidence
    for name, probability in prediction.probabilities.items():
        assert f"<bdi>{name}</bdi>" in page and f"<bdi>{html.escape(probability_text(probability))}</bdi>" in page
    assert (
        f"{len(evidence.cells)} leukocytes found; {html.escape(share_text(evidence.share))} of the attribution" in page
    )
    assert page.count("<g data-cell=") == len(evidence.cells) > 2
    buttons = re.findall(r'<button type="button" data-cell="(\d+)"', page)
    assert buttons == [str(cell.number) for cell in evidence.ranked[:8]]
    assert "&lt;i&gt;tiny&lt;/i&gt;" in page and "<code>v1</code>" in page and "leuk_hf " in page
    assert "<i>tiny" not in page


def test_the_heatmap_is_the_explanation_and_the_field_lies_below(first, model):
    page, shown = first
    field, heat, *crops = pictures(page)
    assert field.size == FIELD.size and len(crops) == len(shown.result.crops)
    expected = colourise(explain(model, FIELD).heatmap)
    np.testing.assert_array_equal(np.asarray(heat), expected)


def test_another_class_is_explained_without_another_answer(tab, first):
    _, again_for = tab
    _, shown = first
    other = next(name for name in CLASS_NAMES if name != shown.reading.prediction.label)
    page, again = again_for(FIELD, other, "denseblock2", "grad_cam", "en", shown)
    assert again.reading is shown.reading
    assert (again.result.target, again.result.layer) == (other, "denseblock2")
    assert f"{other} is not the predicted class" in page and "Grad-CAM (denseblock2)" in page
    assert [cell.box for cell in again.result.evidence.cells] == [cell.box for cell in shown.result.evidence.cells]


def test_integrated_gradients_are_shown_too(tab, first):
    _, again_for = tab
    _, shown = first
    page, again = again_for(FIELD, "Pro-B", "denseblock4", "integrated_gradients", "en", shown)
    assert again.result.layer == "input" and again.result.heat != shown.result.heat
    assert "by Integrated Gradients" in page


def test_crops_have_the_full_resolution(tab):
    anew, _ = tab
    large = FIELD.resize((1792, 1792), Image.Resampling.BICUBIC)
    page, shown = anew(large, "", "denseblock4", "grad_cam", "en")
    field, _, *crops = pictures(page)
    cell = shown.result.crops[0][0]
    assert field.size == shown.result.size == (1024, 1024)
    longer = max(cell.box[2] - cell.box[0], cell.box[3] - cell.box[1])
    assert crops[0].width == pytest.approx(1.5 * longer * 1792 / 1024, abs=2) and crops[0].width > 320


def test_crops_have_so_many_bytes_at_most():
    noise = Image.effect_noise((1200, 900), 90).convert("RGB")
    (whole,), (small,) = (pictures(f'"{picture(noise, **limit)}"') for limit in ({}, {"at_most": CROP_BYTES}))
    assert whole.size == (1200, 900) and small.size[0] / small.size[1] == pytest.approx(4 / 3, abs=0.01)
    content = base64.b64decode(picture(noise, at_most=CROP_BYTES).partition(",")[2])
    assert 0.6 * CROP_BYTES < len(content) <= CROP_BYTES


def test_without_a_field_there_is_no_result(tab):
    anew, _ = tab
    page, shown = anew(None, "", "denseblock4", "grad_cam", "fa")
    assert shown is None and words_classify.TEXTS["fa"]["classify_empty"] in page


def test_class_names_are_escaped(tiny_model):
    model = tiny_model.adapted(class_names=("<b>x</b>", '"y"', "z"))
    anew, _ = tab_of(model)
    page, _ = anew(FIELD, "<b>x</b>", "denseblock4", "grad_cam", "en")
    assert "<b>x" not in page and "&lt;b&gt;x&lt;/b&gt;" in page and 'alt=""y' not in page


def test_the_same_result_in_persian_runs_from_right_to_left(first):
    page, shown = first
    persian = render(shown.result, "fa")
    assert 'dir="rtl"' in persian and 'dir="rtl"' not in page
    assert re.findall(r"data-cell=\"\d+\"", persian) == re.findall(r"data-cell=\"\d+\"", page)
    assert persian.count("<input") == page.count("<input") == 3
    assert "leukocytes found" not in persian


def test_a_refused_field_names_no_class(tiny_model):
    tiny_model.refusal_limits = RefusalLimits(lowest_contrast=255)
    anew, _ = tab_of(tiny_model)
    page, shown = anew(FIELD, "", "denseblock4", "grad_cam", "en")
    assert not shown.reading.prediction.answered
    assert "Not a field this model knows." in page and "nearly uniform; there is nothing to see" in page
    assert "This field looks like" not in page and "Most likely" not in page and "leuk-first" not in page


def test_a_refusal_says_every_reason_in_the_visitors_language(first):
    _, shown = first
    told = (
        Sentence("The image is too dark; take it with more light."),
        Sentence("The image is small ({size} pixels); it was enlarged to {edge} pixels.", size="<9x9>", edge=64),
    )
    prediction = dataclasses.replace(shown.reading.prediction, answered=False, reasons=told)
    result = dataclasses.replace(shown.result, prediction=prediction)
    english, persian = render(result, "en"), render(result, "fa")
    assert "<li>The image is too dark; take it with more light.</li>" in english and "(&lt;9x9&gt; pixels)" in english
    assert "The image is" not in persian and "تاریک" in persian and "\u2068&lt;9x9&gt;\u2069 پیکسل" in persian


@pytest.mark.parametrize(("language", "said"), [("en", "is empty (0 bytes)"), ("fa", "خالی است")])
def test_an_image_that_cannot_be_used_is_refused_in_place_of_the_result(tab, language, said):
    anew, _ = tab
    error = ImageError(Sentence("{name} is empty (0 bytes); save or copy it again", name="<b>.png"))
    page, shown = anew(error, "", "denseblock4", "grad_cam", language)
    assert shown is None and 'role="alert"' in page and said in page
    assert words_classify.TEXTS[language]["classify_unusable"] in page
    assert "&lt;b&gt;.png" in page and "<b>" not in page


def answer(*names: str, answered: bool = True) -> Prediction:
    probabilities = {"Benign": 0.02, "Early Pre-B": 0.08, "Pre-B": 0.895, "Pro-B": 0.005}
    return Prediction("Pre-B", probabilities, names, 0.0, answered, ())


def test_verdicts():
    assert verdict(answer("Pre-B"), "en") == (
        "This field looks like Pre-B.",
        "The model gives it a calibrated probability of 90\u00a0%; no other class stays plausible.",
    )
    headline, sentence = verdict(answer("Pre-B", "Benign", "Pro-B"), "en", is_calibrated=False)
    assert headline == "Most likely Pre-B, but not for certain."
    assert sentence.endswith("probability (not calibrated) of 90\u00a0%, but Benign and Pro-B cannot be ruled out.")
    assert verdict(answer("Pre-B", answered=False), "en") == ("Not a field this model knows.", "")
    assert "Pre-B" in verdict(answer("Pre-B"), "fa")[0]


@pytest.mark.parametrize(
    ("value", "share", "probability"),
    [
        *[(0, "0 %", "< 1 %"), (1e-12, "< 1 %", "< 1 %"), (0.0099, "< 1 %", "< 1 %"), (0.01, "1 %", "1 %")],
        *[(0.5, "50 %", "50 %"), (0.99, "99 %", "99 %"), (0.991, "> 99 %", "> 99 %"), (1, "100 %", "> 99 %")],
    ],
)
def test_percentages_never_claim_certainty(value, share, probability):
    # Everything may lie on leukocytes; nothing is certain.
    assert share_text(value).replace("\u00a0", " ") == share
    assert probability_text(value).replace("\u00a0", " ") == probability


def test_a_sure_answer_is_said_in_both_languages():
    sure = dataclasses.replace(answer("Pre-B"), probabilities={"Pre-B": 1.0, "Benign": 0.0})
    assert "calibrated probability of >\u00a099\u00a0%;" in verdict(sure, "en")[1]
    assert "\u2066>\u00a099\u00a0%\u2069" in verdict(sure, "fa")[1]  # a sign that would turn round in Persian


@pytest.fixture
def counted(tiny_model, tmp_path, monkeypatch):
    """A page whose examples are the files of a folder; the folder, its functions, and how often the network ran."""
    for name, seed in (("a", 3), ("b", 4)):
        render_smear("Pre-B", seed=seed, image_size=96).save(tmp_path / f"{name}.png")
    predictor, runs = as_predictor(tiny_model), []
    run = predictor.run
    monkeypatch.setattr(predictor, "run", lambda values: runs.append(len(values)) or run(values))
    demo = build_page(predictor, model_name="tiny", options=Options(examples=tmp_path))
    mine = [each.fn for each in demo.fns.values() if each.fn is not None and each.fn.__module__ == classify.__name__]
    component = next(block for block in demo.blocks.values() if isinstance(block, gr.Image))
    anew = next(function for function in mine if function.__name__ == "anew")

    def ask(path, *settings):
        image = component.preprocess(ImageData(path=str(path), orig_name=path.name))
        return anew(image, *(settings or ("", "denseblock4", "grad_cam", "en")))

    return tmp_path, ask, runs, predictor


def test_an_example_is_answered_once(counted, tmp_path_factory):
    folder, ask, runs, _ = counted
    first, shown = ask(folder / "a.png")
    assert ask(folder / "a.png") == (first, shown) and runs == [1]
    persian, again = ask(folder / "a.png", "", "denseblock4", "grad_cam", "fa")
    assert again is shown and 'dir="rtl"' in persian and runs == [1]
    copy = tmp_path_factory.mktemp("upload") / "copied.png"
    copy.write_bytes((folder / "a.png").read_bytes())
    assert ask(copy)[1] is shown and runs == [1]  # as Gradio hands in an example
    assert ask(folder / "b.png")[1] is not shown and runs == [1, 1]
    assert ask(folder / "a.png", "Pro-B", "denseblock4", "grad_cam", "en")[1].result.target == "Pro-B"
    assert runs == [1, 1, 1]


def test_what_a_visitor_sends_is_not_kept(counted, tmp_path_factory):
    _, ask, runs, _ = counted
    own = tmp_path_factory.mktemp("upload") / "a.png"
    render_smear("Pre-B", seed=9, image_size=96).save(own)
    assert ask(own)[0] == ask(own)[0] and runs == [1, 1]


@pytest.mark.parametrize("changed", ["weights", "backend", "library"])
def test_a_change_of_the_model_forgets_the_answers(counted, changed, monkeypatch):
    folder, ask, runs, predictor = counted
    ask(folder / "a.png")
    if changed == "library":
        monkeypatch.setattr(example_answers, "__version__", "9.9")
    else:
        name = {"weights": "identity", "backend": "description"}[changed]
        monkeypatch.setattr(type(predictor), name, property(lambda self: "another"))
    ask(folder / "a.png")
    assert runs == [1, 1]
    ask(folder / "a.png")
    assert runs == [1, 1]


def test_answers_to_examples_are_bounded(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(example_answers, "MAX_ANSWERS", 2)
    path = tmp_path / "a.png"
    FIELD.save(path)
    answers, image = ExampleAnswers(as_predictor(tiny_model), [path]), FIELD.copy()
    remember_file(image, path)
    keys = [answers.key(image, name) for name in "abc"]
    for number, key in enumerate(keys):
        answers.keep(key, number)
    assert [answers.get(key) for key in keys] == [None, 1, 2]
    assert answers.key(FIELD, "a") is None and answers.get(None) is None
