"""Buffers that still hold text when a request or the process ends: of Python's own files and of C's.

`python3 app.py` writes all of it when it ends. A worker does not end as that does, as it would wait for
threads that a handler has left behind.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import Any

# Standard streams on top of which somebody has put a buffer of their own since the last look.
_handed_out: set[Any] = set()
# Such buffers, by weak references.
_known: list[Callable[[], Any]] = []
# C's `fflush` and `stdout`, once they are needed.
_c: tuple[Any, Any] | None = None


def hand_out(stream: Any) -> None:
    """Takes note that a buffer may have been put on top of the bytes of a standard stream."""
    _handed_out.add(stream)


def is_any_known() -> bool:
    """Whether there is anything to be looked for, or to be emptied, before our streams."""
    return bool(_handed_out or _known)


def look_for_buffers() -> None:
    """Looks for the buffers on top of ours. From then on, text goes through them at once, so that who
    writes it is known. What was in them comes now."""
    if not _handed_out:
        return
    import gc
    import io
    import weakref

    there = [known() for known in _known]
    for holder in gc.get_referrers(*_handed_out):
        is_text = issubclass(type(holder), io.TextIOWrapper)
        if not (is_text or issubclass(type(holder), io.BufferedWriter)):
            continue
        if not any(holder is known for known in there):
            _known.append(weakref.ref(holder))
        if is_text:
            _write_through(holder)
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


def flush_others(own: Container[object], empty: Callable[[Callable[[], None]], None]) -> None:
    """Empties the buffers that are not before our streams: somebody's own, by `empty`, and C's, where
    something may have printed in C. To be called behind whole lines, as what comes may have no end."""
    if sys.stdout not in own or sys.stderr not in own:
        empty(_flush_standard)
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


def _flush_standard() -> None:
    _flush(sys.stdout)
    _flush(sys.stderr)


def _write_through(text: Any) -> None:
    try:
        text.reconfigure(write_through=True)
    except Exception:
        pass  # One that is closed or taken apart, or a class of somebody's own.


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
