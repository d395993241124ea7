"""Integrated Gradients add up to the logits' difference; Occlusion points at what the class hangs on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from leuk_hf.backends import as_predictor
from leuk_hf.leukocyte_view import erase_background
from leuk_hf.model import LeukDenseNet
from leuk_hf.pixel_attribution import glass_colour, integrated_gradients, occlusion
from leuk_hf.synthetic import render_smear
from leuk_hf.torch_backend import TorchPredictor

VIEWS = ("field", "leukocytes", "leukocytes_in_colour")


@pytest.fixture(params=VIEWS)
def model(request, tiny_model):
    torch.manual_seed(0)
    model = LeukDenseNet(**{**tiny_model.settings, "view": request.param}).eval()
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # differences well above rounding
    if model.leukocytes is not None:
        finds_dark(model)
    return model


def finds_dark(model: LeukDenseNet) -> None:
    """Let the untrained network call dark places leukocytes: its logits become 2 to 4 minus the brightness."""

    class Darkness(nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return -8 * (pixel_values.mean(dim=1, keepdim=True) + 0.3)

    model.leukocytes = Darkness()


@pytest.fixture
def pixel_values(model):
    return model.preprocess(render_smear("Pre-B", seed=3, image_size=64)).numpy()


@pytest.mark.parametrize("target", [0, 2])
def test_integrated_gradients_are_complete(model, pixel_values, target):
    predictor = as_predictor(model)
    told: list[float] = []
    found = integrated_gradients(predictor, pixel_values, target, steps=64, progress=told.append)
    assert found.values.shape == (64, 64) and found.values.dtype == np.float32
    assert abs(found.difference) > (0.02 if model.sees_colour else 0.05)
    # Where parts for and against the class nearly cancel, the error is that of the parts.
    assert abs(found.values.sum() - found.difference) < 0.01 * np.abs(found.values).sum()
    assert told == sorted(told) and told[0] > 0 and told[-1] == 1


def test_the_difference_is_to_the_baseline(model, pixel_values):
    found = integrated_gradients(as_predictor(model), pixel_values, 1)
    image = torch.from_numpy(pixel_values)
    with torch.no_grad():
        logit = float(model(image)[0, 1])
        if model.view == "field":
            glass = torch.from_numpy(glass_colour(pixel_values[0])).view(1, 3, 1, 1)
            expected = logit - float(model(glass.expand_as(image).contiguous())[0, 1])
        else:
            leukocytes = model.find_leukocytes(image)
            mean, std = torch.tensor(model.preprocessor.mean), torch.tensor(model.preprocessor.std)
            flat = erase_background(image, leukocytes, mean, std, field_size=64, colour=model.sees_colour)
            flat[:, [channel for channel in (0, 3, 4) if channel < flat.shape[1]]] = 0
            pooled = model.leukocyte_pool(model.features(flat), leukocytes)
            expected = logit - float(model.classifier(pooled.mean(dim=(2, 3)))[0, 1])
    assert found.difference == pytest.approx(expected, abs=1e-4)


def test_nothing_is_attributed_where_the_network_sees_nothing(model, pixel_values):
    if model.view == "field":
        pytest.skip("sees everything")
    outside = model.find_leukocytes(torch.from_numpy(pixel_values))[0, 0].numpy() == 0
    values = integrated_gradients(as_predictor(model), pixel_values, 0).values
    assert 0.3 < outside.mean() < 0.99
    assert not values[outside].any() and values[~outside].any()


def test_model_is_left_as_found(model, pixel_values):
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        integrated_gradients(as_predictor(model), pixel_values, 0, steps=2)
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class QuarterPredictor(TorchPredictor):
    """Its second logit is the darkness of the upper left quarter of the field."""

    def _run(self, pixel_values):
        logits = np.zeros((len(pixel_values), 4))
        logits[:, 1] = -pixel_values[:, :, :32, :32].mean(axis=(1, 2, 3))
        return super()._run(pixel_values)._replace(logits=logits)


def test_occlusion_points_at_what_the_class_hangs_on(tiny_model):
    predictor, told = QuarterPredictor(tiny_model), list[float]()
    pixel_values = np.ones((1, 3, 64, 64), dtype=np.float32)
    pixel_values[:, :, 8:20, 8:20] = -1  # dark, counts
    pixel_values[:, :, 44:56, 44:56] = -1  # dark, does not
    found = occlusion(predictor, pixel_values, 1, progress=told.append)
    assert found.values.shape == (64, 64)
    assert found.difference == pytest.approx(2 * 144 / 1024, rel=1e-4)
    assert (found.values[10:18, 10:18] > 0.01).all()
    np.testing.assert_allclose(found.values[32:, 32:], 0, atol=1e-6)
    np.testing.assert_allclose(found.values[24:32, 24:32], 0, atol=1e-6)  # glass on glass
    assert told == sorted(told) and told[-1] == 1
    # Every square of 8x8 on the dark one turns 64 of 1024 pixels from -1 to 1.
    assert found.values[12:16, 12:16] == pytest.approx(128 / 1024, rel=1e-4)


def test_glass_is_the_bright_colour_between_cells():
    field = np.zeros((3, 10, 10), dtype=np.float32)
    field[:, :5] = np.array([2.0, 1.5, 1.8], dtype=np.float32).reshape(3, 1, 1)
    np.testing.assert_array_equal(glass_colour(field), np.array([2.0, 1.5, 1.8], dtype=np.float32))


@pytest.mark.parametrize("method", [integrated_gradients, occlusion])
def test_wrong_requests_are_named(tiny_model, method):
    predictor, pixel_values = as_predictor(tiny_model), np.zeros((2, 3, 64, 64), dtype=np.float32)
    with pytest.raises(ValueError, match="target is 4; give a class index from 0 to 3"):
        method(predictor, pixel_values[:1], 4)
    with pytest.raises(ValueError, match="there are 2 images"):
        method(predictor, pixel_values, 0)
