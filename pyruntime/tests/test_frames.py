"""Frames: the old form, the one that is offered, and what a worker checks of a body that nobody has read."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from conftest import ID, IDS, TRACE, Start

OLD = {"PICOFAAS_WORKER_FRAMES": ""}


@pytest.mark.parametrize("offer", ["", "1", "0", "two", "\u00b2"])
def test_a_watchdog_that_does_not_offer_them_gets_no_new_frames(start: Start, offer: str) -> None:
    worker = start(handler="faulty:echo", PICOFAAS_WORKER_FRAMES=offer)
    assert worker.read() == (0, b'{"ready":true}')
    worker.put(1, b'{"input":[1.0]}')
    assert worker.read() == (1, b'{"output":[1.0]}')


@pytest.mark.parametrize("offer", ["2", "3", "17"])
def test_a_watchdog_that_offers_them_or_later_ones_gets_frames_2(start: Start, offer: str) -> None:
    worker = start(handler="faulty:echo", PICOFAAS_WORKER_FRAMES=offer)
    assert worker.read() == (0, b'{"ready":true,"frames":2}')
    worker = start("async def handle(input): return 1", PICOFAAS_WORKER_FRAMES=offer)
    assert worker.read() == (0, b'{"ready":true,"concurrency":100,"frames":2}')


def test_what_a_handler_starts_is_offered_nothing(serve: Start) -> None:
    worker = serve("import os\ndef handle(input): return os.popen('env').read()")
    assert "PICOFAAS_WORKER_FRAMES" not in worker.call(None)["output"]


def test_in_the_old_form_a_handler_is_told_about_its_request_and_answers_and_fails(serve: Start) -> None:
    worker = serve(handler="faulty:context", **OLD)
    fields: dict[str, Any] = {"attempt": 3, "idempotencyKey": "k", "metadata": {"a": "b"}}
    output = worker.call([1], deadlineAtMs=int(time.monotonic() * 1000) + 60_000, **fields)["output"]
    assert 0 < output.pop("leftMs") <= 60_000
    absent = {"traceparent": None, "tracestate": None}
    assert output == {"input": [1], "executionId": ID, "traceId": TRACE, **fields, **absent}
    assert serve(handler="faulty:unserialisable", **OLD).error(1)[:2] == (500, "BAD_OUTPUT")
    assert serve(handler="faulty:later", **OLD).call("x") == {"output": "x"}
    worker = serve(handler="faulty:log", **OLD)
    assert worker.call("a line") == {"output": None}
    assert worker.log().endswith(f"{IDS}a line\n")


def test_in_the_old_form_async_handlers_are_served_and_stopped(serve: Start) -> None:
    worker = serve("import asyncio\nasync def handle(input): await asyncio.sleep(input)", **OLD)
    stopped = worker.send(600)
    assert worker.call(0) == {"output": None}
    worker.write(stopped, b"")
    assert worker.receive()[1]["error"]["code"] == "HANDLER_TIMEOUT"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"input":1}', [1, {}]),
        (' {\t"input" :\r\n1 } \n', [1, {}]),
        (
            '{"input":{"a":[1,{}]},"metadata":{"k":"v","\u00e9":""}}',
            [{"a": [1, {}]}, {"k": "v", "\u00e9": ""}],
        ),
        ('{"metadata":{"k":"v"},"input":null}', [None, {"k": "v"}]),
        ('{"input":1,"metadata":null}', [1, {}]),
        ('{"more":[1],"in\\u0070ut":2,"more":1,"metadata" : {} }', [2, {}]),
        ('{"input":{"input":1,"input":2}}', [{"input": 2}, {}]),
        ('{"input":"\\ud83d\\ude00"}', ["\U0001f600", {}]),
        ('{"input":1,"metadata":{"k":"a","k":"b"}}', [1, {"k": "b"}]),
    ],
)
def test_a_body_has_an_input_and_may_have_metadata_wherever_they_are(
    serve: Start, body: str, told: list[Any]
) -> None:
    worker = serve("def handle(input, context): return [input, context.metadata]")
    worker.put(1, body.encode())
    assert worker.receive() == (1, {"output": told})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}",
        b"1",
        b"nonsense",
        b"[1,{}]",
        b"{}}",
        b'{"input"',
        b'{"input":',
        b'{"input":1',
        b'{"input":1,',
        b'{"input":1,}',
        b'{"input":1 2}',
        b'{"input":1}}',
        b'{"input":1} x',
        b'{"input":1}\0',
        b'{"input":1}\xc2\xa0',
        b'\xef\xbb\xbf{"input":1}',
        b'{"input":tru}',
        b'{"input":01}',
        b'{"input":1.}',
        b'{"input":NaN}',
        b'{"input":[-Infinity]}',
        b'{"more":Infinity,"input":1}',
        b'{"input":"\xff"}',
        b'{"input":"\x01"}',
        b'{"input":"\\u12g4"}',
        b'{"input":1 "metadata":{}}',
        b'{"input" 1}',
        b"{'input':1}",
        b"{input:1}",
        b'{"metadata":{"a":"b"}}',
        b'{"input":1,"input":1}',
        b'{"input":1,"metadata":null,"metadata":{}}',
        b'{"input":1,"metadata":{"a":1}}',
        b'{"input":1,"metadata":{"a":null}}',
        b'{"input":1,"metadata":[]}',
        b'{"input":1,"metadata":"a"}',
        b'{"input":1,"metadata":{"a":"\\ud800"}}',
        b'{"input":1,"metadata":{"\\udfff":"a"}}',
        b'{"input":1,"\\ud800":1}',
    ],
)
def test_a_body_that_is_anything_else_is_rejected(serve: Start, body: bytes) -> None:
    worker = serve(handler="faulty:echo")
    worker.put(1, body)
    sequence, payload = worker.read()
    # The watchdog finds the words.
    assert (sequence, payload[:1]) == (1, b"\x03")
    error = json.loads(payload[1:])
    assert (error["status"], error["code"]) == (400, "BAD_INPUT")
    assert worker.call(1) == {"output": 1}


def test_fields_of_a_later_version_are_skipped(serve: Start) -> None:
    worker = serve(handler="faulty:context")
    head = bytearray(worker.frame(7, b"")[8:])
    head += b"\xf0" + (3).to_bytes(4, "big") + b"new" + b"\x05" + (1).to_bytes(4, "big") + b"k"
    head[:4] = len(head).to_bytes(4, "big")
    worker.write(7, bytes(head) + b'{"input":1}')
    output = worker.receive()[1]["output"]
    assert (output["executionId"], output["traceId"], output["idempotencyKey"]) == (ID, TRACE, "k")


def test_many_requests_of_one_write_are_answered_in_their_order_each_at_once(serve: Start) -> None:
    worker = serve("import time\ndef handle(input): time.sleep(input)")
    frames = [worker.frame(number, b'{"input":0}') for number in range(1, 16)]
    worker.stdin.write(b"".join([*frames, worker.frame(16, b'{"input":600}')]))
    # No reply waits for the one that takes long.
    assert [worker.receive()[0] for _ in frames] == list(range(1, 16))


def test_a_request_whose_time_was_over_before_its_turn_is_not_begun(serve: Start) -> None:
    worker = serve("import time\ndef handle(input):\n    print('begun', input)\n    time.sleep(input)")
    now = int(time.monotonic() * 1000)
    first = worker.frame(1, b'{"input":0.2}')
    behind = worker.frame(2, b'{"input":0.001}', deadlineAtMs=now + 100)
    in_time = worker.frame(3, b'{"input":0}', deadlineAtMs=now + 600_000)
    worker.stdin.write(first + behind + in_time)
    assert worker.receive() == (1, {"output": None})
    assert worker.receive()[1]["error"]["code"] == "HANDLER_TIMEOUT"
    assert worker.receive() == (3, {"output": None})
    assert "begun 0.001" not in worker.log()


def test_replies_of_async_handlers_that_are_ready_together_are_written_at_once(serve: Start) -> None:
    worker = serve(
        """
        import asyncio, os
        gate, writes, write = asyncio.Event(), 0, os.write
        def counted(file, data):
            global writes
            writes += file > 2
            return write(file, data)
        os.write = counted
        async def handle(input):
            if input == "count":
                return writes
            # However busy the machine is.
            asyncio.get_running_loop().time = lambda: 0.0
            if input == "open":
                gate.set()
            await gate.wait()
        """
    )
    for number in range(1, 10):
        worker.put(number, b'{"input":"wait"}')
    worker.put(10, b'{"input":"open"}')
    assert sorted(worker.receive()[0] for _ in range(10)) == list(range(1, 11))
    # The first frame, and all of these.
    assert worker.call("count") == {"output": 2}


def test_a_reply_of_an_async_handler_does_not_wait_for_one_that_computes_for_long(serve: Start) -> None:
    worker = serve(
        """
        import time
        async def handle(input):
            time.sleep(input)
        """
    )
    short = [worker.frame(number, b'{"input":0.002}') for number in (1, 2)]
    worker.stdin.write(b"".join([*short, worker.frame(3, b'{"input":600}')]))
    assert [worker.receive()[0] for _ in short] == [1, 2]
