"""Measures of leukocytes, by hand and beside OpenCV, and the warm-up that learns them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from leuk_hf.cell_measures import measure_places
from leuk_hf.data import load_smears, without_decoding
from leuk_hf.errors import TrainingError
from leuk_hf.field_cache import CachedFields, cached_fields
from leuk_hf.fields import group_masks
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import write_smears
from leuk_hf.training_config import RECIPES
from leuk_hf.training_setup import starting_model
from leuk_hf.warm_up import draw_canvas, measuring_loss, targets_of, warm_up

SCRIPT = Path(__file__).parents[1] / "scripts" / "warm_up.py"
SIZE = 224  # lengths are then what they are called
DARKNESS, DEPTHS, SIZES = slice(0, 8), slice(8, 13), slice(13, 20)
TEXTURE = 280 - 32


def measured(luminance: np.ndarray, mask: np.ndarray, depth: float = 6.0, radius: float = 10.0):
    maps = [torch.from_numpy(np.asarray(each, dtype=np.float32))[None, None] for each in (luminance * mask, mask)]
    measures, counts = measure_places(*maps, maps[1] * depth, maps[1] * radius, field_size=SIZE)
    return measures[0].numpy(), counts[0].numpy()


def test_histograms_share_a_value_between_the_nearest_bins():
    mask = np.ones((SIZE, SIZE))
    measures, counts = measured(np.full((SIZE, SIZE), 0.1), mask)
    assert measures.shape == counts.shape == (280, SIZE, SIZE) and counts[:TEXTURE].min() == 1
    # Centres from -2.5 to 2.5, 5/7 apart: 0.1 lies 0.64 of the way from the fourth, -5/14, to the fifth, 5/14.
    expected = np.zeros(8)
    expected[3:5] = 1 - 0.64, 0.64
    assert np.allclose(measures[DARKNESS, 100, 100], expected, atol=1e-5)
    # Depth 6 of radius 10: 0.6 lies between 0.5 and 0.75; a radius of 10 is itself a centre.
    assert np.allclose(measures[DEPTHS, 100, 100], [0, 0, 0.6, 0.4, 0], atol=1e-5)
    assert np.allclose(measures[SIZES, 100, 100], [0, 0, 1, 0, 0, 0, 0], atol=1e-5)
    joint = measures[20:60, 100, 100].reshape(8, 5)
    assert np.allclose(joint, np.outer(expected, [0, 0, 0.6, 0.4, 0]), atol=1e-5)


def test_values_beyond_the_ends_go_to_the_last_bin_and_rims_do_not_count_for_texture():
    measures, counts = measured(np.full((SIZE, SIZE), 9.0), np.ones((SIZE, SIZE)), depth=2.0, radius=90.0)
    assert measures[DARKNESS, 5, 5].tolist() == [0] * 7 + [1] and measures[SIZES, 5, 5].tolist() == [0] * 6 + [1]
    assert counts[:TEXTURE].min() == 1 and not counts[TEXTURE:].any()


def test_differences_of_gaussians_equal_opencv():
    luminance = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    measures, _ = measured(luminance, np.ones((SIZE, SIZE)))
    bands = measures[-12:].reshape(4, 3, SIZE, SIZE)
    for band, (fine, coarse) in zip(bands, ((0.5, 1), (1, 2), (2, 4), (4, 8)), strict=True):
        blurred = []
        for deviation in (fine, coarse):
            reach = max(1, int(np.ceil(3 * deviation)))
            blurred.append(cv2.GaussianBlur(luminance, (2 * reach + 1,) * 2, deviation))
        expected = blurred[0] - blurred[1]
        assert np.allclose(band, [abs(expected), expected**2, np.maximum(expected, 0)], atol=1e-4)


def test_local_binary_patterns_count_bright_neighbours_of_uniform_rings():
    # Left of the edge everything is dark: seen from the last dark column three neighbours in a row are brighter.
    luminance = np.zeros((SIZE, SIZE), np.float32)
    luminance[:, 100:] = 8
    measures, _ = measured(luminance, np.ones((SIZE, SIZE)))
    patterns = measures[TEXTURE : TEXTURE + 10]
    assert patterns.sum(axis=0).min() == patterns.max() == 1
    flat = patterns[:, 50, 20]
    assert flat.tolist() == [1] + [0] * 9  # no neighbour is brighter by the required contrast
    assert patterns[:, 50, 98].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    speckled = luminance.copy()
    speckled[::2, ::2] = 8
    changing, _ = measured(speckled, np.ones((SIZE, SIZE)))
    assert changing[TEXTURE + 9, 40:60, 40:60].any()


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("warm-up")
    write_smears(folder / "smears", fields_per_class=4, seed=0, image_size=96)
    model = LeukDenseNet(
        view="leukocytes", output_stride=16, growth_rate=8, block_config=(2, 2, 2, 2),
        preprocessor=Preprocessor(image_size=96, clahe=False),
    )  # fmt: skip
    dataset = without_decoding(load_smears(folder / "smears"))
    return cached_fields(dataset, model.preprocessor, folder=folder / "cache"), model


def cells_of(fields: CachedFields) -> np.ndarray:
    """Cells as a program sees them: whatever is darker than the field."""
    labels = []
    for row in range(len(fields)):
        grey = cv2.cvtColor(np.asarray(fields[row]), cv2.COLOR_RGB2GRAY)
        dark = cv2.morphologyEx((grey < grey.mean() - 15).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        labels.append(np.minimum(cv2.connectedComponents(dark)[1], 255).astype(np.uint8))
    return np.stack(labels)


def test_canvases_bring_the_unchanged_luminance_of_the_same_pixels(smears, monkeypatch):
    fields, _ = smears
    cells = cells_of(fields)
    monkeypatch.setattr("leuk_hf.warm_up.change_optics", lambda field, other, generator: field)
    canvas = draw_canvas(fields, cells, np.random.default_rng(0))
    assert canvas.shape == (96, 96, 5) and canvas.dtype == np.uint8 and canvas[..., 4].max() >= 1
    inside = canvas[..., 4] > 0
    grey = cv2.cvtColor(np.ascontiguousarray(canvas[..., :3]), cv2.COLOR_RGB2GRAY)
    # Interpolated before or after the channels are weighed: equal to rounding.
    assert np.abs(grey.astype(int) - canvas[..., 3])[inside].max() <= 2 and not canvas[~inside].any()


def test_targets_do_not_depend_on_the_optics(smears, monkeypatch):
    fields, model = smears
    cells = cells_of(fields)
    with_optics = draw_canvas(fields, cells, np.random.default_rng(3))
    changed = with_optics.copy()
    changed[..., :3] = 255 - changed[..., :3]
    one, other = (
        targets_of(torch.from_numpy(each)[None], model.preprocessor, (6, 6)) for each in (with_optics, changed)
    )
    assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    assert one[0].shape == one[1].shape == (1, 280, 6, 6)
    share = (torch.from_numpy(with_optics[..., 4]) > 0).float().reshape(6, 16, 6, 16).mean(dim=(1, 3))
    assert torch.allclose(one[1][0, 0], share, atol=1e-6)
    # Histograms of a place add up to one wherever there is a leukocyte.
    assert torch.allclose(one[0][0, :8].sum(dim=0)[share > 0.01], torch.ones(()), atol=0.02)


def test_the_loss_by_hand():
    told, targets, counts = (
        torch.zeros(1, 2, 1, 2),
        torch.tensor([[[[1.0, 3.0]], [[2.0, 5.0]]]]),
        torch.ones(1, 2, 1, 2),
    )
    counts[0, 0, 0, 1], counts[0, 1, 0, 1] = 0.5, 0
    # First measure (1 * 1 + 0.5 * 9) / 1.5; second 4 / 1.
    assert measuring_loss(told, targets, counts).item() == pytest.approx((5.5 / 1.5 + 4) / 2)


def test_masks_of_groups():
    numbers = torch.tensor([[[0, 1], [2, 2]]], dtype=torch.uint8)
    assert group_masks(numbers, 3)[0].tolist() == [[[0, 1], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 0]]]


def test_the_warm_up_lowers_its_error_and_goes_on_as_if_it_had_not_stopped(smears, tmp_path, monkeypatch):
    fields, model = smears
    cells = cells_of(fields)
    options = {"steps": 12, "batch_size": 4, "learning_rate": 1e-2, "seed": 0}
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    monkeypatch.setattr("leuk_hf.fitting._SAVE_EVERY", 4)
    monkeypatch.setattr("leuk_hf.fitting._REPORT_EVERY", 3)
    losses = warm_up(model, fields, cells, **options, state=tmp_path / "whole.safetensors")
    whole = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert len(losses) == 4 and losses[-1] < 0.9 * losses[0] and not (tmp_path / "whole.safetensors").exists()
    unchanged = [name for name in whole if not name.startswith("features.")]
    assert all(torch.equal(whole[name], start[name]) for name in unchanged)

    model.load_state_dict(start)
    stop, calls = RuntimeError("stopped"), []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 7:
            raise stop
        return measuring_loss(*arguments)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="stopped"):
        patched.setattr("leuk_hf.warm_up.measuring_loss", stopping)
        warm_up(model, fields, cells, **options, state=tmp_path / "state.safetensors")
    model.load_state_dict(start)
    others = cells.copy()
    others[0] = 0
    for changed, told in (
        ({"seed": 1}, "seed 0, not 1"),
        ({"batch_size": 3}, "batch_size 4, not 3"),
        ({"learning_rate": 1e-3}, "learning_rate 0.01, not 0.001"),
        ({"cells": others}, "other cells"),
    ):
        given = {"cells": cells, **options, **changed}
        with pytest.raises(TrainingError, match=f"was left by a fit with {told}; give the same again"):
            warm_up(model, fields, given.pop("cells"), **given, state=tmp_path / "state.safetensors")
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.state_dict().items())
    again = warm_up(model, fields, cells, **options, state=tmp_path / "state.safetensors")
    assert again == losses
    assert all(torch.equal(tensor, whole[name]) for name, tensor in model.state_dict().items())


def run_script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)


def test_the_script_writes_what_training_starts_from(tmp_path):
    folder = str(tmp_path / "smears")
    write_smears(tmp_path / "smears", fields_per_class=4, seed=0, image_size=96)
    options = ["--source", folder, "--image-size", "64", "--cache", str(tmp_path / "cache"), "--output"]
    done = run_script(*options, str(tmp_path / "warm"), "--steps", "2", "--batch-size", "2", "--view",
                      RECIPES["default"].view)  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "warm" / "warm_up.json").read_text())
    assert record["num_fields"] == 16 and record["steps"] == 2 and len(record["losses"]) == 1
    config = dataclasses.replace(RECIPES["default"], source=folder, weights=str(tmp_path / "warm"), image_size=96)
    model, origin = starting_model(config, ("one", "other"))
    warmed = LeukDenseNet.from_pretrained(tmp_path / "warm").state_dict()
    assert origin.endswith("warm") and model.output_stride == 16 and model.preprocessor.image_size == 96
    assert all(torch.equal(tensor, warmed[name]) for name, tensor in model.state_dict().items() if "feat" in name)
    failed = run_script(*options, str(tmp_path / "other"), "--steps", "1")
    assert failed.returncode == 2 and failed.stderr.strip().splitlines()[-1].startswith("error: steps")
