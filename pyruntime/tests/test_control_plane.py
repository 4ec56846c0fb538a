"""Functions behind `picofaas serve`: what a client and an operator learn of their faults."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE_SECONDS
from program import INSTALLED, PICOFAAS, needs_program

pytestmark = needs_program

MANIFEST = """\
apiVersion: picofaas.dev/v1
kind: Function
metadata: {{name: function}}
spec:
  executionMode: {mode}
  maxRetries: 0
{replicas}  resources: {{limits: {{memory: 128Mi}}}}
  local: {{command: [picofaas, watchdog, python]}}
  env:
    - {{name: HANDLER, value: "function:handle"}}
    - {{name: VIRTUAL_ENV, value: {environment}}}
"""


class ControlPlane:
    """`picofaas serve` with one function."""

    def __init__(self, folder: Path) -> None:
        clients, self._management, runtimes = _free_ports(3)
        self._clients = clients
        listen = [f"--listen=127.0.0.1:{clients}", f"--management-listen=127.0.0.1:{self._management}"]
        command = [
            PICOFAAS,
            "serve",
            *listen,
            f"--runtime-listen=127.0.0.1:{runtimes}",
            f"--functions={folder}",
        ]
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._is_ready():
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < until, self.log_path.read_text()
            time.sleep(0.01)

    def invoke(self, input: Any) -> Any:
        """The answer to a client."""
        body = json.dumps({"input": input}).encode()
        return _json(f"http://127.0.0.1:{self._clients}/v1/functions/function:invoke", body)

    def function(self) -> Any:
        """The function, as an operator sees it."""
        return _json(f"http://127.0.0.1:{self._management}/v1/functions/function")

    def lines(self, execution: str) -> list[str]:
        """The lines of an execution."""
        url = f"http://127.0.0.1:{self._management}/v1/executions/{execution}/logs"
        request = urllib.request.Request(url, headers={"Accept": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return [json.loads(line)["line"] for line in response]

    def _is_ready(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self._management}/readyz").close()
        except OSError:
            return False
        return True


def _json(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports


Serve = Callable[..., ControlPlane]


@pytest.fixture
def control_plane(tmp_path: Path) -> Iterator[Serve]:
    """Serves a function of this code."""
    started: list[ControlPlane] = []

    def serve(code: str, mode: str = "WARM") -> ControlPlane:
        (tmp_path / "function.py").write_text(code)
        replicas = "  replicas: {min: 0}\n" if mode == "WARM" else ""
        manifest = MANIFEST.format(environment=json.dumps(INSTALLED), mode=mode, replicas=replicas)
        (tmp_path / "function.yaml").write_text(manifest)
        started.append(ControlPlane(tmp_path))
        return started[-1]

    yield serve
    for each in started:
        each.process.kill()
        each.process.wait()


def test_why_a_module_cannot_be_imported_reaches_the_caller_at_once_and_the_operator(
    control_plane: Serve, tmp_path: Path
) -> None:
    picofaas = control_plane("import absent_package\n")
    began = time.monotonic()
    error = picofaas.invoke(1)["error"]
    # Less than the time that an instance has to start.
    assert time.monotonic() - began < 25
    reason = (
        "HANDLER is `function:handle`: the module function cannot be imported: ModuleNotFoundError: "
        f"No module named 'absent_package' ({tmp_path / 'function.py'}, line 1)"
    )
    assert error["code"] == "NO_INSTANCE"
    assert reason in error["message"]
    conditions = {each["type"]: each for each in picofaas.function()["status"]["conditions"]}
    assert reason in conditions["Degraded"]["message"]


def test_a_handler_that_takes_memory_without_end_is_an_error_that_says_so(control_plane: Serve) -> None:
    picofaas = control_plane(
        "def handle(input):\n"
        "    taken = []\n"
        "    while input:\n"
        "        taken.append(bytearray(b'x' * (1 << 20)))\n"
        "    return 'fine'\n"
    )
    assert picofaas.invoke(False)["output"] == "fine"
    # By a cgroup the kernel kills; by an rlimit an allocation fails, which is the function's own affair.
    by_cgroup = "memory by cgroup" in picofaas.log_path.read_text()
    for _ in range(2):
        error = picofaas.invoke(True)["error"]
        assert error["code"] == ("OUT_OF_MEMORY" if by_cgroup else "HANDLER_ERROR"), error
        assert ("limit of 128 MiB (resources.limits.memory)" if by_cgroup else "memory") in error["message"]
        assert picofaas.invoke(False)["output"] == "fine"


def test_a_line_that_is_printed_is_found_with_its_execution(control_plane: Serve) -> None:
    picofaas = control_plane("def handle(input):\n    print('a line of', input)\n")
    execution = picofaas.invoke("mine")["executionId"]
    picofaas.invoke("another")
    url = f"http://127.0.0.1:{picofaas._management}/v1/executions/{execution}/logs"
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
        text = response.read().decode()
    assert "a line of mine" in text
    assert "another" not in text


SAYS = """
import ctypes, io, json, os, sys
def handle(input, context):
    id = context.execution_id
    print(f"[{id}] two")
    print(json.dumps({"requestId": id}))
    print(f"hello executionId={id} for executionId={'b' * 40}")
    print("last", file=sys.__stdout__)
    out = io.TextIOWrapper(sys.stdout.buffer, "utf-8")
    out.write("of a buffer")
    out.flush()
    out.write(" of its own")
    ctypes.CDLL(None).printf(b"in C")
    sys.stdout.flush()
    return out.closed
"""


@pytest.mark.parametrize("mode", ["WARM", "JOB"])
def test_every_line_is_found_with_its_execution_whatever_wrote_it_and_whichever_ids_are_in_it(
    control_plane: Serve, mode: str
) -> None:
    picofaas = control_plane(SAYS, mode)
    executions = [picofaas.invoke(None)["executionId"] for _ in range(2)]
    for id in executions:
        lines = picofaas.lines(id)
        for said in (
            f"[{id}] two",
            f'{{"requestId": "{id}"}}',
            f"hello executionId={id} for executionId={'b' * 40}",
            "last",
            "of a buffer of its own",
            "in C",
        ):
            assert sum(line.endswith(said) for line in lines) == 1, (said, lines)
