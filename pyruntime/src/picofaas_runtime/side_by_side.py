"""The loop of an async handler: many requests at once, each a task, on `asyncio`."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from typing import NoReturn

from . import failure
from .context import Context
from .handler import Handler
from .log_writer import LogWriter
from .one_by_one import leave_to_forked, written
from .own_loop import awaited
from .pipe import Pipe, Reply

# Time after requests were read in which a reply waits for those of the tasks beside it. Where handlers
# compute for longer, each is written at once.
HOLD_SECONDS = 0.0005

_STOPPED = failure.reply(504, "HANDLER_TIMEOUT", "the handler was stopped")


def serve(handler: Handler, pipe: Pipe, log: LogWriter, output_bytes_max: int, concurrency: int) -> None:
    """Works on requests until there are no more or SIGTERM comes."""
    log.requests.is_side_by_side = True
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    in_flight = _InFlight(loop, handler, pipe, log, output_bytes_max)
    loop.add_reader(pipe.requests, in_flight.take)
    loop.add_signal_handler(signal.SIGTERM, in_flight.stop)
    # The loop's way to hear of a signal is shared with what is forked, which would stop the loop.
    leave_to_forked(lambda: signal.set_wakeup_fd(-1))
    pipe.say_ready(concurrency)
    while not in_flight.over.done():
        try:
            loop.run_until_complete(in_flight.over)
        except (SystemExit, KeyboardInterrupt):
            # One that is raised in a task of a handler's own ends the loop besides that task.
            # It is for the request to fail, where it waits for the task, and not for all.
            if pipe.in_child:
                raise
    # Tasks that handlers left in the background have their `finally` blocks; threads are not waited for.
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())


class _InFlight:
    """The requests that are being worked on."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Handler,
        pipe: Pipe,
        log: LogWriter,
        output_bytes_max: int,
    ) -> None:
        self.over: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._handler = handler
        self._pipe = pipe
        self._log = log
        self._output_bytes_max = output_bytes_max
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped: set[int] = set()
        self._ending = False
        # Replies that are written with those of the tasks beside them, and until when that is done.
        self._replies: list[tuple[int, Reply]] = []
        self._hold_until = 0.0

    def take(self) -> None:
        """Takes what has come: requests, and words that one is to stop."""
        if not self._pipe.fill():
            self._end()
            return
        self._hold_until = self._loop.time() + HOLD_SECONDS
        while (frame := self._pipe.frame()) is not None:
            sequence, payload = frame
            if payload:
                task = self._loop.create_task(self._work(sequence, payload))
                self._tasks[sequence] = task
                task.add_done_callback(partial(self._forget, sequence))
            elif sequence in self._tasks:
                self._stopped.add(sequence)
                self._tasks[sequence].cancel()

    def stop(self) -> None:
        """Stops everything: SIGTERM has come."""
        self._end()
        for sequence, task in self._tasks.items():
            self._stopped.add(sequence)
            task.cancel()

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._loop.remove_reader(self._pipe.requests)
            self._end_when_idle()

    def _end_when_idle(self) -> None:
        if self._ending and not self._tasks and not self.over.done():
            self._write()
            self.over.set_result(None)

    async def _work(self, sequence: int, payload: bytes) -> None:
        reply = await self._answer(sequence, payload)
        self._reply(sequence, reply)

    async def _answer(self, sequence: int, payload: bytes) -> Reply:
        try:
            request = self._pipe.read(payload)
        except (ValueError, RecursionError) as error:
            return failure.unread(error)
        self._log.begin(request)
        try:
            if self._handler.takes_context:
                output = await self._handler.call(request.input, Context(request))
            else:
                output = await self._handler.call(request.input)
            if hasattr(type(output), "__await__"):
                output = await awaited(output)
        except BaseException as error:
            if self._pipe.in_child:
                _end_child(self._log, error)
            if isinstance(error, asyncio.CancelledError) and sequence in self._stopped:
                reply = _STOPPED
            else:
                reply = failure.raised(error)
        else:
            if self._pipe.in_child:
                _end_child(self._log, None)
            reply = written(output, self._output_bytes_max)
        self._log.end(request)
        return reply

    def _reply(self, sequence: int, reply: Reply) -> None:
        del self._tasks[sequence]
        self._stopped.discard(sequence)
        self._replies.append((sequence, reply))
        if self._loop.time() > self._hold_until:
            self._write()
        elif len(self._replies) == 1:
            # Behind the tasks that are ready to run.
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        """Writes the replies that there are with one write."""
        if self._replies:
            replies, self._replies = self._replies, []
            self._pipe.send_all(replies)

    def _forget(self, sequence: int, _task: asyncio.Task[None]) -> None:
        # One that was stopped before it began has not answered.
        if sequence in self._tasks:
            self._reply(sequence, _STOPPED)
        self._end_when_idle()


def _end_child(log: LogWriter, error: BaseException | None) -> NoReturn:
    """Ends a process that a handler forked: its loop would go on for nobody."""
    status = 0
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    elif error is not None:
        failure.log(error)
        status = 1
    log.close()
    os._exit(status)
