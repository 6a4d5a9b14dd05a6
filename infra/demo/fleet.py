"""Chapter 1: three datacenters, their owners, their certificates, their machines."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from infra.demo.stage import Stage
from infra.demo.teller import Teller
from infra.demo.waiting import wait_until

GPU = "nvidia-b300"
B300_NODE: dict[str, Any] = {
    "provider": "kwok",
    "instance_type": "b300-8x",
    "accelerator": {"sku": GPU, "count": 8},
    "cpu_milli": 192_000,
    "memory_mib": 2_097_152,
    "watts_per_node": 14_500,
}
# A certificate holds through its last day (UTC). Borlänge's ends with the present one, unless that is over in minutes:
# so the clock has to be moved by hours only, and stays within reach of the month in which usage is recorded.
MIDNIGHT_MARGIN = timedelta(minutes=10)
ESSONNE_DAYS_LEFT = 900


def company(stage: Stage, name: str, country: str) -> str:
    return entity(
        stage,
        {
            "name": name,
            "kind": "company",
            "seat": country,
            "central_administration": country,
            "principal_establishment": country,
        },
    )


def persons(stage: Stage, name: str, country: str) -> str:
    return entity(stage, {"name": name, "kind": "natural_persons", "seat": country})


def entity(stage: Stage, facts: dict[str, Any]) -> str:
    body = {
        **facts,
        "evidence": f"register extract of {facts['name']} (made up for this demo)",
    }
    return str(stage.admin.legal_entities.create(body)["id"])


def hold(stage: Stage, holder: str, held: str, percent: int) -> None:
    body = {
        "holder_id": holder,
        "held_id": held,
        "capital_bp": percent * 100,
        "votes_bp": percent * 100,
        "evidence": "share register (made up for this demo)",
    }
    stage.admin.holdings.create(body)


def last_day_of_borlange() -> date:
    """The last day on which Borlänge's certificate holds."""
    return (datetime.now(UTC) + MIDNIGHT_MARGIN).date()


def certify(stage: Stage, site: str, framework: str, version: str, last_day: date) -> dict[str, Any]:
    body = {
        "framework": framework,
        "framework_version": version,
        "site_code": site,
        "issued_on": str(last_day - timedelta(days=1_095)),
        "expires_on": str(last_day),
        "evidence": "certificate made up for this demo: hence the name ends in -LIKE",
    }
    return stage.admin.certifications.create(body)


def datacenter(
    stage: Stage, code: str, name: str, country: str, owner: str, power_kw: int, pue_milli: int
) -> None:
    stage.admin.datacenters.create(
        {
            "code": code,
            "name": name,
            "country": country,
            "operator_entity_id": owner,
            "owner_entity_id": owner,
            "power_kw": power_kw,
            "rack_kw_max": 130,
            "pue_milli": pue_milli,
            "cells": [{"name": f"{code}-a"}],
        }
    )


def gpu_pool(stage: Stage, site: str, replicas: int) -> str:
    name = f"{site}-b300"
    stage.admin.node_pools.create(
        {"name": name, "datacenter": site, "cell": f"{site}-a", "replicas": replicas, **B300_NODE}
    )
    return name


def tell(teller: Teller, stage: Stage) -> None:
    _state_facts(teller, stage)
    pools = _want_machines(teller, stage)
    _await_acceptance(teller, stage, pools)


def _state_facts(teller: Teller, stage: Stage) -> None:
    """Who owns what, which sites there are, which certificates they hold."""
    families = persons(stage, "Familles Essonne", "FR")
    essonne = company(stage, "Centre Essonne SAS", "FR")
    hold(stage, families, essonne, 100)
    kraft = persons(stage, "Dalarna ägarfamiljer", "SE")
    borlange = company(stage, "Borlänge Datahall AB", "SE")
    hold(stage, kraft, borlange, 100)
    parent = company(stage, "Meridian Cloud Inc.", "US")
    holding = company(stage, "Meridian Europe Holdings Ltd", "IE")
    dublin = company(stage, "Dublin Hosting Ltd", "IE")
    hold(stage, parent, holding, 80)
    hold(stage, families, holding, 20)
    hold(stage, holding, dublin, 100)
    teller.say("7 legal entities and 5 holdings stated, in percent, each with its evidence")

    datacenter(stage, "essonne-1", "Essonne", "FR", essonne, 40_000, 1200)
    datacenter(stage, "borlange-1", "Borlänge", "SE", borlange, 20_000, 1150)
    datacenter(stage, "dublin-1", "Dublin", "IE", dublin, 20_000, 1180)
    soon = last_day_of_borlange()
    later = soon + timedelta(days=ESSONNE_DAYS_LEFT)
    certify(stage, "essonne-1", "SECNUMCLOUD-LIKE", "3.2", later)
    certify(stage, "essonne-1", "HDS-LIKE", "2.0", later)
    certify(stage, "borlange-1", "HDS-LIKE", "2.0", soon)
    teller.say("3 datacenters: Essonne (FR, 40 MW, PUE 1.20), Borlänge (SE, PUE 1.15), Dublin (IE, PUE 1.18)")
    teller.say(
        f"certificates: SecNumCloud-like and HDS-like in Essonne, HDS-like in Borlänge through {soon} and no longer"
    )


def _want_machines(teller: Teller, stage: Stage) -> dict[str, int]:
    """The pools by name, with the nodes that each wants."""
    pools = {
        gpu_pool(stage, site, n): n for site, n in (("essonne-1", 4), ("borlange-1", 2), ("dublin-1", 2))
    }
    stage.admin.node_pools.create(
        {
            "name": "essonne-1-process",
            "datacenter": "essonne-1",
            "cell": "essonne-1-a",
            "provider": "process",
            "instance_type": "process-cpu",
            "cpu_milli": 2000,
            "memory_mib": 4096,
            "watts_per_node": 100,
            "replicas": 1,
        }
    )
    teller.say("4 node pools: 4 + 2 + 2 simulated eight-GPU B300 nodes, and 1 process node that really runs")
    return pools | {"essonne-1-process": 1}


def _await_acceptance(teller: Teller, stage: Stage, pools: dict[str, int]) -> None:
    def all_ready() -> list[dict[str, Any]] | None:
        found = list(stage.admin.node_pools.list())
        return found if all(pool["ready_nodes"] >= pools.get(pool["name"], 0) for pool in found) else None

    wait_until(teller, "each machine passing its acceptance check", all_ready, 60)
    nodes = list(stage.admin.nodes.list())
    for node in nodes:
        if not node["is_simulated"]:
            checks = ", ".join(f"{c['name']} {c['result']}" for c in node["acceptance"])
            teller.say(f"{node['name']} was accepted after: {checks}")
    teller.figure("nodes_ready", len(nodes))
    teller.figure("nodes_simulated", sum(node["is_simulated"] for node in nodes))
    teller.say(f"{len(nodes)} nodes are schedulable; not one was before its check")
