"""Demands and pools in a few words, for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from controlplane.placement.domain import Candidate, Demand, NodeFree, Snapshot
from controlplane.sovereignty.domain import Reason, ReasonCode, Text, Verdict

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SITES = {"essonne-1": "FR", "borlange-1": "SE", "dublin-1": "IE"}
REFUSAL = Reason(
    ReasonCode.NON_EU_CONTROL, "none", "Meridian Inc", Text("Controlled from outside.", "Contrôlé.")
)


def verdict(site: str, *, is_admissible: bool = True) -> Verdict:
    reasons = () if is_admissible else (REFUSAL,)
    return Verdict(site, is_admissible, reasons, (), (), NOW, None, "hash")


def pool(name: str = "pool", site: str = "essonne-1", **changes: object) -> Candidate:
    values: dict[str, object] = {
        "pool_id": f"pol_{name}",
        "pool_name": name,
        "datacenter": site,
        "country": SITES[site],
        "cell": f"{site}-a",
        "instance_type": "b300-8x",
        "gpu_sku": "nvidia-b300",
        "price_per_hour_micro": 2_000_000_000,
        "gco2_per_kwh_milli": 56_039,
        "pue_milli": 1_200,
        "nodes_ready": 2,
        "free": (NodeFree(192_000, 1_920_000, 8, count=2),),
        **changes,
    }
    return Candidate(**values)  # type: ignore[arg-type]


def demand(**changes: object) -> Demand:
    values: dict[str, object] = {
        "id": "rdp_1",
        "replicas": 2,
        "cpu_milli": 96_000,
        "memory_mib": 960_000,
        "gpus": 4,
        "gpu_sku": "nvidia-b300",
        "verdicts": {site: verdict(site) for site in SITES},
        "policy_hash": "hash",
        **changes,
    }
    return Demand(**values)  # type: ignore[arg-type]


def snapshot(*candidates: Candidate) -> Snapshot:
    return Snapshot(NOW, candidates)


NODES = st.builds(
    NodeFree,
    cpu_milli=st.sampled_from([0, 1_000, 96_000, 192_000]),
    memory_mib=st.sampled_from([0, 960_000, 1_920_000]),
    gpus=st.sampled_from([0, 3, 4, 8]),
    count=st.integers(1, 3),
)


@st.composite
def pools(draw: st.DrawFn, index: int) -> Candidate:
    nodes = tuple(draw(st.lists(NODES, max_size=4)))
    return pool(
        f"p{index}",
        draw(st.sampled_from(sorted(SITES))),
        price_per_hour_micro=draw(st.sampled_from([0, 1_000_000, 2_000_000_000])),
        gco2_per_kwh_milli=draw(st.sampled_from([None, 40_695, 56_039])),
        pue_milli=draw(st.sampled_from([None, 1_150, 1_200])),
        gpu_sku=draw(st.sampled_from(["nvidia-b300", "nvidia-b300", "nvidia-h100", None])),
        free=nodes,
        nodes_ready=sum(node.count for node in nodes),
        is_simulated=draw(st.booleans()),
        is_paused=draw(st.integers(0, 5)) == 0,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    return snapshot(*(draw(pools(index)) for index in range(draw(st.integers(0, 6)))))


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    gpus = draw(st.sampled_from([0, 1, 4, 8]))
    judged = draw(st.lists(st.sampled_from(sorted(SITES)), unique=True))
    return demand(
        replicas=draw(st.integers(1, 6)),
        cpu_milli=draw(st.sampled_from([0, 1_000, 96_000])),
        memory_mib=draw(st.sampled_from([0, 960_000])),
        gpus=gpus,
        gpu_sku="nvidia-b300" if gpus else None,
        verdicts={site: verdict(site, is_admissible=draw(st.booleans())) for site in judged},
        datacenters=frozenset(draw(st.lists(st.sampled_from(sorted(SITES)), max_size=2))),
        licence_refusal=draw(st.sampled_from([None, None, None, REFUSAL])),
        is_simulated_allowed=draw(st.booleans()),
    )
