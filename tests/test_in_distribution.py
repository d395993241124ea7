"""The in-distribution score: what it measures by value, that it exports, and how it parts foreign images."""

import numpy as np
import pytest
import torch

from leuk_hf.in_distribution import (
    InDistribution,
    field_statistics,
    fit_in_distribution,
    joined,
    num_statistics,
)
from leuk_hf.score_comparison import Described, candidates, compare


def fields(seed, count, size=32):
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(seed))


def test_without_dimensions_it_is_the_energy_and_stores_nothing():
    score = InDistribution(0, num_features=5, num_classes=2, sees_leukocytes=False)
    assert score.state_dict() == {}
    logits = torch.tensor([[0.0, 0.0], [3.0, -50.0]])
    found = score(logits, torch.zeros(2, 5), fields(0, 2), None)
    np.testing.assert_allclose(found, [np.log(2), 3.0], rtol=1e-6)


@pytest.mark.parametrize("dims", [-1, 1.0, True, "3", 5 + 16 + 1])
def test_dimensions_are_checked(dims):
    with pytest.raises(ValueError, match="in_distribution_dims is"):
        InDistribution(dims, num_features=5, num_classes=2, sees_leukocytes=False)


def test_statistics_by_hand():
    values = fields(1, 2).double()
    leukocytes = torch.zeros(2, 1, 32, 32, dtype=torch.float64)
    leukocytes[0, :, :16, :8] = 1
    found = field_statistics(values, leukocytes).numpy()
    assert found.shape == (2, num_statistics(True)) and num_statistics(False) == num_statistics(True) - 4
    pixels = values[0].numpy().reshape(3, -1)
    np.testing.assert_allclose(found[0, :3], pixels.mean(axis=1))
    np.testing.assert_allclose(found[0, 3:6], np.log(np.sqrt(pixels.var(axis=1) + 1e-4)))
    np.testing.assert_allclose(found[0, 9:12], np.corrcoef(pixels)[[0, 0, 1], [1, 2, 2]], atol=2e-3)
    grey = values[0].numpy().mean(axis=0)
    grey = grey - grey.mean()
    steps = (np.diff(grey, axis=1) ** 2).mean() + (np.diff(grey, axis=0) ** 2).mean()
    assert found[0, 12] == pytest.approx(np.log(steps / (grey.var() + 1e-4) + 1e-4))
    assert found[0, 16] == pytest.approx(np.log(16 * 8 / 1024 + 0.01))
    np.testing.assert_allclose(found[0, 17:], values[0, :, :16, :8].mean(dim=(1, 2)), rtol=1e-3)
    assert found[1, 16] == pytest.approx(np.log(0.01)) and np.isfinite(found).all()
    np.testing.assert_allclose(field_statistics(values, None).numpy(), found[:, :16])


def test_uniform_images_stay_finite():
    for level in (-3.0, 0.0, 3.0):
        assert field_statistics(torch.full((1, 3, 32, 32), level), None).isfinite().all()


def vectors(seed, count, features=6, statistics=5):
    """Two classes that differ in the first feature; one constant feature; statistics of another scale."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    values = generator.normal(size=(count, features + statistics))
    values[:, 0] += 6 * labels
    values[:, 1] += values[:, 2]
    values[:, 3] = 7.0
    values[:, features:] *= 100
    return torch.from_numpy(values), torch.from_numpy(labels)


def fitted(dims, features=6):
    values, labels = vectors(0, 400)
    score = InDistribution(dims, num_features=features, num_classes=2, sees_leukocytes=False)
    state = fit_in_distribution(values, labels, num_features=features, num_classes=2, dims=dims)
    for name, tensor in state.items():
        setattr(score, name, tensor)  # the synthetic vectors are shorter than real ones
    return score, values, labels


def test_full_rank_is_the_mahalanobis_distance_to_the_nearest_class():
    score, values, labels = fitted(10)  # all but the constant
    kept = [index for index in range(11) if index != 3]
    numbers, classes = values.numpy()[:, kept], labels.numpy()
    means = np.stack([numbers[classes == label].mean(axis=0) for label in (0, 1)])
    residuals = numbers - means[classes]
    precision = np.linalg.inv(residuals.T @ residuals / (len(numbers) - 2))
    offsets = numbers[:, None] - means[None]
    expected = -np.einsum("nki,ij,nkj->nk", offsets, precision, offsets).min(axis=1) / 10
    np.testing.assert_allclose(score.score(values.float()).numpy(), expected, rtol=2e-3)
    assert expected.mean() == pytest.approx(-1, abs=0.15)


def test_what_is_far_scores_low_and_scale_does_not_matter():
    score, values, _ = fitted(8)
    far = values.float().clone()
    far[:, 7] += 2000
    assert score.score(far).max() < score.score(values.float()).min()
    state = fit_in_distribution(values * 50, vectors(0, 400)[1], num_features=6, num_classes=2, dims=8)
    scaled, original = (
        -((inputs.float() - part.centre) @ part.whitening).pow(2).sum(dim=1)
        for inputs, part in ((values * 50, _Namespace(state)), (values, score))
    )
    np.testing.assert_allclose(scaled, original, rtol=1e-3)


class _Namespace:
    def __init__(self, values):
        self.__dict__.update(values)


def test_fitting_is_reproducible_and_says_what_is_missing():
    values, labels = vectors(0, 60)
    one, other = (fit_in_distribution(values, labels, num_features=6, num_classes=2, dims=4) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ValueError, match="too few for 70 dimensions"):
        fit_in_distribution(values, labels, num_features=6, num_classes=2, dims=70)
    with pytest.raises(ValueError, match="class 2 has no training field"):
        fit_in_distribution(values, labels, num_features=6, num_classes=3, dims=4)


def test_the_module_stores_its_buffers_and_joins_in_order():
    score = InDistribution(4, num_features=5, num_classes=2, sees_leukocytes=True)
    assert {name: tuple(tensor.shape) for name, tensor in score.state_dict().items()} == {
        "centre": (25,),
        "whitening": (25, 4),
        "class_means": (2, 4),
    }
    features, leukocytes = torch.rand(3, 5), torch.ones(3, 1, 32, 32)
    together = joined(features, fields(2, 3), leukocytes)
    assert torch.equal(together[:, :5], features)
    score.whitening.copy_(torch.eye(25)[:, :4])
    found = score(torch.zeros(3, 2), features, fields(2, 3), leukocytes)
    np.testing.assert_allclose(found, -features[:, :4].pow(2).mean(dim=1), rtol=1e-6)


def test_it_exports():
    score = InDistribution(4, num_features=5, num_classes=2, sees_leukocytes=True)
    score.whitening.normal_(generator=torch.Generator().manual_seed(0))
    inputs = (torch.zeros(2, 2), torch.rand(2, 5), fields(3, 2), torch.rand(2, 1, 32, 32))
    exported = torch.export.export(score, inputs).module()
    np.testing.assert_allclose(exported(*inputs), score(*inputs), rtol=1e-5)


def test_comparison_finds_what_is_foreign():
    generator = np.random.default_rng(0)

    def described(count, shift):
        return Described(
            generator.normal(size=(count, 2)),
            generator.normal(size=(count, 12)) + 5,
            generator.normal(size=(count, 6)) + shift,
        )

    training, labels = described(200, 0), np.arange(200) % 2
    rows = compare(
        candidates(training, labels, dims=4), described(200, 0), described(200, 0), {"other": described(50, 30)}, 0.02
    )
    by_name = {row["score"]: row for row in rows}
    assert len(rows) == 6
    for name in ("Mahalanobis, statistics", "Mahalanobis, features and statistics"):
        assert by_name[name]["other"] == {"auroc": 1.0, "refused": 1.0}
    energy = by_name["energy (Liu et al. 2020)"]
    assert 0.35 < energy["other"]["auroc"] < 0.65  # the logits do not know
    assert all(row["usable_refused"] < 0.1 for row in rows)
