"""One month of a small cloud: usage in, invoices out, files accepted by the official rules, books balanced, paid."""

from __future__ import annotations

from typing import Any

from controlplane.einvoicing import service as einvoicing
from controlplane.einvoicing.domain import FileKind, LifeCycle
from controlplane.einvoicing.pdf import extract_xml
from controlplane.einvoicing.tasks import consumers as einvoicing_consumers
from controlplane.einvoicing.validation import validate_cii
from controlplane.invoicing.domain import InvoiceId
from controlplane.invoicing.tasks import consumers as invoicing_consumers
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.ledger import service as ledger
from controlplane.ledger.check_fec import main as check_fec
from controlplane.payments.tasks import consumers as payments_consumers
from controlplane.plumbing.cluster import Clusters
from controlplane.plumbing.consumers import Consumers, deliver, route_batch
from controlplane.plumbing.context import Context
from controlplane.plumbing.redis import connect
from tests.fixtures.billing import Billing

TURNS_MAX = 40
GERMAN: dict[str, Any] = {
    "legal_name": "Rechner GmbH", "country": "DE", "siren": None, "vat_id": "DE123456788",
    "address": {"line1": "Unter den Linden 1", "postal_code": "10117", "city": "Berlin", "country": "DE"},
}  # fmt: skip
REUNION: dict[str, Any] = {
    "legal_name": "Volcan SARL", "vat_id": None,
    "address": {"line1": "2 rue de Paris", "postal_code": "97400", "city": "Saint-Denis", "country": "FR"},
}  # fmt: skip
SWISS: dict[str, Any] = {
    "legal_name": "Berg AG", "country": "CH", "siren": None, "vat_id": "CHE123456788",
    "address": {"line1": "Bahnhofstrasse 1", "postal_code": "8001", "city": "Zürich", "country": "CH"},
}  # fmt: skip


def work_off(billing: Billing) -> None:
    """Deliver events until there are none left, as relay and workers do."""
    context = Context(
        billing.settings,
        billing.database,
        connect(billing.settings.redis_url),
        Clusters(billing.settings.kubeconfig),
    )
    registry = Consumers(
        [*invoicing_consumers(context), *payments_consumers(context), *einvoicing_consumers(context)]
    )
    for _ in range(TURNS_MAX):
        with billing.database.system() as uow:
            pairs = route_batch(uow.session, registry)
        if not pairs:
            return
        for event_id, name in pairs:
            assert deliver(billing.database, registry, event_id, name), name
    raise AssertionError("events do not come to an end")


def close(billing: Billing, tenant_id: TenantId) -> dict[str, Any]:
    month = f"{billing.month.start.astimezone(PARIS):%Y-%m}"
    sent = {"organization_id": str(tenant_id), "period": month}
    answer = billing.api.post("/v1/admin/billing/close", json=sent, headers=billing.admin)
    assert answer.status_code == 200, answer.text
    invoice: dict[str, Any] = answer.json()["invoice"]
    return invoice


def test_a_month_closes_from_usage_to_paid_invoices(billing: Billing, tmp_path: Any) -> None:
    tenants = {}
    for name, party in {"fr": {}, "re": REUNION, "de": GERMAN, "ch": SWISS}.items():
        tenants[name] = billing.sign_up(**party)
        billing.use(tenants[name])
    billing.end_month()

    closed = {name: close(billing, tenant_id) for name, tenant_id in tenants.items()}
    assert {name: one["state"] for name, one in closed.items()} == {
        "fr": "ISSUED", "re": "ISSUED", "de": "HELD", "ch": "ISSUED",
    }  # fmt: skip
    assert closed["de"]["hold"]["code"] == "vat_id_unchecked"
    assert (closed["fr"]["net"], closed["fr"]["tax"], closed["fr"]["gross"]) == ("7.80", "1.56", "9.36")
    assert (closed["re"]["tax"], closed["ch"]["tax"]) == ("0.66", "0.00")

    # VIES is not connected: the worker says so, and the operator records the answer with its proof.
    work_off(billing)
    told = billing.api.get(f"/v1/admin/invoices/{closed['de']['id']}", headers=billing.admin).json()[
        "invoice"
    ]
    assert told["hold"]["code"] in {"vat_id_unchecked", "vies_unreachable"}
    answer = billing.api.post(
        "/v1/admin/vat_checks",
        json={
            "organization_id": str(tenants["de"]), "vat_id": "DE123456788", "status": "VALID",
            "consultation_number": "WAPIAAAAX1", "is_simulated": True,
        },
        headers=billing.admin,
    )  # fmt: skip
    assert answer.status_code == 201, answer.text
    work_off(billing)
    german = billing.api.get(f"/v1/admin/invoices/{closed['de']['id']}", headers=billing.admin).json()[
        "invoice"
    ]
    assert german["state"] == "ISSUED"
    assert german["vat"]["category"] == "AE"
    assert german["vat"]["exemption"].startswith("Autoliquidation")
    numbers = sorted(one["number"] for one in (closed["fr"], closed["re"], closed["ch"], german))
    assert [int(number[-6:]) for number in numbers] == [1, 2, 3, 4]

    # Every file was accepted by the official rules, and is what the archive keeps.
    for name, tenant_id in tenants.items():
        with billing.database.tenant(tenant_id) as uow:
            file = einvoicing.get_file(uow, tenant_id, InvoiceId.parse(closed[name]["id"]), FileKind.PDF)
        assert validate_cii(extract_xml(file.content)).is_valid

    # Closing again changes nothing.
    assert close(billing, tenants["fr"]) == closed["fr"]

    # Money comes in; the books balance; the FEC passes its checker.
    paid = billing.api.post(
        "/v1/admin/payments",
        json={
            "organization_id": str(tenants["fr"]), "amount": "9.36", "received_on": closed["fr"]["issued_on"],
            "bank_reference": "statement/1", "remittance": closed["fr"]["number"],
        },
        headers=billing.admin,
    )  # fmt: skip
    assert paid.status_code == 201, paid.text
    work_off(billing)
    with billing.database.system(is_read_only=True) as uow:
        assert sum(one.minor for one in ledger.list_balances(uow)) == 0
        assert ledger.get_balance(uow, "411", tenants["fr"]) == 0
        assert ledger.get_balance(uow, "44571") == -156
        statuses = einvoicing.list_statuses(uow, tenants["fr"], InvoiceId.parse(closed["fr"]["id"]))
        assert [(one.code, one.amount_minor) for one in statuses] == [(LifeCycle.COLLECTED, 936)]
        name, lines = ledger.walk_fec(uow, int(closed["fr"]["issued_on"][:4]))
        path = tmp_path / name
        path.write_bytes(b"".join(lines))
    assert check_fec([str(path)]) == 0
