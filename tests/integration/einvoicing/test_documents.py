"""No number and no entry without its document: on real PostgreSQL, through the doors that people use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from controlplane.einvoicing import service
from controlplane.einvoicing.documents import make_documents
from controlplane.einvoicing.domain import EInvoiceState
from controlplane.einvoicing.keeper import ArchivingKeeper, register_keeper
from controlplane.einvoicing.platform import Flow, NullPlatform
from controlplane.einvoicing.tasks import render_invoice, retry_unfinished
from controlplane.invoicing import repository as invoicing_repository
from controlplane.invoicing import service as invoicing
from controlplane.invoicing.document_port import use_keeper
from controlplane.invoicing.domain import Invoice, InvoiceId
from controlplane.invoicing.tasks import retry_waiting
from controlplane.kernel.errors import Conflict
from controlplane.kernel.ids import TenantId
from controlplane.ledger import service as ledger
from controlplane.plumbing.database import UnitOfWork
from tests.fixtures.billing import Billing
from tests.fixtures.tenants import TERMS

US = {
    "country": "US",
    "siren": None,
    "vat_id": "12-3456789",
    "address": {"line1": "350 Fifth Avenue", "postal_code": "10118", "city": "New York", "country": "US"},
}
# Runic, which no font here has: what an installation may hold from before the door asked.
UNPRINTABLE = "\u16a0\u16a2 SAS"


def sell(billing: Billing, tenant_id: TenantId) -> Invoice:
    with billing.database.system(tenant_id) as uow:
        return invoicing.sell_deposit(uow, tenant_id, 10_000, "test")


def write_name(billing: Billing, tenant_id: TenantId, name: str) -> None:
    """As stored before sign-up asked whether a document can carry it."""
    with billing.database.system() as uow:
        uow.session.execute(
            text("UPDATE tenant SET legal_name = :name WHERE tenant_id = :id"),
            {"name": name, "id": tenant_id.value},
        )


def numbers_and_entries(billing: Billing) -> tuple[int, int, int]:
    with billing.database.system(is_read_only=True) as uow:
        count, highest = invoicing_repository.count_issued(uow, "DEMO", uow.now.year)
        entries = ledger.list_entries(uow, after=None, limit=200).items
    return count, highest, len(entries)


def pdf(billing: Billing, invoice: Invoice) -> Any:
    return billing.api.get(f"/v1/admin/invoices/{invoice.id}/pdf", headers=billing.admin)


def shown(billing: Billing, invoice_id: InvoiceId) -> dict[str, Any]:
    answer = billing.api.get(f"/v1/admin/invoices/{invoice_id}", headers=billing.admin)
    return dict(answer.json()["invoice"])


class BeforeThis(ArchivingKeeper):
    """How programs issued before: the number first, the file whenever it comes."""

    def find_problem(self, invoice: Invoice) -> str | None:
        return None

    def keep(self, uow: UnitOfWork, invoice: Invoice) -> None:
        return None


@contextmanager
def as_before() -> Iterator[None]:
    use_keeper(BeforeThis())
    try:
        yield
    finally:
        register_keeper()


@pytest.mark.case("M1")
@pytest.mark.case("M2")
@pytest.mark.parametrize(
    "party",
    [{}, US, {**US, "vat_id": "123456789"}, {"legal_name": "Fusée 🚀 SAS"}, {"legal_name": "京 SAS"}],
    ids=["french", "ein", "bare number", "emoji", "chinese"],
)
def test_an_issued_document_has_its_file_at_once(billing: Billing, party: dict[str, Any]) -> None:
    tenant_id = billing.sign_up(**party)
    answer = billing.api.post(
        f"/v1/admin/organizations/{tenant_id}/deposits",
        json={"net": "10.00", "label": "test"},
        headers=billing.admin,
    )
    told = answer.json()["invoice"]
    assert (told["state"], told["file"]) == ("ISSUED", {"state": "ARCHIVED", "reason": ""})
    got = billing.api.get(f"/v1/admin/invoices/{told['id']}/pdf", headers=billing.admin)
    assert got.status_code == 200
    assert got.content.startswith(b"%PDF-")


@pytest.mark.case("M2")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"legal_name": UNPRINTABLE}, "legal_name"),
        ({"legal_name": "SAS\u202eevil"}, "legal_name"),
        ({"address": {**US["address"], "city": "\u16a0"}}, "address.city"),
        ({"address": {**US["address"], "line1": "a\u200bb"}}, "address.line1"),
    ],
)
def test_what_no_document_can_carry_is_refused_at_the_door(
    billing: Billing, changes: dict[str, Any], field: str
) -> None:
    body = {
        "organization": {"name": "refused", **US, "legal_name": "Kernel Inc", **changes},
        "project": {"name": "first"},
        "accepted_terms": TERMS,
    }
    refused = billing.api.post("/v1/signup", json=body)
    assert refused.status_code == 422, refused.text
    assert [problem["field"] for problem in refused.json()["errors"]] == [field]


@pytest.mark.case("M2")
def test_a_document_that_cannot_be_made_costs_no_number_and_no_entry(billing: Billing) -> None:
    bad, good = billing.sign_up(), billing.sign_up()
    write_name(billing, bad, UNPRINTABLE)
    before = numbers_and_entries(billing)
    held = sell(billing, bad)
    assert (held.state, held.number) == ("HELD", None)
    assert held.hold is not None
    assert held.hold.code == "document_invalid"
    assert held.hold.reason.startswith("document_invalid: buyer.legal_name")
    assert numbers_and_entries(billing) == before
    # It stands in nobody's way, and waits as long as its fault does.
    assert sell(billing, good).is_issued
    assert retry_waiting(billing.database) == 0
    write_name(billing, bad, "Runes SAS")
    assert retry_waiting(billing.database) == 1
    told = shown(billing, held.id)
    assert (told["state"], told["buyer"]["legal_name"]) == ("ISSUED", "Runes SAS")
    assert pdf(billing, held).status_code == 200


@pytest.mark.case("M2")
def test_a_document_issued_without_its_file_has_a_way_out(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    write_name(billing, tenant_id, UNPRINTABLE)
    with as_before():
        old = sell(billing, tenant_id)
    render_invoice(billing.database, tenant_id, old.id)
    told = shown(billing, old.id)
    assert told["file"]["state"] == "RENDER_FAILED"
    assert "font" in told["file"]["reason"]
    failed = billing.api.get("/v1/admin/e_invoices?state=RENDER_FAILED", headers=billing.admin).json()
    assert [one["number"] for one in failed["e_invoices"]] == [old.number]
    refused = pdf(billing, old)
    assert refused.status_code == 409
    assert "could not be made" in refused.json()["detail"]
    retry = f"/v1/admin/invoices/{old.id}/retry"
    assert billing.api.post(retry, headers=billing.admin).status_code == 409
    before = numbers_and_entries(billing)
    write_name(billing, tenant_id, "Runes SAS")
    made = billing.api.post(retry, headers=billing.admin)
    assert made.status_code == 200, made.text
    assert made.json()["invoice"]["buyer"]["legal_name"] == "Runes SAS"
    assert made.json()["invoice"]["number"] == old.number
    assert numbers_and_entries(billing) == before
    assert pdf(billing, old).status_code == 200
    # Once it has its file it is final.
    assert billing.api.post(retry, headers=billing.admin).status_code == 409
    with pytest.raises(Exception, match="never changes"), billing.database.system() as uow:
        invoicing_repository.correct_buyer(uow, invoicing.get_invoice(uow, old.id, None))


@pytest.mark.case("M2")
def test_a_credit_note_never_fails_for_the_fault_that_it_corrects(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    billing.use(tenant_id)
    billing.end_month()
    write_name(billing, tenant_id, UNPRINTABLE)
    with as_before():
        old = billing.invoice(tenant_id)
    write_name(billing, tenant_id, "Runes SAS")
    with billing.database.system() as uow:
        note = invoicing.credit_note(uow, old.id, None, "Nom illisible")
    assert note.is_issued
    assert note.buyer is not None
    assert note.buyer.legal_name == "Runes SAS"
    assert pdf(billing, note).status_code == 200


@pytest.mark.case("M2")
def test_one_bad_document_never_blocks_another(billing: Billing) -> None:
    bad, good = billing.sign_up(), billing.sign_up()
    write_name(billing, bad, UNPRINTABLE)
    with as_before():
        first, second = sell(billing, bad), sell(billing, good)
    with billing.database.system() as uow:
        for one in (first, second):
            service.ensure_pending(uow, one.tenant_id, one.id)
    assert retry_unfinished(billing.database, NullPlatform()) == 2
    assert shown(billing, first.id)["file"]["state"] == EInvoiceState.RENDER_FAILED
    assert shown(billing, second.id)["file"]["state"] == EInvoiceState.ARCHIVED


@pytest.mark.case("M2")
def test_a_platform_that_breaks_on_one_document_gets_the_next(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    first, second = sell(billing, tenant_id), sell(billing, tenant_id)

    class Choking(NullPlatform):
        def submit(self, flow: Flow) -> Any:
            if flow.name.startswith(str(first.number)):
                raise ZeroDivisionError("not a kind that anybody expects")
            return super().submit(flow)

    retry_unfinished(billing.database, Choking())
    with billing.database.system(is_read_only=True) as uow:
        found = [service.find_einvoice(uow, tenant_id, one.id) for one in (first, second)]
    states = [one.state for one in found if one is not None]
    assert states == [EInvoiceState.ARCHIVED, EInvoiceState.NOT_TRANSMITTED]


@pytest.mark.case("M2")
def test_nothing_is_kept_when_the_issue_is_rolled_back(billing: Billing) -> None:
    tenant_id = billing.sign_up()
    before = numbers_and_entries(billing)
    with pytest.raises(Conflict, match="stop"):
        _issue_and_roll_back(billing, tenant_id)
    assert numbers_and_entries(billing) == before
    with billing.database.system(is_read_only=True) as uow:
        assert service.list_einvoices(uow, state=None, after=None, limit=10).items == []


def _issue_and_roll_back(billing: Billing, tenant_id: TenantId) -> None:
    with billing.database.system(tenant_id) as uow:
        assert make_documents(invoicing.sell_deposit(uow, tenant_id, 10_000, "test")).pdf
        raise Conflict("stop")
