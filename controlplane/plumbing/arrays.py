"""Columns of many rows as one binary parameter each: PostgreSQL reads them several times faster than rows of text.

`INSERT … SELECT unnest(%s), unnest(%s)` with these parameters is the bulk door where COPY is closed: COPY refuses
tables with row-level security. Source: PostgreSQL's array_recv (src/backend/utils/adt/arrayfuncs.c): number of
dimensions, flags, element type, length and lower bound of each dimension, then each element behind its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import chain
from struct import Struct

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(2000, 1, 1)
_HEADER = Struct("!iiIii")
_LENGTH = Struct("!i").pack
_DAY = Struct("!ii").pack
_MICROSECONDS = Struct("!iq").pack
_DAY_MICROSECONDS = 86_400_000_000


class _Packed:
    """A column, packed; empty columns have no dimension."""

    __slots__ = ("data",)
    element: str

    def __init__(self, count: int, elements: Sequence[bytes]) -> None:
        oid = types[self.element].oid
        header = _HEADER.pack(1, 0, oid, count, 1) if count else _HEADER.pack(0, 0, oid, 0, 0)[:12]
        self.data = b"".join((header, *elements))


class UuidArray(_Packed):
    """From 16 bytes each."""

    element = "uuid"

    def __init__(self, values: Sequence[bytes]) -> None:
        super().__init__(len(values), (_LENGTH(16).join((b"", *values)),))


class BytesArray(_Packed):
    element = "bytea"

    def __init__(self, values: Sequence[bytes]) -> None:
        super().__init__(len(values), _with_lengths(values))


class TextArray(_Packed):
    """From UTF-8. It may hold no NUL character."""

    element = "text"

    def __init__(self, values: Sequence[bytes]) -> None:
        super().__init__(len(values), _with_lengths(values))


class TimeArray(_Packed):
    """From microseconds as `microseconds_of` counts them."""

    element = "timestamptz"

    def __init__(self, values: Sequence[int]) -> None:
        super().__init__(len(values), [_MICROSECONDS(8, value) for value in values])


class DateArray(_Packed):
    """From days as `days_of` counts them."""

    element = "date"

    def __init__(self, values: Sequence[int]) -> None:
        super().__init__(len(values), [_DAY(4, value) for value in values])


def microseconds_of(instant: datetime) -> int:
    """Count from PostgreSQL's epoch, the start of 2000 in UTC."""
    span = instant - _EPOCH
    return span.days * _DAY_MICROSECONDS + span.seconds * 1_000_000 + span.microseconds


def days_of(microseconds: int) -> int:
    """The UTC day that an instant lies in, counted from PostgreSQL's epoch."""
    return microseconds // _DAY_MICROSECONDS


def _with_lengths(values: Sequence[bytes]) -> list[bytes]:
    return list(chain.from_iterable((_LENGTH(len(value)), value) for value in values))


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: _Packed) -> Buffer:
        return obj.data


def _register() -> None:
    """Teach the driver these parameters, for every connection that is opened from now on."""
    for kind in (UuidArray, BytesArray, TextArray, TimeArray, DateArray):
        oid = types[kind.element].array_oid
        psycopg.adapters.register_dumper(kind, type(f"{kind.__name__}Dumper", (_PackedDumper,), {"oid": oid}))


_register()
