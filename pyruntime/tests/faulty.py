"""A function with every way to answer, to fail and to misbehave: what the contract's tests run."""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from picofaas_runtime import Context, HandlerError

time.sleep(int(os.environ.get("CONTRACT_LOAD_MS") or 0) / 1000)
print("loaded", file=sys.stderr)

KEPT: list[io.TextIOWrapper] = []


def echo(input: Any) -> Any:
    return input


def context(input: Any, context: Context) -> dict[str, Any]:
    left = context.time_left()
    return {
        "input": input,
        "executionId": context.execution_id,
        "traceId": context.trace_id,
        "traceparent": context.traceparent,
        "tracestate": context.tracestate,
        "attempt": context.attempt,
        "leftMs": None if left is None else int(left * 1000),
        "idempotencyKey": context.idempotency_key,
        "metadata": context.metadata,
    }


def sleep(input: dict[str, Any]) -> Any:
    time.sleep(input["ms"] / 1000)
    return input


def status(input: dict[str, Any]) -> None:
    retryable = input.get("retryable", True)
    raise HandlerError(input["status"], input["code"], input["message"], retryable=retryable)


def panic(input: str) -> None:
    raise RuntimeError(input)


def unserialisable(input: Any) -> Any:
    return {1, 2, 3}


def nan(input: Any) -> Any:
    return {"in": [1, float("nan")]}


def later(input: Any) -> Any:
    async def work() -> Any:
        return input

    return work()


def exit(input: Any) -> None:
    os._exit(3)


def never(input: Any) -> None:
    while True:
        time.sleep(3600)


def big(input: dict[str, Any]) -> str:
    return "x" * int(input["bytes"])


def log(input: str) -> None:
    print(input)


def last(input: Any) -> str:
    text = os.environ["CONTRACT_TEXT"]
    # A buffer on top of the stream, which nobody empties.
    KEPT.append(io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8"))
    KEPT[-1].write(text)
    return text


def leave(input: dict[str, Any]) -> None:
    print(input["text"])
    os.write(2, f"{input['text']}\n".encode())
    if input.get("end"):
        os._exit(3)


def late(input: dict[str, Any]) -> None:
    go, said = Path(input["go"]), Path(input["said"])

    def left_behind() -> None:
        _wait_for(go)
        print("late line")
        said.touch()

    if input["begin"]:
        threading.Thread(target=left_behind, daemon=True).start()
    else:
        go.touch()
        _wait_for(said)


def _wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.001)
