"""Power is capacity: a site never promises more machines than it can feed (nodepools.md §0.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerDemand:
    """Machines of one pool: how many, and the watts of one at full load."""

    nodes: int
    watts_per_node: int


def facility_watts(demands: Iterable[PowerDemand], pue_milli: int) -> int:
    """Return what the site draws for these machines, cooling included, rounded up to a watt.

    Source: PUE = facility energy / IT energy (EN 50600-4-2).
    """
    it_watts = sum(demand.nodes * demand.watts_per_node for demand in demands)
    return -(-it_watts * pue_milli // 1000)


def find_power_shortage(demands: Iterable[PowerDemand], pue_milli: int, power_kw: int) -> int:
    """Return the watts that are missing at the site; 0 when the machines can be fed."""
    return max(0, facility_watts(demands, pue_milli) - power_kw * 1000)
