"""Backends compared over fields: known differences are counted, near misses told from real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leuk_hf.backends import Outputs, Predictor, load_predictor
from leuk_hf.data import load_smears, read_image, without_decoding
from leuk_hf.errors import DataError
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.parity import compare, correlation, near_set_threshold, relative_difference
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.synthetic import render_smear

NAMES = ("a", "b", "c", "d")
REAL = Path(__file__).parents[2] / "shared" / "data" / "leukemia" / "Original"


class Fixed(Predictor):
    """Gives prepared probabilities and maps, one row per field, in order."""

    def __init__(self, probabilities, maps=None, identity="one", scores=None, quantiles=(), limits=RefusalLimits()):  # noqa: B008
        settings = {
            "class_names": NAMES,
            "preprocessor": Preprocessor(image_size=32),
            "temperature": 1.0,
            "cam_layer": "denseblock4",
            "view": "field",
            "conformal_quantiles": quantiles,
            "refusal_limits": limits,
        }
        super().__init__("torch", settings, "denseblock4")
        self.logits = np.log(np.array(probabilities, dtype=np.float64))
        shape = (len(self.logits), 4, 2, 2)
        self.maps = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) if maps is None else maps
        self.position, self._identity, self.batches = 0, identity, []
        self.scores = np.zeros(len(self.logits)) if scores is None else np.array(scores)

    description = "fixed"
    cam_layers = ("denseblock4",)

    @property
    def identity(self):
        return self._identity

    def torch_model(self):
        raise AssertionError

    def _run(self, pixel_values):
        rows = slice(self.position, self.position + len(pixel_values))
        self.position, self.batches = rows.stop, [*self.batches, len(pixel_values)]
        return Outputs(self.logits[rows], self.maps[rows], np.zeros((len(pixel_values), 1)), self.scores[rows], None)


def fields(count):
    image = render_smear("Pre-B", seed=0, image_size=64)
    return [(f"{number}.png", image) for number in range(count)]


EXPECTED = [
    [0.90, 0.08, 0.01, 0.01],
    [0.90, 0.08, 0.01, 0.01],
    [0.60, 0.38, 0.01, 0.01],
    [0.52, 0.46, 0.01, 0.01],
    [0.505, 0.475, 0.01, 0.01],
    [0.945, 0.035, 0.01, 0.01],
    [0.90, 0.03, 0.035, 0.035],
]
FOUND = [
    [0.90, 0.08, 0.01, 0.01],  # the same
    [0.08, 0.90, 0.01, 0.01],  # another label
    [0.58, 0.40, 0.01, 0.01],  # a probability off by 0.02
    [0.48, 0.46, 0.03, 0.03],  # falls below one half from 0.52: a verdict; 0.94 < 0.95: a set
    [0.497, 0.483, 0.01, 0.01],  # falls below one half from 0.505
    [0.952, 0.028, 0.01, 0.01],  # reaches the coverage alone, from 0.945
    [0.90, 0.036, 0.032, 0.032],  # the tie for the last place ends otherwise
]


def test_known_differences_are_counted_and_named():
    reference = Fixed(EXPECTED)
    entry = compare(reference, {"other": Fixed(FOUND)}, iter(fields(7)), batch_size=3)
    assert reference.batches == [3, 3, 1]
    assert entry["reference"] == "fixed" and entry["margin"] == 0.01
    found = entry["backends"]["other"]
    assert found["num_fields"] == 7
    counts = {key: value for key, value in found["differing"].items() if key != "fields"}
    assert counts == {
        "label": 1,
        "probability": 3,
        "set": 1,
        "set_near_threshold": 2,
        "verdict": 1,
        "verdict_near_threshold": 1,
    }
    assert found["largest_probability_difference"] == pytest.approx(0.82)
    assert found["largest_score_difference"] == pytest.approx(0, abs=1e-9)
    assert found["map_difference"] == {"median": 0.0, "largest": 0.0, "num_above": 0}
    assert found["lowest_map_correlation"] == pytest.approx(1)
    named = {row["file"]: row["differs_in"] for row in found["differing"]["fields"]}
    assert named == {
        "1.png": ["label", "probability"],
        "2.png": ["probability"],
        "3.png": ["probability", "set", "verdict"],
        "4.png": ["verdict_near_threshold"],
        "5.png": ["set_near_threshold"],
        "6.png": ["set_near_threshold"],
    }
    assert found["differing"]["fields"][0]["reference"] == "a" and found["differing"]["fields"][0]["found"] == "b"


def test_fitted_quantiles_and_limits_have_their_own_thresholds():
    calibrated = {"quantiles": (0.3, 0.07, 0.3, 0.3), "limits": RefusalLimits(lowest_in_distribution_score=-10.0)}
    expected = [[0.9, 0.08, 0.01, 0.01], [0.85, 0.13, 0.01, 0.01], [0.9, 0.08, 0.01, 0.01], [0.9, 0.08, 0.01, 0.01]]
    found = [[0.91, 0.069, 0.011, 0.01], [0.9, 0.06, 0.02, 0.02], [0.9, 0.08, 0.01, 0.01], [0.9, 0.08, 0.01, 0.01]]
    reference = Fixed(expected, scores=[0, 0, -9.95, -9.0], **calibrated)
    other = Fixed(found, scores=[0, 0, -10.05, -11.0], **calibrated)
    entry = compare(reference, {"other": other}, fields(4))["backends"]["other"]
    named = {row["file"]: row["differs_in"] for row in entry["differing"]["fields"]}
    # 0.08 is within 0.01 of its class's quantile and 0.13 is not; -9.95 is within a hundredth of its limit.
    assert named == {
        "0.png": ["probability", "set_near_threshold"],
        "1.png": ["probability", "set"],
        "2.png": ["verdict_near_threshold"],
        "3.png": ["verdict"],
    }
    assert entry["largest_score_difference"] == pytest.approx(2)


def test_map_differences_are_relative_to_the_field():
    maps = np.ones((3, 4, 2, 2), dtype=np.float32)
    maps[:, 0, 0, 0] = 10
    other = maps.copy()
    other[1, 2, 1, 1] += 1
    other[2] *= -1
    found = compare(Fixed(EXPECTED[:3], maps), {"other": Fixed(EXPECTED[:3], other)}, fields(3))["backends"]["other"]
    assert found["map_difference"] == {"median": pytest.approx(0.1), "largest": pytest.approx(2), "num_above": 2}
    assert found["lowest_map_correlation"] == pytest.approx(-1)
    assert found["differing"]["fields"] == []


def test_relative_difference_and_correlation():
    assert relative_difference(np.array([1.0, 2.5]), np.array([1.0, -5.0])) == 1.5
    assert correlation(np.array([1.0, 2, 3]), np.array([3.0, 5, 7])) == pytest.approx(1)
    assert correlation(np.array([1.0, 2, 3]), np.array([1.0, -2, 1])) == pytest.approx(0)
    assert correlation(np.zeros(3), np.full(3, 2.0)) == 1
    assert correlation(np.zeros(3), np.array([1.0, 2, 3])) == 0


@pytest.mark.parametrize(
    ("probabilities", "near"),
    [
        ([0.9, 0.08, 0.01, 0.01], False),  # sums 0.90, 0.98
        ([0.945, 0.035, 0.01, 0.01], True),  # 0.945
        ([0.7, 0.22, 0.035, 0.045], False),  # 0.92, 0.965; the last places 0.01 apart, but for rounding more
        ([0.7, 0.22, 0.038, 0.042], True),  # the last places compete
        ([0.97, 0.01, 0.01, 0.01], False),  # the set is the first alone
    ],
)
def test_near_a_set_threshold(probabilities, near):
    assert near_set_threshold(probabilities, 0.0099) is near


def test_other_checkpoints_and_no_fields_are_refused():
    with pytest.raises(DataError, match="other is another checkpoint"):
        compare(Fixed(EXPECTED), {"other": Fixed(FOUND, identity="two")}, fields(7))
    with pytest.raises(DataError, match="there is no field"):
        compare(Fixed(EXPECTED), {"other": Fixed(FOUND)}, [])


@pytest.mark.skipif(not REAL.is_dir(), reason="the data set is not here")
def test_a_network_agrees_with_its_channels_last_copy_on_real_fields(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    rows = without_decoding(load_smears(REAL))
    some = [(rows[index]["path"], read_image(rows[index])) for index in range(0, len(rows), len(rows) // 24)]
    from leuk_hf.backends import as_predictor

    entry = compare(as_predictor(tiny_model), {"copy": load_predictor(tmp_path, backend="torch")}, some)
    found = entry["backends"]["copy"]
    assert found["num_fields"] == len(some) >= 24
    assert found["differing"]["fields"] == [] and found["largest_probability_difference"] < 1e-5
    assert found["map_difference"]["largest"] < 1e-4
