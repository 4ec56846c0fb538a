"""Parameters of the named callable, and whether calling it gives something to be awaited.

This is the part of `inspect.signature` that handlers need, without `inspect`: importing that takes some
milliseconds. Only the callable's own parameters count. A decorator's are those of the function that it
returns, whatever `functools.wraps` has copied to it.
"""

from __future__ import annotations

import sys
from types import FunctionType, MemberDescriptorType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Bits of `co_flags`, as `inspect` has them.
_VARARGS = 0x04
_GENERATOR = 0x20
_COROUTINE = 0x80
_ASYNC_GENERATOR = 0x200
# Callables inside of each other: decorators, methods, partials. Only a mistake has more.
DEPTH_MAX = 50


class Parameters:
    """The parameters of a callable: the names of positional parameters, of which the first `required` have no
    default, whether there may be more, and the names that it must be given and that are not positional."""

    __slots__ = ("by_name", "positional", "required", "variable")

    def __init__(
        self, positional: tuple[str, ...], required: int, *, variable: bool, by_name: list[str]
    ) -> None:
        self.positional = positional
        self.required = required
        self.variable = variable
        self.by_name = by_name

    def bound(self, count: int) -> Parameters:
        """The parameters that are left when the first `count` are given."""
        required = max(0, self.required - count)
        return Parameters(self.positional[count:], required, variable=self.variable, by_name=self.by_name)

    def named(self, given: dict[str, Any]) -> Parameters:
        """The parameters that are left when these names are given. One that stands behind any of them can
        be given by its name only."""
        by_name = [name for name in self.by_name if name not in given]
        for at, name in enumerate(self.positional):
            if name in given:
                behind = self.positional[at : self.required]
                by_name += [other for other in behind if other not in given]
                required = min(self.required, at)
                return Parameters(self.positional[:at], required, variable=False, by_name=by_name)
        return Parameters(self.positional, self.required, variable=self.variable, by_name=by_name)

    @property
    def passes_on(self) -> bool:
        """Whether it takes anything, as a decorator's function does that hands it on."""
        return self.variable and len(self.positional) < 2


class _Given:
    """Arguments that the layers around a function give it besides the arguments of the call."""

    __slots__ = ("_bound", "_partials")

    def __init__(self) -> None:
        self._bound = 0
        self._partials: list[tuple[Any, int]] = []

    def takes(self, layer: Any) -> bool:
        """Whether the layer gives something; it is noted then."""
        if isinstance(layer, MethodType):
            self._bound += 1
        elif _is_partial(layer):
            self._partials.append((layer, self._bound))
            self._bound = 0
        else:
            return False
        return True

    def leaves(self, taken: Parameters) -> Parameters:
        """The parameters that are left; the innermost layer was the first to give."""
        taken = taken.bound(self._bound)
        for partial, bound in reversed(self._partials):
            taken = taken.bound(len(partial.args)).named(partial.keywords).bound(bound)
        return taken


def parameters(call: Any) -> Parameters | None:
    """The parameters of a callable; `None` where it is not written in Python."""
    given = _Given()
    for layer in _layers(call):
        if not given.takes(layer) and isinstance(layer, FunctionType):
            return given.leaves(_of_function(layer))
    return None


def parameters_behind(call: Any, name: str, depth: int = DEPTH_MAX) -> Parameters | None:
    """As `parameters`; but where it passes on all that it is given, what the function behind it takes: the
    one that `functools.wraps` has left there or, without it, the only one that it holds, or the one of
    those that has the handler's own name, as `@decorator` above `def name` leaves it."""
    taken = parameters(call)
    if depth == 0 or taken is None or not taken.passes_on:
        return taken
    given = _Given()
    for layer in _layers(call):
        if not given.takes(layer) and (behind := _behind(layer, name)) is not None:
            found = parameters_behind(behind, name, depth - 1)
            return None if found is None else given.leaves(found.named(_named_in(call, found)))
    return taken


def _named_in(call: Any, behind: Parameters) -> dict[str, Any]:
    """Parameters of the function behind that a decorator's function gives by name: its code has the name.
    The first is the input, and the context is ours to give."""
    function = next((layer for layer in _layers(call) if isinstance(layer, FunctionType)), None)
    constants = function.__code__.co_consts if function is not None else ()
    names = {name for each in constants for name in (each if isinstance(each, tuple) else (each,))}
    return {name: None for name in behind.positional[1:] if name in names and name != "context"}


def is_async(call: Any) -> bool:
    """Whether it is `async def`, or was marked as such (`inspect.markcoroutinefunction`)."""
    marks = {
        attribute: mark
        for module, attribute in (("inspect", "_is_coroutine_mark"), ("asyncio.coroutines", "_is_coroutine"))
        if (mark := getattr(sys.modules.get(module), attribute, None)) is not None
    }
    for layer in _layers(call):
        if any(getattr(layer, attribute, None) is mark for attribute, mark in marks.items()):
            return True
        if isinstance(layer, FunctionType):
            return bool(layer.__code__.co_flags & _COROUTINE)
    return False


def is_generator(call: Any) -> bool:
    """Whether it only makes something to be iterated over."""
    return any(
        isinstance(layer, FunctionType) and layer.__code__.co_flags & (_GENERATOR | _ASYNC_GENERATOR)
        for layer in _layers(call)
    )


def is_cached(call: Any) -> bool:
    """Whether it gives again what it gave before: `functools.cache` and `lru_cache`."""
    return any(type(layer).__name__ == "_lru_cache_wrapper" for layer in _layers(call))


def makes_context_manager(call: Any) -> bool:
    """Whether it was made by `contextlib.contextmanager` or its sibling."""
    return any(
        isinstance(layer, FunctionType)
        and layer.__globals__.get("__name__") == "contextlib"
        and layer.__code__.co_name == "helper"
        for layer in _layers(call)
    )


def _behind(layer: Any, name: str) -> Any:
    """The function that a decorator's one hands on to; `None` where it is not to be told."""
    there = getattr(layer, "__wrapped__", None)
    if there is not None:
        return there
    held = [
        value
        for value in _held(layer)
        if callable(value)
        and not isinstance(value, type)
        and value is not layer
        # A clock or `print` is no handler.
        and parameters(value) is not None
    ]
    named = [value for value in held if getattr(value, "__name__", None) == name]
    found = named or held
    return found[0] if len(found) == 1 else None


def _layers(call: Any) -> Iterator[Any]:
    """The callable, and what Python itself goes on to when it is called, down to the function."""
    for _ in range(DEPTH_MAX):
        yield call
        if isinstance(call, (FunctionType, type)):
            return
        if isinstance(call, MethodType):
            call = call.__func__
        elif _is_partial(call):
            call = call.func
        else:
            call = _call_of(call)
            if call is None:
                return


def _call_of(call: Any) -> Any:
    """The function that is called where an object is: its class's `__call__`, or the function behind one
    that is written in C and passes on all that it is given (`lru_cache`, the proxies of `wrapt`)."""
    own = next((vars(kind)["__call__"] for kind in type(call).__mro__ if "__call__" in vars(kind)), None)
    if isinstance(own, FunctionType):
        return MethodType(own, call)
    if isinstance(own, (staticmethod, classmethod)):
        return own.__get__(call, type(call))
    return getattr(call, "__wrapped__", None)


def _is_partial(call: Any) -> bool:
    return any(kind.__name__ == "partial" and kind.__module__ == "functools" for kind in type(call).__mro__)


def _of_function(function: FunctionType) -> Parameters:
    code = function.__code__
    names = code.co_varnames
    count = code.co_argcount
    defaults = function.__kwdefaults__ or {}
    return Parameters(
        names[:count],
        count - len(function.__defaults__ or ()),
        variable=bool(code.co_flags & _VARARGS),
        by_name=[name for name in names[count : count + code.co_kwonlyargcount] if name not in defaults],
    )


def _held(layer: Any) -> list[Any]:
    """The values that a function has from around it, or an object in its fields."""
    if not isinstance(layer, FunctionType):
        return [*getattr(layer, "__dict__", {}).values(), *_in_slots(layer)]
    held = []
    for cell in layer.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:
            pass  # Not assigned yet.
    return held


def _in_slots(layer: Any) -> Iterator[Any]:
    for kind in type(layer).__mro__:
        for member in vars(kind).values():
            if isinstance(member, MemberDescriptorType):
                try:
                    yield member.__get__(layer)
                except AttributeError:
                    pass  # Not assigned yet.
