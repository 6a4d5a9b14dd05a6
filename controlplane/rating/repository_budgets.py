"""All SQL of budgets and their alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from controlplane.kernel.ids import ProjectId, TenantId, uuid7
from controlplane.plumbing.database import UnitOfWork
from controlplane.rating.domain import Budget, BudgetAlert
from controlplane.rating.models import BudgetAlertRow, BudgetRow


def list_budgets(uow: UnitOfWork, tenant_id: TenantId) -> list[Budget]:
    """A tenant's budgets: the whole tenant's first, then its projects'."""
    rows = uow.session.scalars(
        select(BudgetRow)
        .where(BudgetRow.tenant_id == tenant_id)
        .order_by(BudgetRow.project_id.is_not(None), BudgetRow.project_id)
    )
    return [to_budget(row) for row in rows]


def list_budgeted_tenants(uow: UnitOfWork) -> list[TenantId]:
    return list(uow.session.scalars(select(BudgetRow.tenant_id).distinct().order_by(BudgetRow.tenant_id)))


def list_hard_scopes(uow: UnitOfWork) -> list[tuple[TenantId, ProjectId | None]]:
    rows = uow.session.execute(
        select(BudgetRow.tenant_id, BudgetRow.project_id)
        .where(BudgetRow.is_hard)
        .order_by(BudgetRow.tenant_id, BudgetRow.project_id)
    )
    return [(row[0], row[1]) for row in rows]


def find_budget_row(uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId | None) -> BudgetRow | None:
    """The row of one scope, locked."""
    scope = BudgetRow.project_id.is_(None) if project_id is None else BudgetRow.project_id == project_id
    return uow.session.scalars(
        select(BudgetRow).where(BudgetRow.tenant_id == tenant_id, scope).with_for_update()
    ).one_or_none()


def add_budget(
    uow: UnitOfWork, tenant_id: TenantId, project_id: ProjectId | None, amount_minor: int, *, is_hard: bool
) -> BudgetRow:
    row = BudgetRow(
        tenant_id=tenant_id,
        id=uuid7(),
        project_id=project_id,
        amount_minor=amount_minor,
        currency="EUR",
        is_hard=is_hard,
        version=1,
        updated_at=uow.now,
    )
    uow.session.add(row)
    uow.session.flush()
    return row


def add_alert(uow: UnitOfWork, alert: BudgetAlert) -> bool:
    """Insert an alert; False when it fired before, in this transaction's past or in another's."""
    scope = alert.tenant_id.value if alert.project_id is None else alert.project_id.value
    added = uow.session.execute(
        insert(BudgetAlertRow)
        .values(
            tenant_id=alert.tenant_id,
            scope_id=scope,
            period_start=alert.period_start,
            threshold_percent=alert.threshold_percent,
            cost_minor=alert.cost_minor,
            budget_minor=alert.budget_minor,
            fired_at=alert.fired_at,
        )
        .on_conflict_do_nothing()
        .returning(BudgetAlertRow.threshold_percent)
    ).scalar_one_or_none()
    return added is not None


def list_alerts(uow: UnitOfWork, tenant_id: TenantId, period_start: datetime) -> Sequence[BudgetAlert]:
    rows = uow.session.scalars(
        select(BudgetAlertRow)
        .where(BudgetAlertRow.tenant_id == tenant_id, BudgetAlertRow.period_start == period_start)
        .order_by(BudgetAlertRow.scope_id, BudgetAlertRow.threshold_percent)
    )
    return [
        BudgetAlert(
            tenant_id=row.tenant_id,
            project_id=None if row.scope_id == row.tenant_id.value else ProjectId(row.scope_id),
            period_start=row.period_start,
            threshold_percent=row.threshold_percent,
            cost_minor=row.cost_minor,
            budget_minor=row.budget_minor,
            fired_at=row.fired_at,
        )
        for row in rows
    ]


def to_budget(row: BudgetRow) -> Budget:
    return Budget(
        tenant_id=row.tenant_id,
        project_id=row.project_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        is_hard=row.is_hard,
        version=row.version,
        updated_at=row.updated_at,
    )
