"""An async handler: many requests at once, each of which can be stopped."""

from __future__ import annotations

import signal

import pytest
from conftest import IDS, Start

MEETING = """
    import asyncio
    waiting = {}
    async def handle(input):
        "Waits for another request to name this one."
        if "open" in input:
            waiting.pop(input["open"]).set()
            return "opened"
        event = waiting[input["name"]] = asyncio.Event()
        print("waits", input["name"])
        try:
            await event.wait()
            return input["name"]
        finally:
            print("over", input["name"])
"""


def test_it_says_how_many_it_takes_and_answers_in_any_order(start: Start) -> None:
    worker = start(MEETING)
    assert worker.ready() == {"ready": True, "concurrency": 100}
    first, second = worker.send({"name": "a"}), worker.send({"name": "b"})
    worker.send({"open": "b"})
    # The two come in either order.
    assert {worker.receive()[0], worker.receive()[0]} == {3, second}
    worker.send({"open": "a"})
    assert (first, {"output": "a"}) in (worker.receive(), worker.receive())
    assert worker.end() == 0


def test_the_concurrency_can_be_set_and_a_bad_one_is_named(start: Start) -> None:
    worker = start(MEETING, PICOFAAS_WORKER_CONCURRENCY="7")
    assert worker.ready() == {"ready": True, "concurrency": 7}
    for bad in ("0", "1025", "many", "-1", "1.5", "²"):
        worker = start(MEETING, PICOFAAS_WORKER_CONCURRENCY=bad)
        message = f"PICOFAAS_WORKER_CONCURRENCY is `{bad}`: give a number from 1 to 1024"
        assert worker.ready() == {"error": {"message": message}}
        assert worker.wait() == 1


def test_one_that_is_stopped_is_cancelled_and_the_others_go_on(serve: Start) -> None:
    worker = serve(MEETING)
    first, second = worker.send({"name": "a"}), worker.send({"name": "b"})
    worker.wait_for_log("waits b")
    worker.write(first, b"")
    sequence, reply = worker.receive()
    assert (sequence, reply["error"]["status"], reply["error"]["code"]) == (first, 504, "HANDLER_TIMEOUT")
    assert "over a\n" in worker.log()
    # An end of a request that is over already, or never was, is no news.
    worker.write(first, b"")
    worker.write(99, b"")
    third = worker.send({"open": "b"})
    assert {worker.receive()[0], worker.receive()[0]} == {second, third}
    assert "Traceback" not in worker.log()


def test_one_that_is_stopped_before_it_began_is_answered_too(serve: Start) -> None:
    worker = serve(MEETING)
    frame = worker.frame(5, b'{"input":{"name":"a"}}')
    worker.stdin.write(frame + bytes(4) + (5).to_bytes(4, "big"))
    sequence, reply = worker.receive()
    assert (sequence, reply["error"]["status"]) == (5, 504)
    assert "waits" not in worker.log()


def test_one_that_answers_though_it_was_stopped_answers_once(serve: Start) -> None:
    worker = serve(
        """
        import asyncio
        async def handle(input):
            try:
                print("waits")
                await asyncio.sleep(input)
            except asyncio.CancelledError:
                return "late"
            return "in time"
        """
    )
    sequence = worker.send(600)
    worker.wait_for_log("waits")
    worker.write(sequence, b"")
    assert worker.receive() == (sequence, {"output": "late"})
    assert worker.call(0) == {"output": "in time"}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("raise KeyError('name')", "KeyError: 'name'"),
        ("raise asyncio.CancelledError", "CancelledError"),
        ("sys.exit(3)", "the handler called exit(3)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("await asyncio.wait_for(asyncio.sleep(600), 0.01)", "TimeoutError"),
    ],
)
def test_whatever_is_raised_is_answered_and_the_others_go_on(
    serve: Start, statement: str, message: str
) -> None:
    worker = serve(
        f"""
        import asyncio, sys
        event = asyncio.Event()
        async def handle(input):
            if input == "wait":
                await event.wait()
            elif input == "fail":
                {statement}
            event.set()
            return input
        """
    )
    waiting = worker.send("wait")
    assert worker.error("fail") == (500, "HANDLER_ERROR", message)
    worker.send("open")
    assert waiting in (worker.receive()[0], worker.receive()[0])


def test_outputs_and_inputs_are_checked_as_those_of_sync_handlers(serve: Start) -> None:
    worker = serve("async def handle(input): return {1} if input else 'x' * 2000", MAX_OUTPUT="1000")
    assert worker.error(True)[1] == "BAD_OUTPUT"
    assert worker.error(False)[1] == "OUTPUT_TOO_LARGE"
    worker.put(9, b'{"input":' + b"1" * 5000 + b"}")
    assert worker.receive()[1]["error"]["code"] == "BAD_INPUT"


def test_what_each_prints_has_its_own_ids_and_lines_do_not_mix(serve: Start) -> None:
    worker = serve(
        """
        import asyncio
        both = asyncio.Event()
        names = []
        async def handle(input, context):
            names.append(input)
            print("begin", input, end=" ")
            if len(names) == 2:
                both.set()
            await both.wait()
            await asyncio.to_thread(print, "end", input)
            context.logger.info("logged %s", input)
            await asyncio.create_task(aside(input))
        async def aside(input):
            print("aside", input, end="")
        """
    )
    worker.send("a", executionId="a" * 40)
    worker.send("b", executionId="b" * 40)
    worker.receive()
    worker.receive()
    lines = worker.log().splitlines()
    for name in "ab":
        ids = f"executionId={name * 40} traceId={'t' * 32} "
        # The thread's line is one of its own, as threads do not continue one another's lines.
        assert sorted(line for line in lines if name * 40 in line) == sorted(
            [f"{ids}end {name}", f"info {ids}logged {name}", f"{ids}begin {name} aside {name}"]
        )


def test_the_end_of_requests_finishes_what_runs(serve: Start) -> None:
    worker = serve("import asyncio\nasync def handle(input):\n await asyncio.sleep(input)\n return input")
    first, second = worker.send(0.05), worker.send(0.04)
    worker.stdin.close()
    assert {worker.receive()[0], worker.receive()[0]} == {first, second}
    assert worker.wait() == 0


def test_sigterm_stops_what_runs_and_ends_with_0(serve: Start) -> None:
    worker = serve(
        MEETING
        + """
    import atexit, threading
    atexit.register(print, "at exit")
    threading.Thread(target=threading.Event().wait).start()
    """
    )
    worker.send({"name": "a"})
    worker.wait_for_log("waits a")
    worker.terminate()
    assert worker.receive()[1]["error"]["status"] == 504
    assert worker.wait() == 0
    assert f"{IDS}over a\n" in worker.log()
    assert "at exit\n" in worker.log()


def test_what_a_handler_left_in_the_background_is_cancelled_at_the_end(serve: Start) -> None:
    worker = serve(
        """
        import asyncio
        kept = []
        async def forever():
            try:
                await asyncio.sleep(600)
            finally:
                print("tidied up")
        async def handle(input):
            kept.append(asyncio.create_task(forever()))
            await asyncio.sleep(0)
        """
    )
    assert worker.call(None) == {"output": None}
    assert worker.end() == 0
    assert f"{IDS}tidied up\n" in worker.log()


@pytest.mark.parametrize(
    ("end", "status"),
    [("return 'from the child'", 0), ("sys.exit(5)", 5), ("sys.exit('no')", 1), ("1 / 0", 1)],
)
def test_a_process_that_a_handler_forks_answers_nothing(serve: Start, end: str, status: int) -> None:
    worker = serve(
        f"""
        import os, sys
        async def handle(input):
            child = os.fork()
            if child == 0:
                {end}
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """
    )
    assert worker.call(None) == {"output": status}
    assert worker.call(None) == {"output": status}
    assert worker.end() == 0


def test_sigterm_ends_a_process_that_a_handler_forks_and_nothing_else(serve: Start) -> None:
    worker = serve(
        """
        import asyncio, multiprocessing, time
        async def handle(input):
            if input is None:
                return None
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.start()
            child.terminate()
            child.join(60)
            child.kill()
            await asyncio.sleep(0.05)
            return child.exitcode
        """
    )
    assert worker.call(1) == {"output": -signal.SIGTERM}
    assert worker.call(None) == {"output": None}
    assert worker.end() == 0


@pytest.mark.parametrize("error", ["SystemExit(3)", "KeyboardInterrupt()"])
def test_exiting_in_a_task_of_a_handlers_own_fails_its_request_only(serve: Start, error: str) -> None:
    worker = serve(
        f"""
        import asyncio
        event = asyncio.Event()
        async def part():
            raise {error}
        async def handle(input):
            if input is None:
                await asyncio.gather(part())
            if input == 2:
                event.set()
            await event.wait()
            return input
        """
    )
    other = worker.send(1)
    failing = worker.send(None)
    sequence, reply = worker.receive()
    assert (sequence, reply["error"]["code"]) == (failing, "HANDLER_ERROR")
    last = worker.send(2)
    assert sorted([worker.receive(), worker.receive()]) == [(other, {"output": 1}), (last, {"output": 2})]
    assert worker.end() == 0
