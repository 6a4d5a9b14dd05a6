"""Columns packed by hand arrive in PostgreSQL as what they were."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from controlplane.plumbing.arrays import (
    BytesArray,
    DateArray,
    TextArray,
    TimeArray,
    UuidArray,
    days_of,
    microseconds_of,
)
from controlplane.plumbing.database import Database

ROWS = st.lists(
    st.tuples(
        st.uuids(),
        st.binary(max_size=20),
        st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20),
        # The strategy takes bounds without a zone alone.
        st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001
    ),
    max_size=20,
)


@given(rows=ROWS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_packed_is_what_arrives(
    database: Database, rows: list[tuple[uuid.UUID, bytes, str, datetime]]
) -> None:
    times = [microseconds_of(row[3].replace(tzinfo=UTC)) for row in rows]
    columns = (
        UuidArray([row[0].bytes for row in rows]),
        BytesArray([row[1] for row in rows]),
        TextArray([row[2].encode() for row in rows]),
        TimeArray(times),
        DateArray([days_of(time) for time in times]),
    )
    with database.system() as uow:
        uow.session.execute(text("SELECT 1"))
        connection = uow.session.connection().connection.driver_connection
        assert connection is not None
        query = "SELECT unnest(%s), unnest(%s), unnest(%s), unnest(%s), unnest(%s)"
        found = connection.execute(query, columns).fetchall()
    expected = [(row[0], row[1], row[2], row[3].replace(tzinfo=UTC), row[3].date()) for row in rows]
    assert [tuple(row) for row in found] == expected
