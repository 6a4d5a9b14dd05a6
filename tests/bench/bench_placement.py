"""Placement decisions a second: `python -m tests.bench.bench_placement`, printed and kept as JSON.

One fleet of 250 pools with 18 nodes each (4,500 nodes), every node with other free amounts, three kinds of demand.
A decision judges and explains every pool. Times one process on one core.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from controlplane.placement.decide_rules import decide
from controlplane.placement.domain import Candidate, Demand, NodeFree, Snapshot
from controlplane.sovereignty.domain import Reason, ReasonCode, Text, Verdict

POOLS = 250
NODES_PER_POOL = 18
SITES = 25
ROUNDS = 100
SEED = 20_261_121
AT = datetime(2026, 11, 21, tzinfo=UTC)


def make_fleet(random_source: random.Random) -> Snapshot:
    return Snapshot(AT, tuple(_make_pool(index, random_source) for index in range(POOLS)))


def _make_pool(index: int, random_source: random.Random) -> Candidate:
    nodes = tuple(
        NodeFree(
            random_source.randrange(192_001), random_source.randrange(1_920_001), random_source.randrange(9)
        )
        for _ in range(NODES_PER_POOL)
    )
    site = f"site-{index % SITES}"
    return Candidate(
        pool_id=f"pol_{index}",
        pool_name=f"pool-{index}",
        datacenter=site,
        country="FR",
        cell=f"{site}-a",
        instance_type="b300-8x",
        gpu_sku="nvidia-b300",
        price_per_hour_micro=random_source.randrange(10**9),
        gco2_per_kwh_milli=random_source.randrange(600_000),
        pue_milli=1_100 + random_source.randrange(500),
        nodes_ready=NODES_PER_POOL,
        free=nodes,
    )


def make_demands() -> dict[str, Demand]:
    reason = Reason(
        ReasonCode.NON_EU_CONTROL, "none", "outside", Text("Controlled from outside.", "Contrôlé.")
    )
    verdicts = {
        f"site-{i}": Verdict(f"site-{i}", i % 5 != 0, () if i % 5 else (reason,), (), (), AT, None, "hash")
        for i in range(SITES)
    }
    sizes = {"one GPU": (1, 1), "2 x 4 GPUs": (2, 4), "64 x 8 GPUs (none fits)": (64, 8)}
    return {
        name: Demand(
            id=name,
            replicas=replicas,
            cpu_milli=1_000,
            memory_mib=8_000,
            verdicts=verdicts,
            policy_hash="hash",
            gpus=gpus,
            gpu_sku="nvidia-b300",
        )
        for name, (replicas, gpus) in sizes.items()
    }


def measure() -> dict[str, object]:
    fleet = make_fleet(random.Random(SEED))
    results: dict[str, object] = {
        "pools": POOLS,
        "nodes": POOLS * NODES_PER_POOL,
        "rounds": ROUNDS,
        "seed": SEED,
        "fleet": "made up",
    }
    for name, wanted in make_demands().items():
        times = []
        for _ in range(ROUNDS):
            begun = time.perf_counter_ns()
            decision = decide(wanted, fleet)
            times.append(time.perf_counter_ns() - begun)
        times.sort()
        results[name] = {
            "is_placed": decision.chosen is not None,
            "decisions_per_second": round(1e9 / statistics.mean(times)),
            "p50_us": times[len(times) // 2] // 1_000,
            "p99_us": times[len(times) * 99 // 100] // 1_000,
        }
    return results


def main() -> None:
    text = json.dumps(measure(), indent=2)
    print(text)
    target = Path("build/bench/placement.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n")


if __name__ == "__main__":
    main()
