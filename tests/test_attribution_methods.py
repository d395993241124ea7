"""Every method is its published formula, computed here by plain autograd, and the model never notices."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from leuk_hf.attribution import grad_cam
from leuk_hf.attribution_methods import INPUT, METHODS, attribution_maps, methods_and_layers, randomised
from leuk_hf.backends import as_predictor
from leuk_hf.model import LeukDenseNet

LAYERS = ("denseblock1", "denseblock2", "denseblock3", "denseblock4", "norm5")
TARGETS = [3, 0, 2, 0]


@pytest.fixture
def model(tiny_model) -> LeukDenseNet:
    """The tiny model with weights and BatchNorm as training would leave them: none of them trivial."""
    generator = torch.Generator().manual_seed(34)
    with torch.no_grad():
        for module in tiny_model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                shape = module.running_mean.shape
                module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.3)
                module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
                module.weight.copy_(torch.randn(shape, generator=generator) * 0.5 + 1)
                module.bias.copy_(torch.randn(shape, generator=generator) * 0.3)
        tiny_model.classifier.weight.copy_(torch.randn(4, 32, generator=generator))
    return tiny_model


@pytest.fixture
def pixel_values() -> torch.Tensor:
    return torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def by_hand(model: LeukDenseNet, pixel_values: torch.Tensor, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations and their gradients: by plain autograd, of a copy."""
    model, kept = copy.deepcopy(model).eval(), []
    model.features.get_submodule(layer).register_forward_hook(lambda module, given, result: kept.append(result))
    logits = model(pixel_values)
    score = sum(logits[row, target] for row, target in enumerate(TARGETS))
    (gradients,) = torch.autograd.grad(score, kept[0])
    return kept[0].detach(), gradients


def assert_same_map(actual: torch.Tensor, expected: torch.Tensor) -> None:
    scale = float(expected.abs().max())
    assert scale > 0
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * scale)


def state_of(model: LeukDenseNet) -> dict:
    """Everything about a model that an explanation could disturb."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "hooks": sum(len(getattr(module, kind)) for module in model.modules() for kind in hooks),
        "modes": {name: module.training for name, module in model.named_modules()},
        "gradients": {name: parameter.grad is None for name, parameter in model.named_parameters()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "tensors": {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()},
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_hires_cam_is_gradient_times_activation(model, pixel_values, layer):
    activations, gradients = by_hand(model, pixel_values, layer)
    actual = attribution_maps(model, pixel_values, TARGETS, "hires_cam", layer)
    assert actual.dtype == torch.float32 and not actual.requires_grad
    assert_same_map(actual, (gradients * activations).sum(dim=1))
    assert actual.min() < 0 < actual.max()


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_cam_takes_the_positive_gradients_alone(model, pixel_values, layer):
    activations, gradients = by_hand(model, pixel_values, layer)
    expected = (torch.relu(gradients) * activations).sum(dim=1)
    assert_same_map(attribution_maps(model, pixel_values, TARGETS, "layer_cam", layer), expected)
    assert not torch.allclose(expected, (gradients * activations).sum(dim=1))


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_is_that_of_attribution(model, pixel_values, layer):
    activations, gradients = by_hand(model, pixel_values, layer)
    actual = attribution_maps(model, pixel_values, TARGETS, "grad_cam", layer)
    assert torch.equal(actual, grad_cam(model, pixel_values, TARGETS, layer)[:, 0])
    assert_same_map(actual, (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1))


def test_where_only_a_mean_follows_hires_cam_is_grad_cam(model, pixel_values):
    maps = [attribution_maps(model, pixel_values, TARGETS, method, "norm5") for method in ("hires_cam", "grad_cam")]
    assert_same_map(*maps)


def test_hires_cam_of_the_last_layer_adds_up_to_the_logit(model, pixel_values):
    maps = attribution_maps(model, pixel_values, TARGETS, "hires_cam", "norm5")
    logits = model(pixel_values)[range(4), TARGETS] - model.classifier.bias[TARGETS]
    torch.testing.assert_close(maps.sum(dim=(1, 2)), logits.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [None, INPUT])
def test_input_gradients_are_the_largest_of_the_channels(model, pixel_values, layer):
    images = pixel_values.clone().requires_grad_()
    logits = copy.deepcopy(model)(images)
    sum(logits[row, target] for row, target in enumerate(TARGETS)).backward()
    actual = attribution_maps(model, pixel_values, TARGETS, "input_gradients", layer)
    assert actual.shape == (4, 64, 64)
    assert_same_map(actual, images.grad.abs().amax(dim=1))


def test_input_gradients_tell_how_the_logit_changes(model, pixel_values):
    """Where they are largest, a small step of that pixel moves the logit by gradient times step."""
    model, pixel_values = model.double(), pixel_values[:1].double()
    maps = attribution_maps(model, pixel_values, [1], "input_gradients")[0]
    row, column = np.unravel_index(int(maps.argmax()), (64, 64))
    changes = []
    for channel in range(3):
        moved = pixel_values.clone()
        moved[0, channel, row, column] += 1e-6
        with torch.no_grad():
            changes.append(abs(float(model(moved)[0, 1] - model(pixel_values)[0, 1])) / 1e-6)
    assert max(changes) == pytest.approx(float(maps.max()), rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("context", ["evaluation", "training", "frozen", "no_grad", "inference", "autocast"])
def test_model_is_left_as_found_in_every_context(model, pixel_values, method, context):
    expected = attribution_maps(model, pixel_values, TARGETS, method)
    model.train(context == "training").requires_grad_(context != "frozen")
    before = state_of(model)
    contexts = {
        "no_grad": torch.no_grad,
        "inference": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    }
    with contexts.get(context, torch.enable_grad)():
        given = pixel_values * 1
        assert_same_map(attribution_maps(model, given, TARGETS, method), expected)
    assert state_of(model) == before and before["hooks"] == 0
    assert not given.requires_grad and torch.equal(given, pixel_values)


def test_predictors_and_tensors_of_targets_are_taken(model, pixel_values):
    expected = attribution_maps(model, pixel_values, TARGETS, "hires_cam")
    actual = attribution_maps(as_predictor(model), pixel_values, torch.tensor(TARGETS), "hires_cam")
    assert torch.equal(actual, expected)
    model.cam_layer = "denseblock2"
    assert attribution_maps(model, pixel_values, TARGETS, "layer_cam").shape == (4, 8, 8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", [[0, 1], 0, [0, 1, 2, 4], [0, 1, 2, -1], [0.0, 1.0, 2.0, 3.0]])
def test_wrong_targets_are_named(model, pixel_values, method, target):
    with pytest.raises(ValueError, match="target is"):
        attribution_maps(model, pixel_values, target, method)


@pytest.mark.parametrize(
    ("method", "layer", "message"),
    [
        ("score_cam", None, "no method 'score_cam'"),
        ("hires_cam", "layer4", "no layer 'layer4'"),
        ("layer_cam", INPUT, "no layer 'input'"),
        ("input_gradients", "denseblock1", "explain pixels"),
    ],
)
def test_wrong_requests_are_named_and_leave_no_hook(model, pixel_values, method, layer, message):
    before = state_of(model)
    with pytest.raises(ValueError, match=message):
        attribution_maps(model, pixel_values, TARGETS, method, layer)
    assert state_of(model) == before


def test_maps_to_compare():
    assert methods_and_layers(LAYERS[:2]) == [
        ("input_gradients", INPUT),
        ("grad_cam", "denseblock1"),
        ("hires_cam", "denseblock1"),
        ("layer_cam", "denseblock1"),
        ("grad_cam", "denseblock2"),
        ("hires_cam", "denseblock2"),
        ("layer_cam", "denseblock2"),
    ]
    assert methods_and_layers(LAYERS, ["layer_cam"], ["norm5", "denseblock3"]) == [
        ("layer_cam", "denseblock3"),
        ("layer_cam", "norm5"),
    ]
    for methods, layers, message in ((["cam"], [], "no method 'cam'"), ([], ["block"], "no layer 'block'")):
        with pytest.raises(ValueError, match=message):
            methods_and_layers(LAYERS, methods, layers)


def changed_tensors(model: LeukDenseNet, other: LeukDenseNet) -> set[str]:
    state = other.state_dict()
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, state[name])}


def test_randomised_classifier(model, pixel_values):
    before, random_state = state_of(model), torch.get_rng_state()
    copied = randomised(model, "classifier", 1)
    assert changed_tensors(model, copied) >= {"classifier.weight"}
    assert changed_tensors(model, copied) <= {"classifier.weight", "classifier.bias"}
    assert not changed_tensors(copied, randomised(model, "classifier", 1))
    assert changed_tensors(copied, randomised(model, "classifier", 2)) == {"classifier.weight"}
    assert state_of(model) == before and torch.equal(torch.get_rng_state(), random_state)
    maps = [attribution_maps(one, pixel_values, TARGETS, "grad_cam") for one in (model, copied)]
    assert not torch.allclose(*maps, rtol=0.1)


def test_randomised_network_is_untrained_and_not_what_training_set_out_from(model):
    """The fixture was made with seed 0, as a training run might be: seed 0 must draw other weights."""
    model.train()
    copied = randomised(model, "network", 0)
    changed = changed_tensors(model, copied)
    assert {name for name in model.state_dict() if not name.endswith("num_batches_tracked")} - changed <= {
        "classifier.bias"
    }
    assert copied.features.norm5.running_var.eq(1).all() and copied.features.norm5.weight.eq(1).all()
    assert not copied.training and model.training
    assert copied.settings == model.settings


def test_randomising_keeps_what_finds_the_leukocytes(model):
    viewing = LeukDenseNet(**{**model.settings, "view": "leukocytes", "cam_layer": "leukocyte_pool"}).eval()
    changed = changed_tensors(viewing, randomised(viewing, "network", 3))
    assert changed and not any(name.startswith("leukocytes.") for name in changed)


def test_a_model_that_sees_leukocytes_alone_is_explained_too(model, pixel_values):
    viewing = LeukDenseNet(**{**model.settings, "view": "leukocytes"}).eval()
    for method, layer in methods_and_layers(viewing.cam_layers):
        maps = attribution_maps(viewing, pixel_values, TARGETS, method, layer)
        assert maps.ndim == 3 and torch.isfinite(maps).all()


def test_there_is_nothing_else_to_randomise(model):
    with pytest.raises(ValueError, match="no part 'head'"):
        randomised(model, "head", 0)
