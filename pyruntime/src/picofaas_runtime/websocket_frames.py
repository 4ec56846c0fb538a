"""Frames of a WebSocket (RFC 6455), read and written without a socket."""

from __future__ import annotations

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MESSAGE_BYTES_MAX = 16 << 20
NORMAL, PROTOCOL_ERROR, INVALID_TEXT, TOO_LARGE = 1000, 1002, 1007, 1009


class ProtocolError(Exception):
    """Raised for what the other end may not send; `code` is told to it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class FrameReader:
    """Bytes that have come, as whole messages and as frames of control."""

    __slots__ = ("_data", "_kind", "_message", "_message_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)
        # The message that has begun: its kind, its parts and their bytes.
        self._kind = CONTINUATION
        self._message: list[bytes] = []
        self._message_bytes = 0

    def feed(self, data: bytes) -> None:
        self._data += data

    def next(self) -> tuple[int, bytes] | None:
        """The next message, or frame of control, as its kind and its bytes; none where more has to come."""
        while (frame := self._frame()) is not None:
            is_last, kind, payload = frame
            if kind >= CLOSE:
                return kind, payload
            if (kind == CONTINUATION) != bool(self._kind):
                raise ProtocolError(
                    PROTOCOL_ERROR, "a message begins within another, or goes on that did not begin"
                )
            self._kind = kind or self._kind
            self._message.append(payload)
            self._message_bytes += len(payload)
            if self._message_bytes > MESSAGE_BYTES_MAX:
                raise ProtocolError(TOO_LARGE, f"a message is longer than {MESSAGE_BYTES_MAX} bytes")
            if is_last:
                whole, kind = b"".join(self._message), self._kind
                self._message, self._message_bytes, self._kind = [], 0, CONTINUATION
                return kind, whole
        return None

    def _frame(self) -> tuple[bool, int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        kind, length, begin = data[0] & 0x0F, data[1] & 0x7F, 2
        if data[0] & 0x70 or not data[1] & 0x80 or kind not in (0, 1, 2, 8, 9, 10):
            raise ProtocolError(PROTOCOL_ERROR, "a frame has bits that were not agreed on, or is not masked")
        is_last = bool(data[0] & 0x80)
        if kind >= CLOSE and (length > 125 or not is_last):
            raise ProtocolError(PROTOCOL_ERROR, "a frame of control is too long, or in parts")
        if length > 125:
            begin = 4 if length == 126 else 10
            if len(data) < begin:
                return None
            length = int.from_bytes(data[2:begin], "big")
        if length > MESSAGE_BYTES_MAX:
            raise ProtocolError(TOO_LARGE, f"a message is longer than {MESSAGE_BYTES_MAX} bytes")
        end = begin + 4 + length
        if len(data) < end:
            return None
        mask, payload = bytes(data[begin : begin + 4]), bytes(data[begin + 4 : end])
        del data[:end]
        return is_last, kind, _masked(payload, mask)


def frame(kind: int, payload: bytes) -> bytes:
    """A frame of a server, which is not masked."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | kind, length))
    elif length < 1 << 16:
        head = bytes((0x80 | kind, 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | kind, 127)) + length.to_bytes(8, "big")
    return head + payload


def close_frame(code: int, reason: str) -> bytes:
    """The frame that ends a conversation."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123])


def close_code(payload: bytes) -> tuple[int, str]:
    """Code and reason of the other end's last frame; 1005 where it has none."""
    if len(payload) < 2:
        return 1005, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")


def _masked(payload: bytes, mask: bytes) -> bytes:
    """As one number, for Python has no loop over bytes that is quick."""
    count = len(payload)
    repeated = (mask * (count // 4 + 1))[:count]
    number = int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")
    return number.to_bytes(count, "little")
