"""A request, as it came over the pipe."""

from __future__ import annotations

from . import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Bytes of a head before its fields, and of a field before its value.
HEAD_BYTES = 20
FIELD_BYTES = 5
# The fields of a head, by their numbers.
NAMES = {1: "executionId", 2: "traceId", 3: "traceparent", 4: "tracestate", 5: "idempotencyKey"}


class Request:
    """Its input and metadata, and its circumstances, which are read where somebody asks for them."""

    __slots__ = ("_fields", "_head", "input", "metadata")

    def __init__(
        self,
        input: Any,
        metadata: dict[str, str],
        head: bytes = b"",
        fields: dict[str, Any] | None = None,
    ) -> None:
        self.input = input
        self.metadata = metadata
        self._head = head
        self._fields = fields

    @property
    def fields(self) -> dict[str, Any]:
        """All that is known besides, by the names that an object in JSON has for it."""
        if self._fields is None:
            self._fields = _fields(self._head)
        return self._fields

    def is_late(self, now_ms: float) -> bool:
        """Whether its time was over, at this time of `time.monotonic()`. The deadline is a whole number that
        was rounded down, twice."""
        at_ms = int.from_bytes(self._head[12:HEAD_BYTES], "big")
        return at_ms != 0 and now_ms >= at_ms + 2


def read_object(payload: bytes) -> Request:
    """A request that is an object in JSON. `ValueError` and `RecursionError` are what Python cannot take
    of it."""
    fields = wire.read(payload.decode())
    return Request(fields["input"], fields["metadata"], fields=fields)


def read_head_and_body(payload: bytes) -> Request:
    """A request that is a head and the body as the client sent it. `ValueError` and `RecursionError` say
    that it is not what a body should be, or that Python cannot take it."""
    begin = int.from_bytes(payload[:4], "big")
    input, metadata = wire.read_body(payload[begin:].decode())
    return Request(input, metadata, payload[:begin])


def _fields(head: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {"attempt": int.from_bytes(head[4:8], "big")}
    deadline_at_ms = int.from_bytes(head[12:HEAD_BYTES], "big")
    if deadline_at_ms:
        fields["deadlineAtMs"] = deadline_at_ms
    at = HEAD_BYTES
    while at < len(head):
        begin = at + FIELD_BYTES
        end = begin + int.from_bytes(head[at + 1 : begin], "big")
        # A later version may have others.
        if head[at] in NAMES:
            fields[NAMES[head[at]]] = head[begin:end].decode()
        at = end
    return fields
