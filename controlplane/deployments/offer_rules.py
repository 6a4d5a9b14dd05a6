"""What capacity offers, as placement's candidates. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from controlplane.capacity.domain import PoolOffer
from controlplane.placement.domain import Candidate, NodeFree
from controlplane.sovereignty.carbon_rules import find_grid_gco2_per_kwh_milli


@dataclass(frozen=True, slots=True)
class Hold:
    """One replica for which a pool's room is held; `node` where it runs, empty while it runs nowhere."""

    node: str
    cpu_milli: int
    memory_mib: int
    gpus: int


def to_candidate(offer: PoolOffer, holds: Sequence[Hold], price_per_hour_micro: int) -> Candidate:
    """One pool as placement reads it, for replicas of the given price."""
    grid = offer.site.gco2_per_kwh_milli
    return Candidate(
        pool_id=str(offer.pool_id),
        pool_name=offer.pool_name,
        datacenter=offer.datacenter_code,
        country=offer.country,
        cell=offer.cell_name,
        instance_type=offer.instance_type,
        gpu_sku=offer.accelerator_sku,
        price_per_hour_micro=price_per_hour_micro,
        gco2_per_kwh_milli=find_grid_gco2_per_kwh_milli(offer.site.country) if grid is None else grid,
        pue_milli=offer.site.pue_milli,
        nodes_ready=offer.ready_nodes,
        free=spread_free(offer, holds),
        is_simulated=offer.is_simulated,
        is_paused=offer.is_paused,
    )


def spread_free(offer: PoolOffer, holds: Sequence[Hold] = ()) -> tuple[NodeFree, ...]:
    """What is free on each ready node of a pool.

    Replicas that run take from their own node; those that run nowhere (asleep, on their way) are put where they fit
    best, largest first, as a scheduler would that packs. What other holders of the pool's room take, which are not
    known by node, comes off the emptiest nodes, so that no room is promised twice.
    """
    whole = NodeFree(offer.cpu_milli_per_node, offer.memory_mib_per_node, offer.gpus_per_node)
    by_node: dict[str, NodeFree] = {}
    for hold in holds:
        if hold.node:
            by_node[hold.node] = _take(by_node.get(hold.node, whole), hold)
    # More nodes with replicas than are ready: some were lost, and which ones is not known here.
    nodes = sorted(by_node.values(), key=_room)[: offer.ready_nodes]
    nodes += [whole] * (offer.ready_nodes - len(nodes))
    for hold in sorted((each for each in holds if not each.node), key=lambda each: _size(each), reverse=True):
        fitting = [index for index, node in enumerate(nodes) if _fits(node, hold)]
        if fitting:
            best = min(fitting, key=lambda index: _room(nodes[index]))
            nodes[best] = _take(nodes[best], hold)
    return tuple(_group(_cap(nodes, offer)))


def _fits(node: NodeFree, hold: Hold) -> bool:
    return node.cpu_milli >= hold.cpu_milli and node.memory_mib >= hold.memory_mib and node.gpus >= hold.gpus


def _take(node: NodeFree, hold: Hold) -> NodeFree:
    return NodeFree(
        max(0, node.cpu_milli - hold.cpu_milli),
        max(0, node.memory_mib - hold.memory_mib),
        max(0, node.gpus - hold.gpus),
    )


def _room(node: NodeFree) -> tuple[int, int, int]:
    return (node.gpus, node.cpu_milli, node.memory_mib)


def _size(hold: Hold) -> tuple[int, int, int]:
    return (hold.gpus, hold.cpu_milli, hold.memory_mib)


def _cap(nodes: Sequence[NodeFree], offer: PoolOffer) -> list[NodeFree]:
    """Leave no more in all than the pool has free by its reservations; the fullest nodes keep what they have."""
    cpu, memory, gpus = (
        max(0, free) for free in (offer.cpu_milli_free, offer.memory_mib_free, offer.gpus_free)
    )
    capped = []
    for node in sorted(nodes, key=_room):
        kept = NodeFree(min(node.cpu_milli, cpu), min(node.memory_mib, memory), min(node.gpus, gpus))
        cpu, memory, gpus = cpu - kept.cpu_milli, memory - kept.memory_mib, gpus - kept.gpus
        capped.append(kept)
    return capped


def _group(nodes: Sequence[NodeFree]) -> list[NodeFree]:
    """Alike nodes as one entry with a count, the emptiest first."""
    counts = Counter(nodes)
    return [replace(node, count=counts[node]) for node in sorted(counts, key=_room, reverse=True)]
