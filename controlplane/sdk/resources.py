"""The collections of the API, each with the verbs that the server has. Answers come without their envelope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from controlplane.sdk.transport import Transport

Json = dict[str, Any]
# Named here because the collections have a method called `list`.
Rows = list[Json]
Names = list[str]

PAGES_MAX = 10_000


def at(path: str, *parts: str) -> str:
    """A path below a collection; what a person typed stays one segment of it."""
    return "/".join((path, *(quote(part, safe="") for part in parts)))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `next_cursor` asks for the next one; None on the last."""

    items: Rows
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Collection:
    """What can be listed."""

    transport: Transport
    path: str
    singular: str
    plural: str = ""

    def page(self, *, limit: int | None = None, cursor: str | None = None, **params: Any) -> Page:
        """Return one page; `params` are the list's filters."""
        wanted = {**params, "limit": limit, "cursor": cursor}
        answer = self.transport.request("GET", self.path, params=wanted).json()
        return Page(list(answer[self.plural or self.singular + "s"]), answer.get("next_cursor") or None)

    def list(self, **params: Any) -> Iterator[Json]:
        """Yield all items, turning pages as needed. `params` are the list's filters, and `limit` a page's size."""
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = Collection.page(self, **{**params, "cursor": cursor})
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def _post(self, path: str, body: Json | None, idempotency_key: str | None, field: str = "") -> Json:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        reply = self.transport.request("POST", path, json=body, headers=headers).json()
        return dict(reply[field or self.singular])


@dataclass(frozen=True, slots=True)
class Readable(Collection):
    """What can be listed and shown."""

    def get(self, identifier: str) -> Json:
        return dict(self.transport.request("GET", at(self.path, identifier)).json()[self.singular])

    def _change(self, method: str, identifier: str, body: Json | None, version: int | None) -> Json:
        """Change a resource as it was read (`version`), or as it is now when no version is given."""
        known = int(self.get(identifier)["version"]) if version is None else version
        reply = self.transport.request(
            method, at(self.path, identifier), json=body, headers={"If-Match": f'"{known}"'}
        )
        return {} if reply.status_code == 204 else dict(reply.json()[self.singular])


@dataclass(frozen=True, slots=True)
class Creatable(Readable):
    """What can be made."""

    def create(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        """Make one. Under one `idempotency_key` it is made once, however often this is called within a day."""
        return self._post(self.path, body, idempotency_key)


@dataclass(frozen=True, slots=True)
class Changeable(Creatable):
    """What can be changed. Errors: VersionChanged when it is no longer at `version`."""

    def update(self, identifier: str, body: Json, *, version: int | None = None) -> Json:
        return self._change("PATCH", identifier, body, version)


@dataclass(frozen=True, slots=True)
class Deletable(Changeable):
    """What can be deleted."""

    def delete(self, identifier: str, *, version: int | None = None) -> Json:
        """Delete it; return what the server says of it, which may be nothing."""
        return self._change("DELETE", identifier, None, version)


@dataclass(frozen=True, slots=True)
class Services(Deletable):
    """Services and their story."""

    def replace(self, identifier: str, body: Json, *, version: int | None = None) -> Json:
        """Deploy a whole new definition."""
        return self._change("PUT", identifier, body, version)

    def pause(self, identifier: str) -> Json:
        return self._post(at(self.path, identifier, "pause"), None, None)

    def resume(self, identifier: str) -> Json:
        return self._post(at(self.path, identifier, "resume"), None, None)

    def redeploy(self, identifier: str) -> Json:
        """Deploy the same definition again; return the new deployment."""
        return self._post(at(self.path, identifier, "redeploy"), None, None, "deployment")

    def roll_back(self, identifier: str, deployment_id: str | None = None) -> Json:
        """Go back to a deployment that was ready once, or to the one before; return the service."""
        return self._post(at(self.path, identifier, "rollback"), {"deployment_id": deployment_id}, None)

    def scale(self, identifier: str, minimum: int, maximum: int) -> Json:
        """Move between other bounds without a new deployment."""
        return self._post(at(self.path, identifier, "scale"), {"min": minimum, "max": maximum}, None)

    def explanation(self, identifier: str) -> Json:
        """Return why the service was placed where it is: the decision with its `explanation`."""
        return dict(self.transport.request("GET", at(self.path, identifier, "explanation")).json())

    def cold_starts(self, identifier: str) -> Rows:
        """Return the latest starts from zero, newest first, cut into steps of milliseconds."""
        reply = self.transport.request("GET", at(self.path, identifier, "cold_starts")).json()
        return list(reply["cold_starts"])

    def events(self, identifier: str, *, types: Names | None = None) -> Iterator[Json]:
        """Yield what happened to the service, newest first."""
        listed = Collection(self.transport, "/v1/service_events", "event")
        return listed.list(service_id=identifier, types=types)

    def logs(self, identifier: str, *, limit: int | None = None) -> Rows:
        """Return the last lines of each of its replicas, oldest first."""
        return read_logs(self.transport, {"service_id": identifier, "limit": limit})


@dataclass(frozen=True, slots=True)
class Deployments(Readable):
    """Immutable versions of services."""

    def cancel(self, identifier: str) -> Json:
        """Give up a deployment that does not serve yet."""
        return self._post(at(self.path, identifier, "cancel"), None, None)

    def explanation(self, identifier: str) -> Json:
        """Return why this deployment was placed where it is: the decision with its `explanation`."""
        return dict(self.transport.request("GET", at(self.path, identifier, "explanation")).json())


@dataclass(frozen=True, slots=True)
class Instances(Readable):
    """Replicas as they run."""

    def logs(self, identifier: str, *, limit: int | None = None) -> Rows:
        """Return its last lines, oldest first."""
        return read_logs(self.transport, {"instance_id": identifier, "limit": limit})


@dataclass(frozen=True, slots=True)
class ApiKeys(Creatable):
    """Keys. `secret` is in the answer that makes one, and is null in an answer that is given again."""

    def roll(self, identifier: str, overlap_hours: int | None = None) -> Json:
        """Replace a key; the old one works for the overlap. Return `api_key` (with its secret) and `previous`."""
        body = {} if overlap_hours is None else {"overlap_hours": overlap_hours}
        return dict(self.transport.request("POST", at(self.path, identifier, "roll"), json=body).json())

    def revoke(self, identifier: str) -> Json:
        """Refuse a key from now on."""
        return dict(self.transport.request("DELETE", at(self.path, identifier)).json()[self.singular])


@dataclass(frozen=True, slots=True)
class Facts(Creatable):
    """Legal facts: stated once, ended once, never changed."""

    def end(self, identifier: str, valid_to: str | None = None) -> Json:
        """End a fact at an instant (RFC 3339), or now."""
        return self._post(at(self.path, identifier, "end"), {"valid_to": valid_to}, None)


@dataclass(frozen=True, slots=True)
class Datacenters(Changeable):
    """Sites; they are closed and never deleted."""

    def close(self, code: str, *, version: int | None = None) -> Json:
        """Close a site for good; it stays on record."""
        return self._change("DELETE", code, None, version)


@dataclass(frozen=True, slots=True)
class NodePools(Deletable):
    """Pools of equal machines."""

    def pause(self, name: str, *, version: int | None = None) -> Json:
        """Start and give back no machine, and place nothing new there."""
        return self.update(name, {"paused": True}, version=version)

    def resume(self, name: str, *, version: int | None = None) -> Json:
        return self.update(name, {"paused": False}, version=version)

    def scale(self, name: str, replicas: int, *, version: int | None = None) -> Json:
        """Change how many machines a pool wants."""
        return self.update(name, {"replicas": replicas}, version=version)


@dataclass(frozen=True, slots=True)
class Nodes(Readable):
    """Single machines. What is asked for one lasts until something else is asked, or until it is gone."""

    def cordon(self, name: str) -> Json:
        """Keep new work off it."""
        return self._post(at(self.path, name, "cordon"), None, None)

    def uncordon(self, name: str) -> Json:
        """Let it take work again."""
        return self._post(at(self.path, name, "uncordon"), None, None)

    def drain(self, name: str, *, is_forced: bool = False) -> Json:
        """Cordon it and ask what runs there to leave; `is_drained` of the machine says when that is done."""
        return self._post(at(self.path, name, "drain"), {"is_forced": is_forced}, None)

    def replace(self, name: str, *, is_forced: bool = False) -> Json:
        """Drain it, give it back and ask for another in its place."""
        return self._post(at(self.path, name, "replace"), {"is_forced": is_forced}, None)


@dataclass(frozen=True, slots=True)
class Organizations(Readable):
    """All organizations, for the platform operator."""

    def create(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        """Make an organization, its project and its owner's key: `organization`, `project`, `api_key`."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return dict(self.transport.request("POST", self.path, json=body, headers=headers).json())

    def alike(self, identifier: str) -> Rows:
        """Return other organizations that may be of the same company: by name, SIREN or VAT number."""
        return list(self.transport.request("GET", at(self.path, identifier, "alike")).json()["organizations"])

    def approve(self, identifier: str, *, version: int | None = None) -> Json:
        """Confirm who an organization is that signed up itself, as it stood in `version` (None: as it stands now)."""
        if version is None:
            version = int(self.get(identifier)["version"])
        return self._post(at(self.path, identifier, "approve"), {"version": version}, None)

    def refuse(self, identifier: str, reason: str) -> Json:
        """Turn away an organization that waits for approval; it reads `reason`."""
        return self._post(at(self.path, identifier, "refuse"), {"reason": reason}, None)

    def approve_tax_zone(self, identifier: str, reason: str) -> Json:
        """Approve where an organization is taxed after its address changed; `reason` says by what proof."""
        return self._post(at(self.path, identifier, "tax_zone", "approve"), {"reason": reason}, None)

    def suspend(self, identifier: str, reason: str) -> Json:
        return self._post(at(self.path, identifier, "suspend"), {"reason": reason}, None)

    def resume(self, identifier: str) -> Json:
        return self._post(at(self.path, identifier, "resume"), None, None)

    def recover(self, identifier: str, reason: str) -> Json:
        """Give an organization that has lost its keys an owner's key for a week, with its `secret`."""
        path = at(self.path, identifier, "recovery_keys")
        return dict(self.transport.request("POST", path, json={"reason": reason}).json()["api_key"])

    def quotas(self, identifier: str) -> Rows:
        return list(self.transport.request("GET", at(self.path, identifier, "quotas")).json()["quotas"])

    def set_quota(self, identifier: str, name: str, limit: int) -> Json:
        path = at(self.path, identifier, "quotas", name)
        return dict(self.transport.request("PUT", path, json={"limit": limit}).json()["quota"])


@dataclass(frozen=True, slots=True)
class AuditEvents(Collection):
    """An audit chain."""

    def export(self) -> bytes:
        """Return the whole chain as JSON lines, its head last: what the offline verifier reads."""
        return self.transport.request("GET", f"{self.path}/export").content

    def verify(self) -> Json:
        """Let the server check its chain's every hash."""
        return dict(self.transport.request("GET", f"{self.path}/verification").json()["verification"])


@dataclass(frozen=True, slots=True)
class SecurityEvents(Collection):
    """What was refused, to whom and since when."""

    def report(self, events: list[Json]) -> int:
        """Report what a gateway refused (producers only); return how many were new."""
        answer = self.transport.request("POST", self.path, json={"security_events": events})
        return int(answer.json()["accepted"])


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be deployed, on which sizes, and where: the same for every caller."""

    transport: Transport

    def models(self) -> Rows:
        return self._list("models")

    def model(self, name: str) -> Json:
        return dict(self.transport.request("GET", at("/v1/catalog/models", name)).json()["model"])

    def instance_types(self) -> Rows:
        return self._list("instances")

    def datacenters(self) -> Rows:
        return self._list("datacenters")

    def regions(self) -> Rows:
        return self._list("regions")

    def _list(self, kind: str) -> Rows:
        return list(self.transport.request("GET", f"/v1/catalog/{kind}").json()[kind])


def read_logs(transport: Transport, params: Mapping[str, Any]) -> Rows:
    return list(transport.request("GET", "/v1/streams/logs/query", params=params).json()["data"])


@dataclass(frozen=True, slots=True)
class Deliveries(Collection):
    """Deliveries of events that nobody tries any more."""

    def retry(self, event_id: str, consumer: str) -> Json:
        """Send one again."""
        return dict(
            self.transport.request("POST", at(self.path, event_id, consumer, "retry")).json()["retry"]
        )

    def retry_all(self, consumer: str | None = None) -> Json:
        """Send all again, or those to one consumer."""
        params = {"consumer": consumer}
        return dict(self.transport.request("POST", at(self.path, "retry"), params=params).json()["retry"])
