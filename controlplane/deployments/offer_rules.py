"""What capacity offers, as placement's candidates. Pure."""

from __future__ import annotations

from controlplane.capacity.domain import PoolOffer
from controlplane.placement.domain import Candidate, NodeFree
from controlplane.sovereignty.carbon_rules import find_grid_gco2_per_kwh_milli


def to_candidate(offer: PoolOffer, price_per_hour_micro: int) -> Candidate:
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
        free=spread_free(offer),
        is_simulated=offer.is_simulated,
        is_paused=offer.is_paused,
    )


def spread_free(offer: PoolOffer) -> tuple[NodeFree, ...]:
    """Cut a pool's free amounts into nodes: whole ones first, then one with what is left.

    Reservations are kept for a pool, not a node, so this is what is free if they are packed; the cell's scheduler has
    the last word, and a replica that finds no node says so.
    """
    shares = [
        (offer.cpu_milli_free, offer.cpu_milli_per_node),
        (offer.memory_mib_free, offer.memory_mib_per_node),
        (offer.gpus_free, offer.gpus_per_node),
    ]
    whole = min((max(0, free) // per_node for free, per_node in shares if per_node > 0), default=0)
    whole = min(whole, offer.ready_nodes)
    nodes = []
    if whole > 0:
        nodes.append(
            NodeFree(offer.cpu_milli_per_node, offer.memory_mib_per_node, offer.gpus_per_node, count=whole)
        )
    if whole < offer.ready_nodes:
        cpu, memory, gpus = (min(per_node, max(0, free - whole * per_node)) for free, per_node in shares)
        nodes.append(NodeFree(cpu, memory, gpus))
    return tuple(nodes)
