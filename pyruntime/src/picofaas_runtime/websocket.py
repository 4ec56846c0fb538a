"""A WebSocket of an ASGI application."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

from . import failure
from .http1 import Answer, BrokenOffError
from .own_loop import awaited
from .web_request import WebRequest, refusal, words
from .websocket_frames import (
    BINARY,
    CLOSE,
    INVALID_TEXT,
    NORMAL,
    PING,
    TEXT,
    FrameReader,
    ProtocolError,
    close_code,
    close_frame,
    frame,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .asgi import Conversation

# Of RFC 6455, 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# The connection ended without the other end's last frame.
ABNORMAL = 1006
# The application failed.
INTERNAL_ERROR = 1011
# Seconds in which the other end answers our last frame.
CLOSE_SECONDS = 5.0


class WebSocket:
    """A conversation, from its opening to its end."""

    def __init__(self, conversation: Conversation, request: WebRequest) -> None:
        self._conversation = conversation
        self._request = request
        self._frames = FrameReader(b"")
        self._is_told = False
        self._is_accepted = False
        # Code and reason of the end, whoever began it.
        self._end: tuple[int, str] | None = None
        self._has_sent_close = False

    async def run(self) -> None:
        head = self._request.head
        key = head.get(b"sec-websocket-key")
        if head.method != "GET" or not key or head.get(b"sec-websocket-version") != b"13":
            message = "a WebSocket is opened by a GET with Sec-WebSocket-Key and version 13"
            await self._conversation.send(refusal(head, 400, "BAD_REQUEST", message))
            return
        from .asgi import scope_of

        scope = scope_of(self._conversation, self._request, "websocket")
        offered = (head.text(b"sec-websocket-protocol") or "").split(",")
        scope["subprotocols"] = [name.strip() for name in offered if name.strip()]
        try:
            await awaited(self._conversation.application(scope, self._receive, self._send))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) or self._end is not None:
                # It was told of the end, which it may take for an error.
                raise BrokenOffError("the conversation has ended") from None
            failure.log(error)
            if not self._is_accepted:
                await self._conversation.send(refusal(head, 500, "HANDLER_ERROR", words(error)))
                return
            await self._close(INTERNAL_ERROR, "")
            return
        if not self._is_accepted:
            if self._end is None:
                await self._refuse()
        elif not self._has_sent_close:
            await self._close(NORMAL, "")

    async def _receive(self) -> dict[str, Any]:
        if not self._is_told:
            self._is_told = True
            return {"type": "websocket.connect"}
        while self._end is None:
            try:
                message = self._frames.next()
                if message is None:
                    if not await self._fill():
                        self._end = (ABNORMAL, "")
                    continue
                kind, payload = message
                if kind == TEXT:
                    return {"type": "websocket.receive", "text": _text(payload)}
                if kind == BINARY:
                    return {"type": "websocket.receive", "bytes": payload}
            except ProtocolError as violation:
                await self._close(violation.code, str(violation))
                continue
            if kind == PING:
                await self._conversation.send(frame(PING + 1, payload))
            elif kind == CLOSE:
                self._end = close_code(payload)
                if not self._has_sent_close:
                    self._has_sent_close = True
                    await self._conversation.send(frame(CLOSE, payload[:2]))
        code, reason = self._end
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def _fill(self) -> bool:
        is_more = await self._conversation.fill()
        self._frames.feed(self._conversation.reader.take())
        return is_more

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.accept" and not self._is_accepted:
            await self._accept(message)
        elif kind == "websocket.close":
            if not self._is_accepted:
                await self._refuse()
            elif not self._has_sent_close:
                await self._close(message.get("code", NORMAL), message.get("reason") or "")
        elif kind == "websocket.send" and self._is_accepted:
            if self._end is not None or self._has_sent_close:
                raise BrokenOffError("the conversation has ended")
            text = message.get("text")
            data = frame(BINARY, message["bytes"]) if text is None else frame(TEXT, text.encode())
            await self._conversation.send(data)
        else:
            raise RuntimeError(f"{kind} cannot be sent now")

    async def _accept(self, message: dict[str, Any]) -> None:
        key = self._request.head.get(b"sec-websocket-key") or b""
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        lines = [b"HTTP/1.1 101 Switching Protocols", b"connection: Upgrade", b"upgrade: websocket"]
        lines.append(b"sec-websocket-accept: " + accept)
        if message.get("subprotocol"):
            lines.append(b"sec-websocket-protocol: " + message["subprotocol"].encode())
        lines += [bytes(name) + b": " + bytes(value) for name, value in message.get("headers", [])]
        self._is_accepted = True
        self._frames.feed(self._conversation.reader.take())
        await self._conversation.send(b"\r\n".join(lines) + b"\r\n\r\n")

    async def _refuse(self) -> None:
        """Answers that there will be no conversation."""
        self._end = (ABNORMAL, "")
        answer = Answer(self._request.head, 403, None, [(b"content-length", b"0")])
        await self._conversation.send(answer.head)

    async def _close(self, code: int, reason: str) -> None:
        """Says the last word and waits for that of the other end."""
        self._has_sent_close = True
        self._end = (code, reason)
        try:
            await self._conversation.send(close_frame(code, reason))
            await asyncio.wait_for(self._wait_for_close(), CLOSE_SECONDS)
        except (asyncio.TimeoutError, OSError, ProtocolError):
            pass  # It has gone, or has no last word.

    async def _wait_for_close(self) -> None:
        while True:
            message = self._frames.next()
            if message is None:
                if not await self._fill():
                    return
            elif message[0] == CLOSE:
                return


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError(INVALID_TEXT, "a text is not UTF-8") from None
