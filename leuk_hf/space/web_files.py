"""Fetching a file that a program names by its address on the web: within a limit, and never from this network.

Shared contract: as in Gradio, a host counts only if it has a public address, which is then the one asked, and every
redirection is looked at anew; other than in Gradio, no more is read than may be uploaded.
"""

from __future__ import annotations

from urllib.parse import unquote, urljoin, urlsplit

import httpx
from gradio.processing_utils import PUBLIC_HOSTNAME_WHITELIST
from gradio_client.utils import strip_invalid_filename_characters
from safehttpx import AsyncSecureTransport, async_validate_url, matches_domain_whitelist

from leuk_hf.errors import ImageError, one_line
from leuk_hf.space.serving import megabytes

_REDIRECTIONS = 5
_SECONDS = 20  # without a byte


async def fetch(url: str, largest_file: int) -> tuple[str, bytes]:
    """Read a file.

    Args:
        url: Its address, http or https.
        largest_file: Bytes.

    Returns:
        Its name, safe for a file of one's own, and its content.

    Raises:
        ImageError: If it cannot be had, or is larger.
    """
    try:
        for _ in range(1 + _REDIRECTIONS):
            host = httpx.URL(url).host
            async with (
                httpx.AsyncClient(transport=await transport_to(host), timeout=_SECONDS) as client,
                client.stream("GET", url) as response,
            ):
                if response.has_redirect_location:
                    url = urljoin(url, response.headers["Location"])
                    continue
                response.raise_for_status()
                return _name(url), await _read(response, largest_file)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(
            f"the file cannot be fetched from the web ({one_line(error)}); send the file itself"
        ) from error
    raise ImageError("the file's address leads from one to another without end; send the file itself")


async def transport_to(host: str) -> httpx.AsyncBaseTransport | None:
    """Give what asks a host at an address that was looked at; None where the usual way will do.

    Args:
        host: Its name.

    Raises:
        ValueError: If it has no public address.
    """
    if matches_domain_whitelist(host, PUBLIC_HOSTNAME_WHITELIST):
        return None
    return AsyncSecureTransport(await async_validate_url(host))


async def _read(response: httpx.Response, largest_file: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > largest_file:
            raise ImageError(f"the file at this address is larger than {megabytes(largest_file)}; save it smaller")
    return bytes(content)


def _name(url: str) -> str:
    return strip_invalid_filename_characters(unquote(urlsplit(url).path).rpartition("/")[2]) or "file"
