"""What the books take and refuse, as a table: one line is one post, in the order in which they happen.

`key  account amount … | account amount …  | outcome`: debits left of the first bar, credits right of it, in cents.
A key that comes again is a repetition. `411` and `4191` are kept for the tenant of the test.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from controlplane.kernel.ids import TenantId
from controlplane.ledger import service
from controlplane.ledger.domain import (
    JournalCode,
    JournalEntryDraft,
    LedgerConflict,
    LedgerRefused,
    LineDraft,
)
from controlplane.plumbing.database import Database
from tests.fixtures.tenants import sign_up

LEDGER_CASES = """
  sale      411 12000            | 706 10000  44574 2000 | created
  sale      411 12000            | 706 10000  44574 2000 | exists
  sale      411 12001            | 706 10001  44574 2000 | exists_with_different_amount
  sale      411 12000            | 706 10000             | exists_with_different_amount
  short     411 12000            | 706 10000             | unbalanced
  alone     411 12000            |                       | no_lines
  empty                          |                       | no_lines
  zero      411 0                | 706 0                 | not_one_sided
  minus     411 -5               | 706 -5                | not_one_sided
  nowhere   411 5                | 7999 5                | unknown_account
  worse     411 5                | 7999 6                | unknown_account
  payment   512 12000            | 411 12000             | created
  vat_due   44574 2000           | 44571 2000            | created
  deposit   512 6000             | 4191 5000  44571 1000 | created
  final     411 6000  4191 5000  | 706 10000  44571 1000 | created
  credit    709 10000 44571 2000 | 411 12000             | created
  credit    709 10000 44571 2000 | 411 12000             | exists
"""
BALANCES = {"411": -6000, "4191": 0, "44571": -2000, "44574": 0, "512": 18000, "706": -20000, "709": 10000}
PER_TENANT = {"411", "4191"}
EXPECTED_NUMBERS = [1, 2, 3, 4, 5, 6]


@dataclass(frozen=True, slots=True)
class Case:
    key: str
    debits: tuple[tuple[str, int], ...]
    credits: tuple[tuple[str, int], ...]
    outcome: str


def parse(table: str) -> list[Case]:
    cases = []
    for row in table.strip().splitlines():
        left, right, outcome = (cell.split() for cell in row.split("|"))
        key, *debits = left
        cases.append(Case(key, pairs(debits), pairs(right), outcome[0]))
    return cases


def pairs(words: list[str]) -> tuple[tuple[str, int], ...]:
    return tuple((account, int(minor)) for account, minor in zip(words[::2], words[1::2], strict=True))


def draft(case: Case, tenant_id: TenantId) -> JournalEntryDraft:
    def tenant(account: str) -> TenantId | None:
        return tenant_id if account in PER_TENANT else None

    debits = [LineDraft(account, minor, 0, tenant(account)) for account, minor in case.debits]
    credits_ = [LineDraft(account, 0, minor, tenant(account)) for account, minor in case.credits]
    return JournalEntryDraft(
        key=case.key,
        journal=JournalCode.OD,
        occurred_on=datetime.now(UTC).date(),
        piece_ref=case.key.upper(),
        label=f"Écriture {case.key}",
        lines=(*debits, *credits_),
    )


def outcome_of(database: Database, entry: JournalEntryDraft) -> str:
    try:
        with database.system() as uow:
            return service.post_once(uow, entry)[1].value
    except LedgerConflict as conflict:
        return conflict.code
    except LedgerRefused as refused:
        return refused.status.value


@pytest.fixture
def tenant_id(api: TestClient) -> TenantId:
    return TenantId.parse(sign_up(api).organization_id)


def test_the_books_take_and_refuse_what_the_table_says(database: Database, tenant_id: TenantId) -> None:
    for case in parse(LEDGER_CASES):
        assert outcome_of(database, draft(case, tenant_id)) == case.outcome, case
    with database.system(is_read_only=True) as uow:
        balances = service.list_balances(uow)
        entries = service.list_entries(uow, after=None, limit=100).items
    assert {balance.account: balance.minor for balance in balances} == BALANCES
    assert sum(balance.minor for balance in balances) == 0
    assert sorted(entry.number for entry in entries) == EXPECTED_NUMBERS
