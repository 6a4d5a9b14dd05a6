"""Chapter 8, first half: what was used, counted once, and equal to what the engine and the pods say themselves."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from infra.demo.calls import openai_client, read_usage
from infra.demo.gpus import read_allocations
from infra.demo.stage import Stage
from infra.demo.teller import Teller, require
from infra.demo.tenant import MODEL, EngineCount, Tenant
from infra.demo.waiting import wait_until

QUESTIONS = ("Name three rivers of France.", "What is a datacenter? Answer in one sentence.")
ANSWER_TOKENS_MAX = 24
MICROSECONDS = 1_000_000
# The API server keeps the time of a pod's binding in whole seconds.
POD_TIME_STEP = timedelta(seconds=1)
# Ticks of the slicing of GPU time come once in each minute of the installation's clock.
ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class PodFact:
    """What Kubernetes says of one pod that holds GPUs."""

    service_id: str
    node: str
    gpus: tuple[int, ...]
    bound_at: datetime


@dataclass(frozen=True, slots=True)
class Ending:
    """Between which two looks at the API server a pod disappeared."""

    seen_at: datetime
    gone_at: datetime


def tell(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    pods = _compare_pods(teller, stage, tenant)
    endings = _pause_gpu_services(teller, stage, tenant, pods)
    for question in QUESTIONS:
        ask(stage, tenant, question)
    _compare_tokens(teller, stage, tenant)
    _compare_gpu_seconds(teller, stage, tenant, endings)
    _export(teller, tenant)


def ask(stage: Stage, tenant: Tenant, question: str) -> EngineCount:
    """One call without streaming; remember what the engine says that it used."""
    raw = openai_client(stage, tenant.key).chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        max_tokens=ANSWER_TOKENS_MAX,
        temperature=0,
    )
    engine = raw.parse().usage
    require(engine is not None, "the engine must say what the call used")
    assert engine is not None
    count = EngineCount(raw.headers["x-request-id"], engine.prompt_tokens, engine.completion_tokens)
    tenant.engine_counts.append(count)
    return count


def read_totals(tenant: Tenant) -> dict[tuple[str, str], Decimal]:
    """The usage API's answer: (service, meter) → quantity of the running month."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for each in tenant.client.usages.list(group_by="service"):
        found[each["service_id"], each["meter"]] += Decimal(each["quantity"])
    return found


def engine_totals(tenant: Tenant) -> dict[str, int]:
    """The sums of what the engine said in its own answers."""
    counts = tenant.engine_counts
    return {
        "requests": len(counts),
        "input_tokens": sum(count.input_tokens for count in counts),
        "output_tokens": sum(count.output_tokens for count in counts),
    }


def keep_engine_counts(teller: Teller, tenant: Tenant) -> None:
    teller.figure("usage_engine", engine_totals(tenant))
    teller.figure("engine_counts", [asdict(count) for count in tenant.engine_counts])


def wait_for_tokens(teller: Teller, tenant: Tenant) -> dict[str, int]:
    """Wait until the usage API says what the engine said; the demo breaks if it never does."""
    assert tenant.service is not None
    service_id, wanted = tenant.service["id"], engine_totals(tenant)

    def agrees() -> bool:
        totals = read_totals(tenant)
        return all(totals[service_id, meter] == amount for meter, amount in wanted.items())

    wait_until(teller, f"the usage API agreeing with the engine: {wanted}", agrees, 20)
    return wanted


def _compare_tokens(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    began = time.monotonic()
    wanted = wait_for_tokens(teller, tenant)
    took = time.monotonic() - began
    recorded = {line["id"]: line["data"] for line in read_usage(stage)}
    for count in tenant.engine_counts:
        line = recorded[count.request_id]
        require(
            (line["input_tokens"], line["output_tokens"]) == (count.input_tokens, count.output_tokens),
            f"{count.request_id}: the engine said {count}, the spool says {line}",
        )
    teller.say(
        f"{wanted['requests']} calls: the engine's own answers sum to {wanted['input_tokens']} input and "
        f"{wanted['output_tokens']} output tokens; the usage API says the same, {took:.1f} s after the last answer"
    )
    keep_engine_counts(teller, tenant)


def read_pods(stage: Stage, tenant: Tenant) -> dict[str, PodFact]:
    """The tenant's pods that hold GPUs, as the API server has them; by uid."""
    label = f"rempart.eu/tenant={tenant.organization['id']}"
    pods: dict[str, PodFact] = {}
    for item in json.loads(stage.kubectl("get", "pods", "-A", "-l", label, "-o", "json"))["items"]:
        gpus = item["metadata"].get("annotations", {}).get("rempart.eu/gpus", "")
        bound = [c for c in item["status"].get("conditions", []) if c["type"] == "PodScheduled"]
        if not gpus or not bound:
            continue
        pods[item["metadata"]["uid"]] = PodFact(
            service_id=item["metadata"]["labels"]["rempart.eu/service"],
            node=item["spec"]["nodeName"],
            gpus=tuple(int(index) for index in gpus.split(",")),
            bound_at=datetime.fromisoformat(bound[0]["lastTransitionTime"]),
        )
    return pods


def _compare_pods(teller: Teller, stage: Stage, tenant: Tenant) -> dict[str, PodFact]:
    """Each GPU that a pod holds has its open interval since the pod was bound, and no other GPU has one."""

    def agree() -> dict[str, PodFact] | None:
        pods = read_pods(stage, tenant)
        held = {(pod.node, index): pod.bound_at for pod in pods.values() for index in pod.gpus}
        listed = [each for each in tenant.client.usages.details() if each["state"] == "open"]
        metered = {}
        for each in listed:
            node, _, index = each["gpu_id"].rpartition("/")
            metered[node, int(index)] = datetime.fromisoformat(each["started_at"])
        is_equal = held.keys() == metered.keys() and all(
            abs(metered[gpu] - bound_at) <= POD_TIME_STEP for gpu, bound_at in held.items()
        )
        return pods if held and is_equal else None

    pods = wait_until(teller, "the metered GPUs being those that pods hold", agree, 20)
    gpus = sum(len(pod.gpus) for pod in pods.values())
    teller.say(
        f"{len(pods)} pods hold {gpus} GPUs; the usage API lists the same {gpus}, since each was bound"
    )
    teller.figure("gpus_held", gpus)
    return pods


def _pause_gpu_services(
    teller: Teller, stage: Stage, tenant: Tenant, pods: dict[str, PodFact]
) -> dict[str, Ending]:
    """End the GPU intervals, and see for ourselves when each pod goes."""
    names = []
    for service in tenant.client.services.list():
        if service["id"] in {pod.service_id for pod in pods.values()}:
            tenant.client.services.pause(service["id"])
            names.append(f"'{service['name']}'")
    seen: dict[str, datetime] = dict.fromkeys(pods, datetime.now(UTC))
    endings: dict[str, Ending] = {}

    def all_gone() -> bool:
        asked_at = datetime.now(UTC)
        present = read_pods(stage, tenant)
        answered_at = datetime.now(UTC)
        for uid in pods.keys() - endings.keys():
            if uid in present:
                seen[uid] = asked_at
            else:
                endings[uid] = Ending(seen[uid], answered_at)
        return endings.keys() == pods.keys()

    wait_until(teller, "the pods of the paused services going", all_gone, 60)
    teller.say(f"the tenant pauses {' and '.join(sorted(names))}: their pods are gone, and their meter stops")
    return endings


def sum_intervals(lines: Iterable[dict[str, Any]]) -> dict[str, int]:
    """From the operators' records: service → microseconds of all its GPUs; every interval must be closed."""
    found: dict[str, int] = defaultdict(int)
    opened = set()
    for line in lines:
        data, interval = line["data"], tuple(line["id"].split("/")[:2])
        if data["phase"] != "close":
            opened.add(interval)
            continue
        span = datetime.fromisoformat(data["observed_at"]) - datetime.fromisoformat(data["opened_at"])
        found[data["service_id"]] += span // timedelta(microseconds=1)
        opened.discard(interval)
    require(not opened, f"these GPU intervals are still open: {sorted(opened)}")
    return dict(found)


def _compare_gpu_seconds(teller: Teller, stage: Stage, tenant: Tenant, endings: dict[str, Ending]) -> None:
    """The operators' records lie inside what the API server showed, and the usage API sums exactly them."""
    closes = {
        line["id"].split("/")[0]: datetime.fromisoformat(line["data"]["observed_at"])
        for line in read_allocations(stage)
        if line["data"]["phase"] == "close"
    }
    for uid, ending in endings.items():
        require(
            ending.seen_at - POD_TIME_STEP <= closes[uid] <= ending.gone_at + POD_TIME_STEP,
            f"pod {uid} was gone between {ending.seen_at} and {ending.gone_at}, metered until {closes[uid]}",
        )
    wanted = {
        service: Decimal(us) / MICROSECONDS for service, us in sum_intervals(read_allocations(stage)).items()
    }
    stage.move_clock_to(datetime.now(UTC) + ONE_MINUTE)

    def agrees() -> bool:
        totals = read_totals(tenant)
        return all(totals[service, "gpu_seconds"] == amount for service, amount in wanted.items())

    told = {service: str(amount) for service, amount in wanted.items()}
    wait_until(teller, f"the usage API agreeing with the GPU intervals: {told}", agrees, 30)
    teller.say(
        f"GPU seconds, as the operators' records have them and as the usage API says: "
        f"{', '.join(sorted(told.values()))} (simulated GPUs); each end lies between two looks at the API server"
    )
    teller.figure(
        "usage_gpu_seconds", {"services": told, "total": str(sum(wanted.values())), "is_simulated": True}
    )


def _export(teller: Teller, tenant: Tenant) -> None:
    by_hour = tenant.client.usages.list(
        granularity="hour", group_by=["service", "model", "sku", "datacenter", "country"]
    )
    export = {"usages": list(by_hour), "usage_details": list(tenant.client.usages.details())}
    teller.keep("usage-export.json", export)
    teller.say(
        f"exported: {len(export['usages'])} hourly sums and {len(export['usage_details'])} GPU intervals"
    )
