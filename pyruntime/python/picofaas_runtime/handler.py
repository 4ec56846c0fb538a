"""Which handler, and how it is called: decided once, at the start."""

from __future__ import annotations

import os
import sys
from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

# Bits of `co_flags`, as `inspect` has them: importing it takes some milliseconds.
VARARGS = 0x04
GENERATOR = 0x20
COROUTINE = 0x80
ASYNC_GENERATOR = 0x200

# Names that are listed where one is not found.
NAMES_MAX = 10
FORMS = "a handler is handle(input) or handle(input, context)"


class LoadError(Exception):
    """Why there is no handler, for the people who will read it in the log. `cause` is what was
    raised by the function's own code."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.cause = cause


class Handler:
    """The function's code."""

    __slots__ = ("call", "is_async", "takes_context")

    def __init__(self, call: Callable[..., Any], *, is_async: bool, takes_context: bool) -> None:
        self.call = call
        self.is_async = is_async
        self.takes_context = takes_context


def load(name: str) -> Handler:
    """The handler that `HANDLER` names."""
    if not name:
        raise LoadError("HANDLER is not set: give module:function")
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise LoadError(f"HANDLER is `{name}`: give module:function")
    try:
        return _read(_find(_import(module_name), attribute), attribute)
    except LoadError as error:
        raise LoadError(f"HANDLER is `{name}`: {error}", error.cause) from None


def _import(name: str) -> Any:
    try:
        # What `importlib.import_module` does, without importing that.
        __import__(name)
        return sys.modules[name]
    except SystemExit as error:
        argument = "" if error.code is None else repr(error.code)
        what = f"called exit({argument}) as it was imported"
        raise LoadError(f"the module {name} {what}{_place(error)}", error) from None
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and _is_part(error.name, name):
            message = f"there is no module {error.name}, neither in {os.getcwd()} nor in the other folders"
            raise LoadError(f"{message} of Python's path") from None
        said = error.msg if isinstance(error, SyntaxError) else error
        what = f"the module {name} cannot be imported: {type(error).__name__}: {said}"
        raise LoadError(f"{what}{_place(error)}", error) from None


def _is_part(missing: str | None, name: str) -> bool:
    """Whether the module that is not there is the handler's own or one that it is in."""
    return missing is not None and f"{name}.".startswith(f"{missing}.")


def _place(error: BaseException) -> str:
    """File and line of the fault: the last of the function's own, not of the import's machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    place = ""
    # The first frame is this file's.
    traceback = error.__traceback__ and error.__traceback__.tb_next
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith("<frozen "):
            place = f" ({file}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return place


def _find(module: Any, attribute: str) -> Callable[..., Any]:
    try:
        found = getattr(module, attribute)
    except AttributeError:
        own = [
            name
            for name, value in vars(module).items()
            if callable(value)
            and not name.startswith("_")
            and getattr(value, "__module__", None) == module.__name__
        ]
        there = ", ".join(sorted(own)[:NAMES_MAX]) or "no functions"
        where = getattr(module, "__file__", None) or module.__name__
        raise LoadError(f"there is no {attribute} in {where}, which has {there}") from None
    if not callable(found):
        raise LoadError(f"{attribute} is no function but a value of the type {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _read(call: Callable[..., Any], name: str) -> Handler:
    """Reads off what a handler takes and whether it is `async def`."""
    code = _code(call)[0]
    flags = code.co_flags if code else 0
    if flags & (GENERATOR | ASYNC_GENERATOR):
        raise LoadError(f"{name} is a generator: it would return no output; {FORMS}")
    return Handler(call, is_async=bool(flags & COROUTINE), takes_context=_takes_context(call, name))


def _takes_context(call: Callable[..., Any], name: str) -> bool:
    # A decorator that keeps the signature of what it wraps says so by this name.
    while hasattr(call, "__wrapped__"):
        call = call.__wrapped__
    if type(call).__name__ == "partial" and type(call).__module__ == "functools":
        # It does not say which arguments are left, nor whether what it wraps is `async def`.
        raise LoadError(f"{name} is a functools.partial: write a def that calls it; {FORMS}")
    code, bound, defaults = _code(call)
    if code is None:
        # Something that is not written in Python, of which nothing is known: it takes the input.
        return False
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    function = _function(call)
    given = (function and function.__kwdefaults__) or {}
    missing = [one for one in named if one not in given]
    if missing:
        raise LoadError(f"{name} wants {', '.join(missing)} by name, which it is not given: {FORMS}")
    positional = code.co_argcount - bound
    required = positional - defaults
    variable = bool(code.co_flags & VARARGS)
    if required > 2 or (positional < 1 and not variable):
        raise LoadError(f"{name} takes {required} arguments: {FORMS}")
    second = code.co_varnames[bound + 1] if positional >= 2 else None
    # One with a default is the function's own business, unless it has our name for it.
    return required == 2 or second == "context" or (positional < 2 and variable)


def _code(call: Any) -> tuple[CodeType | None, int, int]:
    """The code, how many of its parameters are bound already, and how many have defaults."""
    function = _function(call)
    if function is None:
        return None, 0, 0
    bound = 0 if call is function else 1
    return function.__code__, bound, len(function.__defaults__ or ())


def _function(call: Any) -> FunctionType | None:
    """The function that runs when it is called; `None` where that is not written in Python."""
    if isinstance(call, type):
        return None
    if not isinstance(call, (FunctionType, MethodType)):
        call = type(call).__call__
    if isinstance(call, MethodType):
        call = call.__func__
    return call if isinstance(call, FunctionType) else None
