"""The books on a real database: what it refuses by itself, what stays true when many post at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy.exc
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from controlplane.kernel.errors import Conflict, NotFound
from controlplane.kernel.ids import TenantId
from controlplane.kernel.period import PARIS
from controlplane.ledger import service
from controlplane.ledger.check_rules import check_fec
from controlplane.ledger.domain import Accounts, JournalCode, JournalEntryDraft, JournalEntryId, LineDraft
from controlplane.plumbing.database import Database, UnitOfWork, normalise_url
from controlplane.plumbing.settings import Settings
from controlplane.plumbing.simulated_clock import move_clock
from tests.fixtures.database import DatabaseUrls
from tests.fixtures.tenants import sign_up

SIREN = "732829320"


def today() -> date:
    return datetime.now(PARIS).date()


def sale(key: str, tenant_id: TenantId, minor: int = 120, *, on: date | None = None) -> JournalEntryDraft:
    vat = minor // 6
    lines = [LineDraft("411", minor, 0, tenant_id), LineDraft("706", 0, minor - vat)]
    if vat:
        lines.append(LineDraft("44574", 0, vat))
    return JournalEntryDraft(key, JournalCode.VE, on or today(), key, f"Facture {key}", tuple(lines))


def payment(key: str, tenant_id: TenantId, minor: int) -> JournalEntryDraft:
    lines = (LineDraft("512", minor, 0), LineDraft("411", 0, minor, tenant_id))
    return JournalEntryDraft(key, JournalCode.BQ, today(), key, f"Virement {key}", lines)


@pytest.fixture
def tenant_id(api: TestClient) -> TenantId:
    return TenantId.parse(sign_up(api).organization_id)


def post(database: Database, entry: JournalEntryDraft) -> JournalEntryId:
    with database.system() as uow:
        return service.post(uow, entry)


@pytest.fixture
def moved_clock(database: Database, settings: Settings) -> Iterator[None]:
    """The installation's clock stands in the first days of next year."""
    ahead = datetime(datetime.now(UTC).year + 1, 1, 10, 12, tzinfo=UTC) - datetime.now(UTC)
    with database.system() as uow:
        move_clock(uow, settings, int(ahead / timedelta(seconds=1)))
    yield
    with database.system() as uow:
        move_clock(uow, settings, 0)


class TestDatabase:
    def test_an_entry_that_does_not_balance_is_refused_by_the_database(
        self, database: Database, tenant_id: TenantId
    ) -> None:
        entry_id = post(database, sale("F-1", tenant_id))
        with pytest.raises(sqlalchemy.exc.IntegrityError, match="does not balance"), database.system() as uow:
            _copy_entry(
                uow, entry_id, lines="SELECT * FROM entry_line WHERE entry_id = :old AND account = '411'"
            )
        with pytest.raises(sqlalchemy.exc.IntegrityError, match="does not balance"), database.system() as uow:
            _copy_entry(uow, entry_id, lines="SELECT * FROM entry_line WHERE false AND entry_id = :old")

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE journal_entry SET label = 'x'",
            "DELETE FROM journal_entry",
            "UPDATE entry_line SET debit_minor = debit_minor + 1 WHERE debit_minor > 0",
            "DELETE FROM entry_line",
            "TRUNCATE entry_line CASCADE",
            "UPDATE entry_lettering SET letter = 'ZZZ'",
            "DELETE FROM ledger_account",
            "DELETE FROM fiscal_year",
        ],
    )
    def test_what_is_booked_is_never_changed(
        self, database: Database, database_urls: DatabaseUrls, tenant_id: TenantId, statement: str
    ) -> None:
        post(database, sale("F-1", tenant_id))
        with (
            pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
            database.system() as uow,
        ):
            uow.session.execute(text(statement))
        owner = create_engine(normalise_url(database_urls.owner))
        with pytest.raises(sqlalchemy.exc.IntegrityError, match="append-only"), owner.begin() as connection:
            connection.execute(text(statement))
        owner.dispose()

    def test_a_line_is_written_with_its_entry_or_not_at_all(
        self, database: Database, tenant_id: TenantId
    ) -> None:
        entry_id = post(database, sale("F-1", tenant_id))
        with (
            pytest.raises(sqlalchemy.exc.IntegrityError, match="was booked before"),
            database.system() as uow,
        ):
            uow.session.execute(
                text(
                    "INSERT INTO entry_line VALUES (:e, 8, '512', NULL, '', 7, 0), (:e, 9, '512', NULL, '', 0, 7)"
                ),
                {"e": entry_id.value},
            )

    def test_a_tenant_sees_its_own_lines_and_writes_none(self, database: Database, api: TestClient) -> None:
        first, second = (TenantId.parse(sign_up(api).organization_id) for _ in range(2))
        post(database, sale("F-1", first))
        with database.tenant(second) as uow:
            assert uow.session.scalar(text("SELECT count(*) FROM entry_line")) == 0
        with database.tenant(first) as uow:
            assert uow.session.scalar(text("SELECT count(*) FROM entry_line")) == 1
        with (
            pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"),
            database.tenant(first) as uow,
        ):
            service.post(uow, sale("F-2", first))


def _copy_entry(uow: UnitOfWork, old: JournalEntryId, *, lines: str) -> None:
    """Write an entry past our own checks, with some of another's lines."""
    new = JournalEntryId.new().value
    given = {"new": new, "old": old.value}
    columns = (
        "fingerprint, journal, year, {} occurred_on, piece_ref, piece_on, label, validated_on, posted_at"
    )
    uow.session.execute(
        text(
            f"INSERT INTO journal_entry (id, key, {columns.format('number,')}) "  # noqa: S608
            f"SELECT :new, 'copy', {columns.format('number + 1,')} FROM journal_entry WHERE id = :old"
        ),
        given,
    )
    uow.session.execute(
        text(
            f"INSERT INTO entry_line SELECT :new, number, account, tenant_id, tenant_label, debit_minor, "  # noqa: S608
            f"credit_minor FROM ({lines}) AS taken"
        ),
        given,
    )


def test_every_account_that_rooms_post_to_is_in_the_chart(database: Database) -> None:
    with database.system(is_read_only=True) as uow:
        chart = {account.code: account for account in service.list_accounts(uow)}
    named = {value for name, value in vars(Accounts).items() if name.isupper()}
    assert named <= set(chart)
    assert all(account.source for account in chart.values())


class TestPost:
    def test_the_same_key_books_once(self, database: Database, tenant_id: TenantId) -> None:
        with ThreadPoolExecutor(4) as pool:
            ids = list(pool.map(lambda _: post(database, sale("F-1", tenant_id)), range(12)))
        assert len(set(ids)) == 1
        with database.system() as uow:
            assert service.get_balance(uow, "411", tenant_id) == 120

    def test_numbers_are_contiguous_under_rollbacks(self, database: Database, tenant_id: TenantId) -> None:
        seed = 20261121
        fails = random.Random(seed)
        plan = [(f"F-{n}", fails.random() < 0.4) for n in range(40)]

        class Rollback(Exception):
            pass

        def run(item: tuple[str, bool]) -> bool:
            key, is_failing = item
            try:
                with database.system() as uow:
                    service.post(uow, sale(key, tenant_id))
                    if is_failing:
                        raise Rollback
            except Rollback:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            kept = sum(pool.map(run, plan))
        with database.system() as uow:
            entries = service.list_entries(uow, after=None, limit=100).items
        assert 0 < kept < len(plan), f"seed {seed}"
        assert sorted(entry.number for entry in entries) == list(range(1, kept + 1)), f"seed {seed}"

    @hypothesis_settings(
        max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(amounts=st.lists(st.integers(1, 10**9), min_size=1, max_size=5))
    def test_any_balanced_entries_sum_to_zero(
        self, database: Database, tenant_id: TenantId, amounts: list[int]
    ) -> None:
        with database.system() as uow:
            before = service.get_balance(uow, "411", tenant_id)
            for minor in amounts:
                key = f"F-{JournalEntryId.new()}"
                assert service.post(uow, sale(key, tenant_id, minor)) == service.post(
                    uow, sale(key, tenant_id, minor)
                )
            assert service.get_balance(uow, "411", tenant_id) == before + sum(amounts)
            assert sum(balance.minor for balance in service.list_balances(uow)) == 0


class TestLetter:
    def test_an_invoice_and_its_payments_share_a_letter(
        self, database: Database, tenant_id: TenantId
    ) -> None:
        entries = [
            post(database, sale("F-1", tenant_id, 300)),
            post(database, payment("V-1", tenant_id, 100)),
            post(database, payment("V-2", tenant_id, 200)),
        ]
        with database.system() as uow:
            assert service.letter(uow, "411", tenant_id, entries) == "AAA"
        with database.system() as uow:
            assert service.letter(uow, "411", tenant_id, entries) == "AAA"
            found = service.get_entry(uow, entries[0])
        assert [line.letter for line in found.lines] == ["AAA", None, None]

    def test_lines_that_leave_something_are_not_matched(
        self, database: Database, tenant_id: TenantId
    ) -> None:
        entries = [
            post(database, sale("F-1", tenant_id, 300)),
            post(database, payment("V-1", tenant_id, 299)),
        ]
        with pytest.raises(Conflict, match="do not cancel out"), database.system() as uow:
            service.letter(uow, "411", tenant_id, entries)


class TestYearEnd:
    def test_a_running_year_is_not_closed(self, database: Database) -> None:
        with pytest.raises(Conflict, match="has not ended"), database.system() as uow:
            service.close_year(uow, today().year, actor="test")

    def test_a_closed_year_takes_no_entry(
        self, database: Database, tenant_id: TenantId, moved_clock: None
    ) -> None:
        last_year = today().year
        post(database, sale("F-1", tenant_id, on=date(last_year, 12, 31)))
        with database.system() as uow:
            closed = service.close_year(uow, last_year, actor="test")
        with database.system() as uow:
            assert service.close_year(uow, last_year, actor="test") == closed
        late = post(database, sale("F-2", tenant_id, on=date(last_year, 12, 30)))
        with database.system() as uow:
            found = service.get_entry(uow, late)
        assert (found.occurred_on, found.piece_on) == (date(last_year + 1, 1, 1), date(last_year, 12, 30))
        with pytest.raises(sqlalchemy.exc.IntegrityError, match="is closed"), database.system() as uow:
            uow.session.execute(
                text(
                    "INSERT INTO journal_entry (id, key, fingerprint, journal, year, number, occurred_on, piece_ref, "
                    "piece_on, label, validated_on, posted_at) SELECT gen_random_uuid(), 'x', '', 'VE', :y, 99, "
                    "make_date(:y, 12, 31), 'x', now(), 'x', now() + interval '2 years', now()"
                ),
                {"y": last_year},
            )

    def test_a_year_opens_with_what_the_last_one_left(
        self, database: Database, tenant_id: TenantId, moved_clock: None
    ) -> None:
        last_year = today().year
        post(database, sale("F-1", tenant_id, 120, on=date(last_year, 12, 31)))
        with database.system() as uow:
            service.close_year(uow, last_year, actor="test")
            balances = {b.account: b.minor for b in service.list_balances(uow, year=last_year + 1)}
            whole = {b.account: b.minor for b in service.list_balances(uow)}
        assert balances == {"120": -100, "411": 120, "44574": -20}
        assert whole == {"706": -100, "411": 120, "44574": -20}


class TestFec:
    def test_nothing_is_written_while_nobody_said_whose_books_these_are(self, database: Database) -> None:
        with pytest.raises(NotFound, match="whose books"), database.system(is_read_only=True) as uow:
            service.walk_fec(uow, today().year)

    def test_a_written_fec_breaks_no_rule(
        self, admin: TestClient, database: Database, moved_clock: None
    ) -> None:
        tenant_id = TenantId.parse(sign_up(admin).organization_id)
        year = today().year
        seeded = admin.get("/v1/admin/ledger/entity")
        entity = admin.put(
            "/v1/admin/ledger/entity",
            json={"siren": SIREN, "legal_name": "Nuage SAS"},
            headers={"If-Match": seeded.headers["ETag"]},
        )
        assert entity.status_code == 200, entity.text
        invoice = post(database, sale("F-1", tenant_id, 300, on=date(year, 12, 30)))
        paid = post(database, payment("V-1", tenant_id, 300))
        with database.system() as uow:
            service.letter(uow, "411", tenant_id, [invoice, paid])
        closed = admin.post(f"/v1/admin/ledger/years/{year}/close")
        assert closed.status_code == 200, closed.text
        for each, sales in ((year, ["F-1"]), (year + 1, [])):
            reply = admin.get("/v1/admin/fec", params={"year": each})
            assert reply.status_code == 200
            name = reply.headers["Content-Disposition"].split('"')[1]
            assert name == f"{SIREN}FEC{each}1231.txt"
            report = check_fec(name, reply.content, sales)
            assert [str(finding) for finding in report.findings] == []
            assert report.debit_minor == report.credit_minor > 0

    def test_the_books_are_read_over_rest(self, admin: TestClient, database: Database) -> None:
        caller = sign_up(admin)
        tenant_id = TenantId.parse(caller.organization_id)
        for n in range(3):
            post(database, sale(f"F-{n}", tenant_id))
        first = admin.get(
            "/v1/admin/ledger/entries", params={"limit": 2, "organization_id": caller.organization_id}
        )
        page = first.json()
        assert [entry["number"][-1] for entry in page["entries"]] == ["3", "2"]
        rest = admin.get("/v1/admin/ledger/entries", params={"limit": 2, "cursor": page["next_cursor"]})
        assert [entry["piece_ref"] for entry in rest.json()["entries"]] == ["F-0"]
        accounts = admin.get("/v1/admin/ledger/accounts").json()
        assert accounts["balance"] == "0.00"
        assert {a["code"]: a["balance"] for a in accounts["accounts"] if a["balance"] != "0.00"} == {
            "411": "3.60", "44574": "-0.60", "706": "-3.00",
        }  # fmt: skip
        refused = admin.get("/v1/admin/ledger/accounts", headers=caller.headers)
        assert refused.status_code == 403
