"""What a site can carry, as one invariant that every door keeps: power, racks, and what tenants hold.

A machine draws power from the moment that it may exist until its cell has reported it gone: wanted, starting, in use,
draining, being given back. So a pool's draw is the larger of what is wanted and what may still be there.

The invariant: whenever a site draws more than it has, no change makes it draw more. A site may come to draw too much
only because what feeds it became less; that is recorded, nothing new is started, and a plan says what would help.

PUE = facility energy / IT energy (EN 50600-4-2); a rack carries its machines' own watts, without cooling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """Power of the site and of one rack in kW, PUE in thousandths; `rack_count` None: nobody stated it."""

    power_kw: int
    pue_milli: int
    rack_kw_max: int
    rack_count: int | None


@dataclass(frozen=True, slots=True)
class PoolDraw:
    """Machines of one pool: wanted, perhaps there, and as the cell last reported them (`seen`); watts of one."""

    name: str
    wanted: int
    there: int
    watts_per_node: int
    seen: int = 0

    @property
    def nodes(self) -> int:
        return max(self.wanted, self.there)


@dataclass(frozen=True, slots=True)
class Load:
    """What a site carries: watts with cooling, and racks."""

    watts: int
    racks: int


@dataclass(frozen=True, slots=True)
class Excess:
    """By how much a site carries more than it can; all zero and empty when it can."""

    watts: int
    racks: int
    hot_pools: tuple[str, ...]

    @property
    def is_any(self) -> bool:
        return self.watts > 0 or self.racks > 0 or bool(self.hot_pools)


@dataclass(frozen=True, slots=True)
class Relief:
    """One step of a plan: scale a pool down to `replicas`. Of what it frees, `nodes_in_use` hold tenants' work."""

    pool: str
    replicas: int
    frees_watts: int
    nodes_in_use: int


def nodes_per_rack(limits: SiteLimits, watts_per_node: int) -> int:
    """How many machines one rack feeds; 0 when it cannot feed one."""
    return limits.rack_kw_max * 1000 // watts_per_node


def measure(limits: SiteLimits, pools: Iterable[PoolDraw]) -> Load:
    """Return what the site carries for these pools; racks are not shared between pools."""
    watts = racks = 0
    for pool in pools:
        watts += pool.nodes * pool.watts_per_node
        # A machine that no rack can feed still stands in one.
        racks += -(-pool.nodes // max(1, nodes_per_rack(limits, pool.watts_per_node)))
    return Load(-(-watts * limits.pue_milli // 1000), racks)


def find_excess(limits: SiteLimits, pools: Sequence[PoolDraw]) -> Excess:
    """Return by how much these pools are more than the site can carry."""
    load = measure(limits, pools)
    racks = 0 if limits.rack_count is None else max(0, load.racks - limits.rack_count)
    hot = tuple(p.name for p in pools if p.nodes and nodes_per_rack(limits, p.watts_per_node) < 1)
    return Excess(max(0, load.watts - limits.power_kw * 1000), racks, hot)


def find_refusal(
    code: str, limits: SiteLimits, before: Sequence[PoolDraw], after: Sequence[PoolDraw]
) -> str | None:
    """Say why a change of pools is refused; None where the site can carry it, or carries no more than before."""
    excess = find_excess(limits, after)
    was, is_now = measure(limits, before), measure(limits, after)
    if excess.watts and is_now.watts > was.watts:
        return (
            f"The datacenter '{code}' cannot feed this: {excess.watts / 1000:.1f} kW beyond its {limits.power_kw} kW"
            f" at PUE {limits.pue_milli / 1000:.2f}. Machines that drain count until they are gone."
        )
    drew = {pool.name: pool.nodes for pool in before}
    grown = {pool.name for pool in after if pool.nodes > drew.get(pool.name, 0)}
    for pool in after:
        if pool.name in grown and pool.name in excess.hot_pools:
            return (
                f"One machine of '{pool.name}' draws {pool.watts_per_node / 1000:.1f} kW, more than one rack of"
                f" '{code}' feeds ({limits.rack_kw_max} kW)."
            )
    if excess.racks and is_now.racks > was.racks:
        return (
            f"The datacenter '{code}' has {limits.rack_count} racks of {limits.rack_kw_max} kW; this needs"
            f" {excess.racks} more. Machines that drain count until they are gone."
        )
    return None


def replicas_to_start(pool: PoolDraw, is_overcommitted: bool) -> int:
    """How many machines the cell is told to have: no new one while the site draws more than it has."""
    return min(pool.wanted, pool.seen) if is_overcommitted else pool.wanted


def count_there(pool: PoolDraw, told: int, *, reads: int, machines: int, is_current: bool) -> int:
    """How many machines may exist after a report of the cell: `machines` there now, `reads` the wish that it follows.

    Until the cell follows what it is told (`told`), it may still start what it was told before.
    """
    least = max(reads, machines)
    return least if is_current and reads == told else max(least, pool.there)


def plan_relief(limits: SiteLimits, pools: Sequence[PoolDraw], in_use: dict[str, int]) -> tuple[Relief, ...]:
    """Return the fewest machines to give back, idle ones first, then those of the pool with most in use.

    `in_use` is how many machines of each pool hold tenants' work. Racks count as power does. Empty: nothing to do.
    """
    wanted = {pool.name: pool for pool in pools}
    left = {pool.name: pool.wanted for pool in pools}

    def excess() -> Excess:
        return find_excess(limits, [_shrunk(wanted[name], left[name]) for name in wanted])

    for keep_used in (True, False):
        for pool in sorted(pools, key=lambda p: (-p.watts_per_node, p.name)):
            floor = min(pool.wanted, in_use.get(pool.name, 0)) if keep_used else 0
            while left[pool.name] > floor and _is_helped(excess(), pool):
                left[pool.name] = max(floor, left[pool.name] - _nodes_to_free(limits, excess(), pool))
    return tuple(
        Relief(
            pool=name,
            replicas=left[name],
            frees_watts=-(-(pool.wanted - left[name]) * pool.watts_per_node * limits.pue_milli // 1000),
            nodes_in_use=max(0, min(pool.wanted, in_use.get(name, 0)) - left[name]),
        )
        for name, pool in sorted(wanted.items())
        if left[name] < pool.wanted
    )


def _shrunk(pool: PoolDraw, replicas: int) -> PoolDraw:
    """The pool once its surplus is gone."""
    return PoolDraw(pool.name, replicas, min(pool.there, replicas), pool.watts_per_node)


def _is_helped(excess: Excess, pool: PoolDraw) -> bool:
    return excess.watts > 0 or excess.racks > 0 or pool.name in excess.hot_pools


def _nodes_to_free(limits: SiteLimits, excess: Excess, pool: PoolDraw) -> int:
    if pool.name in excess.hot_pools:
        return pool.wanted
    for_power = -(-excess.watts * 1000 // (limits.pue_milli * pool.watts_per_node))
    for_racks = 1 if excess.racks else 0
    return max(1, for_power, for_racks)


@dataclass(frozen=True, slots=True)
class NodeSize:
    """What one machine has, or one replica takes: GPUs, thousandths of a core, MiB."""

    gpus: int
    cpu_milli: int
    memory_mib: int


def nodes_needed(size: NodeSize, held: Iterable[tuple[int, NodeSize]]) -> int:
    """How many machines of a size hold these replicas (count, size of one), each whole on one machine.

    First fit, largest first: a better packing may exist, so the answer may be a machine too many, never one too few.
    A replica larger than a machine counts as one machine of its own.
    """
    # Machines with the same room are counted together: few kinds of room occur, however many machines there are.
    rooms: dict[tuple[int, int, int], int] = {}
    order = sorted(held, key=lambda each: (-each[1].gpus, -each[1].cpu_milli, -each[1].memory_mib))
    used = 0
    for count, part in order:
        for _ in range(count):
            room = next((r for r in rooms if _has_room(r, part)), None)
            if room is None:
                used += 1
                room = (size.gpus, size.cpu_milli, size.memory_mib)
            else:
                rooms[room] -= 1
                if not rooms[room]:
                    del rooms[room]
            left = (room[0] - part.gpus, room[1] - part.cpu_milli, room[2] - part.memory_mib)
            rooms[left] = rooms.get(left, 0) + 1
    return used


def _has_room(room: tuple[int, int, int], part: NodeSize) -> bool:
    return room[0] >= part.gpus and room[1] >= part.cpu_milli and room[2] >= part.memory_mib
