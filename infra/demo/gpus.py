"""Chapters 5 and 6: GPUs on simulated nodes, and a certificate that expires."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

from infra.demo.stage import Stage
from infra.demo.teller import Teller, require
from infra.demo.tenant import GPU_MODEL, Tenant, explain
from infra.demo.waiting import wait_until

# Past the certificate's last instant.
EXPIRED_BY = timedelta(minutes=1)
ONE_MINUTE = timedelta(minutes=1)


def tell_gpus(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    definition = {
        "name": "redaction",
        "instance_types": [{"type": "b300-4x"}],
        "scalings": [{"min": 2, "max": 2}],
        "inference": {"model": GPU_MODEL, "is_simulated_allowed": True},
        "sovereignty": {
            "countries": ["FR", "SE"],
            "is_non_eu_control_denied": True,
            "certifications": [{"framework": "HDS-LIKE", "version_min": "2.0"}],
            "gco2_per_kwh_max_milli": 60_000,
        },
    }
    service = tenant.client.services.create({"app_id": tenant.app_id, "definition": definition})
    tenant.client.wait_for_service(service["id"], timeout_seconds=60)
    explanation = explain(tenant, service["id"])
    teller.keep("placement-redaction.json", explanation)
    teller.say(f"2 replicas × 4 GPUs: {explanation['summary']['en']}")
    opened = wait_until(
        teller,
        "an open interval for each GPU",
        lambda: found if len(found := open_gpus(stage, service["id"])) == 8 else None,
        30,
    )
    nodes = sorted({line["data"]["node"] for line in opened})
    teller.say(
        f"the real scheduler bound its pods to {', '.join(nodes)} (simulated); 8 GPU intervals are open:"
    )
    teller.say(
        ", ".join(sorted(f"{line['data']['node']}/gpu-{line['data']['gpu_index']}" for line in opened))
    )
    teller.figure("gpu_intervals_open", len(opened))
    tenant.gpu_service = service


def tell_move(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    assert tenant.gpu_service is not None
    service = tenant.gpu_service
    before = datacenters(tenant, service["id"])
    require(before == ["borlange-1"], f"'redaction' should run in Borlänge, it runs in {before}")
    certificate = next(
        each for each in stage.admin.certifications.list() if each["site_code"] == "borlange-1"
    )
    ended = datetime.combine(
        datetime.fromisoformat(certificate["expires_on"]) + timedelta(days=1), time(), UTC
    )
    clock = stage.move_clock_to(ended + EXPIRED_BY)
    teller.say(
        f"the clock is moved to {clock:%Y-%m-%d %H:%M} UTC (simulated): Borlänge's HDS-like certificate has expired"
    )
    moved = wait_until(
        teller,
        "the service moving to Essonne",
        lambda: True if datacenters(tenant, service["id"]) == ["essonne-1"] else None,
        90,
    )
    require(moved, "the service must run in Essonne now")
    explanation = explain(tenant, service["id"])
    teller.keep("placement-redaction-moved.json", explanation)
    left = next(a for a in explanation["assessments"] if a["datacenter"] == "borlange-1")
    require(not left["is_admitted"], "nothing new may be placed in Borlänge")
    teller.say(f"new placements in Borlänge are refused: {left['rejections'][0]['text']['en']}")
    # The old part goes on for a while after its traffic has moved, so that running answers end. None runs here.
    stage.move_clock_to(ended + EXPIRED_BY + ONE_MINUTE)
    wait_until(
        teller, "the intervals in Borlänge closing", lambda: len(open_gpus(stage, service["id"])) == 8, 60
    )
    wanted = ("essonne", "certificate", "certification", "moved", "moving")
    for event in reversed(list(tenant.client.service_events.list(service_id=service["id"]))):
        if any(word in event["message"].lower() for word in wanted):
            teller.say(f"event: {event['message']}")

    def counted() -> dict[str, int] | None:
        phases = [line["data"]["phase"] for line in read_allocations(stage)]
        found = {phase: phases.count(phase) for phase in ("open", "beat", "close")}
        return found if all(found.values()) else None

    counts = wait_until(teller, "records of each kind", counted, 40)
    teller.say(
        f"GPU intervals on disk: {counts['open']} opened, {counts['beat']} beats, {counts['close']} closed"
    )
    teller.figure("allocation_records", counts)


def datacenters(tenant: Tenant, service_id: str) -> list[str]:
    """Where new calls go to."""
    parts = tenant.client.regional_deployments.list(service_id=service_id)
    return sorted(part["datacenter"] for part in parts if part["route"] == "ACTIVE")


def read_allocations(stage: Stage) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for segment in sorted((stage.state_dir / "spool" / "allocation").glob("*.jsonl")):
        lines += [json.loads(line) for line in segment.read_text(encoding="utf-8").splitlines()]
    return lines


def open_gpus(stage: Stage, service_id: str) -> list[dict[str, Any]]:
    """The opening records of intervals that have no close."""
    found: dict[str, dict[str, Any]] = {}
    for line in read_allocations(stage):
        interval = "/".join(line["id"].split("/")[:2])
        if line["data"]["service_id"] != service_id:
            continue
        if line["data"]["phase"] == "open":
            found[interval] = line
        elif line["data"]["phase"] == "close":
            found.pop(interval, None)
    return list(found.values())
