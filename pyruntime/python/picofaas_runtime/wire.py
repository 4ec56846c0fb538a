"""JSON as it goes over the pipe.

This is what the standard library's `json` does it with, without `json` itself: that imports `re`
and `enum`, which together take about as long as Python's own start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _refuse(value: object) -> Any:
    raise TypeError(f"it has a value of the type {type(value).__name__}")


try:
    from _json import encode_basestring, make_encoder, make_scanner
except ImportError:  # pragma: no cover - an interpreter without the parts that are written in C
    import json

    _scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().raw_decode
    _write: Callable[[Any], str] = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_refuse
    ).encode
else:

    class _Reading:
        """How a reader reads: as `json.loads` does."""

        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = None

    _scan = make_scanner(_Reading)  # type: ignore[arg-type]  # any object with these names will do

    def _write(value: Any) -> str:
        # The dictionary is how a value that contains itself is noticed.
        encode = make_encoder({}, _refuse, encode_basestring, None, ":", ",", False, False, False)
        return "".join(encode(value, 0))


def read(payload: bytes | bytearray) -> Any:
    """The value in a payload. `ValueError` and `RecursionError` are what Python cannot take of
    JSON: whole numbers of thousands of digits, nesting of thousands of levels."""
    try:
        return _scan(payload.decode(), 0)[0]
    except StopIteration:
        raise ValueError("a value of JSON is missing") from None


def write(value: Any) -> bytes:
    """The value as JSON. `TypeError`, `ValueError` and `RecursionError` say what cannot be written."""
    return _write(value).encode()
