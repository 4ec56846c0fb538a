"""The web application that a function is, and its kind."""

from __future__ import annotations

from . import signature
from .handler import LoadError, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMS = (
    "a web application is one of ASGI, app(scope, receive, send), or of WSGI, app(environ, start_response)"
)


class AppError(LoadError):
    """Why there is no application."""


def load(name: str) -> tuple[Any, bool]:
    """The application that `HANDLER` names, and whether it is one of ASGI."""
    found = find(name)
    try:
        return found, is_asgi(found)
    except AppError as error:
        raise AppError(f"HANDLER is `{name}`: {error}") from None


def is_asgi(application: Any) -> bool:
    """Whether it is one of ASGI, by what it takes: three arguments, and one of WSGI two."""
    takes = signature.parameters(application)
    if isinstance(application, type) or takes is None or takes.by_name:
        raise AppError(f"it is no web application: {FORMS}")
    count = len(takes.positional)
    if takes.variable and count < 2:
        # A decorator that hands on whatever it is given.
        return signature.is_async(application)
    if takes.required <= 3 <= count:
        return True
    if takes.required <= 2 <= count:
        return False
    raise AppError(f"it takes {takes.required} arguments: {FORMS}")
