"""The loop of a sync handler: one request after the other, on the main thread.

It is stopped by SIGTERM, which raises `Stopped` in the handler where one runs.
"""

from __future__ import annotations

import os
from time import monotonic

from . import failure, wire
from .context import Context
from .failure import Stopped
from .pipe import OUTPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from .handler import Handler
    from .log_writer import LogWriter
    from .own_loop import OwnLoop
    from .pipe import Pipe, Reply
    from .request import Request
else:
    # Without `enum`, which `signal` needs and which takes longer than everything here.
    import _signal as signal


# For a request whose time was over before it was its turn. Nobody waits for it any more.
LATE = failure.reply(504, "HANDLER_TIMEOUT", "the handler was not begun before the deadline")


class _Stop:
    """The effect of SIGTERM, which depends on what it comes upon."""

    __slots__ = ("asked", "running", "waiting")

    def __init__(self) -> None:
        self.asked = False
        self.running = False
        self.waiting = False

    def __call__(self, _number: int, _frame: object) -> None:
        self.asked = True
        # Once only, so that `finally` blocks run to their end.
        if self.running or self.waiting:
            self.running = self.waiting = False
            raise Stopped


class _Caller:
    """Calls the handler."""

    __slots__ = ("_handler", "_loop")

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._loop: OwnLoop | None = None

    def output(self, request: Request) -> object:
        """Calls it with what it takes and waits for what comes of that."""
        if self._handler.takes_context:
            output = self._handler.call(request.input, Context(request))
        else:
            output = self._handler.call(request.input)
        if hasattr(type(output), "__await__"):
            if self._loop is None:
                from .own_loop import OwnLoop

                self._loop = OwnLoop()
            output = self._loop.output(output)
        return output


def leave_to_forked(let_go: Callable[[], object]) -> None:
    """Has SIGTERM end a process that a handler forks as it ends any other. `let_go` is what has to
    be done for that besides."""

    # One that came before its end of the fork is over would be lost.
    def before() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))

    def after() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))

    def after_in_child() -> None:
        let_go()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        after()

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after_in_child)


def serve(handler: Handler, pipe: Pipe, log: LogWriter, output_bytes_max: int) -> None:
    """Works on requests until there are no more or SIGTERM comes."""
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    leave_to_forked(lambda: None)
    pipe.say_ready()
    caller = _Caller(handler)
    # Whether the next request waits behind another.
    is_behind = False
    try:
        while not stop.asked:
            frame = pipe.frame()
            if frame is not None:
                sequence, payload = frame
                # Each reply by itself: nobody knows how long the next request takes.
                pipe.send(sequence, _answer(payload, is_behind, caller, pipe, log, stop, output_bytes_max))
                is_behind = True
                continue
            is_behind = False
            stop.waiting = True
            more = pipe.fill()
            stop.waiting = False
            if not more:
                return
    except Stopped:
        pass


def _answer(
    payload: bytes,
    is_behind: bool,
    caller: _Caller,
    pipe: Pipe,
    log: LogWriter,
    stop: _Stop,
    output_bytes_max: int,
) -> Reply:
    """The reply to a request."""
    try:
        request = pipe.read(payload)
    except (ValueError, RecursionError) as error:
        return failure.unread(error)
    if is_behind and request.is_late(monotonic() * 1000):
        return LATE
    log.begin(request)
    try:
        try:
            stop.running = True
            if stop.asked:
                # It came while the request was read, which need not be begun any more.
                raise Stopped
            output = caller.output(request)
        finally:
            stop.running = False
    except Stopped:
        raise
    except BaseException as error:
        if pipe.in_child:
            raise
        reply = failure.raised(error)
    else:
        if pipe.in_child:
            raise SystemExit(0)
        reply = written(output, output_bytes_max)
    log.end(request)
    return reply


def written(output: object, output_bytes_max: int) -> Reply:
    """The reply that is an output."""
    try:
        text = wire.write(output)
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        return failure.unwritten(error)
    if len(text) > output_bytes_max:
        return failure.too_large(len(text), output_bytes_max)
    return OUTPUT, text
