"""Usage by three ways, and what was acknowledged of it: batches over HTTP, calls in an access log, GPUs in a spool."""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson

from controlplane.kernel.ids import TenantId
from controlplane.metering.event_rules import decide_key
from tests.fixtures.tenants import bearer
from tests.fixtures.usage import BATCH, SERVICE, gpu_event, request_event, wire

BATCH_EVENTS = 25
LINES_AT_ONCE = 10
PAUSE_SECONDS = 0.15
REQUEST_SECONDS_MAX = 20.0
GPU_SECONDS = 61
# Large, so that cents show and rounding counts: each line of an invoice has a fraction of a cent.
TOKENS_MAX = 90_000
# The standard price book: cents, for so many units.
PRICES = {
    "tokens.input": (Decimal(20), 1_000_000),
    "tokens.output": (Decimal(60), 1_000_000),
    "gpu.nvidia-h100": (Decimal(290), 3_600),
}


@dataclass(frozen=True, slots=True)
class Tenant:
    organization_id: str
    project_id: str


@dataclass
class Traffic:
    """Everything sent is sent until it is acknowledged; `owed` counts what each tenant has to be billed for.

    `acknowledged` holds the keys of all events by which something is owed, `taken` those that the API has answered for.
    """

    url: str
    producer: str = field(repr=False)
    tenants: list[Tenant]
    access_log: Path
    acknowledged: dict[bytes, str] = field(default_factory=dict)
    taken: list[bytes] = field(default_factory=list)
    owed: Counter[tuple[str, str]] = field(default_factory=Counter)
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self) -> None:
        self._stopping.set()

    def post_batches(self, seed: int) -> None:
        """As a producer of one's own: the same batch again until every event in it is settled."""
        chance = random.Random(seed)
        with httpx.Client(headers={**bearer(self.producer), **BATCH}, timeout=REQUEST_SECONDS_MAX) as client:
            while not self._stopping.wait(PAUSE_SECONDS):
                batch = [self._call(chance) for _ in range(BATCH_EVENTS)]
                assert self.post(client, batch).keys() <= {"accepted", "duplicate"}
                self._acknowledge(batch)
                self.taken.extend(map(_key, batch))

    def post(self, client: httpx.Client, batch: list[dict[str, Any]]) -> Counter[str]:
        """Send until it is answered; return how many events had which result."""
        body = orjson.dumps(batch)
        while True:
            try:
                answer = client.post(f"{self.url}/v1/usage_events", content=body)
            except httpx.TransportError as err:
                self.refusals[type(err).__name__] += 1
            else:
                if answer.status_code == 200:
                    return Counter(item["result"] for item in answer.json()["results"])
                # An outage is said as one; anything else is a defect.
                assert answer.status_code in {429, 503}, answer.text
                assert "Retry-After" in answer.headers
                self.refusals[str(answer.status_code)] += 1
            threading.Event().wait(PAUSE_SECONDS)

    def write_calls(self, seed: int) -> None:
        """As Envoy: a line for each finished call. Written, it counts: Envoy is not told of any failure."""
        chance = random.Random(seed)
        while not self._stopping.wait(PAUSE_SECONDS):
            events = [self._call(chance) for _ in range(LINES_AT_ONCE)]
            with self.access_log.open("ab") as file:
                file.write(b"".join(_line(event) for event in events))
            self._acknowledge(events)

    def script_gpus(self, pods: int, opened_at: datetime) -> list[dict[str, Any]]:
        """Each pod holds a GPU for GPU_SECONDS, one pod after the other on each tenant's only GPU."""
        script = []
        for pod in range(pods):
            for at, tenant in enumerate(self.tenants):
                start = opened_at + timedelta(seconds=GPU_SECONDS * pod)
                events = [
                    gpu_event(
                        tenant.organization_id,
                        tenant.project_id,
                        phase,
                        start,
                        start + seen,
                        pod=f"p{pod}-{at}",
                    )
                    for phase, seen in (
                        ("open", timedelta(0)),
                        ("beat", timedelta(seconds=30)),
                        ("close", timedelta(seconds=GPU_SECONDS)),
                    )
                ]
                for event in events:
                    event["data"] |= {"sku": "nvidia-h100", "gpu_id": f"node-{at}/0"}
                    self.acknowledged[_key(event)] = tenant.organization_id
                script += events
                self.owed[(tenant.organization_id, "gpu.nvidia-h100")] += GPU_SECONDS
        return script

    def cents_owed(self, tenant: str) -> dict[str, Decimal]:
        """Each line's exact amount in cents: quantity × price."""
        return {
            sku: Decimal(self.owed[(tenant, sku)]) * price / base for sku, (price, base) in PRICES.items()
        }

    def _call(self, chance: random.Random) -> dict[str, Any]:
        tenant = chance.choice(self.tenants)
        tokens = (chance.randrange(TOKENS_MAX), chance.randrange(TOKENS_MAX))
        return request_event(
            tenant.organization_id, tenant.project_id, input_tokens=tokens[0], output_tokens=tokens[1],
            event_id=str(uuid.UUID(int=chance.getrandbits(128))),
        )  # fmt: skip

    def _acknowledge(self, events: list[dict[str, Any]]) -> None:
        with self._lock:
            self.batches.append(events)
            for event in events:
                tenant = event["data"]["tenant_id"]
                self.acknowledged[_key(event)] = tenant
                self.owed[(tenant, "tokens.input")] += event["data"]["input_tokens"]
                self.owed[(tenant, "tokens.output")] += event["data"]["output_tokens"]


def _key(event: dict[str, Any]) -> bytes:
    tenant_id = TenantId.parse(event["data"]["tenant_id"]).value
    return decide_key(tenant_id, event["source"], event["id"])


def _line(event: dict[str, Any]) -> bytes:
    data = event["data"]
    entry = {
        "id": event["id"],
        "started_at": wire(datetime.fromisoformat(event["time"])),
        "route": {
            "service_id": SERVICE, "deployment_id": "dep_x", "regional_deployment_id": "rdp_x",
            "model": data["model"], "datacenter": data["datacenter"], "country": data["country"],
        },
        "host_instance": "chat-0", "status": 200, "flags": "-",
        "seen": {"call": {}, "caller": {"tenant": data["tenant_id"], "project": data["project_id"], "key": "key_x"}},
        "usage": {"input_tokens": data["input_tokens"], "output_tokens": data["output_tokens"]},
    }  # fmt: skip
    return orjson.dumps(entry) + b"\n"
