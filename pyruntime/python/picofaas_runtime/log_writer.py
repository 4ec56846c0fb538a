"""Lines for the log: each carries the ids of the request that it belongs to.

Whatever is printed, to standard output or standard error, goes to standard error line by line with
`executionId=… traceId=…` before it. What goes to the file descriptors themselves (`os.write`, child
processes), and what threads print that an earlier request may have left behind, gets the ids from the
watchdog where one request at a time is under way; no error quotes it then.
"""

from __future__ import annotations

import io
import os
import sys
from _thread import RLock, _count, get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Characters of a line; a longer one is cut into pieces.
LINE_CHARS_MAX = 8192
# Lines that were begun and are not at their end; when there are more, all are ended.
BEGUN_MAX = 1024
LOG = 2

# Held by the thread that writes lines. A handler of a signal may write within that, on the same thread.
_writing = RLock()


def _begin_anew() -> None:
    """In a process that was forked while another thread wrote, which is not there to end it."""
    global _writing
    _writing = RLock()


os.register_at_fork(after_in_child=_begin_anew)


class LogWriter:
    """The lines of all requests. `request` is the one that is being worked on, where there is one
    at a time; else `current` is replaced by what finds it."""

    __slots__ = ("begun", "current", "left", "main", "request")

    def __init__(self) -> None:
        self.request: dict[str, Any] | None = None
        self.current: Callable[[], dict[str, Any] | None] = self._one
        self.main = get_ident()
        # There were threads when the request began: what they print may be of one before.
        self.left = False
        # By stream, thread and request, so that they do not continue one another's lines.
        self.begun: dict[tuple[int, int, int], tuple[dict[str, Any] | None, str]] = {}

    def install(self) -> None:
        """From now on, what is printed comes here."""
        sys.stdout = Stream(self)
        sys.stderr = Stream(self)

    def begin(self, request: dict[str, Any]) -> None:
        """From now on this is the request that is being worked on."""
        self.left = _count() > 0
        self.request = request

    def _one(self) -> dict[str, Any] | None:
        return None if self.left and get_ident() != self.main else self.request

    def write(self, stream: Stream, text: str) -> None:
        """Passes lines on; one without an end waits for it."""
        request = self.current()
        key = (id(stream), get_ident(), id(request))
        if self.begun:
            text = self.begun.pop(key, (None, ""))[1] + text
        lines = text.split("\n")
        rest = lines.pop()
        if len(rest) > LINE_CHARS_MAX:
            *full, rest = _pieces(rest)
            lines += full
        if rest:
            self.begun[key] = (request, rest)
            if len(self.begun) > BEGUN_MAX:
                self.end_lines()
        if lines:
            _put(request, lines)

    def end_lines(self, request: dict[str, Any] | None = None) -> None:
        """Ends the lines that a request has begun, or all."""
        for key, (whose, text) in list(self.begun.items()):
            if request is None or whose is request:
                self.begun.pop(key, None)
                _put(whose, [text])


class Stream(io.TextIOBase):
    """Standard output or standard error, for the handler."""

    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self._buffer: io.FileIO | None = None

    @property
    def buffer(self) -> io.FileIO:
        """For bytes: they go as they are."""
        if self._buffer is None:
            self._buffer = io.FileIO(LOG, "wb", closefd=False)
        return self._buffer

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._log.write(self, text)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return LOG

    def flush(self) -> None:
        """Nothing: whole lines are written at once, and a begun one waits for its end."""

    def reconfigure(self, **_options: object) -> None:
        """Nothing: it is there for functions that set the encoding or the buffering at their start,
        as they may with the streams of Python."""

    def close(self) -> None:
        """Nothing, as others go on printing."""


def ids(request: dict[str, Any]) -> str:
    """`executionId=… traceId=…`, as far as a request has them."""
    names = ("executionId", "traceId")
    return " ".join(f"{name}={request[name]}" for name in names if name in request)


def _put(request: dict[str, Any] | None, lines: list[str]) -> None:
    if request is None:
        prefix, own = "", ""
    else:
        prefix, own = ids(request) + " ", request.get("executionId", "")
    text = "".join(
        f"{piece}\n" if not own or _names(piece, own) else f"{prefix}{piece}\n"
        for line in lines
        for piece in _pieces(line)
    )
    data = text.encode("utf-8", "backslashreplace")
    # A pipe takes more than PIPE_BUF bytes in parts, between which it takes those of another thread.
    with _writing:
        try:
            while data:
                data = data[os.write(LOG, data) :]
        except OSError:
            pass  # Nobody reads the log any more, and there is nowhere else to say so.


def _names(line: str, own: str) -> bool:
    """Whether a line says of itself, where the watchdog looks for it, that it is of this execution: at
    its head, as in `info executionId=…`, or as a member of the JSON object that it is. Anywhere else the
    id may be what somebody sent."""
    if own not in line:
        return False
    if line.lstrip().startswith("{"):
        import json

        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and value.get("executionId") == own
    return f"executionId={own}" in line.split(maxsplit=2)[:2]


def _pieces(line: str) -> list[str]:
    if len(line) <= LINE_CHARS_MAX:
        return [line]
    return [line[at : at + LINE_CHARS_MAX] for at in range(0, len(line), LINE_CHARS_MAX)]
