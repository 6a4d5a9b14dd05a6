"""Closing months and issuing on real PostgreSQL: once, in order, balanced, final."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from controlplane.audit import service as audit
from controlplane.invoicing import repository, service
from controlplane.invoicing.domain import Invoice, InvoiceKind, InvoiceState, VatIdAnswer, VatIdStatus
from controlplane.invoicing.numbering_rules import parse_number
from controlplane.invoicing.tasks import check_vat_id, close_ended_months, retry_waiting
from controlplane.invoicing.vies import NullVatIdChecker, RecordedVatIdChecker
from controlplane.kernel.errors import Conflict, IllegalTransition, InvalidInput
from controlplane.kernel.ids import TenantId
from controlplane.ledger import service as ledger
from controlplane.plumbing.database import Database
from tests.fixtures.billing import Billing

GERMAN = {
    "legal_name": "Rechner GmbH", "country": "DE", "siren": None, "vat_id": "DE123456788",
    "address": {"line1": "Unter den Linden 1", "postal_code": "10117", "city": "Berlin", "country": "DE"},
}  # fmt: skip
REUNION = {
    "legal_name": "Volcan SARL", "vat_id": None,
    "address": {"line1": "2 rue de Paris", "postal_code": "97400", "city": "Saint-Denis", "country": "FR"},
}  # fmt: skip
SEED = 20261121
ISSUES, TENANTS = 50, 5


def assert_books_balance(billing: Billing) -> None:
    with billing.database.system(is_read_only=True) as uow:
        assert sum(balance.minor for balance in ledger.list_balances(uow)) == 0


class TestClose:
    def test_a_month_of_usage_becomes_an_issued_invoice(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        invoice = billing.invoice(tenant_id)
        assert invoice.state is InvoiceState.ISSUED
        assert invoice.number == f"DEMO-{invoice.issued_on:%Y}-000001"  # type: ignore[str-format]
        # 30 M tokens in at 0.20 € and 3 M out at 0.60 € a million.
        assert [line.net_minor for line in invoice.lines] == [600, 180]
        assert (invoice.totals.net_minor, invoice.totals.tax_minor) == (780, 156)
        assert invoice.due_on == invoice.issued_on + timedelta(days=30)  # type: ignore[operator]
        with billing.database.system(is_read_only=True) as uow:
            assert ledger.get_balance(uow, "411", tenant_id) == 936
            assert ledger.get_balance(uow, "706") == -780
            assert ledger.get_balance(uow, "44574") == -156
            assert audit.verify(uow, tenant_id) is None
        assert_books_balance(billing)

    def test_second_close_changes_nothing(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        first = billing.close(tenant_id)
        second = billing.close(tenant_id)
        assert (first.is_new, second.is_new) == (True, False)
        assert second.invoice == first.invoice
        with billing.database.system() as uow:
            assert service.issue(uow, first.invoice.id) == first.invoice  # type: ignore[union-attr]
            assert ledger.get_balance(uow, "411", tenant_id) == 936

    def test_a_month_without_usage_gives_no_invoice_and_stays_closed(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        billing.end_month()
        assert billing.close(tenant_id).invoice is None
        assert not billing.close(tenant_id).is_new

    def test_a_running_month_is_not_closed(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        with pytest.raises(Conflict, match="runs until"):
            billing.close(tenant_id)

    def test_a_late_event_becomes_a_correction_on_the_next_invoice(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        used_at = billing.month.start + timedelta(days=18)
        billing.use(tenant_id)
        billing.end_month()
        first = billing.invoice(tenant_id)
        billing.use(tenant_id, calls=1, at=used_at)
        assert billing.invoice(tenant_id) == first
        billing.month = type(billing.month).month_of(billing.month.end)
        billing.end_month()
        second = billing.invoice(tenant_id)
        assert second.is_issued
        assert all(line.is_correction for line in second.lines)
        assert second.totals.net_minor == 260
        assert all(first.number in line.name for line in second.lines if first.number)

    def test_every_ended_month_is_closed_by_the_clock(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        assert close_ended_months(billing.database) == 1
        assert close_ended_months(billing.database) == 0
        with billing.database.system() as uow:
            (invoice,) = service.list_invoices(uow, tenant_id=tenant_id, after=None, limit=5).items
        assert invoice.is_issued


class TestHeld:
    def test_unreachable_vies_holds_and_a_valid_answer_issues(self, billing: Billing) -> None:
        tenant_id = billing.sign_up(**GERMAN)
        billing.use(tenant_id)
        billing.end_month()
        held = billing.invoice(tenant_id)
        assert (held.state, held.hold and held.hold.code) == (InvoiceState.HELD, "vat_id_unchecked")
        check_vat_id(billing.database, NullVatIdChecker(), tenant_id, "DE123456788")
        assert retry_waiting(billing.database) == 0
        assert self._read(billing, held).hold.code == "vies_unreachable"  # type: ignore[union-attr]
        yes = RecordedVatIdChecker({"DE123456788": VatIdStatus.VALID})
        check_vat_id(billing.database, yes, tenant_id, "DE123456788")
        assert retry_waiting(billing.database) == 1
        issued = self._read(billing, held)
        assert issued.is_issued
        assert issued.totals.tax_minor == 0
        assert issued.vat is not None
        assert issued.vat.exemption_text is not None
        assert issued.vat.exemption_text.startswith("Autoliquidation")
        assert issued.provenance["vies_source"] == "recorded answer (simulated)"

    def test_an_answer_that_does_not_help_starts_no_endless_round(self, billing: Billing) -> None:
        tenant_id = billing.sign_up(**GERMAN)
        billing.use(tenant_id)
        billing.end_month()
        held = billing.invoice(tenant_id)
        check_vat_id(billing.database, NullVatIdChecker(), tenant_id, "DE123456788")
        for _ in range(3):
            retry_waiting(billing.database)
        with billing.database.system() as uow:
            topics = uow.session.execute(
                text("SELECT topic, count(*) FROM outbox_event GROUP BY topic")
            ).all()
        counted = dict(tuple(row) for row in topics)
        assert counted["vat_check.wanted"] == 1
        assert "vat_check.recorded" not in counted
        assert self._read(billing, held).state is InvoiceState.HELD

    def test_invalid_vies_is_held_and_never_issued(self, billing: Billing) -> None:
        tenant_id = billing.sign_up(**GERMAN)
        billing.use(tenant_id)
        billing.end_month()
        no = RecordedVatIdChecker({"DE123456788": VatIdStatus.INVALID})
        check_vat_id(billing.database, no, tenant_id, "DE123456788")
        held = billing.invoice(tenant_id)
        assert held.hold is not None
        assert held.hold.code == "vat_id_invalid"
        assert retry_waiting(billing.database) == 0
        with billing.database.system() as uow, pytest.raises(IllegalTransition):
            service.issue(uow, held.id)

    def test_proof_that_grew_old_between_draft_and_issue_holds(self, billing: Billing) -> None:
        tenant_id = billing.sign_up(**GERMAN)
        billing.use(tenant_id)
        billing.end_month()
        yes = RecordedVatIdChecker({"DE123456788": VatIdStatus.VALID})
        check_vat_id(billing.database, yes, tenant_id, "DE123456788")
        ready = billing.invoice(tenant_id, is_issuing=False)
        assert ready.state is InvoiceState.READY
        billing.set_clock(billing.month.end + timedelta(days=9))
        with billing.database.system() as uow:
            held = service.issue(uow, ready.id)
        assert held.hold is not None
        assert held.hold.code == "vat_id_answer_old"
        assert held.number is None

    def test_reunion_pays_its_own_rate(self, billing: Billing) -> None:
        tenant_id = billing.sign_up(**REUNION)
        billing.use(tenant_id)
        billing.end_month()
        invoice = billing.invoice(tenant_id)
        assert invoice.breakdown[0].rate == Decimal("8.5")
        assert (invoice.totals.net_minor, invoice.totals.tax_minor) == (780, 66)

    def test_a_broken_price_holds_with_its_reason(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        held = self._with_unpriced_usage(billing, tenant_id)
        assert held.hold is not None
        assert held.hold.code == "rating_problem"

    def test_without_a_seller_nothing_is_issued(self, billing: Billing, database_urls: object) -> None:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        import psycopg

        with psycopg.connect(database_urls.owner, autocommit=True) as owner:  # type: ignore[attr-defined]
            owner.execute("DELETE FROM invoice_seller")
        held = billing.invoice(tenant_id)
        assert held.hold is not None
        assert held.hold.code == "seller_missing"
        with billing.database.system() as uow:
            service.ensure_seller(uow)
        assert retry_waiting(billing.database) == 1

    def test_a_hold_by_hand_is_not_lifted_by_the_clock(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        ready = billing.invoice(tenant_id, is_issuing=False)
        with billing.database.system() as uow:
            held = service.hold_invoice(uow, ready.id, "disputed", actor="test")
        assert held.state is InvoiceState.HELD
        assert retry_waiting(billing.database) == 0
        with billing.database.system() as uow:
            again = service.retry_invoice(uow, ready.id)
        assert again.state is InvoiceState.READY

    def test_a_missing_mention_uses_no_number(self, billing: Billing) -> None:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        ready = billing.invoice(tenant_id, is_issuing=False)
        bare = replace(ready, notes=tuple(note for note in ready.notes if note.subject != "PMT"))
        with billing.database.system() as uow:
            repository.save_invoice(uow, bare)
        with pytest.raises(InvalidInput, match="recovery-indemnity"), billing.database.system() as uow:
            service.issue(uow, ready.id)
        with billing.database.system() as uow:
            assert repository.lock_series(uow, "DEMO", 2026).last_number == 0
            assert ledger.get_balance(uow, "411", tenant_id) == 0
            failed = service.fail_issue(uow, ready.id, "mention missing")
        assert failed.state is InvoiceState.ISSUE_FAILED

    @staticmethod
    def _read(billing: Billing, invoice: Invoice) -> Invoice:
        with billing.database.system(is_read_only=True) as uow:
            return service.get_invoice(uow, invoice.id, invoice.tenant_id)

    @staticmethod
    def _with_unpriced_usage(billing: Billing, tenant_id: TenantId) -> Invoice:
        """End every price before the month: usage is there and nothing prices it."""
        import psycopg

        with psycopg.connect(
            str(billing.settings.owner_database_url.get_secret_value()), autocommit=True
        ) as owner:
            owner.execute("SET session_replication_role = replica")
            owner.execute("DELETE FROM price_version")
        return billing.invoice(tenant_id)


class TestFinal:
    def _issued(self, billing: Billing) -> Invoice:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        return billing.invoice(tenant_id)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE invoice SET gross_minor = 1",
            "UPDATE invoice SET state = 'DRAFT', number = NULL, issued_on = NULL, series_number = NULL",
            "UPDATE invoice SET number = 'X-1'",
            "DELETE FROM invoice_line",
            (
                "INSERT INTO invoice_line SELECT tenant_id, invoice_id, 99, sku, name, description, quantity,"
                " unit_code, price, base_quantity, net_minor, period_start, period_end, calculation, price_version,"
                " is_correction, project_id, service_id, credited_position FROM invoice_line LIMIT 1"
            ),
            "DELETE FROM invoice",
        ],
    )
    def test_an_issued_invoice_never_changes(self, billing: Billing, statement: str) -> None:
        issued = self._issued(billing)
        with pytest.raises(DBAPIError), billing.database.system() as uow:
            uow.session.execute(text(statement))
        with billing.database.system() as uow:
            assert service.get_invoice(uow, issued.id, None) == issued

    def test_a_customer_that_moves_does_not_change_what_was_issued(self, billing: Billing) -> None:
        issued = self._issued(billing)
        with billing.database.system() as uow:
            uow.session.execute(text("UPDATE tenant SET legal_name = 'Autre SAS', country = 'DE'"))
        with billing.database.system() as uow:
            kept = service.get_invoice(uow, issued.id, None)
        assert kept.buyer == issued.buyer

    def test_a_tenant_sees_its_own_invoices_alone(self, billing: Billing) -> None:
        mine = self._issued(billing)
        other = billing.sign_up()
        with billing.database.tenant(other) as uow:
            assert service.list_invoices(uow, tenant_id=None, after=None, limit=5).items == []
        with billing.database.tenant(mine.tenant_id) as uow:
            assert len(service.list_invoices(uow, tenant_id=None, after=None, limit=5).items) == 1


class TestCreditNote:
    def _issued(self, billing: Billing) -> Invoice:
        tenant_id = billing.sign_up()
        billing.use(tenant_id)
        billing.end_month()
        return billing.invoice(tenant_id)

    def test_a_credit_note_refers_to_its_invoice_and_mirrors_the_books(self, billing: Billing) -> None:
        original = self._issued(billing)
        with billing.database.system() as uow:
            note = service.credit_note(uow, original.id, None, "Interruption")
        assert note.kind is InvoiceKind.CREDIT_NOTE
        assert note.preceding is not None
        assert (note.preceding.number, note.preceding.issued_on) == (original.number, original.issued_on)
        assert parse_number(note.number or "")[2] == 2
        with billing.database.system() as uow:
            assert ledger.get_balance(uow, "411", original.tenant_id) == 0
        assert_books_balance(billing)

    def test_nothing_is_given_back_twice(self, billing: Billing) -> None:
        original = self._issued(billing)
        with billing.database.system() as uow:
            service.credit_note(uow, original.id, [(1, 400)], "Partiel")
        with pytest.raises(Conflict), billing.database.system() as uow:
            service.credit_note(uow, original.id, [(1, 201)], "Trop")
        with pytest.raises(Conflict), billing.database.system() as uow:
            service.credit_note(uow, original.id, None, "Trop")
        with billing.database.system() as uow:
            service.credit_note(uow, original.id, [(1, 200), (2, 180)], "Le reste")
            assert ledger.get_balance(uow, "411", original.tenant_id) == 0


class TestNumbers:
    def test_fifty_concurrent_issues_with_random_rollbacks_leave_no_gap(self, billing: Billing) -> None:
        """Fifty threads, each with a connection and a document; each fails up to three times after its number was
        taken, then issues. The numbers of all that were issued follow each other."""
        chance = random.Random(SEED)
        ready = self._make_ready(billing)
        fates = [(invoice, chance.randrange(4)) for invoice in ready]
        rollbacks = sum(failures for _, failures in fates)
        assert rollbacks > ISSUES, f"seed {SEED}"
        start = threading.Barrier(ISSUES, timeout=60)
        wide = Database(billing.settings.model_copy(update={"database_pool_size": ISSUES // 2}))

        def work(fate: tuple[Invoice, int]) -> str:
            invoice, failures = fate
            start.wait()
            for _ in range(failures):
                self._issue(wide, invoice, is_broken=True)
            number = self._issue(wide, invoice, is_broken=False)
            assert number is not None
            return number

        try:
            with ThreadPoolExecutor(ISSUES) as pool:
                numbers = list(pool.map(work, fates))
        finally:
            wide.dispose()
        with billing.database.system() as uow:
            year = uow.now.year
            assert service.find_gap(uow, "DEMO", year) == 0, f"seed {SEED}"
            count, highest = repository.count_issued(uow, "DEMO", year)
        issued = sorted(parse_number(number)[2] for number in numbers)
        assert issued == list(range(TENANTS + 1, TENANTS + ISSUES + 1)), f"seed {SEED}"
        assert count == highest == TENANTS + ISSUES
        assert_books_balance(billing)

    @staticmethod
    def _make_ready(billing: Billing) -> list[Invoice]:
        tenants = [billing.sign_up() for _ in range(TENANTS)]
        for tenant_id in tenants:
            billing.use(tenant_id, calls=1)
        billing.end_month()
        ready = []
        for tenant_id in tenants:
            first = billing.invoice(tenant_id)
            for cents in range(1, ISSUES // TENANTS + 1):
                with billing.database.system() as uow:
                    ready.append(service.credit_note(uow, first.id, [(1, cents)], "Geste", is_issuing=False))
        assert len(ready) == ISSUES
        return ready

    @staticmethod
    def _issue(database: Database, invoice: Invoice, *, is_broken: bool) -> str | None:
        class Broken(Exception):
            pass

        try:
            with database.system() as uow:
                issued = service.issue(uow, invoice.id)
                assert issued.number is not None
                if is_broken:
                    raise Broken
        except Broken:
            return None
        return issued.number


def test_an_answer_by_hand_is_kept_with_its_proof(billing: Billing) -> None:
    tenant_id = billing.sign_up(**GERMAN)
    with billing.database.system(tenant_id) as uow:
        answer = VatIdAnswer("DE123456788", VatIdStatus.VALID, uow.now, "WAPI1", "by hand", False)
        service.record_vat_answer(uow, tenant_id, answer, actor="test")
    with billing.database.system(tenant_id) as uow:
        assert repository.find_newest_vat_check(uow, tenant_id, "DE123456788") == answer
