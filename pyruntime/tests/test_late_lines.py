"""Lines that are written when their request is over, by what it left behind: its own ids or none."""

from __future__ import annotations

import pytest
from conftest import Start

FIRST, SECOND = "1" * 40, "2" * 40
IDS_OF_FIRST = f"executionId={FIRST} traceId={'t' * 32} "
OF_NONE = "executionId=- "

# Work that is left behind waits until the second request has begun, and that waits until it has written.
LEFT_BEHIND = """
import asyncio, concurrent.futures, logging, queue, threading
go, said = threading.Event(), threading.Event()
loggers = []

def late():
    go.wait()
    print("late")
    said.set()

def again():
    if go.is_set():
        print("late")
        said.set()
    else:
        threading.Timer(0.01, again).start()

def by_logger():
    go.wait()
    loggers[0].info("late")
    said.set()

tasks = queue.Queue()
def consume():
    while task := tasks.get():
        task()
"""

HANDLER = """
    if input == "begin":
        {begin}
    else:
        go.set()
        said.wait()
"""


@pytest.mark.parametrize(
    ("begin", "ids"),
    [
        ("threading.Timer(0, late).start()", OF_NONE),
        ("threading.Thread(target=late, daemon=True).start()", OF_NONE),
        ("again()", OF_NONE),
        ("threading.Thread(target=consume, daemon=True).start(); tasks.put(late)", OF_NONE),
        (
            "pool = concurrent.futures.ThreadPoolExecutor(1); pool.submit(int).result(); pool.submit(late)",
            IDS_OF_FIRST,
        ),
        (
            "loggers.append(context.logger); threading.Thread(target=by_logger).start()",
            f"info {IDS_OF_FIRST}",
        ),
    ],
)
def test_a_late_line_of_a_thread_has_its_own_ids_or_none_and_not_those_of_the_next_request(
    serve: Start, begin: str, ids: str
) -> None:
    worker = serve(f"{LEFT_BEHIND}\ndef handle(input, context):{HANDLER.format(begin=begin)}")
    worker.call("begin", executionId=FIRST)
    worker.call("go", executionId=SECOND)
    assert [line for line in worker.log().splitlines() if "late" in line] == [f"{ids}late"]


def test_the_task_of_a_pool_has_the_ids_of_the_request_that_gave_it_also_where_it_is_late(
    serve: Start,
) -> None:
    worker = serve(
        f"""{LEFT_BEHIND}
pool = concurrent.futures.ThreadPoolExecutor(1)
def handle(input):
    if input == "own":
        pool.submit(print, "own").result()
        pool.submit(late)
    elif input == "go":
        go.set()
        pool.submit(print, "next").result()
"""
    )
    worker.call("own", executionId=FIRST)
    worker.call("go", executionId=SECOND)
    assert worker.log().splitlines() == [
        f"{IDS_OF_FIRST}own",
        f"{IDS_OF_FIRST}late",
        f"executionId={SECOND} traceId={'t' * 32} next",
    ]


@pytest.mark.parametrize(
    ("begin", "ids"),
    [
        ("kept.append(asyncio.create_task(late()))", IDS_OF_FIRST),
        ("kept.append(asyncio.create_task(asyncio.to_thread(in_thread)))", IDS_OF_FIRST),
        ("threading.Thread(target=in_thread).start()", OF_NONE),
    ],
)
def test_a_late_line_of_a_task_has_the_ids_of_the_request_that_began_it(
    serve: Start, begin: str, ids: str
) -> None:
    worker = serve(
        f"""
import asyncio, threading
kept, go, said = [], threading.Event(), threading.Event()
async def late():
    while not go.is_set():
        await asyncio.sleep(0.001)
    print("late")
    said.set()
def in_thread():
    go.wait()
    print("late")
    said.set()
async def handle(input):
    if input == "begin":
        {begin}
    else:
        go.set()
        while not said.is_set():
            await asyncio.sleep(0.001)
"""
    )
    worker.call("begin", executionId=FIRST)
    worker.call("go", executionId=SECOND)
    assert worker.log().splitlines() == [f"{ids}late"]


def test_a_thread_has_the_ids_of_the_request_that_started_it_alone_and_none_beside_others(
    serve: Start,
) -> None:
    worker = serve(
        """
import asyncio, threading
both, over = threading.Barrier(2), set()
def say(name):
    if name != "alone":
        both.wait()
    for _ in range(100):
        print(name, "ä" * 3000)
async def handle(name):
    thread = threading.Thread(target=say, args=(name,))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    if name != "alone":
        # Neither is alone before both have said all.
        over.add(name)
        while len(over) < 2:
            await asyncio.sleep(0.001)
"""
    )
    worker.call("alone", executionId=FIRST)
    worker.send("a", executionId=FIRST)
    worker.send("b", executionId=SECOND)
    worker.receive()
    worker.receive()
    wanted = [f"{IDS_OF_FIRST}alone", f"{OF_NONE}a", f"{OF_NONE}b"]
    assert sorted(worker.log().splitlines()) == sorted([f"{line} {'ä' * 3000}" for line in wanted] * 100)
