"""LeukDenseNet: the network of `leuk_hf.network` with its files, its preprocessing and its Hub.

Shared contract: pixel_values are float32 (N, 3, H, W) from `preprocess`; logits are (N, K), K classes in the
order of `class_names`. With `view="field"`, output_stride 32 and one orientation the network is the stock one, its
state-dict keys are timm's own (`features.*`, `classifier.*`), and `timm.create_model("local-dir:...")` and
`"hf-hub:..."` load the same files. In the views of leukocytes it reads what `leuk_hf.leukocyte_view` leaves of a field
(keys `leukocytes.*`). What timm alone cannot run, the config names by an architecture that timm does not know.
"""

import hashlib
import inspect
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import HfApi, ModelCard, PyTorchModelHubMixin
from PIL import Image

from leuk_hf import checkpoint_io
from leuk_hf.errors import CheckpointError
from leuk_hf.field_checks import RefusalLimits
from leuk_hf.hub import plain_errors
from leuk_hf.hub_cards import marked
from leuk_hf.hub_weights import adapt_push
from leuk_hf.image_io import ImageSource, load_image
from leuk_hf.model_card import render_model_card
from leuk_hf.model_config import IMAGENET_REPOSITORY, check_kinds, config_of
from leuk_hf.network import DenseNetClassifier

_STEM = "features.conv0.weight"


class LeukDenseNet(
    DenseNetClassifier,
    PyTorchModelHubMixin,
    library_name="leuk_hf",
    pipeline_tag="image-classification",
    license="mit",
    tags=["medical", "hematology", "leukemia", "densenet", "timm", "pytorch"],
):
    """DenseNet-121 for smear fields, to load, save and publish.

    `LeukDenseNet(...)` takes the arguments of `leuk_hf.network.DenseNetClassifier`, gives random weights and asks no
    server; `from_pretrained` gives trained ones.
    """

    def preprocess(self, images: ImageSource | Sequence[ImageSource]) -> torch.Tensor:
        """Turn images into pixel_values.

        Args:
            images: One or several of what `load_image` takes.

        Returns:
            float32 (N, 3, image_size, image_size), on the CPU.

        Raises:
            ImageError: If an image cannot be used.
        """
        several: Any = images if isinstance(images, (list, tuple)) else [images]
        side = self.preprocessor.sufficient_side
        return torch.from_numpy(self.preprocessor([load_image(image, reduce_to=side) for image in several]))

    def enhance(self, image: ImageSource) -> Image.Image:
        """Show an image as the network sees it before normalisation: RGB uint8, squashed, CLAHE applied."""
        return self.preprocessor.enhance(load_image(image))

    def identity(self) -> str:
        """Compute the SHA-256 of weights and settings: 64 hexadecimal digits, the same for any dtype and device."""
        digest = hashlib.sha256(json.dumps(self.config["leuk_hf"], sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def config(self) -> dict[str, Any]:
        """What config.json holds: our settings, and what timm alone needs to load the weights."""
        return config_of(self.settings, self.architecture, self.num_features)

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        config: dict[str, Any] | None = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write config.json, model.safetensors and, if there is none, README.md; each file whole or not at all.

        Args:
            save_directory: Made if missing.
            config: Replaces the model's own config; leave it out.
            repo_id: Hub id to push to; by default the folder's name.
            push_to_hub: Whether to push to the Hub afterwards.
            model_card_kwargs: Passed to `generate_model_card`.
            **push_to_hub_kwargs: Passed to `push_to_hub`.

        Returns:
            The commit's URL when pushed, else None.

        Raises:
            CheckpointError: If `save_directory` is a file.
        """
        target = Path(save_directory)
        if target.exists() and not target.is_dir():
            raise CheckpointError(f"{target} is a file; give a folder to save the checkpoint in")
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".saving-") as temporary:
            super().save_pretrained(temporary, config=config or self.config, model_card_kwargs=model_card_kwargs)
            for file in sorted(Path(temporary).iterdir()):
                if file.name != "README.md" or not (target / file.name).exists():
                    file.replace(target / file.name)
        if push_to_hub:
            return self.push_to_hub(repo_id or target.name, model_card_kwargs=model_card_kwargs, **push_to_hub_kwargs)
        return None

    def push_to_hub(  # type: ignore[override]
        self, repo_id: str, *, token: str | None = None, overwrite_card: bool = False, **options: Any
    ) -> str:
        """Publish config, weights and card in one commit; `scripts/push_to_hub.py` publishes more.

        A repository that has these very weights and settings, in whatever precision, keeps them, its card and
        whatever else it has; only `model_card_kwargs` make a new card then. Of one that has others, what was made
        from those (results, plots, training record, graphs) is deleted in the same commit, and the new card says
        so; a warning lists it. A card that was edited on the Hub is kept, with a warning.

        Args:
            repo_id: "owner/name", or "name" for the token's own user; made if missing.
            token: By default the one saved by `hf auth login`, or HF_TOKEN.
            overwrite_card: Replace the card that is there, even if it was edited on the Hub.
            **options: As for `PyTorchModelHubMixin.push_to_hub`: private, commit_message, branch, create_pr,
                model_card_kwargs and so on.

        Returns:
            The commit's URL (`CommitInfo`, a str with oid, pr_url and so on).

        Raises:
            HubError: One sentence on what the Hub refuses and what to do; also if a card that was edited there has
                figures of other weights.
        """
        with plain_errors(repo_id):
            options = adapt_push(self, HfApi(token=token), repo_id, options, overwrite_card=overwrite_card)
            return super().push_to_hub(repo_id, token=token, **options)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path | None = None,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **settings: Any,
    ) -> "LeukDenseNet":
        """Load a checkpoint, strictly: every tensor must be there and fit, no other may be.

        Args:
            pretrained_model_name_or_path: A folder, a Hub id, or None for the checkpoint shipped with leuk_hf.
            revision: Branch, tag or commit of a Hub id.
            token: Hub token; by default the one saved by `hf auth login`.
            cache_dir: Where downloads are kept.
            local_files_only: Use the cache only.
            force_download: Download again.
            **settings: Arguments of `__init__` that replace those in config.json, such as `cam_layer`.

        Returns:
            The model in evaluation mode, float32, on the CPU, whatever precision the file has.

        Raises:
            CheckpointError: One sentence on what is wrong with the checkpoint and what to do.
            TypeError: If a setting is unknown, or preprocessor or refusal_limits of another class.
        """
        download = {
            "revision": revision,
            "token": token,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
            "force_download": force_download,
        }
        source = pretrained_model_name_or_path
        path = checkpoint_io.locate(source, checkpoint_io.CONFIG_NAME, **download)
        known = set(inspect.signature(cls.__init__).parameters) - {"self"}
        if unknown := sorted(set(settings) - known):
            raise TypeError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
        check_kinds(settings)
        stored = checkpoint_io.read_config(path)
        if differing := sorted(known ^ set(stored)):
            raise CheckpointError(f"{path}: missing or unknown leuk_hf settings: {', '.join(differing)}")
        try:
            model = cls(**{**stored, **settings})
        except (TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path}: {error}") from error
        if not settings:
            checkpoint_io.check_mirror(path, model.config)
        weights = checkpoint_io.locate(source, checkpoint_io.WEIGHTS_NAME, **download)
        model.load_state_dict(checkpoint_io.read_state_dict(weights, model.state_dict()))
        return model.eval()

    def adapted(self, **settings: Any) -> "LeukDenseNet":
        """Start a new model from this one's weights, for fine-tuning on other classes or at another size.

        Of what was fitted on a calibration part only the correction of the classes' bias comes along, which is in the
        classifier's weights; to start from weights that no calibration field has touched, take those of the run.

        Args:
            **settings: Arguments of `__init__` that replace this model's, but for the architecture. With other
                class_names the classifier starts from random weights. Leukocytes are looked for as they are here
                (`outline_orientations`); fields are read in one orientation, as training shows them in every one.

        Returns:
            A new model in evaluation mode; this one is untouched.
        """
        # What was fitted on a calibration part belongs to the weights, classes and preprocessing it was fitted to.
        unfitted: dict[str, Any] = {
            "temperature": 1.0,
            "conformal_quantiles": (),
            "refusal_limits": RefusalLimits(),
            "in_distribution_dims": 0,
            "field_orientations": 1,
        }
        if settings.get("view") == "field":
            unfitted["outline_orientations"] = 1
        model = type(self)(**{**self.settings, **unfitted, **settings})
        state_dict = {name: tensor for name, tensor in self.state_dict().items() if name in model.state_dict()}
        state_dict.update(model._own_state(prefix="in_distribution."))
        if model.class_names != self.class_names:
            state_dict.update(model._own_state(prefix="classifier."))
        state_dict[_STEM] = _for_channels(state_dict[_STEM], model.state_dict()[_STEM].shape[1])
        model.load_state_dict(state_dict)
        return model.eval()

    def _own_state(self, prefix: str = "") -> dict[str, torch.Tensor]:
        """Give the tensors that no other DenseNet-121 has, of those whose names start so."""
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if name.startswith(prefix) and not name.startswith("features.")
        }

    @classmethod
    def from_imagenet(
        cls, repo_id: str = IMAGENET_REPOSITORY, *, revision: str | None = None, **settings: Any
    ) -> "LeukDenseNet":
        """Start a new model from timm's ImageNet weights on the Hub, with a random classifier.

        Args:
            repo_id: A timm DenseNet-121 on the Hub (or a folder), such as "timm/densenet121.ra_in1k".
            revision: Branch, tag or commit.
            **settings: Arguments of `__init__`.

        Returns:
            The model in evaluation mode.

        Raises:
            CheckpointError: If the weights cannot be had, for one because there is no network.
        """
        weights = checkpoint_io.locate(repo_id, checkpoint_io.WEIGHTS_NAME, revision=revision)
        model = cls(**settings)
        backbone = timm.create_model("densenet121", num_classes=1000, **model.architecture)
        state_dict = checkpoint_io.read_state_dict(weights, backbone.state_dict())
        state_dict.update(model._own_state())
        state_dict[_STEM] = _for_channels(state_dict[_STEM], model.state_dict()[_STEM].shape[1])
        model.load_state_dict(state_dict)
        return model.eval()

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """Render the card from model_card.md.

        Args:
            *args: None.
            **kwargs: As for `model_card.render_model_card`: results and training, the content of the results.json
                and training.json that belong to these weights, and so on.
        """
        card = render_model_card(self._hub_mixin_info.model_card_data, self.config, **kwargs)
        return ModelCard(marked(str(card)))


def _for_channels(stem: torch.Tensor, count: int) -> torch.Tensor:
    """Let a first convolution (C, channels, k, k) read more channels, by zeros that change no answer, or fewer.

    Fewer do change answers: what was learned of the others is cut off.
    """
    missing = max(0, count - stem.shape[1])
    return torch.cat([stem[:, :count], stem.new_zeros(stem.shape[0], missing, *stem.shape[2:])], dim=1)
