"""The client: every resource of the API under one key, and waiting for a service."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from controlplane.sdk import money
from controlplane.sdk import resources as api
from controlplane.sdk.errors import DeploymentFailed, WaitTimedOut
from controlplane.sdk.resources import Json
from controlplane.sdk.transport import (
    BACKOFF_SECONDS,
    RETRY_AFTER_SECONDS_MAX,
    TIMEOUT_SECONDS,
    TRIES_MAX,
    Transport,
)

DEFAULT_URL = "http://127.0.0.1:8080"
POLL_SECONDS = 0.5
# A sleeping service is healthy: it wakes with the first request.
_GOOD = frozenset({"HEALTHY", "SLEEPING"})
_BAD = frozenset({"ERROR", "UNHEALTHY", "CANCELED", "STOPPED"})


class Rempart:
    """A session with one key.

    `base_url` and `key` default to REMPART_API_URL and REMPART_API_KEY. Reads are repeated when the server does not
    answer; POSTs too, under an Idempotency-Key that the client makes when the caller gives none. A server that asks
    to wait longer than `patience_seconds` is not waited for: ApiError says how long it asked.
    """

    def __init__(
        self,
        key: str | None = None,
        base_url: str | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        backoff_seconds: float = BACKOFF_SECONDS,
        tries_max: int = TRIES_MAX,
        patience_seconds: float = RETRY_AFTER_SECONDS_MAX,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        sender = Transport(
            base_url or os.environ.get("REMPART_API_URL") or DEFAULT_URL,
            key if key is not None else os.environ.get("REMPART_API_KEY", ""),
            timeout_seconds=timeout_seconds,
            backoff_seconds=backoff_seconds,
            tries_max=tries_max,
            patience_seconds=patience_seconds,
            transport=transport,
        )
        self._transport = sender
        self.catalog = api.Catalog(sender)
        self.projects = api.Deletable(sender, "/v1/projects", "project")
        self.api_keys = api.ApiKeys(sender, "/v1/api_keys", "api_key")
        self.operator_keys = api.ApiKeys(sender, "/v1/admin/api_keys", "api_key")
        self.apps = api.Deletable(sender, "/v1/apps", "app")
        self.services = api.Services(sender, "/v1/services", "service")
        self.service_events = api.Collection(sender, "/v1/service_events", "event")
        self.deployments = api.Deployments(sender, "/v1/deployments", "deployment")
        self.regional_deployments = api.Readable(sender, "/v1/regional_deployments", "regional_deployment")
        self.instances = api.Instances(sender, "/v1/instances", "instance")
        self.secrets = api.Deletable(sender, "/v1/secrets", "secret")
        self.audit_events = api.AuditEvents(sender, "/v1/audit_events", "audit_event")
        self.security_events = api.SecurityEvents(sender, "/v1/security_events", "security_event")
        self.usages = money.Usages(sender, "/v1/usages", "usage")
        self.costs = money.Costs(sender)
        self.budgets = money.Budgets(sender, "/v1/budgets", "budget")
        self.invoices = money.Invoices(sender, "/v1/invoices", "invoice")
        self.payments = money.Payments(sender, "/v1/payments", "payment")
        self._add_platform(sender)

    def _add_platform(self, sender: Transport) -> None:
        """What only the platform operator's key opens."""
        self.organizations = money.Organizations(sender, "/v1/admin/organizations", "organization")
        self.datacenters = api.Datacenters(sender, "/v1/admin/datacenters", "datacenter")
        self.node_pools = api.NodePools(sender, "/v1/admin/node_pools", "node_pool")
        self.nodes = api.Nodes(sender, "/v1/admin/nodes", "node")
        self.legal_entities = api.Facts(sender, "/v1/admin/legal_entities", "legal_entity", "legal_entities")
        self.holdings = api.Facts(sender, "/v1/admin/holdings", "holding")
        self.certifications = api.Facts(sender, "/v1/admin/certifications", "certification")
        self.usage_conflicts = api.Collection(sender, "/v1/admin/usage_conflicts", "usage_conflict")
        self.deliveries = api.Deliveries(sender, "/v1/admin/deliveries", "delivery", "deliveries")
        self.prices = money.Prices(sender, "/v1/admin/price_versions", "price_version")
        self.platform_invoices = money.PlatformInvoices(sender, "/v1/admin/invoices", "invoice")
        self.platform_payments = money.PlatformPayments(sender, "/v1/admin/payments", "payment")
        self.ledger = money.Ledger(sender, "/v1/admin/ledger/entries", "entry", "entries")
        self.platform_security_events = api.Collection(sender, "/v1/admin/security_events", "security_event")
        self.platform_audit_events = api.AuditEvents(sender, "/v1/admin/audit_events", "audit_event")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send any request under this key. Errors: ApiError for a refusal, ConnectionLost for silence."""
        return self._transport.request(method, path, json=json, params=params, headers=headers)

    def terms(self) -> Json:
        """Return which terms of service a new customer accepts: `version` and `url`. Needs no key."""
        return dict(self.request("GET", "/v1/terms").json()["terms"])

    def sign_up(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        """Create an organization, its first project and its first key (shown once). Needs no key.

        `body["accepted_terms"]` is the version of the terms of service that is accepted (`terms()`).
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return dict(self.request("POST", "/v1/signup", json=body, headers=headers).json())

    def caller(self) -> Json:
        """Return who this key is: key, role, organization (null for the platform operator), project."""
        return dict(self.request("GET", "/v1/caller").json()["caller"])

    def permission(self, resource: str, action: str) -> Json:
        """Return whether this key may do something, and why."""
        params = {"resource": resource, "action": action}
        return dict(self.request("GET", "/v1/permissions", params=params).json()["permission"])

    def price_list(self) -> Json:
        """Return the price list of this key's organization."""
        return dict(self.request("GET", "/v1/prices").json()["price_list"])

    def organization(self) -> Json:
        """Return the organization of this key."""
        return dict(self.request("GET", "/v1/organization").json()["organization"])

    def update_organization(self, body: Json, *, version: int | None = None) -> Json:
        """Change the billing party of this key's organization, as it was read or as it is now."""
        mine = self.organization()
        headers = {"If-Match": f'"{mine["version"] if version is None else version}"'}
        reply = self.request("PATCH", f"/v1/organizations/{mine['id']}", json=body, headers=headers)
        return dict(reply.json()["organization"])

    def quotas(self) -> list[Json]:
        """Return every limit of this key's organization."""
        return list(self.request("GET", "/v1/quotas").json()["quotas"])

    def clock(self) -> Json:
        """Return what the installation takes for now (platform operator)."""
        return dict(self.request("GET", "/v1/admin/clock").json()["clock"])

    def move_clock(self, offset_seconds: int) -> Json:
        """Let a local installation's clock run ahead (platform operator)."""
        return dict(
            self.request("PUT", "/v1/admin/clock", json={"offset_seconds": offset_seconds}).json()["clock"]
        )

    def wait_for_service(
        self,
        service_id: str,
        *,
        timeout_seconds: float,
        deployment_id: str | None = None,
        poll_seconds: float = POLL_SECONDS,
        on_change: Callable[[Json], None] | None = None,
    ) -> Json:
        """Wait until a deployment, the latest one now if none is named, is healthy or asleep; return the service.

        A service that goes on serving with an older deployment is no success of the one that was waited for.
        Errors: DeploymentFailed when it cannot become so, WaitTimedOut with the last state otherwise.
        """
        deadline = time.monotonic() + timeout_seconds
        wanted, before = deployment_id or self.services.get(service_id)["latest_deployment_id"], ""
        while True:
            deployment = self.deployments.get(wanted)
            status, messages = deployment["status"], list(deployment.get("messages") or [])
            if status != before and on_change is not None:
                on_change(deployment)
            before = status
            if status in _GOOD:
                return self.services.get(service_id)
            if status in _BAD:
                raise DeploymentFailed(status, messages)
            if time.monotonic() >= deadline:
                raise WaitTimedOut(
                    f"after {timeout_seconds:.0f} s the deployment is still {status}"
                    + "".join(f"; {message}" for message in messages[-1:])
                )
            time.sleep(min(poll_seconds, max(deadline - time.monotonic(), 0)))
