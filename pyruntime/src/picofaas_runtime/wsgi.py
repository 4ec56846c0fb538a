"""A server for one WSGI application: a thread for each connection, bodies piece by piece both ways."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from . import failure
from .http1 import Answer, BrokenOffError, Head, Reader, RequestError
from .log_writer import LogWriter
from .web_request import WebRequest, foreign, read, refusal, words

READ_BYTES = 1 << 16
# Bytes that are read of a body that the application has left, so that the connection can be kept.
DRAIN_BYTES_MAX = 1 << 16


def serve(application: Any, listener: socket.socket, log: LogWriter) -> NoReturn:
    """Serves until SIGTERM, which raises `Stopped`."""
    log.requests.is_side_by_side = True

    def stop(_number: int, _frame: object) -> None:
        raise failure.Stopped

    signal.signal(signal.SIGTERM, stop)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conversation = _Conversation(connection, application, log)
        threading.Thread(target=conversation.run, daemon=True).start()


class _Conversation:
    """A connection with its requests, one after the other."""

    def __init__(self, connection: socket.socket, application: Any, log: LogWriter) -> None:
        self._connection = connection
        self._application = application
        self._log = log
        self._reader = Reader()

    def run(self) -> None:
        try:
            while self._answer_next():
                pass
        except OSError:
            # The other end has gone, or is to see that an answer has no end.
            pass
        finally:
            self._connection.close()

    def _answer_next(self) -> bool:
        """Answers a request. Whether another may come."""
        try:
            head = self._head()
        except RequestError as fault:
            self._connection.sendall(refusal(None, 400, "BAD_REQUEST", str(fault)))
            return False
        if head is None:
            return False
        request = read(head)
        if request is None:
            self._connection.sendall(foreign(head))
            return False
        self._log.begin(request.logged)
        self._log.requests.give(request.logged)
        try:
            body = _Input(self, waits=head.lists(b"expect", b"100-continue"))
            _Call(self, request, body).run(self._application)
        finally:
            self._log.end(request.logged)
            self._log.requests.give(None)
        return not head.lists(b"connection", b"close") and head.version == b"HTTP/1.1" and body.drain()

    def _head(self) -> Head | None:
        """The next head; none at the end of the connection."""
        while (head := self._reader.head()) is None:
            data = self._connection.recv(READ_BYTES)
            if not data:
                return None
            self._reader.feed(data)
        return head

    def piece(self) -> bytes:
        """The next bytes of the body; empty ones at its end."""
        while (piece := self._reader.piece()) is None:
            data = self._connection.recv(READ_BYTES)
            if not data:
                raise BrokenOffError("the body of the request broke off")
            self._reader.feed(data)
        return piece

    @property
    def is_read(self) -> bool:
        """Whether the body was read to its end."""
        return self._reader.is_over

    def send(self, data: bytes) -> None:
        if data:
            self._connection.sendall(data)


class _Input:
    """`wsgi.input`: the body as it comes."""

    def __init__(self, conversation: _Conversation, *, waits: bool) -> None:
        self._conversation = conversation
        # The client waits to be asked for it.
        self._waits = waits
        self._data = b""

    def _more(self) -> bool:
        """Whether there was more."""
        if self._waits:
            self._waits = False
            self._conversation.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        piece = self._conversation.piece()
        self._data += piece
        return bool(piece)

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, or all that there are."""
        if size is None or size < 0:
            pieces = [self._data]
            while True:
                self._data = b""
                if not self._more():
                    return b"".join(pieces)
                pieces.append(self._data)
        while len(self._data) < size and self._more():
            pass
        data, self._data = self._data[:size], self._data[size:]
        return data

    def read1(self, size: int = -1) -> bytes:
        """Bytes that are there, at most so many; waits for some."""
        if not self._data:
            self._more()
        size = len(self._data) if size < 0 else size
        data, self._data = self._data[:size], self._data[size:]
        return data

    def readline(self, size: int | None = -1) -> bytes:
        most = sys.maxsize if size is None or size < 0 else size
        searched = 0
        while (end := self._data.find(b"\n", searched) + 1) == 0 and len(self._data) < most:
            searched = len(self._data)
            if not self._more():
                end = len(self._data)
                break
        end = min(end or most, most)
        line, self._data = self._data[:end], self._data[end:]
        return line

    def readlines(self, hint: int | None = None) -> list[bytes]:
        lines, count = [], 0
        for line in self:
            lines.append(line)
            count += len(line)
            if hint and count >= hint:
                break
        return lines

    def __iter__(self) -> _Input:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def drain(self) -> bool:
        """Whether the connection is at the end of the body, of which a little may be read for that."""
        if self._waits:
            # Nobody knows whether the body will come.
            return self._conversation.is_read
        count = 0
        while not self._conversation.is_read and count < DRAIN_BYTES_MAX:
            count += len(self._conversation.piece())
        return self._conversation.is_read


class _Call:
    """One call of the application, and its answer."""

    def __init__(self, conversation: _Conversation, request: WebRequest, body: _Input) -> None:
        self._conversation = conversation
        self._request = request
        self._body = body
        self._answer: Answer | None = None
        self._is_sent = False

    def run(self, application: Any) -> None:
        """Calls the application and sends what it answers."""
        try:
            result = application(self._environ(), self._start)
            try:
                self._send_all(result)
            finally:
                if hasattr(result, "close"):
                    result.close()
        except BrokenOffError:
            raise
        except BaseException as error:
            if isinstance(error, ConnectionError) and self._is_sent:
                # The caller has gone.
                raise
            failure.log(error)
            if self._is_sent:
                raise BrokenOffError("the application failed in the middle of its answer") from None
            self._conversation.send(refusal(self._request.head, 500, "HANDLER_ERROR", words(error)))
            # Nobody knows where in the body it failed.
            raise BrokenOffError("the application failed") from None

    def _send_all(self, result: Any) -> None:
        for piece in result:
            if piece:
                self._write(piece)
        if self._answer is None:
            raise RuntimeError("the application has not called start_response")
        self._send_head(b"")
        self._conversation.send(self._answer.end())

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        """`start_response`."""
        try:
            if exc_info is not None:
                if self._is_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            elif self._answer is not None:
                raise RuntimeError("start_response was called a second time")
        finally:
            exc_info = None
        code, _, reason = status.partition(" ")
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._answer = Answer(self._request.head, int(code), reason, pairs)
        return self._write

    def _write(self, piece: bytes) -> None:
        if self._answer is None:
            raise RuntimeError("the application has not called start_response")
        if not isinstance(piece, bytes):
            raise TypeError(f"a piece of the answer is of the type {type(piece).__name__}: give bytes")
        self._send_head(self._answer.piece(piece))

    def _send_head(self, data: bytes) -> None:
        """Sends the head, once, and bytes behind it."""
        assert self._answer is not None
        if not self._is_sent:
            self._is_sent = True
            data = self._answer.head + data
        self._conversation.send(data)

    def _environ(self) -> dict[str, Any]:
        request, head = self._request, self._request.head
        name, port = request.host
        environ: dict[str, Any] = {
            "REQUEST_METHOD": head.method,
            "SCRIPT_NAME": request.prefix,
            "PATH_INFO": unquote_to_bytes(head.path).decode("latin-1"),
            "QUERY_STRING": head.query.decode("latin-1"),
            # As it was sent, escapes and all.
            "REQUEST_URI": head.target.decode("latin-1"),
            "RAW_URI": head.target.decode("latin-1"),
            "SERVER_NAME": name,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": request.client,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": request.scheme,
            "wsgi.input": self._body,
            # It has an end of its own, also where it has no Content-Length.
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "picofaas.context": request.context,
        }
        for header, value in head.headers:
            text = value.decode("latin-1")
            key = header.decode("latin-1").upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            if b"_" in header:
                # It would be taken for one with a dash.
                continue
            separator = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = f"{environ[key]}{separator}{text}" if key in environ else text
        return environ
