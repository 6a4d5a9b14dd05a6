"""What creating a service asks of PostgreSQL: few statements, and none that grows with what is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from controlplane.plumbing.database import Database
from tests.integration.deployments.fleet import Fleet, definition

# Measured; one more is a round trip more for every create.
STATEMENTS = 23


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, int]]]:
    """Every statement that both roles send, in order, with how many rows it touched or found."""
    seen: list[tuple[str, int]] = []

    def note(_connection: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append((" ".join(statement.split()), cursor.rowcount))

    engines = (database.app_engine, database.system_engine)
    for engine in engines:
        event.listen(engine, "after_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "after_cursor_execute", note)


def test_a_create_costs_the_same_few_statements_however_many_services_there_are(
    fleet: Fleet, database: Database
) -> None:
    app_id = fleet.create_app()

    def create(name: str) -> list[tuple[str, int]]:
        body = {"app_id": app_id, "definition": definition(name)}
        with statements(database) as seen:
            fleet.post("/v1/services", body, **{"Idempotency-Key": name})
        return seen

    # The key's first use and the plan's first compilation are behind it.
    create("first")
    beside_one = create("second")
    for number in range(4):
        create(f"more-{number}")
    beside_six = create("last")
    assert len(beside_one) == STATEMENTS, "\n".join(statement for statement, _ in beside_one)
    assert [statement for statement, _ in beside_six] == [statement for statement, _ in beside_one]
    assert [rows for _, rows in beside_six] == [rows for _, rows in beside_one]
