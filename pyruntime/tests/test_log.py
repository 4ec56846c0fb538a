"""Lines for the log: each has the ids of its request, whatever wrote it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import ID, IDS, PACKAGE, TRACE, Start


def test_what_is_printed_has_the_ids_in_each_line(serve: Start) -> None:
    worker = serve(
        """
        import sys, threading, warnings
        print("at import")
        def handle(input):
            print("one", 2, "\\nthree")
            print("to stderr", file=sys.stderr)
            print("with the id ee" + "e" * 38)
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start(); thread.join()
            print("half a", end="")
            print("other half", end="", file=sys.stderr)
            print(" line", end="")
        """
    )
    worker.call(None)
    worker.call(None)
    once = (
        f"{IDS}one 2 \n{IDS}three\n{IDS}to stderr\n{IDS}with the id {ID}\n{IDS}from a thread\n"
        f"{IDS}other half\n{IDS}half a line\n"
    )
    assert sorted(worker.log().splitlines()) == sorted(("at import\n" + once + once).splitlines())


def test_a_line_that_names_its_request_stays_as_it_is_and_an_id_within_a_line_names_nothing(
    serve: Start,
) -> None:
    names = [f"executionId={ID} a", f"info executionId={ID} b", f'{{"c": {{}}, "executionId": "{ID}"}}']
    within = [
        f"for user executionId={ID}",
        f"executionId={'b' * 40} {ID}",
        f'{{"user": {{"executionId": "{ID}"}}}}',
        f'{{"executionId": "{ID}", is cut',
    ]
    worker = serve("def handle(lines): print(*lines, sep='\\n')")
    worker.call(names + within)
    assert worker.log().splitlines() == names + [IDS + line for line in within]


def test_lines_of_threads_do_not_mix_however_slowly_they_are_read() -> None:
    program = """
import threading
from picofaas_runtime.log_writer import LogWriter
LogWriter().install()
def say(letter):
    for _ in range(200):
        print(letter * 8000)
threads = [threading.Thread(target=say, args=(letter,)) for letter in "abcd"]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stderr is not None
        text = b""
        # A page of the pipe at a time, so that it is full and takes a line in parts.
        while part := os.read(process.stderr.fileno(), 4096):
            text += part
    assert process.returncode == 0, text.decode()
    lines = text.decode().splitlines()
    assert len(lines) == 800
    assert {line[0] * 8000 for line in lines} == set(lines)


def test_a_line_without_an_end_is_its_requests_and_not_the_nexts(serve: Start) -> None:
    worker = serve("def handle(input): print(input, end='')")
    worker.call("first", executionId="1" * 40)
    worker.call("second", executionId="2" * 40)
    assert worker.log() == (
        f"executionId={'1' * 40} traceId={'t' * 32} first\nexecutionId={'2' * 40} traceId={'t' * 32} second\n"
    )


def test_what_a_thread_of_an_earlier_request_prints_has_not_the_ids_of_the_one_that_runs(
    serve: Start,
) -> None:
    worker = serve(
        """
        import threading
        go, said = threading.Event(), threading.Event()
        def late():
            print("begins")
            go.wait(); print("late"); said.set()
        def handle(input):
            if input == "begin":
                threading.Thread(target=late, daemon=True).start()
            else:
                go.set(); said.wait(); print("own")
        """
    )
    worker.call("begin", executionId="1" * 40)
    worker.wait_for_log("begins")
    worker.call("go", executionId="2" * 40)
    lines = worker.log().splitlines()
    assert lines[-2:] == ["executionId=- late", f"executionId={'2' * 40} traceId={'t' * 32} own"]


def test_each_line_of_a_traceback_has_the_ids(serve: Start) -> None:
    worker = serve(
        """
        def handle(input):
            try:
                1 / 0
            except ZeroDivisionError as error:
                raise ValueError("two\\nlines") from error
        """
    )
    assert worker.error(None) == (500, "HANDLER_ERROR", "ValueError: two\nlines")
    lines = worker.log().splitlines()
    assert len(lines) > 8
    assert all(line.startswith(IDS) for line in lines)
    assert lines[-1] == f"{IDS}lines"
    assert not any("picofaas_runtime" in line for line in lines)


def test_a_long_line_is_cut_into_pieces_with_the_ids_in_each(serve: Start) -> None:
    worker = serve("def handle(input):\n print('x' * 20_000)\n print('y' * 20_000, end='')")
    worker.call(None)
    assert [line.removeprefix(IDS) for line in worker.log().splitlines()] == [
        letter * count for letter in "xy" for count in (8192, 8192, 3616)
    ]


def test_bytes_and_what_is_no_character_can_be_written(serve: Start) -> None:
    worker = serve(
        """
        import sys
        def handle(input):
            sys.stdout.buffer.write(b"as bytes\\n")
            print("half \\ud800")
            sys.stdout.write(1)
        """
    )
    assert worker.error(None)[2] == "TypeError: write() argument must be str, not int"
    assert f"as bytes\n{IDS}half \\ud800\n" in worker.log()


def test_a_function_may_set_up_the_standard_streams(serve: Start) -> None:
    worker = serve(
        """
        import sys
        for stream in sys.stdout, sys.stderr:
            stream.reconfigure(encoding="utf-8", line_buffering=True)
        def handle(input):
            print("ü", flush=True)
        """
    )
    assert worker.call(None) == {"output": None}
    assert worker.log() == f"{IDS}ü\n"


def test_a_log_that_nobody_reads_fails_no_request(serve: Start) -> None:
    worker = serve("import os\ndef handle(input):\n os.close(2)\n print('lost')\n return 1")
    assert worker.call(None) == {"output": 1}


def test_the_logger_writes_level_and_ids(serve: Start) -> None:
    worker = serve(
        """
        def handle(input, context):
            context.logger.info("%d words", 3)
            context.logger.debug("not shown")
            try:
                1 / 0
            except ZeroDivisionError:
                context.logger.exception("it failed")
        """
    )
    worker.call(None)
    lines = worker.log().splitlines()
    assert lines[:2] == [f"info {IDS}3 words", f"error {IDS}it failed"]
    assert lines[2] == f"{IDS}Traceback (most recent call last):"
    assert lines[-1] == f"{IDS}ZeroDivisionError: division by zero"


def test_a_function_that_sets_up_logging_itself_has_its_own_lines_with_the_ids(serve: Start) -> None:
    worker = serve(
        """
        import logging
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s|%(message)s")
        def handle(input, context):
            context.logger.debug("hello")
            logging.warning("by the root")
        """
    )
    worker.call(None)
    assert worker.log() == f"{IDS}DEBUG|hello\n{IDS}WARNING|by the root\n"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_the_loggers_records_show_no_formatter_the_input_or_the_key(serve: Start, kind: str) -> None:
    worker = serve(
        f"""
        import json, logging
        class Extras(logging.Formatter):
            def format(self, record):
                return json.dumps({{name: str(value) for name, value in vars(record).items()}})
        logging.basicConfig(level=logging.INFO)
        logging.getLogger().handlers[0].setFormatter(Extras())
        {kind} handle(input, context):
            context.logger.info("hello")
        """
    )
    worker.call("the input", idempotencyKey="the key", metadata={"name": "the metadata"})
    record = json.loads(worker.log())
    assert (record["executionId"], record["traceId"], record["ids"]) == (ID, TRACE, IDS.strip())
    for text in ("the input", "the key", "the metadata"):
        assert text not in worker.log()


def test_what_a_function_calls_request_or_ids_on_a_logger_of_its_own_is_not_taken_for_ours(
    serve: Start,
) -> None:
    worker = serve(
        """
        import logging
        def handle(input, context):
            context.logger.info("ours")
            child = logging.getLogger("picofaas.child")
            child.info("own request", extra={"request": {"executionId": "f" * 40}})
            child.info("own ids", extra={"request": "GET /", "ids": "executionId=" + "f" * 40})
        """
    )
    worker.call(None)
    assert worker.log() == f"info {IDS}ours\n{IDS}info own request\n{IDS}info own ids\n"
