"""A line is its own request's, or nobody's, where threads and processes work for several requests."""

from __future__ import annotations

import pytest
from conftest import TRACE, Start, Worker

A, B = "a" * 40, "b" * 40
OF_NONE = "executionId=- "


def ids(execution: str) -> str:
    return f"executionId={execution} traceId={TRACE} "


def lines(worker: Worker, text: str) -> list[str]:
    return [line for line in worker.log().splitlines() if line.endswith(text)]


# While B runs, A makes what works for others and goes on; B has it print, and lets A end.
SIDE_BY_SIDE = """
import asyncio, concurrent.futures, logging, logging.handlers, multiprocessing.pool, queue, sys, threading
begun, made, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
kept = []

async def handle(input):
    loop = asyncio.get_running_loop()
    if input == "a":
        await begun.wait()
        {make}
        made.set()
        await over.wait()
    else:
        begun.set()
        await made.wait()
        {use}
        over.set()
"""


@pytest.mark.parametrize(
    ("make", "use", "whose"),
    [
        (
            "await loop.run_in_executor(None, int)",
            "await loop.run_in_executor(None, print, 'of b')",
            ids(B),
        ),
        (
            "kept.append(multiprocessing.pool.ThreadPool(1)); kept[0].apply(int)",
            "kept[0].apply(print, ('of b',))",
            OF_NONE,
        ),
        (
            "kept.append(queue.Queue()); kept.append(logging.handlers.QueueListener(kept[0],"
            " logging.StreamHandler())); kept[1].start()",
            "kept[0].put(logging.makeLogRecord({'msg': 'of b'})); kept[1].stop()",
            OF_NONE,
        ),
        (
            "kept.append(queue.Queue()); kept.append(threading.Thread(target=lambda: print(kept[0].get())));"
            " kept[1].start()",
            "kept[0].put('of b'); kept[1].join()",
            OF_NONE,
        ),
    ],
)
def test_a_thread_that_one_request_started_gives_no_other_request_its_id(
    serve: Start, make: str, use: str, whose: str
) -> None:
    worker = serve(SIDE_BY_SIDE.format(make=make, use=use))
    worker.send("a", executionId=A)
    worker.send("b", executionId=B)
    worker.receive()
    worker.receive()
    assert worker.log().splitlines() == [f"{whose}of b"]


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    ("make", "use"),
    [
        ("multiprocessing.get_context('fork').Pool(1)", "pool.apply(print, (input,))"),
        (
            "concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork'))",
            "pool.submit(print, input).result()",
        ),
    ],
)
def test_the_process_of_a_pool_has_the_id_of_the_request_that_made_it_and_gives_it_to_no_other(
    serve: Start, kind: str, make: str, use: str
) -> None:
    worker = serve(
        f"""
        import concurrent.futures, multiprocessing
        pool = None
        {kind} handle(input):
            global pool
            pool = pool or {make}
            {use}
        """
    )
    worker.call("of a", executionId=A)
    worker.call("of b", executionId=B)
    worker.call("of a again", executionId=A)
    assert worker.log().splitlines() == [f"{ids(A)}of a", f"{OF_NONE}of b", f"{OF_NONE}of a again"]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_process_that_a_handler_forks_itself_keeps_the_id(serve: Start, kind: str) -> None:
    worker = serve(
        f"""
        import os
        child = None
        {kind} handle(input):
            global child
            if input == "a":
                end, go = os.pipe()
                pid = os.fork()
                if pid == 0:
                    os.close(go)
                    os.read(end, 1)
                    print("of a")
                    return
                child = pid, go
            else:
                os.close(child[1])
                os.waitpid(child[0], 0)
        """
    )
    worker.call("a", executionId=A)
    worker.call("b", executionId=B)
    assert lines(worker, "of a") == [f"{ids(A)}of a"]
