"""A server for one ASGI application: many connections on one event loop, bodies piece by piece both ways."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any
from urllib.parse import unquote

from . import failure
from .http1 import Answer, BrokenOffError, Head, Reader, RequestError
from .lifespan import Lifespan
from .log_writer import LogWriter
from .own_loop import awaited
from .web_request import WebRequest, foreign, read, refusal, words

READ_BYTES = 1 << 16
BACKLOG_CONNECTIONS = 4096
# Bytes of answers that wait for the watchdog before an application waits for them.
WRITE_BYTES_MAX = 1 << 16


def serve(application: Any, listener: socket.socket, log: LogWriter) -> None:
    """Serves until SIGTERM."""
    log.requests.is_side_by_side = True
    asyncio.run(_serve(application, listener, log))


async def _serve(application: Any, listener: socket.socket, log: LogWriter) -> None:
    lifespan = Lifespan(application)
    await lifespan.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)
        try:
            await Conversation(reader, writer, application, lifespan.state, log).run()
        except asyncio.CancelledError:
            # The process ends, or the application has let its own task be cancelled.
            writer.transport.abort()
        finally:
            writer.close()

    server = await asyncio.start_server(
        converse, sock=listener, limit=READ_BYTES, backlog=BACKLOG_CONNECTIONS
    )
    await stop.wait()
    server.close()
    await lifespan.stop()


class Conversation:
    """A connection with its requests, one after the other."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        application: Any,
        state: dict[str, Any],
        log: LogWriter,
    ) -> None:
        self._stream = reader
        self.writer = writer
        self.application = application
        self.state = state
        self._log = log
        self.reader = Reader()
        self.is_closed = False

    async def run(self) -> None:
        try:
            while await self._answer_next():
                pass
        except OSError:
            # The other end has gone, or is to see that an answer has no end.
            self.writer.transport.abort()

    async def _answer_next(self) -> bool:
        """Answers a request. Whether another may come."""
        try:
            head = await self._head()
        except RequestError as fault:
            await self.send(refusal(None, 400, "BAD_REQUEST", str(fault)))
            return False
        if head is None:
            return False
        request = read(head)
        if request is None:
            await self.send(foreign(head))
            return False
        self._log.begin(request.logged)
        try:
            if head.lists(b"upgrade", b"websocket") and head.lists(b"connection", b"upgrade"):
                from .websocket import WebSocket

                await WebSocket(self, request).run()
                return False
            await _Exchange(self, request).run()
        finally:
            self._log.end(request.logged)
        closes = head.lists(b"connection", b"close") or head.version != b"HTTP/1.1"
        # A body that the application has left is not waited for.
        return not closes and self.reader.is_over

    async def _head(self) -> Head | None:
        """The next head; none at the end of the connection."""
        while (head := self.reader.head()) is None:
            if not await self.fill():
                return None
        return head

    async def fill(self) -> bool:
        """Waits for more bytes. Whether there were any: not at the end of the connection."""
        try:
            data = await self._stream.read(READ_BYTES)
        except OSError:
            data = b""
        self.reader.feed(data)
        self.is_closed = not data
        return bool(data)

    async def send(self, data: bytes) -> None:
        """Sends bytes, and waits where many are on their way. `BrokenOffError` where the caller has gone."""
        if not data:
            return
        if not self.is_closed:
            self.writer.write(data)
            try:
                await self.writer.drain()
                return
            except ConnectionError:
                self.is_closed = True
        raise BrokenOffError("the caller has gone")


def scope_of(conversation: Conversation, request: WebRequest, kind: str) -> dict[str, Any]:
    """The scope of a request of either kind."""
    head, prefix = request.head, request.prefix
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": request.scheme if kind == "http" else request.scheme.replace("http", "ws"),
        # All of the client's path: that of the application is behind `root_path`.
        "path": prefix + unquote(head.path.decode("latin-1")),
        "raw_path": prefix.encode() + head.path,
        "query_string": head.query,
        "root_path": prefix,
        "headers": head.headers,
        "client": (request.client, 0) if request.client else None,
        "server": request.host,
        "state": conversation.state.copy(),
        # The target is as it was sent: `raw_path` has the prefix before it, and an empty query no `?`.
        "extensions": {"picofaas": {"context": request.context, "target": head.target}},
    }
    if kind == "http":
        scope["method"] = head.method
    return scope


class _Exchange:
    """One request of HTTP and its answer."""

    def __init__(self, conversation: Conversation, request: WebRequest) -> None:
        self._conversation = conversation
        self._request = request
        self._waits = request.head.lists(b"expect", b"100-continue")
        self._is_read = False
        self._start: dict[str, Any] | None = None
        self._answer: Answer | None = None
        self._is_over = asyncio.Event()

    async def run(self) -> None:
        scope = scope_of(self._conversation, self._request, "http")
        try:
            await awaited(self._conversation.application(scope, self._receive, self._send))
            if not self._is_over.is_set():
                raise RuntimeError("the application has returned before its answer was complete")
        except (BrokenOffError, asyncio.CancelledError):
            raise
        except BaseException as error:
            if self._is_over.is_set():
                # Its answer is complete, so this is of work that it did behind it.
                failure.log(error)
                return
            if self._conversation.is_closed:
                # The caller has gone, which an application may take for an error.
                raise BrokenOffError("the caller has gone") from None
            failure.log(error)
            if self._answer is None:
                await self._conversation.send(refusal(self._request.head, 500, "HANDLER_ERROR", words(error)))
            raise BrokenOffError("the application failed") from None

    async def _receive(self) -> dict[str, Any]:
        conversation = self._conversation
        if self._is_read or self._is_over.is_set():
            await self._wait_for_end()
            return {"type": "http.disconnect"}
        if self._waits:
            self._waits = False
            if self._answer is None:
                await conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while (piece := conversation.reader.piece()) is None:
            if not await conversation.fill():
                return {"type": "http.disconnect"}
        self._is_read = conversation.reader.is_over
        return {"type": "http.request", "body": piece, "more_body": not self._is_read}

    async def _wait_for_end(self) -> None:
        """Waits until the answer is complete or the caller has gone."""
        over = asyncio.ensure_future(self._is_over.wait())
        try:
            while not self._is_over.is_set() and not self._conversation.is_closed:
                if not self._conversation.reader.is_empty:
                    # Of another request, which has to wait, and with it what is behind it.
                    await over
                    return
                more = asyncio.ensure_future(self._conversation.fill())
                await asyncio.wait((over, more), return_when=asyncio.FIRST_COMPLETED)
                if not more.done():
                    more.cancel()
                    await asyncio.wait((more,))
        finally:
            over.cancel()

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            if self._start is not None:
                raise RuntimeError("http.response.start was sent a second time")
            self._start = message
            return
        if kind != "http.response.body":
            raise RuntimeError(f"there is no message of the type {kind}")
        if self._start is None:
            raise RuntimeError("http.response.body was sent before http.response.start")
        if self._is_over.is_set():
            raise RuntimeError("http.response.body was sent after the last one")
        body, more = bytes(message.get("body", b"")), bool(message.get("more_body", False))
        data = b""
        if self._answer is None:
            headers = [(bytes(name), bytes(value)) for name, value in self._start.get("headers", [])]
            # An answer to HEAD has the length that GET would have, where that is known.
            is_known = not more and (body or self._request.head.method != "HEAD")
            if is_known and not any(name.lower() == b"content-length" for name, _ in headers):
                headers.append((b"content-length", str(len(body)).encode()))
            self._answer = Answer(self._request.head, int(self._start["status"]), None, headers)
            data = self._answer.head
        data += self._answer.piece(body)
        if not more:
            data += self._answer.end()
        await self._conversation.send(data)
        if not more:
            self._is_over.set()
