"""Generators that block, as asynchronous ones: each waits on a thread of its own."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")


async def each(
    items: Generator[_Item], interrupt: Callable[[], None] = lambda: None
) -> AsyncGenerator[_Item]:
    """What `items` yields. Closed or cancelled early, it closes them after an `interrupt`."""
    loop = asyncio.get_running_loop()
    # One thread: a close that comes during a step waits for it.
    with ThreadPoolExecutor(1, thread_name_prefix="edgespec-waiting") as thread:
        ended = False
        try:
            while (item := await loop.run_in_executor(thread, next, items, None)) is not None:
                yield item
            ended = True
        finally:
            if not ended:
                interrupt()
            await asyncio.shield(loop.run_in_executor(thread, items.close))
