"""The last steps of every transaction that stores events: late or in time, sums, chain."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.metering import repository_ingest
from controlplane.metering.chain_rules import decide_root, decide_shard
from controlplane.metering.domain import BatchId, ReadEvent
from controlplane.metering.rollup_rules import decide_additions
from controlplane.plumbing.database import UnitOfWork


def finish(uow: UnitOfWork, batch_id: BatchId, accepted: Sequence[ReadEvent]) -> None:
    """Sum accepted events up and chain their batch: nothing else locks after this."""
    if not accepted:
        return
    tenants = {event.tenant_id for event in accepted}
    earliest = min(event.occurred_at for event in accepted)
    frozen = repository_ingest.list_frozen(uow, sorted(tenants), earliest)
    repository_ingest.add_to_rollup(uow, decide_additions(accepted, frozen))
    root = decide_root((event.key, event.digest) for event in accepted)
    shard = decide_shard(accepted[0].source)
    repository_ingest.append_batch(uow, batch_id, shard, root, len(accepted))
