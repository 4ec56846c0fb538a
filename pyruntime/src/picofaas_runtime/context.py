"""A request, as its handler sees it."""

from __future__ import annotations

from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from logging import LoggerAdapter
    from typing import Any

    from .request import Request


class Context:
    """The second argument of a handler that wants it. What a request does not have is `None`."""

    __slots__ = ("_logger", "_request")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._logger: LoggerAdapter[Any] | None = None

    @property
    def execution_id(self) -> str:
        """The execution; the same in every attempt."""
        return str(self._request.fields["executionId"])

    @property
    def trace_id(self) -> str | None:
        """The trace that the execution belongs to."""
        return self._request.fields.get("traceId")

    @property
    def traceparent(self) -> str | None:
        """W3C trace context, to be handed on."""
        return self._request.fields.get("traceparent")

    @property
    def tracestate(self) -> str | None:
        """The trace's state of other tracing systems, to be handed on with `traceparent`."""
        return self._request.fields.get("tracestate")

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return int(self._request.fields.get("attempt", 1))

    @property
    def idempotency_key(self) -> str | None:
        """The client's `Idempotency-Key`."""
        return self._request.fields.get("idempotencyKey")

    @property
    def metadata(self) -> dict[str, str]:
        """The client's `metadata`."""
        return self._request.metadata

    def time_left(self) -> float | None:
        """Seconds until the handler is stopped; 0 where they are over."""
        deadline_at_ms = self._request.fields.get("deadlineAtMs")
        if deadline_at_ms is None:
            return None
        return max(0.0, float(deadline_at_ms) / 1000 - monotonic())

    @property
    def logger(self) -> LoggerAdapter[Any]:
        """A logger whose lines have the level and the ids of this execution: `info executionId=…
        traceId=… 3 words`. Where the function sets up `logging` itself, its lines go there."""
        if self._logger is None:
            from .logs import logger_of

            self._logger = logger_of(self._request)
        return self._logger
