"""Handlers behind decorators: called by the parameters of what is named, and awaited where that is due."""

from __future__ import annotations

import time

import pytest
from conftest import ID, Start

DECORATORS = """
import asyncio, contextlib, functools, time

def own(f):
    @functools.wraps(f)
    def call(event, context):
        assert context.attempt == 1
        return f(event)
    return call

def narrow(f):
    @functools.wraps(f)
    def call(event):
        return f(event, "second")
    return call

def plain(f):
    def call(*args, **kwargs):
        return f(*args, **kwargs)
    return call

def wraps(f):
    @functools.wraps(f)
    def call(*args, **kwargs):
        return f(*args, **kwargs)
    return call

def reported(report):
    def decorate(f):
        def call(*args):
            report(args)
            return f(*args)
        return call
    return decorate

def awaits(f):
    @functools.wraps(f)
    async def call(*args):
        return await f(*args)
    return call

def runs(f):
    @functools.wraps(f)
    def call(*args):
        return asyncio.run(f(*args))
    return call

class Timed:
    def __init__(self, f):
        self.f = f
    def __call__(self, *args, **kwargs):
        return self.f(*args, **kwargs)

class Updated(Timed):
    def __init__(self, f):
        super().__init__(f)
        functools.update_wrapper(self, f)

class Slotted:
    __slots__ = ("__f", "unset")
    def __init__(self, f):
        self.__f = f
    def __call__(self, *args):
        return self.__f(*args)

def injects(f):
    @functools.wraps(f)
    def call(*args, **kwargs):
        return f(*args, number=1, **kwargs)
    return call

def sets(f):
    @functools.wraps(f)
    def call(*args, **kwargs):
        kwargs["number"] = 1
        return f(*args, **kwargs)
    return call

def timed(clock, report=print):
    def decorate(f):
        def call(*args):
            clock()
            report("timed", flush=True)
            return f(*args)
        return call
    return decorate

class Managed(contextlib.ContextDecorator):
    def __enter__(self):
        return self
    def __exit__(self, *fault):
        return False

class ManagedAsync(contextlib.AsyncContextDecorator):
    async def __aenter__(self):
        return self
    async def __aexit__(self, *fault):
        return False

class Service:
    @wraps
    def bound(self, input): return [input, 1]
    @wraps
    def second(self, input, context): return [input, context.attempt]
    @plain
    def unnamed(self, input): return [input, 1]
    @functools.lru_cache
    def cached(self, input): return [input, 1]
    @staticmethod
    def static(input): return [input, 1]
    @classmethod
    def of_class(cls, input, context): return [input, context.attempt]
    partial = functools.partialmethod(lambda self, one, input: [input, one], 1)
    async def awaited(self, input): return [input, 1]
service = Service()

def one(input): return [input, 1]
def two(input, context): return [input, context.attempt]
async def later(input): return [input, 1]
async def later_two(input, context): return [input, context.attempt]
"""

SHAPES = [
    "own(one)",
    "plain(one)",
    "plain(two)",
    "wraps(one)",
    "wraps(two)",
    "plain(plain(one))",
    "own(wraps(one))",
    "wraps(own(one))",
    "narrow(lambda input, second: [input, 1])",
    "Timed(one)",
    "Timed(two)",
    "Updated(one)",
    "Updated(two)",
    "Slotted(one)",
    "Slotted(two)",
    "injects(lambda input, number: [input, number])",
    "injects(lambda input, context, number: [input, number * context.attempt])",
    "wraps(injects(lambda input, number: [input, number]))",
    "sets(lambda input, number: [input, number])",
    "timed(time.monotonic)(one)",
    "timed(clock=time.monotonic)(two)",
    "Managed()(one)",
    "Managed()(two)",
    "functools.lru_cache(one)",
    "functools.cache(two)",
    "functools.singledispatch(one)",
    "functools.partial(lambda number, input: [input, number], 1)",
    "functools.partial(lambda number, input, context: [input, context.attempt], 1)",
    "functools.partial(lambda input, number: [input, number], number=1)",
    "functools.partial(lambda input, context, *, number: [input, number], number=1)",
    "wraps(lambda input, *, number=1: [input, number])",
    "service.bound",
    "service.second",
    "service.unnamed",
    "service.cached",
    "service.partial",
    "service.awaited",
    "Service.static",
    "Service.of_class",
    "later",
    "plain(later)",
    "plain(later_two)",
    "wraps(later)",
    "own(later)",
    "Timed(later_two)",
    "Managed()(later)",
    "ManagedAsync()(later_two)",
    "awaits(later)",
    "awaits(plain(later_two))",
    "runs(later)",
    "runs(later_two)",
    "functools.partial(later)",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_decorated_handler_is_called_by_the_parameters_of_what_is_named(serve: Start, shape: str) -> None:
    worker = serve(f"{DECORATORS}\nhandle = {shape}")
    for _ in range(2):
        assert worker.call("x") == {"output": ["x", 1]}, worker.log()
    assert "never awaited" not in worker.log()


def test_of_several_functions_that_a_decorator_holds_the_one_of_the_handlers_name_counts(
    serve: Start,
) -> None:
    worker = serve(f"{DECORATORS}\n@reported(lambda args: None)\ndef handle(input): return [input, 1]")
    assert worker.call("x") == {"output": ["x", 1]}


@pytest.mark.parametrize("named", ["service.second", "Service.static", "Service.of_class"])
def test_a_method_may_be_named_by_its_path(start: Start, named: str) -> None:
    worker = start(DECORATORS, handler=f"function:{named}")
    assert "ready" in worker.ready()
    assert worker.call("x") == {"output": ["x", 1]}


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ("functools.lru_cache(later)", "handle is async and cached: its second call would get"),
        ("functools.partial(lambda a, b, c, d: 1, 1)", "handle takes 3 arguments: a handler is"),
        ("functools.partial(two, context=1, input=2)", "handle takes 0 arguments: a handler is"),
        ("functools.partial(lambda a, b: 1, a=1)", "handle wants b by name, which it is not given"),
        ("functools.partial(generator)", "handle is a generator: it would return no output"),
        ("contextlib.contextmanager(generator)", "handle returns a context manager, which is no output"),
        ("Service", "handle is a class: name a function, or an object of the class"),
        ("Service.bound", "handle is a method of a class: name one of an object"),
        ("Service.awaited", "handle is a method of a class: name one of an object"),
        ("Generates()", "handle is a generator: it would return no output"),
    ],
)
def test_a_decorated_handler_that_can_give_no_output_is_refused_at_the_start(
    start: Start, shape: str, reason: str
) -> None:
    more = "def generator(input): yield 1\nclass Generates:\n async def __call__(self, input): yield 1\n"
    message = start(f"{DECORATORS}\n{more}\nhandle = {shape}").ready()["error"]["message"]
    assert message.startswith(f"HANDLER is `function:handle`: {reason}"), message


def test_what_a_sync_handler_awaits_stays_on_one_loop_and_its_lines_have_the_ids(serve: Start) -> None:
    worker = serve(
        """
        import asyncio, functools
        lock = asyncio.Queue()
        loops = set()
        async def work(input):
            loops.add(asyncio.get_running_loop())
            await lock.put(input)
            await asyncio.sleep(0)
            print("worked on", await lock.get())
            return len(loops)
        def handle(input):
            return asyncio.ensure_future(work(input)) if input == 3 else work(input)
        """
    )
    for number in range(5):
        assert worker.call(number) == {"output": 1}, worker.log()
    assert f"executionId={ID}" in worker.log().partition("worked on 4")[0].splitlines()[-1]


def test_what_an_awaited_handler_raises_is_answered_and_the_next_request_served(serve: Start) -> None:
    worker = serve(
        """
        async def work(input):
            if input:
                raise input and KeyError("name")
            return "fine"
        handle = lambda input: work(input)
        """
    )
    for _ in range(2):
        assert worker.error(True) == (500, "HANDLER_ERROR", "KeyError: 'name'")
        assert worker.call(False) == {"output": "fine"}


def test_sigterm_runs_the_finally_blocks_of_what_a_sync_handler_awaits(serve: Start) -> None:
    worker = serve(
        """
        import asyncio
        async def work():
            try:
                print("waiting", flush=True)
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0)
                print("cleaned up")
        handle = lambda input: work()
        """
    )
    worker.send(None)
    worker.wait_for_log("waiting")
    begun = time.monotonic()
    worker.terminate()
    assert worker.wait() == 0
    assert "cleaned up" in worker.log()
    assert time.monotonic() - begun < 3600
