"""PostgreSQL: two roles, one unit of work, and the tenant set per transaction.

`rempart_app` sees the rows of the tenant that the transaction names and nothing when it names none;
`rempart_system` works across tenants by a written policy. Neither owns a table (docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import cast

from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session

from controlplane.kernel.events import DomainEvent
from controlplane.kernel.ids import TenantId
from controlplane.plumbing.outbox import write_events
from controlplane.plumbing.settings import Settings

# A statement that runs longer than this holds locks that others wait for; a waiting lock gives up sooner.
STATEMENT_TIMEOUT_MS = 15_000
LOCK_TIMEOUT_MS = 5_000
IDLE_TRANSACTION_TIMEOUT_MS = 30_000
# A server that vanished without a word (power, network) is noticed after this, not after the kernel's quarter hour.
SILENCE_TIMEOUT_MS = 20_000


@dataclass(slots=True)
class UnitOfWork:
    """One transaction: its session, its instant, its tenant, and the events that leave with its commit.

    `ahead` is how far `now` runs before the clocks of the installation's producers: zero in production.
    """

    session: Session
    now: datetime
    tenant_id: TenantId | None
    ahead: timedelta = timedelta(0)
    events: list[DomainEvent] = field(default_factory=list)

    def emit(self, event: DomainEvent) -> None:
        """Record a fact; it is written to the outbox in this transaction and delivered after it commits."""
        self.events.append(event)

    @property
    def tenant(self) -> TenantId:
        """The tenant of this transaction; a platform transaction has none and must not ask."""
        if self.tenant_id is None:
            raise AssertionError("this unit of work belongs to no tenant")
        return self.tenant_id


def read_clock(uow: UnitOfWork) -> datetime:
    """PostgreSQL's own clock, now: one clock for all workers, never the simulated one."""
    return cast(datetime, uow.session.execute(select(func.clock_timestamp())).scalar_one())


def make_engine(url: str, pool_size: int) -> Engine:
    options = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
        f" -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_TIMEOUT_MS} -c timezone=UTC"
    )
    return create_engine(
        normalise_url(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_timeout=10,
        connect_args={"options": options, "connect_timeout": 5, "tcp_user_timeout": SILENCE_TIMEOUT_MS},
    )


def normalise_url(url: str) -> str:
    """Point any PostgreSQL address at psycopg 3, the one driver."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


class Database:
    """Opens units of work; a process holds one."""

    def __init__(self, settings: Settings) -> None:
        self._urls = (settings.app_database_url, settings.system_database_url)
        self._pool_size = settings.database_pool_size
        self.is_clock_simulated = settings.environment == "local"

    @cached_property
    def app_engine(self) -> Engine:
        return make_engine(self._urls[0].get_secret_value(), self._pool_size)

    @cached_property
    def system_engine(self) -> Engine:
        return make_engine(self._urls[1].get_secret_value(), self._pool_size)

    @contextmanager
    def tenant(self, tenant_id: TenantId, *, is_read_only: bool = False) -> Iterator[UnitOfWork]:
        """A transaction that can see and touch one tenant's rows only."""
        with self._open(self.app_engine, tenant_id, is_read_only) as uow:
            yield uow

    @contextmanager
    def system(
        self, tenant_id: TenantId | None = None, *, is_read_only: bool = False
    ) -> Iterator[UnitOfWork]:
        """A transaction for platform work across tenants."""
        with self._open(self.system_engine, tenant_id, is_read_only) as uow:
            yield uow

    @contextmanager
    def _open(self, engine: Engine, tenant_id: TenantId | None, is_read_only: bool) -> Iterator[UnitOfWork]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            ahead = self._begin(session, tenant_id, is_read_only)
            uow = UnitOfWork(session, datetime.now(UTC) + ahead, tenant_id, ahead)
            yield uow
            write_events(uow)

    def _begin(self, session: Session, tenant_id: TenantId | None, is_read_only: bool) -> timedelta:
        """Say whose transaction this is and what it may do, in one round trip; return how far its clock runs ahead.

        A local installation may run ahead (docs/contracts.md, simulated clock).
        """
        offset = "(SELECT offset_seconds FROM simulated_clock)" if self.is_clock_simulated else "0"
        asked = [f"coalesce({offset}, 0)"]
        if tenant_id is not None:
            asked.append("set_config('app.tenant_id', :tenant, true)")
        if is_read_only:
            asked.append("set_config('transaction_read_only', 'on', true)")
        if len(asked) == 1 and not self.is_clock_simulated:
            return timedelta(0)
        given = {} if tenant_id is None else {"tenant": str(tenant_id.value)}
        seconds = session.execute(text(f"SELECT {', '.join(asked)}"), given).scalar_one()
        return timedelta(seconds=int(seconds))

    def dispose(self) -> None:
        """Close what was opened: a program that uses one role alone has no address of the other."""
        for name in ("app_engine", "system_engine"):
            engine: Engine | None = self.__dict__.get(name)
            if engine is not None:
                engine.dispose()
