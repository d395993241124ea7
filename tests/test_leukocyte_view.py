"""What leaves a field for the network: leukocytes alone, whatever stain, light and background they came with."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import timm
import torch
from captum.attr import LayerGradCam

from leuk_hf.attribution import class_activation_maps, grad_cam
from leuk_hf.backends import as_predictor
from leuk_hf.class_activation import closed_form_layers
from leuk_hf.leukocyte_view import LeukocyteNetwork, LeukocytePool, depth_inside, erase_background, opacity
from leuk_hf.leukocyte_weights import load_leukocyte_network
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessor
from leuk_hf.synthetic import render_smear

MEAN, STD = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
LUMA = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)


def seeing_leukocytes(**settings) -> LeukDenseNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = {"growth_rate": 8, "block_config": (2, 2, 2, 2), "cam_layer": "leukocyte_pool", **settings}
        model = LeukDenseNet(view="leukocytes", preprocessor=Preprocessor(image_size=96, clahe=False), **settings)
        load_leukocyte_network(model.leukocytes)
        # Random weights give nearly equal logits; these tell classes and places apart.
        torch.nn.init.normal_(model.classifier.weight, std=1.0)
    return model.eval()


def values_of(fields: torch.Tensor) -> torch.Tensor:
    return (fields - MEAN.view(1, 3, 1, 1)) / STD.view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def fields() -> torch.Tensor:
    drawn = [render_smear(name, seed=3, image_size=96) for name in ("Benign", "Early Pre-B", "Pre-B", "Pro-B")]
    return torch.from_numpy(np.stack([np.asarray(each) for each in drawn])).permute(0, 3, 1, 2) / 255


@pytest.fixture(scope="module")
def masks() -> torch.Tensor:
    down, right = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    discs = [((down - y) ** 2 + (right - x) ** 2 < radius**2) for y, x, radius in ((30, 40, 9), (60, 20, 6))]
    return torch.stack([discs[0], discs[1], discs[0] | discs[1], discs[1]])[:, None].float()


def test_erasing_is_standardising_inside_and_zero_outside(fields, masks):
    seen = erase_background(values_of(fields), masks, MEAN, STD, field_size=96)
    for row in range(4):
        inside = masks[row, 0] > 0
        luminance = (fields[row] * LUMA[0]).sum(dim=0)[inside].double()
        expected = (luminance - luminance.mean()) / luminance.std(unbiased=False)
        assert torch.allclose(seen[row, 0][inside].double(), expected, atol=2e-4)
        assert not seen[row][:, ~inside].any() and (seen[row, 1:][:, inside] > 0).all()


def test_depth_is_the_distance_to_the_outline(masks):
    depth = depth_inside(masks, reach=20)
    for row in range(4):
        euclidean = cv2.distanceTransform(
            (masks[row, 0].numpy() > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        assert np.abs(depth[row, 0].numpy() - euclidean).max() < 0.1 * euclidean.max() + 0.5
    assert torch.equal(depth_inside(torch.ones(1, 1, 8, 8), reach=5), torch.full((1, 1, 8, 8), 5.0))


def test_radius_is_the_cells_own_and_depth_is_relative_to_it(fields, masks):
    seen = erase_background(values_of(fields), masks, MEAN, STD, field_size=96)
    for row, (y, x), radius in ((0, (30, 40), 9), (1, (60, 20), 6)):
        inside = masks[row, 0] > 0
        # 4.8 pixels are the radius of a typical cell of such a field.
        assert float(seen[row, 2, y, x]) == pytest.approx(radius / 4.8, rel=0.12)
        assert float(seen[row, 1, y, x]) == pytest.approx(1) and float(seen[row, 1][inside].min()) < 0.35


def test_nothing_outside_light_or_colour_reaches_the_network(fields, masks):
    expected = erase_background(values_of(fields), masks, MEAN, STD, field_size=96)
    outside = torch.where(masks > 0, fields, torch.rand(fields.shape, generator=torch.Generator().manual_seed(0)))
    brighter = 0.3 + 0.5 * fields
    grey = (fields * LUMA).sum(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    for changed in (outside, brighter, grey):
        assert torch.allclose(
            erase_background(values_of(changed), masks, MEAN, STD, field_size=96), expected, atol=1e-3
        )


def densities(light: torch.Tensor) -> torch.Tensor:
    return -torch.log(light + 1 / 255)


def test_colour_is_what_channels_absorb_relative_to_each_other(fields, masks):
    seen = erase_background(values_of(fields), masks, MEAN, STD, field_size=96, colour=True)
    without = erase_background(values_of(fields), masks, MEAN, STD, field_size=96)
    assert seen.shape == (4, 5, 96, 96) and torch.equal(seen[:, :3], without)
    for row in range(4):
        inside = masks[row, 0] > 0
        absorbed = densities(fields[row].double())[:, inside]
        middle, spread = absorbed.mean(dim=1, keepdim=True), absorbed.std(dim=1, unbiased=False, keepdim=True)
        red, green, blue = (absorbed - middle) / spread.clamp_min(0.02)
        assert torch.allclose(seen[row, 3][inside].double(), red - blue, atol=2e-3)
        assert torch.allclose(seen[row, 4][inside].double(), green - (red + blue) / 2, atol=2e-3)
        assert (red - blue).abs().max() > 0.1 and not seen[row, 3:][:, ~inside].any()


def test_white_balance_exposure_and_gamma_do_not_change_what_colours_are_relative_to_each_other(fields, masks):
    # Changes of light + 1 / 255, which optical density is taken of, so that no rounding hides what is asked.
    def relative(light: torch.Tensor) -> torch.Tensor:
        return erase_background(values_of(light - 1 / 255), masks, MEAN, STD, field_size=96, colour=True)[:, 3:]

    light = fields + 1 / 255
    balanced = light * torch.tensor((0.7, 0.9, 0.6)).view(1, 3, 1, 1)
    gammas = torch.stack([light[:, channel] ** power for channel, power in enumerate((0.8, 1.3, 1.1))], dim=1)
    for changed in (0.6 * light, balanced, gammas):
        assert torch.allclose(relative(changed), relative(light), atol=2e-3)


def test_grey_images_have_no_colour(fields, masks):
    grey = (fields * LUMA).sum(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    seen = erase_background(values_of(grey), masks, MEAN, STD, field_size=96, colour=True)
    assert seen[:, 3:].abs().max() < 1e-3
    black = erase_background(values_of(torch.zeros_like(fields)), masks, MEAN, STD, field_size=96, colour=True)
    assert black[:, 3:].abs().max() < 1e-3


def test_each_field_of_a_canvas_has_colours_of_its_own(fields, masks):
    apart = torch.cat([masks[:1], masks[1:2]], dim=1)  # two cells, as if of two fields
    together = erase_background(values_of(fields[:1]), apart, MEAN, STD, field_size=96, colour=True)
    for group in range(2):
        alone = erase_background(
            values_of(fields[:1]), apart[:, group : group + 1], MEAN, STD, field_size=96, colour=True
        )
        inside = apart[0, group] > 0
        assert torch.allclose(together[0, 3:][:, inside], alone[0, 3:][:, inside], atol=1e-5)


def test_learning_to_see_colour_starts_from_the_same_answers(fields, tmp_path):
    model = seeing_leukocytes()
    seeing = model.adapted(view="leukocytes_in_colour")
    assert seeing.sees_colour and seeing.features.conv0.weight.shape[1] == 5
    with torch.no_grad():
        assert torch.allclose(seeing(values_of(fields)), model(values_of(fields)), atol=1e-5)
        torch.nn.init.normal_(seeing.features.conv0.weight[:, 3:], std=0.1)
        assert not torch.allclose(seeing(values_of(fields)), model(values_of(fields)), atol=1e-3)
        back = seeing.adapted(view="leukocytes")
        assert torch.equal(back(values_of(fields)), model(values_of(fields)))
    seeing.save_pretrained(tmp_path)
    loaded = LeukDenseNet.from_pretrained(tmp_path)
    assert loaded.view == "leukocytes_in_colour" and loaded.identity() == seeing.identity()
    with torch.no_grad():
        assert torch.equal(loaded(values_of(fields)), seeing(values_of(fields)))


def test_flat_or_missing_leukocytes_are_finite(fields, masks):
    flat = erase_background(values_of(torch.full_like(fields, 0.5)), masks, MEAN, STD, field_size=96)
    assert flat[:, 0].abs().max() < 1e-3
    nothing = erase_background(values_of(fields), torch.zeros_like(masks), MEAN, STD, field_size=96)
    assert torch.equal(nothing, torch.zeros_like(nothing))


def test_opacity_lets_nothing_shine_through():
    logits = torch.tensor([-20.0, -0.51, -0.5, 0.0, 0.25, 0.5, 20.0])
    assert opacity(logits).tolist() == [0, 0, 0, 0.5, 0.75, 1, 1]


def test_pooling_is_the_mean_over_leukocytes():
    features = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).reshape(2, 3, 2, 2)
    leukocytes = torch.zeros(2, 1, 64, 64)
    leukocytes[0, 0, :32, :32] = 1  # all of the first place
    leukocytes[1, 0, :32] = 1  # both upper places
    leukocytes[1, 0, 32:, :16] = 1  # half of the lower left one
    pooled = LeukocytePool()(features, leukocytes).mean(dim=(2, 3))
    shares = torch.tensor([[[1.0, 0], [0, 0]], [[1, 1], [0.5, 0]]])[:, None]
    area = shares.mean(dim=(2, 3))
    expected = (features * shares).mean(dim=(2, 3)) / area
    assert torch.allclose(pooled, expected * area / (area + 1 / 256), atol=1e-5)
    assert not LeukocytePool()(features, torch.zeros_like(leukocytes)).any()


def test_without_leukocytes_only_the_bias_is_left(fields):
    model = seeing_leukocytes()
    with torch.no_grad():
        logits = model(values_of(fields), torch.zeros(4, 1, 96, 96))[:, 0]
    assert torch.allclose(logits, model.classifier.bias.expand(4, -1))


def test_what_surrounds_leukocytes_does_not_move_the_logits(fields, masks):
    model, generator = seeing_leukocytes(), torch.Generator().manual_seed(1)
    noise = torch.rand(fields.shape, generator=generator)
    with torch.no_grad():
        changed = torch.where(masks > 0, fields, noise)
        one, other = (model(values_of(given), masks)[:, 0] for given in (fields, changed))
    assert torch.allclose(one, other, atol=1e-4) and one.std(dim=0).min() > 1e-3


@pytest.mark.parametrize(("output_stride", "orientations"), [(16, 4), (32, 1)])
def test_closed_forms_equal_captum(fields, output_stride, orientations):
    model = seeing_leukocytes(output_stride=output_stride, outline_orientations=orientations)
    values = values_of(fields)
    assert closed_form_layers(model) == ("denseblock4", "leukocyte_pool")
    for layer in closed_form_layers(model):
        maps = class_activation_maps(model, values, layer).maps
        assert maps.shape == (4, 4, 96 // output_stride, 96 // output_stride) and maps.abs().max() > 1e-3
        for target in range(4):
            expected = LayerGradCam(model, model.layer(layer)).attribute(values, target=target)[:, 0]
            assert torch.allclose(maps[:, target], expected, atol=1e-5 * expected.abs().max().item() + 1e-7)
            assert torch.allclose(grad_cam(model, values, target, layer)[:, 0], expected, atol=1e-6)


def test_maps_of_the_pool_add_up_to_the_logits_and_lie_on_leukocytes(fields):
    model = seeing_leukocytes()
    logits, maps = class_activation_maps(model, values_of(fields))
    assert torch.allclose(maps.sum(dim=(2, 3)) + model.classifier.bias, logits, atol=1e-5)
    found = model.find_leukocytes(values_of(fields))
    empty = torch.nn.functional.adaptive_avg_pool2d(found, maps.shape[2:])[:, 0] == 0
    assert empty.any() and not maps.movedim(1, -1)[empty].any()


def test_a_predictor_gives_what_was_left_to_see(fields):
    model = seeing_leukocytes()
    values = values_of(fields)
    outputs = as_predictor(model).run(values.numpy())
    found = model.find_leukocytes(values)[:, 0].detach().numpy()
    assert outputs.leukocytes.dtype == np.float32 and np.allclose(outputs.leukocytes, found, atol=1e-5)
    assert 0.02 < found.mean() < 0.6


def test_the_network_finds_cells_in_synthetic_smears_and_none_on_glass():
    network = LeukocyteNetwork().eval()
    load_leukocyte_network(network)
    preprocessor = Preprocessor(image_size=160, clahe=False)
    smears = torch.from_numpy(preprocessor([render_smear("Pre-B", seed=seed, image_size=160) for seed in range(3)]))
    with torch.no_grad():
        shares = (network(smears) > 0).float().mean(dim=(1, 2, 3))
        glass = (network(values_of(torch.full((1, 3, 160, 160), 0.9))) > 0).float().mean()
    assert shares.min() > 0.02 and glass == 0


def test_outlines_of_four_orientations_are_averaged_and_turn_with_the_field(fields):
    once, averaged = (seeing_leukocytes(outline_orientations=number) for number in (1, 4))
    values = values_of(fields)
    with torch.no_grad():
        turned = ((), (3,), (2,), (2, 3))
        ratings = [torch.flip(once.leukocytes(torch.flip(values, axes)), axes) for axes in turned]
        found = averaged.find_leukocytes(values)
        assert torch.allclose(found, opacity(sum(ratings) / 4), atol=1e-5)
        assert torch.allclose(averaged.find_leukocytes(values.flip(2)).flip(2), found, atol=1e-4)
        assert not torch.allclose(once.find_leukocytes(values.flip(2)).flip(2), opacity(ratings[0]), atol=1e-2)
        assert torch.equal(once.find_leukocytes(values), opacity(ratings[0]))


def test_checkpoints_come_back_and_timm_alone_refuses_them(tmp_path, fields):
    model = seeing_leukocytes(output_stride=16, outline_orientations=4)
    model.save_pretrained(tmp_path)
    loaded = LeukDenseNet.from_pretrained(tmp_path)
    assert loaded.view == "leukocytes" and loaded.output_stride == 16 and loaded.identity() == model.identity()
    assert loaded.outline_orientations == 4
    with torch.no_grad():
        assert torch.equal(loaded(values_of(fields)), model(values_of(fields)))
    assert json.loads((tmp_path / "config.json").read_text())["architecture"] == "leuk_hf_densenet121"
    with pytest.raises(RuntimeError, match="leuk_hf_densenet121"):
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"view": "cells"}, "view is 'cells'; choose field or leukocytes or leukocytes_in_colour"),
        ({"output_stride": 8}, "choose 16 or 32"),
        ({"view": "leukocytes", "outline_orientations": 2}, "outline_orientations is 2; choose 1 or 4"),
        ({"view": "leukocytes", "outline_orientations": True}, "outline_orientations is True; choose 1 or 4"),
        ({"outline_orientations": 4}, "outline_orientations is 4, but the view is the whole field; leave it at 1"),
    ],
)
def test_settings_that_do_not_exist_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        LeukDenseNet(**settings)


def test_the_field_view_stays_timms_own():
    torch.manual_seed(0)
    model = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2))
    assert not [name for name in model.state_dict() if not name.startswith(("features.", "classifier."))]
    assert model.find_leukocytes(torch.zeros(1, 3, 64, 64)) is None
