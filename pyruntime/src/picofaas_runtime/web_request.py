"""A web request: its head, what picofaas says of it, and refusals."""

from __future__ import annotations

from time import monotonic

from . import wire
from .context import Context
from .http1 import Answer, Head
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXECUTION_ID_BYTES_MAX = 256
_NAMES = {
    b"x-trace-id": "traceId",
    b"traceparent": "traceparent",
    b"tracestate": "tracestate",
    b"idempotency-key": "idempotencyKey",
}


class WebRequest:
    """The head, and the request that lines of the log are of."""

    __slots__ = ("context", "head", "logged")

    def __init__(self, head: Head, execution: str) -> None:
        fields: dict[str, Any] = {"executionId": execution}
        for name, field in _NAMES.items():
            if value := head.text(name):
                fields[field] = value
        for number, field in (("x-attempt", "attempt"), ("x-deadline-ms", "deadlineAtMs")):
            value = head.text(number.encode()) or ""
            if value.isascii() and value.isdigit():
                fields[field] = int(value) + (int(monotonic() * 1000) if field == "deadlineAtMs" else 0)
        self.head = head
        self.logged = Request(None, {}, fields=fields)
        self.context = Context(self.logged)

    @property
    def prefix(self) -> str:
        """The path below which the function is; empty where it has a host of its own."""
        return (self.head.text(b"x-forwarded-prefix") or "").rstrip("/")

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the client has it."""
        return "https" if self.head.get(b"x-forwarded-proto") == b"https" else "http"

    @property
    def client(self) -> str:
        """The client's address, or nothing. Behind it stand those of proxies that are trusted."""
        return (self.head.text(b"x-forwarded-for") or "").partition(",")[0].strip()

    @property
    def host(self) -> tuple[str, int]:
        """Name and port that the client has asked."""
        host = self.head.text(b"host") or "localhost"
        name, colon, port = host.rpartition(":")
        if colon and port.isascii() and port.isdigit():
            return name, int(port)
        return host, 443 if self.scheme == "https" else 80


def read(head: Head) -> WebRequest | None:
    """The request, where it is one of picofaas: no page of a browser can set the header."""
    execution = head.text(b"x-execution-id")
    if not execution or len(execution) > EXECUTION_ID_BYTES_MAX or not execution.isascii():
        return None
    return WebRequest(head, execution)


def refusal(head: Head | None, status: int, code: str, message: str) -> bytes:
    """The bytes of an answer that is an error object. Its connection closes."""
    body = wire.write({"error": {"code": code, "message": message}})
    if head is None:
        head = Head("GET", b"/", b"HTTP/1.1", [])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    answer = Answer(head, status, None, headers)
    return answer.head + answer.piece(body)


def foreign(head: Head) -> bytes:
    """For what did not come by picofaas."""
    return refusal(head, 403, "FOREIGN_ORIGIN", "a web request has an X-Execution-Id, which picofaas gives")


def words(error: BaseException) -> str:
    """The type of what an application raised, and what it says."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
