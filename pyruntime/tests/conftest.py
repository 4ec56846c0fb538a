"""A worker as a process with the test in the place of the watchdog."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "src"
# Only what hangs takes so long, on a busy machine, too.
PATIENCE_SECONDS = 120.0

ID = "e" * 40
TRACE = "t" * 32
IDS = f"executionId={ID} traceId={TRACE} "


class Worker:
    """A worker process and both ends of its pipe."""

    def __init__(self, folder: Path, handler: str, environment: dict[str, str]) -> None:
        # An offer is always taken.
        self._has_heads = environment["PICOFAAS_WORKER_FRAMES"] == "2"
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "picofaas_runtime"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": f"{PACKAGE}:{HERE}",
                    "HANDLER": handler,
                    **environment,
                },
                bufsize=0,
                start_new_session=True,
            )
        self._sequence = 0
        self._received = b""

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    def write(self, sequence: int, payload: bytes) -> None:
        self.stdin.write(len(payload).to_bytes(4, "big") + sequence.to_bytes(4, "big") + payload)

    def put(self, sequence: int, body: bytes, **fields: Any) -> None:
        """Sends a request with this body, which begins with a member."""
        self.stdin.write(self.frame(sequence, body, **fields))

    def frame(self, sequence: int, body: bytes, **fields: Any) -> bytes:
        """The frame of such a request, in the form that was offered."""
        fields = {"executionId": ID, "traceId": TRACE, "attempt": 1, **fields}
        if self._has_heads:
            payload = head(**fields) + body
        else:
            members = fields if b'"metadata"' in body else {**fields, "metadata": {}}
            payload = json.dumps(members).encode()[:-1] + b"," + body[1:]
        return len(payload).to_bytes(4, "big") + sequence.to_bytes(4, "big") + payload

    def send(self, input: Any, **fields: Any) -> int:
        """Sends a request and gives its sequence number."""
        self._sequence += 1
        body = {"input": input}
        if "metadata" in fields:
            body["metadata"] = fields.pop("metadata")
        self.put(self._sequence, json.dumps(body).encode(), **fields)
        return self._sequence

    def read(self) -> tuple[int, bytes]:
        """The next frame from the worker."""
        header = self._bytes(8)
        return int.from_bytes(header[4:], "big"), self._bytes(int.from_bytes(header[:4], "big"))

    def receive(self) -> tuple[int, Any]:
        """The next reply, as an object whatever its form."""
        sequence, payload = self.read()
        if self._has_heads and sequence > 0:
            assert payload[0] in (1, 2, 3), payload
            return sequence, {"output" if payload[0] == 1 else "error": json.loads(payload[1:])}
        return sequence, json.loads(payload)

    def ready(self) -> Any:
        """The first frame."""
        sequence, payload = self.receive()
        assert sequence == 0
        if "ready" in payload:
            assert payload.pop("frames", None) == (2 if self._has_heads else None)
        return payload

    def call(self, input: Any, **fields: Any) -> Any:
        """One request and its reply."""
        sequence = self.send(input, **fields)
        answered, reply = self.receive()
        assert answered == sequence
        return reply

    def error(self, input: Any, **fields: Any) -> tuple[int, str, str]:
        """One request that fails: status, code, message."""
        error = self.call(input, **fields)["error"]
        return error["status"], error["code"], error["message"]

    def wait_for_log(self, text: str) -> None:
        """Waits until something was written to the log."""
        until = time.monotonic() + PATIENCE_SECONDS
        while text not in self.log():
            assert time.monotonic() < until, f"no {text!r} in {self.log()!r}"
            time.sleep(0.002)

    def log(self) -> str:
        return self.log_path.read_text()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Waits for the end and gives the exit status."""
        return self.process.wait(PATIENCE_SECONDS)

    def end(self) -> int:
        """Says that there are no more requests, waits, gives the exit status."""
        self.stdin.close()
        return self.wait()

    def _bytes(self, count: int) -> bytes:
        assert self.process.stdout is not None
        until = time.monotonic() + PATIENCE_SECONDS
        while len(self._received) < count:
            ready, _, _ = select.select([self.process.stdout], [], [], until - time.monotonic())
            assert ready, f"no answer; the log: {self.log()}"
            chunk = os.read(self.process.stdout.fileno(), 1 << 20)
            assert chunk, f"the worker has ended ({self.process.wait()}); its log: {self.log()}"
            self._received += chunk
        taken, self._received = self._received[:count], self._received[count:]
        return taken


def head(**fields: Any) -> bytes:
    """The head of a request of frames 2."""
    texts = ("executionId", "traceId", "traceparent", "tracestate", "idempotencyKey")
    values = [(number, fields[name].encode()) for number, name in enumerate(texts, 1) if name in fields]
    rest = b"".join(struct.pack(">BI", number, len(value)) + value for number, value in values)
    numbers = (fields.get("attempt", 1), 0, fields.get("deadlineAtMs", 0))
    return struct.pack(">IIIQ", 20 + len(rest), *numbers) + rest


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts workers: `start(code)` for `handle` of a module with this code, `start(handler=…)` for
    one that is there."""
    workers: list[Worker] = []

    def started(code: str = "", handler: str = "function:handle", **environment: str) -> Worker:
        if code:
            (tmp_path / "function.py").write_text(textwrap.dedent(code))
        environment = {"PICOFAAS_WORKER_FRAMES": "2", **environment}
        workers.append(Worker(tmp_path, handler, environment))
        return workers[-1]

    yield started
    for worker in workers:
        # Its session is its own: what its handlers started goes along.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait()


@pytest.fixture
def serve(start: Start) -> Start:
    """As `start`, and the worker is ready."""

    def served(*arguments: Any, **options: Any) -> Worker:
        worker = start(*arguments, **options)
        assert "ready" in (first := worker.ready()), first
        return worker

    return served
