"""Failures of a request, as they are answered and as they are logged."""

from __future__ import annotations

import builtins
import sys

from . import wire
from .pipe import ERROR, REJECTION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from .pipe import Reply

# Characters of a message for the client, and of a traceback for the log, whose end says most.
MESSAGE_CHARS_MAX = 2048
TRACEBACK_CHARS_MAX = 1 << 16


class HandlerError(Exception):
    """A handler's answer that is not a success: a status from 400 to 599, a code in capitals
    and a message, which all reach the client. A 4xx is final; a 5xx is tried again, unless
    `retryable=False` says that another attempt would fail in the same way."""

    def __init__(self, status: int, code: str, message: str, *, retryable: bool = True) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"the status of a HandlerError is {status}: give one from 400 to 599")
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"


class Stopped(BaseException):
    """Raised in a sync handler when nobody waits for its answer any more: its deadline has passed,
    its caller has gone, or the function is stopped. Its `finally` blocks have a second."""


def detail(status: int, code: str, message: str, *, retryable: bool = True) -> bytes:
    """A failure as an object in JSON."""
    members: dict[str, object] = {"message": _clean(message), "status": status, "code": _clean(code)}
    if not retryable:
        members["retryable"] = False
    return wire.write(members)


def reply(status: int, code: str, message: str, *, retryable: bool = True) -> Reply:
    """The reply that is a failure."""
    return ERROR, detail(status, code, message, retryable=retryable)


def unread(error: Exception) -> Reply:
    """For a body that is not what it should be, or not what Python can hold."""
    return REJECTION, detail(400, "BAD_INPUT", f"the input cannot be read: {_words(error)}")


def unwritten(error: Exception) -> Reply:
    """For an output that JSON cannot say."""
    message = f"the output cannot be written as JSON: {_reason(error)}"
    return reply(500, "BAD_OUTPUT", message, retryable=isinstance(error, MemoryError))


def too_large(length: int, output_bytes_max: int) -> Reply:
    """For an output over the limit."""
    message = f"the output is {length} bytes, more than {output_bytes_max} (MAX_OUTPUT)"
    return reply(500, "OUTPUT_TOO_LARGE", message, retryable=False)


def raised(error: BaseException) -> Reply:
    """For what a handler raised; whatever it did not mean as an answer goes to the log as well."""
    chosen = _chosen(error)
    if chosen is not None:
        return reply(chosen.status, chosen.code, chosen.message, retryable=chosen.retryable)
    if isinstance(error, MemoryError):
        _let_go(error.__traceback__)
    if isinstance(error, SystemExit):
        argument = "" if error.code is None else repr(error.code)
        message = f"the handler called exit({argument})"
    else:
        message = _words(error)
    log(error)
    return reply(500, "HANDLER_ERROR", message)


def _chosen(error: BaseException) -> HandlerError | None:
    """The handler's own error, which may be the only one of a group, as `asyncio.TaskGroup` raises it, or of
    groups within groups."""
    while sys.version_info >= (3, 11) and isinstance(error, builtins.BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error if isinstance(error, HandlerError) else None


def log(error: BaseException) -> None:
    """Writes the traceback, without the frames that called."""
    try:
        import traceback

        called = error.__traceback__
        while called is not None and _is_callers(called.tb_frame):
            called = called.tb_next
        if called is None:
            # A fault of the package, or of the call itself.
            called = error.__traceback__ and error.__traceback__.tb_next
        lines = traceback.format_exception(type(error), error, called)
        text = "".join(lines)[-TRACEBACK_CHARS_MAX:]
    except Exception:
        # Out of memory still, or a `__str__` that fails: the message has what is to be had.
        text = f"{_words(error)} (without a traceback, which could not be written)\n"
    try:
        sys.stderr.write(text)
    except Exception:
        pass  # The handler put something else there that does not work; the client has the message.


def _is_callers(frame: FrameType) -> bool:
    """Whether it is a frame of this package, or of the loop that it runs."""
    module = str(frame.f_globals.get("__name__"))
    return module.partition(".")[0] in ("picofaas_runtime", "asyncio")


def _let_go(traceback: TracebackType | None) -> None:
    """Empties the frames that have ended of their variables: who ran out of memory still has
    all of it there."""
    while traceback is not None:
        try:
            traceback.tb_frame.clear()
        except RuntimeError:
            pass  # One that still runs, which is the loop's own.
        traceback = traceback.tb_next


def _words(error: BaseException) -> str:
    """The type and what it says."""
    name = type(error).__name__
    text = _text(error)
    if not text and isinstance(error, MemoryError):
        text = "out of memory"
    return f"{name}: {text}" if text else name


def _reason(error: Exception) -> str:
    """The words of an error of the encoder."""
    if isinstance(error, UnicodeEncodeError):
        return "a text has half of a surrogate pair, which is no character"
    return _text(error) or type(error).__name__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(an error that cannot be written as text)"


def _clean(text: object) -> str:
    """Text that is valid Unicode, and not without an end."""
    return str(text)[:MESSAGE_CHARS_MAX].encode("utf-8", "backslashreplace").decode()
