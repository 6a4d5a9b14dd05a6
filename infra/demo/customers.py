"""Chapter 9: three more customers, whose usage is simulated and says so, through the door of every producer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controlplane.sdk import ApiError, Rempart
from infra.demo.stage import Stage
from infra.demo.teller import StoryBroken, Teller, require
from infra.demo.tenant import first_problem

SIMULATED_CELL = "simulated-1-a"
GPU_SKU = "nvidia-b300"
GERMAN_VAT_ID = "DE123456788"
PARTIES: dict[str, dict[str, Any]] = {
    "réunion": {
        "name": "volcan",
        "legal_name": "Volcan SARL",
        "country": "FR",
        "siren": "200000008",
        "address": {
            "line1": "2 rue de Paris",
            "postal_code": "97400",
            "city": "Saint-Denis",
            "country": "FR",
        },
    },
    "germany": {
        "name": "rechner",
        "legal_name": "Rechner GmbH",
        "country": "DE",
        "vat_id": GERMAN_VAT_ID,
        "address": {
            "line1": "Unter den Linden 1",
            "postal_code": "10117",
            "city": "Berlin",
            "country": "DE",
        },
    },
}
CONSUMER: dict[str, Any] = {
    "name": "camille",
    "legal_name": "Camille Martin",
    "country": "FR",
    "address": {"line1": "3 rue des Lilas", "postal_code": "69001", "city": "Lyon", "country": "FR"},
}


@dataclass(frozen=True, slots=True)
class Customer:
    """A further tenant, as far as its bill needs it."""

    id: str
    name: str
    project_id: str
    key: str


def sign_up(teller: Teller, stage: Stage) -> dict[str, Customer]:
    found = {}
    with Rempart("", stage.environment["REMPART_API_URL"]) as anonymous:
        for place, party in PARTIES.items():
            made = anonymous.sign_up(_signup_body(anonymous, party))
            found[place] = Customer(
                made["organization"]["id"],
                party["legal_name"],
                made["project"]["id"],
                made["api_key"]["secret"],
            )
        reason = _refuse_consumer(anonymous)
    teller.say("Volcan SARL (Saint-Denis de La Réunion) and Rechner GmbH (Berlin) sign up")
    # A place with a lower rate is not taken on trust; that of a Member State is proved by VIES.
    stage.admin.organizations.approve_tax_zone(found["réunion"].id, "SIRET of Saint-Denis seen (simulated)")
    teller.say("the operator approves that Volcan SARL is established in La Réunion: 8.5 % of VAT")
    teller.say(f"Camille Martin, a consumer, is refused: {reason}")
    teller.figure("consumer_refused", reason)
    return found


def _signup_body(anonymous: Rempart, party: dict[str, Any]) -> dict[str, Any]:
    return {
        "organization": party,
        "project": {"name": "main"},
        "accepted_terms": anonymous.terms()["version"],
    }


def _refuse_consumer(anonymous: Rempart) -> str:
    try:
        anonymous.sign_up(_signup_body(anonymous, CONSUMER))
    except ApiError as refused:
        require(refused.status == 422, f"a consumer must be refused with 422, not {refused.status}")
        return first_problem(refused)
    raise StoryBroken("a consumer must not become a customer")


def use_simulated_gpus(
    stage: Stage, customer: Customer, pod: str, gpus: int, start: datetime, end: datetime
) -> None:
    """Report that GPUs of a simulated cell were held, as operators report real ones; every event must be taken."""
    events = [
        _report(customer, pod, index, phase, start, at)
        for index in range(gpus)
        for phase, at in (("open", start), ("close", end))
    ]
    wish = {
        "name": SIMULATED_CELL,
        "role": "producer",
        "source": f"/cells/{SIMULATED_CELL}",
        "expires_in_days": 1,
    }
    key = stage.admin.operator_keys.create(wish)
    with stage.tenant(key["secret"]) as producer:
        told = producer.usages.ingest(events)
        again = producer.usages.ingest(events)
    stage.admin.operator_keys.revoke(key["id"])
    require(told["accepted"] == len(events), f"the ingest must take each event: {told}")
    require(again["duplicates"] == len(events), f"sent again, each is known: {again}")


def _report(
    customer: Customer, pod: str, index: int, phase: str, start: datetime, at: datetime
) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{pod}/{index}/{phase}/0",
        "type": "eu.rempart.gpu.allocation.v1",
        "source": f"/cells/{SIMULATED_CELL}",
        "subject": "simulated",
        "time": at.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "tenant_id": customer.id,
            "project_id": customer.project_id,
            "service_id": "simulated",
            "regional_deployment_id": "simulated",
            "instance": f"simulated-{pod}",
            "node": "simulated-node",
            "gpu_index": index,
            "gpu_id": f"simulated-{pod}/{index}",
            "sku": GPU_SKU,
            "datacenter": "simulated-1",
            "simulated": True,
            "phase": phase,
            "opened_at": start.isoformat(),
            "observed_at": at.isoformat(),
            "reason": "PodGone" if phase == "close" else "",
        },
    }


def last_hours(month_end: datetime, hours: int) -> tuple[datetime, datetime]:
    """A stretch of whole hours that ends an hour before the month does."""
    end = month_end - timedelta(hours=1)
    return end - timedelta(hours=hours), end
