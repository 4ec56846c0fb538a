"""The life of an ASGI application, and its WebSockets."""

from __future__ import annotations

import struct

import pytest
from conftest import IDS
from web_server import Peer, StartWeb, start_web

__all__ = ["start_web"]

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
ECHO = """
    async def app(scope, receive, send):
        assert scope["type"] == "websocket"
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "fail":
                raise RuntimeError("it fails")
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4000, "reason": "enough"})
            else:
                await send({**message, "type": "websocket.send"})
        print("over", message["code"])
    """


def frame(kind: int, payload: bytes, *, last: bool = True, masked: bool = True) -> bytes:
    """A frame of a client."""
    length = len(payload)
    word = length if length < 126 else 126 if length < 1 << 16 else 127
    size = b"" if length < 126 else struct.pack(">H" if word == 126 else ">Q", length)
    head = bytes(((0x80 if last else 0) | kind, (0x80 if masked else 0) | word)) + size
    mask = b"\x01\x02\x03\x04"
    if not masked:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def receive(peer: Peer) -> tuple[int, bytes]:
    """A frame of the server: its kind and its bytes."""
    first, length = peer.take(2)
    assert first & 0x80
    assert not length & 0x80
    if length > 125:
        length = int.from_bytes(peer.take(2 if length == 126 else 8), "big")
    return first & 0x0F, peer.take(length)


def opened(start_web: StartWeb, target: str = "/", headers: str = "") -> Peer:
    peer = start_web(ECHO).ready().connect()
    peer.ask(target, UPGRADE + headers)
    status, answered = peer.head()
    assert status == 101
    # The example of RFC 6455.
    assert answered["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert answered.get("sec-websocket-protocol") == ("one" if headers else None)
    return peer


def test_messages_go_both_ways_whatever_their_size_and_their_pieces(start_web: StartWeb) -> None:
    peer = opened(start_web, headers="Sec-WebSocket-Protocol: one, two\r\n")
    for kind, payload in [(1, "grüße".encode()), (2, bytes(range(256))), (1, b"x" * 70_000), (2, b"")]:
        peer.send(frame(kind, payload))
        assert receive(peer) == (kind, payload)
    peer.send(frame(1, b"one ", last=False) + frame(9, b"are you there") + frame(0, b"message"))
    assert receive(peer) == (10, b"are you there")
    assert receive(peer) == (1, b"one message")
    for byte in frame(2, b"byte by byte"):
        peer.send(bytes((byte,)))
    assert receive(peer) == (2, b"byte by byte")
    peer.send(frame(8, struct.pack(">H", 1001)))
    assert receive(peer) == (8, struct.pack(">H", 1001))
    assert peer.rest() == b""


def test_an_application_ends_a_conversation_or_refuses_one(start_web: StartWeb) -> None:
    peer = opened(start_web)
    peer.send(frame(1, b"close"))
    assert receive(peer) == (8, struct.pack(">H", 4000) + b"enough")
    peer.send(frame(8, struct.pack(">H", 4000)))
    assert peer.rest() == b""
    peer = start_web(ECHO).ready().connect()
    peer.ask("/refused", UPGRADE)
    assert peer.head()[0] == 403


def test_an_application_that_fails_ends_the_conversation_and_the_log_says_why(start_web: StartWeb) -> None:
    server = start_web(ECHO).ready()
    peer = server.connect()
    peer.ask("/", UPGRADE)
    assert peer.head()[0] == 101
    peer.send(frame(1, b"fail"))
    assert receive(peer) == (8, struct.pack(">H", 1011))
    assert f"{IDS}RuntimeError: it fails\n" in server.log()


def test_an_application_is_told_that_its_client_has_gone(start_web: StartWeb) -> None:
    server = start_web(ECHO).ready()
    peer = server.connect()
    peer.ask("/", UPGRADE)
    peer.head()
    peer.close()
    server.wait_for_log(f"{IDS}over 1006\n")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"x", masked=False), 1002),
        (frame(3, b"x"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(1, b"x", last=False) + frame(1, b"y"), 1002),
        (frame(1, b"\xff"), 1007),
        (b"\x82\xff" + struct.pack(">Q", 1 << 40), 1009),
    ],
)
def test_a_client_that_breaks_the_rules_is_told_which(start_web: StartWeb, data: bytes, code: int) -> None:
    peer = opened(start_web)
    peer.send(data)
    kind, payload = receive(peer)
    assert (kind, int.from_bytes(payload[:2], "big")) == (8, code)


def test_the_beginning_and_the_end_are_told_and_what_is_kept_is_there_for_requests(
    start_web: StartWeb,
) -> None:
    server = start_web(
        """
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                assert (await receive())["type"] == "lifespan.startup"
                scope["state"]["kept"] = b"kept"
                print("begun")
                await send({"type": "lifespan.startup.complete"})
                assert (await receive())["type"] == "lifespan.shutdown"
                print("ended")
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": scope["state"]["kept"]})
        """
    ).ready()
    assert server.get("/")[2] == b"kept"
    assert "begun\n" in server.log()
    server.terminate()
    assert server.wait() == 0
    assert server.log().endswith("executionId=- ended\n")


def test_an_application_that_cannot_begin_ends_the_start_with_its_reason_last(start_web: StartWeb) -> None:
    server = start_web(
        """
        async def app(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})
        """
    )
    assert server.wait() == 1
    assert server.log().splitlines()[-1] == "the application does not start: no database"


def test_an_application_is_told_when_nobody_reads_its_answer_any_more(start_web: StartWeb) -> None:
    server = start_web(
        """
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            await receive()
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"begin", "more_body": True})
            print("told", (await receive())["type"])
        """
    ).ready()
    peer = server.connect()
    peer.ask("/")
    peer.head()
    assert peer.chunk() == b"begin"
    peer.close()
    server.wait_for_log(f"{IDS}told http.disconnect\n")


def test_an_application_that_goes_on_writing_is_ended_without_a_word_in_the_log(start_web: StartWeb) -> None:
    server = start_web(
        """
        import asyncio

        async def app(scope, receive, send):
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200})
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"more", "more_body": True})
                    await asyncio.sleep(0.001)
            finally:
                print("ended")
        """
    ).ready()
    peer = server.connect()
    peer.ask("/")
    peer.head()
    assert peer.chunk() == b"more"
    peer.close()
    server.wait_for_log(f"{IDS}ended\n")
    server.terminate()
    assert server.wait() == 0
    assert "Traceback" not in server.log()
