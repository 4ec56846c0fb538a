"""The function `web` of the contract, as an ASGI application, `app`, and a WSGI application, `application`.

Its answers are in [programs/web.py](../../runtime/contract/programs/web.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

PIECE_BYTES = 1 << 16
STATUS_HEADERS = [
    ("Content-Type", "text/x-status"),
    ("Location", "/elsewhere?a=b"),
    ("Set-Cookie", "a=1; Path=/"),
    ("Set-Cookie", "b=2; HttpOnly"),
]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Query:
    """Files that a request names, to be made or waited for."""

    def __init__(self, text: str) -> None:
        self.values = {name: values[0] for name, values in parse_qs(text).items()}

    def make(self, name: str) -> None:
        if name in self.values:
            with open(self.values[name], "x"):
                pass

    def is_there(self, name: str) -> bool:
        return name not in self.values or os.path.exists(self.values[name])


def told(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    return json.dumps({"method": method, "target": target, "headers": list(headers)}).encode()


def route(path: str) -> str:
    return path.strip("/").split("/")[0]


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """The application of ASGI."""
    if scope["type"] != "http":
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        return
    await Asgi(scope, receive, send).answer()


class Asgi:
    """One request."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.query = Query(scope["query_string"].decode())

    async def answer(self) -> None:
        scope = self.scope
        answer = getattr(self, f"answer_{route(scope['path'])}", None)
        if answer is not None:
            await answer()
            return
        target = scope["extensions"]["picofaas"]["target"]
        headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        body = told(scope["method"], target.decode(), headers)
        await self.start(200, [("Content-Type", "application/json")])
        await self.send(body, more=False)

    async def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, body: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the body breaks off")
            yield message["body"]
            if not message["more_body"]:
                return

    async def wait_for(self, name: str) -> None:
        while not self.query.is_there(name):
            await asyncio.sleep(0.001)

    async def answer_count(self) -> None:
        await self.wait_for("go")
        count = total = 0
        async for piece in self.pieces():
            if piece and not count:
                self.query.make("here")
            count += len(piece)
            total += sum(piece)
        self.query.make("done")
        await self.start(200, [("Content-Type", "application/json")])
        await self.send(json.dumps({"bytes": count, "sum": total}).encode(), more=False)

    async def answer_echo(self) -> None:
        await self.start(200, [("Content-Type", "application/octet-stream")])
        async for piece in self.pieces():
            await self.send(piece, more=True)
        await self.send(b"", more=False)

    async def answer_status(self) -> None:
        status = int(self.scope["path"].rsplit("/", 1)[1])
        await self.start(status, STATUS_HEADERS)
        await self.send(b"" if status in (204, 304) else f"status {status}".encode(), more=False)

    async def answer_pieces(self) -> None:
        accept = dict(self.scope["headers"]).get(b"accept", b"text/plain")
        await self.start(200, [("Content-Type", accept.decode())])
        await self.send(b"first", more=True)
        await self.wait_for("go")
        await self.send(b"second", more=False)

    async def answer_flood(self) -> None:
        left = int(self.query.values["bytes"])
        await self.start(200, [])
        while left:
            await self.send(bytes(min(left, PIECE_BYTES)), more=True)
            left -= min(left, PIECE_BYTES)
        await self.send(b"", more=False)
        self.query.make("done")

    async def answer_break(self) -> None:
        length = self.query.values.get("length")
        await self.start(200, [("Content-Length", length)] if length else [])
        await self.send(b"begin", more=True)
        raise RuntimeError("it breaks off")

    async def answer_endless(self) -> None:
        await self.start(200, [])
        try:
            while True:
                await self.send(b"more", more=True)
                await asyncio.sleep(0.01)
        finally:
            self.query.make("gone")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The application of WSGI."""
    return Wsgi(environ, start_response).answer()


class Wsgi:
    """One request."""

    def __init__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> None:
        self.environ, self.start_response = environ, start_response
        self.query = Query(environ["QUERY_STRING"])

    def answer(self) -> Iterable[bytes]:
        environ = self.environ
        answer = getattr(self, f"answer_{route(environ['PATH_INFO'])}", None)
        if answer is not None:
            result: Iterable[bytes] = answer()
            return result
        headers = [
            (name[5:].lower().replace("_", "-"), value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        self.start(200, [("Content-Type", "application/json")])
        return [told(environ["REQUEST_METHOD"], environ["REQUEST_URI"], headers)]

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.start_response(f"{status} Whatever", headers)

    def wait_for(self, name: str) -> None:
        while not self.query.is_there(name):
            time.sleep(0.001)

    def pieces(self) -> Iterator[bytes]:
        while piece := self.environ["wsgi.input"].read1(PIECE_BYTES):
            yield piece

    def answer_count(self) -> Iterable[bytes]:
        self.wait_for("go")
        count = total = 0
        for piece in self.pieces():
            if not count:
                self.query.make("here")
            count += len(piece)
            total += sum(piece)
        self.query.make("done")
        self.start(200, [("Content-Type", "application/json")])
        return [json.dumps({"bytes": count, "sum": total}).encode()]

    def answer_echo(self) -> Iterable[bytes]:
        self.start(200, [("Content-Type", "application/octet-stream")])
        return self.pieces()

    def answer_status(self) -> Iterable[bytes]:
        status = int(self.environ["PATH_INFO"].rsplit("/", 1)[1])
        self.start(status, STATUS_HEADERS)
        return [] if status in (204, 304) else [f"status {status}".encode()]

    def answer_pieces(self) -> Iterator[bytes]:
        self.start(200, [("Content-Type", self.environ.get("HTTP_ACCEPT", "text/plain"))])
        yield b"first"
        self.wait_for("go")
        yield b"second"

    def answer_flood(self) -> Iterator[bytes]:
        left = int(self.query.values["bytes"])
        self.start(200, [])
        while left:
            yield bytes(min(left, PIECE_BYTES))
            left -= min(left, PIECE_BYTES)
        self.query.make("done")

    def answer_break(self) -> Iterator[bytes]:
        length = self.query.values.get("length")
        self.start(200, [("Content-Length", length)] if length else [])
        yield b"begin"
        raise RuntimeError("it breaks off")

    def answer_endless(self) -> Iterator[bytes]:
        self.start(200, [])
        try:
            while True:
                yield b"more"
                time.sleep(0.01)
        finally:
            self.query.make("gone")
