"""The refitted classifier: against another optimiser, and what it says of features that are all 0."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from leuk_hf.errors import DataError
from leuk_hf.last_layer import PENALTY, fit_classifier

pytest.importorskip("sklearn")


def drawn(num_classes, seed=0):
    generator = np.random.default_rng(seed)
    counts = [60, 25, 40, 15][:num_classes]
    labels = np.repeat(np.arange(num_classes), counts)
    features = np.abs(generator.normal(size=(num_classes, 6))[labels] + generator.normal(0, 1.2, (len(labels), 6)) + 2)
    features[:, 2] *= 30
    features[:, 4] = 1.5  # says nothing
    return features, labels


def minimised(features, labels, num_classes, penalty):
    """The same objective by torch: classes weigh the same; empty features count for all, with 5 % of the weight."""
    spread = features.std(axis=0)
    scaled = torch.from_numpy((features - features.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf))
    nothing = torch.from_numpy(-features.mean(axis=0) / np.where(spread > 1e-9, spread, np.inf)).expand(
        num_classes, -1
    )
    weight = torch.zeros(num_classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(num_classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=2000, tolerance_grad=1e-9, line_search_fn="strong_wolfe")
    targets = torch.from_numpy(labels)

    def loss():
        optimizer.zero_grad()
        each = functional.cross_entropy(scaled @ weight.T + bias, targets, reduction="none")
        of_class = torch.stack([each[targets == label].mean() for label in range(num_classes)]).mean()
        empty = functional.cross_entropy(nothing @ weight.T + bias, torch.arange(num_classes))
        total = of_class + 0.05 * empty + penalty / 2 * weight.pow(2).sum()
        total.backward()
        return total

    optimizer.step(loss)
    return (scaled @ weight.T + bias).detach().numpy()


@pytest.mark.parametrize(("num_classes", "penalty"), [(4, PENALTY), (4, 0.1), (3, 0.02)])
def test_logits_agree_with_another_optimiser(num_classes, penalty):
    features, labels = drawn(num_classes)
    weight, bias = fit_classifier(features, labels, num_classes=num_classes, penalty=penalty)
    assert weight.dtype == bias.dtype == torch.float32
    assert torch.equal(weight, weight.half().float()) and torch.equal(bias, bias.half().float())
    found = features @ weight.numpy().T + bias.numpy()
    expected = minimised(features, labels, num_classes, penalty)
    centred = [logits - logits.mean(axis=1, keepdims=True) for logits in (found, expected)]
    np.testing.assert_allclose(centred[0], centred[1], atol=0.02)


def test_two_classes():
    features, labels = drawn(2)
    weight, bias = fit_classifier(features, labels, num_classes=2)
    logits = features @ weight.numpy().T + bias.numpy()
    assert weight.shape == (2, 6) and bias.shape == (2,)
    assert np.mean([(logits.argmax(axis=1) == labels)[labels == label].mean() for label in (0, 1)]) > 0.75


def test_nothing_speaks_for_no_class():
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 50)
    features = np.abs(generator.normal(size=(4, 40))[labels] + generator.normal(0, 1, (200, 40)) + 2)
    _, bias = fit_classifier(features, labels, num_classes=4)
    assert torch.softmax(bias, dim=0).max() < 0.35
    assert len(set(bias.tolist())) > 1


def test_what_says_nothing_gets_no_weight():
    features, labels = drawn(4)
    weight, _ = fit_classifier(features, labels, num_classes=4)
    assert (weight[:, 4] == 0).all() and (weight[:, 2] != 0).all()


def test_what_cannot_be_fitted_is_said():
    features, labels = drawn(3)
    with pytest.raises(DataError, match="class 3 has no training field"):
        fit_classifier(features, labels, num_classes=4)
    with pytest.raises(ValueError, match="penalty is 0"):
        fit_classifier(features, labels, num_classes=3, penalty=0)
