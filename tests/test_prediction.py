"""predict: forms of input, values, cautions, and the model left as found."""

import dataclasses
import threading

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from leuk_hf import LeukDenseNet, Prediction, load_predictor, predict
from leuk_hf.backends import as_predictor
from leuk_hf.errors import ImageError
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.prediction import interpret, measures_of, softmax
from leuk_hf.synthetic import render_smear


@pytest.fixture
def smear():
    return render_smear("Pre-B", seed=4, image_size=96)


def test_every_form_of_input_gives_the_same_answer(tiny_model, smear, tmp_path):
    path = tmp_path / "field.png"
    smear.save(path)
    array = np.asarray(smear)
    forms = [smear, path, str(path), path.read_bytes(), array, [smear], (path,), array[None], iter([smear])]
    answers = [predict(tiny_model, form) for form in forms]
    assert all(len(answer) == 1 for answer in answers)
    assert all(answer == answers[0] for answer in answers)


def test_values_match_the_model(tiny_model, smear):
    logits = tiny_model(tiny_model.preprocess(smear))[0].detach().double()
    answer = predict(tiny_model, smear)[0]
    expected = torch.softmax(logits, dim=0)
    np.testing.assert_allclose(list(answer.probabilities.values()), expected.numpy(), rtol=1e-12)
    assert answer.label == tiny_model.class_names[int(expected.argmax())]
    assert answer.in_distribution_score == pytest.approx(float(torch.logsumexp(logits, dim=0)))
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert list(answer.probabilities) == list(tiny_model.class_names)
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.label = "Benign"


def test_prediction_set_by_hand(tiny_model, smear):
    answer = interpret(tiny_model, np.log([0.2, 0.7, 0.04, 0.06]), smear)
    assert answer.label == "Early Pre-B"
    assert answer.prediction_set == ("Early Pre-B", "Benign", "Pro-B")
    assert answer.in_distribution_score == pytest.approx(0)
    assert interpret(tiny_model, np.log([0.01, 0.97, 0.01, 0.01]), smear).prediction_set == ("Early Pre-B",)


def test_temperature_divides_the_logits(tiny_model, smear):
    warmer = tiny_model.adapted(temperature=2.0)
    logits = tiny_model(tiny_model.preprocess(smear))[0].detach().double()
    expected = torch.softmax(logits / 2, dim=0)
    answer = predict(warmer, smear)[0]
    np.testing.assert_allclose(list(answer.probabilities.values()), expected.numpy(), rtol=1e-12)
    assert answer.in_distribution_score == pytest.approx(float(torch.logsumexp(logits, dim=0)))
    assert answer.label == predict(tiny_model, smear)[0].label
    assert warmer.adapted().temperature == 1.0  # it belongs to the weights it was fitted to


@pytest.mark.parametrize("temperature", [0, -1.0, 1e-308, float("nan"), float("inf"), "1", True])
def test_temperature_must_be_positive(tiny_model, temperature):
    with pytest.raises(ValueError, match="temperature is"):
        tiny_model.adapted(temperature=temperature)


def test_softmax_survives_huge_logits():
    np.testing.assert_allclose(softmax(np.array([1000.0, 1000.0, -1000.0])), [0.5, 0.5, 0])


def test_batches_keep_the_order(tiny_model):
    smears = [render_smear("Pro-B", seed=seed, image_size=64) for seed in range(5)]
    together = predict(tiny_model, smears, batch_size=2)
    for alone, answer in zip(smears, together, strict=True):
        single = predict(tiny_model, alone)[0]
        np.testing.assert_allclose(list(answer.probabilities.values()), list(single.probabilities.values()), atol=1e-5)
    assert predict(tiny_model, []) == []
    for bad in (0, 1.5, "a", None):
        with pytest.raises(ValueError, match=f"^batch_size is {bad!r}; give a whole number of at least 1"):
            predict(tiny_model, smears, batch_size=bad)
    for swapped in (("folder", smears), (smears[0], tiny_model), (None, smears)):
        with pytest.raises(TypeError, match=r"^the model is of type \w+; give what load_predictor or LeukDenseNet"):
            predict(*swapped)


def test_model_in_training_mode_is_left_so_and_unused(tiny_model, smear):
    expected = predict(tiny_model, smear)
    tiny_model.train()
    tiny_model.classifier.eval()
    statistics = tiny_model.features.norm5.running_mean.clone()
    assert predict(tiny_model, smear) == expected
    assert tiny_model.training and not tiny_model.classifier.training
    assert torch.equal(statistics, tiny_model.features.norm5.running_mean)


def test_bad_images_are_named(tiny_model, smear, tmp_path):
    with pytest.raises(ImageError, match=r"missing\.png does not exist"):
        predict(tiny_model, tmp_path / "missing.png")
    with pytest.raises(ImageError, match="image 1 is empty"):
        predict(tiny_model, [smear, b""])


def cautions(model, image):
    return " ".join(predict(model, image)[0].reasons)


def test_cautions(tiny_model, smear):
    assert "squashed to a square" in cautions(tiny_model, smear.resize((200, 90)))
    for size, is_tall in (((90, 120), True), ((96, 100), False), ((120, 90), False), ((90, 200), False)):
        assert ("taller than wide" in cautions(tiny_model, smear.resize(size))) is is_tall
    assert "was enlarged" in cautions(tiny_model, smear.resize((20, 20)))
    assert "no colour" in cautions(tiny_model, smear.convert("L"))
    assert "nearly uniform" in cautions(tiny_model, Image.new("RGB", (96, 96), (200, 100, 100)))
    fine = interpret(tiny_model, np.array([9.0, 0, 0, 0]), smear)
    assert fine.reasons == () and fine.answered is True


def test_a_refusal_is_not_said_again_as_a_caution(tiny_model, smear):
    limits = RefusalLimits(largest_elongation=1.6, highest_frame_share=0.1, smallest_side=64, lowest_contrast=6)
    strict = LeukDenseNet(**{**tiny_model.settings, "refusal_limits": limits})
    for image, words in (
        (smear.resize((200, 90)), "times as long as wide"),
        (smear.resize((90, 200)), "times as long as wide"),
        (ImageOps.expand(smear, (0, 20)), "a blank frame"),
        (ImageOps.expand(smear, (90, 0)), "a blank frame"),
        (smear.resize((20, 20)), "too small (20 pixels"),
        (Image.new("RGB", (96, 96), (200, 100, 100)), "nearly uniform; there is nothing to see"),
    ):
        (refusal,) = predict(strict, image)[0].reasons
        assert words in refusal
    framing = LeukDenseNet(**{**tiny_model.settings, "refusal_limits": RefusalLimits(highest_frame_share=0.1)})
    (refusal,) = predict(framing, ImageOps.expand(smear, (90, 0)))[0].reasons
    assert "a blank frame" in refusal


def test_conformal_quantiles_make_the_set(tiny_model, smear):
    fitted = LeukDenseNet(**{**tiny_model.settings, "conformal_quantiles": (0.2, 0.9, 0.05, 0.05)})
    answer = interpret(fitted, np.log([0.2, 0.7, 0.04, 0.06]), smear)
    assert answer.prediction_set == ("Early Pre-B", "Benign", "Pro-B")
    assert interpret(fitted, np.log([0.01, 0.97, 0.01, 0.01]), smear).prediction_set == ("Early Pre-B",)


def test_refused_images_keep_label_and_get_reasons(tiny_model, smear):
    limits = RefusalLimits(lowest_light=40.0, largest_elongation=1.6)
    strict = LeukDenseNet(**{**tiny_model.settings, "refusal_limits": limits})
    strict.load_state_dict(tiny_model.state_dict())
    black = Image.new("RGB", (96, 96), (9, 9, 9))
    usual, dark, elongated = predict(strict, [smear, black, smear.resize((200, 90))], batch_size=1)
    assert usual == predict(tiny_model, smear)[0] and usual.answered
    assert not dark.answered and dark.reasons[0] == "The image is too dark; take it with more light."
    assert dark.label == predict(tiny_model, black)[0].label
    assert not elongated.answered and "2.2 times as long as wide" in elongated.reasons[0]


def test_limits_cannot_be_forgotten(tiny_model, smear):
    strict = LeukDenseNet(**{**tiny_model.settings, "refusal_limits": RefusalLimits(lowest_light=40.0)})
    with pytest.raises(ValueError, match="pass those of measures_of"):
        interpret(strict, np.zeros(4), smear)


def test_score_is_the_networks(tiny_model, smear):
    predictor = as_predictor(tiny_model)
    pixel_values = predictor.preprocess([smear, smear.rotate(90)])
    outputs = predictor.run(pixel_values)
    measures = measures_of(predictor, outputs, 1, pixel_values, smear)
    assert measures.in_distribution_score == outputs.in_distribution_scores[1]
    scored = dataclasses.replace(measures, in_distribution_score=-7.5)
    assert interpret(tiny_model, outputs.logits[1], smear, measures=scored).in_distribution_score == -7.5
    assert measures.leukocyte_share is None and measures.light > 100  # this network sees the whole field


def test_threads_agree(tiny_model, smear):
    expected, answers = predict(tiny_model, smear), []
    threads = [threading.Thread(target=lambda: answers.append(predict(tiny_model, smear))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8


def test_environment_names_the_checkpoint(tiny_model, tmp_path, monkeypatch):
    tiny_model.save_pretrained(tmp_path / "mine")
    monkeypatch.setenv("LEUK_MODEL", str(tmp_path / "mine"))
    assert load_predictor().torch_model().architecture["growth_rate"] == 8


def test_to_dict_has_the_documented_fields(tiny_model, smear):
    fields = [field.name for field in dataclasses.fields(Prediction)]
    assert fields == ["label", "probabilities", "prediction_set", "in_distribution_score", "answered", "reasons"]
    assert list(predict(tiny_model, smear)[0].to_dict()) == fields
