"""`picofaas watchdog python` with the package as it is installed, serving on a Unix socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, ID, PATIENCE_SECONDS, TRACE

# `picofaas`, and the virtual environment that the package is installed in; `cargo xtask test --only python`
# sets both.
PICOFAAS = os.environ.get("PICOFAAS_PROGRAM", "")
INSTALLED = os.environ.get("PICOFAAS_PYTHON_ENVIRONMENT", "")

needs_program = pytest.mark.skipif(
    not (PICOFAAS and INSTALLED),
    reason="PICOFAAS_PROGRAM and PICOFAAS_PYTHON_ENVIRONMENT do not say where both are",
)


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("function", timeout=PATIENCE_SECONDS)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_SECONDS)
        self.sock.connect(self._path)


class Program:
    """The process, and calls to it."""

    def __init__(self, folder: Path, handler: str, environment: dict[str, str]) -> None:
        self.socket = folder / "socket"
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [PICOFAAS, "watchdog", "python"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={
                    "PATH": os.environ["PATH"],
                    "VIRTUAL_ENV": INSTALLED,
                    "PICOFAAS_SOCKET": str(self.socket),
                    "PYTHONPATH": str(HERE),
                    "HANDLER": handler,
                    **environment,
                },
            )

    def ready(self) -> Program:
        until = time.monotonic() + PATIENCE_SECONDS
        while "listening on" not in self.log():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.002)
        return self

    def ask(self, input: Any, deadline_ms: int = 60_000, execution: str = ID) -> Connection:
        """Sends a request on a connection of its own."""
        connection = Connection(self.socket)
        headers = {"X-Execution-Id": execution, "X-Trace-Id": TRACE, "X-Deadline-Ms": str(deadline_ms)}
        body = input if isinstance(input, bytes) else json.dumps({"input": input})
        connection.request("POST", "/invoke", body, headers)
        return connection

    def call(self, input: Any, deadline_ms: int = 60_000) -> tuple[int, Any]:
        """Status and body of the answer."""
        return answer(self.ask(input, deadline_ms))

    def log(self) -> str:
        return self.log_path.read_text()

    def wait_for_log(self, text: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while text not in self.log():
            assert time.monotonic() < until, f"no {text!r} in {self.log()!r}"
            time.sleep(0.002)

    def wait_for_metric(self, line: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        connection = Connection(self.socket)
        while True:
            connection.request("GET", "/metrics")
            metrics = connection.getresponse().read().decode()
            if line in metrics.splitlines():
                connection.close()
                return
            assert time.monotonic() < until, f"no {line!r} in {metrics}"
            time.sleep(0.002)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


def answer(connection: Connection) -> tuple[int, Any]:
    """Status and body of what comes on a connection."""
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    return response.status, body


Run = Callable[..., Program]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts the program: `run(code)` for `handle` of a module with this code."""
    programs: list[Program] = []

    def started(code: str = "", handler: str = "function:handle", **environment: str) -> Program:
        if code:
            (tmp_path / "function.py").write_text(textwrap.dedent(code))
        programs.append(Program(tmp_path, handler, environment))
        return programs[-1]

    yield started
    for program in programs:
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
