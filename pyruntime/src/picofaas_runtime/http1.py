"""HTTP/1.1 by hand, without a socket: requests that come over a connection, and the bytes of an answer.

The watchdog is at the other end, so there is one way to say each thing. What is not clear is refused all the
same, as the port can be reached by other programs of the machine.
"""

from __future__ import annotations

from http import HTTPStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Headers = list[tuple[bytes, bytes]]

HEAD_BYTES_MAX = 1 << 18
# Of a chunk's size with its extensions, and of a trailer.
LINE_BYTES_MAX = 1 << 14
# Headers of a connection that an application does not set for itself.
_HOP = (
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class RequestError(Exception):
    """Raised for bytes that are no request."""


class BrokenOffError(OSError):
    """The other end has gone, or an answer cannot come to its end."""


class Head:
    """The head of a request. Names of `headers` are in lower case."""

    __slots__ = ("headers", "method", "target", "version")

    def __init__(self, method: str, target: bytes, version: bytes, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers

    def get(self, name: bytes) -> bytes | None:
        """The value of a header; that of the first where there are several."""
        for known, value in self.headers:
            if known == name:
                return value
        return None

    def text(self, name: bytes) -> str | None:
        value = self.get(name)
        return None if value is None else value.decode("latin-1")

    def lists(self, name: bytes, word: bytes) -> bool:
        """Whether a header with a list has this word."""
        values = [value for known, value in self.headers if known == name]
        return any(word == part.strip().lower() for value in values for part in value.split(b","))

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]


class Reader:
    """Bytes of a connection as heads, and as pieces of their bodies."""

    __slots__ = ("_data", "_is_chunked", "_left", "_phase")

    def __init__(self) -> None:
        self._data = b""
        # Bytes of the body, or of the chunk, that are to come.
        self._left = 0
        self._is_chunked = False
        # In a body in chunks: `size`, `data`, `line` behind data, `trailer`; else `data`, or `over`.
        self._phase = "over"

    def feed(self, data: bytes) -> None:
        """Takes bytes that have come."""
        self._data = self._data + data if self._data else data

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come that was not taken."""
        return not self._data

    @property
    def is_over(self) -> bool:
        """Whether the body was taken whole."""
        return self._phase == "over"

    def take(self) -> bytes:
        """All that has come and was not taken: another protocol is spoken from here."""
        data, self._data = self._data, b""
        return data

    def head(self) -> Head | None:
        """The next head; none where more has to come."""
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > HEAD_BYTES_MAX:
                raise RequestError("the head is too long")
            return None
        lines = self._data[:end].split(b"\r\n")
        self._data = self._data[end + 4 :]
        words = lines[0].split(b" ")
        if (
            len(words) != 3
            or words[2] not in (b"HTTP/1.1", b"HTTP/1.0")
            or not words[0].replace(b"-", b"").isalnum()
        ):
            raise RequestError("the first line is none of HTTP/1.1")
        head = Head(words[0].decode(), words[1], words[2], [_header(line) for line in lines[1:]])
        self._begin_body(head)
        return head

    def _begin_body(self, head: Head) -> None:
        codings = [value.strip().lower() for name, value in head.headers if name == b"transfer-encoding"]
        lengths = {value for name, value in head.headers if name == b"content-length"}
        self._is_chunked = bool(codings)
        if codings:
            if codings != [b"chunked"] or lengths:
                raise RequestError("the length of the body is not clear")
            self._phase = "size"
            return
        if len(lengths) > 1 or not all(value.isdigit() for value in lengths):
            raise RequestError("the length of the body is not clear")
        self._left = int(lengths.pop()) if lengths else 0
        self._phase = "data" if self._left else "over"

    def piece(self) -> bytes | None:
        """The next bytes of the body; empty ones at its end, and none where more has to come."""
        while True:
            if self._phase == "over":
                return b""
            if self._phase == "data":
                if not self._data:
                    return None
                piece, self._data = self._data[: self._left], self._data[self._left :]
                self._left -= len(piece)
                if not self._left:
                    self._phase = "line" if self._is_chunked else "over"
                return piece
            line = self._line()
            if line is None:
                return None
            self._next(line)

    def _next(self, line: bytes) -> None:
        """Goes on behind a line of a body in chunks."""
        if self._phase == "size":
            digits = line.partition(b";")[0].strip()
            try:
                if not digits.isalnum():
                    raise ValueError
                self._left = int(digits, 16)
            except ValueError:
                raise RequestError("a chunk has no size") from None
            self._phase = "data" if self._left else "trailer"
        elif self._phase == "line":
            if line:
                raise RequestError("a chunk does not end where it said")
            self._phase = "size"
        elif not line:
            self._phase = "over"

    def _line(self) -> bytes | None:
        line, end, rest = self._data.partition(b"\r\n")
        if not end:
            if len(line) > LINE_BYTES_MAX:
                raise RequestError("a line of the body is too long")
            return None
        self._data = rest
        return line


class Answer:
    """The bytes of an answer. What an application says of its connection is left out."""

    __slots__ = ("_has_body", "_is_chunked", "_left", "head")

    def __init__(
        self, request: Head, status: int, reason: str | None, headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """`ValueError` says what is wrong with a header."""
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, 'Status') if reason is None else reason}".encode(
                "latin-1"
            )
        ]
        length = None
        for name, value in headers:
            lower = name.lower()
            if lower in _HOP:
                continue
            if not name or any(byte <= 32 or byte == 58 or byte > 126 for byte in name):
                raise ValueError(f"a header has the name {name!r}")
            if b"\r" in value or b"\n" in value or b"\0" in value:
                raise ValueError(f"the header {name.decode('latin-1')} has a line break in its value")
            if lower == b"content-length":
                length = int(value)
                if status in (204, 304) or status < 200:
                    continue
            lines.append(name + b": " + value)
        self._has_body = request.method != "HEAD" and status not in (204, 304)
        # Bytes that are to come, where the application has said how many.
        self._left = length if self._has_body else None
        self._is_chunked = self._has_body and length is None
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked")
        self.head = b"\r\n".join(lines) + b"\r\n\r\n"

    def piece(self, data: bytes) -> bytes:
        """The bytes that send a piece of the body."""
        if not (data and self._has_body):
            return b""
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._left is not None:
            if len(data) > self._left:
                raise BrokenOffError("the body is longer than its Content-Length")
            self._left -= len(data)
        return data

    def end(self) -> bytes:
        """The bytes that end the body. One that is shorter than it said has no end."""
        if self._left:
            raise BrokenOffError(f"the body ended {self._left} bytes before its Content-Length")
        return b"0\r\n\r\n" if self._is_chunked else b""


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip() or b" " in name:
        raise RequestError("a line of the head is no header")
    return name.lower(), value.strip(b" \t")
