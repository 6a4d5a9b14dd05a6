"""Usage, costs, invoices, payments and the books. Answers come without their envelope."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from controlplane.sdk import resources as api
from controlplane.sdk.errors import NotFound
from controlplane.sdk.resources import Collection, Json, Page, Readable, Rows, at
from controlplane.sdk.transport import Transport

EVENTS_MEDIA = "application/cloudevents-batch+json"


def _since_until(params: Json) -> Json:
    """`from` is a word of Python's own, so that callers say `since` and `until`."""
    names = {"since": "from", "until": "to"}
    return {names.get(name, name): value for name, value in params.items()}


def _if_match(version: int | None) -> Json:
    return {} if version is None else {"If-Match": f'"{version}"'}


@dataclass(frozen=True, slots=True)
class Usages(Collection):
    """What was used."""

    def list(self, **params: Any) -> Iterator[Json]:
        """Yield sums: `since`, `until` (RFC 3339), `granularity`, `group_by`, `project_id`, `service_id`, `meter`."""
        return Collection.list(self, **_since_until(params))

    def page(self, *, limit: int | None = None, cursor: str | None = None, **params: Any) -> Page:
        """Return one page of sums; the same filters."""
        return Collection.page(self, limit=limit, cursor=cursor, **_since_until(params))

    def details(self, **params: Any) -> Iterator[Json]:
        """Yield the GPUs that instances held; the same filters."""
        found = Collection(self.transport, f"{self.path}/details", "usage_detail")
        return found.list(**_since_until(params))

    def ingest(self, events: Rows) -> Json:
        """Send a batch of CloudEvents as a producer; return the counts and one result each. Safe to repeat."""
        headers = {"Content-Type": EVENTS_MEDIA}
        return dict(self.transport.request("POST", "/v1/usage_events", json=events, headers=headers).json())


@dataclass(frozen=True, slots=True)
class Costs:
    """The running month."""

    transport: Transport

    def get(self, *, group_by: str | None = None) -> Json:
        """Return what the month costs so far; `group_by` is sku, project or service."""
        params = {"group_by": group_by}
        return dict(self.transport.request("GET", "/v1/costs", params=params).json()["cost"])

    def preview(self, body: Json, *, group_by: str | None = None) -> Json:
        """Return what the month would cost by another `plan` or other `usage`."""
        params = {"group_by": group_by}
        reply = self.transport.request("POST", "/v1/costs/preview", json=body, params=params)
        return dict(reply.json()["cost"])

    def credits(self) -> Rows:
        return list(self.transport.request("GET", "/v1/credits").json()["credits"])

    def plan(self) -> Json:
        return dict(self.transport.request("GET", "/v1/plan").json()["tenant_plan"])


@dataclass(frozen=True, slots=True)
class Budgets(Collection):
    """Monthly budgets: one of the organization, one of each project."""

    def alerts(self) -> Rows:
        """Return what fired this month."""
        return list(self.transport.request("GET", self.path).json()["alerts"])

    def set(self, body: Json, *, version: int | None = None) -> Json:
        """Set a budget as it was read, or as it is now: `amount` (such as "250.00"), `project_id`, `is_hard`."""
        project = body.get("project_id")
        if version is None:
            version = next((b["version"] for b in self.list() if b["project_id"] == project), None)
        reply = self.transport.request("PUT", self.path, json=body, headers=_if_match(version))
        return dict(reply.json()["budget"])


@dataclass(frozen=True, slots=True)
class Invoices(Readable):
    """Invoices and credit notes."""

    def download(self, identifier: str, kind: str) -> bytes:
        """Return a file: `pdf` is the Factur-X original, `xml` the CII inside it."""
        return self.transport.request("GET", at(self.path, identifier, kind)).content

    def e_invoice(self, identifier: str) -> Json:
        """Return where the document stands on its way to the buyer."""
        return dict(self.transport.request("GET", at(self.path, identifier, "e_invoice", "status")).json())


@dataclass(frozen=True, slots=True)
class PlatformInvoices(Invoices):
    """Invoices of all organizations, for the platform operator."""

    def list_files(self, **params: Any) -> Iterator[Json]:
        """Yield issued documents by where their files stand; `state` such as RENDER_FAILED."""
        return Collection(self.transport, "/v1/admin/e_invoices", "e_invoice").list(**params)

    def close_period(self, organization_id: str, period: str, *, issue: bool = True) -> Json:
        """Close a Paris month, such as 2026-10; return `invoice` (null when nothing was used),
        `credit_notes` and `supplements` for earlier months, and `is_new`."""
        body = {"organization_id": organization_id, "period": period, "issue": issue}
        return dict(self.transport.request("POST", "/v1/admin/billing/close", json=body).json())

    def issue(self, identifier: str) -> Json:
        return self._post(at(self.path, identifier, "issue"), None, None)

    def retry(self, identifier: str) -> Json:
        """Draft a held invoice again from the facts of now."""
        return self._post(at(self.path, identifier, "retry"), None, None)

    def hold(self, identifier: str, reason: str) -> Json:
        return self._post(at(self.path, identifier, "hold"), {"reason": reason}, None)

    def credit_note(
        self, identifier: str, reason: str, lines: Rows | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        """Give back the whole invoice, or of each line `position` the amount `net`."""
        body = {"reason": reason, "lines": lines}
        return self._post(at(self.path, identifier, "credit_notes"), body, idempotency_key)

    def sell_deposit(
        self, organization_id: str, net: str, label: str, *, idempotency_key: str | None = None
    ) -> Json:
        """Invoice a deposit of `net` euros before VAT; once paid it is prepaid credit."""
        path = at("/v1/admin/organizations", organization_id, "deposits")
        return self._post(path, {"net": net, "label": label}, idempotency_key)

    def record_vat_check(self, body: Json) -> Json:
        """Record what VIES said about a VAT number."""
        return dict(self.transport.request("POST", "/v1/admin/vat_checks", json=body).json())

    def seller(self) -> Json:
        """Return `seller` and the `version` of it."""
        return dict(self.transport.request("GET", "/v1/admin/seller").json())

    def set_seller(self, body: Json, *, version: int | None = None) -> Json:
        if version is None:
            try:
                version = int(self.seller()["version"])
            except NotFound:
                version = None
        headers = _if_match(version)
        return dict(self.transport.request("PUT", "/v1/admin/seller", json=body, headers=headers).json())


@dataclass(frozen=True, slots=True)
class Payments(Collection):
    """What was paid."""

    def balances(self) -> Rows:
        """Return issued invoices with what is open."""
        return list(self.transport.request("GET", "/v1/balances").json()["invoices"])


@dataclass(frozen=True, slots=True)
class PlatformPayments(Collection):
    """What the bank says, for the platform operator."""

    def receive(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        """Record a payment; return `payment`, what it `settles`, `left_over` and `is_new`."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
        return dict(self.transport.request("POST", self.path, json=body, headers=headers).json())

    def match(self, organization_id: str) -> Rows:
        """Settle open invoices with what earlier payments left over; return what was settled. Safe to repeat."""
        path = at("/v1/admin/organizations", organization_id, "payments", "match")
        return list(self.transport.request("POST", path).json()["settles"])

    def refund(self, organization_id: str, body: Json) -> Rows:
        """Record money that was paid back: `amount`, `paid_on`, `bank_reference`; return its parts. Safe to repeat."""
        path = at("/v1/admin/organizations", organization_id, "refunds")
        return list(self.transport.request("POST", path, json=body).json()["refunds"])

    def balances(self, organization_id: str) -> Rows:
        """Return an organization's issued invoices with what is open."""
        path = at("/v1/admin/organizations", organization_id, "balances")
        return list(self.transport.request("GET", path).json()["invoices"])


@dataclass(frozen=True, slots=True)
class Prices(Collection):
    """Price versions, newest first, with the SKUs and plans around them; for the platform operator."""

    def create(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        """Add a price version; prices never change."""
        return self._post(self.path, body, idempotency_key)

    def skus(self) -> Rows:
        return list(self.transport.request("GET", "/v1/admin/skus").json()["skus"])

    def create_sku(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        return self._post("/v1/admin/skus", body, idempotency_key, "sku")

    def plans(self) -> Rows:
        return list(self.transport.request("GET", "/v1/admin/plans").json()["plans"])

    def create_plan(self, body: Json, *, idempotency_key: str | None = None) -> Json:
        return self._post("/v1/admin/plans", body, idempotency_key, "plan")


@dataclass(frozen=True, slots=True)
class Organizations(api.Organizations):
    """All organizations, with what they use and how it is priced."""

    def usages(self, identifier: str, **params: Any) -> Iterator[Json]:
        found = Collection(self.transport, at(self.path, identifier, "usages"), "usage")
        return found.list(**_since_until(params))

    def plan(self, identifier: str) -> Json:
        return dict(self.transport.request("GET", at(self.path, identifier, "plan")).json()["tenant_plan"])

    def set_plan(self, identifier: str, plan: str, valid_from: str | None = None) -> Json:
        """Give a plan, from a full hour (RFC 3339, UTC) or the next one."""
        body = {"plan": plan, "valid_from": valid_from}
        reply = self.transport.request("PUT", at(self.path, identifier, "plan"), json=body)
        return dict(reply.json()["tenant_plan"])

    def credits(self, identifier: str) -> Rows:
        return list(self.transport.request("GET", at(self.path, identifier, "credits")).json()["credits"])

    def grant_credit(self, identifier: str, body: Json, *, idempotency_key: str | None = None) -> Json:
        return self._post(at(self.path, identifier, "credits"), body, idempotency_key, "credit")


@dataclass(frozen=True, slots=True)
class Ledger(Collection):
    """The platform's books; `list` yields journal entries, newest first."""

    def accounts(self) -> Rows:
        """Return the chart with its balances."""
        return list(self.transport.request("GET", "/v1/admin/ledger/accounts").json()["accounts"])

    def entity(self) -> Json:
        """Return whose books these are."""
        return dict(self.transport.request("GET", "/v1/admin/ledger/entity").json()["accounting_entity"])

    def set_entity(self, body: Json, *, version: int | None = None) -> Json:
        if version is None:
            try:
                version = int(self.entity()["version"])
            except NotFound:
                version = None
        path, headers = "/v1/admin/ledger/entity", _if_match(version)
        return dict(
            self.transport.request("PUT", path, json=body, headers=headers).json()["accounting_entity"]
        )

    def close_year(self, year: int) -> Json:
        return self._post(f"/v1/admin/ledger/years/{year}/close", None, None, "fiscal_year")

    def fec(self, year: int) -> bytes:
        """Return the FEC of a fiscal year (LPF A47 A-1), as the tax office reads it."""
        return self.transport.request("GET", "/v1/admin/fec", params={"year": year}).content
