"""JSON as it goes over the pipe.

This is what the standard library's `json` does it with, without `json` itself: that imports `re`
and `enum`, which together take about as long as Python's own start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BLANKS = " \t\n\r"
# The beginning of nearly every body.
BEGIN = '{"input":'


def _refuse(value: object) -> Any:
    raise TypeError(f"it has a value of the type {type(value).__name__}")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


try:
    from _json import encode_basestring, make_encoder, make_scanner, scanstring
except ImportError:  # pragma: no cover - an interpreter without the parts that are written in C
    import json
    from json.decoder import scanstring  # type: ignore[attr-defined,no-redef]

    _decoder: Any = json.JSONDecoder(parse_constant=_refuse_constant)
    _scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once
    _write: Callable[[Any], str] = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_refuse
    ).encode
else:

    class _Reading:
        """How a reader reads: as `json.loads` does, but for what is no JSON."""

        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = _refuse_constant

    _scan = make_scanner(_Reading)  # type: ignore[arg-type]  # any object with these names will do

    # Values that are being written: one that contains itself is noticed by them.
    _open: dict[int, Any] = {}
    _encode = make_encoder(_open, _refuse, encode_basestring, None, ":", ",", False, False, False)

    def _write(value: Any) -> str:
        try:
            return "".join(_encode(value, 0))
        except BaseException:
            _open.clear()
            raise


def read(text: str) -> Any:
    """The value of a text. `ValueError` and `RecursionError` are what Python cannot take of
    JSON: whole numbers of thousands of digits, nesting of thousands of levels."""
    try:
        return _scan(text, 0)[0]
    except StopIteration:
        raise ValueError("a value of JSON is missing") from None


def read_body(text: str) -> tuple[Any, dict[str, str]]:
    """The input and the metadata of a request's body, which nobody has looked at before. `ValueError` and
    `RecursionError` say that it is not `{"input": …, "metadata": {…}}`, or that Python cannot take it."""
    try:
        if not text.startswith(BEGIN):
            return _members(text, {}, _after("{", text, 0))
        input, end = _scan(text, _blank(text, len(BEGIN)))
        # Nothing but the end of the object is behind most inputs.
        if text[end:] == "}":
            return input, {}
        return _members(text, {"input": input}, _behind_value(text, end))
    except (StopIteration, IndexError, SystemError):
        # The last is what is raised for a fault while `json`, which has the error for it, is not imported.
        raise ValueError("it is no JSON, or ends too early") from None


def _members(text: str, members: dict[str, Any], at: int | None) -> tuple[Any, dict[str, str]]:
    """The same of an object of which some members are read, and the others begin there; none do without
    a place. A name comes once, as it does for a struct of the other runtimes."""
    while at is not None:
        name, at = scanstring(text, _after('"', text, at))
        if name in members and name in ("input", "metadata"):
            raise ValueError(f"{name} is there twice")
        name.encode()
        members[name], end = _scan(text, _blank(text, _after(":", text, at)))
        at = _behind_value(text, end)
    if "input" not in members:
        raise ValueError("there is no input")
    metadata = members.get("metadata")
    return members["input"], _metadata({} if metadata is None else metadata)


def _metadata(metadata: Any) -> dict[str, str]:
    """The client's metadata, checked: texts, without half of a surrogate pair, which is no character."""
    if type(metadata) is not dict or any(type(value) is not str for value in metadata.values()):
        raise ValueError("the metadata is not an object of texts")
    "".join(metadata).encode()
    "".join(metadata.values()).encode()
    return metadata


def _behind_value(text: str, at: int) -> int | None:
    """Where the next member of an object begins, behind a value; none at the end of the text."""
    at = _blank(text, at)
    if text[at] == ",":
        return at + 1
    if text[_after("}", text, at) :].strip(BLANKS):
        raise ValueError("something is behind the object")
    return None


def _after(sign: str, text: str, at: int) -> int:
    """The place behind this sign, which comes next."""
    at = _blank(text, at)
    if text[at] != sign:
        raise ValueError(f"{sign} is missing at {at}")
    return at + 1


def _blank(text: str, at: int) -> int:
    """The place of what is no blank."""
    while text[at] in BLANKS:
        at += 1
    return at


def write(value: Any) -> bytes:
    """The value as JSON. `TypeError`, `ValueError` and `RecursionError` say what cannot be written."""
    return _write(value).encode()
