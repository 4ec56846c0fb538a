"""The request that a line is of: the one that is worked on where the line is written.

On the main thread that is the request that runs there, in a task the one that began it, and in the task of
a pool of threads the one that gave it to the pool. A thread that a request starts has the request for as long
as that runs; after that what it prints may be of any, so it has none. Nothing that was left behind has the
request that runs now.
"""

from __future__ import annotations

import _thread
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

POOLS = "concurrent.futures.thread"


class CurrentRequest:
    """The requests that are being worked on. `in_task` finds that of a task, where there are many."""

    __slots__ = ("_has_pools", "_here", "_main", "_running", "had_any", "in_task", "one")

    def __init__(self) -> None:
        # The one on the main thread.
        self.one: dict[str, Any] | None = None
        self.in_task: Callable[[], dict[str, Any] | None] | None = None
        self.had_any = False
        self._running: set[int] = set()
        self._main = get_ident()
        self._here = _thread._local()
        self._has_pools = False

    def install(self) -> None:
        """From now on, threads know by which request they were started."""
        for name in ("start_new_thread", "start_joinable_thread"):
            start = getattr(_thread, name, None)
            if start is not None:
                inheriting = self._inheriting(start)
                setattr(_thread, name, inheriting)
                # Where something has imported it before.
                if "threading" in sys.modules:
                    setattr(sys.modules["threading"], f"_{name}", inheriting)

    def begin(self, request: dict[str, Any]) -> None:
        """It is being worked on."""
        self.had_any = True
        self._running.add(id(request))
        if self.in_task is None:
            self.one = request
        if not self._has_pools and POOLS in sys.modules:
            self._has_pools = True
            self._carry()

    def end(self, request: dict[str, Any]) -> None:
        """It has been worked on."""
        self._running.discard(id(request))
        if self.in_task is None:
            self.one = None

    def current(self) -> dict[str, Any] | None:
        """The request that is worked on here, where that is certain."""
        if get_ident() == self._main:
            return self.one if self.in_task is None else self.in_task()
        here: dict[str, Any] = self._here.__dict__
        request: dict[str, Any] | None
        if "given" in here:
            request = here["given"]
            return request
        request = self.in_task() if self.in_task is not None else None
        if request is None:
            request = here.get("started_by")
            if id(request) not in self._running:
                return None
        return request

    def _inheriting(self, start: Callable[..., Any]) -> Callable[..., Any]:
        def starting(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            request = self.current()

            def run(*arguments: Any, **options: Any) -> None:
                self._here.started_by = request
                function(*arguments, **options)

            return start(run, *arguments, **options)

        return starting

    def _carry(self) -> None:
        """Has the tasks of a pool of threads know the request that gave them to it."""
        pool = sys.modules[POOLS].ThreadPoolExecutor
        submit = pool.submit

        def carrying(self_: Any, task: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
            return submit(self_, self._work, self.current(), task, *arguments, **options)

        carrying.__name__, carrying.__doc__ = "submit", submit.__doc__
        pool.submit = carrying

    def _work(
        self,
        request: dict[str, Any] | None,
        task: Callable[..., Any],
        /,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        self._here.given = request
        try:
            return task(*arguments, **options)
        finally:
            del self._here.given
