"""Use cases of budgets: set one, tell each threshold once, and say whose calls the gateways refuse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from controlplane.audit import service as audit
from controlplane.kernel.errors import Conflict, FieldProblem, InvalidInput
from controlplane.kernel.events import JsonValue
from controlplane.kernel.ids import ProjectId, TenantId
from controlplane.kernel.period import Period
from controlplane.plumbing.database import UnitOfWork
from controlplane.plumbing.versions import check_version
from controlplane.rating import repository_budgets as repository
from controlplane.rating.budget_rules import BUDGET_MINOR_MAX, cost_of, list_exhausted, list_reached
from controlplane.rating.domain import Budget, BudgetAlert
from controlplane.rating.events import BudgetChanged, BudgetExceeded, BudgetThresholdReached
from controlplane.rating.service_rate import rate_period
from controlplane.tenancy import service as tenancy


def list_budgets(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[Budget]:
    return repository.list_budgets(uow, tenant_id)


def list_alerts(uow: UnitOfWork, tenant_id: TenantId) -> Sequence[BudgetAlert]:
    """What fired in the running Paris month."""
    return repository.list_alerts(uow, tenant_id, Period.month_of(uow.now).start)


def set_budget(
    uow: UnitOfWork,
    tenant_id: TenantId,
    project_id: ProjectId | None,
    amount_minor: int,
    *,
    is_hard: bool,
    expected_version: int | None,
    actor: str,
) -> Budget:
    """Set a tenant's or a project's monthly budget; a change says which version it changes.

    Errors: NotFound for an unknown project, InvalidInput for an amount that cannot be, Conflict when somebody set
    one meanwhile, PreconditionFailed for another version.
    """
    if not 0 < amount_minor <= BUDGET_MINOR_MAX:
        problem = FieldProblem("budget.amount_minor", f"lies between 1 and {BUDGET_MINOR_MAX}")
        raise InvalidInput("The budget is not possible.", fields=(problem,))
    if project_id is not None:
        tenancy.get_project(uow, tenant_id, project_id)
    row = repository.find_budget_row(uow, tenant_id, project_id)
    if row is None:
        row = repository.add_budget(uow, tenant_id, project_id, amount_minor, is_hard=is_hard)
    else:
        if expected_version is None:
            raise Conflict("There is a budget already: send If-Match with its version to change it.")
        check_version(row.version, expected_version)
        row.amount_minor, row.is_hard = amount_minor, is_hard
        row.version, row.updated_at = row.version + 1, uow.now
        uow.session.flush()
    audit.record(
        uow, tenant_id=tenant_id, actor=actor, action="budget.set", target=str(project_id or tenant_id),
        detail={"amount_minor": amount_minor, "is_hard": is_hard, "version": row.version},
    )  # fmt: skip
    uow.emit(BudgetChanged(tenant_id))
    return repository.to_budget(row)


def list_budgeted_tenants(uow: UnitOfWork) -> Sequence[TenantId]:
    return repository.list_budgeted_tenants(uow)


def check_budgets(uow: UnitOfWork, tenant_id: TenantId) -> list[Budget]:
    """Compare a tenant's budgets with its running month (platform transaction); return the exhausted ones.

    Each threshold of a month fires once: its alert's row is its name, so a second worker finds it there.
    """
    period = Period.month_of(uow.now)
    rated = rate_period(uow, tenant_id, period, None)
    costs = [(budget, cost_of(budget, rated)) for budget in repository.list_budgets(uow, tenant_id)]
    for budget, cost_minor in costs:
        for percent in list_reached(cost_minor, budget.amount_minor):
            _fire(uow, budget, period, percent, cost_minor)
    return list_exhausted(costs)


def _fire(uow: UnitOfWork, budget: Budget, period: Period, percent: int, cost_minor: int) -> None:
    alert = BudgetAlert(
        budget.tenant_id, budget.project_id, period.start, percent, cost_minor, budget.amount_minor, uow.now
    )
    if repository.add_alert(uow, alert):
        kind = BudgetExceeded if percent >= 100 else BudgetThresholdReached
        uow.emit(kind(budget.tenant_id, budget.project_id, percent, cost_minor, budget.amount_minor))


def list_hard_scopes(uow: UnitOfWork) -> Sequence[tuple[TenantId, ProjectId | None]]:
    """Whose calls depend on a budget (platform transaction)."""
    return repository.list_hard_scopes(uow)


def build_budget_state(
    exhausted: Sequence[Budget], hard: Sequence[tuple[TenantId, ProjectId | None]], generated_at: datetime
) -> dict[str, JsonValue]:
    """What gateways must know of budgets: `rempart:budgets` of docs/contracts.md.

    `generated_at` is the real time; `version` is it in microseconds, so that it grows from one state to the next.
    """
    tenants: list[JsonValue] = [str(each.tenant_id) for each in exhausted if each.project_id is None]
    projects: list[JsonValue] = [str(each.project_id) for each in exhausted if each.project_id is not None]
    return {
        "version": int(generated_at.timestamp()) * 1_000_000 + generated_at.microsecond,
        "generated_at": generated_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "exhausted_tenants": tenants,
        "exhausted_projects": projects,
        "hard_tenants": [str(tenant_id) for tenant_id, project_id in hard if project_id is None],
        "hard_projects": [str(project_id) for _, project_id in hard if project_id is not None],
    }
