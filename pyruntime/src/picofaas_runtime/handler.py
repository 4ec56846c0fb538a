"""Which handler, and how it is called: decided once, at the start."""

from __future__ import annotations

import os
import sys
import time

from . import signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Names that are listed where one is not found.
NAMES_MAX = 10
# A source that was saved less than this long ago may be saved again in the same second, in seconds.
FRESH_S = 2
# Entries of a folder that are looked at for such a source.
ENTRIES_MAX = 1000
FORMS = "a handler is handle(input) or handle(input, context)"
# First parameters of web applications, which have a server of their own where they have their usual name.
WEB = {("scope", "receive", "send"): "ASGI", ("environ", "start_response"): "WSGI"}
# Classes that give an output where they are called.
_VALUES = (str, int, float, bool, list, tuple, dict)


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
    found = find(name)
    try:
        return _read(found, name.partition(":")[2])
    except LoadError as error:
        raise LoadError(f"HANDLER is `{name}`: {error}", error.cause) from None


def find(name: str) -> Callable[..., Any]:
    """The callable that `HANDLER` names."""
    if not name:
        raise LoadError("HANDLER is not set: give module:function")
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise LoadError(f"HANDLER is `{name}`: give module:function")
    try:
        return _find(_import(module_name), attribute)
    except LoadError as error:
        raise LoadError(f"HANDLER is `{name}`: {error}", error.cause) from None


def _import(name: str) -> Any:
    # Python's cache knows a source by its size and the second of its time: written from one that is saved
    # again within that second, it would be run in place of what was saved.
    sys.dont_write_bytecode = sys.dont_write_bytecode or _has_fresh_source(os.getcwd())
    try:
        # Does what `importlib.import_module` does, without importing that.
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


def _has_fresh_source(folder: str, *, depth: int = 1) -> bool:
    """Whether a source in the folder, or in a folder of it, was saved a moment ago. Times to come count."""
    since = time.time() - FRESH_S
    try:
        with os.scandir(folder) as entries:
            for entry, _ in zip(entries, range(ENTRIES_MAX), strict=False):
                if entry.name.startswith((".", "__pycache__")):
                    continue
                if entry.name.endswith(".py"):
                    if entry.stat().st_mtime > since:
                        return True
                elif depth > 0 and entry.is_dir() and _has_fresh_source(entry.path, depth=depth - 1):
                    return True
    except OSError:
        # Of what cannot be read, nothing is imported from a cache that we would write.
        return True
    return False


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
        found = module
        for part in attribute.split("."):
            found = getattr(found, part)
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
    if isinstance(call, type) and not issubclass(call, _VALUES):
        raise LoadError(f"{name} is a class: name a function, or an object of the class; {FORMS}")
    if signature.is_generator(call):
        raise LoadError(f"{name} is a generator: it would return no output; {FORMS}")
    if signature.makes_context_manager(call):
        raise LoadError(f"{name} returns a context manager, which is no output; {FORMS}")
    is_async = signature.is_async(call)
    if is_async and signature.is_cached(call):
        raise LoadError(f"{name} is async and cached: its second call would get what was awaited already")
    return Handler(call, is_async=is_async, takes_context=_takes_context(call, name))


def _takes_context(call: Callable[..., Any], name: str) -> bool:
    takes = signature.parameters(call)
    if takes is None:
        # Something that is not written in Python, of which nothing is known: it takes the input.
        return False
    kind = WEB.get(takes.positional[:3]) or WEB.get(takes.positional[:2])
    if kind is not None:
        raise LoadError(
            f"{name} is a web application ({kind}): name it app or application, as HANDLER=module:app, "
            "and it is served as one"
        )
    if takes.by_name:
        names = ", ".join(takes.by_name)
        raise LoadError(f"{name} wants {names} by name, which it is not given: {FORMS}")
    if takes.required > 2 or not (takes.positional or takes.variable):
        raise LoadError(f"{name} takes {takes.required} arguments: {FORMS}")
    if takes.passes_on:
        # Its arguments go to the function behind it, which may not take both.
        behind = signature.parameters_behind(call, name.rpartition(".")[2])
        if behind is None:
            return False
        takes = behind
    if takes.positional[:1] == ("self",):
        raise LoadError(f"{name} is a method of a class: name one of an object; {FORMS}")
    # One with a default is the function's own business, unless it has our name for it.
    second = takes.positional[1] if len(takes.positional) > 1 else None
    return takes.required >= 2 or second == "context" or takes.passes_on
