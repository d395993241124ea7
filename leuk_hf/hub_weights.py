"""Pushing weights alone onto a repository that may hold more: nothing there may go on to speak of other weights.

Shared contract: figures, plots and graphs lie in a repository only beside the weights that they were made from.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leuk_hf import export_record
from leuk_hf.checkpoint_io import CONFIG_NAME, RESULTS_NAME, WEIGHTS_NAME
from leuk_hf.errors import CheckpointError, HubError
from leuk_hf.hub_cards import CARD_NAME, edited_card, named_metadata

if TYPE_CHECKING:
    from leuk_hf.model import LeukDenseNet

# What a checkpoint's folder may hold beside config and weights.
COMPANIONS = ("training.json", "split.csv", RESULTS_NAME, export_record.RECORD_NAME, *export_record.GRAPH_NAMES)
OF_THE_WEIGHTS = (*COMPANIONS, "plots/*")
_FIGURES = ("model-index", "widget")
# Metadata of a card that hold for the weights beside it alone.
CARD_CLAIMS = (*_FIGURES, "base_model")


def adapt_push(
    model: LeukDenseNet, api: Any, repo_id: str, options: dict[str, Any], *, overwrite_card: bool
) -> dict[str, Any]:
    """Complete the options of a push, so that the commit leaves nothing that was made from other weights.

    Args:
        model: To be pushed.
        api: `huggingface_hub.HfApi`.
        repo_id: Of the repository, which may be missing.
        options: Of `PyTorchModelHubMixin.push_to_hub`.
        overwrite_card: Replace the card that is there, whoever wrote it.

    Returns:
        The options to push with.

    Raises:
        HubError: If a card that was edited on the Hub shows figures of other weights.
    """
    from huggingface_hub import get_token
    from huggingface_hub.utils import filter_repo_objects

    if "/" not in repo_id and (api.token or get_token()):
        repo_id = f"{api.whoami()['name']}/{repo_id}"
    place: dict[str, Any] = {"repo_id": repo_id, "revision": options.get("branch")}
    names = _files_there(api, place)
    edited = None if overwrite_card else edited_card(api, **place)
    filters = {key: options.get(key) for key in ("allow_patterns", "ignore_patterns")}
    if len(list(filter_repo_objects([CONFIG_NAME, WEIGHTS_NAME], **filters))) < 2:  # the caller chooses the files
        return _keeping(options, repo_id, edited, [])
    if _identity_there(model, api, place, names) == model.identity():
        # Its values are there, perhaps in half precision: a new file would part them from the graphs made from it.
        kept = [CONFIG_NAME, WEIGHTS_NAME]
        if CARD_NAME in names and not (overwrite_card or options.get("model_card_kwargs")):
            kept.append(CARD_NAME)
        return _keeping(options, repo_id, edited, kept)
    if edited is not None and (claims := named_metadata(edited, _FIGURES)):
        raise HubError(
            f"{CARD_NAME} of {repo_id} was edited on the Hub and has the {' and '.join(claims)} of other weights; take"
            " that out there, or replace the card by overwrite_card=True"
        )
    if WEIGHTS_NAME in names or made_from_others(names):
        options = _instead_of_others(model, api, place, names, options, replaces_card=edited is None)
    return _keeping(options, repo_id, edited, [])


def made_from_others(names: Sequence[str]) -> list[str]:
    """Choose what new weights make untrue.

    Args:
        names: Of the files in a repository.
    """
    from huggingface_hub.utils import filter_repo_objects

    return sorted(filter_repo_objects(names, allow_patterns=list(OF_THE_WEIGHTS)))


def _instead_of_others(
    model: LeukDenseNet,
    api: Any,
    place: dict[str, Any],
    names: list[str],
    options: dict[str, Any],
    *,
    replaces_card: bool,
) -> dict[str, Any]:
    untrue = made_from_others(names)
    gone = [*untrue, *([CARD_NAME] if replaces_card and CARD_NAME in names else [])]
    if gone:
        warnings.warn(
            f"{place['repo_id']} had other weights; what told of them is replaced or deleted: {', '.join(gone)};"
            " scripts/push_to_hub.py publishes the like for these",
            stacklevel=4,
        )
    card = dict(options.get("model_card_kwargs") or {})
    if untrue:
        card.setdefault("earlier", api.model_info(**place).sha)
    card.setdefault("widget", _widget_for(model, api, place, names))
    deleted = [*_listed(options.get("delete_patterns")), *untrue]
    return {**options, "model_card_kwargs": card, "delete_patterns": deleted or None}


def _keeping(options: dict[str, Any], repo_id: str, edited: Path | None, kept: list[str]) -> dict[str, Any]:
    if edited is not None:
        warnings.warn(f"the card of {repo_id} was edited on the Hub and is kept", stacklevel=4)
        kept = [*kept, CARD_NAME]
    if not kept:
        return options
    return {**options, "ignore_patterns": [*_listed(options.get("ignore_patterns")), *kept]}


def _listed(patterns: list[str] | str | None) -> list[str]:
    return [patterns] if isinstance(patterns, str) else list(patterns or ())


def _files_there(api: Any, place: dict[str, Any]) -> list[str]:
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return api.list_repo_files(**place)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return []  # the push makes it, or says that it may not


def _identity_there(model: LeukDenseNet, api: Any, place: dict[str, Any], names: list[str]) -> str | None:
    """Identify the weights of a repository; None without any that can be read."""
    if not {CONFIG_NAME, WEIGHTS_NAME} <= set(names):
        return None
    commit = {**place, "revision": api.model_info(**place).sha}
    config, _ = (Path(api.hf_hub_download(filename=name, **commit)) for name in (CONFIG_NAME, WEIGHTS_NAME))
    try:
        return type(model).from_pretrained(config.parent).identity()
    except CheckpointError:
        return None


def _widget_for(model: LeukDenseNet, api: Any, place: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """Answer the samples that lie in a repository."""
    from leuk_hf.samples import EXAMPLES_NAME, sample_answers  # which loads the model's module in its turn

    samples = [name for name in sorted(names) if name.startswith(f"{EXAMPLES_NAME}/") and name.endswith(".png")]
    return sample_answers(model, [Path(api.hf_hub_download(filename=name, **place)) for name in samples])
