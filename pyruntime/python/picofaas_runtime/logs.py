"""The logger of a request, on top of `logging`, which is only imported for it."""

from __future__ import annotations

import logging
import sys
from typing import Any

from .log_writer import Stream, ids

NAME = "picofaas"


class _Lines(logging.Handler):
    """Writes to what is standard error at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text, request = self.format(record) + "\n", getattr(record, "request", None)
            if isinstance(sys.stderr, Stream) and request is not None:
                # The request that it was made for, which may not be the one that runs now.
                sys.stderr.write_of(request, text)
            else:
                sys.stderr.write(text)
        except Exception:
            self.handleError(record)


class _Layout(logging.Formatter):
    """`info executionId=… traceId=… the message`."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        words = (record.levelname.lower(), getattr(record, "ids", ""), record.message)
        return " ".join(word for word in words if word)


def logger_of(request: dict[str, Any]) -> logging.LoggerAdapter[Any]:
    """The logger of one request. It is ours as long as nobody has set up another way for lines."""
    logger = logging.getLogger(NAME)
    if not logger.hasHandlers():
        lines = _Lines()
        lines.setFormatter(_Layout())
        logger.addHandler(lines)
        logger.propagate = False
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    extra = {
        "ids": ids(request),
        "request": request,
        "executionId": request.get("executionId"),
        "traceId": request.get("traceId"),
    }
    return logging.LoggerAdapter(logger, extra)
