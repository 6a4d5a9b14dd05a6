"""Kept verdicts: as long as something stands by them, and not for ever."""

from __future__ import annotations

from sqlalchemy import text

from controlplane.deployments.tasks import FORGET, consumers
from controlplane.plumbing.consumers import Consumers, deliver, route_batch
from controlplane.plumbing.schedule import record_due_ticks
from controlplane.plumbing.simulated_clock import move_clock
from tests.integration.deployments.fleet import Fleet, add_site


def forget(fleet: Fleet, slots: int) -> None:
    """So many half hours after the start, the tick comes round."""
    with fleet.database.system() as uow:
        move_clock(uow, fleet.context.settings, slots * FORGET.every_seconds)
    with fleet.database.system() as uow:
        assert record_due_ticks(uow, (FORGET,)) == 1
    forgetting = Consumers([c for c in consumers(fleet.context) if FORGET.topic in c.topics])
    with fleet.database.system() as uow:
        pairs = route_batch(uow.session, forgetting)
    assert [deliver(fleet.database, forgetting, *pair) for pair in pairs] == [True]


def policies(fleet: Fleet) -> set[str]:
    with fleet.database.system(is_read_only=True) as uow:
        return set(uow.session.scalars(text("SELECT policy_hash FROM verdict")))


def test_a_policy_is_forgotten_once_nothing_stands_by_it(fleet: Fleet) -> None:
    add_site(fleet, "essonne-1", "FR")
    service = fleet.create_service()
    fleet.run()
    assert len(fleet.parts(service)) == 1
    with fleet.database.system(is_read_only=True) as uow:
        relied_on = set(uow.session.scalars(text("SELECT policy_hash FROM regional_deployment")))
    forget(fleet, 1)
    assert policies(fleet) == relied_on
    with fleet.database.system() as uow:
        uow.session.execute(text("UPDATE regional_deployment SET terminated_at = now()"))
    forget(fleet, 2)
    assert policies(fleet) == set()
