"""The pipe to the watchdog: frames of requests come in, frames of replies go out.

A frame is 8 bytes, the length of its payload and its sequence number as big-endian 32-bit numbers,
and the payload. That is an object in JSON, or, where the watchdog has offered `frames` of 2, numbers and
then the body or the output as it is.
"""

from __future__ import annotations

import os

from .request import read_head_and_body, read_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .request import Request

# The variable in which the watchdog offers the newest frames that it knows.
OFFER = "PICOFAAS_WORKER_FRAMES"
HEADER_BYTES = 8
# Length of one read: short, as most requests are, and more where a long frame is under way.
READ_BYTES = 1 << 13
READ_BYTES_MAX = 1 << 20

# The kinds of a reply: an output, an error, and an error for a body that cannot be taken.
OUTPUT, ERROR, REJECTION = 1, 2, 3
_MEMBERS = {OUTPUT: b'{"output":', ERROR: b'{"error":', REJECTION: b'{"error":'}

# A kind, and JSON: an output, or `{"message":…}`.
Reply = tuple[int, bytes]


class Pipe:
    """Both directions. How long a frame may be is the watchdog's business, which makes them."""

    __slots__ = (
        "_at",
        "_begun",
        "_data",
        "_missing",
        "_replies",
        "has_heads",
        "in_child",
        "read",
        "requests",
    )

    def __init__(self, requests: int, replies: int, *, has_heads: bool) -> None:
        self.requests = requests
        self._replies = replies
        self.has_heads = has_heads
        self.read: Callable[[bytes], Request] = read_head_and_body if has_heads else read_object
        # Whether this is a process that a handler forked.
        self.in_child = False
        # Frames, of which those before the place are taken.
        self._data = b""
        self._at = 0
        # The beginning of a frame, and how much of it is still to come at least.
        self._begun: list[bytes] = []
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
        # Programs that a handler starts have another watchdog, or none.
        offered = os.environ.pop(OFFER, "")
        return cls(requests, replies, has_heads=offered.isascii() and offered.isdigit() and int(offered) >= 2)

    def _leave(self) -> None:
        """A process that a handler forks neither takes requests nor answers them, and does not
        keep the watchdog from seeing the end of its parent."""
        self.in_child = True
        os.close(self.requests)
        os.close(self._replies)

    def fill(self) -> bool:
        """Waits for more bytes. Whether there were any: not at the end."""
        chunk = os.read(self.requests, min(max(READ_BYTES, self._missing), READ_BYTES_MAX))
        if self._begun:
            self._begun.append(chunk)
            self._missing -= len(chunk)
            if self._missing > 0:
                return bool(chunk)
            self._data = b"".join(self._begun)
            self._begun = []
        else:
            self._data = chunk
        self._at = 0
        return bool(chunk)

    def frame(self) -> tuple[int, bytes] | None:
        """The next frame that is there, as its sequence number and its payload."""
        data, begin = self._data, self._at
        if begin == len(data):
            return None
        payload = begin + HEADER_BYTES
        header = int.from_bytes(data[begin:payload], "big")
        # A header of which a part is there is another number.
        end = payload + (header >> 32) if len(data) >= payload else payload
        if len(data) < end:
            self._begun, self._missing = [data[begin:]], end - len(data)
            self._data, self._at = b"", 0
            return None
        self._at = end
        return header & 0xFFFFFFFF, data[payload:end]

    def say_ready(self, concurrency: int = 1) -> None:
        """Takes requests from now on. The first frame has the old form, whichever the others have."""
        text = '{"ready":true'
        if concurrency > 1:
            text += f',"concurrency":{concurrency}'
        if self.has_heads:
            text += ',"frames":2'
        self._write(_frame(0, text.encode() + b"}"))

    def say_unable(self, error: bytes) -> None:
        """Takes no requests, for this reason."""
        self._write(_frame(0, b'{"error":' + error + b"}"))

    def send(self, sequence: int, reply: Reply) -> None:
        """Writes a reply."""
        self._write(self._reply_frame(sequence, reply))

    def send_all(self, replies: Iterable[tuple[int, Reply]]) -> None:
        """Writes replies at once."""
        self._write(b"".join([self._reply_frame(sequence, reply) for sequence, reply in replies]))

    def _reply_frame(self, sequence: int, reply: Reply) -> bytes:
        kind, data = reply
        if self.has_heads:
            # The length, the number and the kind.
            return ((len(data) + 1 << 32 | sequence) << 8 | kind).to_bytes(HEADER_BYTES + 1, "big") + data
        return _frame(sequence, _MEMBERS[kind] + data + b"}")

    def _write(self, data: bytes) -> None:
        """It blocks while the watchdog does not read, which it always does."""
        written = os.write(self._replies, data)
        while written < len(data):
            data = data[written:]
            written = os.write(self._replies, data)


def _frame(sequence: int, payload: bytes) -> bytes:
    return (len(payload) << 32 | sequence).to_bytes(HEADER_BYTES, "big") + payload
