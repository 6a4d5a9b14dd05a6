"""Effects of the rating room: budgets are looked at every few seconds, and gateways told who is past them."""

from __future__ import annotations

from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import read_clock
from controlplane.plumbing.redis import publish_snapshot
from controlplane.plumbing.schedule import Tick
from controlplane.rating import service_budgets as service

# docs/contracts.md: a writer re-asserts its Redis keys at least every 5 s; also how late a budget can close.
PUBLISH_BUDGETS = Tick("rating.publish_budgets", 5)
TICKS = (PUBLISH_BUDGETS,)
BUDGETS_KEY = "rempart:budgets"

_TOPICS = frozenset({PUBLISH_BUDGETS.topic, "budget.changed", "project.deleted"})


def consumers(context: Context) -> tuple[Consumer, ...]:
    def publish_budgets(_: Event) -> None:
        with context.database.system(is_read_only=True) as uow:
            # One clock for all workers: of two snapshots the one read later is the newer.
            generated_at = read_clock(uow)
            tenants = service.list_budgeted_tenants(uow)
            hard = service.list_hard_scopes(uow)
        exhausted = []
        for tenant_id in tenants:
            # A transaction each: one tenant's month must not hold the others' alerts back.
            with context.database.system() as uow:
                exhausted += service.check_budgets(uow, tenant_id)
        publish_snapshot(
            context.redis, BUDGETS_KEY, service.build_budget_state(exhausted, hard, generated_at)
        )

    return (Consumer("rating.publish_budgets", _TOPICS, effect=publish_budgets),)
