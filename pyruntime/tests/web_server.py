"""The server of a web application as a process, with the test in the place of the watchdog."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import HERE, ID, PACKAGE, PATIENCE_SECONDS, TRACE

HEADERS = f"Host: shop.example:8443\r\nX-Execution-Id: {ID}\r\nX-Trace-Id: {TRACE}\r\n"


class Peer:
    """A connection to it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self._data = b""

    def ask(self, target: str, headers: str = "", method: str = "GET", body: bytes = b"") -> None:
        if body:
            headers += f"Content-Length: {len(body)}\r\n"
        self.send(f"{method} {target} HTTP/1.1\r\n{HEADERS}{headers}\r\n".encode() + body)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def until(self, end: bytes) -> bytes:
        """Everything up to and with these bytes."""
        while end not in self._data:
            self._fill()
        taken, end, self._data = self._data.partition(end)
        return taken + end

    def take(self, count: int) -> bytes:
        while len(self._data) < count:
            self._fill()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of an answer."""
        first, *lines = self.until(b"\r\n\r\n").decode().rstrip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}

    def chunk(self) -> bytes:
        """The next chunk; an empty one is the end."""
        length = int(self.until(b"\r\n"), 16)
        return self.take(length + 2)[:-2]

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """An answer, read whole."""
        status, headers = self.head()
        if "content-length" in headers:
            return status, headers, self.take(int(headers["content-length"]))
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while chunk := self.chunk():
                body += chunk
        return status, headers, body

    def rest(self) -> bytes:
        """Everything until the connection ends, in whatever way."""
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(1 << 16):
                self._data += data
        taken, self._data = self._data, b""
        return taken

    def close(self) -> None:
        self.socket.close()

    def _fill(self) -> None:
        data = self.socket.recv(1 << 16)
        assert data, f"the connection has ended behind {self._data!r}"
        self._data += data


class WebServer:
    """The process."""

    def __init__(self, folder: Path, handler: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "picofaas_runtime.web"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": f"{PACKAGE}:{HERE}",
                    "HANDLER": handler,
                    "PORT": str(self.port),
                },
            )

    def ready(self) -> WebServer:
        """Waits until it listens."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                self.connect().close()
                return self
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.002)

    def connect(self) -> Peer:
        return Peer(self.port)

    def get(self, target: str, headers: str = "") -> tuple[int, dict[str, str], bytes]:
        """An answer, over a connection of its own."""
        peer = self.connect()
        peer.ask(target, headers)
        answer = peer.answer()
        peer.close()
        return answer

    def log(self) -> str:
        return self.log_path.read_text()

    def wait_for_log(self, text: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while text not in self.log():
            assert time.monotonic() < until, f"no {text!r} in {self.log()!r}"
            time.sleep(0.002)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


def wait_for(file: Path) -> None:
    """Waits until a file is there."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not file.exists():
        assert time.monotonic() < until, f"no {file}"
        time.sleep(0.002)


StartWeb = Callable[..., WebServer]


@pytest.fixture
def start_web(tmp_path: Path) -> Iterator[StartWeb]:
    """Starts servers: `start_web(code)` for `app` of a module with this code."""
    servers: list[WebServer] = []

    def started(code: str = "", handler: str = "function:app") -> WebServer:
        if code:
            (tmp_path / "function.py").write_text(textwrap.dedent(code))
        servers.append(WebServer(tmp_path, handler))
        return servers[-1]

    yield started
    for server in servers:
        server.process.kill()
        server.process.wait()
