"""Spend a tenant's budgets of writes: in the transaction of the write, so that what is refused costs nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from controlplane.deployments.models import WriteAllowanceRow
from controlplane.deployments.write_budget_rules import (
    LIMITS,
    Write,
    find_wait_seconds,
)
from controlplane.kernel.errors import TooManyRequests
from controlplane.kernel.ids import Id
from controlplane.plumbing.database import UnitOfWork

_WORDS = {
    Write.DEPLOY: "deployments",
    Write.OPERATE: "changes of scale and resumptions",
    Write.SECRET: "values of secrets",
}


def spend(uow: UnitOfWork, write: Write, subject: Id | None) -> None:
    """Count one write of a kind, against its subject (a service, a secret) and against the tenant.

    `subject` None: there is none yet. Errors: TooManyRequests; the caller's transaction then ends.
    """
    limits = LIMITS[write]
    budgets = {uow.tenant.value: limits.for_tenant}
    if subject is not None:
        budgets[subject.value] = limits.for_one
    # The tenant's row last: it is what several requests wait for.
    for key in sorted(budgets, key=lambda each: each == uow.tenant.value):
        budget = budgets[key]
        wait = find_wait_seconds(_advance(uow, write, key, budget.seconds_each), budget, uow.now)
        if wait is not None:
            whose = "this organization" if key == uow.tenant.value else "it"
            raise TooManyRequests(
                f"Too many {_WORDS[write]} for {whose} in a short time: at most {budget.burst} at once, then one "
                f"every {budget.seconds_each} s. Nothing was changed; send the request again in {wait} s.",
                retry_after_seconds=wait,
            )


def _advance(uow: UnitOfWork, write: Write, subject: UUID, seconds: int) -> datetime:
    """Move the instant at which the bucket is full again, in one statement that also locks its row."""
    step = timedelta(seconds=seconds)
    row = WriteAllowanceRow
    statement = insert(row).values(
        tenant_id=uow.tenant, kind=str(write), subject=subject, full_at=uow.now + step
    )
    changed = statement.on_conflict_do_update(
        index_elements=["tenant_id", "kind", "subject"],
        set_={"full_at": func.greatest(row.full_at, uow.now) + step},
    ).returning(row.full_at)
    full_at: datetime = uow.session.execute(changed).scalar_one()
    return full_at
