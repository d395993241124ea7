"""A field read in several orientations: the mean of what each gives, and explanations that turn with the field."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

from leuk_hf.attribution import class_activation_maps, grad_cam
from leuk_hf.attribution_methods import METHODS, attribution_maps, methods_and_layers
from leuk_hf.backends import as_predictor
from leuk_hf.class_activation import closed_form_layers
from leuk_hf.leukocyte_weights import load_leukocyte_network
from leuk_hf.model import LeukDenseNet
from leuk_hf.orientations import OrientationMean, oriented, turned_back
from leuk_hf.pixel_attribution import integrated_gradients
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import render_smear

MIRRORS = {1: ((),), 2: ((), (2,)), 4: ((), (2,), (3,), (2, 3))}
TARGETS = [0, 3]


def reading(count: int, **settings) -> LeukDenseNet:
    """The same random weights for every count."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        given = {"growth_rate": 8, "block_config": (2, 2, 2, 2), **settings, "field_orientations": count}
        model = LeukDenseNet(preprocessor=Preprocessor(image_size=96, clahe=False), **given)
        if model.leukocytes is not None:
            load_leukocyte_network(model.leukocytes)
        torch.nn.init.normal_(model.classifier.weight, std=1.0)
    return model.eval()


@pytest.fixture(scope="module")
def pixel_values() -> torch.Tensor:
    smears = [render_smear(name, seed=3, image_size=96) for name in ("Benign", "Pre-B")]
    return torch.from_numpy(Preprocessor(image_size=96, clahe=False)(smears))


def test_maps_are_stacked_mirrored_and_turned_back_to_the_bit():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert oriented(maps, 1) is maps
    assert oriented(maps, 2).flatten(1).tolist() == [[1, 2, 3, 4], [3, 4, 1, 2]]
    assert oriented(maps, 4).flatten(1).tolist() == [[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]]
    several = torch.rand(3, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    for count in (1, 2, 4):
        parts = turned_back(oriented(several, count), count)
        assert len(parts) == count and all(torch.equal(part, several) for part in parts)
        assert torch.equal(OrientationMean(count)(oriented(several, count)), several)
        halved = several.bfloat16()
        assert torch.equal(OrientationMean(count)(oriented(halved, count)), halved)


@pytest.mark.parametrize("view", ["field", "leukocytes_in_colour"])
@pytest.mark.parametrize("count", [2, 4])
def test_the_last_blocks_outputs_are_averaged_over_the_orientations(count, view, pixel_values):
    once, model = reading(1, view=view), reading(count, view=view)
    assert sorted(once.state_dict()) == sorted(model.state_dict())
    with torch.no_grad():
        found = model.find_leukocytes(pixel_values)
        seen = []
        hook = model.features.conv0.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        actual = model.forward_blocks(pixel_values, found)
        hook.remove()
        assert len(seen) == 1 and len(seen[0]) == 2 * count
        upright = seen[0][:2]
        each = [once.features[:-1](upright.flip(axes)).flip(axes) for axes in MIRRORS[count]]
        torch.testing.assert_close(actual, sum(each) / count, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(each[0], each[1], atol=1e-3)
        torch.testing.assert_close(model(pixel_values), model.forward_head(model.pooled_features(actual, found)))


def test_the_answer_for_a_mirrored_field_is_the_same(pixel_values):
    once, two, four = (reading(count) for count in (1, 2, 4))
    with torch.no_grad():
        for axes in MIRRORS[4]:
            torch.testing.assert_close(four(pixel_values.flip(axes)), four(pixel_values), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(two(pixel_values.flip(2)), two(pixel_values), rtol=1e-4, atol=1e-4)
        for model, axis in ((once, 2), (two, 3)):
            assert not torch.allclose(model(pixel_values.flip(axis)), model(pixel_values), atol=1e-3)


@pytest.mark.parametrize("count", [2, 4])
def test_closed_forms_equal_captum(count, pixel_values):
    model = reading(count, view="leukocytes", output_stride=16)
    for layer in closed_form_layers(model):
        maps = class_activation_maps(model, pixel_values, layer).maps
        assert maps.shape == (2, 4, 6, 6) and maps.abs().max() > 1e-3
        expected = LayerGradCam(model, model.layer(layer)).attribute(pixel_values, target=TARGETS)[:, 0].detach()
        torch.testing.assert_close(maps[[0, 1], TARGETS], expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(grad_cam(model, pixel_values, TARGETS, layer)[:, 0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("view", ["field", "leukocytes"])
def test_every_map_turns_with_the_field(view, pixel_values):
    model = reading(4, view=view, outline_orientations=4 if view == "leukocytes" else 1)
    pairs = methods_and_layers(model.cam_layers)
    assert len(pairs) == 1 + (len(METHODS) - 1) * len(model.cam_layers)
    for method, layer in pairs:
        upright, mirrored = (
            attribution_maps(model, values, TARGETS, method, layer) for values in (pixel_values, pixel_values.flip(3))
        )
        assert upright.shape == mirrored.shape and len(upright) == 2 and upright.abs().max() > 0
        torch.testing.assert_close(
            mirrored.flip(2), upright, rtol=1e-2, atol=1e-3 * upright.abs().max().item(), msg=f"{method} {layer}"
        )


def test_maps_of_an_inner_block_are_those_of_every_orientation_added_up(pixel_values):
    once, model = reading(1), reading(2)
    maps = []
    for axes in MIRRORS[2]:
        kept = {}
        hook = once.features.denseblock2.register_forward_hook(
            lambda module, given, made, kept=kept: kept.update(a=made)
        )
        logits_of_block = once.features[:-1](pixel_values.flip(axes))
        hook.remove()
        maps.append((kept["a"], logits_of_block.flip(axes)))
    assert [name for name, _ in once.features.named_children()][5] == "denseblock2"
    logits = once.forward_head(once.features[-1](sum(block for _, block in maps) / 2))
    chosen = logits[range(2), TARGETS].sum()
    gradients = torch.autograd.grad(chosen, [inner for inner, _ in maps])
    weighted = {
        "hires_cam": lambda gradient: gradient,
        "layer_cam": lambda gradient: gradient.clamp_min(0),
        "grad_cam": lambda gradient: gradient.mean(dim=(2, 3), keepdim=True),
    }
    for method, weights in weighted.items():
        expected = sum(
            (weights(gradient) * inner).sum(dim=1).flip([axis - 1 for axis in axes])
            for gradient, (inner, _), axes in zip(gradients, maps, MIRRORS[2], strict=True)
        ).detach()  # fmt: skip
        actual = attribution_maps(model, pixel_values, TARGETS, method, "denseblock2")
        torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_integrated_gradients_add_up_to_what_the_averaged_network_says(pixel_values):
    model = reading(4, view="leukocytes_in_colour", outline_orientations=4)
    predictor = as_predictor(model)
    upright, mirrored = (
        integrated_gradients(predictor, values, 2, steps=32)
        for values in (pixel_values[:1].numpy(), pixel_values[:1].flip(3).numpy())
    )
    assert upright.values.sum() == pytest.approx(upright.difference, rel=0.05)
    assert mirrored.difference == pytest.approx(upright.difference, rel=1e-3)
    np.testing.assert_allclose(mirrored.values[:, ::-1], upright.values, atol=0.02 * np.abs(upright.values).max())


def test_it_is_a_setting_of_the_checkpoint_and_not_of_what_is_trained_from_it(tmp_path, pixel_values):
    model = reading(2)
    model.save_pretrained(tmp_path)
    loaded = LeukDenseNet.from_pretrained(tmp_path)
    assert loaded.field_orientations == 2 and loaded.identity() == model.identity() != reading(1).identity()
    with torch.no_grad():
        assert torch.equal(loaded(pixel_values), model(pixel_values))
    # timm alone would read one orientation, and answer something else.
    assert model.config["architecture"] == "leuk_hf_densenet121" and reading(1).config["architecture"] == "densenet121"
    assert model.adapted().field_orientations == 1
    for wrong in (3, True, 2.0, "2"):
        with pytest.raises(ValueError, match=f"field_orientations is {wrong!r}; choose 1, 2 or 4"):
            reading(wrong)
