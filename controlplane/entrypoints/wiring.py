"""Which consumers and ticks the relay, the beat and the workers have: each room's `tasks.py`, listed once."""

from __future__ import annotations

from controlplane.capacity import tasks as capacity
from controlplane.deployments import tasks as deployments
from controlplane.einvoicing import tasks as einvoicing
from controlplane.einvoicing.keeper import register_keeper
from controlplane.entrypoints import retention
from controlplane.identity import tasks as identity
from controlplane.invoicing import tasks as invoicing
from controlplane.metering import tasks as metering
from controlplane.payments import tasks as payments
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Consumer, Consumers
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import Database
from controlplane.plumbing.redis import connect
from controlplane.plumbing.schedule import Tick
from controlplane.plumbing.settings import Settings
from controlplane.rating import tasks as rating
from controlplane.sovereignty import tasks as sovereignty

register_keeper()


def make_context(settings: Settings) -> Context:
    return Context(
        settings=settings,
        database=Database(settings),
        redis=connect(settings.redis_url),
        clusters=Clusters(settings.kubeconfig),
    )


def all_consumers(context: Context) -> Consumers:
    consumers: list[Consumer] = [
        *identity.consumers(context),
        *sovereignty.consumers(context),
        *capacity.consumers(context),
        *deployments.consumers(context),
        *metering.consumers(context),
        *rating.consumers(context),
        *invoicing.consumers(context),
        *payments.consumers(context),
        *einvoicing.consumers(context),
        *retention.consumers(context),
    ]
    return Consumers(consumers)


def all_ticks() -> tuple[Tick, ...]:
    return (
        *identity.TICKS,
        *sovereignty.TICKS,
        *capacity.TICKS,
        *deployments.TICKS,
        *metering.TICKS,
        *rating.TICKS,
        *invoicing.TICKS,
        *payments.TICKS,
        *einvoicing.TICKS,
        *retention.TICKS,
    )
