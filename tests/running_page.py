"""The page on a loopback port, around a network too small to be slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from leuk_hf.model import LeukDenseNet
from leuk_hf.preprocessing import Preprocessor
from leuk_hf.space.options import Options
from leuk_hf.space.page import build_page, launch_settings


@contextmanager
def running_page(options: Options | None = None) -> Iterator[str]:
    """Serve the page; gives its address, without a slash at the end, and stops it in the end.

    Args:
        options: How; the port is the first free one.
    """
    chosen = options or Options()
    torch.manual_seed(0)
    model = LeukDenseNet(growth_rate=8, block_config=(2, 2, 2, 2), preprocessor=Preprocessor(image_size=64)).eval()
    demo = build_page(model, model_name="tiny", options=chosen)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_settings(chosen))
    try:
        yield url.rstrip("/")
    finally:
        demo.close()
