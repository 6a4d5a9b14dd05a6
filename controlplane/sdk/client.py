"""The client: retries that are safe, pages that turn themselves, versions that are checked."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from controlplane.sdk.errors import ApiError, ConnectionLost, DeploymentFailed, WaitTimedOut

Json = dict[str, Any]

TIMEOUT_SECONDS = 30.0
# Four tries within some three seconds: longer outages are for the caller to judge.
TRIES_MAX = 4
BACKOFF_SECONDS = 0.4
PAGES_MAX = 10_000
POLL_SECONDS = 0.5
_RETRIED_STATUS = frozenset({429, 502, 503, 504})
# A sleeping service is healthy: it wakes with the first request.
_GOOD = frozenset({"HEALTHY", "SLEEPING"})
_BAD = frozenset({"ERROR", "UNHEALTHY", "CANCELED", "STOPPED"})


class Rempart:
    """A session with one key.

    `base_url` and `key` default to REMPART_API_URL and REMPART_API_KEY. Reads are retried; POSTs too, under an
    Idempotency-Key that the client makes when the caller gives none.
    """

    def __init__(
        self,
        key: str | None = None,
        base_url: str | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"User-Agent": "rempart-sdk"}
        key = key if key is not None else os.environ.get("REMPART_API_KEY", "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.Client(
            base_url=base_url or os.environ.get("REMPART_API_URL", "http://127.0.0.1:8080"),
            headers=headers,
            timeout=timeout_seconds,
            transport=transport,
        )
        self.organizations = Resource(self, "/v1/admin/organizations", "organization")
        self.projects = Resource(self, "/v1/projects", "project")
        self.api_keys = Resource(self, "/v1/api_keys", "api_key")
        self.apps = Resource(self, "/v1/apps", "app")
        self.services = Resource(self, "/v1/services", "service")
        self.deployments = Resource(self, "/v1/deployments", "deployment")
        self.regional_deployments = Resource(self, "/v1/regional_deployments", "regional_deployment")
        self.instances = Resource(self, "/v1/instances", "instance")
        self.secrets = Resource(self, "/v1/secrets", "secret")
        self.service_events = Resource(self, "/v1/service_events", "event", "events")
        self.datacenters = Resource(self, "/v1/admin/datacenters", "datacenter")
        self.node_pools = Resource(self, "/v1/admin/node_pools", "node_pool")
        self.nodes = Resource(self, "/v1/admin/nodes", "node")
        self.legal_entities = Resource(self, "/v1/admin/legal_entities", "legal_entity", "legal_entities")
        self.holdings = Resource(self, "/v1/admin/holdings", "holding")
        self.certifications = Resource(self, "/v1/admin/certifications", "certification")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request and return its answer. Errors: ApiError for a refusal, ConnectionLost for silence."""
        sent = dict(headers or {})
        if method == "POST":
            sent.setdefault("Idempotency-Key", str(uuid.uuid4()))
        given = {name: value for name, value in (params or {}).items() if value is not None}
        response = self._try(lambda: self._http.request(method, path, json=json, params=given, headers=sent))
        if response.is_success:
            return response
        try:
            problem = response.json()
        except ValueError:
            problem = {"detail": response.text[:500]}
        raise ApiError(response.status_code, problem if isinstance(problem, dict) else {})

    def _try(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        for attempt in range(1, TRIES_MAX + 1):
            try:
                response = send()
            except httpx.TransportError as err:
                if attempt == TRIES_MAX:
                    raise ConnectionLost(f"{self._http.base_url} does not answer: {err}") from err
            else:
                if response.status_code not in _RETRIED_STATUS or attempt == TRIES_MAX:
                    return response
            time.sleep(BACKOFF_SECONDS * attempt)
        raise AssertionError("the loop above returns or raises")

    def sign_up(self, body: Json) -> Json:
        """Create an organisation, its first project and its first key (shown once)."""
        return dict(self.request("POST", "/v1/signup", json=body).json())

    def wait_for_service(
        self, service_id: str, *, timeout_seconds: float, on_change: Callable[[Json], None] | None = None
    ) -> Json:
        """Wait until the service's latest deployment is healthy or asleep; return the service.

        Errors: DeploymentFailed when it cannot become so, WaitTimedOut with the last state otherwise.
        """
        deadline = time.monotonic() + timeout_seconds
        before = ""
        while True:
            service = self.services.get(service_id)
            deployment = self.deployments.get(service["latest_deployment_id"])
            if deployment["status"] != before and on_change is not None:
                on_change(deployment)
            before = deployment["status"]
            if before in _GOOD:
                return service
            if before in _BAD:
                raise DeploymentFailed(before, list(deployment.get("messages") or []))
            if time.monotonic() > deadline:
                raise WaitTimedOut(
                    f"after {timeout_seconds:.0f} s the deployment is still {before}"
                    + "".join(f"; {message}" for message in list(deployment.get("messages") or [])[-1:])
                )
            time.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Resource:
    """One collection of the API; answers are the resource itself, without its envelope."""

    client: Rempart
    path: str
    singular: str
    plural: str = ""

    def list(self, **params: Any) -> Iterator[Json]:
        """Yield all items, turning pages as needed."""
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = self.client.request("GET", self.path, params={**params, "cursor": cursor}).json()
            yield from page[self.plural or self.singular + "s"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def get(self, identifier: str) -> Json:
        return dict(self.client.request("GET", f"{self.path}/{identifier}").json()[self.singular])

    def create(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return dict(self.client.request("POST", self.path, json=body, headers=headers).json()[self.singular])

    def update(
        self, identifier: str, body: Json, *, version: int | None = None, method: str = "PATCH"
    ) -> Json:
        """Change a resource as it was read (`version`), or as it is now when no version is given."""
        headers = {"If-Match": f'"{self._version(identifier, version)}"'}
        reply = self.client.request(method, f"{self.path}/{identifier}", json=body, headers=headers)
        return dict(reply.json()[self.singular])

    def delete(self, identifier: str, *, version: int | None = None) -> None:
        headers = {"If-Match": f'"{self._version(identifier, version)}"'}
        self.client.request("DELETE", f"{self.path}/{identifier}", headers=headers)

    def act(self, identifier: str, verb: str, body: Json | None = None) -> Json:
        """POST one of the resource's verbs, such as pause."""
        reply = self.client.request("POST", f"{self.path}/{identifier}/{verb}", json=body)
        return {} if reply.status_code == 204 else dict(reply.json())

    def _version(self, identifier: str, version: int | None) -> int:
        return int(self.get(identifier)["version"]) if version is None else version
