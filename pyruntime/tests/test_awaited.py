"""What a handler returns is awaited where Python itself would await it, and nothing else is."""

from __future__ import annotations

import pytest
from conftest import Start

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
