"""Delete what is kept no longer than it was promised: one rule a table, in small batches, from the oldest on.

Sources: GDPR art. 5(1)(e) (storage limitation). The schedule itself stands in `controlplane.entrypoints.retention`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from prometheus_client import Counter
from sqlalchemy import text

from controlplane.plumbing.database import Database

log = structlog.get_logger()

PURGED_ROWS = Counter("rempart_retention_purged_rows", "Rows deleted because their time was over.", ["table"])
UNFINISHED = Counter(
    "rempart_retention_unfinished", "Rounds that ended with rows left over for the next one.", ["table"]
)

# One transaction: short enough that nobody waits for its locks.
BATCH_ROWS = 2_000
# One table's share of a round: a table that was never purged before must not keep the others waiting.
TABLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How long rows of a table stay: until `age_column` lies `keep` back, where `condition` holds (SQL, alias `t`).

    `is_database_time` says that the column is PostgreSQL's own clock and not the installation's.
    """

    table: str
    key: tuple[str, ...]
    age_column: str
    keep: timedelta
    why: str
    condition: str = "true"
    is_database_time: bool = False

    @property
    def statement(self) -> str:
        """Delete one batch, oldest first. Safe beside another worker that does the same."""
        columns = ", ".join(f"t.{name}" for name in self.key)
        plain = ", ".join(self.key)
        now = "clock_timestamp()" if self.is_database_time else ":now"
        return (
            f"DELETE FROM {self.table} WHERE ({plain}) IN (SELECT {columns} FROM {self.table} t"  # noqa: S608
            f" WHERE t.{self.age_column} < {now} - make_interval(secs => :seconds) AND {self.condition}"
            f" ORDER BY t.{self.age_column} LIMIT :rows)"
        )


def purge(
    database: Database,
    rules: Sequence[Rule],
    *,
    clock: Callable[[], float] = time.monotonic,
    batch_rows: int = BATCH_ROWS,
) -> dict[str, int]:
    """Keep each rule once; return how many rows each deleted. What a round does not reach, the next one does."""
    deleted: dict[str, int] = {}
    for rule in rules:
        until = clock() + TABLE_SECONDS
        count = 0
        while True:
            rows = _purge_batch(database, rule, batch_rows)
            count += rows
            if rows < batch_rows:
                break
            if clock() > until:
                UNFINISHED.labels(rule.table).inc()
                log.warning("retention_unfinished", table=rule.table, deleted=count)
                break
        deleted[rule.table] = deleted.get(rule.table, 0) + count
        if count:
            PURGED_ROWS.labels(rule.table).inc(count)
            log.info("retention_purged", table=rule.table, deleted=count)
    return deleted


def _purge_batch(database: Database, rule: Rule, rows: int) -> int:
    given: dict[str, object] = {"seconds": int(rule.keep.total_seconds()), "rows": rows}
    with database.system() as uow:
        if not rule.is_database_time:
            given["now"] = uow.now
        return uow.session.execute(text(rule.statement), given).rowcount  # type: ignore[attr-defined,no-any-return]
