"""Effects of the identity room: the key snapshot for gateways."""

from __future__ import annotations

from controlplane.identity import service
from controlplane.plumbing.consumers import Consumer, Event
from controlplane.plumbing.context import Context
from controlplane.plumbing.database import UnitOfWork, read_clock
from controlplane.plumbing.redis import KEYS_KEY, publish_snapshot
from controlplane.plumbing.schedule import Tick

# docs/contracts.md: a writer re-asserts its Redis keys at least every 5 s; also how soon an expiry shows.
PUBLISH_KEYS = Tick("identity.publish_keys", 5)
# An hour late matters to nobody who has a day.
WARN_OF_ENDS = Tick("identity.warn_of_ends", 3600)
TICKS = (PUBLISH_KEYS, WARN_OF_ENDS)

_TOPICS = frozenset(
    {
        "api_key.changed",
        "tenant.approved",
        "tenant.refused",
        "tenant.suspended",
        "tenant.resumed",
        "project.deleted",
        PUBLISH_KEYS.topic,
    }
)


def consumers(context: Context) -> tuple[Consumer, ...]:
    def publish_keys(_: Event) -> None:
        with context.database.system(is_read_only=True) as uow:
            # Before the keys are read, and by one clock: a snapshot with a later version has seen more.
            snapshot = service.build_snapshot(uow, read_clock(uow))
        publish_snapshot(context.redis, KEYS_KEY, snapshot)

    def warn_of_ends(uow: UnitOfWork, _: Event) -> None:
        service.warn_of_ends(uow)

    return (
        Consumer("identity.publish_keys", _TOPICS, effect=publish_keys),
        Consumer("identity.warn_of_ends", frozenset({WARN_OF_ENDS.topic}), transactional=warn_of_ends),
    )
