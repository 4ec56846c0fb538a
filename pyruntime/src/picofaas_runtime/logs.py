"""The logger of a request, on top of `logging`, which is only imported for it."""

from __future__ import annotations

import logging
import sys
from typing import Any

from .log_writer import Stream, ids
from .request import Request

NAME = "picofaas"


class _Ids(str):
    """The ids as a record has them, which formatters may write, with the request, which they may not."""

    __slots__ = ("request",)

    request: Request


class _Lines(logging.Handler):
    """Writes to what is standard error at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text, ids = self.format(record) + "\n", getattr(record, "ids", None)
            if isinstance(sys.stderr, Stream) and isinstance(ids, _Ids):
                # The request that it was made for, which may not be the one that runs now.
                sys.stderr.write_of(ids.request, text)
            else:
                sys.stderr.write(text)
        except Exception:
            self.handleError(record)


class _Layout(logging.Formatter):
    """`info executionId=… traceId=… the message`."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = getattr(record, "ids", None)
        # A function's own loggers may give their lines anything of that name.
        words = (record.levelname.lower(), ids if isinstance(ids, _Ids) else "", record.message)
        return " ".join(word for word in words if word)


def logger_of(request: Request) -> logging.LoggerAdapter[Any]:
    """The logger of one request. It is ours as long as nobody has set up another way for lines."""
    logger = logging.getLogger(NAME)
    if not logger.hasHandlers():
        lines = _Lines()
        lines.setFormatter(_Layout())
        logger.addHandler(lines)
        logger.propagate = False
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    own = _Ids(ids(request))
    own.request = request
    extra = {
        "ids": own,
        "executionId": request.fields.get("executionId"),
        "traceId": request.fields.get("traceId"),
    }
    return logging.LoggerAdapter(logger, extra)
