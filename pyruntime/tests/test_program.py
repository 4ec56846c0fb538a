"""Functions as they are served by the installed program, well behaved and not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import IDS, PACKAGE
from program import INSTALLED, Run, answer, needs_program, run

__all__ = ["run"]

pytestmark = needs_program


def test_a_function_is_served_with_its_context(run: Run) -> None:
    program = run(handler="faulty:context").ready()
    status, output = program.call({"a": ["ä", 1.5]})
    assert status == 200
    assert 30_000 < output["leftMs"] <= 60_000
    assert output["input"] == {"a": ["ä", 1.5]}
    assert f"executionId={output['executionId']} traceId={output['traceId']} " == IDS
    assert (output["attempt"], output["metadata"], output["idempotencyKey"]) == (1, {}, None)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("missing:handle", "HANDLER is `missing:handle`: there is no module missing"),
        ("faulty:missing", "HANDLER is `faulty:missing`: there is no missing in "),
        ("faulty", "HANDLER is `faulty`: give module:function"),
        ("", "HANDLER is not set: give module:function"),
        ("broken:handle", "cannot be imported: ZeroDivisionError: division by zero ("),
    ],
)
def test_a_handler_that_cannot_be_loaded_ends_the_start_with_the_reason_last(
    run: Run, handler: str, reason: str
) -> None:
    program = run(handler=handler)
    (program.log_path.parent / "broken.py").write_text("1 / 0")
    assert program.wait() == 1
    assert reason in program.log().splitlines()[-1]


def test_the_package_that_is_installed_is_the_one_that_serves(run: Run) -> None:
    program = run("import picofaas_runtime\ndef handle(input): return picofaas_runtime.__file__").ready()
    status, file = program.call(None)
    assert status == 200
    assert file.startswith(f"{INSTALLED}/"), file


def test_the_worker_tells_a_person_how_a_function_is_served() -> None:
    controller, terminal = os.openpty()
    try:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE)}
        command = [sys.executable, "-m", "picofaas_runtime"]
        said = subprocess.run(command, stdin=terminal, env=environment, capture_output=True, text=True)
    finally:
        os.close(controller)
        os.close(terminal)
    assert (said.returncode, said.stdout) == (1, "")
    assert "picofaas watchdog python" in said.stderr


def test_an_interpreter_that_is_not_there_is_named(run: Run) -> None:
    program = run(handler="faulty:echo", PICOFAAS_PYTHON="/nowhere/python3")
    assert program.wait() == 1
    assert "/nowhere/python3" in program.log()


def test_an_async_handler_behind_a_plain_decorator_is_awaited(run: Run) -> None:
    program = run(
        """
        import asyncio, functools
        def decorated(f):
            @functools.wraps(f)
            def call(event, context):
                return f([event, context.attempt])
            return call
        @decorated
        async def handle(input):
            await asyncio.sleep(0)
            return input
        """
    ).ready()
    for number in range(3):
        assert program.call(number) == (200, [number, 1])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(3)", "the worker ended with exit status 3"),
        ("os.kill(os.getpid(), 11)", "signal 11"),
        ("sys.exit(3)", "the handler called exit(3)"),
        ("raise KeyError('name')", "KeyError: 'name'"),
        ("take()", "memory"),
    ],
)
def test_a_handler_that_ends_or_fails_is_an_error_and_the_next_request_is_served(
    run: Run, body: str, said: str
) -> None:
    program = run(
        f"""
        import os, resource, sys
        def take():
            resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
            taken = []
            while True:
                taken.append(bytearray(1 << 20))
        def handle(input):
            if input:
                {body}
            return "fine"
        """
    ).ready()
    for _ in range(2):
        status, error = program.call(True)
        assert (status, error["error"]["code"]) == (500, "HANDLER_ERROR")
        assert said in error["error"]["message"], error
        assert program.call(False) == (200, "fine")


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_worker_that_is_killed_tells_a_caller_its_own_last_line_and_no_other(run: Run, kind: str) -> None:
    program = run(
        f"""
        import os
        {kind} handle(input):
            print(input["say"])
            os.write(2, (input["say"] + " as it is\\n").encode())
            if input.get("end"):
                os.kill(os.getpid(), 9)
        """
    ).ready()
    first, second = "1" * 40, "2" * 40
    assert answer(program.ask({"say": "charging card 4111"}, execution=first))[0] == 200
    status, error = answer(program.ask({"say": "own words", "end": True}, execution=second))
    assert (status, error["error"]["code"]) == (500, "HANDLER_ERROR")
    own = f"executionId={second} traceId={'t' * 32} own words"
    assert error["error"]["message"].endswith(f"SIGKILL: {own}")


def test_of_requests_at_once_each_is_told_its_own_last_line(run: Run) -> None:
    program = run(
        """
        import asyncio, os
        async def handle(input):
            print(input["say"])
            if input.get("end"):
                os.kill(os.getpid(), 9)
            await asyncio.sleep(3600)
        """
    ).ready()
    first, second = "1" * 40, "2" * 40
    waiting = program.ask({"say": "charging card 4111"}, execution=first)
    program.wait_for_log("4111")
    ending = program.ask({"say": "own words", "end": True}, execution=second)
    for asked, own, other in [(ending, second, "4111"), (waiting, first, "own words")]:
        message = answer(asked)[1]["error"]["message"]
        assert f": executionId={own} " in message, message
        assert other not in message, message


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "time.sleep(600)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); time.sleep(600)",
        "endure()",
    ],
)
def test_a_handler_that_blocks_for_ever_is_answered_for_and_replaced(run: Run, body: str) -> None:
    program = run(
        f"""
        import signal, time
        def endure():
            while True:
                try:
                    time.sleep(600)
                except BaseException:
                    pass
        def handle(input):
            if input:
                {body}
            return "fine"
        """
    ).ready()
    status, error = program.call(True, deadline_ms=100)
    assert (status, error["error"]["code"]) == (504, "HANDLER_TIMEOUT")
    assert program.call(False) == (200, "fine")


def test_time_that_passes_before_a_requests_turn_is_not_left_to_its_handler(run: Run, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    program = run(
        f"""
        import os, time
        def handle(input, context):
            if input == "long":
                print(f"executionId={{context.execution_id}} begun")
                while not os.path.exists({str(gate)!r}):
                    time.sleep(0.01)
            return context.time_left()
        """
    ).ready()
    first = program.ask("long", deadline_ms=60_000)
    program.wait_for_log("begun")
    # It waits in the worker's pipe, to which it was sent ahead.
    second = program.ask("short", deadline_ms=60_000)
    program.wait_for_metric("picofaas_runtime_in_flight 2")
    time.sleep(0.5)
    gate.touch()
    status, left = answer(second)
    assert status == 200
    assert left < 59.6
    assert answer(first)[0] == 200


def test_streams_that_are_misused_harm_no_answer(run: Run) -> None:
    program = run(
        """
        import os, sys, threading
        def handle(input):
            print("half a line", end="")
            os.write(1, b"straight to 1\\n")
            sys.stdin.close()
            os.close(0)
            if os.fork() == 0:
                return "not this one"
            os.wait()
            threading.Thread(target=threading.Event().wait).start()
            return input
        """
    ).ready()
    assert program.call(1) == (200, 1)
    program.wait_for_log(f"{IDS}half a line\n")
    assert f"{IDS}straight to 1\n" in program.log()


def test_a_traceback_has_the_ids_in_each_line_and_comes_before_the_answer(run: Run) -> None:
    program = run(handler="faulty:panic").ready()
    program.call("one\ntwo")
    lines = program.log().splitlines()
    assert f"{IDS}Traceback (most recent call last):" in lines
    assert f"{IDS}RuntimeError: one" in lines
    assert f"{IDS}two" in lines


def test_a_late_line_of_a_thread_has_no_ids_while_another_request_runs(run: Run) -> None:
    program = run(
        """
        import threading
        go, said = threading.Event(), threading.Event()
        def late():
            go.wait()
            print("late")
            said.set()
        def handle(input):
            if input == "begin":
                threading.Timer(0, late).start()
            else:
                go.set()
                said.wait()
        """
    ).ready()
    assert answer(program.ask("begin", execution="1" * 40))[0] == 200
    assert answer(program.ask("go", execution="2" * 40))[0] == 200
    program.wait_for_log("late\n")
    assert "late" in program.log().splitlines()


def test_large_outputs_pass_and_larger_ones_are_refused(run: Run) -> None:
    program = run(handler="faulty:big").ready()
    assert program.call({"bytes": 1_000_000}) == (200, "x" * 1_000_000)
    assert program.call({"bytes": 2_000_000})[1]["error"]["code"] == "OUTPUT_TOO_LARGE"
    assert program.call({"bytes": 1}) == (200, "x")


@pytest.mark.parametrize(
    ("output", "code"),
    [("float('nan')", "BAD_OUTPUT"), ("{(1,): 2}", "BAD_OUTPUT"), ("'\\ud800'", "BAD_OUTPUT")],
)
def test_outputs_that_json_cannot_say_are_refused(run: Run, output: str, code: str) -> None:
    status, error = run(f"def handle(input): return {output}").ready().call(None)
    assert (status, error["error"]["code"]) == (500, code)


def test_half_a_surrogate_pair_in_an_input_ends_as_an_error_and_harms_nobody(run: Run) -> None:
    program = run(handler="faulty:echo").ready()
    status, error = program.call(b'{"input":"\\ud800"}')
    assert (status, error["error"]["code"]) in ((400, "BAD_INPUT"), (500, "BAD_OUTPUT"))
    assert program.call(1) == (200, 1)


def test_an_async_handler_works_on_many_at_once(run: Run) -> None:
    program = run(
        """
        import asyncio
        names, all_there = [], asyncio.Event()
        async def handle(input):
            names.append(input)
            if len(names) == 50:
                all_there.set()
            await all_there.wait()
            return input
        """
    ).ready()
    connections = [program.ask(number) for number in range(50)]
    assert [answer(connection) for connection in connections] == [(200, number) for number in range(50)]


def test_an_async_handler_is_cancelled_when_its_caller_goes_or_its_time_is_over(run: Run) -> None:
    program = run(
        """
        import asyncio
        async def handle(input):
            try:
                print("begun", input)
                await asyncio.sleep(600)
            finally:
                print("tidied up", input)
        """
    ).ready()
    gone = program.ask("gone")
    program.wait_for_log("begun gone")
    gone.close()
    program.wait_for_log(f"{IDS}tidied up gone\n")
    status, error = program.call("late", deadline_ms=3000)
    assert (status, error["error"]["code"]) == (504, "HANDLER_TIMEOUT")
    program.wait_for_log(f"{IDS}tidied up late\n")


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_sigterm_finishes_what_runs_and_ends_with_0(run: Run, keyword: str) -> None:
    program = run(
        f"""
        import atexit, time
        atexit.register(print, "at exit")
        {keyword} handle(input):
            print("begun")
            time.sleep(0.2)
            return input
        """
    ).ready()
    connection = program.ask("done")
    program.wait_for_log("begun")
    program.process.send_signal(signal.SIGTERM)
    assert answer(connection) == (200, "done")
    assert program.wait() == 0
    assert "at exit\n" in program.log()
