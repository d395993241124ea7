"""Fetching one file of a repository on the Hugging Face Hub, or saying in one sentence why it cannot be had.

Shared contract: importing this module costs nothing; the Hub's client is loaded with the first download.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leuk_hf.errors import LeukError, one_line


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
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    revision, missing = download.get("revision"), missing or error
    at = f" at revision {revision}" if revision else ""
    try:
        return Path(huggingface_hub.hf_hub_download(repo_id, name, **download))
    except GatedRepoError as fault:
        raise error(f"{repo_id} is gated; ask for access on its Hub page, then run `hf auth login`") from fault
    except RepositoryNotFoundError as fault:
        raise error(
            f"{repo_id} is neither {here} here nor {there} on the Hub that you may read; check the name,"
            " or run `hf auth login` if it is private"
        ) from fault
    except RevisionNotFoundError as fault:
        raise error(f"{repo_id} has no revision {revision!r}; give a branch, tag or commit") from fault
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as fault:
        raise missing(
            f"{repo_id}{at} is neither {here} here nor in the cache, and the Hub cannot be reached; connect"
            f" to the network, unset HF_HUB_OFFLINE, or give {here}"
        ) from fault
    except EntryNotFoundError as fault:
        raise missing(f"{repo_id}{at} has no {name}; {lacking}") from fault
    except HFValidationError as fault:
        raise error(f"{repo_id!r} is neither {here} here nor a valid Hub id (owner/name)") from fault
    except OSError as fault:  # all other Hub errors, and the network's own
        raise error(f"{repo_id}{at}: {name} could not be downloaded ({one_line(fault)}); try again") from fault
