"""Fetching one file of a repository on the Hugging Face Hub, or saying in one sentence why it cannot be had.

Shared contract: importing this module costs nothing; the Hub's client is loaded with the first download.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from leuk_hf.errors import LeukError, one_line

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.\-]+(/[\w.\-]+)?")
_XET_STATUS = re.compile(r"HTTP status (?:client|server) error \((\d{3})")


def download_file(
    repo_id: str,
    name: str,
    *,
    here: str,
    there: str,
    lacking: str,
    error: type[LeukError],
    missing: type[LeukError] | None = None,
    **download: Any,
) -> Path:
    """Fetch a file, or find it in the cache.

    Args:
        repo_id: "owner/name".
        name: Of the file in the repository.
        here: What could have been given instead, such as "a folder".
        there: What the repository is, such as "a data set".
        lacking: What a repository without the file means, as the end of a sentence.
        error: What is raised.
        missing: What is raised where the file, or the Hub, is not there; by default the same.
        **download: Passed to `huggingface_hub.hf_hub_download`: revision, token, cache_dir, and so on.

    Returns:
        Where the file lies on this machine.

    Raises:
        LeukError: As `error` or `missing`.
    """
    import huggingface_hub

    at = _at(download)
    if not download.get("force_download") and _is_known_to_lack(repo_id, name, download):
        raise (missing or error)(f"{repo_id}{at} has no {name}; {lacking}")
    with _one_sentence(repo_id, name, at, download, here, there, lacking, error, missing or error):
        return Path(huggingface_hub.hf_hub_download(repo_id, name, **download))


def hash_on_hub(
    repo_id: str,
    name: str,
    *,
    here: str,
    there: str,
    error: type[LeukError],
    revision: str | None = None,
    token: str | bool | None = None,
) -> str | None:
    """Ask for the hash of a file without fetching it.

    Args:
        repo_id: "owner/name".
        name: Of the file in the repository.
        here: As for `download_file`.
        there: As for `download_file`.
        error: What is raised.
        revision: Branch, tag or commit.
        token: By default the one saved by `hf auth login`.

    Returns:
        SHA-256 of a large file, the hash by which git knows a small one; None if there is no such file, or
        HF_HUB_OFFLINE is set, when no other file can be fetched either.

    Raises:
        LeukError: As `error`, if the Hub does not answer.
    """
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled

    url = huggingface_hub.hf_hub_url(repo_id, name, revision=revision)
    at = _at({"revision": revision})
    with _one_sentence(repo_id, name, at, {"revision": revision}, here, there, "", error, error):
        try:
            return huggingface_hub.get_hf_file_metadata(url, token=token, retry_on_errors=True).etag
        except (EntryNotFoundError, OfflineModeIsEnabled):
            return None


def _at(download: Mapping[str, Any]) -> str:
    return f" at revision {download['revision']}" if download.get("revision") else ""


@contextmanager
def _one_sentence(
    repo_id: str,
    name: str,
    at: str,
    download: Mapping[str, Any],
    here: str,
    there: str,
    lacking: str,
    error: type[LeukError],
    missing: type[LeukError],
) -> Iterator[None]:
    """Turn what the Hub's client raises when a file is asked for into one sentence."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        HTTPError,  # of the client that the Hub's own uses
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as fault:
        raise error(f"{repo_id} is gated; ask for access on its Hub page, then run `hf auth login`") from fault
    except RepositoryNotFoundError as fault:
        raise error(
            f"{repo_id} is neither {here} here nor {there} on the Hub that you may read; check the name,"
            " or run `hf auth login` if it is private"
        ) from fault
    except RevisionNotFoundError as fault:
        raise error(f"{repo_id} has no revision {download.get('revision')!r}; give a branch, tag or commit") from fault
    except HFValidationError as fault:
        raise error(f"{repo_id!r} is neither {here} here nor a valid Hub id (owner/name)") from fault
    except (OSError, ValueError, RuntimeError, HTTPError) as fault:  # of the Hub, the network, the disk, or of hf_xet
        absent = [each for each in (fault, fault.__cause__) if isinstance(each, EntryNotFoundError)]
        if any(not isinstance(each, LocalEntryNotFoundError) for each in absent):
            raise missing(f"{repo_id}{at} has no {name}; {lacking}") from fault
        if (refused := refusal(fault)) is not None:
            raise refused_error(repo_id, at, name, here, refused, error, missing) from fault
        # A ValueError is the client's word for it if a new download was asked for.
        unreachable = isinstance(fault, ValueError) and download.get("force_download")
        if isinstance(fault, LocalEntryNotFoundError) or unreachable:
            raise missing(
                f"{repo_id}{at} is neither {here} here nor in the cache, and the Hub cannot be reached; connect"
                f" to the network, unset HF_HUB_OFFLINE, or give {here}"
            ) from fault
        raise missing(
            f"{repo_id}{at}: the download of {name} broke off ({one_line(fault).rstrip('.')}); try again"
        ) from fault


class Refused(NamedTuple):
    """An answer of the Hub that is none to what was asked.

    Args:
        status: Of HTTP.
        words: The Hub's own, if any.
    """

    status: int
    words: str = ""


def refusal(fault: BaseException) -> Refused | None:
    """Find the Hub's own answer behind what its client raises.

    Args:
        fault: As raised by the client.

    Returns:
        None if the Hub gave no answer.
    """
    from huggingface_hub.errors import HfHubHTTPError

    found: BaseException | None = fault
    while found is not None:  # datasets wraps what the client has wrapped
        if isinstance(found, HfHubHTTPError) and found.response is not None:
            words = " ".join((found.server_message or "").split())[:160]
            return Refused(found.response.status_code, words.rstrip("."))
        found = found.__cause__
    # Large files go by hf_xet where it is installed, which raises built-in errors and has the status in words only.
    by_xet = _XET_STATUS.search(str(fault))
    return Refused(int(by_xet[1])) if by_xet else None


def refused_error(
    repo_id: str, at: str, name: str, here: str, refused: Refused, error: type[LeukError], missing: type[LeukError]
) -> LeukError:
    """Say in one sentence what the Hub refuses, and what to do.

    Args:
        repo_id: "owner/name".
        at: " at revision ..." if one was asked for, else "".
        name: Of what was to be read.
        here: As for `download_file`.
        refused: The Hub's answer.
        error: Of what is returned.
        missing: Of what is returned where the Hub does not work, as if it was not there.
    """
    status = refused.status
    if status == 401:
        return error("the Hub does not accept the token; run `hf auth login` with a new one, or `hf auth logout`")
    if status == 403:
        return error(f"this token may not read {name} of {repo_id}; use one that may")
    # A file that may be lacking does without: the others may be in the cache.
    if status == 429:
        return missing(f"{repo_id}{at}: the Hub limits how often it may be asked; wait a few minutes and try again")
    if status >= 500:
        return missing(f"{repo_id}{at}: the Hub is in trouble ({status}); try again later, or give {here}")
    reason = f", {refused.words}" if refused.words else ""
    return error(f"{repo_id}{at}: the Hub does not give {name} ({status}{reason}); check the name and HF_ENDPOINT")


def is_cached(repo_id: str, name: str, **download: Any) -> bool:
    """Tell whether the cache has a commit's file, which then is the one on the Hub.

    Args:
        repo_id: "owner/name".
        name: Of the file in the repository.
        **download: As for `download_file`.
    """
    return isinstance(_in_cache(repo_id, name, download), str) and not download.get("force_download")


def _is_known_to_lack(repo_id: str, name: str, download: Mapping[str, Any]) -> bool:
    """Tell whether the cache says that a commit has no such file, for which the client would ask each time."""
    import huggingface_hub

    return _in_cache(repo_id, name, download) is huggingface_hub._CACHED_NO_EXIST


def _in_cache(repo_id: str, name: str, download: Mapping[str, Any]) -> Any:
    """Give what the cache knows of a commit's file: its path, that there is none, or None."""
    import huggingface_hub

    revision = download.get("revision")
    if not _COMMIT.fullmatch(revision or "") or not _REPOSITORY.fullmatch(repo_id):
        return None
    place = {"cache_dir": download.get("cache_dir"), "repo_type": download.get("repo_type")}
    return huggingface_hub.try_to_load_from_cache(repo_id, name, revision=revision, **place)
