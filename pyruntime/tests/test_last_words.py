"""Buffers are emptied when a request or the process ends, as `python3 app.py` would."""

from __future__ import annotations

import pytest
from conftest import ID, IDS, Start

WAYS = [
    ("print('last', file=sys.__stdout__)", f"{IDS}last\n"),
    ("sys.__stdout__.write('last')", f"{IDS}last\n"),
    ("sys.__stderr__.write('last')", f"{IDS}last\n"),
    ("print('last', end='')", f"{IDS}last\n"),
    (
        "out = io.TextIOWrapper(sys.stdout.buffer, 'utf-8'); out.write('lästé'); kept.append(out)",
        f"{IDS}lästé\n",
    ),
    ("io.TextIOWrapper(sys.stdout.detach(), 'utf-8').write('last')", f"{IDS}last\n"),
    ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'utf-8'); print('last')", f"{IDS}last\n"),
    ("at_import.write('last')", f"{IDS}last\n"),
    ("sys.stdout.buffer.write('lé'.encode()[:2]); sys.stdout.buffer.write('é'.encode()[1:])", f"{IDS}lé\n"),
    ("os.write(1, b'last')", "last"),
    ("sys.stdout = open(1, 'w', closefd=False); print('last')", "last\n"),
    ("ctypes.CDLL(None).printf(b'last')", "last"),
]


def code(way: str, end: str = "return") -> str:
    return f"""
import ctypes, io, os, sys
kept, at_import = [], io.TextIOWrapper(sys.stdout.buffer, 'utf-8')
def handle(input):
    {way}
    {end}
"""


@pytest.mark.parametrize(("way", "line"), WAYS)
def test_what_a_request_has_written_is_in_the_log_before_its_reply_whatever_wrote_it(
    serve: Start, way: str, line: str
) -> None:
    worker = serve(code(way))
    worker.call(None)
    assert worker.log() == line
    worker.call(None, executionId="2" * 40)
    assert worker.log() == line + line.replace(ID, "2" * 40)
    assert worker.end() == 0
    assert worker.log() == line + line.replace(ID, "2" * 40), "nothing is written twice"


@pytest.mark.parametrize("end", ["sys.exit(1)", "raise ValueError('it failed')"])
@pytest.mark.parametrize(("way", "line"), WAYS)
def test_what_a_request_has_written_is_in_the_log_where_it_exits_or_fails(
    serve: Start, way: str, line: str, end: str
) -> None:
    worker = serve(code(way, end))
    assert "error" in worker.call(None)
    assert worker.end() == 0
    assert line.strip() in worker.log()


@pytest.mark.parametrize(
    ("way", "line"),
    [
        ("print('last')", f"{IDS}last\n"),
        ("print('last', end='', flush=True)", f"{IDS}last"),
        ("print('la', end='', flush=True); print('st', end='', flush=True)", f"{IDS}last"),
        ("sys.stdout.buffer.write(b'last'); sys.stdout.buffer.flush()", f"{IDS}last"),
        ("os.write(1, b'last')", "last"),
        ("ctypes.CDLL(None).printf(b'last'); ctypes.CDLL(None).fflush(None)", "last"),
    ],
)
def test_what_was_flushed_is_in_the_log_where_the_process_ends_at_once(
    serve: Start, way: str, line: str
) -> None:
    worker = serve(code(way, "os._exit(3)"))
    worker.send(None)
    assert worker.wait() == 3
    assert worker.log() == line


def test_a_line_that_is_flushed_in_parts_stays_one_unless_another_is_written_between(serve: Start) -> None:
    worker = serve(
        """
        import sys
        def handle(between):
            print("one", end="", flush=True)
            if between:
                print("between", file=sys.stderr)
            print(" two", end="", flush=True)
            print(" three")
        """
    )
    worker.call(False)
    worker.call(True)
    assert worker.log() == f"{IDS}one two three\n{IDS}one\n{IDS}between\n{IDS} two three\n"


def test_what_the_module_has_in_buffers_is_written_when_the_worker_ends(serve: Start) -> None:
    worker = serve(
        """
        import atexit, ctypes, io, sys
        out = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "wb", closefd=False)), "utf-8")
        file = open("file", "w")
        def handle(input):
            out.write("in Python\\n")
            file.write("in a file")
        def last():
            ctypes.CDLL(None).printf(b"in C\\n")
        atexit.register(last)
        """
    )
    worker.call(None)
    assert worker.end() == 0
    assert sorted(worker.log().splitlines()) == ["in C", "in Python"]
    assert (worker.log_path.parent / "file").read_text() == "in a file"


def test_a_process_that_a_handler_forks_writes_whole_lines_with_the_ids_of_its_request(serve: Start) -> None:
    worker = serve(
        """
        import multiprocessing, os
        def say(name, end):
            for _ in range(50):
                print(name, "€" * 1000)
            print(name, "last", end=end, flush=True)
        def handle(input):
            fork = multiprocessing.get_context("fork")
            children = [fork.Process(target=say, args=(name, end)) for name, end in (("a", ""), ("b", "\\n"))]
            for child in children:
                child.start()
            say("own", "")
            for child in children:
                child.join()
        """
    )
    worker.call(None)
    lines = worker.log().splitlines()
    assert sorted(lines) == sorted(
        f"{IDS}{line}"
        for name in ("a", "b", "own")
        for line in [f"{name} {'€' * 1000}"] * 50 + [f"{name} last"]
    )


def test_a_long_line_is_cut_between_characters(serve: Start) -> None:
    worker = serve(
        """
        import sys
        def handle(input):
            print("x" + "€" * 6000)
            print("é" * 4095, end="", flush=True)
            print("éé")
            sys.stdout.buffer.write(("😀" * 5000).encode())
        """
    )
    worker.call(None)
    data = worker.log_path.read_bytes().decode()
    lines = [line.removeprefix(IDS) for line in data.splitlines()]
    assert [len(line.encode()) for line in lines] == [8191, 8190, 1620, 8192, 2, 8192, 8192, 3616]
    assert "".join(lines) == "x" + "€" * 6000 + "é" * 4097 + "😀" * 5000


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    "pool",
    [
        "concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('fork'))",
        "concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))",
        "multiprocessing.get_context('fork').Pool(1)",
    ],
)
def test_a_pool_of_processes_that_was_left_open_keeps_neither_the_worker_nor_its_files(
    serve: Start, pool: str, kind: str
) -> None:
    worker = serve(
        f"""
        import atexit, concurrent.futures, multiprocessing
        pool, file = None, open("file", "w")
        atexit.register(file.write, "at exit\\n")
        {kind} handle(input):
            global pool
            pool = pool or {pool}
            file.write("in a file\\n")
            return pool.submit(abs, -1).result() if hasattr(pool, "submit") else pool.apply(abs, (-1,))
        """
    )
    assert worker.call(None) == {"output": 1}
    assert worker.end() == 0
    assert (worker.log_path.parent / "file").read_text() == "in a file\nat exit\n"


def test_what_waits_for_ever_as_the_worker_ends_loses_no_buffer(serve: Start) -> None:
    worker = serve(
        """
        import atexit, threading
        file = open("file", "w")
        def forever():
            print("waits", flush=True)
            threading.Event().wait()
        atexit.register(forever)
        def handle(input):
            file.write("in a file\\n")
        """
    )
    worker.call(None)
    worker.stdin.close()
    worker.wait_for_log("waits")
    worker.process.kill()
    worker.wait()
    assert (worker.log_path.parent / "file").read_text() == "in a file\n"
