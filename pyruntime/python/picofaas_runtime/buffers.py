"""Buffers that still hold text when a request or the process ends: of Python's own files and of C's.

`python3 app.py` writes all of it when it ends. A worker does not end as that does, as it would wait for
threads that a handler has left behind.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Standard streams whose bytes were asked for since the last look: somebody may write to them through a
# buffer of their own.
_handed_out: set[Any] = set()
# Such buffers, by weak references.
_known: list[Callable[[], Any]] = []
# C's `fflush` and `stdout`, once they are needed.
_c: tuple[Any, Any] | None = None


def hand_out(stream: Any) -> None:
    """Takes note that the bytes of a standard stream are given to somebody."""
    _handed_out.add(stream)


def look_for_buffers() -> None:
    """Looks for the buffers of those that were handed out."""
    if not _handed_out:
        return
    import gc
    import io
    import weakref

    for holder in gc.get_referrers(*_handed_out):
        if issubclass(type(holder), (io.TextIOWrapper, io.BufferedWriter)):
            _known.append(weakref.ref(holder))
    _handed_out.clear()


def flush_known() -> None:
    """Empties the buffers before our streams."""
    look_for_buffers()
    if _known:
        for known in _known[:]:
            stream = known()
            if stream is None or stream.closed:
                _known.remove(known)
            else:
                _flush(stream)


def flush_others(own: Iterable[object]) -> None:
    """Empties the buffers that are not before our streams: somebody's own and C's, where something may have
    printed in C. To be called behind whole lines, as what comes may have no end."""
    for stream in (sys.stdout, sys.stderr):
        if stream not in own:
            _flush(stream)
    if "ctypes" in sys.modules:
        flush_c()


def flush_all() -> None:
    """Empties every buffer of Python, as the process ends."""
    import _io
    import gc

    gc.unfreeze()
    # By their type alone: a proxy might load what it stands for.
    files = [each for each in gc.get_objects() if issubclass(type(each), _io._IOBase)]
    # A text's buffer is before that of its bytes.
    files.sort(key=lambda each: not issubclass(type(each), _io._TextIOBase))
    for each in files:
        _flush(each)


def _flush(stream: Any) -> None:
    try:
        if not stream.closed and stream.writable():
            stream.flush()
    except Exception:
        pass  # Somebody's own stream that does not work, or a file that is full.


def flush_c() -> None:
    """Empties the buffer of C's standard output alone: another of its files may be in use by a thread that
    waits for it."""
    global _c
    try:
        if _c is None:
            import ctypes

            library = ctypes.CDLL(None)
            _c = library.fflush, ctypes.c_void_p.in_dll(library, "stdout")
        flush, stdout = _c
        flush(stdout)
    except (ImportError, OSError, ValueError, AttributeError):
        pass  # A Python or a library that has none.
