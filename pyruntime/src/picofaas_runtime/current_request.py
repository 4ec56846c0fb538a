"""The request that a line is of: the one that is worked on where the line is written.

On the main thread that is the request that runs there, in a task the one that began it, and in the task of
a pool of threads the one that gave it to the pool. A thread or a process of `multiprocessing` that a request
starts has the request for as long as that runs and no other does; otherwise it may work for any, so it has
none. Nothing that was left behind has the request that runs now.
"""

from __future__ import annotations

import _thread
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import ContextVar
    from typing import Any

    from .request import Request
    from .turn import Turn

POOLS = "concurrent.futures.thread"


class CurrentRequest:
    """The requests that are being worked on."""

    __slots__ = (
        "_has_pools",
        "_here",
        "_is_forked",
        "_is_mixed",
        "_main",
        "_of_task",
        "_running",
        "_turn",
        "had_any",
        "is_side_by_side",
        "one",
    )

    def __init__(self) -> None:
        # The one on the main thread, where it is one at a time.
        self.one: Request | None = None
        self.is_side_by_side = False
        self.had_any = False
        # The request of a task, and of work that a task has run on a thread, once there may be tasks.
        self._of_task: ContextVar[Request | None] | None = None
        self._running: set[int] = set()
        # Whether several have run since one ended.
        self._is_mixed = False
        self._main = get_ident()
        self._here = _thread._local()
        self._has_pools = False
        # For processes that were forked, once one is.
        self._turn: Turn | None = None
        self._is_forked = False

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

    def give(self, request: Request | None) -> None:
        """From now on, this thread works for this request, or for none."""
        self._here.given = request

    def begin(self, request: Request) -> None:
        """It is being worked on."""
        self.had_any = True
        if self._running:
            self._is_mixed = True
        self._running.add(id(request))
        if not self.is_side_by_side:
            self.one = request
        if self._of_task is None and "asyncio" in sys.modules:
            from contextvars import ContextVar

            self._of_task = ContextVar("request", default=None)
        if self._of_task is not None:
            self._of_task.set(request)
        if not self._has_pools and POOLS in sys.modules:
            self._carry()
        if self._turn is not None:
            self._turn.change()

    def end(self, request: Request) -> None:
        """It has been worked on."""
        self._running.discard(id(request))
        self._is_mixed = len(self._running) > 1
        if not self.is_side_by_side:
            self.one = None
            if self._of_task is not None:
                self._of_task.set(None)
        if self._turn is not None:
            self._turn.change()

    def is_alone(self) -> bool:
        """Whether nobody but the request that ends has run since another ended: no request and no thread."""
        return not self._is_mixed and _thread._count() == 0

    def without(self, call: Callable[[], None]) -> None:
        """Calls something, on the main thread, that is of no request."""
        one, self.one = self.one, None
        try:
            if self._of_task is None:
                call()
            else:
                from contextvars import Context

                Context().run(call)
        finally:
            self.one = one

    def share(self) -> None:
        """Another process is about to be forked."""
        if self._turn is None:
            from .turn import Turn

            self._turn = Turn()

    def begin_anew(self) -> None:
        """In a process that was forked."""
        self._is_forked = True

    def current(self) -> Request | None:
        """The request that is worked on here, where that is certain."""
        if self._is_forked and self._is_left_behind():
            return None
        if get_ident() == self._main:
            return self.one if self._of_task is None else self._in_task()
        here: dict[str, Any] = self._here.__dict__
        request: Request | None
        if "given" in here:
            request = here["given"]
            return request
        request = self._of_task.get() if self._of_task is not None else None
        if request is None:
            request = here.get("started_by")
            # Beside others it may work for those: a pool's thread does, which its first task has started.
            if id(request) not in self._running or len(self._running) > 1:
                return None
        return request

    def _in_task(self) -> Request | None:
        """The request of the task that runs on the main thread, and outside of tasks the one."""
        request = self._of_task.get() if self._of_task is not None else None
        if request is None and self.one is not None:
            from asyncio import _get_running_loop

            # A callback of nobody's, or a context that somebody has made without ours.
            return self.one if _get_running_loop() is None else None
        return request

    def _is_left_behind(self) -> bool:
        """Whether this process may work for others than the request that it was forked in, as one of a pool
        does. A handler's own `os.fork` goes on with that request."""
        process = sys.modules.get("multiprocessing.process")
        if process is None or process.parent_process() is None:
            return False
        return self._turn is None or self._turn.is_over() or len(self._running) != 1

    def _inheriting(self, start: Callable[..., Any]) -> Callable[..., Any]:
        def starting(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            if not self._has_pools and POOLS in sys.modules:
                # Before the thread of a pool has its second task.
                self._carry()
            request = self.current()

            def run(*arguments: Any, **options: Any) -> None:
                self._here.started_by = request
                function(*arguments, **options)

            return start(run, *arguments, **options)

        return starting

    def _carry(self) -> None:
        """Has the tasks of a pool of threads know the request that gave them to it."""
        pool = getattr(sys.modules[POOLS], "ThreadPoolExecutor", None)
        if pool is None:
            return  # It is being imported.
        self._has_pools = True
        submit = pool.submit

        def carrying(self_: Any, task: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
            return submit(self_, self._work, self.current(), task, *arguments, **options)

        carrying.__name__, carrying.__doc__ = "submit", submit.__doc__
        pool.submit = carrying

    def _work(
        self,
        request: Request | None,
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
