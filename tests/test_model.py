"""LeukDenseNet: parity with timm, strict and exact round trips, every fault one sentence."""

import json
import shutil

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from leuk_hf.backends import load_predictor
from leuk_hf.errors import CheckpointError
from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor

TINY = {"growth_rate": 8, "block_config": (2, 2, 2, 2)}


@pytest.fixture
def model():
    torch.manual_seed(3)
    built = LeukDenseNet(
        class_names=("a", "b", "c"),
        preprocessor=Preprocessor(image_size=48, mean=(0.1, 0.2, 0.3), interpolation="bicubic", clahe_clip_limit=1.5),
        cam_layer="norm5",
        **TINY,
    )
    built.train()
    built(torch.randn(4, 3, 48, 48))  # batch statistics that differ from the initial ones
    return built.eval()


@pytest.fixture
def saved(model, tmp_path):
    model.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and 20 < len(text) < 600
    return text


def test_full_size_has_the_state_dict_of_timm():
    with torch.device("meta"):
        ours = LeukDenseNet().state_dict()
        theirs = timm.create_model("densenet121", num_classes=4).state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {n: t.shape for n, t in theirs.items()}


def test_round_trip_is_exact(model, saved):
    loaded = LeukDenseNet.from_pretrained(saved)
    pixel_values = torch.randn(2, 3, 48, 48)
    assert torch.equal(loaded(pixel_values), model(pixel_values))
    assert loaded.config == model.config
    assert (loaded.class_names, loaded.cam_layer) == (("a", "b", "c"), "norm5")
    assert loaded.preprocessor == model.preprocessor and not loaded.training
    assert {file.name for file in saved.iterdir()} == {"README.md", "config.json", "model.safetensors"}


def test_timm_alone_loads_our_files(model, saved):
    theirs = timm.create_model(f"local-dir:{saved}", pretrained=True).eval()
    pixel_values = torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(theirs(pixel_values), model(pixel_values), rtol=0, atol=0)
    data = timm.data.resolve_model_data_config(theirs)
    assert tuple(data["input_size"]) == (3, 48, 48) and tuple(data["mean"]) == (0.1, 0.2, 0.3)
    assert data["interpolation"] == "bicubic" and data["crop_pct"] == 1.0
    assert theirs.pretrained_cfg["label_names"] == ["a", "b", "c"]


def test_saving_keeps_a_card_and_leaves_nothing_half_written(model, saved):
    (saved / "README.md").write_text("edited")
    model.save_pretrained(saved)
    assert (saved / "README.md").read_text() == "edited"
    assert len(list(saved.iterdir())) == 3
    (saved.parent / "file").write_text("")
    with pytest.raises(CheckpointError) as error:
        model.save_pretrained(saved.parent / "file")
    assert "is a file" in one_line(error)


def test_half_precision_file_loads_as_float32(model, saved):
    tensors = load_file(saved / "model.safetensors")
    halved = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
    save_file(halved, saved / "model.safetensors")
    loaded = LeukDenseNet.from_pretrained(saved)
    assert loaded.classifier.weight.dtype == torch.float32
    assert torch.equal(loaded.classifier.weight, model.classifier.weight.half().float())


def test_settings_override_the_config(saved):
    assert LeukDenseNet.from_pretrained(saved, cam_layer="denseblock2").cam_layer == "denseblock2"
    with pytest.raises(TypeError, match="unknown setting 'layer'"):
        LeukDenseNet.from_pretrained(saved, layer="denseblock2")


def edit_config(saved, change):
    config = json.loads((saved / "config.json").read_text())
    change(config)
    (saved / "config.json").write_text(json.dumps(config))


def edit_tensors(saved, change):
    tensors = load_file(saved / "model.safetensors")
    change(tensors)
    save_file(tensors, saved / "model.safetensors")


FAULTS = {
    "no config": (lambda saved: (saved / "config.json").unlink(), "has no config.json"),
    "no weights": (lambda saved: (saved / "model.safetensors").unlink(), "has no model.safetensors"),
    "broken JSON": (lambda saved: (saved / "config.json").write_text("{"), "not readable JSON"),
    "a list": (lambda saved: (saved / "config.json").write_text("[1]"), "no leuk_hf section"),
    "foreign config": (lambda saved: (saved / "config.json").write_text("{}"), "no leuk_hf section"),
    "newer schema": (
        lambda saved: edit_config(saved, lambda config: config["leuk_hf"].update(schema_version=99)),
        "upgrade leuk_hf",
    ),
    "unknown setting": (
        lambda saved: edit_config(saved, lambda config: config["leuk_hf"].update(speed=1)),
        "settings: speed",
    ),
    "missing setting": (
        lambda saved: edit_config(saved, lambda config: config["leuk_hf"].pop("cam_layer")),
        "settings: cam_layer",
    ),
    "unknown preprocessor setting": (
        lambda saved: edit_config(saved, lambda config: config["leuk_hf"]["preprocessor"].update(gamma=2)),
        "preprocessor settings: gamma",
    ),
    "bad layer": (
        lambda saved: edit_config(saved, lambda config: config["leuk_hf"].update(cam_layer="top")),
        "no layer 'top'",
    ),
    "bad type": (
        lambda saved: edit_config(saved, lambda config: config["leuk_hf"].update(growth_rate="many")),
        "config.json",
    ),
    "class count": (
        lambda saved: edit_config(saved, lambda config: config["leuk_hf"].update(class_names=["a", "b"])),
        "num_classes is 3",
    ),
    "class count of the weights": (
        lambda saved: edit_config(
            saved,
            lambda config: (
                config.update(num_classes=2),
                config["leuk_hf"].update(class_names=["a", "b"]),
                config["pretrained_cfg"].update(label_names=["a", "b"]),
            ),
        ),
        "classifier",
    ),
    "not a number": (
        lambda saved: edit_tensors(saved, lambda tensors: tensors["classifier.bias"].fill_(float("nan"))),
        "not finite",
    ),
    "timm's part says otherwise": (
        lambda saved: edit_config(saved, lambda config: config["pretrained_cfg"].update(std=[1, 1, 1])),
        "pretrained_cfg contradict",
    ),
    "quantised tensor": (
        lambda saved: edit_tensors(
            saved, lambda tensors: tensors.update({"classifier.bias": torch.zeros(3, dtype=torch.int8)})
        ),
        "quantised",
    ),
    "endless brackets": (lambda saved: (saved / "config.json").write_text("[" * 100_000), "not readable JSON"),
    "missing tensor": (
        lambda saved: edit_tensors(saved, lambda tensors: tensors.pop("classifier.bias")),
        "lacks classifier.bias",
    ),
    "extra tensor": (
        lambda saved: edit_tensors(saved, lambda tensors: tensors.update(extra=torch.zeros(1))),
        "unknown extra",
    ),
    "corrupt weights": (lambda saved: (saved / "model.safetensors").write_bytes(b"\x00" * 100), "is damaged"),
    "truncated weights": (
        lambda saved: (saved / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:-50]),
        "is damaged",
    ),
}


ABSURD = {
    "growth_rate": (10**9, 0, 8.0, True),
    "bn_size": (10**6, 0, "4"),
    "block_config": ([], [2, 2, 65, 2], [2, 0, 2, 2], [2.0, 2, 2, 2], [1] * 7, "2222", 4, None),
    "drop_rate": (1, -0.1, "0", float("nan")),
    "preprocessor": {
        "image_size": (2049, 10**9, 31, 64.0),
        "clahe_tiles": (65, 10**6, 0, 8.5),
        "clahe_clip_limit": (0, -1.0, float("nan")),
        "std": ([1e-4, 0.2, 0.2], [0.2, 0.2, 0.0], [float("nan"), 0.2, 0.2]),
    },
    "refusal_limits": {"smallest_side": (-1,), "lowest_cell_size": (0.5,), "lowest_leukocyte_diameter": (0.5,)},
}


def absurd_values():
    for name, values in ABSURD.items():
        if isinstance(values, dict):
            yield from ((name, key, value) for key, several in values.items() for value in several)
        else:
            yield from ((None, name, value) for value in values)


@pytest.mark.parametrize(("section", "name", "value"), absurd_values())
def test_absurd_settings_are_named(saved, section, name, value):
    def change(config):
        ours = config["leuk_hf"]
        ours["refusal_limits"].update(highest_cell_size=0.4, highest_leukocyte_diameter=0.4)
        (ours[section] if section else ours)[name] = value

    edit_config(saved, change)
    with pytest.raises(CheckpointError) as error:
        LeukDenseNet.from_pretrained(saved)
    assert f": {name} " in one_line(error) or (name == "std" and "std at least 0.001" in one_line(error))


def test_a_network_of_allowed_parts_that_is_too_large_is_refused_before_it_is_built():
    with pytest.raises(ValueError, match=r"make a network of 5,\d{3},\d{3},\d{3} weights; make it smaller"):
        LeukDenseNet(growth_rate=128, block_config=(64, 64, 64, 64), bn_size=16)
    from leuk_hf.model_config import check_architecture

    for growth_rate, block_config in ((48, (6, 12, 64, 48)), (32, (6, 12, 24, 16)), (4, (1, 1, 1, 1, 1))):
        check_architecture(growth_rate=growth_rate, block_config=block_config, bn_size=4, drop_rate=0.2)


def test_weights_are_counted_as_timm_builds_them(model):
    from leuk_hf.model_config import _num_weights

    built = {name: tensor.numel() for name, tensor in model.named_parameters() if tensor.ndim == 4}
    del built["features.conv0.weight"]
    assert _num_weights(8, (2, 2, 2, 2), 4) == sum(built.values())


@pytest.mark.parametrize("value", [None, {}, {"image_size": 64}])
@pytest.mark.parametrize("name", ["preprocessor", "refusal_limits"])
def test_settings_of_another_class_are_refused_at_once(model, saved, name, value):
    kind = {"preprocessor": "preprocessing.Preprocessor", "refusal_limits": "field_checks.RefusalLimits"}[name]
    for call in (LeukDenseNet, model.adapted, lambda **given: LeukDenseNet.from_pretrained(saved, **given)):
        with pytest.raises(TypeError) as error:
            call(**{name: value})
        assert str(error.value) == f"{name} is {value!r}; give a leuk_hf.{kind}"


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_checkpoints_get_one_sentence(saved, fault):
    spoil, expected = FAULTS[fault]
    spoil(saved)
    with pytest.raises(CheckpointError) as error:
        LeukDenseNet.from_pretrained(saved)
    assert expected in one_line(error)


@pytest.mark.parametrize(
    "source", ["nobody/nothing", "./no/such/folder", "a/b/c", "../x", "C:\\models\\x", "", "~nobody-here/x", "x" * 300]
)
def test_unknown_sources_get_one_sentence(source):
    with pytest.raises(CheckpointError) as error:
        LeukDenseNet.from_pretrained(source)
    one_line(error)


def test_a_number_is_no_source():
    with pytest.raises(CheckpointError) as error:
        LeukDenseNet.from_pretrained(3)
    assert one_line(error) == "3 is no name of a checkpoint; give a folder or a Hub id (owner/name)"


def test_a_folder_has_no_revision(saved):
    for load in (LeukDenseNet.from_pretrained, LeukDenseNet.from_imagenet, load_predictor):
        for source in (saved, str(saved)):
            with pytest.raises(CheckpointError) as error:
                load(source, revision="v9")
            said = one_line(error)
            assert said == f"a revision (v9) belongs to a Hub id; {saved} is a folder; leave it out"
    for load in (LeukDenseNet.from_pretrained, load_predictor):
        with pytest.raises(CheckpointError) as error:
            load(revision="v9")
        assert "(v9) belongs to a Hub id; the shipped checkpoint (" in one_line(error)


def test_a_file_is_not_a_checkpoint(saved):
    with pytest.raises(CheckpointError) as error:
        LeukDenseNet.from_pretrained(saved / "config.json")
    assert "is a file" in one_line(error)


def test_imagenet_weights_offline_get_one_sentence():
    with pytest.raises(CheckpointError) as error:
        LeukDenseNet.from_imagenet()
    assert "Hub cannot be reached" in one_line(error)


def test_imagenet_weights_from_a_folder(tmp_path):
    torch.manual_seed(0)
    backbone = timm.create_model("densenet121", num_classes=1000, **TINY)
    save_file(backbone.state_dict(), tmp_path / "model.safetensors")
    started = LeukDenseNet.from_imagenet(tmp_path, **TINY)
    assert torch.equal(started.features.conv0.weight, backbone.features.conv0.weight)
    assert started.classifier.out_features == 4
    in_colour = LeukDenseNet.from_imagenet(tmp_path, view="leukocytes_in_colour", **TINY)
    stem = in_colour.features.conv0.weight
    assert torch.equal(stem[:, :3], backbone.features.conv0.weight) and stem.shape[1] == 5 and not stem[:, 3:].any()


def test_adapted_keeps_features_and_renews_the_classifier(model):
    other = model.adapted(class_names=("x", "y"))
    assert torch.equal(other.features.conv0.weight, model.features.conv0.weight)
    assert other.classifier.out_features == 2 and other.preprocessor == model.preprocessor
    same = model.adapted(preprocessor=Preprocessor(image_size=64))
    assert torch.equal(same.classifier.weight, model.classifier.weight)
    assert same.classifier.weight is not model.classifier.weight


@pytest.mark.parametrize(
    "settings", [{"class_names": ("a",)}, {"class_names": "ab"}, {"class_names": ("a", "a")}, {"cam_layer": "x"}]
)
def test_bad_arguments_raise(settings):
    with pytest.raises(ValueError):
        LeukDenseNet(**{**TINY, **settings})


def test_preprocess_takes_one_or_many(model):
    image = Image.new("RGB", (60, 40), (10, 200, 30))
    one, many = model.preprocess(image), model.preprocess([image, image])
    assert one.shape == (1, 3, 48, 48) and many.shape == (2, 3, 48, 48) and one.dtype == torch.float32
    assert torch.equal(one[0], many[1])


def test_gradients_reach_every_parameter(model):
    model.train()
    model(torch.randn(2, 3, 48, 48)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_card_says_what_it_must(saved):
    card = (saved / "README.md").read_text(encoding="utf-8")
    assert "library_name: leuk_hf" in card and "must not be used for diagnosis" in card
    assert "More Information Needed" not in card and "{{" not in card


def test_checkpoint_moved_elsewhere_still_loads(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "blood [1]" / "ß")
    assert LeukDenseNet.from_pretrained(tmp_path / "blood [1]" / "ß").class_names == ("a", "b", "c")
