"""The event loop for what a sync handler returns to be awaited, as `async def` behind a decorator's plain
function does."""

from __future__ import annotations

import asyncio
from typing import Any

from .failure import Stopped


class OwnLoop:
    """One loop for all requests of a process: the connections that a handler keeps belong to it."""

    __slots__ = ("_loop",)

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def output(self, awaitable: Any) -> Any:
        """The output that comes in the end."""
        # Whose loop is another has been scheduled there already.
        loop = awaitable.get_loop() if isinstance(awaitable, asyncio.Future) else self._loop
        task = loop.create_task(awaited(awaitable))
        try:
            return loop.run_until_complete(task)
        except Stopped:
            if not task.done():
                # Its `finally` blocks.
                task.cancel()
                loop.run_until_complete(asyncio.wait([task]))
            raise


async def awaited(output: Any) -> Any:
    """The output behind everything that is to be awaited before it is there."""
    while hasattr(type(output), "__await__"):
        output = await output
    return output
