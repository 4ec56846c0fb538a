"""The pipe to the watchdog: frames of requests come in, frames of replies go out.

A frame is 8 bytes, the length of its payload and its sequence number as big-endian 32-bit numbers,
and the payload.
"""

from __future__ import annotations

import os

HEADER_BYTES = 8
# Length of one read: short, as most requests are, and more where a long frame is under way.
READ_BYTES = 1 << 13
READ_BYTES_MAX = 1 << 20


class Pipe:
    """Both directions. How long a frame may be is the watchdog's business, which makes them."""

    __slots__ = ("_data", "_missing", "in_child", "replies", "requests")

    def __init__(self, requests: int, replies: int) -> None:
        self.requests = requests
        self.replies = replies
        # Whether this is a process that a handler forked.
        self.in_child = False
        self._data = bytearray()
        self._missing = 0
        os.register_at_fork(after_in_child=self._leave)

    @classmethod
    def claim(cls) -> Pipe:
        """Takes the standard streams away from everyone else: what reads standard input finds
        nothing, and what is written to standard output goes to the log."""
        requests, replies = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        return cls(requests, replies)

    def _leave(self) -> None:
        """A process that a handler forks neither takes requests nor answers them, and does not
        keep the watchdog from seeing the end of its parent."""
        self.in_child = True
        os.close(self.requests)
        os.close(self.replies)

    def fill(self) -> bool:
        """Waits for more bytes. Whether there were any: not at the end."""
        chunk = os.read(self.requests, min(max(READ_BYTES, self._missing), READ_BYTES_MAX))
        self._data += chunk
        return bool(chunk)

    def frame(self) -> tuple[int, bytearray] | None:
        """The next frame that is there, as its sequence number and its payload."""
        data = self._data
        if len(data) < HEADER_BYTES:
            return None
        header = int.from_bytes(data[:HEADER_BYTES], "big")
        end = HEADER_BYTES + (header >> 32)
        if len(data) < end:
            self._missing = end - len(data)
            return None
        self._missing = 0
        payload = data[HEADER_BYTES:end]
        del data[:end]
        return header & 0xFFFFFFFF, payload

    def send(self, sequence: int, payload: bytes) -> None:
        """Writes a frame. It blocks while the watchdog does not read, which it always does."""
        frame = (len(payload) << 32 | sequence).to_bytes(HEADER_BYTES, "big") + payload
        written = os.write(self.replies, frame)
        while written < len(frame):
            frame = frame[written:]
            written = os.write(self.replies, frame)
