"""Grad-CAM is the published formula at every layer, and the model never notices that it was explained."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from PIL import Image

from leuk_hf.attribution import grad_cam
from leuk_hf.explanation import explain
from leuk_hf.model import LeukDenseNet
from leuk_hf.prediction import predict
from leuk_hf.synthetic import render_smear

LAYERS = ("denseblock1", "denseblock2", "denseblock3", "denseblock4", "norm5")
SMEAR = render_smear("Pro-B", seed=3, image_size=64)


@pytest.fixture
def model(tiny_model) -> LeukDenseNet:
    """The tiny model with BatchNorm settings as training would leave them: none of them trivial."""
    generator = torch.Generator().manual_seed(34)  # every target finds evidence for and against
    for module in tiny_model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.3)
            module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
            with torch.no_grad():
                module.weight.copy_(torch.randn(shape, generator=generator) * 0.5 + 1)
                module.bias.copy_(torch.randn(shape, generator=generator) * 0.3)
    with torch.no_grad():
        tiny_model.classifier.weight.copy_(torch.randn(4, 32, generator=generator))
    return tiny_model


@pytest.fixture
def pixel_values() -> torch.Tensor:
    return torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def assert_same_map(actual: torch.Tensor, expected: torch.Tensor) -> None:
    scale = float(expected.abs().max())
    assert scale > 0
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * scale)


def grad_cam_by_hand(model: LeukDenseNet, pixel_values: torch.Tensor, targets, layer: str) -> torch.Tensor:
    """The formula of the paper, without its ReLU, by plain autograd."""
    model = copy.deepcopy(model).eval()
    kept = []
    model.features.get_submodule(layer).register_forward_hook(lambda module, given, result: kept.append(result))
    logits = model(pixel_values)
    score = sum(logits[row, target] for row, target in enumerate(targets))
    (gradients,) = torch.autograd.grad(score, kept[0])
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * kept[0]).sum(dim=1, keepdim=True).detach()


def state_of(model: LeukDenseNet) -> dict:
    """Everything about a model that an explanation could disturb."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "hooks": sum(len(getattr(module, kind)) for module in model.modules() for kind in hooks),
        "modes": {name: module.training for name, module in model.named_modules()},
        "attributes": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "gradients": {name: parameter.grad is None for name, parameter in model.named_parameters()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "tensors": {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()},
    }


def test_the_tested_layers_are_all_there_are(model):
    assert model.cam_layers == LAYERS


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_is_the_published_formula(model, pixel_values, layer):
    actual = grad_cam(model, pixel_values, 2, layer)
    assert actual.dtype == torch.float32
    assert not actual.requires_grad
    assert_same_map(actual, grad_cam_by_hand(model, pixel_values, [2, 2, 2, 2], layer))
    assert actual.min() < 0 < actual.max()


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_is_captums(model, pixel_values, layer):
    direct = copy.deepcopy(model).eval()
    expected = LayerGradCam(direct, direct.features.get_submodule(layer)).attribute(pixel_values, target=1)
    assert_same_map(grad_cam(model, pixel_values, 1, layer), expected.detach())


def test_grad_cam_at_norm5_in_closed_form(model, pixel_values):
    activations = model.forward_features(pixel_values).detach()
    size = activations.shape[2] * activations.shape[3]
    weights = model.classifier.weight[3].detach() / size
    expected = (activations * weights[:, None, None]).sum(dim=1, keepdim=True)
    assert_same_map(grad_cam(model, pixel_values, 3, "norm5"), expected)


def test_grad_cam_at_denseblock4_in_closed_form(model, pixel_values):
    with torch.no_grad():
        activations = model.features[:-1](pixel_values)
    norm = model.features.norm5
    slope = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    before_relu = slope[:, None, None] * (activations - norm.running_mean[:, None, None]) + norm.bias[:, None, None]
    share_active = (before_relu > 0).float().mean(dim=(2, 3))
    size = activations.shape[2] * activations.shape[3]
    weights = model.classifier.weight[0].detach() / size * slope * share_active
    expected = (activations * weights[:, :, None, None]).sum(dim=1, keepdim=True).detach()
    assert_same_map(grad_cam(model, pixel_values, 0, "denseblock4"), expected)
    assert 0.05 < share_active.mean() < 0.95


@pytest.mark.parametrize("kind", [list, tuple, torch.tensor, np.array])
def test_each_image_has_its_own_target(model, pixel_values, kind):
    targets = [3, 0, 2, 0]
    actual = grad_cam(model, pixel_values, kind(targets))
    assert_same_map(actual, grad_cam_by_hand(model, pixel_values, targets, "denseblock4"))
    alone = torch.cat([grad_cam(model, pixel_values[row : row + 1], target) for row, target in enumerate(targets)])
    assert_same_map(actual, alone)


@pytest.mark.parametrize("target", [np.int64(2), torch.tensor(2)], ids=["numpy", "torch"])
def test_a_single_target_may_come_from_argmax(model, pixel_values, target):
    assert_same_map(grad_cam(model, pixel_values, target), grad_cam(model, pixel_values, 2))


def test_default_layer_is_the_models(model, pixel_values):
    model.cam_layer = "denseblock2"
    actual = grad_cam(model, pixel_values, 1)
    assert actual.shape == (4, 1, 8, 8)
    assert torch.equal(actual, grad_cam(model, pixel_values, 1, "denseblock2"))


def put_in_mode(model: LeukDenseNet, mode: str) -> None:
    if mode in ("training", "mixed"):
        model.train()
    if mode == "mixed":
        model.features.denseblock2.eval()
        model.head_drop.eval()
    if mode == "frozen":
        model.requires_grad_(False)
    if mode == "partly frozen":
        model.features.requires_grad_(False)


@pytest.mark.parametrize("mode", ["evaluation", "training", "mixed", "frozen", "partly frozen"])
def test_model_is_left_as_found(model, pixel_values, mode):
    expected = grad_cam_by_hand(model, pixel_values, [1] * 4, "denseblock3")
    put_in_mode(model, mode)
    before = state_of(model)
    assert before["hooks"] == 0
    assert_same_map(grad_cam(model, pixel_values, 1, "denseblock3"), expected)
    assert state_of(model) == before


def test_gradients_of_a_training_step_are_kept(model, pixel_values):
    model(pixel_values).sum().backward()
    before = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    grad_cam(model, pixel_values, 1)
    assert all(torch.equal(parameter.grad, before[name]) for name, parameter in model.named_parameters())


@pytest.mark.parametrize(
    ("target", "layer", "error"),
    [
        (4, None, ValueError),
        (-1, None, ValueError),
        ("Pre-B", None, ValueError),
        ([0, 1], None, ValueError),
        ([0, 1, 2, 4], None, ValueError),
        (0, "denseblock5", ValueError),
        (0, "conv0", ValueError),
    ],
)
def test_model_is_left_as_found_after_a_wrong_request(model, pixel_values, target, layer, error):
    put_in_mode(model, "mixed")
    before = state_of(model)
    with pytest.raises(error, match="layer" if layer else "target"):
        grad_cam(model, pixel_values, target, layer)
    assert state_of(model) == before


def test_one_image_is_no_batch(model, pixel_values):
    with pytest.raises(ValueError, match=r"pixel_values have shape \(3, 64, 64\); give a batch"):
        grad_cam(model, pixel_values[0], 0)


def test_model_is_left_as_found_after_a_failed_forward_pass(model):
    put_in_mode(model, "mixed")
    before = state_of(model)
    with pytest.raises(RuntimeError):
        grad_cam(model, torch.zeros(1, 5, 64, 64), 0)
    assert state_of(model) == before


@pytest.mark.parametrize(
    "context",
    [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)],
    ids=["no_grad", "inference_mode", "autocast"],
)
def test_grad_cam_works_in_every_context(model, pixel_values, context):
    expected = grad_cam(model, pixel_values, 1)
    with context():
        enabled = torch.is_grad_enabled()
        assert_same_map(grad_cam(model, pixel_values * 1, 1), expected)
        assert torch.is_grad_enabled() == enabled


def test_given_pixel_values_are_left_alone(model, pixel_values):
    before = pixel_values.clone()
    grad_cam(model, pixel_values, 1)
    assert torch.equal(pixel_values, before)
    assert not pixel_values.requires_grad
    assert pixel_values.grad is None


def test_threads_explain_and_predict_with_one_model(model, pixel_values):
    requests = [(row, target, layer) for row in (0, 3) for target in (0, 3) for layer in ("denseblock1", "norm5")]
    alone = {request: grad_cam(model, pixel_values[[request[0]]], *request[1:]) for request in requests}
    expected_answer = predict(model, SMEAR)[0]
    before = state_of(model)
    start = threading.Barrier(8)

    def explain_all(worker: int) -> None:
        start.wait()
        for request in (requests[worker:] + requests[:worker])[:4]:
            assert_same_map(grad_cam(model, pixel_values[[request[0]]], *request[1:]), alone[request])

    def predict_all(worker: int) -> None:
        for _ in range(5):
            answer = predict(model, SMEAR)[0]
            assert answer.probabilities == pytest.approx(expected_answer.probabilities, abs=1e-6)

    with ThreadPoolExecutor(max_workers=12) as pool:
        work = [pool.submit(explain_all, worker) for worker in range(8)]
        work += [pool.submit(predict_all, worker) for worker in range(4)]
        for task in work:
            task.result()
    assert state_of(model) == before


def test_explain_takes_the_predicted_class_and_the_models_layer(model):
    image = SMEAR.resize((80, 50))
    explanation = explain(model, image)
    assert explanation.prediction == predict(model, image)[0]
    assert explanation.target == explanation.prediction.label
    assert explanation.layer == "denseblock4"
    assert explanation.heatmap.shape == (50, 80)
    assert explanation.overlay(image).size == (80, 50)


def test_explain_follows_the_chosen_target_and_layer(model):
    heatmaps = {
        (target, layer): explain(model, SMEAR, target=target, layer=layer).heatmap.tobytes()
        for target in ("Benign", "Pro-B")
        for layer in ("denseblock1", "denseblock3")
    }
    assert len(set(heatmaps.values())) == 4
    chosen = explain(model, SMEAR, target="Pro-B", layer="denseblock3")
    assert (chosen.target, chosen.layer) == ("Pro-B", "denseblock3")


def test_explain_shows_where_grad_cam_is_highest(model):
    for target in model.class_names:
        attribution = grad_cam(model, model.preprocess(SMEAR), model.class_names.index(target), "denseblock1")[0, 0]
        heatmap = explain(model, SMEAR, target=target, layer="denseblock1").heatmap
        row, column = np.unravel_index(int(attribution.argmax()), (16, 16))
        assert heatmap[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].max() > 0.9


def test_explain_refuses_unknown_targets_and_layers(model):
    with pytest.raises(ValueError, match="'Basophil'"):
        explain(model, SMEAR, target="Basophil")
    with pytest.raises(ValueError, match="'layer4'"):
        explain(model, SMEAR, layer="layer4")


def test_explain_works_in_inference_mode(model):
    expected = explain(model, SMEAR).heatmap
    with torch.inference_mode():
        np.testing.assert_allclose(explain(model, SMEAR).heatmap, expected, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_no_evidence_gives_an_empty_map(model, layer):
    torch.nn.init.zeros_(model.classifier.weight)
    explanation = explain(model, SMEAR, layer=layer)
    assert explanation.is_empty
    assert explanation.heatmap.shape == (64, 64)
    assert explanation.overlay(SMEAR).tobytes() == SMEAR.tobytes()


def test_some_evidence_gives_no_empty_map(model):
    assert not explain(model, SMEAR, layer="denseblock1").is_empty


def test_explain_a_field_smaller_than_the_map(model):
    small = Image.fromarray(np.asarray(SMEAR)[::4, ::4].copy())
    explanation = explain(model, small, layer="denseblock1")
    assert explanation.heatmap.shape == (16, 16)
    assert explanation.heatmap.max() == 1
