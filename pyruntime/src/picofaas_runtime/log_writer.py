"""Lines for the log: each carries the ids of the request that it belongs to.

Text written to standard output and standard error as Python has them goes to standard error, line by
line. This is the one place that decides how:

- **Whose.** A line has `executionId=… traceId=…` of its request before it. One that is of no request, or
  not certainly of one, has `executionId=-`, and the watchdog passes on the rest: it would take it for one of
  the request that runs.
- **Once.** A line that already says whose it is, where it is looked for, stays as it is: at its head
  (`info executionId=…`), or as a member of the JSON object that it is. Anywhere else, in brackets or bare,
  an id may be what somebody sent.
- **Whole.** A line is written at once, in UTF-8, with its end. One that was begun waits for its end, for
  `flush`, or for the end of its request. Text of more than 8 KiB is cut between characters, and each piece
  has the ids.

Text written to the file descriptors themselves (`os.write`, child processes) gets the ids from the watchdog
where one request at a time is under way.
"""

from __future__ import annotations

import io
import os
import sys
from _thread import RLock, get_ident

from .buffers import flush_all, flush_c, flush_known, flush_others, hand_out, is_any_known
from .current_request import CurrentRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .request import Request

# Bytes of a line, ids excluded; a longer one is cut into pieces.
LINE_BYTES_MAX = 8192
# Lines that were begun and are not at their end; when there are more, all are ended.
BEGUN_MAX = 1024
LOG = 2
# Before a line that is of no request.
OF_NONE = b"executionId=- "
LEVELS = (b"debug", b"info", b"warning", b"error", b"critical")

# Held by the thread that writes lines. A handler of a signal may write within that, on the same thread.
_writing = RLock()

# A stream, a thread and a request: those of different keys do not continue one another's lines.
Key = tuple[int, int, int]


class LogWriter:
    """The lines of all requests."""

    __slots__ = ("_open", "_open_bytes", "_streams", "begun", "is_forked", "is_shared", "requests")

    def __init__(self) -> None:
        self.requests = CurrentRequest()
        self.begun: dict[Key, tuple[Request | None, bytes]] = {}
        # The line whose beginning was written by `flush`, and how long that is.
        self._open: Key | None = None
        self._open_bytes = 0
        self._streams: tuple[Stream, ...] = ()
        # Whether a handler has forked, and whether this is a process that it forked.
        self.is_shared = False
        self.is_forked = False

    def install(self) -> None:
        """From now on, what is printed comes here."""
        self.requests.install()
        self._streams = (Stream(self), Stream(self))
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = self._streams  # type: ignore[misc,assignment]
        os.register_at_fork(before=self._share, after_in_child=self._begin_anew)

    def _share(self) -> None:
        """Another process is to write to the same log: nobody knows when it does."""
        self.is_shared = True
        self.requests.share()

    def _begin_anew(self) -> None:
        """In a process that was forked, maybe while another thread wrote, which is not there to end it."""
        global _writing
        _writing = RLock()
        self.is_forked = True
        self.requests.begin_anew()
        self._open = None

    def begin(self, request: Request) -> None:
        """From now on this request is being worked on."""
        self.requests.begin(request)

    def end(self, request: Request) -> None:
        """It has been worked on: what it has begun is written, and later lines need not be its own."""
        if is_any_known():
            self._empty(flush_known)
        if self.begun or self._open is not None:
            self.end_lines(request)
        flush_others(self._streams, self._empty)
        self.requests.end(request)

    def _empty(self, flush: Callable[[], None]) -> None:
        """Empties buffers at the end of a request, which has what is in them where nobody else can have
        written it."""
        if self.requests.is_alone():
            flush()
        else:
            self.requests.without(flush)

    def write(self, stream: object, data: bytes, request: Request | None = None) -> None:
        """Passes lines on; one without an end waits for it. They are of the request that is worked on
        here where no other is named."""
        if request is None:
            request = self.requests.current()
        key = (id(stream), get_ident(), id(request))
        if self.begun:
            data = self.begun.pop(key, (None, b""))[1] + data
        lines = data.split(b"\n")
        rest = lines.pop()
        if len(rest) > LINE_BYTES_MAX:
            *full, rest = _pieces(rest, LINE_BYTES_MAX)
            lines += full
        if rest:
            self.begun[key] = (request, rest)
        if lines:
            self._put(key, request, b"\n".join(lines))
        if len(self.begun) > BEGUN_MAX:
            self.end_lines()

    def flush(self, stream: object) -> None:
        """Writes the beginning of a line that this thread has begun."""
        if not self.begun:
            return
        request = self.requests.current()
        key = (id(stream), get_ident(), id(request))
        begun = self.begun.pop(key, None)
        if begun is not None:
            self._put(key, request, begun[1], ends=self.is_shared)

    def end_lines(self, request: Request | None = None) -> None:
        """Ends the lines that a request has begun, or all."""
        for key, (whose, text) in list(self.begun.items()):
            if request is None or whose is request:
                self.begun.pop(key, None)
                self._put(key, whose, text)
        if self._open is not None and (request is None or self._open[2] == id(request)):
            self._put(self._open, request, b"")

    def close(self) -> None:
        """Writes all that is left: the process ends."""
        flush_all()
        self.end_lines()
        # Code in C may have printed; to load what finds that out takes too long for each that is forked.
        if not self.is_forked or "ctypes" in sys.modules:
            flush_c()

    def _put(self, key: Key, request: Request | None, text: bytes, ends: bool = True) -> None:
        """Writes lines, the last of them without its end where it is not there yet."""
        with _writing:
            room, before = LINE_BYTES_MAX, b""
            if self._open == key:
                room = max(0, room - self._open_bytes)
            elif self._open is not None:
                before = b"\n"
            written = self._lines(request, text, room, self._open == key)
            self._open, self._open_bytes = (None, 0) if ends else (key, LINE_BYTES_MAX - room + len(text))
            data = before + b"\n".join(written) + (b"\n" if ends else b"")
            # A pipe takes more than PIPE_BUF bytes in parts, between which it takes those of another thread.
            try:
                while data:
                    data = data[os.write(LOG, data) :]
            except OSError:
                pass  # Nobody reads the log any more, and there is nowhere else to say so.

    def _lines(self, request: Request | None, text: bytes, room: int, goes_on: bool) -> list[bytes]:
        """The lines of a text as they are written; the first may go on with one that was begun."""
        if request is None:
            prefix, own = OF_NONE if self.requests.had_any else b"", b""
        else:
            prefix, own = ids(request).encode() + b" ", request.fields.get("executionId", "").encode()
        lines = []
        for line in text.split(b"\n"):
            for piece in _pieces(line, room):
                lines.append(piece if goes_on or _names(piece, own) else prefix + piece)
                goes_on, room = False, LINE_BYTES_MAX
        return lines


class Stream(io.TextIOBase):
    """Standard output or standard error, for the handler."""

    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._bytes: Bytes | None = None

    @property
    def buffer(self) -> Bytes:
        """For bytes."""
        if self._bytes is None:
            self._bytes = Bytes(self, self._log)
        return self._bytes

    def detach(self) -> Bytes:  # type: ignore[override]
        """The same: others go on printing."""
        return self.buffer

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._log.write(self, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def write_of(self, request: Request, text: str) -> None:
        """Writes lines of this request, whichever is being worked on."""
        self._log.write(self, text.encode("utf-8", "backslashreplace"), request)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return LOG

    def flush(self) -> None:
        self._log.flush(self)

    def reconfigure(self, **_options: object) -> None:
        """Nothing: it is there for functions that set the encoding or the buffering at their start,
        as they may with the streams of Python."""

    def close(self) -> None:
        """Nothing, as others go on printing."""


class Bytes(io.BufferedIOBase):
    """The same stream for bytes."""

    def __init__(self, stream: Stream, log: LogWriter) -> None:
        self._stream = stream
        self._log = log

    @property
    def raw(self) -> io.FileIO:
        """Bytes written there go as they are."""
        return io.FileIO(LOG, "wb", closefd=False)

    def write(self, data: Any) -> int:
        if isinstance(data, str):
            raise TypeError("a bytes-like object is required, not 'str'")
        taken = bytes(memoryview(data))
        self._log.write(self._stream, taken)
        return len(taken)

    def seekable(self) -> bool:
        """Asked by a `TextIOWrapper` that is put on top."""
        hand_out(self)
        return False

    def tell(self) -> int:
        """Asked by a `BufferedWriter` that is put on top."""
        hand_out(self)
        return super().tell()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return LOG

    def flush(self) -> None:
        self._log.flush(self._stream)

    def close(self) -> None:
        """Nothing, as others go on printing."""


def ids(request: Request) -> str:
    """`executionId=… traceId=…`, as far as a request has them."""
    names = ("executionId", "traceId")
    return " ".join(f"{name}={request.fields[name]}" for name in names if name in request.fields)


def _names(line: bytes, own: bytes) -> bool:
    """Whether a line says of itself, where it is looked for, that it is of this execution."""
    if not own or own not in line:
        return False
    if line.startswith(b"{"):
        # Under another name, or deeper, it is not looked for.
        if line.count(b'"executionId"') != 1:
            return False
        import json

        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and value.get("executionId") == own.decode()
    first, _, rest = line.partition(b" ")
    word = rest.partition(b" ")[0] if first.lower() in LEVELS else first
    return word == b"executionId=" + own


def _pieces(line: bytes, room: int) -> list[bytes]:
    """A line in pieces of whole characters, for the first of which there is so much room."""
    if len(line) <= room:
        return [line]
    pieces, begin = [], 0
    while len(line) - begin > room:
        end = begin + room
        # UTF-8 has at most three bytes after the first of a character.
        while end > begin and begin + room - end < 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[begin:end])
        begin, room = end, LINE_BYTES_MAX
    pieces.append(line[begin:])
    return pieces
