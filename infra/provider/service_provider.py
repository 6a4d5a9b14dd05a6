"""Services: deployed, redeployed in place, told apart from what they became, and gone before their names are free."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from controlplane.sdk import Conflict, Rempart
from infra.provider import diff_rules, input_rules
from infra.provider.diff_rules import Change
from infra.provider.input_rules import Fault
from infra.provider.providers import Call, Provider, project_of
from infra.provider.session import Json, Refused, connected, create_once, find, say
from infra.provider.values import Props, clean

# A cell drains what still answers (minutes at most) before a service is gone.
GONE_SECONDS_MAX = 600.0
POLL_SECONDS = 0.5
ENDED = "DELETED"
ENDING = frozenset({ENDED, "DELETING"})
PAUSED = frozenset({"PAUSED", "PAUSING"})


class ServiceProvider(Provider):
    """A changed definition is a new deployment of the same service."""

    noun = "service"
    rule = diff_rules.SERVICE

    def faults(self, props: Mapping[str, Any]) -> list[Fault]:
        return input_rules.check_service(props)

    def compare(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Change:
        return diff_rules.compare_service(old, new)

    def get(self, call: Call) -> Json:
        return call.client.services.get(call.id)

    def fetch(self, call: Call) -> Json | None:
        found = super().fetch(call)
        return found if found is not None and found["status"] not in ENDING else None

    def make(self, call: Call) -> Json:
        app_id = call.wanted.get("app_id") or self._make_app(call)
        body = {"app_id": app_id, "definition": _document(call.wanted)}
        try:
            return call.client.services.create(body, idempotency_key=call.key)
        except Exception:
            # Nothing of a refused service may stay, or its project could not be deleted.
            if not call.wanted.get("app_id"):
                _remove_app(call.client, app_id)
            raise

    def _make_app(self, call: Call) -> str:
        apps, body = call.client.apps, {"name": call.wanted["name"]}
        if call.wanted.get("project_id"):
            body["project_id"] = call.wanted["project_id"]
        made = create_once(
            lambda key: apps.create(body, idempotency_key=key),
            lambda made: find(call.client, lambda: apps.get(made["id"]), None) is None,
            self.stack_id,
            ["app of a service", call.wanted.get("declared_as"), body],
        )
        return str(made["id"])

    def change(self, call: Call) -> Json:
        services, old, new = call.client.services, call.known, call.wanted
        if old.get("is_paused"):
            services.resume(call.id)
        if old.get("definition") != new["definition"] or old.get("scale"):
            return services.replace(call.id, {"definition": _document(new)})
        if old.get("triggers") != new.get("triggers"):
            services.redeploy(call.id)
        return services.get(call.id)

    def remove(self, call: Call) -> None:
        call.client.services.delete(call.id)

    def delete(self, _id: str, _props: Props) -> None:
        super().delete(_id, _props)
        with connected() as client:
            call = Call(client, _id, known=clean(_props))
            # Also one that somebody else deleted: its name, app and project are free only once it is gone.
            self._wait_until_gone(call)
            if call.known.get("own_app_id"):
                _remove_app(client, call.known["own_app_id"])

    def _wait_until_gone(self, call: Call) -> None:
        deadline, told = time.monotonic() + GONE_SECONDS_MAX, ""
        while True:
            found = super().fetch(call)
            if found is None or found["status"] == ENDED:
                return
            if time.monotonic() >= deadline:
                raise Refused(
                    f"The service is still {found['status']} after {GONE_SECONDS_MAX:.0f} s; run this again later."
                )
            if found["status"] != told:
                told = str(found["status"])
                say(f"the service is {told}: waiting until nothing of it runs")
            time.sleep(POLL_SECONDS)

    def describe(self, call: Call, found: Json) -> Json:
        deployment = call.client.deployments.get(found["latest_deployment_id"])
        document = clean({key: value for key, value in deployment["definition"].items() if key != "name"})
        said = call.known or call.wanted
        declared, left = said.get("definition"), said.get("document")
        is_as_left = diff_rules.covers(document, declared) if left is None else document == left
        is_own_app = not said.get("app_id") and not said.get("adopt")
        return {
            **project_of(call, found),
            **({"app_id": found["app_id"]} if said.get("app_id") else {}),
            "name": found["name"],
            "organization_id": found["organization_id"],
            "host": found["host"],
            "deployment_id": found["latest_deployment_id"],
            "document": document,
            # As declared while nobody changed it; otherwise as it is, which the next comparison then shows.
            "definition": declared if is_as_left else document,
            "own_app_id": said.get("own_app_id", found["app_id"] if is_own_app else ""),
            "scale": found["scale"] or {},
            "is_paused": found["status"] in PAUSED,
        }


class ServiceReadyProvider(ResourceProvider):
    """Waiting, as a thing of its own: when it fails, the service stays known to the state and can be repaired."""

    serialize_as_secret_always = False

    def check(self, _olds: Props, news: Props) -> CheckResult:
        faults = input_rules.check_service_ready(clean(news))
        return CheckResult(news, [CheckFailure(each.input, each.sentence) for each in faults])

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        change = diff_rules.compare(diff_rules.SERVICE_READY, clean(_olds), clean(_news))
        return DiffResult(changes=change.is_any)

    def create(self, props: Props) -> CreateResult:
        wanted = clean(props)
        return CreateResult(f"ready-{wanted['service_id']}", self._wait(wanted))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        return UpdateResult(self._wait(clean(_news)))

    def read(self, id_: str, props: Props) -> ReadResult:
        return ReadResult(id_, clean(props))

    def delete(self, _id: str, _props: Props) -> None:
        """Nothing was made, so nothing is left."""

    def _wait(self, wanted: Json) -> Json:
        with connected() as client:
            service = client.wait_for_service(
                wanted["service_id"],
                deployment_id=wanted["deployment_id"],
                timeout_seconds=wanted["wait_seconds"],
                on_change=lambda deployment: say(f"the deployment is {deployment['status']}"),
            )
        return {**wanted, "host": service["host"]}


def _document(wanted: Json) -> Json:
    return {**wanted["definition"], "name": wanted["name"]}


def _remove_app(client: Rempart, app_id: str) -> None:
    """Remove a service's own app, unless somebody has put another service into it."""
    if find(client, lambda: client.apps.get(app_id), None) is None:
        return
    try:
        client.apps.delete(app_id)
    except Conflict:
        say("its app stays: it holds other services")
