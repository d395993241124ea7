"""Publishing a folder on the Hugging Face Hub: one commit or none, none if nothing changed, plain words if it fails.

Shared contract: what is published is a folder that also makes sense on its own, so that `hf upload` of it gives the
same repository. A card (README.md) that was edited on the Hub is kept, if it agrees with what is published.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leuk_hf.errors import HubError, LeukError, one_line
from leuk_hf.hub_cards import CARD_NAME, differing_metadata, edited_card
from leuk_hf.hub_files import Refused, refusal

REPO_TYPES = ("model", "dataset", "space")
_PLAIN = {
    400: "the Hub refuses the request ({reason}); mend what it names",
    401: "the Hub does not accept the token; run `hf auth login` with a new one",
    402: "the Hub asks for a paid plan for this{said}; choose another kind of repository (huggingface.co/pricing)",
    403: "this token may not write to {repo_id}{said}; use one with write access, or another owner",
    404: "there is no {repo_id} that this token may see; check the name and the token",
    409: "somebody else is changing {repo_id}; run the same command again",
    412: "{repo_id} got another commit meanwhile; run the same command again",
    413: "a file is too large for the Hub ({reason}); publish less",
    429: "the Hub limits how often it may be asked; wait a few minutes and run the same command again",
}


@dataclasses.dataclass(frozen=True)
class Published:
    """What came of publishing.

    Args:
        url: Of the repository, or of the pull request.
        commit: 40 hexadecimal digits: the new commit or, if nothing changed, the one that was there.
        changed: Whether there is a new commit.
        kept_card: Whether the card on the Hub was edited there and stays.
    """

    url: str
    commit: str
    changed: bool
    kept_card: bool

    def __str__(self) -> str:
        lines = [self.url, f"commit {self.commit}"]
        if not self.changed:
            lines.append("nothing has changed since; no commit was made")
        if self.kept_card:
            lines.append(f"{CARD_NAME} was edited on the Hub and is kept; --overwrite-card replaces it")
        return "\n".join(lines)


def publish_folder(
    folder: Path,
    repo_id: str,
    *,
    repo_type: str = "model",
    message: str,
    private: bool | None = None,
    branch: str | None = None,
    create_pr: bool = False,
    tag: str | None = None,
    token: str | None = None,
    obsolete: Sequence[str] = (),
    overwrite_card: bool = False,
    card_agrees_on: Sequence[str] = (),
    space_hardware: str | None = None,
) -> Published:
    """Publish a folder as a repository, which is made if it is missing.

    Args:
        folder: Its files, all of them.
        repo_id: "owner/name", or "name" for the token's own user.
        repo_type: One of `REPO_TYPES`.
        message: Of the commit.
        private: Whether a new repository is private, which one that is there must then be, too; None: as the owner
            has set.
        branch: Made if missing; by default the main one.
        create_pr: Open a pull request instead of committing to the branch.
        tag: Put onto the commit; may exist if it is there already.
        token: By default the one saved by `hf auth login`, or HF_TOKEN.
        obsolete: Patterns of files that earlier versions may have left; removed unless the folder has them.
        overwrite_card: Replace the card even if it was edited on the Hub.
        card_agrees_on: Metadata without which what is published would not work, or would be shown with figures of
            something else: an edited card is kept only if it says the same of them as the folder's.
        space_hardware: Of a new Space, such as "zero-a10g".

    Returns:
        Where it is.

    Raises:
        HubError: One sentence; nothing is published then, apart from an empty repository or branch, unless it says so.
    """
    from huggingface_hub.errors import HfHubHTTPError

    if repo_type not in REPO_TYPES:
        raise HubError(f"there is no repository type {repo_type!r}; choose {', '.join(REPO_TYPES)}")
    if not folder.is_dir():
        raise HubError(f"{folder} is no folder; give the one to publish")
    _check_options(branch, tag, create_pr)
    api = _api(token)
    with plain_errors(repo_id):
        repo_id, is_new = _make_repo(api, repo_id, repo_type, private, space_hardware)
        place: dict[str, Any] = {"repo_id": repo_id, "repo_type": repo_type}
        if branch and not create_pr:
            api.create_branch(**place, branch=branch, exist_ok=True)
        info = api.repo_info(**place, revision=branch)
        _check_privacy(repo_id, info, private)
        before: str | None = info.sha or None  # a Hub may make repositories without a first commit
        theirs = None if is_new or overwrite_card else edited_card(api, **place, revision=branch)
        if theirs is not None and (other := differing_metadata(theirs, folder / CARD_NAME, card_agrees_on)):
            raise HubError(
                f"{CARD_NAME} of {repo_id} was edited on the Hub and differs in {' and '.join(other)} from what is to"
                " be published; make it agree there, or replace it by --overwrite-card"
            )
        tagged = _commit_of_tag(api, place, tag)
        if tagged not in (None, before):
            raise HubError(f"{repo_id} has a tag {tag} on another commit ({tagged}); choose a new one")
        # Not upload_folder: where the client has hf_xet, that makes several commits of many files, or of a failed one.
        commit = api.create_commit(
            **place,
            operations=_operations(api, place, folder, branch, obsolete, keep_card=theirs is not None),
            commit_message=message,
            revision=branch,
            create_pr=create_pr,
            parent_commit=None if create_pr else before,
        )
        if tagged not in (None, commit.oid):
            raise HubError(f"published as {commit.oid}, but the tag {tag} stays on {tagged}; choose a new one")
        if tag and not tagged:
            try:
                api.create_tag(**place, tag=tag, revision=commit.oid)
            except HfHubHTTPError as error:
                raise HubError(
                    f"published as {commit.oid}, but without the tag {tag} ({_sentence(error, repo_id)})"
                ) from error
    url = commit.pr_url or str(commit.repo_url)
    return Published(url, commit.oid, commit.oid != before, theirs is not None)


def check_access(
    repo_id: str,
    *,
    repo_type: str = "model",
    private: bool | None = None,
    branch: str | None = None,
    create_pr: bool = False,
    tag: str | None = None,
    token: str | None = None,
) -> None:
    """Refuse what `publish_folder` would refuse, as far as the Hub tells beforehand; nothing is changed there.

    Args:
        repo_id: As for `publish_folder`, and so are the others.
        repo_type: One of `REPO_TYPES`.
        private: Whether the repository must be private.
        branch: To commit to.
        create_pr: Whether a pull request is meant, which takes no right to write.
        tag: Of the commit.
        token: By default the one saved by `hf auth login`, or HF_TOKEN.

    Raises:
        HubError: One sentence.
    """
    import huggingface_hub

    _check_options(branch, tag, create_pr)
    api = _api(token)
    with plain_errors(repo_id):
        huggingface_hub.utils.validate_repo_id(repo_id)
        user = api.whoami()
        name = repo_id if "/" in repo_id else f"{user.get('name')}/{repo_id}"
        if _may_not_write(user, name.split("/")[0], create_pr):
            raise HubError(_PLAIN[403].format(repo_id=name, said=""))
        if ("/" in repo_id or user.get("name")) and api.repo_exists(name, repo_type=repo_type):
            _check_privacy(name, api.repo_info(name, repo_type=repo_type), private)


@contextmanager
def plain_errors(repo_id: str) -> Iterator[None]:
    """Turn what the Hub's client raises into `HubError`s of one sentence.

    Args:
        repo_id: What is being worked on.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled

    try:
        yield
    except LeukError:
        raise
    except HFValidationError as error:
        raise HubError(f"{repo_id!r} cannot be a repository's name; give owner/name") from error
    except OfflineModeIsEnabled as error:
        raise HubError("HF_HUB_OFFLINE is set; unset it to publish") from error
    except HfHubHTTPError as error:
        raise HubError(_sentence(error, repo_id)) from error
    except ValueError as error:  # the client's word for metadata that the Hub does not take
        raise HubError(f"the Hub refuses the card: {one_line(error).rstrip('.')}; mend {CARD_NAME}") from error
    except (OSError, RuntimeError, HTTPError) as error:  # the last one is the network's
        if refusal(error) is not None:
            raise HubError(_sentence(error, repo_id)) from error
        reason = one_line(error).rstrip(".")
        raise HubError(
            f"the connection to the Hub broke ({reason}); nothing is published by halves, run the same command again"
        ) from error


def _api(token: str | None) -> Any:
    import huggingface_hub

    if not (token or huggingface_hub.get_token()):
        raise HubError("there is no token; run `hf auth login`, or set HF_TOKEN, with a token that may write")
    return huggingface_hub.HfApi(token=token)


def _check_options(branch: str | None, tag: str | None, create_pr: bool) -> None:
    if create_pr and branch:
        raise HubError(f"a pull request is for the main branch, not for {branch}; leave out one of the two")
    if create_pr and tag:
        raise HubError("a pull request has no commit to tag yet; merge it first, or leave out the tag")


def _may_not_write(user: dict[str, Any], owner: str, create_pr: bool) -> bool:
    """Tell whether the Hub's answer on a token rules it out; what the answer does not say is left to the Hub."""
    auth = user.get("auth")
    token = auth.get("accessToken") if isinstance(auth, dict) else None
    if not isinstance(token, dict):
        return False
    role = token.get("role")
    if role == "read":
        return True
    # A fine-grained token may have got rights to what is not its user's; a listed right says so whatever the role.
    known = "name" in user and isinstance(user.get("orgs"), list) and not token.get("fineGrained")
    if create_pr or role != "write" or not known:
        return False
    return owner not in (user["name"], *(each.get("name") for each in user["orgs"] if isinstance(each, dict)))


def _operations(
    api: Any, place: dict[str, Any], folder: Path, branch: str | None, obsolete: Sequence[str], *, keep_card: bool
) -> list[Any]:
    """List what one commit adds and deletes."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils import filter_repo_objects

    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    there = api.list_repo_files(**place, revision=branch) if obsolete else []
    gone = [name for name in filter_repo_objects(there, allow_patterns=list(obsolete)) if name not in files]
    added = {name: path for name, path in files.items() if not (keep_card and name == CARD_NAME)}
    return [
        *(CommitOperationDelete(name) for name in gone),
        *(CommitOperationAdd(name, path) for name, path in added.items()),
    ]


def _check_privacy(repo_id: str, info: Any, private: bool | None) -> None:
    if private and info.private is False:
        raise HubError(
            f"{repo_id} is public already; make it private in its settings, or publish it as such (--no-private)"
        )


def _make_repo(
    api: Any, repo_id: str, repo_type: str, private: bool | None, space_hardware: str | None
) -> tuple[str, bool]:
    from huggingface_hub.errors import HfHubHTTPError

    options: dict[str, Any] = {"repo_type": repo_type}
    if repo_type == "space":
        options |= {"space_sdk": "gradio", "space_hardware": space_hardware}
    try:
        return api.create_repo(repo_id, private=private, **options).repo_id, True
    except HfHubHTTPError as error:
        if error.response is None or error.response.status_code not in (409, 402, 403):
            raise
        try:  # a repository of somebody who lets others write, but not make any, exists all the same
            existing = api.create_repo(repo_id, exist_ok=True, **options)
        except (HfHubHTTPError, KeyError):  # the latter if the Hub names no repository that is there
            raise error from None
        return existing.repo_id, False


def _commit_of_tag(api: Any, place: dict[str, Any], tag: str | None) -> str | None:
    if tag is None:
        return None
    return next((known.target_commit for known in api.list_repo_refs(**place).tags if known.name == tag), None)


def _sentence(error: BaseException, repo_id: str) -> str:
    refused = refusal(error) or Refused(0)
    reason = refused.words or one_line(error).rstrip(".")
    said = f" ({refused.words})" if refused.words else ""  # such as that the storage is full
    if refused.status in _PLAIN:
        return _PLAIN[refused.status].format(repo_id=repo_id, reason=reason, said=said)
    if refused.status >= 500:
        trouble = f"the Hub is in trouble ({refused.status})"
        return f"{trouble}; nothing is published by halves, run the same command again later"
    return f"the Hub refuses {repo_id} ({reason}); see the message and run the same command again"
