"""An output is awaited where Python itself would await it, and nothing else is."""

from __future__ import annotations

import pytest
from conftest import TRACE, Start

# Dictionaries that say of every attribute that they have it.
DICTIONARIES = """
class Get(dict):
    __getattr__ = dict.get
class Item(dict):
    __getattr__ = dict.__getitem__
class Own(dict):
    def __getattr__(self, name):
        return self.setdefault(name, Own())
async def later(made):
    return made
"""


@pytest.mark.parametrize("kind", ["Get", "Item", "Own"])
@pytest.mark.parametrize(
    "handler",
    [
        "def handle(input): return {kind}(a=input)",
        "async def handle(input): return {kind}(a=input)",
        "def handle(input): return later({kind}(a=input))",
        "async def handle(input): return later({kind}(a=input))",
    ],
)
def test_an_output_is_awaited_by_its_type_and_not_by_the_attributes_that_it_answers_to(
    serve: Start, handler: str, kind: str
) -> None:
    worker = serve(DICTIONARIES + handler.format(kind=kind))
    assert worker.call(1) == {"output": {"a": 1}}, worker.log()


@pytest.mark.parametrize("awaits", ["return work(input)", "return loop.run_until_complete(work(input))"])
def test_a_task_that_a_sync_handler_left_on_its_loop_has_its_own_ids_in_the_next_request(
    serve: Start, awaits: str
) -> None:
    worker = serve(
        f"""
        import asyncio
        loop = asyncio.new_event_loop()
        kept = []
        async def aside():
            await asyncio.sleep(0)
            print("left behind")
        async def work(input):
            if input == "begin":
                kept.append(asyncio.get_running_loop().create_task(aside()))
            else:
                await kept.pop()
                print("own")
        def handle(input):
            {awaits}
        """
    )
    worker.call("begin", executionId="1" * 40)
    assert worker.call("go", executionId="2" * 40) == {"output": None}
    assert worker.log().splitlines() == [
        f"executionId={'1' * 40} traceId={TRACE} left behind",
        f"executionId={'2' * 40} traceId={TRACE} own",
    ]


def test_a_task_that_exits_and_was_left_by_another_request_fails_none_and_keeps_none_pending(
    serve: Start,
) -> None:
    worker = serve(
        """
        import asyncio, sys
        kept = []
        async def exits():
            await asyncio.sleep(0)
            sys.exit(3)
        async def work(input):
            if input == "begin":
                kept.append(asyncio.create_task(exits()))
                return
            for _ in range(5):
                await asyncio.sleep(0)
            print("to its end")
            return len(asyncio.all_tasks())
        def handle(input):
            return work(input)
        """
    )
    assert worker.call("begin") == {"output": None}
    assert worker.call("go") == {"output": 1}, worker.log()
    assert worker.call("go") == {"output": 1}
    assert worker.log().count("to its end") == 2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("loop.stop()", "RuntimeError: Event loop stopped before Future completed."),
        ("await asyncio.gather(exits())", "the handler called exit(3)"),
    ],
)
def test_what_ends_the_wait_for_a_handler_ends_the_handler_with_its_finally_blocks(
    serve: Start, fault: str, message: str
) -> None:
    worker = serve(
        f"""
        import asyncio, sys
        async def exits():
            sys.exit(3)
        async def work(input):
            loop = asyncio.get_running_loop()
            if input == "go":
                return len(asyncio.all_tasks())
            try:
                {fault}
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0)
                print("tidied up")
        def handle(input):
            return work(input)
        """
    )
    assert worker.error("fail") == (500, "HANDLER_ERROR", message)
    assert "tidied up" in worker.log()
    assert worker.call("go") == {"output": 1}
