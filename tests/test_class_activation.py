"""The closed form is Captum's LayerGradCam for every class, over random weights and inputs, from one forward pass."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

from leuk_hf.attribution import class_activation_maps, grad_cam
from leuk_hf.class_activation import closed_form_layers, evaluating, explained_forward, map_layer
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor

ARCHITECTURES = {
    "tiny": {"growth_rate": 8, "block_config": (2, 2, 2, 2)},
    "three blocks": {"growth_rate": 4, "block_config": (3, 1, 2), "cam_layer": "denseblock3"},
    "three classes": {"growth_rate": 8, "block_config": (1, 2, 1, 3), "class_names": ("a", "b", "c")},
    "dropout": {"growth_rate": 8, "block_config": (2, 2, 2, 2), "drop_rate": 0.5},
}


def random_model(seed: int, **settings) -> LeukDenseNet:
    """Weights, biases and statistics drawn so that no term of the formula is trivial, with negative slopes too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LeukDenseNet(preprocessor=Preprocessor(image_size=64), **settings)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.5)
                    module.running_var.uniform_(0.2, 3)
                    module.weight.normal_(0.5, 1)
                    module.bias.normal_(0, 0.5)
            model.classifier.weight.normal_(0, 1)
            model.classifier.bias.normal_(0, 1)
    return model.eval()


def random_values(seed: int, rows: int = 3, height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(rows, 3, height, width, generator=torch.Generator().manual_seed(seed))


def captum_maps(model: LeukDenseNet, pixel_values: torch.Tensor, layer: str) -> torch.Tensor:
    model = copy.deepcopy(model).eval()
    method = LayerGradCam(model, model.features.get_submodule(layer))
    maps = [method.attribute(pixel_values, target=target) for target in range(len(model.class_names))]
    return torch.cat(maps, dim=1).detach()


def assert_equal_to_rounding(actual: torch.Tensor, expected: torch.Tensor) -> None:
    scale = float(expected.abs().max())
    assert scale > 0
    assert float((actual - expected).abs().max()) <= 1e-5 * scale


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("which", [0, 1], ids=["last block", "norm5"])
def test_parity_with_captum(architecture, seed, which):
    model = random_model(seed, **ARCHITECTURES[architecture])
    pixel_values, layer = random_values(seed + 100), closed_form_layers(model)[which]
    logits, maps = class_activation_maps(model, pixel_values, layer)
    assert maps.dtype == torch.float32 and not maps.requires_grad
    assert_equal_to_rounding(maps, captum_maps(model, pixel_values, layer))
    with torch.no_grad():
        assert torch.equal(logits, model(pixel_values))


def test_parity_at_full_size():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = LeukDenseNet().eval()
    pixel_values = random_values(5, rows=1, height=96, width=160)  # not square
    for layer in ("denseblock4", "norm5"):
        maps = class_activation_maps(model, pixel_values, layer).maps
        assert maps.shape == (1, 4, 3, 5)
        assert_equal_to_rounding(maps, captum_maps(model, pixel_values, layer))


def test_default_layer():
    model = random_model(0, **ARCHITECTURES["tiny"])
    pixel_values = random_values(0)
    for cam_layer, expected in (("denseblock4", "denseblock4"), ("norm5", "norm5"), ("denseblock2", "denseblock4")):
        model.cam_layer = cam_layer
        assert map_layer(model) == expected
        assert torch.equal(
            class_activation_maps(model, pixel_values).maps, class_activation_maps(model, pixel_values, expected).maps
        )


@pytest.mark.parametrize("layer", ["denseblock1", "denseblock3", "norm0"])
def test_other_layers_have_no_closed_form(layer):
    model = random_model(0, **ARCHITECTURES["tiny"])
    with pytest.raises(ValueError, match=f"layer '{layer}' has no closed form; choose denseblock4 or norm5"):
        class_activation_maps(model, random_values(0), layer)


def test_one_forward_pass_and_nothing_left_behind():
    model = random_model(2, **ARCHITECTURES["dropout"])
    expected = class_activation_maps(model, random_values(2))
    calls: list[int] = []
    model.features.conv0.register_forward_hook(lambda module, given, result: calls.append(len(given[0])))
    model.train()
    model.features.denseblock2.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for context in (torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)):
        with context():
            actual = class_activation_maps(model, random_values(2))
        assert_equal_to_rounding(actual.logits, expected.logits)
        assert_equal_to_rounding(actual.maps, expected.maps)
    assert calls == [3, 3, 3]  # one pass for all classes
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_modes_come_back_after_an_error():
    model = random_model(0, **ARCHITECTURES["tiny"]).train()
    model.head_drop.eval()
    with pytest.raises(RuntimeError):
        class_activation_maps(model, torch.zeros(1, 5, 64, 64))
    assert model.training and model.features.norm5.training and not model.head_drop.training
    with pytest.raises(KeyError), evaluating(model):
        assert not model.features.norm5.training
        raise KeyError
    assert model.features.norm5.training


@pytest.mark.parametrize("which", [0, 1], ids=["last block", "norm5"])
def test_the_maps_are_differentiable(which):
    """A loss on the maps can train the network: the gradient is that of finite differences."""
    model = random_model(3, **ARCHITECTURES["tiny"]).double()
    pixel_values = random_values(3, rows=1).double()
    layer = closed_form_layers(model)[which]
    weight = model.features.denseblock4.denselayer1.conv2.weight
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def loss() -> torch.Tensor:
        return (explained_forward(model, pixel_values, layer).maps ** 2).sum()

    (gradient,) = torch.autograd.grad(loss(), weight)
    step = 1e-6
    with torch.no_grad():
        weight += step * direction
        above = loss()
        weight -= 2 * step * direction
        below = loss()
    numeric = float(above - below) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-4)
    assert abs(numeric) > 1e-6


def test_the_maps_average_to_what_the_classifier_reads():
    """At norm5 each class's map sums to its logit without the bias: nothing is left out or counted twice."""
    model = random_model(6, **ARCHITECTURES["tiny"])
    logits, maps = class_activation_maps(model, random_values(6), "norm5")
    torch.testing.assert_close(maps.sum(dim=(2, 3)), logits - model.classifier.bias.detach(), rtol=1e-4, atol=1e-4)


def test_it_is_grad_cam_of_each_class():
    model = random_model(8, **ARCHITECTURES["tiny"])
    pixel_values = random_values(8)
    maps = class_activation_maps(model, pixel_values).maps
    for target in range(4):
        assert_equal_to_rounding(maps[:, [target]], grad_cam(model, pixel_values, target))


def test_an_array_is_no_tensor(tiny_model):
    with pytest.raises(
        TypeError, match=r"^pixel_values are of type ndarray; give a torch tensor \(torch.from_numpy\)"
    ):
        class_activation_maps(tiny_model, np.zeros((1, 3, 64, 64), np.float32))
