"""Streams that a function puts on top of ours: what is in their buffers is the request's that wrote it, or
nobody's."""

from __future__ import annotations

import pytest
from conftest import ID, TRACE, Start

A, B = "a" * 40, "b" * 40
OF_NONE = "executionId=- "


def ids(execution: str) -> str:
    return f"executionId={execution} traceId={TRACE} "


TEXT = "io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')"
BYTES = "io.BufferedWriter(sys.stdout.buffer)"
TEXT_OF_BYTES = "io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer), encoding='utf-8')"

# B begins and ends while A, which has written, goes on.
SIDE_BY_SIDE = """
import asyncio, io, sys
{at_import}
said, over = asyncio.Event(), asyncio.Event()
async def handle(input):
    if input == "a":
        {at_call}
        {write}
        said.set()
        await over.wait()
    elif input == "b":
        await said.wait()
    else:
        over.set()
"""


@pytest.mark.parametrize(
    ("at_import", "at_call", "write", "whose"),
    [
        (f"sys.stdout = {TEXT}", "", "print('of a')", ids(A)),
        (f"sys.stderr = {TEXT}", "", "print('of a', file=sys.stderr)", ids(A)),
        ("", f"sys.stdout = {TEXT}", "print('of a')", OF_NONE),
        (f"out = {BYTES}", "", "out.write(b'of a\\n')", OF_NONE),
        (f"sys.stdout = {TEXT_OF_BYTES}", "", "print('of a')", OF_NONE),
    ],
)
def test_what_one_request_has_in_a_buffer_gets_not_the_id_of_one_that_ends_beside_it(
    serve: Start, at_import: str, at_call: str, write: str, whose: str
) -> None:
    worker = serve(SIDE_BY_SIDE.format(at_import=at_import, at_call=at_call, write=write))
    first, second = worker.send("a", executionId=A), worker.send("b", executionId=B)
    assert worker.receive()[0] == second
    third = worker.send("over")
    assert {worker.receive()[0], worker.receive()[0]} == {first, third}
    assert worker.log().splitlines() == [f"{whose}of a"]


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    ("stream", "write"),
    [(TEXT, "out.write('of a\\n')"), (BYTES, "out.write(b'of a\\n')"), (TEXT_OF_BYTES, "print('of a')")],
)
def test_what_a_request_that_is_alone_has_in_a_buffer_gets_its_id(
    serve: Start, stream: str, write: str, kind: str
) -> None:
    worker = serve(
        f"""
        import io, sys
        out = {stream}
        if "print" in {write!r}:
            sys.stdout = out
        {kind} handle(input):
            {write}
        """
    )
    worker.call(None, executionId=A)
    worker.call(None, executionId=B)
    assert worker.log().splitlines() == [f"{ids(A)}of a", f"{ids(B)}of a"]


@pytest.mark.parametrize("stream", [TEXT, TEXT_OF_BYTES])
@pytest.mark.parametrize("where", ["import", "call"])
def test_what_a_thread_of_an_earlier_request_has_in_a_buffer_gets_not_the_id_of_the_next(
    serve: Start, stream: str, where: str
) -> None:
    worker = serve(
        f"""
        import io, sys, threading
        go, said, end = threading.Event(), threading.Event(), threading.Event()
        if {where == "import"}:
            sys.stdout = {stream}
        def late():
            go.wait()
            print("of a")
            said.set()
            end.wait()
        def handle(input):
            if input == "a":
                threading.Thread(target=late, daemon=True).start()
            else:
                if {where == "call"}:
                    sys.stdout = {stream}
                go.set()
                said.wait()
        """
    )
    worker.call("a", executionId=A)
    worker.call("b", executionId=B)
    assert worker.log().splitlines() == [f"{OF_NONE}of a"]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_buffers_are_looked_for_where_one_was_made_and_not_at_each_request(serve: Start, kind: str) -> None:
    worker = serve(
        f"""
        import gc, io, sys
        looks, kept, look = [], [], gc.get_referrers
        def counted(*objects):
            looks.append(1)
            return look(*objects)
        gc.get_referrers = counted
        {kind} handle(input):
            sys.stdout.buffer.write(b"bytes\\n")
            sys.stdout.buffer.flush()
            if input == "make":
                kept.append({TEXT})
                kept[-1].write("text\\n")
            return len(looks)
        """
    )
    assert [worker.call(input)["output"] for input in ("", "", "make", "", "make", "")] == [0, 0, 0, 1, 1, 2]
    assert worker.log().count(f"executionId={ID} traceId={TRACE} text\n") == 2
