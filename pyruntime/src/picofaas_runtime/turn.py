"""The turn of the requests as forked processes see it: whether the one that they were forked in goes on."""

from __future__ import annotations

from mmap import mmap

NUMBER_BYTES = 8


class Turn:
    """A number in shared memory, which is another one whenever a request begins or ends. A forked process
    has the number of its own beginning besides."""

    __slots__ = ("_number", "_shared")

    def __init__(self) -> None:
        self._shared = mmap(-1, NUMBER_BYTES)
        self._number = 0

    def change(self) -> None:
        """A request begins or ends."""
        self._number += 1
        self._shared[:] = self._number.to_bytes(NUMBER_BYTES, "little")

    def is_over(self) -> bool:
        """In a forked process: whether a request has begun or ended since."""
        return int.from_bytes(self._shared[:], "little") != self._number
