"""Classifiers of other libraries, adapted: their own probabilities, in the audit's order, and nothing left changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from leuk_hf.adapters import from_keras, from_leuk, from_pipeline, from_torch
from leuk_hf.audit import CLEAN, audit
from leuk_hf.errors import DataError
from leuk_hf.labels import CLASS_NAMES
from leuk_hf.prediction import predict
from leuk_hf.synthetic import render_smear


@pytest.fixture(scope="module")
def smears():
    return [render_smear(name, seed=seed, image_size=64) for seed, name in enumerate(CLASS_NAMES)]


def to_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


class TinyNet(nn.Module):
    """Batch norm and dropout, so that the mode shows in the answers."""

    def __init__(self, outputs=4):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm = nn.Conv2d(3, 6, 3, stride=4), nn.BatchNorm2d(6)
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(6, outputs)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, pixel_values):
        features = self.norm(self.convolution(pixel_values)).relu().mean(dim=(2, 3))
        return 5 * self.head(self.dropout(features))


def expected_of(model, images, transform=to_tensor):
    with torch.no_grad():
        logits = model.eval()(torch.stack([transform(image) for image in images]))
    return torch.softmax(logits.double(), dim=1).numpy()


def test_a_torch_model_answers_in_evaluation_mode_and_stays_in_its_own(smears):
    expected = expected_of(TinyNet(), smears)
    assert np.ptp(expected, axis=0).max() > 0.01  # the fields differ, so their order matters
    for training in (True, False):
        model = TinyNet().train(training)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        np.testing.assert_allclose(from_torch(model, to_tensor)(smears), expected, atol=1e-6)
        assert all(module.training is training for module in model.modules())
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_frozen_part_of_a_torch_model_stays_frozen(smears):
    model = TinyNet().train()
    model.norm.eval()
    from_torch(model, to_tensor)(smears)
    assert model.training and model.dropout.training and not model.norm.training


def test_a_torch_model_that_fails_gets_its_mode_back(smears):
    model = TinyNet().train()
    with pytest.raises(RuntimeError):
        from_torch(model, lambda image: torch.zeros(5, 8, 8))(smears)
    assert all(module.training for module in model.modules())


def test_a_torch_models_outputs_are_put_into_the_audits_order(smears):
    model = TinyNet(outputs=6)
    expected = expected_of(model, smears)
    np.testing.assert_allclose(from_torch(model, to_tensor, order=(5, 0, 3, 1))(smears), expected[:, [5, 0, 3, 1]],
                               atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(from_torch(model, to_tensor)(smears), expected, atol=1e-6)


def test_a_torch_model_in_half_precision(smears):
    expected = expected_of(TinyNet(), smears)
    answers = from_torch(TinyNet().bfloat16(), to_tensor)(smears)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=0.03)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_a_transform_may_give_arrays(smears):
    expected = expected_of(TinyNet(), smears)
    answers = from_torch(TinyNet(), lambda image: to_tensor(image).numpy())(smears)
    np.testing.assert_allclose(answers, expected, atol=1e-6)


class Colours(nn.Module):
    """Nothing to learn: the logits are the mean colours."""

    def forward(self, pixel_values):
        return pixel_values.mean(dim=(2, 3))


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_a_torch_model_without_parameters(kind):
    answers = from_torch(Colours(), lambda image: to_tensor(image).to(getattr(torch, kind)))([flat(255, 0, 51)])
    powers = np.exp([1, 0, 0.2])
    np.testing.assert_allclose(answers, [powers / powers.sum()], atol=1e-6)
    assert answers.dtype == np.float32


def test_a_timm_model(smears):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("test_resnet", pretrained=False, num_classes=4)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    classify = from_torch(model.train(), transform)
    answers = classify(smears)
    assert model.training
    np.testing.assert_allclose(answers, expected_of(model, smears, transform), atol=1e-5)


def test_a_torchvision_model(smears):
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.squeezenet1_1(weights=None, num_classes=4)
    transform = models.SqueezeNet1_1_Weights.DEFAULT.transforms()
    classify = from_torch(model.train(), transform, order=(3, 2, 1, 0))
    answers = classify(smears[:2])
    assert model.training
    np.testing.assert_allclose(answers, expected_of(model, smears[:2], transform)[:, ::-1], atol=1e-5)


def test_this_packages_model_passes_its_refusals_on(tiny_model, smears, monkeypatch):
    probabilities, answered = from_leuk(tiny_model)(smears)
    predictions = predict(tiny_model, smears)
    assert answered.dtype == bool and answered.tolist() == [prediction.answered for prediction in predictions]
    for row, prediction in zip(probabilities, predictions, strict=True):
        np.testing.assert_allclose(row, list(prediction.probabilities.values()), atol=1e-6)
    one, _ = from_leuk(tiny_model)(smears[2:3])
    np.testing.assert_allclose(one[0], probabilities[2], atol=1e-6)


class Pipeline:
    """Stands in for transformers' image-classification pipeline: the best label first."""

    def __init__(self, labels):
        self.labels, self.top_k = labels, []

    def __call__(self, images, top_k=5):
        self.top_k.append(top_k)
        assert isinstance(images, list)
        answers = []
        for image in images:
            share = np.asarray(image).mean() / 255
            scores = [share, *[(1 - share) / (len(self.labels) - 1)] * (len(self.labels) - 1)]
            pairs = [{"label": label, "score": score} for label, score in zip(self.labels, scores, strict=True)]
            answers.append(sorted(pairs, key=lambda pair: -pair["score"])[:top_k])
        return answers


def grey(value):
    return Image.new("RGB", (16, 16), (value, value, value))


@pytest.mark.parametrize(
    "labels",
    [
        ("Pro-B", "Benign", "Early Pre-B", "Pre-B"),
        ("Pro", "Benign", "Early", "Pre"),
        ("[Malignant] Pro-B", "Benign", "[Malignant] early Pre-B", "[Malignant] Pre-B"),
        ("all_pro", "all_benign", "all_early", "all_pre"),
    ],
)
def test_a_pipelines_labels_are_matched_by_name(labels):
    pipeline = Pipeline(labels)
    answers = from_pipeline(pipeline)([grey(51), grey(204)])
    rest = (0.8 / 3, 0.2 / 3)
    np.testing.assert_allclose(answers, [[rest[0]] * 3 + [0.2], [rest[1]] * 3 + [0.8]])
    assert pipeline.top_k == [None]  # all labels, not the best five


def test_a_pipelines_own_labels():
    answers = from_pipeline(Pipeline(("ill", "well")), class_names=("well", "ill"))([grey(51)])
    np.testing.assert_allclose(answers, [[0.8, 0.2]])


def test_a_pipeline_without_a_label_is_told():
    with pytest.raises(DataError) as raised:
        from_pipeline(Pipeline(("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")))([grey(9)])
    assert "LABEL_0" in str(raised.value) and "none for Benign" in str(raised.value)
    with pytest.raises(DataError, match="none for Pre-B"):
        from_pipeline(Pipeline(("Benign", "Early", "Pro")))([grey(9)])


@pytest.mark.parametrize("pair", [("Pre", "Pre-B"), ("all_pre", "[Malignant] Pre-B"), ("Pre-B", "Pre-B")])
def test_two_labels_of_a_pipeline_for_one_class_are_told(pair):
    with pytest.raises(DataError) as raised:
        from_pipeline(Pipeline(("Benign", "Early", "Pro", *pair)))([grey(9)])
    message = str(raised.value)
    assert all(label in message for label in pair) and "both mean the class Pre-B" in message
    assert len(message.splitlines()) == 1


class KerasModel:
    """Takes float32 (N, H, W, 3), gives as probabilities the channels' shares and what is left."""

    def __init__(self):
        self.inputs = []

    def __call__(self, values):
        self.inputs.append(values)
        return values.mean(axis=(1, 2)) @ np.diag([0.5, 0.3, 0.2])


def flat(red, green, blue, size=(40, 20)):
    return Image.new("RGB", size, (red, green, blue))


def test_a_keras_model_gets_resized_floats_from_0_to_1():
    model = KerasModel()
    answers = from_keras(model, (24, 32))([flat(255, 255, 255), flat(255, 0, 51)])
    (values,) = model.inputs
    assert values.shape == (2, 24, 32, 3) and values.dtype == np.float32
    assert values.min() == 0 and values.max() == 1
    np.testing.assert_allclose(answers, [[0.5, 0.3, 0.2], [0.5, 0, 0.04]], atol=1e-6)


def test_a_keras_model_may_bring_its_own_preprocessing_and_order():
    model = KerasModel()
    seen = []

    def preprocess(values):
        seen.append((values.dtype, float(values.min()), float(values.max())))
        return values / 127.5 - 1

    answers = from_keras(model, (8, 8), preprocess=preprocess, order=(2, 0, 1))([flat(255, 0, 255)])
    assert seen == [(np.float32, 0, 255)]
    np.testing.assert_allclose(answers, [[0.2, 0.5, -0.3]], atol=1e-6)


def test_a_keras_models_fields_are_not_mirrored_or_turned():
    corner = Image.new("RGB", (40, 20))
    corner.paste((255, 255, 255), (0, 10, 20, 20))  # bottom left
    model = KerasModel()
    from_keras(model, (4, 8))([corner])
    bright = model.inputs[0][0, :, :, 0] > 0.5
    assert bright[2:, :4].all() and not bright[:2].any() and not bright[:, 4:].any()


class OnGpu:
    """Stands in for a tensor on a GPU: NumPy cannot have it before it is on the CPU."""

    def __init__(self, values):
        self.values = values

    def __array__(self, *_arguments, **_options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def detach(self):
        return OnGpu(self.values.detach())

    def cpu(self):
        return self.values


@pytest.mark.parametrize("kind", ["gradient", "half precision", "gpu"])
def test_a_keras_model_on_the_torch_backend(kind):
    weights = torch.diag(torch.tensor([0.5, 0.25, 0.125])).requires_grad_()

    def model(values):
        answers = torch.from_numpy(values).mean(dim=(1, 2)) @ weights
        assert answers.requires_grad
        return {"gradient": answers, "half precision": answers.bfloat16(), "gpu": OnGpu(answers)}[kind]

    answers = from_keras(model, (8, 8), order=(2, 0, 1))([flat(255, 255, 255), flat(255, 0, 255)])
    assert isinstance(answers, np.ndarray)
    np.testing.assert_allclose(answers, [[0.125, 0.5, 0.25], [0.125, 0.5, 0]], atol=1e-6)


def no_mask(image):
    return np.zeros((image.height, image.width), dtype=bool)


def dark(image):
    mask = no_mask(image)
    mask[20:30, 20:30] = True
    return mask


@pytest.mark.parametrize("kind", ["leuk", "torch", "pipeline", "keras"])
def test_every_adapter_is_what_the_audit_takes(tiny_model, smears, kind):
    adapted = {
        "leuk": from_leuk(tiny_model),
        "torch": from_torch(TinyNet(), to_tensor),
        "pipeline": from_pipeline(Pipeline(CLASS_NAMES)),
        "keras": from_keras(lambda values: np.full((len(values), 4), 0.25, dtype=np.float32), (16, 16)),
    }[kind]
    report = audit(adapted, smears, range(4), rows=["grey"], segment=dark, find_annotation=no_mask, batch_size=3)
    assert (report.figures(CLEAN)["refused"] is None) == (kind != "leuk")
    np.testing.assert_allclose(report.results[1].probabilities.sum(axis=1), 1, atol=1e-5)
