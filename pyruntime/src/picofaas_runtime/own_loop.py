"""The event loop for what a sync handler returns to be awaited, as `async def` behind a decorator's plain
function does."""

from __future__ import annotations

import asyncio
import os
from typing import Any


class OwnLoop:
    """One loop for all requests of a process: the connections that a handler keeps belong to it, and what
    it leaves in the background goes on while another request waits."""

    __slots__ = ("_loop", "_process")

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        asyncio.set_event_loop(self._loop)

    def output(self, awaitable: Any) -> Any:
        """The output that comes in the end."""
        # A future of another loop has been scheduled there already.
        loop = awaitable.get_loop() if isinstance(awaitable, asyncio.Future) else self._loop
        task = loop.create_task(awaited(awaitable))
        try:
            return self._run(loop, task)
        except BaseException:
            # Its `finally` blocks.
            while not task.done() and os.getpid() == self._process:
                task.cancel()
                self._run(loop, loop.create_task(_over(task)))
            raise

    def _run(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Any:
        """Runs the loop until a task is done, and gives what came of it."""
        while True:
            try:
                return loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt):
                # One that is raised in another task ends the loop besides that task. It is for the request
                # to fail that waits for the task, and for no other. A process that was forked ends.
                if os.getpid() != self._process:
                    raise
                if task.done():
                    return task.result()


async def _over(task: asyncio.Task[Any]) -> None:
    """Waits for the end of a task, whatever comes of it."""
    await asyncio.wait([task])


async def awaited(output: Any) -> Any:
    """The output behind everything that is to be awaited before it is there."""
    while hasattr(type(output), "__await__"):
        output = await output
    return output
