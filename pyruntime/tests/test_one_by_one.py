"""A sync handler: what it is given, what becomes of what it returns or raises, how it is stopped."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import termios
import time
from array import array
from typing import Any

import pytest
from conftest import ID, IDS, PATIENCE_SECONDS, TRACE, Start


def in_ms(left: int) -> int:
    """A deadline as a request has it."""
    return int(time.monotonic() * 1000) + left


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1.5, 10**30, "", 'ä\n"\\\u2028', "\U0001f600", [], {}, {"a": [{"b": None}, 1e300]}],
)
def test_every_value_goes_there_and_back(serve: Start, value: Any) -> None:
    assert serve(handler="faulty:echo").call(value) == {"output": value}


def test_texts_are_written_as_they_are_and_not_as_escapes(serve: Start) -> None:
    worker = serve(handler="faulty:echo")
    worker.put(1, b'{"input": [ "\xc3\xa4\\u00e4" , 1.0 ] }')
    assert worker.read() == (1, '\x01["ää",1.0]'.encode())


def test_a_handler_is_told_about_its_request(serve: Start) -> None:
    worker = serve(handler="faulty:context")
    output = worker.call(
        [1],
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="a=1,b=2",
        attempt=3,
        deadlineAtMs=in_ms(5000),
        idempotencyKey="k",
        metadata={"a": "b"},
    )["output"]
    assert 4000 < output.pop("leftMs") <= 5000
    assert output == {
        "input": [1],
        "executionId": ID,
        "traceId": TRACE,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1,b=2",
        "attempt": 3,
        "idempotencyKey": "k",
        "metadata": {"a": "b"},
    }
    absent = worker.call(1)["output"]
    assert [absent[name] for name in ("leftMs", "traceparent", "tracestate", "idempotencyKey")] == [None] * 4


def test_time_that_is_left_grows_less_and_ends_at_0(serve: Start) -> None:
    worker = serve(
        """
        import time
        def handle(input, context):
            first = context.time_left()
            time.sleep(0.02)
            return [first, context.time_left()]
        """
    )
    first, second = worker.call(None, deadlineAtMs=in_ms(60_000))["output"]
    assert first - 30 < second < first - 0.015
    assert worker.call(None, deadlineAtMs=in_ms(1))["output"][1] == 0


def test_a_handler_error_is_the_answer_and_no_line_in_the_log(serve: Start) -> None:
    worker = serve(handler="faulty:status")
    given = {"status": 422, "code": "NAME_EMPTY", "message": "say who you are"}
    assert worker.call(given) == {"error": given}
    assert "Traceback" not in worker.log()


def test_a_handler_error_with_a_status_that_is_none_says_so(serve: Start) -> None:
    status, code, message = serve(handler="faulty:status").error({"status": 200, "code": "A", "message": "b"})
    assert (status, code) == (500, "HANDLER_ERROR")
    assert message == "ValueError: the status of a HandlerError is 200: give one from 400 to 599"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("raise KeyError('name')", "KeyError: 'name'"),
        ("raise ValueError", "ValueError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit('x')", "GeneratorExit: x"),
        ("sys.exit(3)", "the handler called exit(3)"),
        ("sys.exit()", "the handler called exit()"),
        ("sys.exit('no')", "the handler called exit('no')"),
        ("exit(4)", "the handler called exit(4)"),
        ("raise MemoryError", "MemoryError: out of memory"),
        ("raise Strange", "Strange: (an error that cannot be written as text)"),
        ("raise ValueError('half \\ud800')", "ValueError: half \\ud800"),
        ("handle(input)", "RecursionError: maximum recursion depth exceeded"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_whatever_is_raised_is_answered_and_the_next_request_served(
    serve: Start, statement: str, message: str
) -> None:
    worker = serve(
        f"""
        import sys
        class Strange(Exception):
            def __str__(self):
                raise OSError
        def handle(input):
            if input:
                {statement}
        """
    )
    assert worker.error(True) == (500, "HANDLER_ERROR", message)
    assert worker.call(False) == {"output": None}
    assert message.partition(":")[0].removeprefix("the handler called ") in worker.log()


def test_a_message_is_cut_where_it_has_no_end(serve: Start) -> None:
    worker = serve("def handle(input): raise ValueError('x' * 10_000_000)")
    assert len(worker.error(None)[2]) == 2048
    assert len(worker.log()) < 200_000


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("{1}", "it has a value of the type set"),
        ("[b'x']", "it has a value of the type bytes"),
        ("object", "it has a value of the type type"),
        ("float('nan')", "Out of range float values are not JSON compliant"),
        ("[1e400]", "Out of range float values are not JSON compliant"),
        ("{(1, 2): 3}", "keys must be str, int, float, bool or None, not tuple"),
        ("'\\ud800'", "a text has half of a surrogate pair, which is no character"),
        ("ring", "Circular reference detected"),
        ("deep", "maximum recursion depth exceeded"),
        ("[Awaited()]", "it has a value of the type Awaited"),
        ("{'deep': [{'in': float('-inf')}]}", "Out of range float values are not JSON compliant"),
    ],
)
def test_an_output_that_json_cannot_say_is_named(serve: Start, output: str, reason: str) -> None:
    worker = serve(
        f"""
        ring = []
        ring.append(ring)
        deep = []
        for _ in range(100_000):
            deep = [deep]
        class Awaited:
            def __await__(self): yield
        def handle(input):
            return {output} if input else "fine"
        """
    )
    status, code, message = worker.error(True)
    assert (status, code) == (500, "BAD_OUTPUT")
    assert message.startswith(f"the output cannot be written as JSON: {reason}"), message
    assert worker.call(False) == {"output": "fine"}
    assert "never awaited" not in worker.log()


def test_keys_that_are_no_texts_become_texts(serve: Start) -> None:
    assert serve("def handle(input): return {1: 2, None: True}").call(0) == {"output": {"1": 2, "null": True}}


@pytest.mark.parametrize("input", ["1" * 5000, "[" * 100_000 + "]" * 100_000])
def test_an_input_that_python_cannot_hold_is_a_bad_input(serve: Start, input: str) -> None:
    worker = serve(handler="faulty:echo")
    worker.put(1, b'{"input":' + input.encode() + b"}")
    sequence, reply = worker.receive()
    assert (sequence, reply["error"]["status"], reply["error"]["code"]) == (1, 400, "BAD_INPUT")
    assert reply["error"]["message"].startswith("the input cannot be read: ")
    assert worker.call(2) == {"output": 2}


def test_outputs_up_to_the_limit_and_no_larger(serve: Start) -> None:
    worker = serve(handler="faulty:big", MAX_OUTPUT="300000")
    assert worker.call({"bytes": 300_000 - 2}) == {"output": "x" * (300_000 - 2)}
    message = "the output is 300001 bytes, more than 300000 (MAX_OUTPUT)"
    assert worker.error({"bytes": 300_000 - 1}) == (500, "OUTPUT_TOO_LARGE", message)
    assert serve(handler="faulty:big").call({"bytes": 1 << 20})["error"]["code"] == "OUTPUT_TOO_LARGE"


def test_frames_come_in_any_pieces(serve: Start) -> None:
    worker = serve(handler="faulty:echo")
    long = b'{"input":"' + b"x" * 3_000_000 + b'"}'
    short = b'{"input":1}'
    frames = b"".join(worker.frame(*frame) for frame in ((1, short), (4294967295, short), (3, long)))
    for at in range(100):
        worker.stdin.write(frames[at : at + 1])
    os.set_blocking(worker.stdin.fileno(), True)
    rest = frames[100:]
    while rest:
        rest = rest[worker.stdin.write(rest) :]
    assert worker.receive() == (1, {"output": 1})
    assert worker.receive() == (4294967295, {"output": 1})
    assert worker.receive()[1]["error"]["code"] == "OUTPUT_TOO_LARGE"


def test_a_handler_that_runs_out_of_memory_is_an_error_and_the_next_request_is_served(serve: Start) -> None:
    worker = serve(
        """
        import resource
        def handle(input):
            if not input:
                return "fine"
            resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
            taken = []
            while True:
                taken.append(bytearray(1 << 20))
                taken.append([None] * 1000)
        """
    )
    for _ in range(3):
        assert worker.error(True) == (500, "HANDLER_ERROR", "MemoryError: out of memory")
        assert worker.call(False) == {"output": "fine"}
    assert "taken.append" in worker.log()


def test_the_end_of_requests_finishes_what_runs_and_ends_with_0(serve: Start) -> None:
    worker = serve(handler="faulty:sleep")
    sequence = worker.send({"ms": 50})
    worker.stdin.close()
    assert worker.receive() == (sequence, {"output": {"ms": 50}})
    assert worker.wait() == 0


def test_sigterm_ends_a_worker_that_waits_with_0(serve: Start) -> None:
    worker = serve(handler="faulty:echo")
    assert worker.call(1) == {"output": 1}
    worker.terminate()
    assert worker.wait() == 0


@pytest.mark.parametrize("statement", ["while True: pass", "time.sleep(600)", "threading.Event().wait()"])
def test_sigterm_is_raised_in_a_handler_whose_finally_blocks_run(serve: Start, statement: str) -> None:
    worker = serve(
        f"""
        import atexit, threading, time
        from picofaas_runtime import HandlerError
        atexit.register(print, "at exit")
        def handle(input):
            try:
                print("begun")
                {statement}
            except Exception:
                print("caught")
            finally:
                print("tidied up")
        """
    )
    worker.send(None)
    worker.wait_for_log("begun")
    worker.terminate()
    assert worker.wait() == 0
    assert "tidied up\n" in worker.log()
    assert "at exit\n" in worker.log()
    assert "caught" not in worker.log()
    assert "Traceback" not in worker.log()


def test_a_handler_that_answers_though_it_was_stopped_writes_nothing_to_the_log(serve: Start) -> None:
    worker = serve(
        """
        import time
        def handle(input):
            try:
                print("begun")
                time.sleep(600)
            except BaseException:
                return "what there is so far"
        """
    )
    worker.send(None)
    worker.wait_for_log("begun")
    assert worker.process.stdout is not None
    worker.process.stdout.close()
    worker.terminate()
    assert worker.wait() == 0
    assert worker.log() == f"{IDS}begun\n"


def test_a_request_that_is_still_being_read_at_sigterm_is_not_begun(serve: Start) -> None:
    worker = serve("def handle(input):\n print('begun')")
    numbers = b"0," * 5_000_000
    worker.put(1, b'{"input":[%b0]}' % numbers)
    until = time.monotonic() + PATIENCE_SECONDS
    while array("i", fcntl.ioctl(worker.stdin, termios.FIONREAD, bytes(4)))[0] > 0:
        assert time.monotonic() < until, worker.log()
    worker.terminate()
    assert worker.wait() == 0
    assert worker.log() == ""


def test_threads_that_a_handler_leaves_behind_keep_nothing_from_ending(serve: Start) -> None:
    worker = serve(
        """
        import threading
        def handle(input):
            for _ in range(20):
                threading.Thread(target=threading.Event().wait).start()
            return threading.active_count()
        """
    )
    assert worker.call(None) == {"output": 21}
    assert worker.call(None) == {"output": 41}
    assert worker.end() == 0


@pytest.mark.parametrize("end", ["return 'from the child'", "sys.exit(5)", "os._exit(5)", "1 / 0"])
def test_a_process_that_a_handler_forks_answers_nothing(serve: Start, end: str) -> None:
    worker = serve(
        f"""
        import os, sys
        def handle(input):
            child = os.fork()
            if child == 0:
                {end}
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """
    )
    status = {"return 'from the child'": 0, "1 / 0": 1}.get(end, 5)
    assert worker.call(None) == {"output": status}
    assert worker.call(None) == {"output": status}
    assert worker.end() == 0


def test_sigterm_ends_a_process_that_a_handler_forks_as_it_does_any_other(serve: Start) -> None:
    worker = serve(
        """
        import multiprocessing, signal, threading, time
        def ended():
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.start()
            child.terminate()
            child.join()
            return child.exitcode
        def handle(input):
            codes = [ended()]
            thread = threading.Thread(target=lambda: codes.append(ended()))
            thread.start()
            thread.join()
            return codes
        """
    )
    assert worker.call(None) == {"output": [-signal.SIGTERM] * 2}
    assert worker.end() == 0
    assert worker.log() == ""


def test_the_standard_streams_are_not_the_pipe(serve: Start) -> None:
    worker = serve(
        """
        import os, subprocess, sys
        def handle(input):
            os.write(1, b"written to 1\\n")
            subprocess.run(["echo", "from echo"], check=True)
            read = sys.stdin.read() + subprocess.run(["cat"], capture_output=True).stdout.decode()
            sys.stdin.close()
            sys.stdout.close()
            os.close(0)
            print("after the end")
            return read
        """
    )
    assert worker.call(None) == {"output": ""}
    for text in ("written to 1\n", "from echo\n", "after the end\n"):
        assert text in worker.log()


def test_processes_that_a_handler_starts_do_not_have_the_pipe(serve: Start) -> None:
    worker = serve(
        """
        import subprocess
        def handle(input):
            return subprocess.run("ls -l /proc/self/fd", shell=True, capture_output=True).stdout.decode()
        """
    )
    listed = worker.call(None)["output"]
    assert [line.split()[8] for line in listed.splitlines()[1:]][:3] == ["0", "1", "2"]
    # One more is how `ls` reads the folder.
    assert len(listed.splitlines()) == 5, listed


def test_exiting_at_once_is_the_process_ending(serve: Start) -> None:
    worker = serve(handler="faulty:exit")
    worker.send(None)
    assert worker.wait() == 3


def test_a_handler_that_breaks_standard_error_breaks_its_log_only(serve: Start) -> None:
    worker = serve("import sys\ndef handle(input):\n sys.stderr = None\n 1 / 0")
    for _ in range(2):
        assert worker.error(None) == (500, "HANDLER_ERROR", "ZeroDivisionError: division by zero")


def test_a_process_that_a_handler_forked_and_that_outlives_the_worker_does_not_hold_its_pipe(
    serve: Start,
) -> None:
    worker = serve(
        """
        import os, time
        def handle(input):
            child = os.fork()
            if child == 0:
                time.sleep(600)
            return child
        """
    )
    child = worker.call(None)["output"]
    try:
        assert worker.end() == 0
        assert worker.process.stdout is not None
        ended, _, _ = select.select([worker.process.stdout], [], [], 5)
        assert ended, "somebody could still write"
        assert os.read(worker.process.stdout.fileno(), 1) == b""
    finally:
        os.kill(child, signal.SIGKILL)
