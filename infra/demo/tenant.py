"""Chapters 2 and 3: a company signs up, and deploys under a requirement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from controlplane.sdk import ApiError, Rempart
from infra.demo.fleet import company, datacenter, gpu_pool, hold, persons
from infra.demo.stage import Stage
from infra.demo.teller import Teller, require
from infra.demo.waiting import wait_until

MODEL = "smollm2-135m-instruct"
GPU_MODEL = "mistral-small-3.2-24b-instruct"
# Short, so that the demo sees the service fall asleep.
IDLE_SECONDS = 6
REQUIREMENT = {
    "countries": ["FR", "SE"],
    "is_non_eu_control_denied": True,
    "licence_colours": ["green"],
    "pue_below_milli": 1300,
}


@dataclass(frozen=True, slots=True)
class EngineCount:
    """What the engine itself said, in its answer, that one call used: tokens, exactly."""

    request_id: str
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Tenant:
    """The customer of the story. `engine_counts` grows with each call that a model answered."""

    client: Rempart
    key: str
    organization: dict[str, Any]
    project: dict[str, Any]
    app_id: str = ""
    service: dict[str, Any] | None = None
    gpu_service: dict[str, Any] | None = None
    engine_counts: list[EngineCount] = field(default_factory=list)


def sign_up(teller: Teller, stage: Stage) -> Tenant:
    body = {
        "organization": {
            "name": "atelier-lumiere",
            "legal_name": "Atelier Lumière SAS",
            "country": "FR",
            "siren": "732829320",
            "vat_id": "FR44732829320",
            "address": {
                "line1": "12 rue de la Paix",
                "postal_code": "91000",
                "city": "Évry",
                "country": "FR",
            },
        },
        "project": {"name": "assistant"},
    }
    wrong = {**body, "organization": {**body["organization"], "siren": "732829321"}}  # type: ignore[dict-item]
    with Rempart("", stage.environment["REMPART_API_URL"]) as anonymous:
        try:
            anonymous.sign_up({**wrong, "accepted_terms": anonymous.terms()["version"]})
            require(False, "a SIREN with a wrong check digit must be refused")
        except ApiError as refused:
            teller.say(
                f"a SIREN with a wrong check digit is refused ({refused.status}): {first_problem(refused)}"
            )
        made = anonymous.sign_up({**body, "accepted_terms": anonymous.terms()["version"]})
    key = made["api_key"]["secret"]
    stage.keep_key("tenant-key", key)
    teller.say(f"{made['organization']['legal_name']} signed up: {made['organization']['id']}")
    teller.say(
        f"its key is shown once: {key[:12]}… ({len(key)} characters, CRC32 at its end); only a keyed hash stays"
    )
    return Tenant(stage.tenant(key), key, made["organization"], made["project"])


def deploy(teller: Teller, tenant: Tenant) -> None:
    tenant.app_id = str(tenant.client.apps.create({"name": "demo", "project_id": tenant.project["id"]})["id"])
    definition = {
        "name": "assistant",
        "instance_types": [{"type": "process-cpu"}],
        "scalings": [
            {"min": 0, "max": 2, "targets": [{"sleep_idle_delay": {"deep_sleep_value": IDLE_SECONDS}}]}
        ],
        "inference": {"model": MODEL},
        "sovereignty": REQUIREMENT,
    }
    service = tenant.client.services.create({"app_id": tenant.app_id, "definition": definition})
    tenant.service = tenant.client.wait_for_service(service["id"], timeout_seconds=60)
    explanation = explain(tenant, service["id"])
    teller.keep("placement-assistant.json", explanation)
    teller.say(f"deployed '{MODEL}' for FR or SE, no non-EU control, green licence, PUE below 1.3:")
    teller.say(explanation["summary"]["en"])
    dublin = next(a for a in explanation["assessments"] if a["datacenter"] == "dublin-1")
    require(not dublin["is_admitted"], "Dublin must not be admissible")
    for rejection in dublin["rejections"]:
        teller.say(f"Dublin: {rejection['text']['en']}")
        for step in rejection["why_path"]:
            teller.say(f"  · {step['text']['en']}")
    paths = [step for rejection in dublin["rejections"] for step in rejection["why_path"]]
    require(paths, "the ownership path that excludes Dublin must be shown")


def deploy_unplaceable(teller: Teller, stage: Stage, tenant: Tenant) -> None:
    """A requirement that nothing meets waits with its reasons, and runs when a matching pool appears."""
    definition = {
        "name": "german-only",
        "instance_types": [{"type": "b300-1x"}],
        "scalings": [{"min": 1, "max": 1}],
        "inference": {"model": GPU_MODEL, "is_simulated_allowed": True},
        "sovereignty": {"countries": ["DE"]},
    }
    service = tenant.client.services.create({"app_id": tenant.app_id, "definition": definition})
    pending = wait_until(teller, "an explanation", lambda: _explanation_or_none(tenant, service["id"]))
    deployment = tenant.client.deployments.get(service["latest_deployment_id"])
    require(deployment["status"] == "PENDING", f"nothing in DE: PENDING, not {deployment['status']}")
    teller.say(f"'german-only' (DE) stays PENDING: {pending['summary']['en']}")
    owner = company(stage, "Rechenhalle Frankfurt GmbH", "DE")
    hold(stage, persons(stage, "Stadtwerke-Familien", "DE"), owner, 100)
    datacenter(stage, "frankfurt-1", "Frankfurt", "DE", owner, 10_000, 1250)
    gpu_pool(stage, "frankfurt-1", 1)
    teller.say("the operator registers Frankfurt (DE) with one simulated B300 node")
    tenant.client.wait_for_service(service["id"], timeout_seconds=60)
    placed = explain(tenant, service["id"])
    teller.keep("placement-german-only.json", placed)
    teller.say(f"… and it runs: {placed['summary']['en']}")


def explain(tenant: Tenant, service_id: str) -> dict[str, Any]:
    return dict(tenant.client.request("GET", f"/v1/services/{service_id}/explanation").json()["explanation"])


def _explanation_or_none(tenant: Tenant, service_id: str) -> dict[str, Any] | None:
    try:
        return explain(tenant, service_id)
    except ApiError as err:
        if err.status == 404:
            return None
        raise


def first_problem(refused: ApiError) -> str:
    return refused.fields[0]["message"] if refused.fields else refused.message
