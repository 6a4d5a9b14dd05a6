"""What a line of a spool means, whole or damaged, and what a cursor's file says. Pure.

A record is one JSON object on one line. All records of one `append` but the last end in a blank before the line feed,
which JSON allows: so a reader of the file knows where a whole `append` ends, and a part of one is never taken for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

JsonObject = dict[str, Any]

RECORD_BYTES_MAX = 64 * 1024
"""An event has about 700 bytes; anything near this bound is a defect of the caller."""

SALVAGE_STARTS_MAX = 64
"""Places of a damaged line where a whole record is looked for; a record has fewer than ten braces of its own."""

CURSOR_BYTES_MAX = 4096
NUMBER_MAX = 10**12 - 1
"""Of a segment: its name has twelve digits."""


class RecordTooLarge(ValueError):
    """A record is larger than RECORD_BYTES_MAX: nothing of its `append` was written."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a spool: every line before it is meant."""

    segment: int
    length: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a line holds: a record that begins at `offset` of it, or None for a blank or damaged line."""

    record: JsonObject | None
    offset: int
    is_damaged: bool


def encode_batch(records: Sequence[JsonObject]) -> bytes:
    """Write the records of one `append`. Errors: RecordTooLarge; TypeError for what is no JSON."""
    lines = [orjson.dumps(record) for record in records]
    for line in lines:
        if len(line) + 2 > RECORD_BYTES_MAX:
            raise RecordTooLarge(f"a record has {len(line)} bytes, more than {RECORD_BYTES_MAX}")
    return b"".join(line + b" \n" for line in lines[:-1]) + (lines[-1] + b"\n" if lines else b"")


def read_line(text: bytes, *, is_cut: bool = False) -> Found:
    """Read a line. A whole record behind damage (a torn line, a block of zeros) is found again."""
    # Damage that was mended is blanks, in front of whatever was whole behind it.
    text_start = len(text) - len(text.lstrip(b" "))
    if text_start == len(text) and (text_start or not is_cut):
        return Found(None, len(text), False)
    record = _parse(text[text_start:]) if text_start or not is_cut else None
    if record is not None:
        return Found(record, text_start, False)
    at = -1
    for _ in range(SALVAGE_STARTS_MAX):
        at = text.find(b'{"', at + 1)
        if at < 0:
            break
        record = _parse(text[at:])
        # An object inside of a torn record is whole too, but only a record has an id.
        if record is not None and isinstance(record.get("id"), str):
            return Found(record, at, True)
    return Found(None, len(text), True)


def is_open_batch(text: bytes) -> bool:
    """Tell whether a line says that more lines of the same `append` must follow."""
    return text.endswith(b"} ")


def list_ids(records: Iterable[JsonObject]) -> set[str]:
    """Collect the ids of events."""
    return {record["id"] for record in records if isinstance(record.get("id"), str)}


def read_cursor(data: bytes) -> Position | None:
    """Read `{"segment", "length"}` or the pair `[segment, length]`; None when it is neither."""
    try:
        held = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    pair = [held.get("segment"), held.get("length")] if isinstance(held, dict) else held
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    segment, length = pair
    if type(segment) is not int or type(length) is not int:
        return None
    return Position(segment, length) if 0 <= segment <= NUMBER_MAX and 0 <= length < 2**63 else None


def write_cursor(position: Position) -> bytes:
    """Write a cursor in the form that `read_cursor` reads."""
    return orjson.dumps({"segment": position.segment, "length": position.length})


def _parse(text: bytes) -> JsonObject | None:
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None
