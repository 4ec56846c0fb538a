"""What a handler returns is awaited where Python itself would await it, and nothing else is."""

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
