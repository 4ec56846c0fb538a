"""The beginning and the end of an ASGI application, where it wants to know of them."""

from __future__ import annotations

import asyncio
from typing import Any

from . import failure
from .own_loop import awaited
from .web_app import AppError


class Lifespan:
    """The task of the application that is told of both."""

    def __init__(self, application: Any) -> None:
        self._application = application
        # Kept by the application for its requests.
        self.state: dict[str, Any] = {}
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._has_started = False

    async def start(self) -> None:
        """Tells of the start and waits until the application has done what it has to do then. `AppError`
        where it could not."""
        self._task = asyncio.ensure_future(self._run())
        said = await self._ask("lifespan.startup")
        if said is not None and said["type"] == "lifespan.startup.failed":
            raise AppError(f"the application does not start: {said.get('message', '')}")
        self._has_started = said is not None

    async def stop(self) -> None:
        """Tells of the end and waits until the application has done what it has to do then."""
        if self._has_started:
            await self._ask("lifespan.shutdown")

    async def _ask(self, kind: str) -> dict[str, Any] | None:
        """The application's word, or none where it does not say any."""
        await self._told.put({"type": kind})
        return await self._said.get()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await awaited(self._application(scope, self._told.get, self._said.put))
        except Exception as error:
            # One that knows nothing of it raises (the specification has it so); later it is an error.
            if self._has_started:
                failure.log(error)
        await self._said.put(None)
