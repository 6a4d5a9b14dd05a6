"""Files of issued invoices on real PostgreSQL: made once, kept, handed out unchanged."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from controlplane.audit import service as audit
from controlplane.einvoicing import repository, service
from controlplane.einvoicing.documents import make_documents
from controlplane.einvoicing.domain import ArchivedFile, EInvoiceState, FileKind, LifeCycle
from controlplane.einvoicing.platform import Acknowledgement, Flow, NullPlatform
from controlplane.einvoicing.tasks import render_invoice, retry_unfinished, submit_invoice
from controlplane.invoicing import service as invoicing
from controlplane.invoicing.domain import Invoice
from controlplane.kernel.errors import InvalidInput, NotFound
from tests.fixtures.billing import Billing
from tests.fixtures.database import DatabaseUrls


@pytest.fixture
def invoice(billing: Billing) -> Invoice:
    tenant_id = billing.sign_up()
    billing.use(tenant_id)
    billing.end_month()
    return billing.invoice(tenant_id)


def render(billing: Billing, invoice: Invoice) -> ArchivedFile:
    render_invoice(billing.database, invoice.tenant_id, invoice.id)
    with billing.database.system(is_read_only=True) as uow:
        return service.get_file(uow, invoice.tenant_id, invoice.id, FileKind.PDF)


def state(billing: Billing, invoice: Invoice) -> EInvoiceState:
    with billing.database.system(is_read_only=True) as uow:
        found = service.find_einvoice(uow, invoice.tenant_id, invoice.id)
    assert found is not None
    return found.state


def test_an_issued_invoice_gets_its_files_once(billing: Billing, invoice: Invoice) -> None:
    first = render(billing, invoice)
    again = render(billing, invoice)
    assert first == again
    assert hashlib.sha256(first.content).hexdigest() == first.sha256
    with billing.database.system(is_read_only=True) as uow:
        noted = [
            one for one in audit.list_records(uow, invoice.tenant_id) if one.action == "einvoice.archived"
        ]
    assert [one.detail["pdf_sha256"] for one in noted] == [first.sha256]


def test_the_archive_refuses_a_second_file(billing: Billing, invoice: Invoice) -> None:
    kept = render(billing, invoice)
    with pytest.raises(DBAPIError), billing.database.system() as uow:
        repository.add_file(uow, replace(kept, content=b"other", sha256=hashlib.sha256(b"other").hexdigest()))
    with billing.database.system() as uow:
        service.archive(uow, invoice, make_documents(invoice))
    assert render(billing, invoice) == kept


@pytest.mark.parametrize(
    "statement",
    ["UPDATE invoice_archive SET content = 'x'", "DELETE FROM invoice_archive", "TRUNCATE invoice_archive"],
)
def test_not_even_the_owner_changes_the_archive(
    billing: Billing, invoice: Invoice, database_urls: DatabaseUrls, statement: str
) -> None:
    render(billing, invoice)
    with (
        psycopg.connect(database_urls.owner) as owner,
        pytest.raises(psycopg.Error, match=r"written once|row-level security"),
    ):
        owner.execute(statement.encode())


def test_the_archive_notices_a_changed_byte(billing: Billing, invoice: Invoice) -> None:
    kept = render(billing, invoice)
    with pytest.raises(service.ArchiveDamaged):
        service.check_file(replace(kept, content=kept.content[:-1] + b"?"))


def test_a_file_that_does_not_match_its_hash_is_not_stored(billing: Billing, invoice: Invoice) -> None:
    with pytest.raises(DBAPIError, match="sha256"), billing.database.system() as uow:
        repository.add_file(
            uow, ArchivedFile(invoice.tenant_id, invoice.id, FileKind.XML, b"x", "0" * 64, uow.now)
        )


def test_without_a_platform_nothing_counts_as_transmitted(billing: Billing, invoice: Invoice) -> None:
    render(billing, invoice)
    submit_invoice(billing.database, NullPlatform(), invoice.tenant_id, invoice.id)
    assert state(billing, invoice) is EInvoiceState.NOT_TRANSMITTED
    with billing.database.system() as uow:
        assert service.list_statuses(uow, invoice.tenant_id, invoice.id) == []
    assert retry_unfinished(billing.database, NullPlatform()) == 0


def test_a_platform_that_takes_the_file_is_noted_with_its_flow(billing: Billing, invoice: Invoice) -> None:
    class Recording:
        flows: list[Flow] = []  # noqa: RUF012

        def submit(self, flow: Flow) -> Acknowledgement:
            self.flows.append(flow)
            return Acknowledgement("flow-1", is_transmitted=True, is_simulated=True, message="taken")

    kept = render(billing, invoice)
    platform = Recording()
    submit_invoice(billing.database, platform, invoice.tenant_id, invoice.id)
    submit_invoice(billing.database, platform, invoice.tenant_id, invoice.id)
    (flow,) = platform.flows
    assert (flow.sha256, flow.processing_rule, flow.flow_profile) == (kept.sha256, "B2B", "CIUS")
    assert state(billing, invoice) is EInvoiceState.SUBMITTED
    with billing.database.system() as uow:
        (status,) = service.list_statuses(uow, invoice.tenant_id, invoice.id)
    assert (status.code, status.is_simulated) == (LifeCycle.DEPOSITED, True)


def test_a_refusal_needs_its_reason(billing: Billing, invoice: Invoice) -> None:
    with billing.database.system() as uow:
        with pytest.raises(InvalidInput, match="reason"):
            service.add_status(uow, invoice.tenant_id, invoice.id, LifeCycle.REFUSED, source="buyer")
        service.add_status(
            uow, invoice.tenant_id, invoice.id, LifeCycle.REFUSED, source="buyer", reason="TX_TVA_ERR"
        )


def test_another_tenants_file_does_not_exist(billing: Billing, invoice: Invoice) -> None:
    render(billing, invoice)
    other = billing.sign_up()
    with pytest.raises(NotFound), billing.database.tenant(other) as uow:
        service.get_file(uow, other, invoice.id, FileKind.PDF)
    with billing.database.tenant(other) as uow:
        assert repository.find_file(uow, invoice.tenant_id, invoice.id, FileKind.PDF) is None


def test_the_door_hands_out_the_archived_bytes(billing: Billing, invoice: Invoice) -> None:
    kept = render(billing, invoice)
    for kind, media in (("pdf", "application/pdf"), ("xml", "application/xml")):
        answer = billing.api.get(f"/v1/admin/invoices/{invoice.id}/{kind}", headers=billing.admin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(media)
        assert hashlib.sha256(answer.content).hexdigest() == answer.headers["X-Content-SHA256"]
    assert answer.content != kept.content
    with billing.database.system() as uow:
        assert invoicing.get_invoice(uow, invoice.id, None) == invoice
