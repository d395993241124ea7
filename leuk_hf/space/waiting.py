"""Who may wait for the network: whole cases have a line of their own, and never take the places of single fields."""

from __future__ import annotations

from typing import Any

import gradio as gr


def num_waiting(demo: gr.Blocks, line: str) -> int:
    """Count who waits, without those being answered.

    Args:
        demo: The page.
        line: A concurrency_id of its events.
    """
    found = demo._queue.event_queue_per_concurrency_id.get(line)
    return 0 if found is None else len(found.queue)


def limit_waiting(demo: gr.Blocks, line: str, at_most: int) -> None:
    """Turn away whoever comes to a line that is full.

    Gradio's own limit counts all lines together, so that those who wait long would keep everybody else out. It has to
    be larger by `at_most` than what the others are promised.

    Args:
        demo: The page, after `queue()`.
        line: A concurrency_id of its events.
        at_most: How many may wait in it.
    """
    push = demo._queue.push

    async def push_within(body: Any, request: Any, username: str | None) -> Any:
        function = demo.fns.get(body.fn_index)
        if function is not None and function.concurrency_id == line and num_waiting(demo, line) >= at_most:
            return False, f"The queue is full: {at_most} cases are waiting; come back in a few minutes.", "queue_full"
        return await push(body=body, request=request, username=username)

    demo._queue.push = push_within  # type: ignore[method-assign]
